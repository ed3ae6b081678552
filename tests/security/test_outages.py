"""30. A machine runs out of disk or descriptors, or its clock leaps: streams on air go on, and the log says it."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from penstock.admin.server import ResetClock, TurnClock
from penstock.cli import admin
from penstock.errors import Unavailable
from penstock.model import Kind
from penstock.sdk.kingsoft import AsyncKingsoft
from tests.e2e.conftest import serve
from tests.e2e.server import Serve, Server
from tests.e2e.world import PLACE
from tests.engine.kit import inter_body
from tests.servers.client import HttpClient, RawPipe, RtmpClient
from tests.servers.house import begin

__all__ = ["serve"]

ACCOUNTS = """
[[account]]
id = "1"
[[account.key]]
access_key = "AKone"
secret_key = "s"
[[account.vhost]]
name = "demo"
push_domains = ["push.demo.test"]
pull_domains = ["pull.demo.test"]
"""


def port_of(url: str) -> int:
    return int(url.split(":")[2].partition("/")[0])


class Show:
    """A stream with a player, on a real server."""

    def __init__(self, publisher: RtmpClient, player: HttpClient) -> None:
        self._publisher = publisher
        self._player = player
        self._at_ms = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def of(cls, server: Server, name: str) -> AsyncIterator[Show]:
        publisher = await RtmpClient.open(port_of(server.rtmp_url("")))
        await publisher.publish(name)
        await begin(publisher)
        player = await HttpClient.open(port_of(server.flv_url("")))
        assert (await player.request(f"/live/{name}.flv")).status == 200
        show = cls(publisher, player)
        await show.goes_on()
        yield show
        player.close()
        publisher.close()

    async def goes_on(self) -> None:
        """One more picture goes in, and comes out."""
        self._at_ms += 40
        picture = inter_body(b"picture at %d" % self._at_ms)
        await self._publisher.send_media(Kind.VIDEO, self._at_ms, picture)
        while (await self._player.tags(1))[0].payload != picture:
            pass


@contextlib.contextmanager
def limited(pid: int, what: int, to: int) -> Iterator[None]:
    """In here, a process that runs may have so much and no more."""
    before = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (to, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, what, before)


def cloud_of(server: Server) -> AsyncKingsoft:
    return AsyncKingsoft(access_key="AKone", secret_key="s", endpoint=server.api_url, retries=0)


async def test_30_a_disk_that_is_full_costs_no_stream_and_no_ban_is_claimed(serve: Serve) -> None:
    """Nothing can be written: who is on air plays on, others may begin, and a ban that would be lost is none."""
    server = serve(accounts=ACCOUNTS)
    async with Show.of(server, "cam") as show, cloud_of(server) as cloud:
        with limited(server.child("control"), resource.RLIMIT_FSIZE, 0):
            with pytest.raises(Unavailable):
                await cloud.forbid_stream(**PLACE, stream="cam")
            await show.goes_on()
            async with Show.of(server, "second") as second:
                await second.goes_on()
                listed = await cloud.list_realtime_pub_streams_info(**PLACE)
                assert {row.stream for row in listed.result} == {"cam", "second"}
                assert (await cloud.check_blacklist(**PLACE, stream="cam")).check_result == 0
        await server.wait_log(r"E penstock\.journal: could not be written down: .*(disk|write)", within_s=2)
        await show.goes_on()
        await cloud.forbid_stream(**PLACE, stream="second")
        assert (await cloud.check_blacklist(**PLACE, stream="second")).check_result == 1


@pytest.mark.parametrize("role", ["engine", "control"])
async def test_30_without_descriptors_what_is_open_goes_on_and_newcomers_wait(serve: Serve, role: str) -> None:
    server = serve(accounts=ACCOUNTS)
    async with Show.of(server, "cam") as show, cloud_of(server) as cloud:
        await cloud.get_blacklist(**PLACE)  # its connection stays open
        door = server.rtmp_url("") if role == "engine" else f"{server.api_url}/"
        with limited(server.child(role), resource.RLIMIT_NOFILE, 3):
            newcomer = await RawPipe.open(port_of(door))
            await server.wait_log(r"accepts nobody for", within_s=5)
            await show.goes_on()
            assert (await cloud.get_blacklist(**PLACE)).total == 0
        newcomer.close()
        async with Show.of(server, "second") as second, cloud_of(server) as another:
            await second.goes_on()
            assert (await another.get_blacklist(**PLACE)).total == 0


async def test_30_a_day_that_is_skipped_moves_no_stream(serve: Serve) -> None:
    """The clock that rules go by leaps by a day, and back: streams stay, bans end by it, calls are let in."""
    server = serve("--dev", accounts=ACCOUNTS)
    async with Show.of(server, "cam") as show, cloud_of(server) as cloud:
        await cloud.forbid_stream(**PLACE, stream="other", forbid_till_unix_time=int(time.time()) + 3600)
        office = admin.Server(server.data_dir)
        for turn, is_banned in ((TurnClock(by_s=86_400.0), 0), (ResetClock(), 1)):
            office.ask(turn)
            await show.goes_on()
            listed = await cloud.list_realtime_pub_streams_info(**PLACE)
            assert [row.stream for row in listed.result] == ["cam"]
            assert (await cloud.check_blacklist(**PLACE, stream="other")).check_result == is_banned
