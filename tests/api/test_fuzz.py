"""Whatever is asked of the gateway, signed or not: an answer in the dialect's own form, and never a fault.

A handler may be reached by a request that is signed well and says one thing; by no other.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from penstock.clouds.contract import Credentials
from penstock.clouds.http import Headers, HttpRequest
from penstock.clouds.kingsoft import streams, wire
from tests.api import kit
from tests.api.kit import CAM, CLIENT, HOST, MINE, Answer, Front, signed, unsigned, with_header
from tests.clock import START

FAST = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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
latin = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=40)
header_lines = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("Accept", "Host", "Authorization", "Content-Type", "X-Any", "X-Action", "X-Version"),
                *("X-Amz-Target", "X-Amz-Security-Token", "X-Amz-Content-SHA256", "X-Amz-Date"),
            ]
        ),
        latin | st.sampled_from(["application/json", *ACTIONS, "kls.ForbidStream", "2017-01-01", "20260301T120000Z"]),
    ),
    max_size=5,
)

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
        answer = self._runner.run(self.front.gateway.answer(request, CLIENT))
        if answer.status == 404 and answer.headers.get("Content-Type").startswith("text/plain"):
            assert "Authorization" not in request.headers
            return Answer(status=404, form="plain", request_id="", code="", message="", data={})
        read = kit.read(answer)
        assert read.status < 500, read
        return read

    @property
    def was_reached(self) -> bool:
        return bool(self.front.acted)


@contextmanager
def opened() -> Iterator[House]:
    with asyncio.Runner() as runner:
        context = kit.front()
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


@FAST
@given(lines=header_lines)
def test_any_headers_under_a_good_signature_are_answered(house: House, lines: list[tuple[str, str]]) -> None:
    asked = HttpRequest(
        method="GET",
        target=unsigned("CheckBlacklist", CAM).target,
        headers=Headers([("Host", HOST), *lines]),
    )
    answer = house.ask(signed(asked))
    if house.was_reached:
        ((_, operation),) = house.front.acted
        assert isinstance(operation, streams.CheckBlacklist)
        assert answer.code == "0"


@FAST
@given(first=st.sampled_from(ACTIONS), second=st.sampled_from(ACTIONS), third=st.sampled_from(ACTIONS))
@example(first="CheckBlacklist", second="ForbidStream", third="CheckBlacklist")
def test_an_operation_that_is_named_twice_is_named_alike_or_none(
    house: House, first: str, second: str, third: str
) -> None:
    lines = (("X-Action", second), ("X-Amz-Target", f"kls.{third}"))
    answer = house.ask(signed(unsigned(first, CAM, headers=lines)))
    if first == second == third:
        assert answer.code != "InvalidActionOrVersion"
    else:
        assert answer.code == "InvalidActionOrVersion"
        assert not house.was_reached


# Not signed well


changes = st.sampled_from(
    ["flip", "body", "query", "method", "host", "secret", "key", "late", "early", "scope", "names"]
)


@FAST
@given(change=changes, at=st.integers(0, 63), data=st.data())
def test_a_request_that_is_not_the_one_that_was_signed_reaches_nobody(
    house: House, change: str, at: int, data: st.DataObject
) -> None:
    asked = unsigned("ForbidStream", CAM, method="POST")
    request = signed(asked)
    line = request.headers.get("Authorization")
    match change:
        case "flip":
            start = len(line) - 64 + at
            other = data.draw(st.sampled_from([each for each in "0123456789abcdefgZ " if each != line[start]]))
            request = with_header(request, "Authorization", line[:start] + other + line[start + 1 :])
        case "body":
            body = data.draw(bodies.filter(lambda body: body != asked.body))
            request = msgspec.structs.replace(request, body=body)
        case "query":
            more = data.draw(st.sampled_from(["&A=b", "&=", "&Action=ForbidStream", "&DryRun=false", "%20"]))
            request = msgspec.structs.replace(request, target=request.target + more)
        case "method":
            request = msgspec.structs.replace(request, method=data.draw(methods.filter(lambda each: each != "POST")))
        case "host":
            host = data.draw(st.sampled_from(["kls.test.", "kls.test:81", "KLS.test", "kls.test:80", "", "kls"]))
            request = with_header(request, "Host", host)
        case "secret":
            secret = data.draw(texts.filter(lambda text: text != MINE.secret_key and text.isascii()))
            request = signed(asked, Credentials("AKone", secret))
        case "key":
            key = data.draw(st.text("ABCKon0e", min_size=1, max_size=20).filter(lambda text: text != "AKone"))
            request = signed(asked, Credentials(key, MINE.secret_key))
        case "late":
            request = signed(asked, at=START + timedelta(seconds=data.draw(st.integers(901, 10**8))))
        case "early":
            request = signed(asked, at=START - timedelta(seconds=data.draw(st.integers(901, 10**8))))
        case "scope":
            old, new = data.draw(
                st.sampled_from([("kls", "live"), ("20260301", "20260302"), ("cn-beijing-6", "x"), ("aws4_", "")])
            )
            request = with_header(request, "Authorization", line.replace(f"/{old}", f"/{new}"))
        case "names":
            drop = data.draw(st.sampled_from(["host;", ";x-amz-date", "accept;"]))
            request = with_header(request, "Authorization", line.replace(drop, ""))
    answer = house.ask(request)
    assert answer.status == 400
    assert answer.code in ("SignatureNotMatch", "InvalidAccesskey", "InvalidTimestamp", "InvalidParameterValue")
    assert not house.was_reached


@FAST
@given(
    method=methods,
    target=st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=80),
    lines=header_lines,
    authorization=st.none()
    | latin
    | latin.map(lambda text: f"AWS4-HMAC-SHA256 {text}")
    | st.sampled_from(
        [
            "AWS4-HMAC-SHA256",
            "AWS4-HMAC-SHA256 Credential=,SignedHeaders=,Signature=",
            "AWS4-HMAC-SHA256 Credential=AKone/20260301/cn-beijing-6/kls/aws4_request, "
            "SignedHeaders=host;x-amz-date, Signature=" + "0" * 64,
            "HMAC-SHA256 Credential=AKone/20260301/cn-north-1/live/request, SignedHeaders=host, Signature=0",
            "CNC-HMAC-SHA256 Credential=AKone, SignedHeaders=host, Signature=0",
            "Basic QUtvbmU6eA==",
        ]
    ),
    body=bodies,
)
def test_whatever_comes_without_a_signature_reaches_nobody(
    house: House, method: str, target: str, lines: list[tuple[str, str]], authorization: str | None, body: bytes
) -> None:
    given_ = [("Authorization", authorization)] if authorization is not None else []
    headers = Headers([("Host", HOST), *[line for line in lines if line[0] != "Authorization"], *given_])
    request = HttpRequest(method=method, target=f"/{target}", headers=headers, body=body)
    answer = house.front.gateway.answer(request, CLIENT)
    response = house._runner.run(answer)
    assert 400 <= response.status < 500
    assert not house.was_reached
