"""Prometheus' text, read back by Prometheus' own parser."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from penstock.api.exposition import Family, Sample, encode


def test_a_family_is_its_help_its_type_and_a_line_for_each_number() -> None:
    family = Family("x_total", "counter", "What\nis \\ this.", [Sample(3, {"code": "423", "why": 'a"b'}), Sample(0.25)])
    assert encode([family, Family("y", "gauge", "Nothing.", [])]) == (
        '# HELP x_total What\\nis \\\\ this.\n# TYPE x_total counter\nx_total{code="423",why="a\\"b"} 3\nx_total 0.25\n'
    )


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (2.0, "2"), (1e300, None), (math.inf, "+Inf"), (-math.inf, "-Inf"), (1.5e-7, None)]
)
def test_numbers_lose_nothing(value: float, text: str | None) -> None:
    line = encode([Family("x", "gauge", "X.", [Sample(value)])]).splitlines()[-1]
    assert float(line.removeprefix("x ")) == value
    assert text is None or line == f"x {text}"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_may_be_a_label(text: str) -> None:
    encoded = encode([Family("x", "gauge", "X.", [Sample(1, {"name": text})])])
    assert encoded.count("\n") == 3
    (family,) = text_string_to_metric_families(encoded)
    assert family.samples[0].labels == {"name": text}
