"""H.265 setup: records of real encoders against ffprobe's word, then syntax that they do not use."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import CodecError
from penstock.protocols.codecs import hevc
from penstock.protocols.codecs.parse import parse_video_config
from penstock.protocols.codecs.setup import VideoSetup
from tests.protocols.codecs.tools import Bits, captures, escape, pixels_of, rate_of

CASES = captures("hevc")


@pytest.mark.parametrize("case", CASES)
def test_record_says_what_ffprobe_says(case: str) -> None:
    probe = CASES[case]["probe"]
    bit_depth, chroma = pixels_of(probe)
    assert parse_video_config("hevc", bytes.fromhex(CASES[case]["hex"])) == VideoSetup(
        codec="hevc",
        width=probe["width"],
        height=probe["height"],
        profile=probe["profile"].replace("Rext", "Range Extensions"),
        level=f"{probe['level'] // 30}.{probe['level'] % 30 // 3}",
        frame_rate=rate_of(probe),
        bit_depth=bit_depth,
        chroma=chroma,
    )


def profile_tier_level(profile: int, level: int, sub_layers: list[tuple[int, int]]) -> Bits:
    bits = Bits().u(8, 0x20 | profile).u(32, 0x60000000).u(48, 0).u(8, level)
    for presence in sub_layers:
        bits.flags(*presence)
    if sub_layers:
        bits.u(2 * (8 - len(sub_layers)), 0)
    for has_profile, has_level in sub_layers:
        bits.u(88 * has_profile, 0x5A5A).u(8 * has_level, 93)
    return bits


def sps(
    *,
    profile: int = 1,
    level: int = 93,
    sub_layers: list[tuple[int, int]] | None = None,
    chroma: Bits | None = None,
    size: tuple[int, int] = (1280, 720),
    window: tuple[int, int, int, int] | None = None,
    depth: int = 0,
    orders: int = 1,
    lists: Bits | None = None,
    pcm: Bits | None = None,
    sets: Bits | None = None,
    long_term: Bits | None = None,
    vui: Bits | None = None,
) -> bytes:
    """An SPS in its NAL unit; every argument of `Bits` replaces an optional part of its syntax table."""
    layers = sub_layers or []
    bits = Bits().u(4, 0).u(3, len(layers)).flags(1).add(profile_tier_level(profile, level, layers))
    bits.ue(0).add(chroma or Bits().ue(1)).ue(*size)
    bits.flags(1).ue(*window) if window else bits.flags(0)
    bits.ue(depth, depth, 4).flags(1 if orders > 1 else 0)
    for _ in range(orders):
        bits.ue(4, 2, 0)
    bits.ue(0, 3, 0, 3, 0, 0)
    bits.add(lists or Bits().flags(0)).flags(1, 1).add(pcm or Bits().flags(0))
    bits.add(sets or Bits().ue(0)).add(long_term or Bits().flags(0)).flags(1, 1)
    bits.flags(1).add(vui) if vui else bits.flags(0)
    return b"\x42\x01" + escape(bits.flags(0, 1).to_bytes())


def record(*arrays: tuple[int, list[bytes]]) -> bytes:
    out = bytearray(b"\x01" + bytes(21) + bytes([len(arrays)]))
    for nal_type, nals in arrays:
        out += bytes([0x80 | nal_type]) + len(nals).to_bytes(2, "big")
        for nal in nals:
            out += len(nal).to_bytes(2, "big") + nal
    return bytes(out)


def timing(units: int, scale: int) -> Bits:
    return Bits().flags(0, 0, 0, 0).flags(0, 0, 0).flags(0).flags(1).u(32, units).u(32, scale).flags(0, 0, 0)


FIFTY = timing(1, 50)


def test_plain_sps_without_vui_has_no_frame_rate() -> None:
    assert hevc.parse_sps(sps()) == VideoSetup("hevc", 1280, 720, "Main", "3.1", None, 8, "4:2:0")


@pytest.mark.parametrize("version", [0, 1])
def test_sps_is_found_among_the_arrays(version: int) -> None:
    raw = record((32, [b"\x40\x01", b"\x40\x02"]), (33, [sps(size=(320, 180)), sps()]), (34, [b"\x44\x01"]))
    assert hevc.parse_config(bytes([version]) + raw[1:]).width == 320


@pytest.mark.parametrize("window", [(1, 2, 3, 4)])
@pytest.mark.parametrize(
    ("chroma", "step", "name"),
    [
        (Bits().ue(0), (1, 1), "4:0:0"),
        (Bits().ue(1), (2, 2), "4:2:0"),
        (Bits().ue(2), (2, 1), "4:2:2"),
        (Bits().ue(3).flags(0), (1, 1), "4:4:4"),
        (Bits().ue(3).flags(1), (1, 1), "4:4:4"),
    ],
    ids=["4:0:0", "4:2:0", "4:2:2", "4:4:4", "separate planes"],
)
def test_window_goes_by_the_chroma_format(
    chroma: Bits, step: tuple[int, int], name: str, window: tuple[int, int, int, int]
) -> None:
    setup = hevc.parse_sps(sps(chroma=chroma, window=window, vui=FIFTY))
    assert (setup.width, setup.height) == (1280 - 3 * step[0], 720 - 7 * step[1])
    assert (setup.chroma, setup.frame_rate) == (name, 50.0)


SET_OF_THREE = Bits().ue(2, 1).ue(0).flags(1).ue(2).flags(0).ue(0).flags(1)  # -1, -4 and +1


@pytest.mark.parametrize(
    "parts",
    [
        {"sub_layers": [(1, 1), (0, 1), (1, 0)]},
        {"sub_layers": [(0, 0)] * 6, "orders": 7},
        {"lists": Bits().flags(1, 0)},
        {"lists": Bits().flags(1, 1).flags(*[0, 1] * 20)},
        {
            "lists": Bits()
            .flags(1, 1)
            .add(Bits().flags(1).se(*[1] * 16).flags(0).ue(1).flags(0).ue(2))
            .add(Bits().flags(1).se(*[0] * 16).flags(1).se(*[-1] * 16).flags(0).ue(0))
            .add(Bits().flags(*[1] + [1] * 64).flags(*[0, 1] * 5))
            .add(Bits().flags(1).se(-4).se(*[0] * 64).flags(*[0, 1] * 5))
            .add(Bits().flags(1).se(8).se(*[0] * 64).flags(0).ue(1))
        },
        {"pcm": Bits().flags(1).u(8, 0x77).ue(0, 2).flags(1)},
        {"sets": Bits().ue(1).ue(1, 0).ue(0).flags(1)},
        {"sets": Bits().ue(2).add(SET_OF_THREE).flags(0).ue(0, 0)},
        # The second set moves the first by -1 to -2, -5, 0 and (itself) -1; 0 is no reference,
        # so the third set has three deltas, and four decisions, to read.
        {
            "sets": Bits()
            .ue(3)
            .add(SET_OF_THREE)
            .add(Bits().flags(1, 1).ue(0).flags(1, 1, 1, 1))
            .add(Bits().flags(1, 0).ue(5).flags(1, 0, 1, 0, 0, 1))
        },
        {"long_term": Bits().flags(1).ue(2).u(8, 5).flags(1).u(8, 9).flags(0)},
        {"long_term": Bits().flags(1).ue(0)},
    ],
    ids=[
        "sub-layers",
        "seven layers with their own ordering",
        "default scaling lists",
        "scaling lists all copied",
        "scaling lists in full",
        "PCM",
        "one reference set",
        "a set after another",
        "sets predicted from sets",
        "long-term pictures",
        "no long-term pictures",
    ],
)
def test_everything_ahead_of_the_frame_rate_is_passed(parts: dict[str, Any]) -> None:
    assert hevc.parse_sps(sps(vui=FIFTY, **parts)) == VideoSetup("hevc", 1280, 720, "Main", "3.1", 50.0, 8, "4:2:0")


@pytest.mark.parametrize(
    ("vui", "frame_rate"),
    [
        (timing(1001, 60000), 60000 / 1001),
        (timing(0, 50), None),
        (timing(1, 90000), None),
        (Bits().flags(*[0] * 9), None),
        (
            Bits()
            .flags(1)
            .u(8, 255)
            .u(32, 0x00400021)
            .flags(1, 1, 1)
            .u(4, 5)
            .flags(1)
            .u(24, 0)
            # chroma location, flags, a display window, 25 pictures a second
            .flags(1)
            .ue(2, 2)
            .flags(0, 0, 0)
            .flags(1)
            .ue(0, 8, 0, 8)
            .flags(1)
            .u(32, 2)
            .u(32, 50),
            25.0,
        ),
        (Bits().flags(0, 0, 0, 0, 0, 0, 0, 0, 1).u(8, 0), None),
    ],
    ids=["59.94 fps", "no units", "a clock", "none", "after everything else", "cut off"],
)
def test_frame_rate_comes_from_whole_timing_alone(vui: Bits, frame_rate: float | None) -> None:
    assert hevc.parse_sps(sps(vui=vui)).frame_rate == frame_rate


@pytest.mark.parametrize(
    "parts",
    [
        {"sets": Bits().ue(65)},
        {"sets": Bits().ue(1).ue(17, 0)},
        {"long_term": Bits().flags(1).ue(33)},
        {"sets": Bits().ue(64).ue(16, 16).add(Bits().ue(*[0] * 64)).flags(*[1] * 400)},
    ],
    ids=["too many sets", "too many pictures", "too many long-term pictures", "sets that grow"],
)
def test_size_stands_when_what_follows_is_broken(parts: dict[str, Any]) -> None:
    setup = hevc.parse_sps(sps(vui=FIFTY, **parts))
    assert (setup.width, setup.height, setup.bit_depth) == (1280, 720, 8)
    assert setup.frame_rate is None


@pytest.mark.parametrize(
    ("profile", "level", "names"),
    [
        (1, 93, ("Main", "3.1")),
        (2, 153, ("Main 10", "5.1")),
        (3, 30, ("Main Still Picture", "1.0")),
        (4, 186, ("Range Extensions", "6.2")),
        (31, 120, ("profile 31", "4.0")),
    ],
)
def test_profile_and_level_have_names(profile: int, level: int, names: tuple[str, str]) -> None:
    setup = hevc.parse_sps(sps(profile=profile, level=level, depth=2))
    assert (setup.profile, setup.level) == names
    assert setup.bit_depth == 10


REFUSED: list[tuple[str, bytes, str]] = [
    ("nothing", b"", "hvcC record of 0 bytes"),
    ("cut off in its head", b"\x01" + bytes(21), "hvcC record of 22 bytes"),
    ("version 2", b"\x02" + bytes(22), "opens '02'; wanted version 1"),
    ("start codes", b"\x00\x00\x00\x01\x40\x01" + bytes(40), "no SPS"),
    ("no arrays", record(), "no SPS"),
    ("no SPS", record((32, [b"\x40\x01"]), (34, [b"\x44\x01"])), "no SPS"),
    ("SPS cut off", record((33, [sps()]))[:40], "wanted it within 320 bits"),
    ("another NAL unit", record((33, [b"\x44\x01"])), "wanted an SPS, type 33"),
    ("empty NAL unit", record((33, [b""])), "wanted an SPS, type 33"),
    ("SPS that ends", record((33, [sps()[:12]])), "wanted it within"),
    ("cropped away", record((33, [sps(window=(320, 320, 0, 0))])), "1280x720 is cropped to 0x720"),
    ("no size", record((33, [sps(size=(0, 0))])), "0x0"),
    ("chroma format 4", record((33, [sps(chroma=Bits().ue(4))])), "chroma_format_idc is 4"),
    ("depth of 17 bits", record((33, [sps(depth=9)])), "bit_depth_luma_minus8 is 9"),
    ("empty NAL units without end", record((32, [b""] * 300), (33, [sps()])), "256 NAL units"),
]


@pytest.mark.parametrize(("_case", "raw", "says"), REFUSED, ids=[row[0] for row in REFUSED])
def test_record_is_refused_and_says_why(_case: str, raw: bytes, says: str) -> None:
    with pytest.raises(CodecError, match=says):
        hevc.parse_config(raw)


REAL: list[bytes] = [bytes.fromhex(case["hex"]) for case in CASES.values()]


@pytest.mark.parametrize("raw", REAL, ids=list(CASES))
def test_record_cut_short_anywhere_tells_the_same_size_or_nothing(raw: bytes) -> None:
    whole = hevc.parse_config(raw)
    for end in range(len(raw)):
        with contextlib.suppress(CodecError):
            setup = hevc.parse_config(raw[:end])
            assert (setup.width, setup.height, setup.profile) == (whole.width, whole.height, whole.profile)


@settings(max_examples=300)
@given(st.data())
def test_damaged_records_parse_or_raise_codec_error(data: Any) -> None:
    raw = bytearray(data.draw(st.sampled_from(REAL)))
    for _ in range(data.draw(st.integers(0, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CodecError):
        assert hevc.parse_config(bytes(raw[: data.draw(st.integers(0, len(raw)))])).width > 0


@settings(max_examples=300)
@given(st.binary(max_size=100))
def test_any_bytes_behind_the_size_cost_only_the_frame_rate(data: bytes) -> None:
    start = sps()[:-3]
    assert hevc.parse_sps(start + escape(data)).width == 1280


@settings(max_examples=300)
@given(st.binary(max_size=80))
def test_any_bytes_parse_or_raise_codec_error(data: bytes) -> None:
    for parse, payload in ((hevc.parse_config, b"\x01" + bytes(21) + data), (hevc.parse_sps, b"\x42\x01" + data)):
        with contextlib.suppress(CodecError):
            assert parse(payload).width > 0
