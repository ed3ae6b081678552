"""What every action is given: the rules in force, who owns what, what is on air, the store, the engine, the time."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct, field

from penstock.domain.audience import Audiences
from penstock.domain.bantable import BanTable
from penstock.domain.clock import DomainClock
from penstock.domain.journal import Journal
from penstock.domain.recording_urls import FileUrls
from penstock.domain.recordingtable import RecordingTable
from penstock.domain.registry import Registry
from penstock.domain.relays.board import RelayBoard
from penstock.domain.sessions import Sessions
from penstock.domain.tallies import Tallies
from penstock.domain.usage import UsageLedger
from penstock.link.messages import EndReason
from penstock.link.recording import RecordOrder
from penstock.model import StreamId
from penstock.net.guard import Guard
from penstock.storage.base import Store


class Engine(Protocol):
    """What actions ask of the media plane."""

    async def drop(self, stream: StreamId, reason: EndReason, detail: str) -> int | None:
        """Cut the publisher of `stream`; return the epoch that ended once its socket is closed.

        None means that nobody was publishing. The session's end was heard of before this returns.

        Raises:
            LinkError: no engine is connected, or it went before it answered.
        """

    def tell_vhosts(self, live: Live) -> None:
        """The vhosts changed: an engine that is connected has to know."""


class Recorder(Protocol):
    """What actions ask of whoever writes media to the disk. Without an engine they ask nobody, until one is there."""

    def record(self, order: RecordOrder) -> None:
        """Record from now on; said again, it changes nothing."""

    def begin_anew(self, order: RecordOrder) -> None:
        """Record from now on what had failed."""

    async def stop(self, id: str) -> None:
        """Finish what is being written; returns once that was told, or there is nobody who could."""

    async def remove(self, id: str, path: str) -> bool:
        """Delete a file; True once it is gone, False where it is not known to be."""


class NoRecorder:
    """Nobody records."""

    def record(self, order: RecordOrder) -> None:
        pass

    def begin_anew(self, order: RecordOrder) -> None:
        pass

    async def stop(self, id: str) -> None:
        pass

    async def remove(self, id: str, path: str) -> bool:
        return False


class Rules(Struct, frozen=True):
    """Settings that decide who may publish."""

    default_vhost: str
    on_conflict: str  # refuse or replace
    replace_after_silent_s: float
    node: str = ""  # the address that publishers reach, as an API tells it


class Live(Struct):
    """Comes as the first argument of every action."""

    clock: DomainClock
    rules: Rules
    store: Store
    journal: Journal
    registry: Registry
    bans: BanTable
    sessions: Sessions
    audiences: Audiences
    usage: UsageLedger
    engine: Engine
    tallies: Tallies = field(default_factory=Tallies)
    guard: Guard = field(default_factory=Guard)
    relays: RelayBoard = field(default_factory=RelayBoard)
    recordings: RecordingTable = field(default_factory=RecordingTable)
    recorder: Recorder = field(default_factory=NoRecorder)
    file_urls: FileUrls = FileUrls()
