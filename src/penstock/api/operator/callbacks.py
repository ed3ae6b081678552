"""Callbacks: what waits, how each try went, and once more."""

from __future__ import annotations

import msgspec

from penstock.admin import relays as verbs
from penstock.api.operator.desk import Desk
from penstock.api.operator.relays import WHOLE_ID, find_task
from penstock.domain import callbacks
from penstock.domain.caller import Caller
from penstock.domain.live import Live
from penstock.errors import NotFound
from penstock.storage.relay_rows import Notice, NoticeQuery


async def list_callbacks(desk: Desk, ask: verbs.ListCallbacks) -> verbs.Callbacks:
    task = ask.task
    if task and len(task) < WHOLE_ID:
        task = (await find_task(desk.live, task)).id
    query = NoticeQuery(
        account=ask.account or None,
        subject=task or None,
        state=ask.state or None,
        offset=ask.offset,
        limit=ask.limit,
    )
    page = await desk.live.store.notices(query)
    return verbs.Callbacks(callbacks=[_callback(each) for each in page.rows], total=page.total)


async def show_callback(desk: Desk, ask: verbs.ShowCallback) -> verbs.CallbackShown:
    return await _shown(desk.live, await _find(desk.live, ask.id))


async def redeliver(desk: Desk, ask: verbs.Redeliver) -> verbs.CallbackShown:
    found = await _find(desk.live, ask.id)
    again = await callbacks.redeliver(desk.live, Caller(account=found.account, access_key=""), ask.id)
    return await _shown(desk.live, again)


async def _find(live: Live, id: int) -> Notice:
    found = await live.store.find_notice(id)
    if found is None:
        raise NotFound(f"there is no callback {id}; `penstock callbacks ls` lists them")
    return found


async def _shown(live: Live, notice: Notice) -> verbs.CallbackShown:
    tried = await live.store.deliveries([notice.id])
    facts = msgspec.json.decode(notice.facts, type=dict[str, str])
    return verbs.CallbackShown(
        callback=_callback(notice),
        facts=facts,
        tried=[verbs.Try(at=each.at, took_ms=each.took_ms, status=each.status, error=each.error) for each in tried],
    )


def _callback(notice: Notice) -> verbs.Callback:
    return verbs.Callback(
        id=notice.id,
        account=notice.account,
        subject=notice.subject,
        sequence=notice.sequence,
        event=notice.event,
        url=notice.url,
        made_at=notice.made_at,
        state=notice.state,
        tries=notice.tries,
        next_try_at=notice.next_try_at,
        answer=notice.answer,
    )
