"""The pytest plugin: `penstock`, an account of a test's own on a server that runs.

Every pytest run loads this file; what the fixtures stand on is loaded by the first test that asks for one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from penstock.testing import Penstock, Server
    from penstock.testing.settings import Settings


@pytest.fixture(scope="session")
def penstock_settings() -> Settings:
    """What the shared server is started with, by the keys of a settings file; override it in a conftest.py."""
    return {}


@pytest.fixture(scope="session")
def penstock_server(tmp_path_factory: pytest.TempPathFactory, penstock_settings: Settings) -> Iterator[Server]:
    """A running server, which all tests of the session share."""
    from penstock.testing.server import Server  # noqa: PLC0415  see above

    with Server(tmp_path_factory.mktemp("penstock"), penstock_settings) as server:
        yield server


@pytest.fixture
def penstock(penstock_server: Server) -> Iterator[Penstock]:
    """An account of the test's own on a running server: keys, a vhost, publishers, and the server's clock."""
    from penstock.testing.account import Penstock  # noqa: PLC0415  see above

    since = penstock_server.log_size()
    with Penstock.made(penstock_server) as account:
        yield account
    # pytest shows it with a test that failed.
    print(penstock_server.log_from(since), file=sys.stderr)


@pytest.fixture
def penstock_with(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Settings], Penstock]]:
    """The same on a server of the test's own: `penstock_with({"media": {"idle_timeout_s": 1}})`."""
    from penstock.testing.account import Penstock  # noqa: PLC0415  see above
    from penstock.testing.server import Server  # noqa: PLC0415

    with ExitStack() as running:

        def start(settings: Settings) -> Penstock:
            server = Server(tmp_path_factory.mktemp("penstock"), settings)
            # When it has ended, as its end has lines of its own.
            running.callback(lambda: print(server.log, file=sys.stderr))
            running.enter_context(server)
            return running.enter_context(Penstock.made(server))

        yield start
