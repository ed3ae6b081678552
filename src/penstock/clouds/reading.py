"""Bodies and queries of callers read strictly: what could be understood in two ways is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import isinf
from types import MappingProxyType
from typing import Any, Final, NoReturn
from urllib.parse import unquote_to_bytes

from penstock.errors import MalformedRequest

MAX_PARAMETERS: Final = 200
MAX_QUERY: Final = 16_384  # characters
MAX_BODY: Final = 262_144  # bytes


def read_object(body: bytes, limit: int = MAX_BODY) -> dict[str, Any]:
    """Return the JSON object that a body is; an empty body is an empty object.

    Refused are: a name twice in one object, NaN and infinities, numbers that no double holds,
    nesting that exhausts the stack, and text that is not Unicode (a lone surrogate).

    Raises:
        MalformedRequest: any of these, or no JSON object.
    """
    if len(body) > limit:
        raise MalformedRequest(f"the body has {len(body)} bytes; it must have at most {limit}")
    if not body.strip():
        return {}
    try:
        value = _DECODER.decode(body.decode())
    except RecursionError:
        raise MalformedRequest("the body is nested too deep") from None
    except ValueError as error:  # not UTF-8, not JSON, or a number of thousands of digits
        raise MalformedRequest(f"the body is not JSON: {str(error)[:200]}") from None
    if not isinstance(value, dict):
        raise MalformedRequest("the body is JSON and no object")
    return value


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedRequest("the body says a name twice in one object")
    for name, value in pairs:
        _unicode(name)
        if isinstance(value, str):
            _unicode(value)
        elif isinstance(value, list):
            _unicode_items(value)
    return found


def _unicode_items(items: list[Any]) -> None:
    for each in items:
        if isinstance(each, str):
            _unicode(each)
        elif isinstance(each, list):
            _unicode_items(each)


def _unicode(text: str) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise MalformedRequest("the body holds half of a surrogate pair") from None


def _float(text: str) -> float:
    value = float(text)
    if isinf(value):
        raise MalformedRequest("the body holds a number that is too large")
    return value


def _constant(name: str) -> NoReturn:
    raise MalformedRequest(f"the body holds {name}, which is not JSON")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_constant=_constant)


def query_pairs(query: str) -> list[tuple[bytes, bytes]]:
    """Return the decoded pairs of a raw query, in order; `+` is a space, as in a form.

    Raises:
        MalformedRequest: too many of them, or too long; told before any is looked at.
    """
    check_query(query)
    pairs = (part.partition("=") for part in query.split("&") if part)
    return [(_unescape(name), _unescape(value)) for name, _, value in pairs]


def check_query(query: str) -> None:
    """Refuse a query by its size.

    Raises:
        MalformedRequest: too many parameters, or too long.
    """
    if len(query) > MAX_QUERY or query.count("&") >= MAX_PARAMETERS:
        raise MalformedRequest(f"the query is too long; {MAX_PARAMETERS} parameters and {MAX_QUERY} characters may be")


def _unescape(text: str) -> bytes:
    return unquote_to_bytes(text.replace("+", " ").encode("utf-8", "surrogatepass"))


@lru_cache(64)
def read_query(query: str) -> Mapping[str, str]:
    """Return the parameters of a raw query.

    A request's query is read for its operation and again for its parameters: the latest are kept.

    Raises:
        MalformedRequest: as `query_pairs`; or a name comes twice, or something is not UTF-8.
    """
    found: dict[str, str] = {}
    for name, value in _text_pairs(query):
        if name in found:
            raise MalformedRequest(f"the query says {name[:64]!r} twice")
        found[name] = value
    return MappingProxyType(found)


def _text_pairs(query: str) -> list[tuple[str, str]]:
    if query.isascii() and "%" not in query and "+" not in query:
        check_query(query)
        parts = [part.partition("=") for part in query.split("&") if part]
        return [(name, value) for name, _, value in parts]
    try:
        return [(name.decode(), value.decode()) for name, value in query_pairs(query)]
    except UnicodeDecodeError:
        raise MalformedRequest("the query is not UTF-8") from None
