"""How long what was written down stays."""

from __future__ import annotations

from datetime import timedelta

from penstock import config
from penstock.domain.live import Live
from penstock.storage.rows import Retention, Swept


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
        )
    )
