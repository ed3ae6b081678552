"""Who plays what, and at how many bits a second: from counters that the engine tells about once a second."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from penstock.link.messages import StreamStats
from penstock.model import StreamId

# As for a publisher's rates: long enough for uneven frames, short enough to show a stall.
WINDOW_S: Final = 5.0

_Came = tuple[str, str]  # format, domain


class Crowd(Struct, frozen=True):
    """Players, and the bits a second that their sockets take."""

    players: int = 0
    bits_per_s: int = 0

    def __add__(self, other: Crowd) -> Crowd:
        return Crowd(self.players + other.players, self.bits_per_s + other.bits_per_s)


class _Sample(Struct, frozen=True):
    at_s: float
    players: dict[_Came, int]
    bytes_out: dict[_Came, int]


class Audiences:
    """The latest counters of each stream on air, and enough of the earlier ones to tell a rate."""

    def __init__(self) -> None:
        self._samples: dict[StreamId, deque[_Sample]] = {}

    def see(self, stream: StreamId, stats: StreamStats, now_s: float) -> None:
        """Take the counters of one moment; `now_s` is a monotonic clock."""
        samples = self._samples.setdefault(stream, deque())
        came = {(part.format, part.domain): part for part in stats.audience}
        samples.append(
            _Sample(
                now_s,
                {key: part.players for key, part in came.items()},
                {key: part.bytes_out for key, part in came.items()},
            )
        )
        while len(samples) > 2 and samples[1].at_s <= now_s - WINDOW_S:
            samples.popleft()

    def forget(self, stream: StreamId) -> None:
        """The stream is off air."""
        self._samples.pop(stream, None)

    def crowd(self, stream: StreamId, counts: Callable[[str, str], bool]) -> Crowd:
        """The players of a stream of whom `counts(format, domain)` is true."""
        samples = self._samples.get(stream)
        if not samples:
            return Crowd()
        first, last = samples[0], samples[-1]
        span_s = last.at_s - first.at_s
        # A stream that began anew counts from nothing: what it had before is not what it lost.
        grown = sum(max(size - first.bytes_out.get(key, 0), 0) for key, size in last.bytes_out.items() if counts(*key))
        players = sum(number for key, number in last.players.items() if counts(*key))
        return Crowd(players, round(grown * 8 / span_s) if span_s > 0 else 0)
