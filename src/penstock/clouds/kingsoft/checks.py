"""The server's checks of a signed KLS request.

They come in two steps, for the key has to be fetched in between. `read_claim` refuses what needs no
key: a missing part, a clock that is off, a scope of another day or service, routing headers that
nobody signed, a body that is not the one announced. `verify` compares. The list of signed headers is
the request's own, as every client signs another one.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Final

from penstock.clouds.contract import Claim, Credentials, Verified
from penstock.clouds.http import DEFAULT_PORTS, Headers, HttpRequest
from penstock.clouds.kingsoft.signing import (
    ALGORITHM,
    REGION,
    SERVICE,
    TERMINATOR,
    as_bytes,
    canonical_request,
    format_time,
    signature,
    string_to_sign,
)
from penstock.errors import (
    BadScope,
    BadSignature,
    ExpiredRequest,
    MalformedRequest,
    MissingKey,
    MissingSignature,
    MissingTime,
)

WINDOW: Final = timedelta(minutes=15)

# Whatever says which operation is meant, or for whom, counts only when it is signed.
_SIGNED_IF_PRESENT: Final = ("x-action", "x-version", "x-amz-target", "x-amz-security-token")
_MAX_AUTHORIZATION: Final = 4096  # characters
_MAX_SIGNED_HEADERS: Final = 64
_TIME: Final = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z", re.ASCII)
_PARTS: Final = frozenset({"Credential", "SignedHeaders", "Signature"})
_TOKEN_LINE: Final = re.compile(r"^x-amz-security-token:.*$", re.MULTILINE)


def read_claim(request: HttpRequest, now: datetime) -> Claim:
    """Return who a request says it is from, and when it says it was signed.

    Raises:
        MissingKey, MissingSignature, MissingTime: that part is not there.
        ExpiredRequest: more than 15 minutes from `now`, either way, or no time at all.
        BadScope: another algorithm, service or day.
        BadSignature: something that steers the call is not covered by the signature.
        MalformedRequest: a part twice, or beyond any sense in size.
    """
    parts = _read_authorization(request.headers)
    access_key, _, scope = parts.get("Credential", "").partition("/")
    if not access_key:
        raise MissingKey("Authorization has no Credential; it must be <access key>/<scope>")
    if not parts.get("Signature"):
        raise MissingSignature("Authorization has no Signature")
    names = tuple(parts.get("SignedHeaders", "").split(";"))
    if names == ("",):
        raise MissingSignature("Authorization has no SignedHeaders; host and x-amz-date must be among them")
    at, date = _read_time(request.headers, now)
    _check_scope(scope, date)
    _check_names(names, request.headers)
    _check_body(request)
    return Claim(access_key=access_key, at=at, scope=scope, signed_headers=names, signature=parts["Signature"])


def _read_authorization(headers: Headers) -> dict[str, str]:
    values = headers.get_all("Authorization")
    if not values:
        raise MissingKey("the request has no Authorization header")
    if len(values) > 1 or len(values[0]) > _MAX_AUTHORIZATION:
        raise MalformedRequest("Authorization must stand once, within 4096 characters")
    scheme, _, rest = values[0].strip().partition(" ")
    if scheme != ALGORITHM:
        raise BadScope(f"Authorization begins with {scheme[:32]!r}; it must be {ALGORITHM}")
    parts: dict[str, str] = {}
    for text in rest.split(","):
        name, _, value = text.strip().partition("=")
        if name not in _PARTS or name in parts or value.split(None, 1)[1:]:
            raise MalformedRequest("Authorization must have Credential, SignedHeaders and Signature, each once")
        parts[name] = value
    return parts


def _read_time(headers: Headers, now: datetime) -> tuple[datetime, str]:
    """Return the time, and its day as a scope has it."""
    values = headers.get_all("X-Amz-Date")
    if not values:
        raise MissingTime("the request has no X-Amz-Date header")
    text = values[0].strip()
    at = _as_time(text) if len(values) == 1 else None
    if at is None:
        raise ExpiredRequest(f"X-Amz-Date is {values[0][:32]!r}; it must be one time like 20260301T120000Z")
    if abs(now - at) > WINDOW:
        raise ExpiredRequest(f"X-Amz-Date is {values[0][:32]}; it must be within 15 minutes of {format_time(now)}")
    return at, text[:8]


@lru_cache(64)  # calls come in the same second as others
def _as_time(text: str) -> datetime | None:
    found = _TIME.fullmatch(text)
    try:
        return datetime(*map(int, found.groups()), tzinfo=UTC) if found else None  # type: ignore[misc,arg-type]
    except ValueError:  # the 30th of February
        return None


def _check_scope(scope: str, date: str) -> None:
    # Any region will do: kscore signs whichever its caller names, and we are in none.
    parts = scope.split("/")
    if len(parts) != 4 or parts[0] != date or not parts[1] or parts[2:] != [SERVICE, TERMINATOR]:
        wanted = f"{date}/{REGION}/{SERVICE}/{TERMINATOR}"
        raise BadScope(f"the credential's scope is {scope[:80]!r}; it must be like {wanted}")


def _check_names(names: tuple[str, ...], headers: Headers) -> None:
    if len(names) > _MAX_SIGNED_HEADERS:
        raise MalformedRequest(f"SignedHeaders has {len(names)} names; it must have at most {_MAX_SIGNED_HEADERS}")
    for name in ("host", "x-amz-date"):
        if name not in names:
            raise BadSignature(f"SignedHeaders has no {name}")
    there = set(headers.names())
    for name in names:
        if name not in there:
            raise BadSignature(f"SignedHeaders has {name[:64]!r}, and the request has no such header")
    for name in _SIGNED_IF_PRESENT:
        if name in there and name not in names:
            raise BadSignature(f"the request has {name}, and SignedHeaders has not")


def _check_body(request: HttpRequest) -> None:
    for announced in request.headers.get_all("X-Amz-Content-SHA256"):
        made = sha256(request.body).hexdigest()
        if not hmac.compare_digest(as_bytes(announced.strip()), made.encode()):
            raise BadSignature(f"X-Amz-Content-SHA256 is {announced[:64]!r}; the body's is {made}")


def verify(request: HttpRequest, claim: Claim, credentials: Credentials) -> Verified:
    """Return the texts that the signature was made over, now that it is known to fit.

    A key with a session token wants that token; a key without one takes none.

    Raises:
        BadSignature: another key signed, or something else was signed.
    """
    time = request.headers.get("X-Amz-Date").strip()
    has_token = "x-amz-security-token" in claim.signed_headers
    first: Verified | None = None
    for tried in _hosts(request):
        canonical = canonical_request(tried, claim.signed_headers)
        text = string_to_sign(canonical, time, claim.scope)
        made = signature(credentials.secret_key, claim.scope, text)
        shown = canonical if not has_token else _TOKEN_LINE.sub("x-amz-security-token:(hidden)", canonical)
        found = Verified(access_key=claim.access_key, canonical_request=shown, string_to_sign=text)
        first = first or found
        if hmac.compare_digest(made.encode(), as_bytes(claim.signature)):
            _check_token(request.headers, credentials, found)
            return found
    assert first is not None
    raise _mismatch("the signature is not the one of this request and this key", first)


def _hosts(request: HttpRequest) -> Iterable[HttpRequest]:
    """Yield the request as it came, then with the ports that its client may have signed.

    kscore signs the endpoint's host as it was written, while its HTTP layer leaves `:80` and `:443`
    out of the Host header that it sends.
    """
    yield request
    host = request.headers.get("Host").strip()
    if re.search(r":\d*\Z", host) is None:
        others = [line for line in request.headers if line[0].lower() != "host"]
        for port in DEFAULT_PORTS.values():
            headers = Headers([("Host", f"{host}:{port}"), *others])
            yield HttpRequest(method=request.method, target=request.target, headers=headers, body=request.body)


def _check_token(headers: Headers, credentials: Credentials, found: Verified) -> None:
    sent = headers.get_all("X-Amz-Security-Token")
    if not sent and not credentials.token:
        return
    wanted = [credentials.token] if credentials.token else []
    same = [
        hmac.compare_digest(as_bytes(each.strip()), as_bytes(token)) for each, token in zip(sent, wanted, strict=False)
    ]
    if len(sent) != len(wanted) or not all(same):
        raise _mismatch("X-Amz-Security-Token is not the one of this key", found)


def _mismatch(message: str, found: Verified) -> BadSignature:
    return BadSignature(message, canonical_request=found.canonical_request, string_to_sign=found.string_to_sign)
