"""The log of a server that really runs, for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.peers import Ffmpeg, PublishRefused, Pyav
from tests.e2e.server import Server, write_settings


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    settings = write_settings(tmp_path)
    server = Server(tmp_path, ["--config", str(settings), "--test-pattern"], environ={"PENSTOCK_LOG_FORMAT": "json"})
    yield server
    server.close()


async def test_every_line_is_an_object_and_sessions_have_their_ids(
    server: Server, pyav: Pyav, ffmpeg: Ffmpeg, sample: Path
) -> None:
    ready = await server.wait_log('"the server is ready"', within_s=15)
    doors = json.loads(ready.text)["doors"]
    assert {"rtmp", "http", "api", "watch"} <= doors.keys()
    base = f"rtmp://127.0.0.1:{doors['rtmp']}"
    publisher = await pyav.publish(sample, f"{base}/live/cam")
    with pytest.raises(PublishRefused):
        await ffmpeg.publish(sample, f"{base}/live/cam")
    with pytest.raises(PublishRefused):
        await pyav.publish(sample, f"{base}/live/e\nvil\r\x1b[2J")
    await server.wait_log("testpattern", within_s=10)
    await publisher.stop()
    await server.wait_log("cam ended", within_s=5)
    server.close()

    lines: list[dict[str, Any]] = [json.loads(line.text) for line in server.log.lines]
    assert all({"time", "level", "process", "logger", "message"} <= line.keys() for line in lines)
    assert {"supervisor", "control", "pattern"} <= {line["process"] for line in lines}
    assert lines[-1]["message"] == "the server has stopped"

    told = [line for line in lines if line.get("stream") == "demo/live/cam"]
    sessions = {line["session"] for line in told if "session" in line}
    assert len(sessions) == 1
    assert re.fullmatch("[0-9a-f]{32}", sessions.pop())
    assert [line["message"].split()[1] for line in told if "session" in line] == ["admitted", "on", "ended,"]
    (refused,) = [line for line in told if line.get("code") == 422]
    assert re.fullmatch(r"127\.0\.0\.1:\d+", refused["client"])
    assert any(line.get("code") == 428 and "vil" in line["stream"] for line in lines)
