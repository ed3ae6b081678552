from __future__ import annotations

import pytest

from penstock.engine.facts import Facts
from penstock.link.messages import AudioFacts, VideoFacts
from penstock.protocols.flvbody import audio_body, video_body
from tests.engine.kit import AAC_HEADER, AVC_HEADER
from tests.engine.kit import audio_body as sound
from tests.engine.kit import inter_body as picture

START_S = 1000.0


@pytest.fixture
def facts() -> Facts:
    return Facts(START_S)


def see_video(facts: Facts, payload: bytes) -> None:
    body = video_body(payload)
    assert body is not None
    facts.see_video(body, memoryview(payload))


def see_audio(facts: Facts, payload: bytes) -> None:
    body = audio_body(payload)
    assert body is not None
    facts.see_audio(body, memoryview(payload))


def video_of(facts: Facts) -> VideoFacts:
    video = facts.video()
    assert video is not None
    return video


def audio_of(facts: Facts) -> AudioFacts:
    audio = facts.audio()
    assert audio is not None
    return audio


def play(facts: Facts, seconds: int, *, fps: int, from_s: float = START_S, video: int = 0, audio: int = 0) -> float:
    """Count `seconds` of media, with bytes a second, and look once a second; return the time then."""
    for _ in range(seconds):
        facts.video_frames += fps
        facts.video_bytes += video
        facts.audio_bytes += audio
        from_s += 1
        facts.sample(from_s)
    return from_s


# Setup


def test_nothing_is_said_of_a_track_that_was_not_seen(facts: Facts) -> None:
    assert facts.video() is None
    assert facts.audio() is None
    assert facts.bitrate_kbps() == 0.0


def test_the_setup_record_tells_codec_profile_and_size(facts: Facts) -> None:
    see_video(facts, AVC_HEADER)
    video = video_of(facts)
    assert (video.codec, video.profile, video.level) == ("avc", "Main", "3.0")
    assert (video.width, video.height, video.declared_fps) == (640, 360, 30.0)


def test_the_audio_record_tells_profile_rate_and_channels(facts: Facts) -> None:
    see_audio(facts, AAC_HEADER)
    audio = audio_of(facts)
    assert (audio.codec, audio.profile, audio.sample_rate, audio.channels) == ("aac", "LC", 48000, 2)


def test_sound_without_a_record_is_described_by_its_tags(facts: Facts) -> None:
    see_audio(facts, b"\x2f\xff\xfb")  # MP3, 44.1 kHz, two channels
    audio = audio_of(facts)
    assert (audio.codec, audio.profile, audio.sample_rate, audio.channels) == ("mp3", "", 44100, 2)


@pytest.mark.parametrize("record", [b"", b"\x01", b"\x01\x64\x00\x28\xff\xe1\xff\xff", bytes(40)])
def test_a_broken_video_setup_leaves_the_codec_and_no_guess(facts: Facts, record: bytes) -> None:
    see_video(facts, bytes.fromhex("1700000000") + record + b"\x00")
    video = video_of(facts)
    assert (video.codec, video.width, video.profile, video.declared_fps) == ("avc", None, "", None)


def test_a_broken_setup_replaces_a_good_one(facts: Facts) -> None:
    see_video(facts, AVC_HEADER)
    see_video(facts, bytes.fromhex("1700000000") + b"\xff\xff")
    assert video_of(facts).width is None


def test_a_broken_audio_setup_leaves_the_codec_and_no_guess(facts: Facts) -> None:
    see_audio(facts, b"\xaf\x00\xff\xff\xff\xff")
    audio = audio_of(facts)
    assert (audio.codec, audio.profile, audio.sample_rate) == ("aac", "", None)


def test_a_codec_that_nobody_knows_is_named_and_tolerated(facts: Facts) -> None:
    see_video(facts, b"\x90zzzz" + bytes(20))
    assert video_of(facts).codec == "unknown:zzzz"


def test_frames_alone_tell_the_codec(facts: Facts) -> None:
    see_video(facts, picture())
    see_audio(facts, sound())
    assert video_of(facts).codec == "avc"
    assert audio_of(facts).codec == "aac"


# Frame rates and loss


def test_the_real_rate_is_counted_and_the_declared_one_is_shown_beside_it(facts: Facts) -> None:
    see_video(facts, AVC_HEADER)
    facts.see_metadata({"framerate": 25.0})
    play(facts, 5, fps=20)
    video = video_of(facts)
    assert (video.declared_fps, video.fps, video.frame_loss_percent) == (25.0, 20.0, 20.0)


def test_the_publishers_declaration_goes_before_the_records(facts: Facts) -> None:
    see_video(facts, AVC_HEADER)
    assert video_of(facts).declared_fps == 30.0
    facts.see_metadata({"framerate": 25.0})
    assert video_of(facts).declared_fps == 25.0


def test_with_nothing_declared_there_is_no_loss_to_tell(facts: Facts) -> None:
    see_video(facts, picture())
    play(facts, 3, fps=25)
    video = video_of(facts)
    assert (video.fps, video.declared_fps, video.frame_loss_percent) == (25.0, None, None)


def test_before_anything_was_measured_there_is_no_loss_to_tell(facts: Facts) -> None:
    see_video(facts, AVC_HEADER)
    assert (video_of(facts).fps, video_of(facts).frame_loss_percent) == (0.0, None)


def test_more_frames_than_declared_are_no_negative_loss(facts: Facts) -> None:
    see_video(facts, AVC_HEADER)
    play(facts, 3, fps=60)
    assert video_of(facts).frame_loss_percent == 0.0


@pytest.mark.parametrize(
    "metadata",
    [
        {"framerate": 0.0},
        {"framerate": -25.0},
        {"framerate": float("nan")},
        {"framerate": float("inf")},
        {"framerate": 1e9},
        {"framerate": "25"},
        {"framerate": True},
        {"framerate": [25.0]},
        {"framerate": None},
        {},
    ],
)
def test_what_cannot_be_a_frame_rate_is_none(facts: Facts, metadata: dict[str, object]) -> None:
    see_video(facts, picture())
    facts.see_metadata(metadata)
    play(facts, 2, fps=25)
    assert video_of(facts).declared_fps is None


def test_the_other_name_of_the_frame_rate_is_understood(facts: Facts) -> None:
    see_video(facts, picture())
    facts.see_metadata({"videoframerate": 24.0})
    assert video_of(facts).declared_fps == 24.0


def test_a_stall_shows_within_the_window(facts: Facts) -> None:
    see_video(facts, AVC_HEADER)
    at_s = play(facts, 20, fps=30)
    assert video_of(facts).frame_loss_percent == 0.0
    play(facts, 5, fps=0, from_s=at_s)
    assert (video_of(facts).fps, video_of(facts).frame_loss_percent) == (0.0, 100.0)


# Bit rates


def test_bit_rates_are_those_of_the_last_seconds(facts: Facts) -> None:
    see_video(facts, AVC_HEADER)
    see_audio(facts, AAC_HEADER)
    at_s = play(facts, 30, fps=30, video=1_000_000, audio=16_000)
    play(facts, 5, fps=30, from_s=at_s, video=250_000, audio=12_000)
    assert video_of(facts).bitrate_kbps == 2000.0
    assert audio_of(facts).bitrate_kbps == 96.0
    assert facts.bitrate_kbps() == 2096.0


def test_the_first_second_already_has_a_rate(facts: Facts) -> None:
    see_video(facts, AVC_HEADER)
    play(facts, 1, fps=30, video=125_000)
    assert (video_of(facts).fps, video_of(facts).bitrate_kbps) == (30.0, 1000.0)


def test_rates_go_by_the_time_that_passed_not_by_the_number_of_looks(facts: Facts) -> None:
    see_video(facts, AVC_HEADER)
    facts.video_frames, facts.video_bytes = 60, 250_000
    facts.sample(START_S + 2.5)
    assert (video_of(facts).fps, video_of(facts).bitrate_kbps) == (24.0, 800.0)


def test_a_look_at_the_same_moment_divides_by_nothing(facts: Facts) -> None:
    see_video(facts, AVC_HEADER)
    facts.video_bytes = 1000
    facts.sample(START_S)
    assert facts.bitrate_kbps() == 0.0


def test_a_session_of_days_keeps_a_handful_of_samples(facts: Facts) -> None:
    play(facts, 2000, fps=30)
    assert len(facts._samples) <= 8


# Key frames


def test_the_key_interval_is_that_of_the_last_two_key_frames(facts: Facts) -> None:
    see_video(facts, AVC_HEADER)
    facts.see_key(0)
    assert video_of(facts).key_interval_ms is None
    facts.see_key(2000)
    assert video_of(facts).key_interval_ms == 2000
    facts.see_key(6000)
    assert video_of(facts).key_interval_ms == 4000


def test_key_frames_of_one_moment_or_in_disorder_are_no_interval(facts: Facts) -> None:
    see_video(facts, AVC_HEADER)
    for dts_ms in (0, 2000, 2000, 1990):
        facts.see_key(dts_ms)
    assert video_of(facts).key_interval_ms == 2000
