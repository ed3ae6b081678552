"""An engine's relays in the test's own loop, with real sockets: what control orders, the test does."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from penstock.app.relaying import RelayPlane
from penstock.app.timers import every
from penstock.config import Config, Network
from penstock.link.relaying import RelayOrder, RelayState, RelayTold, StartRelay, StopRelay
from penstock.model import SystemClock
from tests.e2e.peers import PeerFailed

TICK_S = 0.25
LATE_S = 30.0  # on a busy machine, with a back-off before it


class Relaying:
    """`told` has everything that was told of each relay, oldest first."""

    def __init__(self, config: Config) -> None:
        self.plane = RelayPlane(config, SystemClock())
        self.told: list[RelayTold] = []
        self._news = asyncio.Event()
        self.plane.relays.tell = self._hear

    def _hear(self, told: RelayTold) -> None:
        self.told.append(told)
        self._news.set()

    def tick(self) -> None:
        self.plane.relays.tick()
        self.plane.relays.tell_numbers()

    def start(self, target: str, source: str = "") -> str:
        """Order a relay; return its id."""
        order = RelayOrder(secrets.token_hex(16), target, source)
        self.plane.relays.obey(StartRelay(order))
        return order.id

    def stop(self, relay: str) -> None:
        self.plane.relays.obey(StopRelay(relay))

    def mark(self) -> int:
        return len(self.told)

    async def until(
        self, relay: str, is_so: Callable[[RelayTold], bool], *, since: int = 0, within_s: float = LATE_S
    ) -> RelayTold:
        """The first that is told of `relay` since then that is so.

        Raises:
            PeerFailed: nothing such was told in time.
        """
        try:
            async with asyncio.timeout(within_s):
                while True:
                    for told in self.told[since:]:
                        if told.id == relay and is_so(told):
                            return told
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise PeerFailed(f"not told in {within_s:g} s; the last words were {self.told[-3:]}") from None

    async def runs(self, relay: str, *, since: int = 0) -> RelayTold:
        return await self.until(relay, lambda told: told.state is RelayState.RUNNING, since=since)

    async def fails(self, relay: str, side: str, *, since: int = 0) -> RelayTold:
        before = max((told.failures for told in self.told[:since] if told.id == relay), default=0)
        return await self.until(relay, lambda told: told.failures > before and told.error_side == side, since=since)


@contextlib.asynccontextmanager
async def relays(folder: Path, ca_file: Path | None = None) -> AsyncIterator[Relaying]:
    """Relays that may reach this machine."""
    network = Network(allow_private=("127.0.0.0/8",), ca_file=ca_file)
    relaying = Relaying(Config(data_dir=folder, network=network))
    ticking = asyncio.create_task(every(TICK_S, relaying.tick))
    try:
        yield relaying
    finally:
        ticking.cancel()
        relaying.plane.close()
        await asyncio.sleep(0)
        relaying.plane.hang_up()
