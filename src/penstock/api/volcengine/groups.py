"""Groups of relay tasks."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.api.volcengine.relays import in_relay_words
from penstock.clouds.volcengine import relays as wire
from penstock.domain.caller import Caller
from penstock.domain.live import Live
from penstock.domain.relays import groups
from penstock.storage.relay_rows import RelayGroup, Tag


async def create_group(live: Live, caller: Caller, ask: wire.CreatePullToPushGroup) -> wire.CreatePullToPushGroupResult:
    with in_relay_words():
        await groups.create(live, caller, ask.name, project=ask.project_name, tags=_tags(ask.tags))
    return wire.CreatePullToPushGroupResult()


async def update_group(live: Live, caller: Caller, ask: wire.UpdatePullToPushGroup) -> wire.UpdatePullToPushGroupResult:
    with in_relay_words():
        await groups.update(live, caller, ask.name, tags=_tags(ask.tags))
    return wire.UpdatePullToPushGroupResult()


async def delete_group(live: Live, caller: Caller, ask: wire.DeletePullToPushGroup) -> wire.DeletePullToPushGroupResult:
    with in_relay_words():
        await groups.delete(live, caller, ask.name)
    return wire.DeletePullToPushGroupResult()


async def list_groups(live: Live, caller: Caller, ask: wire.ListPullToPushGroup) -> wire.ListPullToPushGroupResult:
    wanted = set(ask.status_list) or {wire.AVAILABLE}
    page = await groups.page(
        live,
        caller,
        is_available=wire.AVAILABLE in wanted,
        is_deleted=wire.DELETED in wanted,
        offset=(ask.page_num - 1) * ask.page_size,
        limit=ask.page_size,
    )
    return wire.ListPullToPushGroupResult(list=[_shown(group) for group in page.rows], total=page.total)


def _tags(tags: Sequence[wire.Tag]) -> tuple[Tag, ...]:
    return tuple(Tag(tag.key, tag.value, tag.category) for tag in tags)


def _shown(group: RelayGroup) -> wire.TaskGroup:
    return wire.TaskGroup(
        name=group.name,
        project_name=group.project,
        status=wire.AVAILABLE if group.deleted_at is None else wire.DELETED,
        tags=[
            wire.Tag(key=tag.key, value=tag.value, category="System" if tag.category == "System" else "Custom")
            for tag in group.tags
        ],
    )
