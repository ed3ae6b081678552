"""Control's end of the link: what an engine says becomes facts of the domain, and actions its commands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from penstock.domain import admission
from penstock.domain.live import Live, Rules
from penstock.domain.sessions import Session
from penstock.errors import DomainError, LinkError
from penstock.link.channel import Channel
from penstock.link.messages import (
    VERSION,
    Admitted,
    AnyMessage,
    Began,
    Drop,
    Dropped,
    Ended,
    EndReason,
    Hello,
    PublishAsked,
    Refused,
    Stats,
    TurnedAway,
    Usage,
    UsageTaken,
    Welcome,
)
from penstock.model import StreamId

log = logging.getLogger("penstock.control")


class EngineLink:
    """Speaks for control to the engine; implements `domain.live.Engine`."""

    def __init__(self) -> None:
        self.connected = asyncio.Event()  # set while an engine has said Hello
        self._channel: Channel | None = None
        self._engine = ""
        self._drops: dict[int, asyncio.Future[int | None]] = {}
        self._last_command = 0

    def attach(self, channel: Channel, live: Live, on_lost: Callable[[], None] = lambda: None) -> None:
        """Take over a fresh connection; `on_lost` is called when it is gone."""

        def lose(why: str) -> None:
            if channel is self._channel:
                self._lose(live, why)
            on_lost()

        self._channel = channel
        channel.on_message = lambda message: self._receive(live, message)
        channel.on_lost = lose

    async def drop(self, stream: StreamId, reason: EndReason, detail: str) -> int | None:
        if self._channel is None or not self.connected.is_set():
            raise LinkError("no engine is connected")
        self._last_command = command = self._last_command + 1
        done: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._drops[command] = done
        self._channel.send(Drop(command, stream, reason, detail))
        try:
            return await done
        finally:
            self._drops.pop(command, None)

    def tell_rules(self, rules: Rules) -> None:
        """Send the vhosts; an engine that is connected replaces those that it knew."""
        if self._channel is not None:
            self._channel.send(Welcome(VERSION, rules.vhosts, rules.default_vhost))

    def _receive(self, live: Live, message: AnyMessage) -> None:
        match message:
            case Hello():
                self._greet(live, message)
            case PublishAsked():
                self._decide(live, message)
            case Began(lease, at):
                live.sessions.began(lease, at)
                log.info("%s on air, session %s", lease.stream, lease.session)
            case Ended():
                _log_end(live.sessions.end(message.lease, message.reason, message.at, message.last), message.detail)
            case TurnedAway():
                client = message.client
                log.warning("%s:%d turned away (%d): %s", client.address, client.port, message.code, message.why)
            case Stats(streams):
                for stats in streams:
                    live.sessions.update(stats)
            case Usage():
                live.usage.take(self._engine, message)
                if self._channel is not None:
                    self._channel.send(UsageTaken(message.number))
            case Dropped(command, epoch):
                waiting = self._drops.get(command)
                if waiting is not None and not waiting.done():
                    waiting.set_result(epoch)
            case _:
                log.error("the link brought a %s, which an engine does not send", type(message).__name__)

    def _greet(self, live: Live, hello: Hello) -> None:
        if hello.version != VERSION:
            log.error("the engine speaks version %d of the link, this control process %d", hello.version, VERSION)
            if self._channel is not None:
                self._channel.close()
            return
        self._engine = hello.engine
        for session in live.sessions.rebuild(hello.on_air):
            _log_end(session, "the engine does not know it")
        self.tell_rules(live.rules)
        self.connected.set()
        on_air = len(hello.on_air)
        # At a server's first start there is nothing to tell.
        log.log(logging.INFO if on_air else logging.DEBUG, "engine %s connected, on air: %d", hello.engine[:8], on_air)

    def _decide(self, live: Live, asked: PublishAsked) -> None:
        assert self._channel is not None
        client = asked.client
        try:
            session, replaces = admission.admit(live, asked)
        except DomainError as error:
            log.warning("%s:%d turned away (%d): %s", client.address, client.port, error.code, error)
            self._channel.send(Refused(asked.ask, error.code, str(error)))
            return
        log.info("%s admitted for %s:%d", asked.stream, client.address, client.port)
        self._channel.send(Admitted(asked.ask, session.lease, replaces))

    def _lose(self, live: Live, why: str) -> None:
        self._channel = None
        self.connected.clear()
        sessions = live.sessions.engine_lost()
        # An engine that is told to end ends its sessions first, and leaves none.
        log.log(logging.WARNING if sessions else logging.DEBUG, "the engine is lost: %s", why)
        for session in sessions:
            _log_end(session, why)
        for waiting in self._drops.values():
            if not waiting.done():
                waiting.set_exception(LinkError(f"the engine is lost: {why}"))


def _log_end(session: Session | None, detail: str) -> None:
    if session is not None:
        why = f"{session.reason} ({detail})" if detail else session.reason
        log.info("%s ended, session %s: %s", session.lease.stream, session.lease.session, why)
