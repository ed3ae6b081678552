"""`penstock vhosts`: domains whose streams belong together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from penstock.admin import owners as verbs
from penstock.cli import tables
from penstock.cli.accounts import origin
from penstock.cli.common import NO_CHOICES, Common, print_json
from penstock.cli.keys import read_secret

app = App(name="vhosts", help="Domains whose streams belong together, and who owns them.")


@app.command
def ls(
    *,
    account: Annotated[str, Parameter(help="Only this account's.", show_default=False)] = "",
    common: Common = NO_CHOICES,
) -> None:
    """List the vhosts with their domains; the numbers are the domains' ids in the clouds' calls."""
    answer = common.server().ask(verbs.ListVhosts(account=account))
    if common.json:
        print_json(answer)
        return
    if not answer.vhosts:
        print("There are no vhosts.")
        return
    headings = ("VHOST", "ACCOUNT", "APPS", "PUSH DOMAINS", "PULL DOMAINS", "PUBLISH", "RECORD", "FROM")
    rows = (
        (
            each.name,
            each.account,
            ", ".join(each.apps),
            _domains(each.push_domains),
            _domains(each.pull_domains),
            "signed" if each.publish_auth == "signed" else "anyone",
            f"{each.record} {', '.join(each.record_apps)}".strip() or None,
            origin(each.configured),
        )
        for each in answer.vhosts
    )
    print(tables.table(headings, rows))


@app.command
def add(
    vhost: str,
    /,
    *,
    account: Annotated[str, Parameter(help="Whose vhost. Default: the only account's.", show_default=False)] = "",
    push_domain: Annotated[
        tuple[str, ...],
        Parameter(help="Domain that encoders publish to; may be repeated.", negative=(), show_default=False),
    ] = (),
    pull_domain: Annotated[
        tuple[str, ...],
        Parameter(help="Domain that players play from; may be repeated.", negative=(), show_default=False),
    ] = (),
    app: Annotated[
        tuple[str, ...],
        Parameter(help="App to publish under; may be repeated. Default: live.", negative=(), show_default=False),
    ] = ("live",),
    publish_auth: Annotated[
        Literal["none", "signed"], Parameter(help="Whether publishing takes a signed URL.")
    ] = "none",
    publish_key_file: Annotated[
        Path | None,
        Parameter(
            help="File with the key of signed URLs, or - for standard input. Default: a random one.",
            allow_leading_hyphen=True,
        ),
    ] = None,
    record: Annotated[
        Literal["mp4", "flv", "hls"] | None,
        Parameter(help="Record every stream of it, whenever one is on air.", show_default=False),
    ] = None,
    record_one_file: Annotated[
        bool,
        Parameter(help="A publisher that comes back goes on in the same file.", negative=(), show_default=False),
    ] = False,
    common: Common = NO_CHOICES,
) -> None:
    """Make a vhost with its domains; it can be published to at once.

    ```
    penstock vhosts add shop --push-domain push.shop.example --pull-domain pull.shop.example
    ```

    Parameters
    ----------
    vhost
        Its name, which no other account's vhost or domain has.
    """
    ask = verbs.AddVhost(
        name=vhost,
        account=account,
        push_domains=push_domain,
        pull_domains=pull_domain,
        apps=app,
        publish_auth=publish_auth,
        publish_key=read_secret(publish_key_file),
        record=record or "",
        record_one_file=record_one_file,
    )
    answer = common.server().ask(ask)
    if common.json:
        print_json(answer)
        return
    print(f"Vhost {vhost} of account {answer.vhost.account} is there.")
    if answer.publish_key:
        print(f"Key of its publishing URLs, printed this once: {answer.publish_key}")


@app.command
def rm(vhost: str, /, *, common: Common = NO_CHOICES) -> None:
    """Remove a vhost with its domains; not while it has a stream on air.

    Parameters
    ----------
    vhost
        Its name.
    """
    answer = common.server().ask(verbs.RemoveVhost(name=vhost))
    if common.json:
        print_json(answer)
    else:
        print(f"Vhost {vhost} is gone.")


def _domains(domains: list[verbs.Domain]) -> str:
    return ", ".join(f"{each.name} ({each.id})" for each in domains)
