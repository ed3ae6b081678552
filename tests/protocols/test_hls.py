"""Playlists, line by line, and what codecs are called in them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from msgspec import structs

from penstock.protocols.fmp4 import AudioTrack, VideoTrack
from penstock.protocols.hls import (
    LowLatency,
    PartPiece,
    Piece,
    codec_name,
    media_playlist,
    multivariant_playlist,
    target_duration,
)
from tests.protocols.codecs.tools import captures

AT = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)


def piece(number: int, init: int = 7, *, at_s: float = 0.0, length_s: float = 2.0, broken: bool = False) -> Piece:
    return Piece(number, init, length_s, AT + timedelta(seconds=at_s), broken)


def lines(*pieces: Piece, dsn: int = 0, ended: bool = False) -> list[str]:
    text = media_playlist(pieces, target_duration=4, discontinuity_sequence=dsn, is_ended=ended)
    assert text.endswith("\n")
    return text.splitlines()


def test_a_playlist_is_these_lines() -> None:
    assert lines(piece(7), piece(8, at_s=2, length_s=1.96)) == [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        "#EXT-X-TARGETDURATION:4",
        "#EXT-X-MEDIA-SEQUENCE:7",
        "#EXT-X-DISCONTINUITY-SEQUENCE:0",
        '#EXT-X-MAP:URI="init-7.mp4"',
        "#EXT-X-PROGRAM-DATE-TIME:2026-03-01T12:00:00.250Z",
        "#EXTINF:2.000,",
        "7.m4s",
        "#EXTINF:1.960,",
        "8.m4s",
    ]


def test_a_discontinuity_is_told_with_its_own_time_and_setup() -> None:
    assert lines(piece(7), piece(8, 8, at_s=60, broken=True), piece(9, 8, at_s=62))[5:] == [
        '#EXT-X-MAP:URI="init-7.mp4"',
        "#EXT-X-PROGRAM-DATE-TIME:2026-03-01T12:00:00.250Z",
        "#EXTINF:2.000,",
        "7.m4s",
        "#EXT-X-DISCONTINUITY",
        '#EXT-X-MAP:URI="init-8.mp4"',
        "#EXT-X-PROGRAM-DATE-TIME:2026-03-01T12:01:00.250Z",
        "#EXTINF:2.000,",
        "8.m4s",
        "#EXTINF:2.000,",
        "9.m4s",
    ]


def test_a_discontinuity_at_the_front_is_in_the_number_alone() -> None:
    found = lines(piece(8, 8, broken=True), piece(9, 8), dsn=3)
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:3" in found
    assert "#EXT-X-DISCONTINUITY" not in found


def test_the_end_is_told_last() -> None:
    assert lines(piece(7), ended=True)[-2:] == ["7.m4s", "#EXT-X-ENDLIST"]
    assert "#EXT-X-ENDLIST" not in lines(piece(7))


# With low latency


def with_parts(number: int, *lengths: float, init: int = 7, broken: bool = False) -> Piece:
    parts = tuple(PartPiece(length, not index) for index, length in enumerate(lengths))
    return structs.replace(piece(number, init, broken=broken), parts=parts)


def low_latency_lines(*pieces: Piece, under_way: Piece | None, hint: str, ended: bool = False) -> list[str]:
    text = media_playlist(
        pieces,
        target_duration=4,
        discontinuity_sequence=0,
        is_ended=ended,
        low_latency=LowLatency(0.5, under_way, hint),
    )
    return text.splitlines()


def test_a_playlist_with_parts_is_these_lines() -> None:
    found = low_latency_lines(
        piece(7),
        with_parts(8, 0.5, 0.5, 0.48),
        under_way=with_parts(9, 0.48),
        hint="9.1.m4s",
    )
    assert found == [
        "#EXTM3U",
        "#EXT-X-VERSION:9",
        "#EXT-X-TARGETDURATION:4",
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.500",
        "#EXT-X-PART-INF:PART-TARGET=0.500",
        "#EXT-X-MEDIA-SEQUENCE:7",
        "#EXT-X-DISCONTINUITY-SEQUENCE:0",
        '#EXT-X-MAP:URI="init-7.mp4"',
        "#EXT-X-PROGRAM-DATE-TIME:2026-03-01T12:00:00.250Z",
        "#EXTINF:2.000,",
        "7.m4s",
        '#EXT-X-PART:DURATION=0.500,URI="8.0.m4s",INDEPENDENT=YES',
        '#EXT-X-PART:DURATION=0.500,URI="8.1.m4s"',
        '#EXT-X-PART:DURATION=0.480,URI="8.2.m4s"',
        "#EXTINF:2.000,",
        "8.m4s",
        '#EXT-X-PART:DURATION=0.480,URI="9.0.m4s",INDEPENDENT=YES',
        '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="9.1.m4s"',
    ]


def test_a_discontinuity_stands_ahead_of_the_parts_of_a_segment_under_way() -> None:
    found = low_latency_lines(piece(7), under_way=with_parts(8, 0.5, init=8, broken=True), hint="8.1.m4s")
    assert found[11:] == [
        "#EXT-X-DISCONTINUITY",
        '#EXT-X-MAP:URI="init-8.mp4"',
        "#EXT-X-PROGRAM-DATE-TIME:2026-03-01T12:00:00.250Z",
        '#EXT-X-PART:DURATION=0.500,URI="8.0.m4s",INDEPENDENT=YES',
        '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="8.1.m4s"',
    ]


def test_nothing_is_hinted_behind_the_end() -> None:
    found = low_latency_lines(with_parts(7, 0.5), under_way=None, hint="", ended=True)
    assert found[-2:] == ["7.m4s", "#EXT-X-ENDLIST"]


def test_times_are_told_in_utc() -> None:
    cest = timezone(timedelta(hours=2))
    moved = Piece(7, 7, 2.0, AT.astimezone(cest), False)
    assert "#EXT-X-PROGRAM-DATE-TIME:2026-03-01T12:00:00.250Z" in lines(moved)


@pytest.mark.parametrize(("longest_s", "target"), [(4.0, 4), (4.1, 5), (1.0, 1), (0.2, 1)])
def test_the_target_is_the_longest_segment_in_whole_seconds(longest_s: float, target: int) -> None:
    assert target_duration(longest_s) == target


def video(codec: str, case: str, width: int = 640, height: int = 360) -> VideoTrack:
    return VideoTrack(codec, width, height, bytes.fromhex(captures(codec)[case]["hex"]))


def audio(config: str) -> AudioTrack:
    return AudioTrack("aac", 44100, 2, bytes.fromhex(config))


def test_the_one_variant_is_told_with_all_that_a_player_chooses_by() -> None:
    tracks = (video("avc", "avc_main"), audio("1210"))
    assert multivariant_playlist("cam/0123/live.m3u8", tracks, peak_bps=1_500_000) == (
        "#EXTM3U\n"
        "#EXT-X-VERSION:7\n"
        '#EXT-X-STREAM-INF:BANDWIDTH=1500000,CODECS="avc1.4d401e,mp4a.40.2",RESOLUTION=640x360\n'
        "cam/0123/live.m3u8\n"
    )


def test_sound_alone_has_no_resolution() -> None:
    text = multivariant_playlist("x", (audio("1210"),), peak_bps=0)
    assert '#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="mp4a.40.2"\n' in text


@pytest.mark.parametrize(
    ("codec", "case", "name"),
    [
        ("avc", "avc_baseline", "avc1.42c00c"),
        ("avc", "avc_high_1080p_ntsc", "avc1.640028"),
        ("hevc", "hevc_main", "hvc1.1.6.L63.90"),
        ("hevc", "hevc_main10_1080p", "hvc1.2.4.L123.90"),
        ("hevc", "hevc_422_10", "hvc1.4.10.L60.9D.8"),
        ("av1", "av1_svt_1080p", "av01.0.09M.08"),
        ("av1", "av1_libaom_10bit", "av01.0.00M.10"),
        ("av1", "av1_libaom_422_12", "av01.2.00M.12"),
    ],
)
def test_a_video_codec_is_called(codec: str, case: str, name: str) -> None:
    assert codec_name(video(codec, case)) == name


def test_an_hevc_tier_and_profile_space_are_told() -> None:
    record = bytearray(video("hevc", "hevc_main").record)
    record[1] |= 0x40 | 0x20  # profile space 1, High tier
    assert codec_name(VideoTrack("hevc", 1, 1, bytes(record))) == "hvc1.A1.6.H63.90"


@pytest.mark.parametrize(
    ("track", "name"),
    [
        (audio("1210"), "mp4a.40.2"),
        (audio("0a10"), "mp4a.40.1"),
        (audio("2b920800"), "mp4a.40.5"),
        (audio("eb8a0800"), "mp4a.40.29"),
        (audio("139056e5a0"), "mp4a.40.5"),
        (AudioTrack("mp3", 48000, 2), "mp4a.40.34"),
    ],
    ids=["LC", "Main", "HE-AAC", "HE-AACv2", "HE-AAC told behind", "MP3"],
)
def test_an_audio_codec_is_called(track: AudioTrack, name: str) -> None:
    assert codec_name(track) == name
