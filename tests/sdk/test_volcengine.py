"""Every operation of Volcengine Live, by both clients, against the server's half of the wire."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from penstock import errors
from penstock.clouds.contract import Credentials, Effect, Operation
from penstock.clouds.volcengine import relays, streams, wire
from penstock.errors import (
    ApiError,
    BadSignature,
    InvalidField,
    LimitExceeded,
    MissingField,
    NotBanned,
    NotOnAir,
    PenstockError,
    TransportError,
    Unavailable,
    UnknownKey,
    WaitTimeout,
    WrongFormat,
)
from penstock.sdk.kingsoft import Kingsoft
from penstock.sdk.volcengine import Volcengine
from tests.sdk.cloud import done, listed
from tests.sdk.volcengine_cloud import CLIENTS, KEYS, RECORDED, Cloud, client
from tools.clients import snake

STREAM: Final = {"vhost": "demo", "app": "live", "stream": "s1"}
by_kind = pytest.mark.parametrize("kind", CLIENTS)


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


# Calls


@by_kind
@pytest.mark.parametrize("operation", wire.OPERATIONS.values(), ids=wire.OPERATIONS.keys())
async def test_every_operation_arrives_as_it_was_asked_and_comes_back_as_it_was_answered(
    operation: type[Operation[Any]], kind: Any, cloud: Cloud
) -> None:
    cloud.on_air, cloud.rows = {"news.1"}, 1001
    members = RECORDED[operation.about.action].members
    result = await done(getattr(client(kind, cloud), snake(operation.about.action))(**members))
    assert cloud.asked == [operation.make(**members)]
    assert [result] == cloud.answered
    assert result.request_id == "id-1"
    assert result.raw["ResponseMetadata"]["Action"] == operation.about.action


@by_kind
async def test_objects_may_be_given_as_what_they_are(kind: Any, cloud: Cloud) -> None:
    files = [relays.VodSource(src_addr="https://files.example.com/a.mp4", start_offset=1.5)]
    made = await done(
        client(kind, cloud).create_pull_to_push_task(
            type=1, start_time=1, end_time=2, vod_src_addrs=files, cycle_mode=-1, dst_addr="rtmp://a.test/live/b"
        )
    )
    assert made.task_id
    (sent,) = cloud.requests
    assert json.loads(sent.content)["VodSrcAddrs"] == [
        {"SrcAddr": "https://files.example.com/a.mp4", "StartOffset": 1.5}
    ]


@by_kind
@pytest.mark.parametrize(
    ("method", "given", "error", "text"),
    [
        ("forbid_stream", {**STREAM, "stream": "a b"}, WrongFormat, "stream is 'a b'"),
        ("forbid_stream", {**STREAM, "vhost": ""}, MissingField, "Vhost is missing"),
        ("forbid_stream", {**STREAM, "domain": "d"}, InvalidField, "Domain is 'd'; it must be absent"),
        ("describe_live_stream_info_by_page", {"page_num": 0, "page_size": 1}, InvalidField, "page_num is 0"),
        ("list_pull_to_push_task", {"size": 501}, InvalidField, "size is 501"),
    ],
)
async def test_a_request_is_checked_before_it_is_sent(
    kind: Any, method: str, given: dict[str, Any], error: type[Exception], text: str, cloud: Cloud
) -> None:
    with pytest.raises(error, match=text):
        await done(getattr(client(kind, cloud), method)(**given))
    assert cloud.requests == []


@by_kind
@pytest.mark.parametrize(
    ("method", "stream", "error"), [("resume_stream", "free", NotBanned), ("kill_stream", "gone", NotOnAir)]
)
async def test_a_refusal_is_an_error_by_kind(
    kind: Any, method: str, stream: str, error: type[PenstockError], cloud: Cloud
) -> None:
    with pytest.raises(error) as caught:
        await done(getattr(client(kind, cloud), method)(**{**STREAM, "stream": stream}))
    assert isinstance(caught.value, ApiError)
    assert isinstance(caught.value, errors.NotFound)
    found = (caught.value.cloud, caught.value.code, caught.value.request_id, caught.value.status)
    assert found == ("volcengine", "ResourceNotFound", "id-1", 404)


def common_error(code: str = "CommonErr") -> httpx2.Response:
    said = {"ResponseMetadata": {"RequestId": "r", "Error": {"Code": code, "Message": "try again"}}}
    return httpx2.Response(200, json=said)


@by_kind
async def test_an_error_inside_of_200_is_an_error(kind: Any, cloud: Cloud) -> None:
    cloud.refusals = [common_error("RequestForbidden")]
    with pytest.raises(errors.UnknownVhost, match="try again") as caught:
        await done(client(kind, cloud).kill_stream(**STREAM))
    assert isinstance(caught.value, ApiError)
    assert caught.value.status == 200


@by_kind
@pytest.mark.parametrize("first", [common_error, lambda: LimitExceeded("slow"), lambda: Unavailable("down")])
async def test_what_may_pass_is_tried_again_where_that_is_safe(kind: Any, first: Any, cloud: Cloud) -> None:
    cloud.refusals = [first()]
    await done(client(kind, cloud).kill_stream(**STREAM))
    assert len(cloud.requests) == 2
    create = wire.OPERATIONS["CreatePullToPushTask"]
    assert create.about.effect is Effect.CREATES
    cloud.refusals = [first()]
    with pytest.raises(ApiError):
        await done(client(kind, cloud).create_pull_to_push_task(**RECORDED["CreatePullToPushTask"].members))
    assert len(cloud.requests) == 3


@by_kind
@pytest.mark.parametrize(
    ("keys", "error", "code"),
    [
        (Credentials("AKnobody", "x"), UnknownKey, "InvalidAccessKey"),
        (Credentials(KEYS.access_key, "another"), BadSignature, "SignatureDoesNotMatch"),
        (Credentials(KEYS.access_key, KEYS.secret_key, "token"), BadSignature, "SignatureDoesNotMatch"),
    ],
)
async def test_wrong_keys_have_their_own_errors(
    kind: Any, keys: Credentials, error: type[Exception], code: str, cloud: Cloud
) -> None:
    with pytest.raises(error) as caught:
        await done(client(kind, cloud, keys).kill_stream(**STREAM))
    assert isinstance(caught.value, ApiError)
    assert (caught.value.code, len(cloud.requests)) == (code, 1)


async def test_temporary_keys_travel_with_their_token() -> None:
    keys = Credentials("AKtmp", "secret", "tok/+=")
    cloud = Cloud(keys)
    client(Volcengine, cloud, keys).kill_stream(**STREAM)
    assert cloud.requests[0].headers["X-Security-Token"] == "tok/+="


# Pages


@by_kind
@pytest.mark.parametrize(("total", "calls"), [(0, 1), (1, 1), (2, 2), (5, 3)])
async def test_every_row_comes_once(kind: Any, total: int, calls: int, cloud: Cloud) -> None:
    cloud.rows = total
    now = cloud.clock.now()
    pages = client(kind, cloud).describe_closed_stream_info_by_page.pages(
        page_num=1, page_size=2, end_time_from=now - timedelta(days=1), end_time_to=now
    )
    assert [row.stream for row in await listed(pages)] == [f"s{index}" for index in range(total)]
    assert len(cloud.requests) == calls


# Waiters


@by_kind
async def test_a_stream_that_comes_is_returned(kind: Any, cloud: Cloud) -> None:
    cloud.on_air = {"s10"}
    cloud.clock.later(5, lambda: cloud.on_air.add("s1"))
    pauses: list[float] = []
    found = await done(client(kind, cloud, pauses=pauses).wait_live(**STREAM))
    assert (found.stream, pauses) == ("s1", [2, 2, 2])
    by_domain = client(kind, cloud).wait_live(domain="push.demo.test", app="live", stream="s1")
    assert (await done(by_domain)).stream == "s1"


@by_kind
async def test_a_stream_that_goes_ends_the_wait(kind: Any, cloud: Cloud) -> None:
    cloud.on_air = {"s1", "s2"}
    cloud.clock.later(1, lambda: cloud.on_air.discard("s1"))
    pauses: list[float] = []
    await done(client(kind, cloud, pauses=pauses).wait_silent(**STREAM, poll_s=0.75))
    assert pauses == [0.75, 0.75]


@by_kind
async def test_silence_is_not_taken_from_a_cloud_that_is_busy(kind: Any, cloud: Cloud) -> None:
    cloud.on_air = {"s1"}
    cloud.refusals = [LimitExceeded("slow")]
    with pytest.raises(WaitTimeout, match="live/s1 was not silent within 3 s"):
        await done(client(kind, cloud, retries=0).wait_silent(**STREAM, timeout_s=3))


@by_kind
async def test_a_task_is_returned_as_soon_as_it_is_so(kind: Any, cloud: Cloud) -> None:
    cloud.tasks = {"other": relays.IN_EFFECT, "mine": relays.NOT_STARTED}
    cloud.clock.later(3, lambda: cloud.tasks.update(mine=relays.IN_EFFECT))
    cloud.clock.later(9, lambda: cloud.tasks.update(mine=relays.ENDED))
    cloud.refusals = [LimitExceeded("slow")]
    pauses: list[float] = []
    volc = client(kind, cloud, pauses=pauses, retries=0)
    task = await done(volc.wait_task(task_id="mine", group_name="news"))
    assert (task.task_id, task.status, pauses) == ("mine", relays.IN_EFFECT, [2, 2])
    assert cloud.asked[0] == relays.ListPullToPushTask.make(group_name="news", size=500)
    assert (await done(volc.wait_task(task_id="mine", status=relays.ENDED))).status == relays.ENDED


@by_kind
async def test_a_task_that_is_not_there_ends_the_wait_in_time(kind: Any, cloud: Cloud) -> None:
    cloud.tasks = {"other": relays.IN_EFFECT}
    with pytest.raises(WaitTimeout, match="task mine was not 生效中 within 5 s"):
        await done(client(kind, cloud).wait_task(task_id="mine", timeout_s=5))


@by_kind
@pytest.mark.parametrize(
    ("wait", "given"), [("wait_live", STREAM), ("wait_silent", STREAM), ("wait_task", {"task_id": "mine"})]
)
async def test_no_answer_in_the_middle_of_a_wait_is_told(
    kind: Any, wait: str, given: dict[str, Any], cloud: Cloud
) -> None:
    def fail(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("no")

    volc = kind(access_key="a", secret_key="b", retries=0, transport=httpx2.MockTransport(fail), clock=cloud.clock)
    with pytest.raises(TransportError):
        await done(getattr(volc, wait)(**given))


# Two at a time


@by_kind
async def test_two_clients_with_other_keys_and_hosts_do_not_touch_each_other(kind: Any) -> None:
    ours, theirs = Credentials("AKours", "one"), Credentials("AKtheirs", "two", "token")
    here, there = Cloud(ours), Cloud(theirs)
    one = client(kind, here, ours, endpoint="http://127.0.0.1:8080")
    two = client(kind, there, theirs)
    for _ in range(2):
        await done(one.forbid_stream(**STREAM))
        await done(two.kill_stream(**STREAM))
    assert {type(each) for each in here.asked} == {streams.ForbidStream}
    assert {type(each) for each in there.asked} == {streams.KillStream}
    assert {str(each.url.copy_with(query=None)) for each in here.requests} == {"http://127.0.0.1:8080/"}
    assert {str(each.url.copy_with(query=None)) for each in there.requests} == {"https://live.volcengineapi.com/"}
    assert {each.headers["Host"] for each in here.requests} == {"127.0.0.1:8080"}
    assert all("AKours" in each.headers["Authorization"] for each in here.requests)
    assert all("AKtheirs" in each.headers["Authorization"] for each in there.requests)
    assert not any("X-Security-Token" in each.headers for each in here.requests)
    assert (one.endpoint, two.endpoint) == ("http://127.0.0.1:8080", "https://live.volcengineapi.com")


# Keys


def keys_of(**given: Any) -> str:
    return Volcengine(**given)._credentials.access_key


def test_keys_come_from_the_same_places_as_the_official_sdks(
    nobodys_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(errors.NoKeys, match=r"VOLC_ACCESSKEY.*\n.*\n.*\.volc/credentials.*\n.*\.volc/config"):
        Volcengine()
    folder = nobodys_home / ".volc"
    folder.mkdir()
    (folder / "config").write_text('{"ak": "AKjson", "sk": "s"}')
    assert keys_of() == "AKjson"
    (folder / "credentials").write_text("[default]\naccess_key_id = AKini\nsecret_access_key = s\n")
    assert keys_of() == "AKini"
    (nobodys_home / ".penstock").mkdir()
    profile = '[default.volcengine]\naccess_key = "AKtoml"\nsecret_key = "s"\nendpoint = "http://127.0.0.1:9"\n'
    (nobodys_home / ".penstock" / "config.toml").write_text(profile)
    assert keys_of() == "AKtoml"
    assert Volcengine().endpoint == "http://127.0.0.1:9"
    monkeypatch.setenv("VOLC_ACCESSKEY", "AKenv")
    with pytest.raises(errors.ConfigError, match="VOLC_SECRETKEY is missing"):
        Volcengine()
    monkeypatch.setenv("VOLC_SECRETKEY", "s")
    assert keys_of() == "AKenv"
    monkeypatch.setenv("PENSTOCK_VOLCENGINE_ACCESS_KEY", "AKours")
    monkeypatch.setenv("PENSTOCK_VOLCENGINE_SECRET_KEY", "s")
    assert keys_of() == "AKours"
    # What is said comes first, though the official SDK has it last.
    assert keys_of(access_key="AKsaid", secret_key="s") == "AKsaid"
    with pytest.raises(errors.NoKeys):
        Kingsoft()


def test_no_secret_is_shown() -> None:
    made = Volcengine(access_key="AK", secret_key="the-secret", token="the-token")
    assert repr(made) == "Volcengine(access_key='AK', endpoint='https://live.volcengineapi.com')"


@by_kind
def test_every_method_says_what_it_does(kind: Any) -> None:
    assert all(getattr(kind, snake(action)).__doc__ for action in wire.OPERATIONS)
