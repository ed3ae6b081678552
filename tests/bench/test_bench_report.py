"""Ratios and targets are judged within one run, at the number of players they are set for."""

from __future__ import annotations

import dataclasses

from bench.kick import quantile
from bench.report import markdown
from bench.results import Api, Fanout, Ingest, Kick, decode, encode

FANOUT = Fanout(
    server="nginx-rtmp", protocol="rtmp", players=1000, repeat=0, cpu_us=400, cpu_share=0.4, rss_kib=12, key_ms=500,
    latency_p50_ms=5, latency_p99_ms=16, latency_drift_ms=0, behind=0, gaps=0, share_min=1, share_median=1,
    load_share=0.3, foreign_share=0,
)  # fmt: skip
INGEST = Ingest(
    server="penstock", publishers=400, repeat=0, cpu_ms=1.4, cpu_share=0.56, projected=714, lag_kib=1, lag_max_kib=9,
    late_ms=2, closed=0, kept_up=True, load_share=0.3, foreign_share=0,
)  # fmt: skip
KICK = Kick(
    server="penstock", protocol="flv", attached=500, rounds=30, publisher_p50_ms=1, publisher_p99_ms=2,
    first_player_p50_ms=1, last_player_p50_ms=3, last_player_p99_ms=4, answer_p50_ms=1, left_open=0,
)  # fmt: skip
API = Api(
    server="penstock", connections=32, repeat=0, calls_per_s=9000, cpu_us=80, cpu_share=0.72, latency_p50_ms=2,
    latency_p99_ms=5, failed=0, load_share=0.2, foreign_share=0.2,
)  # fmt: skip
ECHO = dataclasses.replace(API, server="starlette", cpu_us=42)


def ours(**changes: object) -> Fanout:
    return dataclasses.replace(FANOUT, server="penstock", **changes)  # type: ignore[arg-type]


def verdict(text: str, target: str) -> str | None:
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith(f"| {target}")]
    return rows[0][1] if rows else None


def test_result_survives_its_json_line() -> None:
    assert [decode(encode(result)) for result in (FANOUT, INGEST, KICK, API)] == [FANOUT, INGEST, KICK, API]
    assert decode('{"kind": "run", "cores": 2}') is None


def test_ratio_is_of_medians_at_the_same_number_of_players() -> None:
    repeats = [ours(cpu_us=cpu) for cpu in (300, 320, 900)]
    assert verdict(markdown([FANOUT, *repeats]), "RTMP, 1,000") == "met"  # 320 / 400
    assert verdict(markdown([FANOUT, ours(cpu_us=380)]), "RTMP, 1,000") == "MISSED"
    assert verdict(markdown([dataclasses.replace(FANOUT, players=500), *repeats]), "RTMP, 1,000") is None


def test_one_lost_frame_misses_the_target_of_none() -> None:
    many = ours(protocol="flv", players=4000)
    assert verdict(markdown([many]), "FLV, 4,000") == "met"
    assert verdict(markdown([many, dataclasses.replace(many, gaps=1)]), "FLV, 4,000") == "MISSED"


def test_publishers_are_projected_only_from_where_the_server_kept_up() -> None:
    assert verdict(markdown([INGEST]), "publishers a core") == "met"
    assert verdict(markdown([dataclasses.replace(INGEST, kept_up=False)]), "publishers a core") == "MISSED"


def test_player_left_open_is_no_fast_kick() -> None:
    assert verdict(markdown([KICK]), "kick, 500 attached: last") == "met"
    assert verdict(markdown([dataclasses.replace(KICK, left_open=1)]), "kick, 500 attached: last") == "MISSED"


def test_p99_of_few_values_is_their_worst() -> None:
    assert quantile([float(n) for n in range(30)], 0.99) == 29
    assert quantile([], 0.99) == -1


def test_calls_are_compared_by_their_cpu_and_only_when_all_were_answered() -> None:
    target = "API: calls a core"
    assert verdict(markdown([API, ECHO]), target) == "met"  # 42 / 80
    assert verdict(markdown([dataclasses.replace(API, cpu_us=90), ECHO]), target) == "MISSED"
    assert verdict(markdown([dataclasses.replace(API, failed=1), ECHO]), target) == "MISSED"
    assert verdict(markdown([API]), target) is None
