"""The server under test: a real `penstock serve` process, what it says, and the processes behind it.

It has threads of its own to read what it says, so that one server can serve tests that each
have an event loop of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import IO, Self

from msgspec import Struct

from tests.e2e.peers import PeerFailed

PENSTOCK = (sys.executable, "-m", "penstock")
IMPATIENT = (sys.executable, "-m", "tests.e2e.impatient")
# Where both are found by a program that runs in a folder of its own.
ROOT = Path(__file__).resolve().parents[2]
PATH = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
START_S = 15.0
STOP_S = 6.0  # the promise, for whatever is on air
DOORS = ("rtmp", "rtmps", "http", "https")
# Lines that no server may write, whatever its peers do.
FAULT = re.compile(r"Traceback|a fault of our own|never awaited|never retrieved|ResourceWarning|was destroyed but")

TWO_VHOSTS = """
[[account]]
id = "1"
[[account.vhost]]
name = "one"
push_domains = ["push.one.test"]
pull_domains = ["pull.one.test"]
[[account.vhost]]
name = "two"
push_domains = ["push.two.test"]
pull_domains = ["pull.two.test"]
apps = ["live", "studio"]
"""


class Line(Struct, frozen=True):
    at_s: float  # when it came, on the monotonic clock
    text: str


class Log:
    """What a process wrote, line by line as it came."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self._news = threading.Condition()
        self._open = 0

    def read(self, pipe: IO[str]) -> None:
        """Take lines from `pipe` until its end, in a thread of their own."""
        self._open += 1
        threading.Thread(target=self._read, args=(pipe,), daemon=True).start()

    def _read(self, pipe: IO[str]) -> None:
        for text in pipe:
            with self._news:
                self.lines.append(Line(time.monotonic(), text.rstrip("\n")))
                self._news.notify_all()
        with self._news:
            self._open -= 1
            self._news.notify_all()

    def text(self, since: int = 0) -> str:
        return "\n".join(line.text for line in self.lines[since:])

    def search(self, pattern: str, since: int = 0) -> Line | None:
        return next((line for line in self.lines[since:] if re.search(pattern, line.text)), None)

    def wait(self, pattern: str, within_s: float, since: int = 0) -> Line:
        """Wait for a line that matches the regular expression; return the first.

        Raises:
            PeerFailed: it did not come in time, or the process ended without it.
        """
        with self._news:
            self._news.wait_for(lambda: self.search(pattern, since) or not self._open, within_s)
            if found := self.search(pattern, since):
                return found
        how = f"within {within_s:g} s" if self._open else "before its end"
        raise PeerFailed(
            f"the server did not say {pattern!r} {how}; it said:\n{self.text(since)[-8000:] or '(nothing)'}"
        )

    def wait_for_end(self, within_s: float) -> None:
        with self._news:
            self._news.wait_for(lambda: not self._open, within_s)


class Server:
    """One `penstock serve`; it is running and takes connections when `started` returns."""

    def __init__(
        self,
        folder: Path,
        arguments: Sequence[str],
        *,
        wrapper: Sequence[str] = (),
        environ: Mapping[str, str] = MappingProxyType({}),
        program: Sequence[str] = PENSTOCK,
    ) -> None:
        """Start it in `folder`, as its user would, in a process group of its own.

        `wrapper` is a command that runs it; `environ` goes on top of ours; `program` may be `IMPATIENT`.
        """
        self.folder = folder
        self.data_dir = folder / "data"
        self.log = Log()
        self._bases: dict[str, str] = {}
        self._process = subprocess.Popen(
            [*wrapper, *program, "serve", *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            process_group=0,
            env=environment() | dict(environ),
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.log.read(self._process.stdout)
        self.log.read(self._process.stderr)

    @classmethod
    def started(
        cls,
        folder: Path,
        arguments: Sequence[str] = (),
        *,
        wrapper: Sequence[str] = (),
        environ: Mapping[str, str] = MappingProxyType({}),
        program: Sequence[str] = PENSTOCK,
    ) -> Self:
        server = cls(folder, arguments, wrapper=wrapper, environ=environ, program=program)
        try:
            server.log.wait("STREAM is a name of your choice", START_S)
            # What it prints is what its user has; nothing else says where its doors are.
            for url in re.findall(r"\w+://\S+/STREAM", server.log.text()):
                server._bases[url.partition(":")[0]] = url.removesuffix("/live/STREAM")
        except BaseException:
            server.close()
            raise
        return server

    @property
    def pid(self) -> int:
        return self._process.pid

    # Where things are

    def rtmp_url(self, app_stream: str) -> str:
        return f"{self._bases['rtmp']}/{app_stream}"

    def rtmps_url(self, app_stream: str) -> str:
        return f"{self._bases['rtmps']}/{app_stream}"

    def flv_url(self, app_stream: str) -> str:
        """The HTTP-FLV URL; a query behind the stream's name goes behind the suffix."""
        return f"{self._bases['http']}/{_with_suffix(app_stream)}"

    def https_flv_url(self, app_stream: str) -> str:
        return f"{self._bases['https']}/{_with_suffix(app_stream)}"

    def hls_url(self, app_stream: str) -> str:
        return f"{self._bases['http']}/{_with_suffix(app_stream, '.m3u8')}"

    def https_hls_url(self, app_stream: str) -> str:
        return f"{self._bases['https']}/{_with_suffix(app_stream, '.m3u8')}"

    def page_url(self, app_stream: str) -> str:
        """The page that plays it in a browser."""
        return f"{self._bases['http']}/{app_stream}"

    def https_page_url(self, app_stream: str) -> str:
        return f"{self._bases['https']}/{app_stream}"

    @property
    def api_url(self) -> str:
        """Where the clouds' APIs answer, without TLS."""
        return self._api("http")

    @property
    def api_tls_url(self) -> str:
        """The same in TLS; see `ca_file`."""
        return self._api("https")

    def _api(self, scheme: str) -> str:
        # The only URLs that it prints without a path.
        found = re.search(rf"^ *(?:API )? +({scheme}://[^\s/]+)$", self.log.text(), re.MULTILINE)
        assert found is not None
        return found[1]

    @property
    def watch_url(self) -> str:
        """Where monitoring reads."""
        found = re.search(r"^ *Watch +(http://\S+)/metrics$", self.log.text(), re.MULTILINE)
        assert found is not None
        return found[1]

    @property
    def ca_file(self) -> Path:
        return self.data_dir / "tls" / "ca.pem"

    # What it says

    def mark(self) -> int:
        """The log's end now, as `since` for a later look."""
        return len(self.log.lines)

    async def wait_log(self, pattern: str, within_s: float, *, since: int = 0) -> Line:
        """Wait for a line that matches; see `Log.wait`."""
        return await asyncio.to_thread(self.log.wait, pattern, within_s, since)

    def faults(self, since: int = 0) -> list[str]:
        """Lines that tell of a fault of the server's own, with what follows."""
        texts = [line.text for line in self.log.lines[since:]]
        return [
            text for at, text in enumerate(texts) if any(FAULT.search(near) for near in texts[max(0, at - 20) : at + 1])
        ]

    # Its processes

    def child(self, role: str) -> int:
        """The pid of its `engine`, `control` or `pattern`."""
        return self.children()[role]

    def children(self) -> dict[str, int]:
        """Its child processes, by what they are."""
        return {_role(pid): pid for pid in children_of(self.pid)}

    def send_signal(self, signum: signal.Signals) -> None:
        self._process.send_signal(signum)

    def interrupt(self) -> None:
        """Ctrl-C: a terminal tells the whole foreground group."""
        os.killpg(self._process.pid, signal.SIGINT)

    async def exit_code(self, within_s: float = STOP_S) -> int:
        """Wait for its end; what it said is then in the log, to the last line."""
        return await asyncio.to_thread(self._wait, within_s)

    def _wait(self, within_s: float) -> int:
        code = self._process.wait(within_s)
        self.log.wait_for_end(STOP_S)
        return code

    def close(self) -> None:
        """End it and all that it started, whatever state it is in."""
        left = Watch(self.children())
        left.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        left.send_signal(signal.SIGKILL)
        left.close()
        self.log.wait_for_end(STOP_S)


def write_settings(folder: Path, *, data_dir: str = "data", accounts: str = "", **media: object) -> Path:
    """Write a settings file with `media`'s settings; every door is open, at a port that is free."""
    text = {"data_dir": data_dir}
    doors = {f"{door}_listen": "127.0.0.1:0" for door in DOORS}
    api = {"listen": "127.0.0.1:0", "tls_listen": "127.0.0.1:0"}
    watch = {"listen": "127.0.0.1:0"}
    path = folder / "penstock.toml"
    path.write_text(
        "\n".join(
            [
                _toml(text),
                "[api]",
                _toml(api),
                "[watch]",
                _toml(watch),
                "[media]",
                _toml(doors | {"drain_s": 0} | media),
                accounts,
            ]
        )
    )
    return path


def _toml(values: Mapping[str, object]) -> str:
    # What JSON and TOML write alike is all that settings need.
    return "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items())


def free_ports() -> dict[str, str]:
    """An environment in which a server without a settings file disturbs no other one."""
    return (
        {f"PENSTOCK_MEDIA__{door.upper()}_LISTEN": "127.0.0.1:0" for door in DOORS}
        | {f"PENSTOCK_{listener}": "127.0.0.1:0" for listener in ("API__LISTEN", "API__TLS_LISTEN", "WATCH__LISTEN")}
        | {"PENSTOCK_MEDIA__DRAIN_S": "0"}
    )


def environment() -> dict[str, str]:
    """Ours without what would change the server's settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")} | {
        "PYTHONUNBUFFERED": "1"
    }


def _with_suffix(app_stream: str, suffix: str = ".flv") -> str:
    path, query, rest = app_stream.partition("?")
    return f"{path}{suffix}{query}{rest}"


def children_of(parent: int) -> list[int]:
    """The pids of a process's children."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        # The name is in parentheses and may hold anything; behind it come state and parent. It may be gone by now.
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found


def _role(pid: int) -> str:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        if "penstock.processes" in words:
            return words[words.index("penstock.processes") + 1]
        if "penstock.workers.testpattern" in words:
            return "pattern"
    return str(pid)


class Watch:
    """Processes that somebody else started, held so that their pids cannot come to mean others."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._names: dict[int, str] = {}
        for name, pid in pids.items():
            with contextlib.suppress(ProcessLookupError):
                self._names[os.pidfd_open(pid)] = name

    def send_signal(self, signum: signal.Signals) -> None:
        for descriptor in self._names:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signum)

    def close(self) -> None:
        while self._names:
            os.close(self._names.popitem()[0])

    async def until_all_ended(self, within_s: float) -> None:
        """Wait for their ends.

        Raises:
            PeerFailed: some are there still.
        """
        left = await asyncio.to_thread(self._wait, within_s)
        self.close()
        if left:
            raise PeerFailed(f"still there after {within_s:g} s: {', '.join(left)}")

    def _wait(self, within_s: float) -> list[str]:
        deadline = time.monotonic() + within_s
        for descriptor in list(self._names):
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)  # readable is ended
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                continue
            del self._names[descriptor]
            os.close(descriptor)
        return list(self._names.values())


@contextlib.contextmanager
def faultless(server: Server, since: int) -> Iterator[None]:
    """Show what the server said since then, if the test fails; and let it fail for a fault of the server's own."""
    yield
    print(f"--- the server (pid {server.pid})\n{server.log.text(since)}", file=sys.stderr)
    assert not server.faults(since)


Serve = Callable[..., Server]
