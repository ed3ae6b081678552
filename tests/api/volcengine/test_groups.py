"""Groups of relay tasks as a caller sees them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.volcengine.front import OK, THEIRS, Answer, Front
from tests.api.volcengine.test_relays import INVALID, LIVE, NOT_FOUND, make

MAKE, CHANGE = "CreatePullToPushGroup", "UpdatePullToPushGroup"
DELETE, LIST = "DeletePullToPushGroup", "ListPullToPushGroup"
TAG = {"Key": "team", "Value": "a", "Category": "Custom"}


async def call(front: Front, action: str, name: str, **values: Any) -> Answer:
    answer = await front.call(action, {"Name": name, **values})
    front.clock.spend(0.001)  # the latest comes first
    return answer


async def new(front: Front, name: str, **values: Any) -> None:
    answer = await call(front, MAKE, name, **{"ProjectName": "tv", **values})
    assert (answer.status, answer.code, answer.result) == (200, OK, None)


async def listed(front: Front, **values: Any) -> tuple[list[dict[str, Any]], int]:
    answer = await front.call(LIST, {"PageNum": 1, "PageSize": 1000, **values})
    assert answer.code == OK, answer
    assert list(answer.result) == ["List", "Total"]
    return answer.result["List"], answer.result["Total"]


async def names(front: Front, **values: Any) -> list[str]:
    return [group["Name"] for group in (await listed(front, **values))[0]]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, []),
        ({"Tags": []}, []),
        ({"Tags": None}, []),
        ({"Tags": [TAG]}, [TAG]),
        # Newer clients have no Category.
        ({"Tags": [{"Key": "team", "Value": "a"}]}, [TAG]),
        ({"Tags": [{"Key": "team", "Value": "", "Category": None}]}, [{**TAG, "Value": ""}]),
        ({"Tags": [{**TAG, "Category": "System"}, {**TAG, "Key": "b"}]}, None),
        ({"Tags": [{**TAG, "Key": f"{number:0256}", "Value": "v" * 256} for number in range(50)]}, None),
    ],
)
async def test_a_group_is_told_as_documented(
    front: Front, given: dict[str, Any], told: list[dict[str, str]] | None
) -> None:
    await new(front, "体育A1", **given)
    wanted = given["Tags"] if told is None else told
    assert await listed(front) == ([{"Name": "体育A1", "ProjectName": "tv", "Status": 0, "Tags": wanted}], 1)


@pytest.mark.parametrize(
    "tags",
    [
        [{"Key": "k" * 257, "Value": "v"}],
        [{"Key": "k", "Value": "v" * 257}],
        [{"Key": "k", "Value": "v"}, {"Key": "k", "Value": "w"}],
        [{"Key": str(number), "Value": ""} for number in range(51)],
    ],
)
async def test_tags_over_a_limit_are_refused(front: Front, tags: list[dict[str, str]]) -> None:
    await new(front, "there")
    for action, name in ((MAKE, "news"), (CHANGE, "there")):
        answer = await call(front, action, name, ProjectName="tv", Tags=tags)
        assert (answer.code, answer.message.split()[0]) == (INVALID, "Tags")
    assert await names(front) == ["there"]


@pytest.mark.parametrize("name", ["a", "Z9", "新" * 20, "default"])
async def test_names_at_their_limits_pass(front: Front, name: str) -> None:
    await new(front, name)
    assert await names(front) == [name]


@pytest.mark.parametrize("name", ["", "a" * 21, "新" * 21, "a b", "a-b", "é", "a\n"])
async def test_names_that_are_none_are_invalid(front: Front, name: str) -> None:
    assert (await call(front, MAKE, name, ProjectName="tv")).code == INVALID


async def test_a_name_is_there_once_in_an_account(front: Front) -> None:
    await new(front, "news")
    again = await call(front, MAKE, "news", ProjectName="other")
    assert (again.status, again.code) == (400, INVALID)
    theirs = await front.call(MAKE, {"Name": "news", "ProjectName": "p"}, credentials=THEIRS)
    assert theirs.code == OK
    assert await listed(front) == ([{"Name": "news", "ProjectName": "tv", "Status": 0, "Tags": []}], 1)


async def test_an_update_replaces_the_tags_alone(front: Front) -> None:
    await new(front, "news", Tags=[TAG, {"Key": "b", "Value": "c"}])
    answer = await call(front, CHANGE, "news", ProjectName="ignored", Tags=[{"Key": "x", "Value": "y"}])
    assert (answer.code, answer.result) == (OK, None)
    (found,), _ = await listed(front)
    assert found["ProjectName"] == "tv"
    assert found["Tags"] == [{"Key": "x", "Value": "y", "Category": "Custom"}]
    assert (await call(front, CHANGE, "news")).code == OK
    assert (await listed(front))[0][0]["Tags"] == []


async def test_a_deleted_group_is_listed_to_who_asks_for_it_and_takes_no_tasks(front: Front) -> None:
    await new(front, "news", Tags=[TAG])
    await new(front, "sport")
    answer = await call(front, DELETE, "news")
    assert (answer.code, answer.result) == (OK, None)
    assert await names(front) == ["sport"]
    assert await names(front, StatusList=[]) == ["sport"]
    assert await names(front, StatusList=[0]) == ["sport"]
    assert await names(front, StatusList=[1, 0, 1]) == ["sport", "news"]
    gone = {"Name": "news", "ProjectName": "tv", "Status": 1, "Tags": [TAG]}
    assert await listed(front, StatusList=[1]) == ([gone], 1)
    for action in (DELETE, CHANGE):
        assert (await call(front, action, "news")).code == NOT_FOUND
    assert (await front.call("CreatePullToPushTask", {**LIVE, "GroupName": "news"})).code == NOT_FOUND
    # Made anew it is one group, with what is said now.
    await new(front, "news", ProjectName="radio")
    assert await listed(front, StatusList=[0, 1], PageSize=1) == (
        [{"Name": "news", "ProjectName": "radio", "Status": 0, "Tags": []}],
        2,
    )


async def test_a_group_with_tasks_is_not_deleted(front: Front) -> None:
    await new(front, "news")
    id = await make(front, LIVE, GroupName="news", StartTime=0, EndTime=1)
    refused = await call(front, DELETE, "news")
    assert (refused.status, refused.code) == (400, INVALID)
    assert (await front.call("DeletePullToPushTask", {"TaskId": id})).code == OK
    assert (await call(front, DELETE, "news")).code == OK


async def test_the_main_accounts_first_task_makes_the_default_group(front: Front) -> None:
    assert await names(front) == []
    for _ in range(2):
        id = await make(front, LIVE)
        group = {"Name": "default", "ProjectName": "default", "Status": 0, "Tags": []}
        assert await listed(front, StatusList=[0, 1]) == ([group], 1)
        assert (await front.call("DeletePullToPushTask", {"TaskId": id})).code == OK
        assert (await call(front, DELETE, "default")).code == OK


@pytest.mark.parametrize("action", [CHANGE, DELETE])
async def test_a_group_that_is_not_the_callers_is_not_there(front: Front, action: str) -> None:
    await new(front, "news", Tags=[TAG])
    for name in ("news", "nosuch", "a b"):
        answer = await front.call(action, {"Name": name}, credentials=THEIRS)
        assert (answer.status, answer.code) == (404, NOT_FOUND)
    assert (await front.call(LIST, {"PageNum": 1, "PageSize": 1}, credentials=THEIRS)).result["Total"] == 0
    assert (await listed(front))[0][0]["Tags"] == [TAG]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"PageSize": 2}, ["g3", "g2"]),
        ({"PageSize": 2, "PageNum": 2}, ["g1"]),
        ({"PageSize": 2, "PageNum": 3}, []),
        ({"PageSize": 3}, ["g3", "g2", "g1"]),
        ({"PageSize": 1000, "PageNum": 1000}, []),
    ],
)
async def test_groups_come_page_by_page_the_latest_first(front: Front, given: dict[str, int], found: list[str]) -> None:
    for name in ("g1", "g2", "g3"):
        await new(front, name)
    groups, total = await listed(front, **given)
    assert [group["Name"] for group in groups] == found
    assert total == 3
