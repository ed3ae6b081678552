"""The page on relays has the states as the server's table has them."""

from __future__ import annotations

from pathlib import Path

from tools.relay_states import diagram

PAGE = Path(__file__).resolve().parent.parent / "docs" / "relays.md"


def test_the_diagram_of_states_is_that_of_the_table() -> None:
    assert diagram() in PAGE.read_text(encoding="utf-8"), "paste what tools.relay_states.diagram() gives"
