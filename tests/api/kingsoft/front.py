"""KLS as a caller sees it: a gateway over a control plane in memory, and answers read strictly."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote
from xml.etree import ElementTree

from msgspec import Struct

from penstock.api.gateway import Gateway, Handler
from penstock.api.kingsoft.handlers import HANDLERS
from penstock.clouds.contract import Credentials, Operation
from penstock.clouds.http import Headers, HttpRequest, HttpResponse
from penstock.clouds.kingsoft import signing
from penstock.domain.caller import Caller
from penstock.domain.live import Live
from penstock.storage.rows import ExplainEntry
from tests.clock import START, ManualClock
from tests.domain.kit import KEY, STRANGER_KEY, ScriptedEngine, opened

MINE: Final = Credentials(KEY.access_key, KEY.secret_key)
THEIRS: Final = Credentials(STRANGER_KEY.access_key, STRANGER_KEY.secret_key)
HOST: Final = "kls.test"
CLIENT: Final = "198.51.100.9"
APP: Final = {"UniqueName": "demo", "App": "live"}
WHERE: Final = {**APP, "Pubdomain": "push.demo.test"}
CAM: Final = {**WHERE, "Stream": "cam"}


class Answer(Struct, frozen=True, kw_only=True):
    """An answer in the dialect's own form."""

    status: int
    form: str  # json or xml
    request_id: str
    code: str  # of the Error, or the RetCode as text
    message: str
    data: dict[str, Any]


def read(response: HttpResponse) -> Answer:
    """Read an answer; one that is not of KLS's form, member by member, fails."""
    assert response.headers.get_all("Content-Length") == [str(len(response.body))]
    (kind,) = response.headers.get_all("Content-Type")
    form = {"application/json; charset=utf-8": "json", "text/xml; charset=utf-8": "xml"}[kind]
    said = json.loads(response.body) if form == "json" else _read_xml(response.body)
    if response.status == 200:
        assert form == "json"
        assert set(said) == {"Data", "RequestId"}
        data = said["Data"]
        assert type(data["RetCode"]) is int
        code, message = str(data["RetCode"]), data["RetMsg"]
    else:
        assert 400 <= response.status < 600
        assert list(said) == ["RequestId", "Error"]
        assert list(said["Error"]) == ["Type", "Code", "Message"]
        assert said["Error"]["Type"] == ("Sender" if response.status < 500 else "Receiver")
        data, code, message = {}, said["Error"]["Code"], said["Error"]["Message"]
    assert message
    return Answer(
        status=response.status, form=form, request_id=said["RequestId"], code=code, message=message, data=data
    )


def _read_xml(body: bytes) -> dict[str, Any]:
    root = ElementTree.fromstring(body)
    assert root.tag == "ErrorResponse"
    return {each.tag: {part.tag: part.text for part in each} if len(each) else each.text for each in root}


# Requests


def unsigned(
    action: str = "",
    values: Mapping[str, Any] | None = None,
    *,
    method: str = "GET",
    path: str = "/",
    body: bytes | None = None,
    query: str | None = None,
    headers: tuple[tuple[str, str], ...] = (("Accept", "application/json"),),
) -> HttpRequest:
    """A request with its values where its method has them; a `body` or `query` that is given stands as it is."""
    given = values or {}
    pairs = {"Action": action, "Version": "2017-01-01"} if action else {}
    if method == "GET":
        pairs |= given
    text = query if query is not None else "&".join(f"{name}={quote(str(value))}" for name, value in pairs.items())
    made = b"" if method == "GET" else json.dumps(given).encode()
    return HttpRequest(
        method=method,
        target=f"{path}?{text}" if text else path,
        headers=Headers([("Host", HOST), *headers]),
        body=made if body is None else body,
    )


def signed(
    request: HttpRequest, credentials: Credentials = MINE, *, at: datetime = START, region: str = signing.REGION
) -> HttpRequest:
    return signing.sign(request, credentials, at, region)


# The gateway


class Front:
    """A gateway, and what became of what it was asked."""

    def __init__(self, live: Live, clock: ManualClock) -> None:
        self.live = live
        self.clock = clock
        self.explained: list[ExplainEntry] = []
        self.acted: list[tuple[Caller, Operation[Any]]] = []  # every call of a handler
        self.gateway = Gateway(
            {operation: self._spied(handler) for operation, handler in HANDLERS.items()},
            live,
            find_key=live.registry.find_key,
            explain=self.explained.append,
            clock=clock,
            limits=None,
        )

    def _spied(self, handler: Handler[Live]) -> Handler[Live]:
        async def spied(live: Live, caller: Caller, ask: Any) -> Any:
            self.acted.append((caller, ask))
            return await handler(live, caller, ask)

        return spied

    async def send(self, request: HttpRequest) -> Answer:
        return read(await self.gateway.answer(request, CLIENT))

    async def call(
        self, action: str, values: Mapping[str, Any], *, method: str = "POST", credentials: Credentials = MINE
    ) -> Answer:
        """Send a signed request of this moment."""
        request = unsigned(action, values, method=method)
        return await self.send(signed(request, credentials, at=self.clock.now()))


@asynccontextmanager
async def opened_front() -> AsyncIterator[Front]:
    """A gateway over the owners of the domain's kit, with an engine that drops what it is told to."""
    clock, engine = ManualClock(), ScriptedEngine()
    async with opened(clock, engine=engine) as live:
        engine.live = live
        yield Front(live, clock)
