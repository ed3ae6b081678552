"""What was recorded of the official SDK: signatures stage by stage, and one exchange for each operation."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from penstock.clouds.contract import Credentials
from penstock.clouds.http import Headers, HttpRequest

VECTORS: Final = Path(__file__).resolve().parents[2] / "vectors"
TIME: Final = "20240914T031650Z"


class Sent(Struct):
    """A request, as it was on the wire."""

    method: str
    target: str
    headers: list[tuple[str, str]] = []
    body: str = ""

    @property
    def request(self) -> HttpRequest:
        return HttpRequest(
            method=self.method, target=self.target, headers=Headers(self.headers), body=self.body.encode()
        )

    @property
    def at(self) -> datetime:
        """When it was signed."""
        text = self.request.headers.get("X-Date")
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


class Vector(Sent, kw_only=True):
    """A request before it is signed, and each stage of its signature."""

    name: str
    case: str
    canonical_request: str
    string_to_sign: str
    authorization: str
    token: str = ""

    @property
    def signed_headers(self) -> tuple[str, ...]:
        return tuple(self.authorization.partition("SignedHeaders=")[2].partition(",")[0].split(";"))

    def dated(self) -> HttpRequest:
        """Return the request with everything but its Authorization."""
        token = [("X-Security-Token", self.token)] if self.token else []
        body_hash = self.canonical_request.rpartition("\n")[2]
        more = [("X-Date", TIME), ("X-Content-Sha256", body_hash), *token]
        return msgspec.structs.replace(self.request, headers=self.request.headers.and_also(more))

    def signed(self) -> HttpRequest:
        dated = self.dated()
        return msgspec.structs.replace(dated, headers=dated.headers.and_also([("Authorization", self.authorization)]))


class Url(Sent, kw_only=True):
    """A request whose signature is in its query."""

    name: str
    case: str
    canonical_request: str
    string_to_sign: str
    signed_target: str
    token: str = ""

    def signed(self) -> HttpRequest:
        return HttpRequest(method=self.method, target=self.signed_target, headers=Headers([("Host", "any")]))


class Exchange(Struct):
    """One operation: its members, its result, how the official SDK sends it, and the answer."""

    action: str
    members: dict[str, Any]
    result: dict[str, Any]
    answer: dict[str, Any]
    requests: list[Sent]


class _Signatures(Struct):
    credentials: Credentials
    time: datetime
    scope: str
    derived_key: str
    vectors: list[Vector]
    urls: list[Url]


class _Exchanges(Struct):
    credentials: Credentials
    exchanges: list[Exchange]


_signatures = msgspec.json.decode((VECTORS / "volcengine_signatures.json").read_bytes(), type=_Signatures)
_exchanges = msgspec.json.decode((VECTORS / "volcengine_operations.json").read_bytes(), type=_Exchanges)

CREDENTIALS: Final = _signatures.credentials
AT: Final = _signatures.time
SCOPE: Final = _signatures.scope
DERIVED_KEY: Final = _signatures.derived_key
SIGNATURES: Final = _signatures.vectors
URLS: Final = _signatures.urls
EXCHANGES: Final = _exchanges.exchanges
SENT: Final = [(exchange, sent) for exchange in EXCHANGES for sent in exchange.requests]
