"""What every carrier of the link offers, so that neither end knows which one it is on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from penstock.link.messages import AnyMessage


class Channel(Protocol):
    """One open connection between an engine and a control process.

    Messages arrive whole and in order, each by one call of `on_message`; `on_lost` comes once,
    last, with what happened. Both are called by the event loop, never from inside `send`.
    """

    on_message: Callable[[AnyMessage], None]
    on_lost: Callable[[str], None]

    def send(self, message: AnyMessage) -> None:
        """Queue one message; it is dropped if the other end is gone."""

    def close(self) -> None:
        """End the connection; what was sent before still arrives."""


def ignore_message(message: AnyMessage) -> None:
    """The handler of a channel that nobody listens to yet."""


def ignore_loss(why: str) -> None:
    """The same for its end."""
