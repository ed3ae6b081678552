"""Sessions and their history, over every implementation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from msgspec.structs import replace

from penstock.model import StreamId
from penstock.storage.base import Store
from penstock.storage.rows import HistoryQuery, Retention, Span
from tests.storage.kit import DAY, HOSTILE, NOW, STREAM, TICK, at, end, publish, session

WINDOW = HistoryQuery(since=NOW - DAY, until=NOW + DAY)


async def epochs(store: Store, query: HistoryQuery) -> list[int]:
    page = await store.history(query)
    assert page.total == len(page.rows) or query.limit is not None or query.offset
    return [row.epoch for row in page.rows]


async def test_a_session_from_admission_to_end(store: Store) -> None:
    await store.admit_session(session(7))
    assert await store.open_sessions() == [session(7)]
    assert await store.begin_session(7, at(1))
    assert await store.note_session(7, '{"video":null}', 1000)
    ended = await store.end_session(end(7, detail="FIN", bytes_in=2**40))
    assert ended == session(
        7,
        began_at=at(1),
        ended_at=at(60),
        reason="publisher left",
        detail="FIN",
        facts='{"video":null}',
        bytes_in=2**40,
    )
    assert await store.find_session(7) == ended
    assert (await store.history(WINDOW)).rows == [ended]
    assert await store.open_sessions() == []


async def test_each_step_is_done_once(store: Store) -> None:
    await store.admit_session(session(7))
    await store.admit_session(session(7, agent="other"))
    assert await store.begin_session(7, at(1))
    assert not await store.begin_session(7, at(2))
    first = await store.end_session(end(7))
    assert await store.end_session(end(7, reason="kicked")) is None
    assert not await store.begin_session(7, at(3))
    assert not await store.note_session(7, "{}", 1)
    await store.admit_session(session(7))
    assert await store.find_session(7) == first
    assert first is not None
    assert (first.agent, first.began_at) == ("FMLE/3.0", at(1))


async def test_an_end_that_was_a_mistake_is_taken_back(store: Store) -> None:
    await store.admit_session(session(7))
    await store.begin_session(7, at(1))
    assert not await store.reopen_session(7, "engine lost")  # it is open
    await store.end_session(end(7, reason="engine lost", detail="gone"))
    assert not await store.reopen_session(7, "kicked")
    assert await store.reopen_session(7, "engine lost")
    (row,) = await store.open_sessions()
    assert (row.began_at, row.ended_at, row.reason, row.detail) == (at(1), None, "", "")


async def test_what_no_session_has_changes_nothing(store: Store) -> None:
    assert not await store.begin_session(1, NOW)
    assert not await store.note_session(1, "", 0)
    assert await store.end_session(end(1)) is None
    assert await store.find_session(1) is None
    assert await store.highest_epoch() == 0


async def test_an_end_brings_a_beginning_that_was_never_told(store: Store) -> None:
    await store.admit_session(session(1))
    await store.admit_session(session(2))
    await store.begin_session(2, at(2))
    await store.admit_session(session(3))
    for epoch in (1, 2):
        await store.end_session(end(epoch, began_at=at(1), bytes_in=5))
    await store.end_session(end(3))
    # The third was never on air: it is over, and no history.
    assert [(row.epoch, row.began_at) for row in (await store.history(WINDOW)).rows] == [(2, at(2)), (1, at(1))]


async def test_facts_and_bytes_never_shrink_at_the_end(store: Store) -> None:
    await store.admit_session(session(1))
    await store.note_session(1, '{"a":1}', 900)
    await store.end_session(end(1, bytes_in=0))
    row = await store.find_session(1)
    assert row is not None
    assert (row.facts, row.bytes_in) == ('{"a":1}', 900)


async def test_open_sessions_end_together_but_for_those_on_air(store: Store) -> None:
    for epoch in range(1, 6):
        await store.admit_session(session(epoch))
    await store.end_session(end(2))
    lost = await store.end_open_sessions(at(99), "engine lost", "the link broke", keep=[4, 77])
    assert [(row.epoch, row.ended_at, row.reason) for row in lost] == [(n, at(99), "engine lost") for n in (1, 3, 5)]
    assert [row.epoch for row in await store.open_sessions()] == [4]
    assert [row.epoch for row in await store.end_open_sessions(at(100), "engine lost")] == [4]
    assert await store.end_open_sessions(at(101), "engine lost") == []
    second = await store.find_session(2)
    assert second is not None
    assert second.reason == "publisher left"


async def test_history_is_found_by_what_is_asked(store: Store) -> None:
    other = StreamId("other", "live", "s1")
    await publish(store, 1, at(0), at(10))
    await publish(store, 2, at(1), at(9), stream=StreamId("demo", "live", "S2"))
    await publish(store, 3, at(2), at(8), stream=StreamId("demo", "vod", "s1"))
    await publish(store, 4, at(3), at(7), stream=other, account="bob", push_domain="push.other.test")
    await publish(store, 5, at(4), None)
    for changes, found in (
        ({}, [4, 3, 2, 1]),
        ({"newest_first": False}, [1, 2, 3, 4]),
        ({"by": "ended_at"}, [1, 2, 3, 4]),
        ({"by": "ended_at", "newest_first": False}, [4, 3, 2, 1]),
        ({"account": "alice"}, [3, 2, 1]),
        ({"account": "bob", "vhost": "demo"}, []),
        ({"vhost": "demo", "app": "live"}, [2, 1]),
        ({"vhost": "demo", "app": "live", "push_domain": "push.demo.test", "stream": "s1"}, [1]),
        ({"push_domain": "push.other.test"}, [4]),
        ({"stream_part": "s"}, [4, 3, 1]),
    ):
        assert await epochs(store, replace(WINDOW, **changes)) == found, changes


async def test_a_window_has_its_beginning_and_not_its_end(store: Store) -> None:
    for epoch, began in enumerate((at(0) - TICK, at(0), at(10) - TICK, at(10)), 1):
        await publish(store, epoch, began, began + DAY)
    assert await epochs(store, HistoryQuery(since=at(0), until=at(10))) == [3, 2]
    later = HistoryQuery(since=at(0) + DAY, until=at(10) + DAY, by="ended_at")
    assert await epochs(store, later) == [3, 2]
    assert await epochs(store, HistoryQuery(since=at(10), until=at(0))) == []
    ever = HistoryQuery(since=datetime.min.replace(tzinfo=UTC), until=datetime.max.replace(tzinfo=UTC))
    assert await epochs(store, ever) == [4, 3, 2, 1]


async def test_sessions_of_one_moment_have_an_order_that_pages_keep(store: Store) -> None:
    for epoch in (3, 1, 4, 2, 5):
        await publish(store, epoch, NOW, at(1))
    pages = [await epochs(store, replace(WINDOW, offset=offset, limit=2)) for offset in (0, 2, 4, 6)]
    assert pages == [[5, 4], [3, 2], [1], []]
    assert (await store.history(replace(WINDOW, offset=4, limit=2))).total == 5
    assert await epochs(store, replace(WINDOW, newest_first=False, limit=3)) == [1, 2, 3]


async def test_any_time_zone_is_the_same_moment(store: Store) -> None:
    china = timezone(timedelta(hours=8))
    await publish(store, 1, NOW.astimezone(china), at(1).astimezone(china))
    row = (await store.history(WINDOW)).rows[0]
    assert (row.began_at, row.began_at and row.began_at.tzinfo) == (NOW, UTC)


async def test_spans_are_all_sessions_that_touch_the_window(store: Store) -> None:
    times = [
        (at(-20), at(0)),
        (at(-20), at(0) + TICK),
        (at(5), at(6)),
        (at(9), None),
        (at(10), at(11)),
        (at(-9), at(50)),
    ]
    for epoch, (began, ended) in enumerate(times, 1):
        await publish(store, epoch, began, ended)
    await store.admit_session(session(7))
    query = HistoryQuery(since=at(0), until=at(10), vhost="demo", newest_first=False)
    expected = [Span(STREAM, *times[n]) for n in (1, 5, 2, 3)]
    assert await store.spans(query) == expected
    assert await store.spans(replace(query, offset=1, limit=2)) == expected[1:3]
    assert await store.spans(replace(query, vhost="other")) == []


async def test_the_highest_epoch_outlives_its_session(store: Store) -> None:
    await publish(store, 2**62, NOW, at(1))
    await publish(store, 5, NOW, at(1))
    assert await store.highest_epoch() == 2**62
    assert (await store.sweep(Retention(ended_before=at(2)))).sessions == 2
    assert await store.highest_epoch() == 2**62
    await publish(store, 2**62 + 1, NOW, at(1))
    assert await store.highest_epoch() == 2**62 + 1


async def test_hostile_names_stay_data(store: Store) -> None:
    for epoch, name in enumerate(HOSTILE, 1):
        stream = StreamId(name, name, name)
        hostile = session(epoch, stream=stream, agent=name, push_domain=name, account=name, address=name, facts=name)
        await store.admit_session(hostile)
        assert await store.find_session(epoch) == hostile
        await store.end_session(end(epoch, reason=name, detail=name, began_at=NOW))
        asked = replace(WINDOW, account=name, vhost=name, app=name, push_domain=name, stream=name)
        assert await epochs(store, asked) == [epoch]
        assert await epochs(store, replace(WINDOW, stream_part=name)) == (
            [epoch] if name else list(range(epoch, 0, -1))
        )
