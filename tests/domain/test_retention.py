from __future__ import annotations

from datetime import timedelta

from penstock.config import Retention
from penstock.domain import bans, retention
from penstock.domain.live import Live
from penstock.storage.rows import HistoryQuery, RefusalQuery
from tests.clock import START
from tests.domain.kit import DEMO, ME, OTHER
from tests.storage import kit as rows

DAY = timedelta(days=1)
KEEP = Retention(sessions_days=10, refusals_days=5, explained_days=2)
FIRST, LAST = START - 1000 * DAY, START + 1000 * DAY


async def put(live: Live, epoch: int, days_ago: float) -> None:
    at = START - days_ago * DAY
    await rows.publish(live.store, epoch, at - timedelta(hours=1), at)
    await live.store.put_refusals([rows.refusal(at=at)])
    await live.store.put_explained([rows.entry(f"r{epoch}", at=at)])


async def left(live: Live) -> tuple[int, int, list[str]]:
    past = await live.store.history(HistoryQuery(since=FIRST, until=LAST))
    refused = await live.store.refusals(RefusalQuery(since=FIRST, until=LAST))
    explained = [name for name in ("r1", "r2", "r3", "r4") if await live.store.explained(name) is not None]
    return past.total, refused.total, explained


async def test_each_kind_stays_for_its_days(live: Live) -> None:
    for epoch, days in enumerate((1.9, 4.9, 9.9, 10.1), 1):
        await put(live, epoch, days)
    swept = await retention.sweep(live, KEEP)
    assert (swept.sessions, swept.refusals, swept.explained) == (1, 2, 3)
    assert await left(live) == (3, 2, ["r1"])


async def test_what_the_domains_clock_says_is_old_is_old_but_explanations_go_by_the_machines(live: Live) -> None:
    await put(live, 1, 0)
    live.clock.turn(by=11 * DAY)
    await retention.sweep(live, KEEP)
    assert await left(live) == (0, 0, ["r1"])


async def test_a_number_is_a_bound_too(live: Live) -> None:
    for epoch in range(1, 5):
        await put(live, epoch, 0.1 * epoch)
    few = Retention(max_sessions=1000, max_refusals=1000, max_explained=100)
    await retention.sweep(live, few)
    assert await left(live) == (4, 4, ["r1", "r2", "r3", "r4"])


async def test_bans_that_ran_out_are_forgotten_and_the_others_hold(live: Live) -> None:
    await bans.ban(live, ME, DEMO, until=START + DAY)
    await bans.ban(live, ME, OTHER, until=START + 3 * DAY)
    live.clock.turn(by=2 * DAY)
    await retention.sweep(live, KEEP)
    assert [ban.stream for ban in live.bans.in_force(START)] == [OTHER]
    assert await live.store.find_ban(OTHER, live.clock.now()) is not None
