"""Why a request got its answer: kept for `penstock explain`, and never in an answer's way."""

from __future__ import annotations

from collections import deque
from typing import Final

from penstock.domain.live import Live
from penstock.storage.rows import ExplainEntry

# What may wait to be written. Above, the oldest are given up: anybody can send unsigned requests.
MAX_WAITING: Final = 1000


class Explanations:
    """Entries on their way to the store."""

    def __init__(self) -> None:
        self._waiting: deque[ExplainEntry] = deque(maxlen=MAX_WAITING)

    def put(self, entry: ExplainEntry) -> None:
        """Take an entry; it is written with the next `flush`."""
        self._waiting.append(entry)

    async def flush(self, live: Live) -> None:
        """Write down what waits; to be called about once a second, so that a flood is bounded in rows too."""
        if not self._waiting:
            return
        entries, self._waiting = list(self._waiting), deque(maxlen=MAX_WAITING)
        await live.store.put_explained(entries)

    async def find(self, live: Live, request_id: str) -> ExplainEntry | None:
        """What is known of a request, written already or not."""
        waiting = next((entry for entry in self._waiting if entry.request_id == request_id), None)
        return waiting or await live.store.explained(request_id)
