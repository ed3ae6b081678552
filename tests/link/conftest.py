"""Every test of the link runs on both event loops: asyncio's own, and the one that servers use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from penstock.link import local
from penstock.link import socket as link_socket
from penstock.link.socket import SocketChannel
from tests.link.kit import WAIT_S, End, shut


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=["local", "socket"])
async def ends(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[End, End]]:
    """Two connected ends, on each carrier."""
    if request.param == "local":
        local_ends = [End(channel) for channel in local.pair()]
        yield local_ends[0], local_ends[1]
        await shut(*local_ends)
        return
    accepted: asyncio.Future[SocketChannel] = asyncio.get_running_loop().create_future()
    server = await link_socket.listen(link_socket.bind(tmp_path / "link"), accepted.set_result)
    connected = await link_socket.connect(tmp_path / "link", lambda channel: None)
    async with asyncio.timeout(WAIT_S):
        one, other = End(connected), End(await accepted)
    yield one, other
    server.close()
    await shut(one, other)
