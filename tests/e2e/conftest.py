"""Fixtures of the peers; each ends its children, and shows what they said if the test failed."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.e2e.media import Samples
from tests.e2e.peers import Curl, Ffmpeg, Gstreamer, NginxRtmp, Peers, Publish, Pyav, Rtmpdump
from tests.e2e.server import Serve, Server, faultless, write_settings

P = TypeVar("P", bound=Peers)


@contextlib.asynccontextmanager
async def closing(peers: P) -> AsyncIterator[P]:
    try:
        yield peers
    finally:
        await peers.close()


@pytest.fixture(scope="session")
def samples() -> Samples:
    return Samples()


@pytest.fixture
def sample(samples: Samples) -> Path:
    """The ordinary case: H.264 and AAC."""
    return samples.h264


@pytest.fixture
async def ffmpeg() -> AsyncIterator[Ffmpeg]:
    async with closing(Ffmpeg()) as peers:
        yield peers


@pytest.fixture
async def pyav() -> AsyncIterator[Pyav]:
    async with closing(Pyav()) as peers:
        yield peers


@pytest.fixture
async def gstreamer() -> AsyncIterator[Gstreamer]:
    async with closing(Gstreamer()) as peers:
        yield peers


@pytest.fixture
async def rtmpdump() -> AsyncIterator[Rtmpdump]:
    async with closing(Rtmpdump()) as peers:
        yield peers


@pytest.fixture
async def curl() -> AsyncIterator[Curl]:
    async with closing(Curl()) as peers:
        yield peers


@pytest.fixture
def publishers(ffmpeg: Ffmpeg, pyav: Pyav, gstreamer: Gstreamer) -> dict[str, Publish]:
    """Every way to publish a file once, in real time."""
    return {
        "ffmpeg": ffmpeg.publish,
        "pyav": pyav.publish,
        "rtmpsink": gstreamer.publish,
        "rtmp2sink": lambda source, url: gstreamer.publish(source, url, sink="rtmp2sink"),
    }


@pytest.fixture
async def nginx_rtmp(tmp_path: Path) -> AsyncIterator[NginxRtmp]:
    async with closing(NginxRtmp(tmp_path)) as server:
        await server.listen()
        yield server


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    server = Server.started(folder, ["--config", str(write_settings(folder))])
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def server(shared_server: Server) -> Iterator[Server]:
    """A server with default settings, which other tests use too: publish to `stream`, and leave it running."""
    with faultless(shared_server, since=shared_server.mark()):
        yield shared_server


@pytest.fixture
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Starts servers of the test's own: `serve("--test-pattern", accounts="[[account]]...", idle_timeout_s=1)`.

    What has a name is a setting of `media`.
    """
    with contextlib.ExitStack() as servers:

        def start(*arguments: str, wrapper: Sequence[str] = (), accounts: str = "", **media: Any) -> Server:
            folder = tmp_path_factory.mktemp("server")
            settings = write_settings(folder, accounts=accounts, **media)
            server = Server.started(folder, ["--config", str(settings), *arguments], wrapper=wrapper)
            # Closed before it is looked at: ending is where faults like to be.
            servers.enter_context(faultless(server, since=0))
            servers.callback(server.close)
            return server

        yield start


_numbers = itertools.count(1)


@pytest.fixture
def stream() -> str:
    """A stream that no other test publishes, as app and name."""
    return f"live/stream-{next(_numbers)}"
