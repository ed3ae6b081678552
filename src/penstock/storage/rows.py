"""What is kept, row by row: plain records, with the rules that a reader of them must know.

Times are aware UTC `datetime`s, kept to the microsecond. Texts that came from outside are data as they
came, except that a text is cut where its column says so, and that NUL and lone surrogates, which no
database takes, become U+FFFD.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Generic, Literal, TypeVar

from msgspec import Struct

from penstock.model import StreamId

R = TypeVar("R")

DomainKind = Literal["push", "pull"]
PublishAuth = Literal["none", "signed"]
SignPart = Literal["key", "path", "time"]


class Row(Struct, frozen=True, kw_only=True):
    """Shows itself without its secrets."""

    secrets: ClassVar[frozenset[str]] = frozenset()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        """What pretty-printed tracebacks show of it."""
        return [
            (name, "<hidden>" if name in self.secrets and value else repr(value))
            for name in self.__struct_fields__
            for value in [getattr(self, name)]
        ]


# --- Who owns what ----------------------------------------------------------------------------
# `configured` marks what came from the configuration file: `seed` takes it away again when the file no longer has it.


class Account(Row, frozen=True, kw_only=True):
    id: str
    configured: bool = False


class AccessKey(Row, frozen=True, kw_only=True):
    """Of one account; `sub_account` is true for the key of one of its sub-accounts."""

    secrets = frozenset({"secret_key"})

    access_key: str
    secret_key: str
    account: str
    sub_account: bool = False
    configured: bool = False


class UrlSigning(Struct, frozen=True):
    """How a signed publishing URL is made."""

    order: tuple[SignPart, ...] = ("key", "path", "time")  # of what is hashed
    valid_s: int | None = None  # None: the URL's time is its end; a number: it is the moment of signing


class RecordAlways(Struct, frozen=True):
    """What of a vhost is recorded whenever it is on air."""

    container: Literal["", "mp4", "flv", "hls"] = ""  # "": nothing
    apps: tuple[str, ...] = ()  # (): every app
    one_file: bool = False

    def covers(self, app: str) -> bool:
        return bool(self.container) and (not self.apps or app in self.apps)


class Vhost(Row, frozen=True, kw_only=True):
    """Belongs to one account, for good: to hand it over, remove it and make it anew."""

    secrets = frozenset({"publish_key"})

    name: str
    account: str
    apps: tuple[str, ...] = ("live",)
    publish_auth: PublishAuth = "none"
    publish_key: str = ""
    signing: UrlSigning = UrlSigning()
    record: RecordAlways = RecordAlways()
    configured: bool = False


class Domain(Row, frozen=True, kw_only=True):
    """Of one vhost, which may have a name as push and as pull domain. An id is given once, ever."""

    id: int = 0  # 0: not given yet
    vhost: str
    name: str
    kind: DomainKind
    configured: bool = False


class Seed(Row, frozen=True, kw_only=True):
    """Everything that the configuration file says of owners."""

    accounts: tuple[Account, ...] = ()
    keys: tuple[AccessKey, ...] = ()
    vhosts: tuple[Vhost, ...] = ()
    domains: tuple[Domain, ...] = ()  # of each vhost the first push domain first


# --- Bans -------------------------------------------------------------------------------------


class Ban(Row, frozen=True, kw_only=True):
    """In force from `since` until just before `until`."""

    stream: StreamId
    since: datetime  # since when it has been banned without a gap
    until: datetime
    changed_at: datetime  # when it was banned last
    reason: str = ""
    account: str  # that owns the vhost
    access_key: str = ""  # that asked for it
    cloud: str = ""  # the dialect in which it was asked for
    push_domain: str = ""


class BanQuery(Row, frozen=True, kw_only=True):
    """Bans in force at `now`; a None matches everything. The one that ends last comes first, unless `ends_first`."""

    now: datetime
    account: str | None = None
    vhost: str | None = None
    app: str | None = None
    stream: str | None = None
    stream_part: str | None = None  # a piece of the stream's name
    push_domain: str | None = None
    ends_first: bool = False
    offset: int = 0
    limit: int | None = None


# --- Sessions ---------------------------------------------------------------------------------


class SessionRow(Row, frozen=True, kw_only=True):
    """One admitted publish. It is open until it has an end, and part of history once it has a beginning too."""

    epoch: int  # of its lease; no two sessions share one
    session: str
    stream: StreamId
    account: str
    push_domain: str
    address: str  # of the publisher
    port: int
    tls: bool = False
    agent: str = ""
    admitted_at: datetime
    began_at: datetime | None = None
    ended_at: datetime | None = None
    reason: str = ""  # our word for the end
    code: int = 200
    detail: str = ""
    facts: str = ""  # JSON, the last that was known of its media; "": nothing was
    bytes_in: int = 0


class SessionEnd(Row, frozen=True, kw_only=True):
    """What is known at the end. `began_at` counts for a session whose beginning was never told."""

    epoch: int
    at: datetime
    reason: str
    code: int = 200
    detail: str = ""
    began_at: datetime | None = None
    facts: str = ""  # "": keep what was known
    bytes_in: int = 0  # never makes the known number smaller


class HistoryQuery(Row, frozen=True, kw_only=True):
    """Sessions that began and ended, by the time of either; a None matches everything.

    The window is `since` <= time < `until`; of sessions with the same time the later epoch counts as newer.
    """

    since: datetime
    until: datetime
    by: Literal["began_at", "ended_at"] = "began_at"
    account: str | None = None
    vhost: str | None = None
    app: str | None = None
    push_domain: str | None = None
    stream: str | None = None
    stream_part: str | None = None  # a piece of the stream's name
    newest_first: bool = True
    offset: int = 0
    limit: int | None = None


class Span(Struct, frozen=True):
    """When a stream was on air; `ended_at` is None while it is."""

    stream: StreamId
    began_at: datetime
    ended_at: datetime | None


# --- What was refused, and why ----------------------------------------------------------------


class Refusal(Row, frozen=True, kw_only=True):
    """A publish that was turned away. What it named is kept as it came, whether or not that exists."""

    at: datetime
    code: int
    why: str
    vhost: str
    app: str
    stream: str
    account: str = ""  # "": what it named belongs to nobody
    domain: str = ""
    address: str = ""
    port: int = 0
    agent: str = ""


class RefusalQuery(Row, frozen=True, kw_only=True):
    """Refusals with `since` <= `at` < `until`; a None matches everything."""

    since: datetime
    until: datetime
    account: str | None = None
    vhost: str | None = None
    app: str | None = None
    domain: str | None = None
    stream: str | None = None
    newest_first: bool = True
    offset: int = 0
    limit: int | None = None


class ExplainEntry(Row, frozen=True, kw_only=True):
    """Why a request got its answer. No secret is in it: the texts that are signed hold none."""

    request_id: str
    at: datetime
    cloud: str
    action: str = ""
    account: str = ""  # "": the request was nobody's
    access_key: str = ""  # as it came
    outcome: str = ""  # the code that was answered
    rule: str = ""
    canonical_request: str = ""
    string_to_sign: str = ""


# --- Answers that are more than rows ----------------------------------------------------------


class Page(Struct, Generic[R], frozen=True):
    """Some of the rows that match, and how many match in all."""

    rows: list[R]
    total: int


class Retention(Struct, frozen=True, kw_only=True):
    """What a sweep takes away: what is older than a time, and the oldest above a number; None keeps all."""

    ended_before: datetime | None = None  # sessions, and bans that ran out
    max_sessions: int | None = None  # of those that are over
    refused_before: datetime | None = None
    max_refusals: int | None = None
    explained_before: datetime | None = None
    max_explained: int | None = None
    relayed_before: datetime | None = None  # relay tasks whose end was so long ago
    noticed_before: datetime | None = None  # callbacks that do not wait any more
    max_notices: int | None = None
    recorded_before: datetime | None = None  # recordings that are over, and have no file any more


class Swept(Struct, frozen=True, kw_only=True):
    """How many rows a sweep took away."""

    sessions: int = 0
    bans: int = 0
    refusals: int = 0
    explained: int = 0
    relays: int = 0
    notices: int = 0
    recordings: int = 0
