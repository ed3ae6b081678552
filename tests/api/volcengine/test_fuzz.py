"""Whatever a key's holder asks for: an answer in Volcengine's form and never a fault, down to the store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.clouds.http import HttpRequest
from penstock.clouds.volcengine import signing, streams, wire
from tests.api.kingsoft.test_fuzz import EVIL, bodies, methods, queries, texts, values
from tests.api.volcengine.front import CAM, CLIENT, MINE, OK, PAGE, Answer, Front, opened_front, read, signed, unsigned
from tests.clock import START

FAST = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
ACTIONS = [each.about.action for each in streams.STREAMS]
NAMES = sorted({field.encode_name for each in streams.STREAMS for field in msgspec.structs.fields(each)})
WHOLE = {**PAGE, **CAM, "EndTimeFrom": "2026-02-28T12:00:00Z", "EndTimeTo": "2026-03-01T12:00:00Z"}
times = st.datetimes().map(lambda at: at.isoformat() + "Z") | st.datetimes(timezones=st.timezones()).map(str)
objects = st.dictionaries(st.sampled_from(NAMES) | texts, values | times)


class House:
    """One gateway for many examples: a control plane takes longer to make than to ask."""

    def __init__(self, front: Front, runner: asyncio.Runner) -> None:
        self.front = front
        self._runner = runner

    def ask(self, request: HttpRequest) -> Answer:
        self.front.acted.clear()
        answer = read(self._runner.run(self.front.gateway.answer(request, CLIENT)))
        assert answer.status < 500, answer
        return answer


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with asyncio.Runner() as runner:
        context = opened_front()
        front = runner.run(context.__aenter__())
        try:
            yield House(front, runner)
        finally:
            runner.run(context.__aexit__(None, None, None))


@FAST
@given(action=st.sampled_from(ACTIONS), method=methods, query=queries, body=bodies)
def test_any_query_and_body_under_a_good_signature_is_answered(
    house: House, action: str, method: str, query: str, body: bytes
) -> None:
    asked = unsigned(method=method, query=f"Action={action}&Version=2023-01-01&{query}", body=body)
    answer = house.ask(signed(asked))
    for _, operation in house.front.acted:
        assert operation.about.action == action
        assert method in ("GET", "POST")
    if answer.code == OK:
        assert house.front.acted


@FAST
@given(action=st.sampled_from(ACTIONS), given_=objects)
def test_any_json_beside_good_parameters_is_answered(house: House, action: str, given_: dict[str, Any]) -> None:
    known = {field.encode_name for field in msgspec.structs.fields(wire.OPERATIONS[action])}
    said = {name: value for name, value in WHOLE.items() if name in known} | given_
    house.ask(signed(unsigned(action, method="POST", body=json.dumps(said).encode())))


@FAST
@given(action=st.sampled_from(ACTIONS), query=queries)
def test_any_signed_url_is_answered(house: House, action: str, query: str) -> None:
    request = unsigned(query=f"Action={action}&Version=2023-01-01&{query}")
    answer = house.ask(signing.sign_query(request, MINE, START))
    if answer.code == OK:
        assert house.front.acted


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("evil", EVIL)
def test_a_body_that_is_no_clear_json_does_nothing(house: House, action: str, evil: str) -> None:
    answer = house.ask(signed(unsigned(action, method="POST", body=EVIL[evil])))
    assert answer.code.startswith("InvalidParam")
    assert not house.front.acted


@pytest.mark.parametrize("action", ACTIONS)
def test_a_hundred_thousand_parameters_do_nothing(house: House, action: str) -> None:
    many = "&".join(f"p{number}={number}" for number in range(100_000))
    plain = unsigned(query=f"Action={action}&Version=2023-01-01")
    request = msgspec.structs.replace(signed(plain), target=f"{plain.target}&{many}")
    assert house.ask(request).code == "InvalidParam.BindError"
    assert not house.front.acted
