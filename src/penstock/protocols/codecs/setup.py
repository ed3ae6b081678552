"""What a codec's configuration record says of a stream, in one shape for all codecs.

The plan: each codec's own file parses its record into a `VideoSetup` or an `AudioSetup`, and
the two functions here choose the file by the codec names of `protocols.flvbody`.

Source: ISO/IEC 14496-15 and AV1-ISOBMFF for which record belongs to which codec.
"""

from __future__ import annotations

from msgspec import Struct

from penstock.errors import CodecError

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


def parse_video_config(codec: str, data: bytes | bytearray | memoryview) -> VideoSetup:
    """Return what a video configuration record says: `codec` is "avc", "hevc" or "av1".

    Raises:
        CodecError: the record does not parse, or no parser knows the codec.
    """
    # Imported here: the parsers need the Structs above.
    from penstock.protocols.codecs import av1, avc, hevc  # noqa: PLC0415

    parsers = {"avc": avc.parse_config, "hevc": hevc.parse_config, "av1": av1.parse_config}
    if codec not in parsers:
        raise CodecError(f"video codec is {codec}; wanted one of {', '.join(parsers)}")
    return parsers[codec](bytes(data))


def parse_audio_config(codec: str, data: bytes | bytearray | memoryview) -> AudioSetup:
    """Return what an audio configuration record says: `codec` is "aac".

    Raises:
        CodecError: the record does not parse, or no parser knows the codec.
    """
    from penstock.protocols.codecs import aac  # noqa: PLC0415

    if codec != "aac":
        raise CodecError(f"audio codec is {codec}; wanted aac")
    return aac.parse_config(bytes(data))


def rate_of(pictures: int, seconds: int) -> float | None:
    """Return `pictures` / `seconds`, or None if that cannot be a frame rate."""
    if not pictures or not seconds or pictures > seconds * MAX_FRAME_RATE:
        return None
    return pictures / seconds
