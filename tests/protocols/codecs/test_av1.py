"""AV1 setup: records of real encoders against ffprobe's word, then syntax that they do not use."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import CodecError
from penstock.protocols.codecs import av1
from penstock.protocols.codecs.parse import parse_video_config
from penstock.protocols.codecs.setup import VideoSetup
from tests.protocols.codecs.tools import Bits, captures, pixels_of, rate_of

CASES = captures("av1")


def level_name(index: int) -> str:
    return f"{2 + index // 4}.{index % 4}" if index < 31 else "unbounded"


@pytest.mark.parametrize("case", CASES)
def test_record_says_what_ffprobe_says(case: str) -> None:
    probe = CASES[case]["probe"]
    bit_depth, chroma = pixels_of(probe)
    assert parse_video_config("av1", bytes.fromhex(CASES[case]["hex"])) == VideoSetup(
        codec="av1",
        width=probe["width"],
        height=probe["height"],
        profile=probe["profile"],
        level=level_name(probe["level"]),
        # These encoders leave the rate to the container; one capture had it written in.
        frame_rate=rate_of(probe) if "timing" in case else None,
        bit_depth=bit_depth,
        chroma=chroma,
    )


ONE_POINT = Bits().flags(0).flags(0).u(5, 0).u(12, 0).u(5, 8).flags(0)  # no timing, no delay; level 4.0
INTER_TOOLS = Bits().flags(0, 0, 0, 0).flags(1, 0, 0).flags(1).flags(1).u(3, 6)
COLOR = Bits().flags(0, 0, 0, 0).u(2, 0).flags(0)


def sequence_header(
    *,
    profile: int = 0,
    head: Bits = ONE_POINT,
    frame_ids: Bits | None = None,
    tools: Bits = INTER_TOOLS,
    color: Bits = COLOR,
) -> bytes:
    bits = Bits().u(3, profile).flags(0, 0).add(head)
    bits.u(4, 10).u(4, 9).u(11, 1280 - 1).u(10, 720 - 1)
    bits.add(frame_ids or Bits().flags(0)).flags(1, 1, 1).add(tools).flags(0, 1, 1).add(color)
    return bits.flags(0, 1).to_bytes()


def record(*obus: bytes) -> bytes:
    return b"\x81\x08\x0c\x00" + b"".join(obus)


def obu(payload: bytes, obu_type: int = 1, *, has_size: bool = True, has_extension: bool = False) -> bytes:
    header = bytes([obu_type << 3 | has_extension << 2 | has_size << 1]) + b"\x08" * has_extension
    return header + (bytes([len(payload)]) if has_size else b"") + payload


HEADER = sequence_header()
PLAIN = VideoSetup("av1", 1280, 720, "Main", "4.0", None, 8, "4:2:0")


@pytest.mark.parametrize(
    "raw",
    [
        record(obu(HEADER)),
        record(obu(HEADER, has_size=False)),
        record(obu(HEADER, has_extension=True)),
        record(obu(b"", 2), obu(b"metadata", 5), obu(HEADER)),
        record(bytes([1 << 3 | 2, len(HEADER) | 0x80, 0x80, 0x00]) + HEADER),
    ],
    ids=["alone", "without a size", "with an extension", "after others", "with a long size"],
)
def test_sequence_header_is_found_in_the_record(raw: bytes) -> None:
    assert av1.parse_config(raw) == PLAIN


def test_reduced_still_picture_header_is_read() -> None:
    bits = Bits().u(3, 0).flags(1, 1).u(5, 5).u(4, 6).u(4, 6).u(7, 99).u(7, 75)
    bits.flags(0, 0, 0).flags(0, 0, 0).add(COLOR).flags(0, 1)
    assert av1.parse_sequence_header(bits.to_bytes()) == VideoSetup("av1", 100, 76, "Main", "3.1", None, 8, "4:2:0")


TIMING = Bits().flags(1).u(32, 1001).u(32, 60000)


@pytest.mark.parametrize(
    ("head", "frame_rate", "level"),
    [
        (Bits().add(TIMING).flags(1).ue(0).flags(0, 0).u(5, 0).u(12, 0).u(5, 4), 60000 / 1001, "3.0"),
        (Bits().add(TIMING).flags(1).ue(1).flags(0, 0).u(5, 0).u(12, 0).u(5, 4), 30000 / 1001, "3.0"),
        (Bits().add(TIMING).flags(0).flags(0, 0).u(5, 0).u(12, 0).u(5, 4), None, "3.0"),
        (
            # A decoder model, a display delay, and two operating points that differ in all of it.
            Bits()
            .add(TIMING)
            .flags(1)
            .ue(0)
            .add(Bits().flags(1).u(5, 9).u(32, 1).u(5, 7).u(5, 7).flags(1).u(5, 1))
            .add(Bits().u(12, 0x103).u(5, 13).flags(1).flags(1).u(10, 5).u(10, 5).flags(0).flags(1).u(4, 9))
            .add(Bits().u(12, 0x101).u(5, 1).flags(0).flags(0)),
            60000 / 1001,
            "5.1",
        ),
        (Bits().flags(0, 0).u(5, 0).u(12, 0).u(5, 31).flags(0), None, "unbounded"),
    ],
    ids=["one tick a picture", "two ticks a picture", "pictures at will", "decoder model", "no level"],
)
def test_rate_and_level_come_ahead_of_the_size(head: Bits, frame_rate: float | None, level: str) -> None:
    setup = av1.parse_sequence_header(sequence_header(head=head))
    assert (setup.frame_rate, setup.level) == (frame_rate, level)
    assert (setup.width, setup.height, setup.chroma) == (1280, 720, "4:2:0")


TEN_BITS = Bits().flags(1, 0, 0).flags(0).u(2, 0).flags(0)


@pytest.mark.parametrize(
    "parts",
    [
        {"frame_ids": Bits().flags(1).u(4, 5).u(3, 2)},
        {"tools": Bits().flags(1, 1, 1, 1).flags(0).flags(1).flags(0, 1)},
        {"tools": Bits().flags(1, 1, 1, 1).flags(0).flags(0, 0)},
        {"tools": Bits().flags(1, 1, 1, 1).flags(1, 1, 1).flags(0, 1).flags(0, 0).u(3, 2)},
    ],
    ids=["frame ids", "integer motion forced", "no screen content", "screen content forced"],
)
def test_tools_are_passed(parts: dict[str, Any]) -> None:
    setup = av1.parse_sequence_header(sequence_header(color=TEN_BITS, **parts))
    assert (setup.bit_depth, setup.chroma) == (10, "4:2:0")


@pytest.mark.parametrize(
    ("profile", "color", "expected"),
    [
        (0, Bits().flags(0, 0, 0).flags(0).u(2, 0), (8, "4:2:0")),
        (0, Bits().flags(1, 1, 0).flags(0), (10, "4:0:0")),
        (0, Bits().flags(0, 0, 1).u(24, 0x010101).flags(0).u(2, 0), (8, "4:2:0")),
        (1, Bits().flags(0, 0).flags(0), (8, "4:4:4")),
        (1, Bits().flags(1, 1).u(24, 0x010D00), (10, "4:4:4")),
        (2, Bits().flags(0, 0, 0).flags(0), (8, "4:2:2")),
        (2, Bits().flags(1, 0, 0, 0).flags(0), (10, "4:2:2")),
        (2, Bits().flags(1, 1, 0, 0).flags(0).flags(0), (12, "4:4:4")),
        (2, Bits().flags(1, 1, 0, 0).flags(0).flags(1, 1), (12, "4:2:0")),
        (2, Bits().flags(1, 1, 0, 0).flags(0).flags(1, 0), (12, "4:2:2")),
    ],
)
def test_colors_are_read(profile: int, color: Bits, expected: tuple[int, str]) -> None:
    setup = av1.parse_sequence_header(sequence_header(profile=profile, color=color))
    assert (setup.bit_depth, setup.chroma) == expected


REFUSED: list[tuple[str, bytes, str]] = [
    ("nothing", b"", "av1C record of 0 bytes"),
    ("cut off in its head", b"\x81\x00\x0c", "av1C record of 3 bytes"),
    ("version 2", b"\x82\x00\x0c\x00", "opens '82'; wanted '81'"),
    ("no OBUs", record(), "no sequence header"),
    ("other OBUs", record(obu(b"x", 5)), "no sequence header"),
    ("empty OBUs without end", record(obu(b"", 5) * 100, obu(HEADER)), "no sequence header"),
    ("sequence header cut off", record(obu(HEADER)[:5]), "has 3 bytes; wanted"),
    ("size that does not end", record(b"\x0a" + b"\x80" * 9), "does not end"),
    ("size cut off", record(b"\x0a"), "does not end"),
    ("empty sequence header", record(b"\x0a\x00"), "wanted it within 0 bits"),
    ("extension cut off", record(b"\x0c"), "wanted it within 0 bits"),
    ("profile 3", record(obu(b"\x60" + HEADER)), "seq_profile is 3"),
]


@pytest.mark.parametrize(("_case", "raw", "says"), REFUSED, ids=[row[0] for row in REFUSED])
def test_record_is_refused_and_says_why(_case: str, raw: bytes, says: str) -> None:
    with pytest.raises(CodecError, match=says):
        av1.parse_config(raw)


REAL: list[bytes] = [bytes.fromhex(case["hex"]) for case in CASES.values()]


@settings(max_examples=300)
@given(st.data())
def test_damaged_records_parse_or_raise_codec_error(data: Any) -> None:
    raw = bytearray(data.draw(st.sampled_from(REAL)))
    for _ in range(data.draw(st.integers(0, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CodecError):
        assert av1.parse_config(bytes(raw[: data.draw(st.integers(0, len(raw)))])).width > 0


@settings(max_examples=300)
@given(st.binary(max_size=60))
def test_any_bytes_parse_or_raise_codec_error(data: bytes) -> None:
    for parse, payload in ((av1.parse_config, record(data)), (av1.parse_sequence_header, data)):
        with contextlib.suppress(CodecError):
            assert parse(payload).width > 0
