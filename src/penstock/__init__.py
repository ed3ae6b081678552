"""Penstock: a live-streaming cloud that runs on one's own machine.

The SDK's clients can be imported from here (`from penstock import Kingsoft`); each is loaded when it is
first asked for, as a server and its workers need none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.sdk.kingsoft import AsyncKingsoft, Kingsoft

__all__ = ["AsyncKingsoft", "Kingsoft", "__version__"]

__version__ = "0.1.0"

# Each name that is loaded late, and the module that has it.
_HOMES = {
    "AsyncKingsoft": "penstock.sdk.kingsoft",
    "Kingsoft": "penstock.sdk.kingsoft",
}


if not TYPE_CHECKING:  # mypy knows the names from above, and sees a wrong one

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module  # noqa: PLC0415  only whoever asks pays for it

        found: object = getattr(import_module(_HOMES[name]), name)
        globals()[name] = found  # so that this function is not asked again
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
