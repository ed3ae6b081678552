"""The pytest plugin: `penstock`, an account of a test's own on a server that runs.

Every pytest run loads this file; what the fixtures stand on is loaded by the first test that asks for one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from penstock.testing import Penstock, Server


@pytest.fixture(scope="session")
def penstock_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server, which all tests of the session share."""
    from penstock.testing.server import Server  # noqa: PLC0415  see above

    with Server(tmp_path_factory.mktemp("penstock")) as server:
        yield server


@pytest.fixture
def penstock(penstock_server: Server) -> Iterator[Penstock]:
    """An account of the test's own on a running server: keys, a vhost, publishers, and the server's clock."""
    from penstock.testing.account import Penstock  # noqa: PLC0415  see above

    with Penstock.made(penstock_server) as account:
        yield account
