"""What a relay is given to reach its two ends with; whoever has sockets offers it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from penstock.engine.outlet import Outlet
from penstock.protocols.rtmp.chunk import Message


class Call(Protocol):
    """A connection to a peer, under way or open. Its owner hears no more of it once it closed it."""

    @property
    def bytes_in(self) -> int:
        """What its socket gave."""

    @property
    def bytes_out(self) -> int:
        """What its socket took."""

    def close(self) -> None:
        """Close now. Closing again does nothing."""

    def finish(self) -> None:
        """Tell the peer that this is the end, in its protocol's way, and close once that is sent."""


class SourceOwner(Protocol):
    """Hears of a connection that media comes by. `lost` is called once at most, and last."""

    def opened(self) -> None:
        """The peer agreed; media may follow."""

    def media(self, messages: Sequence[Message]) -> None:
        """Audio, video and data, at least one of them; their buffers belong to the owner from now on."""

    def lost(self, why: str) -> None: ...


class TargetOwner(Protocol):
    """Hears of a connection that media leaves by. `lost` is called once at most, and last."""

    def opened(self, outlet: Outlet, stream_id: int) -> None:
        """The peer lets us publish, on this message stream of its own."""

    def lost(self, why: str) -> None: ...


class Caller(Protocol):
    """Makes connections. Owners are never called from inside.

    `is_own` says that whoever wants the relay has the URL's domain here.
    """

    def pull(self, url: str, owner: SourceOwner, *, is_own: bool) -> Call:
        """Play `url`: `rtmp`, `rtmps`, or FLV by `http` and `https`."""

    def push(self, url: str, owner: TargetOwner, *, is_own: bool) -> Call:
        """Publish to `url`: `rtmp` or `rtmps`."""
