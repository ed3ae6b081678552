"""A codec's configuration record, parsed by that codec's own file.

Codecs are called as in `protocols.flvbody`.

Source: ISO/IEC 14496-15 and AV1-ISOBMFF for which record belongs to which codec.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from penstock.errors import CodecError
from penstock.protocols.codecs import aac, av1, avc, hevc
from penstock.protocols.codecs.setup import AudioSetup, VideoSetup

_VIDEO: Final[dict[str, Callable[[bytes], VideoSetup]]] = {
    "avc": avc.parse_config,
    "hevc": hevc.parse_config,
    "av1": av1.parse_config,
}


def parse_video_config(codec: str, data: bytes | bytearray | memoryview) -> VideoSetup:
    """Return what a video configuration record says: `codec` is "avc", "hevc" or "av1".

    Raises:
        CodecError: the record does not parse, or no parser knows the codec.
    """
    if codec not in _VIDEO:
        raise CodecError(f"video codec is {codec}; wanted one of {', '.join(_VIDEO)}")
    return _VIDEO[codec](bytes(data))


def parse_audio_config(codec: str, data: bytes | bytearray | memoryview) -> AudioSetup:
    """Return what an audio configuration record says: `codec` is "aac".

    Raises:
        CodecError: the record does not parse, or no parser knows the codec.
    """
    if codec != "aac":
        raise CodecError(f"audio codec is {codec}; wanted aac")
    return aac.parse_config(bytes(data))
