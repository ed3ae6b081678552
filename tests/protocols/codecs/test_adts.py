"""ADTS frames: their setup and what is inside."""

from __future__ import annotations

import pytest

from penstock.errors import CodecError
from penstock.protocols.codecs import adts
from penstock.protocols.codecs.aac import parse_config

# LC, 48 kHz, stereo, 7 bytes of header and 4 of frame.
FRAME = bytes.fromhex("fff14c80017ffc") + b"aac!"


def test_frame_tells_its_setup() -> None:
    config, data = adts.parse_frame(FRAME)
    assert config == bytes.fromhex("1190")
    assert data == b"aac!"
    setup = parse_config(config)
    assert (setup.profile, setup.sample_rate, setup.channels) == ("LC", 48000, 2)


def test_checksum_is_passed_over() -> None:
    with_crc = bytes((*FRAME[:1], 0xF0, *FRAME[2:4], 13 >> 3, (13 & 7) << 5 | 0x1F, FRAME[6])) + b"\xab\xcdaac!"
    assert adts.parse_frame(with_crc)[1] == b"aac!"


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xf1", b"\x21" + FRAME[1:], FRAME[:-1], FRAME[:2] + b"\x4c\x00" + FRAME[4:]]
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        adts.parse_frame(data)
