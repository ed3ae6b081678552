"""What the domain's tests share: a control plane without an engine."""

from __future__ import annotations

from penstock.domain.live import Live, Rules
from penstock.domain.sessions import Sessions
from penstock.domain.usage import UsageLedger
from penstock.link.messages import Client, EndReason, Holder, Lease, OnAir, PublishAsked, StreamStats, Vhost
from penstock.model import StreamId
from tests.clock import START, ManualClock

DEMO = StreamId("demo", "live", "cam")
OTHER = StreamId("demo", "live", "other")
CLIENT = Client("192.0.2.7", 50000)
RIVAL = Client("192.0.2.8", 50001)
RULES = Rules((Vhost("demo", ("push.demo.test",), (), ("live",)),), "", "refuse", 2.0)


class NoEngine:
    async def drop(self, stream: StreamId, reason: EndReason, detail: str) -> int | None:
        raise AssertionError("nothing is dropped here")


def make_live(clock: ManualClock | None = None, rules: Rules = RULES) -> Live:
    clock = clock or ManualClock()
    return Live(clock, rules, Sessions(clock), UsageLedger(), NoEngine())


def asked(
    stream: StreamId = DEMO, *, ask: int = 1, client: Client = CLIENT, holder: Holder | None = None
) -> PublishAsked:
    return PublishAsked(ask, stream, "push.demo.test", "", client, holder)


def make_stats(epoch: int, *, client: Client = CLIENT, bytes_in: int = 0) -> StreamStats:
    return StreamStats(epoch, client, "push.demo.test", START, 0, 0.0, bytes_in, None, None, {}, {})


def on_air(lease: Lease, *, client: Client = CLIENT, bytes_in: int = 0) -> OnAir:
    return OnAir(lease, make_stats(lease.epoch, client=client, bytes_in=bytes_in))
