"""`kill -9` at a random moment: whatever was acknowledged is there afterwards, and the file is whole."""

from __future__ import annotations

import multiprocessing
import random
import sqlite3
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from penstock.model import StreamId
from penstock.storage.rows import BanQuery
from penstock.storage.sql import SqlStore
from tests.storage.kit import NOW, at
from tests.storage.writer import write

ROUNDS = 20

# Forks from a clean process that has loaded the code: a round costs no start of an interpreter.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.storage.writer"])

Told = list[tuple[str, int]]


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_whatever_was_acknowledged_survives_kill_9(number: int, life: Life) -> None:
    told = life.one_round(number)
    life.told += told
    assert sqlite3.connect(life.path).execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    store = await SqlStore.open(life.path)
    bans = {ban.stream.stream: ban for ban in (await store.bans(BanQuery(now=NOW))).rows}
    sessions = {f"pair{session.epoch}" for session in await store.open_sessions()}
    await store.close()
    # All that was acknowledged in this round and in every one before.
    assert {f"{what}{number}" for what, number in life.told if what in ("ban", "pair")} <= bans.keys()
    # Each pair is whole, acknowledged or not.
    assert sessions == {name for name in bans if name.startswith("pair")}
    moves = [number for what, number in told if what == "move"]
    if moves:
        assert bans["moving"].stream == StreamId("demo", "live", "moving")
        assert bans["moving"].changed_at >= at(moves[-1])


class Life:
    """One file over all rounds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: Told = []

    def one_round(self, number: int) -> Told:
        """Start a writer, kill it after a while, and return what it acknowledged."""
        heard, teller = PROCESSES.Pipe(duplex=False)
        writer = PROCESSES.Process(target=write, args=(self.path, number * 1_000_000 + 1, teller))
        writer.start()
        teller.close()
        assert heard.recv() == ("ready", 0)
        time.sleep(random.Random(number).uniform(0.0, 0.12))
        writer.kill()
        told = list(drained(heard))
        writer.join()
        return told


def drained(heard: Connection) -> Iterator[tuple[str, int]]:
    try:
        while True:
            yield heard.recv()
    except EOFError:
        return  # what was not said whole was not said


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    life = Life(tmp_path_factory.mktemp("killed") / "penstock.db")
    yield life
    assert len(life.told) > 10 * ROUNDS
