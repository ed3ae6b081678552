"""What the first bytes of video and audio bodies say: tables, then any bytes at all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.protocols.flvbody import AudioBody, VideoBody, audio_body, coded_picture, coded_sound, video_body


def body_from(text: str) -> bytes:
    """Hex, with a FourCC or other text in quotes: ``80 'hvc1' 01``."""
    parts = text.split("'")
    return b"".join(
        part.encode() if index % 2 else bytes.fromhex(part.replace(" ", "")) for index, part in enumerate(parts)
    )


def header(codec: str, at: int) -> VideoBody:
    return VideoBody(codec, False, True, False, config_at=at)


def key(codec: str) -> VideoBody:
    return VideoBody(codec, True, False, True)


def inter(codec: str) -> VideoBody:
    return VideoBody(codec, False, False, True)


def nothing(codec: str) -> VideoBody:
    return VideoBody(codec, False, False, False)


VIDEO: list[tuple[str, str, VideoBody | None]] = [
    ("AVC sequence header", "17 00 000000 01640028", header("avc", 5)),
    ("AVC key frame", "17 01 000042 00000001 65", key("avc")),
    ("AVC inter frame", "27 01 000042 00000001 41", inter("avc")),
    ("AVC disposable inter frame", "37 01 000000 41", inter("avc")),
    ("AVC end of sequence", "17 02 000000", nothing("avc")),
    ("AVC end of sequence with bytes after it", "17 02 000000 00", nothing("avc")),
    ("AVC packet type that is not defined", "17 03 000000 65", nothing("avc")),
    ("AVC frame with nothing in it", "17 01 000000", nothing("avc")),
    ("AVC sequence header with nothing in it", "17 00 000000", nothing("avc")),
    ("AVC cut off in its composition time", "17 01 0000", None),
    ("AVC cut off after its first byte", "17", None),
    ("AVC command frame", "57 00", nothing("avc")),
    ("AVC command frame with bytes after it", "57 00 000000 65", nothing("avc")),
    ("HEVC by codec id 12: sequence header", "1c 00 000000 0101", header("hevc", 5)),
    ("HEVC by codec id 12: key frame", "1c 01 000000 26", key("hevc")),
    ("HEVC by codec id 12: inter frame", "2c 01 000000 02", inter("hevc")),
    ("HEVC by codec id 12: end", "1c 02 000000", nothing("hevc")),
    ("Sorenson key frame", "12 00", key("h263")),
    ("Sorenson inter frame", "22 00 00 84", inter("h263")),
    ("Sorenson command", "52 00", nothing("h263")),
    ("screen video", "13 00", key("screen")),
    ("VP6", "24 00", inter("vp6")),
    ("VP6 with alpha", "25 00", inter("vp6a")),
    ("screen video 2", "16 00", key("screen2")),
    ("codec id 15", "1f 00 00", key("unknown:15")),
    ("nothing", "", None),
    ("enhanced AVC header", "90 'avc1' 01640028", header("avc", 5)),
    ("enhanced AVC key frame", "91 'avc1' 000000 00000001", key("avc")),
    ("enhanced HEVC header", "90 'hvc1' 01010000", header("hevc", 5)),
    ("enhanced HEVC short header", "90 'hvc1' 01", header("hevc", 5)),
    ("enhanced HEVC header with nothing in it", "90 'hvc1'", nothing("hevc")),
    ("enhanced HEVC key frame", "91 'hvc1' 000042 00000001", key("hevc")),
    ("enhanced HEVC inter frame", "a1 'hvc1' 000042 00000001", inter("hevc")),
    ("enhanced HEVC frame with only its composition time", "91 'hvc1' 000042", nothing("hevc")),
    ("enhanced HEVC frame without composition time", "93 'hvc1' 00000001", key("hevc")),
    ("enhanced HEVC end of sequence", "92 'hvc1'", nothing("hevc")),
    ("enhanced HEVC end of sequence with bytes after it", "92 'hvc1' 00000000", nothing("hevc")),
    ("enhanced AV1 header", "90 'av01' 81000c00", header("av1", 5)),
    ("enhanced AV1 key frame", "91 'av01' 12", key("av1")),
    ("enhanced AV1 inter frame", "a1 'av01' 12000000", inter("av1")),
    ("AV1 header of a transport stream", "95 'av01' 8004 81000c00", header("av1", 7)),
    ("AV1 header of a transport stream, empty", "95 'av01' 8004", nothing("av1")),
    ("enhanced VP9 key frame", "91 'vp09' 82", key("vp9")),
    ("enhanced VP8 inter frame", "a1 'vp08' 82", inter("vp8")),
    ("enhanced VVC key frame", "91 'vvc1' 000000 00000001", key("vvc")),
    ("metadata", "94 'hvc1' 0200 09", nothing("hevc")),
    ("metadata whose frame type is to be ignored", "d4 'hvc1' 0200 09", nothing("hevc")),
    ("enhanced command", "d1 00", nothing("unknown:command")),
    ("enhanced command that looks like a frame", "d1 'hvc1' 000042 00000001", nothing("unknown:command")),
    ("packet type that is not defined", "98 'hvc1' 00", nothing("hevc")),
    ("unknown FourCC", "91 'xyz9' 00", key("unknown:xyz9")),
    ("unknown FourCC, header", "90 'xyz9' 00", header("unknown:xyz9", 5)),
    ("FourCC that is not text", "91 3c000aff 00", key("unknown:3c000aff")),
    ("FourCC that is markup", "91 '<b>a' 00", key("unknown:3c623e61")),
    ("enhanced, cut off in the FourCC", "91 'hvc'", None),
    ("enhanced, cut off after a byte", "91", None),
    ("nanosecond offset before a key frame", "97 02 0007a1 01 'hvc1' 000000 00", key("hevc")),
    ("nanosecond offset before a header", "97 02 0007a1 00 'av01' 81", header("av1", 10)),
    ("two offsets before a header", "97 02 0007a1 07 02 0007a1 00 'av01' 81", header("av1", 15)),
    ("long extension before a frame", "97 ff 00ff" + "00" * 256 + "01 'vp09' 82", key("vp9")),
    ("extension cut off", "97 10 00", None),
    ("extension cut off in its size", "97 ff", None),
    ("extension cut off after it", "97 00 00 01", None),
    ("extensions without end", "97" + "000007" * 100, None),
    ("one track", "96 01 'hvc1' 00 000000 00000001", VideoBody("hevc", False, False, False, is_multitrack=True)),
    ("many tracks", "96 11 'av01' 00 000001 12", VideoBody("av1", False, False, False, is_multitrack=True)),
    (
        "many tracks and codecs",
        "96 21 'av01' 00 000001 12",
        VideoBody("unknown:multitrack", False, False, False, is_multitrack=True),
    ),
    ("tracks cut off", "96 01 'hv'", None),
    ("tracks cut off before their kind", "96", None),
    ("tracks behind an extension, cut off", "97 00 00 06", None),
]


@pytest.mark.parametrize(("_case", "wire", "says"), VIDEO, ids=[row[0] for row in VIDEO])
def test_video_body_is(_case: str, wire: str, says: VideoBody | None) -> None:
    raw = body_from(wire)
    assert video_body(raw) == says
    assert video_body(memoryview(raw)) == says
    assert video_body(bytearray(raw)) == says


def sound(codec: str, sample_rate: int | None = None, channels: int | None = None) -> AudioBody:
    return AudioBody(codec, False, True, sample_rate=sample_rate, channels=channels)


def silence(codec: str) -> AudioBody:
    return AudioBody(codec, False, False)


AUDIO: list[tuple[str, str, AudioBody | None]] = [
    ("AAC sequence header", "af 00 1210", AudioBody("aac", True, False, config_at=2)),
    ("AAC frame", "af 01 21", sound("aac")),
    ("AAC frame with other flags", "ae 01 21", sound("aac")),
    ("AAC frame with nothing in it", "af 01", silence("aac")),
    ("AAC sequence header with nothing in it", "af 00", silence("aac")),
    ("AAC packet type that is not defined", "af 02 00", silence("aac")),
    ("AAC cut off", "af", None),
    ("MP3", "2f fffb", sound("mp3", 44100, 2)),
    ("MP3, 22 kHz mono", "2a fffb", sound("mp3", 22050, 1)),
    ("MP3 at 8 kHz", "ee fffb", sound("mp3", 8000, 1)),
    ("Speex", "b2 00", sound("speex", 16000, 1)),
    ("PCM", "3d 00", sound("pcm", 44100, 2)),
    ("ADPCM", "16 00", sound("adpcm", 11025, 1)),
    ("Nellymoser at 16 kHz", "42 00", sound("nellymoser", 16000, 1)),
    ("G.711 A-law", "72 d5", sound("g711a", 8000, 1)),
    ("G.711 mu-law, stereo", "83 d5", sound("g711u", 8000, 2)),
    ("format 12", "cf 00", sound("unknown:12", 44100, 2)),
    ("silence", "", None),
    ("enhanced AAC header", "90 'mp4a' 1210", AudioBody("aac", True, False, config_at=5)),
    ("enhanced AAC frame", "91 'mp4a' 21", sound("aac")),
    ("enhanced Opus header", "90 'Opus' 'OpusHead'", AudioBody("opus", True, False, config_at=5)),
    ("enhanced Opus frame", "91 'Opus' fc", sound("opus")),
    ("enhanced MP3", "91 '.mp3' ff", sound("mp3")),
    ("enhanced FLAC", "91 'fLaC' ff", sound("flac")),
    ("enhanced AC-3", "91 'ac-3' 0b", sound("ac3")),
    ("enhanced E-AC-3", "91 'ec-3' 0b", sound("eac3")),
    ("enhanced end", "92 'mp4a'", silence("aac")),
    ("enhanced frame with nothing in it", "91 'mp4a'", silence("aac")),
    ("channel layout", "94 'Opus' 0102 00000003", silence("opus")),
    ("unknown FourCC", "91 'zzzz' 00", sound("unknown:zzzz")),
    ("enhanced, cut off", "91 'mp4'", None),
    ("nanosecond offset before a header", "97 02 0007a1 00 'mp4a' 1210", AudioBody("aac", True, False, config_at=10)),
    ("extensions without end", "97" + "000007" * 100, None),
    ("one track", "95 01 'Opus' 00 fc", AudioBody("opus", False, False, is_multitrack=True)),
    ("tracks cut off", "95 01", None),
    (
        "many tracks and codecs",
        "95 21 00",
        AudioBody("unknown:multitrack", False, False, is_multitrack=True),
    ),
]


@pytest.mark.parametrize(("_case", "wire", "says"), AUDIO, ids=[row[0] for row in AUDIO])
def test_audio_body_is(_case: str, wire: str, says: AudioBody | None) -> None:
    raw = body_from(wire)
    assert audio_body(raw) == says
    assert audio_body(memoryview(raw)) == says


@pytest.mark.parametrize("wire", ["17 01 000000 65", "1c 01 000000 26", "91 'hvc1' 000000 00000001"])
def test_usual_video_makes_no_new_object(wire: str) -> None:
    raw = body_from(wire)
    assert video_body(raw) is video_body(raw + b"more")


@pytest.mark.parametrize("wire", ["af 01 21", "2f fffb", "91 'Opus' fc"])
def test_usual_audio_makes_no_new_object(wire: str) -> None:
    raw = body_from(wire)
    assert audio_body(raw) is audio_body(raw + b"more")


def test_extensions_are_followed_only_so_far() -> None:
    extension, frame = b"\x00\x00\x07", b"\x00\x00\x01vp09\x82"
    assert video_body(b"\x97" + 6 * extension + frame) == key("vp9")
    assert video_body(b"\x97" + 7 * extension + frame) is None


FIRST_BYTES = st.sampled_from([bytes([first]) for first in range(256)])
FOURCCS = st.sampled_from([b"", b"hvc1", b"avc1", b"av01", b"vp09", b"mp4a", b"Opus", b"????"])


@settings(max_examples=500)
@given(st.builds(lambda *parts: b"".join(parts), FIRST_BYTES, FOURCCS, st.binary(max_size=12)) | st.binary(max_size=3))
def test_any_bytes_are_something_or_none(raw: bytes) -> None:
    video, audio = video_body(raw), audio_body(raw)
    for body in (video, audio):
        if body is not None:
            assert body.codec.isprintable()
            # Setup is never empty, and nothing is a frame and setup at once.
            assert not (body.is_header and body.is_frame)
            assert (0 < body.config_at < len(raw)) is body.is_header
    assert video is None or video.is_frame or not video.is_key


# (case, body, where its data starts, CompositionTime)
PICTURES = [
    ("AVC", "17 01 000042 00000001 65", 5, 0x42),
    ("AVC shown before it is decoded", "27 01 ffffd8 00000001", 5, -40),
    ("HEVC by codec id 12", "1c 01 000028 26", 5, 40),
    ("Sorenson", "12 00", 1, 0),
    ("Enhanced HEVC", "91 'hvc1' 000042 26", 8, 0x42),
    ("Enhanced HEVC without a composition time", "93 'hvc1' 26", 5, 0),
    ("Enhanced AV1", "91 'av01' 0a", 5, 0),
    ("Enhanced AVC behind a ModEx", "97 02 000000 01 'avc1' fffff6 00", 13, -10),
]


@pytest.mark.parametrize(("_case", "text", "at", "composition"), PICTURES, ids=[row[0] for row in PICTURES])
def test_a_pictures_data_starts_at(_case: str, text: str, at: int, composition: int) -> None:
    payload = body_from(text)
    body = video_body(payload)
    assert body is not None
    assert body.is_frame
    assert coded_picture(payload, body.codec) == (at, composition)
    assert coded_picture(memoryview(payload), body.codec) == (at, composition)


@pytest.mark.parametrize(
    ("text", "at"),
    [("af 01 21", 2), ("2f fffb9044", 1), ("91 'mp4a' 21", 5), ("91 '.mp3' ff", 5), ("97 02 000000 01 'mp4a' 21", 10)],
    ids=["AAC", "MP3", "Enhanced AAC", "Enhanced MP3", "Enhanced AAC behind a ModEx"],
)
def test_a_sounds_data_starts_at(text: str, at: int) -> None:
    payload = body_from(text)
    body = audio_body(payload)
    assert body is not None
    assert body.is_frame
    assert coded_sound(payload) == at
