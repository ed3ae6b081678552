"""The part of the store's interface that relays and callbacks use; what `base` says holds here too."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from penstock.storage.relay_rows import (
    Delivery,
    GroupQuery,
    Notice,
    NoticeQuery,
    RelayGroup,
    RelayProgress,
    RelayQuery,
    RelayTask,
)
from penstock.storage.rows import Page


class RelayRecords(Protocol):
    """Groups, tasks, and how these stand."""

    async def put_relay_group(self, group: RelayGroup) -> None:
        """Add or replace."""

    async def find_relay_group(self, account: str, name: str) -> RelayGroup | None:
        """The group of that name, deleted or not."""

    async def relay_groups(self, query: GroupQuery) -> Page[RelayGroup]:
        """Groups, page by page."""

    async def put_relay(self, task: RelayTask) -> None:
        """Add or replace."""

    async def remove_relay(self, task: str) -> None:
        """Take a task away, and what was known of how it stands."""

    async def find_relay(self, task: str) -> RelayTask | None:
        """The task of that id, whoever's it is."""

    async def relays(self, query: RelayQuery) -> Page[RelayTask]:
        """Tasks, page by page."""

    async def relays_due(self, now: datetime) -> list[RelayTask]:
        """Tasks that are not stopped, and end after `now` or whose end was not told yet."""

    async def count_relays(
        self, *, ending_after: datetime, account: str | None = None, group: str | None = None
    ) -> int:
        """How many are not stopped, and end after a time."""

    async def settle_relay(self, task: RelayTask) -> bool:
        """Its end was told; False where the task was changed meanwhile."""

    async def put_relay_progress(self, progress: RelayProgress) -> None:
        """Add or replace; nothing happens where the task is gone."""

    async def relay_progress(self, tasks: Collection[str]) -> dict[str, RelayProgress]:
        """How tasks stand, by their ids; one that never ran is left out."""

    async def put_relay_picture(self, name: str, data: bytes) -> None:
        """Keep a picture under the name of its content."""

    async def relay_picture(self, name: str) -> bytes | None:
        """The picture of that name."""


class NoticeRecords(Protocol):
    """Callbacks that wait, and what became of others."""

    async def put_notice(self, notice: Notice) -> Notice:
        """Have one delivered; returns it with its id, and the next number of its subject.

        Of what waits for the same subject the oldest is given up where it is too much.
        """

    async def update_notice(self, notice: Notice, delivery: Delivery | None = None) -> None:
        """Keep what became of it; nothing happens where it was swept meanwhile."""

    async def find_notice(self, id: int) -> Notice | None:
        """The callback of that id."""

    async def waiting_notices(self, now: datetime, *, per_account: int) -> list[Notice]:
        """For each subject the earliest callback that waits, if it is due; the oldest of these first.

        So many of each account, so that none stands in another one's way.
        """

    async def notices(self, query: NoticeQuery) -> Page[Notice]:
        """Callbacks, page by page."""

    async def deliveries(self, notices: Sequence[int]) -> list[Delivery]:
        """The tries of these callbacks, the latest last."""
