"""HLS as real players see it: the publisher's own packets, in fragmented MP4."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock.workers import testpattern
from tests.e2e.browser import Browser
from tests.e2e.media import Packet, Samples, is_run_of, rising, track_of
from tests.e2e.peers import Curl, Ffmpeg, Publish, Pyav
from tests.e2e.server import Serve, Server, Watch

PLAYED_S = 3.0
# A sound's time is its place among the samples; RTMP had it in whole milliseconds.
ROUNDING_MS = 1


def assert_unchanged(source: list[Packet], got: list[Packet]) -> None:
    assert is_run_of(source, got, looped=False)
    assert rising(got)
    for track in {packet.track for packet in got}:
        assert moved_alike(track_of(source, track), track_of(got, track))
    pictures = track_of(got, "v")
    assert not pictures or pictures[0].is_key


def moved_alike(source: list[Packet], got: list[Packet]) -> bool:
    """Is there a place in the source whose times lie as far apart as those that were got?"""
    for start in range(len(source) - len(got) + 1):
        run = source[start : start + len(got)]
        if [packet.identity for packet in run] == [packet.identity for packet in got]:
            moved = [(b.dts_ms - a.dts_ms, b.pts_ms - a.pts_ms) for a, b in zip(run, got, strict=True)]
            shifts = [shift for both in moved for shift in both]
            if max(shifts) - min(shifts) <= 2 * ROUNDING_MS:
                return True
    return False


# Debian's ffmpeg knows neither HEVC nor AV1 in FLV, but plays HEVC from fragmented MP4; its publisher sends H.264.
CASES = [
    ("h264", "ffmpeg", ("ffprobe", "pyav")),
    ("b_frames", "pyav", ("ffprobe", "pyav")),
    ("hevc", "pyav", ("ffprobe", "pyav")),
    ("av1", "pyav", ("ffprobe", "pyav")),
    ("audio_only", "ffmpeg", ("ffprobe", "pyav")),
    ("video_only", "pyav", ("ffprobe", "pyav")),
]


@pytest.mark.parametrize(("sample", "publisher", "players"), CASES, ids=[case[0] for case in CASES])
async def test_players_get_the_publishers_own_packets(
    sample: str,
    publisher: str,
    players: tuple[str, ...],
    samples: Samples,
    publishers: dict[str, Publish],
    server: Server,
    ffmpeg: Ffmpeg,
    pyav: Pyav,
    stream: str,
) -> None:
    path: Path = getattr(samples, sample)
    source = await pyav.packets(path)
    await publishers[publisher](path, server.rtmp_url(stream))
    peers = {"ffprobe": ffmpeg, "pyav": pyav}
    url = server.hls_url(stream)
    for got in await asyncio.gather(*(peers[player].packets(url, seconds=PLAYED_S) for player in players)):
        assert_unchanged(source, got)


# In a browser


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    browser = await Browser.start()
    try:
        yield browser
    finally:
        await browser.close()


async def test_hls_js_plays(server: Server, ffmpeg: Ffmpeg, samples: Samples, browser: Browser, stream: str) -> None:
    await ffmpeg.publish(samples.b_frames, server.rtmp_url(stream), loop=True)
    page = await browser.play(server.hls_url(stream))
    seen = await page.moves(5, within_s=25)
    assert (seen["width"], seen["height"]) == (320, 180)
    assert seen["levels"] == [["avc1.640014", "mp4a.40.2", 320, 180]]
    assert seen["frames"] > 100


async def test_hls_js_plays_on_when_the_publisher_comes_back(
    server: Server, ffmpeg: Ffmpeg, samples: Samples, browser: Browser, stream: str
) -> None:
    publisher = await ffmpeg.publish(samples.h264, server.rtmp_url(stream), loop=True)
    page = await browser.play(server.hls_url(stream))
    await page.moves(3, within_s=25)
    await publisher.kill()
    await server.wait_log(rf"control: demo/{stream} ended", within_s=2)
    # Of another size, so that it has another init segment too.
    await ffmpeg.publish(samples.at_30_fps, server.rtmp_url(stream), loop=True)
    # What was buffered is played first; the new session is there when its size is.
    for _ in range(10):
        seen = await page.moves(2, within_s=20)
        if seen["width"] == 640:
            break
    assert (seen["width"], seen["fatal"]) == (640, [])
    await page.moves(4, within_s=20)


async def test_hls_js_plays_on_when_the_engine_is_started_again(
    serve: Serve, ffmpeg: Ffmpeg, samples: Samples, browser: Browser, stream: str
) -> None:
    server = serve()
    publisher = await ffmpeg.publish(samples.h264, server.rtmp_url(stream), loop=True)
    page = await browser.play(server.hls_url(stream))
    await page.moves(3, within_s=25)
    engine = Watch({"engine": server.child("engine")})
    engine.send_signal(signal.SIGKILL)
    await engine.until_all_ended(within_s=2)
    await publisher.kill()
    await ffmpeg.publish(samples.at_30_fps, server.rtmp_url(stream), loop=True)
    for _ in range(10):
        seen = await page.moves(2, within_s=30)
        if seen["width"] == 640:
            break
    assert (seen["width"], seen["fatal"]) == (640, [])
    await page.moves(4, within_s=20)


# What else is played


async def test_mp3_is_played_unchanged(
    server: Server, ffmpeg: Ffmpeg, pyav: Pyav, samples: Samples, stream: str, tmp_path: Path
) -> None:
    path = tmp_path / "mp3.flv"
    codecs = ("-c:v", "copy", "-c:a", "libmp3lame", "-ar", "44100")
    await ffmpeg.run("ffmpeg", "-v", "error", "-i", str(samples.h264), *codecs, str(path))
    source = await pyav.packets(path)
    await ffmpeg.publish(path, server.rtmp_url(stream))
    assert_unchanged(source, await ffmpeg.packets(server.hls_url(stream), seconds=PLAYED_S))


async def test_a_gop_of_8_s_keeps_the_target_duration(
    server: Server, ffmpeg: Ffmpeg, curl: Curl, stream: str, tmp_path: Path
) -> None:
    path = tmp_path / "long.flv"
    testpattern.write_pattern(path, 20, testpattern.Pattern(width=160, height=90, fps=25, gop_s=8))
    publisher = await ffmpeg.publish(path, server.rtmp_url(stream))
    player = await ffmpeg.play(server.hls_url(stream))
    await publisher.until_sent(14, within_s=20)
    first = await curl.get(server.hls_url(stream))
    playlist = await curl.get(server.hls_url(stream).rpartition("/")[0] + "/" + first.splitlines()[-1])
    lengths = [float(length) for length in re.findall(r"#EXTINF:([\d.]+),", playlist)]
    assert "#EXT-X-TARGETDURATION:4\n" in playlist
    assert len(lengths) >= 2
    assert max(lengths) < 4.5
    assert_unchanged(await ffmpeg.packets(path), await player.until_got(seconds=PLAYED_S))


async def test_a_player_in_tls_gets_the_same(server: Server, ffmpeg: Ffmpeg, samples: Samples, stream: str) -> None:
    source = await ffmpeg.packets(samples.b_frames)
    await ffmpeg.publish(samples.b_frames, server.rtmp_url(stream))
    player = await ffmpeg.play(server.https_hls_url(stream), "-ca_file", str(server.ca_file), "-tls_verify", "1")
    assert_unchanged(source, await player.until_got(seconds=PLAYED_S))


async def test_who_played_from_the_start_gets_every_packet_and_the_end(
    serve: Serve, ffmpeg: Ffmpeg, pyav: Pyav, samples: Samples, stream: str
) -> None:
    server = serve(keep_players_s=1)
    source = await pyav.packets(samples.brief)
    publisher = await ffmpeg.publish(samples.brief, server.rtmp_url(stream))
    player = await pyav.play(server.hls_url(stream))
    assert await publisher.exit_code(within_s=10) == 0
    got = await player.until_end(within_s=30)
    first = next(n for n, packet in enumerate(source) if packet.track == "v")
    for track in "va":
        wanted = [packet.identity for packet in source[first:] if packet.track == track]
        assert [packet.identity for packet in track_of(got, track)] == wanted


# With low latency


async def test_hls_js_is_within_two_seconds_of_live(
    serve: Serve, ffmpeg: Ffmpeg, samples: Samples, browser: Browser, stream: str
) -> None:
    server = serve(hls_low_latency=True)
    await ffmpeg.publish(samples.at_30_fps, server.rtmp_url(stream), loop=True)
    page = await browser.play(server.hls_url(stream), lowLatencyMode=True, maxLiveSyncPlaybackRate=1.1)
    # By the server's clock, which is this machine's: when the frame that is shown came in, and hls.js' own reckoning.
    await page.until("seen().behind !== null && seen().behind < 2", within_s=25)
    seen = await page.moves(5, within_s=25)
    assert 0 < seen["behind"] < 2
    assert 0 < seen["latency"] < 2
    assert seen["errors"] == []
    # It asked for parts before they were there, and hardly for a whole segment.
    asked = page.requests()
    parts = [url for url in asked if re.search(r"/\d+\.\d+\.m4s$", url)]
    assert len(parts) > 15
    assert len([url for url in asked if "_HLS_msn=" in url]) > 15
    assert len([url for url in asked if re.search(r"/\d+\.m4s$", url)]) < 4


async def test_hls_js_plays_parts_on_when_the_publisher_comes_back(
    serve: Serve, ffmpeg: Ffmpeg, samples: Samples, browser: Browser, stream: str
) -> None:
    server = serve(hls_low_latency=True)
    publisher = await ffmpeg.publish(samples.h264, server.rtmp_url(stream), loop=True)
    page = await browser.play(server.hls_url(stream), lowLatencyMode=True)
    await page.moves(3, within_s=25)
    await publisher.kill()
    await server.wait_log(rf"control: demo/{stream} ended", within_s=2)
    await ffmpeg.publish(samples.at_30_fps, server.rtmp_url(stream), loop=True)
    for _ in range(10):
        seen = await page.moves(2, within_s=20)
        if seen["width"] == 640:
            break
    assert (seen["width"], seen["fatal"]) == (640, [])
    await page.moves(4, within_s=20)


@pytest.mark.parametrize("player", ["ffprobe", "pyav"])
async def test_players_without_parts_get_the_publishers_own_packets_too(
    player: str, serve: Serve, ffmpeg: Ffmpeg, pyav: Pyav, samples: Samples, stream: str
) -> None:
    server = serve(hls_low_latency=True)
    source = await pyav.packets(samples.b_frames)
    await pyav.publish(samples.b_frames, server.rtmp_url(stream))
    peers = {"ffprobe": ffmpeg, "pyav": pyav}
    assert_unchanged(source, await peers[player].packets(server.hls_url(stream), seconds=PLAYED_S))
