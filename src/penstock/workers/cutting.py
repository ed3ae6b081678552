"""A part of a file, to the frame: from the first picture at its start to the last one ahead of its end.

The plan: sound is copied frame by frame. Pictures are copied too, but where the part begins between two key
frames, those up to the next key frame are decoded and encoded anew; and so are, at its end, the few that need a
later picture which is cut off. With a picture laid over them all of them are.

AV1 is not encoded anew: its part begins with the last key frame ahead of the start.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final, Protocol, cast

from av.stream import Stream
from av.video.frame import VideoFrame
from msgspec import Struct

from penstock.workers.copying import PICTURES, Copier, PictureCopier, codec_of, copier
from penstock.workers.demux import Source
from penstock.workers.media import SAME_S, Sample, Unit
from penstock.workers.recode import ENCODERS, Decoder, Paint, PictureEncoder, SoundRecoder, time_of

# Packets since the last key frame that are kept to be decoded, should it be necessary.
MAX_GOP_BYTES: Final = 48 * 1024 * 1024


class Part(Struct, frozen=True):
    """Which times of a file are played, on the file's own line; `end` None: all to its end."""

    start: Fraction
    end: Fraction | None

    def is_before(self, at: Fraction) -> bool:
        return at < self.start - SAME_S

    def is_after(self, at: Fraction) -> bool:
        return self.end is not None and at >= self.end - SAME_S


class TrackCut(Protocol):
    """Takes a track's units in their order, and gives its samples."""

    is_done: bool

    def take(self, unit: Unit) -> Iterator[Sample]: ...

    def flush(self) -> Iterator[Sample]: ...


def cut(source: Source, units: Iterator[Unit], part: Part, paint: Paint | None = None) -> Iterator[Sample]:
    """Yield the samples of `part`, in the order of the file.

    Raises:
        MediaError, PeerError, NetworkRefused: it cannot be read.
    """
    tracks: dict[bool, TrackCut] = {}
    if source.video is not None:
        tracks[True] = picture_cut(source.video, part, paint)
    if source.audio is not None:
        tracks[False] = SoundCut(source.audio, part)
    for unit in units:
        track = tracks[unit.is_video]
        if not track.is_done:
            yield from track.take(unit)
        elif all(each.is_done for each in tracks.values()):
            break
    for track in tracks.values():
        yield from track.flush()


class SoundCut:
    """Sound, as it is or as AAC. Frames that lie in the part with more than half of them are in."""

    def __init__(self, stream: Stream, part: Part) -> None:
        self.is_done = False
        self._part = part
        self._copier = copier(stream)
        self._recoder = SoundRecoder(stream) if self._copier is None else None

    def take(self, unit: Unit) -> Iterator[Sample]:
        middle = unit.pts + unit.duration / 2
        if self._part.is_after(middle):
            self.is_done = True
            return
        # What is encoded anew needs some sound ahead of its start.
        if self._recoder is not None and not self._part.is_before(middle + Fraction(1, 2)):
            yield from self._inside(self._recoder.take(unit))
        if self._copier is not None and (sample := self._copier.take(unit)) is not None:
            yield from self._inside(iter((sample,)))

    def flush(self) -> Iterator[Sample]:
        if self._recoder is not None:
            yield from self._inside(self._recoder.flush())

    def _inside(self, samples: Iterator[Sample]) -> Iterator[Sample]:
        for sample in samples:
            middle = sample.pts + sample.duration / 2
            if not self._part.is_before(middle) and not self._part.is_after(middle):
                yield sample


def picture_cut(stream: Stream, part: Part, paint: Paint | None) -> TrackCut:
    pictures = copier(stream)
    if paint is not None or pictures is None:
        return RecodedPictures(stream, part, paint)
    assert isinstance(pictures, PictureCopier)
    return CopiedPictures(stream, part, pictures)


class _Gop:
    """The units since the last key frame, as long as they are not too much."""

    def __init__(self) -> None:
        self._units: list[Unit] = []
        self._bytes = 0
        self.is_whole = False  # it begins with a key frame, and nothing was let go

    def add(self, unit: Unit) -> None:
        if unit.is_key:
            self._units, self._bytes, self.is_whole = [], 0, True
        if self.is_whole:
            self._units.append(unit)
            self._bytes += unit.packet.size
            if self._bytes > MAX_GOP_BYTES:
                self.clear()

    def clear(self) -> None:
        self._units, self._bytes, self.is_whole = [], 0, False

    def units(self) -> list[Unit]:
        return list(self._units)


class RecodedPictures:
    """Every picture decoded, painted and encoded as H.264."""

    def __init__(self, stream: Stream, part: Part, paint: Paint | None) -> None:
        self.is_done = False
        self._part = part
        self._decoder = Decoder(stream)
        rate = cast(Any, stream).average_rate
        self._encoder = PictureEncoder("avc", Fraction(rate) if rate else None, Fraction(0), paint)
        self._gop: _Gop | None = _Gop()  # until the part begins: what its first picture needs

    def take(self, unit: Unit) -> Iterator[Sample]:
        if self._part.is_after(unit.dts):
            self.is_done = True
            yield from self._end()
            return
        waiting = [unit]
        if self._gop is not None:
            self._gop.add(unit)
            if self._part.is_before(unit.pts):
                return
            waiting, self._gop = self._gop.units(), None
        for each in waiting:
            yield from self._encode(self._decoder.decode(each))

    def flush(self) -> Iterator[Sample]:
        if not self.is_done:
            self.is_done = True
            yield from self._end()

    def _end(self) -> Iterator[Sample]:
        yield from self._encode(self._decoder.decode(None))
        yield from self._encoder.flush()

    def _encode(self, frames: list[VideoFrame]) -> Iterator[Sample]:
        for frame in frames:
            at = time_of(frame)
            if at is not None and not self._part.is_before(at) and not self._part.is_after(at):
                yield from self._encoder.encode(frame)


class CopiedPictures:
    """Pictures as they are, but for the few at both ends that cannot be cut out so."""

    def __init__(self, stream: Stream, part: Part, pictures: PictureCopier) -> None:
        self.is_done = False
        self._stream = stream
        self._part = part
        self._copier: Copier = pictures
        self._codec = PICTURES[codec_of(stream)]
        self._take = self._before
        self._gop = _Gop()
        self._key: Unit | None = None  # with which copying begins
        self._lead: _Anew | None = None
        self._tail: list[Unit] = []

    def take(self, unit: Unit) -> Iterator[Sample]:
        yield from self._take(unit)

    def flush(self) -> Iterator[Sample]:
        if not self.is_done:
            self.is_done = True
            if self._take == self._before and self._lead is not None:
                yield from self._lead.flush(self._part.end)
            yield from self._end_of_tail()

    # Ahead of the key frame with which copying begins.

    def _before(self, unit: Unit) -> Iterator[Sample]:
        if self._part.is_after(unit.dts):
            self.is_done = True
            if self._lead is not None:
                yield from self._lead.flush(self._part.end)
            return
        if unit.is_key and not self._part.is_before(unit.pts):
            self._key = unit
            self._take = self._leading
            return
        self._gop.add(unit)
        if self._lead is not None:
            yield from self._lead.take(unit)
        elif self._gop.is_whole and not self._part.is_before(unit.pts):
            yield from self._begin_between()

    def _begin_between(self) -> Iterator[Sample]:
        """The first picture of the part is one between key frames, the last one that came."""
        units = self._gop.units()
        self._gop.clear()
        if self._codec not in ENCODERS:
            self._take = self._inside
            for unit in units:
                yield from self._inside(unit)
            return
        self._lead = _Anew(self._stream, self._codec, self._part, units[0])
        for unit in units:
            yield from self._lead.take(unit)

    # Behind that key frame in the file, ahead of it in time: they need what came before it, too.

    def _leading(self, unit: Unit) -> Iterator[Sample]:
        assert self._key is not None
        if unit.pts < self._key.pts:
            if self._lead is not None:
                self._tail.append(unit)
            return
        yield from self._end_lead()
        self._take = self._inside
        yield from self._inside(self._key)
        yield from self._inside(unit)

    def _end_lead(self) -> Iterator[Sample]:
        assert self._key is not None
        if self._lead is not None:
            leading, self._tail = self._tail, []
            for each in [self._key, *leading] if leading else []:
                yield from self._lead.take(each, before=self._key.pts)
            yield from self._lead.flush(self._key.pts)
            self._lead = None

    # Inside, and at the end.

    def _inside(self, unit: Unit) -> Iterator[Sample]:
        if self._part.end is not None:
            self._gop.add(unit)
        if self._part.is_after(unit.pts):
            self._take = self._behind
            yield from self._behind(unit)
            return
        if (sample := self._copier.take(unit)) is not None:
            yield sample

    def _behind(self, unit: Unit) -> Iterator[Sample]:
        if self._part.is_after(unit.dts):
            self.is_done = True
            yield from self._end_of_tail()
        else:
            self._tail.append(unit)

    def _end_of_tail(self) -> Iterator[Sample]:
        """Encode anew what is inside and needs a picture that is not."""
        if self._take == self._leading and self._key is not None:
            yield from self._end_lead()
            yield from self._inside(self._key)
        kept = [unit.pts for unit in self._tail if not self._part.is_after(unit.pts)]
        if not kept or not self._gop.is_whole or self._codec not in ENCODERS:
            return
        before = self._gop.units()
        anew = _Anew(self._stream, self._codec, Part(min(kept), self._part.end), before[0])
        known = {id(unit) for unit in before}
        for unit in [*before, *(each for each in self._tail if id(each) not in known)]:
            yield from anew.take(unit)
        yield from anew.flush(self._part.end)


class _Anew:
    """Some pictures of a copied track, decoded and encoded in the same codec."""

    def __init__(self, stream: Stream, codec: str, part: Part, key: Unit) -> None:
        self._decoder = Decoder(stream)
        rate = cast(Any, stream).average_rate
        # Copied pictures are decoded that much ahead of being shown, and the line must not turn back.
        delay = max(Fraction(0), key.pts - key.dts)
        self._encoder = PictureEncoder(codec, Fraction(rate) if rate else None, delay)
        self._part = part

    def take(self, unit: Unit, *, before: Fraction | None = None) -> Iterator[Sample]:
        yield from self._encode(self._decoder.decode(unit), before)

    def flush(self, before: Fraction | None) -> Iterator[Sample]:
        yield from self._encode(self._decoder.decode(None), before)
        yield from self._encoder.flush()

    def _encode(self, frames: list[VideoFrame], before: Fraction | None) -> Iterator[Sample]:
        for frame in frames:
            at = time_of(frame)
            if at is None or self._part.is_before(at) or self._part.is_after(at):
                continue
            if before is None or at < before - SAME_S:
                yield from self._encoder.encode(frame)
