"""Groups, and who has to name them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from penstock.domain.live import Live
from penstock.domain.relays import groups, tasks
from penstock.errors import Conflict, Denied, DryRun, InvalidField, MissingField, NotFound, TooManyTasks
from penstock.storage.relay_rows import GroupQuery, Tag
from tests.clock import START, ManualClock
from tests.domain.relays.kit import ME, STRANGER, SUB, wish


async def names(live: Live, **query: bool) -> list[str]:
    return [group.name for group in (await groups.page(live, ME, **query)).rows]


async def test_a_group_has_project_and_tags(live: Live) -> None:
    tags = (Tag("team", "a"), Tag("System", "", "System"))
    made = await groups.create(live, ME, "sport", project="tv", tags=tags)
    assert (made.project, made.tags, made.created_at, made.deleted_at) == ("tv", tags, START, None)
    assert (await groups.page(live, ME)).rows == [made]
    assert (await groups.page(live, STRANGER)).rows == []


@pytest.mark.parametrize("name", ["a", "a" * 20, "体育"])
async def test_names_of_groups(live: Live, name: str) -> None:
    assert (await groups.create(live, ME, name, project="p")).name == name


@pytest.mark.parametrize("name", ["", "a" * 21, "a b", "a_b", "a\n"])
async def test_names_that_are_none(live: Live, name: str) -> None:
    with pytest.raises(InvalidField, match="name is"):
        await groups.create(live, ME, name, project="p")


@pytest.mark.parametrize("project", ["", "p" * 65])
async def test_projects_that_are_none(live: Live, project: str) -> None:
    with pytest.raises(InvalidField, match="project is"):
        await groups.create(live, ME, "sport", project=project)


@pytest.mark.parametrize(
    "tags",
    [
        [Tag("", "x")],
        [Tag("k" * 257, "x")],
        [Tag("k", "v" * 257)],
        [Tag("k", "v", "Other")],
        [Tag("k", "1"), Tag("k", "2")],
        [Tag(str(number), "") for number in range(51)],
    ],
)
async def test_tags_that_are_none(live: Live, tags: list[Tag]) -> None:
    with pytest.raises(InvalidField, match="tags is"):
        await groups.create(live, ME, "sport", project="p", tags=tags)
    await groups.create(live, ME, "news", project="p")
    with pytest.raises(InvalidField, match="tags is"):
        await groups.update(live, ME, "news", tags=tags)


async def test_a_name_is_there_once_in_an_account(live: Live) -> None:
    await groups.create(live, ME, "sport", project="p")
    with pytest.raises(Conflict, match="has a group 'sport' already"):
        await groups.create(live, ME, "sport", project="q")
    assert await groups.create(live, STRANGER, "sport", project="q")


async def test_an_update_replaces_the_tags_and_nothing_else(live: Live, clock: ManualClock) -> None:
    made = await groups.create(live, ME, "sport", project="p", tags=[Tag("a", "1")])
    clock.spend(9)
    assert await groups.update(live, ME, "sport", tags=[Tag("b", "2")]) == replace(made, tags=(Tag("b", "2"),))
    assert (await groups.update(live, ME, "sport", tags=[])).tags == ()
    with pytest.raises(NotFound):
        await groups.update(live, ME, "other", tags=[])
    with pytest.raises(NotFound):
        await groups.update(live, STRANGER, "sport", tags=[])


async def test_a_deleted_group_is_listed_as_such_and_takes_no_tasks(live: Live) -> None:
    await groups.create(live, ME, "sport", project="p")
    await groups.delete(live, ME, "sport")
    assert await names(live) == []
    assert await names(live, is_available=False, is_deleted=True) == ["sport"]
    for refused in (groups.delete(live, ME, "sport"), groups.update(live, ME, "sport", tags=[])):
        with pytest.raises(NotFound):
            await refused
    with pytest.raises(NotFound, match="has no group 'sport'"):
        await tasks.create(live, ME, wish(group="sport"))
    await groups.create(live, ME, "sport", project="q")
    assert await names(live, is_deleted=True) == ["sport"]


async def test_a_group_with_tasks_stays(live: Live) -> None:
    await groups.create(live, ME, "sport", project="p")
    task = await tasks.create(live, ME, wish(group="sport"))
    with pytest.raises(Conflict, match=r"has tasks \(1\)"):
        await groups.delete(live, ME, "sport")
    await tasks.stop(live, ME, task.id)
    with pytest.raises(Conflict):
        await groups.delete(live, ME, "sport")
    await tasks.delete(live, ME, task.id)
    await groups.delete(live, ME, "sport")


async def test_the_default_group_is_made_by_the_main_accounts_first_task(live: Live) -> None:
    assert await names(live) == []
    assert (await tasks.create(live, ME, wish())).group == "default"
    (group,) = (await groups.page(live, ME)).rows
    assert (group.name, group.project) == ("default", "default")
    assert (await tasks.create(live, ME, wish(group="default"))).group == "default"


async def test_a_default_group_that_was_deleted_comes_back_with_the_next_task(live: Live) -> None:
    task = await tasks.create(live, ME, wish())
    await tasks.delete(live, ME, task.id)
    await groups.delete(live, ME, "default")
    await tasks.create(live, ME, wish())
    assert await names(live) == ["default"]


async def test_a_sub_account_names_the_group_and_makes_none(live: Live) -> None:
    with pytest.raises(MissingField, match="group is missing"):
        await tasks.create(live, SUB, wish())
    with pytest.raises(NotFound):
        await tasks.create(live, SUB, wish(group="default"))
    await groups.create(live, ME, "sport", project="p")
    task = await tasks.create(live, SUB, wish(group="sport"))
    assert task.group == "sport"


async def test_whatever_a_sub_account_changes_it_names_the_group(live: Live) -> None:
    await groups.create(live, ME, "sport", project="p")
    id = (await tasks.create(live, SUB, wish(group="sport"))).id
    for refused in (
        tasks.stop(live, SUB, id),
        tasks.restart(live, SUB, id),
        tasks.update(live, SUB, id, wish()),
        tasks.delete(live, SUB, id),
    ):
        with pytest.raises(MissingField):
            await refused
    await tasks.stop(live, SUB, id, group="sport")
    await tasks.restart(live, SUB, id, group="sport")
    await tasks.update(live, SUB, id, wish(group="sport"))
    assert (await tasks.page(live, SUB)).total == 1
    await tasks.delete(live, SUB, id, group="sport")


@pytest.mark.parametrize("caller", [ME, SUB])
async def test_another_group_than_the_tasks_is_refused(live: Live, caller: object) -> None:
    await groups.create(live, ME, "sport", project="p")
    id = (await tasks.create(live, ME, wish(group="sport"))).id
    for refused in (
        tasks.stop(live, caller, id, group="other"),  # type: ignore[arg-type]
        tasks.update(live, caller, id, wish(group="other")),  # type: ignore[arg-type]
        tasks.delete(live, caller, id, group="other"),  # type: ignore[arg-type]
    ):
        with pytest.raises(Denied, match="is in another group"):
            await refused


async def test_a_dry_run_makes_no_group(live: Live) -> None:
    with pytest.raises(DryRun):
        await groups.create(live, replace(ME, dry_run=True), "sport", project="p")
    with pytest.raises(DryRun):
        await tasks.create(live, replace(ME, dry_run=True), wish())
    assert (await live.store.relay_groups(GroupQuery(deleted=True))).total == 0


async def test_an_account_has_a_number_of_groups_at_most(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "MAX_GROUPS", 2)
    for name in ("a", "b"):
        await groups.create(live, ME, name, project="p")
    await groups.delete(live, ME, "b")
    with pytest.raises(TooManyTasks, match="has 2 groups, deleted ones too; it may have 2"):
        await groups.create(live, ME, "c", project="p")
    await groups.create(live, ME, "b", project="p")
