"""Attacks on the management API, over its real door: nothing is done, and nobody else notices.

The numbers are those of the list of attack cases that this project keeps: 14 HTTP, 15 dialects and scopes,
16 what nobody signed, 17 replays, 18 timing, 19 hosts, 20 JSON, 22 browsers.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from penstock.api.asgi import GatewayApp
from penstock.clouds.contract import Credentials
from penstock.clouds.http import Endpoint, HttpRequest
from penstock.clouds.kingsoft import signing, wire
from penstock.clouds.volcengine import signing as volcengine
from tests.api.door import Answer, Client, Door
from tests.api.kit import BAN, CHECK, ENDPOINT, KEY, House, as_bytes, changed, signed
from tests.clock import START


class Api(House):
    """A house behind a real door."""

    def __init__(self) -> None:
        super().__init__(limited=False)
        self.door = Door(application=GatewayApp(self.gateway.answer))
        self.door.listen()

    async def over_the_line(self, request: HttpRequest | bytes) -> Answer:
        client = await self.door.client()
        return await client.ask(request if isinstance(request, bytes) else as_bytes(request))

    async def nothing_happened(self) -> None:
        """Nothing was done until now, and the next caller is served."""
        assert self.live.asked == []
        assert code(await self.over_the_line(signed(CHECK))) == (200, "0")
        self.live.asked.clear()


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    there = Api()
    yield there
    await there.door.close()


def code(answer: Answer) -> tuple[int, str]:
    told = answer.told
    if "ResponseMetadata" in told:
        return answer.status, told["ResponseMetadata"]["Error"]["Code"]
    return answer.status, told["Error"]["Code"] if "Error" in told else str(told["Data"]["RetCode"])


def signed_anew(request: HttpRequest, credentials: Credentials = KEY, region: str = signing.REGION) -> HttpRequest:
    return signing.sign(changed(request, drop=("x-amz-date", "authorization")), credentials, START, region)


# 14: HTTP


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Content-Length: 0\r\nContent-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"Content-Length: 5\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n",
    ],
)
async def test_14_a_signed_ban_hidden_behind_another_request_is_never_read(api: Api, lines: bytes) -> None:
    client = await api.door.client()
    ahead = b"POST / HTTP/1.1\r\nHost: api.demo.test:8080\r\n" + lines + b"\r\n0\r\n\r\n"
    answer = await client.ask(ahead + as_bytes(signed(BAN)))
    assert answer.status == 400
    assert await client.rest() == b""
    await api.nothing_happened()


async def test_14_a_ban_inside_of_a_body_is_a_body(api: Api) -> None:
    hidden = as_bytes(signed(BAN))
    client = await api.door.client()
    answer = await client.ask(as_bytes(changed(signed(CHECK), method="POST", body=hidden)))
    assert code(answer) == (400, "SignatureNotMatch")
    assert code(await client.ask(as_bytes(signed(CHECK)))) == (200, "0")
    assert [operation for _, operation in api.live.asked] == [CHECK]


async def test_14_trailers_name_no_operation(api: Api) -> None:
    request = changed(signed(CHECK), add=(("Transfer-Encoding", "chunked"),))
    answer = await api.over_the_line(as_bytes(request) + b"0\r\nX-Action: ForbidStream\r\n\r\n")
    assert answer.status == 400
    await api.nothing_happened()


async def test_14_huge_heads_and_queries_are_refused(api: Api) -> None:
    assert (await api.over_the_line(changed(signed(CHECK), add=(("X-A", "a" * 100_000),)))).status == 431
    many = changed(signed(CHECK), add=tuple((f"X-{number}", "a") for number in range(2000)))
    assert (await api.over_the_line(many)).status == 431
    wide = changed(signed(CHECK), target=signed(CHECK).target + "&a=1" * 100_000)
    assert (await api.over_the_line(wide)).status == 431
    # What fits into a head is told in the cloud's own words.
    narrow = changed(signed(CHECK), target=signed(CHECK).target + "&a=1" * 5_000)
    assert code(await api.over_the_line(narrow)) == (400, "InvalidParameterValue")
    await api.nothing_happened()


async def test_14_http_2_is_not_spoken(api: Api) -> None:
    client = await api.door.client()
    frames = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + b"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08" * 1000
    answer = await client.ask(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frames)
    assert answer.status == 400
    assert await client.rest() == b""
    await api.nothing_happened()


# 15: dialects and scopes


@pytest.mark.parametrize(
    "scheme", ["HMAC-SHA256", "CNC-HMAC-SHA256", "AWS4-HMAC-SHA1", "AWS4-ECDSA-P256-SHA256", "Bearer"]
)
async def test_15_a_signature_under_another_dialects_name_is_none(api: Api, scheme: str) -> None:
    request = signed(CHECK)
    text = request.headers.get("Authorization").replace(signing.ALGORITHM, scheme)
    answer = await api.over_the_line(changed(request, drop=("authorization",), add=(("Authorization", text),)))
    # Volcengine's gateway looks for the time first, under another name.
    wanted = "MissingRequestInfo" if scheme == "HMAC-SHA256" else "SignatureNotMatch"
    assert code(answer) == (400, wanted)
    await api.nothing_happened()


async def test_15_a_signature_of_either_dialect_is_none_in_the_other(api: Api) -> None:
    # With all that the other one wants beside it, the time and the scope in its form too.
    request = volcengine.sign(changed(signed(BAN), drop=("x-amz-date", "authorization")), KEY, START)
    text = request.headers.get("Authorization").replace(volcengine.ALGORITHM, signing.ALGORITHM)
    dated = changed(request, drop=("authorization",), add=(("X-Amz-Date", "20260301T120000Z"), ("Authorization", text)))
    assert code(await api.over_the_line(dated)) == (400, "SignatureNotMatch")
    text = signed(BAN).headers.get("Authorization").replace(signing.ALGORITHM, volcengine.ALGORITHM)
    text = text.replace("cn-beijing-6/kls/aws4_request", "cn-north-1/live/request").replace("x-amz-date", "x-date")
    dated = changed(signed(BAN), drop=("authorization",), add=(("X-Date", "20260301T120000Z"), ("Authorization", text)))
    assert code(await api.over_the_line(dated)) == (401, "SignatureDoesNotMatch")
    await api.nothing_happened()


async def test_15_two_dialects_in_one_request_are_none(api: Api) -> None:
    request = changed(signed(CHECK), add=(("Authorization", "HMAC-SHA256 Credential=AKMAIN/x, Signature=0"),))
    assert code(await api.over_the_line(request)) == (400, "InvalidParameterValue")
    await api.nothing_happened()


@pytest.mark.parametrize(
    "scope",
    [
        "20260301/cn-beijing-6/live/aws4_request",
        "20260301/cn-north-1/live/request",
        "20260301/cn-beijing-6/kls/request",
        "20260228/cn-beijing-6/kls/aws4_request",
        "20260301/cn-beijing-6/s3/aws4_request",
    ],
)
async def test_15_a_key_derived_for_another_service_or_day_opens_nothing(api: Api, scope: str) -> None:
    bare = changed(signed(CHECK), drop=("authorization",))
    names = tuple(sorted(bare.headers.names()))
    time = bare.headers.get("X-Amz-Date")
    text = signing.string_to_sign(signing.canonical_request(bare, names), time, scope)
    made = signing.signature(KEY.secret_key, scope, text)
    line = f"{signing.ALGORITHM} Credential={KEY.access_key}/{scope}, SignedHeaders={';'.join(names)}, Signature={made}"
    assert code(await api.over_the_line(changed(bare, add=(("Authorization", line),)))) == (400, "SignatureNotMatch")
    await api.nothing_happened()


async def test_15_a_region_swapped_after_signing_does_not_fit(api: Api) -> None:
    request = signed(CHECK)
    text = request.headers.get("Authorization").replace("cn-beijing-6", "cn-shanghai-2")
    answer = await api.over_the_line(changed(request, drop=("authorization",), add=(("Authorization", text),)))
    assert code(answer) == (400, "SignatureNotMatch")
    await api.nothing_happened()


# 16: what nobody signed


@pytest.mark.parametrize(
    "line",
    [
        ("X-Action", "ForbidStream"),
        ("X-Action", "CheckBlacklist"),
        ("X-Version", "2017-01-01"),
        ("X-Amz-Target", "kls.ForbidStream"),
        ("X-Amz-Security-Token", "token"),
    ],
)
async def test_16_a_line_that_steers_and_is_not_signed_is_refused(api: Api, line: tuple[str, str]) -> None:
    assert code(await api.over_the_line(changed(signed(CHECK), add=(line,)))) == (400, "SignatureNotMatch")
    await api.nothing_happened()


@pytest.mark.parametrize("line", [("X-Action", "ForbidStream"), ("X-Amz-Target", "kls.ForbidStream")])
async def test_16_two_operations_are_none_even_when_both_are_signed(api: Api, line: tuple[str, str]) -> None:
    both = signed_anew(changed(signed(CHECK), add=(line,)))
    assert code(await api.over_the_line(both)) == (400, "InvalidActionOrVersion")
    await api.nothing_happened()


async def test_16_two_operations_in_query_and_body_are_none(api: Api) -> None:
    body = json.dumps({**json.loads(signed(BAN).body), "Action": "ResumeStream"}).encode()
    assert code(await api.over_the_line(signed_anew(changed(signed(BAN), body=body)))) == (
        400,
        "InvalidActionOrVersion",
    )
    await api.nothing_happened()


async def test_16_a_forwarded_host_is_nobodys_host(api: Api) -> None:
    request = changed(
        signed(CHECK), add=(("X-Forwarded-Host", "other.test"), ("X-Original-URL", "/?Action=ForbidStream"))
    )
    assert code(await api.over_the_line(request)) == (200, "0")
    assert [operation for _, operation in api.live.asked] == [CHECK]


# 17: replays


@pytest.mark.parametrize("late_s", [901, -901, 86_400, 10 * 365 * 86_400])
async def test_17_a_call_of_another_time_is_refused(api: Api, late_s: int) -> None:
    stale = signed(BAN, now=START - timedelta(seconds=late_s))
    assert code(await api.over_the_line(stale)) == (400, "InvalidTimestamp")
    await api.nothing_happened()


async def test_17_a_call_that_passed_is_refused_when_its_time_is_over(api: Api) -> None:
    request = signed(CHECK)
    assert code(await api.over_the_line(request)) == (200, "0")
    api.clock.advance(901)
    assert code(await api.over_the_line(request)) == (400, "InvalidTimestamp")
    assert len(api.live.asked) == 1


async def test_17_a_signature_fits_one_body_one_path_and_one_method(api: Api) -> None:
    request = signed(BAN)
    for other in (
        changed(request, body=request.body.replace(b"cam", b"bam")),
        changed(request, body=b""),
        changed(request, target="/kls" + request.target[1:]),
        changed(request, target=request.target + "&a=1"),
        changed(request, method="PUT"),
    ):
        assert code(await api.over_the_line(other)) == (400, "SignatureNotMatch")
    await api.nothing_happened()


# 18: timing, and what errors give away


class Work:
    """Counts what a check costs, in signatures made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made = 0
        self._compared = 0
        real_sign, real_compare = signing.signature, hmac.compare_digest

        def sign(*args: str) -> str:
            self.made += 1
            return real_sign(*args)

        def compare(a: Any, b: Any) -> bool:
            self._compared += 1
            return real_compare(a, b)

        monkeypatch.setattr("penstock.clouds.kingsoft.checks.signature", sign)
        monkeypatch.setattr("penstock.clouds.kingsoft.checks.hmac.compare_digest", compare)

    def taken(self) -> tuple[int, int]:
        work, self.made, self._compared = (self.made, self._compared), 0, 0
        return work


async def test_18_an_unknown_key_costs_what_a_wrong_secret_costs(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(monkeypatch)
    costs, shapes = set(), set()
    for credentials in (Credentials(KEY.access_key, "wrong"), Credentials("AKNOBODY", "wrong")):
        for endpoint in (ENDPOINT, Endpoint("http", "api.demo.test")):
            answer = await api.over_the_line(wire.encode_request(CHECK, credentials, START, endpoint))
            costs.add((endpoint.host, work.taken()))
            shapes.add((answer.status, tuple(answer.headers), tuple(answer.told), tuple(answer.told["Error"])))
    assert costs == {("api.demo.test:8080", (1, 1)), ("api.demo.test", (3, 3))}
    assert len(shapes) == 1
    await api.nothing_happened()


# 19: hosts


@pytest.mark.parametrize(
    "host",
    [
        "API.demo.test:8080",
        "api.demo.test.:8080",
        "api.demo.test",
        "api.demo.test:08080",
        "api.demo.test:80",
        "other.test:8080",
        "127.0.0.1:8080",
    ],
)
async def test_19_a_host_counts_as_it_was_signed(api: Api, host: str) -> None:
    request = changed(signed(CHECK), drop=("host",), add=(("Host", host),))
    assert code(await api.over_the_line(request)) == (400, "SignatureNotMatch")
    await api.nothing_happened()


async def test_19_two_hosts_are_none(api: Api) -> None:
    assert (await api.over_the_line(changed(signed(CHECK), add=(("Host", "other.test"),)))).status == 400
    await api.nothing_happened()


async def test_19_a_url_as_target_means_its_path_on_the_same_host_alone(api: Api) -> None:
    request = signed(CHECK)
    same = changed(request, target=f"http://api.demo.test:8080{request.target}")
    assert code(await api.over_the_line(same)) == (200, "0")
    api.live.asked.clear()
    for host in ("other.test:8080", "api.demo.test", "api.demo.test:8080@other.test", ""):
        answer = await api.over_the_line(changed(request, target=f"http://{host}{request.target}"))
        assert answer.status == 400
    await api.nothing_happened()


# 20: JSON


@pytest.mark.parametrize(
    "member",
    [
        '"Stream":"bam"',
        '"X":NaN',
        '"X":-Infinity',
        '"ForbidTillUnixTime":1e400',
        '"ForbidTillUnixTime":' + "9" * 5000,
        '"X":"\\ud800"',
        '"X":' + "[" * 50_000 + "]" * 50_000,
        '"X":' + '{"a":' * 30_000 + "1" + "}" * 30_000,
    ],
    ids=lambda text: text[:24],
)
async def test_20_a_body_that_two_readers_would_read_differently_is_refused(api: Api, member: str) -> None:
    body = signed(BAN).body[:-1] + f",{member}}}".encode()
    assert code(await api.over_the_line(signed_anew(changed(signed(BAN), body=body)))) == (400, "InvalidParameterValue")
    await api.nothing_happened()


@pytest.mark.parametrize("value", [str(1 << 63), str(1 << 64), str(-(1 << 70)), "1.5", "true", '"1"', "null ,1"])
async def test_20_a_number_that_is_none_of_ours_does_nothing(api: Api, value: str) -> None:
    body = signed(BAN).body[:-1] + f',"ForbidTillUnixTime":{value}}}'.encode()
    status, told = code(await api.over_the_line(signed_anew(changed(signed(BAN), body=body))))
    assert (status, told) in ((200, "4001"), (400, "InvalidParameterValue"))
    await api.nothing_happened()


# 22: pages of other sites


async def test_22_no_page_of_another_site_may_ask_or_read(api: Api) -> None:
    """Browsers are told nothing that would let a page through, and keep nothing that signs for somebody."""
    origin = (("Origin", "https://evil.test"),)
    asked = b"OPTIONS /?Action=ForbidStream HTTP/1.1\r\nHost: api.demo.test:8080\r\nOrigin: https://evil.test\r\n"
    answers = [
        await api.over_the_line(asked + b"Access-Control-Request-Method: POST\r\n\r\n"),
        await api.over_the_line(changed(signed(CHECK), add=origin)),
    ]
    assert answers[0].status >= 400
    for answer in answers:
        assert not any(name.startswith("access-control-") or name == "set-cookie" for name in answer.headers)
    api.live.asked.clear()
    await api.nothing_happened()


async def test_one_callers_garbage_does_not_disturb_another(api: Api) -> None:
    good: Client = await api.door.client()
    for garbage in (b"\x00" * 50_000, b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * 20_000, b"POST / HTTP/1.1\r\nHost: a\r\n"):
        bad = await api.door.client()
        await bad.say(garbage)
        assert code(await good.ask(as_bytes(signed(CHECK)))) == (200, "0")
    assert len(api.live.asked) == 3
