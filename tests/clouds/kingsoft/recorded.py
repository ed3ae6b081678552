"""What was recorded of the official SDKs: signatures stage by stage, and one exchange for each operation."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from penstock.clouds.contract import Credentials
from penstock.clouds.http import Headers, HttpRequest

VECTORS: Final = Path(__file__).resolve().parents[2] / "vectors"


class Sent(Struct):
    """A request, as it was on the wire."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: str
    by: str = ""

    @property
    def request(self) -> HttpRequest:
        return HttpRequest(
            method=self.method, target=self.target, headers=Headers(self.headers), body=self.body.encode()
        )

    @property
    def at(self) -> datetime:
        """When it was signed."""
        text = self.request.headers.get("X-Amz-Date")
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
        token = [("X-Amz-Security-Token", self.token)] if self.token else []
        headers = [*self.headers, ("X-Amz-Date", "20240914T031650Z"), *token]
        return HttpRequest(method=self.method, target=self.target, headers=Headers(headers), body=self.body.encode())

    def signed(self) -> HttpRequest:
        dated = self.dated()
        return msgspec.structs.replace(dated, headers=dated.headers.and_also([("Authorization", self.authorization)]))


class Exchange(Struct):
    """One operation: its members, its result, how official SDKs send it, and the answer."""

    action: str
    members: dict[str, Any]
    result: dict[str, Any]
    answer: dict[str, Any]
    requests: list[Sent]


class _Signatures(Struct):
    credentials: Credentials
    time: datetime
    scope: str
    vectors: list[Vector]


class _Exchanges(Struct):
    exchanges: list[Exchange]


_signatures = msgspec.json.decode((VECTORS / "kingsoft_signatures.json").read_bytes(), type=_Signatures)
_exchanges = [
    exchange
    for name in ("kingsoft_operations", "kingsoft_recordings")
    for exchange in msgspec.json.decode((VECTORS / f"{name}.json").read_bytes(), type=_Exchanges).exchanges
]

CREDENTIALS: Final = _signatures.credentials
AT: Final = _signatures.time
SCOPE: Final = _signatures.scope
SIGNATURES: Final = _signatures.vectors
EXCHANGES: Final = _exchanges
SENT: Final = [(exchange, sent) for exchange in EXCHANGES for sent in exchange.requests]
