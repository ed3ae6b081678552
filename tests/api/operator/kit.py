"""A desk over a control plane in memory, asked as the admin socket asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct

from penstock.admin.contract import Ask
from penstock.api.operator.desk import Desk
from penstock.api.operator.handlers import HANDLERS
from penstock.domain.explain import Explanations
from penstock.domain.live import Live, Rules
from penstock.domain.sessions import Session
from penstock.link.messages import Client
from penstock.model import StreamId
from tests.clock import START, ManualClock
from tests.domain.kit import CLIENT, DEMO, RULES, ScriptedEngine, opened


class Changes(Struct, frozen=True):
    applied: list[str]
    needs_restart: list[str]


class Reload:
    """Stands for control's reload; a test says what comes of it."""

    def __init__(self) -> None:
        self.outcome: Changes | Exception = Changes(["accounts"], ["media.latency"])

    async def __call__(self) -> Changes:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


class Office(Struct):
    """Everything that a test of the handlers touches."""

    desk: Desk
    live: Live
    clock: ManualClock
    engine: ScriptedEngine
    reload: Reload

    async def ask(self, ask: Ask[Any]) -> Any:
        result = await HANDLERS[ask.verb](self.desk, ask)
        assert isinstance(result, ask.result)
        return result


@asynccontextmanager
async def office(rules: Rules = RULES) -> AsyncIterator[Office]:
    clock, engine, reload = ManualClock(), ScriptedEngine(), Reload()
    async with opened(clock, rules=rules, engine=engine) as live:
        engine.live = live
        desk = Desk(
            live=live, explanations=Explanations(live.registry), reload=reload, endpoint="http://127.0.0.1:8080"
        )
        yield Office(desk, live, clock, engine, reload)


def publish(live: Live, stream: StreamId = DEMO, client: Client = CLIENT) -> Session:
    """Put a stream on air."""
    session = live.sessions.admit(
        stream, client, account=live.registry.account_of(stream.vhost), push_domain="push.demo.test"
    )
    live.sessions.began(session.lease, START)
    return session
