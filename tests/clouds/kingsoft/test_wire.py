"""The form of KLS calls, both halves: one recorded exchange for each operation, used in both directions."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import errors
from penstock.clouds import shape
from penstock.clouds.contract import Effect, Operation, Wire
from penstock.clouds.http import Endpoint, Headers, HttpRequest, HttpResponse
from penstock.clouds.kingsoft import codes, streams, wire
from penstock.errors import (
    ApiError,
    InvalidField,
    LimitExceeded,
    MalformedRequest,
    MissingField,
    MissingOperation,
    NotBanned,
    PenstockError,
    Unavailable,
    UnknownField,
    UnknownOperation,
)
from tests.clouds.kingsoft.recorded import CREDENTIALS, EXCHANGES, SENT, Exchange, Sent

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LOCAL = Endpoint.parse("http://127.0.0.1:8080/kls")
ACCEPTS = {"Accept": "application/json"}
OK = {"RetCode": 0, "RetMsg": "success"}
NAMES = {"UniqueName": "acme", "App": "live", "Pubdomain": "push.example.com"}

EFFECTS = {
    **dict.fromkeys(("ForbidStream", "ResumeStream", "CancelRecordTask", "StopStreamRecord"), Effect.SETS),
    **dict.fromkeys(("CreateRecordTask", "StartStreamRecord"), Effect.CREATES),
}
by_exchange = pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.action)


def post(body: object, action: str = "ForbidStream", headers: dict[str, str] = ACCEPTS, more: str = "") -> HttpRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    query = f"/?Action={action}&Version=2017-01-01{more}" if action else "/"
    return HttpRequest(method="POST", target=query, headers=Headers(headers.items()), body=raw)


def get(parameters: dict[str, object], action: str, more: str = "", body: bytes = b"") -> HttpRequest:
    query = urlencode({"Action": action, "Version": "2017-01-01", **parameters})
    return HttpRequest(method="GET", target=f"/?{query}{more}", headers=Headers(ACCEPTS.items()), body=body)


def answer(body: object, status: int = 200) -> HttpResponse:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(status=status, headers=Headers(), body=raw)


def operation_of(exchange: Exchange) -> Operation[Any]:
    return wire.OPERATIONS[exchange.action].make(**exchange.members)


def plain(value: Any) -> Any:
    """A Struct as dicts of its Python names."""
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    return [plain(each) for each in value] if isinstance(value, list) else value


# Every operation.


def test_module_is_a_wire() -> None:
    checked: Wire = wire
    assert checked.CLOUD == "kingsoft"


def test_every_operation_has_a_recorded_exchange() -> None:
    assert {exchange.action for exchange in EXCHANGES} == set(wire.OPERATIONS)
    assert len(wire.OPERATIONS) == 9 + 7


@pytest.mark.parametrize("operation", wire.OPERATIONS.values(), ids=wire.OPERATIONS.keys())
def test_operation_says_what_it_is(operation: type[Operation[Any]]) -> None:
    about = operation.about
    assert about.action == operation.__name__
    assert operation.result.__name__ == f"{about.action}Result"
    assert about.rate is not None
    assert "read 2026" in about.source
    assert operation.__doc__
    assert not {"request_id", "raw"} & set(operation.result.__struct_fields__)
    assert about.effect is EFFECTS.get(about.action, Effect.READS)


@pytest.mark.parametrize(("exchange", "sent"), SENT, ids=[f"{each.action}-{sent.by}" for each, sent in SENT])
def test_request_of_an_official_sdk_decodes(exchange: Exchange, sent: Sent) -> None:
    asked = wire.decode_request(sent.request)
    assert asked.operation == operation_of(exchange)
    assert not asked.dry_run
    assert wire.resolve(sent.request) is type(asked.operation)


@by_exchange
@pytest.mark.parametrize("endpoint", [wire.ENDPOINT, LOCAL], ids=str)
def test_our_request_verifies_and_decodes(exchange: Exchange, endpoint: Endpoint) -> None:
    operation = operation_of(exchange)
    request = wire.encode_request(operation, CREDENTIALS, NOW, endpoint)
    assert wire.verify(request, wire.read_claim(request, NOW), CREDENTIALS)
    assert wire.decode_request(request).operation == operation
    assert request.method == operation.about.method
    assert request.path == f"{endpoint.path}/"
    assert request.headers.get("Host") == endpoint.host


@by_exchange
def test_recorded_answer_becomes_a_flat_typed_result(exchange: Exchange) -> None:
    result = wire.decode_response(operation_of(exchange), answer(exchange.answer))
    assert plain(result) == exchange.result
    assert result.request_id == exchange.answer["RequestId"]
    assert result.raw == exchange.answer


@by_exchange
def test_result_becomes_the_recorded_answer(exchange: Exchange) -> None:
    operation = operation_of(exchange)
    result = wire.decode_response(operation, answer(exchange.answer))
    made = wire.encode_result(operation, result, exchange.answer["RequestId"])
    assert made.status == 200
    assert made.headers.get("Content-Type").startswith("application/json")
    assert made.headers.get("Content-Length") == str(len(made.body))
    assert json.loads(made.body) == exchange.answer


@by_exchange
def test_answer_is_read_whatever_its_case(exchange: Exchange) -> None:
    def lowered(value: Any) -> Any:
        if isinstance(value, dict):
            return {name.lower(): lowered(each) for name, each in value.items()}
        return [lowered(each) for each in value] if isinstance(value, list) else value

    data = exchange.answer["Data"]
    said = {"Data": {**lowered({name: each for name, each in data.items() if name not in OK}), **OK}}
    assert plain(wire.decode_response(operation_of(exchange), answer(said))) == exchange.result


@by_exchange
def test_answer_is_read_with_members_beside_data(exchange: Exchange) -> None:
    data = dict(exchange.answer["Data"])
    beside = {name: data.pop(name) for name in ("RetCode", "RetMsg", "UniqueName", "Total") if name in data}
    for inner in (data, [data]):
        result = wire.decode_response(operation_of(exchange), answer({"Data": inner, **beside}))
        assert plain(result) == exchange.result
        assert result.request_id == ""


def test_missing_members_of_an_answer_read_as_zero() -> None:
    ask = streams.GetBlacklist.make(unique_name="acme", app="live", pubdomain="p")
    result = wire.decode_response(ask, answer({"Data": {"RetCode": 0, "Recs": [{"Stream": "s"}], "New": 1}}))
    assert (result.total, result.recs[0].stream, result.recs[0].forbid_till_unix_time) == (0, "s", 0)
    assert result.raw["Data"]["New"] == 1


# What a server reads.


def decoded(request: HttpRequest) -> Operation[Any]:
    return wire.decode_request(request).operation


def test_empty_and_zero_of_the_wrapper_are_absent() -> None:
    ask = {**NAMES, "Stream": "", "Limit": 0, "Marker": 0, "StartUnixTime": 0, "EndUnixTime": 0, "OrderTime": 0}
    bare = decoded(get(dict(NAMES), "ListHistoryPubStreamsInfo"))
    assert decoded(get(dict(ask), "ListHistoryPubStreamsInfo")) == bare
    assert decoded(post(ask, "ListHistoryPubStreamsInfo")) == bare
    assert isinstance(bare, streams.ListHistoryPubStreamsInfo)
    assert (bare.limit, bare.start_unix_time) == (1000, None)


def test_operation_in_headers_alone() -> None:
    by_action = {"X-Action": "GetBlacklist", "X-Version": "2017-01-01"}
    assert wire.resolve(post({}, "", by_action)) is streams.GetBlacklist
    assert wire.resolve(post({}, "", {"X-Amz-Target": "kls.GetBlacklist"})) is streams.GetBlacklist


@pytest.mark.parametrize(
    ("request_", "error", "words"),
    [
        (post({}, ""), MissingOperation, "Action is missing"),
        (post({}, "", {"X-Action": "GetBlacklist"}), MissingOperation, "Version is missing"),
        (post({}, "KillStreamCache"), UnknownOperation, "no 'KillStreamCache'"),
        (post({}, "forbidStream"), UnknownOperation, "no 'forbidStream'"),
        (post({}, "", {"X-Action": "GetBlacklist", "X-Version": "2016-01-01"}), UnknownOperation, "version '2016"),
        (post({}, "ForbidStream", {"X-Action": "ResumeStream"}), UnknownOperation, "'ForbidStream' and 'ResumeStream'"),
        (post({}, "ForbidStream", {"X-Amz-Target": "kls.ResumeStream"}), UnknownOperation, "it must be one"),
        (post({}, "ForbidStream", {"X-Version": "2016-01-01"}), UnknownOperation, "Version is"),
        (post({}, "", {"X-Amz-Target": "iam.ForbidStream"}), UnknownOperation, "X-Amz-Target is"),
        (get({}, "GetBlacklist", "&Action=GetBlacklist"), MalformedRequest, "twice"),
        (get({}, "GetBlacklist", "&a=1" * 100_000), MalformedRequest, "too long"),
        (get({}, "GetBlacklist", "&a=%ff"), MalformedRequest, "UTF-8"),
    ],
)
def test_operation_that_is_not_clear_is_refused(request_: HttpRequest, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        wire.resolve(request_)
    with pytest.raises(error):
        wire.decode_request(request_)


STREAM = {**NAMES, "Stream": "s1"}
FAULTS: list[tuple[str, HttpRequest, type[PenstockError], str, int]] = [
    ("nothing at all", post(b""), MissingField, "UniqueName is missing", 1000),
    ("a required member empty", post({**STREAM, "App": ""}), MissingField, "App is missing", 1000),
    ("a required member null", post({**STREAM, "App": None}), MissingField, "App is missing", 1000),
    ("a number for a name", post({**STREAM, "UniqueName": 5}), InvalidField, "UniqueName is 5", 1002),
    ("a list for a name", post({**STREAM, "App": ["a"]}), InvalidField, "App is a list", 1003),
    ("true for a name", post({**STREAM, "Stream": True}), InvalidField, "Stream is True", 1004),
    ("an object for a name", post({**STREAM, "Pubdomain": {}}), InvalidField, "Pubdomain is a dict", 4000),
    ("text for a time", post({**STREAM, "ForbidTillUnixTime": "5"}), InvalidField, "ForbidTill.* is '5'", 4001),
    ("a fraction", post({**STREAM, "ForbidTillUnixTime": 1.5}), InvalidField, "ForbidTill.* is 1.5", 4001),
    ("below -1", post({**STREAM, "ForbidTillUnixTime": -2}), InvalidField, "an integer from -1 to 9999999999", 4001),
    ("text in a query", get({**NAMES, "Limit": "x"}, "ListHistoryPubStreamsInfo"), InvalidField, "Limit is 'x'", 4999),
    (
        "over the limit",
        get({**NAMES, "Limit": 5001}, "ListHistoryPubStreamsInfo"),
        InvalidField,
        "Limit is '5001'; it must be an integer from 1 to 5000",
        4999,
    ),
    ("false for 0", post({**NAMES, "Limit": False}, "ListHistoryPubStreamsInfo"), InvalidField, "Limit is False", 4999),
    ("a third order", post({**NAMES, "OrderTime": 2}, "ListHistoryPubStreamsInfo"), InvalidField, "one of 0, 1", 4999),
    ("times of nobody", post({**NAMES, "StartUnixTime": 0}, "ListStreamDurations"), MissingField, "StartUnix", 1000),
    (
        "no such protocol",
        post({"UniqueName": "a", "App": "b", "PullProtocol": "dash"}, "ListRealtimeStreamsInfo"),
        InvalidField,
        r"PullProtocol is 'dash'; it must be one of 'hls', 'http\+flv', 'rtmp'",
        9014,
    ),
    (
        "no such side",
        post({"UniqueName": "a", "App": "b", "Type": "both"}, "ListRealtimeStreamsInfo"),
        InvalidField,
        "Type is 'both'; it must be one of 'pull', 'push'",
        9015,
    ),
    ("another case", post({**STREAM, "forbidTillUnixTime": 1}), UnknownField, "it must be ForbidTillUnixTime", 4999),
    ("a stranger", post({**STREAM, "Reason": "x"}), UnknownField, "it must be one of UniqueName, App", 4999),
    ("a POST's member in the query", post(STREAM, more="&App=live"), UnknownField, "in the JSON body of a POST", 4999),
    ("a page beyond any", get({**NAMES, "Marker": 2**31}, "ListHistoryPubStreamsInfo"), InvalidField, "Marker", 4999),
    ("a GET's member in the body", get({}, "GetBlacklist", body=b'{"App":"a"}'), UnknownField, "in the query", 4999),
    ("another action in the body", post({**STREAM, "Action": "ResumeStream"}), UnknownOperation, "in the body", 0),
    ("DryRun maybe", post({**STREAM, "DryRun": "maybe"}), InvalidField, "DryRun is 'maybe'", 4999),
    ("not JSON", post(b"UniqueName=acme"), MalformedRequest, "not JSON", 0),
    ("a list", post(b"[]"), MalformedRequest, "no object", 0),
    ("a name twice", post(b'{"App":"a","App":"b"}'), MalformedRequest, "twice", 0),
    ("NaN", post(b'{"App":NaN}'), MalformedRequest, "NaN", 0),
    ("1e400", post(b'{"App":1e400}'), MalformedRequest, "too large", 0),
    (
        "beyond 64 bits",
        post({**STREAM, "ForbidTillUnixTime": 10**30}),
        InvalidField,
        "is a number beyond 64 bits",
        4001,
    ),
    ("beyond any", post(b'{"ForbidTillUnixTime":' + b"9" * 9000 + b"}"), MalformedRequest, "not JSON", 0),
    ("too deep", post(b'{"App":' * 30_000), MalformedRequest, "too deep", 0),
    ("deep and closed", post(b'{"App":' + b"[" * 20_000 + b"]" * 20_000 + b"}"), MalformedRequest, "too deep", 0),
    ("half a pair", post(b'{"App":"\\ud800"}'), MalformedRequest, "surrogate", 0),
    ("half a pair as a name", post(b'{"\\ud800":1}'), MalformedRequest, "surrogate", 0),
    ("not UTF-8", post(b'{"App":"\xff"}'), MalformedRequest, "not JSON", 0),
    ("too large", post(b" " * 300_000), MalformedRequest, "at most 262144", 0),
]


@pytest.mark.parametrize(
    ("request_", "error", "words", "ret_code"), [r[1:] for r in FAULTS], ids=[r[0] for r in FAULTS]
)
def test_fault_of_a_parameter(request_: HttpRequest, error: type[Exception], words: str, ret_code: int) -> None:
    with pytest.raises(error, match=words) as caught:
        wire.decode_request(request_)
    made = wire.encode_error(caught.value, request_, "id-1")
    said = json.loads(made.body)
    if ret_code:
        assert (made.status, said["Data"]["RetCode"], said["RequestId"]) == (200, ret_code, "id-1")
        assert said["Data"]["RetMsg"] == f"{codes.RET_MSGS[ret_code]}: {caught.value}"
    else:
        assert made.status == 400
        assert said["Error"]["Type"] == "Sender"


@pytest.mark.parametrize("said", [True, "true", "True", 1])
def test_dry_run_is_told_beside_the_operation(said: object) -> None:
    assert wire.decode_request(post({**STREAM, "DryRun": said})).dry_run
    assert wire.decode_request(get({**STREAM, "DryRun": said}, "CheckBlacklist")).dry_run
    assert wire.decode_request(
        msgspec.structs.replace(post(STREAM), target=f"{post(STREAM).target}&DryRun=true")
    ).dry_run


def test_other_methods_are_refused() -> None:
    with pytest.raises(MalformedRequest, match="GET or POST"):
        wire.decode_request(msgspec.structs.replace(post(STREAM), method="PUT"))


def test_form_content_type_is_no_hindrance() -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert decoded(post(STREAM, "CheckBlacklist", headers)) == streams.CheckBlacklist.make(
        unique_name="acme", app="live", pubdomain="push.example.com", stream="s1"
    )


@given(st.binary(max_size=80), st.sampled_from(sorted(wire.OPERATIONS)))
def test_random_bodies_raise_nothing_but_our_errors(body: bytes, action: str) -> None:
    with pytest.raises(PenstockError):
        wire.decode_request(post(body, action))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
PARAMETERS = sorted({field for each in wire.OPERATIONS.values() for field in each.__struct_encode_fields__})


@given(st.dictionaries(st.sampled_from(PARAMETERS), JSON_VALUES), st.sampled_from(sorted(wire.OPERATIONS)))
def test_random_values_decode_or_have_an_answer_in_kls_form(values: dict[str, Any], action: str) -> None:
    request = post(values, action)
    try:
        wire.decode_request(request)
    except PenstockError as error:
        said = json.loads(wire.encode_error(error, request, "id").body)
        assert said.get("Error") or said["Data"]["RetCode"] in codes.RET_MSGS


@given(st.text(max_size=60))
def test_random_queries_raise_nothing_but_our_errors(query: str) -> None:
    request = HttpRequest(method="GET", target=f"/?{query}", headers=Headers(ACCEPTS.items()))
    with pytest.raises(PenstockError):
        wire.decode_request(request)


# What a client reads, and what a server answers.


def our_errors() -> list[type[PenstockError]]:
    found = [errors.RequestRefused, errors.DomainError]
    for each in found:
        found += each.__subclasses__()
    # Classes of answers are made of kinds; they are the client's.
    return [each for each in dict.fromkeys(found) if not issubclass(each, ApiError)]


def made_of(error: type[PenstockError]) -> PenstockError:
    if issubclass(error, MissingField | UnknownField):
        return error("DomainIds", "there")
    return error("DomainIds", 5, "text") if issubclass(error, InvalidField) else error("it says <why> & how")


@pytest.mark.parametrize("error", our_errors(), ids=lambda error: error.__name__)
def test_error_comes_back_as_its_kind(error: type[PenstockError]) -> None:
    ask = streams.GetBlacklist.make(unique_name="acme", app="live", pubdomain="p")
    for headers in (ACCEPTS, {"Accept": "*/*"}, {}):
        made = wire.encode_error(made_of(error), post({}, headers=headers), "id-1")
        with pytest.raises(ApiError) as caught:
            wire.decode_response(ask, made)
        code = codes.code_of(made_of(error))
        assert caught.value.kind is codes.kind_of(str(code.code), made.status)
        assert caught.value.kind is not None
        assert isinstance(caught.value, caught.value.kind)
        assert (caught.value.cloud, caught.value.code, caught.value.request_id) == ("kingsoft", str(code.code), "id-1")
        assert caught.value.status == (code.status if isinstance(code, codes.ErrorCode) else 200)


@pytest.mark.parametrize("error", our_errors(), ids=lambda error: error.__name__)
def test_every_ret_code_that_we_send_has_its_text(error: type[PenstockError]) -> None:
    code = codes.code_of(made_of(error))
    assert isinstance(code, codes.ErrorCode) or code.code in codes.RET_MSGS


@pytest.mark.parametrize("code", codes.FIELD_CODES.values())
def test_every_field_code_has_its_text_and_kind(code: int) -> None:
    assert code in codes.RET_MSGS
    assert codes.kind_of(str(code), 200) is InvalidField


def test_ret_code_of_a_state_keeps_the_published_text() -> None:
    made = wire.encode_error(NotBanned("there is no ban on acme/live/s1"), post({}, headers={}), "id-1")
    assert made.status == 200
    assert json.loads(made.body) == {
        "Data": {"RetCode": 8201, "RetMsg": "stream is not on the blacklist"},
        "RequestId": "id-1",
    }


@pytest.mark.parametrize(
    ("accept", "is_json"),
    [
        (None, False),
        ("*/*", False),
        ("text/html", False),
        ("application/json", True),
        ("Application/JSON; q=0.5", True),
        ("text/html, application/json", True),
    ],
)
def test_errors_are_xml_unless_json_is_accepted_by_name(accept: str | None, is_json: bool) -> None:
    made = wire.encode_error(LimitExceeded("50 a minute"), post({}, headers={"Accept": accept} if accept else {}), "i")
    assert made.status == 409
    assert made.headers.get("Content-Type") == f"{'application/json' if is_json else 'text/xml'}; charset=utf-8"
    if is_json:
        fault = {"Type": "Sender", "Code": "LimitExceeded", "Message": "50 a minute"}
        assert json.loads(made.body) == {"RequestId": "i", "Error": fault}


def test_xml_holds_whatever_a_message_says() -> None:
    message = "a < b & c > d \x00 \ud800 \ufffe 新"
    made = wire.encode_error(MalformedRequest(message), post({}, headers={}), "id-1")
    root = ElementTree.fromstring(made.body)
    assert [each.tag for each in root] == ["RequestId", "Error"]
    assert [each.tag for each in root[1]] == ["Type", "Code", "Message"]
    assert root[1][2].text == "a < b & c > d \ufffd \ufffd \ufffd 新"


def test_json_holds_whatever_a_message_says() -> None:
    made = wire.encode_error(MalformedRequest("half \ud800"), post({}), "id-1")
    assert json.loads(made.body)["Error"]["Message"] == "half \ufffd"


def test_fault_of_our_own_is_answered_without_its_text() -> None:
    made = wire.encode_error(KeyError("secret"), post({}), "id-1")
    assert made.status == 500
    assert json.loads(made.body)["Error"]["Type"] == "Receiver"
    assert b"secret" not in made.body


@pytest.mark.parametrize(
    ("response", "kind", "code"),
    [
        (answer({"Data": {"RetCode": 8201, "RetMsg": "x"}}), NotBanned, "8201"),
        (answer({"RetCode": "8201", "Data": []}), NotBanned, "8201"),
        (answer({"Data": {"RetCode": 424242}}), None, "424242"),
        (answer({"RequestId": "r", "Error": {"Code": "LimitExceeded"}}, 409), LimitExceeded, "LimitExceeded"),
        (answer({"RequestId": "r", "Error": {"Code": "New"}}), None, "New"),
        (answer(b"<html>busy</html>", 502), Unavailable, ""),
        (answer(b"", 503), Unavailable, ""),
        (answer(b"", 429), LimitExceeded, ""),
        (answer(b"", 200), None, ""),
        (answer(b"[]", 200), None, ""),
        (answer({}), None, ""),
        (answer({"Data": 5}), None, ""),
        (answer({"Data": {"Recs": 5}}), None, ""),
        (answer({"Error": {"Code": None}}, 500), Unavailable, ""),
        (answer(b"[" * 100_000), None, ""),
    ],
)
def test_whatever_is_answered_is_an_api_error(response: HttpResponse, kind: type[Exception] | None, code: str) -> None:
    ask = streams.GetBlacklist.make(unique_name="acme", app="live", pubdomain="p")
    with pytest.raises(ApiError) as caught:
        wire.decode_response(ask, response)
    assert (caught.value.kind, caught.value.code, caught.value.status) == (kind, code, response.status)


@given(st.binary(max_size=100), st.sampled_from([200, 302, 400, 500]))
def test_random_answers_raise_nothing_but_api_errors(body: bytes, status: int) -> None:
    ask = streams.GetBlacklist.make(unique_name="acme", app="live", pubdomain="p")
    with pytest.raises(ApiError):
        wire.decode_response(ask, answer(body, status))


@given(JSON_VALUES)
def test_random_data_is_a_result_or_an_api_error(data: Any) -> None:
    ask = streams.ListRealtimeStreamsInfo.make(unique_name="acme", app="live")
    with suppress(ApiError):
        wire.decode_response(ask, answer(msgspec.json.encode({"Data": {"Streams": data}})))


def test_pages_follow_each_other() -> None:
    paging = streams.ListHistoryPubStreamsInfo.about.paging
    assert paging is not None
    exchange = next(each for each in EXCHANGES if each.action == "ListHistoryPubStreamsInfo")
    ask = streams.ListHistoryPubStreamsInfo.make(unique_name="a", app="b", pubdomain="c", limit=2)
    result = wire.decode_response(ask, answer(exchange.answer))
    assert paging.after(ask, result) is None
    result.total = 3
    after = paging.after(ask, result)
    assert after == msgspec.structs.replace(ask, marker=1)
    assert paging.after(after, result) is None


def test_both_spellings_leave_and_numbers_leave_as_text() -> None:
    exchange = next(each for each in EXCHANGES if each.action == "ListRealtimePubStreamsInfo")
    result = wire.decode_response(operation_of(exchange), answer(exchange.answer))
    (row,) = shape.encode(result)["Result"]
    assert (row["Width"], row["Curfps"], row["Clientip"]) == ("1280", 29, "203.0.113.9")
    assert "ClientIP" not in row
