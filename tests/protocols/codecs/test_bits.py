"""Bit fields: read as they were written, and never past the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import CodecError
from penstock.protocols.codecs.bits import BitReader, unescape
from tests.protocols.codecs.tools import Bits, escape

# H.264 tables 9-1 and 9-3: (bits, ue, se)
EXP_GOLOMB = [
    ("1", 0, 0),
    ("010", 1, 1),
    ("011", 2, -1),
    ("00100", 3, 2),
    ("00101", 4, -2),
    ("00110", 5, 3),
    ("00111", 6, -3),
    ("0001000", 7, 4),
    ("000010001", 16, -8),
    ("0" * 31 + "1" + "1" * 31, 2**32 - 2, -(2**31 - 1)),
    ("0" * 32 + "1" + "0" * 32, 2**32 - 1, 2**31),
]


def reader_of(text: str) -> BitReader:
    return BitReader(Bits().u(len(text), int(text, 2)).to_bytes())


@pytest.mark.parametrize(("bits", "unsigned", "signed"), EXP_GOLOMB)
def test_exp_golomb_reads_as_in_the_tables(bits: str, unsigned: int, signed: int) -> None:
    assert reader_of(bits).ue() == unsigned
    assert reader_of(bits).se() == signed
    assert Bits().ue(unsigned).to_bytes() == Bits().u(len(bits), int(bits, 2)).to_bytes()
    assert Bits().se(signed).to_bytes() == Bits().ue(unsigned).to_bytes()


def test_fields_lie_across_bytes() -> None:
    reader = BitReader(bytes.fromhex("a5f0 0f12"))
    assert reader.read_bits(3) == 0b101
    assert reader.read_bits(10) == 0b0010111110
    assert reader.read_flag() is False
    assert reader.bits_left == 18
    reader.skip(2)
    assert reader.read_bits(0) == 0
    assert reader.read_bits(16) == 0x0F12
    assert reader.bits_left == 0


@pytest.mark.parametrize(("before", "left"), [(0, 16), (1, 8), (8, 8), (9, 0), (16, 0)])
def test_align_goes_on_to_a_byte(before: int, left: int) -> None:
    reader = BitReader(b"\x00\x00")
    reader.skip(before)
    reader.align()
    assert reader.bits_left == left


@pytest.mark.parametrize(
    "read",
    [
        lambda reader: reader.read_bits(17),
        lambda reader: reader.skip(17),
        lambda reader: reader.skip(1 << 60),
        lambda reader: [reader.read_flag() for _ in range(17)],
        lambda reader: reader.ue(),
        lambda reader: reader.se(),
    ],
    ids=["bits", "skip", "skip far", "flags", "ue", "se"],
)
def test_nothing_reads_past_the_end(read: Callable[[BitReader], object]) -> None:
    with pytest.raises(CodecError, match=r"at bit \d+; wanted it within 16 bits"):
        read(BitReader(b"\x00\x00"))


def test_more_than_32_zeros_are_no_number() -> None:
    reader = BitReader(b"\xff" + bytes(1000))
    reader.skip(8)
    with pytest.raises(CodecError, match="over 32 zeros open the number at bit 8"):
        reader.ue()


def test_number_over_its_limit_is_named() -> None:
    with pytest.raises(CodecError, match="chroma_format_idc is 4; wanted 3 at most"):
        reader_of("00101").ue_up_to(3, "chroma_format_idc")


@pytest.mark.parametrize(
    ("escaped", "plain"),
    [
        ("000003", "0000"),
        ("00000301", "000001"),
        ("000003000003", "00000000"),
        ("00000303", "000003"),
        ("0000030003", "00000003"),
        ("010203", "010203"),
        ("", ""),
    ],
)
def test_emulation_prevention_goes(escaped: str, plain: str) -> None:
    assert unescape(bytes.fromhex(escaped)) == bytes.fromhex(plain)


@settings(max_examples=200)
@given(st.lists(st.sampled_from([0, 0, 1, 2, 3, 4]), max_size=60).map(bytes))
def test_what_an_encoder_escapes_comes_back(payload: bytes) -> None:
    assert unescape(escape(payload)) == payload


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(["u", "ue", "se", "flag"]), st.integers(0, 40), st.integers(0, 2**31 - 1))))
def test_whatever_is_written_reads_back(fields: list[tuple[str, int, int]]) -> None:
    bits = Bits()
    for kind, count, value in fields:
        match kind:
            case "u":
                bits.u(count, value % (1 << count))
            case "ue":
                bits.ue(value)
            case "se":
                bits.se(-value if count % 2 else value)
            case _:
                bits.flags(value % 2)
    reader = BitReader(bits.to_bytes())
    for kind, count, value in fields:
        match kind:
            case "u":
                assert reader.read_bits(count) == value % (1 << count)
            case "ue":
                assert reader.ue() == value
            case "se":
                assert reader.se() == (-value if count % 2 else value)
            case _:
                assert reader.read_flag() is bool(value % 2)
