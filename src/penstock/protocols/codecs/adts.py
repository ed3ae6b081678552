"""ADTS: AAC frames that carry their setup with each of them, as MPEG-TS has them.

Source: ISO/IEC 14496-3:2019, sections 1.A.2.2 and 1.A.3.
"""

from __future__ import annotations

from penstock.errors import CodecError

_HEAD, _CRC = 7, 2


def is_adts(data: bytes | memoryview) -> bool:
    return len(data) > _HEAD and data[0] == 0xFF and data[1] & 0xF6 == 0xF0


def parse_frame(data: bytes) -> tuple[bytes, bytes]:
    """Return (AudioSpecificConfig, the frame alone) of one ADTS frame.

    Raises:
        CodecError: it is none, or holds several blocks, or channels that its header does not tell.
    """
    if not is_adts(data):
        raise CodecError(f"a frame opens {bytes(data[:4]).hex()!r}; wanted an ADTS header")
    object_type, rate = (data[2] >> 6) + 1, data[2] >> 2 & 0x0F
    channels = (data[2] & 1) << 2 | data[3] >> 6
    size = (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
    start = _HEAD + (0 if data[1] & 1 else _CRC)
    if not channels or data[6] & 3 or not start < size <= len(data):
        raise CodecError(f"an ADTS frame of {channels} channels and {size} bytes; wanted one block, whole")
    config = object_type << 11 | rate << 7 | channels << 3
    return config.to_bytes(2, "big"), bytes(data[start:size])
