"""One rising line of time over files, parts of files and loops.

The plan: each clip is moved as a whole, picture and sound by the same time, so that they stay as they were to
each other however many clips follow. A clip's first picture comes one frame after the last clip's last. Sound
has frames of its own length, which do not end with the picture: at a joint it is moved by half of such a frame
at most, or its first frame is left out, so that its frames follow each other and no error is carried on.
Milliseconds are made at the very end, of exact times.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Final

from msgspec import Struct

from penstock.errors import MediaError
from penstock.link.relaying import Position
from penstock.workers.media import Sample

# How long a clip's sound may come ahead of its first picture and be held for it.
MAX_HELD_S: Final = 1
MAX_HELD: Final = 256  # samples
# How far picture and sound may be apart in a file and still be put into order.
MAX_APART_S: Final = 3
MAX_QUEUED: Final = 1024  # samples of one track
# A file whose time leaps further is broken, and would keep a relay waiting for it.
MAX_LEAP_S: Final = 60
MAX_LEAP_BACK_S: Final = 10


class Placed(Struct, frozen=True, gc=False):
    """A sample at its place on the line, which is still exact."""

    sample: Sample
    dts: Fraction
    pts: Fraction
    position: Position  # where the list goes on behind it
    is_alone: bool  # its clip has one track only


class Timed(Struct, frozen=True, gc=False):
    """A sample with the times that it leaves with."""

    sample: Sample
    dts_ms: int
    pts_ms: int
    position: Position


def in_order(placed: Iterator[Placed]) -> Iterator[Placed]:
    """Yield samples in the order of decoding over both tracks, as far as files and their joints stray from it."""
    queues: dict[bool, deque[Placed]] = {True: deque(), False: deque()}
    for each in placed:
        queue = queues[each.sample.is_video]
        queue.append(each)
        while all(queues.values()) or (queue and (each.is_alone or _is_long(queue))):
            yield _first(queues)
    while any(queues.values()):
        yield _first(queues)


def _is_long(queue: deque[Placed]) -> bool:
    return len(queue) > MAX_QUEUED or (len(queue) > 1 and queue[-1].dts - queue[0].dts > MAX_APART_S)


def _first(queues: dict[bool, deque[Placed]]) -> Placed:
    return min((queue for queue in queues.values() if queue), key=lambda queue: queue[0].dts).popleft()


def timed(placed: Iterator[Placed]) -> Iterator[Timed]:
    """Yield samples with milliseconds, which rise: of one track no two are at once."""
    last_ms = {True: -1, False: -1}
    for each in placed:
        kind = each.sample.is_video
        dts_ms = max(round(each.dts * 1000), last_ms[kind] + 1, last_ms[not kind])
        last_ms[kind] = dts_ms
        yield Timed(each.sample, dts_ms, max(round(each.pts * 1000), dts_ms), each.position)


class Line:
    """The line of one relay: clips are laid onto it one after the other."""

    def __init__(self) -> None:
        self._base: Fraction | None = None  # where the clip's first picture, or sound, comes
        self._shift = Fraction(0)  # of the clip under way: from its own line to this one
        self._sound_shift: Fraction | None = None  # what its sound is moved besides
        self._ends: dict[bool, Fraction] = {}  # of the clip under way, by track
        self._frame = Fraction(0)  # the longest of its last frames
        self._sound_end: Fraction | None = None  # of all clips
        self._last_dts: dict[bool, Fraction] = {}  # of the clip, on its own line
        self._position: Callable[[Sample], Position]
        self._is_alone = False

    def lay(
        self, samples: Iterator[Sample], position: Callable[[Sample], Position], *, is_alone: bool
    ) -> Iterator[Placed]:
        """Yield a clip's samples at their places, behind all that was laid before, in the clip's own order.

        Raises:
            MediaError: its times leap.
        """
        self._join()
        self._position, self._is_alone = position, is_alone
        held: list[Sample] = []
        is_begun = False
        for sample in samples:
            if is_begun:
                yield from self._place(sample)
                continue
            held.append(sample)
            if sample.is_video or len(held) == MAX_HELD or sample.pts - held[0].pts > MAX_HELD_S:
                is_begun = True
                yield from self._begin(held)
        if not is_begun and held:
            yield from self._begin(held)

    def _join(self) -> None:
        """Find where the next clip begins: at the picture's end, unless the sound is far longer."""
        picture, sound = self._ends.get(True), self._ends.get(False)
        if picture is not None and sound is not None:
            self._base = picture if sound - picture <= self._frame else sound
        elif picture is not None or sound is not None:
            self._base = picture if picture is not None else sound
        self._ends, self._last_dts, self._sound_shift, self._frame = {}, {}, None, Fraction(0)

    def _begin(self, held: list[Sample]) -> Iterator[Placed]:
        origin = next((sample.pts for sample in held if sample.is_video), held[0].pts)
        if sum(sample.is_video for sample in held) == 0 or origin - held[0].pts > MAX_HELD_S:
            origin = held[0].pts
        if self._base is None:  # the line's very beginning: nothing is ahead of 0
            self._base = origin - min(sample.dts for sample in held)
        self._shift = self._base - origin
        for sample in held:
            yield from self._place(sample)

    def _place(self, sample: Sample) -> Iterator[Placed]:
        self._check_leap(sample)
        shift = self._shift
        if not sample.is_video:
            if self._sound_shift is None and not self._place_sound(sample):
                return
            assert self._sound_shift is not None
            shift += self._sound_shift
            self._sound_end = sample.end + shift
        dts, pts, end = sample.dts + shift, sample.pts + shift, sample.end + shift
        self._ends[sample.is_video] = max(end, self._ends.get(sample.is_video, end))
        self._frame = max(self._frame, min(sample.duration, Fraction(1, 10)))
        yield Placed(sample, dts, pts, self._position(sample), self._is_alone)

    def _place_sound(self, sample: Sample) -> bool:
        """Decide what a clip's sound is moved by; False where its first frame is one too many."""
        half = sample.duration / 2
        at = sample.pts + self._shift
        if self._sound_end is None:
            assert self._base is not None
            if at + half < self._base or at < 0:
                return False
            self._sound_shift = Fraction(0)
            return True
        gap = at - self._sound_end
        if gap < -half:
            return False
        # A longer hole is the files' own, and stays.
        self._sound_shift = -max(-half, min(gap, half)) if gap <= 3 * half else Fraction(0)
        return True

    def _check_leap(self, sample: Sample) -> None:
        last = self._last_dts.get(sample.is_video)
        latest = max(self._last_dts.values(), default=None)
        if latest is not None and sample.dts - latest > MAX_LEAP_S:
            raise MediaError(f"the file's time leaps by {float(sample.dts - latest):.1f} s")
        if last is not None and last - sample.dts > MAX_LEAP_BACK_S:
            raise MediaError(f"the file's time goes back by {float(last - sample.dts):.1f} s")
        self._last_dts[sample.is_video] = max(sample.dts, last) if last is not None else sample.dts
