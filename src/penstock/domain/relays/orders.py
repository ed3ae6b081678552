"""A task as work: the order that its engine gets, and the job of a worker where the engine alone cannot do it."""

from __future__ import annotations

from msgspec import Struct

from penstock.domain import publish_url
from penstock.domain.live import Live
from penstock.domain.relays.places import clips_of, loops_of
from penstock.domain.relays.tasks import host_of
from penstock.link.relaying import Overlay, Position, RelayJob, RelayOrder
from penstock.model import StreamId
from penstock.net.guard import RTMP
from penstock.storage.relay_rows import RelayTask


class Workshop(Struct, frozen=True):
    """What workers are given beside their job."""

    door: str = ""  # path of the engine's relay door
    cache: str = ""  # folder for files that are fetched whole; empty: none are
    cache_bytes: int = 0
    allow_private: tuple[str, ...] = ()


def needs_worker(task: RelayTask) -> bool:
    """False for a live source whose packets only have to be moved: RTMP, or FLV over HTTP."""
    if task.kind != "live" or task.watermark is not None:
        return True
    scheme, _, rest = task.sources[0].url.partition("://")
    path = rest.partition("?")[0].partition("#")[0]
    return scheme.lower() not in RTMP and not path.lower().endswith(".flv")


def order_of(live: Live, task: RelayTask) -> RelayOrder:
    """What the engine is told; the same task gives the same order each time."""
    source = "" if needs_worker(task) else task.sources[0].url
    return RelayOrder(
        id=task.id,
        target=_signed(live, task),
        source=source,
        target_is_own=_is_own(live, task, task.target),
        source_is_own=bool(source) and _is_own(live, task, source),
    )


def _is_own(live: Live, task: RelayTask, url: str) -> bool:
    """True for a domain of the task's own account; one of another account's is as far away as any host."""
    vhost = live.registry.vhost_at(host_of(url))
    return vhost is not None and vhost.account == task.account


def job_of(task: RelayTask, workshop: Workshop, start: Position, picture: bytes | None) -> RelayJob:
    overlay = None
    if task.watermark is not None and picture is not None:
        overlay = Overlay(picture, task.watermark.x, task.watermark.y, task.watermark.width)
    return RelayJob(
        id=task.id,
        door=workshop.door,
        clips=clips_of(task),
        live=task.kind == "live",
        loops=None if task.kind == "live" else loops_of(task),
        start=start,
        overlay=overlay,
        download_first=task.download_first and task.kind == "files" and bool(workshop.cache),
        cache=workshop.cache,
        cache_bytes=workshop.cache_bytes,
        allow_private=workshop.allow_private,
    )


def _signed(live: Live, task: RelayTask) -> str:
    """The target, signed where it is a stream of the account's own that has to be."""
    vhost = live.registry.vhost_at(host_of(task.target))
    if vhost is None or vhost.account != task.account or vhost.publish_auth != "signed" or "?" in task.target:
        return task.target
    app, _, name = task.target.partition("://")[2].partition("/")[2].partition("/")
    # Good for the whole window: its pusher may have to connect again until the last moment.
    time = str(int(task.ends_at.timestamp()) + 60)
    query = publish_url.sign(vhost.publish_key, StreamId(vhost.name, app, name), time, vhost.signing)
    return f"{task.target}?{query}"
