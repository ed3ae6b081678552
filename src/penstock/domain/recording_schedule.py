"""What begins and ends by itself: recordings by their time, those that failed, and those that settings want.

An app that always records has one recording for each of its streams that is published. It waits for the
publisher's return for a while before it is over, so that a blink of the network makes no second one.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from datetime import datetime
from typing import Final

from penstock.domain import recordings
from penstock.domain.live import Live
from penstock.domain.recorder_link import LONGEST_WAIT
from penstock.domain.recordingtable import Wanted
from penstock.domain.sessions import Session
from penstock.errors import PenstockError
from penstock.storage.recordings import Recording, RecordingNote

log = logging.getLogger("penstock.recordings")

# How long a recording of the settings' waits for its publisher to come back.
RETURN_S: Final = 60.0
LEFT: Final = "its publisher left"
GONE: Final = "its vhost or app is gone"
NOT_WANTED: Final = "the settings want it no more"


async def tick(live: Live) -> None:
    """See to all that is due; to be called about once a second."""
    now = live.clock.now()
    # Each end waits for a file to be finished: together they wait as long as one.
    await asyncio.gather(*(_see_to_safely(live, wanted, now) for wanted in live.recordings))
    on_air = live.sessions.on_air()
    live.recordings.declined &= {session.lease.epoch for session in on_air}
    for session in on_air:
        await record_always(live, session)


async def record_always(live: Live, session: Session) -> None:
    """Have a publish recorded where its vhost's settings want that; a store that fails is no reason to refuse it."""
    stream = session.lease.stream
    if stream in live.recordings.making:
        return
    live.recordings.making.add(stream)
    try:
        await _record_always(live, session)
    except PenstockError as error:
        log.error("%s is not recorded: %s", stream, error)
    finally:
        live.recordings.making.discard(stream)


async def _see_to_safely(live: Live, wanted: Wanted, now: datetime) -> None:
    try:
        await _see_to(live, wanted, now)
    except PenstockError as error:
        log.error("recording %d: %s", wanted.row.number, error)


async def _see_to(live: Live, wanted: Wanted, now: datetime) -> None:
    row = wanted.row
    if (why := _why_over(live, wanted, now)) is not None:
        await recordings.end(live, wanted, "cancelled" if row.state == "planned" else "stopped", why)
    elif row.state == "planned" and row.from_at <= now:
        recordings.note(live, wanted, RecordingNote(number=row.number, state="waiting"))
        live.recorder.record(recordings.order_of(row))
    elif row.state == "failed" and _is_due(row, now):
        recordings.note(live, wanted, RecordingNote(number=row.number, state="waiting"))
        live.recorder.begin_anew(recordings.order_of(row))


def _why_over(live: Live, wanted: Wanted, now: datetime) -> str | None:
    """Why a recording is over by now; None while it is not."""
    row = wanted.row
    vhost = live.registry.vhosts.get(row.stream.vhost)
    if vhost is None or vhost.account != row.account or row.stream.app not in vhost.apps:
        return GONE
    if row.until is not None and row.until <= now:
        return recordings.TIME_IS_OVER
    if not row.always:
        return None
    is_meant = vhost.record.covers(row.stream.app)
    if not is_meant or (row.container, row.one_file) != (vhost.record.container, vhost.record.one_file):
        return NOT_WANTED
    return LEFT if _has_left(live, wanted) else None


def _has_left(live: Live, wanted: Wanted) -> bool:
    if live.sessions.holder(wanted.row.stream) is not None:
        wanted.off_air_since_s = None
        return False
    now_s = live.clock.monotonic()
    if wanted.off_air_since_s is None:
        wanted.off_air_since_s = now_s
    return now_s - wanted.off_air_since_s >= RETURN_S


def _is_due(row: Recording, now: datetime) -> bool:
    # A clock that was turned back must not put the next try off for as long.
    return row.next_try is None or not now < row.next_try <= now + LONGEST_WAIT


async def _record_always(live: Live, session: Session) -> None:
    stream, epoch = session.lease.stream, session.lease.epoch
    vhost = live.registry.vhosts.get(stream.vhost)
    if vhost is None or not vhost.record.covers(stream.app) or not vhost.record.container:
        return
    if epoch in live.recordings.declined or any(each.row.always for each in live.recordings.of_stream(stream)):
        return
    if await _was_stopped_by_hand(live, session):
        live.recordings.declined.add(epoch)
        return
    now = live.clock.now()
    await recordings.make(
        live,
        Recording(
            id=uuid.uuid4().hex,
            stream=stream,
            account=vhost.account,
            push_domain=session.push_domain,
            container=vhost.record.container,
            one_file=vhost.record.one_file,
            always=True,
            from_at=now,
            made_at=now,
            state="waiting",
        ),
    )


async def _was_stopped_by_hand(live: Live, session: Session) -> bool:
    """Whether this very publish was recorded, and somebody did not want that: control may have forgotten."""
    last = await live.store.last_always(session.lease.stream)
    if last is None or last.ended_at is None:
        return False
    return last.why.startswith(recordings.STOPPED_BY_HAND) and last.ended_at >= session.admitted_at
