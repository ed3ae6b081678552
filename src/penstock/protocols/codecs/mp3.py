"""MP3: the header that each frame opens with, as the stream has no setup of its own.

An FLV tag's rate bits know no 48 kHz; the frames do.

Source: ISO/IEC 11172-3:1993, section 2.4.2.3; ISO/IEC 13818-3:1998, section 2.4.2.3 (the lower rates);
MPEG 2.5's rates are the Fraunhofer extension that every decoder knows.
"""

from __future__ import annotations

from typing import Final

from penstock.errors import CodecError
from penstock.protocols.codecs.setup import AudioSetup

_LAYER_III = 1
_MPEG_1, _MPEG_2, _MPEG_25 = 3, 2, 0
_RATES: Final = {
    _MPEG_1: (44100, 48000, 32000),
    _MPEG_2: (22050, 24000, 16000),
    _MPEG_25: (11025, 12000, 8000),
}
_SINGLE_CHANNEL = 3


def parse_frame(data: bytes | bytearray | memoryview) -> AudioSetup:
    """Return what the header at the start of an MP3 frame says.

    Raises:
        CodecError: it is no header of layer III.
    """
    first = int.from_bytes(data[:4], "big")
    version, layer, rate = first >> 19 & 3, first >> 17 & 3, first >> 10 & 3
    if len(data) < 4 or first >> 21 != 0x7FF or layer != _LAYER_III or version not in _RATES or rate == 3:
        raise CodecError(f"a frame opens {bytes(data[:4]).hex()!r}; wanted a header of MPEG audio's layer III")
    channels = 1 if first >> 6 & 3 == _SINGLE_CHANNEL else 2
    # The lower rates' frames are half as long.
    frame_samples = 1152 if version == _MPEG_1 else 576
    return AudioSetup("mp3", _RATES[version][rate], channels, "", frame_samples)
