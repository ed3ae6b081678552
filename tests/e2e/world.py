"""A server whose processes are killed and come back, and a customer who calls its API all the while."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypedDict, TypeVar

from penstock.errors import ApiError, Conflict, NotBanned, NotOnAir, TransportError
from penstock.model import Kind
from penstock.sdk.kingsoft import AsyncKingsoft
from tests.e2e.server import IMPATIENT, PATH, Server, Watch, write_settings
from tests.engine.kit import AVC_HEADER, key_body
from tests.servers.client import Refused, RtmpClient

T = TypeVar("T")

# A process that was killed is back within this time, with a core to itself or not.
BACK_S: Final = 20.0
PAUSE_S: Final = 0.02

# What tells that nobody answers right now.
AWAY: Final = (TransportError, ConnectionError, EOFError, TimeoutError, OSError)


class Place(TypedDict):
    unique_name: str
    app: str
    pubdomain: str


PLACE: Final = Place(unique_name="demo", app="live", pubdomain="push.demo.test")


class World:
    """A server that is killed and comes back, and a client of its API."""

    def __init__(self, folder: Path, **media: Any) -> None:
        """`media` are settings of that section."""
        self._folder = folder
        self._settings = write_settings(folder, **media)
        self.server = self._start()
        keys = tomllib.loads((folder / "data" / "credentials.toml").read_text())["2000000001"]
        self._keys = {"access_key": keys["access_key"], "secret_key": keys["secret_key"]}
        self.cloud = self._client()

    def _start(self) -> Server:
        # `impatient` is found from the project's folder.
        environ = {"PENSTOCK_API__RATE_LIMITS": "false", "PYTHONPATH": PATH}
        return Server.started(self._folder, ["--config", str(self._settings)], environ=environ, program=IMPATIENT)

    def _client(self) -> AsyncKingsoft:
        found = re.search(r"API\s+(http://\S+)", self.server.log.text())
        assert found is not None
        return AsyncKingsoft(**self._keys, endpoint=found[1], retries=0, timeout_s=5)

    async def close(self) -> None:
        await self.cloud.aclose()
        self.server.close()

    async def publish(self, name: str) -> RtmpClient:
        """Raises:
        Refused: the server said no.
        """

        async def attempt() -> RtmpClient:
            port = int(self.server.rtmp_url("").split(":")[2].partition("/")[0])
            client = await RtmpClient.open(port)
            try:
                await client.publish(name)
                await client.send_media(Kind.VIDEO, 0, AVC_HEADER)
                await client.send_media(Kind.VIDEO, 0, key_body())
            except BaseException:
                client.close()
                raise
            return client

        return await persistently(attempt)

    # Killing

    async def kill(self, victim: str) -> None:
        """End a process at once; what it was is started again, by its supervisor or by us."""
        if victim == "supervisor":
            children = Watch(self.server.children())
            self.server.send_signal(signal.SIGKILL)
            await self.server.exit_code(within_s=5)
            await children.until_all_ended(within_s=10)
            await self._start_again()
        else:
            os.kill(self.server.child(victim), signal.SIGKILL)

    async def restart(self) -> None:
        """End the server in order, and start it again."""
        self.server.send_signal(signal.SIGTERM)
        assert await self.server.exit_code() == 0
        await self._start_again()

    async def _start_again(self) -> None:
        await self.cloud.aclose()
        self.server = await asyncio.to_thread(self._start)
        self.cloud = self._client()

    # Calling

    async def ban(self, name: str) -> None:
        # A ban whose answer was lost was made all the same.
        with contextlib.suppress(Conflict):
            await persistently(lambda: self.cloud.forbid_stream(**PLACE, stream=name))

    async def lift(self, name: str) -> None:
        with contextlib.suppress(NotBanned):
            await persistently(lambda: self.cloud.resume_stream(**PLACE, stream=name))

    async def kick(self, name: str) -> None:
        with contextlib.suppress(NotOnAir):
            await persistently(lambda: self.cloud.forbid_stream(**PLACE, stream=name, forbid_till_unix_time=1))

    async def banned(self) -> set[str]:
        listed = await self.cloud.get_blacklist(**PLACE)
        return {rec.stream for rec in listed.recs}

    async def on_air(self) -> set[str]:
        listed = await self.cloud.list_realtime_pub_streams_info(**PLACE, limit=5000)
        return {row.stream for row in listed.result}

    async def history(self) -> list[str]:
        page = await self.cloud.list_history_pub_streams_info(**PLACE, limit=5000)
        return sorted(row.stream for row in page.result for _ in row.detail)

    async def refused(self) -> set[str]:
        """The streams that were refused for a ban."""
        page = await self.cloud.list_history_pub_streams_err_info(**PLACE, limit=5000)
        return {row.stream for row in page.result if any(each.status_code == 423 for each in row.detail)}


async def persistently(call: Callable[[], Awaitable[T]]) -> T:
    """Do what fails only because a process is being started again; whatever else is said counts."""
    async with asyncio.timeout(BACK_S):
        while True:
            try:
                return await call()
            except AWAY:
                await asyncio.sleep(PAUSE_S)
            except Refused as refused:
                if "no control process" not in refused.status.description:
                    raise
            except ApiError as error:
                if error.status < 500:
                    raise
                await asyncio.sleep(PAUSE_S)


async def eventually(look: Callable[[], Awaitable[T]], holds: Callable[[T], bool], what: str) -> None:
    seen: T | None = None
    try:
        async with asyncio.timeout(BACK_S):
            while True:
                seen = await persistently(look)
                if holds(seen):
                    return
                await asyncio.sleep(PAUSE_S)
    except TimeoutError:
        raise AssertionError(f"{what}: still {seen} after {BACK_S:g} s") from None
