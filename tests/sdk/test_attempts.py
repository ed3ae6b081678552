"""Retries, pauses and deadlines: by a clock that is turned, over a transport that fails as planned."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from msgspec import structs

from penstock.clouds.contract import Effect
from penstock.clouds.kingsoft import streams
from penstock.errors import (
    ApiError,
    ConfigError,
    InvalidField,
    LimitExceeded,
    NotOnAir,
    PenstockError,
    TransportError,
    Unavailable,
)
from penstock.sdk import attempts
from tests.sdk.cloud import CLIENTS, STREAM, Cloud, client, done, limited

REFUSED = httpx2.ConnectError("refused")
RESET = httpx2.ReadError("reset")
SILENT = httpx2.ReadTimeout("silent")
BROKEN = httpx2.RemoteProtocolError("hung up")


def fault(status: int, code: str = "") -> httpx2.Response:
    return httpx2.Response(status, json={"RequestId": "r", "Error": {"Code": code, "Message": "m"}} if code else None)


@pytest.fixture
def creating(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a ban something that must not be said twice."""
    about = structs.replace(streams.ForbidStream.about, effect=Effect.CREATES)
    monkeypatch.setattr(streams.ForbidStream, "about", about)


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize(
    "first",
    [
        lambda: REFUSED,
        lambda: RESET,
        lambda: SILENT,
        lambda: BROKEN,
        limited,
        lambda: httpx2.Response(429),
        lambda: fault(500, "ServiceUnavailable"),
        lambda: fault(400, "UnknownError"),
        lambda: httpx2.Response(502, text="<html>Bad gateway</html>"),
        lambda: httpx2.Response(200, json={"Data": {"RetCode": 9016, "RetMsg": "Over the speed limit"}}),
    ],
)
async def test_what_may_pass_is_tried_again(kind: Any, first: Any, cloud: Cloud) -> None:
    cloud.first = [first(), first()]
    pauses: list[float] = []
    await done(client(kind, cloud, pauses=pauses).forbid_stream(**STREAM))
    assert len(cloud.requests) == 3
    assert 0 <= pauses[0] <= 0.2
    assert 0 <= pauses[1] <= 0.4
    assert cloud.bans


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize(
    ("first", "error"),
    [
        (lambda: fault(400, "InvalidParameterValue"), InvalidField),
        (lambda: httpx2.Response(200, json={"Data": {"RetCode": 8502, "RetMsg": "no"}}), NotOnAir),
        (lambda: httpx2.Response(404, text="gone"), ApiError),
        (lambda: httpx2.LocalProtocolError("ours"), TransportError),
        (lambda: httpx2.UnsupportedProtocol("ours"), TransportError),
    ],
)
async def test_what_will_not_pass_is_not(kind: Any, first: Any, error: type[PenstockError], cloud: Cloud) -> None:
    cloud.first = [first()]
    with pytest.raises(error):
        await done(client(kind, cloud).forbid_stream(**STREAM))
    assert len(cloud.requests) == 1


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.usefixtures("creating")
@pytest.mark.parametrize(
    ("first", "error"),
    [
        (lambda: RESET, TransportError),
        (lambda: SILENT, TransportError),
        (limited, LimitExceeded),
        (lambda: fault(500, "ServiceUnavailable"), Unavailable),
    ],
)
async def test_what_creates_is_said_once(kind: Any, first: Any, error: type[PenstockError], cloud: Cloud) -> None:
    cloud.first = [first()]
    with pytest.raises(error):
        await done(client(kind, cloud).forbid_stream(**STREAM))
    assert len(cloud.requests) == 1


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.usefixtures("creating")
@pytest.mark.parametrize("first", [REFUSED, httpx2.ConnectTimeout("slow"), httpx2.PoolTimeout("busy")])
async def test_unless_nobody_can_have_heard_it(kind: Any, first: Exception, cloud: Cloud) -> None:
    cloud.first = [first]
    await done(client(kind, cloud).forbid_stream(**STREAM))
    assert len(cloud.requests) == 2


@pytest.mark.parametrize("kind", CLIENTS)
async def test_at_last_the_error_tells_cloud_place_attempts_and_cause(kind: Any, cloud: Cloud) -> None:
    cloud.first = [RESET, SILENT, REFUSED]
    with pytest.raises(TransportError) as caught:
        await done(client(kind, cloud, retries=2).check_blacklist(**STREAM))
    assert str(caught.value) == (
        "kingsoft CheckBlacklist: no answer from https://kls.api.ksyun.com in 3 attempts: "
        "ConnectError: refused; nothing was sent"
    )
    assert caught.value.__cause__ is REFUSED


@pytest.mark.parametrize("kind", CLIENTS)
async def test_one_call_may_have_options_of_its_own(kind: Any, cloud: Cloud) -> None:
    cloud.first = [RESET]
    kls = client(kind, cloud)
    with pytest.raises(TransportError):
        await done(kls.check_blacklist(**STREAM, retries=0))
    await done(kls.check_blacklist(**STREAM, connect_timeout_s=1, read_timeout_s=2, timeout_s=3))
    times = {"connect": 1, "read": 2, "write": 2, "pool": 3}
    assert cloud.requests[-1].extensions["timeout"] == pytest.approx(times)
    await done(kls.check_blacklist(**STREAM))
    assert cloud.requests[-1].extensions["timeout"]["read"] == 30


@pytest.mark.parametrize("kind", CLIENTS)
async def test_pauses_grow_and_have_an_end(kind: Any, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts.Attempts.__init__, "__kwdefaults__", {"dice": lambda: 1.0})
    cloud.first = [RESET] * 8
    pauses: list[float] = []
    await done(client(kind, cloud, pauses=pauses, retries=8, timeout_s=100).check_blacklist(**STREAM))
    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 8.0, 8.0]


@pytest.mark.parametrize("kind", CLIENTS)
async def test_one_deadline_holds_for_all_attempts(kind: Any, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts.Attempts.__init__, "__kwdefaults__", {"dice": lambda: 1.0})
    cloud.first = [RESET] * 9
    pauses: list[float] = []
    start_s = cloud.clock.monotonic()
    with pytest.raises(TransportError, match="in 3 attempts"):
        await done(client(kind, cloud, pauses=pauses, retries=9, timeout_s=1).check_blacklist(**STREAM))
    assert pauses == [0.2, 0.4]  # 0.8 more would be too late
    assert cloud.clock.monotonic() - start_s < 1
    assert cloud.requests[-1].extensions["timeout"]["read"] == pytest.approx(0.4)


@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_cloud_that_says_when_is_heard(kind: Any, cloud: Cloud) -> None:
    cloud.first = [httpx2.Response(429, headers={"Retry-After": "7"})]
    pauses: list[float] = []
    await done(client(kind, cloud, pauses=pauses).check_blacklist(**STREAM))
    assert pauses == [7]


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize("after", ["9999999", "9" * 400])
async def test_a_cloud_that_says_never_is_not_waited_for(kind: Any, after: str, cloud: Cloud) -> None:
    cloud.first = [httpx2.Response(429, headers={"Retry-After": after})] * 4
    with pytest.raises(LimitExceeded):
        await done(client(kind, cloud).check_blacklist(**STREAM))
    assert cloud.clock.monotonic() < 1010


@pytest.mark.parametrize("kind", CLIENTS)
async def test_every_attempt_is_signed_anew(kind: Any, cloud: Cloud) -> None:
    cloud.first = [httpx2.Response(503, headers={"Retry-After": "20"})]
    await done(client(kind, cloud).check_blacklist(**STREAM))
    assert [each.headers["X-Amz-Date"] for each in cloud.requests] == ["20260301T120000Z", "20260301T120020Z"]


@pytest.mark.parametrize("kind", CLIENTS)
async def test_an_unknown_option_is_a_mistake(kind: Any, cloud: Cloud) -> None:
    with pytest.raises(TypeError, match="'timeout' is no option of a call; it must be one of connect_timeout_s"):
        await done(client(kind, cloud).check_blacklist(**STREAM, timeout=3))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"timeout_s": 0}, "timeout_s is 0; it must be a number of seconds above 0"),
        ({"read_timeout_s": float("nan")}, "read_timeout_s is nan"),
        ({"connect_timeout_s": None}, "connect_timeout_s is None"),
        ({"retries": -1}, "retries is -1; it must be an integer from 0 to 20"),
        ({"max_connections": 0}, "max_connections is 0; it must be at least 1"),
        ({"endpoint": "127.0.0.1:8080"}, "it must be an http or https URL"),
        ({"endpoint": "http://h/?a=b"}, "an endpoint is scheme, host, port and path"),
    ],
)
def test_a_setting_that_cannot_be_used_is_told_at_once(given: dict[str, Any], text: str, cloud: Cloud) -> None:
    with pytest.raises(ConfigError, match=text.replace("(", r"\(")):
        client(CLIENTS[0], cloud, **given)
