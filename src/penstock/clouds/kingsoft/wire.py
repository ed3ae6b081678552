"""The form of KLS requests and answers, for the client's half and the server's.

We send what the pages document: Action and Version in the query, the rest in the query of a GET or
the JSON body of a POST. The official kscore names the operation in headers that no page mentions; the
form in the query is the one that the service promises, and that a proxy's log can be read by.

We take every form that an official client sends: the operation from the query, `X-Action` or
`X-Amz-Target`, as long as all that are there agree; any operation by GET or POST; a JSON body under
whatever content type; and beside the parameters those members that the second-generation SDK adds.

    {"Data": {..., "RetCode": 0, "RetMsg": "success"}, "RequestId": "..."}          HTTP 200
    {"RequestId": "...", "Error": {"Type": "Sender", "Code": "...", "Message": "..."}}   other

Source: KLS OpenAPI 2017-01-01, calling conventions; both official Python SDKs (read 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TypeVar, cast
from urllib.parse import quote

import msgspec

from penstock.clouds import members, shape
from penstock.clouds.contract import Asked, Credentials, Operation, Result
from penstock.clouds.http import Endpoint, Headers, HttpRequest, HttpResponse
from penstock.clouds.kingsoft import checks, codes, records, signing, streams
from penstock.clouds.reading import read_object, read_query
from penstock.errors import (
    ApiError,
    InvalidField,
    MalformedRequest,
    MissingOperation,
    PenstockError,
    UnknownField,
    UnknownOperation,
)

R = TypeVar("R", bound=Result)

CLOUD: Final = "kingsoft"
ENDPOINT: Final = Endpoint("https", "kls.api.ksyun.com")
OPERATIONS: Final = {**streams.OPERATIONS, **records.OPERATIONS}
VERSION: Final = "2017-01-01"
JSON: Final = "application/json"
XML: Final = "text/xml"

# What may stand beside an operation's parameters: common ones, and the second-generation SDK's.
COMMON: Final = frozenset(
    {"Action", "Version", "Service", "Region", "Accesskey", "SdkVersion", "Language", "DryRun"},
)
_DRY_RUN: Final[Mapping[object, bool]] = {"true": True, "1": True, "false": False, "0": False, "": False}

read_claim = checks.read_claim
verify = checks.verify


# Client: request out, answer in.


def encode_request(
    operation: Operation[Any], credentials: Credentials, now: datetime, endpoint: Endpoint = ENDPOINT
) -> HttpRequest:
    """Return the signed request of an operation; members at their defaults are left out."""
    about = operation.about
    given = _given(operation)
    query = {"Action": about.action, "Version": VERSION}
    if about.method == "GET":
        query |= {name: _as_text(value) for name, value in given.items()}
    text = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query.items())
    request = HttpRequest(
        method=about.method,
        target=f"{endpoint.path}{about.path}?{text}",
        headers=Headers([("Host", endpoint.host), ("Accept", JSON), ("Content-Type", JSON)]),
        body=b"" if about.method == "GET" else msgspec.json.encode(given),
    )
    return signing.sign(request, credentials, now)


def _given(operation: Operation[Any]) -> dict[str, Any]:
    wire: dict[str, Any] = msgspec.to_builtins(operation)
    there = members.members_of(type(operation))
    return {
        each.wire_name: wire[each.wire_name]
        for each in there
        if each.is_required or getattr(operation, each.name) != each.default
    }


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def decode_response(operation: Operation[R], response: HttpResponse) -> R:
    """Return the result of a call.

    Raises:
        ApiError: KLS refused, or its answer cannot be read.
    """
    raw = _read_answer(response)
    request_id = str(raw.get("RequestId") or "")
    data = raw.get("Data")
    if isinstance(data, list):  # one published sample has it so
        data = data[0] if data else {}
    if not isinstance(data, dict):
        raise ApiError(CLOUD, "", "the answer has no Data", request_id=request_id, status=response.status)
    # Several published samples have members, RetCode among them, beside Data.
    data = {name: value for name, value in raw.items() if name not in ("Data", "RequestId")} | data
    code = data.pop("RetCode", codes.SUCCESS)
    if code not in (codes.SUCCESS, str(codes.SUCCESS)):
        raise _api_error(response, str(code), str(data.get("RetMsg", "")), request_id)
    try:
        result = shape.decode(data, cast("type[R]", operation.result))
    except msgspec.ValidationError as error:
        message = f"the answer does not fit {type(operation).__name__}: {error}"
        raise ApiError(CLOUD, "", message, request_id=request_id, status=response.status) from error
    return result.came_in(raw, request_id)


def _read_answer(response: HttpResponse) -> dict[str, Any]:
    try:
        raw = msgspec.json.decode(response.body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raw = None
    if not isinstance(raw, dict):
        raise _foreign(response)
    error = raw.get("Error")
    if isinstance(error, dict) or response.status >= 300:
        found = error if isinstance(error, dict) else {}
        code, message = str(found.get("Code") or ""), str(found.get("Message") or "")
        raise _api_error(response, code, message, str(raw.get("RequestId") or ""))
    return raw


def _foreign(response: HttpResponse) -> ApiError:
    """What to make of an answer that is no JSON object: XML of the platform, or somebody else's page."""
    text = response.body[:65_536].decode("utf-8", "replace")
    found = {name: _unescaped(value) for name, value in re.findall(r"<(RequestId|Code|Message)>([^<]*)<", text)}
    if "Code" in found:
        return _api_error(response, found["Code"], found.get("Message", ""), found.get("RequestId", ""))
    return _api_error(response, "", f"no answer of KLS: {text[:200]!r}", "")


def _api_error(response: HttpResponse, code: str, message: str, request_id: str) -> ApiError:
    kind = codes.kind_of(code, response.status)
    return ApiError.of(kind)(CLOUD, code, message, request_id=request_id, status=response.status)


# Server: request in, answer out.


def resolve(request: HttpRequest) -> type[Operation[Any]]:
    """Return the operation that a request names.

    Raises:
        MissingOperation: no Action, or no Version.
        UnknownOperation: none of that name or version, or two names.
        MalformedRequest: the query cannot be read.
    """
    query = read_query(request.query)
    target = request.headers.get("X-Amz-Target")
    service, _, named = target.rpartition(".")
    if target and service != signing.SERVICE:
        raise UnknownOperation(f"X-Amz-Target is {target[:80]!r}; it must be {signing.SERVICE}.<Action>")
    action = _one("Action", (query.get("Action", ""), *request.headers.get_all("X-Action"), named))
    # kscore's target says no version; there is but one.
    implied = VERSION if named else ""
    version = _one("Version", (query.get("Version", ""), *request.headers.get_all("X-Version"))) or implied
    if not action or not version:
        name = "Version" if action else "Action"
        raise MissingOperation(f"{name} is missing; it must be in the query or in X-{name}")
    if version != VERSION or action not in OPERATIONS:
        raise UnknownOperation(f"there is no {action[:64]!r} in version {version[:16]!r}")
    return OPERATIONS[action]


def _one(name: str, said: tuple[str, ...]) -> str:
    different = {each for each in said if each}
    if len(different) > 1:
        shown = " and ".join(repr(each[:64]) for each in sorted(different))
        raise UnknownOperation(f"{name} is {shown}; it must be one")
    return different.pop() if different else ""


def decode_request(request: HttpRequest, operation: type[Operation[Any]] | None = None) -> Asked:
    """Return what a request asks for, every limit checked; `operation` is what `resolve` told, if it was asked.

    Raises:
        MalformedRequest: neither GET nor POST, or a query or body that cannot be read.
        MissingOperation, UnknownOperation: as `resolve`.
        InvalidField: a parameter is missing, unknown, over its limits, or in the wrong place.
    """
    operation = operation or resolve(request)
    query = read_query(request.query)
    body = read_object(request.body)
    if request.method not in ("GET", "POST"):
        raise MalformedRequest(f"the method is {request.method[:16]!r}; it must be GET or POST")
    is_text = request.method == "GET"
    values, elsewhere = (query, body) if is_text else (body, query)
    for name in elsewhere:
        if name not in COMMON:
            raise UnknownField(name, f"in the {'query of a GET' if is_text else 'JSON body of a POST'}")
    if "Action" in body and body["Action"] != operation.about.action:
        raise UnknownOperation(f"Action is {operation.about.action!r}, and another one in the body")
    given = _without_absent(_in_one_spelling(values, operation), operation)
    members.check_names(operation, given, members.Names.WIRE)
    decoded = members.convert(given, operation, is_text=is_text)
    return Asked(decoded, dry_run=_is_dry_run({**query, **body}.get("DryRun", "")))


def _in_one_spelling(values: Mapping[str, Any], operation: type[Operation[Any]]) -> Mapping[str, Any]:
    """Give members their own name that came under their second one, as a sample of the official SDK has it.

    Raises:
        InvalidField: it came under both, with two values.
    """
    seconds = {each.spelled_too: each.wire_name for each in members.members_of(operation) if each.spelled_too}
    found = {seconds[name]: value for name, value in values.items() if name in seconds}
    for name, value in found.items():
        if values.get(name, value) != value:
            raise InvalidField(name, values[name], "one value, under one spelling")
    return {name: value for name, value in values.items() if name not in seconds} | found


def _without_absent(values: Mapping[str, Any], operation: type[Operation[Any]]) -> dict[str, Any]:
    """Drop common members, and what the official wrapper fills in where its caller said nothing."""
    zeros = {each.wire_name for each in members.members_of(operation) if each.zero_is_absent}
    return {
        name: value
        for name, value in values.items()
        if name not in COMMON and value not in ("", None) and not (name in zeros and _is_zero(value))
    }


def _is_zero(value: object) -> bool:
    return value == "0" or (type(value) is int and value == 0)


def _is_dry_run(value: object) -> bool:
    said = str(value).lower() if isinstance(value, bool | str | int) else None
    if said not in _DRY_RUN:
        raise InvalidField("DryRun", value, "true or false")
    return _DRY_RUN[said]


def encode_result(operation: Operation[R], result: R, request_id: str) -> HttpResponse:
    """Return the answer to a call that worked."""
    del operation  # KLS has one envelope for all
    data = shape.encode(result) | _ret(codes.SUCCESS)
    return _json(200, {"Data": data, "RequestId": request_id})


def encode_error(error: Exception, request: HttpRequest, request_id: str) -> HttpResponse:
    """Return the answer to a call that did not work.

    An `Error` object is XML unless the request accepts JSON by name; a RetCode is always JSON.
    """
    message = _clean(str(error)) if isinstance(error, PenstockError) else "unknown fault; try again"
    code = codes.code_of(error)
    if isinstance(code, codes.RetCode):
        # What is wrong with a parameter is worth saying; the other texts stay as published.
        detail = f": {message}" if isinstance(error, InvalidField) else ""
        return _json(200, {"Data": _ret(code.code, detail), "RequestId": request_id})
    sender = "Sender" if code.status < 500 else "Receiver"
    fault = {"Type": sender, "Code": code.code, "Message": message}
    if _accepts_json(request):
        return _json(code.status, {"RequestId": request_id, "Error": fault})
    inner = "".join(f"<{name}>{_escaped(value)}</{name}>" for name, value in fault.items())
    text = f"<ErrorResponse><RequestId>{_escaped(request_id)}</RequestId><Error>{inner}</Error></ErrorResponse>"
    return _answer(code.status, XML, text.encode())


def code_of(error: Exception) -> str:
    """Return the code that an error travels as: an `Error` object's, or a RetCode's digits."""
    return str(codes.code_of(error).code)


def _ret(code: int, detail: str = "") -> dict[str, Any]:
    return {"RetCode": code, "RetMsg": f"{codes.RET_MSGS[code]}{detail}"}


def _json(status: int, value: object) -> HttpResponse:
    return _answer(status, JSON, msgspec.json.encode(value))


def _answer(status: int, content_type: str, body: bytes) -> HttpResponse:
    headers = [("Content-Type", f"{content_type}; charset=utf-8"), ("Content-Length", str(len(body)))]
    return HttpResponse(status=status, headers=Headers(headers), body=body)


def _accepts_json(request: HttpRequest) -> bool:
    ranges = ",".join(request.headers.get_all("Accept")).lower().split(",")
    return any(each.partition(";")[0].strip() == JSON for each in ranges)


# Characters that XML 1.0 cannot carry at all, or JSON no half of. Said this way round, as the class of all
# others takes 5 ms to compile.
_UNSPEAKABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def _clean(text: str) -> str:
    return _UNSPEAKABLE.sub("\ufffd", text)


_ENTITIES: Final = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&apos;"))


def _escaped(text: str) -> str:
    for plain, entity in _ENTITIES:
        text = text.replace(plain, entity)
    return text


def _unescaped(text: str) -> str:
    for plain, entity in reversed(_ENTITIES):
        text = text.replace(entity, plain)
    return text
