"""15, 26. Relay tasks, groups and what comes of them: whose they are, in every dialect and on every way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
import pytest

from penstock.clouds.contract import Credentials
from penstock.clouds.kingsoft import signing as kingsoft
from penstock.clouds.volcengine import wire
from penstock.domain import accounts
from penstock.domain.relays import tasks
from penstock.domain.relays.orders import order_of
from penstock.link.relaying import RelayOrder, RelayState, RelayTold, StartRelay
from penstock.storage.relay_rows import GroupQuery, NoticeQuery, RelayQuery
from penstock.storage.rows import AccessKey
from tests.api.volcengine.front import MINE, THEIRS, Front, opened_front, signed, unsigned
from tests.clock import START
from tests.domain.relays.kit import ME, STRANGER, wish
from tests.servers.house import House, until

NOW: Final = int(START.timestamp())
TASK: Final = {
    "Type": 0,
    "SrcAddr": "rtmp://source.test/live/a?key=a-secret",
    "DstAddr": "rtmp://target.test/live/b?key=a-secret",
    "StartTime": NOW,
    "EndTime": NOW + 3600,
    "GroupName": "mine",
    "CallbackURL": "http://receiver.test/hook",
}
RELAYS: Final = [action for action in wire.OPERATIONS if "PullToPush" in action]


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    async with opened_front() as front:
        yield front


async def made(front: Front) -> str:
    """A task of the first account's, in a group of its own."""
    assert (await front.call("CreatePullToPushGroup", {"Name": "mine", "ProjectName": "secret-project"})).code == ""
    answer = await front.call("CreatePullToPushTask", TASK)
    assert answer.code == ""
    return str(answer.result["TaskId"])


def values_of(action: str, task: str, group: str) -> dict[str, Any]:
    """What a guess says, as far as the operation has a place for it."""
    guess: dict[str, Any] = {
        **TASK,
        "TaskId": task,
        "GroupName": group,
        "Name": group,
        "ProjectName": "p",
        "Page": 1,
        "Size": 100,
    }
    return {
        field.encode_name: guess[field.encode_name]
        for field in msgspec.structs.fields(wire.OPERATIONS[action])
        if field.encode_name in guess
    }


async def all_of(front: Front, account: str) -> tuple[Any, ...]:
    store = front.live.store
    return (
        (await store.relays(RelayQuery(account=account))).rows,
        (await store.relay_groups(GroupQuery(account=account, deleted=True))).rows,
        (await store.notices(NoticeQuery(account=account))).rows,
    )


@pytest.mark.parametrize("is_sub_account", [False, True])
async def test_26_no_guess_shows_or_changes_a_relay_or_a_group_of_another_account(
    front: Front, is_sub_account: bool
) -> None:
    task = await made(front)
    credentials = THEIRS
    if is_sub_account:
        key = AccessKey(access_key="AKsub", secret_key="s", account="2", sub_account=True)
        await accounts.add_key(front.live, key)
        credentials = Credentials("AKsub", "s")
    before = await all_of(front, "1")
    for action in RELAYS:
        for group in ("mine", "default", "*", "%"):
            answer = await front.call(action, values_of(action, task, group), credentials=credentials)
            assert task not in str(answer.result)
            assert "secret-project" not in str(answer.result)
            if "TaskId" in values_of(action, task, group):
                assert answer.code == "ResourceNotFound.Task" or answer.status == 404, (action, answer)
    assert await all_of(front, "1") == before
    listed = await front.call("ListPullToPushTask", {"Page": 1, "Size": 100, "GroupName": "mine"}, credentials=THEIRS)
    assert all(each["TaskId"] != task for each in listed.result["List"])


async def test_26_a_task_that_is_not_there_and_one_that_is_anothers_look_alike(front: Front) -> None:
    task = await made(front)
    for action in RELAYS:
        if "TaskId" not in values_of(action, task, "mine"):
            continue
        said = [
            await front.call(action, values_of(action, guess, "mine"), credentials=THEIRS) for guess in (task, "0" * 32)
        ]
        assert said[0].code == said[1].code != ""
        assert said[0].message.replace(task, "?") == said[1].message.replace("0" * 32, "?")


async def test_26_ids_of_tasks_cannot_be_guessed_one_from_the_other(front: Front) -> None:
    ids = [(await tasks.create(front.live, ME, wish())).id for _ in range(20)]
    assert len({id[:8] for id in ids}) == 20
    assert all(len(bytes.fromhex(id)) == 16 for id in ids)


# An own domain is a way to our own door; another account's is none


async def test_26_anothers_domain_is_as_far_away_as_any_host(front: Front) -> None:
    urls = ("rtmp://push.demo.test/live/cam", "rtmp://PUSH.DEMO.TEST.:1935/live/cam?vhost=other")
    for caller, is_own in ((ME, True), (STRANGER, False)):
        for url in urls:
            made = await tasks.create(front.live, caller, wish(target=url))
            order = order_of(front.live, made)
            assert (order.target_is_own, order.source_is_own) == (is_own, False)


@pytest.mark.parametrize("is_own", [True, False])
async def test_26_only_the_owner_of_a_domain_gets_to_our_own_door_by_it(is_own: bool, tmp_path: Any) -> None:
    house = await House.open(tmp_path)
    relays, told = house.engine.relaying.relays, list[RelayTold]()
    relays.tell = told.append
    port = house.rtmp.port
    relays.obey(
        StartRelay(
            RelayOrder(
                "a" * 32,
                "rtmp://target.test/live/b",
                f"rtmp://push.demo.test:{port}/live/nobody",
                source_is_own=is_own,
            )
        )
    )
    await until(lambda: bool(told) and told[-1].state is RelayState.WAITING)
    # Either our own RTMP door answered that nobody publishes that, or the name was asked for, which is nowhere.
    assert ("StreamNotFound" in told[-1].error) == is_own
    assert ("resolve" in told[-1].error) == (not is_own)
    await house.close()


# 15. One key, two dialects


async def test_15_one_key_is_good_in_both_dialects_and_its_signatures_in_one(front: Front) -> None:
    request = unsigned("ListPullToPushTask", {"Page": 1, "Size": 1}, method="POST")
    assert (await front.send(signed(request))).code == ""
    # Kingsoft's way of signing, over Volcengine's request, under Volcengine's name, with the same key.
    theirs = kingsoft.sign(request, MINE, START)
    line = theirs.headers.get("Authorization")
    for scope in ("20260301/cn-north-1/live/request", "20260301/cn-beijing-6/kls/aws4_request"):
        text = line.replace(kingsoft.ALGORITHM, "HMAC-SHA256").replace("20260301/cn-beijing-6/kls/aws4_request", scope)
        text = text.replace("x-amz-date", "x-date")
        answer = await front.send(
            unsigned(
                "ListPullToPushTask",
                {"Page": 1, "Size": 1},
                method="POST",
                headers=(("X-Date", "20260301T120000Z"), ("Authorization", text)),
            )
        )
        assert answer.code != ""
    assert len(front.acted) == 1
