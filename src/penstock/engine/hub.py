"""What is on air: streams, who publishes them, who plays them, and when each of that ends."""

from __future__ import annotations

import logging
from datetime import datetime
from functools import partial
from typing import Final, Protocol

from msgspec import Struct

from penstock.engine.addressing import VhostTable
from penstock.engine.following import Follower, Followers, start
from penstock.engine.formats import Format
from penstock.engine.outlet import Outlet
from penstock.engine.parts import PartSegmenter
from penstock.engine.publication import Publication, Publisher
from penstock.engine.segments import Segmenter, SegmentPolicy, Shelf
from penstock.engine.stream import FlushPolicy, Later, Stream
from penstock.engine.usage import Player, UsageMeter
from penstock.link.messages import Audience, Client, EndReason, Holder, Lease, OnAir, StreamStats
from penstock.model import Clock, StreamId

log = logging.getLogger("penstock.engine")

HLS: Final = "hls"
# How far two sessions of one stream stay apart on its line of time, at least: one frame at 25 a second.
SESSION_GAP_MS: Final = 40

# A publisher that sends nothing for so long, in seconds, may have lost its connection without our hearing of it.
LOOK_AFTER_S: Final = 0.5


class HubPolicy(Struct, frozen=True):
    """The rules of time; seconds each."""

    flush: FlushPolicy
    idle_timeout_s: float  # a publisher that sends no media for so long is gone
    keep_players_s: float  # how long players outlive a publisher that ended by itself
    player_stall_s: float  # a player blocked for so long is closed
    segments: SegmentPolicy = SegmentPolicy()
    hls_always: frozenset[str] = frozenset()  # apps, as VHOST/APP or APP, that are packed though nobody plays


class Listener(Protocol):
    """Hears of every session's begin and end."""

    def began(self, publication: Publication) -> None: ...

    def ended(self, lease: Lease, reason: EndReason, detail: str, at: datetime, last: StreamStats) -> None: ...


class _Place:
    """A stream with what surrounds it."""

    __slots__ = (
        "bytes_of_the_gone",
        "ended_at_s",
        "is_always_packed",
        "is_unpackable",
        "players",
        "publication",
        "segmenter",
        "stream",
        "watching",
    )

    def __init__(self, stream: Stream, *, is_always_packed: bool) -> None:
        self.stream = stream
        self.is_always_packed = is_always_packed
        self.is_unpackable = False  # packing this session failed, and would again
        self.segmenter: Segmenter | None = None  # while there is someone to pack for
        self.watching = 0  # players of what it packs
        self.publication: Publication | None = None
        self.players: dict[Outlet, Player] = {}
        self.ended_at_s = 0.0
        self.bytes_of_the_gone: dict[tuple[str, str], int] = {}  # by format and domain


class Hub:
    """All streams of one engine. Knows packets and outlets; sockets belong to the servers."""

    def __init__(self, policy: HubPolicy, clock: Clock, later: Later, meter: UsageMeter) -> None:
        self.vhosts = VhostTable()
        self.meter = meter
        self._policy = policy
        self._clock = clock
        self.later = later
        self._places: dict[StreamId, _Place] = {}
        self._listener: Listener | None = None
        self._followers = Followers()
        self.is_draining = False
        self._shelf = Shelf(policy.segments.total_bytes)
        self._next_segment = 0  # above every number that a segment of a stream that went had

    def listen(self, listener: Listener) -> None:
        self._listener = listener

    # Publishing

    def holder(self, stream_id: StreamId) -> Holder | None:
        """Who publishes `stream_id` now, and for how long it has been silent."""
        place = self._places.get(stream_id)
        if place is None or place.publication is None:
            return None
        publication = place.publication
        return Holder(publication.lease.epoch, round(self._clock.monotonic() - publication.media_at_s, 3))

    def publication(self, stream_id: StreamId) -> Publication | None:
        """What is published as `stream_id` now."""
        place = self._places.get(stream_id)
        return place.publication if place else None

    def begin(
        self, lease: Lease, publisher: Publisher, client: Client, domain: str, *, replaces: int | None = None
    ) -> Publication | None:
        """Put an admitted publisher on air; None when another one holds the name after all.

        The holder is replaced only if its epoch is the one that control meant.
        """
        place = self._places.get(lease.stream)
        if place is None:
            place = self._places[lease.stream] = _Place(
                Stream(lease.stream, self._policy.flush, self._clock, self.later),
                is_always_packed=self._is_always_packed(lease.stream),
            )
        now_s = self._clock.monotonic()
        if place.publication is not None:
            holder = place.publication
            if holder.lease.epoch != replaces:
                return None
            place.stream.flush()
            self._finish(place, holder, EndReason.REPLACED, f"by {client.address}")
            holder.publisher.cut(EndReason.REPLACED, f"replaced by a publisher at {client.address}")
        stream = place.stream
        start_ms = 0
        if stream.end_ms or place.ended_at_s:
            # Players' clocks went on while nobody published, and so does the line.
            pause_ms = int((now_s - place.ended_at_s) * 1000)
            start_ms = stream.end_ms + max(SESSION_GAP_MS, pause_ms)
        stream.begin()
        place.is_unpackable = False
        if place.is_always_packed:
            self._pack(place)
        place.publication = Publication(
            lease,
            stream,
            publisher,
            client,
            domain,
            began_at=self._clock.now(),
            now_s=now_s,
            start_ms=start_ms,
        )
        self._followers.begin(stream, lease)
        if self._listener is not None:
            self._listener.began(place.publication)
        return place.publication

    def end(self, publication: Publication, reason: EndReason, detail: str) -> None:
        """The publisher is gone. Its players are kept for its return, unless it was thrown out."""
        place = self._places.get(publication.lease.stream)
        if place is None or place.publication is not publication:
            return
        place.stream.flush()
        self._finish(place, publication, reason, detail)
        if not place.players:
            self._forget(place)

    def drop(self, stream_id: StreamId, reason: EndReason, detail: str) -> int | None:
        """Throw the publisher out, its players with it; return the epoch that ended, if there was one."""
        place = self._places.get(stream_id)
        if place is None:
            return None
        publication = place.publication
        if publication is None:
            self._close_players(place, str(reason), at_once=True)
            return None
        # Cut first: whoever is thrown out sends nothing more while the rest is put in order.
        publication.publisher.cut(reason, detail)
        last = self._take_off(place, publication, reason)
        # Told last: whoever hears of it finds every socket closed, and does not hold that up.
        self._close_players(place, str(reason), at_once=True)
        self._tell_end(publication, reason, detail, last)
        return publication.lease.epoch

    def _finish(self, place: _Place, publication: Publication, reason: EndReason, detail: str) -> None:
        self._tell_end(publication, reason, detail, self._take_off(place, publication, reason))

    def _take_off(self, place: _Place, publication: Publication, reason: EndReason) -> StreamStats:
        """Nobody publishes here any more; return what is to be said of the session that did."""
        now_s = self._clock.monotonic()
        publication.facts.sample(now_s)
        last = self._stats(place, publication)
        place.publication = None
        place.ended_at_s = now_s
        if place.segmenter is not None:
            place.stream.spare(place.segmenter, place.segmenter.pause)
        self._followers.end(place.stream, reason)
        return last

    def _tell_end(self, publication: Publication, reason: EndReason, detail: str, last: StreamStats) -> None:
        if self._listener is not None:
            self._listener.ended(publication.lease, reason, detail, self._clock.now(), last)

    # Following

    def follow(self, stream_id: StreamId, follower: Follower) -> None:
        """Have `follower` read every session of a stream: the one on air, from its cached GOP on, and all to come."""
        self._followers.add(stream_id, follower)
        place = self._places.get(stream_id)
        if place is not None and place.publication is not None:
            start(follower, place.stream, place.publication.lease)

    def unfollow(self, stream_id: StreamId, follower: Follower) -> None:
        """It reads no more; what was sent up to now it has. The session goes on, and is not said to have ended."""
        self._followers.remove(stream_id, follower)
        place = self._places.get(stream_id)
        if place is not None:
            place.stream.unfollow(follower)

    # Playing

    def join(self, stream_id: StreamId, form: Format, outlet: Outlet, client: Client, domain: str) -> Player | None:
        """Start a player; None when the stream is not on air (nor expected back).

        Raises:
            OSError: the player is gone already.
        """
        place = self._places.get(stream_id)
        if place is None:
            return None
        place.stream.attach(outlet, form)
        player = Player(outlet, stream_id, form.name, client, domain, earlier_bytes=outlet.counted_bytes)
        place.players[outlet] = player
        self.meter.open(player)
        return player

    def watch(
        self, stream_id: StreamId, outlet: Outlet, client: Client, domain: str
    ) -> tuple[Player, Segmenter] | None:
        """Start a player of HLS, which fetches segments by itself.

        None when the stream is not on air, or packing it failed. Bytes that it was sent are to be added to
        `outlet.sent_bytes`; nothing is sent through it.
        """
        place = self._places.get(stream_id)
        segmenter = self._pack(place) if place is not None and not place.is_unpackable else None
        if place is None or segmenter is None:
            return None
        player = Player(outlet, stream_id, HLS, client, domain)
        place.players[outlet] = player
        place.watching += 1
        self.meter.open(player)
        return player, segmenter

    def _pack(self, place: _Place) -> Segmenter | None:
        """What packs the stream, from now on if nothing did; None if it failed at that."""
        if place.segmenter is None:
            make = PartSegmenter if self._policy.segments.part_s else Segmenter
            segmenter = make(self._policy.segments, self._clock, self._next_segment, self._shelf)
            segmenter.on_failed = partial(self._packing_failed, place)
            place.segmenter = segmenter
            place.stream.follow(segmenter)
        return place.segmenter

    def _packing_failed(self, place: _Place) -> None:
        """Whoever plays what was packed is told of the end; nobody packs it again before the next session."""
        place.is_unpackable = True
        for outlet, player in list(place.players.items()):
            if player.format == HLS:
                outlet.owner.end("a fault in the server", at_once=False)
        self._unpack(place)

    def _unpack(self, place: _Place) -> None:
        segmenter, place.segmenter = place.segmenter, None
        if segmenter is not None:
            segmenter.on_failed = None
            place.stream.unfollow(segmenter)
            segmenter.leave_shelf()
            self._next_segment = max(self._next_segment, segmenter.number_after)

    def _is_always_packed(self, stream: StreamId) -> bool:
        always = self._policy.hls_always
        return stream.app in always or f"{stream.vhost}/{stream.app}" in always

    def _forget(self, place: _Place) -> None:
        """Nobody publishes or plays here any more."""
        self._unpack(place)
        self._places.pop(place.stream.id, None)

    def is_playable(self, stream_id: StreamId) -> bool:
        """True for a stream on air, or one whose publisher is expected back; of none once they are about to end."""
        return stream_id in self._places and not self.is_draining

    def pause(self, player: Player) -> None:
        """Send the player nothing until it resumes; it stays a player."""
        place = self._places.get(player.stream)
        if place is not None and player.outlet in place.players:
            place.stream.detach(player.outlet)

    def resume(self, player: Player, form: Format) -> None:
        """Start a paused player anew, as if it joined now.

        Raises:
            OSError: the player is gone already.
        """
        place = self._places.get(player.stream)
        if place is not None and player.outlet in place.players:
            place.stream.detach(player.outlet)
            place.stream.attach(player.outlet, form)

    def leave(self, player: Player) -> None:
        """The player gets nothing more; what it was sent stays counted.

        To be called again once its connection is closed: until then it may take what was on its way.
        """
        self.meter.close(player)
        place = self._places.get(player.stream)
        if place is None or place.players.get(player.outlet) is not player:
            return
        del place.players[player.outlet]
        place.stream.detach(player.outlet)
        came = player.format, player.domain
        place.bytes_of_the_gone[came] = place.bytes_of_the_gone.get(came, 0) + player.sent_bytes
        if player.format == HLS:
            place.watching -= 1
            if not place.watching and not place.is_always_packed:
                self._unpack(place)
        if not place.players and place.publication is None:
            self._forget(place)

    def _close_players(self, place: _Place, why: str, *, at_once: bool) -> None:
        segmenter = place.segmenter
        for outlet in list(place.players):
            outlet.owner.end(why, at_once=at_once)
        if segmenter is not None:
            place.stream.spare(segmenter, segmenter.end)
        if not place.players and place.publication is None and self._places.get(place.stream.id) is place:
            self._forget(place)

    # The passing of time

    def tick(self) -> None:
        """End what is overdue; to be called several times a second."""
        now_s = self._clock.monotonic()
        policy = self._policy
        for place in list(self._places.values()):
            publication = place.publication
            if publication is not None:
                silent_s = now_s - publication.media_at_s
                if silent_s >= policy.idle_timeout_s:
                    detail = f"no media for {silent_s:.1f} s"
                    self.end(publication, EndReason.SILENT, detail)
                    publication.publisher.cut(EndReason.SILENT, detail)
                elif silent_s >= LOOK_AFTER_S:
                    publication.publisher.look()
            elif self.is_draining or now_s - place.ended_at_s >= policy.keep_players_s:
                self._close_players(place, "the publisher did not come back", at_once=False)
            for outlet in list(place.players):
                if outlet.queue is not None and outlet.stalled(now_s, policy.player_stall_s):
                    outlet.owner.lost(f"took nothing of what waits for {policy.player_stall_s:g} s")

    def drain(self, reason: EndReason) -> None:
        """Begin nothing any more, and end each stream where its players lose no frame: before its next key frame."""
        self.is_draining = True
        for place in list(self._places.values()):
            publication = place.publication
            if publication is None:
                self._close_players(place, str(reason), at_once=False)
            elif not place.players and not place.stream.is_followed:
                self._end_drained(place, publication, reason)
            else:
                place.stream.end_before_key(partial(self._end_drained, place, publication, reason))

    def _end_drained(self, place: _Place, publication: Publication, reason: EndReason) -> None:
        if place.publication is not publication:
            return  # it ended by itself, and its players are kept no longer
        self._finish(place, publication, reason, "")
        self._close_players(place, str(reason), at_once=False)
        publication.publisher.cut(reason, "")

    def stop(self, reason: EndReason) -> None:
        """End every session and every play."""
        for stream_id in list(self._places):
            self.drop(stream_id, reason, "")

    # What can be said of it

    def publications(self) -> list[Publication]:
        return [place.publication for place in self._places.values() if place.publication is not None]

    def sample(self) -> None:
        """Note where every session's counters stand; to be called about once a second."""
        now_s = self._clock.monotonic()
        for publication in self.publications():
            publication.facts.sample(now_s)

    def stats(self) -> tuple[StreamStats, ...]:
        return tuple(status.stats for status in self.on_air())

    def on_air(self) -> tuple[OnAir, ...]:
        return tuple(
            OnAir(place.publication.lease, self._stats(place, place.publication))
            for place in self._places.values()
            if place.publication is not None
        )

    def _stats(self, place: _Place, publication: Publication) -> StreamStats:
        facts = publication.facts
        return StreamStats(
            epoch=publication.lease.epoch,
            client=publication.client,
            domain=publication.domain,
            began_at=publication.began_at,
            duration_ms=int((self._clock.monotonic() - publication.began_s) * 1000),
            bitrate_kbps=facts.bitrate_kbps(),
            bytes_in=facts.bytes_in,
            video=facts.video(),
            audio=facts.audio(),
            audience=_audience(place),
        )


def _audience(place: _Place) -> tuple[Audience, ...]:
    sums = {came: (0, size) for came, size in place.bytes_of_the_gone.items()}
    for player in place.players.values():
        came = player.format, player.domain
        players, size = sums.get(came, (0, 0))
        sums[came] = players + 1, size + player.sent_bytes
    return tuple(Audience(*came, *counts) for came, counts in sums.items())
