"""Signatures of KLS: AWS Signature Version 4 with header authorization, service `kls`.

Three stages, each a function: the canonical request, the string to sign, the signature. A client
signs what it is about to send (`sign`); a server rebuilds the same texts from what it received
(`checks`).

Source: https://docs.aws.amazon.com/general/latest/gr/sigv4_signing.html for the algorithm; the
names, and which header is signed by whom, from the official Python SDKs `ksc-sdk-python` 1.3.65 and
`kingsoftcloud-sdk-python` 1.5.8 (read 2026-11).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Final
from urllib.parse import quote

from penstock.clouds.contract import Credentials
from penstock.clouds.http import Headers, HttpRequest
from penstock.clouds.reading import check_query, query_pairs
from penstock.clouds.signed import as_bytes, format_time

ALGORITHM: Final = "AWS4-HMAC-SHA256"
SERVICE: Final = "kls"
REGION: Final = "cn-beijing-6"
TERMINATOR: Final = "aws4_request"

# A query that is its own canonical form, but for the order.
_PLAIN_QUERY: Final = re.compile(r"[\w.~-]+=[\w.~-]*(?:&[\w.~-]+=[\w.~-]*)*", re.ASCII)
_HASH_OF_NOTHING: Final = sha256().hexdigest()
# Keys are derived for a secret, a day, a region and a service: one a day for each that is in use.
_DERIVED_KEYS: Final = 1024

# What kscore sets and does not sign.
_UNSIGNED: Final = frozenset({"authorization", "user-agent", "expect"})


def canonical_path(path: str) -> str:
    """Return a path without dot segments, percent-encoded once more; empty is `/`."""
    if path == "/":
        return path
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part and part != ".":
            parts.append(part)
    ends = "/" if parts and path.endswith("/") else ""
    return quote(f"/{'/'.join(parts)}{ends}".encode("utf-8", "surrogatepass"), safe="/~")


def canonical_query(query: str) -> str:
    """Return a raw query decoded as a form, encoded strictly, and sorted.

    kscore never sends `+`; the second-generation SDK sends it for a space and signs `%20`.
    """
    check_query(query)
    if _PLAIN_QUERY.fullmatch(query) is not None:
        return "&".join(sorted(query.split("&")))
    return "&".join(sorted(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query_pairs(query)))


def canonical_headers(headers: Headers, names: Iterable[str]) -> str:
    """Return one `name:value` line for each name, each ended by a line feed."""
    return "".join([f"{name}:{_value(headers.get_all(name))}\n" for name in names])


def _value(values: list[str]) -> str:
    return values[0].strip() if len(values) == 1 else ",".join(sorted(map(str.strip, values)))


def canonical_request(request: HttpRequest, names: tuple[str, ...]) -> str:
    """Return the text that stands for a request whose headers `names` are signed."""
    return "\n".join(
        (
            request.method.upper(),
            canonical_path(request.path),
            canonical_query(request.query),
            canonical_headers(request.headers, names),
            ";".join(names),
            sha256(request.body).hexdigest() if request.body else _HASH_OF_NOTHING,
        )
    )


def string_to_sign(canonical: str, time: str, scope: str) -> str:
    """Return the text that is signed; `time` is the one of X-Amz-Date, `scope` date/region/service/end."""
    return "\n".join((ALGORITHM, time, scope, sha256(as_bytes(canonical)).hexdigest()))


def signature(secret_key: str, scope: str, text: str) -> str:
    """Return the lower-case hex signature of a string to sign."""
    return hmac.digest(_derived_key(secret_key, scope), as_bytes(text), "sha256").hex()


@lru_cache(_DERIVED_KEYS)
def _derived_key(secret_key: str, scope: str) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, as_bytes(part), "sha256")
    return key


def sign(request: HttpRequest, credentials: Credentials, now: datetime, region: str = REGION) -> HttpRequest:
    """Return the request with X-Amz-Date, the session token if there is one, and Authorization.

    Every header is signed that kscore would sign: all but User-Agent and Expect. `Host` has to be
    there as it will be sent.
    """
    time = format_time(now)
    token = [("X-Amz-Security-Token", credentials.token)] if credentials.token else []
    headers = request.headers.and_also([("X-Amz-Date", time), *token])
    names = tuple(sorted(set(headers.names()) - _UNSIGNED))
    scope = f"{time[:8]}/{region}/{SERVICE}/{TERMINATOR}"
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
