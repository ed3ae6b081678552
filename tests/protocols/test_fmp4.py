"""Fragmented MP4: every box by an independent reader, bytes where they are fixed, and libav's own view."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable
from pathlib import Path

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.protocols.codecs.parse import parse_audio_config, parse_video_config
from penstock.protocols.flv import AUDIO, VIDEO, TagReader
from penstock.protocols.flvbody import audio_body, coded_picture, coded_sound, video_body
from penstock.protocols.fmp4 import AudioTrack, Run, Sample, VideoTrack, init_segment, media_segment
from tests.e2e.media import Samples
from tests.protocols.boxes import Box, ReadRun, ReadSample, read, read_segment
from tests.protocols.codecs.tools import captures

AVC = VideoTrack("avc", 640, 360, bytes.fromhex(captures("avc")["avc_main"]["hex"]))
HEVC = VideoTrack("hevc", 320, 180, b"\x01hvcC")
AV1 = VideoTrack("av1", 320, 180, b"\x81av1C")
AAC = AudioTrack("aac", 44100, 2, bytes.fromhex("1210"))
MP3 = AudioTrack("mp3", 48000, 1)


# The init segment


def tracks_of(init: bytes) -> list[Box]:
    file = read(init)
    assert [box.kind for box in file.boxes] == ["ftyp", "moov"]
    moov = file.one("moov")
    traks = moov.all("trak")
    assert [box.kind for box in moov.boxes] == ["mvhd", *["trak"] * len(traks), "mvex"]
    return traks


def test_the_file_says_which_brands_it_keeps_to() -> None:
    assert init_segment([AAC]).startswith(
        bytes.fromhex("0000001c66747970 69736f36 00000000 69736f36 69736f35 6d703431")
    )


def test_the_movie_has_no_length_and_knows_the_next_tracks_number() -> None:
    mvhd = read(init_segment([AVC, AAC])).one("moov/mvhd")
    assert len(mvhd.fields) == 100
    assert mvhd.numbers("4I", 4) == (0, 0, 1000, 0)
    assert mvhd.numbers("IH", 20) == (0x10000, 0x100)
    assert mvhd.numbers("9I", 36) == (0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    assert mvhd.numbers("I", 96) == (3,)


def test_tracks_are_numbered_and_each_has_its_defaults() -> None:
    init = init_segment([AVC, AAC])
    headers = [trak.one("tkhd") for trak in tracks_of(init)]
    assert [header.flags for header in headers] == [7, 7]
    assert [header.numbers("I", 12)[0] for header in headers] == [1, 2]
    assert [header.numbers("2H", 34)[0] for header in headers] == [0, 1]  # sound may be exchanged for other sound
    assert [header.numbers("H", 36)[0] for header in headers] == [0, 0x100]
    assert [header.numbers("2I", 76) for header in headers] == [(640 << 16, 360 << 16), (0, 0)]
    assert all(len(header.fields) == 84 for header in headers)
    trexes = read(init).all("moov/mvex/trex")
    assert [trex.numbers("5I", 4) for trex in trexes] == [(1, 1, 0, 0, 0), (2, 1, 0, 0, 0)]


def test_media_is_described() -> None:
    video, audio = tracks_of(init_segment([AVC, AAC]))
    assert video.one("mdia/mdhd").numbers("4I2H", 4) == (0, 0, 90_000, 0, 0x55C4, 0)
    assert audio.one("mdia/mdhd").numbers("4I2H", 4) == (0, 0, 44_100, 0, 0x55C4, 0)
    assert video.one("mdia/hdlr").fields == bytes(8) + b"vide" + bytes(12) + b"video\0"
    assert audio.one("mdia/hdlr").fields == bytes(8) + b"soun" + bytes(12) + b"sound\0"
    assert video.one("mdia/minf/vmhd").fields == bytes.fromhex("00000001") + bytes(8)
    assert audio.one("mdia/minf/smhd").fields == bytes(8)
    for trak in (video, audio):
        assert trak.one("mdia/minf/dinf/dref").fields == bytes.fromhex("00000000 00000001")
        assert trak.one("mdia/minf/dinf/dref/url ").fields == bytes.fromhex("00000001")
        stbl = trak.one("mdia/minf/stbl")
        assert [box.kind for box in stbl.boxes] == ["stsd", "stts", "stsc", "stsz", "stco"]
        assert [len(box.fields) for box in stbl.boxes] == [8, 8, 8, 12, 8]
        assert not any(any(box.fields) for box in stbl.boxes[1:])


@pytest.mark.parametrize(
    ("track", "entry", "config"),
    [(AVC, "avc1", "avcC"), (HEVC, "hvc1", "hvcC"), (AV1, "av01", "av1C")],
    ids=["avc", "hevc", "av1"],
)
def test_a_video_entry_holds_the_record_unchanged(track: VideoTrack, entry: str, config: str) -> None:
    (trak,) = tracks_of(init_segment([track]))
    box = trak.one(f"mdia/minf/stbl/stsd/{entry}")
    assert box.fields[:24] == bytes(6) + b"\0\1" + bytes(16)
    assert box.numbers("2H2I", 24) == (track.width, track.height, 0x480000, 0x480000)
    assert box.numbers("IH", 36) == (0, 1)
    assert box.fields[42:74] == bytes(32)
    assert box.numbers("Hh", 74) == (24, -1)
    assert box.one(config).fields == track.record


def test_an_aac_entry_has_the_decoders_setup_in_its_descriptor() -> None:
    (trak,) = tracks_of(init_segment([AAC]))
    box = trak.one("mdia/minf/stbl/stsd/mp4a")
    assert box.fields == bytes.fromhex("000000000000 0001 0000000000000000 0002 0010 00000000 ac440000")
    assert box.one("esds").fields == bytes.fromhex(
        "00000000"
        "03808080 22 0000 00"  # the elementary stream
        "04808080 14 40 15 000000 00000000 00000000"  # AAC, an audio stream
        "05808080 02 1210"
        "06808080 01 02"
    )


def test_an_mp3_entry_needs_no_setup() -> None:
    (trak,) = tracks_of(init_segment([MP3]))
    box = trak.one("mdia/minf/stbl/stsd/mp4a")
    assert box.numbers("2H4xI", 16) == (1, 16, 48_000 << 16)
    assert box.one("esds").fields == bytes.fromhex(
        "00000000 03808080 1b 0000 00 04808080 0d 6b 15 000000 00000000 00000000 06808080 01 02"
    )


def test_a_rate_beyond_16_bits_is_left_to_the_decoders_setup() -> None:
    (trak,) = tracks_of(init_segment([AudioTrack("aac", 96_000, 2, bytes.fromhex("1010"))]))
    assert trak.one("mdia/mdhd").numbers("I", 12) == (96_000,)
    assert trak.one("mdia/minf/stbl/stsd/mp4a").numbers("I", 24) == (0,)


# A media segment

PICTURES = [Sample(b"key", 3600, composition=7200), Sample(b"later", 3600, False, 0), Sample(b"", 1, False, -90)]
SOUNDS = [Sample(b"one", 1024), Sample(memoryview(b"two!"), 1023)]


def test_samples_are_told_one_by_one_and_their_bytes_are_found() -> None:
    runs = [Run(1, True, 1 << 40, PICTURES), Run(2, False, 7, SOUNDS)]
    assert read_segment(media_segment(9, runs)) == [
        ReadRun(
            1,
            1 << 40,
            [
                ReadSample(b"key", 3600, 0x02000000, 7200),
                ReadSample(b"later", 3600, 0x01010000, 0),
                ReadSample(b"", 1, 0x01010000, -90),
            ],
        ),
        ReadRun(2, 7, [ReadSample(b"one", 1024, 0x02000000, 0), ReadSample(b"two!", 1023, 0x02000000, 0)]),
    ]


def test_fragments_are_numbered_in_32_bits() -> None:
    for number, wire in ((1, 1), (2**32 + 5, 5)):
        assert read(media_segment(number, [Run(1, False, 0, SOUNDS)])).one("moof/mfhd").numbers("I", 4) == (wire,)


def test_a_segment_of_one_sound_is_these_bytes() -> None:
    assert media_segment(1, [Run(1, False, 2048, [Sample(b"\xaa\xbb", 1024)])]) == bytes.fromhex(
        "00000064 6d6f6f66"
        "00000010 6d666864 00000000 00000001"
        "0000004c 74726166"
        "00000014 74666864 00020020 00000001 02000000"
        "00000014 74666474 01000000 0000000000000800"
        "0000001c 7472756e 01000301 00000001 0000006c 00000400 00000002"
        "0000000a 6d646174 aabb"
    )


samples = st.builds(
    Sample,
    data=st.binary(max_size=40),
    duration=st.integers(0, 2**32 - 1),
    is_key=st.booleans(),
    composition=st.integers(-(2**31), 2**31 - 1),
)
video_runs = st.builds(
    Run, track_id=st.just(1), is_video=st.just(True), decode_time=st.integers(0, 2**64 - 1), samples=st.lists(samples)
)


@settings(max_examples=100)
@given(video_runs, st.integers(0, 2**40))
def test_any_samples_come_back(run: Run, number: int) -> None:
    (got,) = read_segment(media_segment(number, [run]))
    assert (got.track_id, got.decode_time) == (run.track_id, run.decode_time)
    assert [(s.data, s.duration, s.flags == 0x02000000, s.composition) for s in got.samples] == [
        (s.data, s.duration, s.is_key, s.composition) for s in run.samples
    ]


# libav reads what was written, and finds the source's own packets


def packed(path: Path, per_segment: int) -> bytes:
    """An .flv of the samples as an init segment and fragments of so many packets of each track."""
    tags = TagReader().receive(path.read_bytes())
    pictures, sounds, video, audio = [], [], None, None
    for tag in tags:
        if tag.kind == VIDEO and (body := video_body(tag.payload)):
            if body.is_header:
                record = tag.payload[body.config_at :]
                setup = parse_video_config(body.codec, record)
                video = VideoTrack(body.codec, setup.width, setup.height, record)
            elif body.is_frame:
                at, composition_ms = coded_picture(tag.payload, body.codec)
                pictures.append((tag.dts_ms, Sample(tag.payload[at:], 3600, body.is_key, composition_ms * 90)))
        elif tag.kind == AUDIO and (sound := audio_body(tag.payload)):
            if sound.is_header:
                record = tag.payload[sound.config_at :]
                heard = parse_audio_config("aac", record)
                audio = AudioTrack("aac", heard.sample_rate, heard.channels, record)
            elif sound.is_frame:
                sounds.append((tag.dts_ms, Sample(tag.payload[coded_sound(tag.payload) :], 1024)))
    tracks = [track for track in (video, audio) if track]
    out = init_segment(tracks)
    batches = itertools.zip_longest(_batches(pictures, per_segment), _batches(sounds, per_segment))
    for number, found in enumerate(batches):
        runs = []
        for is_video, batch in zip((True, False), found, strict=True):
            if batch:
                track = video if is_video else audio
                assert track is not None
                decode_time = batch[0][0] * track.timescale // 1000
                runs.append(Run(tracks.index(track) + 1, is_video, decode_time, [sample for _, sample in batch]))
        out += media_segment(number, runs)
    return out


def _batches(rows: list[tuple[int, Sample]], size: int) -> Iterable[list[tuple[int, Sample]]]:
    return [rows[at : at + size] for at in range(0, len(rows), size)]


def packets(source: str | io.BytesIO) -> dict[str, list[tuple[bytes, bool, float]]]:
    """By track: each packet's data, key flag, and how long after its decoding it is shown."""
    found: dict[str, list[tuple[bytes, bool, float]]] = {}
    with av.open(source, "r") as container:
        for packet in container.demux():
            if packet.dts is not None and packet.pts is not None:
                delay = round(float((packet.pts - packet.dts) * packet.time_base), 3)
                found.setdefault(packet.stream.type, []).append((bytes(packet), packet.is_keyframe, delay))
    return found


@pytest.mark.parametrize("sample", ["h264", "b_frames", "hevc", "av1", "audio_only", "video_only"])
def test_libav_finds_the_sources_packets(sample: str) -> None:
    path: Path = getattr(Samples(), sample)
    source = packets(str(path))
    assert packets(io.BytesIO(packed(path, per_segment=50))) == source
    assert set(source) == {"audio_only": {"audio"}, "video_only": {"video"}}.get(sample, {"audio", "video"})
