"""Recorded files on a disk and in the store, and the API's doors in front of them, on a real socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from penstock.api.asgi import FrontApp, GatewayApp
from penstock.api.files import FilesApp, is_for_files
from penstock.api.gateway import Gateway
from penstock.api.http import HttpServer
from penstock.api.kingsoft.handlers import HANDLERS
from penstock.api.policy import HttpPolicy
from penstock.clouds.contract import Credentials
from penstock.clouds.http import Headers, HttpRequest
from penstock.clouds.kingsoft import signing
from penstock.domain.live import Live
from penstock.domain.recording_urls import DEFAULT_VALID
from penstock.engine.recording.folder import Folder
from penstock.model import StreamId
from penstock.storage.recordings import FileEnd, RecordedFile, Recording
from tests.api.door import Answer, Client
from tests.clock import START, ManualClock
from tests.domain.kit import DEMO, KEY, opened

MINE = Credentials(KEY.access_key, KEY.secret_key)
BODY = bytes(range(256)) * 4096  # 1 MiB: several pieces


class Library:
    """Everything that a test of files touches."""

    def __init__(self, live: Live, clock: ManualClock, root: Path, port: int) -> None:
        self.live, self.clock, self.root, self.port = live, clock, root, port
        self._clients: list[Client] = []
        self._count = 0

    async def recorded(
        self,
        name: str = "one.mp4",
        body: bytes | dict[str, bytes] = BODY,
        *,
        stream: StreamId = DEMO,
        account: str = "1",
    ) -> tuple[Recording, RecordedFile]:
        """A recording that is over, with one file; a dict is a folder of HLS."""
        container = "hls" if isinstance(body, dict) else name.rpartition(".")[2]
        path = f"{stream.vhost}/{stream.app}/{stream.stream}/{name}"
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        for inner, data in body.items() if isinstance(body, dict) else [("", body)]:
            target = self.root / path / inner if inner else self.root / path
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(data)
        self._count += 1
        row = await self.live.store.add_recording(
            Recording(
                id=f"{self._count:032x}", stream=stream, account=account, container=container,  # type: ignore[arg-type]
                from_at=START, made_at=START, state="stopped",
            )
        )  # fmt: skip
        await self.live.store.begin_file(
            RecordedFile(recording=row.number, path=path, session="s", engine="e", began_at=START)
        )
        await self.live.store.end_file(FileEnd(recording=row.number, path=path, at=START, is_whole=True))
        (file,) = await self.live.store.files_of(row.number)
        return row, file

    def url(self, row: Recording, file: RecordedFile, valid: timedelta = DEFAULT_VALID, at: datetime = START) -> str:
        """The path of a signed URL."""
        return urlsplit(self.live.file_urls.make(row, file, at, valid)).path

    async def get(self, target: str, *headers: tuple[str, str], method: str = "GET") -> Answer:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        client = await self.connect()
        await client.say(f"{method} {target} HTTP/1.1\r\nHost: penstock.test\r\n{lines}\r\n")
        answer = await client.answer() if method != "HEAD" else await _head_of(client)
        await client.close()
        return answer

    async def get_signed(self, target: str, credentials: Credentials = MINE, *, at: datetime | None = None) -> Answer:
        """By a key of the account."""
        request = HttpRequest(method="GET", target=target, headers=Headers([("Host", "penstock.test")]), body=b"")
        signed = signing.sign(request, credentials, at or self.clock.now())
        return await self.get(target, *[line for line in signed.headers if line[0] != "Host"])

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self._clients.append(client)
        return client

    async def close(self) -> None:
        for client in self._clients:
            with suppress(OSError):
                await client.close()


async def _head_of(client: Client) -> Answer:
    """An answer whose length is of a body that does not come; nothing comes behind it either."""
    async with asyncio.timeout(5):
        head = (await client.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    client.writer.write_eof()
    rest = await client.rest()
    return Answer(
        int(first.split()[1]),
        {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)},
        rest,
    )


@asynccontextmanager
async def library(tmp_path: Path) -> AsyncIterator[Library]:
    clock = ManualClock()
    async with opened(clock) as live:
        gateway = Gateway(
            HANDLERS, live, find_key=live.registry.find_key, explain=lambda _: None, clock=clock, limits=None
        )
        files = FilesApp(live, Folder(tmp_path), gateway.account_of)
        server = HttpServer(FrontApp(GatewayApp(gateway.answer), files, is_for_files), HttpPolicy())
        listener = socket.create_server(("127.0.0.1", 0))
        server.listen(listener)
        here = Library(live, clock, tmp_path, listener.getsockname()[1])
        try:
            yield here
        finally:
            await here.close()
            await server.close(5)
            files.close()
