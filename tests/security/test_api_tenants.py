"""26. Another account's key: whatever it guesses, it sees and touches nothing."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from penstock.clouds.contract import Credentials
from penstock.clouds.kingsoft.streams import OPERATIONS
from penstock.domain import accounts
from penstock.storage.rows import AccessKey
from tests.api.kingsoft.front import THEIRS
from tests.api.kingsoft.kit import DAY, NOW
from tests.security.api import Fort, fort

VHOSTS = ["demo", "other", "Demo", "demo ", "*", "%", "demo,other", "push.demo.test"]
DOMAINS = ["push.demo.test", "push.other.test", "pull.demo.test", "*", "%"]
STREAMS = ["cam", "banned", "*", "%"]


@pytest.fixture
async def held() -> AsyncIterator[Fort]:
    async with fort() as held:
        yield held


def values_of(action: str, vhost: str, domain: str, stream: str) -> dict[str, Any]:
    guess: dict[str, Any] = {
        "UniqueName": vhost,
        "App": "live",
        "Pubdomain": domain,
        "Stream": stream,
        "StartUnixTime": NOW - DAY,
        "EndUnixTime": NOW + DAY,
    }
    known = {field.encode_name for field in msgspec.structs.fields(OPERATIONS[action])}
    return {name: value for name, value in guess.items() if name in known}


@pytest.mark.parametrize("action", OPERATIONS)
@pytest.mark.parametrize("is_sub_account", [False, True])
async def test_26_no_guess_shows_or_changes_anything_of_another_account(
    held: Fort, action: str, is_sub_account: bool
) -> None:
    credentials = THEIRS
    if is_sub_account:
        await accounts.add_key(
            held.front.live, AccessKey(access_key="AKsub", secret_key="s", account="2", sub_account=True)
        )
        credentials = Credentials("AKsub", "s")
    for vhost, domain, stream in itertools.product(VHOSTS, DOMAINS, STREAMS):
        values = values_of(action, vhost, domain, stream)
        answer = await held.front.call(action, values, credentials=credentials)
        if answer.code == "0":
            assert vhost == "other"
            assert not answer.data.get("Count", answer.data.get("Total", answer.data.get("CheckResult", 0)))
    live = held.front.live
    assert [ban.stream.stream for ban in live.bans.in_force(live.clock.now()) if ban.stream.vhost == "demo"] == [
        "banned"
    ]
    assert [session.lease.stream.vhost for session in live.sessions.on_air()] == ["demo"]


async def test_26_a_playback_domains_id_is_no_way_in(held: Fort) -> None:
    for number in range(1, 20):
        values = {"UniqueName": "other", "App": "live", "DomainIds": str(number)}
        answer = await held.front.call("ListRealtimeStreamsInfo", values, credentials=THEIRS)
        assert answer.code == "4201"


async def test_26_what_is_not_there_and_what_is_not_ones_own_look_alike(held: Fort) -> None:
    for action in OPERATIONS:
        said = [
            await held.front.call(action, values_of(action, vhost, "push.demo.test", "cam"), credentials=THEIRS)
            for vhost in ("demo", "nosuch")
        ]
        assert {answer.code for answer in said} == {"6406"}
        assert said[0].message == said[1].message
