"""The gateway in Volcengine's dialect: who is let through, how refusals read, what is counted and explained."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from penstock.api.dialects import dialect_of
from penstock.clouds.contract import Credentials, Operation
from penstock.clouds.http import Headers, HttpRequest
from penstock.clouds.volcengine import relays, signing, streams, wire
from penstock.domain.caller import Caller
from penstock.errors import LinkError
from tests.api.kit import changed
from tests.api.volcengine.front import CAM, CLIENT, HOST, MINE, OK, PAGE, Front, opened_front, read, signed, unsigned
from tests.clock import START
from tests.clouds.volcengine.recorded import EXCHANGES

LIVE = "DescribeLiveStreamInfoByPage"
BY_ACTION = {exchange.action: exchange for exchange in EXCHANGES}


@pytest.fixture
async def limited() -> AsyncIterator[Front]:
    async with opened_front(limited=True) as front:
        yield front


def signed_url(action: str, values: dict[str, Any], method: str = "GET") -> HttpRequest:
    request = unsigned(action, values)
    return signing.sign_query(msgspec.structs.replace(request, method=method), MINE, START)


# What is let through


async def test_both_forms_of_a_signature_are_acted_on(front: Front) -> None:
    for request in (signed(unsigned(LIVE, PAGE)), signed_url(LIVE, PAGE), signed_url("ForbidStream", CAM, "POST")):
        answer = await front.send(request)
        assert (answer.status, answer.code, answer.message) == (200, OK, "")
    callers = {caller for caller, _ in front.acted}
    assert callers == {Caller(account="1", access_key="AKone", cloud="volcengine")}
    assert [type(operation) for _, operation in front.acted] == [
        streams.DescribeLiveStreamInfoByPage,
        streams.DescribeLiveStreamInfoByPage,
        streams.ForbidStream,
    ]
    assert front.explained == []


async def test_any_path_will_do(front: Front) -> None:
    assert (await front.send(signed(unsigned(LIVE, PAGE, path="/live/")))).code == OK


async def test_two_answers_have_two_ids_of_this_second(front: Front) -> None:
    ids = {(await front.call(LIVE, PAGE)).request_id for _ in range(3)}
    assert len(ids) == 3
    assert {each[:14] for each in ids} == {"20260301120000"}


# Early refusals


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (unsigned(LIVE, PAGE), 401, "MissingAuthenticationToken"),
        (unsigned("KillStream", CAM, method="POST"), 401, "MissingAuthenticationToken"),
        (unsigned(query="Version=2020-08-01&Action=KillStream"), 401, "MissingAuthenticationToken"),
        (unsigned(query="Version=2023-01-01"), 401, "MissingAuthenticationToken"),
        (unsigned(headers=(("X-Date", "20260301T120000Z"),)), 401, "MissingAuthenticationToken"),
        (unsigned(query="X-Algorithm=HMAC-SHA256"), 400, "MissingRequestInfo"),
        (unsigned(query="X-Signature=00"), 401, "SignatureDoesNotMatch"),
        (unsigned(query="X-Algorithm=HMAC-SHA256&X-Credential=A/1/cn-north-1/live/request"), 401, "MissingSignature"),
        (unsigned(LIVE, headers=(("Authorization", "HMAC-SHA256"),)), 400, "InvalidParam.BindError"),
        (unsigned(LIVE, headers=(("Authorization", "HMAC-SHA256 Credential=A/b"),)), 401, "MissingSignature"),
        (unsigned(LIVE, headers=(("Authorization", "HMAC-SHA256 Signature=b"),)), 400, "MissingRequestInfo"),
        (
            unsigned(
                LIVE,
                headers=(("Authorization", "HMAC-SHA256 Credential=A/b, SignedHeaders=host;x-date, Signature=0"),),
            ),
            400,
            "MissingRequestInfo",
        ),
        (unsigned(LIVE, headers=(("Authorization", "Basic QTpC"),)), 401, "SignatureDoesNotMatch"),
    ],
)
async def test_what_is_not_signed_is_told_so_in_its_words(
    front: Front, request_: HttpRequest, status: int, code: str
) -> None:
    answer = await front.send(request_)
    assert (answer.status, answer.code) == (status, code)
    assert front.acted == []
    (entry,) = front.explained
    assert (entry.request_id, entry.cloud, entry.outcome) == (answer.request_id, "volcengine", code)


async def test_an_unknown_key_and_a_wrong_secret_have_their_own_codes(front: Front) -> None:
    for make in (signing.sign, signing.sign_query):
        stranger = make(unsigned(LIVE, PAGE), Credentials("AKNOBODY", "x"), START)
        liar = make(unsigned(LIVE, PAGE), Credentials(MINE.access_key, "x"), START)
        assert (await front.send(stranger)).code == "InvalidAccessKey"
        assert (await front.send(liar)).code == "SignatureDoesNotMatch"
    assert front.acted == []
    entry = front.explained[1]
    assert entry.canonical_request.startswith(f"GET\n/\nAction={LIVE}&PageNum=1")
    assert entry.string_to_sign.startswith("HMAC-SHA256\n20260301T120000Z\n")
    assert MINE.secret_key not in repr(front.explained)


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 400, "MissingParameter"),
        (f"Action={LIVE}", 400, "MissingParameter"),
        ("Version=2023-01-01", 400, "MissingParameter"),
        ("Action=CreateDomain&Version=2023-01-01", 404, "InvalidActionOrVersion"),
        (f"Action={LIVE}&Version=2020-08-01", 404, "InvalidActionOrVersion"),
        (f"Action={LIVE}&Action={LIVE}&Version=2023-01-01", 400, "InvalidParam.BindError"),
    ],
)
async def test_an_operation_that_is_not_there_is_refused(front: Front, query: str, status: int, code: str) -> None:
    answer = await front.send(signed(unsigned(query=query)))
    assert (answer.status, answer.code, answer.action) == (status, code, "")


@pytest.mark.parametrize("operation", relays.RELAYS, ids=lambda operation: operation.__name__)
async def test_every_operation_is_answered_or_unknown(front: Front, operation: type[Operation[Any]]) -> None:
    ask = operation.make(**BY_ACTION[operation.about.action].members)
    answer = await front.send(wire.encode_request(ask, MINE, START))
    is_served = operation in front.gateway._handlers
    assert (answer.code == "InvalidActionOrVersion") is not is_served


@pytest.mark.parametrize("make", [signing.sign, signing.sign_query])
@pytest.mark.parametrize(
    ("late_s", "code"), [(900, OK), (-900, OK), (901, "InvalidTimestamp"), (-901, "InvalidTimestamp")]
)
async def test_the_window_is_15_minutes_either_way(front: Front, make: Any, late_s: float, code: str) -> None:
    request = make(unsigned(LIVE, PAGE), MINE, START - timedelta(seconds=late_s))
    assert (await front.send(request)).code == code


async def test_a_key_for_another_service_or_day_is_refused(front: Front) -> None:
    request = signed(unsigned(LIVE, PAGE))
    for old, new, code in (
        ("/live/", "/vod/", "ServiceNotFound"),
        ("/20260301/", "/20260228/", "SignatureDoesNotMatch"),
        ("/cn-north-1", "", "MissingRequestInfo"),
    ):
        value = request.headers.get("Authorization").replace(old, new)
        again = changed(request, drop=("authorization",), add=(("Authorization", value),))
        assert (await front.send(again)).code == code


async def test_a_body_beside_a_signed_url_is_refused(front: Front) -> None:
    request = msgspec.structs.replace(signed_url("ForbidStream", CAM, "POST"), body=b'{"Stream":"other"}')
    assert (await front.send(request)).code == "SignatureDoesNotMatch"
    assert front.acted == []


async def test_kls_and_what_is_in_no_dialect_stay_what_they_were(front: Front) -> None:
    kls = HttpRequest(
        method="GET", target="/?Action=ForbidStream&Version=2017-01-01", headers=Headers([("Host", HOST)])
    )
    found = dialect_of(kls)
    assert found is not None
    assert found.wire.CLOUD == "kingsoft"
    for plain in (unsigned(), unsigned(query="Version=2023-01-01x"), unsigned(query="a=1&xVersion=2023-01-01")):
        assert dialect_of(plain) is None
        assert (await front.gateway.answer(plain, CLIENT)).status == 404


# Rates


async def test_ten_calls_a_second_pass_and_the_next_does_not(limited: Front) -> None:
    codes = [(await limited.call(LIVE, PAGE)).code for _ in range(11)]
    assert codes == [OK] * 10 + ["FlowLimitExceeded"]
    assert (await limited.call("DescribeLiveStreamState", CAM)).code == OK, "each operation has its own"
    limited.clock.advance(1)
    assert (await limited.call(LIVE, PAGE)).code == OK


async def test_a_refused_call_is_429(limited: Front) -> None:
    answers = [await limited.call("ForbidStream", CAM) for _ in range(11)]
    assert (answers[-1].status, answers[-1].action) == (429, "ForbidStream")


# Saying it twice


async def test_bans_and_kicks_always_run(front: Front) -> None:
    request = signed(unsigned("ForbidStream", CAM, method="POST"))
    assert [(await front.send(request)).code for _ in range(2)] == [OK, OK]
    assert len(front.acted) == 2


async def test_what_creates_is_done_once_and_answered_twice(front: Front) -> None:
    made: list[relays.CreatePullToPushTask] = []

    async def make(_live: object, _caller: Caller, ask: relays.CreatePullToPushTask) -> object:
        made.append(ask)
        return relays.CreatePullToPushTaskResult(task_id=f"task-{len(made)}")

    front.gateway._handlers = {**front.gateway._handlers, relays.CreatePullToPushTask: make}  # type: ignore[dict-item]
    request = wire.encode_request(
        relays.CreatePullToPushTask.make(**BY_ACTION["CreatePullToPushTask"].members), MINE, START
    )
    first, second = [await front.gateway.answer(request, CLIENT) for _ in range(2)]
    assert first == second, "its request id, too"
    assert json.loads(first.body)["Result"] == {"TaskId": "task-1"}
    front.clock.advance(10)
    again = await front.gateway.answer(request, CLIENT)
    assert json.loads(again.body)["Result"] == {"TaskId": "task-2"}


# Faults


async def test_a_fault_of_our_own_is_told_without_its_text(front: Front) -> None:
    async def fail(*_: object) -> object:
        raise RuntimeError("secret path")

    front.gateway._handlers = {streams.KillStream: fail}  # type: ignore[dict-item]
    response = await front.gateway.answer(signed(unsigned("KillStream", CAM, method="POST")), CLIENT)
    answer = read(response)
    assert (answer.status, answer.code) == (500, "InternalError")
    assert b"secret" not in response.body


async def test_an_engine_that_is_away_is_the_clouds_word_for_it(front: Front) -> None:
    async def fail(*_: object) -> object:
        raise LinkError("/var/penstock/link.sock is gone")

    front.gateway._handlers = {streams.KillStream: fail}  # type: ignore[dict-item]
    response = await front.gateway.answer(signed(unsigned("KillStream", CAM, method="POST")), CLIENT)
    answer = read(response)
    assert (answer.status, answer.code) == (502, "FailToConnect")
    assert b"/var" not in response.body


async def test_a_refusal_is_explained_with_its_rule(front: Front) -> None:
    answer = await front.call("ResumeStream", CAM)
    (entry,) = front.explained
    assert (entry.request_id, entry.action, entry.account) == (answer.request_id, "ResumeStream", "1")
    assert (entry.outcome, entry.rule) == ("ResourceNotFound", "demo/live/cam is not banned")
