"""What the commands' tests share: a server to ask, and nobody's home."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.kit import Commands, FakeServer


@pytest.fixture(autouse=True)
def nobodys_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Take away the machine's own settings and keys."""
    home = tmp_path / "home"
    home.mkdir()
    for name in os.environ:
        if name.startswith(("PENSTOCK_", "KS_", "KSC_")) or name.upper().endswith("_PROXY") or "CA_BUNDLE" in name:
            monkeypatch.delenv(name)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(home)
    return home


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeServer]:
    with FakeServer(tmp_path / "data") as server:
        yield server


@pytest.fixture
def penstock(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(server.data_dir, capsys)
