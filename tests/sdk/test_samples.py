"""The samples of docs/sdk.md run as they stand there, in order, and print what stands behind each `print`."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from penstock.clouds.contract import Credentials
from penstock.sdk import credentials
from penstock.sdk.options import NAMES, Patience
from penstock.sdk.transport import Door
from tests.clock import ManualClock
from tests.sdk.cloud import Cloud
from tests.sdk.volcengine_cloud import Cloud as VolcengineCloud

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = (ROOT / "docs" / "sdk.md").read_text(encoding="utf-8")
BLOCKS: Final = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
PRINTS: Final = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A cloud that every client meets, whichever endpoint it has."""
    cloud = Cloud(Credentials("AKexample", "its-secret-key"), clock=ManualClock(datetime.now(UTC)))
    cloud.rows = 3
    volcengine = VolcengineCloud(Credentials("AKexample", "its-secret-key"), clock=cloud.clock)

    def handle(request: httpx2.Request) -> httpx2.Response:
        is_volcengines = request.headers["Authorization"].startswith("HMAC-SHA256")
        return volcengine.handle(request) if is_volcengines else cloud._handle(request)

    monkeypatch.setattr(Door, "open", lambda _: httpx2.MockTransport(handle))
    monkeypatch.setattr(Door, "open_async", lambda _: httpx2.MockTransport(handle))
    yield cloud
    logging.getLogger("penstock.sdk").setLevel(logging.NOTSET)


def test_every_sample_does_what_it_says(here: Cloud, nobodys_home: Path) -> None:
    names: dict[str, Any] = {}
    assert [kind for kind, _ in BLOCKS].count("python") > 8
    for kind, text in BLOCKS:
        if kind == "toml":
            (nobodys_home / ".penstock").mkdir()
            (nobodys_home / ".penstock" / "config.toml").write_text(text)
        else:
            here.on_air = {"s1"}
            assert printed(text, names) == ", ".join(PRINTS.findall(text)), text


def printed(sample: str, names: dict[str, Any]) -> str:
    """Run a sample with the names of those before it; return what it printed, its lines joined by commas."""
    said = StringIO()
    with redirect_stdout(said):
        exec(compile(sample, "docs/sdk.md", "exec"), names)
    return ", ".join(said.getvalue().splitlines())


def test_the_samples_pass_a_strict_type_checker(tmp_path: Path) -> None:
    sample = tmp_path / "sample.py"
    sample.write_text("\n".join(text for kind, text in BLOCKS if kind == "python"))
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), str(sample)]
    environ = {**os.environ, "MYPYPATH": str(ROOT / "src")}
    found = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=50, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_a_sample_that_does_otherwise_would_be_seen() -> None:
    text = "print(1)  # 1\nfor x in (2, 3):\n    print(x)  # 2, 4\n"
    assert (printed(text, {}), PRINTS.findall(text)) == ("1, 2, 3", ["1", "2, 4"])


def test_defaults_and_places_are_those_of_the_code(tmp_path: Path) -> None:
    for name in NAMES:
        assert f"| `{name}` | {getattr(Patience(), name):g} |" in PAGE
    vendor = credentials.KINGSOFT
    for variable in (vendor.access_key, vendor.secret_key, *vendor.tokens):
        assert f"`{variable}`" in PAGE
    for part in ("ACCESS_KEY", "SECRET_KEY", "TOKEN", "ENDPOINT", "CA"):
        assert f"`PENSTOCK_KINGSOFT_{part}`" in PAGE
    volcengine = credentials.VOLCENGINE
    for text in (volcengine.access_key, volcengine.secret_key, "PENSTOCK_VOLCENGINE_ENDPOINT", "~/.volc/credentials"):
        assert f"`{text}`" in PAGE
    order = [place.split(" ")[0].replace(str(tmp_path), "~") for place, _ in vendor.files({}, tmp_path)]
    where = [PAGE.index(f"`{place}`") for place in order]
    assert where == sorted(where)
