"""Which cloud's words a request is in.

The Authorization header's scheme tells. A request that has none, or one that nobody knows, is answered
in the words of the cloud that it looks like, as its client can read nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from penstock.clouds.contract import Operation, Wire
from penstock.clouds.http import HttpRequest
from penstock.clouds.kingsoft import signing, wire

_ACTION: Final = re.compile(r"(?:\A|&)Action=")


class Dialect(Struct, frozen=True):
    """One cloud's API as the gateway sees it."""

    scheme: str  # first word of its Authorization header
    wire: Wire
    looks_like: Callable[[HttpRequest], bool]  # of a request without that scheme
    # What the cloud lets the main account's keys do alone; nothing, in KLS.
    main_account_only: frozenset[type[Operation[Any]]] = frozenset()


def _looks_like_kls(request: HttpRequest) -> bool:
    headers = request.headers
    return "X-Amz-Target" in headers or "X-Action" in headers or _ACTION.search(request.query) is not None


DIALECTS: Final = (Dialect(signing.ALGORITHM, wire, _looks_like_kls),)
_BY_SCHEME: Final = {dialect.scheme: dialect for dialect in DIALECTS}


def dialect_of(request: HttpRequest) -> Dialect | None:
    """Return the dialect of a request; None where nothing tells."""
    scheme = request.headers.get("Authorization").strip().partition(" ")[0]
    named = _BY_SCHEME.get(scheme)
    if named is not None:
        return named
    return next((each for each in DIALECTS if each.looks_like(request)), None)
