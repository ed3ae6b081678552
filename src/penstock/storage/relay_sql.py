"""Relays and callbacks on SQL; see `sql`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from penstock.storage.queries import notices, relays
from penstock.storage.relay_base import NoticeRecords, RelayRecords
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

P = ParamSpec("P")
T = TypeVar("T")

Query = Callable[Concatenate[Connection, P], T]


class SqlRelayRecords(RelayRecords, NoticeRecords):
    """Every call of these; `_read` and `_write` say where it is done."""

    @abstractmethod
    async def _read(self, query: Query[P, T], *args: P.args, **kwargs: P.kwargs) -> T: ...

    @abstractmethod
    async def _write(self, query: Query[P, T], *args: P.args, **kwargs: P.kwargs) -> T: ...

    async def put_relay_group(self, group: RelayGroup) -> None:
        await self._write(relays.put_group, group)

    async def find_relay_group(self, account: str, name: str) -> RelayGroup | None:
        return await self._read(relays.find_group, account, name)

    async def relay_groups(self, query: GroupQuery) -> Page[RelayGroup]:
        return await self._read(relays.list_groups, query)

    async def put_relay(self, task: RelayTask) -> None:
        await self._write(relays.put_task, task)

    async def remove_relay(self, task: str) -> None:
        await self._write(relays.remove_task, task)

    async def find_relay(self, task: str) -> RelayTask | None:
        return await self._read(relays.find_task, task)

    async def relays(self, query: RelayQuery) -> Page[RelayTask]:
        return await self._read(relays.list_tasks, query)

    async def relays_due(self, now: datetime) -> list[RelayTask]:
        return await self._read(relays.due_tasks, now)

    async def count_relays(
        self, *, ending_after: datetime, account: str | None = None, group: str | None = None
    ) -> int:
        return await self._read(relays.count_tasks, ending_after=ending_after, account=account, group=group)

    async def settle_relay(self, task: RelayTask) -> bool:
        return await self._write(relays.settle_task, task)

    async def put_relay_progress(self, progress: RelayProgress) -> None:
        await self._write(relays.put_progress, progress)

    async def relay_progress(self, tasks: Collection[str]) -> dict[str, RelayProgress]:
        return await self._read(relays.find_progress, tasks)

    async def put_relay_picture(self, name: str, data: bytes) -> None:
        await self._write(relays.put_picture, name, data)

    async def relay_picture(self, name: str) -> bytes | None:
        return await self._read(relays.find_picture, name)

    async def put_notice(self, notice: Notice) -> Notice:
        return await self._write(notices.put_notice, notice)

    async def update_notice(self, notice: Notice, delivery: Delivery | None = None) -> None:
        await self._write(notices.update_notice, notice, delivery)

    async def find_notice(self, id: int) -> Notice | None:
        return await self._read(notices.find_notice, id)

    async def waiting_notices(self, now: datetime, *, per_account: int) -> list[Notice]:
        return await self._read(notices.waiting_notices, now, per_account=per_account)

    async def notices(self, query: NoticeQuery) -> Page[Notice]:
        return await self._read(notices.list_notices, query)

    async def deliveries(self, notice_ids: Sequence[int]) -> list[Delivery]:
        return await self._read(notices.list_deliveries, notice_ids)
