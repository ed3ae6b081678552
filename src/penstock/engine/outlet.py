"""One connection's way out: bytes go to a non-blocking send, and what it did not take waits in order.

Most outlets are empty most of the time, so that sending is one call and keeps nothing. Only a peer
slower than its stream has a queue, which holds references to the buffers that everybody shares.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

Buffer = bytes | bytearray | memoryview


class Owner(Protocol):
    """The connection behind an outlet."""

    def want_write(self, wanted: bool) -> None:
        """Have `Outlet.on_writable` called (or no longer) when the socket takes bytes again."""

    def lost(self, why: str) -> None:
        """The peer is gone or given up. Called at most once, and never from inside `send`."""

    def end(self, why: str, *, at_once: bool) -> None:
        """The stream is over: say so in the protocol's way and close, now or once all is sent."""


class Outlet:
    """Sends to one peer. `send` takes bytes and returns how many the kernel took.

    `send` raises BlockingIOError when it takes none, and another OSError when the peer is gone.
    """

    __slots__ = (
        "counted_bytes",
        "limit_bytes",
        "owner",
        "progress_at",
        "queue",
        "queued_bytes",
        "send",
        "sent_bytes",
        "skipped_at",
    )

    def __init__(self, send: Callable[[Buffer], int], owner: Owner, limit_bytes: int) -> None:
        self.send = send
        self.owner = owner
        self.limit_bytes = limit_bytes  # what may wait here
        self.sent_bytes = 0  # all that the kernel took, ever
        self.counted_bytes = 0  # what of it usage has counted
        self.queue: deque[Buffer] | None = None  # None: all was taken, and the next batch may simply be sent
        self.queued_bytes = 0
        self.progress_at = 0.0  # when a blocked peer last took a byte; 0 when not blocked
        self.skipped_at = 0.0  # when media was left out; 0 once a key frame came through

    def write(self, buffer: Buffer) -> None:
        """Send `buffer` whole, however long it is, now or as soon as the peer takes it.

        Raises:
            OSError: the peer is gone, or it has left more than `limit_bytes` unread.
        """
        if self.queued_bytes > self.limit_bytes:
            raise OSError(f"it left {self.queued_bytes} bytes unread")
        if self.queue is not None:
            self._append(buffer)
            return
        try:
            taken = self.send(buffer)
        except BlockingIOError:
            taken = 0
        self.sent_bytes += taken
        if taken != len(buffer):
            self.hold(buffer, taken)

    def start(self, opening: Buffer, batches: Iterable[Buffer] = ()) -> None:
        """Begin a play, or begin it anew, with what a player must have first, and the batches that came since.

        Raises:
            OSError: as for `write`.
        """
        self.skipped_at = 0.0
        if opening:
            self.write(opening)
        for batch in batches:
            # However long the opening is, these are part of it, and wait as references to what all share.
            if self.queue is None:
                self.write(batch)
            else:
                self._append(batch)

    def hold(self, buffer: Buffer, taken: int) -> None:
        """Keep what the peer did not take of `buffer`, and wait for it."""
        self.queue = deque()
        self._append(memoryview(buffer)[taken:])

    def offer(self, batch: Buffer, setup: Buffer | None, now: float) -> None:
        """Queue one batch of media behind what waits, or skip ahead.

        Over the limit all that waits is given up, but for the buffer on its way, which must end
        where a tag ends. Media goes on with the next batch that a player can start on: `setup` is
        what has to come before it, and None with every other batch.
        """
        assert self.queue is not None
        if not self.skipped_at and not self._fits(batch):
            self._skip(now)
        if self.skipped_at:
            if setup is None or not self._fits(batch):
                return
            self.skipped_at = 0.0
            if setup:
                # What was left out may have held a new sequence header.
                self._append(setup)
        self._append(batch)

    def on_writable(self, now: float) -> None:
        """Send on from the queue until the peer takes no more.

        Raises:
            OSError: the peer is gone.
        """
        queue = self.queue
        while queue:
            buffer = queue[0]
            try:
                taken = self.send(buffer)
            except BlockingIOError:
                return
            self.sent_bytes += taken
            self.queued_bytes -= taken
            self.progress_at = now
            if taken != len(buffer):
                queue[0] = memoryview(buffer)[taken:]
                return
            queue.popleft()
        if not self.skipped_at:
            # One that skipped keeps its empty queue, so that its next batch goes through `offer`.
            self.queue = None
        self.progress_at = 0.0
        self.owner.want_write(False)

    def stalled(self, now: float, patience_s: float) -> bool:
        """True for a peer that takes nothing, or that could not catch up even after a skip."""
        if not self.queue:
            return False
        if not self.progress_at:
            self.progress_at = now  # it got blocked since the last look
        return now - self.progress_at >= patience_s or bool(self.skipped_at and now - self.skipped_at >= patience_s)

    def _fits(self, batch: Buffer) -> bool:
        # With nothing ahead of it, one that is larger than the limit still goes: it would never fit.
        return not self.queue or self.queued_bytes + len(batch) <= self.limit_bytes

    def _skip(self, now: float) -> None:
        assert self.queue is not None
        self.skipped_at = now
        head = self.queue.popleft()
        self.queue.clear()
        self.queue.append(head)
        self.queued_bytes = len(head)

    def _append(self, buffer: Buffer) -> None:
        assert self.queue is not None
        if not self.queue:
            self.owner.want_write(True)
        self.queue.append(buffer)
        self.queued_bytes += len(buffer)
