"""`penstock serve`: opens the sockets, starts engine and control, restarts the one that dies.

The listening sockets belong to the supervisor, so that a port is never lost to a restart, and what
connects meanwhile waits in the socket's queue. Whatever ends the supervisor ends its children.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import resource
import signal
import socket
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

from msgspec import Struct

from penstock.admin.contract import SOCKET_NAME
from penstock.app.certificates import tls_context
from penstock.config import Config
from penstock.errors import ConfigError
from penstock.forms import parse_listen
from penstock.link import socket as link_socket
from penstock.logs import LogFormat
from penstock.processes import DRAIN, REFUSED, Boot

log = logging.getLogger("penstock.supervisor")

# A child that lived this long was well, and is restarted at once; one that did not waits longer each time.
WELL_AFTER_S: Final = 10.0
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
# How long a child has to end by itself.
STOP_S: Final = 5.0
# Players that connect while an engine restarts; the kernel cuts it to net.core.somaxconn.
BACKLOG: Final = 4096
# Longer ones do not fit a Unix socket's address.
LONGEST_SOCKET_PATH: Final = 100

MEDIA_DOORS: Final = {"rtmp": "rtmp_listen", "rtmps": "rtmps_listen", "http": "http_listen", "https": "https_listen"}
API_DOORS: Final = {"api": "listen", "api_tls": "tls_listen"}
WATCH_DOORS: Final = {"watch": "listen"}
TLS_DOORS: Final = frozenset({"rtmps", "https", "api_tls"})


class Child:
    """One process that is kept running."""

    def __init__(self, name: str, command: list[str], boot: bytes, descriptors: list[int]) -> None:
        self.name = name
        self.ready = asyncio.Event()
        # Set to the reason when the child says that it cannot be started as things are.
        self.refused: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._command = command
        self._boot = boot
        self._descriptors = descriptors
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep())

    async def drain(self) -> None:
        """Tell the process that the server is ending, and wait until it has ended by itself; it is its last."""
        await self._keep_no_more()
        process = self._process
        if process is None or process.returncode is not None:
            return
        self.tell(DRAIN)
        await process.wait()

    def tell(self, number: signal.Signals) -> None:
        """Send a signal to the process, if there is one."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _keep_no_more(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def stop(self) -> None:
        """End the process: politely, then not."""
        await self._keep_no_more()
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except TimeoutError:
                log.warning("%s did not end within %g s and is killed", self.name, STOP_S)
                process.kill()
                await process.wait()

    async def _keep(self) -> None:
        pause_s = 0.0
        while True:
            began = time.monotonic()
            code = await self._run()
            if time.monotonic() - began >= WELL_AFTER_S:
                pause_s = 0.0
            log.error(
                "%s ended (%s); it is started again%s",
                self.name,
                _ending(code),
                f" in {pause_s:g} s" if pause_s else "",
            )
            await asyncio.sleep(pause_s)
            pause_s = min(max(2 * pause_s, FIRST_PAUSE_S), LONGEST_PAUSE_S)

    async def _run(self) -> int:
        self._process = process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=PIPE,
            stdout=PIPE,
            pass_fds=self._descriptors,
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(self._boot)
            await process.stdin.drain()
        while line := await process.stdout.readline():
            if line == b"ready\n":
                self.ready.set()
            elif line.startswith(REFUSED.encode()):
                self._refuse(line.decode(errors="replace").removeprefix(REFUSED).strip())
            else:
                # The test pattern's own words.
                print(line.decode(errors="replace").rstrip("\n"), flush=True)
        code = await process.wait()
        self.ready.clear()
        return code

    def _refuse(self, why: str) -> None:
        log.error("%s cannot be started: %s", self.name, why)
        if not self.refused.done():
            self.refused.set_result(why)


def _ending(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


class Supervisor:
    """One server on this machine."""

    def __init__(
        self,
        config: Config,
        *,
        log_level: str = "INFO",
        log_format: LogFormat = "human",
        config_file: Path | None = None,
        dev: bool = False,
    ) -> None:
        """Takes hold of every port and of the data folder.

        `config_file` is where a reload reads; `dev` lets the domain's clock be turned.

        Raises:
            ConfigError: the folder or a port cannot be used; the message names the setting.
        """
        self.config = config
        self._config_file = str(config_file.absolute()) if config_file is not None else None
        self._dev = dev
        self.children: dict[str, Child] = {}
        self._held = contextlib.ExitStack()
        try:
            self.open_files = raise_open_file_limit()
            self.listeners = self._open("media", config.media, MEDIA_DOORS)
            self.api_listeners = self._open("api", config.api, API_DOORS)
            self.api_listeners |= self._open("watch", config.watch, WATCH_DOORS)
            # After the ports: a start that fails for one of them leaves no folder behind.
            self._lock = self._held.enter_context(_hold_data_dir(config.data_dir))
            if (self.listeners.keys() | self.api_listeners.keys()) & TLS_DOORS:
                tls_context(config)
            self._link_path = self._held.enter_context(_socket_path(config.data_dir))
            self._link = self._held.enter_context(_bind_link(self._link_path))
            self._admin = self._held.enter_context(_bind_admin(config.data_dir))
        except BaseException:
            self._held.close()
            raise
        self._log_level = log_level
        self._log_format = log_format

    def _open(self, section: str, settings: Struct, doors: dict[str, str]) -> dict[str, socket.socket]:
        return {
            door: self._held.enter_context(listener)
            for door, setting in doors.items()
            if (listener := bind(f"{section}.{setting}", getattr(settings, setting))) is not None
        }

    def ports(self) -> dict[str, int]:
        """The port of each door that is open, whatever the settings left to chance."""
        listeners = {**self.listeners, **self.api_listeners}
        return {door: int(listener.getsockname()[1]) for door, listener in listeners.items()}

    async def run(self, on_ready: Callable[[], None], *, pattern_url: str = "") -> None:
        """Serve until SIGTERM, which lets streams end at a key frame, or SIGINT, which does not.

        `on_ready` is called once engine and control answer each other.

        Raises:
            ConfigError: a child says that it cannot be started; nothing is left running.
        """
        loop = asyncio.get_running_loop()
        stop, hurry = asyncio.Event(), asyncio.Event()

        def end(*, at_once: bool) -> None:
            # Told twice, it must not take its time.
            if at_once or stop.is_set():
                hurry.set()
            stop.set()

        loop.add_signal_handler(signal.SIGTERM, partial(end, at_once=False))
        loop.add_signal_handler(signal.SIGINT, partial(end, at_once=True))
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        try:
            self._start()
            ready = asyncio.create_task(self._all_ready())
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait([ready, stopped], return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                ready.result()
                on_ready()
                tell_service_manager("READY=1")
                if pattern_url:
                    self._start_pattern(pattern_url)
            else:
                ready.cancel()
            await stopped
            tell_service_manager("STOPPING=1")
            if ready.done() and not hurry.is_set():
                await self._drain(hurry)
        finally:
            # Whoever speaks last is stopped last: the pattern to the engine, the engine to control.
            for name in ("pattern", "engine", "control"):
                if name in self.children:
                    await self.children[name].stop()
            self._held.close()

    async def _drain(self, hurry: asyncio.Event) -> None:
        """Have the engine end its streams where players lose nothing; returns at once when `hurry` is set."""
        drain_s = self.config.media.drain_s
        if not drain_s:
            return
        log.info("ending: streams end at their next key frame, within %g s", drain_s)
        self.children["control"].tell(DRAIN)
        if "pattern" in self.children:
            await self.children["pattern"].stop()
        drained = asyncio.create_task(self.children["engine"].drain())
        hurried = asyncio.create_task(hurry.wait())
        # The engine keeps to its time by itself, unless it hangs.
        await asyncio.wait([drained, hurried], timeout=drain_s + STOP_S, return_when=asyncio.FIRST_COMPLETED)
        for task in (drained, hurried):
            task.cancel()

    async def _all_ready(self) -> None:
        children = list(self.children.values())
        ready = asyncio.gather(*(child.ready.wait() for child in children))
        refusals = [child.refused for child in children]
        waiting: list[asyncio.Future[Any]] = [ready, *refusals]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
        for refusal in refusals:
            if refusal.done():
                raise ConfigError(refusal.result())

    def _reload(self) -> None:
        """Have control read the configuration file again; it says in the log what came of it."""
        if "control" in self.children:
            self.children["control"].tell(signal.SIGHUP)

    def _start(self) -> None:
        descriptors = {door: listener.fileno() for door, listener in self.listeners.items()}
        link_fd = self._link.fileno()
        path = str(self._link_path)
        engine = Boot(self.config, descriptors, path, link_fd, self._log_level, log_format=self._log_format)
        api = {door: listener.fileno() for door, listener in {**self.api_listeners, "admin": self._admin}.items()}
        control = Boot(self.config, api, path, None, self._log_level, self._config_file, self._dev, self._log_format)
        self._spawn(
            "engine", _module("penstock.processes", "engine"), engine.encode(), [*descriptors.values(), link_fd]
        )
        self._spawn("control", _module("penstock.processes", "control"), control.encode(), list(api.values()))

    def _start_pattern(self, url: str) -> None:
        # The URL may be signed, and a command line is everybody's to read.
        words = ("--with-parent", "--log-format", self._log_format, "-")
        self._spawn("pattern", _module("penstock.workers.testpattern", *words), f"{url}\n".encode(), [])

    def _spawn(self, name: str, command: list[str], boot: bytes, descriptors: list[int]) -> None:
        child = self.children[name] = Child(name, command, boot, descriptors)
        child.start()


def _module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", name, *arguments]


def tell_service_manager(state: str) -> None:
    """Tell systemd how far we are, if it started us (sd_notify)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    # An "@" stands for the zero byte that an abstract address begins with.
    path = f"\0{address[1:]}" if address.startswith("@") else address
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(path)
        sender.send(state.encode())


def bind(setting: str, text: str) -> socket.socket | None:
    """A listening socket for a setting's ``host:port``; None when it is turned off.

    Raises:
        ConfigError: the address is taken, or is none of this machine's.
    """
    address = parse_listen(text)
    if address is None:
        return None
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(f"{setting} is {text}: {error.strerror}; wanted a free address of this machine") from error
    return listener


def raise_open_file_limit() -> tuple[int, int]:
    """Raise the limit of open files as far as it goes; return what it was and what it is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft, hard


@contextlib.contextmanager
def _hold_data_dir(data_dir: Path) -> Iterator[IO[str]]:
    try:
        # Keys will lie there: it is nobody else's.
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (data_dir / "lock").open("a")
    except OSError as error:
        raise ConfigError(f"data_dir is {data_dir}: {error.strerror}; wanted a place for a folder of ours") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(
                f"data_dir is {data_dir}: another server uses it; wanted one of this server's own"
            ) from error
        yield lock


@contextlib.contextmanager
def _socket_path(data_dir: Path) -> Iterator[Path]:
    """Where the link's socket goes: the data folder, unless its path is too long for a socket."""
    path = data_dir / "link.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="penstock-") as folder:
        yield Path(folder) / "link.sock"


@contextlib.contextmanager
def _bind_admin(data_dir: Path) -> Iterator[socket.socket]:
    """The operator's socket, in the data folder however long its path is: an open folder has a short one."""
    folder = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        listener = link_socket.bind(Path(f"/proc/self/fd/{folder}") / SOCKET_NAME)
    except OSError as error:
        raise ConfigError(f"data_dir holds the socket {data_dir / SOCKET_NAME}: {error.strerror}") from error
    finally:
        os.close(folder)
    with listener:
        yield listener
    (data_dir / SOCKET_NAME).unlink(missing_ok=True)


@contextlib.contextmanager
def _bind_link(path: Path) -> Iterator[socket.socket]:
    try:
        listener = link_socket.bind(path)
    except OSError as error:
        raise ConfigError(f"data_dir holds the socket {path}: {error.strerror}") from error
    with listener:
        yield listener
    path.unlink(missing_ok=True)
