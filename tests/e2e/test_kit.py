"""The kit itself: its comparisons catch what they are for, and each peer works with nginx-rtmp."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from tests.e2e.media import Packet, Samples, is_run_of, parse_packet, rising, same_spacing, track_of
from tests.e2e.peers import Ffmpeg, Gstreamer, NginxRtmp, Publish, PublishRefused, Pyav, Rtmpdump

VIDEO = [Packet("v", n * 40, n * 40, n % 25 == 0, f"video{n:03}") for n in range(100)]
AUDIO = [Packet("a", n * 21, n * 21, True, f"audio{n % 150:03}") for n in range(188)]
SOURCE = sorted(VIDEO + AUDIO, key=lambda packet: packet.dts_ms)


def changed(packet: Packet, **fields: object) -> list[Packet]:
    return [msgspec.structs.replace(packet, **fields)]


def moved(packets: list[Packet], by_ms: int) -> list[Packet]:
    return [
        again
        for packet in packets
        for again in changed(packet, dts_ms=packet.dts_ms + by_ms, pts_ms=packet.pts_ms + by_ms)
    ]


@pytest.mark.parametrize(
    "got",
    [SOURCE, SOURCE[30:200], moved(SOURCE[30:200], 5000), SOURCE[100:] + moved(SOURCE[:60], 4000), SOURCE * 2],
    ids=["all", "part", "another time line", "over the end", "twice around"],
)
def test_a_contiguous_run_is_one(got: list[Packet]) -> None:
    assert is_run_of(SOURCE, got)


def without(n: int) -> list[Packet]:
    return VIDEO[:n] + VIDEO[n + 1 :]


@pytest.mark.parametrize(
    ("got", "why"),
    [
        ([], "no packets"),
        (VIDEO, "a: the source has 188 packets, 0 were got"),
        (AUDIO + without(30), "packet 30 of 99 got .* 1 missing"),
        (AUDIO + VIDEO[:31] + VIDEO[30:], "packet 31 of 101 got .* doubled"),
        (AUDIO + VIDEO[:30] + changed(VIDEO[30], md5="other") + VIDEO[31:], "packet 30 .* remade"),
        (AUDIO + changed(VIDEO[0], md5="other") + VIDEO[1:], "first packet got is not in the source"),
        (AUDIO + VIDEO[:30] + changed(VIDEO[30], is_key=True), "key flag was changed"),
        (AUDIO + VIDEO[:30] + VIDEO[31:32] + VIDEO[30:31] + VIDEO[32:], "out of order"),
        (VIDEO + AUDIO[:9] + AUDIO[10:], "a: packet 9 of 187 got"),
    ],
    ids=["nothing", "track", "missing", "doubled", "changed", "first", "key flag", "swapped", "audio"],
)
def test_what_a_server_must_not_do_is_caught_and_told(got: list[Packet], why: str) -> None:
    verdict = is_run_of(SOURCE, got)
    assert not verdict
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(repr(verdict))


def test_a_source_that_does_not_loop_may_not_start_again() -> None:
    around = SOURCE[100:] + SOURCE[:60]
    assert is_run_of(SOURCE, around)
    assert not is_run_of(SOURCE, around, looped=False)
    assert "after the source's end" in repr(is_run_of(SOURCE, around, looped=False))


def test_rising_sees_a_step_back_on_one_track_and_a_standstill() -> None:
    assert rising(SOURCE)
    assert rising(moved(SOURCE, 100))
    assert not rising([])
    assert not rising([*SOURCE, AUDIO[-2]])
    assert "v: dts does not rise at packet 100" in repr(rising([*SOURCE, VIDEO[-1]]))
    assert rising([*SOURCE, VIDEO[-1]], strictly=False)


def test_same_spacing_sees_a_jitter_and_a_track_that_was_moved_alone() -> None:
    run = SOURCE[30:200]
    assert same_spacing(SOURCE, moved(run, 5000))
    jittered = [*run[:50], *moved(run[50:51], 1), *run[51:]]
    assert not same_spacing(SOURCE, jittered)
    assert not same_spacing(SOURCE, track_of(run, "v") + moved(track_of(run, "a"), 10))
    late_picture = [
        again for packet in run for again in changed(packet, pts_ms=packet.pts_ms + (packet.md5 == "video020"))
    ]
    assert not same_spacing(SOURCE, late_picture)


def test_ffprobe_lines_are_read() -> None:
    line = "codec_type=video|pts_time=0.080000|dts_time=-0.040000|flags=K__|data_hash=MD5:66C4|side_data_type=X\n"
    assert parse_packet(line) == Packet("v", -40, 80, True, "66c4")
    assert parse_packet("codec_type=data|pts_time=0|dts_time=0|flags=K|data_hash=MD5:1") is None
    assert parse_packet("") is None


async def test_ffprobe_and_pyav_see_the_same_packets(samples: Samples, ffmpeg: Ffmpeg, pyav: Pyav) -> None:
    by_ffprobe, by_pyav = await ffmpeg.packets(samples.b_frames), await pyav.packets(samples.b_frames)
    assert len(track_of(by_ffprobe, "v")) == samples.seconds * 25
    assert by_ffprobe == by_pyav
    assert any(packet.pts_ms != packet.dts_ms for packet in by_ffprobe)


def test_samples_are_as_promised(samples: Samples) -> None:
    assert all(
        path.exists()
        for path in (samples.h264, samples.b_frames, samples.hevc, samples.av1, samples.audio_only, samples.video_only)
    )
    assert Samples().h264 == samples.h264


async def test_each_publisher_sends_the_files_own_packets_until_it_is_stopped(
    publishers: dict[str, Publish], ffmpeg: Ffmpeg, nginx_rtmp: NginxRtmp, sample: Path
) -> None:
    async def publish_and_play(name: str, publish: Publish) -> list[Packet]:
        url = nginx_rtmp.rtmp_url(f"live/{name}")
        publisher = await publish(sample, url)
        got = await ffmpeg.packets(url, seconds=2)
        await publisher.stop()
        return got

    played = await asyncio.gather(*(publish_and_play(*publisher) for publisher in publishers.items()))
    source = await ffmpeg.packets(sample)
    for got in played:
        assert is_run_of(source, got, looped=False)
        assert rising(got)


@pytest.mark.parametrize("publisher", ["ffmpeg", "pyav", "rtmpsink", "rtmp2sink"])
async def test_each_publisher_tells_that_it_was_refused(
    publisher: str, publishers: dict[str, Publish], nginx_rtmp: NginxRtmp, sample: Path
) -> None:
    with pytest.raises(PublishRefused, match="could not publish"):
        await publishers[publisher](sample, nginx_rtmp.rtmp_url("closed/demo"))


async def test_each_player_records_whole_packets(
    ffmpeg: Ffmpeg, gstreamer: Gstreamer, rtmpdump: Rtmpdump, nginx_rtmp: NginxRtmp, sample: Path, tmp_path: Path
) -> None:
    url = nginx_rtmp.rtmp_url("live/demo")
    await ffmpeg.publish(sample, url, loop=True)
    paths = await asyncio.gather(
        rtmpdump.play_to_file(url, tmp_path / "rtmpdump.flv", seconds=2),
        gstreamer.play_to_file(url, tmp_path / "rtmp2src.flv", seconds=2, source="rtmp2src"),
        gstreamer.play_to_file(url, tmp_path / "rtmpsrc.flv", seconds=2, source="rtmpsrc"),
    )
    source = await ffmpeg.packets(sample)
    for path in paths:
        got = await ffmpeg.packets(path)
        assert got[-1].dts_ms - got[0].dts_ms >= 2000
        assert is_run_of(source, got)


async def test_gstreamers_own_encoders_leave_a_copy_to_compare_with(
    ffmpeg: Ffmpeg, gstreamer: Gstreamer, nginx_rtmp: NginxRtmp, tmp_path: Path
) -> None:
    async def publish_and_play(sink: str) -> tuple[Path, list[Packet]]:
        url, copy = nginx_rtmp.rtmp_url(f"live/{sink}"), tmp_path / f"{sink}.flv"
        publisher = await gstreamer.publish_encoded(url, copy, sink=sink)
        got = await ffmpeg.packets(url, seconds=2)
        await publisher.stop()
        return copy, got

    for copy, got in await asyncio.gather(publish_and_play("rtmpsink"), publish_and_play("rtmp2sink")):
        assert is_run_of(await ffmpeg.packets(copy), got, looped=False)


async def test_pyav_plays_what_it_publishes_in_a_loop(pyav: Pyav, nginx_rtmp: NginxRtmp, sample: Path) -> None:
    url = nginx_rtmp.rtmp_url("live/demo")
    publisher = await pyav.publish(sample, url, loop=True)
    got = await pyav.packets(url, seconds=2)
    assert is_run_of(await pyav.packets(sample), got)
    assert rising(got)
    assert await publisher.stop() == 0


async def test_a_frozen_publisher_sends_nothing_until_it_is_thawed(
    ffmpeg: Ffmpeg, nginx_rtmp: NginxRtmp, sample: Path
) -> None:
    publisher = await ffmpeg.publish(sample, nginx_rtmp.rtmp_url("live/demo"), loop=True)
    publisher.freeze()
    frozen_at_s = publisher.sent_s
    with pytest.raises(AssertionError, match="gave no"):
        await publisher.until_sent(frozen_at_s + 0.5, within_s=1)
    publisher.thaw()
    await publisher.until_sent(frozen_at_s + 0.5)
    await publisher.kill()
    assert await publisher.exit_code(within_s=1) == -9
