"""A real server for the tests of whoever uses a cloud: the pytest plugin, and what its fixtures are.

`plugin` is loaded by every pytest run on a machine that has Penstock, so that it loads nothing else before a
test asks for a fixture. `server` runs `penstock serve`; `account` is what one test sees of it; `publisher`
sends the test pattern; `clock` turns the server's time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.testing.account import Penstock
    from penstock.testing.clock import Clock
    from penstock.testing.publisher import Publisher, PublishRefused
    from penstock.testing.server import Server, ServerFailed

__all__ = ["Clock", "Penstock", "PublishRefused", "Publisher", "Server", "ServerFailed"]

_HOMES = {
    "Clock": "clock",
    "Penstock": "account",
    "PublishRefused": "publisher",
    "Publisher": "publisher",
    "Server": "server",
    "ServerFailed": "server",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
