"""`penstock accounts`: the customers of the server."""

from __future__ import annotations

from cyclopts import App

from penstock.admin import owners as verbs
from penstock.cli import tables
from penstock.cli.common import NO_CHOICES, Common, print_json

app = App(name="accounts", help="The customers of the server; none sees another one's streams.")


@app.command
def ls(*, common: Common = NO_CHOICES) -> None:
    """List the accounts."""
    answer = common.server().ask(verbs.ListAccounts())
    if common.json:
        print_json(answer)
        return
    if not answer.accounts:
        print("There are no accounts.")
        return
    headings = ("ACCOUNT", "KEYS", "VHOSTS", "FROM")
    rows = ((each.id, each.keys, each.vhosts, origin(each.configured)) for each in answer.accounts)
    print(tables.table(headings, rows, right=("KEYS", "VHOSTS")))


@app.command
def add(account: str, /, *, common: Common = NO_CHOICES) -> None:
    """Make an account. It can do something once it has a key and a vhost: see `keys add` and `vhosts add`.

    Parameters
    ----------
    account
        Its number or name.
    """
    answer = common.server().ask(verbs.AddAccount(id=account))
    if common.json:
        print_json(answer)
    else:
        print(f"Account {account} is there. It needs a key and a vhost: penstock keys add --account {account}")


@app.command
def rm(account: str, /, *, common: Common = NO_CHOICES) -> None:
    """Remove an account. Its keys and vhosts go first, by `keys rm` and `vhosts rm`.

    Parameters
    ----------
    account
        Its number or name.
    """
    answer = common.server().ask(verbs.RemoveAccount(id=account))
    if common.json:
        print_json(answer)
    else:
        print(f"Account {account} is gone.")


def origin(configured: bool) -> str:
    """Return where an owner is to be changed."""
    return "settings" if configured else "added"
