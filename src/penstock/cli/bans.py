"""`penstock bans`: which streams nobody may publish."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from penstock.admin import streams as verbs
from penstock.cli import tables
from penstock.cli.common import NO_CHOICES, Common, print_json

app = App(name="bans", help="Which streams nobody may publish.")


@app.command
def ls(
    *,
    vhost: Annotated[str, Parameter(help="Only this vhost's.", show_default=False)] = "",
    account: Annotated[str, Parameter(help="Only this account's.", show_default=False)] = "",
    offset: Annotated[int, Parameter(help="Leave out so many.")] = 0,
    limit: Annotated[int, Parameter(help="Print at most so many.")] = 1000,
    common: Common = NO_CHOICES,
) -> None:
    """List the bans in force, the one that ends last first. `streams ban` and `streams unban` change them."""
    ask = verbs.ListBans(vhost=vhost, account=account, offset=offset, limit=limit)
    answer = common.server().ask(ask)
    if common.json:
        print_json(answer)
        return
    if not answer.bans:
        print("Nothing is banned." if not answer.total else f"There are {answer.total} bans, all before that.")
        return
    headings = ("STREAM", "UNTIL (UTC)", "SINCE (UTC)", "BY", "REASON")
    print(tables.table(headings, ((str(ban.id), ban.until, ban.since, _by(ban), ban.reason) for ban in answer.bans)))
    if len(answer.bans) < answer.total:
        print(f"{len(answer.bans)} of {answer.total}; --offset {offset + len(answer.bans)} goes on.")


def print_ban(ban: verbs.Ban) -> None:
    """Print one ban, fact by fact."""
    pairs: tuple[tuple[str, tables.Cell], ...] = (
        ("stream", str(ban.id)),
        ("account", ban.account),
        ("state", "banned"),
        ("until", f"{tables.clock_text(ban.until)} UTC"),
        ("since", f"{tables.clock_text(ban.since)} UTC"),
        ("changed", f"{tables.clock_text(ban.changed_at)} UTC" if ban.changed_at != ban.since else None),
        ("by", _by(ban)),
        ("reason", ban.reason),
        ("push domain", ban.push_domain),
    )
    print(tables.facts(pairs))


def _by(ban: verbs.Ban) -> str:
    return f"{ban.cloud} {ban.access_key}" if ban.cloud else "operator"
