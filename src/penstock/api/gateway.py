"""The gateway: a request in any dialect becomes a verified, counted, checked call of one handler.

    dialect → claim → key → signature → operation → rate limit → parameters → handler → answer

Each step has less to fear than the one before, and does more; nothing is done for a request whose
signature does not fit. Every refusal is answered in the cloud's own form with the cloud's own code, and
told to `explain` with the rule in words.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from hashlib import sha256
from typing import Any, Final, Generic, TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from penstock.api import requestids
from penstock.api.dialects import Dialect, dialect_of
from penstock.api.ratelimit import RateLimits
from penstock.api.replay import Call, Replays
from penstock.clouds.contract import Asked, Claim, Credentials, Effect, Operation, Result, Wire
from penstock.clouds.http import Headers, HttpRequest, HttpResponse
from penstock.domain.caller import Caller
from penstock.domain.tallies import Tallies
from penstock.errors import (
    BadSignature,
    Denied,
    DomainError,
    LimitExceeded,
    LinkError,
    MissingKey,
    RequestRefused,
    Unavailable,
    UnknownKey,
    UnknownOperation,
)
from penstock.model import Clock
from penstock.storage.errors import StorageError
from penstock.storage.rows import AccessKey, ExplainEntry

log = logging.getLogger("penstock.api")

L = TypeVar("L")
Handler: TypeAlias = Callable[[L, Caller, Any], Awaitable[Result]]

# Words of the tallies: what was not told, and outcomes that are no cloud's code.
NONE: Final = "none"
OK: Final = "ok"
REPLAYED: Final = "replayed"

# What is kept of each text in an explain entry, in characters: enough for any honest request.
_MAX_KEY: Final = 128
_MAX_RULE: Final = 1024
_MAX_TEXT: Final = 20_480  # a query of 16,384 and the headers


class _Ask(Struct):
    """One request on its way, and what is known of it by now."""

    dialect: Dialect
    request: HttpRequest
    request_id: str
    address: str
    access_key: str = ""
    account: str = ""
    action: str = ""
    outcome: str = ""  # for the tallies
    is_change: bool = False  # by somebody who may, of something that is there


class Gateway(Generic[L]):
    """Answers requests of every dialect with `handlers`, each of which acts on `live`.

    `clock` is the machine's own, whatever time the domain has: signatures and limits go by it.
    `find_key` answers from memory. `limits` None: nothing is limited.
    """

    def __init__(
        self,
        handlers: Mapping[type[Operation[Any]], Handler[L]],
        live: L,
        *,
        find_key: Callable[[str], AccessKey | None],
        explain: Callable[[ExplainEntry], None],
        clock: Clock,
        limits: RateLimits | None,
        tallies: Tallies | None = None,
    ) -> None:
        self._handlers = handlers
        self._live = live
        self._find_key = find_key
        self._explain = explain
        self._clock = clock
        self._limits = limits
        self._tallies = tallies or Tallies()
        self._replays = Replays(clock.monotonic)
        self._nobodys_secret = secrets.token_urlsafe(30)

    async def answer(self, request: HttpRequest, client_address: str = "") -> HttpResponse:
        """Return the answer to a request from `client_address`; it never raises."""
        dialect, now = dialect_of(request), self._clock.now()
        if dialect is None:
            return self._turn_away(request, requestids.as_uuid(now))
        request_id = dialect.make_request_id(now)
        ask = _Ask(dialect, request, request_id, client_address)
        try:
            response = await self._serve(ask)
        except Exception as error:
            response = self._refuse(ask, error)
        self._tallies.calls.add(dialect.wire.CLOUD, ask.action or NONE, ask.outcome)
        _log_call(ask)
        return response

    async def _serve(self, ask: _Ask) -> HttpResponse:
        wire, request = ask.dialect.wire, ask.request
        claim = wire.read_claim(request, self._clock.now())
        ask.access_key = claim.access_key
        key = self._verified_key(wire, request, claim)
        ask.account = key.account
        operation = wire.resolve(request)
        ask.action = operation.about.action
        ask.is_change = operation.about.effect is not Effect.READS
        self._check_allowed(ask, key, operation)
        self._count_call(wire, key, operation)
        asked = wire.decode_request(request, operation)
        caller = Caller(
            account=key.account,
            access_key=key.access_key,
            sub_account=key.sub_account,
            cloud=wire.CLOUD,
            dry_run=asked.dry_run,
        )
        if operation.about.effect is not Effect.CREATES or asked.dry_run:
            return await self._act(ask, caller, asked)
        call = Call(wire.CLOUD, key.account, key.access_key, claim.signature, sha256(request.body).digest())
        ask.outcome = REPLAYED  # unless it is done now
        return await self._replays.once(call, partial(self._act_or_refuse, ask, caller, asked))

    def account_of(self, request: HttpRequest) -> str:
        """Return whose key signed a request, in any dialect, whatever it asks for.

        Raises:
            RequestRefused: nobody's did.
        """
        dialect = dialect_of(request)
        if dialect is None:
            raise MissingKey("the request has no Authorization header of a dialect that is spoken here")
        claim = dialect.wire.read_claim(request, self._clock.now())
        return self._verified_key(dialect.wire, request, claim).account

    def _verified_key(self, wire: Wire, request: HttpRequest, claim: Claim) -> AccessKey:
        """Return the key that signed; one that nobody has costs the same work, and so the same time."""
        key = self._find_key(claim.access_key)
        secret_key = self._nobodys_secret if key is None else key.secret_key
        try:
            wire.verify(request, claim, Credentials(claim.access_key, secret_key))
        except BadSignature:
            if key is not None:
                raise
        if key is None:
            raise UnknownKey(f"no account has the access key {claim.access_key[:_MAX_KEY]!r}")
        return key

    def _check_allowed(self, ask: _Ask, key: AccessKey, operation: type[Operation[Any]]) -> None:
        if operation not in self._handlers:
            raise UnknownOperation(f"{operation.about.action} is not served here")
        if key.sub_account and operation in ask.dialect.main_account_only:
            raise Denied(f"{operation.about.action} takes a key of the main account")

    def _count_call(self, wire: Wire, key: AccessKey, operation: type[Operation[Any]]) -> None:
        if self._limits is None or operation.about.rate is None:
            return
        try:
            self._limits.count((key.account, operation), operation.about.rate)
        except LimitExceeded:
            self._tallies.rate_limited.add(wire.CLOUD)
            raise

    async def _act(self, ask: _Ask, caller: Caller, asked: Asked) -> HttpResponse:
        operation = asked.operation
        result = await self._handlers[type(operation)](self._live, caller, operation)
        # What acts has raised this by itself; what has not was a read.
        caller.about_to_act()
        ask.outcome = OK
        return ask.dialect.wire.encode_result(operation, result, ask.request_id)

    async def _act_or_refuse(self, ask: _Ask, caller: Caller, asked: Asked) -> HttpResponse:
        try:
            return await self._act(ask, caller, asked)
        except Exception as error:
            return self._refuse(ask, error)

    # Refusals

    def _refuse(self, ask: _Ask, error: Exception) -> HttpResponse:
        wire = ask.dialect.wire
        rule = str(error)
        if isinstance(error, LinkError | StorageError):
            # Their texts are for the operator: they name files and processes.
            log.error("request %s: %s", ask.request_id, error, extra=_about(ask))
            error = Unavailable("it cannot be done at the moment; try again")
        elif not isinstance(error, RequestRefused | DomainError):
            said = "request %s from %s: a fault of our own"
            log.error(said, ask.request_id, ask.address, exc_info=error, extra=_about(ask))
            rule = "a fault of the server; its log has more under the request's id"
        ask.outcome = wire.code_of(error)
        self._tell(
            ExplainEntry(
                request_id=ask.request_id,
                at=self._clock.now(),
                cloud=wire.CLOUD,
                action=ask.action or _action_named_by(ask),
                account=ask.account,
                access_key=ask.access_key[:_MAX_KEY],
                outcome=ask.outcome,
                rule=rule[:_MAX_RULE],
                canonical_request=getattr(error, "canonical_request", "")[:_MAX_TEXT],
                string_to_sign=getattr(error, "string_to_sign", "")[:_MAX_TEXT],
            )
        )
        return wire.encode_error(error, ask.request, ask.request_id)

    def _turn_away(self, request: HttpRequest, request_id: str) -> HttpResponse:
        """Answer what is in no dialect, in a form that anybody can read."""
        if "Authorization" in request.headers or request.method != "GET":
            code, status, rule = "UnknownDialect", 400, "the request is in none of the dialects that are served here"
        else:
            code, status, rule = "NotFound", 404, "nothing is here; API calls are signed, and name their operation"
        self._tallies.calls.add(NONE, NONE, code)
        self._tell(
            ExplainEntry(request_id=request_id, at=self._clock.now(), cloud="", outcome=code, rule=rule),
        )
        body = msgspec.json.encode({"RequestId": request_id, "Error": {"Code": code, "Message": rule}})
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        return HttpResponse(status=status, headers=Headers(headers), body=body)

    def _tell(self, entry: ExplainEntry) -> None:
        try:
            self._explain(entry)
        except Exception:
            about = {"request": entry.request_id}
            log.exception("request %s could not be written down", entry.request_id, extra=about)


def _about(ask: _Ask) -> dict[str, str]:
    about = {"request": ask.request_id, "client": ask.address, "code": ask.outcome, "account": ask.account}
    return {name: text for name, text in about.items() if text}


def _log_call(ask: _Ask) -> None:
    """A line for each change that a key asked for; for all else, which anybody may send, only to look for a fault."""
    level = logging.INFO if ask.is_change else logging.DEBUG
    if log.isEnabledFor(level):
        said = "request %s from %s: %s for account %s: %s"
        action, account = ask.action or NONE, ask.account or NONE
        log.log(level, said, ask.request_id, ask.address, action, account, ask.outcome, extra=_about(ask))


def _action_named_by(ask: _Ask) -> str:
    """The operation that a request names, where it was refused before that mattered."""
    try:
        return ask.dialect.wire.resolve(ask.request).about.action
    except RequestRefused:
        return ""
