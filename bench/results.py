"""What one measurement found: the numbers that are reported, made from what the load generator says."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from bench.processes import Event

# More than a quarter of a second of media that the server has not taken, per publisher: it has fallen behind.
_LAG_BYTES = 65_536
_FULL_CORE = 0.97


@dataclass(frozen=True)
class Fanout:
    """One publisher, many players, one server."""

    server: str
    protocol: str
    players: int
    repeat: int
    cpu_us: float  # per player and second
    cpu_share: float  # of the server's core
    rss_kib: float  # growth per player
    key_ms: float  # connect() to the first whole key frame, median
    latency_p50_ms: float
    latency_p99_ms: float
    latency_drift_ms: float  # last quarter of the window against the first
    behind: int  # players with less than 98 % of what was published
    gaps: int  # frames that the sampled players missed
    share_min: float  # of the published bytes, the worst player
    share_median: float
    load_share: float  # of the load's core
    foreign_share: float  # of the server's core, used by others: noise

    @classmethod
    def of(cls, server: str, repeat: int, played: Event, published: Event, core: int) -> Fanout:
        window_s, players = played["window_s"], played["players"]
        cpu = (played["cpu_user_s"] + played["cpu_system_s"]) / window_s
        return cls(
            server=server,
            protocol=played["protocol"],
            players=players,
            repeat=repeat,
            cpu_us=1e6 * cpu / players,
            cpu_share=cpu,
            rss_kib=(played["rss_after_kib"] - played["rss_before_kib"]) / players,
            key_ms=played["key_ms_median"],
            latency_p50_ms=played["latency_ms_p50"],
            latency_p99_ms=played["latency_ms_p99"],
            latency_drift_ms=played["latency_drift_ms"],
            behind=played["behind"],
            gaps=played["gaps"],
            share_min=played["share_min"],
            share_median=played["share_median"],
            load_share=played["load_cpu_share"] + published["load_cpu_share"],
            foreign_share=max(0.0, played["cores_busy"][core] - cpu),
        )

    def line(self) -> str:
        return (
            f"{self.cpu_us:.0f} µs/player-s ({self.cpu_share:.0%} of the core), {self.rss_kib:.1f} KiB/player, "
            f"key {self.key_ms:.1f} ms, latency {self.latency_p50_ms:.1f}/{self.latency_p99_ms:.1f} ms, "
            f"behind {self.behind}, gaps {self.gaps}; load's core {self.load_share:.0%}, "
            f"foreign {self.foreign_share:.0%}"
        )


@dataclass(frozen=True)
class Ingest:
    """Many publishers, nobody plays."""

    server: str
    publishers: int
    repeat: int
    cpu_ms: float  # per publisher and second
    cpu_share: float
    projected: float  # publishers a core would carry at this cost
    lag_kib: float  # due and not taken by the server, all publishers, at the end
    lag_max_kib: float
    late_ms: float  # the load generator's own worst delay
    closed: int
    kept_up: bool
    load_share: float
    foreign_share: float

    @classmethod
    def of(
        cls, server: str, publishers: int, repeat: int, summary: Event, *, cpu_share: float, busy_share: float
    ) -> Ingest:
        closed, lag = summary["closed_by_server"], summary["lag_bytes"]
        return cls(
            server=server,
            publishers=publishers,
            repeat=repeat,
            cpu_ms=1e3 * cpu_share / publishers,
            cpu_share=cpu_share,
            projected=publishers / cpu_share if cpu_share else 0.0,
            lag_kib=lag / 1024,
            lag_max_kib=summary["lag_bytes_max"] / 1024,
            late_ms=summary["late_ms_max"],
            closed=closed,
            kept_up=closed == 0 and lag < _LAG_BYTES * publishers and cpu_share < _FULL_CORE,
            load_share=summary["load_cpu_share"],
            foreign_share=max(0.0, busy_share - cpu_share),
        )

    def line(self) -> str:
        return (
            f"{self.cpu_ms:.2f} ms/publisher-s ({self.cpu_share:.0%} of the core), {self.projected:.0f} a core, "
            f"{'kept up' if self.kept_up else 'FELL BEHIND'}: lag {self.lag_kib:.0f} KiB "
            f"(most {self.lag_max_kib:.0f}), closed {self.closed}; "
            f"load's core {self.load_share:.0%}, late {self.late_ms:.1f} ms"
        )


@dataclass(frozen=True)
class Kick:
    """From the command to the close of sockets, in milliseconds, over all rounds."""

    server: str
    protocol: str
    attached: int
    rounds: int
    publisher_p50_ms: float
    publisher_p99_ms: float
    first_player_p50_ms: float  # -1 where no player was closed
    last_player_p50_ms: float
    last_player_p99_ms: float
    answer_p50_ms: float  # until the command was answered
    answer_p99_ms: float
    left_open: int  # players, over all rounds

    def line(self) -> str:
        players = (
            f"players first {self.first_player_p50_ms:.2f}, last {self.last_player_p50_ms:.2f} "
            f"(p99 {self.last_player_p99_ms:.2f}), "
        )
        return (
            f"publisher closed after {self.publisher_p50_ms:.2f} ms (p99 {self.publisher_p99_ms:.2f}), "
            f"{players if self.last_player_p50_ms >= 0 else ''}"
            f"answer {self.answer_p50_ms:.2f} ms (p99 {self.answer_p99_ms:.2f}), left open {self.left_open}"
        )


@dataclass(frozen=True)
class Api:
    """Calls over connections that are kept, each sent when the one before it was answered."""

    server: str
    connections: int
    repeat: int
    calls_per_s: float
    cpu_us: float  # per call
    cpu_share: float  # of the server's core
    latency_p50_ms: float
    latency_p99_ms: float
    failed: int  # answers that were not what was asked for, and connections lost
    load_share: float  # of the load's core
    foreign_share: float  # of the server's core, used by others: noise

    @classmethod
    def of(cls, server: str, repeat: int, called: Event, core: int) -> Api:
        window_s = called["window_s"]
        cpu_s = called["cpu_user_s"] + called["cpu_system_s"]
        return cls(
            server=server,
            connections=called["connections"],
            repeat=repeat,
            calls_per_s=called["calls"] / window_s,
            cpu_us=1e6 * cpu_s / max(1, called["calls"]),
            cpu_share=cpu_s / window_s,
            latency_p50_ms=called["latency_ms_p50"],
            latency_p99_ms=called["latency_ms_p99"],
            failed=called["failed"],
            load_share=called["load_cpu_share"],
            foreign_share=max(0.0, called["cores_busy"][core] - cpu_s / window_s),
        )

    def line(self) -> str:
        return (
            f"{self.calls_per_s:.0f} calls/s, {self.cpu_us:.0f} µs each ({self.cpu_share:.0%} of the core), "
            f"latency {self.latency_p50_ms:.2f}/{self.latency_p99_ms:.2f} ms, failed {self.failed}; "
            f"load's core {self.load_share:.0%}, foreign {self.foreign_share:.0%}"
        )


@dataclass(frozen=True)
class Hls:
    """One publisher, many players of its segments, one server."""

    server: str
    players: int
    repeat: int
    cpu_us: float  # per player and second, cutting the stream included
    cpu_share: float  # of the server's core
    rss_kib: float  # growth per player
    megabits_per_s: float  # that all players got
    segments_per_s: float
    behind: int  # players that got two segments less than were made, or lost their connection
    load_share: float  # of the load's core
    foreign_share: float  # of the server's core, used by others: noise

    @classmethod
    def of(cls, server: str, repeat: int, watched: Event, published: Event, core: int) -> Hls:
        window_s, players = watched["window_s"], watched["players"]
        cpu = (watched["cpu_user_s"] + watched["cpu_system_s"]) / window_s
        return cls(
            server=server,
            players=players,
            repeat=repeat,
            cpu_us=1e6 * cpu / players,
            cpu_share=cpu,
            rss_kib=(watched["rss_after_kib"] - watched["rss_before_kib"]) / players,
            megabits_per_s=8e-6 * watched["received_bytes"] / window_s,
            segments_per_s=watched["segments"] / window_s,
            behind=watched["behind"],
            load_share=watched["load_cpu_share"] + published["load_cpu_share"],
            foreign_share=max(0.0, watched["cores_busy"][core] - cpu),
        )

    def line(self) -> str:
        return (
            f"{self.cpu_us:.0f} µs/player-s ({self.cpu_share:.0%} of the core), {self.rss_kib:.1f} KiB/player, "
            f"{self.megabits_per_s:.0f} Mbit/s, {self.segments_per_s:.0f} segments/s, behind {self.behind}; "
            f"load's core {self.load_share:.0%}, foreign {self.foreign_share:.0%}"
        )


@dataclass(frozen=True)
class Relaying:
    """One stream, relayed by so many tasks, each with connections of its own."""

    server: str
    tasks: int
    repeat: int
    cpu_ms: float  # per task and second
    cpu_share: float  # of the server's core
    memory_kib: float  # per task, above what the process has without any; shared pages by their share
    base_kib: float  # that
    foreign_share: float  # of the server's core, used by others: noise

    def line(self) -> str:
        return (
            f"{self.cpu_ms:.2f} ms/task-s ({self.cpu_share:.0%} of the core), {self.memory_kib:.0f} KiB/task "
            f"above {self.base_kib:.0f} KiB; foreign {self.foreign_share:.0%}"
        )


@dataclass(frozen=True)
class Import:
    """A statement at an interpreter's start, in milliseconds; medians."""

    statement: str
    runs: int
    above_ms: float  # more than without it
    bare_ms: float  # the interpreter alone

    def line(self) -> str:
        return f"{self.above_ms:.1f} ms above the interpreter's {self.bare_ms:.1f}"


@dataclass(frozen=True)
class Call:
    """A call over a kept connection to a server that answers at once."""

    caller: str
    operation: str
    repeat: int
    calls: int
    cpu_us: float  # of the caller's process, its part of the kernel's work included
    wall_us: float  # with the server's answer in it

    def line(self) -> str:
        return f"{self.cpu_us:.0f} µs of CPU, {self.wall_us:.0f} µs in all"


Result = Fanout | Ingest | Kick | Api | Hls | Relaying | Import | Call
_KINDS: dict[str, type[Result]] = {
    "fanout": Fanout,
    "ingest": Ingest,
    "kick": Kick,
    "api": Api,
    "hls": Hls,
    "relay": Relaying,
    "import": Import,
    "call": Call,
}


def encode(result: Result) -> str:
    """One JSON line."""
    kind = next(name for name, cls in _KINDS.items() if isinstance(result, cls))
    return json.dumps({"kind": kind, **asdict(result)})


def decode(line: str) -> Result | None:
    """The result in a JSON line; None for a line that is something else (a run's header)."""
    fields: dict[str, Any] = json.loads(line)
    cls = _KINDS.get(fields.pop("kind"))
    return cls(**fields) if cls else None
