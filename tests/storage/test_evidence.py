"""Refusals, explained requests, and how long things are kept, over every implementation."""

from __future__ import annotations

from msgspec.structs import replace

from penstock.model import StreamId
from penstock.storage.base import Store
from penstock.storage.queries import sweeping
from penstock.storage.rows import BanQuery, HistoryQuery, RefusalQuery, Retention, Swept
from tests.storage.kit import DAY, HOSTILE, NOW, STREAM, TICK, at, ban, entry, publish, refusal, session

WINDOW = RefusalQuery(since=NOW - DAY, until=NOW + DAY)


async def test_refusals_are_found_by_what_is_asked(store: Store) -> None:
    await store.put_refusals([])
    await store.put_refusals([refusal(code=1), refusal(code=2, at=at(1), stream="s2"), refusal(code=3, at=at(1))])
    await store.put_refusals([refusal(code=4, at=at(2), vhost="other", account="", domain="push.other.test")])
    for changes, found in (
        ({}, [4, 3, 2, 1]),
        ({"newest_first": False}, [1, 2, 3, 4]),
        ({"account": "alice"}, [3, 2, 1]),
        ({"account": "bob"}, []),
        ({"vhost": "demo", "app": "live", "domain": "push.demo.test"}, [3, 2, 1]),
        ({"vhost": "demo", "app": "live", "domain": "push.demo.test", "stream": "s2"}, [2]),
        ({"since": at(1), "until": at(2)}, [3, 2]),
        ({"since": at(1) + TICK}, [4]),
        ({"offset": 1, "limit": 2}, [3, 2]),
    ):
        page = await store.refusals(replace(WINDOW, **changes))
        assert [row.code for row in page.rows] == found, changes
    assert page.total == 4
    assert (await store.refusals(replace(WINDOW, limit=1, newest_first=False))).rows == [refusal(code=1)]


async def test_what_a_refused_publish_named_is_kept_as_it_came(store: Store) -> None:
    rows = [
        refusal(vhost=n, app=n, stream=n, why=n, domain=n, agent=n, address=n, at=at(i)) for i, n in enumerate(HOSTILE)
    ]
    await store.put_refusals(rows)
    assert (await store.refusals(replace(WINDOW, newest_first=False))).rows == rows
    await store.put_refusals([refusal(stream="\ud800\0" + "x" * 5000, at=at(100))])
    newest = (await store.refusals(WINDOW)).rows[0]
    assert newest.stream == "\ufffd\ufffd" + "x" * 1022


async def test_a_request_is_explained_by_its_id(store: Store) -> None:
    await store.put_explained([])
    await store.put_explained([entry("r1", canonical_request="GET\n/", string_to_sign="AWS4"), entry("r2")])
    assert await store.explained("r1") == entry("r1", canonical_request="GET\n/", string_to_sign="AWS4")
    await store.put_explained([entry("r1", rule="banned"), entry("r1", rule="last")])
    assert await store.explained("r1") == entry("r1", rule="last")
    assert await store.explained("r3") is None
    assert await store.explained("' OR 1=1 --\ud800") is None


async def test_one_explained_request_takes_bounded_room(store: Store) -> None:
    huge = "é" * 1_000_000
    await store.put_explained([entry("r1", action=huge, access_key=huge, canonical_request=huge, string_to_sign=huge)])
    kept = await store.explained("r1")
    assert kept is not None
    assert (len(kept.action), len(kept.canonical_request), len(kept.string_to_sign)) == (1024, 16_384, 4096)


async def test_what_is_past_its_time_is_swept_away(store: Store) -> None:
    await publish(store, 1, at(0), at(10))
    await publish(store, 2, at(0), at(10) - TICK)
    await store.admit_session(session(3, admitted_at=NOW - 90 * DAY))
    await store.put_ban(ban(until=at(10)))
    await store.put_ban(ban(until=at(10) - TICK, stream=StreamId("demo", "live", "s2")))
    await store.put_refusals([refusal(at=at(10)), refusal(at=at(10) - TICK)])
    await store.put_explained([entry("r1", at=at(10)), entry("r2", at=at(10) - TICK)])
    assert await store.sweep(Retention()) == Swept()
    due = Retention(ended_before=at(10), refused_before=at(10), explained_before=at(10))
    assert await store.sweep(due) == Swept(sessions=1, bans=1, refusals=1, explained=1)
    assert await store.sweep(due) == Swept()
    assert [row.epoch for row in (await store.history(HistoryQuery(since=NOW, until=at(1)))).rows] == [1]
    # What is open has no age.
    assert [row.epoch for row in await store.open_sessions()] == [3]
    assert await store.find_ban(STREAM, NOW) is not None
    assert (await store.bans(BanQuery(now=NOW))).total == 1
    assert (await store.refusals(WINDOW)).total == 1
    assert await store.explained("r1") is not None
    assert await store.explained("r2") is None


async def test_above_a_number_the_oldest_go(store: Store) -> None:
    # Written out of order: what counts is the time.
    await store.put_refusals([refusal(at=at(n), code=n) for n in (3, 1, 2, 0, 4)])
    await store.put_explained([entry(f"r{n}", at=at(n)) for n in (3, 1, 2, 0, 4)])
    for epoch, ended in ((1, 30), (2, 10), (3, 20)):
        await publish(store, epoch, NOW, at(ended))
    await publish(store, 4, NOW - DAY, None)
    most = Retention(max_sessions=2, max_refusals=2, max_explained=2)
    assert await store.sweep(most) == Swept(sessions=1, refusals=3, explained=3)
    assert [row.code for row in (await store.refusals(WINDOW)).rows] == [4, 3]
    assert [bool(await store.explained(f"r{n}")) for n in range(5)] == [False, False, False, True, True]
    assert [bool(await store.find_session(n)) for n in (1, 2, 3, 4)] == [True, False, True, True]
    assert await store.sweep(Retention(max_refusals=0)) == Swept(refusals=2)


async def test_time_and_number_count_together(store: Store) -> None:
    await store.put_refusals([refusal(at=at(n)) for n in range(10)])
    assert (await store.sweep(Retention(refused_before=at(3), max_refusals=5))).refusals == 5
    assert (await store.sweep(Retention(refused_before=at(8), max_refusals=5))).refusals == 3


async def test_a_sweep_of_any_size_goes_in_steps(store: Store) -> None:
    number = 2 * sweeping.STEP
    await store.put_refusals([refusal(at=at(n / 1000)) for n in range(number + 3)])
    assert (await store.sweep(Retention(max_refusals=3))).refusals == number
    assert (await store.refusals(WINDOW)).total == 3
