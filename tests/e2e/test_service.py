"""What a service manager is told, and what it does."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest

from tests.e2e.server import Server, write_settings


@pytest.mark.parametrize("kind", ["path", "abstract"])
async def test_systemd_is_told_when_the_server_is_ready_and_when_it_ends(tmp_path: Path, kind: str) -> None:
    name = str(tmp_path / "notify") if kind == "path" else f"@penstock-test-{tmp_path.name}"
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(name if kind == "path" else f"\0{name[1:]}")
        manager.settimeout(10)
        settings = write_settings(tmp_path)
        server = Server.started(tmp_path, ["--config", str(settings)], environ={"NOTIFY_SOCKET": name})
        try:
            assert manager.recv(100) == b"READY=1"
        finally:
            server.close()
        assert manager.recv(100) == b"STOPPING=1"
