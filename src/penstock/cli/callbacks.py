"""`penstock callbacks`: what receivers were told, what waits, and how each try went."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import App, Parameter

from penstock.admin import relays as verbs
from penstock.cli import tables
from penstock.cli.common import NO_CHOICES, Common, print_json

app = App(name="callbacks", help="What receivers were told, what waits, and how each try went.")

Id = Annotated[int, Parameter(help="A callback's number, as `ls` has it.")]


@app.command
def ls(
    *,
    task: Annotated[str, Parameter(help="Only this relay task's.", show_default=False)] = "",
    state: Annotated[
        Literal["", "waiting", "delivered", "given up"], Parameter(help="Only those in this state.", show_default=False)
    ] = "",
    account: Annotated[str, Parameter(help="Only this account's.", show_default=False)] = "",
    offset: Annotated[int, Parameter(help="Leave out so many.")] = 0,
    limit: Annotated[int, Parameter(help="Print at most so many.")] = 100,
    common: Common = NO_CHOICES,
) -> None:
    """List callbacks, the newest first.

    ```
    penstock callbacks ls --state "given up"
    ```
    """
    ask = verbs.ListCallbacks(account=account, task=task, state=state, offset=offset, limit=limit)
    answer = common.server().ask(ask)
    if common.json:
        print_json(answer)
        return
    if not answer.callbacks:
        print("There are no callbacks.")
        return
    headings = ("NUMBER", "MADE (UTC)", "TASK", "SEQ", "EVENT", "STATE", "TRIES", "ANSWER")
    rows = (
        (
            each.id,
            each.made_at,
            each.subject[:8],
            each.sequence,
            each.event,
            each.state,
            each.tries,
            each.answer or None,
        )
        for each in answer.callbacks
    )
    print(tables.table(headings, rows, right=("NUMBER", "SEQ", "TRIES")))
    if len(answer.callbacks) + offset < answer.total:
        print(f"{len(answer.callbacks)} of {answer.total}; --offset {offset + len(answer.callbacks)} goes on.")


@app.command
def show(id: Id, /, *, common: Common = NO_CHOICES) -> None:
    """Show what a callback tells, and each try."""
    _print(common.server().ask(verbs.ShowCallback(id=id)), as_json=common.json)


@app.command
def redeliver(id: Id, /, *, common: Common = NO_CHOICES) -> None:
    """Have a callback delivered again, whatever became of it. What waits behind it for the same task waits on."""
    _print(common.server().ask(verbs.Redeliver(id=id)), as_json=common.json)


def _print(answer: verbs.CallbackShown, *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    callback = answer.callback
    pairs: list[tuple[str, tables.Cell]] = [
        ("number", callback.id),
        ("task", callback.subject),
        ("sequence", callback.sequence),
        ("event", callback.event),
        ("receiver", callback.url),
        ("state", callback.state),
        ("next try", f"{tables.clock_text(callback.next_try_at)} UTC" if callback.next_try_at else None),
        *((name.replace("_", " "), text) for name, text in answer.facts.items() if name != "task"),
        *(
            (f"try {number}", f"{tables.clock_text(each.at)} UTC, {each.took_ms} ms: {each.error or each.status}")
            for number, each in enumerate(answer.tried, 1)
        ),
    ]
    print(tables.facts(pairs))
