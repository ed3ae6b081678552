"""Waiters: until a stream is on air, and until it is not."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from penstock.errors import CallError, ConfigError, TransportError, UnknownVhost, WaitTimeout
from tests.sdk.cloud import CLIENTS, Cloud, client, done, limited

STREAM = {"unique_name": "demo", "app": "live", "stream": "s1"}
GONE = {"Data": {"RetCode": 8502, "RetMsg": "stream is not exist"}}


@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_stream_that_comes_is_returned_with_its_facts(kind: Any, cloud: Cloud) -> None:
    cloud.on_air = {"s10"}
    cloud.clock.later(5, lambda: cloud.on_air.add("s1"))
    pauses: list[float] = []
    found = await done(client(kind, cloud, pauses=pauses).wait_live(**STREAM))
    assert found.stream == "s1"
    assert pauses == [2, 2, 2]


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize("first", [lambda: httpx2.Response(200, json=GONE), limited])
async def test_a_stream_that_is_unknown_or_not_told_is_waited_for(kind: Any, first: Any, cloud: Cloud) -> None:
    cloud.on_air = {"s1"}
    cloud.first = [first()]
    assert (await done(client(kind, cloud, retries=0).wait_live(**STREAM))).stream == "s1"


@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_stream_that_goes_ends_the_wait(kind: Any, cloud: Cloud) -> None:
    cloud.on_air = {"s1", "s2"}
    cloud.clock.later(1, lambda: cloud.on_air.discard("s1"))
    pauses: list[float] = []
    await done(client(kind, cloud, pauses=pauses).wait_silent(**STREAM, poll_s=0.75))
    assert pauses == [0.75, 0.75]


@pytest.mark.parametrize("kind", CLIENTS)
async def test_silence_is_not_taken_from_a_cloud_that_is_busy(kind: Any, cloud: Cloud) -> None:
    cloud.on_air = {"s1"}
    cloud.first = [limited()]
    with pytest.raises(WaitTimeout, match="live/s1 was not silent within 3 s") as caught:
        await done(client(kind, cloud, retries=0).wait_silent(**STREAM, timeout_s=3))
    assert isinstance(caught.value, CallError | TimeoutError)


@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_wait_ends_in_time(kind: Any, cloud: Cloud) -> None:
    pauses: list[float] = []
    with pytest.raises(WaitTimeout, match="live/s1 was not live within 5 s"):
        await done(client(kind, cloud, pauses=pauses).wait_live(**STREAM, timeout_s=5))
    assert pauses == [2, 2, 1]


@pytest.mark.parametrize("kind", CLIENTS)
async def test_the_last_look_has_time_for_an_answer(kind: Any, cloud: Cloud) -> None:
    kls = client(kind, cloud)
    with pytest.raises(WaitTimeout):
        await done(kls.wait_live(**STREAM, timeout_s=3))
    left = [each.extensions["timeout"]["pool"] for each in cloud.requests]
    assert left == [3, 1, 1]  # seconds: all of it, what is left, and what the last one gets


@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_call_that_the_end_of_the_wait_cuts_short_is_a_wait_that_ended(kind: Any, cloud: Cloud) -> None:
    cloud.first = [httpx2.ReadTimeout("silent")]
    cloud.clock.later(1, lambda: cloud.on_air.add("s1"))
    kls = client(kind, cloud, retries=0)
    with pytest.raises(TransportError, match="ReadTimeout"):  # there was time for more
        await done(kls.wait_live(**STREAM, timeout_s=3))
    cloud.on_air.clear()
    silent = httpx2.MockTransport(lambda _: never(cloud))
    with pytest.raises(WaitTimeout, match=r"was not live within 3 s; the last look: .*ReadTimeout: silent"):
        await done(client(kind, cloud, retries=0, transport=silent).wait_live(**STREAM, timeout_s=3))


def never(cloud: Cloud) -> httpx2.Response:
    cloud.clock.spend(5)
    raise httpx2.ReadTimeout("silent")


@pytest.mark.parametrize("kind", CLIENTS)
async def test_another_fault_ends_a_wait_at_once(kind: Any, cloud: Cloud) -> None:
    with pytest.raises(UnknownVhost):
        await done(client(kind, cloud).wait_live(**{**STREAM, "unique_name": "theirs"}))
    with pytest.raises(ConfigError, match="poll_s 0; both must be above 0"):
        await done(client(kind, cloud).wait_live(**STREAM, poll_s=0))
