"""`penstock relays groups`: what relay tasks belong to."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from penstock.admin import relays as verbs
from penstock.cli import tables
from penstock.cli.common import NO_CHOICES, Common, print_json
from penstock.errors import ConfigError

app = App(name="groups", help="What relay tasks belong to.")

Account = Annotated[str, Parameter(help="Whose it is; needed where there are several.", show_default=False)]


@app.command
def ls(
    *,
    account: Annotated[str, Parameter(help="Only this account's.", show_default=False)] = "",
    deleted: Annotated[bool, Parameter(help="Also those that were deleted.", negative=(), show_default=False)] = False,
    common: Common = NO_CHOICES,
) -> None:
    """List groups, the newest first."""
    answer = common.server().ask(verbs.ListGroups(account=account, deleted=deleted))
    if common.json:
        print_json(answer)
        return
    if not answer.groups:
        print("There are no groups.")
        return
    rows = (
        (
            each.name,
            each.account,
            each.project,
            each.created_at,
            each.deleted_at,
            ", ".join(f"{key}={value}" for key, value in each.tags.items()) or None,
        )
        for each in answer.groups
    )
    print(tables.table(("GROUP", "ACCOUNT", "PROJECT", "SINCE (UTC)", "DELETED (UTC)", "TAGS"), rows))


@app.command
def add(
    name: Annotated[str, Parameter(help="Its name: 1 to 20 letters, digits and Chinese characters.")],
    /,
    *,
    project: Annotated[str, Parameter(help="The project that it is in.")] = "default",
    tag: Annotated[
        tuple[str, ...],
        Parameter(help="A tag, as KEY=VALUE; may be given again.", metavar="KEY=VALUE", show_default=False),
    ] = (),
    account: Account = "",
    common: Common = NO_CHOICES,
) -> None:
    """Make a group.

    ```
    penstock relays groups add sport --project tv --tag team=a
    ```
    """
    tags: dict[str, str] = {}
    for each in tag:
        key, mark, value = each.partition("=")
        if not mark:
            raise ConfigError(f"{each!r} is no tag; it must be KEY=VALUE")
        tags[key] = value
    answer = common.server().ask(verbs.AddGroup(name=name, project=project, account=account, tags=tags))
    if common.json:
        print_json(answer)
    else:
        print(f"Group {name} is there.")


@app.command
def rm(
    name: Annotated[str, Parameter(help="Its name.")], /, *, account: Account = "", common: Common = NO_CHOICES
) -> None:
    """Delete a group that has no tasks; it takes no more of them."""
    answer = common.server().ask(verbs.RemoveGroup(name=name, account=account))
    if common.json:
        print_json(answer)
    else:
        print(f"Group {name} is deleted.")
