"""docs/watching.md names every metric that the server has, and none that it has not."""

from __future__ import annotations

import re
from pathlib import Path

from penstock.api.metrics import Metrics
from penstock.domain.engines import EngineLink
from tests.clock import ManualClock
from tests.domain import kit

PAGE = Path(__file__).resolve().parent.parent / "docs" / "watching.md"


async def test_the_page_has_every_number_and_no_other() -> None:
    async with kit.opened() as live:
        families = {family.name for family in Metrics(live, EngineLink(), 10, ManualClock().monotonic).families()}
    assert len(families) > 15
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `penstock_")]
    named = {name for row in rows for name in re.findall(r"`(penstock_\w+)`", row.split("|")[1])}
    assert named == families
