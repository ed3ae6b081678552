from __future__ import annotations

from datetime import timedelta

from penstock.domain.bantable import BanTable
from penstock.storage.sql import SqlStore
from tests.storage.kit import NOW, STREAM, TICK, ban

LATER = NOW + timedelta(hours=1)


def test_a_ban_is_found_until_just_before_its_end() -> None:
    table = BanTable()
    table.put(ban(until=LATER))
    assert table.find(STREAM, LATER - TICK) == ban(until=LATER)
    assert table.find(STREAM, LATER) is None
    assert list(table.in_force(LATER - TICK)) == [ban(until=LATER)]
    assert list(table.in_force(LATER)) == []


def test_a_stream_has_one_ban_the_last() -> None:
    table = BanTable()
    for reason in ("a", "b"):
        table.put(ban(reason=reason))
    assert [each.reason for each in table.in_force(NOW)] == ["b"]
    table.remove(STREAM)
    table.remove(STREAM)
    assert table.find(STREAM, NOW) is None


def test_what_ran_out_is_forgotten() -> None:
    table = BanTable()
    table.put(ban(until=LATER))
    table.forget(LATER - TICK)
    assert table.find(STREAM, NOW) is not None
    table.forget(LATER)
    # Even for a clock that is turned back.
    assert table.find(STREAM, NOW) is None


async def test_it_begins_with_what_is_in_force_in_the_store() -> None:
    store = await SqlStore.open(None)
    table = BanTable()
    for number in range(3):
        stream = type(STREAM)("demo", "live", f"s{number}")
        await store.put_ban(ban(stream=stream, until=NOW + timedelta(hours=number)))
    await table.load(store, NOW)
    assert sorted(each.stream.stream for each in table.in_force(NOW)) == ["s1", "s2"]
    await store.close()
