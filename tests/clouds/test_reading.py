"""Bodies and queries that could be understood in two ways are refused, and cheaply."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.clouds.reading import MAX_PARAMETERS, MAX_QUERY, read_object, read_query
from penstock.errors import MalformedRequest

SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    SCALARS | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), VALUES))
def test_every_object_is_read(value: dict[str, Any]) -> None:
    assert read_object(json.dumps(value).encode()) == value
    assert read_object(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize("body", [b"", b"  \r\n", b"{}"])
def test_empty_body_is_an_empty_object(body: bytes) -> None:
    assert read_object(body) == {}


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1e400}',
        b'{"a":-1e999}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":"\\udc00"}',
        b'{"a":["\\ud800"]}',
        b'{"a":[["\\ud800"]]}',
        b'{"a":[{"b":"\\ud800"}]}',
        b'{"\\ud800":1}',
        b'{"a":"\xff"}',
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        b'{"a":1}x',
        b"{'a':1}",
        b'{"a":1,}',
        b'{"a":"\n"}',
        b"[]",
        b"null",
        b"5",
        b"[" * 100_000,
        b'{"a":' * 40_000,
        b" " * 262_145,
    ],
    ids=lambda body: repr(body[:24]),
)
def test_anything_else_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        read_object(body)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {}),
        ("a=1&b=", {"a": "1", "b": ""}),
        ("a", {"a": ""}),
        ("&&a=1&", {"a": "1"}),
        ("a=x+y%20z%2B", {"a": "x y z+"}),
        ("a=1=2", {"a": "1=2"}),
        ("%61=%E6%96%B0", {"a": "新"}),
        ("a=1;b=2", {"a": "1;b=2"}),
        ("=1", {"": "1"}),
    ],
)
def test_query_is_read_as_a_form(query: str, found: dict[str, str]) -> None:
    assert read_query(query) == found


@pytest.mark.parametrize(
    "query",
    [
        "a=1&a=1",
        "a=1&%61=2",
        "a=%ff",
        "%ff=a",
        "a=\ud800",
        "a=" + "1" * MAX_QUERY,
        "&" * MAX_PARAMETERS,
        "a=1&" * 100_000,
    ],
    ids=lambda query: repr(query[:24]),
)
def test_query_that_is_not_clear_is_refused(query: str) -> None:
    with pytest.raises(MalformedRequest):
        read_query(query)
