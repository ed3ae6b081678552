"""Control's end of the link: what an engine says becomes facts of the domain, and actions its commands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import partial
from typing import Any, Final, Protocol

from penstock.domain import admission, bans, enforcement, recording_schedule, records
from penstock.domain.live import Live
from penstock.domain.recorder_link import RecorderLink
from penstock.domain.sessions import Session
from penstock.errors import DomainError, LinkError
from penstock.link.channel import Channel
from penstock.link.messages import (
    VERSION,
    Admitted,
    AnyMessage,
    Began,
    Client,
    Drop,
    Dropped,
    Ended,
    EndReason,
    Hello,
    Lease,
    Noted,
    OnAir,
    PublishAsked,
    Refused,
    Stats,
    TurnedAway,
    Usage,
    UsageTaken,
    Welcome,
)
from penstock.link.recording import FileBegan, FileEnded, FileRemoved, RecordingTold
from penstock.link.relaying import RelayOrder, RelayTold, StartRelay, StopRelay
from penstock.model import StreamId
from penstock.storage.base import Records
from penstock.storage.rows import SessionEnd, SessionRow

log = logging.getLogger("penstock.control")

# An engine answers within milliseconds; one that does not is in trouble, and callers must not wait for it.
DROP_TIMEOUT_S: Final = 5.0


class RelayEars(Protocol):
    """Who is told of relays (`relays.running`)."""

    def greeted(self, known: tuple[str, ...]) -> None: ...

    def told(self, told: RelayTold) -> None: ...

    def lost(self) -> None: ...


class EngineLink:
    """Speaks for control to the engine; implements `domain.live.Engine` and `relays.running.RelayEngine`."""

    def __init__(self) -> None:
        self.connected = asyncio.Event()  # set while an engine has said Hello
        self._channel: Channel | None = None
        self._engine = ""
        self.pid = 0  # the engine's, as it says itself; 0: it did not
        self._last_refusal = 0  # its latest that was counted: a broken link has them told again
        self._drops: dict[int, asyncio.Future[int | None]] = {}
        self._last_command = 0
        self._is_keeping = True  # so far, all that this connection told was written down
        self._tasks: set[asyncio.Task[None]] = set()
        self.relays: RelayEars | None = None
        self.recorder = RecorderLink()

    def attach(self, channel: Channel, live: Live, on_lost: Callable[[], None] = lambda: None) -> None:
        """Take over a fresh connection; `on_lost` is called when it is gone."""

        def lose(why: str) -> None:
            if channel is self._channel:
                self._lose(live, why)
            on_lost()

        self._channel, self._is_keeping = channel, True
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
            async with asyncio.timeout(DROP_TIMEOUT_S):
                return await done
        except TimeoutError:
            raise LinkError(f"the engine did not answer within {DROP_TIMEOUT_S:g} s") from None
        finally:
            self._drops.pop(command, None)

    def tell_vhosts(self, live: Live) -> None:
        """Send the vhosts; an engine that is connected replaces those that it knew."""
        if self._channel is not None:
            self._channel.send(Welcome(VERSION, live.registry.names(), live.rules.default_vhost))

    def start_relay(self, order: RelayOrder) -> None:
        if self._channel is not None:
            self._channel.send(StartRelay(order))

    def stop_relay(self, id: str) -> None:
        if self._channel is not None:
            self._channel.send(StopRelay(id))

    def _receive(self, live: Live, message: AnyMessage) -> None:
        match message:
            case Hello():
                self._greet(live, message)
            case PublishAsked():
                self._work(self._decide(live, message))
            case Began(lease, at):
                self._begin(live, lease, live.clock.at(at))
            case Ended():
                self._end(live, message)
            case TurnedAway():
                client = message.client
                _log_refusal(client, message.code, message.why, message.target)
                self._count_refusal(live, message)
                refusal = records.turned_away(live, message, live.clock.at(message.at))
                self._note(live.journal.put(lambda store: store.put_refusals([refusal])), message.number)
            case Stats(streams):
                for stats in streams:
                    if (session := live.sessions.update(stats)) is not None:
                        live.audiences.see(session.lease.stream, stats, live.clock.monotonic())
            case Usage():
                live.usage.take(self._engine, message)
                if self._channel is not None:
                    self._channel.send(UsageTaken(message.number))
            case Dropped(command, epoch):
                waiting = self._drops.get(command)
                if waiting is not None and not waiting.done():
                    waiting.set_result(epoch)
            case RelayTold():
                if self.relays is not None:
                    self.relays.told(message)
            case RecordingTold() | FileBegan() | FileEnded() | FileRemoved():
                self.recorder.receive(live, message)
            case _:
                log.error("the link brought a %s, which an engine does not send", type(message).__name__)

    def _count_refusal(self, live: Live, told: TurnedAway) -> None:
        if told.number > self._last_refusal:
            self._last_refusal = told.number
            live.tallies.refused.add(str(told.code))

    # Sessions

    def _begin(self, live: Live, lease: Lease, at: datetime) -> None:
        live.sessions.began(lease, at)
        live.journal.put(lambda store: store.begin_session(lease.epoch, at))
        log.info("%s on air, session %s", lease.stream, lease.session, extra=_about(lease))

    def _end(self, live: Live, told: Ended) -> None:
        at = live.clock.at(told.at)
        session = live.sessions.end(told.lease, told.reason, at, told.last)
        if session is None:
            # Told again: whoever was told first may not have written it down.
            session = Session(told.lease, Client("", 0), at, stats=told.last, reason=told.reason, ended_at=at)
        else:
            self._log_end(live, session, told.detail)
        if told.last is not None:
            # A control process that was killed may not have written down that it began.
            session.began_at = session.began_at or live.clock.at(told.last.began_at)
        end = records.end_of(session, told.detail)
        self._note(live.journal.put(partial(_write_told_end, end)), told.number)

    def _lost(self, live: Live, sessions: list[Session], detail: str) -> None:
        """Sessions whose end nobody told: it is now."""
        for session in sessions:
            self._log_end(live, session, detail)
            end = records.end_of(session, detail)
            live.journal.put(partial(_write_end, end))

    def _log_end(self, live: Live, session: Session, detail: str) -> None:
        if live.sessions.holder(session.lease.stream) is None:
            live.audiences.forget(session.lease.stream)
        live.tallies.ended.add(str(session.reason))
        why = f"{session.reason} ({detail})" if detail else session.reason
        about = _about(session.lease) | {"reason": str(session.reason)}
        log.info("%s ended, session %s: %s", session.lease.stream, session.lease.session, why, extra=about)

    def _note(self, written: asyncio.Future[bool], number: int) -> None:
        """Tell the engine once it is durable that it may forget: one that was not written stays with it."""
        channel = self._channel

        def tell(written: asyncio.Future[bool]) -> None:
            if channel is None or channel is not self._channel:
                return
            # A number stands for all below it: behind one that failed, none is noted on this connection.
            self._is_keeping = self._is_keeping and not written.cancelled() and written.result()
            if self._is_keeping:
                channel.send(Noted(number))

        written.add_done_callback(tell)

    def _greet(self, live: Live, hello: Hello) -> None:
        if hello.version != VERSION:
            log.error("the engine speaks version %d of the link, this control process %d", hello.version, VERSION)
            if self._channel is not None:
                self._channel.close()
            return
        if hello.engine != self._engine:
            live.tallies.engines += 1
            self._last_refusal = 0
        self._engine, self.pid = hello.engine, hello.pid
        lost = live.sessions.rebuild(hello.on_air, hello.ended)
        for status in hello.on_air:
            self._take_over(live, status)
        self._lost(live, lost, "the engine does not know it")
        self.tell_vhosts(live)
        self.connected.set()
        if self._channel is not None:
            self.recorder.greet(live, hello, self._channel)
        self._work(enforcement.enforce(live))
        if self.relays is not None:
            self.relays.greeted(hello.relays)
        on_air = len(hello.on_air)
        # At a server's first start there is nothing to tell.
        log.log(logging.INFO if on_air else logging.DEBUG, "engine %s connected, on air: %d", hello.engine[:8], on_air)

    def _take_over(self, live: Live, status: OnAir) -> None:
        """A session that is on air: see that it is written down, with what the engine knows of it."""
        session = live.sessions.holder(status.lease.stream)
        if session is None or session.lease.epoch != status.lease.epoch:
            return
        vhost = status.lease.stream.vhost
        session.account = session.account or live.registry.account_of(vhost)
        session.push_domain = session.push_domain or live.registry.domain_for(vhost, "push", status.stats.domain)
        session.began_at = live.clock.at(status.stats.began_at)
        live.audiences.see(status.lease.stream, status.stats, live.clock.monotonic())
        live.journal.put(partial(_write_begun, records.row_of(session), session.began_at))

    # Questions

    async def _decide(self, live: Live, asked: PublishAsked) -> None:
        channel = self._channel
        # Nothing is awaited between the last look at the bans and the answer's way out: what is forbidden
        # from now on is dropped by a command that the engine hears behind it.
        answer = await self._answer(live, asked)
        if channel is not None and channel is self._channel:
            channel.send(answer)

    async def _answer(self, live: Live, asked: PublishAsked) -> Admitted | Refused:
        try:
            session, replaces = admission.admit(live, asked)
        except DomainError as error:
            return await self._refuse(live, asked, error)
        row = records.row_of(session)
        await live.journal.put(lambda store: store.admit_session(row))
        # Said to the engine before the answer, so that no frame comes before it.
        await recording_schedule.record_always(live, session)
        try:
            # While that was written the stream may have been banned, and its publisher looked for in vain.
            bans.refuse_banned(live, asked.stream)
        except DomainError as error:
            self._withdraw(live, session, str(error))
            return await self._refuse(live, asked, error)
        live.tallies.admitted += 1
        about = _about(session.lease) | {"client": _peer(asked.client)}
        log.info("%s admitted for %s:%d", asked.stream, asked.client.address, asked.client.port, extra=about)
        return Admitted(asked.ask, session.lease, replaces)

    async def _refuse(self, live: Live, asked: PublishAsked, error: DomainError) -> Refused:
        _log_refusal(asked.client, error.code, str(error), str(asked.stream))
        live.tallies.refused.add(str(error.code))
        refusal = records.refusal_of(live, asked, error)
        # Written before it is answered: who reads the history after a refusal finds it there.
        await live.journal.put(lambda store: store.put_refusals([refusal]))
        return Refused(asked.ask, error.code, str(error))

    def _withdraw(self, live: Live, session: Session, detail: str) -> None:
        if live.sessions.end(session.lease, EndReason.BANNED, live.clock.now(), None) is not None:
            live.journal.put(partial(_write_end, records.end_of(session, detail)))

    def _work(self, action: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(action)
        self._tasks.add(task)
        task.add_done_callback(self._worked)

    def _worked(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a fault of our own", exc_info=error)

    def _lose(self, live: Live, why: str) -> None:
        self._channel = None
        self.connected.clear()
        self.recorder.lose(live)
        sessions = live.sessions.engine_lost()
        # An engine that is told to end ends its sessions first, and leaves none.
        log.log(logging.WARNING if sessions else logging.DEBUG, "the engine is lost: %s", why)
        self._lost(live, sessions, why)
        if self.relays is not None:
            self.relays.lost()
        for waiting in self._drops.values():
            if not waiting.done():
                waiting.set_exception(LinkError(f"the engine is lost: {why}"))


def _about(lease: Lease) -> dict[str, str]:
    return {"stream": str(lease.stream), "session": lease.session}


def _peer(client: Client) -> str:
    return f"{client.address}:{client.port}"


def _log_refusal(client: Client, code: int, why: str, stream: str) -> None:
    about = {"client": _peer(client), "code": code, "stream": stream}
    log.warning("%s:%d turned away (%d): %s", client.address, client.port, code, why, extra=about)


async def _write_end(end: SessionEnd, store: Records) -> None:
    await store.end_session(end)


async def _write_told_end(end: SessionEnd, store: Records) -> None:
    # With its link an engine was thought lost: its own word is the better one.
    await store.reopen_session(end.epoch, str(EndReason.ENGINE_LOST))
    await store.end_session(end)


async def _write_begun(row: SessionRow, at: datetime, store: Records) -> None:
    await store.admit_session(row)
    # Its engine was thought lost with it, and only the link was.
    await store.reopen_session(row.epoch, str(EndReason.ENGINE_LOST))
    await store.begin_session(row.epoch, at)
