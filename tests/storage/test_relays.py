"""Relay groups and tasks, and how these stand."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from penstock.storage.base import Store
from penstock.storage.relay_rows import GroupQuery, RelayProgress, RelayQuery, Source, Tag, Watermark
from penstock.storage.rows import Retention
from tests.storage.kit import DAY, HOSTILE, NOW, TICK, at, group, relay


async def listed(store: Store, **query: object) -> list[str]:
    return [task.id for task in (await store.relays(replace(RelayQuery(), **query))).rows]


# Groups


async def test_a_group_comes_back_as_it_was_put(store: Store) -> None:
    made = group("新闻", project="tv", tags=(Tag("team", "a"), Tag("x", "", "System")))
    await store.put_relay_group(made)
    assert await store.find_relay_group("alice", "新闻") == made
    assert await store.find_relay_group("bob", "新闻") is None


async def test_groups_are_listed_by_account_and_by_whether_they_were_deleted_the_newest_first(store: Store) -> None:
    await store.put_relay_group(group("old"))
    await store.put_relay_group(group("new", created_at=at(1)))
    await store.put_relay_group(group("gone", deleted_at=NOW))
    await store.put_relay_group(group("theirs", account="bob"))

    async def names(**query: object) -> list[str]:
        return [each.name for each in (await store.relay_groups(replace(GroupQuery(account="alice"), **query))).rows]

    assert await names() == ["new", "old"]
    assert await names(available=False, deleted=True) == ["gone"]
    assert set(await names(deleted=True)) == {"new", "old", "gone"}
    assert await names(available=False) == []
    assert await names(offset=1, limit=5) == ["old"]


# Tasks


async def test_a_task_comes_back_as_it_was_put(store: Store) -> None:
    made = relay(
        "a",
        kind="files",
        sources=(Source("http://files.test/1.mp4", 1.5, 9.25), Source("http://files.test/2.mp4")),
        has_parts=True,
        cycle_mode=-1,
        play_times=3,
        watermark=Watermark("abc", 0.25, 0.0, 0.1),
        callback_url="http://receiver.test/",
    )
    await store.put_relay(made)
    assert await store.find_relay("a") == made
    changed = replace(made, title="other", watermark=None, is_stopped=True, generation=2)
    await store.put_relay(changed)
    assert await store.find_relay("a") == changed


async def test_tasks_are_listed_the_newest_first_page_by_page(store: Store) -> None:
    for number in range(5):
        await store.put_relay(relay(f"t{number}", created_at=at(number)))
    page = await store.relays(RelayQuery(account="alice", offset=1, limit=2))
    assert ([task.id for task in page.rows], page.total) == (["t3", "t2"], 5)
    assert await listed(store, account="bob") == []


@pytest.mark.parametrize(
    ("part", "found"),
    [("doc", ["c", "b", "a"]), ("DOCS", ["c", "b", "a"]), ("docsp", ["a"]), ("闻", ["d"]), ("%", []), ("_", [])],
)
async def test_a_title_is_found_by_a_piece_of_it_whatever_its_case(store: Store, part: str, found: list[str]) -> None:
    for number, (id, title) in enumerate({"a": "docspace", "b": "docs", "c": "DOCs", "d": "新闻"}.items()):
        await store.put_relay(relay(id, title=title, created_at=at(number)))
    assert await listed(store, title_part=part) == found


async def test_a_group_narrows_the_list(store: Store) -> None:
    await store.put_relay(relay("a"))
    await store.put_relay(relay("b", group="sport"))
    assert await listed(store, group="sport") == ["b"]


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_titles_stay_data(store: Store, text: str) -> None:
    await store.put_relay(relay("a", title=text, target=text))
    found = await store.find_relay("a")
    assert found is not None
    assert (found.title, found.target) == (text, text)
    assert await listed(store, title_part=text) == ["a"]


async def test_due_is_what_runs_or_will_and_what_nobody_told_the_end_of(store: Store) -> None:
    await store.put_relay(relay("runs"))
    await store.put_relay(relay("stopped", is_stopped=True))
    await store.put_relay(relay("over", ends_at=NOW, is_settled=True))
    await store.put_relay(relay("untold", ends_at=NOW))
    assert [task.id for task in await store.relays_due(NOW)] == ["runs", "untold"]
    assert [task.id for task in await store.relays_due(NOW - TICK)] == ["over", "runs", "untold"]


async def test_counted_is_what_is_not_stopped_and_not_over(store: Store) -> None:
    await store.put_relay(relay("a"))
    await store.put_relay(relay("b", account="bob", group="x"))
    await store.put_relay(relay("c", is_stopped=True))
    await store.put_relay(relay("d", ends_at=NOW))
    assert await store.count_relays(ending_after=NOW) == 2
    assert await store.count_relays(ending_after=NOW, account="bob") == 1
    assert await store.count_relays(ending_after=NOW, account="bob", group="y") == 0


async def test_a_task_that_was_changed_meanwhile_is_not_settled(store: Store) -> None:
    before = relay("a")
    await store.put_relay(replace(before, changed_at=at(1)))
    assert not await store.settle_relay(before)
    assert await store.settle_relay(replace(before, changed_at=at(1)))
    found = await store.find_relay("a")
    assert found is not None
    assert found.is_settled


async def test_progress_is_kept_for_tasks_that_are_there(store: Store) -> None:
    await store.put_relay(relay("a"))
    made = RelayProgress(
        task="a", loop=2, clip=1, offset_s=3.25, noted_at=NOW, bytes_out=2**40, error="no route", error_side="target"
    )
    await store.put_relay_progress(made)
    await store.put_relay_progress(replace(made, task="gone"))
    assert await store.relay_progress(["a", "gone", "other"]) == {"a": made}
    await store.remove_relay("a")
    assert await store.relay_progress(["a"]) == {}
    assert await store.find_relay("a") is None


async def test_a_picture_stays_while_a_task_has_it(store: Store) -> None:
    for name, data in (("p1", b"one"), ("p2", b"two"), ("p1", b"another under its name")):
        await store.put_relay_picture(name, data)
    first = relay("a", watermark=Watermark("p1", 0, 0, 0.1))
    await store.put_relay(first)
    await store.put_relay(replace(first, id="b"))
    await store.put_relay(replace(first, title="same picture"))
    await store.remove_relay("b")
    assert await store.relay_picture("p1") == b"one"
    await store.put_relay(replace(first, watermark=Watermark("p2", 0, 0, 0.1)))
    assert (await store.relay_picture("p1"), await store.relay_picture("p2")) == (None, b"two")
    await store.remove_relay("a")
    assert await store.relay_picture("p2") is None


async def test_tasks_that_ended_long_ago_are_swept_with_all_that_is_theirs(store: Store) -> None:
    await store.put_relay_picture("p1", b"one")
    await store.put_relay(relay("old", ends_at=NOW - TICK, watermark=Watermark("p1", 0, 0, 0.1)))
    await store.put_relay_progress(RelayProgress(task="old"))
    await store.put_relay(relay("young", ends_at=NOW))
    assert (await store.sweep(Retention(relayed_before=NOW))).relays == 1
    assert await listed(store) == ["young"]
    assert await store.relay_progress(["old"]) == {}
    assert await store.relay_picture("p1") is None
    assert (await store.sweep(Retention(relayed_before=NOW + 2 * DAY))).relays == 1
