"""Players of HLS: each is a session over many requests, known by an id in its URLs.

A session is a player of its stream like any other: counted, told of the end, thrown out. It is over when
nothing was asked for in its name for a while. An id that is not known may be one of an engine before this
one, and begins anew under its own name; so players get over a restart.
"""

from __future__ import annotations

import re
import secrets
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from penstock.engine.hub import Hub
from penstock.engine.outlet import Buffer, Outlet
from penstock.engine.segments import Segmenter
from penstock.engine.usage import Player
from penstock.engine.waits import Waits
from penstock.errors import LimitExceeded
from penstock.link.messages import Client
from penstock.model import Clock, StreamId

SESSION_RULE: Final = re.compile(r"[0-9a-f]{16}", re.ASCII)


class ViewerPolicy(Struct, frozen=True):
    online_s: float = 30.0  # after its last request a player counts as there for so long
    wait_s: float = 8.0  # how long a request waits for a stream's first segment
    max_per_address: int = 10_000


class Viewer:
    """One player of HLS. `close` is called for each answer under way when it is thrown out."""

    def __init__(self, viewers: Viewers, session: str, stream: StreamId, client: Client, domain: str) -> None:
        self.session = session
        self.stream = stream
        self.client = client
        self.domain = domain
        self.outlet = self._new_outlet()
        self.seen_s = 0.0  # when it last asked for something
        self.is_gone = False  # thrown out: it gets nothing more
        self.answering: dict[object, Callable[[str], None]] = {}  # what ends each answer that is on its way
        self._viewers = viewers
        self._player: Player | None = None
        self._segmenter: Segmenter | None = None

    @property
    def segmenter(self) -> Segmenter:
        assert self._segmenter is not None
        return self._segmenter

    @property
    def is_over(self) -> bool:
        """True once its stream has ended."""
        return self.segmenter.is_ended

    def watch(self, hub: Hub) -> bool:
        """Begin to play; False when the stream is not on air."""
        found = hub.watch(self.stream, self.outlet, self.client, self.domain)
        if found is None:
            return False
        self._player, self._segmenter = found
        self._segmenter.on_news = self._viewers.waits.news
        return True

    def watch_again(self, hub: Hub) -> None:
        """Play what is on air under the same name now."""
        self.leave(hub)
        self.outlet = self._new_outlet()
        self.watch(hub)

    def _new_outlet(self) -> Outlet:
        # Not to be held by what it holds: with it go a stream's segments, megabytes that the collector finds late.
        return Outlet(_send_nothing, weakref.proxy(self), 0)

    def leave(self, hub: Hub) -> None:
        """It plays no more; what it was sent is counted. Leaving again counts what it was sent since."""
        if self._player is not None:
            hub.leave(self._player)

    def count(self, size: int) -> None:
        """Its connection took `size` bytes for it."""
        self.outlet.sent_bytes += size

    # What the engine calls (engine.outlet.Owner)

    def want_write(self, wanted: bool) -> None:
        raise AssertionError("nothing is sent through a viewer's outlet")

    def lost(self, why: str) -> None:
        raise AssertionError("nothing is sent through a viewer's outlet")

    def end(self, why: str, *, at_once: bool) -> None:
        self._viewers.ended(self, why, at_once=at_once)


def _send_nothing(buffer: Buffer) -> int:
    raise AssertionError("nothing is sent through a viewer's outlet")


class Viewers:
    """All players of HLS of one engine."""

    def __init__(self, hub: Hub, policy: ViewerPolicy, clock: Clock) -> None:
        self._hub = hub
        self._policy = policy
        self._clock = clock
        self._viewers: dict[str, Viewer] = {}  # who asked last comes last
        self._per_address: Counter[str] = Counter()
        self.waits = Waits(clock, hub.later)

    def __len__(self) -> int:
        return len(self._viewers)

    def open(self, stream: StreamId, client: Client, domain: str, session: str = "") -> Viewer | None:
        """Begin a session of a player; None when the stream is not on air.

        Raises:
            LimitExceeded: the address has its fill of them.
        """
        if self._per_address[client.address] >= self._policy.max_per_address:
            raise LimitExceeded(f"{client.address} plays {self._policy.max_per_address} streams by HLS already")
        viewer = Viewer(self, session or secrets.token_hex(8), stream, client, domain)
        if not viewer.watch(self._hub):
            return None
        self._per_address[client.address] += 1
        self._viewers[viewer.session] = viewer
        viewer.seen_s = self._clock.monotonic()
        return viewer

    @property
    def wait_s(self) -> float:
        """How long a request waits for a stream's first segment."""
        return self._policy.wait_s

    def find(self, session: str) -> Viewer | None:
        """The player of that id, which is there for a while longer by asking; None if nobody is known by it."""
        viewer = self._viewers.get(session)
        if viewer is None or viewer.is_gone:
            return viewer
        self._viewers[session] = self._viewers.pop(session)
        viewer.seen_s = self._clock.monotonic()
        if viewer.is_over and self._hub.is_playable(viewer.stream):
            # Its stream ended, and is on air again; a player that asks still wants it.
            viewer.watch_again(self._hub)
        return viewer

    def ended(self, viewer: Viewer, why: str, *, at_once: bool) -> None:
        """The stream is over. Its players may read to the end, unless they are thrown out."""
        viewer.leave(self._hub)
        if at_once:
            viewer.is_gone = True
            answering, viewer.answering = viewer.answering, {}
            for close in answering.values():
                close(why)

    # The passing of time

    def tick(self) -> None:
        """End what is overdue; to be called several times a second."""
        now_s = self._clock.monotonic()
        while self._viewers:
            viewer = next(iter(self._viewers.values()))
            if now_s - viewer.seen_s < self._policy.online_s:
                break
            self._forget(viewer)
        self.waits.tick()

    def _forget(self, viewer: Viewer) -> None:
        del self._viewers[viewer.session]
        address = viewer.client.address
        self._per_address[address] -= 1
        if not self._per_address[address]:
            del self._per_address[address]
        viewer.leave(self._hub)
        # A connection that is still sending for it is slower than any player: it ends with it.
        answering, viewer.answering = viewer.answering, {}
        for close in answering.values():
            close("its session is over")
