"""Work that is done again and again: one fault is logged, and stops nothing else."""

from __future__ import annotations

import pytest

from penstock.app.timers import each


def test_one_that_fails_keeps_none_of_the_others_from_being_done(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []

    def fails() -> None:
        raise AssertionError("a fault")

    each((lambda: done.append("first"), fails, lambda: done.append("last")))
    assert done == ["first", "last"]
    (line,) = caplog.records
    assert line.exc_info is not None
