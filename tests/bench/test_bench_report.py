"""Ratios and targets are judged within one run, at the number of players they are set for."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from bench.callers import CALLERS, OPERATIONS
from bench.canned import whole
from bench.kick import quantile
from bench.measure import Setup
from bench.report import markdown
from bench.results import Api, Call, Fanout, Import, Ingest, Kick, Relaying, Result, decode, encode
from bench.sdk import called

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
    first_player_p50_ms=1, last_player_p50_ms=3, last_player_p99_ms=4, answer_p50_ms=1, answer_p99_ms=2, left_open=0,
)  # fmt: skip
API = Api(
    server="penstock", connections=32, repeat=0, calls_per_s=9000, cpu_us=80, cpu_share=0.72, latency_p50_ms=2,
    latency_p99_ms=5, failed=0, load_share=0.2, foreign_share=0.2,
)  # fmt: skip
ECHO = dataclasses.replace(API, server="starlette", cpu_us=42)
RELAY = Relaying(
    server="penstock", tasks=20, repeat=0, cpu_ms=1.5, cpu_share=0.03, memory_kib=700, base_kib=18_000, foreign_share=0
)
IMPORT = Import(statement="import penstock", runs=25, above_ms=2.5, bare_ms=13)
CALL = Call(caller="penstock", operation="CheckBlacklist", repeat=0, calls=2000, cpu_us=300, wall_us=500)
RESULTS: list[Result] = [FANOUT, INGEST, KICK, RELAY, IMPORT, CALL, API]


def ours(**changes: object) -> Fanout:
    return dataclasses.replace(FANOUT, server="penstock", **changes)  # type: ignore[arg-type]


def verdict(text: str, target: str) -> str | None:
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith(f"| {target}")]
    return rows[0][1] if rows else None


def test_result_survives_its_json_line() -> None:
    assert [decode(encode(result)) for result in RESULTS] == RESULTS
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


def test_a_relay_is_judged_by_its_own_costs_against_ffmpegs_at_as_many() -> None:
    ffmpeg = dataclasses.replace(RELAY, server="ffmpeg", cpu_ms=3, memory_kib=15_000, base_kib=0)
    text = markdown([RELAY, ffmpeg])
    assert verdict(text, "a relay in the engine: CPU") == "met"
    assert verdict(text, "a relay in the engine: memory") == "met"
    assert "| penstock | 20 | 1.50 | 0.50 | 700 | 0.05 | 1,600 | 3% | 0% |" in text
    heavy = dataclasses.replace(RELAY, cpu_ms=3.1, memory_kib=1501)
    assert verdict(markdown([heavy, ffmpeg]), "a relay in the engine: CPU") == "MISSED"
    assert verdict(markdown([heavy, ffmpeg]), "a relay in the engine: memory") == "MISSED"
    assert verdict(markdown([heavy, dataclasses.replace(ffmpeg, tasks=50)]), "a relay in the engine: CPU") is None


def test_p99_of_few_values_is_their_worst() -> None:
    assert quantile([float(n) for n in range(30)], 0.99) == 29
    assert quantile([], 0.99) == -1


def test_calls_are_compared_by_their_cpu_and_only_when_all_were_answered() -> None:
    target = "API: calls a core"
    assert verdict(markdown([API, ECHO]), target) == "met"  # 42 / 80
    assert verdict(markdown([dataclasses.replace(API, cpu_us=90), ECHO]), target) == "MISSED"
    assert verdict(markdown([dataclasses.replace(API, failed=1), ECHO]), target) == "MISSED"
    assert verdict(markdown([API]), target) is None


def calls(operation: str = "CheckBlacklist", **cpu_us: float) -> list[Call]:
    return [
        dataclasses.replace(CALL, caller=caller.replace("_", "-"), operation=operation, cpu_us=cpu, wall_us=2 * cpu)
        for caller, cpu in cpu_us.items()
    ]


def test_a_call_is_judged_by_its_worst_operation_and_the_dearer_measure() -> None:
    cheap = calls(penstock=300, httpx2=300, ksc_sdk_python=400)
    assert verdict(markdown(cheap), "a call of the SDK: to httpx2") == "met"
    assert verdict(markdown(cheap), "a call of the SDK: to ksc") == "met"
    dear = calls("ForbidStream", penstock=300, httpx2=200, ksc_sdk_python=290)
    assert verdict(markdown([*cheap, *dear]), "a call of the SDK: to httpx2") == "MISSED"
    assert verdict(markdown([*cheap, *dear]), "a call of the SDK: to ksc") == "MISSED"
    slow = [dataclasses.replace(cheap[0], wall_us=900), *cheap[1:]]
    assert verdict(markdown(slow), "a call of the SDK: to httpx2") == "MISSED"
    assert verdict(markdown(calls(penstock=300)), "a call of the SDK") is None


def test_import_is_judged_by_the_package_alone() -> None:
    other = dataclasses.replace(IMPORT, statement="import httpx2", above_ms=100)
    assert verdict(markdown([other, IMPORT]), "import penstock: ms") == "met"
    assert verdict(markdown([other, dataclasses.replace(IMPORT, above_ms=81)]), "import penstock: ms") == "MISSED"


def test_a_request_is_whole_with_its_body() -> None:
    get, post = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
    assert (whole(get), whole(post), whole(get + post)) == (len(get), len(post), len(get))
    assert [whole(post[:end]) for end in range(len(post))] == [None] * len(post)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("caller", CALLERS)
def test_every_caller_is_answered(caller: str, operation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.sdk._CALLS", 20)
    found = called(Setup(folder=tmp_path, server_core=0, load_core=0), caller, operation, 0)
    assert 0 < found.cpu_us < 1e6


def test_what_busy_calls_cost_players_is_the_difference_within_one_run() -> None:
    calm = dataclasses.replace(FANOUT, server="penstock-api", protocol="flv", latency_p99_ms=20)
    busy = dataclasses.replace(calm, server="penstock-api, 1000 calls/s", latency_p99_ms=23)
    assert verdict(markdown([calm, busy]), "API: 1,000 calls") == "met"
    assert verdict(markdown([calm, dataclasses.replace(busy, latency_p99_ms=26)]), "API: 1,000 calls") == "MISSED"
    assert verdict(markdown([calm]), "API: 1,000 calls") is None
