"""All relays of one engine: what control ordered, and how it stands."""

from __future__ import annotations

import logging
from collections.abc import Callable

from penstock.engine.relaying.ports import Call, SourceOwner
from penstock.engine.relaying.relay import Relay, RelayRooms
from penstock.link.relaying import RelayOrder, RelayState, RelayTold, StartRelay, StopRelay

log = logging.getLogger("penstock.relays")


class Relays:
    """Starts and stops relays. Without a control process they go on."""

    def __init__(self, rooms: RelayRooms) -> None:
        self._rooms = rooms
        self._relays: dict[str, Relay] = {}
        self._faulty: set[str] = set()
        self.tell: Callable[[RelayTold], None] = _tell_nobody

    def __len__(self) -> int:
        return len(self._relays)

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self._relays)

    def obey(self, message: StartRelay | StopRelay) -> None:
        """Do what control says, and tell how the relay stands then."""
        if isinstance(message, StartRelay):
            self._start(message.order)
        else:
            self._stop(message.id)

    def bring(self, relay_id: str, call: Call) -> SourceOwner | None:
        """A worker is there with a relay's media; None where it is not wanted."""
        relay = self._relays.get(relay_id)
        return relay.bring(call) if relay is not None else None

    def tick(self) -> None:
        for relay in list(self._relays.values()):
            try:
                relay.tick()
            except Exception:
                self._fault(relay)

    def tell_numbers(self) -> None:
        """Tell of each whose bytes or position changed."""
        for relay in self._relays.values():
            relay.tell_numbers()

    def tell_all(self) -> None:
        """Tell a control process that is new how all of them stand."""
        for relay in self._relays.values():
            self.tell(relay.status())

    def _fault(self, relay: Relay) -> None:
        """A fault of our own in one relay must not keep the others waiting, nor fill the log."""
        if relay.order.id not in self._faulty:
            self._faulty.add(relay.order.id)
            log.exception("a fault of our own in relay %s", relay.order.id)

    def close(self) -> None:
        """End all of them; nobody is told, as control is to start them again."""
        self.tell = _tell_nobody
        for relay_id in list(self._relays):
            self._stop(relay_id)

    def _start(self, order: RelayOrder) -> None:
        relay = self._relays.get(order.id)
        if relay is not None and relay.order == order:
            self.tell(relay.status())
            return
        if relay is not None:
            # Its numbers are the old order's: the new one begins at nothing.
            del self._relays[order.id]
            relay.stop(quietly=True)
        relay = self._relays[order.id] = Relay(order, self._rooms, self._hear)
        relay.start()

    def _stop(self, relay_id: str) -> None:
        self._faulty.discard(relay_id)
        relay = self._relays.pop(relay_id, None)
        if relay is None:
            self.tell(RelayTold(relay_id, RelayState.STOPPED))
        else:
            relay.stop()

    def _hear(self, told: RelayTold) -> None:
        if told.error:
            about = {"relay": told.id}
            log.debug("relay %s %s: %s: %s", told.id, told.state, told.error_side, told.error, extra=about)
        self.tell(told)


def _tell_nobody(told: RelayTold) -> None:
    """Nobody listens yet, or any more."""
