"""A gateway whose handlers only remember, real operations of KLS, and the keys to sign them with."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from penstock.api.gateway import Gateway
from penstock.api.ratelimit import RateLimits
from penstock.clouds.contract import About, Credentials, Effect, Operation, Result
from penstock.clouds.http import Endpoint, Headers, HttpRequest, HttpResponse
from penstock.clouds.kingsoft import streams, wire
from penstock.domain.caller import Caller
from penstock.storage.rows import AccessKey, ExplainEntry
from tests.clock import START, ManualClock

ENDPOINT = Endpoint("http", "api.demo.test:8080")
KEY = Credentials("AKMAIN", "SKMAIN/secret")
SUB = Credentials("AKSUB", "SKSUB/secret")
OTHER = Credentials("AKOTHER", "SKOTHER/secret")
KEYS = {
    KEY.access_key: AccessKey(access_key=KEY.access_key, secret_key=KEY.secret_key, account="1001"),
    SUB.access_key: AccessKey(access_key=SUB.access_key, secret_key=SUB.secret_key, account="1001", sub_account=True),
    OTHER.access_key: AccessKey(access_key=OTHER.access_key, secret_key=OTHER.secret_key, account="1002"),
}

CHECK = streams.CheckBlacklist(unique_name="demo", app="live", pubdomain="push.demo.test", stream="cam")
BAN = streams.ForbidStream(unique_name="demo", app="live", pubdomain="push.demo.test", stream="cam")


class MakeTaskResult(Result, rename="pascal"):
    task: int


class MakeTask(Operation[MakeTaskResult], frozen=True, rename="pascal"):
    """What KLS has none of yet: an operation that creates something."""

    about = About(action="MakeTask", method="POST", effect=Effect.CREATES, source="made for tests")

    name: Annotated[str, Meta(min_length=1)]


class Live:
    """What handlers act on: a list of what was asked, and what to do instead of answering."""

    def __init__(self) -> None:
        self.asked: list[tuple[Caller, Operation[Any]]] = []
        self.instead: Callable[[], Awaitable[None]] | None = None

    async def take(self, caller: Caller, operation: Operation[Any]) -> None:
        self.asked.append((caller, operation))
        if self.instead is not None:
            await self.instead()


async def check(live: Live, caller: Caller, ask: streams.CheckBlacklist) -> streams.CheckBlacklistResult:
    await live.take(caller, ask)
    return streams.CheckBlacklistResult(check_result=1)


async def ban(live: Live, caller: Caller, ask: streams.ForbidStream) -> streams.ForbidStreamResult:
    caller.about_to_act()
    await live.take(caller, ask)
    return streams.ForbidStreamResult()


async def make_task(live: Live, caller: Caller, ask: MakeTask) -> MakeTaskResult:
    caller.about_to_act()
    await live.take(caller, ask)
    return MakeTaskResult(task=len(live.asked))


class House:
    """A gateway, its clock, and what came of the requests."""

    def __init__(self, *, limited: bool = True) -> None:
        self.clock = ManualClock()
        self.live = Live()
        self.told: list[ExplainEntry] = []
        self.keys = dict(KEYS)
        self.gateway = Gateway(
            {streams.CheckBlacklist: check, streams.ForbidStream: ban, MakeTask: make_task},
            self.live,
            find_key=self.keys.get,
            explain=self.told.append,
            clock=self.clock,
            limits=RateLimits(self.clock.monotonic) if limited else None,
        )

    def signed(self, operation: Operation[Any], credentials: Credentials = KEY, late_s: float = 0) -> HttpRequest:
        return signed(operation, credentials, self.clock.now() - timedelta(seconds=late_s))

    async def ask(self, operation: Operation[Any], credentials: Credentials = KEY) -> HttpResponse:
        return await self.gateway.answer(self.signed(operation, credentials), "192.0.2.1")

    async def answer(self, request: HttpRequest) -> HttpResponse:
        return await self.gateway.answer(request, "192.0.2.1")


def signed(operation: Operation[Any], credentials: Credentials = KEY, now: datetime = START) -> HttpRequest:
    return wire.encode_request(operation, credentials, now, ENDPOINT)


def changed(
    request: HttpRequest, *, drop: tuple[str, ...] = (), add: tuple[tuple[str, str], ...] = (), **members: Any
) -> HttpRequest:
    """A request with header lines taken away, and others put behind the rest, and with other members."""
    lines = [line for line in request.headers if line[0].lower() not in drop]
    return msgspec.structs.replace(request, headers=Headers([*lines, *add]), **members)


def fault(response: HttpResponse) -> tuple[int, str]:
    """Status and code of an answer in KLS's form, JSON; a RetCode's digits, "0" when it worked."""
    body = json.loads(response.body)
    if "Error" in body:
        assert list(body["Error"]) == ["Type", "Code", "Message"]
        return response.status, body["Error"]["Code"]
    return response.status, str(body["Data"]["RetCode"])


def as_bytes(request: HttpRequest) -> bytes:
    """A request as it goes over the line; its length is added where it has a body."""
    lines = [*request.headers]
    if request.body:
        lines.append(("Content-Length", str(len(request.body))))
    head = f"{request.method} {request.target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines)
    return head.encode() + b"\r\n" + request.body
