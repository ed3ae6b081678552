"""Whatever a key's holder asks for: an answer in KLS's form and never a fault, down to the domain and the store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.clouds.http import HttpRequest
from penstock.clouds.kingsoft import streams, wire
from tests.api.kingsoft.front import CAM, CLIENT, Answer, Front, opened_front, read, signed, unsigned
from tests.clock import START

FAST = settings(max_examples=300)
ACTIONS = list(streams.OPERATIONS)
NAMES = sorted({field.encode_name for each in streams.OPERATIONS.values() for field in msgspec.structs.fields(each)})

texts = st.text(max_size=40)
words = st.sampled_from(["demo", "live", "push.demo.test", "cam", "other", "rtmp", "push", "0", "1", "-1", "", "²"])
numbers = st.one_of(
    st.integers(-3, 6000), st.integers(), st.floats(), st.just(10**400), st.just(int(START.timestamp()))
)
leaves = st.none() | st.booleans() | numbers | words | texts
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4))
objects = st.dictionaries(st.sampled_from(NAMES) | st.sampled_from(["DryRun", "Action", "Version"]) | texts, values)
bodies = st.one_of(
    st.binary(max_size=300),
    objects.map(lambda value: json.dumps(value).encode()),
    objects.map(lambda value: json.dumps({**CAM, **value}).encode()),
    st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=8).map(
        lambda pairs: (
            b"{" + b",".join(f"{json.dumps(name)}:{json.dumps(value)}".encode() for name, value in pairs) + b"}"
        )
    ),
)
queries = st.one_of(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=120),
    st.lists(st.tuples(st.sampled_from(NAMES) | texts, words | texts), max_size=10).map(
        lambda pairs: "&".join(
            f"{quote(name, errors='replace')}={quote(value, errors='replace')}" for name, value in pairs
        )
    ),
)
methods = st.sampled_from(["GET", "POST", "POST", "PUT", "HEAD", "OPTIONS", "BREW"])
EVIL = {
    "a name twice": b'{"UniqueName":"demo","App":"live","Pubdomain":"push.demo.test","Stream":"a","Stream":"b"}',
    "NaN": b'{"ForbidTillUnixTime": NaN}',
    "infinity": b'{"ForbidTillUnixTime": -Infinity}',
    "1e400": b'{"ForbidTillUnixTime": 1e400}',
    "a number of 100,000 digits": b'{"ForbidTillUnixTime": ' + b"9" * 100_000 + b"}",
    "beyond 64 bits": b'{"ForbidTillUnixTime": 18446744073709551616}',
    "a lone surrogate": b'{"Stream": "\\ud800"}',
    "100,000 lists": b'{"Stream": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "20,000 objects": b'{"Stream":' * 20_000 + b"1" + b"}" * 20_000,
    "no end": b'{"Stream": "',
    "UTF-16": '{"Stream": "cam"}'.encode("utf-16"),
    "UTF-8 that is none": b'{"Stream": "\xff\xfe"}',
    "a byte-order mark": b"\xef\xbb\xbf{}",
    "two objects": b"{}{}",
    "a list": b"[{}]",
    "nothing but blanks": b" \r\n\t",
    "NUL": b'{"Stream": "a\\u0000b"}',
    "a form": b"UniqueName=demo&App=live&Pubdomain=push.demo.test&Stream=cam",
    "XML": b"<Stream>cam</Stream>",
}


class House:
    """One gateway for many examples: a control plane takes longer to make than to ask."""

    def __init__(self, front: Front, runner: asyncio.Runner) -> None:
        self.front = front
        self._runner = runner

    def ask(self, request: HttpRequest) -> Answer:
        """The answer, read strictly; `acted` tells afterwards who was reached by it."""
        self.front.acted.clear()
        answer = read(self._runner.run(self.front.gateway.answer(request, CLIENT)))
        assert answer.status < 500, answer
        return answer

    @property
    def was_reached(self) -> bool:
        return bool(self.front.acted)


@contextmanager
def opened() -> Iterator[House]:
    with asyncio.Runner() as runner:
        context = opened_front()
        front = runner.run(context.__aenter__())
        try:
            yield House(front, runner)
        finally:
            runner.run(context.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with opened() as house:
        yield house


# Signed well


@FAST
@given(action=st.sampled_from(ACTIONS), method=methods, query=queries, body=bodies)
def test_any_query_and_body_under_a_good_signature_is_answered(
    house: House, action: str, method: str, query: str, body: bytes
) -> None:
    asked = unsigned(method=method, query=f"Action={action}&Version=2017-01-01&{query}", body=body)
    answer = house.ask(signed(asked))
    for _, operation in house.front.acted:
        # What was reached is what was named, within its limits.
        assert operation.about.action == action
        assert method in ("GET", "POST")
        assert msgspec.convert(msgspec.to_builtins(operation), type(operation)) == operation
    if answer.code == "0":
        assert house.was_reached


@FAST
@given(action=st.sampled_from(ACTIONS), given_=objects)
def test_any_json_beside_good_parameters_is_answered(house: House, action: str, given_: dict[str, Any]) -> None:
    known = {field.encode_name for field in msgspec.structs.fields(streams.OPERATIONS[action])}
    values = {name: value for name, value in CAM.items() if name in known} | given_
    body = json.dumps(values).encode()
    house.ask(signed(unsigned(action, method="POST", body=body)))
    # What is empty counts as absent, whatever its name.
    said = {name for name, value in values.items() if value not in ("", None)}
    if said - known - wire.COMMON or values.get("Action", action) != action:
        assert not house.was_reached


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("evil", EVIL)
def test_a_body_that_is_no_clear_json_does_nothing(house: House, action: str, evil: str) -> None:
    answer = house.ask(signed(unsigned(action, method="POST", body=EVIL[evil])))
    assert answer.code not in ("0", "UndefinedError")
    assert not house.was_reached


@pytest.mark.parametrize("action", ACTIONS)
def test_a_hundred_thousand_parameters_do_nothing(house: House, action: str) -> None:
    # No client can sign that much, nor does the server begin to read it.
    many = "&".join(f"p{number}={number}" for number in range(100_000))
    plain = unsigned(query=f"Action={action}&Version=2017-01-01")
    request = msgspec.structs.replace(signed(plain), target=f"{plain.target}&{many}")
    assert house.ask(request).code == "InvalidParameterValue"
    assert not house.was_reached
    body = json.dumps({f"p{number}": number for number in range(10_000)}).encode()
    assert house.ask(signed(unsigned(action, method="POST", body=body))).code == "4999"
    assert not house.was_reached
