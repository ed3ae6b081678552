"""The interface of the store: what `domain` knows of it.

A write is kept, whatever becomes of the process, once its ``await`` returns. Each call is a transaction
of its own; facts that must go together are written in one::

    async with store.transaction() as together:
        await together.put_ban(ban)
        await together.end_session(end)

A call that is cancelled may or may not have been done.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from penstock.model import StreamId
from penstock.storage.recordings import (
    FileEnd,
    FileSum,
    RecordedFile,
    Recording,
    RecordingNote,
    RecordingQuery,
    StateWord,
)
from penstock.storage.relay_base import NoticeRecords, RelayRecords
from penstock.storage.rows import (
    AccessKey,
    Account,
    Ban,
    BanQuery,
    Domain,
    DomainKind,
    ExplainEntry,
    HistoryQuery,
    Page,
    Refusal,
    RefusalQuery,
    Retention,
    Seed,
    SessionEnd,
    SessionRow,
    Span,
    Swept,
    Vhost,
)


class Records(RelayRecords, NoticeRecords, Protocol):
    """All that can be asked, alone or inside a transaction.

    Raises:
        StorageError: from any call: the store cannot be read or written (any more).
    """

    # Owners. `put_` adds or replaces; with `new` it refuses to replace.

    async def seed(self, seed: Seed) -> None:
        """Make what is `configured` the same as `seed`, which may be less than it was before.

        What the file no longer has goes, even with a stream on air; but an account or vhost stays while
        something hangs on it that was added by hand. What was added by hand and is now in the file counts as
        configured.

        Raises:
            Conflict: it is at odds with what was added by hand; nothing was changed.
        """

    async def put_account(self, account: Account, *, new: bool = False) -> None:
        """Raises:
        Conflict: it exists, and was to be new.
        """

    async def remove_account(self, account: str) -> None:
        """Raises:
        NotFound: there is no such account.
        Conflict: it has keys or vhosts.
        """

    async def accounts(self) -> list[Account]:
        """Every account, by id."""

    async def put_key(self, key: AccessKey, *, new: bool = False) -> None:
        """Raises:
        NotFound: there is no such account.
        Conflict: another account has this access key; or it exists, and was to be new.
        """

    async def remove_key(self, access_key: str) -> None:
        """Raises:
        NotFound: there is no such key.
        """

    async def find_key(self, access_key: str) -> AccessKey | None:
        """The key of that name, whoever's it is."""

    async def keys(self, account: str | None = None) -> list[AccessKey]:
        """The keys of an account or of all, by account and access key."""

    async def put_vhost(self, vhost: Vhost, *, new: bool = False) -> None:
        """A vhost that is new under another account than the last of that name starts without bans.

        Raises:
            NotFound: there is no such account.
            Conflict: another account has it; or it exists, and was to be new; or its name is a domain of another.
        """

    async def remove_vhost(self, vhost: str) -> None:
        """Bans and history stay, and are there again when the account makes the vhost anew.

        Raises:
            NotFound: there is no such vhost.
            Conflict: it has domains, or an open session.
        """

    async def find_vhost(self, vhost: str) -> Vhost | None:
        """The vhost of that name."""

    async def vhosts(self, account: str | None = None) -> list[Vhost]:
        """The vhosts of an account or of all, by name."""

    async def put_domain(self, domain: Domain, *, new: bool = False) -> Domain:
        """Returns it with its id, which is the one it has when it exists; the id that came is not looked at.

        Raises:
            NotFound: there is no such vhost.
            Conflict: another vhost has or is named like it; or it exists, and was to be new.
        """

    async def remove_domain(self, name: str, kind: DomainKind) -> None:
        """Raises:
        NotFound: there is no such domain.
        Conflict: an open session came in by it.
        """

    async def domains(self, *, vhost: str | None = None, account: str | None = None) -> list[Domain]:
        """The domains of a vhost, of an account or of all, in the order of their ids."""

    # Bans

    async def put_ban(self, ban: Ban) -> Ban:
        """Ban, or move the ban that is there; returns what is now in force.

        A ban in force at `changed_at` keeps its `since`; all else is replaced, its end and `changed_at` too.
        """

    async def lift_ban(self, stream: StreamId, now: datetime) -> Ban | None:
        """Take the ban away; returns it, or None where none was in force at `now`."""

    async def find_ban(self, stream: StreamId, now: datetime) -> Ban | None:
        """The ban that is in force at `now`."""

    async def bans(self, query: BanQuery) -> Page[Ban]:
        """The bans in force, page by page."""

    # Sessions

    async def admit_session(self, session: SessionRow) -> None:
        """Write it down; nothing changes when its epoch is there already."""

    async def begin_session(self, epoch: int, at: datetime) -> bool:
        """It is on air; False where that was known, or it is over, or there is no such session."""

    async def note_session(self, epoch: int, facts: str, bytes_in: int) -> bool:
        """Keep the latest facts of an open session, for the case that its end brings none; False where it is over."""

    async def end_session(self, end: SessionEnd) -> SessionRow | None:
        """It is over; returns its row, or None where it was over already, or there is no such session."""

    async def reopen_session(self, epoch: int, reason: str) -> bool:
        """Take the end of a session back that was given `reason`, as it turned out to be on air; False otherwise."""

    async def end_open_sessions(
        self, at: datetime, reason: str, detail: str = "", *, keep: Collection[int] = ()
    ) -> list[SessionRow]:
        """End all open sessions but those with an epoch in `keep`; returns their rows, the oldest first."""

    async def open_sessions(self) -> list[SessionRow]:
        """All sessions without an end, the oldest first."""

    async def find_session(self, epoch: int) -> SessionRow | None:
        """The session of that epoch, open or over."""

    async def history(self, query: HistoryQuery) -> Page[SessionRow]:
        """Sessions that are over, page by page. One that never began is not history."""

    async def spans(self, query: HistoryQuery) -> list[Span]:
        """When streams were on air inside the window: all sessions that touch it, open ones too, by their beginning.

        Nothing is cut off at the window's ends; `by` is not looked at.
        """

    async def highest_epoch(self) -> int:
        """The highest epoch that any session was ever given, swept ones too; 0 where there was none."""

    # Evidence

    async def put_refusals(self, refusals: Sequence[Refusal]) -> None:
        """Write down publishes that were turned away."""

    async def refusals(self, query: RefusalQuery) -> Page[Refusal]:
        """Refused publishes, page by page."""

    async def put_explained(self, entries: Sequence[ExplainEntry]) -> None:
        """Write down why requests got their answers; one that comes again under its request id is replaced."""

    async def explained(self, request_id: str) -> ExplainEntry | None:
        """What is known of a request."""

    # Recordings

    async def add_recording(self, recording: Recording) -> Recording:
        """Write it down; returns it with its number."""

    async def note_recording(self, note: RecordingNote) -> None:
        """Keep how it stands."""

    async def end_recording(self, number: int, at: datetime, state: StateWord, why: str) -> bool:
        """It is not wanted any more; False where that was so already, or there is none."""

    async def find_recording(self, number: int) -> Recording | None:
        """The recording of that number, wanted or over."""

    async def recording_of(self, id: str) -> Recording | None:
        """The recording that engines know by that id."""

    async def wanted_recordings(self) -> list[Recording]:
        """All that are not over, by their numbers."""

    async def last_always(self, stream: StreamId) -> Recording | None:
        """The latest recording of a stream that its vhost's settings made, wanted or over."""

    async def recordings(self, query: RecordingQuery) -> Page[Recording]:
        """Recordings, page by page, in the order in which their time begins."""

    async def begin_file(self, file: RecordedFile) -> None:
        """A file is being written; one of that path goes on, and has no end any more."""

    async def end_file(self, end: FileEnd) -> None:
        """A file has its end, and its facts."""

    async def remove_file(self, recording: int, path: str, at: datetime) -> None:
        """A file is gone from the disk; its row stays."""

    async def find_file(self, number: int) -> RecordedFile | None:
        """The file of that id, removed or not."""

    async def files_of(self, recording: int) -> list[RecordedFile]:
        """The files of a recording, removed ones too, in the order of their beginning."""

    async def open_files(self) -> list[RecordedFile]:
        """All files without an end."""

    async def sum_files(self, recordings: Sequence[int]) -> dict[int, FileSum]:
        """What the files of these recordings come to; one without files is not among them."""

    async def files_to_remove(
        self, ended_before: datetime | None, max_bytes: int | None, limit: int
    ) -> list[RecordedFile]:
        """Files that have ended, and have to go: by their age, or because all take more than `max_bytes`."""

    async def secret(self, name: str) -> str:
        """A random text of the server's own, made when it is first asked for."""


class Store(Records, Protocol):
    """The store as a whole. Not to be used by a task that holds one of its transactions open: that waits for itself."""

    def transaction(self) -> AbstractAsyncContextManager[Records]:
        """All that is done in the block, or, when it raises, nothing. Others' writes wait: keep it short."""

    async def sweep(self, retention: Retention) -> Swept:
        """Take away what is past its time or number, in steps between which others write."""

    async def check_writable(self) -> None:
        """Have a write that changes nothing become durable, as any other would."""

    async def close(self) -> None:
        """Finish what was asked and let go of the database; nothing can be asked any more."""
