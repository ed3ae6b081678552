"""Monitoring's door of a server that really runs."""

from __future__ import annotations

import os
import signal
import time
import urllib.error
import urllib.request

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
