"""Callbacks that wait, their order, and what became of each."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from penstock.storage.base import Store
from penstock.storage.errors import StorageError
from penstock.storage.queries.notices import MAX_WAITING
from penstock.storage.relay_rows import Delivery, NoticeQuery
from penstock.storage.rows import Retention
from tests.storage.kit import NOW, TICK, at, notice


async def test_each_subject_counts_from_one(store: Store) -> None:
    made = [await store.put_notice(notice(subject)) for subject in ("a", "b", "a", "a")]
    assert [each.sequence for each in made] == [1, 1, 2, 3]
    assert len({each.id for each in made}) == 4
    assert await store.find_notice(made[2].id) == made[2]


async def test_the_count_goes_on_when_the_rows_were_swept(store: Store) -> None:
    first = await store.put_notice(notice("a", made_at=NOW))
    await store.update_notice(replace(first, state="delivered"))
    await store.sweep(Retention(noticed_before=NOW - TICK, max_notices=0))
    assert (await store.notices(NoticeQuery())).total == 0
    assert (await store.put_notice(notice("a", made_at=NOW))).sequence == 2


async def test_a_count_is_given_up_when_its_subject_was_silent_for_so_long(store: Store) -> None:
    first = await store.put_notice(notice("a"))
    await store.update_notice(replace(first, state="delivered"))
    await store.sweep(Retention(noticed_before=at(1)))
    assert (await store.put_notice(notice("a"))).sequence == 1


async def test_what_was_undone_left_no_gap(store: Store) -> None:
    async def fail() -> None:
        async with store.transaction() as together:
            await together.put_notice(notice("a"))
            raise StorageError("the disk is full")

    with pytest.raises(StorageError):
        await fail()
    assert (await store.put_notice(notice("a"))).sequence == 1


async def test_of_each_subject_the_earliest_that_waits_is_next(store: Store) -> None:
    a1, b1, a2 = [await store.put_notice(notice(subject)) for subject in ("a", "b", "a")]
    assert await store.waiting_notices(NOW, per_account=10) == [a1, b1]
    assert await store.waiting_notices(NOW, per_account=1) == [a1]
    await store.update_notice(replace(a1, state="delivered"))
    assert await store.waiting_notices(NOW, per_account=10) == [b1, a2]
    await store.update_notice(replace(b1, state="given up"))
    assert await store.waiting_notices(NOW, per_account=10) == [a2]


async def test_what_is_not_due_keeps_what_is_behind_it_and_no_place_of_another(store: Store) -> None:
    first = await store.put_notice(notice("a"))
    await store.put_notice(notice("a"))
    other = await store.put_notice(notice("b"))
    later = replace(first, next_try_at=at(5))
    await store.update_notice(later)
    assert await store.waiting_notices(at(4), per_account=1) == [other]
    assert await store.waiting_notices(at(5), per_account=10) == [later, other]


async def test_each_account_has_its_own_places(store: Store) -> None:
    mine = [await store.put_notice(notice(f"a{number}")) for number in range(5)]
    theirs = await store.put_notice(notice("b", account="bob"))
    assert await store.waiting_notices(NOW, per_account=2) == [*mine[:2], theirs]


async def test_of_one_subject_so_many_wait_and_the_oldest_is_given_up(store: Store) -> None:
    made = [await store.put_notice(notice("a")) for _ in range(MAX_WAITING + 2)]
    other = await store.put_notice(notice("b"))
    assert await store.waiting_notices(NOW, per_account=10) == [made[2], other]
    kept = await store.find_notice(made[1].id)
    assert kept == replace(made[1], state="given up", answer="more than 50 waited")


async def test_every_try_is_written_down(store: Store) -> None:
    made = await store.put_notice(notice())
    tries = [
        Delivery(notice=made.id, at=at(0), took_ms=4000, error="no answer within 4 s"),
        Delivery(notice=made.id, at=at(3), took_ms=12, status=200),
    ]
    for each in tries:
        await store.update_notice(replace(made, tries=made.tries + 1), each)
    assert await store.deliveries([made.id, 999]) == tries


async def test_notices_are_listed_by_what_is_asked_the_newest_first(store: Store) -> None:
    await store.put_notice(notice("a"))
    second = await store.put_notice(notice("a"))
    await store.put_notice(notice("b", account="bob"))
    await store.update_notice(replace(second, state="given up"))
    page = await store.notices(NoticeQuery(account="alice"))
    assert [each.sequence for each in page.rows] == [2, 1]
    assert [each.sequence for each in (await store.notices(NoticeQuery(subject="a", state="given up"))).rows] == [2]
    assert (await store.notices(NoticeQuery(subject="b"))).total == 1


async def test_what_waits_is_never_swept(store: Store) -> None:
    waiting = await store.put_notice(notice("a"))
    old = await store.put_notice(notice("b"))
    await store.update_notice(replace(old, state="delivered"), Delivery(notice=old.id, at=NOW, took_ms=1, status=200))
    assert (await store.sweep(Retention(noticed_before=at(1), max_notices=0))).notices == 1
    assert await store.waiting_notices(NOW, per_account=10) == [waiting]
    assert await store.deliveries([old.id]) == []
