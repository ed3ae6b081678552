"""`Volcengine` and `AsyncVolcengine`: Volcengine Live, or a Penstock server.

The operations are generated (`volcengine_operations`); here is what no contract says: whose keys, and the
waiters. These list what they wait for, which Volcengine allows at least ten times a second and account.
"""

from __future__ import annotations

from typing import ClassVar, Final

from penstock.clouds.contract import Wire
from penstock.clouds.volcengine import wire
from penstock.clouds.volcengine.relays import IN_EFFECT, ListPullToPushTask, ListPullToPushTaskResult, Task, TaskStatus
from penstock.clouds.volcengine.streams import DescribeLiveStreamInfoByPage, LiveStream
from penstock.errors import LimitExceeded, TransportError
from penstock.sdk.credentials import VOLCENGINE, Vendor
from penstock.sdk.paging import AsyncPages, Pages
from penstock.sdk.volcengine_operations import AsyncVolcengineOperations, VolcengineOperations
from penstock.sdk.waiting import Wait

POLL_S: Final = 2.0
# Tasks are found by their id in a list that has no such filter.
MOST_TASKS: Final = 500


class Volcengine(VolcengineOperations):
    """Volcengine Live, or a Penstock server that speaks it."""

    _wire: ClassVar[Wire] = wire
    _vendor: ClassVar[Vendor] = VOLCENGINE

    def wait_live(
        self,
        *,
        app: str,
        stream: str,
        vhost: str = "",
        domain: str = "",
        timeout_s: float = 60.0,
        poll_s: float = POLL_S,
    ) -> LiveStream:
        """Return what is known of a stream as soon as it is on air.

        Raises:
            WaitTimeout: it was not within `timeout_s`.
        """
        wait = Wait(self._clock, f"{app}/{stream} was not live", timeout_s, poll_s)
        look = _look_for(vhost, domain, app, stream)
        while not (found := self._look(look, wait)):
            self._sleep(wait.pause())
        return found[0]

    def wait_silent(
        self,
        *,
        app: str,
        stream: str,
        vhost: str = "",
        domain: str = "",
        timeout_s: float = 60.0,
        poll_s: float = POLL_S,
    ) -> None:
        """Return as soon as nobody publishes a stream.

        Raises:
            WaitTimeout: somebody still did after `timeout_s`.
        """
        wait = Wait(self._clock, f"{app}/{stream} was not silent", timeout_s, poll_s)
        look = _look_for(vhost, domain, app, stream)
        while self._look(look, wait) != []:
            self._sleep(wait.pause())

    def wait_task(
        self,
        *,
        task_id: str,
        status: TaskStatus = IN_EFFECT,
        group_name: str = "",
        timeout_s: float = 60.0,
        poll_s: float = POLL_S,
    ) -> Task:
        """Return a relay task as soon as it has that status.

        Raises:
            WaitTimeout: it had not within `timeout_s`, or there is no such task.
        """
        wait = Wait(self._clock, f"task {task_id} was not {status}", timeout_s, poll_s)
        while (task := self._find(task_id, group_name, wait)) is None or task.status != status:
            self._sleep(wait.pause())
        return task

    def _look(self, look: DescribeLiveStreamInfoByPage, wait: Wait) -> list[LiveStream] | None:
        """The streams on air; None where the cloud did not say."""
        try:
            return self.call(look, **wait.options(self._patience.timeout_s)).stream_info_list
        except LimitExceeded:
            return None
        except TransportError as error:
            wait.unanswered(error)
            raise

    def _find(self, task_id: str, group_name: str, wait: Wait) -> Task | None:
        look = ListPullToPushTask.make(group_name=group_name, size=MOST_TASKS)
        pages: Pages[Task, ListPullToPushTaskResult] = Pages(self, look, wait.options(self._patience.timeout_s))
        try:
            return next((task for task in pages if task.task_id == task_id), None)
        except LimitExceeded:
            return None
        except TransportError as error:
            wait.unanswered(error)
            raise


class AsyncVolcengine(AsyncVolcengineOperations):
    """Volcengine Live, or a Penstock server that speaks it; for asyncio."""

    _wire: ClassVar[Wire] = wire
    _vendor: ClassVar[Vendor] = VOLCENGINE

    async def wait_live(
        self,
        *,
        app: str,
        stream: str,
        vhost: str = "",
        domain: str = "",
        timeout_s: float = 60.0,
        poll_s: float = POLL_S,
    ) -> LiveStream:
        """Return what is known of a stream as soon as it is on air.

        Raises:
            WaitTimeout: it was not within `timeout_s`.
        """
        wait = Wait(self._clock, f"{app}/{stream} was not live", timeout_s, poll_s)
        look = _look_for(vhost, domain, app, stream)
        while not (found := await self._look(look, wait)):
            await self._sleep(wait.pause())
        return found[0]

    async def wait_silent(
        self,
        *,
        app: str,
        stream: str,
        vhost: str = "",
        domain: str = "",
        timeout_s: float = 60.0,
        poll_s: float = POLL_S,
    ) -> None:
        """Return as soon as nobody publishes a stream.

        Raises:
            WaitTimeout: somebody still did after `timeout_s`.
        """
        wait = Wait(self._clock, f"{app}/{stream} was not silent", timeout_s, poll_s)
        look = _look_for(vhost, domain, app, stream)
        while await self._look(look, wait) != []:
            await self._sleep(wait.pause())

    async def wait_task(
        self,
        *,
        task_id: str,
        status: TaskStatus = IN_EFFECT,
        group_name: str = "",
        timeout_s: float = 60.0,
        poll_s: float = POLL_S,
    ) -> Task:
        """Return a relay task as soon as it has that status.

        Raises:
            WaitTimeout: it had not within `timeout_s`, or there is no such task.
        """
        wait = Wait(self._clock, f"task {task_id} was not {status}", timeout_s, poll_s)
        while (task := await self._find(task_id, group_name, wait)) is None or task.status != status:
            await self._sleep(wait.pause())
        return task

    async def _look(self, look: DescribeLiveStreamInfoByPage, wait: Wait) -> list[LiveStream] | None:
        """The streams on air; None where the cloud did not say."""
        try:
            return (await self.call(look, **wait.options(self._patience.timeout_s))).stream_info_list
        except LimitExceeded:
            return None
        except TransportError as error:
            wait.unanswered(error)
            raise

    async def _find(self, task_id: str, group_name: str, wait: Wait) -> Task | None:
        look = ListPullToPushTask.make(group_name=group_name, size=MOST_TASKS)
        pages: AsyncPages[Task, ListPullToPushTaskResult] = AsyncPages(
            self, look, wait.options(self._patience.timeout_s)
        )
        try:
            async for task in pages:
                if task.task_id == task_id:
                    return task
        except LimitExceeded:
            pass
        except TransportError as error:
            wait.unanswered(error)
            raise
        return None


def _look_for(vhost: str, domain: str, app: str, stream: str) -> DescribeLiveStreamInfoByPage:
    return DescribeLiveStreamInfoByPage.make(
        page_num=1, page_size=1, vhost=vhost, domain=domain, app=app, stream=stream, stream_type="origin"
    )
