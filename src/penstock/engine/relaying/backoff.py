"""How long to wait before the next try, and when the failures before it are forgotten.

Full jitter: any time up to a bound that doubles with each failure in a row. So the relays to a server that
comes back do not come back to it in the same moment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

FIRST_S: Final = 1.0
LONGEST_S: Final = 60.0
# Even the luckiest waits so long: a peer that refuses at once is not to be asked a hundred times a second.
SHORTEST_S: Final = 0.2


class Backoff:
    """One side's tries. `random` gives numbers from 0 up to 1."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._failures = 0

    def next_s(self) -> float:
        """Count one failure more, and return how long to wait after it."""
        bound_s = min(LONGEST_S, FIRST_S * (1 << min(self._failures, 10)))
        self._failures += 1
        return SHORTEST_S + (bound_s - SHORTEST_S) * self._random()

    def forget(self) -> None:
        """It went well: the next failure counts as the first."""
        self._failures = 0
