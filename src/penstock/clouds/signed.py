"""Checks that the clouds' signatures have in common: one `Authorization`, a time, names of headers, a token.

All of them are of one family: `ALGORITHM Credential=KEY/DAY/..., SignedHeaders=..., Signature=...`. What they differ
in is each cloud's own, in its `checks`.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from penstock.clouds.contract import Credentials, Verified
from penstock.clouds.http import Headers
from penstock.errors import BadScope, BadSignature, ExpiredRequest, MalformedRequest, MissingKey, MissingTime

WINDOW: Final = timedelta(minutes=15)

_MAX_AUTHORIZATION: Final = 4096  # characters
_MAX_SIGNED_HEADERS: Final = 64
_TIME: Final = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z", re.ASCII)
_PARTS: Final = frozenset({"Credential", "SignedHeaders", "Signature"})


def as_bytes(text: str) -> bytes:
    """Encode whatever a caller sent; what is no text cannot match a signature, and must not raise."""
    return text.encode("utf-8", "surrogatepass")


def format_time(now: datetime) -> str:
    """Return an aware time in the form that is signed, in UTC."""
    return now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def authorization_parts(headers: Headers, algorithm: str, missing: str) -> dict[str, str]:
    """Return the parts of the header `Authorization` by their names; `missing` is said where there is none.

    Raises:
        MissingKey, BadScope, MalformedRequest: there is none, of another algorithm, or not that.
    """
    values = headers.get_all("Authorization")
    if not values:
        raise MissingKey(missing)
    if len(values) > 1 or len(values[0]) > _MAX_AUTHORIZATION:
        raise MalformedRequest("Authorization must stand once, within 4096 characters")
    scheme, _, rest = values[0].strip().partition(" ")
    if scheme != algorithm:
        raise BadScope(f"Authorization begins with {scheme[:32]!r}; it must be {algorithm}")
    parts: dict[str, str] = {}
    for text in rest.split(","):
        name, _, value = text.strip().partition("=")
        if name not in _PARTS or name in parts or value.split(None, 1)[1:]:
            raise MalformedRequest("Authorization must have Credential, SignedHeaders and Signature, each once")
        parts[name] = value
    return parts


def read_time(values: Sequence[str], name: str, now: datetime) -> tuple[datetime, str]:
    """Return the time that a request was signed at, and its day as a scope has it.

    Raises:
        MissingTime, ExpiredRequest: `values`, all that stand under `name`, are none, or no time near `now`.
    """
    if not values:
        raise MissingTime(f"the request has no {name}")
    text = values[0].strip()
    at = _as_time(text) if len(values) == 1 else None
    if at is None:
        raise ExpiredRequest(f"{name} is {values[0][:32]!r}; it must be one time like 20260301T120000Z")
    if abs(now - at) > WINDOW:
        raise ExpiredRequest(f"{name} is {values[0][:32]}; it must be within 15 minutes of {format_time(now)}")
    return at, text[:8]


@lru_cache(64)  # calls come in the same second as others
def _as_time(text: str) -> datetime | None:
    found = _TIME.fullmatch(text)
    try:
        return datetime(*map(int, found.groups()), tzinfo=UTC) if found else None  # type: ignore[misc,arg-type]
    except ValueError:  # the 30th of February
        return None


def check_names(names: Sequence[str], headers: Headers, always: Sequence[str], if_there: Sequence[str]) -> None:
    """See that the signed headers are there, and that those are signed which have to be.

    Raises:
        BadSignature, MalformedRequest: they are not, or are beyond any sense in number.
    """
    if len(names) > _MAX_SIGNED_HEADERS:
        raise MalformedRequest(f"SignedHeaders has {len(names)} names; it must have at most {_MAX_SIGNED_HEADERS}")
    for name in always:
        if name not in names:
            raise BadSignature(f"SignedHeaders has no {name}")
    there = set(headers.names())
    for name in names:
        if name not in there:
            raise BadSignature(f"SignedHeaders has {name[:64]!r}, and the request has no such header")
    for name in if_there:
        if name in there and name not in names:
            raise BadSignature(f"the request has {name}, and SignedHeaders has not")


def check_body(headers: Headers, name: str, made: str) -> None:
    """See that the body's hash, where the header `name` announces one, is the one that was `made`.

    Raises:
        BadSignature: it is another body's.
    """
    for announced in headers.get_all(name):
        if not hmac.compare_digest(as_bytes(announced.strip()), made.encode()):
            raise BadSignature(f"{name} is {announced[:64]!r}; the body's is {made}")


def check_token(sent: Sequence[str], name: str, credentials: Credentials, found: Verified) -> None:
    """See that a key with a session token came with it, and one without with none.

    Raises:
        BadSignature: it did not.
    """
    wanted = [credentials.token] if credentials.token else []
    same = [
        hmac.compare_digest(as_bytes(each.strip()), as_bytes(token)) for each, token in zip(sent, wanted, strict=False)
    ]
    if len(sent) != len(wanted) or not all(same):
        raise mismatch(f"{name} is not the one of this key", found)


def mismatch(message: str, found: Verified) -> BadSignature:
    return BadSignature(message, canonical_request=found.canonical_request, string_to_sign=found.string_to_sign)
