"""Every operation of the contract has its handler, which answers what was recorded of it in kind."""

from __future__ import annotations

import pytest

from penstock.api.kingsoft.handlers import HANDLERS
from penstock.clouds.kingsoft import wire
from penstock.domain import accounts
from penstock.storage.rows import AccessKey, Vhost
from tests.api.kingsoft.front import Front, read
from tests.clouds.kingsoft.recorded import CREDENTIALS, SENT, Exchange, Sent


def test_there_is_a_handler_for_each_operation_and_no_other() -> None:
    assert list(HANDLERS) == list(wire.OPERATIONS.values())


@pytest.mark.parametrize(
    ("exchange", "sent"), SENT, ids=lambda value: getattr(value, "by", getattr(value, "action", ""))
)
async def test_a_recorded_request_of_an_official_sdk_is_understood(
    front: Front, exchange: Exchange, sent: Sent
) -> None:
    """Its signature is of its own day, so only the form is the recorded one; times would be long past."""
    key = AccessKey(access_key=CREDENTIALS.access_key, secret_key=CREDENTIALS.secret_key, account="1")
    await accounts.add_key(front.live, key)
    members = exchange.members
    vhost = Vhost(name=members.get("unique_name", "acme"), account="1", apps=(members.get("app", "live"),))
    pushes = [members["pubdomain"]] if "pubdomain" in members else []
    await accounts.add_vhost(front.live, vhost, push_domains=pushes, pull_domains=[])
    front.clock.step_wall(sent.at - front.clock.now())
    answer = read(await front.gateway.answer(sent.request, "127.0.0.1"))
    ((caller, operation),) = front.acted
    assert (caller.account, type(operation)) == ("1", wire.OPERATIONS[exchange.action])
    assert {name: getattr(operation, name) for name in members} == members
    # What the state of things can refuse: it is another day, nobody publishes, and here a name has no blanks.
    assert answer.status == 200
    assert answer.code in ("0", "1004", "4001", "4201", "6405", "6703", "8201", "8502")
