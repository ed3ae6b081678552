"""Monitoring's door of a server that really runs."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.peers import Ffmpeg, PublishRefused
from tests.e2e.server import Serve, Server


def read(server: Server, path: str) -> tuple[int, str]:
    """Ask the door, and be told whatever it says."""
    try:
        with urllib.request.urlopen(f"{server.watch_url}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def until(server: Server, path: str, status: int, within_s: float = 10) -> str:
    """Ask again and again until the answer has that status; return what it says."""
    deadline = time.monotonic() + within_s
    while (answer := read(server, path))[0] != status:
        assert time.monotonic() < deadline, answer
    return answer[1]


def test_it_is_ready_while_there_is_an_engine(serve: Serve) -> None:
    server = serve()
    assert read(server, "/healthz") == (200, "ok\n")
    assert read(server, "/readyz") == (200, "ready\n")
    # A supervisor that is held starts nothing again.
    engine = server.child("engine")
    server.send_signal(signal.SIGSTOP)
    try:
        os.kill(engine, signal.SIGKILL)
        assert until(server, "/readyz", 503) == "no engine is connected\n"
        assert read(server, "/healthz") == (200, "ok\n")
    finally:
        server.send_signal(signal.SIGCONT)
    assert until(server, "/readyz", 200) == "ready\n"


def number(text: str, name: str) -> float:
    """The value of the one line with this name and labels."""
    (found,) = re.findall(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found)


async def test_what_goes_in_and_out_and_what_runs_is_counted(
    serve: Serve, ffmpeg: Ffmpeg, sample: Path, stream: str
) -> None:
    server = serve(usage_flush_s=0.2)
    publisher = await ffmpeg.publish(sample, server.rtmp_url(stream))
    player = await ffmpeg.play(server.flv_url(stream))
    await player.until_got(seconds=1)
    with pytest.raises(PublishRefused, match="has no app elsewhere"):
        await ffmpeg.publish(sample, server.rtmp_url("elsewhere/cam"))

    named = f'{{vhost="demo",app="live",stream="{stream.partition("/")[2]}"}}'
    text = await asyncio.to_thread(
        until_it_says,
        server,
        [f"penstock_top_stream_players{named} 1", 'penstock_media_bytes_out_total{format="flv"} '],
    )
    assert number(text, "penstock_streams_on_air") == 1
    assert number(text, "penstock_publishes_admitted_total") == 1
    assert number(text, 'penstock_publishes_refused_total{code="428"}') == 1
    assert number(text, 'penstock_players{format="flv"}') == 1
    assert number(text, 'penstock_media_bytes_in_total{format="rtmp"}') > 1000
    assert number(text, 'penstock_media_bytes_out_total{format="flv"}') > 1000
    assert number(text, "penstock_store_write_seconds_count") > 2
    for process in ("engine", "control"):
        assert number(text, f'penstock_process_open_files{{process="{process}"}}') > 3
        assert number(text, f'penstock_process_resident_bytes{{process="{process}"}}') > 10_000_000
    assert list(text_string_to_metric_families(text))

    os.kill(server.child("engine"), signal.SIGKILL)
    text = await asyncio.to_thread(until_it_says, server, ["penstock_engine_restarts_total 1"])
    assert number(text, 'penstock_sessions_ended_total{reason="engine lost"}') == 1
    await publisher.exit_code(within_s=5)


def until_it_says(server: Server, wanted: list[str], within_s: float = 10) -> str:
    deadline = time.monotonic() + within_s
    while not all(f"\n{line}" in (text := read(server, "/metrics")[1]) for line in wanted):
        assert time.monotonic() < deadline, text
    return text
