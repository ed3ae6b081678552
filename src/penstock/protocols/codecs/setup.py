"""What a codec's configuration record says of a stream, in one shape for all codecs.

Each codec's own file parses its record into one of these; `codecs.parse` chooses the file.
"""

from __future__ import annotations

from msgspec import Struct

# H.264 A.3 and H.265 A.4 stop at 172 and 300 pictures a second. A stream that claims more has
# put its clock's ticks there: 1000 in a variable-rate encode, or 90000.
MAX_FRAME_RATE = 300


class VideoSetup(Struct, frozen=True):
    """A video stream's setup."""

    codec: str
    width: int  # of the visible picture: cropped, but not stretched by the sample aspect ratio
    height: int
    profile: str  # the specification's word: "High 10"
    level: str  # "3.1"
    frame_rate: float | None  # pictures a second; None where the record does not say
    bit_depth: int  # of luma
    chroma: str  # "4:2:0"


class AudioSetup(Struct, frozen=True):
    """An audio stream's setup: what comes out of a decoder that knows all its extensions."""

    codec: str
    sample_rate: int  # Hz
    channels: int
    profile: str  # "LC", "HE-AAC", "HE-AACv2"
    frame_samples: int = 1024  # that one frame decodes to, at that rate


def rate_of(pictures: int, seconds: int) -> float | None:
    """Return `pictures` / `seconds`, or None if that cannot be a frame rate."""
    if not pictures or not seconds or pictures > seconds * MAX_FRAME_RATE:
        return None
    return pictures / seconds
