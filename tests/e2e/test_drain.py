"""SIGTERM: nobody new, streams end at a key frame, and the server ends within its time."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.media import Samples, is_run_of, track_of
from tests.e2e.peers import Ffmpeg, Pyav
from tests.e2e.server import Serve, Server, Watch
from tests.e2e.test_watch import read, until


def until_refused(url: str) -> None:
    """Connect until the port refuses, within a second."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    address, deadline = (parts.hostname, parts.port or 0), time.monotonic() + 1
    with contextlib.suppress(ConnectionRefusedError):
        while True:
            socket.create_connection(address, timeout=1).close()
            assert time.monotonic() < deadline, f"{url} still lets in"


async def told_to_end(server: Server) -> None:
    server.send_signal(signal.SIGTERM)
    await server.wait_log("ending: streams end at their next key frame", within_s=2)


async def test_players_get_whole_groups_of_pictures_and_nobody_else_gets_in(
    serve: Serve, ffmpeg: Ffmpeg, pyav: Pyav, sample: Path, stream: str
) -> None:
    server = serve(drain_s=10)
    publisher = await ffmpeg.publish(sample, server.rtmp_url(stream), loop=True)
    players = [await ffmpeg.play(server.flv_url(stream)), await pyav.play(server.rtmp_url(stream))]
    for player in players:
        await player.until_got(seconds=1)
    await told_to_end(server)
    began = time.monotonic()
    assert await server.exit_code(within_s=8) == 0
    assert time.monotonic() - began < 4
    for player in players:
        got = await player.until_end(within_s=5)
        assert is_run_of(await pyav.packets(sample), got)
        video = track_of(got, "v")
        keys = [at for at, packet in enumerate(video) if packet.is_key]
        gops = {after - before for before, after in zip(keys, [*keys[1:], len(video)], strict=True)}
        assert len(gops) == 1, f"a group of pictures is cut short: {gops}"
    await publisher.exit_code(within_s=5)
    assert f"demo/{stream} ended" in server.log.text()
    assert "engine stopped" in server.log.text()


async def test_while_it_drains_the_ports_refuse_and_it_is_not_ready(
    serve: Serve, ffmpeg: Ffmpeg, samples: Samples, stream: str
) -> None:
    server = serve(drain_s=3)
    await ffmpeg.publish(samples.one_gop, server.rtmp_url(stream))
    player = await ffmpeg.play(server.flv_url(stream))
    await player.until_got(seconds=0.3)
    watch = Watch(server.children())
    await told_to_end(server)
    why = await asyncio.to_thread(until, server, "/readyz", 503, within_s=1)
    assert why == "the server is ending: it takes no new publishers and players\n"
    assert read(server, "/healthz") == (200, "ok\n")
    for url in (server.rtmp_url(stream), server.flv_url(stream)):
        await asyncio.to_thread(until_refused, url)
    assert await server.exit_code(within_s=5) == 0
    await watch.until_all_ended(within_s=0)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_who_is_told_again_ends_at_once(
    how: signal.Signals, serve: Serve, ffmpeg: Ffmpeg, samples: Samples, stream: str
) -> None:
    server = serve(drain_s=600)
    await ffmpeg.publish(samples.one_gop, server.rtmp_url(stream))
    player = await ffmpeg.play(server.flv_url(stream))
    await player.until_got(seconds=0.3)
    await told_to_end(server)
    server.send_signal(how)
    assert await server.exit_code(within_s=3) == 0


async def test_ctrl_c_does_not_wait(serve: Serve, ffmpeg: Ffmpeg, samples: Samples, stream: str) -> None:
    server = serve(drain_s=600)
    await ffmpeg.publish(samples.one_gop, server.rtmp_url(stream))
    player = await ffmpeg.play(server.flv_url(stream))
    await player.until_got(seconds=0.3)
    server.interrupt()
    assert await server.exit_code(within_s=3) == 0
