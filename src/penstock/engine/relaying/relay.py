"""One relay: a source, a line of time, a target; and what is done when either is away.

The source's packets go into a stream of the relay's own, whose one player is the target: so batches, the cached
GOP, headers in force and skipping ahead are those of every other stream. Source and target come and go by
themselves:

==========  ==================================  ==========================================================
side        is away                             and then
==========  ==================================  ==========================================================
source      refused, broke off, silent 10 s     a failure; called again after the back-off
worker      its connection ended                no failure: it is waited for
target      refused, broke off, stuck 10 s      a failure; called again after the back-off, source goes on
target      no media for it for 10 s            told that it is over; called again when there is media
==========  ==================================  ==========================================================

A target is called only when there is media for it, and keeps its session while a source is away for a moment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from penstock.engine.outlet import Outlet
from penstock.engine.relaying.backoff import Backoff
from penstock.engine.relaying.intake import Intake
from penstock.engine.relaying.ports import Call, Caller
from penstock.engine.relaying.pushing import Progress, PushFormat
from penstock.engine.stream import FlushPolicy, Later, Stream, Timer
from penstock.link.relaying import RelayOrder, RelayState, RelayTold
from penstock.model import Clock, Kind, StreamId
from penstock.protocols.rtmp.chunk import Message

SOURCE: Final = "source"
TARGET: Final = "target"
# How far two sessions of a source stay apart on the line of time, at least: one frame at 25 a second.
SESSION_GAP_MS: Final = 40
# A side that went well for so long has its earlier failures forgotten.
GOOD_AFTER_S: Final = 10.0
# Media that left so long ago still counts as running: a batch is late, a segment of a source is.
RUNNING_S: Final = 3.0


class RelayPolicy(Struct, frozen=True):
    """Bounds of every relay; seconds."""

    flush: FlushPolicy
    idle_timeout_s: float = 10.0  # a source that sends no media for so long is given up
    stall_s: float = 10.0  # and a target that takes nothing
    keep_target_s: float = 10.0  # how long a target's session outlives its media
    buffer_bytes: int = 4 * 1024 * 1024  # what may wait for a target; above, it skips to a key frame


class RelayRooms(Struct, frozen=True):
    """What every relay is given."""

    caller: Caller
    clock: Clock
    later: Later
    random: Callable[[], float]
    policy: RelayPolicy


class _Side:
    """A call to one of the two ends, or the wait for the next one."""

    def __init__(self, name: str, rooms: RelayRooms) -> None:
        self.name = name
        self.call: Call | None = None
        self.is_open = False
        self.opened_s = 0.0
        self.next_try_at: datetime | None = None
        self.bytes_in_before = 0  # of the calls before this one
        self.bytes_out_before = 0
        self._rooms = rooms
        self._backoff = Backoff(rooms.random)
        self._timer: Timer | None = None

    @property
    def is_idle(self) -> bool:
        """Neither called nor waiting to be."""
        return self.call is None and self._timer is None

    @property
    def bytes_in(self) -> int:
        return self.bytes_in_before + (self.call.bytes_in if self.call is not None else 0)

    @property
    def bytes_out(self) -> int:
        return self.bytes_out_before + (self.call.bytes_out if self.call is not None else 0)

    def opened(self) -> None:
        self.is_open, self.opened_s = True, self._rooms.clock.monotonic()

    def forget_failures(self) -> None:
        if self.is_open and self._rooms.clock.monotonic() - self.opened_s >= GOOD_AFTER_S:
            self._backoff.forget()

    def let_go(self) -> Call | None:
        """Take the call off, its bytes counted; the caller closes it if it is open yet."""
        call, self.call, self.is_open = self.call, None, False
        if call is not None:
            self.bytes_in_before += call.bytes_in
            self.bytes_out_before += call.bytes_out
        return call

    def try_later(self, action: Callable[[], None]) -> None:
        wait_s = self._backoff.next_s()
        self.next_try_at = self._rooms.clock.now() + timedelta(seconds=wait_s)

        def due() -> None:
            self._timer, self.next_try_at = None, None
            action()

        self._timer = self._rooms.later(wait_s, due)

    def rest(self) -> None:
        """No next try."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self.next_try_at = None, None


class Relay:
    """See the module. `tell` is called with each change of what is worth an answer; numbers go along."""

    def __init__(self, order: RelayOrder, rooms: RelayRooms, tell: Callable[[RelayTold], None]) -> None:
        self.order = order
        self._rooms = rooms
        self._tell = tell
        self._stream = Stream(StreamId("relay", "relay", order.id), rooms.policy.flush, rooms.clock, rooms.later)
        self._source = _Side(SOURCE, rooms)
        self._target = _Side(TARGET, rooms)
        self._intake: Intake | None = None
        self._media_s = rooms.clock.monotonic()  # when media came last
        self._outlet: Outlet | None = None
        self._progress: Progress | None = None
        self._position_ms = 0
        self._left_s: float | None = None  # when media left last
        self._failures = 0
        self._error = ""
        self._error_side = ""
        self._has_begun = False  # media came once
        self._is_stopped = False
        self._told: RelayTold | None = None

    def start(self) -> None:
        if self.order.source:
            self._pull()
        self.tell_changes()

    def stop(self, *, quietly: bool = False) -> None:
        """End both sides, the target's by a word of its protocol, and tell so unless that is to be quiet."""
        self._is_stopped = True
        for side in (self._source, self._target):
            side.rest()
        source = self._source.let_go()
        if source is not None:
            source.close()
        self._stream.flush()
        self._look()
        self._end_target()
        if not quietly:
            self.tell_changes()

    # The source

    def bring(self, call: Call) -> WorkerOwner | None:
        """A worker is there with the relay's media; None where no worker is wanted. It replaces an older one."""
        if self.order.source or self._is_stopped:
            return None
        older = self._source.let_go()
        if older is not None:
            older.close()
        self._source.call = call
        self._source.opened()
        return WorkerOwner(self, call)

    def worker_lost(self, call: Call) -> None:
        if self._source.call is call:
            self._source.let_go()
            self._intake = None

    def _pull(self) -> None:
        self._source.call = self._rooms.caller.pull(
            self.order.source, _SourceEars(self), is_own=self.order.source_is_own
        )
        self.tell_changes()

    def source_opened(self) -> None:
        self._source.opened()
        self._intake = None

    def source_media(self, messages: Sequence[Message]) -> None:
        now_s = self._rooms.clock.monotonic()
        intake = self._intake
        if intake is None:
            intake = self._intake = self._begin(now_s)
        for message in messages:
            if message.type_id != Kind.DATA:
                self._media_s = now_s
            packet = intake.packet(message)
            if packet is not None:
                self._stream.add(packet)
        if self._target.is_idle:
            self._push()
        self._stream.settle()

    def _begin(self, now_s: float) -> Intake:
        """A new session of the source: the line of time goes on, as the clocks of whoever watches did."""
        start_ms = 0
        if self._has_begun:
            start_ms = self._stream.end_ms + max(SESSION_GAP_MS, int((now_s - self._media_s) * 1000))
        self._has_begun = True
        self._stream.begin()
        return Intake(start_ms)

    def source_lost(self, why: str) -> None:
        self._source.let_go()
        self._intake = None
        self._stream.flush()
        self._fail(self._source, why, self._pull)

    # The target

    def _push(self) -> None:
        self._target.call = self._rooms.caller.push(
            self.order.target, _TargetEars(self), is_own=self.order.target_is_own
        )
        self.tell_changes()

    def target_opened(self, outlet: Outlet, stream_id: int) -> None:
        self._target.opened()
        outlet.limit_bytes = self._rooms.policy.buffer_bytes
        # What came so far is in the GOP cache, and goes out with the opening.
        self._stream.flush()
        progress = Progress(self._stream, outlet)
        try:
            self._stream.attach(outlet, PushFormat(stream_id))
        except OSError as error:
            call = self._target.let_go()
            if call is not None:
                call.close()
            self._fail(self._target, f"connection lost: {error.strerror or error}", self._push_again)
            return
        self._outlet, self._progress = outlet, progress
        self._stream.follow(progress)

    def target_lost(self, why: str) -> None:
        self._detach()
        self._target.let_go()
        self._fail(self._target, why, self._push_again)

    def _push_again(self) -> None:
        if self._has_media(self._rooms.clock.monotonic()):
            self._push()

    def _end_target(self) -> None:
        self._detach()
        call = self._target.let_go()
        if call is not None:
            call.finish()

    def _detach(self) -> None:
        outlet, progress, self._outlet, self._progress = self._outlet, self._progress, None, None
        if outlet is not None and progress is not None:
            self._stream.unfollow(progress)
            self._stream.detach(outlet)

    # The passing of time

    def tick(self) -> None:
        """End what is overdue, and tell what changed; to be called several times a second."""
        now_s = self._rooms.clock.monotonic()
        policy = self._rooms.policy
        silent_s = now_s - max(self._media_s, self._source.opened_s)
        if self.order.source and self._source.is_open and silent_s >= policy.idle_timeout_s:
            self._give_up(self._source, f"it sent no media for {policy.idle_timeout_s:g} s", self._pull)
        if self._outlet is not None and self._outlet.stalled(now_s, policy.stall_s):
            self._detach()
            self._give_up(self._target, f"it took too little for {policy.stall_s:g} s", self._push_again)
        if not self._has_media(now_s):
            self._target.rest()
            self._end_target()
        self._source.forget_failures()
        if self._left_s is not None and now_s - self._left_s < RUNNING_S:
            self._target.forget_failures()
        self.tell_changes()

    def _has_media(self, now_s: float) -> bool:
        return self._has_begun and now_s - self._media_s < self._rooms.policy.keep_target_s

    def _give_up(self, side: _Side, why: str, again: Callable[[], None]) -> None:
        call = side.let_go()
        if call is not None:
            call.close()
        self._intake = None if side is self._source else self._intake
        self._fail(side, why, again)

    def _fail(self, side: _Side, why: str, again: Callable[[], None]) -> None:
        if self._is_stopped:
            return  # its last batch found nobody there: that is no reason to call again
        self._failures += 1
        self._error, self._error_side = why, side.name
        side.try_later(again)
        self.tell_changes()

    # Telling

    def _look(self) -> None:
        if self._progress is not None and self._progress.look():
            assert self._progress.position_ms is not None
            self._position_ms = max(self._position_ms, self._progress.position_ms)
            self._left_s = self._rooms.clock.monotonic()

    def _state(self) -> RelayState:
        if self._is_stopped:
            return RelayState.STOPPED
        if self._left_s is not None and self._rooms.clock.monotonic() - self._left_s < RUNNING_S:
            return RelayState.RUNNING
        has_source = self._source.call is not None
        if has_source and self._target.next_try_at is None and (not self._source.is_open or not self._is_silent()):
            return RelayState.CONNECTING
        return RelayState.WAITING

    def _is_silent(self) -> bool:
        """No media came for so long that none is left to go out."""
        return self._has_begun and self._rooms.clock.monotonic() - self._media_s >= RUNNING_S

    def status(self) -> RelayTold:
        self._look()
        tries = [side.next_try_at for side in (self._source, self._target) if side.next_try_at is not None]
        return RelayTold(
            self.order.id,
            self._state(),
            bytes_in=self._source.bytes_in,
            bytes_out=self._target.bytes_out,
            position_ms=self._position_ms,
            failures=self._failures,
            error=self._error,
            error_side=self._error_side,
            next_try_at=min(tries, default=None),
        )

    def tell_changes(self) -> None:
        """Tell how it stands if that is another thing than was told last, numbers aside."""
        status, told = self.status(), self._told
        if told is None or _without_numbers(status) != _without_numbers(told):
            self._told = status
            self._tell(status)

    def tell_numbers(self) -> None:
        """Tell if anything is another than was told last."""
        status = self.status()
        if status != self._told:
            self._told = status
            self._tell(status)


def _without_numbers(told: RelayTold) -> tuple[object, ...]:
    return told.state, told.failures, told.error, told.error_side, told.next_try_at


class _SourceEars:
    """Hears of one call to the source."""

    def __init__(self, relay: Relay) -> None:
        self.opened = relay.source_opened
        self.media = relay.source_media
        self.lost = relay.source_lost


class _TargetEars:
    """Hears of one call to the target."""

    def __init__(self, relay: Relay) -> None:
        self.opened = relay.target_opened
        self.lost = relay.target_lost


class WorkerOwner:
    """Hears of a worker's connection (engine.relaying.ports.SourceOwner)."""

    def __init__(self, relay: Relay, call: Call) -> None:
        self._relay, self._call = relay, call
        relay.source_opened()

    def opened(self) -> None:
        """It is open from its beginning."""

    def media(self, messages: Sequence[Message]) -> None:
        self._relay.source_media(messages)

    def lost(self, why: str) -> None:
        self._relay.worker_lost(self._call)
