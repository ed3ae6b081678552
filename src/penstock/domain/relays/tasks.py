"""What may be done with relay tasks: made, changed, stopped, started again, deleted, listed.

A change is in the store, together with the callback that tells of it, before anything acts on it; then the
loop in `running` is woken.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from penstock.domain.caller import Caller
from penstock.domain.live import Live
from penstock.domain.relays import groups, wishes
from penstock.domain.relays.notices import Event, notice_of
from penstock.domain.relays.states import IN_EFFECT, NOT_STARTED, TaskState, Trigger, require, state_of
from penstock.domain.relays.wishes import Wish
from penstock.errors import Denied, NotFound, TooManyTasks
from penstock.storage.base import Records
from penstock.storage.relay_rows import RelayKind, RelayProgress, RelayQuery, RelayTask, Watermark
from penstock.storage.rows import Page

# Of one account, in whatever state: each may hold a thousand characters of address thirty times.
MAX_KEPT: Final = 10_000


async def create(live: Live, caller: Caller, wish: Wish) -> RelayTask:
    """Make a task, which begins by itself when its time has come.

    Raises:
        MissingField, InvalidField, UnknownDomain, Denied: the wish breaks a rule (`wishes.check`).
        NotFound: there is no such group.
        TooManyTasks: there are as many tasks as may be.
    """
    groups.require_named(caller, wish.group)
    target, now = wishes.check(live, caller.account, wish), live.clock.now()
    async with live.store.transaction() as store:
        await _refuse_too_many(store, caller.account)
        if wish.ends_at > now:
            await _refuse_crowd(live, store, caller.account, now)
        group = await groups.join(store, caller, wish.group, now)
        caller.about_to_act()
        task = RelayTask(
            id=secrets.token_hex(16),
            account=caller.account,
            access_key=caller.access_key,
            cloud=caller.cloud,
            group=group,
            created_at=now,
            changed_at=now,
            starts_at=wish.starts_at,
            ends_at=wish.ends_at,
            kind=wish.kind,
            sources=wish.sources,
            target=target,
        )
        task = _with_settings(task, wish)
        await _keep_picture(store, wish)
        await store.put_relay(task)
    live.relays.put(task)
    return task


async def update(live: Live, caller: Caller, id: str, wish: Wish) -> RelayTask:
    """Give a task other settings in place of all that it has; what is running changes over at once.

    Its push goes on undisturbed unless an address, the files or the watermark are others. Files begin anew when
    they, their loops or the task's start are others. The group is compared, and never changed.

    Raises:
        NotFound, Denied: as for `find`.
        MissingField, InvalidField, UnknownDomain, Denied: the wish breaks a rule (`wishes.check`).
        TooManyTasks: there are as many tasks as may be, and this one was over.
    """
    groups.require_named(caller, wish.group)
    target, now = wishes.check(live, caller.account, wish), live.clock.now()
    async with live.store.transaction() as store:
        before = await _of_caller(store, caller, id, wish.group)
        state = require(before, Trigger.UPDATE, now)
        if wish.ends_at > now and state not in (NOT_STARTED, IN_EFFECT) and not before.is_stopped:
            await _refuse_crowd(live, store, caller.account, now)
        after = _with_settings(
            replace(
                before,
                changed_at=_later(before, now),
                starts_at=wish.starts_at,
                ends_at=wish.ends_at,
                kind=wish.kind,
                sources=wish.sources,
                target=target,
                is_settled=False,
            ),
            wish,
        )
        if _played(before) != _played(after):
            after = replace(after, generation=before.generation + 1)
        caller.about_to_act()
        await _keep_picture(store, wish)
        await store.put_relay(after)
        progress = await store.relay_progress([id])
    if not after.is_stopped:
        live.relays.put(after, progress.get(id))
    return after


async def stop(live: Live, caller: Caller, id: str, *, group: str = "") -> RelayTask:
    """Take a task out of service until somebody starts it again.

    Raises:
        NotFound, Denied: as for `find`.
        Conflict: it is stopped or over.
    """
    now = live.clock.now()
    async with live.store.transaction() as store:
        before = await _of_caller(store, caller, id, group)
        require(before, Trigger.STOP, now)
        caller.about_to_act()
        stopped = replace(before, is_stopped=True, changed_at=_later(before, now))
        await store.put_relay(stopped)
        await _tell(store, live, stopped, Event.STOP, TaskState.STOPPED, now)
    live.relays.remove(id)
    return stopped


async def restart(live: Live, caller: Caller, id: str, *, group: str = "", from_start: bool = False) -> RelayTask:
    """Put a stopped task into service again: where it was, as its own rule says, or `from_start`.

    With `from_start` one that is in effect may begin anew, too.

    Raises:
        NotFound, Denied: as for `find`.
        Conflict: it is not stopped.
        TooManyTasks: there are as many tasks as may be.
    """
    now = live.clock.now()
    async with live.store.transaction() as store:
        before = await _of_caller(store, caller, id, group)
        require(before, Trigger.RELAUNCH if from_start else Trigger.RESTART, now)
        if before.is_stopped and before.ends_at > now:
            await _refuse_crowd(live, store, before.account, now)
        caller.about_to_act()
        started = replace(
            before,
            is_stopped=False,
            changed_at=_later(before, now),
            generation=before.generation + from_start,
            # One that comes back after its end has ended: it was told that it stopped, and nothing since.
            is_settled=False,
        )
        await store.put_relay(started)
        progress = await store.relay_progress([id])
    live.relays.put(started, progress.get(id))
    return started


async def delete(live: Live, caller: Caller, id: str, *, group: str = "") -> None:
    """Take a task away, in whatever state; what it pushes is stopped.

    Raises:
        NotFound, Denied: as for `find`.
    """
    now = live.clock.now()
    async with live.store.transaction() as store:
        before = await _of_caller(store, caller, id, group)
        state = require(before, Trigger.DELETE, now)
        caller.about_to_act()
        await store.remove_relay(id)
        if state in (NOT_STARTED, IN_EFFECT):
            await _tell(store, live, before, Event.STOP, TaskState.STOPPED, now)
    live.relays.remove(id)


async def find(live: Live, caller: Caller, id: str, *, group: str = "") -> RelayTask:
    """The caller's task of that id.

    Raises:
        NotFound: there is none, or it is another account's: the two look alike.
        Denied: it is in another group than the one that was named.
        MissingField: a sub-account named no group.
    """
    return await _of_caller(live.store, caller, id, group)


async def page(
    live: Live, caller: Caller, *, group: str = "", title_part: str = "", offset: int = 0, limit: int | None = None
) -> Page[RelayTask]:
    """Tasks of the caller's account, the newest first, whose title has `title_part` in it in any case."""
    query = RelayQuery(
        account=caller.account, group=group or None, title_part=title_part or None, offset=offset, limit=limit
    )
    return await live.store.relays(query)


async def progress_of(live: Live, tasks: list[RelayTask]) -> dict[str, RelayProgress]:
    """How each task stands, by its id; one that never ran has nothing but zeros."""
    elsewhere = [task.id for task in tasks if task.id not in live.relays.progress]
    kept = await live.store.relay_progress(elsewhere) if elsewhere else {}
    return {
        task.id: live.relays.progress.get(task.id) or kept.get(task.id) or RelayProgress(task=task.id) for task in tasks
    }


def is_ours(live: Live, task: RelayTask) -> bool:
    """True if the target is a domain of the task's own account."""
    vhost = live.registry.vhost_at(host_of(task.target))
    return vhost is not None and vhost.account == task.account


def host_of(url: str) -> str:
    """The host of a URL that was checked."""
    place = url.partition("://")[2].partition("/")[0].partition("?")[0]
    return place[1:].partition("]")[0] if place.startswith("[") else place.partition(":")[0].lower().rstrip(".")


def _with_settings(task: RelayTask, wish: Wish) -> RelayTask:
    is_live = wish.kind == "live"
    return replace(
        task,
        title=wish.title,
        callback_url=wish.callback_url,
        has_parts=wish.has_parts and not is_live,
        cycle_mode=0 if is_live else wish.cycle_mode or 0,
        play_times=None if is_live else wish.play_times,
        download_first=wish.download_first,
        resumes_late=wish.resumes_late,
        watermark=wishes.watermark_of(wish.overlay) if wish.overlay is not None else None,
    )


def _played(task: RelayTask) -> tuple[RelayKind, object, int, int | None, datetime]:
    """What makes the place in the files another one."""
    return (task.kind, task.sources, task.cycle_mode, task.play_times, task.starts_at)


def pushed(task: RelayTask) -> tuple[RelayKind, object, int, int | None, str, Watermark | None, bool, int]:
    """What cannot change while it is pushed."""
    return (
        task.kind,
        task.sources,
        task.cycle_mode,
        task.play_times,
        task.target,
        task.watermark,
        task.download_first,
        task.generation,
    )


def _later(before: RelayTask, now: datetime) -> datetime:
    """A time of change that no earlier change has: who settles a task goes by it."""
    return max(now, before.changed_at + datetime.resolution)


async def _keep_picture(store: Records, wish: Wish) -> None:
    if wish.overlay is not None:
        await store.put_relay_picture(wishes.watermark_of(wish.overlay).picture, wish.overlay.picture)


async def _of_caller(store: Records, caller: Caller, id: str, group: str) -> RelayTask:
    groups.require_named(caller, group)
    task = await store.find_relay(id)
    if task is None or task.account != caller.account:
        raise NotFound(f"account {caller.account} has no relay task {id[:64]!r}")
    if group and group != task.group:
        raise Denied(f"task {task.id} is in another group than {group[:40]!r}")
    return task


async def _tell(store: Records, live: Live, task: RelayTask, event: Event, state: TaskState, now: datetime) -> None:
    vhost = live.registry.vhost_at(host_of(task.target))
    notice = notice_of(task, event, state, now, vhost=vhost.name if vhost is not None else "")
    if notice is not None:
        await store.put_notice(notice)


async def _refuse_too_many(store: Records, account: str) -> None:
    kept = (await store.relays(RelayQuery(account=account, limit=0))).total
    if kept >= MAX_KEPT:
        raise TooManyTasks(f"account {account} has {kept} relay tasks; it may have {MAX_KEPT}: delete what is over")


async def _refuse_crowd(live: Live, store: Records, account: str, now: datetime) -> None:
    """Raises:
    TooManyTasks: as many tasks as may be are neither stopped nor over.
    """
    limits = live.relays.limits
    own = await store.count_relays(ending_after=now, account=account)
    if own >= limits.account_tasks:
        raise TooManyTasks(
            f"account {account} has {own} relay tasks that are neither stopped nor over; "
            f"it may have {limits.account_tasks} (relay.max_account_tasks)"
        )
    everybodys = await store.count_relays(ending_after=now)
    if everybodys >= limits.tasks:
        raise TooManyTasks(
            f"there are {everybodys} relay tasks that are neither stopped nor over; there may be {limits.tasks} "
            "(relay.max_tasks)"
        )


def describe(task: RelayTask, now: datetime) -> str:
    """A task for the log: its id, and its title if it has one; no address, as those hold keys."""
    return f"relay {task.id}{f' ({task.title})' if task.title else ''}, {state_of(task, now)}"
