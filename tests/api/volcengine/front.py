"""Volcengine Live as a caller sees it: a gateway over a control plane in memory, and answers read strictly."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote_plus

from msgspec import Struct

from penstock.api.gateway import Gateway, Handler
from penstock.api.kingsoft import handlers as kingsoft
from penstock.api.ratelimit import RateLimits
from penstock.api.volcengine.handlers import HANDLERS
from penstock.clouds.contract import Credentials, Operation
from penstock.clouds.http import Headers, HttpRequest, HttpResponse
from penstock.clouds.volcengine import codes, signing
from penstock.domain.caller import Caller
from penstock.domain.live import Live
from penstock.storage.rows import ExplainEntry, Seed
from tests.clock import START, ManualClock
from tests.domain.kit import KEY, SEED, STRANGER_KEY, ScriptedEngine, opened

MINE: Final = Credentials(KEY.access_key, KEY.secret_key)
THEIRS: Final = Credentials(STRANGER_KEY.access_key, STRANGER_KEY.secret_key)
HOST: Final = "live.test:8080"
CLIENT: Final = "198.51.100.9"
CAM: Final = {"Vhost": "demo", "App": "live", "Stream": "cam"}
PAGE: Final = {"PageNum": 1, "PageSize": 10}
OK: Final = ""

_STATUSES: Final = {
    code.code: code for code in (*codes.ERROR_CODES.values(), codes.ErrorCode("InvalidParam.BindError", 400))
}


class Answer(Struct, frozen=True, kw_only=True):
    """An answer in the dialect's own form."""

    status: int
    request_id: str
    action: str
    code: str  # of the Error; empty when it worked
    message: str
    result: Any  # None where there is none


def read(response: HttpResponse) -> Answer:
    """Read an answer; one that is not of Volcengine's form, member by member, fails."""
    assert response.headers.get_all("Content-Length") == [str(len(response.body))]
    assert response.headers.get_all("Content-Type") == ["application/json; charset=utf-8"]
    said = json.loads(response.body)
    about = said["ResponseMetadata"]
    assert re.fullmatch(r"\d{14}[0-9A-F]{20}", about["RequestId"])
    rest = [name for name in about if name != "Error"]
    assert rest in (["RequestId"], ["RequestId", "Action", "Version", "Service", "Region"])
    if len(rest) > 1:
        assert (about["Version"], about["Service"], about["Region"]) == ("2023-01-01", "live", "cn-north-1")
    error = about.get("Error", {})
    if error:
        assert set(said) == {"ResponseMetadata"}
        known = _STATUSES[error["Code"]]
        assert list(error) == (["CodeN", "Code", "Message"] if known.number else ["Code", "Message"])
        assert (response.status, error.get("CodeN")) == (known.status, known.number)
        assert error["Message"]
    else:
        assert response.status == 200
        assert list(said) in (["ResponseMetadata"], ["ResponseMetadata", "Result"])
    return Answer(
        status=response.status,
        request_id=about["RequestId"],
        action=about.get("Action", ""),
        code=error.get("Code", OK),
        message=error.get("Message", ""),
        result=said.get("Result"),
    )


# Requests


def unsigned(
    action: str = "",
    values: Mapping[str, Any] | None = None,
    *,
    method: str = "GET",
    path: str = "/",
    body: bytes | None = None,
    query: str | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> HttpRequest:
    """A request with its values where its method has them; a `body` or `query` that is given stands as it is."""
    given = values or {}
    pairs = {"Action": action, "Version": "2023-01-01"} if action else {}
    if method == "GET":
        pairs |= given
    text = query if query is not None else "&".join(f"{name}={quote_plus(str(each))}" for name, each in pairs.items())
    made = b"" if method == "GET" else json.dumps(given).encode()
    return HttpRequest(
        method=method,
        target=f"{path}?{text}" if text else path,
        headers=Headers([("Host", HOST), *headers]),
        body=made if body is None else body,
    )


def signed(request: HttpRequest, credentials: Credentials = MINE, *, at: datetime = START) -> HttpRequest:
    return signing.sign(request, credentials, at)


# The gateway


class Front:
    """A gateway that speaks KLS too, and what became of what it was asked."""

    def __init__(self, live: Live, clock: ManualClock, *, limited: bool = False) -> None:
        self.live = live
        self.clock = clock
        self.explained: list[ExplainEntry] = []
        self.acted: list[tuple[Caller, Operation[Any]]] = []  # every call of a handler
        self.gateway = Gateway(
            {operation: self._spied(handler) for operation, handler in (HANDLERS | kingsoft.HANDLERS).items()},
            live,
            find_key=live.registry.find_key,
            explain=self.explained.append,
            clock=clock,
            limits=RateLimits(clock.monotonic) if limited else None,
        )

    def _spied(self, handler: Handler[Live]) -> Handler[Live]:
        async def spied(live: Live, caller: Caller, ask: Any) -> Any:
            self.acted.append((caller, ask))
            return await handler(live, caller, ask)

        return spied

    async def send(self, request: HttpRequest) -> Answer:
        return read(await self.gateway.answer(request, CLIENT))

    async def call(
        self, action: str, values: Mapping[str, Any], *, method: str = "", credentials: Credentials = MINE
    ) -> Answer:
        """Send a signed request of this moment, by the method that its page has."""
        usual = "GET" if action.startswith("Describe") else "POST"
        request = unsigned(action, values, method=method or usual)
        return await self.send(signed(request, credentials, at=self.clock.now()))


@asynccontextmanager
async def opened_front(*, limited: bool = False, seed: Seed = SEED) -> AsyncIterator[Front]:
    """A gateway over the owners of the domain's kit, with an engine that drops what it is told to."""
    clock, engine = ManualClock(), ScriptedEngine()
    async with opened(clock, engine=engine, seed=seed) as live:
        engine.live = live
        yield Front(live, clock, limited=limited)
