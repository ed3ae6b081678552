"""Bans and kicks: the rule before the drop, and who may."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import msgspec
import pytest

from penstock.domain import bans, enforcement
from penstock.domain.caller import Caller
from penstock.domain.live import Live
from penstock.errors import (
    Banned,
    DryRun,
    InvalidField,
    LinkError,
    NotBanned,
    NotOnAir,
    PenstockError,
    Unavailable,
    Unchanged,
    UnknownDomain,
    UnknownVhost,
)
from penstock.link.messages import EndReason
from penstock.model import StreamId
from penstock.storage.rows import BanQuery
from tests.clock import START, ManualClock
from tests.domain.kit import CLIENT, DEMO, ME, OTHER, STRANGER, NoEngine, ScriptedEngine, gated, opened

DAYS90 = timedelta(days=90)
TICK = timedelta(microseconds=1)
DRY = msgspec.structs.replace(ME, dry_run=True)


def publishes(live: Live, stream: StreamId = DEMO) -> None:
    session = live.sessions.admit(stream, CLIENT, account="1")
    live.sessions.began(session.lease, START)


# ban


async def test_a_ban_says_who_asked_and_from_when_until_when(live: Live) -> None:
    made = await bans.ban(live, ME, DEMO, until=START + timedelta(hours=1), reason="no rights")
    assert (made.stream, made.since, made.until, made.changed_at) == (DEMO, START, START + timedelta(hours=1), START)
    assert (made.account, made.access_key, made.cloud, made.reason) == ("1", "AKone", "kingsoft", "no rights")
    assert made.push_domain == "push.demo.test"
    assert await live.store.find_ban(DEMO, START) == made
    assert live.bans.find(DEMO, START) == made


async def test_a_ban_without_an_end_is_for_ninety_days(live: Live) -> None:
    assert (await bans.ban(live, ME, DEMO)).until == START + DAYS90


@pytest.mark.parametrize("until", [START, START - TICK, START + DAYS90 + TICK, START + timedelta(days=4000)])
async def test_an_end_is_later_than_now_and_within_ninety_days(live: Live, until: datetime) -> None:
    with pytest.raises(InvalidField, match=r"until is .*; it must be later than now .* and within 90 days"):
        await bans.ban(live, ME, DEMO, until=until)


@pytest.mark.parametrize("until", [START + TICK, START + DAYS90])
async def test_the_first_and_the_last_moment_that_a_ban_may_end(live: Live, until: datetime) -> None:
    assert (await bans.ban(live, ME, DEMO, until=until)).until == until


async def test_a_second_ban_moves_the_end_either_way_and_keeps_the_beginning(live: Live, clock: ManualClock) -> None:
    await bans.ban(live, ME, DEMO, until=START + timedelta(days=5))
    clock.spend(10)
    for days in (9, 2):
        made = await bans.ban(live, ME, DEMO, until=START + timedelta(days=days), reason=f"{days}")
        assert (made.since, made.changed_at) == (START, START + timedelta(seconds=10))
        assert (made.until, made.reason) == (START + timedelta(days=days), f"{days}")
        assert live.bans.find(DEMO, clock.now()) == made


async def test_a_ban_after_the_last_one_ended_begins_anew(live: Live, clock: ManualClock) -> None:
    await bans.ban(live, ME, DEMO, until=START + timedelta(seconds=5))
    clock.spend(5)
    assert (await bans.ban(live, ME, DEMO)).since == START + timedelta(seconds=5)


async def test_an_echo_is_told_from_a_change(live: Live, clock: ManualClock) -> None:
    end = START + timedelta(days=1)
    await bans.ban(live, ME, DEMO, until=end)
    for other in (end, end + timedelta(seconds=1) - TICK, end - timedelta(seconds=1) + TICK):
        with pytest.raises(Unchanged):
            await bans.ban(live, ME, DEMO, until=other)
    await bans.ban(live, ME, DEMO, until=end + timedelta(seconds=1))
    await bans.ban(live, ME, OTHER, until=end)
    clock.spend(1)
    await bans.ban(live, ME, DEMO, until=end + timedelta(seconds=1))


async def test_a_reason_has_a_length(live: Live) -> None:
    await bans.ban(live, ME, DEMO, reason="ü" * 2048)
    with pytest.raises(InvalidField, match="reason is"):
        await bans.ban(live, ME, OTHER, reason="ü" * 2049)


# Rule before drop


class Watcher(NoEngine):
    """An engine that looks at what is in force when it is told to drop."""

    def __init__(self) -> None:
        self.live: Live | None = None
        self.saw: list[object] = []
        self.fails = False

    async def drop(self, stream: StreamId, reason: EndReason, detail: str) -> int | None:
        assert self.live is not None
        if self.fails:
            raise LinkError("no engine is connected")
        in_memory = self.live.bans.find(stream, START)
        in_store = await self.live.store.find_ban(stream, START)
        self.saw.append((in_memory, in_store, reason, detail))
        return None


async def test_the_rule_is_in_memory_and_in_the_store_before_anybody_is_dropped() -> None:
    watcher = Watcher()
    async with opened(engine=watcher) as live:
        watcher.live = live
        made = await bans.ban(live, ME, DEMO)
        assert watcher.saw == [(made, made, EndReason.BANNED, "until 2026-05-30T12:00:00Z")]


async def test_a_ban_without_an_engine_is_a_ban() -> None:
    watcher = Watcher()
    watcher.fails = True
    async with opened(engine=watcher) as live:
        watcher.live = live
        made = await bans.ban(live, ME, DEMO)
        assert await live.store.find_ban(DEMO, START) == made
        publishes(live)
        with pytest.raises(Unavailable, match="demo/live/cam could not be dropped: no engine is connected"):
            await bans.kick(live, ME, DEMO)


async def test_a_ban_is_answered_when_the_end_that_it_made_is_written(live: Live, engine: ScriptedEngine) -> None:
    publishes(live)
    gate = gated(live)
    gate.opened.clear()
    live.journal.put(lambda store: store.put_refusals([]))
    banning = asyncio.create_task(bans.ban(live, ME, DEMO))
    while not engine.dropped:  # noqa: ASYNC110
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not banning.done()
    gate.opened.set()
    async with asyncio.timeout(5):
        await banning


async def test_two_bans_at_once_leave_memory_and_store_of_one_mind(live: Live) -> None:
    ends = [START + timedelta(days=number) for number in range(1, 21)]
    await asyncio.gather(*(bans.ban(live, ME, DEMO, until=end) for end in ends))
    assert live.bans.find(DEMO, START) == await live.store.find_ban(DEMO, START)


async def test_bans_and_resumes_at_once_leave_memory_and_store_of_one_mind(live: Live) -> None:
    ends = [START + timedelta(days=number) for number in range(1, 21)]
    actions = [action for end in ends for action in (bans.ban(live, ME, DEMO, until=end), bans.resume(live, ME, DEMO))]
    done = await asyncio.gather(*actions, return_exceptions=True)
    assert all(isinstance(each, PenstockError) for each in done if isinstance(each, BaseException))
    assert live.bans.find(DEMO, START) == await live.store.find_ban(DEMO, START)


# resume


async def test_a_lifted_ban_is_gone_everywhere(live: Live) -> None:
    made = await bans.ban(live, ME, DEMO)
    await bans.ban(live, ME, OTHER)
    assert await bans.resume(live, ME, DEMO) == made
    assert live.bans.find(DEMO, START) is None
    assert [ban.stream for ban in (await live.store.bans(BanQuery(now=START))).rows] == [OTHER]
    bans.refuse_banned(live, DEMO)


async def test_a_ban_is_lifted_once(live: Live) -> None:
    await bans.ban(live, ME, DEMO)
    done = await asyncio.gather(*(bans.resume(live, ME, DEMO) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(each, NotBanned) for each in done) == 4


async def test_a_ban_that_ended_by_itself_cannot_be_lifted(live: Live, clock: ManualClock) -> None:
    await bans.ban(live, ME, DEMO, until=START + timedelta(seconds=1))
    clock.spend(1)
    with pytest.raises(NotBanned, match="demo/live/cam is not banned"):
        await bans.resume(live, ME, DEMO)


# kick


async def test_a_kick_cuts_and_bans_nothing(live: Live, engine: ScriptedEngine) -> None:
    publishes(live)
    await bans.kick(live, ME, DEMO)
    assert engine.dropped == [(DEMO, EndReason.KICKED, "by AKone")]
    assert live.bans.find(DEMO, START) is None


async def test_a_kick_may_have_a_reason_and_be_the_operators(live: Live, engine: ScriptedEngine) -> None:
    publishes(live)
    await bans.kick(live, ME, DEMO, reason="maintenance")
    publishes(live)
    await bans.kick(live, Caller(account="1", access_key=""), DEMO)
    assert [detail for _, _, detail in engine.dropped] == ["maintenance", "by the operator"]


async def test_who_is_not_on_air_cannot_be_kicked(live: Live, engine: ScriptedEngine) -> None:
    publishes(live, OTHER)
    with pytest.raises(NotOnAir, match="nobody publishes demo/live/cam"):
        await bans.kick(live, ME, DEMO)
    assert engine.dropped == []


async def test_who_left_a_moment_before_the_drop_was_not_on_air() -> None:
    watcher = Watcher()
    async with opened(engine=watcher) as live:
        watcher.live = live
        publishes(live)
        with pytest.raises(NotOnAir):
            await bans.kick(live, ME, DEMO)


# All of them


@pytest.mark.parametrize("action", [bans.ban, bans.resume, bans.kick])
async def test_a_dry_run_checks_everything_and_does_nothing(live: Live, engine: ScriptedEngine, action: object) -> None:
    publishes(live)
    made = await bans.ban(live, ME, OTHER)
    stream = OTHER if action is bans.resume else DEMO
    with pytest.raises(DryRun):
        await action(live, DRY, stream)  # type: ignore[operator]
    assert live.bans.find(DEMO, START) is None
    assert live.bans.find(OTHER, START) == await live.store.find_ban(OTHER, START) == made
    assert [stream for stream, _, _ in engine.dropped] == [OTHER]
    with pytest.raises(UnknownVhost):
        await action(live, DRY, StreamId("other", "live", "cam"))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("caller", "stream", "push_domain", "error"),
    [
        (STRANGER, DEMO, "", UnknownVhost),
        (ME, StreamId("other", "live", "cam"), "", UnknownVhost),
        (ME, StreamId("nosuch", "live", "cam"), "", UnknownVhost),
        (ME, StreamId("demo", "vod", "cam"), "", InvalidField),
        (ME, StreamId("demo", "live", "a/b"), "", InvalidField),
        (ME, StreamId("demo", "live", ""), "", InvalidField),
        (ME, DEMO, "push.other.test", UnknownDomain),
        (ME, DEMO, "pull.demo.test", UnknownDomain),
    ],
)
async def test_only_a_stream_that_can_be_the_callers_is_acted_on(
    live: Live, engine: ScriptedEngine, caller: Caller, stream: StreamId, push_domain: str, error: type[Exception]
) -> None:
    publishes(live)
    for action in (bans.ban, bans.resume, bans.kick):
        with pytest.raises(error):
            await action(live, caller, stream, push_domain=push_domain)
    with pytest.raises(error):
        bans.find(live, caller, stream, push_domain=push_domain)
    assert engine.dropped == []
    assert list(live.bans.in_force(START)) == []


async def test_a_vhost_without_push_domains_can_have_bans(live: Live) -> None:
    assert (await bans.ban(live, ME, StreamId("signed", "live", "cam"))).push_domain == ""


async def test_a_refusal_says_until_when_and_why(live: Live) -> None:
    await bans.ban(live, ME, DEMO, until=START + timedelta(seconds=90), reason="no rights")
    with pytest.raises(Banned, match="demo/live/cam is banned until 2026-03-01T12:01:30Z: no rights"):
        bans.refuse_banned(live, DEMO)
    bans.refuse_banned(live, OTHER)


# enforce


async def test_everybody_on_air_who_is_banned_by_now_is_dropped(live: Live, engine: ScriptedEngine) -> None:
    for name in ("a", "b", "c"):
        publishes(live, StreamId("demo", "live", name))
    live.sessions.admit(DEMO, CLIENT)
    for name in ("a", "c", "cam"):
        made = await bans.ban(live, ME, StreamId("demo", "live", f"x{name}"))
        live.bans.put(msgspec.structs.replace(made, stream=StreamId("demo", "live", name)))
    engine.dropped.clear()
    await enforcement.enforce(live)
    assert [(stream.stream, reason) for stream, reason, _ in engine.dropped] == [
        ("a", EndReason.BANNED),
        ("c", EndReason.BANNED),
    ]
