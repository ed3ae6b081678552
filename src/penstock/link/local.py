"""The link inside one process: for tests, and for a server embedded in another program."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from penstock.link.channel import ignore_loss, ignore_message
from penstock.link.messages import AnyMessage


class LocalChannel:
    """One end of a pair made by `pair`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.on_message: Callable[[AnyMessage], None] = ignore_message
        self.on_lost: Callable[[str], None] = ignore_loss
        self._loop = loop
        self._peer: LocalChannel | None = None

    def send(self, message: AnyMessage) -> None:
        if self._peer is not None:
            # Through the loop, as on every other carrier: no handler runs inside its sender.
            self._loop.call_soon(self._peer._deliver, message)

    def close(self) -> None:
        peer, self._peer = self._peer, None
        if peer is not None:
            self._loop.call_soon(peer._lose, "the other end closed the link")
            self._loop.call_soon(self._lose, "closed here")

    def _deliver(self, message: AnyMessage) -> None:
        self.on_message(message)

    def _lose(self, why: str) -> None:
        self._peer = None
        # What the other end sent before it heard of the loss comes after it, and to nobody.
        self.on_message = ignore_message
        handler, self.on_lost = self.on_lost, ignore_loss
        handler(why)


def pair() -> tuple[LocalChannel, LocalChannel]:
    """Two ends that are connected to each other. Needs a running event loop."""
    loop = asyncio.get_running_loop()
    one, other = LocalChannel(loop), LocalChannel(loop)
    one._peer, other._peer = other, one
    return one, other
