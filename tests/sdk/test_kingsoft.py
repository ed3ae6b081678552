"""Every operation of KLS, by both clients, against the server's half of the wire."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

from penstock.clouds.contract import Credentials, Operation
from penstock.clouds.kingsoft import streams, wire
from penstock.errors import ApiError, BadSignature, InvalidField, MissingField, NotBanned, UnknownKey, UnknownVhost
from tests.sdk.cloud import CLIENTS, KEYS, STREAM, WHERE, Cloud, client, done, members_for
from tools.clients import snake, written

OPERATIONS = list(wire.OPERATIONS.values())


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.about.action)
async def test_every_operation_arrives_as_it_was_asked_and_comes_back_as_it_was_answered(
    operation: type[Operation[Any]], kind: Any, cloud: Cloud
) -> None:
    members = members_for(operation)
    if operation is streams.ResumeStream:
        cloud.bans[members["pubdomain"], members["stream"]] = 1
    kls = client(kind, cloud)
    result = await done(getattr(kls, snake(operation.about.action))(**members))
    assert cloud.asked == [operation.make(**members)]
    assert [result] == cloud.answered
    assert result.request_id == "id-1"
    assert result.raw["RequestId"] == "id-1"


@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_ban_is_seen_and_lifted(kind: Any, cloud: Cloud) -> None:
    kls = client(kind, cloud)
    await done(kls.forbid_stream(**STREAM, forbid_till_unix_time=-1))
    assert (await done(kls.check_blacklist(**STREAM))).check_result == 1
    await done(kls.resume_stream(**STREAM))
    assert (await done(kls.check_blacklist(**STREAM))).check_result == 0
    with pytest.raises(NotBanned) as caught:
        await done(kls.resume_stream(**STREAM))
    error = caught.value
    assert isinstance(error, ApiError)
    assert (error.cloud, error.code, error.request_id, error.status) == ("kingsoft", "8201", "id-5", 200)


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({**STREAM, "stream": ""}, InvalidField, "stream is ''; it must be text, not empty"),
        ({**STREAM, "forbid_till_unix_time": "soon"}, InvalidField, "forbid_till_unix_time is 'soon'"),
        ({**STREAM, "app": None}, InvalidField, "app is None"),
    ],
)
async def test_a_request_is_checked_before_it_is_sent(
    kind: Any, given: dict[str, Any], error: type[Exception], text: str, cloud: Cloud
) -> None:
    with pytest.raises(error, match=text):
        await done(client(kind, cloud).forbid_stream(**given))
    assert cloud.requests == []


def test_what_is_missing_is_told_by_python_itself(cloud: Cloud) -> None:
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'stream'"):
        client(CLIENTS[0], cloud).forbid_stream(**WHERE)
    with pytest.raises(MissingField):
        client(CLIENTS[0], cloud).list_realtime_pub_streams_info.pages(unique_name="demo", app="live")


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize(
    ("keys", "error", "code"),
    [
        (Credentials("AKnobody", "x"), UnknownKey, "InvalidAccesskey"),
        (Credentials(KEYS.access_key, "another"), BadSignature, "SignatureNotMatch"),
        (Credentials(KEYS.access_key, KEYS.secret_key, "token"), BadSignature, "SignatureNotMatch"),
    ],
)
async def test_wrong_keys_have_their_own_errors(
    kind: Any, keys: Credentials, error: type[Exception], code: str, cloud: Cloud
) -> None:
    with pytest.raises(error) as caught:
        await done(client(kind, cloud, keys).check_blacklist(**STREAM))
    assert isinstance(caught.value, ApiError)
    assert caught.value.code == code
    assert len(cloud.requests) == 1


async def test_temporary_keys_travel_with_their_token() -> None:
    keys = Credentials("AKtmp", "secret", "tok/+=")
    cloud = Cloud(keys)
    assert client(CLIENTS[0], cloud, keys).check_blacklist(**STREAM).check_result == 0


@pytest.mark.parametrize("kind", CLIENTS)
async def test_two_clients_do_not_touch_each_other(kind: Any) -> None:
    ours, theirs = Credentials("AKours", "one"), Credentials("AKtheirs", "two")
    here, there = Cloud(ours), Cloud(theirs)
    there.vhost = "other"
    one = client(kind, here, ours, endpoint="http://127.0.0.1:8080")
    two = client(kind, there, theirs)
    await done(one.forbid_stream(**STREAM))
    with pytest.raises(UnknownVhost):
        await done(two.forbid_stream(**STREAM))
    await done(two.forbid_stream(**{**STREAM, "unique_name": "other", "stream": "s2"}))
    assert ([*here.bans], [*there.bans]) == ([("push.demo.test", "s1")], [("push.demo.test", "s2")])
    assert {str(each.url.copy_with(query=None)) for each in here.requests} == {"http://127.0.0.1:8080/"}
    assert {str(each.url.copy_with(query=None)) for each in there.requests} == {"https://kls.api.ksyun.com/"}
    assert {each.headers["Host"] for each in there.requests} == {"kls.api.ksyun.com"}
    assert all("AKours" in each.headers["Authorization"] for each in here.requests)
    assert all("AKtheirs" in each.headers["Authorization"] for each in there.requests)


async def test_many_calls_of_one_async_client_go_on_at_once(cloud: Cloud) -> None:
    waiting, most = 0, 0
    gate = asyncio.Event()

    async def handle(request: Any) -> Any:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        if waiting == 50:
            gate.set()
        await gate.wait()
        return cloud._handle(request)

    import httpx2

    kls = client(CLIENTS[1], cloud, transport=httpx2.MockTransport(handle))
    names = [f"s{number}" for number in range(50)]
    cloud.bans = {("push.demo.test", name): 1 for name in names[::2]}
    results = await asyncio.gather(*(kls.check_blacklist(**WHERE, stream=name) for name in names))
    assert [each.check_result for each in results] == [1, 0] * 25
    assert most == 50


def test_methods_are_those_of_the_contract() -> None:
    for path, text in written():
        assert path.read_text(encoding="utf-8") == text, "run `python -m tools.clients`"


@pytest.mark.parametrize("kind", CLIENTS)
def test_every_method_says_what_it_does(kind: Any) -> None:
    for action in wire.OPERATIONS:
        method = getattr(kind, snake(action))
        assert inspect.getdoc(method), action


@pytest.mark.parametrize(
    ("action", "name"),
    [
        ("ForbidStream", "forbid_stream"),
        ("ListPullToPushTask", "list_pull_to_push_task"),
        ("GetHLSConfig", "get_hls_config"),
        ("startForwardTask", "start_forward_task"),
    ],
)
def test_names_are_snake_case_of_the_wires(action: str, name: str) -> None:
    assert snake(action) == name
