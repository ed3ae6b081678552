"""Start codes to lengths, and records out of parameter sets, beside those that ffmpeg makes."""

from __future__ import annotations

import pytest

from penstock.errors import CodecError
from penstock.protocols.codecs import annexb
from penstock.protocols.codecs.parse import parse_video_config
from tests.protocols.codecs.tools import captures


def sets_of(codec: str, record: bytes) -> list[bytes]:
    """The parameter sets in a record, in the order of the record."""
    sets: list[bytes] = []
    at = 5 if codec == "avc" else 23
    for _ in range(2 if codec == "avc" else record[22]):
        # AVC counts in a byte, of which the first has five bits of its own; HEVC behind the kind in two.
        width = 1 if codec == "avc" else 3
        count = int.from_bytes(record[at + width // 3 : at + width], "big")
        count = count & 0x1F if at == 5 else count
        at += width
        for _ in range(count):
            size = int.from_bytes(record[at : at + 2], "big")
            sets.append(record[at + 2 : at + 2 + size])
            at += 2 + size
    return sets


@pytest.mark.parametrize("codec", ["avc", "hevc"])
def test_record_says_what_ffmpegs_record_says(codec: str) -> None:
    for name, capture in captures(codec).items():
        record = bytes.fromhex(capture["hex"])
        sets = sets_of(codec, record)
        made = annexb.record(codec, sets)
        assert parse_video_config(codec, made) == parse_video_config(codec, record), name
        if codec == "avc":
            assert made[:6] == record[:6], name
        kinds = {annexb.nal_type(codec, each) for each in sets}
        assert {annexb.nal_type(codec, each) for each in sets_of(codec, made)} == kinds & {7, 8, 32, 33, 34}, name


def test_picture_is_taken_apart() -> None:
    data = (
        b"\0\0\0\1\x09\xf0" + b"\0\0\1\x67sps\0" + b"\0\0\0\1\x68pps" + b"\0\0\1\x65slice\x80" + b"\0\0\0\1\x06sei\x80"
    )
    sets, rest = annexb.sort_out("avc", data)
    assert sets == [b"\x67sps", b"\x68pps"]
    assert annexb.with_lengths(rest) == b"\0\0\0\x07\x65slice\x80\0\0\0\x05\x06sei\x80"
    assert annexb.split(b"") == annexb.split(b"\0\0\1") == []


def test_missing_set_is_an_error() -> None:
    for codec in ("avc", "hevc"):
        with pytest.raises(CodecError, match="brings 0"):
            annexb.record(codec, [])
