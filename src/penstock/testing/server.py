"""The server under a test: the processes of a real `penstock serve`, on free ports, in a folder of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from penstock.admin.contract import Ask, Result
from penstock.admin.server import Environment, GetEnvironment
from penstock.cli import admin
from penstock.errors import PenstockError
from penstock.testing.settings import DEFAULTS, Settings, as_toml, merged

R = TypeVar("R", bound=Result)

START_S: Final = 60.0  # of a slow machine with a full disk; usually it is one or two
STOP_S: Final = 10.0
READY: Final = "STREAM is a name of your choice"


class ServerFailed(PenstockError):
    """The server did not start, or ended; the text is what it said."""


class Server:
    """A server that runs from `with` to the end of it."""

    def __init__(self, folder: Path, settings: Settings | None = None) -> None:
        """`settings` are those of a settings file, on top of `penstock.testing.settings.DEFAULTS`."""
        self.folder = folder
        self._settings = merged(DEFAULTS, settings or {})
        self.data_dir = folder / "data"
        self.log_file = folder / "serve.log"  # what it says
        self._admin = admin.Server(self.data_dir)
        self._bases: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._names = 0

    def __enter__(self) -> Self:
        """Start it.

        Raises:
            ServerFailed: it does not start.
        """
        settings = self.folder / "penstock.toml"
        settings.write_text(as_toml(self._settings), encoding="utf-8")
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "penstock.testing.child", "--dev", "--config", str(settings)],
                cwd=self.folder,
                env=_environment(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is the test run's; the server ends with it in order
            )
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline_s = time.monotonic() + START_S
        while READY not in (said := self.log):
            if process.poll() is not None:
                raise ServerFailed(f"the server ended at its start, and said:\n{said}")
            if time.monotonic() > deadline_s:
                raise ServerFailed(f"the server was not ready after {START_S:g} s, and said:\n{said}")
            time.sleep(0.02)  # a file tells nobody that it grew
        # What it prints is what its user has; nothing else says where its doors are.
        for url in re.findall(r"\w+://\S+/live/STREAM", said):
            self._bases[url.partition(":")[0]] = url.removesuffix("/live/STREAM")

    def close(self) -> None:
        """End it, with all that it started."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @property
    def log(self) -> str:
        """Everything that it said until now."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def log_size(self) -> int:
        """How long the log is now, in bytes, as `since` for `log_from`."""
        return self.log_file.stat().st_size

    def log_from(self, since: int) -> str:
        """What it said since then."""
        with self.log_file.open("rb") as log:
            log.seek(since)
            return log.read().decode(errors="replace")

    def base(self, scheme: str) -> str:
        """Where media goes in and out: the start of a URL of `rtmp`, `rtmps`, `http` or `https`."""
        return self._bases[scheme]

    def ask(self, ask: Ask[R]) -> R:
        """Ask a verb of `penstock.admin`, as the command line does.

        Raises:
            AdminError: the server refused.
            TransportError: it does not answer.
        """
        return self._admin.ask(ask)

    def environment(self, account: str) -> Environment:
        """Return where the APIs are, and an account's first key."""
        return self.ask(GetEnvironment(account=account))

    def new_name(self) -> str:
        """Return a name that no account and no vhost has."""
        self._names += 1
        return f"test{self._names}"


def _environment() -> dict[str, str]:
    """Ours, without what would change the server's settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")} | {
        "PYTHONUNBUFFERED": "1"
    }
