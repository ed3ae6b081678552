"""Results as Markdown: a table for each kind of measurement, and the targets with what was measured beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from bench.hls import PACKED
from bench.results import Api, Call, Fanout, Hls, Import, Ingest, Kick, Relaying, Result

REFERENCE = "nginx-rtmp"  # its RTMP players and its publishers are what ratios are taken against
BARE = "httpx2"  # what a call of the SDK is compared with

WITH_API = "penstock-api"  # the server as it is, with its API open
COPY = "ffmpeg"  # what a relay in the engine is compared with
ECHO = "starlette"  # what API calls are compared with

T = TypeVar("T")

_NONE = "-"  # a cell with nothing to say


class Findings:
    """The results of one run, with repeats of a case brought together."""

    def __init__(self, results: Iterable[Result]) -> None:
        self._fanouts: dict[tuple[str, str, int], list[Fanout]] = {}
        self._ingests: dict[tuple[str, int], list[Ingest]] = {}
        self._calls: dict[tuple[str, str], list[Call]] = {}
        self._watched: dict[tuple[str, int], list[Hls]] = {}
        self._relayed: dict[tuple[str, int], list[Relaying]] = {}
        self.kicks: list[Kick] = []
        self.apis: dict[str, list[Api]] = {}
        self.imports: list[Import] = []
        for result in results:
            if isinstance(result, Fanout):
                self._fanouts.setdefault((result.server, result.protocol, result.players), []).append(result)
            elif isinstance(result, Ingest):
                self._ingests.setdefault((result.server, result.publishers), []).append(result)
            elif isinstance(result, Api):
                self.apis.setdefault(result.server, []).append(result)
            elif isinstance(result, Hls):
                self._watched.setdefault((result.server, result.players), []).append(result)
            elif isinstance(result, Relaying):
                self._relayed.setdefault((result.server, result.tasks), []).append(result)
            elif isinstance(result, Call):
                self._calls.setdefault((result.operation, result.caller), []).append(result)
            elif isinstance(result, Import):
                self.imports.append(result)
            else:
                self.kicks.append(result)

    @property
    def fanouts(self) -> list[list[Fanout]]:
        return list(self._fanouts.values())

    @property
    def ingests(self) -> list[list[Ingest]]:
        return list(self._ingests.values())

    def fanout(self, server: str, protocol: str, players: int) -> list[Fanout]:
        return self._fanouts.get((server, protocol, players), [])

    def cpu_ratio(self, server: str, protocol: str, players: int) -> float | None:
        """CPU per player of a server to the reference's RTMP, at this many players and in this run."""
        ours, theirs = self.fanout(server, protocol, players), self.fanout(REFERENCE, "rtmp", players)
        return mid(ours, lambda r: r.cpu_us) / mid(theirs, lambda r: r.cpu_us) if ours and theirs else None

    def api_ratio(self, server: str) -> float | None:
        """Calls a core of a server to the bare echo's, in this run; by CPU, as others may use the core, too."""
        ours, theirs = self.apis.get(server), self.apis.get(ECHO)
        return mid(theirs, lambda r: r.cpu_us) / mid(ours, lambda r: r.cpu_us) if ours and theirs else None

    def ingest_ratio(self, server: str, publishers: int) -> float | None:
        ours, theirs = self._ingests.get((server, publishers)), self._ingests.get((REFERENCE, publishers))
        return mid(ours, lambda r: r.cpu_ms) / mid(theirs, lambda r: r.cpu_ms) if ours and theirs else None

    @property
    def watched(self) -> list[list[Hls]]:
        return list(self._watched.values())

    def hls_ratio(self, server: str, players: int) -> float | None:
        """CPU per player of HLS to the reference's, at this many players and in this run."""
        ours, theirs = self._watched.get((server, players)), self._watched.get((REFERENCE, players))
        return mid(ours, lambda r: r.cpu_us) / mid(theirs, lambda r: r.cpu_us) if ours and theirs else None

    @property
    def relayed(self) -> list[list[Relaying]]:
        return list(self._relayed.values())

    def relay_ratio(self, server: str, tasks: int, measure: Callable[[Relaying], float]) -> float | None:
        """What a task costs to what it costs the one that is compared with, at as many and in this run."""
        ours, theirs = self._relayed.get((server, tasks)), self._relayed.get((COPY, tasks))
        return mid(ours, measure) / mid(theirs, measure) if ours and theirs else None

    def worst_relay(self, measure: Callable[[Relaying], float]) -> float | None:
        """The largest such ratio of ours, over numbers of tasks."""
        ratios = [self.relay_ratio(name, tasks, measure) for name, tasks in self._relayed if name == "penstock"]
        return max((ratio for ratio in ratios if ratio is not None), default=None)

    def packing_ms(self, server: str) -> float | None:
        """CPU that cutting a stream into segments takes a second, above taking it in."""
        for name, publishers in self._ingests:
            plain, packed = self._ingests.get((server, publishers)), self._ingests.get((server + PACKED, publishers))
            if name == server and plain and packed:
                return mid(packed, lambda r: r.cpu_ms) - mid(plain, lambda r: r.cpu_ms)
        return None

    @property
    def calls(self) -> list[list[Call]]:
        return list(self._calls.values())

    def call_ratio(self, operation: str, measure: Callable[[Call], float], caller: str, to: str) -> float | None:
        """What a call costs `caller`, to what the same call of the same run costs another."""
        ours, theirs = self._calls.get((operation, caller)), self._calls.get((operation, to))
        return mid(ours, measure) / mid(theirs, measure) if ours and theirs else None

    def worst_call(self, to: str) -> float | None:
        """The largest such ratio of ours, over operations, by CPU and by the clock."""
        ratios = [
            self.call_ratio(operation, measure, "penstock", to)
            for operation, caller in self._calls
            if caller == "penstock"
            for measure in (_cpu, _wall)
        ]
        return max((ratio for ratio in ratios if ratio is not None), default=None)


def _cpu(call: Call) -> float:
    return call.cpu_us


def _wall(call: Call) -> float:
    return call.wall_us


def mid(results: Sequence[T], measure: Callable[[T], float]) -> float:
    return median(measure(result) for result in results)


def _ratio(value: float | None) -> str:
    return _NONE if value is None else f"{value:.2f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---" if place < 2 else "---:" for place, _ in enumerate(heads)]
    return ["| " + " | ".join(row) + " |" for row in [heads, rule, *rows]] + [""]


def _fanout_rows(found: Findings) -> list[list[str]]:
    rows = []
    for case in found.fanouts:
        one = case[0]
        rows.append(
            [
                one.server,
                one.protocol,
                f"{one.players:,}",
                f"{mid(case, lambda r: r.cpu_us):.0f}",
                _ratio(found.cpu_ratio(one.server, one.protocol, one.players)),
                f"{mid(case, lambda r: r.rss_kib):.1f}",
                f"{mid(case, lambda r: r.key_ms):.1f}",
                f"{mid(case, lambda r: r.latency_p50_ms):.1f} / {mid(case, lambda r: r.latency_p99_ms):.1f}",
                f"{max(r.behind for r in case)}",
                f"{max(r.gaps for r in case)}",
                f"{mid(case, lambda r: r.cpu_share):.0%}",
                f"{mid(case, lambda r: r.foreign_share):.0%}",
            ]
        )
    return rows


def _ingest_rows(found: Findings) -> list[list[str]]:
    rows = []
    for case in found.ingests:
        one = case[0]
        rows.append(
            [
                one.server,
                f"{one.publishers}",
                f"{mid(case, lambda r: r.cpu_ms):.2f}",
                _ratio(found.ingest_ratio(one.server, one.publishers)),
                f"{mid(case, lambda r: r.projected):.0f}",
                f"{mid(case, lambda r: r.cpu_share):.0%}",
                f"{max(r.lag_kib for r in case):.0f}",
                "yes" if all(r.kept_up for r in case) else "no",
            ]
        )
    return rows


def _kick_rows(found: Findings) -> list[list[str]]:
    return [
        [
            k.server,
            f"{k.attached} by {k.protocol}",
            f"{k.rounds}",
            f"{k.publisher_p50_ms:.2f} / {k.publisher_p99_ms:.2f}",
            f"{k.first_player_p50_ms:.2f}" if k.first_player_p50_ms >= 0 else _NONE,
            f"{k.last_player_p50_ms:.2f} / {k.last_player_p99_ms:.2f}" if k.last_player_p50_ms >= 0 else _NONE,
            f"{k.left_open}",
        ]
        for k in found.kicks
    ]


def _api_rows(found: Findings) -> list[list[str]]:
    return [
        [
            server,
            f"{case[0].connections}",
            f"{mid(case, lambda r: r.calls_per_s):,.0f}",
            f"{mid(case, lambda r: r.cpu_us):.0f}",
            f"{1e6 / mid(case, lambda r: r.cpu_us):,.0f}",
            _ratio(found.api_ratio(server)),
            f"{mid(case, lambda r: r.latency_p50_ms):.2f} / {mid(case, lambda r: r.latency_p99_ms):.2f}",
            f"{max(r.failed for r in case)}",
            f"{mid(case, lambda r: r.cpu_share):.0%}",
            f"{mid(case, lambda r: r.load_share):.0%}",
            f"{mid(case, lambda r: r.foreign_share):.0%}",
        ]
        for server, case in found.apis.items()
    ]


def _api_ratio(found: Findings) -> float | None:
    """An answer that is not the one asked for is no answer: then there is nothing to compare."""
    failed = any(r.failed for case in found.apis.values() for r in case)
    return 0.0 if failed else found.api_ratio("penstock")


def _hls_rows(found: Findings) -> list[list[str]]:
    return [
        [
            case[0].server,
            f"{case[0].players:,}",
            f"{mid(case, lambda r: r.cpu_us):.0f}",
            _ratio(found.hls_ratio(case[0].server, case[0].players)),
            f"{mid(case, lambda r: r.rss_kib):.1f}",
            f"{mid(case, lambda r: r.megabits_per_s):,.0f}",
            f"{mid(case, lambda r: r.segments_per_s):,.0f}",
            f"{max(r.behind for r in case)}",
            f"{mid(case, lambda r: r.cpu_share):.0%}",
            f"{mid(case, lambda r: r.load_share):.0%}",
            f"{mid(case, lambda r: r.foreign_share):.0%}",
        ]
        for case in found.watched
    ]


def _task_kib(result: Relaying) -> float:
    """With the task's share of what the process has without any."""
    return result.memory_kib + result.base_kib / result.tasks


def _task_ms(result: Relaying) -> float:
    return result.cpu_ms


def _relay_rows(found: Findings) -> list[list[str]]:
    return [
        [
            case[0].server,
            f"{case[0].tasks}",
            f"{mid(case, _task_ms):.2f}",
            _ratio(found.relay_ratio(case[0].server, case[0].tasks, _task_ms)),
            f"{mid(case, lambda r: r.memory_kib):,.0f}",
            _ratio(found.relay_ratio(case[0].server, case[0].tasks, lambda r: r.memory_kib)),
            f"{mid(case, _task_kib):,.0f}",
            f"{mid(case, lambda r: r.cpu_share):.0%}",
            f"{mid(case, lambda r: r.foreign_share):.0%}",
        ]
        for case in found.relayed
    ]


def _import_rows(found: Findings) -> list[list[str]]:
    return [[f"`{i.statement}`", f"{i.runs}", f"{i.above_ms:.1f}", f"{i.bare_ms:.1f}"] for i in found.imports]


def _call_rows(found: Findings) -> list[list[str]]:
    return [
        [
            case[0].caller,
            case[0].operation,
            f"{mid(case, _cpu):.0f}",
            _ratio(found.call_ratio(case[0].operation, _cpu, case[0].caller, BARE)),
            f"{mid(case, _wall):.0f}",
            _ratio(found.call_ratio(case[0].operation, _wall, case[0].caller, BARE)),
        ]
        for case in found.calls
    ]


@dataclass(frozen=True)
class Target:
    """`measured` gives None where the run has nothing to judge it by."""

    what: str
    wanted: float
    measured: Callable[[Findings], float | None]
    at_least: bool = False

    def row(self, found: Findings) -> list[str] | None:
        value = self.measured(found)
        if value is None:
            return None
        met = value >= self.wanted if self.at_least else value <= self.wanted
        return [
            self.what,
            "met" if met else "MISSED",
            f"{'≥' if self.at_least else '≤'} {self.wanted:g}",
            f"{value:.2f}",
        ]


def _worst(server: str, players: int, measure: Callable[[Fanout], float]) -> Callable[[Findings], float | None]:
    """Over both protocols, the larger median."""

    def measured(found: Findings) -> float | None:
        cases = [found.fanout(server, protocol, players) for protocol in ("flv", "rtmp")]
        return max((mid(case, measure) for case in cases if case), default=None)

    return measured


def _lost(found: Findings) -> float | None:
    case = found.fanout("penstock", "flv", 4000)
    return float(sum(r.behind + r.gaps for r in case)) if case else None


def _publishers(found: Findings) -> float | None:
    """From the largest number of publishers at which the server kept up; 0 if it did at none."""
    ours = [case for case in found.ingests if case[0].server == "penstock"]
    kept = [case for case in ours if all(r.kept_up for r in case)]
    if not ours:
        return None
    return max(((c[0].publishers, mid(c, lambda r: r.projected)) for c in kept), default=(0, 0.0))[1]


def _disturbed(found: Findings) -> float | None:
    """How much later the slowest pictures are with the API busy, in this run."""
    calm, *busy = (
        [*found.fanout(WITH_API, "flv", 1000)],
        *(case for case in found.fanouts if case[0].server.startswith(f"{WITH_API},")),
    )
    if not calm or not busy:
        return None
    return mid(busy[0], lambda r: r.latency_p99_ms) - mid(calm, lambda r: r.latency_p99_ms)


def _kicked(measure: Callable[[Kick], float], server: str = "penstock") -> Callable[[Findings], float | None]:
    def measured(found: Findings) -> float | None:
        ours = [k for k in found.kicks if k.server == server and k.attached >= 500]
        return max(map(measure, ours), default=None)

    return measured


def _imported(statement: str) -> Callable[[Findings], float | None]:
    return lambda found: next((i.above_ms for i in found.imports if i.statement == statement), None)


def _last_player(k: Kick) -> float:
    return float("inf") if k.left_open else k.last_player_p50_ms


TARGETS = (
    Target("RTMP, 1,000 players: CPU to nginx-rtmp's RTMP", 0.9, lambda f: f.cpu_ratio("penstock", "rtmp", 1000)),
    Target("FLV, 1,000 players: CPU to nginx-rtmp's RTMP", 0.8, lambda f: f.cpu_ratio("penstock", "flv", 1000)),
    Target("FLV, normal latency, 1,000: the same", 0.4, lambda f: f.cpu_ratio("penstock-normal", "flv", 1000)),
    Target("latency p50, ms, 1,000 players", 10, _worst("penstock", 1000, lambda r: r.latency_p50_ms)),
    Target("latency p99, ms, 1,000 players", 30, _worst("penstock", 1000, lambda r: r.latency_p99_ms)),
    Target("first key frame, ms, 1,000 players", 5, _worst("penstock", 1000, lambda r: r.key_ms)),
    Target("RSS, KiB a player, 1,000 players", 8, _worst("penstock", 1000, lambda r: r.rss_kib)),
    Target("FLV, 4,000 players: behind, and gaps", 0, _lost),
    Target("publishers a core, nobody playing", 600, _publishers, at_least=True),
    Target("kick, 500 attached: publisher closed, p99 ms", 10, _kicked(lambda k: k.publisher_p99_ms)),
    Target("kick, 500 attached: last player closed, p50 ms", 10, _kicked(_last_player)),
    Target("API: calls a core to a bare Starlette echo's", 0.5, _api_ratio, at_least=True),
    Target("API: 1,000 calls a second, the p99 of 1,000 players, ms more", 5, _disturbed),
    Target("API: a kick by ForbidStream: answered, p99 ms", 50, _kicked(lambda k: k.answer_p99_ms, WITH_API)),
    Target("API: the same: publisher closed, p99 ms", 50, _kicked(lambda k: k.publisher_p99_ms, WITH_API)),
    Target("HLS, 2,000 players: CPU to nginx's from memory", 1.2, lambda f: f.hls_ratio("penstock", 2000)),
    Target("HLS: cutting a stream, CPU ms a second", 0.6, lambda f: f.packing_ms("penstock")),
    Target("a relay in the engine: CPU to an ffmpeg of its own", 1.0, lambda f: f.worst_relay(_task_ms)),
    Target(
        "a relay in the engine: memory to an ffmpeg of its own", 0.1, lambda f: f.worst_relay(lambda r: r.memory_kib)
    ),
    Target("import penstock: ms above the interpreter", 80, _imported("import penstock")),
    Target("a call of the SDK: to httpx2 alone", 1.2, lambda f: f.worst_call(BARE)),
    Target("a call of the SDK: to ksc-sdk-python", 1.0, lambda f: f.worst_call("ksc-sdk-python")),
)

_FANOUT = ["server", "players by", "players", "CPU µs / player-s", f"to {REFERENCE}", "RSS KiB / player",
           "key frame ms", "latency ms p50 / p99", "behind", "gaps", "core", "foreign"]  # fmt: skip
_INGEST = [
    "server",
    "publishers",
    "CPU ms / publisher-s",
    f"to {REFERENCE}",
    "publishers a core",
    "core",
    "lag KiB",
    "kept up",
]
_KICK = ["server", "players", "rounds", "publisher closed ms p50 / p99", "first player p50", "last player p50 / p99",
         "left open"]  # fmt: skip
_API = ["server", "connections", "calls / s", "CPU µs / call", "calls a core", f"to {ECHO}", "latency ms p50 / p99",
        "failed", "core", "load's core", "foreign"]  # fmt: skip

_HLS = ["server", "players of HLS", "CPU µs / player-s", f"to {REFERENCE}", "RSS KiB / player", "Mbit/s",
        "segments / s", "behind", "core", "load's core", "foreign"]  # fmt: skip
_RELAY = ["relays by", "tasks", "CPU ms / task-s", f"to {COPY}", "KiB / task", f"to {COPY}", "with the process",
          "core", "foreign"]  # fmt: skip
_IMPORT = ["at the start", "runs", "ms above the interpreter", "interpreter ms"]
_CALL = ["client", "call", "CPU µs", f"to {BARE}", "µs in all", f"to {BARE}"]


def markdown(results: Iterable[Result]) -> str:
    """All of a run's results; repeats show as their median, losses as their worst."""
    found = Findings(results)
    lines: list[str] = []
    if found.fanouts:
        lines += _table(_FANOUT, _fanout_rows(found))
    if found.ingests:
        lines += _table(_INGEST, _ingest_rows(found))
    if found.kicks:
        lines += _table(_KICK, _kick_rows(found))
    if found.apis:
        lines += _table(_API, _api_rows(found))
    if found.watched:
        lines += _table(_HLS, _hls_rows(found))
    if found.relayed:
        lines += _table(_RELAY, _relay_rows(found))
    if found.imports:
        lines += _table(_IMPORT, _import_rows(found))
    if found.calls:
        lines += _table(_CALL, _call_rows(found))
    judged = [row for target in TARGETS if (row := target.row(found))]
    if judged:
        lines += _table(["target", "", "wanted", "measured"], judged)
    return "\n".join(lines)
