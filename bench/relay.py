"""Relays: what a task costs in the engine, in a worker, and in an `ffmpeg -c copy` of its own.

All pull one stream of 2 Mbit/s, once a task, from a Penstock server, and push it by RTMP to nginx-rtmp, a name each.
The engine and ffmpeg pull by HTTP-FLV, workers by HLS, as the engine leaves nothing else to them. Source, target and
publisher have the load's core, what relays has the other.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import workshop
from bench.measure import Setup, publishing
from bench.processes import BenchError, Child, core_busy_s, cpu_s
from bench.results import Relaying
from bench.servers import APP, STREAM, NginxRtmp, Penstock, Running, running

WORKERS = "penstock-workers"
RELAYS = ("penstock", WORKERS, "ffmpeg")
_READY_S = 30.0
_GRACE_S = 120.0
# From one task's start to the next, so that they do not all connect in the same moment.
_APART_S = 0.1


def relays(setup: Setup, name: str, tasks: int, repeat: int) -> Relaying:
    """`tasks` relays of one stream, each with a connection of its own to either end.

    Raises:
        BenchError: a server or a relay did not start, or did not last.
    """
    folder = setup.folder / f"relay-{name}-{tasks}-{repeat}"
    seconds = setup.warm_s + setup.seconds + tasks * _APART_S + _GRACE_S
    with ExitStack() as held:
        origin = held.enter_context(running(Penstock("penstock", "low"), folder / "origin", setup.load_core))
        target = held.enter_context(running(NginxRtmp(), folder / "target", setup.load_core))
        held.enter_context(publishing(setup, origin, seconds=seconds))
        time.sleep(2.5)  # so that a whole GOP is cached
        start = _by_ffmpeg if name == "ffmpeg" else _by_penstock
        source = _source(origin, "m3u8" if name == WORKERS else "flv")
        children, base_kib = start(held, setup, folder, source, _target(target), tasks)
        time.sleep(setup.warm_s)
        return _measured(setup, name, tasks, repeat, children, base_kib)


def _source(origin: Running, form: str) -> str:
    return f"http://127.0.0.1:{origin.ports.http}/{APP}/{STREAM}.{form}?vhost={origin.server.vhost}"


def _target(target: Running) -> str:
    return f"rtmp://127.0.0.1:{target.ports.rtmp}/{APP}/out"


def _by_penstock(
    held: ExitStack, setup: Setup, folder: Path, source: str, target: str, tasks: int
) -> tuple[list[Child], float]:
    """One process with all tasks, and of HLS a worker for each; what it takes without any is not theirs."""
    command = [sys.executable, "-m", "bench.relaying", str(tasks), source, target]
    if ".m3u8" in source:
        command.append(str(folder))
    child = held.enter_context(
        Child(command, core=setup.server_core, log=folder / "relays.log", cwd=workshop.HERE.parent, talks=True)
    )
    child.event(_READY_S)
    base_kib = pss_kib(child.pids())
    child.interrupt()  # begin
    child.event(_READY_S + tasks * _APART_S)
    return [child], base_kib


def _by_ffmpeg(
    held: ExitStack, setup: Setup, folder: Path, source: str, target: str, tasks: int
) -> tuple[list[Child], float]:
    ffmpeg = workshop.need("ffmpeg", "it is what relays are compared with")
    children = []
    for number in range(tasks):
        command = [ffmpeg, "-nostdin", "-v", "error", "-i", source, "-c", "copy", "-f", "flv", f"{target}{number}"]
        log = folder / f"ffmpeg-{number}.log"
        children.append(held.enter_context(Child(command, core=setup.server_core, log=log)))
        time.sleep(_APART_S)
    time.sleep(_READY_S / 6)  # it looks at five seconds of a stream before it sends
    return children, 0.0


def _measured(setup: Setup, name: str, tasks: int, repeat: int, children: Sequence[Child], base_kib: float) -> Relaying:
    for child in children:
        child.must_run()
    pids = [pid for child in children for pid in child.pids()]
    start, used, busy = time.monotonic(), cpu_s(pids), core_busy_s(setup.server_core)
    time.sleep(setup.seconds)
    used, busy = cpu_s(pids) - used, core_busy_s(setup.server_core) - busy
    window_s = time.monotonic() - start
    memory_kib = pss_kib(pids)
    for child in children:
        child.must_run()
    return Relaying(
        server=name,
        tasks=tasks,
        repeat=repeat,
        cpu_ms=1e3 * used / window_s / tasks,
        cpu_share=used / window_s,
        memory_kib=(memory_kib - base_kib) / tasks,
        base_kib=base_kib,
        foreign_share=max(0.0, (busy - used) / window_s),
    )


def pss_kib(pids: Sequence[int]) -> float:
    """Memory of these processes; what they share with others counts by its share alone."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    if not total:
        raise BenchError("the kernel tells no memory of the relays' processes")
    return float(total)
