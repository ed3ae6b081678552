"""Sees that relay tasks run as they are wanted: what `board` has, the engine and workers do.

One round looks at every task: inside its window it has a `Run`, outside none. An engine gets its order, and a
worker its job, when they are due; what they tell becomes the task's progress, which is written down every
few seconds. So a server that was killed goes on within seconds of where it was. Windows go by the domain's
clock, pauses between tries by the real one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, Protocol

from msgspec.structs import replace

from penstock.domain.live import Live
from penstock.domain.relays.board import Pace
from penstock.domain.relays.crew import Crew, Workers
from penstock.domain.relays.notices import Event, notice_of
from penstock.domain.relays.orders import Workshop, job_of, order_of
from penstock.domain.relays.places import loops_of, resumed
from penstock.domain.relays.run import DRAIN_S, SOUND_S, UNKNOWN, Run
from penstock.domain.relays.states import ENDED, IN_EFFECT, state_of
from penstock.domain.relays.tasks import describe, host_of, pushed
from penstock.link.relaying import Position, RelayJob, RelayOrder, RelayState, RelayTold, WorkerTold
from penstock.storage.base import Records
from penstock.storage.relay_rows import Notice, RelayProgress, RelayTask

log = logging.getLogger("penstock.relays")

ROUND_S: Final = 0.5  # to be called about so often
NOTE_S: Final = 2.0  # what a killed server may repeat of its files
SERVER, SOURCE, TARGET = "server", "source", "target"
# A worker's complaint of its way into the engine; all others are of what it fetches.
OF_THE_DOOR: Final = "the engine's relay door"


class RelayEngine(Protocol):
    """What of the media plane is used here; without an engine nothing happens."""

    def start_relay(self, order: RelayOrder) -> None: ...

    def stop_relay(self, id: str) -> None: ...


class Relays:
    """The loop. `step` is a round; what engine and workers tell comes between."""

    def __init__(
        self, live: Live, engine: RelayEngine, workers: Workers, workshop: Workshop, random: Callable[[], float]
    ) -> None:
        self.live = live
        self.board = live.relays
        self._engine = engine
        self._crew = Crew(workers, self.step)
        self._workshop = workshop
        self._random = random
        self._runs: dict[str, Run] = {}
        self._is_connected = False
        self._changed: set[str] = set()  # tasks whose progress is not written down
        self._noted_s = live.clock.monotonic()
        self._seen_at = live.clock.now()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    # Rounds

    async def load(self) -> None:
        """Know again what was known: at the start, and when the clock was turned back."""
        due = await self.live.store.relays_due(self.live.clock.now())
        self.board.load(due, await self.live.store.relay_progress([task.id for task in due]))
        self.board.wake = self.step

    def step(self) -> None:
        """Do what is due."""
        if self._is_closed:
            return
        now = self.live.clock.now()
        if now < self._seen_at:
            self._work(self._load_again())  # tasks that were over are not, any more
        self._seen_at = now
        for task in list(self.board.tasks.values()):
            try:
                self._look_at(task, now)
            except Exception:
                log.exception("a fault of our own in relay %s", task.id)  # which keeps no other from running
        for id in [id for id in self._runs if id not in self.board.tasks]:
            self._end(self._runs[id])
        if self.live.clock.monotonic() - self._noted_s >= NOTE_S:
            self.note()

    async def _load_again(self) -> None:
        await self.live.journal.written()
        await self.load()
        self.step()

    def _look_at(self, task: RelayTask, now: datetime) -> None:
        state, run = state_of(task, now), self._runs.get(task.id)
        if run is not None and (state is not IN_EFFECT or pushed(run.task) != pushed(task)):
            self._end(run)
            run = None
        if state is ENDED:
            self._settle(task, now)
        if state is not IN_EFFECT or self.board.progress[task.id].is_finished:
            return
        if run is None:
            run = self._runs[task.id] = Run(task, order_of(self.live, task))
            # An engine may be at it already, if control was started again; a worker cannot.
            is_flowing = self.board.progress[task.id].is_flowing and not run.needs_worker
            self._progress(task.id, state=str(RelayState.WAITING), is_flowing=is_flowing, next_try_at=None)
            log.info("%s begins", describe(task, now))
        run.task = task
        self._drive(run)

    def _drive(self, run: Run) -> None:
        now_s = self.live.clock.monotonic()
        if run.drains_until_s is not None and now_s >= run.drains_until_s:
            self._finish(run)
            return
        if not self._is_connected or self._crew.is_leaving(run.task.id):
            return
        if not run.is_ordered and now_s >= run.order_due_s:
            run.is_ordered = True
            self._engine.start_relay(run.order)
        wants_worker = run.needs_worker and not self._crew.has(run.task.id) and run.drains_until_s is None
        if wants_worker and now_s >= run.worker_due_s:
            self._hire(run, now_s)

    def note(self) -> None:
        """Have written down how tasks stand."""
        self._noted_s = self.live.clock.monotonic()
        changed = [self.board.progress[id] for id in self._changed if id in self.board.progress]
        self._changed.clear()
        if changed:
            self.live.journal.put(partial(_write, changed, None))

    # Workers

    def _hire(self, run: Run, now_s: float) -> None:
        most = self.board.limits.workers
        if len(self._crew) >= most:
            if not run.is_late:
                run.is_late = True
                self._fail(run, SERVER, f"all {most} workers are at work (relay.max_workers); it waits for one")
            return
        progress, now = self.board.progress[run.task.id], self.live.clock.now()
        start = resumed(run.task, progress, now) if run.task.kind == "files" else Position()
        loops = loops_of(run.task) if run.task.kind == "files" else None
        if loops is not None and start.loop >= loops:
            self._finish(run)
            return
        run.is_late, run.worker_since_s = False, now_s
        run.worker_told, run.worker_error = None, ""
        told, left = partial(self._worker_told, run), partial(self._worker_left, run)
        self._crew.hire(run.task.id, partial(self._job, run.task, start), told, left)

    async def _job(self, task: RelayTask, start: Position) -> RelayJob:
        mark = task.watermark
        picture = await self.live.store.relay_picture(mark.picture) if mark is not None else None
        return job_of(task, self._workshop, start, picture)

    def _worker_told(self, run: Run, told: WorkerTold) -> None:
        before, run.worker_told = run.worker_told, told
        id, place, now_s = run.task.id, told.position, self.live.clock.monotonic()
        progress = self.board.progress[id]
        more = told.bytes_in - (before.bytes_in if before is not None else 0)
        self.live.tallies.relayed_in += max(0, more)
        self._progress(id, bytes_in=progress.bytes_in + max(0, more))
        if progress.is_flowing:  # else nobody has seen what comes from there
            now = self.live.clock.now()
            self._progress(id, loop=place.loop, clip=place.clip, offset_s=place.offset_s, noted_at=now)
        pace = self.board.paces.get(id, Pace())
        self.board.paces[id] = replace(pace, fetched_bytes=told.fetched_bytes, fetch_size_bytes=told.fetch_size_bytes)
        if told.error and told.error != run.worker_error:
            self._fail(run, SERVER if told.error.startswith(OF_THE_DOOR) else SOURCE, told.error)
        run.worker_error = told.error
        if now_s - run.worker_since_s >= SOUND_S and not told.error:
            run.recover()

    def _worker_left(self, run: Run, why: str) -> None:
        self._forget_download(run.task.id)
        now_s = self.live.clock.monotonic()
        if not why and run.worker_told is not None and run.worker_told.is_finished and run.task.kind == "files":
            # What it handed over last is still on its way; the engine tells when it is through.
            run.drains_until_s = now_s + DRAIN_S
            return
        run.worker_due_s = now_s + run.pause_s(self._random())
        if why and why == run.worker_error:
            self._wait(run, run.worker_due_s)  # it said so before it went
        elif not why:
            self._fail(run, SOURCE, "the source came to its end", until_s=run.worker_due_s)
        else:
            self._fail(run, SERVER, why, until_s=run.worker_due_s)
        self.step()

    def _dismiss(self, id: str) -> None:
        self._forget_download(id)
        self._crew.dismiss(id)

    def _forget_download(self, id: str) -> None:
        """Nobody downloads any more."""
        if (pace := self.board.paces.get(id)) is not None:
            self.board.paces[id] = replace(pace, fetched_bytes=0, fetch_size_bytes=0)

    # The engine

    def greeted(self, known: tuple[str, ...]) -> None:
        """An engine is connected, and works on the relays of these ids."""
        self.step()  # what should run has a run, before anything is taken for a stray
        self._is_connected = True
        for id in known:
            if id not in self._runs:
                self._engine.stop_relay(id)
        for id, run in self._runs.items():
            run.is_ordered, run.order_due_s = False, 0.0
            # What an engine counted before, another control process was told of.
            run.failures = UNKNOWN if id in known else 0
            if id not in known:
                self._progress(id, told_in=0, told_out=0)
        self.step()

    def lost(self) -> None:
        """The engine is gone, or its link: nothing is pushed that we know of."""
        if not self._is_connected:
            return
        self._is_connected = False
        for run in self._runs.values():
            run.is_ordered = False
            self._fail(run, SERVER, "the engine was lost")
            self._dismiss(run.task.id)

    def told(self, told: RelayTold) -> None:
        """What the engine says of one relay."""
        run = self._runs.get(told.id)
        if told.state is RelayState.STOPPED:
            return  # the last word of an order that is not ours any more
        if run is None:
            self._engine.stop_relay(told.id)
            return
        if not run.is_ordered:
            return
        self._count(run, told)
        next_try_at = self.live.clock.at(told.next_try_at) if told.next_try_at is not None else None
        self._progress(told.id, state=str(told.state), position_ms=told.position_ms, next_try_at=next_try_at)
        if run.failures == UNKNOWN:
            run.failures = told.failures
        if told.failures > run.failures:
            self._fail(run, told.error_side or SOURCE, told.error, next_try_at=next_try_at)
            if told.error_side == TARGET and run.task.kind == "files":
                self._break(run, told.next_try_at)
        run.failures = told.failures
        if told.state is RelayState.RUNNING:
            self._flow(run)
        elif told.state is RelayState.FINISHED:
            self._ran_out(run)
        elif told.state is RelayState.WAITING and run.drains_until_s is not None:
            self._finish(run)

    def _count(self, run: Run, told: RelayTold) -> None:
        id, now_s = run.task.id, self.live.clock.monotonic()
        progress = self.board.progress[id]
        # A number that became smaller counts anew: since another order, or in another engine.
        more_in = told.bytes_in - progress.told_in if told.bytes_in >= progress.told_in else told.bytes_in
        more_out = told.bytes_out - progress.told_out if told.bytes_out >= progress.told_out else told.bytes_out
        if run.heard_s is not None and now_s > run.heard_s:
            pace = self.board.paces.get(id, Pace())
            self.board.paces[id] = replace(pace, rate_kbps=more_out * 8 / 1000 / (now_s - run.heard_s))
        if run.heard_s is None or now_s > run.heard_s:
            run.heard_s = now_s
        # What a worker fetched is what it says itself.
        more_in = 0 if run.needs_worker else more_in
        self.live.tallies.relayed_in += more_in
        self.live.tallies.relayed_out += more_out
        self._progress(
            id,
            bytes_in=progress.bytes_in + more_in,
            bytes_out=progress.bytes_out + more_out,
            told_in=told.bytes_in,
            told_out=told.bytes_out,
        )

    def _flow(self, run: Run) -> None:
        if self.board.progress[run.task.id].is_flowing:
            return
        run.forget_error()
        if not run.needs_worker:
            run.recover()
        log.info("relay %s: media reaches its target", run.task.id)
        self._progress(run.task.id, is_flowing=True)
        self._tell(run.task, Event.START)

    def _ran_out(self, run: Run) -> None:
        """What the engine had came to its end by itself."""
        if run.drains_until_s is not None or (run.worker_told is not None and run.worker_told.is_finished):
            self._finish(run)
            return
        # It was only a piece: of a live source, which has no end while its task is in effect, or of what a
        # worker brought that is gone. Another order makes room for the next piece.
        self._engine.stop_relay(run.task.id)
        self._progress(run.task.id, told_in=0, told_out=0, is_flowing=False)
        run.is_ordered, run.order_due_s = False, 0.0
        if not run.needs_worker:
            run.order_due_s = self.live.clock.monotonic() + run.pause_s(self._random())
            self._fail(run, SOURCE, "the source came to its end", until_s=run.order_due_s)

    def _break(self, run: Run, next_try_at: datetime | None) -> None:
        """Files wait for their target: they go on when it is tried again, where their task's rule says."""
        if run.drains_until_s is not None:
            return
        self._dismiss(run.task.id)
        wait_s = run.pause_s(self._random())
        if next_try_at is not None:
            # What is played while nobody takes it is lost. The engine calls once there is something for it.
            wait_s = max(0.0, (next_try_at - self.live.clock.real_now()).total_seconds())
        run.worker_due_s = self.live.clock.monotonic() + wait_s

    # What becomes of a task

    def _fail(
        self, run: Run, side: str, error: str, *, until_s: float | None = None, next_try_at: datetime | None = None
    ) -> None:
        id, now = run.task.id, self.live.clock.now()
        progress = self.board.progress[id]
        self.live.tallies.relay_failures.add(side)
        self._progress(
            id,
            is_flowing=False,
            failures=progress.failures + 1,
            error=error,
            error_side=side,
            error_at=now,
            next_try_at=next_try_at,
        )
        if until_s is not None or side == SERVER:
            self._wait(run, until_s)
        if run.tells_error(error, self.live.clock.monotonic()):
            log.warning("relay %s: %s: %s", id, side, error)
            self._tell(run.task, Event.ERROR, clip=progress.clip, side=side, error=error)

    def _wait(self, run: Run, until_s: float | None) -> None:
        at = None
        if until_s is not None:
            at = self.live.clock.now() + timedelta(seconds=until_s - self.live.clock.monotonic())
        self._progress(run.task.id, state=str(RelayState.WAITING), is_flowing=False, next_try_at=at)

    def _finish(self, run: Run) -> None:
        """Every file was played as often as it was to be: nothing is left to push, though the window goes on."""
        log.info("relay %s: every file was played", run.task.id)
        self._end(run)
        self._progress(run.task.id, is_finished=True, state=str(RelayState.FINISHED))
        self._tell(run.task, Event.END)

    def _settle(self, task: RelayTask, now: datetime) -> None:
        """Its time is over: tell that, once."""
        log.info("%s", describe(task, now))
        progress = self.board.progress[task.id]
        was_told = progress.is_finished
        notice = None if was_told else notice_of(task, Event.END, ENDED, now, vhost=self._vhost(task))
        del self.board.tasks[task.id]
        self._changed.discard(task.id)
        written = self.live.journal.put(partial(_write_end, task, progress, notice))
        written.add_done_callback(lambda _: self.board.forget(task.id))

    def _end(self, run: Run) -> None:
        """What it pushes stops; where it was is written down."""
        id = run.task.id
        self._dismiss(id)
        del self._runs[id]
        if run.is_ordered and self._is_connected:
            self._engine.stop_relay(id)
        self._progress(id, state=str(RelayState.STOPPED), is_flowing=False, next_try_at=None, told_in=0, told_out=0)
        self.board.paces.pop(id, None)
        if (progress := self.board.progress.get(id)) is not None:
            self._changed.discard(id)
            written = self.live.journal.put(partial(_write, [progress], None))
            written.add_done_callback(lambda _: self.board.forget(id))

    def _tell(self, task: RelayTask, event: Event, *, clip: int = 0, side: str = "", error: str = "") -> None:
        """Write down how the task stands and the callback that tells of it, in one."""
        now = self.live.clock.now()
        notice = notice_of(
            task, event, state_of(task, now), now, clip=clip, side=side, error=error, vhost=self._vhost(task)
        )
        self._changed.discard(task.id)
        self.live.journal.put(partial(_write, [self.board.progress[task.id]], notice))

    def _vhost(self, task: RelayTask) -> str:
        found = self.live.registry.vhost_at(host_of(task.target))
        return found.name if found is not None else ""

    def _progress(self, id: str, **changes: Any) -> None:
        progress = self.board.progress.get(id)
        if progress is not None:
            self.board.progress[id] = replace(progress, **changes)
            self._changed.add(id)

    # Tasks of the loop's own

    def _work(self, action: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(action)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a fault of our own", exc_info=error)

    async def close(self) -> None:
        """End all workers, and write down where they were; what the engine does by itself goes on."""
        self._is_closed = True
        self.board.wake = lambda: None
        await self._crew.close()
        for task in self._tasks:
            task.cancel()
        self.note()


async def _write(progress: list[RelayProgress], notice: Notice | None, store: Records) -> None:
    for each in progress:
        await store.put_relay_progress(each)
    if notice is not None:
        await store.put_notice(notice)


async def _write_end(task: RelayTask, progress: RelayProgress, notice: Notice | None, store: Records) -> None:
    await store.put_relay_progress(progress)
    # Where it was changed meanwhile its end is another one.
    if await store.settle_relay(task) and notice is not None:
        await store.put_notice(notice)
