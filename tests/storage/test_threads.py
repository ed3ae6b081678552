"""Many tasks at once, transactions, and tasks that give up, over every implementation."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from penstock.errors import Conflict
from penstock.model import StreamId
from penstock.storage.base import Store
from penstock.storage.errors import StorageError
from penstock.storage.rows import Account, BanQuery, HistoryQuery
from penstock.storage.sql import SqlStore
from tests.storage.kit import DAY, NOW, STREAM, at, ban, end, publish, session

EVERYTHING = BanQuery(now=NOW)


def nth(number: int) -> StreamId:
    return StreamId("demo", "live", f"s{number}")


async def test_many_at_once_are_all_done(store: Store) -> None:
    async def one(number: int) -> None:
        await store.put_ban(ban(stream=nth(number)))
        # What was written is seen at once by who reads.
        assert await store.find_ban(nth(number), NOW) is not None
        await publish(store, number + 1, NOW, at(1))

    await asyncio.gather(*(one(number) for number in range(200)))
    assert (await store.bans(EVERYTHING)).total == 200
    assert (await store.history(HistoryQuery(since=NOW, until=NOW + DAY))).total == 200


async def test_of_many_that_end_one_session_one_does(store: Store) -> None:
    await store.admit_session(session(1))
    ended = await asyncio.gather(*(store.end_session(end(1, reason=str(number))) for number in range(50)))
    assert sum(row is not None for row in ended) == 1


async def test_two_facts_go_together_or_not_at_all(store: Store) -> None:
    await store.admit_session(session(1))
    with suppress(ZeroDivisionError):
        async with store.transaction() as together:
            await together.put_ban(ban())
            assert await together.find_ban(STREAM, NOW) == ban()
            await together.end_session(end(1))
            raise ZeroDivisionError
    assert await store.find_ban(STREAM, NOW) is None
    assert len(await store.open_sessions()) == 1
    async with store.transaction() as together:
        await together.put_ban(ban())
        await together.end_session(end(1))
    assert await store.find_ban(STREAM, NOW) == ban()
    assert await store.open_sessions() == []


async def test_nobody_sees_or_writes_into_an_open_transaction(store: Store) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        with suppress(ZeroDivisionError):
            async with store.transaction() as together:
                await together.put_ban(ban())
                entered.set()
                await leave.wait()
                raise ZeroDivisionError

    holder = asyncio.create_task(hold())
    await entered.wait()
    reader = asyncio.create_task(store.find_ban(STREAM, NOW))
    writer = asyncio.create_task(store.put_ban(ban(stream=nth(2))))
    await asyncio.sleep(0.02)
    assert not writer.done()
    leave.set()
    await asyncio.gather(holder, writer)
    assert await reader is None
    assert [row.stream for row in (await store.bans(EVERYTHING)).rows] == [nth(2)]


async def test_a_refused_piece_leaves_the_transaction_whole(store: Store) -> None:
    async with store.transaction() as together:
        await together.put_account(Account(id="alice"))
        with pytest.raises(Conflict):
            await together.put_account(Account(id="alice"), new=True)
        await together.put_account(Account(id="bob"))
    assert [account.id for account in await store.accounts()] == ["alice", "bob"]


async def test_using_the_store_inside_its_own_transaction_is_a_fault(store: Store) -> None:
    async with store.transaction() as together:
        with pytest.raises(AssertionError, match="wait for itself"):
            await store.put_ban(ban())
    with pytest.raises(AssertionError, match="is over"):
        await together.put_ban(ban())


@pytest.mark.parametrize("turns", range(12))
async def test_a_task_that_gives_up_leaves_nothing_half_done(store: Store, turns: int) -> None:
    async def both() -> None:
        async with store.transaction() as together:
            await together.put_ban(ban(stream=nth(1)))
            await together.put_ban(ban(stream=nth(2)))

    task = asyncio.create_task(both())
    for _ in range(turns):
        await asyncio.sleep(0.0002)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    # The next one gets its turn at once.
    await asyncio.wait_for(store.put_ban(ban(stream=nth(3))), 5)
    assert (await store.bans(EVERYTHING)).total in (1, 3)


async def test_a_single_write_that_is_given_up_is_whole_or_not_there(store: Store) -> None:
    tasks = [asyncio.create_task(publish(store, number + 1, NOW, at(1))) for number in range(30)]
    await asyncio.sleep(0.005)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await store.put_ban(ban())
    assert await store.find_ban(STREAM, NOW) is not None


async def test_the_loop_goes_on_while_the_disk_is_slow(store: Store) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    ticker = asyncio.create_task(tick())
    await asyncio.gather(*(store.put_ban(ban(stream=nth(number))) for number in range(500)))
    ticker.cancel()
    assert ticks >= 5


async def test_closed_is_closed(store: Store) -> None:
    pending = asyncio.create_task(store.put_ban(ban()))
    await asyncio.sleep(0)
    await store.close()
    await store.close()
    assert await pending == ban()
    for call in (store.put_ban(ban()), store.find_ban(STREAM, NOW)):
        with pytest.raises(StorageError, match="is closed"):
            await call
    with pytest.raises(StorageError, match="is closed"):
        async with store.transaction():
            pass


async def test_a_time_without_zone_is_a_fault(store: Store) -> None:
    with pytest.raises(Exception, match="has no time zone"):
        await store.put_ban(ban(until=NOW.replace(tzinfo=None)))
    assert (await store.bans(EVERYTHING)).total == 0


async def test_every_write_is_told_when_it_is_over_and_whether_it_is_kept(store: Store) -> None:
    assert isinstance(store, SqlStore)
    told: list[tuple[float, bool]] = []
    store.on_write(lambda seconds, is_kept: told.append((seconds, is_kept)))
    await store.put_ban(ban())
    async with store.transaction() as together:
        await together.put_ban(ban(stream=nth(1)))
        await together.put_ban(ban(stream=nth(2)))
    assert [is_kept for _, is_kept in told] == [True, True]
    # What our own rules refuse was no fault of the store's.
    await store.put_account(Account(id="alice"), new=True)
    with pytest.raises(Conflict):
        await store.put_account(Account(id="alice"), new=True)
    assert [is_kept for _, is_kept in told] == [True, True, True]
    await store.close()
    with pytest.raises(StorageError):
        await store.put_ban(ban())
    assert [is_kept for _, is_kept in told] == [True, True, True, False]
    assert all(0 <= seconds < 5 for seconds, _ in told)
