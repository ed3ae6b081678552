"""The soak: its load does what it says, and its verdict sees what grows."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.soak import MORE_BYTES_A_NAME, MORE_DESCRIPTORS, MORE_MIB, Sample, judge, report, soak
from penstock.testing import Server

NAMES = 100_000
PER_NAME_MIB = MORE_BYTES_A_NAME * NAMES / 2**20


def samples(*, mib_more: float = 0.0, descriptors_more: int = 0) -> list[Sample]:
    """A hundred of a process that holds so much more at the end, evenly."""
    return [
        Sample(
            at_s=float(at),
            names=at * NAMES // 99,
            rss_mib={"engine": 40.0 + mib_more * at / 99},
            descriptors={"engine": 20 + descriptors_more * at // 99},
            connections=0,
        )
        for at in range(100)
    ]


@pytest.mark.parametrize(
    ("mib_more", "descriptors_more", "is_flat"),
    [
        (0.0, 0, True),
        (MORE_MIB + PER_NAME_MIB, MORE_DESCRIPTORS, True),
        (2 * PER_NAME_MIB + 3 * MORE_MIB, 0, False),
        (0.0, 3 * MORE_DESCRIPTORS, False),
        (-20.0, -10, True),
    ],
)
def test_what_grows_is_seen_and_what_sways_is_not(mib_more: float, descriptors_more: int, is_flat: bool) -> None:
    (verdict,) = judge(samples(mib_more=mib_more, descriptors_more=descriptors_more))
    assert verdict.is_flat == is_flat


def test_a_spike_in_the_middle_is_no_growth() -> None:
    told = samples()
    told[50] = Sample(at_s=50.0, names=50, rss_mib={"engine": 500.0}, descriptors={"engine": 9000}, connections=0)
    assert judge(told)[0].is_flat


async def test_a_short_soak_begins_ends_and_refuses_streams_and_tells_of_each_process(tmp_path: Path) -> None:
    with Server(tmp_path, {"media": {"idle_timeout_s": 1, "keep_players_s": 0}}) as server:
        told, counts = await soak(server, names=60, seconds=2.0)
    assert counts.begun + counts.refused == 60
    assert counts.failed == 0
    assert counts.refused == counts.not_there > 0
    assert counts.played_bytes > 0
    lines = list(report(told, counts))
    assert [line.partition(":")[0] for line in lines[-3:]] == ["supervisor", "engine", "control"]
