"""What monitoring counts: totals since this control process started, and never more than a bounded number of them."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from penstock.link.messages import EndReason

# Sets of words that one kind of count may have. What counts by words from outside is a mistake; with this it
# stays a small one.
MAX_SETS: Final = 1000
OTHER: Final = "other"

# From a write that only the kernel took to one whose disk is in trouble, in seconds.
WRITE_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Counts:
    """A total for each set of words, such as an end's reason."""

    def __init__(self, known: Sequence[tuple[str, ...]] = ()) -> None:
        """What is `known` beforehand is there with 0, so that a first time shows as a rise."""
        self._totals = Counter(dict.fromkeys(known, 0))

    def __len__(self) -> int:
        return len(self._totals)

    def __iter__(self) -> Iterator[tuple[tuple[str, ...], int]]:
        yield from self._totals.items()

    def __getitem__(self, words: tuple[str, ...]) -> int:
        return self._totals[words]

    def add(self, *words: str, by: int = 1) -> None:
        if words not in self._totals and len(self._totals) >= MAX_SETS:
            words = (OTHER,) * len(words)
        self._totals[words] += by


class Histogram:
    """How often something took how long."""

    def __init__(self, bounds_s: Sequence[float]) -> None:
        self.bounds_s = tuple(bounds_s)
        self.sum_s = 0.0
        self._counts = [0] * (len(self.bounds_s) + 1)

    @property
    def count(self) -> int:
        return sum(self._counts)

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(self.bounds_s, seconds)] += 1
        self.sum_s += seconds

    def up_to(self) -> list[int]:
        """How many took at most as long as each bound."""
        return list(accumulate(self._counts[:-1]))


class Tallies:
    """The totals that nothing else keeps."""

    def __init__(self) -> None:
        self.admitted = 0
        self.refused = Counts()  # by code
        self.ended = Counts([(str(reason),) for reason in EndReason])  # by reason
        self.engines = 0  # that were ever connected
        self.calls = Counts()  # by cloud, operation, and outcome
        self.rate_limited = Counts()  # by cloud
        self.writes_s = Histogram(WRITE_BOUNDS_S)
        self.failed_writes = 0
        self.relayed_in = 0  # bytes that relays fetched
        self.relayed_out = 0  # bytes that their targets took
        self.relay_failures = Counts([("source",), ("target",), ("server",)])  # by side
        self.callbacks = Counts([("delivered",), ("failed",), ("given up",)])  # tries, and what was given up
        self.recordings_failed = 0
        self.recording_bytes_sent = 0  # of files, over HTTP

    def wrote(self, seconds: float, is_kept: bool) -> None:
        """A write was asked for so long ago, and is durable now or has failed."""
        self.writes_s.observe(seconds)
        self.failed_writes += not is_kept
