"""A source's clock made steady: behind a leap its frames follow the last one, as if it had never leapt.

The plan: times count on as they come, moved by a span of each track's own. A track that leaps is moved to the end
of its last frame. The other one leaps a few frames earlier or later, and is then moved by the same span, so that
picture and sound stay as they were to each other; where sound came first, it is moved again by what the pictures
need. A clock that came round, as MPEG-TS's does every 26.5 hours, is moved by exactly one round.
"""

from __future__ import annotations

import logging
from fractions import Fraction
from typing import Final

from penstock.workers.media import Unit

log = logging.getLogger("penstock.relay")

# Further ahead of all that came before, or behind its own track, a frame is of another clock.
MAX_AHEAD_S: Final = 60
MAX_BACK_S: Final = 2
# So far apart frames of picture and sound may come, and be of one clock.
MAX_APART_S: Final = 3
ROUND_S: Final = Fraction(1 << 33, 90_000)
NEAR_ROUND_S: Final = 1
MAX_LOGGED: Final = 5


class _Track:
    def __init__(self) -> None:
        self.is_begun = False
        self.shift = Fraction(0)
        self.came = Fraction(0)  # the last frame's dts, as it came
        self.last = self.end = Fraction(0)  # the same moved, and where that frame ends
        self.is_joining = False  # frames that come too early are left out


class Steady:
    """The clocks of one container's two tracks."""

    def __init__(self) -> None:
        self._tracks = {True: _Track(), False: _Track()}
        self._leaps = 0

    def take(self, unit: Unit) -> Unit | None:
        """Return a unit at its place on the steady line; None for sound where there is sound already."""
        track, other = self._tracks[unit.is_video], self._tracks[not unit.is_video]
        if track.is_begun:
            if self._is_leap(track, other, unit):
                self._move(track, other, unit)
        elif other.is_begun:
            track.shift = other.shift
            if abs(unit.dts + track.shift - other.last) > MAX_AHEAD_S:
                track.shift = other.last - unit.dts
        at = unit.dts + track.shift
        if track.is_joining and not unit.is_video and at < track.end - unit.duration / 2:
            return None
        track.is_joining, track.is_begun = False, True
        track.came, track.last, track.end = unit.dts, at, at + unit.duration
        return _moved(unit, track.shift) if track.shift else unit

    def _is_leap(self, track: _Track, other: _Track, unit: Unit) -> bool:
        at = unit.dts + track.shift
        latest = max(track.last, other.last) if other.is_begun else track.last
        if at - latest > MAX_AHEAD_S or track.last - at > MAX_BACK_S:
            return True
        # The other track has leapt, and this frame is nearer to where that went.
        return other.shift != track.shift and _fits(track, other, unit) and abs(at - track.end) > MAX_APART_S

    def _move(self, track: _Track, other: _Track, unit: Unit) -> None:
        self._tell(unit.dts - track.came)
        track.is_joining = True
        if not unit.is_video and other.shift != track.shift and _fits(track, other, unit):
            track.shift = other.shift
            return
        shift = track.end - unit.dts
        rounds = round((shift - track.shift) / ROUND_S)
        round_shift = track.shift + rounds * ROUND_S
        if rounds and abs(shift - round_shift) < NEAR_ROUND_S:
            shift = round_shift
        is_late = unit.is_video and other.is_begun and other.shift != track.shift
        if is_late and abs(other.came - unit.dts) <= MAX_APART_S:
            other.shift, other.is_joining = shift, True
        track.shift = shift

    def _tell(self, leap: Fraction) -> None:
        self._leaps += 1
        if self._leaps <= MAX_LOGGED:
            log.warning("the source's time leaps by %.1f s; it goes on one frame later", leap)


def _fits(track: _Track, other: _Track, unit: Unit) -> bool:
    """True if a frame follows its track's last one when it is moved as the other track's are."""
    return abs(unit.dts + other.shift - track.end) <= MAX_APART_S


def _moved(unit: Unit, shift: Fraction) -> Unit:
    packet = unit.packet
    base = packet.time_base
    assert base is not None
    ticks = round(shift / base)
    # Decoders go by the packet's own times.
    if packet.pts is not None:
        packet.pts += ticks
    if packet.dts is not None:
        packet.dts += ticks
    moved = ticks * base
    return Unit(packet, unit.is_video, unit.dts + moved, unit.pts + moved, unit.duration, unit.is_key)
