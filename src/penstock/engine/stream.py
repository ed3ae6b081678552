"""One stream: what its publisher sends becomes batches, and a place for players to start from.

Flushing is the policy that matters: the number of send calls is nearly all that a player costs. By
default a batch leaves with every picture and audio rides along; one always ends before a key frame, so
that a slow player can leave out whole batches and go on with one that starts a GOP. When fan-out takes
long, the stream rests as long again before the next one, and the batches grow by themselves.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Final, ParamSpec, Protocol

from msgspec import Struct

from penstock.engine.feed import Feed, Opening
from penstock.engine.formats import Format
from penstock.engine.gop import GopCache, Headers
from penstock.engine.outlet import Outlet
from penstock.model import Clock, Kind, MediaPacket, StreamId
from penstock.protocols import flv

log = logging.getLogger("penstock.engine")

P = ParamSpec("P")

# The longest that a stream rests by itself: a player's own buffer is seldom longer than this.
MAX_REST_S: Final = 0.25


class Timer(Protocol):
    def cancel(self) -> None: ...


class Reader(Protocol):
    """Gets a stream's packets themselves, whoever plays: what packs or records them."""

    def take(self, packets: Sequence[MediaPacket]) -> None: ...

    def failed(self) -> None:
        """It raised something: it was taken off, and gets nothing more."""


Later = Callable[[float, Callable[[], None]], Timer]


class FlushPolicy(Struct, frozen=True):
    """When a batch leaves, and how much of a stream is kept for who comes next."""

    every_s: float  # least time from one batch to the next; 0 lets each picture leave by itself
    audio_s: float  # how long audio waits for a picture to ride along with
    gop_cache_bytes: int


class _Batch:
    """Packets that came since the last flush."""

    __slots__ = ("has_audio", "has_video", "headers", "key_at", "key_headers", "packets", "since")

    def __init__(self, headers: Headers) -> None:
        self.packets: list[MediaPacket] = []
        self.headers = headers  # in force before its first packet
        self.since = 0.0
        self.has_audio = False
        self.has_video = False
        self.key_at = -1  # its last key frame; there is one only if it starts with one
        self.key_headers: Headers = ()


class Stream:
    """A stream on air, or one whose players are kept for its publisher's return."""

    def __init__(self, stream_id: StreamId, policy: FlushPolicy, clock: Clock, later: Later) -> None:
        """`later` calls back after some seconds; `clock.monotonic` tells how long fan-out takes."""
        self.id = stream_id
        self.feeds: dict[str, Feed] = {}
        self.end_ms = 0  # the furthest place that a packet took on the stream's line of time
        self._policy = policy
        self._clock = clock
        self._later = later
        self._timer: Timer | None = None
        self._timer_due = 0.0
        self._rest_until = 0.0
        self._headers: Headers = ()
        self._batch = _Batch(())
        self._gop = GopCache(policy.gop_cache_bytes)
        self._has_audio = False
        self._has_video = False
        self._on_end: Callable[[], None] | None = None
        self._readers: tuple[Reader, ...] = ()

    # The publisher's side

    def begin(self) -> None:
        """A new session: what its publisher will say of the media replaces what the last one said."""
        self.flush()
        for feed in self.feeds.values():
            feed.restart()
        self._headers = ()
        self._batch = _Batch(())
        self._gop.clear()
        self._has_audio = self._has_video = False

    def add(self, packet: MediaPacket) -> None:
        """Take the next packet. `settle` must follow once no more are at hand."""
        batch = self._batch
        if packet.is_key:
            if self._on_end is not None:
                self._end()
                return
            if batch.packets and batch.key_at < 0:
                self.flush()
                batch = self._batch
            batch.key_at = len(batch.packets)
            batch.key_headers = self._headers
        if not batch.packets:
            batch.since = self._clock.monotonic()
        batch.packets.append(packet)
        self.end_ms = max(self.end_ms, packet.dts_ms)
        if packet.is_header:
            self._set_header(packet)
        elif packet.kind == Kind.VIDEO:
            batch.has_video = self._has_video = True
        elif packet.kind == Kind.AUDIO:
            batch.has_audio = self._has_audio = True

    def end_before_key(self, on_end: Callable[[], None]) -> None:
        """Have `on_end` called in place of the next key frame, once all before it was sent; sound alone ends now."""
        self._on_end = on_end
        if not self._has_video:
            self._end()

    def _end(self) -> None:
        on_end, self._on_end = self._on_end, None
        self.flush()
        if on_end is not None:
            on_end()

    def settle(self) -> None:
        """All packets at hand were added: flush now, or as soon as the policy has it."""
        batch = self._batch
        if not batch.packets:
            return
        if not self.feeds:
            self._hand_over(batch)
            return
        due = self._rest_until
        if not batch.has_video:
            due = max(due, batch.since + self._policy.audio_s)
        now = self._clock.monotonic()
        if due <= now:
            self.flush()
        elif self._timer is None or due < self._timer_due:
            self._stop_timer()
            self._timer_due = due
            self._timer = self._later(due - now, self._on_timer)

    def flush(self) -> None:
        """Send everything that was added to everybody, whatever the policy says."""
        self._stop_timer()
        batch = self._batch
        if not batch.packets:
            return
        if not self.feeds:
            self._hand_over(batch)
            return
        began = self._clock.monotonic()
        opening = self._opening_before(batch)
        gone: list[Outlet] = []
        for feed in self.feeds.values():
            gone += feed.send(batch.packets, opening, began)
        ended = self._clock.monotonic()
        rest = min(ended - began, MAX_REST_S)
        self._rest_until = max(began + self._policy.every_s, ended + rest)
        # Live players came first: nobody who reads for later is in a hurry.
        self._hand_over(batch)
        for outlet in gone:
            outlet.owner.lost("connection lost")

    def _hand_over(self, batch: _Batch) -> None:
        """The batch is over: readers get it, and the GOP cache."""
        self._keep(batch)
        for reader in self._readers:
            self.spare(reader, reader.take, batch.packets)

    def _on_timer(self) -> None:
        self._timer = None
        self.settle()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _keep(self, batch: _Batch) -> None:
        """What of a batch a later player needs goes into the GOP cache."""
        if batch.key_at >= 0:
            self._gop.start(batch.packets[batch.key_at :], batch.key_headers)
        else:
            self._gop.extend(batch.packets)
        self._batch = _Batch(self._headers)

    def _set_header(self, packet: MediaPacket) -> None:
        """One header of each kind is in force; metadata goes first, as encoders send it."""
        others = [header for header in self._headers if header.kind != packet.kind]
        self._headers = tuple(sorted([*others, packet], key=lambda header: -header.kind))
        if packet.kind == Kind.VIDEO:
            self._has_video = True
        elif packet.kind == Kind.AUDIO:
            self._has_audio = True

    # The players' side

    def attach(self, outlet: Outlet, form: Format) -> None:
        """Start a player on the cached GOP, or with the next batch that it can start on.

        Raises:
            OSError: the player is gone already.
        """
        feed = self.feeds.get(form.name)
        if feed is None:
            feed = Feed(form)
        feed.attach(outlet, self._opening_now())
        self.feeds[form.name] = feed

    def detach(self, outlet: Outlet) -> None:
        for name, feed in list(self.feeds.items()):
            feed.detach(outlet)
            if not feed:
                # A format that nobody plays costs nothing.
                del self.feeds[name]

    def outlets(self) -> Iterator[Outlet]:
        for feed in list(self.feeds.values()):
            yield from feed.outlets()

    def follow(self, reader: Reader) -> None:
        """Give `reader` the cached GOP with its headers now, and every batch from the next one on."""
        opening = self._opening_now()
        self._readers += (reader,)
        self.spare(reader, reader.take, [*opening.headers, *opening.gop])

    @property
    def is_followed(self) -> bool:
        """True while somebody reads its packets for later."""
        return bool(self._readers)

    def unfollow(self, reader: Reader) -> None:
        """It gets what was added up to now, and nothing more."""
        if reader not in self._readers:
            return
        if self._batch.packets:
            self.spare(reader, reader.take, self._batch.packets)
        self._take_off(reader)

    def spare(self, reader: Reader, action: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Have a reader do something. One that raises is taken off; neither stream nor players are the worse for it."""
        try:
            action(*args, **kwargs)
        except Exception:
            about = {"stream": str(self.id)}
            log.exception("a fault of our own in the %s of %s", type(reader).__name__, self.id, extra=about)
            self._take_off(reader)
            try:
                reader.failed()
            except Exception:
                log.exception("and one more at its end", extra=about)

    def _take_off(self, reader: Reader) -> None:
        self._readers = tuple(other for other in self._readers if other is not reader)

    def _opening_now(self) -> Opening:
        """For one who joins now, and gets every batch from the next one on."""
        gop = self._gop
        if gop.packets:
            at_ms = gop.packets[0].dts_ms
            return self._opening([restamp(header, at_ms) for header in gop.headers], gop.packets, ready=True)
        # Audio alone can start anywhere, once its setup is known.
        ready = self._has_audio and not self._has_video
        headers = [restamp(header, self.end_ms) for header in self._batch.headers]
        return self._opening(headers, [], ready=ready)

    def _opening_before(self, batch: _Batch) -> Opening:
        """For those who wait, and get this batch as their first: it starts with a key frame, if it has one."""
        ready = batch.key_at >= 0 or (batch.has_audio and not self._has_video)
        return self._opening([restamp(header, batch.packets[0].dts_ms) for header in batch.headers], [], ready=ready)

    def _opening(self, headers: list[MediaPacket], gop: list[MediaPacket], *, ready: bool) -> Opening:
        return Opening(headers, gop, ready=ready, audio=self._has_audio, video=self._has_video)


def restamp(packet: MediaPacket, dts_ms: int) -> MediaPacket:
    """The same packet at another time: a header is told again where a player starts.

    Metadata stays at 0, where it always is.
    """
    if packet.kind == Kind.DATA:
        return packet
    return MediaPacket(
        packet.kind, dts_ms, packet.is_key, packet.is_header, flv.tag(packet.kind, dts_ms, packet.payload)
    )
