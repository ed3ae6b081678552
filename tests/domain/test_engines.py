"""Control's end of the link, with an engine that the test plays by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TypeVar

import msgspec
import pytest

from penstock.domain import accounts, bans, engines, records
from penstock.domain.engines import EngineLink
from penstock.domain.live import Live
from penstock.domain.sessions import Session
from penstock.errors import LinkError, Unavailable
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
from penstock.link.recording import FilesNoted
from penstock.model import StreamId
from penstock.storage.rows import HistoryQuery, Refusal, RefusalQuery, SessionRow
from tests.clock import START, ManualClock
from tests.domain.kit import CLIENT, DEMO, ME, OTHER, RIVAL, RULES, asked, gated, make_stats, on_air, opened
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
            while isinstance(message, Noted | FilesNoted) and not isinstance(message, kind):
                message = await self._heard.get()
        assert isinstance(message, kind), message
        return message

    async def nothing_more(self) -> None:
        await settle()
        assert self._heard.empty()

    async def nothing_more_but(self, kind: type[AnyMessage]) -> None:
        await settle()
        while not self._heard.empty():
            assert isinstance(self._heard.get_nowait(), kind)

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


# What is written down, and when it is told


def past(live: Live, **changes: object) -> HistoryQuery:
    query = HistoryQuery(since=START - timedelta(days=1), until=START + timedelta(days=1))
    return msgspec.structs.replace(query, **changes)


async def history_of(live: Live) -> list[SessionRow]:
    await live.journal.written()
    return (await live.store.history(past(live))).rows


async def refusals_of(live: Live) -> list[Refusal]:
    await live.journal.written()
    query = RefusalQuery(since=START - timedelta(days=1), until=START + timedelta(days=1))
    return (await live.store.refusals(query)).rows


def ended(lease: Lease, number: int, *, reason: EndReason = EndReason.LEFT, detail: str = "") -> Ended:
    return Ended(lease, reason, detail, START + timedelta(seconds=9), make_stats(lease.epoch, bytes_in=7), number)


def turned_away(number: int) -> TurnedAway:
    return TurnedAway("h/live/..", CLIENT, 428, "no name", START, "demo", "live", "..", "push2.demo.test", number)


async def test_a_publish_is_in_the_store_before_it_is_admitted(control: Control, engine: FakeEngine) -> None:
    gate = gated(control.live)
    gate.opened.clear()
    engine.send(asked())
    await gate.waiting.wait()
    await engine.nothing_more()
    gate.opened.set()
    lease = (await engine.next(Admitted)).lease
    (row,) = await control.live.store.open_sessions()
    assert (row.epoch, row.stream, row.account, row.push_domain) == (lease.epoch, DEMO, "1", "push.demo.test")


async def test_a_refusal_is_in_the_store_before_it_is_answered(control: Control, engine: FakeEngine) -> None:
    gate = gated(control.live)
    gate.opened.clear()
    engine.send(asked(StreamId("demo", "vod", "cam")))
    await gate.waiting.wait()
    await engine.nothing_more()
    gate.opened.set()
    await engine.next(Refused)
    (row,) = await refusals_of(control.live)
    assert (row.code, row.app, row.account, row.domain) == (428, "vod", "1", "push.demo.test")


async def test_without_a_disk_publishers_are_admitted_all_the_same(control: Control, engine: FakeEngine) -> None:
    gated(control.live).fails = 10
    engine.send(asked())
    assert (await engine.next(Admitted)).lease.stream == DEMO


async def test_an_end_is_noted_only_when_it_is_durable(control: Control, engine: FakeEngine) -> None:
    lease = await engine.admitted()
    await control.live.journal.written()
    gate = gated(control.live)
    gate.opened.clear()
    engine.send(ended(lease, 1, detail="by itself"))
    await gate.waiting.wait()
    await engine.nothing_more()
    gate.opened.set()
    assert (await engine.next(Noted)).number == 1
    (row,) = await history_of(control.live)
    assert (row.epoch, row.reason, row.detail, row.bytes_in) == (lease.epoch, "publisher left", "by itself", 7)
    assert (row.began_at, row.ended_at) == (START, START + timedelta(seconds=9))


async def test_a_refusal_of_the_engine_is_noted_when_it_is_durable(control: Control, engine: FakeEngine) -> None:
    engine.send(turned_away(1))
    assert (await engine.next(Noted)).number == 1
    (row,) = await refusals_of(control.live)
    assert (row.code, row.stream, row.account, row.domain) == (428, "..", "1", "push2.demo.test")


async def test_behind_what_could_not_be_written_nothing_is_noted(control: Control, engine: FakeEngine) -> None:
    """Noted stands for all before it: the engine would forget what is nowhere else."""
    leases = [await engine.admitted(), await engine.admitted(OTHER)]
    await control.live.journal.written()
    gate = gated(control.live)
    gate.fails = 1
    engine.send(ended(leases[0], 1))
    await settle()
    await control.live.journal.written()
    engine.send(ended(leases[1], 2))
    await engine.nothing_more()
    assert [row.epoch for row in await history_of(control.live)] == [leases[1].epoch]
    await engine.leave()
    # It has both still, and tells them again.
    again = FakeEngine(control)
    again.send(Hello(VERSION, again.name, (), (leases[0].epoch, leases[1].epoch)))
    again.send(ended(leases[0], 1), ended(leases[1], 2))
    await again.next(Welcome)
    assert [(await again.next(Noted)).number for _ in range(2)] == [1, 2]
    rows = await history_of(control.live)
    assert {row.epoch: row.reason for row in rows} == {lease.epoch: "publisher left" for lease in leases}


async def test_an_end_that_is_told_again_is_one_end(control: Control, engine: FakeEngine) -> None:
    lease = await engine.admitted()
    engine.send(ended(lease, 1))
    await engine.next(Noted)
    engine.send(ended(lease, 1, reason=EndReason.LOST))
    await engine.next(Noted)
    (row,) = await history_of(control.live)
    assert row.reason == "publisher left"


async def test_what_is_noted_over_an_old_connection_is_not_told_to_a_new_one(
    control: Control, engine: FakeEngine
) -> None:
    lease = await engine.admitted()
    await control.live.journal.written()
    gate = gated(control.live)
    gate.opened.clear()
    engine.send(ended(lease, 1))
    await gate.waiting.wait()
    new = FakeEngine(control)
    await new.greet()
    gate.opened.set()
    await control.live.journal.written()
    await new.nothing_more()


async def test_an_end_that_the_engine_is_about_to_tell_is_waited_for(control: Control, engine: FakeEngine) -> None:
    """A control process that was started again learns of the session from its store, and of the end a moment later."""
    lease = Lease(DEMO, "before", 5)
    session = Session(lease, CLIENT, START - timedelta(hours=1), "1", "push.demo.test")
    await control.live.store.admit_session(records.row_of(session))
    control.live.sessions.adopt(session)
    again = FakeEngine(control)
    again.send(Hello(VERSION, again.name, (), (lease.epoch,)))
    await again.next(Welcome)
    assert await history_of(control.live) == []
    last = ended(lease, 1, reason=EndReason.SILENT)
    again.send(last)
    await again.next(Noted)
    (row,) = await history_of(control.live)
    assert (row.reason, row.push_domain) == ("publisher silent", "push.demo.test")
    assert last.last is not None
    assert row.began_at == last.last.began_at


async def test_an_admitted_publish_that_came_to_nothing_is_no_history(control: Control, engine: FakeEngine) -> None:
    engine.send(asked())
    lease = (await engine.next(Admitted)).lease
    engine.send(msgspec.structs.replace(ended(lease, 1), last=None))
    await engine.next(Noted)
    assert await history_of(control.live) == []
    assert await control.live.store.open_sessions() == []


async def test_a_publish_that_began_and_ended_while_control_was_away_is_history(
    control: Control, engine: FakeEngine
) -> None:
    engine.send(asked())
    lease = (await engine.next(Admitted)).lease
    await engine.leave()
    again = FakeEngine(control)
    again.send(Hello(VERSION, again.name, (), (lease.epoch,)), ended(lease, 1))
    await again.next(Welcome)
    await again.next(Noted)
    (row,) = await history_of(control.live)
    assert (row.began_at, row.ended_at) == (START, START + timedelta(seconds=9))
    # Its own word counts, and not what was thought when the link broke.
    assert row.reason == "publisher left"


async def test_what_the_engine_does_not_know_ends_with_that_word(control: Control, engine: FakeEngine) -> None:
    lease = await engine.admitted()
    await engine.leave()
    await FakeEngine(control).greet()
    (row,) = await history_of(control.live)
    assert (row.epoch, row.reason) == (lease.epoch, "engine lost")


async def test_a_session_that_was_thought_lost_and_is_on_air_is_open_again(
    control: Control, engine: FakeEngine
) -> None:
    lease = await engine.admitted()
    await engine.leave()
    assert len(await history_of(control.live)) == 1
    again = FakeEngine(control)
    await again.greet(on_air(lease))
    assert await history_of(control.live) == []
    (row,) = await control.live.store.open_sessions()
    assert (row.epoch, row.began_at) == (lease.epoch, START)
    again.send(ended(lease, 1))
    await again.next(Noted)
    (past_row,) = await history_of(control.live)
    assert past_row.reason == "publisher left"


async def test_a_session_that_nobody_wrote_down_is_written_when_it_is_taken_over(
    control: Control, engine: FakeEngine
) -> None:
    lease = Lease(DEMO, "unknown", 5)
    again = FakeEngine(control)
    await again.greet(on_air(lease, client=RIVAL))
    await control.live.journal.written()
    (row,) = await control.live.store.open_sessions()
    assert (row.epoch, row.account, row.push_domain, row.address) == (5, "1", "push.demo.test", RIVAL.address)
    assert row.began_at == START


# Bans that come between


async def test_a_ban_while_an_admission_is_being_written_is_what_counts(control: Control, engine: FakeEngine) -> None:
    """The drop finds nobody yet: so the publish must not come behind it."""
    gate = gated(control.live)
    gate.opened.clear()
    engine.send(asked(ask=7))
    await gate.waiting.wait()
    banning = asyncio.create_task(bans.ban(control.live, ME, DEMO))
    drop = await engine.next(Drop)
    engine.send(Dropped(drop.command, None))
    gate.opened.set()
    refused = await engine.next(Refused)
    assert (refused.ask, refused.code) == (7, 423)
    async with asyncio.timeout(DEADLINE_S):
        await banning
    assert len(control.live.sessions) == 0
    assert [row.code for row in await refusals_of(control.live)] == [423]
    assert await control.live.store.open_sessions() == []
    # It never was on air, and is no history.
    assert await history_of(control.live) == []


async def test_a_ban_right_after_an_admission_is_heard_behind_it(control: Control, engine: FakeEngine) -> None:
    engine.send(asked())
    lease = (await engine.next(Admitted)).lease
    banning = asyncio.create_task(bans.ban(control.live, ME, DEMO))
    drop = await engine.next(Drop)
    assert (drop.stream, drop.reason) == (DEMO, EndReason.BANNED)
    assert not banning.done()
    engine.send(Began(lease, START), ended(lease, 1, reason=EndReason.BANNED), Dropped(drop.command, lease.epoch))
    async with asyncio.timeout(DEADLINE_S):
        await banning
    # Answered only when its end is written down.
    assert [row.reason for row in (await control.live.store.history(past(control.live))).rows] == ["banned"]


async def test_a_publisher_that_was_banned_while_no_engine_could_hear_it_is_dropped_when_one_can(
    control: Control, engine: FakeEngine
) -> None:
    lease = await engine.admitted()
    await engine.leave()
    await bans.ban(control.live, ME, DEMO)
    again = FakeEngine(control)
    await again.greet(on_air(lease), on_air(Lease(OTHER, "other", 6)))
    drop = await again.next(Drop)
    assert (drop.stream, drop.reason, drop.detail) == (DEMO, EndReason.BANNED, "while control was away")
    again.send(ended(lease, 1, reason=EndReason.BANNED), Dropped(drop.command, lease.epoch))
    await again.nothing_more_but(Noted)


async def test_an_engine_that_does_not_answer_keeps_no_ban_waiting(
    control: Control, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "DROP_TIMEOUT_S", 0.05)
    await engine.admitted()
    async with asyncio.timeout(DEADLINE_S):
        made = await bans.ban(control.live, ME, DEMO)
        with pytest.raises(Unavailable, match="could not be dropped"):
            await bans.kick(control.live, ME, DEMO)
    assert await control.live.store.find_ban(DEMO, START) == made


# What is counted


async def test_what_was_let_in_turned_away_and_ended_is_counted_once(control: Control, engine: FakeEngine) -> None:
    tallies = control.live.tallies
    lease = await engine.admitted()
    engine.send(asked(ask=2, client=RIVAL, holder=Holder(lease.epoch, 0.1)))
    await engine.next(Refused)
    engine.send(turned_away(1), ended(lease, 2), turned_away(1), ended(lease, 2), turned_away(3))
    await settle()
    assert tallies.admitted == 1
    assert dict(tallies.refused) == {("422",): 1, ("428",): 2}
    assert tallies.ended["publisher left",] == 1
    assert sum(total for _, total in tallies.ended) == 1


async def test_an_engine_that_comes_again_is_the_same_one_and_another_is_a_restart(control: Control) -> None:
    for name, known in (("first", 1), ("first", 1), ("second", 2)):
        engine = FakeEngine(control, name)
        engine.send(Hello(VERSION, name, (), pid=4711))
        await engine.next(Welcome)
        assert (control.live.tallies.engines, control.link.pid) == (known, 4711)
        engine.send(turned_away(1))
        await settle()
        await engine.leave()
    # The first engine's was told twice, the second's is another one.
    assert control.live.tallies.refused["428",] == 2


async def test_sessions_of_an_engine_that_is_lost_are_counted_as_lost(control: Control, engine: FakeEngine) -> None:
    await engine.admitted()
    await engine.leave()
    assert control.live.tallies.ended["engine lost",] == 1
