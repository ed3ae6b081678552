"""The server itself: where it is, its clock, its settings, and why a request got its answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from penstock.admin.contract import Ask, OptionalName, Result

# A leap of a hundred years ends everything that has an end.
Leap = Annotated[float, Meta(gt=0, le=100 * 366 * 86_400)]


class Environment(Result, frozen=True):
    """What a client needs to talk to this server."""

    account: str
    access_key: str
    secret_key: str
    endpoint: str  # a URL by HTTP; "": turned off
    tls_endpoint: str  # a URL by HTTPS; "": turned off
    ca: str  # the file with our own authority's certificate; "": the certificate is somebody else's

    def __repr__(self) -> str:
        return f"Environment({self.account!r}, {self.access_key!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("account", self.account), ("access_key", self.access_key)]


class GetEnvironment(Ask[Environment], frozen=True):
    """Tell where the server listens, and an account's first key. Without `account` it is the first account's."""

    verb = "env"

    account: OptionalName = ""


class Reloaded(Result, frozen=True):
    """What the configuration file changed."""

    changed: list[str]  # in force now: keys of settings, accounts, vhosts
    restart: list[str]  # keys of settings that count from the next start on


class Reload(Ask[Reloaded], frozen=True):
    """Read the configuration again; no stream is dropped, and nothing changes when the file has a mistake."""

    verb = "reload"


class Explained(Result, frozen=True):
    """Why a request got its answer. An empty text is not known; none of them holds a secret."""

    request_id: str
    at: datetime
    cloud: str
    action: str
    account: str  # "": the request was nobody's
    access_key: str  # as it came
    outcome: str  # the code that was answered
    rule: str
    canonical_request: str
    string_to_sign: str


class Explain(Ask[Explained], frozen=True):
    """Tell which rule decided about a request."""

    verb = "explain"

    request_id: Annotated[str, Meta(min_length=1, max_length=256)]


class ClockShown(Result, frozen=True):
    """The clock that bans, schedules and histories go by; signatures and time-outs go by the real one."""

    now: datetime
    real: datetime
    ahead_s: float
    is_turnable: bool  # by `serve --dev` alone


class ShowClock(Ask[ClockShown], frozen=True):
    """Tell the server's time."""

    verb = "clock.show"


class TurnClock(Ask[ClockShown], frozen=True):
    """Turn the clock: ahead `by_s`, or `to` a time. It goes on from there."""

    verb = "clock.turn"

    by_s: Leap | None = None
    to: Annotated[datetime, Meta(tz=True)] | None = None


class ResetClock(Ask[ClockShown], frozen=True):
    """Set the clock to the real time again; it may go back by that."""

    verb = "clock.reset"
