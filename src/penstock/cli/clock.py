"""`penstock clock`: the time that bans, schedules and histories go by."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from penstock.admin import server as verbs
from penstock.cli import tables
from penstock.cli.common import NO_CHOICES, Common, print_json
from penstock.cli.values import AsWhen, When, at_or_s

app = App(
    name="clock",
    help="The time that bans, schedules and histories go by; `serve --dev` lets it be turned.",
)


@app.default
def show(*, common: Common = NO_CHOICES) -> None:
    """Show the server's time, and how far it is ahead of the real one."""
    _print(common.server().ask(verbs.ShowClock()), as_json=common.json)


@app.command
def turn(
    when: Annotated[
        When, AsWhen, Parameter(help="How far ahead (90d, +1d12h, 30m), or to which time (2027-01-01T00:00Z).")
    ],
    /,
    *,
    common: Common = NO_CHOICES,
) -> None:
    """Turn the clock ahead; it goes on from there. Signatures and time-outs still go by the real time.

    ```
    penstock clock turn +90d
    penstock clock turn 2027-01-01T00:00Z
    ```
    """
    at, by_s = at_or_s(when)
    _print(common.server().ask(verbs.TurnClock(to=at, by_s=by_s)), as_json=common.json)


@app.command
def reset(*, common: Common = NO_CHOICES) -> None:
    """Set the clock to the real time again."""
    _print(common.server().ask(verbs.ResetClock()), as_json=common.json)


def _print(clock: verbs.ClockShown, *, as_json: bool) -> None:
    if as_json:
        print_json(clock)
        return
    ahead = f", {tables.duration(clock.ahead_s)} ahead of the real one" if clock.ahead_s >= 1 else ""
    turnable = "" if clock.is_turnable else " (a server started with --dev lets it be turned)"
    print(f"{tables.clock_text(clock.now)} UTC{ahead}{turnable}")
