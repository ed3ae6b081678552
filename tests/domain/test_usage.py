from __future__ import annotations

import pytest

from penstock.domain.usage import UsageLedger
from penstock.link.messages import Usage, UsageRow
from penstock.model import StreamId
from tests.clock import START
from tests.domain.kit import DEMO, OTHER


def row(
    size: int, *, stream: StreamId = DEMO, form: str = "flv", plays: int = 0, address: str = "192.0.2.1"
) -> UsageRow:
    return UsageRow(stream, form, address, "pull.demo.test", False, size, plays)


def usage(number: int, *rows: UsageRow) -> Usage:
    return Usage(number, START, START, rows)


def test_rows_add_up_by_stream_and_format() -> None:
    ledger = UsageLedger()
    ledger.take("engine", usage(1, row(100, plays=1), row(50, address="192.0.2.2", plays=2), row(7, form="rtmp")))
    ledger.take("engine", usage(2, row(1), row(30, stream=OTHER, plays=1)))
    assert ledger.bytes_down == {(DEMO, "flv"): 151, (DEMO, "rtmp"): 7, (OTHER, "flv"): 30}
    assert ledger.plays == {(DEMO, "flv"): 3, (DEMO, "rtmp"): 0, (OTHER, "flv"): 1}
    assert ledger.total_bytes_down == 188


def test_a_report_is_counted_once_however_often_it_is_said() -> None:
    ledger = UsageLedger()
    assert ledger.take("engine", usage(1, row(100)))
    assert ledger.take("engine", usage(2, row(10)))
    for number in (2, 1, 2):
        assert not ledger.take("engine", usage(number, row(1000)))
    assert ledger.total_bytes_down == 110


def test_numbers_that_a_merge_left_out_are_no_hindrance() -> None:
    ledger = UsageLedger()
    assert ledger.take("engine", usage(1, row(1)))
    assert ledger.take("engine", usage(9, row(2)))
    assert ledger.total_bytes_down == 3


def test_each_engine_counts_its_own_reports() -> None:
    ledger = UsageLedger()
    assert ledger.take("one", usage(5, row(1)))
    assert ledger.take("other", usage(1, row(2)))
    assert not ledger.take("one", usage(5, row(4)))
    assert ledger.total_bytes_down == 3


def test_a_report_without_rows_moves_the_number_alone() -> None:
    ledger = UsageLedger()
    assert ledger.take("engine", usage(1))
    assert not ledger.take("engine", usage(1, row(5)))
    assert ledger.total_bytes_down == 0


def test_names_without_end_fill_no_memory_and_are_in_the_totals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.domain.usage.MAX_STREAMS", 10)
    ledger = UsageLedger()
    for number in range(1, 101):
        name = StreamId("demo", "live", f"s{number}")
        ledger.take("engine", usage(number, row(1, stream=DEMO, plays=1), row(10, stream=name)))
    assert len(ledger.bytes_down) == len(ledger.plays) == 10
    # Who is heard of again and again stays.
    assert ledger.bytes_down[DEMO, "flv"] == ledger.plays[DEMO, "flv"] == 100
    assert (StreamId("demo", "live", "s100"), "flv") in ledger.bytes_down
    assert ledger.total_bytes_down == 1100
