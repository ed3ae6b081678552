"""What every action is given: the rules in force, the sessions, the engine, and the time."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from penstock.domain.sessions import Sessions
from penstock.domain.usage import UsageLedger
from penstock.link.messages import EndReason, Vhost
from penstock.model import Clock, StreamId


class Engine(Protocol):
    """What actions ask of the media plane."""

    async def drop(self, stream: StreamId, reason: EndReason, detail: str) -> int | None:
        """Cut the publisher of `stream`; return the epoch that ended once its socket is closed.

        None means that nobody was publishing.

        Raises:
            LinkError: no engine is connected, or it went before it answered.
        """


class Rules(Struct, frozen=True):
    """Settings that decide who may publish."""

    vhosts: tuple[Vhost, ...]
    default_vhost: str
    on_conflict: str  # refuse or replace
    replace_after_silent_s: float


class Live(Struct):
    """Comes as the first argument of every action."""

    clock: Clock
    rules: Rules
    sessions: Sessions
    usage: UsageLedger
    engine: Engine
