"""One clip of a list: opened over HTTP or from the cache, and read from its start to its end.

`offset_s` and times of clips count from the file's beginning, which is its first picture (or its first sound,
where that is far ahead or all there is).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from msgspec import Struct

from penstock.workers import sniff
from penstock.workers.cutting import Part
from penstock.workers.demux import ONE_BEGINNING_S, Input, Source
from penstock.workers.media import SAME_S, Unit

# How far into a file its beginning is looked for.
MAX_BEGINNING: Final = 2000  # packets
# A first picture may be decoded so long before it is shown.
MAX_DELAY_S: Final = 10
# MPEG-TS has no index: a place is guessed, and may lie behind the key frame that is needed.
TS_MARGINS_S: Final = (4, 12, 40)


class Stretch(Struct, frozen=True):
    """A part of a source that plays in one go. `zero`: the clip's beginning, on the source's own line."""

    source: Source
    units: Iterator[Unit]
    part: Part
    zero: Fraction


def exact(seconds: float) -> Fraction:
    """Return a user's seconds as they were written: 1.1 is eleven tenths."""
    return Fraction(repr(seconds))


def file_stretch(source: Input, start: Fraction, end: Fraction | None, *, can_seek: bool) -> Stretch:
    """Return a whole file's part from `start` to `end`, seconds from its beginning.

    Raises:
        MediaError, PeerError, NetworkRefused: it cannot be read.
    """
    units = source.units()
    seen, zero = beginning(source, units)
    part = Part(zero + start, zero + end if end is not None else None)
    if start > SAME_S and can_seek:
        return Stretch(source, _sought(source, part.start, zero), part, zero)
    return Stretch(source, itertools.chain(seen, units), part, zero)


def beginning(source: Source, units: Iterator[Unit]) -> tuple[list[Unit], Fraction]:
    """Return the units up to the first picture, and the time that is the file's beginning."""
    seen: list[Unit] = []
    sound: Fraction | None = None
    for unit in itertools.islice(units, MAX_BEGINNING):
        seen.append(unit)
        if unit.is_video and unit.is_key:
            is_far = sound is not None and unit.pts - sound > ONE_BEGINNING_S
            return seen, sound if is_far and sound is not None else unit.pts
        if not unit.is_video:
            sound = min(sound, unit.pts) if sound is not None else unit.pts
            if source.video is None:
                break
    return seen, sound if sound is not None else Fraction(0)


def _sought(source: Input, at: Fraction, zero: Fraction) -> Iterator[Unit]:
    """Yield the units from the last key frame ahead of `at` on, or from somewhat earlier."""
    margins = TS_MARGINS_S if source.form == sniff.MPEGTS else (0,)
    for margin in margins:
        if at - margin <= zero:
            break
        source.seek(at - margin)
        units = source.units()
        seen: list[Unit] = []
        for unit in itertools.islice(units, MAX_BEGINNING):
            seen.append(unit)
            if source.video is None or (unit.is_video and unit.is_key):
                break
        if seen and (source.video is None or seen[-1].is_video) and seen[-1].pts <= at + SAME_S:
            return itertools.chain(seen, units)
    source.seek(zero - MAX_DELAY_S)
    return source.units()
