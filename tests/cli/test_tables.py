"""Text for people: aligned, harmless, and in colour on a terminal alone."""

from __future__ import annotations

import io
import sys
from datetime import datetime, timedelta, timezone

import pytest

from penstock.cli import tables


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    text = tables.table(("NAME", "IN"), [("a", 5), ("longer", 12_000)], right=("IN",))
    assert text == "NAME       IN\na           5\nlonger  12000"


def test_wide_letters_take_two_columns_and_combining_ones_none() -> None:
    assert tables.table(("A", "B"), [("直播", 1), ("é", 2)]).split("\n") == ["A     B", "直播  1", "é     2"]


def test_table_without_rows_is_its_headings() -> None:
    assert tables.table(("A", "BC"), []) == "A  BC"


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, "-"),
        ("", "-"),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        (2.55, "2.5"),
        (datetime(2027, 1, 1, 8, tzinfo=timezone(timedelta(hours=8))), "2027-01-01 00:00:00"),
        ("\x1b[2Jboo", r"\x1b[2Jboo"),
        ("a\nb\tc\x00", r"a\nb\tc\x00"),
        ("right\u202eleft", r"right\u202eleft"),
        ("lone \ud800", r"lone \ud800"),
    ],
)
def test_cell_is_one_line_that_does_nothing_to_a_terminal(cell: tables.Cell, text: str) -> None:
    assert tables.shown(cell) == text


def test_text_of_several_lines_keeps_them_and_nothing_else() -> None:
    assert tables.lines("POST\n\n\x1b[0m/") == "POST\n\n\\x1b[0m/"


def test_facts_leave_out_what_is_not_known() -> None:
    assert tables.facts([("stream", "cam"), ("agent", ""), ("size", None), ("in", 0)]) == "stream  cam\nin      0"
    assert tables.facts([]) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (-5, "0s"), (59.9, "59s"), (725, "12m 5s"), (3600, "1h 0m"), (90_061, "1d 1h")],
)
def test_duration_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert tables.duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (12_345_678, "12.3 MB"), (5e9, "5.0 GB"), (7e15, "7000.0 TB")],
)
def test_size_goes_by_powers_of_ten(count: float, text: str) -> None:
    assert tables.size(count) == text


@pytest.mark.parametrize(
    ("is_terminal", "environ", "expected"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(
    is_terminal: bool, environ: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", Terminal() if is_terminal else io.StringIO())
    assert ("\x1b[" in tables.table(("A",), [("x",)])) is expected
