"""CPU, memory and latency: `fanout` (one publisher, many players) and `ingest` (many publishers)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from bench import workshop
from bench.processes import BenchError, Child, Event, core_busy_s, cpu_s
from bench.results import Fanout, Ingest
from bench.servers import APP, STREAM, Running, Server, running

_GRACE_S = 60.0  # beyond a step's planned length, before it is given up


@dataclass(frozen=True)
class Setup:
    """What the measurements of one run have in common."""

    folder: Path  # logs and servers' files
    server_core: int = 0
    load_core: int = 1
    seconds: float = 10.0  # the measured window
    warm_s: float = 3.0
    settle_s: float = 20.0
    ramp: float = 400.0  # joins a second
    sample: int = 20  # players that parse
    chunk: int = 4096  # the publishers' chunk size


def load(setup: Setup, at: Running, name: str, *words: object) -> Child:
    """The load generator on its core, talking to the server's app."""
    common = ["--vhost", at.server.vhost, "--app", APP, "--stream", STREAM]
    command = [str(workshop.load_generator()), name, *common, *map(str, words)]
    return Child(command, core=setup.load_core, log=at.folder / f"{name}.log", talks=True)


@contextmanager
def publishing(setup: Setup, at: Running, *, count: int = 1, seconds: float) -> Iterator[Child]:
    """`count` publishers, all on air when the block begins."""
    words = ["--port", at.ports.rtmp, "--file", workshop.sample(), "--board", at.folder / "board"]
    words += ["--count", count, "--duration", seconds, "--chunk", setup.chunk]
    with load(setup, at, "publish", *words) as publisher:
        publisher.event(_GRACE_S)
        yield publisher


Beside = Callable[[Running], AbstractContextManager[None]]


def fanout(
    setup: Setup,
    server: Server,
    protocol: str,
    players: int,
    repeat: int,
    *,
    beside: Beside = lambda _: nullcontext(),
) -> Fanout:
    """One publisher and `players` players of its stream; `beside` is what else the server has to do meanwhile.

    Raises:
        BenchError: the server did not start, or did not take the publisher.
    """
    folder = setup.folder / f"fanout-{server.name}-{protocol}-{players}-{repeat}"
    length_s = players / setup.ramp + setup.settle_s + setup.warm_s + setup.seconds
    with (
        running(server, folder, setup.server_core) as at,
        publishing(setup, at, seconds=length_s + _GRACE_S) as publisher,
    ):
        time.sleep(2.5)  # so that a whole GOP is cached
        at.child.must_run()
        words = ["--port", at.ports.of(protocol), "--protocol", protocol, "--count", players, "--ramp", setup.ramp]
        words += ["--sample", setup.sample, "--settle", setup.settle_s, "--warm", setup.warm_s]
        words += ["--duration", setup.seconds, "--board", folder / "board"]
        words += ["--pids", ",".join(map(str, at.child.pids()))]
        with beside(at), load(setup, at, "play", *words) as play:
            played = play.event(length_s + _GRACE_S)
        summary = finished(publisher)
    if summary["closed_by_server"]:
        raise BenchError("the server closed the publisher's connection")
    return Fanout.of(server.name, repeat, played, summary, setup.server_core)


def finished(publisher: Child) -> Event:
    """End the publishers; return their summary."""
    publisher.interrupt()
    return publisher.event(10)


def ingest(setup: Setup, server: Server, publishers: int, repeat: int) -> Ingest:
    """`publishers` publishers, each of a stream that nobody plays.

    Raises:
        BenchError: the server did not start, or did not take them all.
    """
    folder = setup.folder / f"ingest-{server.name}-{publishers}-{repeat}"
    with (
        running(server, folder, setup.server_core) as at,
        publishing(setup, at, count=publishers, seconds=setup.warm_s + setup.seconds + _GRACE_S) as publisher,
    ):
        time.sleep(setup.warm_s)
        at.child.must_run()
        pids = at.child.pids()
        start, used, busy = time.monotonic(), cpu_s(pids), core_busy_s(setup.server_core)
        time.sleep(setup.seconds)
        used, busy = cpu_s(pids) - used, core_busy_s(setup.server_core) - busy
        window_s = time.monotonic() - start
        summary = finished(publisher)
    return Ingest.of(server.name, publishers, repeat, summary, cpu_share=used / window_s, busy_share=busy / window_s)
