"""The real server for a test: a pytest plugin, and the same by hand.

Installed with `penstock[server]`, pytest finds the plugin by itself. A test that names the fixture
`penstock_server` gets a server with real processes and sockets, publishers to send to it, and its clock::

    def test_a_ban_ends(penstock_server):
        kls = penstock_server.kingsoft()
        with penstock_server.publish("s1") as publisher:
            kls.forbid_stream(**penstock_server.kingsoft_place, stream="s1")
            publisher.wait_end()
        penstock_server.clock.turn(days=91)
        with penstock_server.publish("s1"):
            ...

Nothing is loaded before a fixture is used, so that the plugin costs other tests nothing.
"""

from __future__ import annotations

from importlib import import_module

# As in the package itself: for type checkers, without loading `typing`.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from penstock.testing.publisher import Publisher, PublishRefused
    from penstock.testing.server import Clock, Server

__all__ = ["Clock", "PublishRefused", "Publisher", "Server"]

_HANDED_OUT = {
    "Clock": "penstock.testing.server",
    "PublishRefused": "penstock.testing.publisher",
    "Publisher": "penstock.testing.publisher",
    "Server": "penstock.testing.server",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _HANDED_OUT:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_HANDED_OUT[name]), name)
        return value


def __dir__() -> list[str]:
    return __all__
