"""Why a request got its answer: kept for `penstock explain`, and never in an answer's way."""

from __future__ import annotations

from collections import deque
from typing import Final

from penstock.domain.live import Live
from penstock.domain.registry import Registry
from penstock.storage.rows import ExplainEntry

# What may wait to be written. Above, the oldest are given up.
MAX_WAITING: Final = 1000
# Of those that name no key of ours, in one flush: anybody can send them, and they must push nothing else out.
MAX_NOBODYS: Final = 20


class Explanations:
    """Entries on their way to the store; those of known keys, and everybody else's in a queue of their own."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: deque[ExplainEntry] = deque(maxlen=MAX_WAITING)
        self._nobodys: deque[ExplainEntry] = deque(maxlen=MAX_NOBODYS)

    def put(self, entry: ExplainEntry) -> None:
        """Take an entry; it is written with the next `flush`."""
        # A signature that does not fit names no account, and is what its key's owner will ask about.
        is_known = entry.account or self._registry.find_key(entry.access_key) is not None
        (self._known if is_known else self._nobodys).append(entry)

    async def flush(self, live: Live) -> None:
        """Write down what waits; to be called about once a second, so that a flood is bounded in rows too."""
        entries = [*self._nobodys, *self._known]
        if not entries:
            return
        self._known.clear()
        self._nobodys.clear()
        await live.store.put_explained(entries)

    async def find(self, live: Live, request_id: str) -> ExplainEntry | None:
        """What is known of a request, written already or not."""
        for entry in (*self._known, *self._nobodys):
            if entry.request_id == request_id:
                return entry
        return await live.store.explained(request_id)
