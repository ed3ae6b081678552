"""Measure live-streaming servers under the same load, side by side; see bench/README.md for what the numbers mean.

python -m bench.run                       everything, with the targets at the end; some 10 minutes
python -m bench.run fanout --players 300 --seconds 5 --servers penstock,nginx-rtmp
python -m bench.run ingest --publishers 200,400,600
python -m bench.run kick --attached 500 --rounds 30
python -m bench.run api --seconds 5
python -m bench.run hls --players 2000    players of HLS, and what cutting a stream costs
python -m bench.run relay --tasks 20,50   relays in the engine, beside an ffmpeg for each
python -m bench.run sdk                   what importing the SDK and calling by it cost; a minute
python -m bench.run report FILE           the tables of an earlier run again
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench import hls, relay, report, sdk, workshop
from bench.api import CALLS_PER_S, api, under_calls
from bench.api_targets import TARGETS
from bench.callers import CALLERS, OPERATIONS
from bench.control import CONTROLS
from bench.kick import kick
from bench.measure import Setup, fanout, ingest
from bench.processes import BenchError
from bench.results import Call, Import, Kick, Result, decode, encode
from bench.servers import SERVERS, WITH_API, Server

FEW, MANY = 1000, 4000  # the numbers of players at which the targets are set
WATCHING, PACKING = 2000, 150  # players of HLS, and publishers that are cut into segments
_TRIES = 4  # for a case that others disturb


@dataclass(frozen=True)
class Case:
    """One measurement to make."""

    what: str
    make: Callable[[], Result]


def _names(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in SERVERS:
            raise argparse.ArgumentTypeError(f"no server is called {name}; there are {', '.join(SERVERS)}")
    return names


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", default="all",
                        choices=["all", "fanout", "ingest", "kick", "api", "hls", "relay", "sdk", "report"],
                        help="which measurement; all by default")  # fmt: skip
    parser.add_argument("file", nargs="?", type=Path, help="report: the JSON lines of an earlier run")
    add = parser.add_argument
    add("--servers", type=_names, default=list(SERVERS), metavar="A,B", help=f"of {', '.join(SERVERS)}")
    add("--protocols", type=lambda text: text.split(","), default=["flv", "rtmp"], metavar="A,B", help="of flv, rtmp")
    add("--players", type=_numbers, metavar="N,...", help=f"fanout: {FEW}; in `all` also {MANY} by FLV from penstock")
    add("--publishers", type=_numbers, default=[200, 400, 600], metavar="K,...", help="ingest (200,400,600)")
    add("--attached", type=int, default=500, metavar="N", help="kick: players attached (%(default)s)")
    add("--tasks", type=_numbers, default=[20], metavar="N,...", help="relay: how many at once (20)")
    add("--rounds", type=int, default=40, metavar="N", help="kick: how often (%(default)s)")
    add("--repeat", type=int, default=1, metavar="N", help="every case so often, in turns (%(default)s)")
    add("--seconds", type=float, default=10, metavar="S", help="length of the measured window (%(default)s)")
    add("--warm", type=float, default=3, metavar="S", help="seconds of full load before it (%(default)s)")
    add("--ramp", type=float, default=400, metavar="R", help="players joining per second (%(default)s)")
    add("--sample", type=int, default=20, metavar="N", help="players that parse what they get (%(default)s)")
    add("--chunk", type=int, default=4096, metavar="N", help="the publishers' RTMP chunk size (%(default)s)")
    add("--foreign", type=float, default=1.0, metavar="SHARE",
        help=f"a case in which others used more of the server's core is measured again, up to {_TRIES} times in all "
        "(1: never)")  # fmt: skip
    add("--server-core", type=int, default=0, metavar="C", help="core of the server under test (%(default)s)")
    add("--load-core", type=int, default=1, metavar="C", help="core of publishers and players (%(default)s)")
    add("--out", type=Path, metavar="FILE", help="JSON lines, a result each (bench/.work/results-<time>.jsonl)")
    add("--markdown", type=Path, metavar="FILE", help="write the tables there too")
    return parser


def _fanout_cases(options: argparse.Namespace, setup: Setup, repeat: int) -> Iterator[Case]:
    wanted = [(name, p, n) for n in options.players or [FEW] for p in options.protocols for name in options.servers]
    if options.what == "all" and not options.players and "penstock" in options.servers:
        wanted.append(("penstock", "flv", MANY))
    for name, protocol, players in wanted:
        if protocol in SERVERS[name].protocols:
            yield Case(
                f"fanout: {name}, {players} players by {protocol}",
                lambda s=SERVERS[name], p=protocol, n=players: fanout(setup, s, p, n, repeat),  # type: ignore[misc]
            )


def _ingest_cases(options: argparse.Namespace, setup: Setup, repeat: int) -> Iterator[Case]:
    for publishers in options.publishers:
        for server in _ingest_servers(options):
            yield Case(
                f"ingest: {server.name}, {publishers} publishers",
                lambda s=server, k=publishers: ingest(setup, s, k, repeat),  # type: ignore[misc]
            )


def _ingest_servers(options: argparse.Namespace) -> list[Server]:
    """Servers that differ in how they take media in; the flush policy is a matter of players only."""
    return [SERVERS[name] for name in options.servers if name != "penstock-normal"]


def _kick_cases(options: argparse.Namespace, setup: Setup) -> Iterator[Case]:
    for name in options.servers:
        if name not in CONTROLS:
            continue
        yield Case(
            f"kick: {name}, {options.attached} players attached",
            lambda s=SERVERS[name]: kick(setup, s, options.attached, options.rounds),  # type: ignore[misc]
        )


def _api_cases(options: argparse.Namespace, setup: Setup, repeat: int) -> Iterator[Case]:
    for target in TARGETS:
        yield Case(f"api: {target.name}", lambda t=target: api(setup, t, repeat))  # type: ignore[misc]
    for rate in (0, CALLS_PER_S):
        yield Case(
            f"api: {FEW} players by flv, and {rate} calls a second",
            lambda r=rate: under_calls(setup, FEW, r, repeat),  # type: ignore[misc]
        )
    if repeat == 0:
        yield Case(
            f"api: a kick by ForbidStream, {options.attached} players attached",
            lambda: kick(setup, WITH_API, options.attached, options.rounds),
        )


def _hls_cases(options: argparse.Namespace, setup: Setup, repeat: int) -> Iterator[Case]:
    names = [name for name in options.servers if name in hls.WATCHED]
    for players in options.players if options.what == "hls" and options.players else [WATCHING]:
        for name in names:
            yield Case(
                f"hls: {name}, {players} players",
                lambda n=name, p=players: hls.watch(setup, n, p, repeat),  # type: ignore[misc]
            )
    for name in names:
        for is_packed in (False, True):
            yield Case(
                f"hls: {name}, {PACKING} publishers {'cut into segments' if is_packed else 'taken in alone'}",
                lambda n=name, p=is_packed: hls.packing(setup, n, PACKING, repeat, is_packed=p),  # type: ignore[misc]
            )


def _relay_cases(options: argparse.Namespace, setup: Setup, repeat: int) -> Iterator[Case]:
    for tasks in options.tasks:
        for name in relay.RELAYS:
            yield Case(
                f"relay: {tasks} tasks by {name}",
                lambda n=name, t=tasks: relay.relays(setup, n, t, repeat),  # type: ignore[misc]
            )


def _sdk_cases(options: argparse.Namespace, setup: Setup) -> Iterator[Case]:
    for statement in sdk.STATEMENTS:
        yield Case(f"sdk: {statement}", lambda s=statement: sdk.imported(s))  # type: ignore[misc]
    for repeat in range(max(options.repeat, sdk.ROUNDS)):
        for operation in OPERATIONS:
            for caller in CALLERS:
                yield Case(
                    f"sdk: {operation} by {caller}",
                    lambda c=caller, o=operation, r=repeat: sdk.called(setup, c, o, r),  # type: ignore[misc]
                )


def _plan(options: argparse.Namespace, setup: Setup) -> list[Case]:
    """All cases; servers alternate within each repeat, so that a drift of the machine meets all of them."""
    cases: list[Case] = []
    for repeat in range(options.repeat):
        if options.what in ("all", "fanout"):
            cases += _fanout_cases(options, setup, repeat)
        if options.what in ("all", "ingest"):
            cases += _ingest_cases(options, setup, repeat)
        if options.what in ("all", "api"):
            cases += _api_cases(options, setup, repeat)
        if options.what in ("all", "hls"):
            cases += _hls_cases(options, setup, repeat)
        if options.what in ("all", "relay"):
            cases += _relay_cases(options, setup, repeat)
    if options.what in ("all", "kick"):
        cases += _kick_cases(options, setup)
    if options.what in ("all", "sdk"):
        cases += _sdk_cases(options, setup)
    return cases


def _header() -> str:
    """What a later reader of the results must know of the machine."""
    models = {
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    }
    facts = {
        "kind": "run",
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": ", ".join(sorted(models)) or platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }
    return json.dumps(facts)


def _measure(case: Case, foreign: float) -> Result:
    """The first result of `case` that others disturbed by no more than `foreign`, or else the last one.

    Raises:
        BenchError: it cannot be measured.
    """
    for _ in range(_TRIES - 1):
        result = case.make()
        if isinstance(result, Kick | Import | Call) or result.foreign_share <= foreign:
            return result
        print(f"  {result.line()}\n  others used {result.foreign_share:.0%} of the core; again ...", flush=True)
    return case.make()


def _run(cases: list[Case], out: Path, foreign: float) -> tuple[list[Result], int]:
    """Make the measurements, one after the other; what cannot be made is said and counted."""
    results: list[Result] = []
    failures = 0
    with out.open("w") as lines:
        print(_header(), file=lines, flush=True)
        for number, case in enumerate(cases, 1):
            print(f"[{number}/{len(cases)}] {case.what} ...", flush=True)
            try:
                result = _measure(case, foreign)
            except BenchError as error:
                failures += 1
                print(f"  could not be measured: {error}", flush=True)
            except KeyboardInterrupt:
                print("\nstopped; what was measured until here follows", flush=True)
                return results, failures + 1
            else:
                results.append(result)
                print(encode(result), file=lines, flush=True)
                print(f"  {result.line()}", flush=True)
    return results, failures


def _prepare(options: argparse.Namespace) -> Setup:
    """Settle this process and its children: cores, limits, signals, a clean folder for logs."""
    workshop.need("taskset", "it keeps server and load on cores of their own")
    if options.what != "sdk":
        workshop.load_generator()
    if options.what != "sdk":
        workshop.sample()
    sdk.environment()
    if {options.server_core, options.load_core} - os.sched_getaffinity(0):
        raise BenchError("--server-core and --load-core must be cores of this machine")
    os.sched_setaffinity(0, {options.load_core})  # the runner, too, stays off the server's core
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # Both end the run in order; a shell's background job would ignore the first if not told.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    folder = workshop.WORK / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return Setup(
        folder=folder, server_core=options.server_core, load_core=options.load_core, seconds=options.seconds,
        warm_s=options.warm, ramp=options.ramp, sample=options.sample, chunk=options.chunk,
    )  # fmt: skip


def _publish_tables(results: list[Result], path: Path | None) -> None:
    tables = report.markdown(results)
    print("\n" + tables)
    if path:
        path.write_text(tables + "\n")


def main(words: list[str] | None = None) -> int:
    """The command; returns its exit code: 0 if every case was measured."""
    options = _parser().parse_args(words)
    if options.what == "report":
        if options.file is None:
            _parser().error("report needs the FILE of an earlier run")
        _publish_tables([r for line in options.file.read_text().splitlines() if (r := decode(line))], options.markdown)
        return 0
    try:
        setup = _prepare(options)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 2
    out = options.out or workshop.WORK / f"results-{time.strftime('%Y%m%d-%H%M%S')}.jsonl"
    results, failures = _run(_plan(options, setup), out, options.foreign)
    _publish_tables(results, options.markdown)
    print(f"results: {out}; logs: {setup.folder}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
