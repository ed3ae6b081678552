"""Signatures of Volcengine: HMAC-SHA256 in headers, and in the query of a URL that can be handed on.

Three stages, each a function: the canonical request, the string to sign, the signature. A client signs what
it is about to send (`sign`, `sign_query`); a server rebuilds the same texts from what it received (`checks`).
It looks like AWS Signature Version 4 and differs: the secret has no prefix, a written default port is not
signed, and the query form covers neither host nor body, with one line feed more.

Source: the signer of the official Python SDK `volcengine` 1.0.229, and for what may differ from it the Go
SDK's (read 2026-11).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Final
from urllib.parse import quote, quote_plus, unquote_to_bytes

from penstock.clouds.contract import Credentials
from penstock.clouds.http import Headers, HttpRequest
from penstock.clouds.reading import query_pairs
from penstock.clouds.signed import as_bytes, format_time

ALGORITHM: Final = "HMAC-SHA256"
SERVICE: Final = "live"
REGION: Final = "cn-north-1"
TERMINATOR: Final = "request"
QUERY_SIGNATURE: Final = "X-Signature"

_HASH_OF_NOTHING: Final = sha256().hexdigest()
# Keys are derived for a secret, a day, a region and a service: one a day for each that is in use.
_DERIVED_KEYS: Final = 1024
# What the SDK signs beside every header that begins with `X-`.
_SIGNED: Final = frozenset({"content-type", "content-md5", "host"})


def canonical_path(path: str) -> str:
    """Return a path percent-encoded strictly, slashes kept; empty is `/`."""
    return quote(unquote_to_bytes(as_bytes(path)), safe="/~") or "/"


def canonical_query(query: str, *, leave_out: str = "") -> str:
    """Return a raw query decoded as a form, sorted by name, and encoded strictly; `leave_out` is a name.

    The wire has `+` for a space, and what is signed has `%20`.
    """
    pairs = [(name, value) for name, value in query_pairs(query) if name != leave_out.encode() or not leave_out]
    pairs.sort(key=lambda pair: pair[0])
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)


def canonical_headers(headers: Headers, names: Iterable[str]) -> str:
    """Return one `name:value` line for each name, each ended by a line feed."""
    return "".join([f"{name}:{_value(name, headers.get_all(name))}\n" for name in names])


def _value(name: str, values: list[str]) -> str:
    text = ",".join(map(str.strip, values))
    return signed_host(text) if name == "host" else text


def signed_host(host: str) -> str:
    """Return a Host header as the SDK signs it: without the port if that is 80 or 443."""
    parts = host.split(":")
    return parts[0] if len(parts) > 1 and parts[1] in ("80", "443") else host


def canonical_request(request: HttpRequest, names: tuple[str, ...]) -> str:
    """Return the text that stands for a request whose headers `names` are signed."""
    return "\n".join(
        (
            request.method.upper(),
            canonical_path(request.path),
            canonical_query(request.query),
            canonical_headers(request.headers, names),
            ";".join(names),
            body_hash(request.body),
        )
    )


def canonical_url(request: HttpRequest) -> str:
    """Return the text that stands for a request whose query is signed, and nothing else of it."""
    query = canonical_query(request.query, leave_out=QUERY_SIGNATURE)
    # Where the headers would be is a line feed, as the SDK has it, and not nothing.
    return "\n".join((request.method.upper(), canonical_path(request.path), query, "\n", "", _HASH_OF_NOTHING))


def body_hash(body: bytes) -> str:
    """Return the X-Content-Sha256 of a body."""
    return sha256(body).hexdigest() if body else _HASH_OF_NOTHING


def string_to_sign(canonical: str, time: str, scope: str) -> str:
    """Return the text that is signed; `time` is the one of X-Date, `scope` date/region/service/end."""
    return "\n".join((ALGORITHM, time, scope, sha256(as_bytes(canonical)).hexdigest()))


def signature(secret_key: str, scope: str, text: str) -> str:
    """Return the lower-case hex signature of a string to sign."""
    return hmac.digest(_derived_key(secret_key, scope), as_bytes(text), "sha256").hex()


@lru_cache(_DERIVED_KEYS)
def _derived_key(secret_key: str, scope: str) -> bytes:
    key = secret_key.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, as_bytes(part), "sha256")
    return key


def sign(request: HttpRequest, credentials: Credentials, now: datetime) -> HttpRequest:
    """Return the request with X-Date, X-Content-Sha256, the session token if there is one, and Authorization.

    The headers are signed that the SDK would sign. `Host` has to be there as it will be sent.
    """
    time = format_time(now)
    token = [("X-Security-Token", credentials.token)] if credentials.token else []
    lines = [("X-Date", time), ("X-Content-Sha256", body_hash(request.body)), *token]
    headers = request.headers.and_also(lines)
    names = tuple(sorted(name for name in headers.names() if name in _SIGNED or name.startswith("x-")))
    scope = scope_of(time)
    dated = HttpRequest(method=request.method, target=request.target, headers=headers, body=request.body)
    made = signature(credentials.secret_key, scope, string_to_sign(canonical_request(dated, names), time, scope))
    value = (
        f"{ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={';'.join(names)}, Signature={made}"
    )
    return HttpRequest(
        method=request.method,
        target=request.target,
        headers=headers.and_also([("Authorization", value)]),
        body=request.body,
    )


def sign_query(request: HttpRequest, credentials: Credentials, now: datetime) -> HttpRequest:
    """Return the request with its signature in the query: whoever has the URL can send it, until it is old."""
    time = format_time(now)
    scope = scope_of(time)
    more = {
        "X-Date": time,
        "X-NotSignBody": "",
        "X-Credential": f"{credentials.access_key}/{scope}",
        "X-Algorithm": ALGORITHM,
        "X-SignedHeaders": "",
        "X-SignedQueries": "",
    }
    names = sorted([*(name.decode("utf-8", "replace") for name, _ in query_pairs(request.query)), *more])
    more["X-SignedQueries"] = ";".join(names)
    if credentials.token:
        more["X-Security-Token"] = credentials.token
    dated = _with_query(request, more)
    made = signature(credentials.secret_key, scope, string_to_sign(canonical_url(dated), time, scope))
    return _with_query(dated, {QUERY_SIGNATURE: made})


def _with_query(request: HttpRequest, more: dict[str, str]) -> HttpRequest:
    text = "&".join([request.query, *(f"{name}={quote_plus(value)}" for name, value in more.items())])
    target = f"{request.path}?{text.lstrip('&')}"
    return HttpRequest(method=request.method, target=target, headers=request.headers, body=request.body)


def scope_of(time: str) -> str:
    """Return what a key is derived for, at a time of X-Date."""
    return f"{time[:8]}/{REGION}/{SERVICE}/{TERMINATOR}"
