"""The way of every API call: which cloud's it is, who signed it, what it asks, and the answer in that form.

::

    bytes → dialect (by the Authorization scheme) → claim → key → signature → operation → rate limit
          → parameters → handler → domain → result, or an error in the dialect's own envelope and code

Nothing is done for a request whose signature does not fit, and each refusal is kept for `explain`.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

from msgspec import Struct

from penstock.api.http import plain
from penstock.api.ratelimit import RateLimits
from penstock.api.replay import Replays
from penstock.clouds.contract import Claim, Credentials, Operation, Result, Verified, Wire
from penstock.clouds.http import HttpRequest, HttpResponse
from penstock.domain.caller import Caller
from penstock.domain.live import Live
from penstock.errors import BadSignature, DryRun, PenstockError, UnknownKey
from penstock.model import Clock
from penstock.storage.rows import AccessKey, ExplainEntry

log = logging.getLogger("penstock.api")

Handler = Callable[[Live, Caller, Any], Awaitable[Result]]

# What an unknown key's request is verified with: the answer takes as long as for a known one.
_NOBODY: Final = Credentials("", "an unknown key's request is verified all the same")
# What is kept of a refusal, in characters: what a caller put into it must not fill the store.
MAX_RULE: Final = 1024
MAX_TEXT: Final = 16_384  # a canonical request, or a string to sign
FAULT: Final = "a fault of the server; its log has it under the request's id"


class Dialect(Struct, frozen=True, kw_only=True):
    """One cloud: its form, how it is told, and what answers its operations."""

    wire: Wire
    scheme: str  # first word of Authorization
    is_meant: Callable[[HttpRequest], bool]  # tells it without that word, so that an unsigned call is answered
    handlers: Mapping[type[Operation[Any]], Handler]


class _Seen(Struct):
    """What became known of a request on its way."""

    request_id: str
    client: str
    action: str = ""
    access_key: str = ""
    account: str = ""


class Gateway:
    """Answers the calls of every dialect."""

    def __init__(
        self,
        dialects: Sequence[Dialect],
        live: Live,
        *,
        clock: Clock,
        explain: Callable[[ExplainEntry], None],
        limits: RateLimits | None,
    ) -> None:
        """`clock` is the machine's own: signatures go by it. Without `limits` nobody is told to slow down."""
        self._dialects = tuple(dialects)
        self._live = live
        self._clock = clock
        self._explain = explain
        self._limits = limits
        self._replays = Replays(clock.monotonic)

    async def answer(self, request: HttpRequest, client: str) -> HttpResponse:
        """Answer one request; `client` is the address that it came from."""
        dialect = self._dialect(request)
        if dialect is None:
            return plain(404, "Nothing is here without a signed request of a cloud's API.")
        seen = _Seen(str(uuid.uuid4()), client)
        try:
            return await self._serve(dialect, request, seen)
        except PenstockError as error:
            answer = dialect.wire.encode_error(error, request, seen.request_id)
            self._note(dialect, seen, error, answer)
            return answer
        except Exception as error:
            log.exception("a fault of our own, request %s, %s %s", seen.request_id, dialect.wire.CLOUD, seen.action)
            answer = dialect.wire.encode_error(error, request, seen.request_id)
            self._note(dialect, seen, error, answer)
            return answer

    def _dialect(self, request: HttpRequest) -> Dialect | None:
        scheme = request.headers.get("Authorization").strip().partition(" ")[0]
        for dialect in self._dialects:
            if scheme == dialect.scheme:
                return dialect
        return next((dialect for dialect in self._dialects if dialect.is_meant(request)), None)

    async def _serve(self, dialect: Dialect, request: HttpRequest, seen: _Seen) -> HttpResponse:
        wire = dialect.wire
        claim = wire.read_claim(request, self._clock.now())
        seen.access_key = claim.access_key
        key, _ = self._verify(wire, request, claim)
        seen.account = key.account
        operation = wire.resolve(request)
        seen.action = operation.about.action
        if self._limits is not None:
            self._limits.count(wire.CLOUD, key.account, operation)
        asked = wire.decode_request(request)
        caller = Caller(
            account=key.account,
            access_key=key.access_key,
            sub_account=key.sub_account,
            cloud=wire.CLOUD,
            dry_run=asked.dry_run,
        )
        handler = dialect.handlers[operation]

        async def act() -> HttpResponse:
            result = await handler(self._live, caller, asked.operation)
            if asked.dry_run:  # a read, which has nothing to hold back
                raise DryRun("it would have worked")
            return wire.encode_result(asked.operation, result, seen.request_id)

        digest = sha256(request.body).digest()
        return await self._replays.once(operation, (claim.access_key, claim.signature, digest), act)

    def _verify(self, wire: Wire, request: HttpRequest, claim: Claim) -> tuple[AccessKey, Verified]:
        key = self._live.registry.find_key(claim.access_key)
        credentials = Credentials(key.access_key, key.secret_key) if key is not None else _NOBODY
        try:
            verified = wire.verify(request, claim, credentials)
        except BadSignature:
            if key is None:
                raise UnknownKey(f"there is no access key {claim.access_key[:64]!r}") from None
            raise
        if key is None:
            raise UnknownKey(f"there is no access key {claim.access_key[:64]!r}")
        return key, verified

    def _note(self, dialect: Dialect, seen: _Seen, error: Exception, answer: HttpResponse) -> None:
        signed = error if isinstance(error, BadSignature) else None
        code = dialect.wire.code_of(error)
        # Anybody can be refused before a key was shown: that is no news, and must not fill a disk.
        log.log(
            logging.INFO if seen.account else logging.DEBUG,
            "%s %s refused (%s), request %s by %s from %s",
            dialect.wire.CLOUD,
            seen.action or "?",
            code,
            seen.request_id,
            seen.account or "nobody",
            seen.client,
        )
        rule = f"{type(error).__name__}: {error}" if isinstance(error, PenstockError) else FAULT
        self._explain(
            ExplainEntry(
                request_id=seen.request_id,
                at=self._clock.now(),
                cloud=dialect.wire.CLOUD,
                action=seen.action,
                account=seen.account,
                access_key=seen.access_key[:128],
                outcome=f"{answer.status} {code}",
                rule=rule[:MAX_RULE],
                canonical_request=signed.canonical_request[:MAX_TEXT] if signed is not None else "",
                string_to_sign=signed.string_to_sign[:MAX_TEXT] if signed is not None else "",
            )
        )
