from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from bench.results import Fanout, Result
from bench.run import Case, _measure
from tests.bench.test_bench_report import FANOUT, KICK


def case_of(*results: Result) -> tuple[Case, Iterator[Result]]:
    left = iter(results)
    return Case("a case", lambda: next(left)), left


def disturbed(share: float) -> Fanout:
    return dataclasses.replace(FANOUT, foreign_share=share)


def test_a_disturbed_case_is_measured_again_until_it_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    case, left = case_of(disturbed(0.3), disturbed(0.06), disturbed(0.05), disturbed(0.0))
    assert _measure(case, 0.05) == disturbed(0.05)
    assert list(left) == [disturbed(0.0)]
    assert capsys.readouterr().out.count("again") == 2


def test_the_fourth_result_stands_however_disturbed_it_is() -> None:
    case, left = case_of(*[disturbed(share) for share in (0.5, 0.4, 0.3, 0.6, 0.0)])
    assert _measure(case, 0.05) == disturbed(0.6)
    assert list(left) == [disturbed(0.0)]


def test_by_default_nothing_is_measured_twice() -> None:
    case, left = case_of(disturbed(0.99), KICK)
    assert _measure(case, 1.0) == disturbed(0.99)
    assert _measure(case, 0.0) == KICK
    assert list(left) == []
