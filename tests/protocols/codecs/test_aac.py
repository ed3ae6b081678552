"""AAC setup: configs of real encoders against ffprobe's word, then every way to signal an extension."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import CodecError
from penstock.protocols.codecs import aac
from penstock.protocols.codecs.parse import parse_audio_config
from penstock.protocols.codecs.setup import AudioSetup
from tests.protocols.codecs.tools import Bits, captures

CASES = captures("aac")


@pytest.mark.parametrize("case", CASES)
def test_config_says_what_ffprobe_says(case: str) -> None:
    probe = CASES[case]["probe"]
    setup = parse_audio_config("aac", memoryview(bytes.fromhex(CASES[case]["hex"])))
    frame_samples = 2048 if probe["profile"].startswith("HE") else 1024
    assert setup == AudioSetup("aac", probe["sample_rate"], probe["channels"], probe["profile"], frame_samples)


def program_config(front: str = "", side: str = "", back: str = "", lfe: int = 0) -> Bits:
    """A PCE, with an element a letter: "p" a pair, "s" a single channel."""
    bits = Bits().u(4, 0).u(2, 1).u(4, 3).u(4, len(front)).u(4, len(side)).u(4, len(back))
    bits.u(2, lfe).u(3, 1).u(4, 2)
    bits.flags(1).u(4, 0).flags(0).flags(1).u(3, 0)
    for element in front + side + back:
        bits.flags(int(element == "p")).u(4, 0)
    bits.u(4 * lfe, 0).u(4, 0).u(10, 0)
    return bits


def with_program_config(program: Bits, comment: bytes = b"") -> bytes:
    bits = Bits().u(5, 2).u(4, 3).u(4, 0).flags(0, 0, 0).add(program).align()
    bits.u(8, len(comment))
    for byte in comment:
        bits.u(8, byte)
    return bits.to_bytes()


# (case, bytes, setup)
CONFIGS = [
    ("LC, two bytes", "1210", AudioSetup("aac", 44100, 2, "LC")),
    ("LC, mono", "1588", AudioSetup("aac", 8000, 1, "LC")),
    ("HE-AAC, hierarchical", "2b920800", AudioSetup("aac", 44100, 2, "HE-AAC", 2048)),
    ("HE-AACv2, hierarchical", "eb8a0800", AudioSetup("aac", 44100, 2, "HE-AACv2", 2048)),
    ("HE-AAC, backward compatible", "139056e5a0", AudioSetup("aac", 44100, 2, "HE-AAC", 2048)),
    ("HE-AACv2, backward compatible", "138856e5a54880", AudioSetup("aac", 44100, 2, "HE-AACv2", 2048)),
    ("backward compatible, PS absent", "138856e5a54800", AudioSetup("aac", 44100, 1, "HE-AAC", 2048)),
    ("backward compatible, SBR absent", "119056e500", AudioSetup("aac", 48000, 2, "LC")),
    ("padding behind LC", "121000000000", AudioSetup("aac", 44100, 2, "LC")),
    ("eight channels by 7", "11b8", AudioSetup("aac", 48000, 8, "LC")),
]


@pytest.mark.parametrize(("_case", "wire", "setup"), CONFIGS, ids=[row[0] for row in CONFIGS])
def test_config_is(_case: str, wire: str, setup: AudioSetup) -> None:
    assert aac.parse_config(bytes.fromhex(wire)) == setup


@pytest.mark.parametrize(
    ("bits", "setup"),
    [
        (Bits().u(5, 2).u(4, 15).u(24, 44056).u(4, 2).flags(0, 0, 0), AudioSetup("aac", 44056, 2, "LC")),
        (
            Bits().u(5, 5).u(4, 15).u(24, 20000).u(4, 2).u(4, 15).u(24, 40000).u(5, 2).flags(0, 0, 0),
            AudioSetup("aac", 40000, 2, "HE-AAC", 2048),
        ),
        (Bits().u(5, 2).u(4, 4).u(4, 2).flags(0, 1).u(14, 99).flags(0), AudioSetup("aac", 44100, 2, "LC")),
        (
            Bits().u(5, 2).u(4, 7).u(4, 1).flags(0, 1).u(14, 99).flags(0).u(11, 0x2B7).u(5, 5).flags(1).u(4, 4),
            AudioSetup("aac", 44100, 1, "HE-AAC", 2048),
        ),
        (
            Bits().u(5, 23).u(4, 3).u(4, 2).flags(0, 0, 1).u(3, 0).flags(0).u(2, 0),
            AudioSetup("aac", 48000, 2, "LD", 512),
        ),
        (Bits().u(5, 31).u(6, 7).u(4, 3).u(4, 1), AudioSetup("aac", 48000, 1, "ELD", 512)),
        (Bits().u(5, 31).u(6, 10).u(4, 3).u(4, 2), AudioSetup("aac", 48000, 2, "xHE-AAC")),
        (
            Bits().u(5, 6).u(4, 3).u(4, 2).flags(0, 0, 1).u(3, 1).flags(0),
            AudioSetup("aac", 48000, 2, "object type 6"),
        ),
        (
            Bits().u(5, 5).u(4, 6).u(4, 2).u(4, 3).u(5, 22).u(4, 2).flags(0, 0, 1).u(5, 1).u(11, 9).flags(0).u(2, 0),
            AudioSetup("aac", 48000, 2, "object type 22", 2048),
        ),
    ],
    ids=[
        "a rate of its own",
        "both rates their own",
        "a core coder's delay",
        "an extension behind a core coder's delay",
        "LD with its resilience flags",
        "an object type over 31",
        "USAC",
        "scalable",
        "SBR over BSAC",
    ],
)
def test_config_of_fields_is(bits: Bits, setup: AudioSetup) -> None:
    assert aac.parse_config(bits.to_bytes()) == setup


@pytest.mark.parametrize(
    ("program", "channels"),
    [
        (program_config(front="sp", side="p", back="p", lfe=1), 8),
        (program_config(front="s"), 1),
        (program_config(lfe=1), 1),
        (program_config(front="p" * 15, side="p" * 15, back="p" * 15, lfe=3), 93),
    ],
    ids=["7.1", "mono", "a subwoofer", "all there can be"],
)
@pytest.mark.parametrize("comment", [b"", b"made by hand"])
def test_program_config_counts_the_channels(program: Bits, channels: int, comment: bytes) -> None:
    raw = with_program_config(program, comment)
    assert aac.parse_config(raw) == AudioSetup("aac", 48000, channels, "LC")
    # The extension's sync word stands right behind the comment.
    extended = raw + bytes.fromhex("56e598")
    assert aac.parse_config(extended) == AudioSetup("aac", 48000, channels, "HE-AAC")


REFUSED = [
    ("nothing", b"", "field of 5 bits"),
    ("one byte", b"\x12", "wanted it within 8 bits"),
    ("reserved rate", Bits().u(5, 2).u(4, 13).u(4, 2).u(3, 0).to_bytes(), "samplingFrequencyIndex is 13"),
    ("a rate of 0", Bits().u(5, 2).u(4, 15).u(24, 0).u(4, 2).u(3, 0).to_bytes(), "samplingFrequency is 0"),
    ("reserved channels", Bits().u(5, 2).u(4, 4).u(4, 8).u(3, 0).to_bytes(), "channelConfiguration is 8"),
    ("channels nowhere", Bits().u(5, 31).u(6, 10).u(4, 3).u(4, 0).to_bytes(), "channelConfiguration is 0"),
    ("no channels", with_program_config(program_config()), "counts no channels"),
    ("program config cut off", with_program_config(program_config(front="ppp"))[:-3], "wanted it within"),
    ("comment cut off", with_program_config(program_config(front="p"), b"hello")[:-1], "wanted it within"),
    ("extension cut off", bytes.fromhex("121056e5"), "wanted it within 32 bits"),
]


@pytest.mark.parametrize(("_case", "raw", "says"), REFUSED, ids=[row[0] for row in REFUSED])
def test_config_is_refused_and_says_why(_case: str, raw: bytes, says: str) -> None:
    with pytest.raises(CodecError, match=says):
        aac.parse_config(raw)


def test_unknown_codec_is_refused() -> None:
    with pytest.raises(CodecError, match="audio codec is opus; wanted aac"):
        parse_audio_config("opus", b"")


REAL: list[bytes] = [bytes.fromhex(case["hex"]) for case in CASES.values()]


@pytest.mark.parametrize("raw", REAL, ids=list(CASES))
def test_config_cut_short_anywhere_tells_the_same_number_of_channels_or_nothing(raw: bytes) -> None:
    whole = aac.parse_config(raw)
    for end in range(len(raw)):
        with contextlib.suppress(CodecError):
            setup = aac.parse_config(raw[:end])
            assert setup.channels == whole.channels


@settings(max_examples=300)
@given(st.data())
def test_damaged_configs_parse_or_raise_codec_error(data: Any) -> None:
    raw = bytearray(data.draw(st.sampled_from(REAL)))
    for _ in range(data.draw(st.integers(0, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CodecError):
        assert aac.parse_config(bytes(raw[: data.draw(st.integers(0, len(raw)))])).channels > 0


@settings(max_examples=300)
@given(st.binary(max_size=40))
def test_any_bytes_parse_or_raise_codec_error(data: bytes) -> None:
    with contextlib.suppress(CodecError):
        setup = aac.parse_config(data)
        assert setup.channels > 0
        assert setup.sample_rate > 0
