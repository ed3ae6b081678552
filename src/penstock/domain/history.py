"""What was published, and what was refused: the caller's own, page by page."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from penstock.domain.live import Live
from penstock.storage.rows import HistoryQuery, Page, Refusal, RefusalQuery, SessionRow


class Filter(Struct, frozen=True, kw_only=True):
    """Which publishes: `since` <= time < `until`; an empty text matches everything."""

    account: str
    vhost: str = ""
    app: str = ""
    push_domain: str = ""
    stream: str = ""
    stream_part: str = ""  # a piece of the stream's name; of sessions alone
    since: datetime
    until: datetime
    newest_first: bool = True
    offset: int = 0
    limit: int | None = None


async def sessions(live: Live, which: Filter, *, by: Literal["began_at", "ended_at"] = "began_at") -> Page[SessionRow]:
    """Sessions that are over, in the order of their beginning or end, which is the time that is compared."""
    await live.journal.written()
    query = HistoryQuery(
        by=by, push_domain=which.push_domain or None, stream_part=which.stream_part or None, **_common(which)
    )
    return await live.store.history(query)


async def refusals(live: Live, which: Filter) -> Page[Refusal]:
    """Attempts to publish that were turned away."""
    await live.journal.written()
    return await live.store.refusals(RefusalQuery(domain=which.push_domain or None, **_common(which)))


def _common(which: Filter) -> dict[str, Any]:
    """What the store asks alike of sessions and of refusals."""
    return {
        "since": which.since,
        "until": which.until,
        "account": which.account,
        "vhost": which.vhost or None,
        "app": which.app or None,
        "stream": which.stream or None,
        "newest_first": which.newest_first,
        "offset": which.offset,
        "limit": which.limit,
    }
