"""How long from the command that drops a stream to the close of its sockets, with players attached to it."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass

from bench.control import CONTROLS, Control
from bench.measure import Setup, load, publishing
from bench.processes import BenchError, Event
from bench.results import Kick
from bench.servers import STREAM, Running, Server, running

_WAIT_S = 3.0  # from the players' arrival until those still attached count as left open
_START_S = 30.0


@dataclass(frozen=True)
class _Round:
    """Milliseconds after the command; None if it did not happen."""

    answer: float
    publisher: float | None
    first_player: float | None
    last_player: float | None
    left_open: int


def kick(setup: Setup, server: Server, attached: int, rounds: int) -> Kick:
    """`rounds` times: a publisher, `attached` players, the command, and the moments when sockets close.

    Raises:
        BenchError: the server did not start, or did not close the publisher when told to.
    """
    folder = setup.folder / f"kick-{server.name}-{attached}"
    protocol = "flv" if "flv" in server.protocols else "rtmp"
    with running(server, folder, setup.server_core) as at:
        done = asyncio.run(_rounds(setup, at, protocol, attached, rounds))
    publisher = _sorted(r.publisher for r in done)
    answers = _sorted(r.answer for r in done)
    first, last = _sorted(r.first_player for r in done), _sorted(r.last_player for r in done)
    if len(publisher) < rounds:
        raise BenchError(f"the publisher was closed in {len(publisher)} of {rounds} rounds")
    return Kick(
        server=server.name,
        protocol=protocol,
        attached=attached,
        rounds=rounds,
        publisher_p50_ms=quantile(publisher, 0.5),
        publisher_p99_ms=quantile(publisher, 0.99),
        first_player_p50_ms=quantile(first, 0.5),
        last_player_p50_ms=quantile(last, 0.5),
        last_player_p99_ms=quantile(last, 0.99),
        answer_p50_ms=quantile(answers, 0.5),
        answer_p99_ms=quantile(answers, 0.99),
        left_open=sum(r.left_open for r in done),
    )


async def _rounds(setup: Setup, at: Running, protocol: str, attached: int, rounds: int) -> list[_Round]:
    control = CONTROLS[at.server.name](at)
    done = []
    for number in range(rounds):
        done.append(await _round(setup, at, control, protocol, attached))
        if sys.stdout.isatty():
            print(f"  round {number + 1} of {rounds}", end="\r", flush=True)
    return done


async def _round(setup: Setup, at: Running, control: Control, protocol: str, attached: int) -> _Round:
    """The generator's processes are in their own processes, with this one's clock: nothing here delays theirs."""
    with publishing(setup, at, seconds=_START_S + _WAIT_S) as publisher:
        words = ["--port", at.ports.of(protocol), "--protocol", protocol, "--count", attached, "--ramp", 2000]
        words += ["--sample", 0, "--settle", 10, "--until-closed", 1, "--duration", _WAIT_S]
        with load(setup, at, "play", *words) as play:
            there = await asyncio.to_thread(play.event, _START_S)
            if there["players"] < attached or there["never_started"]:
                raise BenchError(f"of {attached} players {there['players']} were there: {there}")
            # At no fixed distance from a picture or a flush.
            await asyncio.sleep(random.uniform(0.1, 0.4))
            await control.prepare()
            commanded_ns = time.monotonic_ns()
            await control.drop(STREAM)
            answered_ns = time.monotonic_ns()
            control.release()
            closed = await asyncio.to_thread(play.event, _WAIT_S + 10)
        publisher.interrupt()
        published = await asyncio.to_thread(publisher.event, 10.0)
    return _Round(
        answer=(answered_ns - commanded_ns) / 1e6,
        publisher=_after(commanded_ns, published, "first_closed_ns"),
        first_player=_after(commanded_ns, closed, "first_closed_ns"),
        last_player=_after(commanded_ns, closed, "last_closed_ns"),
        left_open=closed["players"] - closed["closed"],
    )


def _after(start_ns: int, event: Event, field: str) -> float | None:
    at_ns: int = event[field]
    return (at_ns - start_ns) / 1e6 if at_ns else None


def _sorted(values: Iterable[float | None]) -> list[float]:
    return sorted(value for value in values if value is not None)


def quantile(ordered: list[float], part: float) -> float:
    """The value at `part` of the way through an ordered list, rounding up: a p99 of few is their worst; -1 of none."""
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else -1.0
