"""Where what is recorded is cut into pieces: at a key frame once there is enough, or anywhere before it is too much.

A piece is what one write adds to a file, and so what a process that is killed loses at most.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from penstock.engine.gop import PACKET_COST
from penstock.model import Kind, MediaPacket

# Once a piece is half as long as it may be, it ends with the next key frame: a player starts there.
LEAST_PART: Final = 2
# A key frame is in time a picture early, as milliseconds are rounded.
EARLY_MS: Final = 50
# A piece this large is written, whatever its length.
LARGEST_PIECE: Final = 4 * 1024 * 1024


class Piece(Protocol):
    """What is added to a file at once; times are on the recording's own line."""

    @property
    def start_ms(self) -> int: ...
    @property
    def end_ms(self) -> int: ...
    @property
    def is_start(self) -> bool:
        """True where decoding can begin with it."""

    @property
    def video(self) -> str:
        """The codec of its pictures; empty without any."""

    @property
    def audio(self) -> str: ...


class Pace:
    """Tells when the piece under way is to end."""

    def __init__(self, longest_ms: int) -> None:
        self.longest_ms = longest_ms
        self._least_ms = longest_ms // LEAST_PART
        self._start_ms: int | None = None
        self._bytes = 0
        self._has_picture = False
        self.begins_with_key = False

    @property
    def start_ms(self) -> int:
        """Where the piece under way begins; there must be one."""
        assert self._start_ms is not None
        return self._start_ms

    def is_due(self, packet: MediaPacket) -> bool:
        """True when the piece has to end before `packet`."""
        if self._start_ms is None:
            return False
        length_ms = packet.dts_ms - self._start_ms
        if length_ms >= self.longest_ms or self.is_large:
            return True
        # Behind a piece that begins inside a GOP the next key frame is the first place to start from.
        return packet.is_key and (length_ms >= self._least_ms - EARLY_MS or not self.begins_with_key)

    def count(self, packet: MediaPacket) -> None:
        """A frame is in it."""
        if self._start_ms is None:
            self._start_ms = packet.dts_ms
        if packet.kind == Kind.VIDEO and not self._has_picture:
            self._has_picture, self.begins_with_key = True, packet.is_key

    @property
    def is_large(self) -> bool:
        """True when it has to end whatever comes: what is held here has a bound."""
        return self._bytes >= LARGEST_PIECE

    def weigh(self, packet: MediaPacket) -> None:
        """Count what is held, frame or not."""
        self._bytes += len(packet.tag) + PACKET_COST

    def restart(self) -> None:
        self._start_ms, self._bytes = None, 0
        self._has_picture = self.begins_with_key = False


class Cutter(Protocol):
    """Takes a session's packets, on the recording's line of time, and puts out pieces."""

    left_out: set[str]  # codecs of frames that the container cannot hold

    def take(self, packet: MediaPacket) -> None: ...
    def pause(self) -> None:
        """The session is over: what is under way is a piece."""


MakeCutter = Callable[[Callable[[Piece], None]], Cutter]
