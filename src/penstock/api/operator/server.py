"""The server itself: where it is, its clock, its settings, and why a request got its answer."""

from __future__ import annotations

from datetime import timedelta

from penstock.admin import server as verbs
from penstock.api.operator.desk import Desk, account_of
from penstock.domain.clock import DomainClock
from penstock.domain.live import Live
from penstock.errors import InvalidField, NotFound
from penstock.storage.rows import AccessKey


async def get_environment(desk: Desk, ask: verbs.GetEnvironment) -> verbs.Environment:
    key = _first_key(desk.live, ask.account)
    return verbs.Environment(
        account=key.account,
        access_key=key.access_key,
        secret_key=key.secret_key,
        endpoint=desk.endpoint,
        tls_endpoint=desk.tls_endpoint,
        ca=desk.ca,
    )


async def reload(desk: Desk, _: verbs.Reload) -> verbs.Reloaded:
    changes = await desk.reload()
    return verbs.Reloaded(changed=list(changes.applied), restart=list(changes.needs_restart))


async def explain(desk: Desk, ask: verbs.Explain) -> verbs.Explained:
    found = await desk.explanations.find(desk.live, ask.request_id)
    if found is None:
        why = "it worked, or was long ago, or never came here"
        raise NotFound(f"nothing is known of a request {ask.request_id[:80]!r}: {why}")
    return verbs.Explained(
        request_id=found.request_id,
        at=found.at,
        cloud=found.cloud,
        action=found.action,
        account=found.account,
        access_key=found.access_key,
        outcome=found.outcome,
        rule=found.rule,
        canonical_request=found.canonical_request,
        string_to_sign=found.string_to_sign,
    )


async def show_clock(desk: Desk, _: verbs.ShowClock) -> verbs.ClockShown:
    return _shown(desk.live.clock)


async def turn_clock(desk: Desk, ask: verbs.TurnClock) -> verbs.ClockShown:
    if (ask.by_s is None) == (ask.to is None):
        raise InvalidField("by_s", ask.by_s, "given, or else `to`, and not both")
    by = timedelta(seconds=ask.by_s) if ask.by_s is not None else None
    desk.live.clock.turn(by=by, to=ask.to)
    return _shown(desk.live.clock)


async def reset_clock(desk: Desk, _: verbs.ResetClock) -> verbs.ClockShown:
    desk.live.clock.reset()
    return _shown(desk.live.clock)


def _shown(clock: DomainClock) -> verbs.ClockShown:
    return verbs.ClockShown(
        now=clock.now(),
        real=clock.real_now(),
        ahead_s=clock.turned_by.total_seconds(),
        is_turnable=clock.is_turnable,
    )


def _first_key(live: Live, account: str) -> AccessKey:
    """An account's first key, its own before a sub-account's; without an account the first one's that has any."""
    wanted = account_of(live, account) if account else ""
    keys = [key for key in live.registry.keys.values() if wanted in ("", key.account)]
    found = next(iter(sorted(keys, key=lambda key: key.sub_account)), None)
    if found is None:
        whose = f"account {account} has" if account else "there is"
        raise NotFound(f"{whose} no key; make one with `penstock keys add`")
    return found
