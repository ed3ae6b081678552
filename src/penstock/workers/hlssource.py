"""HLS as a source: playlists read by our own reader, segments fetched by our own client, one by one.

The plan: segments that follow each other are one stream of bytes for libav, up to a discontinuity, a new init
section or a hole; what comes behind is another stretch. Whatever a playlist names is asked for by way of the
guard, and must be a segment: a playlist inside of a playlist's media is none.
"""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Final
from urllib.parse import urljoin

from av.stream import Stream

from penstock.errors import HlsError, MediaError, PeerError
from penstock.protocols import hlsread
from penstock.protocols.hlsread import InitSection, MediaPlaylist, MultivariantPlaylist, Range, Segment
from penstock.workers import sniff
from penstock.workers.clips import Stretch, beginning
from penstock.workers.cutting import Part
from penstock.workers.demux import Input, Source
from penstock.workers.media import Unit
from penstock.workers.remote import Client, Gone, Meter, ask, pauses

log = logging.getLogger("penstock.relay")

MAX_SEGMENT: Final = 64 * 1024 * 1024
MAX_INIT: Final = 1024 * 1024
# How far from the live edge playing begins, in target durations.
BEHIND_EDGE: Final = 3
# A live playlist that brings nothing new for so many target durations (and seconds at least) is dead.
DEAD_AFTER: Final = 4
DEAD_AFTER_S: Final = 20.0
# Segments in a row that a live playlist names and its server has not.
MAX_MISSED: Final = 3


class Fetcher:
    """Gets whole small things, with a bound, and again where the way broke."""

    def __init__(self, client: Client, meter: Meter, sleep: Callable[[float], None] = time.sleep) -> None:
        self.client, self.meter, self.sleep = client, meter, sleep

    def fetch(self, url: str, *, most: int, part: Range | None = None) -> tuple[bytes, str]:
        """Return (bytes, the URL that they came from in the end).

        Raises:
            MediaError, PeerError, NetworkRefused: they cannot be had, or are more than `most`.
        """
        waits = pauses()
        while True:
            try:
                return self._once(url, most, part)
            except PeerError:
                if not waits:
                    raise
                self.sleep(waits.pop(0))

    def _once(self, url: str, most: int, part: Range | None) -> tuple[bytes, str]:
        first, last = (part.offset, part.offset + part.length - 1) if part else (0, None)
        answer = ask(self.client, url, first, last=last)
        try:
            # A server without ranges begins at the file's start.
            skip, size = first - answer.offset, part.length if part else most + 1
            if skip + (size if part else 0) > most and part is not None:
                raise MediaError(f"a part ends beyond byte {most} of a segment's file")
            data = bytearray()
            for piece in answer.parts:
                self.meter.add(len(piece))
                data += piece
                if len(data) >= skip + size:
                    break
            if len(data) > most + skip:
                raise MediaError(f"a segment or playlist has over {most} bytes")
            return bytes(data[skip : skip + size]), answer.url
        finally:
            answer.close()

    def playlist(self, url: str) -> tuple[MediaPlaylist | MultivariantPlaylist, str]:
        data, final = self.fetch(url, most=hlsread.MAX_PLAYLIST)
        return _parsed(data), final


def _parsed(data: bytes) -> MediaPlaylist | MultivariantPlaylist:
    try:
        return hlsread.parse(data)
    except HlsError as error:
        raise MediaError(str(error)) from error


class SegmentStream:
    """Segments as one stream of bytes; its first ones tell the format."""

    def __init__(self, segments: Iterator[bytes]) -> None:
        self._segments = segments
        self._data = memoryview(next(segments, b""))
        head = bytes(self._data[: sniff.PEEK])
        if sniff.is_packed_audio(head):
            raise MediaError("the segments are packed audio (RFC 8216, 3.4), which is not supported")
        self.form = sniff.sniff(head)
        if self.form not in (sniff.MPEGTS, sniff.MOV):
            raise MediaError(f"a segment is {self.form}; wanted MPEG-TS or fragmented MP4")

    def read(self, size: int) -> bytes:
        if not self._data:
            self._data = memoryview(next(self._segments, b""))
        found = bytes(self._data[:size])
        self._data = self._data[size:]
        return found

    def seekable(self) -> bool:
        return False


class Together:
    """Picture of one source and sound of another, on the same line of time."""

    def __init__(self, picture: Source, sound: Source) -> None:
        self._sources = (picture, sound)
        self.video: Stream | None = picture.video
        self.audio: Stream | None = sound.audio

    def units(self) -> Iterator[Unit]:
        picture, sound = self._sources
        pictures = (unit for unit in picture.units() if unit.is_video)
        sounds = (unit for unit in sound.units() if not unit.is_video)
        return heapq.merge(pictures, sounds, key=lambda unit: unit.dts)

    def close(self) -> None:
        for source in self._sources:
            source.close()


def stretches(
    fetcher: Fetcher, text: bytes, url: str, *, start: Fraction, end: Fraction | None, is_live: bool
) -> Iterator[Stretch]:
    """Yield what a playlist (its text, and where it came from) plays, from `start` to `end` or from the live edge on.

    Each must be played to its end before the next one is asked for.

    Raises:
        MediaError, PeerError, NetworkRefused: it cannot be read, or has died.
    """
    found = _parsed(text)
    sound_url = ""
    if isinstance(found, MultivariantPlaylist):
        best = found.best()
        sound_url = urljoin(url, best.audio_uri) if best.audio_uri else ""
        found, url = fetcher.playlist(urljoin(url, best.uri))
        if isinstance(found, MultivariantPlaylist):
            raise MediaError("a playlist of variants names another one of them; wanted one of segments")
    pictures = _Feed(fetcher, found, url, is_live=is_live, start=start)
    sounds: _Feed | None = None
    if sound_url and sound_url != url:
        other, other_url = fetcher.playlist(sound_url)
        if isinstance(other, MultivariantPlaylist):
            raise MediaError("the sound's playlist names variants; wanted segments")
        sounds = _Feed(fetcher, other, other_url, is_live=is_live, start=start)
        pictures.partner, sounds.partner = sounds, pictures
    yield from _stretches(pictures, sounds, start=start, end=end, is_live=is_live)


def _stretches(
    pictures: _Feed, sounds: _Feed | None, *, start: Fraction, end: Fraction | None, is_live: bool
) -> Iterator[Stretch]:
    while (at := pictures.next_run()) is not None:
        if end is not None and at >= end:
            return
        source = pictures.opened()
        if sounds is not None and sounds.next_run() is not None:
            source = Together(source, sounds.opened())
        if pictures.is_cut:  # the sound to them was gone: both begin at the edge
            source.close()
            continue
        units = source.units()
        seen, first = beginning(source, units)
        zero = first - at  # the segments' times say where in the whole they are
        part = Part(first if is_live or start <= at else zero + start, None if end is None else zero + end)
        yield Stretch(source, _chained(seen, units), part, zero)


def _chained(seen: list[Unit], units: Iterator[Unit]) -> Iterator[Unit]:
    yield from seen
    yield from units


class _Feed:
    """The segments of one media playlist, in runs that play in one go; a live one is asked for again and again."""

    def __init__(self, fetcher: Fetcher, playlist: MediaPlaylist, url: str, *, is_live: bool, start: Fraction) -> None:
        self._fetcher = fetcher
        self._url = url
        self._is_live = is_live
        if is_live and playlist.is_ended:
            raise MediaError("the live stream has ended")
        if not is_live and not playlist.is_ended:
            raise MediaError("the playlist has no end: it is live; make a live task of it")
        self._playlist = playlist
        self._at = Fraction(0)  # of the next segment, from the first one
        self._waiting: list[Segment] = []
        self._next_number = 0
        self._is_new_run = True
        self.is_cut = False  # the run under way ends with what was fetched
        self._missed = 0  # segments in a row
        self.partner: _Feed | None = None  # what is played together with it, and leaps with it
        self._begin_live() if self._is_live else self._begin_at(start)

    def next_run(self) -> Fraction | None:
        """Go to the next run; return where in the whole it begins, or None at the end."""
        if not self._fill():
            return None
        self._is_new_run, self.is_cut = True, False
        return self._at

    def opened(self) -> Source:
        stream = SegmentStream(self._run())
        return Input(stream, stream.form)

    def _run(self) -> Iterator[bytes]:
        init: InitSection | None = None
        while not self.is_cut and self._fill():
            segment = self._waiting[0]
            is_other = segment.is_discontinuous or segment.init != init
            if is_other and not self._is_new_run:
                return
            try:
                data = self._fetched(segment, is_other_init=segment.init != init)
            except Gone as error:
                self._miss(segment, error)
                continue
            self._missed = 0
            self._is_new_run = False
            init = segment.init
            self._waiting.pop(0)
            self._at += segment.duration_s
            self._next_number = segment.number + 1
            yield data

    def _fetched(self, segment: Segment, *, is_other_init: bool) -> bytes:
        ahead = b""
        if segment.init is not None and is_other_init:
            url = urljoin(self._url, segment.init.uri)
            ahead, _ = self._fetcher.fetch(url, most=MAX_INIT, part=segment.init.part)
        data, _ = self._fetcher.fetch(urljoin(self._url, segment.uri), most=MAX_SEGMENT, part=segment.part)
        return ahead + data

    def _miss(self, segment: Segment, error: Gone) -> None:
        """Go on at the live edge instead of with a segment that is not there: it slid out of the window."""
        self._missed += 1
        if not self._is_live:
            raise error
        if self._missed == MAX_MISSED:
            raise MediaError(f"{MAX_MISSED} segments in a row are not there: {error}") from error
        log.warning("a segment is not there any more (%s); on from the live edge", error)
        self.leave(segment.number + 1)
        if self.partner is not None:
            self.partner.leave(0)

    def leave(self, number: int) -> None:
        """End the run under way; the next one is at the live edge, with segment `number` or a later one."""
        # What has no frame yet needs no end.
        self.is_cut = not self._is_new_run
        self._next_number = max(number, self._next_number)
        self._reload()
        while (
            sum(segment.duration_s for segment in self._waiting[1:]) >= BEHIND_EDGE * self._playlist.target_duration_s
        ):
            self._waiting.pop(0)

    def _begin_at(self, start: Fraction) -> None:
        self._waiting = [segment for segment in self._playlist.segments if not segment.is_gap]
        while len(self._waiting) > 1 and self._at + self._waiting[0].duration_s <= start:
            self._at += self._waiting.pop(0).duration_s

    def _begin_live(self) -> None:
        segments = [segment for segment in self._playlist.segments if not segment.is_gap]
        self._waiting, behind = [], Fraction(0)
        while segments and behind < BEHIND_EDGE * self._playlist.target_duration_s:
            self._waiting.insert(0, segments.pop())
            behind += self._waiting[0].duration_s
        if self._waiting:
            self._next_number = self._waiting[0].number

    def _fill(self) -> bool:
        """Have a segment waiting; False when there comes none any more."""
        if self._waiting:
            return True
        if not self._is_live:
            return False
        target_s = self._playlist.target_duration_s
        left_s = max(DEAD_AFTER * target_s, DEAD_AFTER_S)
        while not self._waiting:
            if self._playlist.is_ended:
                raise MediaError("the live stream has ended")
            if left_s <= 0:
                raise MediaError("the live playlist brings nothing new")
            pause_s = max(0.25, target_s / 2)
            self._fetcher.sleep(pause_s)
            left_s -= pause_s
            self._reload()
        return True

    def _reload(self) -> None:
        found, self._url = self._fetcher.playlist(self._url)
        if isinstance(found, MultivariantPlaylist):
            raise MediaError("a playlist of segments became one of variants")
        self._playlist = found
        segments = [segment for segment in found.segments if not segment.is_gap]
        if segments and (segments[-1].number + 1 < self._next_number or segments[0].number > self._next_number):
            # A restarted source, or we were away for longer than its window: on from the edge.
            self._begin_live()
            if self._waiting:
                first = self._waiting[0]
                self._waiting[0] = Segment(first.number, first.uri, first.duration_s, True, first.init, first.part)
            return
        self._waiting = [segment for segment in segments if segment.number >= self._next_number]
