"""Signatures: confused, partial, replayed or guessed."""

from __future__ import annotations

import hmac
import json
import statistics
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest

from penstock.clouds.contract import Credentials
from penstock.clouds.http import HttpRequest
from penstock.clouds.kingsoft import signing
from tests.api.kit import CAM, MINE, signed, unsigned, with_header
from tests.clock import START
from tests.security.api import Fort, as_answer, as_bytes, fort

BAN = unsigned("ForbidStream", CAM, method="POST")


@pytest.fixture
async def held() -> AsyncIterator[Fort]:
    async with fort() as held:
        yield held


def signed_for(request: HttpRequest, scope: str, scheme: str = signing.ALGORITHM) -> HttpRequest:
    """Signed well by whoever holds the key, for something else."""
    dated = with_header(request, "X-Amz-Date", signing.format_time(START))
    names = tuple(sorted(dated.headers.names()))
    canonical = signing.canonical_request(dated, names)
    text = signing.string_to_sign(canonical, signing.format_time(START), scope).replace(signing.ALGORITHM, scheme)
    made = signing.signature(MINE.secret_key, scope, text)
    value = f"{scheme} Credential={MINE.access_key}/{scope}, SignedHeaders={';'.join(names)}, Signature={made}"
    return with_header(dated, "Authorization", value)


# 15. Algorithms, services and days confused


@pytest.mark.parametrize(
    "scope",
    [
        "20260301/cn-beijing-6/live/aws4_request",
        "20260301/cn-north-1/live/request",
        "20260301/cn-beijing-6/KLS/aws4_request",
        "20260302/cn-beijing-6/kls/aws4_request",
        "20260301/kls/aws4_request",
        "20260301//kls/aws4_request",
        "20260301/cn-beijing-6/kls/aws4_request/",
        "",
    ],
)
async def test_15_a_signature_for_another_service_day_or_form_does_nothing(held: Fort, scope: str) -> None:
    assert (await held.ask(signed_for(BAN, scope))).code == "SignatureNotMatch"
    assert held.stands()


@pytest.mark.parametrize(
    "scheme", ["HMAC-SHA256", "CNC-HMAC-SHA256", "AWS4-HMAC-SHA1", "AWS4-ECDSA-P256-SHA256", "none"]
)
async def test_15_another_algorithms_name_does_nothing(held: Fort, scheme: str) -> None:
    asked = signed_for(BAN, "20260301/cn-beijing-6/kls/aws4_request", scheme)
    assert (await held.ask(asked)).code == "SignatureNotMatch"
    assert held.stands()


# 16. What steers a call and is not signed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Action", "ForbidStream"),
        ("X-Action", "CheckBlacklist"),
        ("X-Amz-Target", "kls.ForbidStream"),
        ("X-Version", "2017-01-01"),
        ("X-Amz-Security-Token", "t"),
    ],
)
async def test_16_a_steering_header_behind_the_signature_is_refused(held: Fort, name: str, value: str) -> None:
    peer = await held.peer()
    reply = await peer.ask(as_bytes(signed(unsigned("CheckBlacklist", CAM)), (name, value)))
    peer.close()
    assert as_answer(reply).code == "SignatureNotMatch"
    assert held.stands()


async def test_16_of_two_operations_none_is_done_even_if_both_are_signed(held: Fort) -> None:
    for query, header in (("CheckBlacklist", "ForbidStream"), ("ForbidStream", "CheckBlacklist")):
        asked = unsigned(query, CAM, headers=(("X-Action", header), ("Accept", "application/json")))
        assert (await held.ask(signed(asked))).code == "InvalidActionOrVersion"
    body = json.dumps({**CAM, "Action": "ForbidStream"}).encode()
    asked = unsigned("CheckBlacklist", method="POST", body=body)
    assert (await held.ask(signed(asked))).code == "InvalidActionOrVersion"
    assert held.stands()


async def test_16_a_query_that_was_added_is_refused(held: Fort) -> None:
    request = signed(unsigned("CheckBlacklist", CAM))
    sent = msgspec.structs.replace(request, target=request.target.replace("CheckBlacklist", "ForbidStream"))
    assert (await held.ask(sent)).code == "SignatureNotMatch"
    assert held.stands()


async def test_16_a_method_that_is_overridden_is_not(held: Fort) -> None:
    override = (("X-HTTP-Method-Override", "POST"), ("Accept", "application/json"))
    answer = await held.ask(signed(unsigned("CheckBlacklist", CAM, headers=override)))
    assert (answer.code, answer.data["CheckResult"]) == ("0", 0)


# 17. Replays


@pytest.mark.parametrize("seconds", [-901, 901, -86_400, 86_400 * 365])
async def test_17_an_old_request_or_one_of_the_future_does_nothing(held: Fort, seconds: int) -> None:
    asked = signed(BAN, at=START + timedelta(seconds=seconds))
    assert (await held.ask(asked)).code == "InvalidTimestamp"
    assert held.stands()


async def test_17_a_signature_of_another_body_does_nothing(held: Fort) -> None:
    check = signed(unsigned("CheckBlacklist", {**CAM, "Stream": "banned"}, method="POST"))
    assert (await held.ask(check)).code == "0"
    for body in (b"", BAN.body, check.body + b" "):
        sent = msgspec.structs.replace(check, body=body)
        assert (await held.ask(sent)).code == "SignatureNotMatch"
    announced = with_header(check, "X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD")
    assert (await held.ask(announced)).code == "SignatureNotMatch"
    assert held.stands()


async def test_17_a_time_moved_after_signing_does_nothing(held: Fort) -> None:
    old = signed(BAN, at=START - timedelta(days=1))
    fresh = with_header(old, "X-Amz-Date", signing.format_time(START))
    assert (await held.ask(fresh)).code == "SignatureNotMatch"
    assert held.stands()


async def test_17_the_same_ban_twice_is_a_ban_and_an_echo(held: Fort) -> None:
    """A replay within its minutes does what the owner asked for, and tells the truth of that moment."""
    asked = signed(unsigned("ForbidStream", {**CAM, "Stream": "new"}, method="POST"))
    assert [(await held.ask(asked)).code for _ in range(2)] == ["0", "3802"]


# 18. What the answer or its time tells of keys


async def test_18_a_wrong_signature_is_found_out_in_constant_time(held: Fort, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every comparison of something secret goes through the one function that takes its time."""
    compared: list[tuple[bytes, bytes]] = []
    original = hmac.compare_digest

    def watched(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return original(one, other)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    for guess in ("0" * 64, "", "é", "0" * 10_000):
        asked = signed(BAN)
        line = asked.headers.get("Authorization")
        await held.front.send(with_header(asked, "Authorization", line[:-64] + guess))
    assert held.stands()
    assert [len(one) for one, _ in compared] == [64] * len(compared)
    assert len(compared) >= 2


async def test_18_unknown_key_and_wrong_secret_take_alike(held: Fort) -> None:
    """Ten thousandths of a second would not show over a network; here they must not show either."""
    unknown, wrong = signed(BAN, Credentials("AKnil", "x")), signed(BAN, Credentials("AKone", "x"))
    took: dict[str, list[float]] = {"InvalidAccesskey": [], "SignatureNotMatch": []}
    for _ in range(300):
        for asked in (unknown, wrong):
            began = time.perf_counter()
            answer = await held.front.gateway.answer(asked, "192.0.2.1")
            spent = time.perf_counter() - began
            took[json.loads(answer.body)["Error"]["Code"]].append(spent)
    one, other = (statistics.median(each) for each in took.values())
    assert abs(one - other) < 0.5 * max(one, other)
    assert {len(each) for each in took.values()} == {300}


async def test_18_neither_answer_has_more_of_the_caller_than_its_own_key(held: Fort) -> None:
    wrong = await held.ask(signed(BAN, Credentials("AKone", "x")))
    assert "AKone" not in wrong.message
    assert "secret" not in wrong.message
    unknown = await held.ask(signed(BAN, Credentials("AKnil", "x")))
    assert "AKone" not in unknown.message
    assert (wrong.status, unknown.status) == (400, 400)
