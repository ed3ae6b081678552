"""Packets as samples: pictures to the millisecond, sounds by the sample."""

from __future__ import annotations

import pytest

from penstock.engine.tracks import AudioLine, VideoLine
from penstock.model import Kind, MediaPacket
from penstock.protocols.fmp4 import AudioTrack, VideoTrack
from tests.engine.kit import AVC_RECORD, audio, audio_header, inter, key, packet, video_header

LATEST_MS = 10**9
MP3_FRAME = bytes.fromhex("fffb9444") + b"mp3"  # 48 kHz, two channels


def video_line() -> VideoLine:
    line = VideoLine()
    line.track = line.setup(video_header())
    assert line.track == VideoTrack("avc", 640, 360, AVC_RECORD)
    return line


def audio_line(record: str = "1210") -> AudioLine:
    line = AudioLine()
    found = line.setup(audio_header(record=bytes.fromhex(record)))
    assert found is not None
    line.use(*found)
    return line


# Pictures


def test_a_picture_lasts_until_the_next_one() -> None:
    line = video_line()
    for frame in (key(1000, b"k"), inter(1033, b"a"), inter(1067, b"b")):
        assert line.carries(frame)
        line.add(frame)
    run = line.cut(1, 1100, LATEST_MS)
    assert (run.track_id, run.decode_time) == (1, 90_000)
    assert [(bytes(s.data), s.duration, s.is_key, s.composition) for s in run.samples] == [
        (b"k", 33 * 90, True, 0),
        (b"a", 34 * 90, False, 0),
        (b"b", 33 * 90, False, 0),
    ]
    assert line.samples == []


def test_a_picture_shown_later_or_earlier_than_it_is_decoded_says_so() -> None:
    line = video_line()
    line.add(packet(Kind.VIDEO, 0, bytes.fromhex("1701000050") + b"k", is_key=True))
    line.add(packet(Kind.VIDEO, 40, bytes.fromhex("2701ffffd8") + b"b"))
    assert [sample.composition for sample in line.samples] == [80 * 90, -40 * 90]


def test_time_goes_up_though_packets_do_not() -> None:
    line = video_line()
    for dts_ms in (1000, 1000, 990, 1040):
        line.add(inter(dts_ms))
    run = line.cut(1, 1080, LATEST_MS)
    assert [sample.duration for sample in run.samples] == [1, 1, 3598, 3600]
    # What a picture is shown at is still its own time.
    assert [sample.composition for sample in run.samples] == [0, -1, -902, 0]


def test_the_last_picture_of_all_stays_as_long_as_the_one_before() -> None:
    line = video_line()
    line.add(key(0))
    assert line.cut(1, None, LATEST_MS).samples[-1].duration == 40 * 90
    line.add(key(100))
    line.add(inter(120))
    assert line.cut(1, None, LATEST_MS).samples[-1].duration == 20 * 90
    line.add(key(1000))
    assert line.cut(1, 9000, 3000).samples[-1].duration == 2000 * 90


def test_data_of_enhanced_rtmp_starts_behind_its_own_head() -> None:
    line = VideoLine()
    line.track = VideoTrack("hevc", 2, 2, b"")
    frame = packet(Kind.VIDEO, 0, b"\x91hvc1\x00\x00\x28data", is_key=True)
    assert line.carries(frame)
    line.add(frame)
    assert (bytes(line.samples[0].data), line.samples[0].composition) == (b"data", 40 * 90)


@pytest.mark.parametrize(
    "header",
    [
        packet(Kind.VIDEO, 0, b"\x17\0\0\0\0broken", is_header=True),
        packet(Kind.VIDEO, 0, b"\x90vp09\0\0", is_header=True),
        video_header(record=AVC_RECORD + bytes(70_000)),
        packet(Kind.VIDEO, 0, b"\x17", is_header=True),
    ],
    ids=["a broken record", "a codec that HLS does not carry", "a record of 70 kB", "half a header"],
)
def test_what_cannot_be_carried_is_no_track(header: MediaPacket) -> None:
    assert VideoLine().setup(header) is None


def test_frames_of_another_codec_are_not_carried() -> None:
    line = video_line()
    assert not line.carries(packet(Kind.VIDEO, 0, b"\x12\x00", is_key=True))
    assert not line.carries(packet(Kind.VIDEO, 0, b"\x17\x02\0\0\0"))
    assert not VideoLine().carries(key(0))


# Sounds


def test_frames_of_sound_follow_each_other_by_the_sample() -> None:
    line = audio_line()
    # 1024 samples at 44.1 kHz are 23.22 ms; RTMP's milliseconds are rounded, this way and that.
    for number in range(1000):
        line.add(audio(number * 1024 * 1000 // 44_100 + (number % 3 == 0)))
    run = line.cut(2)
    assert {sample.duration for sample in run.samples} == {1024}
    assert run.decode_time == 44  # 1 ms
    line.add(audio(1000 * 1024 * 1000 // 44_100))
    assert line.cut(2).decode_time == 44 + 1000 * 1024


def test_a_missing_frame_is_a_gap() -> None:
    line = audio_line("1190")  # 48 kHz: 21.3 ms
    for dts_ms in (0, 21, 64, 85):
        line.add(audio(dts_ms))
    assert [sample.duration for sample in line.samples] == [1024, 2048, 1024, 1024]


def test_a_clock_that_steps_back_shortens_the_frame_before_it() -> None:
    line = audio_line("1190")
    for dts_ms in (1000, 1021, 1000, 900):
        line.add(audio(dts_ms))
    assert all(sample.duration >= 1 for sample in line.samples)
    run = line.cut(2)
    assert run.decode_time == 48_000
    line.add(audio(900))
    assert line.cut(2).decode_time >= run.decode_time + sum(sample.duration for sample in run.samples[:-1])


@pytest.mark.parametrize(("record", "samples"), [("1190", 1024), ("2b920800", 2048), ("1194", 960)])
def test_a_frame_is_as_long_as_its_setup_says(record: str, samples: int) -> None:
    line = audio_line(record)
    line.add(audio(0))
    assert line.cut(1).samples[0].duration == samples


def test_mp3_says_what_it_is_in_every_frame() -> None:
    line = AudioLine()
    frame = packet(Kind.AUDIO, 0, b"\x2f" + MP3_FRAME)
    assert line.is_setup_by_frames(frame)
    assert line.setup(frame) == (AudioTrack("mp3", 48_000, 2), 1152)
    line.use(AudioTrack("mp3", 48_000, 2), 1152)
    line.add(frame)
    (sample,) = line.cut(1).samples
    assert (bytes(sample.data), sample.duration) == (MP3_FRAME, 1152)
    assert not line.is_setup_by_frames(audio(0))


@pytest.mark.parametrize(
    "header",
    [
        packet(Kind.AUDIO, 0, b"\x90Opus", is_header=True),
        packet(Kind.AUDIO, 0, b"\x2fno header"),
        audio_header(record=b""),
        audio_header(record=bytes.fromhex("1780003e900000")),  # 125 Hz
        audio_header(record=bytes.fromhex("1190") + bytes(70_000)),
    ],
    ids=["Opus", "MP3 without its header", "an empty record", "a rate of 125 Hz", "a record of 70 kB"],
)
def test_sound_that_cannot_be_carried_is_no_track(header: MediaPacket) -> None:
    assert AudioLine().setup(header) is None
