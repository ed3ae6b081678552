"""Kingsoft's own SDKs, unchanged, against the server's half of the wire behind a real port.

They sign, we verify; they encode, we decode; we answer, they read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import pytest
from kscore.exceptions import ClientError
from kscore.model import NoShapeFoundError
from ksyun.common.exception.ksyun_sdk_exception import KsyunSDKException

from penstock.clouds.contract import Credentials, Operation, Result
from penstock.clouds.http import HttpRequest, HttpResponse
from penstock.clouds.kingsoft import codes, streams, wire
from penstock.clouds.members import members_of
from penstock.errors import (
    Denied,
    ExpiredRequest,
    LimitExceeded,
    NotBanned,
    PenstockError,
    Unchanged,
    UnknownKey,
    UnknownVhost,
)
from tests.clouds.kingsoft.official import NOT_IN_SECOND, PROXIES, Kscore, Official, Second, Wrapper
from tests.clouds.kingsoft.recorded import EXCHANGES, Exchange
from tests.sdk.cloud import as_response
from tests.sdk.served import served

KEYS: Final = Credentials("AKLTofficial", "the+secret/of=AKLTofficial")
IDS: Final = [exchange.action for exchange in EXCHANGES]
NAMES: Final = {"UniqueName": "acme", "App": "live", "Pubdomain": "push.example.com"}


class Cloud:
    """Answers each operation as it was recorded, or refuses all of them."""

    def __init__(self) -> None:
        self.asked: list[Operation[Result]] = []
        self.requests: list[HttpRequest] = []
        self.refusal: PenstockError | None = None
        self.keys = KEYS
        self.url = ""

    def answer(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        try:
            claim = wire.read_claim(request, datetime.now(UTC))
            if claim.access_key != self.keys.access_key:
                raise UnknownKey(f"there is no {claim.access_key}")
            wire.verify(request, claim, self.keys)
            operation = wire.decode_request(request).operation
            self.asked.append(operation)
            if self.refusal is not None:
                raise self.refusal
            return wire.encode_result(operation, result_of(operation), f"id-{len(self.requests)}")
        except PenstockError as error:
            return wire.encode_error(error, request, f"id-{len(self.requests)}")


def result_of(operation: Operation[Any]) -> Result:
    exchange = EXCHANGES[IDS.index(operation.about.action)]
    made: Result = wire.decode_response(operation, as_response(exchange.answer))
    return made


def in_wire_names(exchange: Exchange) -> dict[str, Any]:
    names = {member.name: member.wire_name for member in members_of(wire.OPERATIONS[exchange.action])}
    return {names[name]: value for name, value in exchange.members.items()}


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    cloud = Cloud()
    with served(cloud.answer) as cloud.url:
        yield cloud


def wrapper(cloud: Cloud, keys: Credentials, monkeypatch: pytest.MonkeyPatch) -> Wrapper:
    Wrapper.point_at(cloud.url, monkeypatch.setenv)
    return Wrapper(keys)


Make = Callable[[Cloud, Credentials, pytest.MonkeyPatch], Official]
CLIENTS: Final[Mapping[str, Make]] = {
    "kscore": lambda cloud, keys, _: Kscore(cloud.url, keys),
    "kscore with a base path": lambda cloud, keys, _: Kscore(f"{cloud.url}/kls", keys),
    "kscore's wrapper": wrapper,
    "second by GET": lambda cloud, keys, _: Second(cloud.url, keys, "GET"),
    "second by POST": lambda cloud, keys, _: Second(cloud.url, keys, "POST"),
}
by_client = pytest.mark.parametrize("name", CLIENTS)


@pytest.mark.parametrize("exchange", EXCHANGES, ids=IDS)
@by_client
def test_every_operation_arrives_and_its_answer_is_read(
    cloud: Cloud, name: str, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name.startswith("second") and exchange.action in NOT_IN_SECOND:
        assert not hasattr(Second(cloud.url, KEYS, "GET")._client, exchange.action)
        return
    if exchange.action == "GetRecordTask":
        # Their model names a shape that it does not have.
        with pytest.raises(NoShapeFoundError):
            CLIENTS[name](cloud, KEYS, monkeypatch).call(exchange.action, in_wire_names(exchange))
        assert cloud.requests == []
        return
    answer = CLIENTS[name](cloud, KEYS, monkeypatch).call(exchange.action, in_wire_names(exchange))
    assert cloud.asked == [wire.OPERATIONS[exchange.action].make(**exchange.members)]
    assert answer["Data"] == exchange.answer["Data"]
    assert "id-1" in (answer.get("RequestId"), answer.get("ResponseMetadata", {}).get("RequestId"))


@by_client
def test_each_client_sends_what_it_is_known_for(cloud: Cloud, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Otherwise five names would be one client.
    CLIENTS[name](cloud, KEYS, monkeypatch).call("CheckBlacklist", {**NAMES, "Stream": "s1"})
    (request,) = cloud.requests
    is_second = name.startswith("second")
    assert request.method == ("POST" if name.endswith("POST") else "GET")
    assert ("X-Amz-Target" in request.headers) is not is_second
    assert ("X-Amz-Content-SHA256" in request.headers) is is_second
    assert request.path == ("/kls" if name.endswith("path") else "/")
    assert (request.headers.get("Host") == "kls.api.ksyun.com") is (name == "kscore's wrapper")


@by_client
@pytest.mark.parametrize("stream", ["news 1+2/3~", "新闻", "a=b&c%20d", "*!'()"])
def test_letters_that_encodings_differ_on_arrive(
    cloud: Cloud, name: str, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = CLIENTS[name](cloud, KEYS, monkeypatch)
    for action in ("CheckBlacklist", "ForbidStream"):
        client.call(action, {**NAMES, "Stream": stream})
    assert [asked.stream for asked in cloud.asked] == [stream, stream]  # type: ignore[attr-defined]


@by_client
@pytest.mark.parametrize("until", [-1, 1, None, 1_772_366_400])
def test_every_end_of_a_ban_arrives(
    cloud: Cloud, name: str, until: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {} if until is None else {"ForbidTillUnixTime": until}
    CLIENTS[name](cloud, KEYS, monkeypatch).call("ForbidStream", {**NAMES, "Stream": "s1", **given})
    (asked,) = cloud.asked
    assert isinstance(asked, streams.ForbidStream)
    assert asked.forbid_till_unix_time == until


def test_what_the_wrapper_fills_in_means_nothing_was_said(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    # It sends Stream="", Limit=1, StartUnixTime=0 and so on for what its caller left out.
    client = wrapper(cloud, KEYS, monkeypatch)
    for action in ("ListRealtimePubStreamsInfo", "ListHistoryPubStreamsInfo", "ListHistoryPubStreamsErrInfo"):
        client.call(action, NAMES)
    where = {"unique_name": "acme", "app": "live", "pubdomain": "push.example.com", "limit": 1}
    assert cloud.asked == [
        streams.ListRealtimePubStreamsInfo.make(**where),
        streams.ListHistoryPubStreamsInfo.make(**where),
        streams.ListHistoryPubStreamsErrInfo.make(**where),
    ]


@by_client
def test_times_that_the_wrapper_left_at_0_are_missing(cloud: Cloud, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {**NAMES, "StartUnixTime": 0, "EndUnixTime": 0}
    answer = CLIENTS[name](cloud, KEYS, monkeypatch).call("ListStreamDurations", given)
    assert answer["Data"]["RetCode"] == 1000
    assert cloud.asked == []


@by_client
@pytest.mark.parametrize("error", [NotBanned("no ban"), Unchanged("again"), UnknownVhost("not yours")], ids=repr)
def test_a_ret_code_is_read_as_data(
    cloud: Cloud, name: str, error: PenstockError, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.refusal = error
    answer = CLIENTS[name](cloud, KEYS, monkeypatch).call("ResumeStream", {**NAMES, "Stream": "s1"})
    code = codes.code_of(error)
    assert isinstance(code, codes.RetCode)
    assert answer["Data"] == {"RetCode": code.code, "RetMsg": codes.RET_MSGS[code.code]}


@by_client
@pytest.mark.parametrize("error", [Denied("no"), LimitExceeded("slow down"), ExpiredRequest("late")], ids=repr)
def test_an_error_is_raised_with_its_code(
    cloud: Cloud, name: str, error: PenstockError, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.refusal = error
    code = codes.code_of(error)
    assert isinstance(code, codes.ErrorCode)
    with pytest.raises((ClientError, KsyunSDKException)) as caught:
        CLIENTS[name](cloud, KEYS, monkeypatch).call("CheckBlacklist", {**NAMES, "Stream": "s1"})
    assert told_by(caught.value) == {"Type": "Sender", "Code": code.code, "Message": str(error)}


@by_client
@pytest.mark.parametrize(
    ("keys", "code"),
    [
        (Credentials("AKnobody", KEYS.secret_key), "InvalidAccesskey"),
        (Credentials(KEYS.access_key, "another"), "SignatureNotMatch"),
    ],
)
def test_another_key_is_refused(
    cloud: Cloud, name: str, keys: Credentials, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises((ClientError, KsyunSDKException)) as caught:
        CLIENTS[name](cloud, keys, monkeypatch).call("CheckBlacklist", {**NAMES, "Stream": "s1"})
    assert told_by(caught.value)["Code"] == code
    assert cloud.asked == []


def told_by(error: Exception) -> dict[str, Any]:
    """Return the Error object that an SDK's exception carries, each in its way."""
    if isinstance(error, ClientError):
        found: dict[str, Any] = error.response["Error"]
        return found
    assert isinstance(error, KsyunSDKException)
    # Of any status but 200 it reads no more than the text.
    assert error.code == "ServerNetworkError"
    answer: dict[str, Any] = msgspec.json.decode(error.message)["Error"]
    return answer


@pytest.mark.parametrize(("held", "is_let_in"), [("TOKEN+/=", True), ("", False), ("another", False)])
def test_temporary_keys_come_with_their_token(cloud: Cloud, held: str, is_let_in: bool) -> None:
    cloud.keys = msgspec.structs.replace(KEYS, token=held)
    sent = Kscore(cloud.url, msgspec.structs.replace(KEYS, token="TOKEN+/="))
    if is_let_in:
        assert sent.call("CheckBlacklist", {**NAMES, "Stream": "s1"})["Data"]["RetCode"] == 0
        return
    with pytest.raises(ClientError) as caught:
        sent.call("CheckBlacklist", {**NAMES, "Stream": "s1"})
    assert told_by(caught.value)["Code"] == "SignatureNotMatch"


def test_any_region_will_do(cloud: Cloud) -> None:
    Kscore(cloud.url, KEYS, region="cn-shanghai-2").call("GetBlacklist", NAMES)
    assert "/cn-shanghai-2/kls/" in cloud.requests[0].headers.get("Authorization")
    assert len(cloud.asked) == 1
