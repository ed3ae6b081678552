"""Relay tasks: made, changed, stopped, started again, deleted, listed."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from typing import Final

from penstock.clouds.volcengine import relays as wire
from penstock.clouds.volcengine.pictures import read_picture
from penstock.domain.caller import Caller
from penstock.domain.live import Live
from penstock.domain.relays import tasks
from penstock.domain.relays.states import ENDED, IN_EFFECT, NOT_STARTED, STOPPED, TaskState, state_of
from penstock.domain.relays.wishes import Overlay, Wish
from penstock.errors import InvalidField, MissingField
from penstock.storage.relay_rows import RelayTask, Source

STATUSES: Final[dict[TaskState, wire.TaskStatus]] = {
    NOT_STARTED: "未开始",
    IN_EFFECT: "生效中",
    ENDED: "已结束",
    STOPPED: "停用",
}
# Pictures of one page's tasks: with what is above, a page of 500 would be a gigabyte.
MAX_PICTURES: Final = 16 * 1024 * 1024

# A field of the domain's, and what Volcengine calls it; of files and live sources it depends on the request.
_FIELDS: Final = {
    "title": "Title",
    "ends_at": "EndTime",
    "callback_url": "CallbackURL",
    "cycle_mode": "CycleMode",
    "play_times": "PlayTimes",
    "target": "DstAddr",
    "domain": "Domain",
    "app": "App",
    "stream": "Stream",
    "group": "GroupName",
    "start_s": "StartOffset",
    "end_s": "EndOffset",
    "x": "Watermark.RelativePosX",
    "y": "Watermark.RelativePosY",
    "width": "Watermark.Ratio",
    "name": "Name",
    "project": "ProjectName",
    "tags": "Tags",
}


class in_relay_words:  # noqa: N801 - it reads as what it does
    """Have the domain's complaints speak of Volcengine's parameters; `sources` is what the files came as."""

    def __init__(self, sources: str = "") -> None:
        self._sources = sources

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, tb: object) -> None:
        if not isinstance(error, InvalidField):
            return
        name = self._sources if error.field == "sources" else _FIELDS.get(error.field, error.field)
        if isinstance(error, MissingField):
            raise MissingField(name, error.wanted) from error
        raise type(error)(name, error.value, error.wanted) from error


async def create_task(live: Live, caller: Caller, ask: wire.CreatePullToPushTask) -> wire.CreatePullToPushTaskResult:
    with in_relay_words(_sources_name(ask)):
        task = await tasks.create(live, caller, _wish(ask))
    return wire.CreatePullToPushTaskResult(task_id=task.id)


async def update_task(live: Live, caller: Caller, ask: wire.UpdatePullToPushTask) -> wire.UpdatePullToPushTaskResult:
    with in_relay_words(_sources_name(ask)):
        await tasks.update(live, caller, ask.task_id, _wish(ask))
    return wire.UpdatePullToPushTaskResult()


async def stop_task(live: Live, caller: Caller, ask: wire.StopPullToPushTask) -> wire.StopPullToPushTaskResult:
    with in_relay_words():
        await tasks.stop(live, caller, ask.task_id, group=ask.group_name)
    return wire.StopPullToPushTaskResult()


async def restart_task(live: Live, caller: Caller, ask: wire.RestartPullToPushTask) -> wire.RestartPullToPushTaskResult:
    with in_relay_words():
        await tasks.restart(live, caller, ask.task_id, group=ask.group_name)
    return wire.RestartPullToPushTaskResult()


async def continue_task(
    live: Live, caller: Caller, ask: wire.ContinuePullToPushTask
) -> wire.ContinuePullToPushTaskResult:
    with in_relay_words():
        await tasks.restart(live, caller, ask.task_id, group=ask.group_name)
    return wire.ContinuePullToPushTaskResult()


async def relaunch_task(
    live: Live, caller: Caller, ask: wire.RelaunchPullToPushTask
) -> wire.RelaunchPullToPushTaskResult:
    with in_relay_words():
        await tasks.restart(live, caller, ask.task_id, group=ask.group_name, from_start=True)
    return wire.RelaunchPullToPushTaskResult()


async def delete_task(live: Live, caller: Caller, ask: wire.DeletePullToPushTask) -> wire.DeletePullToPushTaskResult:
    with in_relay_words():
        await tasks.delete(live, caller, ask.task_id, group=ask.group_name)
    return wire.DeletePullToPushTaskResult()


async def list_tasks(live: Live, caller: Caller, ask: wire.ListPullToPushTask) -> wire.ListPullToPushTaskResult:
    offset = (ask.page - 1) * ask.size
    page = await tasks.page(live, caller, group=ask.group_name, title_part=ask.title, offset=offset, limit=ask.size)
    pictures = await _pictures(live, page.rows)
    now = live.clock.now()
    pagination = wire.Pagination(
        page_cur=ask.page, page_size=ask.size, page_total=-(-page.total // ask.size), total_count=page.total
    )
    listed = [_shown(live, task, now, pictures) for task in page.rows]
    return wire.ListPullToPushTaskResult(list=listed, pagination=pagination)


# What is asked for


def _wish(ask: wire.TaskSettings) -> Wish:
    """A request in the domain's words. What does not count for its type of task is left out."""
    is_files = ask.type == wire.FILES
    return Wish(
        starts_at=datetime.fromtimestamp(ask.start_time, UTC),
        ends_at=datetime.fromtimestamp(ask.end_time, UTC),
        kind="files" if is_files else "live",
        sources=_files(ask) if is_files else (Source(ask.src_addr),),
        has_parts=bool(ask.vod_src_addrs) and is_files,
        cycle_mode=ask.cycle_mode if is_files else None,
        play_times=ask.play_times if is_files else None,
        target=ask.dst_addr,
        domain=ask.domain,
        app=ask.app,
        stream=ask.stream,
        title=ask.title,
        callback_url=ask.callback_url,
        download_first=bool(ask.pre_download),
        resumes_late=ask.continue_strategy == wire.AS_IF_PLAYED,
        overlay=_overlay(ask.watermark),
        group=ask.group_name,
    )


def _files(ask: wire.TaskSettings) -> tuple[Source, ...]:
    if ask.vod_src_addrs:
        return tuple(Source(file.src_addr, file.start_offset, file.end_offset) for file in ask.vod_src_addrs)
    offsets: list[float | None] = list(ask.offset_s)
    if not offsets:
        offsets = [ask.offset if len(ask.src_addr_s) == 1 else None] * len(ask.src_addr_s)
    return tuple(Source(url, offset) for url, offset in zip(ask.src_addr_s, offsets, strict=True))


def _sources_name(ask: wire.TaskSettings) -> str:
    if ask.type == wire.LIVE:
        return "SrcAddr"
    return "VodSrcAddrs" if ask.vod_src_addrs else "SrcAddrS"


def _overlay(mark: wire.Watermark | None) -> Overlay | None:
    if mark is None:
        return None
    return Overlay(read_picture(mark.picture).data, mark.relative_pos_x, mark.relative_pos_y, mark.ratio)


# What is answered


def _shown(live: Live, task: RelayTask, now: datetime, pictures: dict[str, str]) -> wire.Task:
    is_files = task.kind == "files"
    is_older = is_files and not task.has_parts
    return wire.Task(
        task_id=task.id,
        title=task.title,
        start_time=task.starts_at,
        end_time=task.ends_at,
        callback_url=task.callback_url,
        type=wire.FILES if is_files else wire.LIVE,
        cycle_mode=task.cycle_mode if is_files else None,
        play_times=task.play_times if is_files else None,
        dst_addr=task.target,
        dst_addr_type=wire.OURS if tasks.is_ours(live, task) else wire.ELSEWHERE,
        src_addr="" if is_files else task.sources[0].url,
        src_addr_s=[source.url for source in task.sources] if is_older else [],
        offset_s=_offsets(task) if is_older else [],
        vod_src_addrs=[
            wire.VodSource(src_addr=source.url, start_offset=source.start_s, end_offset=source.end_s)
            for source in task.sources
            if task.has_parts
        ],
        pre_download=int(task.download_first) if is_files else None,
        continue_strategy=int(task.resumes_late) if is_files else None,
        watermark=_mark(task, pictures),
        status=STATUSES[state_of(task, now)],
        group_name=task.group,
    )


def _offsets(task: RelayTask) -> list[float]:
    """One for each file; none at all where nobody gave one."""
    if all(source.start_s is None for source in task.sources):
        return []
    return [source.start_s or 0.0 for source in task.sources]


def _mark(task: RelayTask, pictures: dict[str, str]) -> wire.Watermark | None:
    mark = task.watermark
    picture = pictures.get(task.id, "")
    if mark is None or not picture:
        return None
    return wire.Watermark(picture=picture, relative_pos_x=mark.x, relative_pos_y=mark.y, ratio=mark.width)


async def _pictures(live: Live, page: list[RelayTask]) -> dict[str, str]:
    """The pictures of a page's tasks as data URLs, by the task; the first ones where all would be too much.

    One picture of many tasks is told as often.
    """
    read: dict[str, str] = {}
    found: dict[str, str] = {}
    left = MAX_PICTURES
    for task in page:
        if task.watermark is None:
            continue
        name = task.watermark.picture
        if name not in read:
            picture = await live.store.relay_picture(name)
            # None: its task was deleted since the page was read.
            read[name] = "" if picture is None else _data_url(picture)
        left -= len(read[name])
        if left < 0:
            break
        found[task.id] = read[name]
    return found


def _data_url(picture: bytes) -> str:
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{b64encode(picture).decode()}"
