"""Groups of relay tasks: each belongs to a project, and each task to one group.

The main account may leave a group out, and means `default` then, which is made when it is first needed. A
sub-account has to name the group in whatever it changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from penstock.domain.caller import Caller
from penstock.domain.live import Live
from penstock.domain.relays.wishes import TITLE_WANTED, is_title
from penstock.errors import Conflict, InvalidField, MissingField, NotFound, TooManyTasks
from penstock.storage.base import Records
from penstock.storage.relay_rows import GroupQuery, RelayGroup, RelayQuery, Tag
from penstock.storage.rows import Page

DEFAULT: Final = "default"  # the group, and the project that it is in
MAX_PROJECT: Final = 64
MAX_TAGS: Final = 50
MAX_TAG: Final = 256  # characters of a key, or of a value
CATEGORIES: Final = ("System", "Custom")
MAX_GROUPS: Final = 1000  # of an account, deleted ones too


async def create(live: Live, caller: Caller, name: str, *, project: str, tags: Sequence[Tag] = ()) -> RelayGroup:
    """Make a group; one of that name that was deleted is made anew.

    Raises:
        InvalidField: the name, the project or a tag breaks a rule.
        Conflict: there is one already.
        TooManyTasks: the account has too many.
    """
    if not is_title(name):
        raise InvalidField("name", name, TITLE_WANTED)
    if not 1 <= len(project) <= MAX_PROJECT:
        raise InvalidField("project", project, f"1 to {MAX_PROJECT} characters")
    _check_tags(tags)
    made = RelayGroup(account=caller.account, name=name, project=project, tags=tuple(tags), created_at=live.clock.now())
    async with live.store.transaction() as store:
        found = await store.find_relay_group(caller.account, name)
        if found is not None and found.deleted_at is None:
            raise Conflict(f"account {caller.account} has a group {name!r} already")
        if found is None:
            await _refuse_too_many(store, caller.account)
        caller.about_to_act()
        await store.put_relay_group(made)
    return made


async def update(live: Live, caller: Caller, name: str, *, tags: Sequence[Tag]) -> RelayGroup:
    """Give a group other tags in place of those it has.

    Raises:
        InvalidField: a tag breaks a rule.
        NotFound: there is no such group.
    """
    _check_tags(tags)
    async with live.store.transaction() as store:
        changed = replace(await available(store, caller.account, name), tags=tuple(tags))
        caller.about_to_act()
        await store.put_relay_group(changed)
    return changed


async def delete(live: Live, caller: Caller, name: str) -> None:
    """Let a group take no more tasks; it stays in the lists of deleted ones.

    Raises:
        NotFound: there is no such group.
        Conflict: it has tasks, in whatever state.
    """
    async with live.store.transaction() as store:
        group = await available(store, caller.account, name)
        tasks = (await store.relays(RelayQuery(account=caller.account, group=name, limit=0))).total
        if tasks:
            raise Conflict(f"group {name!r} has tasks ({tasks}); delete them first")
        caller.about_to_act()
        await store.put_relay_group(replace(group, deleted_at=live.clock.now()))


async def page(
    live: Live,
    caller: Caller,
    *,
    is_available: bool = True,
    is_deleted: bool = False,
    offset: int = 0,
    limit: int | None = None,
) -> Page[RelayGroup]:
    """Groups of the caller's account, the newest first."""
    query = GroupQuery(account=caller.account, available=is_available, deleted=is_deleted, offset=offset, limit=limit)
    return await live.store.relay_groups(query)


async def join(store: Records, caller: Caller, name: str, now: datetime) -> str:
    """The group that a new task goes into; the main account's default one is made where it is missing.

    Raises:
        MissingField: a sub-account named none.
        NotFound: there is no such group.
    """
    require_named(caller, name)
    name = name or DEFAULT
    found = await store.find_relay_group(caller.account, name)
    if found is not None and found.deleted_at is None:
        return name
    if name != DEFAULT or caller.sub_account:
        raise _unknown(caller.account, name)
    await store.put_relay_group(RelayGroup(account=caller.account, name=name, project=DEFAULT, created_at=now))
    return name


def require_named(caller: Caller, group: str) -> None:
    """Raises:
    MissingField: a sub-account, which must name the group, named none.
    """
    if caller.sub_account and not group:
        raise MissingField("group", "there, as the key is a sub-account's")


async def available(store: Records, account: str, name: str) -> RelayGroup:
    """Raises:
    NotFound: there is no such group, or it was deleted.
    """
    found = await store.find_relay_group(account, name)
    if found is None or found.deleted_at is not None:
        raise _unknown(account, name)
    return found


def _unknown(account: str, name: str) -> NotFound:
    return NotFound(f"account {account} has no group {name[:40]!r}")


def _check_tags(tags: Sequence[Tag]) -> None:
    if len(tags) > MAX_TAGS:
        raise InvalidField("tags", len(tags), f"at most {MAX_TAGS} of them")
    for tag in tags:
        if not 1 <= len(tag.key) <= MAX_TAG:
            raise InvalidField("tags", tag.key, f"with keys of 1 to {MAX_TAG} characters")
        if len(tag.value) > MAX_TAG:
            raise InvalidField("tags", tag.value, f"with values of at most {MAX_TAG} characters")
        if tag.category not in CATEGORIES:
            raise InvalidField("tags", tag.category, f"of category {' or '.join(CATEGORIES)}")
    keys = [tag.key for tag in tags]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InvalidField("tags", twice, "a key that is there once")


async def _refuse_too_many(store: Records, account: str) -> None:
    number = (await store.relay_groups(GroupQuery(account=account, deleted=True, limit=0))).total
    if number >= MAX_GROUPS:
        raise TooManyTasks(f"account {account} has {number} groups, deleted ones too; it may have {MAX_GROUPS}")
