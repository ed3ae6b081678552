"""The fixtures. pytest loads this file in every run of whoever has Penstock installed: it imports nothing else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from penstock.testing.server import Server

Settings = Mapping[str, Any]


@pytest.fixture(scope="session")
def penstock_settings() -> Settings:
    """What the shared server is started with, beside its own defaults; override it in a conftest.py.

    Keys are those of the settings file: `{"media": {"idle_timeout_s": 2}, "api": {"rate_limits": True}}`.
    """
    return {}


@pytest.fixture(scope="session")
def _penstock_shared(tmp_path_factory: pytest.TempPathFactory, penstock_settings: Settings) -> Iterator[Server]:
    from penstock.testing.server import Server  # noqa: PLC0415  loaded when a test wants a server, here and below

    with Server(tmp_path_factory.mktemp("penstock"), penstock_settings) as server:
        yield server


@pytest.fixture
def penstock_server(_penstock_shared: Server) -> Iterator[Server]:
    """A server that runs, the same for all tests, in order when a test begins.

    After each test its publishers have ended, its bans are lifted, and its clock goes by the machine's
    again; what was on air stays in its history.
    """
    server = _penstock_shared
    since = server.log_size()
    yield server
    # pytest shows it with a test that failed.
    print(server.log(since), file=sys.stderr)
    server.tidy()


@pytest.fixture
def penstock_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Starts servers of a test's own: `penstock_servers({"media": {"idle_timeout_s": 1}})`."""
    from penstock.testing.server import Server  # noqa: PLC0415

    with ExitStack() as running:

        def start(settings: Settings | None = None) -> Server:
            server = Server(tmp_path_factory.mktemp("penstock"), settings)
            # Behind its end, which has lines of its own.
            running.callback(lambda: print(server.log(), file=sys.stderr))
            return running.enter_context(server)

        yield start
