"""Relay tasks and their groups."""

from __future__ import annotations

from datetime import timedelta

from penstock.admin import relays as verbs
from penstock.admin.contract import Done
from penstock.api.operator.desk import Desk, account_of
from penstock.clouds.volcengine.pictures import check_picture
from penstock.domain.caller import Caller
from penstock.domain.live import Live
from penstock.domain.relays import groups, tasks, wishes
from penstock.domain.relays.board import Pace
from penstock.domain.relays.places import loops_of
from penstock.domain.relays.states import state_of
from penstock.domain.relays.wishes import Overlay, Wish
from penstock.errors import InvalidField, NotFound
from penstock.storage.relay_rows import GroupQuery, RelayGroup, RelayProgress, RelayQuery, RelayTask, Source, Tag

WHOLE_ID = 32


async def list_relays(desk: Desk, ask: verbs.ListRelays) -> verbs.Relays:
    live = desk.live
    query = RelayQuery(
        account=ask.account or None,
        group=ask.group or None,
        title_part=ask.title or None,
        offset=ask.offset,
        limit=ask.limit,
    )
    page = await live.store.relays(query)
    progress = await tasks.progress_of(live, page.rows)
    shown = [_relay(live, task, progress[task.id]) for task in page.rows]
    return verbs.Relays(relays=shown, total=page.total, now=live.clock.now())


async def show_relay(desk: Desk, ask: verbs.ShowRelay) -> verbs.RelayShown:
    return await _shown(desk.live, await find_task(desk.live, ask.id))


async def create_relay(desk: Desk, ask: verbs.CreateRelay) -> verbs.RelayShown:
    live = desk.live
    if ask.ends_at is not None and ask.for_s is not None:
        raise InvalidField("for_s", ask.for_s, "left out beside `ends_at`")
    if ask.starts_at is not None and ask.in_s is not None:
        raise InvalidField("in_s", ask.in_s, "left out beside `starts_at`")
    caller = Caller(account=account_of(live, ask.account), access_key="")
    return await _shown(live, await tasks.create(live, caller, _wish(live, ask)))


async def stop_relay(desk: Desk, ask: verbs.StopRelay) -> verbs.RelayShown:
    task = await find_task(desk.live, ask.id)
    return await _shown(desk.live, await tasks.stop(desk.live, owner_of(task), task.id))


async def restart_relay(desk: Desk, ask: verbs.RestartRelay) -> verbs.RelayShown:
    task = await find_task(desk.live, ask.id)
    started = await tasks.restart(desk.live, owner_of(task), task.id, from_start=ask.from_start)
    return await _shown(desk.live, started)


async def remove_relay(desk: Desk, ask: verbs.RemoveRelay) -> Done:
    task = await find_task(desk.live, ask.id)
    await tasks.delete(desk.live, owner_of(task), task.id)
    return Done()


async def list_groups(desk: Desk, ask: verbs.ListGroups) -> verbs.Groups:
    page = await desk.live.store.relay_groups(GroupQuery(account=ask.account or None, deleted=ask.deleted))
    return verbs.Groups(groups=[_group(each) for each in page.rows], total=page.total)


async def add_group(desk: Desk, ask: verbs.AddGroup) -> Done:
    caller = Caller(account=account_of(desk.live, ask.account), access_key="")
    tags = tuple(Tag(key, value) for key, value in ask.tags.items())
    await groups.create(desk.live, caller, ask.name, project=ask.project, tags=tags)
    return Done()


async def remove_group(desk: Desk, ask: verbs.RemoveGroup) -> Done:
    caller = Caller(account=account_of(desk.live, ask.account), access_key="")
    await groups.delete(desk.live, caller, ask.name)
    return Done()


async def find_task(live: Live, id: str) -> RelayTask:
    """The task of an id, or of a beginning that no other has.

    Raises:
        NotFound: there is none.
        InvalidField: there are several.
    """
    if len(id) == WHOLE_ID:
        found = [task for task in [await live.store.find_relay(id)] if task is not None]
    else:
        found = [task for task in (await live.store.relays(RelayQuery())).rows if task.id.startswith(id)]
    if not found:
        raise NotFound(f"there is no relay task {id}; `penstock relays ls` lists them")
    if len(found) > 1:
        raise InvalidField("id", id, f"longer: {len(found)} tasks begin with it")
    return found[0]


def owner_of(task: RelayTask) -> Caller:
    """The operator, who acts for whoever owns the task."""
    return Caller(account=task.account, access_key="")


def _wish(live: Live, ask: verbs.CreateRelay) -> Wish:
    starts_at = ask.starts_at or live.clock.now() + timedelta(seconds=ask.in_s or 0)
    span = timedelta(seconds=ask.for_s) if ask.for_s is not None else wishes.MAX_WINDOW
    is_files = ask.kind == "files"
    return Wish(
        starts_at=starts_at,
        ends_at=ask.ends_at or starts_at + span,
        kind=ask.kind,
        sources=tuple(Source(each.url, each.start_s, each.end_s) for each in ask.sources),
        has_parts=is_files,
        cycle_mode=(wishes.UNTIL_END if ask.plays is None else ask.plays) if is_files else None,
        target=ask.target,
        title=ask.title,
        callback_url=ask.callback_url,
        download_first=ask.download_first,
        resumes_late=ask.resumes_late,
        overlay=_overlay(ask.overlay),
        group=ask.group,
    )


def _overlay(overlay: verbs.Overlay | None) -> Overlay | None:
    if overlay is None:
        return None
    check_picture(overlay.picture)
    return Overlay(overlay.picture, overlay.x, overlay.y, overlay.width)


async def _shown(live: Live, task: RelayTask) -> verbs.RelayShown:
    progress = await tasks.progress_of(live, [task])
    return verbs.RelayShown(relay=_relay(live, task, progress[task.id]), now=live.clock.now())


def _relay(live: Live, task: RelayTask, progress: RelayProgress) -> verbs.Relay:
    mark = task.watermark
    return verbs.Relay(
        id=task.id,
        account=task.account,
        group=task.group,
        title=task.title,
        state=state_of(task, live.clock.now()),
        created_at=task.created_at,
        changed_at=task.changed_at,
        starts_at=task.starts_at,
        ends_at=task.ends_at,
        kind=task.kind,
        sources=[verbs.Source(url=each.url, start_s=each.start_s, end_s=each.end_s) for each in task.sources],
        plays=loops_of(task) if task.kind == "files" else None,
        target=task.target,
        callback_url=task.callback_url,
        download_first=task.download_first,
        resumes_late=task.resumes_late,
        watermark=verbs.Mark(x=mark.x, y=mark.y, width=mark.width) if mark is not None else None,
        cloud=task.cloud,
        access_key=task.access_key,
        truth=_truth(progress, live.relays.paces.get(task.id, Pace())),
    )


def _truth(progress: RelayProgress, pace: Pace) -> verbs.Truth:
    return verbs.Truth(
        state=progress.state,
        rate_kbps=pace.rate_kbps,
        bytes_in=progress.bytes_in,
        bytes_out=progress.bytes_out,
        position_ms=progress.position_ms,
        loop=progress.loop,
        clip=progress.clip,
        offset_s=progress.offset_s,
        fetched_bytes=pace.fetched_bytes,
        fetch_size_bytes=pace.fetch_size_bytes,
        failures=progress.failures,
        error=progress.error,
        error_side=progress.error_side,
        error_at=progress.error_at,
        next_try_at=progress.next_try_at,
        is_finished=progress.is_finished,
    )


def _group(group: RelayGroup) -> verbs.Group:
    return verbs.Group(
        name=group.name,
        account=group.account,
        project=group.project,
        created_at=group.created_at,
        deleted_at=group.deleted_at,
        tags={tag.key: tag.value for tag in group.tags},
    )
