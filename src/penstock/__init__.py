"""Penstock: a live-streaming cloud that runs on one's own machine, and the SDK for it and for public ones.

    from penstock import Kingsoft, Volcengine, errors

What the package hands out is loaded when it is first used: importing it costs next to nothing, and a
program that only calls a cloud never loads the server.
"""

from __future__ import annotations

from importlib import import_module

# Type checkers take a name of this spelling for true; importing it from `typing` would load that.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from penstock import errors
    from penstock.sdk.kingsoft import AsyncKingsoft, Kingsoft
    from penstock.sdk.volcengine import AsyncVolcengine, Volcengine

__version__ = "0.1.0"

__all__ = ["AsyncKingsoft", "AsyncVolcengine", "Kingsoft", "Volcengine", "__version__", "errors"]

# Where each name comes from: a module, and what is taken out of it; nothing: the module itself.
_HANDED_OUT = {
    "AsyncKingsoft": ("penstock.sdk.kingsoft", "AsyncKingsoft"),
    "AsyncVolcengine": ("penstock.sdk.volcengine", "AsyncVolcengine"),
    "Kingsoft": ("penstock.sdk.kingsoft", "Kingsoft"),
    "Volcengine": ("penstock.sdk.volcengine", "Volcengine"),
    "errors": ("penstock.errors", ""),
}

# Hidden from type checkers, which else would let every name pass.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _HANDED_OUT:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module, inner = _HANDED_OUT[name]
        found = import_module(module)
        value = globals()[name] = getattr(found, inner) if inner else found
        return value


def __dir__() -> list[str]:
    return __all__
