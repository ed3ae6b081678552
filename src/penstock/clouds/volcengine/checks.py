"""The server's checks of a signed request, in either form.

They come in two steps, for the key has to be fetched in between. `read_claim` refuses what needs no key: a
missing part, a clock that is off, a scope of another day or service, a body that is not the one announced.
`verify` compares. The list of signed headers is the request's own, as every client signs another one.

The query form signs no body. So it has none: its parameters are in the query, whatever its method.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from penstock.clouds.contract import Claim, Credentials, Verified
from penstock.clouds.http import HttpRequest
from penstock.clouds.reading import read_query
from penstock.clouds.signed import (
    as_bytes,
    authorization_parts,
    check_body,
    check_names,
    check_token,
    format_time,
    mismatch,
    read_time,
)
from penstock.clouds.volcengine.signing import (
    ALGORITHM,
    QUERY_SIGNATURE,
    REGION,
    SERVICE,
    TERMINATOR,
    body_hash,
    canonical_request,
    canonical_url,
    signature,
    signed_host,
    string_to_sign,
)
from penstock.errors import (
    BadScope,
    BadSignature,
    MissingScope,
    MissingSignature,
    UnknownService,
)

_TOKEN: Final = re.compile(r"^(x-security-token:).*$|(?<=&)(X-Security-Token=)[^&\n]*", re.MULTILINE)


def is_in_query(request: HttpRequest) -> bool:
    """True for a request that is signed in its query: what it asks for is there too."""
    return "Authorization" not in request.headers and any(
        name in f"&{request.query}" for name in (f"&{QUERY_SIGNATURE}=", "&X-Credential=", "&X-Algorithm=")
    )


def read_claim(request: HttpRequest, now: datetime) -> Claim:
    """Return who a request says it is from, and when it says it was signed.

    Raises:
        MissingKey, MissingSignature, MissingTime, MissingScope: that part is not there.
        ExpiredRequest: more than 15 minutes from `now`, either way, or no time at all.
        BadScope: another algorithm, or another day.
        UnknownService: signed for another service.
        BadSignature: something that steers the call is not covered by the signature.
        MalformedRequest: a part twice, or beyond any sense in size.
    """
    return _claim_of_query(request, now) if is_in_query(request) else _claim_of_headers(request, now)


def _claim_of_headers(request: HttpRequest, now: datetime) -> Claim:
    parts = authorization_parts(
        request.headers, ALGORITHM, "the request has no Authorization header, and no X-Signature in its query"
    )
    access_key, scope = _read_credential(parts.get("Credential", ""))
    if not parts.get("Signature"):
        raise MissingSignature("Authorization has no Signature")
    names = tuple(parts.get("SignedHeaders", "").split(";"))
    if names == ("",):
        raise MissingScope("Authorization has no SignedHeaders; host and x-date must be among them")
    at, date = read_time(request.headers.get_all("X-Date"), "X-Date", now)
    _check_scope(scope, date)
    check_names(names, request.headers, ("host", "x-date"), ("x-security-token",))
    check_body(request.headers, "X-Content-Sha256", body_hash(request.body))
    return Claim(access_key=access_key, at=at, scope=scope, signed_headers=names, signature=parts["Signature"])


def _claim_of_query(request: HttpRequest, now: datetime) -> Claim:
    query = read_query(request.query)
    if query.get("X-Algorithm") != ALGORITHM:
        raise BadScope(f"X-Algorithm is {query.get('X-Algorithm', '')[:32]!r}; it must be {ALGORITHM}")
    access_key, scope = _read_credential(query.get("X-Credential", ""))
    if not query.get(QUERY_SIGNATURE):
        raise MissingSignature(f"the query has no {QUERY_SIGNATURE}")
    if query.get("X-SignedHeaders"):
        raise BadSignature("X-SignedHeaders names headers; in a signed URL none are signed, and it must be empty")
    at, date = read_time([query["X-Date"]] if "X-Date" in query else [], "X-Date", now)
    _check_scope(scope, date)
    if request.body:
        raise BadSignature("the request has a body, and the signature in its query covers none")
    return Claim(access_key=access_key, at=at, scope=scope, signed_headers=(), signature=query[QUERY_SIGNATURE])


def _read_credential(text: str) -> tuple[str, str]:
    """Return the access key and the scope."""
    if not text:
        raise MissingScope("there is no Credential; it must be <access key>/<scope>")
    access_key, _, scope = text.partition("/")
    if not access_key or not scope:
        raise MissingScope(f"the Credential is {text[:80]!r}; it must be <access key>/<scope>")
    return access_key, scope


def _check_scope(scope: str, date: str) -> None:
    # Any region will do: we are in none, and the SDK has been seen with others.
    parts = scope.split("/")
    wanted = f"{date}/{REGION}/{SERVICE}/{TERMINATOR}"
    if len(parts) != 4 or not all(parts):
        raise MissingScope(f"the credential's scope is {scope[:80]!r}; it must be like {wanted}")
    if parts[0] != date or parts[3] != TERMINATOR:
        raise BadScope(f"the credential's scope is {scope[:80]!r}; it must be like {wanted}")
    if parts[2] != SERVICE:
        raise UnknownService(f"the credential is for the service {parts[2][:32]!r}; here is {SERVICE!r}")


def verify(request: HttpRequest, claim: Claim, credentials: Credentials) -> Verified:
    """Return the texts that the signature was made over, now that it is known to fit.

    A key with a session token wants that token; a key without one takes none.

    Raises:
        BadSignature: another key signed, or something else was signed.
    """
    time = format_time(claim.at)
    tokens = _tokens(request)
    first: Verified | None = None
    for canonical in _canonical_forms(request, claim):
        text = string_to_sign(canonical, time, claim.scope)
        made = signature(credentials.secret_key, claim.scope, text)
        shown = _TOKEN.sub(r"\1\2(hidden)", canonical) if tokens else canonical
        found = Verified(access_key=claim.access_key, canonical_request=shown, string_to_sign=text)
        first = first or found
        if hmac.compare_digest(made.encode(), as_bytes(claim.signature)):
            check_token(tokens, "X-Security-Token", credentials, found)
            return found
    assert first is not None
    raise mismatch("the signature is not the one of this request and this key", first)


def _canonical_forms(request: HttpRequest, claim: Claim) -> Iterable[str]:
    """Yield what may have been signed: all clients agree but for a default port that was written out."""
    if is_in_query(request):
        yield canonical_url(request)
        return
    canonical = canonical_request(request, claim.signed_headers)
    yield canonical
    host = request.headers.get("Host").strip()
    if signed_host(host) != host:
        yield canonical.replace(f"\nhost:{signed_host(host)}\n", f"\nhost:{host}\n", 1)


def _tokens(request: HttpRequest) -> list[str]:
    if is_in_query(request):
        token = read_query(request.query).get("X-Security-Token")
        return [] if token is None else [token]
    return request.headers.get_all("X-Security-Token")
