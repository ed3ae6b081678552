"""All players of one stream in one wire format: the fan-out.

This is the server's hottest loop. A batch of packets becomes one buffer, and that object is handed to
every player's send: no copy, no header, no task, and no queue of its own for a player that keeps up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from penstock.engine.formats import Bytes, Format
from penstock.engine.outlet import Outlet
from penstock.model import MediaPacket

# An opening is as long as a GOP, and a slow player holds on to it until it has taken all of it. So one serves
# all who join within so many batches (half a second of pictures), with the batches since then behind it: a
# rush of slow players costs a few of them, not one for each picture.
OPENING_BATCHES: Final = 16


class Opening(Struct, frozen=True):
    """What a player of a stream has to get first, in order.

    `gop` is everything since the last key frame. A stream with video and no such frame at hand
    has nothing to start from (`ready` is false); one of audio alone can start anywhere.
    """

    headers: Sequence[MediaPacket]
    gop: Sequence[MediaPacket]
    ready: bool
    audio: bool
    video: bool


class Feed:
    """Sends one stream to the players that attached to it."""

    def __init__(self, form: Format) -> None:
        self.form = form
        self.players: dict[Outlet, None] = {}  # in the order in which they came
        self.waiting: dict[Outlet, None] = {}  # came before there was anything to start from
        self._opening: bytes | None = None  # shared by all who join before there is a better one
        self._since: list[Bytes] = []  # the batches that were sent after it was made

    def __len__(self) -> int:
        return len(self.players) + len(self.waiting)

    def outlets(self) -> list[Outlet]:
        return [*self.players, *self.waiting]

    def attach(self, outlet: Outlet, opening: Opening) -> None:
        """Start a player: on a cached key frame at once, or else with the next one.

        Raises:
            OSError: the player is gone already.
        """
        if not opening.ready:
            self.waiting[outlet] = None
            return
        if self._opening is None:
            self._opening = self._encode_opening(opening)
        outlet.start(self._opening, self._since)
        self.players[outlet] = None

    def detach(self, outlet: Outlet) -> None:
        self.players.pop(outlet, None)
        self.waiting.pop(outlet, None)

    def restart(self) -> None:
        """A new session, or a better place to start: nobody starts any more from what there was."""
        self._opening = None
        self._since = []

    def send(self, batch: Sequence[MediaPacket], opening: Opening, now: float) -> list[Outlet]:
        """Send one batch to everybody; return those whose connection turned out to be gone.

        `opening` is that of the moment before this batch, without packets: it starts the waiting,
        and those who skipped ahead to this batch.
        """
        if not self.players and not self.waiting:
            self.restart()
            return []
        gone = self._start_waiting(opening) if self.waiting and opening.ready else []
        encode = self.form.encode
        buffer = encode(batch[0]) if len(batch) == 1 else b"".join(map(encode, batch))
        setup = b"".join(map(encode, opening.headers)) if opening.ready else None
        if opening.ready or len(self._since) == OPENING_BATCHES:
            self.restart()
        elif self._opening is not None:
            self._since.append(buffer)
        gone += self._fan_out(buffer, setup, now)
        for outlet in gone:
            self.detach(outlet)
        return gone

    def _fan_out(self, buffer: Bytes, setup: Bytes | None, now: float) -> list[Outlet]:
        size = len(buffer)
        gone: list[Outlet] = []
        for player in self.players:
            if player.queue is not None:
                player.offer(buffer, setup, now)
                continue
            try:
                taken = player.send(buffer)
            except BlockingIOError:
                taken = 0
            except OSError:
                gone.append(player)
                continue
            player.sent_bytes += taken
            if taken != size:
                player.hold(buffer, taken)
        return gone

    def _start_waiting(self, opening: Opening) -> list[Outlet]:
        gone: list[Outlet] = []
        headers = self._encode_opening(opening)
        for outlet in self.waiting:
            try:
                outlet.start(headers)
            except OSError:
                gone.append(outlet)
                continue
            self.players[outlet] = None
        self.waiting.clear()
        return gone

    def _encode_opening(self, opening: Opening) -> bytes:
        preamble = self.form.preamble(audio=opening.audio, video=opening.video)
        return b"".join((preamble, *map(self.form.encode, opening.headers), *map(self.form.encode, opening.gop)))
