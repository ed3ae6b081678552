"""Processes die, freeze and are told to end; what is on air takes no more harm than it must."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from pathlib import Path

import pytest

from penstock.processes import CONTROL_NICE
from tests.e2e.media import is_run_of, rising, same_spacing
from tests.e2e.peers import Ffmpeg, PublishRefused, Pyav
from tests.e2e.server import Serve, Server, Watch

ON_AIR_AGAIN = r"control: engine \w+ connected, on air: {}"


async def kill(server: Server, role: str) -> int:
    """Kill a child process as the kernel does it when memory is short; return the log's end of that moment."""
    watch = Watch({role: server.child(role)})
    since = server.mark()
    watch.send_signal(signal.SIGKILL)
    await watch.until_all_ended(within_s=1)
    return since


def freeze(server: Server, role: str) -> Watch:
    """Stop a child process where it stands; it looks alive, and does nothing."""
    watch = Watch({role: server.child(role)})
    watch.send_signal(signal.SIGSTOP)
    return watch


# Control


async def test_no_frame_is_lost_when_control_is_killed(
    serve: Serve, ffmpeg: Ffmpeg, pyav: Pyav, sample: Path, stream: str
) -> None:
    server = serve()
    url = server.rtmp_url(stream)
    publisher = await ffmpeg.publish(sample, url)
    players = [await ffmpeg.play(server.flv_url(stream)), await pyav.play(url)]
    await asyncio.gather(*(player.until_got(seconds=0.5) for player in players))
    since = await kill(server, "control")
    await server.wait_log(ON_AIR_AGAIN.format(1), within_s=2, since=since)
    # The new control process knows who holds the name, and hears of the end.
    with pytest.raises(PublishRefused, match="has a publisher that sends"):
        await ffmpeg.publish(sample, url)
    played = await asyncio.gather(*(player.until_got(seconds=2) for player in players))
    await publisher.kill()
    await server.wait_log(rf"control: demo/{stream} ended, session \w+: connection lost", within_s=2, since=since)

    source = await pyav.packets(sample)
    for got in played:
        assert is_run_of(source, got, looped=False)
        assert rising(got)
        assert same_spacing(source, got)


async def test_a_publish_waits_for_a_new_control_process(
    serve: Serve, ffmpeg: Ffmpeg, sample: Path, stream: str
) -> None:
    server = serve()
    # Frozen, it cannot answer, and nobody notices: the publish is under way when it dies.
    freeze(server, "control").close()
    publishing = asyncio.create_task(ffmpeg.publish(sample, server.rtmp_url(stream)))
    waiting, _ = await asyncio.wait({publishing}, timeout=1)
    assert not waiting
    await kill(server, "control")
    await publishing
    assert await ffmpeg.packets(server.flv_url(stream), seconds=0.5)


async def test_a_publish_is_refused_after_3_s_without_an_answer(
    serve: Serve, ffmpeg: Ffmpeg, sample: Path, stream: str
) -> None:
    server = serve()
    frozen = freeze(server, "control")
    asked_at = time.monotonic()
    with pytest.raises(PublishRefused, match="no control process answered within 3 s"):
        await ffmpeg.publish(sample, server.rtmp_url(stream))
    assert 2.9 < time.monotonic() - asked_at < 4
    frozen.send_signal(signal.SIGCONT)
    frozen.close()
    # What it answers late is no publish; the next one is a publish of its own.
    await server.wait_log(rf"control: demo/{stream} ended, session \w+: connection lost \(gone before", within_s=2)
    await ffmpeg.publish(sample, server.rtmp_url(stream))


# The engine


async def test_sessions_end_with_the_engine_and_everybody_can_come_back(
    serve: Serve, ffmpeg: Ffmpeg, sample: Path, stream: str
) -> None:
    server = serve("--test-pattern")
    publisher = await ffmpeg.publish(sample, server.rtmp_url(stream))
    player = await ffmpeg.play(server.flv_url(stream))
    await player.until_got(seconds=0.5)
    since = await kill(server, "engine")
    for name in (stream, "live/test"):
        await server.wait_log(rf"control: demo/{name} ended, session \w+: engine lost", within_s=2, since=since)
    assert await publisher.exit_code(within_s=2) != 0
    await player.exit_code(within_s=2)

    # The port was never closed: who connects meanwhile waits for the new engine.
    await ffmpeg.publish(sample, server.rtmp_url(stream))
    assert await ffmpeg.packets(server.flv_url(stream), seconds=0.5)
    await server.wait_log(r"control: demo/live/test admitted", within_s=5, since=since)


# The supervisor


async def test_no_child_outlives_a_killed_supervisor(serve: Serve, ffmpeg: Ffmpeg, sample: Path, stream: str) -> None:
    server = serve("--test-pattern")
    publisher = await ffmpeg.publish(sample, server.rtmp_url(stream))
    children = server.children()
    assert children.keys() == {"engine", "control", "pattern"}
    watch = Watch(children)
    server.send_signal(signal.SIGKILL)
    await watch.until_all_ended(within_s=2)
    assert await publisher.exit_code(within_s=2) != 0
    # Nothing is left that keeps the next one from its data folder.
    again = Server.started(server.folder, ["--config", str(server.folder / "penstock.toml")])
    again.close()


@pytest.mark.parametrize("how", ["SIGTERM", "Ctrl-C"])
async def test_a_server_that_is_told_to_end_ends_in_order(
    how: str, serve: Serve, ffmpeg: Ffmpeg, pyav: Pyav, sample: Path, stream: str
) -> None:
    server = serve("--test-pattern")
    publishers = [
        await ffmpeg.publish(sample, server.rtmp_url(f"{stream}-0")),
        await pyav.publish(sample, server.rtmp_url(f"{stream}-1")),
    ]
    players = [await ffmpeg.play(url) for url in (server.rtmp_url(f"{stream}-0"), server.flv_url(f"{stream}-1"))]
    await asyncio.gather(*(player.until_got(seconds=0.5) for player in players))
    watch = Watch(server.children())
    if how == "SIGTERM":
        server.send_signal(signal.SIGTERM)
    else:
        server.interrupt()
    assert await server.exit_code(within_s=6) == 0
    await watch.until_all_ended(within_s=0)
    for peer in (*publishers, *players):
        await peer.exit_code(within_s=2)

    ends = re.findall(rf"control: demo/({stream}-\d|live/test) ended, session \w+: ([\w ]+\w)", server.log.text())
    assert dict(ends) == {
        f"{stream}-0": "engine stopped", f"{stream}-1": "engine stopped", "live/test": "publisher left"
    }  # fmt: skip
    assert sorted(path.name for path in server.data_dir.iterdir()) == ["credentials.toml", "lock", "penstock.db", "tls"]


async def test_where_both_want_a_core_media_goes_before_control(server: Server) -> None:
    nice = {role: os.getpriority(os.PRIO_PROCESS, server.child(role)) for role in ("engine", "control")}
    assert nice["control"] == nice["engine"] + CONTROL_NICE
