"""The engine's own process, and a control process that the test plays: it speaks the link, and lets everybody in."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from penstock.config import Config, Media, Recording
from penstock.link import socket as link_socket
from penstock.link.messages import VERSION, Admitted, AnyMessage, Hello, Lease, PublishAsked, Vhost, Welcome
from penstock.link.recording import Container, Inspect, Record, RecordOrder
from penstock.link.socket import SocketChannel
from penstock.model import StreamId
from penstock.processes import Boot
from tests.e2e.server import PATH, Log, environment
from tests.servers.house import listen

M = TypeVar("M", bound=AnyMessage)

WITHIN_S: Final = 15.0
WELCOME: Final = Welcome(VERSION, (Vhost("demo", ("push.demo.test",), (), ("live",)),), "demo")


class EngineProcess:
    """One engine, on sockets that outlive it: `start` it again after it was killed."""

    def __init__(self, folder: Path, **recording: Any) -> None:
        """`recording` are settings of that section."""
        self.log = Log()
        self.told: list[AnyMessage] = []  # to whichever control process was there, oldest first
        self.config = Config(data_dir=folder, media=Media(drain_s=2), recording=Recording(**recording))
        self._listeners = {"rtmp": listen(), "http": listen()}
        self._link_path = folder / "link.sock"
        self._link = link_socket.bind(self._link_path)
        self._process: subprocess.Popen[str] | None = None
        self._channel: SocketChannel | None = None
        self._news = asyncio.Event()
        self._epoch = 0

    async def start(self) -> Self:
        self._spawn()
        self._channel = await link_socket.connect(self._link_path, self._take)
        await self.heard(Hello)
        return self

    def _spawn(self) -> None:
        descriptors = {name: listener.fileno() for name, listener in self._listeners.items()}
        boot = Boot(self.config, descriptors, str(self._link_path), self._link.fileno())
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            [sys.executable, "-m", "penstock.processes", "engine"],
            pass_fds=[*descriptors.values(), self._link.fileno()],
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
            env=environment() | {"PYTHONPATH": PATH},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.log.read(self._process.stdout)
        self.log.read(self._process.stderr)
        self._process.stdin.write(boot.encode().decode())
        self._process.stdin.flush()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def send_signal(self, signum: signal.Signals) -> None:
        os.kill(self.pid, signum)

    async def exit_code(self) -> int:
        assert self._process is not None
        return await asyncio.to_thread(self._process.wait, WITHIN_S)

    async def kill(self) -> None:
        """As nothing can prevent; what it told up to now is forgotten."""
        self.send_signal(signal.SIGKILL)
        await self.exit_code()
        self.told.clear()

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for listener in (*self._listeners.values(), self._link):
            listener.close()

    # The link

    def send(self, message: AnyMessage) -> None:
        assert self._channel is not None
        self._channel.send(message)

    def record(self, name: str, container: Container, recording: str, *, one_file: bool = False) -> None:
        self.send(Record(RecordOrder(recording, StreamId("demo", "live", name), container, one_file)))

    def inspect(self, recording: str, path: str) -> None:
        self.send(Inspect(recording, path))

    async def heard(self, kind: type[M], where: Callable[[M], bool] = lambda _: True) -> M:
        """The first message of this kind that was told, or comes."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                for message in self.told:
                    if isinstance(message, kind) and where(message):
                        return message
                self._news.clear()
                await self._news.wait()

    def all_heard(self, kind: type[M]) -> list[M]:
        return [message for message in self.told if isinstance(message, kind)]

    def _take(self, channel: SocketChannel) -> None:
        channel.on_message = lambda message: self._receive(channel, message)

    def _receive(self, channel: SocketChannel, message: AnyMessage) -> None:
        if isinstance(message, Hello):
            channel.send(WELCOME)
        elif isinstance(message, PublishAsked):
            self._epoch += 1
            channel.send(Admitted(message.ask, Lease(message.stream, f"session-{self._epoch}", self._epoch)))
        self.told.append(message)
        self._news.set()

    # Where it is

    def rtmp_url(self, app_stream: str) -> str:
        return f"rtmp://127.0.0.1:{_port(self._listeners['rtmp'])}/{app_stream}"

    def flv_url(self, app_stream: str) -> str:
        return f"http://127.0.0.1:{_port(self._listeners['http'])}/{app_stream}.flv"

    @property
    def recordings(self) -> Path:
        return self.config.recordings_dir


def _port(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])
