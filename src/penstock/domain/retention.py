"""How long what was written down stays."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from penstock import config
from penstock.domain.live import Live
from penstock.storage.rows import Retention, Swept

log = logging.getLogger("penstock.recordings")

GIB: Final = 1 << 30
# Who is asked to remove them has streams to write meanwhile.
FILES_AT_ONCE: Final = 200


async def sweep(live: Live, keep: config.Retention) -> Swept:
    """Take away what is past its time or number; to be called about once a minute."""
    now = live.clock.now()
    live.bans.forget(now)
    return await live.store.sweep(
        Retention(
            ended_before=now - timedelta(days=keep.sessions_days),
            max_sessions=keep.max_sessions,
            refused_before=now - timedelta(days=keep.refusals_days),
            max_refusals=keep.max_refusals,
            # Requests are signed, and so refused, by the machine's clock.
            explained_before=live.clock.real_now() - timedelta(days=keep.explained_days),
            max_explained=keep.max_explained,
            recorded_before=now - timedelta(days=keep.sessions_days),
            relayed_before=now - timedelta(days=keep.relays_days),
            noticed_before=now - timedelta(days=keep.callbacks_days),
            max_notices=keep.max_callbacks,
        )
    )


async def sweep_files(live: Live, keep: config.Retention) -> int:
    """Have recorded files removed that are past their time, or above the size of all; return how many are gone."""
    before = live.clock.now() - timedelta(days=keep.recordings_days) if keep.recordings_days else None
    most = keep.recordings_gib * GIB if keep.recordings_gib else None
    if before is None and most is None:
        return 0
    await live.journal.written()
    gone = 0
    for file in await live.store.files_to_remove(before, most, FILES_AT_ONCE):
        row = await live.store.find_recording(file.recording)
        if row is None or not await live.recorder.remove(row.id, file.path):
            break  # a disk that is in trouble, or no engine: the next round sees
        gone += 1
        log.info("%s is removed, as its time or the room for recordings is over", file.path)
    return gone
