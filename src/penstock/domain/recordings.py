"""Recordings: begin, stop, list, look at, take their files away.

What is wanted stands in rows, and is said to each engine that comes (`recorder_link`); what begins and ends by
the clock, and what the settings want recorded, is seen to once a second (`recording_schedule`).
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct, structs

from penstock.domain.caller import Caller
from penstock.domain.live import Live
from penstock.domain.places import domain_of_own
from penstock.domain.recordingtable import Wanted
from penstock.errors import (
    AlreadyRecorded,
    AlreadyStopped,
    Conflict,
    TooManyRecordings,
    TooShort,
    Unavailable,
    UnknownRecording,
    WrongEnd,
    WrongStart,
    WrongState,
)
from penstock.link.recording import Container, RecordOrder
from penstock.model import StreamId
from penstock.storage.base import Records
from penstock.storage.errors import StorageError
from penstock.storage.recordings import (
    ContainerWord,
    FileSum,
    RecordedFile,
    Recording,
    RecordingNote,
    RecordingQuery,
    StateWord,
)
from penstock.storage.rows import Page

# Of one account at a time, planned ones too, those of the settings left out: each holds a file and a buffer.
MAX_RECORDINGS: Final = 1000
MIN_SPAN: Final = timedelta(minutes=1)  # KLS, RetCode 6709
# A task for the year after next is a slip of the keyboard, and would hold one of those places.
MAX_AHEAD: Final = timedelta(days=366)
# A start as many seconds ago was meant as now: the caller's clock is not ours.
LATE: Final = timedelta(seconds=60)

STOPPED_BY_HAND: Final = "stopped by "
TIME_IS_OVER: Final = "its time is over"


class Plan(Struct, frozen=True, kw_only=True):
    """What is to be recorded, and when."""

    stream: StreamId
    container: ContainerWord = "mp4"
    one_file: bool = False
    from_at: datetime | None = None  # None: now
    until: datetime | None = None  # None: until it is stopped
    push_domain: str = ""
    asked: Mapping[str, str] = {}


class Shown(Struct, frozen=True):
    """A recording with what came of it."""

    row: Recording
    sum: FileSum
    files: tuple[RecordedFile, ...] = ()


async def start(live: Live, caller: Caller, plan: Plan) -> Recording:
    """Want a recording, from now or from a time on; a stream that is not on air is waited for.

    Raises:
        UnknownVhost, UnknownDomain, InvalidField: no place of the caller's.
        WrongStart, WrongEnd, TooShort: no span of time to record in.
        AlreadyRecorded: it is being recorded in this container, by the same kind of order.
        Conflict: a recording in this container is planned for a part of that time.
        TooManyRecordings: the account has as many as it may have.
    """
    domain = domain_of_own(live, caller, plan.stream, plan.push_domain)
    now = live.clock.now()
    begins = _span(plan, now)
    _refuse_overlap(live, plan, begins)
    wanted = [each for each in live.recordings.of_account(caller.account) if not each.row.always]
    if len(wanted) >= MAX_RECORDINGS:
        raise TooManyRecordings(f"account {caller.account} has {len(wanted)} recordings; stop one of them first")
    caller.about_to_act()
    return await make(
        live,
        Recording(
            id=uuid.uuid4().hex,
            stream=plan.stream,
            account=caller.account,
            push_domain=domain,
            container=plan.container,
            one_file=plan.one_file,
            from_at=begins,
            until=plan.until,
            made_at=now,
            access_key=caller.access_key,
            cloud=caller.cloud,
            asked=plan.asked,
            state="planned" if begins > now else "waiting",
        ),
    )


async def make(live: Live, row: Recording) -> Recording:
    """Write a recording down, then have it recorded if its time has come."""
    found: list[Recording] = []

    async def write(store: Records) -> None:
        found[:] = [await store.add_recording(row)]

    await written(live, write)
    live.recordings.put(found[0])
    if row.state != "planned":
        live.recorder.record(order_of(found[0]))
    return found[0]


def order_of(row: Recording) -> RecordOrder:
    """What an engine is told of it."""
    return RecordOrder(row.id, row.stream, Container(row.container), row.one_file)


def _span(plan: Plan, now: datetime) -> datetime:
    begins = plan.from_at if plan.from_at is not None else now
    if not now - LATE <= begins <= now + MAX_AHEAD:
        wanted = f"from now ({now:%Y-%m-%dT%H:%M:%SZ}) on, within {MAX_AHEAD.days} days"
        raise WrongStart("from", f"{begins:%Y-%m-%dT%H:%M:%SZ}", wanted)
    begins = max(begins, now)
    if plan.until is None:
        return begins
    shown = f"{plan.until:%Y-%m-%dT%H:%M:%SZ}"
    if not begins < plan.until <= begins + MAX_AHEAD:
        wanted = f"later than its start ({begins:%Y-%m-%dT%H:%M:%SZ}), by at most {MAX_AHEAD.days} days"
        raise WrongEnd("until", shown, wanted)
    if plan.until - begins < MIN_SPAN:
        raise TooShort("until", shown, f"at least {MIN_SPAN.seconds} s after its start ({begins:%Y-%m-%dT%H:%M:%SZ})")
    return begins


def _refuse_overlap(live: Live, plan: Plan, begins: datetime) -> None:
    """One recording of a stream in one container at a time; what the settings record goes on beside it."""
    for each in live.recordings.of_stream(plan.stream):
        row = each.row
        if row.always or row.container != plan.container:
            continue
        if (row.until is None or row.until > begins) and (plan.until is None or plan.until > row.from_at):
            if row.state != "planned" and plan.from_at is None:
                raise AlreadyRecorded(f"{plan.stream} is being recorded, by recording {row.number}")
            raise Conflict(f"recording {row.number} is of the same stream, for a part of that time")


async def stop(live: Live, caller: Caller, number: int) -> Recording:
    """End a recording, also one whose time has not come; returns once its last file is finished.

    Raises:
        UnknownRecording: it is none of the caller's.
        AlreadyStopped: it is over.
    """
    row = await find(live, caller, number)
    wanted = live.recordings.find(number)
    if wanted is None:
        raise AlreadyStopped(f"recording {number} is over since {row.ended_at:%Y-%m-%dT%H:%M:%SZ}")
    caller.about_to_act()
    by = caller.access_key or "the operator"
    if wanted.row.state == "planned":
        await end(live, wanted, "cancelled", f"cancelled by {by}")
    else:
        _decline(live, wanted.row)
        await end(live, wanted, "stopped", f"{STOPPED_BY_HAND}{by}")
    return await find(live, caller, number)


async def cancel(live: Live, caller: Caller, number: int) -> Recording:
    """Take a recording back whose time has not come.

    Raises:
        UnknownRecording: it is none of the caller's.
        WrongState: it has begun, or is over.
    """
    row = await find(live, caller, number)
    if row.state != "planned":
        raise WrongState(f"recording {number} is {row.state}; only one that is planned can be cancelled")
    return await stop(live, caller, number)


def _decline(live: Live, row: Recording) -> None:
    """What the settings record, and somebody stops, is not begun again before the next publish."""
    holder = live.sessions.holder(row.stream)
    if row.always and holder is not None:
        live.recordings.declined.add(holder.lease.epoch)


async def end(live: Live, wanted: Wanted, state: StateWord, why: str) -> None:
    """It is not wanted any more: written down, then said to the engine; returns once that has finished its file."""
    row, at = wanted.row, live.clock.now()
    await written(live, lambda store: store.end_recording(row.number, at, state, why))
    live.recordings.remove(row.number)
    if row.state != "planned":
        await live.recorder.stop(row.id)
        await live.journal.written()


def note(live: Live, wanted: Wanted, noted: RecordingNote) -> None:
    """Keep how a recording stands, in memory now and on disk soon."""
    began_at = wanted.row.began_at or noted.began_at
    wanted.row = structs.replace(
        wanted.row, state=noted.state, error=noted.error, next_try=noted.next_try, began_at=began_at
    )
    live.journal.put(lambda store: store.note_recording(noted))


async def written(live: Live, write: Callable[[Records], Awaitable[object]]) -> None:
    """Write behind all that was told before, so that an older state does not come over a newer one.

    Raises:
        StorageError: it was not written.
    """
    if not await live.journal.put(write):
        raise StorageError("a recording could not be written down")


# Looking


async def find(live: Live, caller: Caller, number: int) -> Recording:
    """A recording of the caller's account, wanted or over.

    Raises:
        UnknownRecording: there is none, or it is another account's: the two look alike.
    """
    wanted = live.recordings.find(number)
    if wanted is not None:
        row: Recording | None = wanted.row
    else:
        await live.journal.written()
        row = await live.store.find_recording(number)
    if row is None or row.account != caller.account:
        raise UnknownRecording(f"there is no recording {number}")
    return row


async def show(live: Live, caller: Caller, number: int) -> Shown:
    """A recording with its files.

    Raises:
        UnknownRecording: it is none of the caller's.
    """
    row = await find(live, caller, number)
    await live.journal.written()
    files = [with_progress(live, row, file) for file in await live.store.files_of(number)]
    there = [file for file in files if file.removed_at is None and not file.is_lost]
    gaps = sum(len(file.gaps) for file in there)
    size, length = sum(file.size_bytes for file in there), sum(file.duration_ms for file in there)
    return Shown(row, FileSum(len(there), size, length, gaps), tuple(files))


def with_progress(live: Live, row: Recording, file: RecordedFile) -> RecordedFile:
    """A file under way with what its engine told last."""
    wanted = live.recordings.find(row.number)
    if wanted is None or file.ended_at is not None or wanted.path != file.path:
        return file
    return structs.replace(file, size_bytes=wanted.size_bytes, duration_ms=wanted.duration_ms)


async def page(live: Live, query: RecordingQuery) -> Page[Shown]:
    """Recordings with the sums of their files."""
    await live.journal.written()
    found = await live.store.recordings(query)
    sums = await live.store.sum_files([row.number for row in found.rows])
    return Page([_summed(live, row, sums.get(row.number, FileSum())) for row in found.rows], found.total)


def _summed(live: Live, row: Recording, stored: FileSum) -> Shown:
    wanted = live.recordings.find(row.number)
    if wanted is None:
        return Shown(row, stored)
    size, length = stored.size_bytes + wanted.size_bytes, stored.duration_ms + wanted.duration_ms
    return Shown(wanted.row, FileSum(stored.files, size, length, stored.gaps))


# Taking away


async def remove_files(live: Live, caller: Caller, number: int, file: int | None = None) -> list[RecordedFile]:
    """Delete the files of a recording that is over, or one finished file; their rows stay, marked.

    Raises:
        UnknownRecording: it is none of the caller's, or has no such file.
        WrongState: a file is being written.
        Unavailable: not all of them are known to be gone.
    """
    row = await find(live, caller, number)
    await live.journal.written()
    files = [each for each in await live.store.files_of(number) if file in (None, each.id)]
    if file is not None and not files:
        raise UnknownRecording(f"recording {number} has no file {file}")
    under_way = live.recordings.find(number)
    if (file is None and under_way is not None) or any(each.ended_at is None for each in files):
        raise WrongState(f"recording {number} is being written; stop it first")
    caller.about_to_act()
    there = [each for each in files if each.removed_at is None]
    gone = [each for each in there if await live.recorder.remove(row.id, each.path)]
    await live.journal.written()
    if len(gone) < len(there):
        raise Unavailable(f"{len(there) - len(gone)} of {len(there)} files could not be removed; the log has more")
    return gone
