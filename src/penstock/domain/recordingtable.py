"""The recordings that are wanted, in memory: what engines tell of them is matched to their rows here."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, structs

from penstock.model import StreamId
from penstock.storage.base import Records
from penstock.storage.recordings import Recording, RecordingNote


class Wanted(Struct):
    """One recording that is not over. Progress is the engine's word on the file under way."""

    row: Recording
    path: str = ""
    size_bytes: int = 0
    duration_ms: int = 0
    failures: int = 0  # in a row
    recorded_since_s: float | None = None  # on the monotonic clock
    off_air_since_s: float | None = None

    def forget_progress(self) -> None:
        self.path, self.size_bytes, self.duration_ms, self.recorded_since_s = "", 0, 0, None


class RecordingTable:
    """All that are wanted, by their numbers; in the order in which they were asked for."""

    def __init__(self) -> None:
        self._by_number: dict[int, Wanted] = {}
        self._numbers: dict[str, int] = {}  # by id
        self.making: set[StreamId] = set()  # whose recording by the settings is being written down
        self.declined: set[int] = set()  # epochs of publishes whose recording was stopped by hand
        self.bytes_written = 0  # since this control process knows of them

    def __iter__(self) -> Iterator[Wanted]:
        return iter(list(self._by_number.values()))

    def __len__(self) -> int:
        return len(self._by_number)

    async def load(self, records: Records) -> None:
        for row in await records.wanted_recordings():
            if row.state == "recording":
                # So it was. Until an engine says so again nobody knows of bytes that flow.
                await records.note_recording(RecordingNote(number=row.number, state="waiting"))
                self.put(structs.replace(row, state="waiting"))
            else:
                self.put(row)

    def put(self, row: Recording) -> Wanted:
        wanted = self._by_number[row.number] = Wanted(row)
        self._numbers[row.id] = row.number
        return wanted

    def find(self, number: int) -> Wanted | None:
        return self._by_number.get(number)

    def of_id(self, id: str) -> Wanted | None:
        return self._by_number.get(self._numbers.get(id, 0))

    def remove(self, number: int) -> None:
        wanted = self._by_number.pop(number, None)
        if wanted is not None:
            self._numbers.pop(wanted.row.id, None)

    def of_stream(self, stream: StreamId) -> list[Wanted]:
        return [each for each in self if each.row.stream == stream]

    def of_account(self, account: str) -> list[Wanted]:
        return [each for each in self if each.row.account == account]
