"""The words of a worker's rooms: what a track is, and one coded frame of it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

from av.packet import Packet
from msgspec import Struct

# Times within this are the same: FLV's milliseconds and a user's decimals do not hit a frame's time exactly.
SAME_S: Final = Fraction(1, 2000)


class Setup(Struct, frozen=True):
    """What a decoder must know ahead of a track's frames; another one means another sequence header."""

    codec: str  # as `protocols.flvbody` calls it
    record: bytes = b""  # avcC, hvcC, av1C or AudioSpecificConfig; MP3 has none
    sample_rate: int = 0  # of sound
    channels: int = 0


class Unit(Struct, frozen=True, gc=False):
    """One packet as it was in the file, with its times in seconds."""

    packet: Packet[Any]
    is_video: bool
    dts: Fraction
    pts: Fraction
    duration: Fraction
    is_key: bool


class Sample(Struct, frozen=True, gc=False):
    """One coded frame, in the form that FLV carries. Times are seconds on its file's own line."""

    is_video: bool
    setup: Setup
    dts: Fraction
    pts: Fraction
    duration: Fraction
    is_key: bool  # always, with sound
    data: bytes

    @property
    def end(self) -> Fraction:
        return self.pts + self.duration
