"""The form of Volcengine Live's calls, both halves: one recorded exchange for each operation, in both directions."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import errors
from penstock.clouds.contract import Effect, Operation, Wire
from penstock.clouds.http import Endpoint, Headers, HttpRequest, HttpResponse
from penstock.clouds.reading import read_query
from penstock.clouds.volcengine import codes, relays, streams, wire
from penstock.errors import (
    ApiError,
    Conflict,
    Denied,
    InvalidField,
    LimitExceeded,
    MalformedRequest,
    MissingField,
    MissingOperation,
    NotBanned,
    NotFound,
    NotOnAir,
    PenstockError,
    Unavailable,
    UnknownField,
    UnknownOperation,
    UnknownVhost,
    WrongFormat,
    WrongType,
)
from tests.clouds.volcengine.recorded import CREDENTIALS, EXCHANGES, SENT, Exchange, Sent

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LOCAL = Endpoint.parse("http://127.0.0.1:8080/live")
BY_GET = {"DescribeLiveStreamInfoByPage", "DescribeClosedStreamInfoByPage", "DescribeForbiddenStreamInfoByPage"}
BY_GET |= {"DescribeLiveStreamState", "ListPullToPushTask"}

by_exchange = pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.action)


def post(body: object, action: str = "ForbidStream", more: str = "") -> HttpRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    target = f"/?Action={action}&Version=2023-01-01{more}" if action else "/"
    return HttpRequest(method="POST", target=target, headers=Headers([("Host", "h")]), body=raw)


def get(parameters: dict[str, Any], action: str, more: str = "", body: bytes = b"") -> HttpRequest:
    query = urlencode({"Action": action, "Version": "2023-01-01", **parameters})
    return HttpRequest(method="GET", target=f"/?{query}{more}", headers=Headers([("Host", "h")]), body=body)


def answer(body: object, status: int = 200) -> HttpResponse:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(status=status, headers=Headers(), body=raw)


def operation_of(exchange: Exchange) -> Operation[Any]:
    return wire.OPERATIONS[exchange.action].make(**exchange.members)


def plain(value: Any) -> Any:
    """A Struct as dicts of its Python names, times as they are in JSON."""
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, datetime):
        return msgspec.to_builtins(value)
    return [plain(each) for each in value] if isinstance(value, list) else value


# Every operation.


def test_module_is_a_wire() -> None:
    checked: Wire = wire
    assert checked.CLOUD == "volcengine"


def test_every_operation_has_a_recorded_exchange() -> None:
    assert {exchange.action for exchange in EXCHANGES} == set(wire.OPERATIONS)
    assert len(wire.OPERATIONS) == 7 + 12


@pytest.mark.parametrize("operation", wire.OPERATIONS.values(), ids=wire.OPERATIONS.keys())
def test_operation_says_what_it_is(operation: type[Operation[Any]]) -> None:
    about = operation.about
    assert about.action == operation.__name__
    assert operation.result.__name__ == f"{about.action}Result"
    assert about.rate is not None
    assert (about.rate.calls, about.rate.per_s) == (15 if about.action == "ListPullToPushTask" else 10, 1)
    assert about.method == ("GET" if about.action in BY_GET else "POST")
    assert "read 2026" in about.source
    assert operation.__doc__
    assert not {"request_id", "raw"} & set(operation.result.__struct_fields__)
    is_read = re.match("Describe|List", about.action)
    wanted = Effect.READS if is_read else Effect.CREATES if about.action.startswith("Create") else Effect.SETS
    assert about.effect is wanted


@pytest.mark.parametrize(("exchange", "sent"), SENT, ids=[each.action for each, _ in SENT])
def test_request_of_the_official_sdk_decodes(exchange: Exchange, sent: Sent) -> None:
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
def test_we_say_what_the_official_sdk_says(exchange: Exchange) -> None:
    (sent,) = exchange.requests
    ours = wire.encode_request(operation_of(exchange), CREDENTIALS, NOW)
    theirs = sent.request
    # They write a time as their caller does, and we in UTC; defaults that their caller writes out we leave out.
    defaults = {"Sort": "desc", "Page": "1", "QueryType": "strict"}
    queries = [in_utc({**defaults, **read_query(request.query)}) for request in (ours, theirs)]
    assert queries[0] == queries[1]
    assert in_utc(msgspec.json.decode(ours.body or b"{}")) == in_utc(msgspec.json.decode(theirs.body or b"{}"))
    assert set(ours.headers.names()) == set(theirs.headers.names())


def in_utc(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: datetime.fromisoformat(each) if "Time" in name and isinstance(each, str) else each
        for name, each in values.items()
    }


def test_signed_url_verifies_and_decodes() -> None:
    ask = streams.ForbidStream.make(vhost="acme", app="live", stream="s.1", end_time=NOW + timedelta(days=1))
    request = wire.encode_url(ask, CREDENTIALS, NOW, LOCAL)
    assert (request.method, request.body) == ("GET", b"")
    for method in ("GET", "POST"):
        # Their client signs what is posted as a POST.
        again = msgspec.structs.replace(request, method=method)
        assert wire.decode_request(again).operation == ask
    assert wire.verify(request, wire.read_claim(request, NOW), CREDENTIALS)


def test_what_has_lists_does_not_fit_into_a_url() -> None:
    ask = relays.ListPullToPushGroup.make(page_num=1, page_size=1, status_list=[1])
    with pytest.raises(ValueError, match="ListPullToPushGroup has lists"):
        wire.encode_url(ask, CREDENTIALS, NOW)


@by_exchange
def test_recorded_answer_becomes_a_flat_typed_result(exchange: Exchange) -> None:
    result = wire.decode_response(operation_of(exchange), answer(exchange.answer))
    assert plain(result) == exchange.result
    assert result.request_id == exchange.answer["ResponseMetadata"]["RequestId"]
    assert result.raw == exchange.answer


@by_exchange
def test_result_becomes_the_recorded_answer(exchange: Exchange) -> None:
    operation = operation_of(exchange)
    result = wire.decode_response(operation, answer(exchange.answer))
    made = wire.encode_result(operation, result, exchange.answer["ResponseMetadata"]["RequestId"])
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

    said = {**exchange.answer, "Result": lowered(exchange.answer.get("Result"))}
    assert plain(wire.decode_response(operation_of(exchange), answer(said))) == exchange.result


@pytest.mark.parametrize("result", [None, {}, "done", [1], {"Anything": 5}])
def test_operation_without_a_result_takes_any(result: object) -> None:
    ask = streams.KillStream.make(vhost="v", app="live", stream="s")
    said = {"ResponseMetadata": {"RequestId": "r"}, "Result": result}
    assert wire.decode_response(ask, answer(said)).raw == said


@pytest.mark.parametrize("inner", [{}, None, {"RoughCount": 0}, {"RoughCount": 0.0, "StreamInfoList": None}])
def test_list_that_is_left_out_is_empty(inner: object) -> None:
    ask = streams.DescribeLiveStreamInfoByPage.make(page_num=1, page_size=10)
    result = wire.decode_response(ask, answer({"ResponseMetadata": {"RequestId": "r"}, "Result": inner}))
    assert (result.rough_count, result.stream_info_list) == (0, [])


@pytest.mark.parametrize("text", ["2026-03-01 12:00:00", "2026-03-01T12:00:00", "2026-03-01T20:00:00+08:00"])
def test_time_of_an_older_answer_is_read(text: str) -> None:
    exchange = next(each for each in EXCHANGES if each.action == "DescribeForbiddenStreamInfoByPage")
    said = json.loads(json.dumps(exchange.answer))
    said["Result"]["StreamInfoList"][0]["CreateTime"] = text
    ask = streams.DescribeForbiddenStreamInfoByPage.make(page_num=1, page_size=10)
    assert wire.decode_response(ask, answer(said)).stream_info_list[0].create_time == NOW


# What a server reads.


def decoded(request: HttpRequest) -> Operation[Any]:
    return wire.decode_request(request).operation


@by_exchange
def test_unknown_and_empty_parameters_are_passed_over(exchange: Exchange) -> None:
    operation = wire.OPERATIONS[exchange.action]
    asked = wire.decode_request(exchange.requests[0].request).operation
    absent = {
        field.encode_name: ""
        for field in msgspec.structs.fields(operation)
        if not field.required and getattr(asked, field.name) == field.default
    }
    strange = {"NobodyKnows": "1", "action": "KillStream", **absent}
    if operation.about.method == "GET":
        query = dict(read_query(exchange.requests[0].request.query))
        del query["Action"], query["Version"]
        assert decoded(get(query | strange, exchange.action)) == asked
    else:
        body = json.loads(exchange.requests[0].body)
        nulls = dict.fromkeys(absent)
        assert decoded(post(body | strange | {"Deep": [[[{}]]]}, exchange.action, "&Other=1")) == asked
        assert decoded(post(body | nulls, exchange.action)) == asked


def test_operation_is_taken_by_either_method() -> None:
    # The older official client posts ListPullToPushTask, and the newer one gets it.
    for request in (
        get({"Title": "a", "Size": 5}, "ListPullToPushTask"),
        post({"Title": "a", "Size": 5}, "ListPullToPushTask"),
    ):
        assert decoded(request) == relays.ListPullToPushTask.make(title="a", size=5)
    names = {"Vhost": "acme", "App": "live", "Stream": "s1"}
    assert decoded(get(names, "KillStream")) == decoded(post(names, "KillStream"))


@pytest.mark.parametrize("text", ["Origin", "ORIGIN", "origin"])
def test_stream_type_is_taken_in_any_case(text: str) -> None:
    ask = decoded(get({"PageNum": 1, "PageSize": 1, "StreamType": text}, "DescribeLiveStreamInfoByPage"))
    assert isinstance(ask, streams.DescribeLiveStreamInfoByPage)
    assert ask.stream_type == "origin"


def test_whole_numbers_may_come_as_floats() -> None:
    exchange = next(each for each in EXCHANGES if each.action == "CreatePullToPushTask")
    body = json.loads(exchange.requests[0].body)
    floats = body | {name: float(value) for name, value in body.items() if type(value) is int}
    assert decoded(post(floats, "CreatePullToPushTask")) == decoded(exchange.requests[0].request)
    ask = decoded(post({"PageNum": 1.0, "PageSize": 2.0, "StatusList": [0.0, 1.0]}, "ListPullToPushGroup"))
    assert ask == relays.ListPullToPushGroup.make(page_num=1, page_size=2, status_list=[0, 1])
    assert decoded(get({"Page": "3.0", "Size": "20"}, "ListPullToPushTask")) == relays.ListPullToPushTask.make(page=3)


def test_time_is_taken_with_any_offset() -> None:
    names = {"Vhost": "acme", "App": "live", "Stream": "s1"}
    for text in ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00.000Z", "2026-03-01T20:00:00+08:00"):
        ask = decoded(post({**names, "EndTime": text}))
        assert isinstance(ask, streams.ForbidStream)
        assert ask.end_time == NOW


def test_time_leaves_in_utc_cut_to_its_unit() -> None:
    at = datetime(2026, 3, 1, 20, 0, 0, 987_654, tzinfo=timezone(timedelta(hours=8)))
    ban = streams.ForbidStream.make(domain="d", app="a", stream="s", end_time=at)
    assert json.loads(wire.encode_request(ban, CREDENTIALS, NOW).body)["EndTime"] == "2026-03-01T12:00:00.987Z"
    closed = streams.DescribeClosedStreamInfoByPage.make(page_num=1, page_size=1, end_time_from=at, end_time_to=at)
    assert read_query(wire.encode_request(closed, CREDENTIALS, NOW).query)["EndTimeTo"] == "2026-03-01T12:00:00Z"


@pytest.mark.parametrize(
    ("request_", "error", "words"),
    [
        (post({}, ""), MissingOperation, "Action is missing"),
        (HttpRequest(method="GET", target="/?Action=KillStream", headers=Headers()), MissingOperation, "Version is"),
        (post({}, "CreateDomain"), UnknownOperation, "no 'CreateDomain'"),
        (post({}, "killStream"), UnknownOperation, "no 'killStream'"),
        (
            HttpRequest(method="GET", target="/?Action=KillStream&Version=2020-08-01", headers=Headers()),
            UnknownOperation,
            "in version '2020-08-01'",
        ),
        (get({}, "KillStream", "&Action=KillStream"), MalformedRequest, "twice"),
        (get({}, "KillStream", "&a=1" * 100_000), MalformedRequest, "too long"),
        (get({}, "KillStream", "&a=%ff"), MalformedRequest, "UTF-8"),
    ],
)
def test_operation_that_is_not_clear_is_refused(request_: HttpRequest, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        wire.resolve(request_)
    with pytest.raises(error):
        wire.decode_request(request_)


STREAM = {"Vhost": "acme", "App": "live", "Stream": "s1"}
PAGE = {"PageNum": 1, "PageSize": 10}
CLOSED = {**PAGE, "EndTimeFrom": "2026-03-01T00:00:00Z", "EndTimeTo": "2026-03-01T00:00:00Z"}
LIST = "DescribeLiveStreamInfoByPage"
ENDED = "DescribeClosedStreamInfoByPage"
STATE = "DescribeLiveStreamState"
TASK = {"Type": 0, "StartTime": 1, "EndTime": 2, "SrcAddr": "rtmp://a/b/c", "DstAddr": "rtmp://d/e/f"}
FILES = {**TASK, "Type": 1, "CycleMode": 1, "SrcAddrS": ["http://a/b.mp4", "http://a/c.mp4"]}
MARK = {"Picture": "x", "RelativePosX": 0, "RelativePosY": 0, "Ratio": 0.1}
MAKE, CHANGE = "CreatePullToPushTask", "UpdatePullToPushTask"
GROUP, GROUPS = "CreatePullToPushGroup", "ListPullToPushGroup"
AGAIN = ("RestartPullToPushTask", "ContinuePullToPushTask", "RelaunchPullToPushTask")


def vod(number: int) -> dict[str, Any]:
    return {"VodSrcAddrs": [{"SrcAddr": "http://a/b"}] * number}


VOD = vod(1)


def tagged(tag: object) -> HttpRequest:
    return post({"Name": "g", "ProjectName": "p", "Tags": [tag]}, GROUP)


INVALID, BIND, FORMAT = "InvalidParam", "InvalidParam.BindError", "InvalidParam.Format"
FAULTS: list[tuple[str, HttpRequest, type[PenstockError], str, str]] = [
    ("nothing at all", post(b""), MissingField, "App is missing", INVALID),
    ("no page", get({"PageSize": 10}, LIST), MissingField, "PageNum is missing", INVALID),
    ("an empty page", get({"PageNum": "", "PageSize": 10}, LIST), MissingField, "PageNum is missing", INVALID),
    (
        "page 0",
        get({**PAGE, "PageNum": 0}, LIST),
        InvalidField,
        "PageNum is '0'; it must be an integer from 1",
        INVALID,
    ),
    ("1,001 rows", get({**PAGE, "PageSize": 1001}, LIST), InvalidField, "from 1 to 1000", INVALID),
    ("a page in words", get({**PAGE, "PageNum": "one"}, LIST), WrongType, "PageNum is 'one'", BIND),
    ("True for a page", get({**PAGE, "PageNum": True}, LIST), WrongType, "PageNum is 'True'", BIND),
    ("page one and a half", get({**PAGE, "PageNum": 1.5}, LIST), WrongType, "PageNum is '1.5'", BIND),
    ("text for a number", post({**PAGE, "PageNum": "1"}, "ListPullToPushGroup"), WrongType, "PageNum is '1'", BIND),
    ("a number for a name", post({**STREAM, "App": 5}), WrongType, "App is 5", BIND),
    ("a list for a name", post({**STREAM, "App": ["a"]}), WrongType, "App is a list", BIND),
    ("a blank in a name", post({**STREAM, "Stream": "a b"}), InvalidField, "Stream is 'a b'", INVALID),
    ("a line feed behind a name", post({**STREAM, "Stream": "s1\n"}), InvalidField, "Stream is", INVALID),
    ("31 letters of an app", post({**STREAM, "App": "a" * 31}), InvalidField, "App is", INVALID),
    ("101 letters of a stream", post({**STREAM, "Stream": "s" * 101}), InvalidField, "Stream is", INVALID),
    ("31 letters in a filter", get({**PAGE, "App": "a" * 31}, LIST), InvalidField, "App is", INVALID),
    # Of all pages one lists a code of its own for what does not look as it must.
    ("a blank, to resume", post({**STREAM, "Stream": "a b"}, "ResumeStream"), WrongFormat, "Stream is", FORMAT),
    ("31 letters, to resume", post({**STREAM, "App": "a" * 31}, "ResumeStream"), WrongFormat, "App is", FORMAT),
    ("101 letters, to resume", post({**STREAM, "Stream": "s" * 101}, "ResumeStream"), WrongFormat, "Str", FORMAT),
    ("a blank, to kill", post({**STREAM, "App": "a b"}, "KillStream"), InvalidField, "App is 'a b'", INVALID),
    ("a blank, for a state", get({**STREAM, "App": "a b"}, STATE), InvalidField, "App is 'a b'", INVALID),
    ("no such type", get({**PAGE, "StreamType": "all"}, LIST), InvalidField, "one of 'origin', 'trans'", INVALID),
    ("no such source", get({**PAGE, "SourceType": "pull"}, LIST), InvalidField, "one of 'push', 'relay'", INVALID),
    ("no such order", get({**CLOSED, "Sort": "up"}, ENDED), InvalidField, "one of 'asc', 'desc'", INVALID),
    ("no such match", get({**PAGE, "QueryType": "like"}, LIST), InvalidField, "one of 'fuzzy', 'strict'", INVALID),
    ("no times", get(PAGE, ENDED), MissingField, "EndTimeFrom is missing", INVALID),
    ("Unix seconds", get({**CLOSED, "EndTimeTo": "1772366400"}, ENDED), InvalidField, "EndTimeTo is", INVALID),
    ("Unix seconds in JSON", post({**STREAM, "EndTime": 1772366400}), WrongType, "EndTime is", BIND),
    ("no zone", get({**CLOSED, "EndTimeTo": "2026-03-01T12:00:00"}, ENDED), InvalidField, "with its zone", INVALID),
    ("no such day", post({**STREAM, "EndTime": "2026-02-30T00:00:00Z"}), InvalidField, "EndTime is", INVALID),
    (
        "an end before its beginning",
        get({**CLOSED, "EndTimeTo": "2026-02-28T23:59:59Z"}, ENDED),
        InvalidField,
        r"EndTimeTo is '2026-02-28T23:59:59\+00:00'; it must be not before EndTimeFrom",
        INVALID,
    ),
    ("neither place", post({"App": "live", "Stream": "s1"}), MissingField, "Vhost is missing", INVALID),
    ("both places", post({**STREAM, "Domain": "d"}), InvalidField, "Domain is 'd'; it must be absent", INVALID),
    ("both to resume", post({**STREAM, "Domain": "d"}, "ResumeStream"), InvalidField, "absent where Vhost", INVALID),
    ("neither, for a state", get({"App": "a", "Stream": "s"}, "DescribeLiveStreamState"), MissingField, "Vh", INVALID),
    ("no vhost to kill in", post({"App": "live", "Stream": "s1"}, "KillStream"), MissingField, "Vhost is", INVALID),
    ("a POST's member in the query", post(STREAM, more="&EndTime=x"), UnknownField, "in the JSON body", INVALID),
    ("a GET's member in the body", get(PAGE, LIST, body=b'{"App":"a"}'), UnknownField, "in the query of a", INVALID),
    # Relays.
    ("no window", post({"Type": 0}, MAKE), MissingField, "StartTime is missing", INVALID),
    ("an end at its beginning", post({**TASK, "EndTime": 1}, MAKE), InvalidField, "EndTime is 1", INVALID),
    ("a second over 7 days", post({**TASK, "EndTime": 604_802}, MAKE), InvalidField, "7 days", INVALID),
    ("a time in RFC 3339", post({**TASK, "EndTime": "2026-03-01T12:00:00Z"}, MAKE), WrongType, "EndTime", BIND),
    ("half a second", post({**TASK, "EndTime": 1.5}, MAKE), WrongType, "EndTime is 1.5", BIND),
    ("type 2", post({**TASK, "Type": 2}, MAKE), InvalidField, "one of 0, 1", INVALID),
    ("a blank in a title", post({**TASK, "Title": "a b"}, MAKE), InvalidField, "Title is", INVALID),
    ("21 letters of a title", post({**TASK, "Title": "测" * 21}, MAKE), InvalidField, "Title is", INVALID),
    ("a long callback", post({**TASK, "CallbackURL": "h" * 2001}, MAKE), InvalidField, "CallbackURL is", INVALID),
    ("no live source", post({**TASK, "SrcAddr": ""}, MAKE), MissingField, "SrcAddr is missing", INVALID),
    ("a long source", post({**TASK, "SrcAddr": "r" * 1001}, MAKE), InvalidField, "SrcAddr is", INVALID),
    ("no destination", post({**TASK, "DstAddr": "", "App": "a"}, MAKE), MissingField, "Domain is missing", INVALID),
    (
        "half a destination",
        post({**TASK, "DstAddr": "", "Domain": "d", "App": "a"}, MAKE),
        MissingField,
        "Stream is missing; it must be there, with all of Domain, App and Stream",
        INVALID,
    ),
    (
        "a destination that is no name",
        post({**TASK, "DstAddr": "", "Domain": "d", "App": "a", "Stream": "a/b"}, MAKE),
        InvalidField,
        "Stream is 'a/b'",
        INVALID,
    ),
    ("no files", post({**FILES, "SrcAddrS": []}, MAKE), MissingField, "VodSrcAddrs is missing", INVALID),
    (
        "both lists of files",
        post({**FILES, "VodSrcAddrs": [{"SrcAddr": "http://a/b"}]}, MAKE),
        InvalidField,
        "SrcAddrS is a list; it must be absent where VodSrcAddrs",
        INVALID,
    ),
    ("offsets of other files", post({**FILES, "OffsetS": [1]}, MAKE), InvalidField, "of 2 items", INVALID),
    ("31 files", post({**FILES, "SrcAddrS": ["http://a/b"] * 31}, MAKE), InvalidField, "SrcAddrS is", INVALID),
    ("an empty file", post({**FILES, "SrcAddrS": [""]}, MAKE), InvalidField, r"SrcAddrS\[0\] is", INVALID),
    ("a negative offset", post({**FILES, "OffsetS": [1, -1]}, MAKE), InvalidField, r"OffsetS\[1\] is", INVALID),
    ("an offset in words", post({**FILES, "OffsetS": [1, "2"]}, MAKE), WrongType, r"OffsetS\[1\] is", BIND),
    (
        "a piece that ends before it begins",
        post({**FILES, "SrcAddrS": [], "VodSrcAddrs": [{"SrcAddr": "a", "StartOffset": 5, "EndOffset": 5}]}, MAKE),
        InvalidField,
        "EndOffset is 5.0; it must be above StartOffset, 5.0",
        INVALID,
    ),
    (
        "a file without its address",
        post({**FILES, "SrcAddrS": [], "VodSrcAddrs": [{"StartOffset": 5}]}, MAKE),
        MissingField,
        r"VodSrcAddrs\[0\].SrcAddr is missing; it must be text of 1 to 1000 characters",
        INVALID,
    ),
    ("no loops", post({**FILES, "CycleMode": None}, MAKE), MissingField, "CycleMode is missing", INVALID),
    ("loops below -1", post({**FILES, "CycleMode": -2}, MAKE), InvalidField, "CycleMode is -2", INVALID),
    ("the sample's strategy", post({**FILES, "ContinueStrategy": 9}, MAKE), InvalidField, "Strategy is 9", INVALID),
    ("half a download", post({**FILES, "PreDownload": 2}, MAKE), InvalidField, "PreDownload is 2", INVALID),
    ("half a watermark", post({**TASK, "Watermark": {"Picture": "x"}}, MAKE), MissingField, "Watermark.R", INVALID),
    ("nothing of a watermark", post({**TASK, "Watermark": {}}, MAKE), MissingField, "Watermark.Picture is", INVALID),
    ("text for a watermark", post({**TASK, "Watermark": "x"}, MAKE), WrongType, "Watermark is 'x'", BIND),
    (
        "a watermark outside",
        post({**TASK, "Watermark": {"Picture": "x", "RelativePosX": 1, "RelativePosY": 0, "Ratio": 1}}, MAKE),
        InvalidField,
        "Watermark.RelativePosX is 1; it must be a number of at least 0 and below 1",
        INVALID,
    ),
    *(
        (
            f"{name} {value}",
            post({**TASK, "Watermark": {**MARK, name: value}}, MAKE),
            InvalidField,
            f"Watermark.{name}",
            INVALID,
        )
        for name, value in (
            ("RelativePosX", -0.01),
            ("RelativePosY", 1.0),
            ("RelativePosY", -0.01),
            ("Ratio", 0),
            ("Ratio", 1.01),
        )
    ),
    *(
        (
            f"no {name} of a watermark",
            post({**TASK, "Watermark": rest}, MAKE),
            MissingField,
            f"Watermark.{name}",
            INVALID,
        )
        for name in ("Picture", "RelativePosX", "RelativePosY", "Ratio")
        for rest in ({other: value for other, value in MARK.items() if other != name},)
    ),
    *(
        (f"no {name}", post({**TASK, name: None}, MAKE), MissingField, f"{name} is missing", INVALID)
        for name in ("Type", "StartTime", "EndTime")
    ),
    *(
        (f"no {name} to update", post({**TASK, "TaskId": "t", name: None}, CHANGE), MissingField, f"{name} is", INVALID)
        for name in ("TaskId", "Type", "StartTime", "EndTime")
    ),
    ("8 days, to update", post({**TASK, "TaskId": "t", "EndTime": 604_802}, CHANGE), InvalidField, "7 d", INVALID),
    ("an end before 1970", post({**TASK, "StartTime": -1}, MAKE), InvalidField, "StartTime is -1", INVALID),
    (
        "offsets beside files",
        post({**FILES, "SrcAddrS": [], "OffsetS": [1], **VOD}, MAKE),
        InvalidField,
        "Off",
        INVALID,
    ),
    ("31 pieces", post({**FILES, "SrcAddrS": [], **vod(31)}, MAKE), InvalidField, "VodSrcAddrs is", INVALID),
    (
        "a long piece",
        post({**FILES, "SrcAddrS": [], "VodSrcAddrs": [{"SrcAddr": "f" * 1001}]}, MAKE),
        InvalidField,
        r"VodSrcAddrs\[0\].SrcAddr is 'f",
        INVALID,
    ),
    (
        "a piece before its file",
        post({**FILES, "SrcAddrS": [], "VodSrcAddrs": [{"SrcAddr": "a", "StartOffset": -0.5}]}, MAKE),
        InvalidField,
        r"VodSrcAddrs\[0\].StartOffset is -0.5",
        INVALID,
    ),
    ("a long file", post({**FILES, "SrcAddrS": ["f" * 1001]}, MAKE), InvalidField, r"SrcAddrS\[0\] is 'f", INVALID),
    ("played -1 times", post({**FILES, "PlayTimes": -1}, MAKE), InvalidField, "PlayTimes is -1", INVALID),
    ("a negative start", post({**FILES, "Offset": -1}, MAKE), InvalidField, "Offset is -1", INVALID),
    ("21 letters of a group", post({**TASK, "GroupName": "g" * 21}, MAKE), InvalidField, "GroupName is", INVALID),
    *(
        (f"{action} of nothing", post({}, action), MissingField, "TaskId is missing", INVALID)
        for action in (*AGAIN, "StopPullToPushTask", "DeletePullToPushTask")
    ),
    *(
        (f"{action} in a long group", post({"TaskId": "t", "GroupName": "g" * 21}, action), InvalidField, "Gr", INVALID)
        for action in (*AGAIN, "StopPullToPushTask", "DeletePullToPushTask")
    ),
    ("a long group, in a list", get({"GroupName": "g" * 21}, "ListPullToPushTask"), InvalidField, "Gro", INVALID),
    ("page 0 of tasks", get({"Page": 0}, "ListPullToPushTask"), InvalidField, "Page is '0'", INVALID),
    ("0 tasks", get({"Size": 0}, "ListPullToPushTask"), InvalidField, "Size is '0'", INVALID),
    ("21 letters of a new group", post({"Name": "g" * 21, "ProjectName": "p"}, GROUP), InvalidField, "Name", INVALID),
    ("a group without a project", post({"Name": "g"}, GROUP), MissingField, "ProjectName is missing", INVALID),
    *(
        (f"{action} of no group", post({}, action), MissingField, "Name is missing", INVALID)
        for action in (GROUP, "UpdatePullToPushGroup", "DeletePullToPushGroup")
    ),
    *(
        (f"{action} of a long group", post({"Name": "g" * 21}, action), InvalidField, "Name is", INVALID)
        for action in ("UpdatePullToPushGroup", "DeletePullToPushGroup")
    ),
    (
        "a tag without a value",
        tagged({"Key": "k"}),
        MissingField,
        r"Tags\[0\].Value is missing; it must be text",
        INVALID,
    ),
    ("a tag without a key", tagged({"Value": "v"}), MissingField, r"Tags\[0\].Key is missing", INVALID),
    ("an empty key", tagged({"Key": "", "Value": "v"}), InvalidField, r"Tags\[0\].Key is ''", INVALID),
    (
        "a tag of its own kind",
        tagged({"Key": "k", "Value": "v", "Category": "custom"}),
        InvalidField,
        r"Tags\[0\].Category is 'custom'; it must be one of 'Custom', 'System'",
        INVALID,
    ),
    ("a tag in words", tagged("k"), WrongType, r"Tags\[0\] is 'k'; it must be an object with Key, Value", BIND),
    ("no page of groups", post({"PageSize": 1}, GROUPS), MissingField, "PageNum is missing", INVALID),
    ("no size of groups", post({"PageNum": 1}, GROUPS), MissingField, "PageSize is missing", INVALID),
    ("page 0 of groups", post({**PAGE, "PageNum": 0}, GROUPS), InvalidField, "PageNum is 0", INVALID),
    ("0 groups", post({**PAGE, "PageSize": 0}, GROUPS), InvalidField, "PageSize is 0", INVALID),
    ("1,001 groups", post({**PAGE, "PageSize": 1001}, GROUPS), InvalidField, "PageSize is 1001", INVALID),
    ("status 2", post({**PAGE, "StatusList": [0, 2]}, GROUPS), InvalidField, r"StatusList\[1\] is 2", INVALID),
    (
        "a group without a name",
        post({"Name": "", "ProjectName": "p"}, "CreatePullToPushGroup"),
        MissingField,
        "N",
        INVALID,
    ),
    (
        "a blank in a group",
        post({"Name": "a b", "ProjectName": "p"}, "CreatePullToPushGroup"),
        InvalidField,
        "N",
        INVALID,
    ),
    ("page 1,001", post({**PAGE, "PageNum": 1001}, "ListPullToPushGroup"), InvalidField, "from 1 to 1000", INVALID),
    ("501 tasks", get({"Size": 501}, "ListPullToPushTask"), InvalidField, "from 1 to 500", INVALID),
    # What is no JSON.
    ("not JSON", post(b"Vhost=acme"), MalformedRequest, "not JSON", BIND),
    ("a list", post(b"[]"), MalformedRequest, "no object", BIND),
    ("a name twice", post(b'{"App":"a","App":"b"}'), MalformedRequest, "twice", BIND),
    ("NaN", post(b'{"App":NaN}'), MalformedRequest, "NaN", BIND),
    ("beyond 64 bits", post({**TASK, "EndTime": 10**30}, MAKE), InvalidField, "a number beyond 64 bits", INVALID),
    ("a huge float", post({**TASK, "EndTime": 1e300}, MAKE), WrongType, "EndTime is 1e", BIND),
    ("too deep", post(b'{"App":' * 30_000), MalformedRequest, "too deep", BIND),
    (
        "deep inside",
        post(b'{"Tags":' + b"[" * 500 + b"]" * 500 + b"}", "UpdatePullToPushGroup"),
        MissingField,
        "N",
        INVALID,
    ),
    ("half a pair", post(b'{"App":"\\ud800"}'), MalformedRequest, "surrogate", BIND),
    ("too large", post(b" " * (wire.MAX_BODY + 1)), MalformedRequest, f"at most {wire.MAX_BODY}", BIND),
    ("PUT", msgspec.structs.replace(post(STREAM), method="PUT"), MalformedRequest, "GET or POST", BIND),
]


@pytest.mark.parametrize(("request_", "error", "words", "code"), [r[1:] for r in FAULTS], ids=[r[0] for r in FAULTS])
def test_fault_of_a_parameter(request_: HttpRequest, error: type[Exception], words: str, code: str) -> None:
    with pytest.raises(error, match=words) as caught:
        wire.decode_request(request_)
    made = wire.encode_error(caught.value, request_, "id-1")
    said = json.loads(made.body)["ResponseMetadata"]
    assert (made.status, said["Error"]["Code"]) == (400, code)
    assert said["Error"]["Message"] == str(caught.value)
    assert said["Action"] == wire.resolve(request_).about.action


@pytest.mark.parametrize(
    "body",
    [
        {**TASK, "EndTime": 604_801, "Title": "测" * 20, "CallbackURL": "h" * 2000, "SrcAddr": "r" * 1000},
        {**FILES, "SrcAddrS": ["f" * 1000] * 30, "OffsetS": [0.5] * 30, "CycleMode": -1},
        {**FILES, "SrcAddrS": [], "VodSrcAddrs": [{"SrcAddr": "f" * 1000, "StartOffset": 0, "EndOffset": 0.1}] * 30},
        {**FILES, "SrcAddrS": [], "VodSrcAddrs": [{"SrcAddr": "f", "StartOffset": None, "EndOffset": None}]},
        {**FILES, "SrcAddrS": [], **VOD, "Offset": 5, "PlayTimes": None},
        {**TASK, "GroupName": "g" * 20, "Title": "a", "StartTime": 0, "EndTime": 1, "CallbackURL": ""},
        # What does not count may be anything of its type.
        {**TASK, "CycleMode": -9, "PreDownload": 7, "ContinueStrategy": 9, "OffsetS": [1.0]},
        {**TASK, "Domain": "d", "App": "a/b", "Stream": "s" * 101},
        {**FILES, "SrcAddr": "x", "PlayTimes": 0, "CycleMode": 0},
        {**FILES, "SrcAddrS": ["a"], "Offset": 5},
        {**TASK, "Watermark": None, "VodSrcAddrs": [], "GroupName": ""},
    ],
)
def test_task_at_its_limits_passes(body: dict[str, Any]) -> None:
    for action, more in ((MAKE, {}), ("UpdatePullToPushTask", {"TaskId": "t"})):
        assert decoded(post(body | more, action))


@pytest.mark.parametrize(
    ("request_", "made"),
    [
        (
            post({"Name": "测" * 20, "ProjectName": "p", "Tags": [{"Key": "k", "Value": "", "Category": None}]}, GROUP),
            relays.CreatePullToPushGroup.make(name="测" * 20, project_name="p", tags=[{"Key": "k", "Value": ""}]),
        ),
        (post({"Name": "g", "ProjectName": "p", "Tags": []}, GROUP), relays.CreatePullToPushGroup("g", "p")),
        (
            post({"Name": "a b", "Tags": [{"Key": "k", "Value": "v", "Category": "System"}]}, "UpdatePullToPushGroup"),
            relays.UpdatePullToPushGroup("a b", [relays.Tag(key="k", value="v", category="System")]),
        ),
        (post({"PageNum": 1000, "PageSize": 1000, "StatusList": []}, GROUPS), relays.ListPullToPushGroup(1000, 1000)),
        (
            get({"Page": "", "Size": "", "GroupName": ""}, "ListPullToPushTask"),
            relays.ListPullToPushTask("", "", 1, 20),
        ),
        (
            get({"Size": 500, "GroupName": "g" * 20}, "ListPullToPushTask"),
            relays.ListPullToPushTask("g" * 20, "", 1, 500),
        ),
        (get({"Size": 1}, "ListPullToPushTask"), relays.ListPullToPushTask(size=1)),
        (get({"PageNum": 1, "PageSize": 1000}, LIST), streams.DescribeLiveStreamInfoByPage(1, 1000)),
    ],
)
def test_limits_and_defaults_of_what_is_listed(request_: HttpRequest, made: Operation[Any]) -> None:
    assert decoded(request_) == made


@pytest.mark.parametrize(("app", "stream"), [("a" * 30, "s" * 100), ("0.-_", "9.-_"), (".", "..")])
def test_names_at_their_limits_pass(app: str, stream: str) -> None:
    assert decoded(post({"Domain": "d", "App": app, "Stream": stream}))


@given(st.binary(max_size=80), st.sampled_from(sorted(set(wire.OPERATIONS) - BY_GET - {"ListPullToPushGroup"})))
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
def test_random_values_decode_or_have_an_answer(values: dict[str, Any], action: str) -> None:
    request = post(values, action)
    try:
        wire.decode_request(request)
    except PenstockError as error:
        said = json.loads(wire.encode_error(error, request, "id").body)
        assert said["ResponseMetadata"]["Error"]["Code"].startswith("InvalidParam")


@given(st.text(max_size=60))
def test_random_queries_raise_nothing_but_our_errors(query: str) -> None:
    with pytest.raises(PenstockError):
        wire.decode_request(HttpRequest(method="GET", target=f"/?{query}", headers=Headers()))


# What a client reads, and what a server answers.


def our_errors() -> list[type[PenstockError]]:
    found = [errors.RequestRefused, errors.DomainError]
    for each in found:
        found += each.__subclasses__()
    # Classes of answers are made of kinds; they are the client's.
    return [each for each in dict.fromkeys(found) if not issubclass(each, ApiError)]


def made_of(error: type[PenstockError]) -> PenstockError:
    if issubclass(error, MissingField | UnknownField):
        return error("Domain", "there")
    return error("Domain", 5, "text") if issubclass(error, InvalidField) else error("it says <why> & how")


@pytest.mark.parametrize("error", our_errors(), ids=lambda error: error.__name__)
def test_error_comes_back_as_its_kind(error: type[PenstockError]) -> None:
    ask = streams.DescribeLiveStreamInfoByPage.make(page_num=1, page_size=1)
    made = wire.encode_error(made_of(error), get(PAGE, LIST), "id-1")
    code = codes.code_of(made_of(error))
    said = json.loads(made.body)["ResponseMetadata"]
    assert (said["Error"]["Code"], said["Error"].get("CodeN")) == (code.code, code.number)
    assert {**said, "Error": 0} == {
        "RequestId": "id-1",
        "Action": LIST,
        "Version": "2023-01-01",
        "Service": "live",
        "Region": "cn-north-1",
        "Error": 0,
    }
    with pytest.raises(ApiError) as caught:
        wire.decode_response(ask, made)
    assert caught.value.kind is codes.kind_of(code.code, made.status, ask.about.errors)
    assert caught.value.kind is not None
    assert isinstance(caught.value, caught.value.kind)
    found = (caught.value.cloud, caught.value.code, caught.value.request_id, caught.value.status)
    assert found == ("volcengine", code.code, "id-1", code.status)


@pytest.mark.parametrize("operation", wire.OPERATIONS.values(), ids=wire.OPERATIONS.keys())
def test_error_that_an_operation_declares_comes_back_by_its_first_of_that_code(operation: type[Operation[Any]]) -> None:
    exchange = next(each for each in EXCHANGES if each.action == operation.about.action)
    for error in operation.about.errors:
        made = wire.encode_error(made_of(error), post({}, operation.about.action), "i")
        with pytest.raises(ApiError) as caught:
            wire.decode_response(operation_of(exchange), made)
        code = codes.ERROR_CODES[error]
        assert caught.value.kind is next(each for each in operation.about.errors if codes.ERROR_CODES[each] == code)


@pytest.mark.parametrize(
    ("action", "code", "kind"),
    [
        ("KillStream", "ResourceNotFound", NotOnAir),
        ("ResumeStream", "ResourceNotFound", NotBanned),
        ("DeletePullToPushTask", "ResourceNotFound", NotFound),
        ("DeletePullToPushTask", "RequestForbidden", Denied),
        ("StopPullToPushTask", "InvalidParam", Conflict),
        ("ForbidStream", "InvalidParam", InvalidField),
        ("ForbidStream", "RequestForbidden", UnknownVhost),
        ("ForbidStream", "RequestForbidden.AccountIDNotAllow", Denied),
        ("ForbidStream", "LackPolicy", Denied),
        ("ForbidStream", "AccessDenied", Denied),
        ("ForbidStream", "InternalServiceTimeout", Unavailable),
        ("ForbidStream", "InternalError", Unavailable),
        ("ForbidStream", "FlowLimitExceeded", LimitExceeded),
        ("ForbidStream", "SomethingNew", None),
    ],
)
def test_code_is_read_by_what_the_operation_may_meet(action: str, code: str, kind: type[Exception] | None) -> None:
    exchange = next(each for each in EXCHANGES if each.action == action)
    said = {"ResponseMetadata": {"RequestId": "r", "Error": {"Code": code, "Message": "why"}}}
    with pytest.raises(ApiError, match="why") as caught:
        wire.decode_response(operation_of(exchange), answer(said, 400))
    assert caught.value.kind is kind


def test_every_gateway_code_has_its_number() -> None:
    # As published; what the service finds has none.
    numbers = {code.code: (code.number, code.status) for code in codes.ERROR_CODES.values() if code.number}
    assert numbers == {
        "MissingParameter": (100002, 400),
        "MissingAuthenticationToken": (100003, 401),
        "MissingRequestInfo": (100004, 400),
        "MissingSignature": (100005, 401),
        "InvalidTimestamp": (100006, 400),
        "ServiceNotFound": (100007, 404),
        "InvalidActionOrVersion": (100008, 404),
        "InvalidAccessKey": (100009, 401),
        "SignatureDoesNotMatch": (100010, 401),
        "InternalError": (100014, 500),
        "FailToConnect": (100015, 502),
        "FlowLimitExceeded": (100018, 429),
    }


@pytest.mark.parametrize("request_", [post({}, ""), post({}, "CreateDomain"), get({}, LIST, "&a=%ff")])
def test_early_refusal_says_the_call_alone(request_: HttpRequest) -> None:
    made = wire.encode_error(MissingOperation("no"), request_, "id-1")
    assert list(json.loads(made.body)["ResponseMetadata"]) == ["RequestId", "Error"]


def test_json_holds_whatever_a_message_says() -> None:
    made = wire.encode_error(MalformedRequest("half \ud800 <\x00>"), post({}), "id-1")
    assert json.loads(made.body)["ResponseMetadata"]["Error"]["Message"] == "half \ufffd <\ufffd>"


def test_fault_of_our_own_is_answered_without_its_text() -> None:
    made = wire.encode_error(KeyError("secret"), post({}), "id-1")
    assert made.status == 500
    assert json.loads(made.body)["ResponseMetadata"]["Error"]["CodeN"] == 100014
    assert b"secret" not in made.body


META = {"RequestId": "r"}


@pytest.mark.parametrize(
    ("response", "kind", "code"),
    [
        (answer({"ResponseMetadata": {**META, "Error": {"Code": "CommonErr"}}}), Unavailable, "CommonErr"),
        (answer({"ResponseMetadata": {**META, "Error": {"Code": "New"}}}), None, "New"),
        (answer({"ResponseMetadata": {**META, "Error": {"CodeN": 5}}}, 500), Unavailable, ""),
        (answer(b"<html>busy</html>", 502), Unavailable, ""),
        (answer(b"", 503), Unavailable, ""),
        (answer(b"", 429), LimitExceeded, ""),
        (answer(b"", 200), None, ""),
        (answer(b"[]", 200), None, ""),
        (answer({}), None, ""),
        (answer({"Result": {}}), None, ""),
        (answer({"ResponseMetadata": 5}), None, ""),
        (answer({"ResponseMetadata": META, "Result": 5}), None, ""),
        (answer({"ResponseMetadata": META, "Result": {"StreamInfoList": 5}}), None, ""),
        (answer({"ResponseMetadata": META}, 400), None, ""),
        (answer(b"[" * 100_000), None, ""),
    ],
)
def test_whatever_is_answered_is_an_api_error(response: HttpResponse, kind: type[Exception] | None, code: str) -> None:
    ask = streams.DescribeLiveStreamInfoByPage.make(page_num=1, page_size=1)
    with pytest.raises(ApiError) as caught:
        wire.decode_response(ask, response)
    assert (caught.value.kind, caught.value.code, caught.value.status) == (kind, code, response.status)


@given(st.binary(max_size=100), st.sampled_from([200, 302, 400, 500]))
def test_random_answers_raise_nothing_but_api_errors(body: bytes, status: int) -> None:
    ask = streams.KillStream.make(vhost="v", app="a", stream="s")
    with pytest.raises(ApiError):
        wire.decode_response(ask, answer(body, status))


@given(JSON_VALUES)
def test_random_data_is_a_result_or_an_api_error(data: Any) -> None:
    with suppress(ApiError):
        said = {"ResponseMetadata": META, "Result": {"List": data}}
        wire.decode_response(relays.ListPullToPushTask(), answer(msgspec.json.encode(said)))


def test_pages_end_with_one_that_is_not_full() -> None:
    # RoughCount may be the page's own: it is not gone by.
    paging = streams.DescribeLiveStreamInfoByPage.about.paging
    assert paging is not None
    exchange = next(each for each in EXCHANGES if each.action == "DescribeLiveStreamInfoByPage")
    ask = streams.DescribeLiveStreamInfoByPage.make(page_num=1, page_size=1)
    result = wire.decode_response(ask, answer(exchange.answer))
    after = paging.after(ask, result)
    assert after == msgspec.structs.replace(ask, page_num=2)
    result.stream_info_list.clear()
    assert paging.after(after, result) is None
    assert paging.after(msgspec.structs.replace(ask, page_size=2), result) is None
