"""MP3's frame header: every rate, and what is none."""

from __future__ import annotations

import pytest

from penstock.errors import CodecError
from penstock.protocols.codecs import mp3
from penstock.protocols.codecs.setup import AudioSetup


@pytest.mark.parametrize(
    ("wire", "setup"),
    [
        ("fffb9044", AudioSetup("mp3", 44100, 2, "", 1152)),
        ("fffb94c4", AudioSetup("mp3", 48000, 1, "", 1152)),
        ("fffa9804", AudioSetup("mp3", 32000, 2, "", 1152)),
        ("fff390c0", AudioSetup("mp3", 22050, 1, "", 576)),
        ("fff39484", AudioSetup("mp3", 24000, 2, "", 576)),
        ("ffe39844", AudioSetup("mp3", 8000, 2, "", 576)),
    ],
)
def test_header_is(wire: str, setup: AudioSetup) -> None:
    assert mp3.parse_frame(memoryview(bytes.fromhex(wire) + b"rest")) == setup


@pytest.mark.parametrize(
    "wire",
    ["", "fffb90", "00fb9044", "fffd9044", "ffff9044", "fffb9c44", "ffeb9044"],
    ids=["nothing", "cut short", "no sync word", "layer II", "layer I", "a reserved rate", "a reserved version"],
)
def test_no_header_is_refused(wire: str) -> None:
    with pytest.raises(CodecError, match="wanted a header"):
        mp3.parse_frame(bytes.fromhex(wire))
