"""A tiny KLS in memory: the server half of the wire behind a transport, and the clients that call it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import httpx2
from msgspec import structs

from penstock.clouds.contract import Credentials, Operation, Result
from penstock.clouds.http import Headers, HttpRequest, HttpResponse
from penstock.clouds.kingsoft import streams, wire
from penstock.errors import LimitExceeded, NotBanned, PenstockError, UnknownKey, UnknownVhost
from penstock.sdk.kingsoft import AsyncKingsoft, Kingsoft
from tests.clock import ManualClock
from tests.clouds.kingsoft.recorded import EXCHANGES

KEYS: Final = Credentials("AKtest", "the-secret-of-AKtest")
WHERE: Final = {"unique_name": "demo", "app": "live", "pubdomain": "push.demo.test"}
STREAM: Final = {**WHERE, "stream": "s1"}
CLIENTS: Final = (Kingsoft, AsyncKingsoft)

Answer = httpx2.Response | Exception


class Cloud:
    """Verifies, decodes, acts and answers like a server; keeps bans, who is on air, and what it was sent."""

    def __init__(self, *keys: Credentials, clock: ManualClock | None = None) -> None:
        self.keys = {each.access_key: each for each in keys or (KEYS,)}
        self.clock = clock or ManualClock()
        self.bans: dict[tuple[str, str], int] = {}
        self.on_air: set[str] = set()
        self.rows = 0  # of each list that has pages
        self.asked: list[Operation[Result]] = []
        self.answered: list[Result] = []
        self.requests: list[httpx2.Request] = []
        self.first: list[Answer] = []  # what comes instead of answers, one at a time
        self.vhost = "demo"

    @property
    def transport(self) -> httpx2.MockTransport:
        return httpx2.MockTransport(self._handle)

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        if self.first:
            planned = self.first.pop(0)
            if isinstance(planned, Exception):
                raise planned
            return planned
        return as_httpx(self.answer(as_ours(request)))

    def answer(self, request: HttpRequest) -> HttpResponse:
        request_id = f"id-{len(self.requests)}"
        try:
            claim = wire.read_claim(request, self.clock.now())
            if claim.access_key not in self.keys:
                raise UnknownKey(f"there is no {claim.access_key}")
            wire.verify(request, claim, self.keys[claim.access_key])
            operation = wire.decode_request(request).operation
            self.asked.append(operation)
            self.answered.append(self._act(operation))
            return wire.encode_result(operation, self.answered[-1], request_id)
        except PenstockError as error:
            return wire.encode_error(error, request, request_id)

    def _act(self, operation: Any) -> Result:
        if getattr(operation, "unique_name", self.vhost) != self.vhost:
            raise UnknownVhost(f"{operation.unique_name} is not yours")
        match operation:
            case streams.ForbidStream():
                until = operation.forbid_till_unix_time
                end = self.clock.now() + timedelta(days=90)
                self.on_air.discard(operation.stream)
                if until != streams.KICK:
                    self.bans[operation.pubdomain, operation.stream] = (
                        int(end.timestamp()) if until in (None, -1) else until
                    )
                return streams.ForbidStreamResult()
            case streams.ResumeStream():
                if self.bans.pop((operation.pubdomain, operation.stream), None) is None:
                    raise NotBanned("there is no ban")
                return streams.ResumeStreamResult()
            case streams.CheckBlacklist():
                return streams.CheckBlacklistResult(
                    check_result=int((operation.pubdomain, operation.stream) in self.bans)
                )
        result = recorded_result(type(operation))
        if isinstance(operation, streams.ListRealtimeStreamsInfo):
            return self._realtime(operation, result)
        return self._page(operation, result) if operation.about.paging else result

    def _realtime(self, operation: streams.ListRealtimeStreamsInfo, result: Any) -> Result:
        (known, *_) = result.streams
        there = [name for name in sorted(self.on_air) if operation.stream in ("", name)]
        listed = [structs.replace(known, stream=name) for name in there]
        return structs.replace(result, streams=listed, count=len(listed))  # type: ignore[no-any-return]

    def _page(self, operation: Any, result: Any) -> Result:
        start = (operation.marker - operation.about.paging.first) * operation.limit
        count = max(0, min(self.rows - start, operation.limit))
        (known, *_) = result.result
        rows = [structs.replace(known, stream=f"s{start + index}") for index in range(count)]
        page: Result = structs.replace(result, result=rows, count=count, total=self.rows, marker=operation.marker)
        return page


def recorded_result(operation: type[Operation[Any]]) -> Result:
    """Return the result that was recorded for an operation."""
    answer = next(each.answer for each in EXCHANGES if each.action == operation.about.action)
    made = wire.decode_response(_made(operation), as_response(answer))
    assert isinstance(made, Result)
    return made


def members_for(operation: type[Operation[Any]]) -> dict[str, Any]:
    """Return what an operation was recorded with, for the cloud's own vhost."""
    members = next(each.members for each in EXCHANGES if each.action == operation.about.action)
    return {**members, "unique_name": "demo"} if "unique_name" in members else members


def _made(operation: type[Operation[Any]]) -> Operation[Any]:
    return operation.make(**members_for(operation))


def as_response(answer: Any) -> HttpResponse:
    return as_ours_back(httpx2.Response(200, json=answer))


def as_ours_back(response: httpx2.Response) -> HttpResponse:
    return HttpResponse(
        status=response.status_code, headers=Headers(response.headers.multi_items()), body=response.content
    )


def as_ours(request: httpx2.Request) -> HttpRequest:
    return HttpRequest(
        method=request.method,
        target=request.url.raw_path.decode(),
        headers=Headers(request.headers.multi_items()),
        body=request.content,
    )


def as_httpx(response: HttpResponse) -> httpx2.Response:
    return httpx2.Response(response.status, headers=list(response.headers), content=response.body)


def limited() -> httpx2.Response:
    """Return what a cloud answers to too many calls."""
    request = HttpRequest(method="GET", target="/", headers=Headers([("Accept", "application/json")]))
    return as_httpx(wire.encode_error(LimitExceeded("slow down"), request, "id-limit"))


def client(
    kind: Callable[..., Any], cloud: Cloud, keys: Credentials = KEYS, pauses: list[float] | None = None, **given: Any
) -> Any:
    """Return a client of that kind, which talks to `cloud` and whose sleep turns its clock."""
    made = kind(
        access_key=keys.access_key,
        secret_key=keys.secret_key,
        token=keys.token,
        transport=given.pop("transport", cloud.transport),
        clock=cloud.clock,
        **given,
    )
    passed = pauses if pauses is not None else []

    def sleep(seconds: float) -> None:
        passed.append(seconds)
        cloud.clock.advance(seconds)

    async def sleep_async(seconds: float) -> None:
        sleep(seconds)

    made._sleep = sleep if kind is Kingsoft else sleep_async
    return made


async def done(value: Any) -> Any:
    """Return what a call of either kind of client returned."""
    return await value if inspect.isawaitable(value) else value


async def listed(pages: Any) -> list[Any]:
    """Return what either kind of iterator yields."""
    return [each async for each in pages] if hasattr(pages, "__aiter__") else list(pages)
