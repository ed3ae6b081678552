"""What is written down, in order, together, and whatever fails."""

from __future__ import annotations

import asyncio
import logging

import pytest

from penstock.domain import journal
from penstock.domain.journal import Journal, Write
from penstock.domain.live import Live
from penstock.errors import Conflict
from penstock.storage.base import Records
from penstock.storage.rows import RefusalQuery
from tests.domain.kit import Gate, gated
from tests.storage.kit import DAY, NOW, refusal

DEADLINE_S = 5.0


def note(name: str) -> Write:
    async def write(records: Records) -> None:
        await records.put_refusals([refusal(stream=name)])

    return write


def fail(error: Exception) -> Write:
    async def write(records: Records) -> None:
        raise error

    return write


async def noted(live: Live) -> list[str]:
    query = RefusalQuery(since=NOW - DAY, until=NOW + DAY, newest_first=False)
    return [row.stream for row in (await live.store.refusals(query)).rows]


@pytest.fixture
def gate(live: Live) -> Gate:
    return gated(live)


async def done(*writes: asyncio.Future[bool]) -> list[bool]:
    async with asyncio.timeout(DEADLINE_S):
        return list(await asyncio.gather(*writes))


async def test_writes_are_done_in_the_order_in_which_they_were_put(live: Live) -> None:
    names = [f"s{number}" for number in range(50)]
    assert await done(*(live.journal.put(note(name)) for name in names)) == [True] * 50
    assert await noted(live) == names


async def test_the_future_tells_when_it_is_durable_and_not_before(live: Live, gate: Gate) -> None:
    gate.opened.clear()
    written = live.journal.put(note("a"))
    await gate.waiting.wait()
    assert not written.done()
    gate.opened.set()
    assert await done(written) == [True]
    assert await noted(live) == ["a"]


async def test_what_comes_while_one_is_written_goes_together_into_the_next(live: Live, gate: Gate) -> None:
    gate.opened.clear()
    first = live.journal.put(note("first"))
    await gate.waiting.wait()
    others = [live.journal.put(note(f"s{number}")) for number in range(100)]
    gate.opened.set()
    await done(first, *others)
    assert gate.begun == 2


async def test_a_transaction_has_a_bound(live: Live, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "BATCH", 10)
    names = [f"s{number}" for number in range(25)]
    await done(*(live.journal.put(note(name)) for name in names))
    assert gate.begun == 3
    assert await noted(live) == names


@pytest.mark.parametrize("error", [Conflict("at odds"), ZeroDivisionError("a bug")])
async def test_one_that_fails_takes_no_other_with_it(
    live: Live, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    puts = [live.journal.put(write) for write in (note("a"), fail(error), note("b"))]
    assert await done(*puts) == [True, False, True]
    assert await noted(live) == ["a", "b"]
    assert f"could not be written down: {error}" in caplog.text
    assert ("Traceback" in caplog.text) == isinstance(error, ZeroDivisionError)
    assert await done(live.journal.put(note("c"))) == [True]


async def test_without_a_disk_everything_is_given_up_and_told(
    live: Live, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    gate.fails = 100
    assert await done(*(live.journal.put(note(name)) for name in "ab")) == [False, False]
    assert caplog.text.count("could not be written down: the disk is full") == 2
    gate.fails = 0
    assert await done(live.journal.put(note("c"))) == [True]
    assert await noted(live) == ["c"]


async def test_written_waits_for_all_that_was_put_and_no_longer(live: Live, gate: Gate) -> None:
    await live.journal.written()
    assert gate.begun == 0
    gate.opened.clear()
    live.journal.put(note("a"))
    waiting = asyncio.create_task(live.journal.written())
    await gate.waiting.wait()
    await asyncio.sleep(0)
    assert not waiting.done()
    gate.opened.set()
    async with asyncio.timeout(DEADLINE_S):
        await waiting
    assert await noted(live) == ["a"]


async def test_written_is_no_failure_when_a_write_was(live: Live, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    live.journal.put(fail(Conflict("x")))
    async with asyncio.timeout(DEADLINE_S):
        await live.journal.written()


async def test_who_gives_up_waiting_stops_nothing(live: Live, gate: Gate) -> None:
    gate.opened.clear()
    written = live.journal.put(note("a"))
    await gate.waiting.wait()
    written.cancel()
    gate.opened.set()
    async with asyncio.timeout(DEADLINE_S):
        await live.journal.written()
    assert await noted(live) == ["a"]


async def test_a_journal_of_its_own_is_idle_until_something_is_put(live: Live) -> None:
    idle = Journal(live.store)
    assert idle._task is None
    await done(idle.put(note("a")))
    await asyncio.sleep(0)
    assert idle._task is None
