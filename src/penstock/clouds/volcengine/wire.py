"""The form of Volcengine Live's requests and answers, for the client's half and the server's.

Action and Version are in the query, always. The other parameters are in the query of a GET or the JSON body
of a POST. We send each operation as it is documented, and take each by either method: the older official
client posts what the newer one gets. A signed URL (`checks.is_in_query`) has all of them in its query.

Parameters that nobody knows are passed over, and empty ones count as absent, as the cloud has it; one that
an operation knows, in the place where it does not count, is refused.

    {"ResponseMetadata": {"RequestId", "Action", "Version", "Service", "Region"}, "Result": {...}}
    {"ResponseMetadata": {..., "Error": {"CodeN", "Code", "Message"}}}

An error has an HTTP status of its own; the cloud's CommonErr comes with 200.

Source: Volcengine Live OpenAPI 2023-01-01, calling conventions and common errors; the official Python SDK
`volcengine` 1.0.229 (read 2026-11).
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
from penstock.clouds.members import Member
from penstock.clouds.reading import read_object, read_query
from penstock.clouds.volcengine import checks, codes, relays, signing, streams
from penstock.errors import (
    ApiError,
    InvalidField,
    MalformedRequest,
    MissingOperation,
    PenstockError,
    RequestRefused,
    UnknownField,
    UnknownOperation,
    WrongFormat,
)

R = TypeVar("R", bound=Result)

CLOUD: Final = "volcengine"
ENDPOINT: Final = Endpoint("https", "live.volcengineapi.com")
VERSION: Final = "2023-01-01"
JSON: Final = "application/json"
OPERATIONS: Final[dict[str, type[Operation[Any]]]] = {
    operation.about.action: operation for operation in (*streams.STREAMS, *relays.RELAYS)
}

# A watermark's picture has 2 MB, and four letters for three bytes.
WITH_PICTURES: Final = ("CreatePullToPushTask", "UpdatePullToPushTask")
MAX_BODY: Final = 3 * 1024 * 1024
_DEPTH: Final = 3  # a list of objects of numbers; nothing that is deeper fits
_MAX_EXACT: Final = 2**53  # above, a JSON number of other languages has lost its last digits

read_claim = checks.read_claim
verify = checks.verify


# Client: request out, answer in.


def encode_request(
    operation: Operation[Any], credentials: Credentials, now: datetime, endpoint: Endpoint = ENDPOINT
) -> HttpRequest:
    """Return the signed request of an operation; members at their defaults are left out."""
    return signing.sign(_unsigned(operation, endpoint), credentials, now)


def encode_url(
    operation: Operation[Any], credentials: Credentials, now: datetime, endpoint: Endpoint = ENDPOINT
) -> HttpRequest:
    """Return the request of an operation with its signature in the query.

    Raises:
        ValueError: it has a list or an object among its parameters, for which a query has no form.
    """
    given = _given(operation)
    if any(isinstance(value, list | tuple | dict) for value in given.values()):
        raise ValueError(f"{operation.about.action} has lists or objects; its parameters do not fit into a URL")
    query = _query({"Action": operation.about.action, "Version": VERSION, **given})
    target = f"{endpoint.path}{operation.about.path}?{query}"
    headers = Headers([("Host", endpoint.host), ("Accept", JSON)])
    return signing.sign_query(HttpRequest(method="GET", target=target, headers=headers), credentials, now)


def _unsigned(operation: Operation[Any], endpoint: Endpoint) -> HttpRequest:
    about, given = operation.about, _given(operation)
    is_get = about.method == "GET"
    query = _query({"Action": about.action, "Version": VERSION, **(given if is_get else {})})
    content_type = [] if is_get else [("Content-Type", JSON)]
    return HttpRequest(
        method=about.method,
        target=f"{endpoint.path}{about.path}?{query}",
        headers=Headers([("Host", endpoint.host), ("Accept", JSON), *content_type]),
        body=b"" if is_get else msgspec.json.encode(given),
    )


def _given(operation: Operation[Any]) -> dict[str, Any]:
    """The members that say something, in their wire names."""
    wire = shape.encode(operation)
    return {
        each.wire_name: wire[each.wire_name]
        for each in members.members_of(type(operation))
        if each.is_required or not (getattr(operation, each.name) == each.default or wire[each.wire_name] in ([], ()))
    }


def _query(values: Mapping[str, Any]) -> str:
    return "&".join(f"{quote(name, safe='')}={quote(_as_text(value), safe='')}" for name, value in values.items())


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def decode_response(operation: Operation[R], response: HttpResponse) -> R:
    """Return the result of a call.

    Raises:
        ApiError: the cloud refused, whatever its status says, or its answer cannot be read.
    """
    raw, request_id = _read_answer(operation, response)
    # An operation without a result may be given one of any form by newer models.
    has_members = bool(operation.result.__struct_fields__)
    inner = raw.get("Result") if has_members else {}
    try:
        result = shape.decode({} if inner is None else inner, cast("type[R]", operation.result))
    except msgspec.ValidationError as error:
        message = f"the answer does not fit {type(operation).__name__}: {error}"
        raise ApiError(CLOUD, "", message, request_id=request_id, status=response.status) from error
    return result.came_in(raw, request_id)


def _read_answer(operation: Operation[Any], response: HttpResponse) -> tuple[dict[str, Any], str]:
    try:
        raw = msgspec.json.decode(response.body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raw = None
    if not isinstance(raw, dict):
        shown = response.body[:200].decode("utf-8", "replace")
        raise _api_error(operation, response, "", f"no answer of Volcengine Live: {shown!r}", "")
    said = raw.get("ResponseMetadata")
    about = said if isinstance(said, dict) else {}
    request_id, error = str(about.get("RequestId") or ""), about.get("Error")
    if isinstance(error, dict) or response.status >= 300:
        found = error if isinstance(error, dict) else {}
        code, message = str(found.get("Code") or ""), str(found.get("Message") or "")
        raise _api_error(operation, response, code, message, request_id)
    if not about:
        raise _api_error(operation, response, "", "the answer has no ResponseMetadata", "")
    return raw, request_id


def _api_error(operation: Operation[Any], response: HttpResponse, code: str, message: str, request_id: str) -> ApiError:
    kind = codes.kind_of(code, response.status, operation.about.errors)
    return ApiError.of(kind)(CLOUD, code, message, request_id=request_id, status=response.status)


# Server: request in, answer out.


def resolve(request: HttpRequest) -> type[Operation[Any]]:
    """Return the operation that a request names.

    Raises:
        MissingOperation: no Action, or no Version.
        UnknownOperation: none of that name or version.
        MalformedRequest: the query cannot be read.
    """
    query = read_query(request.query)
    action, version = query.get("Action", ""), query.get("Version", "")
    if not action or not version:
        raise MissingOperation(f"{'Version' if action else 'Action'} is missing; it must be in the query")
    if version != VERSION or action not in OPERATIONS:
        raise UnknownOperation(f"there is no {action[:64]!r} in version {version[:16]!r}")
    return OPERATIONS[action]


def decode_request(request: HttpRequest, operation: type[Operation[Any]] | None = None) -> Asked:
    """Return what a request asks for, every limit checked; `operation` is what `resolve` told, if it was asked.

    Raises:
        MalformedRequest: neither GET nor POST, or a query or body that cannot be read.
        MissingOperation, UnknownOperation: as `resolve`.
        InvalidField: a parameter is missing, over its limits, or in the wrong place.
    """
    operation = operation or resolve(request)
    query = read_query(request.query)
    body = read_object(request.body, MAX_BODY)
    if request.method not in ("GET", "POST"):
        raise MalformedRequest(f"the method is {request.method[:16]!r}; it must be GET or POST")
    is_text = request.method == "GET" or checks.is_in_query(request)
    values, elsewhere = (query, body) if is_text else (body, query)
    given: dict[str, Any] = {}
    for member in members.members_of(operation):
        name = member.wire_name
        if name in elsewhere:
            raise UnknownField(name, f"in the {'query of a GET' if is_text else 'JSON body of a POST'}")
        if values.get(name) not in ("", None, []):
            given[name] = _readable(member, values[name], is_text)
    return Asked(_made(given, operation, is_text))


def _made(given: dict[str, Any], operation: type[Operation[Any]], is_text: bool) -> Operation[Any]:
    try:
        return members.convert(given, operation, is_text=is_text)
    except WrongFormat as error:
        if WrongFormat in operation.about.errors:
            raise
        # Elsewhere the cloud's pages have no code of its own for it.
        raise InvalidField(error.field, error.value, error.wanted) from error


_WHOLE: Final = re.compile(r"([+-]?\d+)\.0*", re.ASCII)


def _readable(member: Member, value: Any, is_text: bool) -> Any:
    """Return a value as its member takes it: 5 for 5.0, and a word in the case that it is documented in."""
    if member.any_case and isinstance(value, str):
        return value.lower()
    if not is_text:
        return _whole(value)
    if member.wanted.startswith("an integer"):
        found = _WHOLE.fullmatch(value)
        return found[1] if found else value
    if member.wanted.startswith("a date") and value.lstrip("+-").replace(".", "").isdigit():
        # msgspec would take a number for Unix seconds.
        raise InvalidField(member.wire_name, value, member.wanted)
    return value


def _whole(value: Any, depth: int = _DEPTH) -> Any:
    """Return JSON with each float that is a whole number as one: the cloud's own models have floats for integers.

    What is null inside of an object is left out, as it is at the top.
    """
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) <= _MAX_EXACT else value
    if isinstance(value, list) and depth:
        return [_whole(each, depth - 1) for each in value]
    if isinstance(value, dict) and depth:
        return {name: _whole(each, depth - 1) for name, each in value.items() if each is not None}
    return value


def encode_result(operation: Operation[R], result: R, request_id: str) -> HttpResponse:
    """Return the answer to a call that worked; one that has nothing to tell has no Result."""
    said: dict[str, Any] = {"ResponseMetadata": _metadata(request_id, operation.about.action)}
    if operation.result.__struct_fields__:
        said["Result"] = shape.encode(result)
    return _json(200, said)


def encode_error(error: Exception, request: HttpRequest, request_id: str) -> HttpResponse:
    """Return the answer to a call that did not work; of the operation it says what could be read."""
    code = codes.code_of(error)
    message = _clean(str(error)) if isinstance(error, PenstockError) else "unknown fault; try again"
    fault: dict[str, Any] = {"Code": code.code, "Message": message}
    if code.number is not None:
        fault = {"CodeN": code.number, **fault}
    return _json(code.status, {"ResponseMetadata": {**_metadata_of(request, request_id), "Error": fault}})


def code_of(error: Exception) -> str:
    """Return the code that an error travels as."""
    return codes.code_of(error).code


def _metadata_of(request: HttpRequest, request_id: str) -> dict[str, str]:
    try:
        return _metadata(request_id, resolve(request).about.action)
    except RequestRefused:
        # An Action that is none of ours is not said back.
        return {"RequestId": request_id}


def _metadata(request_id: str, action: str) -> dict[str, str]:
    return {
        "RequestId": request_id,
        "Action": action,
        "Version": VERSION,
        "Service": signing.SERVICE,
        "Region": signing.REGION,
    }


def _json(status: int, value: object) -> HttpResponse:
    body = msgspec.json.encode(value)
    headers = [("Content-Type", f"{JSON}; charset=utf-8"), ("Content-Length", str(len(body)))]
    return HttpResponse(status=status, headers=Headers(headers), body=body)


_UNSPEAKABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def _clean(text: str) -> str:
    return _UNSPEAKABLE.sub("\ufffd", text)
