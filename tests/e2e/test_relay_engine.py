"""Relays inside the engine, between real servers: what arrives is what was sent, and whoever dies is waited for."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock.link.relaying import RelayState
from penstock.protocols import flv
from tests.e2e.media import Packet, Samples, is_run_of, rising, same_spacing
from tests.e2e.peers import Child, Ffmpeg, NginxRtmp, Pyav
from tests.e2e.relaying import Relaying, relays
from tests.e2e.server import Serve, Server

PLAYED_S = 2.0


@pytest.fixture
async def relaying(tmp_path: Path) -> AsyncIterator[Relaying]:
    async with relays(tmp_path) as started:
        yield started


async def from_nginx(ffmpeg: Ffmpeg, nginx_rtmp: NginxRtmp, seconds: float) -> list[Packet]:
    """What it plays; it has no GOP at hand, so that a probe needs time to see the picture."""
    player = await ffmpeg.play(nginx_rtmp.rtmp_url("live/out"), "-analyzeduration", "5000000")
    try:
        return await player.until_got(seconds=seconds)
    finally:
        await player.kill()


@pytest.mark.parametrize("protocol", ["rtmp", "flv"])
async def test_what_arrives_at_nginx_are_the_sources_own_packets(
    protocol: str,
    server: Server,
    nginx_rtmp: NginxRtmp,
    ffmpeg: Ffmpeg,
    relaying: Relaying,
    samples: Samples,
    stream: str,
) -> None:
    source = await ffmpeg.packets(samples.b_frames)
    await ffmpeg.publish(samples.b_frames, server.rtmp_url(stream), loop=True)
    url = server.rtmp_url(stream) if protocol == "rtmp" else server.flv_url(stream)
    relay = relaying.start(nginx_rtmp.rtmp_url("live/out"), url)
    await relaying.runs(relay)
    got = await from_nginx(ffmpeg, nginx_rtmp, PLAYED_S)
    assert is_run_of(source, got)
    assert rising(got)
    told = await relaying.until(relay, lambda told: told.position_ms > 1000)
    assert told.bytes_in > told.bytes_out // 2 > 10_000
    relaying.stop(relay)
    assert relaying.told[-1].state is RelayState.STOPPED


async def test_nginx_is_a_source_too(
    server: Server, nginx_rtmp: NginxRtmp, ffmpeg: Ffmpeg, relaying: Relaying, samples: Samples, stream: str
) -> None:
    source = await ffmpeg.packets(samples.h264)
    await ffmpeg.publish(samples.h264, nginx_rtmp.rtmp_url("live/in"), loop=True)
    relay = relaying.start(server.rtmp_url(stream), nginx_rtmp.rtmp_url("live/in"))
    await relaying.runs(relay)
    got = await ffmpeg.packets(server.flv_url(stream), seconds=PLAYED_S)
    assert is_run_of(source, got)
    assert rising(got)
    assert got[0].is_key


async def test_hevc_passes_as_it_came(
    server: Server, pyav: Pyav, relaying: Relaying, samples: Samples, stream: str
) -> None:
    source = await pyav.packets(samples.hevc)
    await pyav.publish(samples.hevc, server.rtmp_url(stream), loop=True)
    relaying.start(server.rtmp_url(f"{stream}-out"), server.rtmp_url(stream))
    await relaying.runs(relaying.told[0].id)
    got = await pyav.packets(server.rtmp_url(f"{stream}-out"), seconds=PLAYED_S)
    assert is_run_of(source, got)
    assert rising(got)


async def test_a_whole_stream_arrives_at_ffmpeg_that_listens(
    server: Server, ffmpeg: Ffmpeg, relaying: Relaying, samples: Samples, stream: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    target, file = f"rtmp://127.0.0.1:{port}/live/out", tmp_path / "out.flv"
    listening = await ffmpeg.start(
        Child, "ffmpeg that listens", "ffmpeg", "-hide_banner", "-listen", "1", "-i", target, "-c", "copy", str(file)
    )
    await ffmpeg.publish(samples.h264, server.rtmp_url(stream), loop=True)
    relay = relaying.start(target, server.flv_url(stream))
    await relaying.until(relay, lambda told: told.position_ms > 3000)
    relaying.stop(relay)
    assert await listening.exit_code(within_s=10) == 0
    source, got = await ffmpeg.packets(samples.h264), await ffmpeg.packets(file)
    assert is_run_of(source, got)
    assert rising(got)
    assert (got[-1].dts_ms - got[0].dts_ms) >= 2500


async def test_rtmps_is_checked_and_carries_the_same(
    server: Server, ffmpeg: Ffmpeg, samples: Samples, stream: str, tmp_path: Path
) -> None:
    await ffmpeg.publish(samples.h264, server.rtmp_url(stream), loop=True)
    async with relays(tmp_path) as untrusting:
        relay = untrusting.start(server.rtmps_url(f"{stream}-no"), server.flv_url(stream))
        told = await untrusting.fails(relay, "target")
        assert "certificate" in told.error
    async with relays(tmp_path, server.ca_file) as trusting:
        relay = trusting.start(server.rtmps_url(f"{stream}-out"), server.rtmps_url(stream))
        await trusting.runs(relay)
        got = await ffmpeg.packets(server.rtmp_url(f"{stream}-out"), seconds=PLAYED_S)
    assert is_run_of(await ffmpeg.packets(samples.h264), got)
    assert same_spacing(await ffmpeg.packets(samples.h264), got) or rising(got)


# Whoever dies


async def test_a_target_that_is_killed_gets_the_stream_again_when_it_is_back(
    server: Server, nginx_rtmp: NginxRtmp, ffmpeg: Ffmpeg, relaying: Relaying, samples: Samples, stream: str
) -> None:
    await ffmpeg.publish(samples.h264, server.rtmp_url(stream), loop=True)
    other = relaying.start(server.rtmp_url(f"{stream}-other"), server.rtmp_url(stream))
    relay = relaying.start(nginx_rtmp.rtmp_url("live/out"), server.rtmp_url(stream))
    await relaying.runs(relay)
    await relaying.runs(other)
    mark = relaying.mark()
    await nginx_rtmp.kill()
    told = await relaying.fails(relay, "target", since=mark)
    assert told.next_try_at is not None
    assert "connection" in told.error
    await relaying.until(relay, lambda told: "not to be reached" in told.error, since=mark)
    await nginx_rtmp.listen()
    mark = relaying.mark()
    await relaying.runs(relay, since=mark)
    got = await from_nginx(ffmpeg, nginx_rtmp, PLAYED_S)
    assert is_run_of(await ffmpeg.packets(samples.h264), got)
    assert rising(got)
    assert max(told.failures for told in relaying.told if told.id == other) == 0


async def test_a_source_that_is_killed_goes_on_to_the_same_players_when_it_is_back(
    server: Server, nginx_rtmp: NginxRtmp, ffmpeg: Ffmpeg, relaying: Relaying, samples: Samples, stream: str
) -> None:
    first = await ffmpeg.publish(samples.h264, nginx_rtmp.rtmp_url("live/in"), loop=True)
    relay = relaying.start(server.rtmp_url(stream), nginx_rtmp.rtmp_url("live/in"))
    await relaying.runs(relay)
    player = await ffmpeg.play(server.flv_url(stream))
    await player.until_got(seconds=1)
    mark = relaying.mark()
    await nginx_rtmp.kill()
    await first.kill()
    assert (await relaying.fails(relay, "source", since=mark)).next_try_at is not None
    await nginx_rtmp.listen()
    await ffmpeg.publish(samples.h264, nginx_rtmp.rtmp_url("live/in"), loop=True)
    before = len(player.packets)
    got = await player.until_got(count=before + 100, within_s=40)
    assert rising(got)
    session = server.log.text().count(f"{stream} on air")
    assert session == 1  # one publish at the target, all the while


async def test_a_source_whose_engine_is_killed_comes_back(
    serve: Serve, nginx_rtmp: NginxRtmp, ffmpeg: Ffmpeg, relaying: Relaying, samples: Samples
) -> None:
    source = serve()
    await ffmpeg.publish(samples.h264, source.rtmp_url("live/in"), loop=True)
    relay = relaying.start(nginx_rtmp.rtmp_url("live/out"), source.flv_url("live/in"))
    await relaying.runs(relay)
    mark = relaying.mark()
    os.kill(source.child("engine"), signal.SIGKILL)
    await relaying.fails(relay, "source", since=mark)
    await ffmpeg.publish(samples.h264, source.rtmp_url("live/in"), loop=True)
    mark = relaying.mark()
    await relaying.runs(relay, since=mark)
    assert rising(await from_nginx(ffmpeg, nginx_rtmp, 1))


async def test_a_refusal_is_told_in_the_targets_words(
    server: Server, nginx_rtmp: NginxRtmp, ffmpeg: Ffmpeg, relaying: Relaying, samples: Samples, stream: str
) -> None:
    await ffmpeg.publish(samples.h264, server.rtmp_url(stream), loop=True)
    taken = relaying.start(server.rtmp_url(stream), server.rtmp_url(stream))
    told = await relaying.fails(taken, "target")
    assert "NetStream.Publish.BadName" in told.error
    closed = relaying.start(nginx_rtmp.rtmp_url("closed/out"), server.rtmp_url(stream))
    await relaying.fails(closed, "target")
    nobody = relaying.start(nginx_rtmp.rtmp_url("live/out"), server.flv_url("live/nobody"))
    told = await relaying.fails(nobody, "source")
    assert told.error == "it answers 404 Not Found"
    assert told.state is RelayState.WAITING


# A worker's


async def test_what_a_worker_brings_arrives(
    server: Server, ffmpeg: Ffmpeg, relaying: Relaying, samples: Samples, stream: str, tmp_path: Path
) -> None:
    relaying.plane.listen(tmp_path)
    relay = relaying.start(server.rtmp_url(stream))
    _, writer = await asyncio.open_unix_connection(tmp_path / "relay.sock")
    writer.write(b'{"relay": "%s"}\n' % relay.encode())
    data = samples.h264.read_bytes()
    tags = flv.TagReader().receive(data)
    writer.write(flv.file_header(audio=True, video=True))
    began = asyncio.get_running_loop().time()
    playing = None
    for tag in tags:
        writer.write(flv.tag(tag.kind, tag.dts_ms, tag.payload))
        await writer.drain()
        await asyncio.sleep(max(0.0, began + tag.dts_ms / 1000 - asyncio.get_running_loop().time()))
        if playing is None and tag.dts_ms > 1000:
            playing = asyncio.create_task(ffmpeg.packets(server.flv_url(stream), seconds=PLAYED_S))
        if playing is not None and playing.done():
            break
    assert playing is not None
    got = await playing
    assert is_run_of(await ffmpeg.packets(samples.h264), got)
    assert rising(got)
    writer.close()
    await relaying.until(relay, lambda told: told.state is RelayState.WAITING)
    assert relaying.told[-1].failures == 0
