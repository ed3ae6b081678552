"""HLS: one stream's packets cut into segments, built once for all who play it.

A segment ends where the next one can start on a key frame, once it is long enough; in a GOP that is too
long for that it ends anywhere, before it would be longer than the playlist promises. The latest ones are
kept in memory, within a bound. Numbers start from the wall clock in seconds, and segments come slower
than one a second: so they go on rising over an engine's restart, where nothing else is remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from penstock.engine.gop import PACKET_COST
from penstock.engine.tracks import AudioLine, VideoLine
from penstock.model import Clock, Kind, MediaPacket
from penstock.protocols import hls
from penstock.protocols.fmp4 import Run, Track, init_segment, media_segment
from penstock.protocols.hls import Piece

# How many targets long a segment may be: key frames seldom come further apart than twice the target, and
# players stay three of the longest segments behind, so that more would cost them delay.
LONGEST_TARGETS: Final = 2
# A key frame is in time a picture early: milliseconds are rounded, and encoders' two seconds are not all alike.
EARLY_MS: Final = 50
# A segment's length counts rounded to the second (RFC 8216, section 4.3.3.1), so a picture more is no breach.
SLACK_MS: Final = 400
# A segment under way may take this part of what a stream's segments may take in all.
LARGEST_PART: Final = 8
# Discontinuities are counted from the wall clock's seconds, modulo this: hls.js keeps an array of that length.
DISCONTINUITIES: Final = 1 << 16
# Whatever their size, so many are kept: with less there is nothing to play.
FEWEST_KEPT: Final = 3


class SegmentPolicy(Struct, frozen=True):
    """How a stream is cut, and how much of it is kept."""

    target_s: float = 2.0
    listed: int = 8  # segments in a playlist
    limit_bytes: int = 64 * 1024 * 1024  # of one stream's segments
    total_bytes: int = 1024 * 1024 * 1024  # of all streams' together
    part_s: float = 0.0  # the longest part of a segment; 0: segments are told of when they are whole

    @property
    def target_ms(self) -> int:
        return round(self.target_s * 1000)

    @property
    def longest_ms(self) -> int:
        return self.target_ms * LONGEST_TARGETS


class Segment(Struct, frozen=True, eq=False):
    """One segment, with what it is told by."""

    piece: Piece
    data: bytes
    discontinuity: int  # how many there were up to it, from the first number on
    part_ends: tuple[int, ...] = ()  # where each of its parts ends in the data


class Shelf:
    """What the segments of all streams take together; a stream that adds to a full one keeps the fewest it can."""

    def __init__(self, limit_bytes: int) -> None:
        self.bytes = 0
        self._limit_bytes = limit_bytes

    @property
    def is_full(self) -> bool:
        return self.bytes > self._limit_bytes


class Segmenter:
    """Reads a stream's packets (engine.stream.Reader); `segments` and `playlist` are what players get.

    `on_news` is called, with the segmenter, when there is something that a player may wait for.
    """

    is_low_latency = False

    def __init__(self, policy: SegmentPolicy, clock: Clock, at_least: int = 0, shelf: Shelf | None = None) -> None:
        """Numbers start at `at_least`, or at the wall clock's seconds if that is more."""
        self.is_ended = False
        self.on_news: Callable[[Segmenter], None] | None = None
        self.on_failed: Callable[[], None] | None = None
        self._policy = policy
        self._clock = clock
        self._video, self._audio = VideoLine(), AudioLine()
        self._shelf = shelf or Shelf(policy.total_bytes)
        self._held_bytes = 0  # that the shelf counts for this stream
        self._segments: dict[int, Segment] = {}
        self._inits: dict[int, tuple[tuple[Track, ...], bytes]] = {}  # by the first segment that needed each
        self._playlist: bytes | None = None
        now_s = int(clock.now().timestamp())
        self._next = max(at_least, now_s)
        # Another one than an engine's before a restart, so that its times are not taken for going on.
        self._discontinuity = now_s % DISCONTINUITIES
        self._is_broken = False  # the next segment does not follow from the last one
        # What the segments of this session hold; a track counts from its first frame on.
        self._tracks: dict[Kind, Track] = {}
        # The segment under way.
        self._start_ms: int | None = None
        self._bytes = 0
        self._has_key = False
        self._awaits_key_since: int | None = None
        # Where the wall clock stands on the stream's line of time; None until the next frame.
        self._anchor: tuple[datetime, int] | None = None
        self._taken: Sequence[MediaPacket] = ()

    # What players ask for

    @property
    def is_ready(self) -> bool:
        """True once there is something to play."""
        return bool(self._segments)

    @property
    def number_after(self) -> int:
        """Above every number that was given here."""
        return self._next

    @property
    def tracks(self) -> tuple[Track, ...]:
        """What the latest segment holds."""
        return self._inits[self._listed()[-1].piece.init][0]

    @property
    def peak_bps(self) -> int:
        """The most bits a second of a segment that is kept."""
        rates = (8 * len(kept.data) / kept.piece.duration_s for kept in self._segments.values())
        return round(max(rates, default=0))

    @property
    def playlist(self) -> bytes:
        """The media playlist; there must be a segment."""
        if self._playlist is None:
            self._playlist = self._write_playlist().encode("ascii")
        return self._playlist

    @property
    def target_duration_s(self) -> int:
        return hls.target_duration(self._policy.longest_ms / 1000)

    def _write_playlist(self) -> str:
        listed = self._listed()
        return hls.media_playlist(
            [segment.piece for segment in listed],
            target_duration=self.target_duration_s,
            discontinuity_sequence=listed[0].discontinuity,
            is_ended=self.is_ended,
        )

    def segment(self, number: int) -> bytes | None:
        kept = self._segments.get(number)
        return kept.data if kept else None

    def init(self, number: int) -> bytes | None:
        kept = self._inits.get(number)
        return kept[1] if kept else None

    def _listed(self) -> list[Segment]:
        return list(self._segments.values())[-self._policy.listed :]

    # What the stream tells

    def take(self, packets: Sequence[MediaPacket]) -> None:
        """Take a batch: the next packets, in their order."""
        self._taken = packets
        for packet in packets:
            if packet.kind == Kind.VIDEO:
                self._take_video(packet)
            elif packet.kind == Kind.AUDIO:
                self._take_audio(packet)

    def pause(self) -> None:
        """The publisher left: what it sent last is a segment. The next one's is a discontinuity."""
        self._cut(None)
        self._video.track = None
        self._audio.use(None)
        self._tracks.clear()
        self._awaits_key_since = None
        self._break()

    def end(self) -> None:
        """Nothing more will come."""
        self._cut(None)
        self.is_ended = True
        self._playlist = None

    def failed(self) -> None:
        """A fault of our own: what is whole may be played to its end."""
        self.is_ended = True
        self._playlist = None
        on_failed, self.on_failed = self.on_failed, None
        if on_failed is not None:
            on_failed()

    def leave_shelf(self) -> None:
        """Its stream is not packed any more: what is left goes with the last player that reads on."""
        self._count_as(0)
        self._shelf = Shelf(self._policy.total_bytes)

    def _count_as(self, size: int) -> None:
        self._shelf.bytes += size - self._held_bytes
        self._held_bytes = size

    # Video

    def _take_video(self, packet: MediaPacket) -> None:
        if packet.is_header:
            self._set_up_video(packet)
        elif self._video.carries(packet) and self._may_start(packet):
            self._cut_before(packet)
            self._video.add(packet)
            self._has_key |= packet.is_key and len(self._video.samples) == 1
            self._count(packet)

    def _set_up_video(self, packet: MediaPacket) -> None:
        track = self._video.setup(packet)
        if track == self._video.track:
            return
        if self._video.samples:
            self._cut(packet.dts_ms)
        self._video.track = track
        self._tracks.pop(Kind.VIDEO, None)
        self._awaits_key_since = packet.dts_ms if track else None

    def _may_start(self, packet: MediaPacket) -> bool:
        """False for frames that need a picture that never came."""
        since = self._awaits_key_since
        if since is None or packet.is_key:
            self._awaits_key_since = None
            return True
        # A setup of pictures without any picture must not silence a stream that has sound.
        return packet.kind == Kind.AUDIO and packet.dts_ms - since >= self._policy.longest_ms

    # Audio

    def _take_audio(self, packet: MediaPacket) -> None:
        if packet.is_header or self._audio.is_setup_by_frames(packet):
            self._set_up_audio(packet)
        if not packet.is_header and self._audio.carries(packet) and self._may_start(packet):
            self._cut_before(packet)
            self._audio.add(packet)
            self._count(packet)

    def _set_up_audio(self, packet: MediaPacket) -> None:
        found = self._audio.setup(packet)
        if found is None and not packet.is_header:
            return  # no frame after all
        track, frame_samples = found or (None, 1024)
        if track == self._audio.track:
            return
        if self._audio.samples:
            self._cut(packet.dts_ms)
        self._audio.use(track, frame_samples)
        self._tracks.pop(Kind.AUDIO, None)

    # Cutting

    def _count(self, packet: MediaPacket) -> None:
        if self._start_ms is None:
            self._start_ms = packet.dts_ms
        if self._anchor is None:
            # The last one has just come; those before it may have waited in a cache.
            self._anchor = self._clock.now(), max(taken.dts_ms for taken in self._taken)
        self._bytes += len(packet.tag) + PACKET_COST

    def _cut_before(self, packet: MediaPacket) -> None:
        if self._start_ms is not None and self._is_due(packet, packet.dts_ms - self._start_ms):
            self._cut(packet.dts_ms)

    def _is_due(self, packet: MediaPacket, length_ms: int) -> bool:
        policy = self._policy
        if length_ms >= policy.longest_ms or self._bytes >= policy.limit_bytes // LARGEST_PART:
            return True
        if packet.kind == Kind.AUDIO:
            # Where there are pictures, they say where.
            return Kind.VIDEO not in self._tracks and not self._video.samples and length_ms >= policy.target_ms
        # After a cut inside a GOP the next key frame is the first place to start from.
        return packet.is_key and (length_ms >= policy.target_ms - EARLY_MS or not self._has_key)

    def _cut(self, until_ms: int | None) -> None:
        """End the segment under way, if there is one; the next begins at `until_ms`, if that is known."""
        start_ms = self._start_ms
        if start_ms is None:
            return
        latest_ms = start_ms + self._policy.longest_ms + SLACK_MS
        is_gap = until_ms is not None and until_ms > latest_ms
        self._finish(None if is_gap else until_ms, latest_ms, start_ms)
        self._start_ms, self._bytes, self._has_key = None, 0, False
        if is_gap:
            self._break()

    def _finish(self, until_ms: int | None, latest_ms: int, start_ms: int) -> None:
        """Make a segment of what is under way."""
        runs, duration_s = self._take_off(until_ms, latest_ms)
        piece = self._next_piece(duration_s, start_ms)
        self._add(Segment(piece, media_segment(piece.number, runs), self._discontinuity))

    def _take_off(self, until_ms: int | None, latest_ms: int) -> tuple[list[Run], float]:
        """The runs of the segment under way, and how long it is."""
        video, audio = self._video, self._audio
        if video.samples and video.track is not None:
            self._tracks[Kind.VIDEO] = video.track
        if audio.samples and audio.track is not None:
            self._tracks[Kind.AUDIO] = audio.track
        runs: list[Run] = []
        if video.samples:
            runs.append(video.cut(1, until_ms, latest_ms))
        if audio.samples:
            runs.append(audio.cut(2 if Kind.VIDEO in self._tracks else 1))
        # Pictures come first, and tell the length where there are any.
        track = video.track if runs[0].is_video else audio.track
        assert track is not None
        return runs, sum(sample.duration for sample in runs[0].samples) / track.timescale

    def _next_piece(self, duration_s: float, start_ms: int) -> Piece:
        """The next segment as it will be told, of the tracks in use."""
        number = self._next
        init = self._init_of(number)
        last = next(reversed(self._segments.values()), None)
        is_discontinuous = last is not None and (self._is_broken or init != last.piece.init)
        self._is_broken = False
        self._discontinuity += is_discontinuous
        return Piece(number, init, duration_s, self._time_of(start_ms), is_discontinuous)

    def _add(self, segment: Segment) -> None:
        self._next += 1
        self._segments[segment.piece.number] = segment
        self._playlist = None
        self._let_go()

    def _tracks_in_use(self) -> tuple[Track, ...]:
        return tuple(self._tracks[kind] for kind in (Kind.VIDEO, Kind.AUDIO) if kind in self._tracks)

    def _init_of(self, number: int) -> int:
        """The init segment of the tracks in use; made if none of those that are kept is alike."""
        tracks = self._tracks_in_use()
        for known, (of, _) in self._inits.items():
            if of == tracks:
                return known
        self._inits[number] = tracks, init_segment(tracks)
        return number

    def _break(self) -> None:
        self._is_broken = True
        self._anchor = None

    def _time_of(self, dts_ms: int) -> datetime:
        assert self._anchor is not None
        at, anchor_ms = self._anchor
        return at + timedelta(milliseconds=dts_ms - anchor_ms)

    def _let_go(self) -> None:
        """Forget what is too old, or too much.

        A segment that left the playlist stays for as long as the playlist is: a player may have read of
        it just before (RFC 8216, section 6.2.2).
        """
        kept = self._segments
        policy = self._policy
        self._count_as(sum(len(segment.data) for segment in kept.values()))
        while len(kept) > self._kept_at_most() or (
            (self._held_bytes > policy.limit_bytes or self._shelf.is_full) and len(kept) > FEWEST_KEPT
        ):
            self._count_as(self._held_bytes - len(kept.pop(next(iter(kept))).data))
        needed = self._needed_inits()
        for number in [number for number in self._inits if number not in needed]:
            del self._inits[number]

    def _kept_at_most(self) -> int:
        return 2 * self._policy.listed

    def _needed_inits(self) -> set[int]:
        return {segment.piece.init for segment in self._segments.values()}
