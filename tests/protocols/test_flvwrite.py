"""Bodies that are written are what the reader of bodies calls them."""

from __future__ import annotations

import pytest

from penstock.protocols import amf0, flvwrite
from penstock.protocols.flvbody import audio_body, coded_picture, coded_sound, video_body

DATA = b"\x00\x00\x00\x01data"


@pytest.mark.parametrize("codec", sorted(flvwrite.VIDEO_CODECS))
@pytest.mark.parametrize("is_key", [True, False])
@pytest.mark.parametrize("composition_ms", [0, 40, 0x7FFFFF])
def test_picture_reads_back(codec: str, is_key: bool, composition_ms: int) -> None:
    if codec == "av1":
        composition_ms = 0
    body = flvwrite.video_frame(codec, DATA, is_key=is_key, composition_ms=composition_ms)
    known = video_body(body)
    assert known is not None
    assert (known.codec, known.is_key, known.is_frame, known.is_header) == (codec, is_key, True, False)
    at, ahead_ms = coded_picture(body, codec)
    assert (body[at:], ahead_ms) == (DATA, composition_ms)


@pytest.mark.parametrize("codec", sorted(flvwrite.VIDEO_CODECS))
def test_header_reads_back(codec: str) -> None:
    body = flvwrite.video_header(codec, b"record")
    known = video_body(body)
    assert known is not None
    assert (known.codec, known.is_header, body[known.config_at :]) == (codec, True, b"record")


def test_sound_reads_back() -> None:
    header = flvwrite.audio_header(b"\x11\x90")
    known = audio_body(header)
    assert known is not None
    assert (known.codec, known.is_header, header[known.config_at :]) == ("aac", True, b"\x11\x90")
    for codec, rate, channels, told in (("aac", 48000, 2, None), ("mp3", 44100, 1, 44100), ("mp3", 22050, 2, 22050)):
        body = flvwrite.audio_frame(codec, DATA, sample_rate=rate, channels=channels)
        frame = audio_body(body)
        assert frame is not None
        assert (frame.codec, frame.is_frame, body[coded_sound(body) :]) == (codec, True, DATA)
        if codec == "mp3":
            assert (frame.sample_rate, frame.channels) == (told, channels)


def test_metadata_tells_what_is_known() -> None:
    name, values = amf0.decode(flvwrite.metadata(width=640, height=360, frame_rate=25.0, video="avc", audio="aac"))
    assert name == "onMetaData"
    wanted = {"width": 640, "height": 360, "framerate": 25, "videocodecid": 7, "audiocodecid": 10}
    assert values == wanted
    assert amf0.decode(flvwrite.metadata()) == ["onMetaData", {}]
