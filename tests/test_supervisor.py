"""A child that does not live is started again, less and less often."""

from __future__ import annotations

import asyncio
import logging

import pytest

from penstock import supervisor
from penstock.supervisor import Child

DEADLINE_S = 20.0


async def pauses(caplog: pytest.LogCaptureFixture, count: int) -> list[str]:
    """What is said of the pauses before the first `count` new starts of a child that ends at once."""
    child = Child("short", ["/bin/false"], b"", [])
    child.start()
    try:
        async with asyncio.timeout(DEADLINE_S):
            while len(caplog.records) < count:  # noqa: ASYNC110  a log line sets no event
                await asyncio.sleep(0)
    finally:
        await child.stop()
    return [record.getMessage().partition("it is started again")[2] for record in caplog.records[:count]]


async def test_a_child_that_does_not_live_is_started_less_and_less_often(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.ERROR, "penstock.supervisor")
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE_S", 0.03)
    assert await pauses(caplog, 5) == ["", " in 0.01 s", " in 0.02 s", " in 0.03 s", " in 0.03 s"]


async def test_one_that_was_well_is_started_again_at_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.ERROR, "penstock.supervisor")
    monkeypatch.setattr(supervisor, "WELL_AFTER_S", 0.0)
    assert await pauses(caplog, 4) == ["", "", "", ""]
