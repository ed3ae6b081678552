"""Bans, over every implementation."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from penstock.model import StreamId
from penstock.storage.base import Store
from penstock.storage.rows import BanQuery
from tests.storage.kit import DAY, HOSTILE, NOW, STREAM, TICK, at, ban


async def test_a_ban_comes_back_to_the_microsecond(store: Store) -> None:
    assert await store.put_ban(ban()) == ban()
    found = await store.find_ban(STREAM, NOW)
    assert found == ban()
    assert found is not None
    assert found.until.microsecond == NOW.microsecond
    assert await store.find_ban(StreamId("demo", "live", "S1"), NOW) is None


async def test_a_ban_is_over_at_its_end(store: Store) -> None:
    await store.put_ban(ban(until=at(10)))
    assert await store.find_ban(STREAM, at(10) - TICK) is not None
    assert await store.find_ban(STREAM, at(10)) is None
    assert (await store.bans(BanQuery(now=at(10) - TICK))).total == 1
    assert (await store.bans(BanQuery(now=at(10)))).total == 0
    assert await store.lift_ban(STREAM, at(10)) is None


async def test_a_second_ban_moves_the_end_and_keeps_the_beginning(store: Store) -> None:
    await store.put_ban(ban(until=at(10)))
    second = ban(since=at(9), changed_at=at(9), until=at(5 * 60), reason="again", access_key="AK2", cloud="volcengine")
    moved = replace(second, since=NOW)
    assert await store.put_ban(second) == moved
    assert await store.find_ban(STREAM, at(9)) == moved
    # Earlier ends are moved to as well.
    await store.put_ban(replace(second, until=at(20)))
    assert await store.find_ban(STREAM, at(20)) is None


async def test_a_ban_after_a_gap_begins_anew(store: Store) -> None:
    await store.put_ban(ban(until=at(10)))
    second = ban(since=at(10), changed_at=at(10), until=at(20))
    assert await store.put_ban(second) == second
    assert await store.find_ban(STREAM, at(10)) == second


async def test_lifting_gives_back_what_was_lifted(store: Store) -> None:
    await store.put_ban(ban())
    assert await store.lift_ban(STREAM, NOW) == ban()
    assert await store.lift_ban(STREAM, NOW) is None
    assert await store.find_ban(STREAM, NOW) is None


async def test_bans_are_listed_by_what_is_asked(store: Store) -> None:
    names = [("demo", "live", "s1"), ("demo", "live", "S10"), ("demo", "vod", "s1"), ("other", "live", "s1")]
    for hours, name in enumerate(names, 1):
        account = "bob" if name[0] == "other" else "alice"
        domain = f"push.{name[0]}.test"
        await store.put_ban(
            ban(stream=StreamId(*name), account=account, push_domain=domain, until=NOW + hours * DAY, reason=str(hours))
        )

    async def found(**asked: object) -> str:
        page = await store.bans(BanQuery(**({"now": NOW} | asked)))  # type: ignore[arg-type]
        assert page.total == len(page.rows)
        return "".join(ban.reason for ban in page.rows)

    assert await found() == "4321"
    assert await found(ends_first=True) == "1234"
    assert await found(account="alice") == "321"
    assert await found(vhost="demo", app="live") == "21"
    assert await found(vhost="demo", app="live", push_domain="push.other.test") == ""
    assert await found(stream="s1") == "431"
    assert await found(stream_part="1") == "4321"
    assert await found(stream_part="s") == "431"
    assert await found(stream_part="%") == ""
    assert await found(stream_part="") == "4321"
    assert await found(now=NOW + 2 * DAY) == "43"


@pytest.mark.parametrize(
    ("offset", "limit", "rows"),
    [
        (0, 2, "43"),
        (2, 2, "21"),
        (3, 2, "1"),
        (4, 2, ""),
        (0, 0, ""),
        (10**30, 5, ""),
        (0, 10**30, "4321"),
        (1, None, "321"),
    ],
)
async def test_a_page_is_cut_and_the_total_is_not(store: Store, offset: int, limit: int | None, rows: str) -> None:
    for number in range(1, 5):
        stream = StreamId("demo", "live", str(number))
        await store.put_ban(ban(stream=stream, until=NOW + number * DAY))
    page = await store.bans(BanQuery(now=NOW, offset=offset, limit=limit))
    assert ("".join(ban.stream.stream for ban in page.rows), page.total) == (rows, 4)


async def test_hostile_names_stay_data(store: Store) -> None:
    for name in HOSTILE:
        stream = StreamId(name, name, name)
        hostile = ban(stream=stream, reason=name, access_key=name, account=name, push_domain=name)
        await store.put_ban(hostile)
        assert await store.find_ban(stream, NOW) == hostile
        found = await store.bans(BanQuery(now=NOW, account=name, vhost=name, app=name, stream=name, stream_part=name))
        assert found.rows == [hostile]
    assert (await store.bans(BanQuery(now=NOW))).total == len(HOSTILE)


async def test_texts_that_no_database_takes_are_made_harmless(store: Store) -> None:
    odd = StreamId("demo", "live", "a\ud800b\0c")
    await store.put_ban(ban(stream=odd, reason="x" * 5000))
    found = await store.find_ban(odd, NOW)
    assert found is not None
    assert found.stream.stream == "a\ufffdb\ufffdc"
    assert found.reason == "x" * 2048
