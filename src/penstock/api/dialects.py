"""Which cloud's words a request is in.

The Authorization header's scheme tells, or the query of a URL that is signed in there. A request that has
neither, or a scheme that nobody knows, is answered in the words of the cloud that it looks like, as its
client can read nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from penstock.api import requestids
from penstock.clouds.contract import Operation, Wire
from penstock.clouds.http import HttpRequest
from penstock.clouds.kingsoft import signing, wire
from penstock.clouds.volcengine import signing as volcengine_signing
from penstock.clouds.volcengine import wire as volcengine_wire

_ACTION: Final = re.compile(r"(?:\A|&)Action=")


class Dialect(Struct, frozen=True):
    """One cloud's API as the gateway sees it."""

    scheme: str  # first word of its Authorization header
    wire: Wire
    looks_like: Callable[[HttpRequest], bool]  # of a request without that scheme
    # What the cloud lets the main account's keys do alone; nothing, in KLS.
    main_account_only: frozenset[type[Operation[Any]]] = frozenset()
    make_request_id: Callable[[datetime], str] = requestids.as_uuid


def _looks_like_kls(request: HttpRequest) -> bool:
    headers = request.headers
    return "X-Amz-Target" in headers or "X-Action" in headers or _ACTION.search(request.query) is not None


_OF_VOLCENGINE: Final = re.compile(
    r"(?:\A|&)(?:X-Algorithm=HMAC-SHA256|X-Credential=|X-Signature=|Version=(?:2020-08-01|2023-01-01)(?:&|\Z))"
)


def _looks_like_volcengine(request: HttpRequest) -> bool:
    """By a signature in the query, or a version of its API, which no other cloud has."""
    return "X-Date" in request.headers or _OF_VOLCENGINE.search(request.query) is not None


# What is signed in its query is no business of KLS: Volcengine comes first among those that are looked at.
DIALECTS: Final = (
    Dialect(
        volcengine_signing.ALGORITHM,
        volcengine_wire,
        _looks_like_volcengine,
        make_request_id=requestids.as_time_and_hex,
    ),
    Dialect(signing.ALGORITHM, wire, _looks_like_kls),
)
_BY_SCHEME: Final = {dialect.scheme: dialect for dialect in DIALECTS}


# Requests that may bring a picture; by their targets, as nothing else is known of them when their bodies come.
LARGE_TARGETS: Final = re.compile(rf"[?&]Action=(?:{'|'.join(volcengine_wire.WITH_PICTURES)})(?:&|\Z)".encode())


def dialect_of(request: HttpRequest) -> Dialect | None:
    """Return the dialect of a request; None where nothing tells."""
    scheme = request.headers.get("Authorization").strip().partition(" ")[0]
    named = _BY_SCHEME.get(scheme)
    if named is not None:
        return named
    return next((each for each in DIALECTS if each.looks_like(request)), None)
