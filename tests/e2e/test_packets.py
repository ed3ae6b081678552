"""What arrives is what leaves: players get the publisher's own packets, whatever is between."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec import Struct

from tests.e2e.media import Packet, Samples, is_run_of, rising, same_spacing
from tests.e2e.peers import Curl, Ffmpeg, Gstreamer, Player, Publish, Pyav, Rtmpdump, recorded
from tests.e2e.server import Serve, Server

PLAYED_S = 1.5


class Players(Struct):
    """Every way to play, by one method each."""

    server: Server
    ffmpeg: Ffmpeg
    pyav: Pyav
    gstreamer: Gstreamer
    rtmpdump: Rtmpdump
    folder: Path

    async def packets(self, player: str, stream: str) -> list[Packet]:
        rtmp, flv = self.server.rtmp_url(stream), self.server.flv_url(stream)
        match player:
            case "ffprobe rtmp":
                return await self.ffmpeg.packets(rtmp, seconds=PLAYED_S)
            case "ffprobe flv":
                return await self.ffmpeg.packets(flv, seconds=PLAYED_S)
            case "pyav rtmp":
                return await self.pyav.packets(rtmp, seconds=PLAYED_S)
            case "pyav flv":
                return await self.pyav.packets(flv, seconds=PLAYED_S)
        path = self.folder / f"{player}.flv"
        if player == "rtmpdump":
            await self.rtmpdump.play_to_file(rtmp, path, seconds=PLAYED_S)
        else:
            await self.gstreamer.play_to_file(rtmp, path, seconds=PLAYED_S, source=player)
        return await self.ffmpeg.packets(path)


@pytest.fixture
def players(
    server: Server, ffmpeg: Ffmpeg, pyav: Pyav, gstreamer: Gstreamer, rtmpdump: Rtmpdump, tmp_path: Path
) -> Players:
    return Players(server, ffmpeg, pyav, gstreamer, rtmpdump, tmp_path)


def assert_unchanged(source: list[Packet], got: list[Packet]) -> None:
    assert is_run_of(source, got, looped=False)
    assert rising(got)
    assert same_spacing(source, got)
    # A player starts where a decoder can: with a key frame of the picture, if there is one, and nothing before it.
    assert got[0].is_key
    assert got[0].track == max(packet.track for packet in source)


EVERY_PLAYER = ("ffprobe rtmp", "ffprobe flv", "pyav rtmp", "pyav flv", "rtmpdump", "rtmp2src", "rtmpsrc")
# Each sample, publisher and player in at least one row; Debian's ffmpeg knows neither HEVC nor AV1 in FLV.
CASES = [
    ("h264", "ffmpeg", EVERY_PLAYER),
    ("h264", "rtmpsink", ("ffprobe rtmp", "pyav flv")),
    ("h264", "rtmp2sink", ("pyav rtmp", "ffprobe flv")),
    ("b_frames", "ffmpeg", ("ffprobe rtmp", "pyav flv", "rtmp2src")),
    ("b_frames", "pyav", ("pyav rtmp", "ffprobe flv", "rtmpdump")),
    ("hevc", "pyav", ("pyav rtmp", "pyav flv")),
    ("av1", "pyav", ("pyav rtmp", "pyav flv")),
    ("audio_only", "ffmpeg", ("ffprobe rtmp", "ffprobe flv", "pyav rtmp")),
    ("video_only", "pyav", ("ffprobe rtmp", "ffprobe flv", "pyav flv")),
]


@pytest.mark.parametrize(("sample", "publisher", "playing"), CASES, ids=[f"{case[0]} by {case[1]}" for case in CASES])
async def test_players_get_the_publishers_own_packets(
    sample: str,
    publisher: str,
    playing: tuple[str, ...],
    samples: Samples,
    publishers: dict[str, Publish],
    players: Players,
    stream: str,
) -> None:
    path: Path = getattr(samples, sample)
    source = await players.pyav.packets(path)
    await publishers[publisher](path, players.server.rtmp_url(stream))
    for got in await asyncio.gather(*(players.packets(player, stream) for player in playing)):
        assert_unchanged(source, got)


async def test_a_stream_arrives_whole_from_its_first_packet_to_its_last(
    serve: Serve, ffmpeg: Ffmpeg, pyav: Pyav, samples: Samples, stream: str
) -> None:
    server = serve(keep_players_s=0)
    source = await pyav.packets(samples.brief)
    publisher = await ffmpeg.publish(samples.brief, server.rtmp_url(stream))
    urls = (server.rtmp_url(stream), server.flv_url(stream))
    players = [await peers.play(url) for peers in (ffmpeg, pyav) for url in urls]
    assert await publisher.exit_code(within_s=10) == 0
    for player in players:
        got = await player.until_end()
        # From the first key frame on; a sound that came before it has nothing to be heard with.
        first = next(n for n, packet in enumerate(source) if packet.track == "v")
        assert [packet.identity for packet in got] == [packet.identity for packet in source[first:]]
        assert_unchanged(source, got)


# GStreamer 1.22's muxer gives the first B-frames no times of their own.
BLINKS = [("ffmpeg", "h264", "pyav", "b_frames"), ("pyav", "b_frames", "rtmp2sink", "h264")]


@pytest.mark.parametrize(("leaving", "sample", "coming", "other_sample"), BLINKS, ids=["pyav", "rtmp2sink"])
async def test_players_get_the_whole_second_session_of_a_publisher_that_was_killed(
    leaving: str,
    sample: str,
    coming: str,
    other_sample: str,
    server: Server,
    publishers: dict[str, Publish],
    pyav: Pyav,
    ffmpeg: Ffmpeg,
    samples: Samples,
    stream: str,
) -> None:
    one_path, two_path = getattr(samples, sample), getattr(samples, other_sample)
    one, two = await pyav.packets(one_path), await pyav.packets(two_path)
    rtmp, flv = server.rtmp_url(stream), server.flv_url(stream)
    publisher = await publishers[leaving](one_path, rtmp)
    players = [await peers.play(url) for peers in (ffmpeg, pyav) for url in (rtmp, flv)]
    for player in players:
        await player.until_got(seconds=1)
    await publisher.kill()
    await publishers[coming](two_path, rtmp)

    for player in players:
        got, again = await sessions(player, two)
        assert is_run_of(one, got, looped=False)
        assert is_run_of(two, again, looped=False)
        assert same_spacing(two, again)
        assert [first(again, track) for track in "av"] == [first(two, track) for track in "av"]
        assert rising(got + again)


async def test_who_comes_between_two_sessions_gets_the_last_pictures_and_the_whole_second_session(
    server: Server, ffmpeg: Ffmpeg, curl: Curl, samples: Samples, stream: str, tmp_path: Path
) -> None:
    url = server.flv_url(stream)
    publisher = await ffmpeg.publish(samples.h264, server.rtmp_url(stream))
    # Without any player a stream would be forgotten with its publisher.
    await (await ffmpeg.play(url)).until_got(seconds=0.5)
    await publisher.kill()
    await server.wait_log(rf"control: demo/{stream} ended", within_s=2)
    player = await curl.play(url, tmp_path / "played.flv")
    await ffmpeg.publish(samples.b_frames, server.rtmp_url(stream))

    got = await ffmpeg.packets(await recorded(player, tmp_path / "played.flv", seconds=3))
    one, two = await ffmpeg.packets(samples.h264), await ffmpeg.packets(samples.b_frames)
    begin = border(got, two)
    assert_unchanged(one, got[:begin])
    assert is_run_of(two, got[begin:], looped=False)
    assert rising(got)


async def sessions(player: Player, second: list[Packet]) -> tuple[list[Packet], list[Packet]]:
    """What a player got before and since `second` began to be published, once there is enough of it."""
    await player.until(
        lambda: len(player.packets) - border(player.packets, second) > 100,
        within_s=10,
        what="100 packets of the second session",
    )
    begin = border(player.packets, second)
    return player.packets[:begin], player.packets[begin:]


def border(got: list[Packet], second: list[Packet]) -> int:
    """Where `second` begins in what a player got; the end, if it has not begun."""
    # Its first picture has not its like in other samples; some sound may come before it.
    sound = next(n for n, packet in enumerate(second) if packet.track == "v")
    begins = (n - sound for n, packet in enumerate(got) if packet.identity == second[sound].identity)
    return next(begins, len(got))


def first(packets: list[Packet], track: str) -> tuple[bool, str]:
    return next(packet.identity for packet in packets if packet.track == track)


@pytest.mark.parametrize("sink", ["rtmpsink", "rtmp2sink"])
async def test_an_encoder_that_is_live_itself_is_played_unchanged(
    sink: str, server: Server, ffmpeg: Ffmpeg, gstreamer: Gstreamer, stream: str, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.flv"
    publisher = await gstreamer.publish_encoded(server.rtmp_url(stream), copy, sink=sink)
    urls = (server.rtmp_url(stream), server.flv_url(stream))
    played = await asyncio.gather(*(ffmpeg.packets(url, seconds=PLAYED_S) for url in urls))
    await publisher.stop()
    source = await ffmpeg.packets(copy)
    for got in played:
        assert_unchanged(source, got)
