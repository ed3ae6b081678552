"""One call as a sequence of attempts: what to send, and whether to try again. No sockets, no waiting.

A client runs it::

    attempts = Attempts(...)
    while True:
        try:
            return attempts.read(send(attempts.request()))
        except FAILURES as failure:
            sleep(attempts.pause_after(failure))      # or this raises what the caller gets

Tried again is what may pass: no answer, too many calls, a fault of the cloud's own. An operation that
creates something is said once, unless it is certain that nobody heard it.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from msgspec import Struct, structs

from penstock import __version__
from penstock.clouds.contract import Credentials, Operation, Result, Wire
from penstock.clouds.http import Endpoint, HttpRequest, HttpResponse
from penstock.errors import ApiError, LimitExceeded, TransportError, Unavailable
from penstock.model import Clock
from penstock.sdk.options import Patience

R = TypeVar("R", bound=Result)

FIRST_PAUSE_S: Final = 0.2  # the longest first pause; each later one may be twice as long
LONGEST_PAUSE_S: Final = 8.0
USER_AGENT: Final = f"Penstock/{__version__}"
_HIDDEN: Final = "(hidden)"

log = logging.getLogger("penstock.sdk")


class NoAnswer(Exception):
    """An attempt that brought nothing; `was_sent` is False when the peer cannot have heard of it."""

    def __init__(self, text: str, *, was_sent: bool = True, may_pass: bool = True) -> None:
        super().__init__(text)
        self.was_sent = was_sent
        self.may_pass = may_pass  # False: the next attempt would end alike


class BadAnswer(Exception):
    """An answer that is not worth reading."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


FAILURES: Final = (NoAnswer, BadAnswer, ApiError)


class Ask(Struct, frozen=True):
    """One attempt: what to send, and how long each part may take."""

    request: HttpRequest
    connect_timeout_s: float
    read_timeout_s: float
    left_s: float  # for all of it


class Attempts(Generic[R]):
    """One call of `operation`. It ends at its deadline, whichever attempt that falls into."""

    def __init__(
        self,
        wire: Wire,
        operation: Operation[R],
        *,
        credentials: Credentials,
        endpoint: Endpoint,
        patience: Patience,
        clock: Clock,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._wire = wire
        self._operation = operation
        self._credentials = credentials
        self._endpoint = endpoint
        self._patience = patience
        self._clock = clock
        self._dice = dice
        self._deadline_s = clock.monotonic() + patience.timeout_s
        self._made = 0
        self._retry_after_s = 0.0

    def request(self) -> Ask:
        """Return the next attempt, signed now.

        Raises:
            NoAnswer: the time is over.
        """
        left_s = self._deadline_s - self._clock.monotonic()
        if left_s <= 0:
            raise NoAnswer("the time is over", was_sent=self._made > 0, may_pass=False)
        self._made += 1
        self._retry_after_s = 0.0
        signed = self._wire.encode_request(self._operation, self._credentials, self._clock.now(), self._endpoint)
        # Behind the signature: proxies may change it.
        headers = signed.headers.and_also([("User-Agent", USER_AGENT)])
        return Ask(
            structs.replace(signed, headers=headers),
            min(self._patience.connect_timeout_s, left_s),
            min(self._patience.read_timeout_s, left_s),
            left_s,
        )

    def read(self, response: HttpResponse) -> R:
        """Return the result.

        Raises:
            ApiError: the cloud refused, or its answer cannot be read.
            BadAnswer: a redirect, which a signed request does not follow.
        """
        self._retry_after_s = _seconds(response.headers.get("Retry-After"))
        if 300 <= response.status < 400:
            where = response.headers.get("Location")[:200]
            raise BadAnswer(f"a redirect to {where!r}; a signed request follows none", response.status)
        result = self._wire.decode_response(self._operation, response)
        log.debug("%s: done, request %s", self._name, result.request_id)
        return result

    def pause_after(self, failure: Exception) -> float:
        """Return the seconds to wait before the next attempt.

        Raises:
            TransportError, ApiError: there is no next one.
        """
        if self._made <= self._patience.retries and self._is_worth_another(failure):
            # Full jitter: callers that failed together do not come back together.
            most_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * (1 << (self._made - 1)))
            pause_s = max(self._dice() * most_s, self._retry_after_s)
            if self._clock.monotonic() + pause_s < self._deadline_s:
                log.debug("%s: attempt %d: %s; again in %.2f s", self._name, self._made, self._told(failure), pause_s)
                return pause_s
        final = self._final(failure)
        log.debug("%s: attempt %d: %s", self._name, self._made, final)
        is_told = final is failure or isinstance(failure, NoAnswer)
        raise final from (failure.__cause__ if is_told else None)

    @property
    def _name(self) -> str:
        return f"{self._wire.CLOUD} {self._operation.about.action}"

    def _is_worth_another(self, failure: Exception) -> bool:
        if isinstance(failure, NoAnswer) and not failure.was_sent:
            return failure.may_pass
        if not self._operation.about.effect.is_repeatable:
            return False
        if isinstance(failure, NoAnswer):
            return failure.may_pass
        is_passing = isinstance(failure, LimitExceeded | Unavailable)
        return isinstance(failure, ApiError) and (is_passing or failure.status == 429 or failure.status >= 500)

    def _final(self, failure: Exception) -> Exception:
        if isinstance(failure, NoAnswer):
            times = f" in {self._made} attempts" if self._made > 1 else ""
            acted = "" if failure.was_sent else "; nothing was sent"
            text = f"no answer from {self._endpoint}{times}: {failure}{acted}"
            return TransportError(self._told(f"{self._name}: {text}"))
        if isinstance(failure, BadAnswer):
            return ApiError(self._wire.CLOUD, "", self._told(failure), status=failure.status)
        assert isinstance(failure, ApiError)
        if self._told(failure) == str(failure):
            return failure
        # A peer, or a proxy that shows what it got, said our secrets: they stay out of errors.
        made = ApiError.of(failure.kind)
        facts = (self._told(each) for each in (failure.cloud, failure.code, failure.message))
        return made(*facts, request_id=self._told(failure.request_id), status=failure.status)

    def _told(self, text: object) -> str:
        """Return a text without the secrets that somebody may have put there."""
        shown = str(text)
        for secret in (self._credentials.secret_key, self._credentials.token):
            if secret:
                shown = shown.replace(secret, _HIDDEN)
        return shown


def _seconds(text: str) -> float:
    """Read Retry-After; its other form, a date, goes by a clock that is not ours."""
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0.0
