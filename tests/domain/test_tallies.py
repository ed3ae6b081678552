"""Totals for monitoring: by words, by time, and bounded whatever the words are."""

from __future__ import annotations

from penstock.domain.tallies import MAX_SETS, OTHER, Counts, Histogram, Tallies
from penstock.link.messages import EndReason


def test_a_count_goes_by_its_words_and_what_is_known_is_there_from_the_start() -> None:
    counts = Counts([("left",)])
    counts.add("lost")
    counts.add("lost", by=2)
    assert dict(counts) == {("left",): 0, ("lost",): 3}


def test_beyond_the_bound_new_words_count_together_and_no_count_is_lost() -> None:
    counts = Counts()
    for number in range(MAX_SETS + 500):
        counts.add("kingsoft", f"Action{number}")
    counts.add("kingsoft", "Action0")
    assert len(counts) == MAX_SETS + 1
    assert counts["kingsoft", "Action0"] == 2
    assert counts[OTHER, OTHER] == 500
    assert sum(total for _, total in counts) == MAX_SETS + 501


def test_a_histogram_counts_up_to_each_bound_that_bound_included() -> None:
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.10001, 1.0, 7.0):
        histogram.observe(seconds)
    assert histogram.up_to() == [2, 4]
    assert histogram.count == 5
    assert round(histogram.sum_s, 5) == 8.25001


def test_every_end_has_its_count_before_the_first_and_a_failed_write_counts_as_one() -> None:
    tallies = Tallies()
    assert {words for words, _ in tallies.ended} == {(str(reason),) for reason in EndReason}
    tallies.wrote(0.002, True)
    tallies.wrote(9.0, False)
    assert (tallies.writes_s.count, tallies.failed_writes) == (2, 1)
