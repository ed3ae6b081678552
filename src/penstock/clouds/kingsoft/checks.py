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
from datetime import datetime
from hashlib import sha256
from typing import Final

from penstock.clouds.contract import Claim, Credentials, Verified
from penstock.clouds.http import DEFAULT_PORTS, Headers, HttpRequest
from penstock.clouds.kingsoft.signing import (
    ALGORITHM,
    REGION,
    SERVICE,
    TERMINATOR,
    canonical_request,
    signature,
    string_to_sign,
)
from penstock.clouds.signed import (
    as_bytes,
    authorization_parts,
    check_body,
    check_names,
    check_token,
    mismatch,
    read_time,
)
from penstock.errors import (
    BadScope,
    MissingKey,
    MissingSignature,
)

# Whatever says which operation is meant, or for whom, counts only when it is signed.
_SIGNED_IF_PRESENT: Final = ("x-action", "x-version", "x-amz-target", "x-amz-security-token")
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
    parts = authorization_parts(request.headers, ALGORITHM, "the request has no Authorization header")
    access_key, _, scope = parts.get("Credential", "").partition("/")
    if not access_key:
        raise MissingKey("Authorization has no Credential; it must be <access key>/<scope>")
    if not parts.get("Signature"):
        raise MissingSignature("Authorization has no Signature")
    names = tuple(parts.get("SignedHeaders", "").split(";"))
    if names == ("",):
        raise MissingSignature("Authorization has no SignedHeaders; host and x-amz-date must be among them")
    at, date = read_time(request.headers.get_all("X-Amz-Date"), "X-Amz-Date", now)
    _check_scope(scope, date)
    check_names(names, request.headers, ("host", "x-amz-date"), _SIGNED_IF_PRESENT)
    check_body(request.headers, "X-Amz-Content-SHA256", sha256(request.body).hexdigest())
    return Claim(access_key=access_key, at=at, scope=scope, signed_headers=names, signature=parts["Signature"])


def _check_scope(scope: str, date: str) -> None:
    # Any region will do: kscore signs whichever its caller names, and we are in none.
    parts = scope.split("/")
    if len(parts) != 4 or parts[0] != date or not parts[1] or parts[2:] != [SERVICE, TERMINATOR]:
        wanted = f"{date}/{REGION}/{SERVICE}/{TERMINATOR}"
        raise BadScope(f"the credential's scope is {scope[:80]!r}; it must be like {wanted}")


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
            check_token(request.headers.get_all("X-Amz-Security-Token"), "X-Amz-Security-Token", credentials, found)
            return found
    assert first is not None
    raise mismatch("the signature is not the one of this request and this key", first)


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
