"""Control's end of the link, with an engine that the test plays by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, TypeVar

import msgspec
import pytest

from penstock.domain import accounts
from penstock.domain.engines import EngineLink
from penstock.domain.live import Live
from penstock.errors import LinkError
from penstock.link import local
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
    Holder,
    Lease,
    Noted,
    OnAir,
    Refused,
    Stats,
    TurnedAway,
    UsageTaken,
    Welcome,
)
from penstock.model import StreamId
from penstock.storage.errors import StorageError
from penstock.storage.rows import Ban, SessionEnd, SessionRow
from penstock.storage.sql import SqlRecords
from tests.clock import START, ManualClock
from tests.domain.kit import CLIENT, DEMO, OTHER, RIVAL, RULES, asked, make_stats, on_air, opened
from tests.domain.test_usage import row, usage

M = TypeVar("M", bound=AnyMessage)

DEADLINE_S = 2.0


class Control:
    def __init__(self, clock: ManualClock, link: EngineLink, live: Live) -> None:
        self.clock, self.link, self.live = clock, link, live


class FakeEngine:
    """The far end of one connection."""

    def __init__(self, control: Control, name: str = "engine-1") -> None:
        self.name = name
        self.was_lost = asyncio.Event()
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._heard: asyncio.Queue[AnyMessage] = asyncio.Queue()
        self._mine, theirs = local.pair()
        self._mine.on_message = self._heard.put_nowait
        self._mine.on_lost = self.closed.set_result
        control.link.attach(theirs, control.live, self.was_lost.set)

    def send(self, *messages: AnyMessage) -> None:
        for message in messages:
            self._mine.send(message)

    async def next(self, kind: type[M]) -> M:
        """The next message, which must be of this kind; what was noted is passed over, unless it is asked for."""
        async with asyncio.timeout(DEADLINE_S):
            message = await self._heard.get()
            while isinstance(message, Noted) and kind is not Noted:
                message = await self._heard.get()
        assert isinstance(message, kind), message
        return message

    async def nothing_more(self) -> None:
        await settle()
        assert self._heard.empty()

    async def greet(self, *streams: OnAir) -> Welcome:
        self.send(Hello(VERSION, self.name, streams))
        return await self.next(Welcome)

    async def admitted(self, stream: StreamId = DEMO) -> Lease:
        """A publish that was let in, and is on air."""
        self.send(asked(stream))
        lease = (await self.next(Admitted)).lease
        self.send(Began(lease, START))
        await settle()
        return lease

    async def leave(self) -> None:
        self._mine.close()
        async with asyncio.timeout(DEADLINE_S):
            await self.was_lost.wait()


async def settle() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


@pytest.fixture
async def control(clock: ManualClock) -> AsyncIterator[Control]:
    link = EngineLink()
    async with opened(clock, engine=link) as live:
        yield Control(clock, link, live)


@pytest.fixture
async def engine(control: Control) -> FakeEngine:
    engine = FakeEngine(control)
    await engine.greet()
    return engine


# Greeting


async def test_an_engine_that_says_hello_is_told_the_vhosts(control: Control) -> None:
    engine = FakeEngine(control)
    await engine.nothing_more()
    assert not control.link.connected.is_set()
    welcome = await engine.greet()
    assert (welcome.version, welcome.vhosts, welcome.default_vhost) == (VERSION, control.live.registry.names(), "")
    assert control.link.connected.is_set()


async def test_an_engine_of_another_version_is_sent_away(control: Control) -> None:
    engine = FakeEngine(control)
    engine.send(Hello(VERSION + 1, "engine-1", ()))
    async with asyncio.timeout(DEADLINE_S):
        await engine.closed
    assert not control.link.connected.is_set()
    await engine.nothing_more()


async def test_what_is_on_air_is_rebuilt_from_the_engine(control: Control) -> None:
    lease = Lease(DEMO, "told", 5)
    await FakeEngine(control).greet(on_air(lease, client=RIVAL))
    (session,) = control.live.sessions.on_air()
    assert (session.lease, session.client) == (lease, RIVAL)


async def test_new_rules_reach_an_engine_that_is_connected(control: Control, engine: FakeEngine) -> None:
    control.live.rules = msgspec.structs.replace(RULES, default_vhost="demo")
    control.link.tell_vhosts(control.live)
    assert (await engine.next(Welcome)).default_vhost == "demo"


async def test_new_rules_with_no_engine_are_told_when_one_comes(control: Control) -> None:
    control.live.rules = msgspec.structs.replace(RULES, default_vhost="demo")
    control.link.tell_vhosts(control.live)
    assert (await FakeEngine(control).greet()).default_vhost == "demo"


# Deciding


async def test_a_publish_is_admitted_with_a_lease(control: Control, engine: FakeEngine) -> None:
    engine.send(asked(ask=9))
    admitted = await engine.next(Admitted)
    assert (admitted.ask, admitted.lease.stream, admitted.replaces) == (9, DEMO, None)
    assert control.live.sessions.on_air() == []
    engine.send(Began(admitted.lease, START))
    await settle()
    assert [session.lease for session in control.live.sessions.on_air()] == [admitted.lease]


async def test_a_publish_is_refused_with_a_code_and_a_reason(control: Control, engine: FakeEngine) -> None:
    lease = await engine.admitted()
    engine.send(asked(ask=2, client=RIVAL, holder=Holder(lease.epoch, 0.1)))
    refused = await engine.next(Refused)
    assert (refused.ask, refused.code) == (2, 422)
    assert "has a publisher that sends" in refused.why


async def test_a_silent_holder_is_named_as_the_one_to_replace(control: Control, engine: FakeEngine) -> None:
    lease = await engine.admitted()
    engine.send(asked(ask=2, client=RIVAL, holder=Holder(lease.epoch, 2.5)))
    assert (await engine.next(Admitted)).replaces == lease.epoch


async def test_two_that_race_for_one_name_are_one_session(control: Control, engine: FakeEngine) -> None:
    engine.send(asked(ask=1), asked(ask=2, client=RIVAL))
    await engine.next(Admitted)
    assert (await engine.next(Refused)).code == 422


async def test_a_stream_of_a_vhost_that_is_gone_is_refused(control: Control, engine: FakeEngine) -> None:
    await accounts.remove_vhost(control.live, "demo")
    await engine.next(Welcome)
    engine.send(asked())
    assert (await engine.next(Refused)).code == 428


async def test_a_ban_that_comes_while_a_publish_is_written_down_refuses_it(
    control: Control, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drop found nobody to drop, so the answer must be no."""
    put = control.live.journal.put

    def ban_meanwhile(write: Any) -> asyncio.Future[bool]:
        monkeypatch.setattr(control.live.journal, "put", put)
        row = Ban(stream=DEMO, since=START, until=START + timedelta(days=1), changed_at=START, account="1")
        control.live.bans.put(row)
        return put(write)

    monkeypatch.setattr(control.live.journal, "put", ban_meanwhile)
    engine.send(asked(ask=3))
    refused = await engine.next(Refused)
    assert (refused.ask, refused.code) == (3, 423)
    assert control.live.sessions.holder(DEMO) is None
    await control.live.journal.written()
    assert await control.live.store.open_sessions() == []


async def test_an_end_is_noted_once_it_is_written_and_none_behind_one_that_was_not(
    control: Control, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases = [await engine.admitted(StreamId("demo", "live", name)) for name in "abc"]
    first, second, third = (
        Ended(lease, EndReason.LEFT, "", START, make_stats(lease.epoch), number)
        for number, lease in enumerate(leases, 1)
    )
    engine.send(first)
    assert await engine.next(Noted) == Noted(1)
    end_session = SqlRecords.end_session

    async def fail(self: SqlRecords, end: SessionEnd) -> SessionRow | None:
        if end.epoch == leases[1].epoch:
            raise StorageError("the disk is full")
        return await end_session(self, end)

    monkeypatch.setattr(SqlRecords, "end_session", fail)
    engine.send(second, third)
    await settle()
    await control.live.journal.written()
    await engine.nothing_more()
    # The next connection tells both again.
    monkeypatch.undo()
    again = FakeEngine(control)
    again.send(Hello(VERSION, "engine-1", (), (leases[1].epoch, leases[2].epoch)), second, third)
    await again.next(Welcome)
    assert [await again.next(Noted) for _ in range(2)] == [Noted(2), Noted(3)]
    assert await control.live.store.open_sessions() == []


# Hearing


async def test_the_end_of_a_session_frees_its_name(control: Control, engine: FakeEngine) -> None:
    lease = await engine.admitted()
    engine.send(Ended(lease, EndReason.LEFT, "", START, make_stats(lease.epoch)))
    await settle()
    assert len(control.live.sessions) == 0
    engine.send(asked(client=RIVAL))
    await engine.next(Admitted)


async def test_an_end_of_an_old_epoch_ends_no_new_session(control: Control, engine: FakeEngine) -> None:
    old = await engine.admitted()
    ended = Ended(old, EndReason.LEFT, "", START, make_stats(old.epoch))
    engine.send(ended)
    new = await engine.admitted()
    engine.send(ended, Stats((make_stats(old.epoch, bytes_in=9),)))
    await settle()
    (session,) = control.live.sessions.on_air()
    assert (session.lease, session.stats) == (new, None)


async def test_statistics_go_to_their_sessions(control: Control, engine: FakeEngine) -> None:
    leases = [await engine.admitted(), await engine.admitted(OTHER)]
    stats = [make_stats(lease.epoch, bytes_in=lease.epoch) for lease in leases]
    engine.send(Stats(tuple(stats)))
    await settle()
    assert [session.stats for session in control.live.sessions.on_air()] == stats


async def test_usage_is_counted_and_then_taken(control: Control, engine: FakeEngine) -> None:
    engine.send(usage(1, row(100)))
    assert await engine.next(UsageTaken) == UsageTaken(1)
    assert control.live.usage.total_bytes_down == 100


async def test_usage_said_again_over_a_new_connection_is_taken_again_and_counted_once(control: Control) -> None:
    for _ in range(3):
        engine = FakeEngine(control)
        await engine.greet()
        engine.send(usage(1, row(100)))
        await engine.next(UsageTaken)
        await engine.leave()
    assert control.live.usage.total_bytes_down == 100


async def test_usage_of_a_restarted_engine_begins_anew(control: Control) -> None:
    for name in ("first", "second"):
        engine = FakeEngine(control, name)
        await engine.greet()
        engine.send(usage(1, row(100)))
        await engine.next(UsageTaken)
        await engine.leave()
    assert control.live.usage.total_bytes_down == 200


async def test_what_was_turned_away_is_logged(
    control: Control, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "penstock")
    engine.send(TurnedAway("h/live/..", CLIENT, 428, "stream '..' is not a name", START))
    await settle()
    assert "192.0.2.7:50000 turned away (428): stream '..' is not a name" in caplog.text


async def test_what_an_engine_does_not_send_is_ignored(
    control: Control, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    engine.send(UsageTaken(1))
    await engine.nothing_more()
    assert "which an engine does not send" in caplog.text


# Commands


async def test_a_drop_is_done_when_the_engine_says_so(control: Control, engine: FakeEngine) -> None:
    dropping = asyncio.create_task(control.link.drop(DEMO, EndReason.KICKED, "by hand"))
    drop = await engine.next(Drop)
    assert (drop.stream, drop.reason, drop.detail) == (DEMO, EndReason.KICKED, "by hand")
    assert not dropping.done()
    engine.send(Dropped(drop.command, 7))
    async with asyncio.timeout(DEADLINE_S):
        assert await dropping == 7


async def test_answers_to_drops_find_their_callers_in_any_order(control: Control, engine: FakeEngine) -> None:
    one = asyncio.create_task(control.link.drop(DEMO, EndReason.KICKED, ""))
    other = asyncio.create_task(control.link.drop(OTHER, EndReason.KICKED, ""))
    first, second = await engine.next(Drop), await engine.next(Drop)
    engine.send(Dropped(99, 1), Dropped(second.command, None), Dropped(first.command, 7))
    async with asyncio.timeout(DEADLINE_S):
        assert await one == 7
        assert await other is None


async def test_without_an_engine_nothing_can_be_dropped(control: Control) -> None:
    with pytest.raises(LinkError, match="no engine is connected"):
        await control.link.drop(DEMO, EndReason.KICKED, "")
    FakeEngine(control)  # connected, but it has not said hello
    with pytest.raises(LinkError, match="no engine is connected"):
        await control.link.drop(DEMO, EndReason.KICKED, "")


async def test_a_drop_under_way_fails_with_the_engine(control: Control, engine: FakeEngine) -> None:
    dropping = asyncio.create_task(control.link.drop(DEMO, EndReason.KICKED, ""))
    await engine.next(Drop)
    await engine.leave()
    async with asyncio.timeout(DEADLINE_S):
        with pytest.raises(LinkError, match="the engine is lost"):
            await dropping


async def test_a_caller_that_gives_up_does_not_trip_over_the_answer(control: Control, engine: FakeEngine) -> None:
    dropping = asyncio.create_task(control.link.drop(DEMO, EndReason.KICKED, ""))
    drop = await engine.next(Drop)
    dropping.cancel()
    engine.send(Dropped(drop.command, 7))
    await engine.nothing_more()
    assert control.link._drops == {}


# An engine that goes


async def test_with_the_engine_its_sessions_end(control: Control, engine: FakeEngine) -> None:
    await engine.admitted()
    await engine.leave()
    assert not control.link.connected.is_set()
    assert len(control.live.sessions) == 0


async def test_the_loss_of_an_old_connection_is_not_that_of_its_successor(control: Control) -> None:
    old, new = FakeEngine(control), FakeEngine(control)
    await new.greet()
    lease = await new.admitted()
    await old.leave()
    assert control.link.connected.is_set()
    assert [session.lease for session in control.live.sessions.on_air()] == [lease]


async def test_an_engine_that_lives_on_brings_its_sessions_back(control: Control, engine: FakeEngine) -> None:
    lease = await engine.admitted()
    await engine.leave()
    again = FakeEngine(control)
    await again.greet(on_air(lease))
    assert [session.lease for session in control.live.sessions.on_air()] == [lease]
    again.send(asked(OTHER))
    assert (await again.next(Admitted)).lease.epoch > lease.epoch
