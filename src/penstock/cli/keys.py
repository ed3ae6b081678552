"""`penstock keys`: what calls of the clouds' APIs are signed with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from penstock.admin import owners as verbs
from penstock.cli import tables
from penstock.cli.accounts import origin
from penstock.cli.common import NO_CHOICES, Common, print_json
from penstock.errors import ConfigError

app = App(name="keys", help="What calls of the clouds' APIs are signed with.")


@app.command
def ls(
    *,
    account: Annotated[str, Parameter(help="Only this account's.", show_default=False)] = "",
    common: Common = NO_CHOICES,
) -> None:
    """List the access keys, without their secrets."""
    answer = common.server().ask(verbs.ListKeys(account=account))
    if common.json:
        print_json(answer)
        return
    if not answer.keys:
        print("There are no keys.")
        return
    headings = ("ACCESS KEY", "ACCOUNT", "SUB-ACCOUNT", "FROM")
    rows = ((each.access_key, each.account, each.sub_account, origin(each.configured)) for each in answer.keys)
    print(tables.table(headings, rows))


@app.command
def add(
    *,
    account: Annotated[str, Parameter(help="Whose key. Default: the only account's.", show_default=False)] = "",
    access_key: Annotated[str | None, Parameter(help="Its public half. Default: a random one.")] = None,
    secret_file: Annotated[
        Path | None,
        Parameter(
            help="File with the secret half, or - for standard input. Default: a random one.", allow_leading_hyphen=True
        ),
    ] = None,
    sub_account: Annotated[
        bool, Parameter(help="Make it the key of a sub-account.", negative=(), show_default=False)
    ] = False,
    common: Common = NO_CHOICES,
) -> None:
    """Make a key and print it. Its secret is printed this once.

    A secret never stands on the command line, where every user of the machine can read it.

    ```
    penstock keys add
    penstock keys add --account 2000000002 --access-key AKexample --secret-file - < secret.txt
    ```
    """
    secret = read_secret(secret_file)
    ask = verbs.AddKey(account=account, access_key=access_key, secret_key=secret, sub_account=sub_account)
    answer = common.server().ask(ask)
    if common.json:
        print_json(answer)
        return
    print(tables.facts([("account", answer.account), ("access key", answer.access_key), ("secret", answer.secret_key)]))


@app.command
def rm(access_key: str, /, *, common: Common = NO_CHOICES) -> None:
    """Remove a key; calls that are signed with it are refused from now on.

    Parameters
    ----------
    access_key
        Its public half.
    """
    answer = common.server().ask(verbs.RemoveKey(access_key=access_key))
    if common.json:
        print_json(answer)
    else:
        print(f"Key {access_key} is gone.")


def read_secret(file: Path | None) -> str | None:
    """Return the first line of a file, or of standard input for `-`; None where there is no file.

    Raises:
        ConfigError: it cannot be read, or is empty.
    """
    if file is None:
        return None
    try:
        text = sys.stdin.readline() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None
    secret = text.split("\n", 1)[0].rstrip("\r")
    if not secret:
        raise ConfigError(f"{'standard input' if str(file) == '-' else file} is empty; it must hold a secret")
    return secret
