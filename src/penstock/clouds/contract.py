"""What an operation is, for every cloud: declared once, used by the server, the SDK and the docs.

An operation is a Struct of its parameters, with their limits in the types. Its class says the rest:
its name on the wire, method and path, how often it may be called, whether saying it twice does no
harm, how its pages follow each other, and what comes back. How parameters travel, what is signed and
what the envelope looks like is the cloud's own business (`Wire`), the same for all its operations.

::

    class ForbidStream(Operation[ForbidStreamResult], frozen=True, rename="pascal"):
        about = About(action="ForbidStream", method="POST", effect=Effect.SETS, ...)
        app: Name
        end_time: datetime | None = None

A limit of one member stands in its type. A rule between members stands in `__post_init__` and raises
`InvalidField`; it holds for whoever makes the operation. Limits are checked by `Operation.make` where
a client makes one, and by the wire where a server decodes one: both by `members.check`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar, get_args

import msgspec
from msgspec import Struct

from penstock.clouds import members
from penstock.clouds.http import Endpoint, HttpRequest, HttpResponse
from penstock.errors import PenstockError

R = TypeVar("R", bound="Result")
R_co = TypeVar("R_co", bound="Result", covariant=True)


class Effect(StrEnum):
    """What a call does, and so whether it may be said again when no answer came."""

    READS = "reads"
    SETS = "sets"  # the second call finds what the first one did: ban, resume, kick, stop
    CREATES = "creates"  # the second call would make a second thing

    @property
    def is_repeatable(self) -> bool:
        return self is not Effect.CREATES


class Rate(Struct, frozen=True):
    """So many calls of one account in each span of seconds."""

    calls: int
    per_s: int


class Paging(Struct, frozen=True, kw_only=True):
    """How the pages of a list follow each other. Members go by their Python names, `a.b` for nested ones."""

    index: str  # the request's page number
    size: str  # the request's rows per page
    rows: str  # the result's list
    count: str = ""  # the result's number of rows on this page; empty: the length of the list
    total: str = ""  # the result's number of rows on all pages; empty: nobody says
    first: int = 1  # the number of the first page

    def after(self, operation: Operation[R], result: R) -> Operation[R] | None:
        """Return the call for the next page, or None when `result` was the last one."""
        index: int = getattr(operation, self.index)
        size: int = getattr(operation, self.size)
        rows = len(_member(result, self.rows))
        count = _member(result, self.count) if self.count else rows
        # An empty page ends the walk whatever the total says: rows may have gone meanwhile.
        if not rows:
            return None
        done = (index - self.first + 1) * size
        if done >= _member(result, self.total) if self.total else count < size:
            return None
        return msgspec.structs.replace(operation, **{self.index: index + 1})


def _member(value: object, path: str) -> Any:
    for name in path.split("."):
        value = getattr(value, name)
    return value


class About(Struct, frozen=True, kw_only=True):
    """An operation's class, in the vendor's terms."""

    action: str
    method: str
    path: str = "/"
    effect: Effect
    rate: Rate | None = None
    paging: Paging | None = None
    errors: tuple[type[PenstockError], ...] = ()  # beside those that every call of the cloud may meet
    source: str  # document, version, and the month it was read


class Result(Struct, kw_only=True, dict=True):
    """What an operation answers, flattened: the inner Data or Result of the envelope.

    `request_id` and `raw` belong to the envelope. They are no members: they are never sent inside
    of a result, and two results are equal whichever call they came from.
    """

    @property
    def request_id(self) -> str:
        """The cloud's id of the call; empty for a result that came from no call."""
        return str(self.__dict__.get("request_id", ""))

    @property
    def raw(self) -> Mapping[str, Any]:
        """The whole answer as it came, with every member that this version does not know."""
        raw: Mapping[str, Any] = self.__dict__.get("raw", {})
        return raw

    def came_in(self, raw: Mapping[str, Any], request_id: str) -> Self:
        """Remember the envelope; return this result."""
        self.__dict__.update(raw=raw, request_id=request_id)
        return self


class Operation(Struct, Generic[R_co], frozen=True, kw_only=True):
    """The parameters of one call. A subclass names its result in its base and itself in `about`."""

    about: ClassVar[About]
    result: ClassVar[type[Result]]

    def __init_subclass__(cls, **config: Any) -> None:
        super().__init_subclass__(**config)
        (base,) = cls.__dict__["__orig_bases__"]
        (cls.result,) = get_args(base)

    @classmethod
    def make(cls, **values: Any) -> Self:
        """Make an operation of members in their Python names, with every limit checked.

        Raises:
            InvalidField: a member is missing, unknown, or over its limits; the message tells which
                value was seen and which is wanted.
        """
        members.check_names(cls, values)
        return members.convert(values, cls, names=members.Names.PYTHON)


class Credentials(Struct, frozen=True):
    """What a call is signed with."""

    access_key: str
    secret_key: str
    token: str = ""  # session token of temporary keys

    def __repr__(self) -> str:
        return f"Credentials({self.access_key!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        # msgspec gives every Struct one, with all members: rich tracebacks go by it.
        return [("access_key", self.access_key)]


class Claim(Struct, frozen=True, kw_only=True):
    """Who a request says it is from: read, and not believed yet."""

    access_key: str
    at: datetime  # when it says it was signed; aware, UTC
    scope: str  # what the key was derived for; empty where a cloud has no such thing
    signed_headers: tuple[str, ...]
    signature: str


class Verified(Struct, frozen=True, kw_only=True):
    """A signature that fits, and the two texts that it was made over."""

    access_key: str
    canonical_request: str
    string_to_sign: str


class Asked(Struct, frozen=True):
    """What a request asks for."""

    operation: Operation[Result]
    dry_run: bool = False  # say whether it would work, and do nothing


class Wire(Protocol):
    """One cloud's form of every call, both halves; a module of functions is one.

    The client goes `encode_request`, `decode_response`. The server goes `read_claim`, finds the
    key, `verify`, `resolve` (which operation: its rate limit comes before its parameters),
    `decode_request`, and then `encode_result` or `encode_error`.
    """

    @property
    def CLOUD(self) -> str:  # noqa: N802 - a module's constant
        """Return the cloud's name in messages."""

    @property
    def OPERATIONS(self) -> Mapping[str, type[Operation[Any]]]:  # noqa: N802 - a module's constant
        """Return every operation by its action."""

    @property
    def ENDPOINT(self) -> Endpoint:  # noqa: N802 - a module's constant
        """Return where the cloud itself listens."""

    def encode_request(
        self, operation: Operation[Any], credentials: Credentials, now: datetime, endpoint: Endpoint
    ) -> HttpRequest:
        """Return the signed request; `now` is aware."""

    def decode_response(self, operation: Operation[R], response: HttpResponse) -> R:
        """Return the result.

        Raises:
            ApiError: the cloud refused, or what it said cannot be read; its class is by kind.
        """

    def read_claim(self, request: HttpRequest, now: datetime) -> Claim:
        """Return who the request says it is from.

        Raises:
            RequestRefused: a part is missing, the time is off, or the request is no such request.
        """

    def verify(self, request: HttpRequest, claim: Claim, credentials: Credentials) -> Verified:
        """Return the proof that whoever holds `credentials` signed exactly this request.

        Raises:
            BadSignature: it is another signature, or of another body.
        """

    def resolve(self, request: HttpRequest) -> type[Operation[Any]]:
        """Return the operation that a request names.

        Raises:
            RequestRefused: none, an unknown one, or two.
        """

    def decode_request(self, request: HttpRequest, operation: type[Operation[Any]] | None = None) -> Asked:
        """Return what a request asks for, every limit checked; `operation` is what `resolve` told, if it was asked.

        Raises:
            RequestRefused: it cannot be read at all.
            InvalidField: a parameter is missing, unknown, or over its limits.
        """

    def encode_result(self, operation: Operation[R], result: R, request_id: str) -> HttpResponse:
        """Return the answer to a call that worked."""

    def encode_error(self, error: Exception, request: HttpRequest, request_id: str) -> HttpResponse:
        """Return the answer to a call that did not, in the form that the request wants.

        Any exception has an answer; what is no `PenstockError` becomes the cloud's word for an
        unknown fault, and its text is not told.
        """

    def code_of(self, error: Exception) -> str:
        """Return the cloud's code of an error, as `encode_error` tells it; for logs and `explain`."""
