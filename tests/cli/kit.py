"""A server that has nothing but an admin socket, and commands that are run in this process."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pytest
from msgspec import Struct

from penstock.admin import contract
from penstock.admin.contract import Ask, Result
from penstock.admin.verbs import VERBS
from penstock.api.admin import AdminApp
from penstock.cli.main import main
from tests.admin.kit import ANSWERS

REASONS: Final = {200: "OK", 404: "Not Found"}
Raw = Callable[[socket.socket], None]


def bind(data_dir: Path) -> socket.socket:
    """A listening admin socket in a folder, however long its path is."""
    folder = os.open(data_dir, os.O_PATH | os.O_DIRECTORY)
    try:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(f"/proc/self/fd/{folder}/{contract.SOCKET_NAME}")
        listener.listen(16)
    finally:
        os.close(folder)
    return listener


class FakeServer:
    """Serves the contract's answers, or those that a test puts in `answers`; keeps what it was asked.

    `raw` takes over the connection itself, for what no server should say.
    """

    def __init__(self, data_dir: Path) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self.data_dir = data_dir
        self.answers: dict[str, Result | Exception] = dict(ANSWERS)
        self.asked: list[Ask[Any]] = []
        self.raw: Raw | None = None
        self._app = AdminApp(self, dict.fromkeys(VERBS, FakeServer._handle))
        self._listener = bind(data_dir)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        # shutdown() wakes the thread in accept(); close() alone would not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        assert not self._thread.is_alive()
        self._listener.close()

    async def _handle(self, ask: Any) -> Result:
        self.asked.append(ask)
        answer = self.answers[ask.verb]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                if self.raw is not None:
                    self.raw(connection)
                else:
                    asyncio.run(self._answer(connection))

    async def _answer(self, connection: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
        length = next(
            int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
        )
        while len(body) < length:
            body += connection.recv(65536)

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                connection.sendall(message["body"])
                return
            fields = b"".join(name + b": " + value + b"\r\n" for name, value in message["headers"])
            reason = REASONS.get(message["status"], "Refused")
            connection.sendall(f"HTTP/1.1 {message['status']} {reason}\r\n".encode() + fields + b"\r\n")

        await self._app({"type": "http", "method": method, "path": path, "headers": []}, receive, send)


class Ran(Struct, frozen=True):
    """What a command came to."""

    code: int
    out: str
    err: str


class Commands:
    """Runs commands against the test's server."""

    def __init__(self, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._data_dir = data_dir
        self._capsys = capsys

    def __call__(self, *words: str) -> Ran:
        """Run `penstock WORDS --data-dir THE-SERVERS`."""
        return self.bare(*words, "--data-dir", str(self._data_dir))

    def bare(self, *words: str) -> Ran:
        """Run exactly these words."""
        self._capsys.readouterr()
        code: Any = 0
        try:
            main(words)
        except SystemExit as end:
            code = end.code or 0
        assert isinstance(code, int)
        out, err = self._capsys.readouterr()
        return Ran(code, out, err)
