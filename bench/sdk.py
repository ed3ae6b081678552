"""The SDK's price: what importing it takes, and what a call costs beside httpx2 alone and the cloud's own SDK."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from statistics import median

from bench import workshop
from bench.measure import Setup
from bench.processes import BenchError, Child
from bench.results import Call, Import

STATEMENTS = ("import penstock", "from penstock import Kingsoft", "import httpx2", "import kscore.session")
ROUNDS = 5  # of calls, at least: they are short
_CALLS = 2000
_RUNS = 25  # interpreters started for each statement
_WAIT_S = 60.0


def imported(statement: str) -> Import:
    """Start interpreters with and without `statement`, in turns.

    Raises:
        BenchError: it fails.
    """
    bare, with_it = [], []
    for _ in range(_RUNS):
        bare.append(_start_s("pass"))
        with_it.append(_start_s(statement))
    return Import(
        statement=statement,
        runs=_RUNS,
        above_ms=1e3 * (median(with_it) - median(bare)),
        bare_ms=1e3 * median(bare),
    )


def _start_s(statement: str) -> float:
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", statement], capture_output=True, text=True, check=False)
    passed = time.perf_counter() - start
    if done.returncode != 0:
        raise BenchError(f"{statement}: {done.stderr.strip()[-300:]}")
    return passed


def called(setup: Setup, caller: str, operation: str, repeat: int) -> Call:
    """Calls over one kept connection, from the load's core to a canned server on the other.

    Raises:
        BenchError: server or caller ended before its time.
    """
    folder = setup.folder / f"sdk-{caller}-{operation}-{repeat}"
    folder.mkdir(parents=True)
    home = workshop.HERE.parent
    with Child(
        [sys.executable, "-m", "bench.canned"], core=setup.server_core, log=folder / "server.log", cwd=home, talks=True
    ) as server:
        port = server.event(_WAIT_S)["port"]
        command = [sys.executable, "-m", "bench.callers", caller, operation, str(port), str(_CALLS)]
        with Child(command, core=setup.load_core, log=folder / "caller.log", cwd=home, talks=True) as running:
            found = running.event(_WAIT_S)
    return Call(caller=caller, operation=operation, repeat=repeat, calls=_CALLS, **found)


def environment() -> None:
    """Take away what would send a client elsewhere: proxies of the environment."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        os.environ.pop(name, None)
        os.environ.pop(name.upper(), None)
