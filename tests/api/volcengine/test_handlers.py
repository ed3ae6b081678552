"""The operations on streams have their handlers, which answer what was recorded of them in kind."""

from __future__ import annotations

import pytest

from penstock.api.volcengine.handlers import HANDLERS
from penstock.clouds.volcengine import streams, wire
from penstock.domain import accounts
from penstock.storage.rows import AccessKey, Vhost
from tests.api.volcengine.front import OK, Front, read
from tests.clouds.volcengine.recorded import CREDENTIALS, SENT, Exchange, Sent

STREAMS = [pair for pair in SENT if pair[0].action in {each.about.action for each in streams.STREAMS}]


def test_there_is_a_handler_for_each_operation_on_streams_and_none_that_is_unknown() -> None:
    assert list(HANDLERS)[: len(streams.STREAMS)] == list(streams.STREAMS)
    assert set(HANDLERS) <= set(wire.OPERATIONS.values())


@pytest.mark.parametrize(("exchange", "sent"), STREAMS, ids=[each.action for each, _ in STREAMS])
async def test_a_recorded_request_of_the_official_sdk_is_understood(
    front: Front, exchange: Exchange, sent: Sent
) -> None:
    """Its signature is of its own day, so only the form is the recorded one."""
    key = AccessKey(access_key=CREDENTIALS.access_key, secret_key=CREDENTIALS.secret_key, account="1")
    await accounts.add_key(front.live, key)
    vhost = Vhost(name="push.example.com", account="1", apps=("live",))
    await accounts.add_vhost(front.live, vhost, push_domains=["push.example.com"], pull_domains=[])
    front.clock.step_wall(sent.at - front.clock.now())
    answer = read(await front.gateway.answer(sent.request, "127.0.0.1"))
    ((caller, operation),) = front.acted
    assert (caller.account, type(operation)) == ("1", wire.OPERATIONS[exchange.action])
    # What the state of things can refuse: nobody publishes, and nothing is banned.
    assert answer.code in (OK, "ResourceNotFound")
    assert answer.action == exchange.action
