"""The relay tasks that run or will, in memory, with how each stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from penstock.link.relaying import RelayState
from penstock.storage.relay_rows import RelayProgress, RelayTask


class Limits(Struct, frozen=True):
    """How many there may be; settings of `[relay]`."""

    tasks: int = 1000  # that are neither stopped nor over
    account_tasks: int = 200  # the same of one account
    workers: int = 8  # that run at once


class Pace(Struct, frozen=True):
    """What goes on at this moment; not kept."""

    rate_kbps: float = 0.0  # that leaves
    fetched_bytes: int = 0  # of the file that is downloaded first
    fetch_size_bytes: int = 0


class RelayBoard:
    """What actions change and the loop in `running` brings about."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.tasks: dict[str, RelayTask] = {}
        self.progress: dict[str, RelayProgress] = {}
        self.paces: dict[str, Pace] = {}
        # Called when tasks changed: nobody should wait for the next round.
        self.wake: Callable[[], None] = lambda: None

    def load(self, tasks: Iterable[RelayTask], progress: Mapping[str, RelayProgress]) -> None:
        """Take over what the store has; what is known here of tasks that stay is newer than that."""
        self.tasks = {task.id: task for task in tasks}
        self.progress = {id: self.progress.get(id, progress.get(id)) or fresh(task) for id, task in self.tasks.items()}
        self.paces = {id: pace for id, pace in self.paces.items() if id in self.tasks}

    def put(self, task: RelayTask, progress: RelayProgress | None = None) -> None:
        """A task is new, or changed; `progress` counts where nothing is known here."""
        self.tasks[task.id] = task
        known = self.progress.get(task.id) or progress or fresh(task)
        self.progress[task.id] = known if known.generation == task.generation else renewed(known, task)
        self.wake()

    def remove(self, task: str) -> None:
        """A task was stopped, deleted, or is over."""
        if self.tasks.pop(task, None) is not None:
            self.wake()

    def forget(self, task: str) -> None:
        """Let go of how a task stands, once that is written down."""
        if task not in self.tasks:
            self.progress.pop(task, None)
            self.paces.pop(task, None)

    def states(self) -> dict[str, int]:
        """How many tasks are in which state of `RelayState`; for monitoring."""
        found = {str(state): 0 for state in RelayState}
        for id in self.tasks:
            if state := self.progress[id].state:
                found[state] += 1
        return found


def fresh(task: RelayTask) -> RelayProgress:
    return RelayProgress(task=task.id, generation=task.generation)


def renewed(progress: RelayProgress, task: RelayTask) -> RelayProgress:
    """What remains when a task begins anew: the totals of its life."""
    return RelayProgress(
        task=task.id,
        generation=task.generation,
        bytes_in=progress.bytes_in,
        bytes_out=progress.bytes_out,
        failures=progress.failures,
        error=progress.error,
        error_side=progress.error_side,
        error_at=progress.error_at,
    )
