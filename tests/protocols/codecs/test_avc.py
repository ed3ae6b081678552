"""H.264 setup: records of real encoders against ffprobe's word, then syntax that they do not use."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import CodecError
from penstock.protocols.codecs import avc
from penstock.protocols.codecs.parse import parse_video_config
from penstock.protocols.codecs.setup import VideoSetup
from tests.protocols.codecs.tools import Bits, captures, escape, pixels_of, rate_of

CASES = captures("avc")
# What ffprobe gives another name, and why ours is right.
OTHER_LEVELS = {"avc_level_1b": "1b"}  # ffprobe prints level_idc, which is 11 there
OTHER_RATES = {"avc_clock_of_milliseconds": None, "avc_clock_of_90000": None}
OTHER_CHROMA = {"avc_gray": "4:0:0"}  # ffmpeg decodes monochrome into yuvj420p


@pytest.mark.parametrize("case", CASES)
def test_record_says_what_ffprobe_says(case: str) -> None:
    probe = CASES[case]["probe"]
    bit_depth, chroma = pixels_of({"pix_fmt": probe["pix_fmt"].replace("yuvj", "yuv")})
    assert parse_video_config("avc", memoryview(bytes.fromhex(CASES[case]["hex"]))) == VideoSetup(
        codec="avc",
        width=probe["width"],
        height=probe["height"],
        profile=probe["profile"],
        level=OTHER_LEVELS.get(case, f"{probe['level'] // 10}.{probe['level'] % 10}"),
        frame_rate=OTHER_RATES.get(case, rate_of(probe)),
        bit_depth=bit_depth,
        chroma=OTHER_CHROMA.get(case, chroma),
    )


def sps(
    *,
    profile: int = 66,
    constraints: int = 0,
    level: int = 31,
    chroma: Bits | None = None,
    order: Bits | None = None,
    size: tuple[int, int] = (1280, 720),
    crop: tuple[int, int, int, int] | None = None,
    vui: Bits | None = None,
) -> bytes:
    """An SPS in its NAL unit; `chroma`, `order` and `vui` replace parts of its syntax table."""
    bits = Bits().u(8, profile).u(8, constraints).u(8, level).ue(0).add(chroma or Bits())
    bits.ue(0).add(order or Bits().ue(2)).ue(4).flags(0)
    bits.ue(size[0] // 16 - 1, size[1] // 16 - 1).flags(1, 1)
    bits.flags(1).ue(*crop) if crop else bits.flags(0)
    bits.flags(1).add(vui) if vui else bits.flags(0)
    return b"\x67" + escape(bits.flags(1).to_bytes())


def record(*nals: bytes) -> bytes:
    sets = b"".join(len(nal).to_bytes(2, "big") + nal for nal in nals)
    return b"\x01\x42\x00\x1f\xff" + bytes([0xE0 | len(nals)]) + sets + b"\x01\x00\x02\x68\xce"


def timing(units: int, scale: int) -> Bits:
    return Bits().flags(0, 0, 0, 0, 1).u(32, units).u(32, scale).flags(1)


def test_plain_sps_without_vui_has_no_frame_rate() -> None:
    assert avc.parse_sps(sps()) == VideoSetup("avc", 1280, 720, "Baseline", "3.1", None, 8, "4:2:0")


def test_first_of_several_sps_counts() -> None:
    assert avc.parse_config(record(sps(size=(320, 176)), sps())).width == 320


HIGH = Bits().ue(1, 0, 0).flags(0)  # 4:2:0, 8 bits
LISTS = Bits().add(HIGH).flags(1)
LISTS.flags(1).se(*[1] * 16)  # a list in full
LISTS.flags(1).se(-8)  # the default list: the first scale is 0
LISTS.flags(1).se(2, 2, -12)  # a list that stays as it is after two numbers
LISTS.flags(0, 0, 0)
LISTS.flags(1).se(*[0] * 64).flags(0)


@pytest.mark.parametrize(
    ("chroma", "expected"),
    [
        (Bits().add(HIGH).flags(0), (8, "4:2:0")),
        (LISTS, (8, "4:2:0")),
        (Bits().ue(2, 2, 2).flags(0, 0), (10, "4:2:2")),
        (Bits().ue(3).flags(0).ue(6, 6).flags(0, 1).flags(*[0] * 12), (14, "4:4:4")),
        (Bits().ue(3).flags(1).ue(0, 0).flags(0, 0), (8, "4:4:4")),
    ],
    ids=["flat", "scaling lists", "4:2:2 of 10 bits", "twelve lists of 4:4:4", "separate planes"],
)
def test_chroma_format_is_passed(chroma: Bits, expected: tuple[int, str]) -> None:
    setup = avc.parse_sps(sps(profile=100, chroma=chroma, vui=timing(1, 50)))
    assert (setup.bit_depth, setup.chroma) == expected
    assert (setup.width, setup.height, setup.frame_rate) == (1280, 720, 25.0)


@pytest.mark.parametrize(
    "order",
    [Bits().ue(0, 4), Bits().ue(1).flags(0).se(-3, 7).ue(2).se(1, -2), Bits().ue(2)],
    ids=["by low bits", "by a cycle", "as decoded"],
)
def test_picture_order_is_passed(order: Bits) -> None:
    setup = avc.parse_sps(sps(order=order, vui=timing(1001, 60000)))
    assert (setup.width, setup.height) == (1280, 720)
    assert setup.frame_rate == pytest.approx(29.97, abs=0.001)


@pytest.mark.parametrize(
    ("chroma", "visible"),
    [
        (Bits().add(HIGH).flags(0), (1280 - 2 * 3, 720 - 2 * 7)),
        (Bits().ue(2, 0, 0).flags(0, 0), (1280 - 2 * 3, 720 - 7)),
        (Bits().ue(3).flags(0).ue(0, 0).flags(0, 0), (1280 - 3, 720 - 7)),
        (Bits().ue(3).flags(1).ue(0, 0).flags(0, 0), (1280 - 3, 720 - 7)),
        (Bits().ue(0, 0, 0).flags(0, 0), (1280 - 3, 720 - 7)),
    ],
    ids=["4:2:0", "4:2:2", "4:4:4", "separate planes", "4:0:0"],
)
def test_cropping_goes_by_the_chroma_format(chroma: Bits, visible: tuple[int, int]) -> None:
    setup = avc.parse_sps(sps(profile=100, chroma=chroma, crop=(1, 2, 3, 4)))
    assert (setup.width, setup.height) == visible


@pytest.mark.parametrize(
    ("vui", "frame_rate"),
    [
        (timing(1, 120), 60.0),
        (timing(0, 120), None),
        (timing(1, 0), None),
        (timing(1, 600), 300.0),
        (timing(1, 602), None),
        (Bits().flags(0, 0, 0, 0, 0), None),
        (Bits().flags(1).u(8, 1).flags(1, 1, 1).u(4, 5).flags(0, 1).ue(1, 1, 1), None),
        (Bits().flags(1).u(8, 255).u(32, 0x00400021).flags(1, 0, 1).u(4, 5).flags(1).u(24, 0), None),
        (Bits().flags(0, 0, 0, 0, 1).u(8, 0), None),
    ],
    ids=[
        "60 fps",
        "no units",
        "no scale",
        "the most there is",
        "a clock",
        "none",
        "named aspect",
        "cut after the colours",
        "cut in the timing",
    ],
)
def test_frame_rate_comes_from_whole_timing_alone(vui: Bits, frame_rate: float | None) -> None:
    setup = avc.parse_sps(sps(vui=vui))
    assert setup.frame_rate == frame_rate
    assert setup.width == 1280


@pytest.mark.parametrize(
    ("profile", "constraints", "level", "names"),
    [
        (66, 0x00, 30, ("Baseline", "3.0")),
        (66, 0x40, 30, ("Constrained Baseline", "3.0")),
        (66, 0x10, 11, ("Baseline", "1b")),
        (66, 0x00, 11, ("Baseline", "1.1")),
        (77, 0x40, 42, ("Main", "4.2")),
        (88, 0x00, 51, ("Extended", "5.1")),
        (100, 0x10, 11, ("High", "1.1")),
        (100, 0x00, 9, ("High", "1b")),
        (110, 0x10, 62, ("High 10 Intra", "6.2")),
        (99, 0x00, 10, ("profile 99", "1.0")),
    ],
)
def test_profile_and_level_have_names(profile: int, constraints: int, level: int, names: tuple[str, str]) -> None:
    chroma = Bits().add(HIGH).flags(0) if profile in (100, 110) else None
    setup = avc.parse_sps(sps(profile=profile, constraints=constraints, level=level, chroma=chroma))
    assert (setup.profile, setup.level) == names


REFUSED: list[tuple[str, bytes, str]] = [
    ("nothing", b"", "avcC record of 0 bytes"),
    ("start codes", b"\x00\x00\x00\x01\x67\x42\x00\x1f", "opens '00'; wanted version 1"),
    ("no SPS", b"\x01\x42\x00\x1f\xff\xe0\x00", "no SPS"),
    ("SPS cut off", record(sps())[:12], "has 12 bytes; wanted"),
    ("SPS without a length", b"\x01\x42\x00\x1f\xff\xe1\x00", "wanted 8 for its parameter sets"),
    ("PPS missing", record(sps())[:-5], "wanted its count of PPS"),
    ("PPS cut off", record(sps())[:-1], "for its parameter sets"),
    ("another NAL unit", record(b"\x68\xce"), "wanted an SPS, type 7"),
    ("empty NAL unit", record(b""), "wanted an SPS, type 7"),
    ("SPS that ends", record(sps()[:6]), "field of"),
    ("cropped away", record(sps(crop=(320, 320, 0, 0))), "1280x720 is cropped to 0x720"),
    ("huge", record(sps(size=(1 << 20, 16))), "1048576x16"),
    ("chroma format 4", record(sps(profile=100, chroma=Bits().ue(4))), "chroma_format_idc is 4"),
    ("endless picture order", record(sps(order=Bits().ue(1).flags(0).se(0, 0).ue(1 << 30))), "wanted 255 at most"),
]


@pytest.mark.parametrize(("_case", "raw", "says"), REFUSED, ids=[row[0] for row in REFUSED])
def test_record_is_refused_and_says_why(_case: str, raw: bytes, says: str) -> None:
    with pytest.raises(CodecError, match=says):
        avc.parse_config(raw)


def test_unknown_codec_is_refused() -> None:
    with pytest.raises(CodecError, match="video codec is vp9; wanted one of avc, hevc, av1"):
        parse_video_config("vp9", b"")


REAL: list[bytes] = [bytes.fromhex(case["hex"]) for case in CASES.values()]


@pytest.mark.parametrize("raw", REAL, ids=list(CASES))
def test_record_cut_short_anywhere_tells_the_same_size_or_nothing(raw: bytes) -> None:
    whole = avc.parse_config(raw)
    for end in range(len(raw)):
        with contextlib.suppress(CodecError):
            setup = avc.parse_config(raw[:end])
            assert (setup.width, setup.height, setup.profile) == (whole.width, whole.height, whole.profile)


@settings(max_examples=300)
@given(st.data())
def test_damaged_records_parse_or_raise_codec_error(data: Any) -> None:
    raw = bytearray(data.draw(st.sampled_from(REAL)))
    for _ in range(data.draw(st.integers(0, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    for parse, payload in ((avc.parse_config, damaged), (avc.parse_sps, b"\x67" + damaged)):
        with contextlib.suppress(CodecError):
            assert parse(payload).width > 0


@settings(max_examples=300)
@given(st.binary(max_size=80))
def test_any_bytes_parse_or_raise_codec_error(data: bytes) -> None:
    for parse, payload in ((avc.parse_config, b"\x01" + data), (avc.parse_sps, b"\x67\x64\x00\x1f" + data)):
        with contextlib.suppress(CodecError):
            assert parse(payload).width > 0
