"""`penstock call kingsoft`: parameters in either name, and whose keys are taken."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from penstock.admin.server import Environment
from penstock.clouds.contract import Credentials
from penstock.clouds.kingsoft import streams
from tests.admin.kit import ANSWERS
from tests.cli.kit import Commands, FakeServer
from tests.clock import ManualClock
from tests.sdk.cloud import Cloud
from tests.sdk.served import served

WHERE = ("UniqueName=demo", "App=live", "Pubdomain=push.demo.test")
KEYS = Credentials("AKtest", "it's$ecret")
ENV = ANSWERS["env"]
assert isinstance(ENV, Environment)


@pytest.fixture
def cloud() -> Iterator[tuple[Cloud, str]]:
    """A cloud in memory behind a real port, and its URL; its keys are those that the server here tells."""
    # The command signs by the real time.
    cloud = Cloud(KEYS, clock=ManualClock(datetime.now(UTC)))

    with served(cloud.answer) as url:
        yield cloud, url


def call_here(penstock: Commands, *words: str) -> str:
    """Run a call that must work; return what it printed."""
    ran = penstock("call", "kingsoft", *words)
    assert ran.code == 0, ran.err
    return ran.out


@pytest.fixture
def keys(cloud: tuple[Cloud, str], monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """Keys and endpoint of the cloud in the environment, as `penstock env` puts them there."""
    monkeypatch.setenv("PENSTOCK_KINGSOFT_ACCESS_KEY", KEYS.access_key)
    monkeypatch.setenv("PENSTOCK_KINGSOFT_SECRET_KEY", KEYS.secret_key)
    monkeypatch.setenv("PENSTOCK_KINGSOFT_ENDPOINT", cloud[1])
    return cloud[0]


def test_parameters_go_by_either_name(penstock: Commands, keys: Cloud) -> None:
    call_here(penstock, "ForbidStream", *WHERE, "Stream=s1", "ForbidTillUnixTime=-1")
    call_here(penstock, "ForbidStream", "unique_name=demo", "app=live", "pubdomain=push.demo.test", "stream=s1")
    banned = streams.ForbidStream(unique_name="demo", app="live", pubdomain="push.demo.test", stream="s1")
    assert keys.asked == [msgspec.structs.replace(banned, forbid_till_unix_time=-1), banned]


def test_value_may_hold_anything_behind_the_first_equals_sign(penstock: Commands, keys: Cloud) -> None:
    call_here(penstock, "CheckBlacklist", *WHERE, "Stream=a=b c&d")
    (asked,) = keys.asked
    assert isinstance(asked, streams.CheckBlacklist)
    assert asked.stream == "a=b c&d"


def test_numbers_are_read_as_the_members_type_says(penstock: Commands, keys: Cloud) -> None:
    keys.rows = 3
    call_here(penstock, "ListRealtimePubStreamsInfo", *WHERE, "Marker=1", "Limit=2", "OrderTime=1")
    (asked,) = keys.asked
    assert isinstance(asked, streams.ListRealtimePubStreamsInfo)
    assert (asked.marker, asked.limit, asked.order_time) == (1, 2, 1)


def test_json_is_the_raw_answer_and_the_request_id(penstock: Commands, keys: Cloud) -> None:
    answer = json.loads(call_here(penstock, "CheckBlacklist", *WHERE, "Stream=s1", "--json"))
    assert answer["request_id"].startswith("id-")
    assert "CheckResult" in json.dumps(answer["answer"])


def test_people_get_facts_and_tables(penstock: Commands, keys: Cloud) -> None:
    keys.on_air.update(("s1", "s2"))
    out = call_here(penstock, "ListRealtimeStreamsInfo", "UniqueName=demo", "App=live")
    facts, table = out.split("\n\n")
    assert re.search(r"^request +id-", facts, re.MULTILINE)
    assert re.search(r"^Count +2$", facts, re.MULTILINE)
    head, *rows = table.splitlines()
    assert head.startswith("Stream")
    assert "Pulls.Stream" in head
    assert {row.split()[0] for row in rows} == {"s1", "s2"}
    assert re.search(r"\b\d{10} \(20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\)", rows[0])


def test_refusal_has_code_and_request_id(penstock: Commands, keys: Cloud) -> None:
    ran = penstock("call", "kingsoft", "ResumeStream", *WHERE, "Stream=s1")
    assert (ran.code, ran.out) == (1, "")
    assert re.fullmatch(r"penstock: kingsoft answers 8201: .*\(request id-\d+\)\n", ran.err)


def test_nobody_at_the_endpoint_is_exit_code_3(penstock: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KS_ACCESS_KEY_ID", "AK")
    monkeypatch.setenv("KS_SECRET_ACCESS_KEY", "SK")
    words = ("CheckBlacklist", *WHERE, "Stream=s1", "--endpoint", "http://127.0.0.1:9", "--timeout", "0.2")
    ran = penstock("call", "kingsoft", *words)
    assert (ran.code, ran.out) == (3, "")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("Forbidstream",), "no operation 'Forbidstream'; it must be ForbidStream"),
        (("forbid_stream",), "it must be ForbidStream"),
        (("KillStream",), "it must be"),
        (("xyzzy",), "it must be one of ListRealtimeStreamsInfo, "),
        (("CheckBlacklist", *WHERE, "Strem=s1"), "'Strem' is no parameter here; it must be Stream"),
        (("CheckBlacklist", *WHERE), "Stream is missing"),
        (("CheckBlacklist", "demo"), "'demo' is no parameter; it must be KEY=VALUE"),
        (("CheckBlacklist", *WHERE, "stream=a", "Stream=b"), "Stream is given twice"),
        (("ListRealtimePubStreamsInfo", *WHERE, "Limit=many"), "Limit is 'many'; it must be an integer from 1 to 5000"),
        (("ListRealtimePubStreamsInfo", *WHERE, "Limit=5001"), "Limit is '5001'; it must be an integer"),
    ],
)
def test_wrong_words_are_told_before_anything_is_sent(
    penstock: Commands, server: FakeServer, words: tuple[str, ...], why: str
) -> None:
    ran = penstock("call", "kingsoft", *words)
    assert (ran.code, ran.out) == (2, "")
    assert why in ran.err
    assert server.asked == []


def test_without_keys_it_is_the_server_here(penstock: Commands, server: FakeServer, cloud: tuple[Cloud, str]) -> None:
    server.answers["env"] = msgspec.structs.replace(ENV, endpoint=cloud[1])
    ran = penstock("call", "kingsoft", "CheckBlacklist", *WHERE, "Stream=s1")
    assert ran.code == 0
    assert ran.err == f"penstock: no keys found, so this goes to the server here, {cloud[1]}\n"
    assert len(cloud[0].asked) == 1


@pytest.mark.usefixtures("keys")
def test_keys_that_are_there_come_before_the_server_here(penstock: Commands, server: FakeServer) -> None:
    call_here(penstock, "CheckBlacklist", *WHERE, "Stream=s1")
    assert server.asked == []


@pytest.mark.parametrize("words", [("--endpoint", "http://127.0.0.1:9"), ("--profile", "work")])
def test_other_place_never_gets_the_keys_of_the_server_here(
    penstock: Commands, server: FakeServer, words: tuple[str, ...]
) -> None:
    ran = penstock("call", "kingsoft", "CheckBlacklist", *WHERE, "Stream=s1", *words)
    assert ran.code == 2
    assert server.asked == []


def test_half_a_pair_of_keys_is_not_replaced_by_the_servers(
    penstock: Commands, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KS_ACCESS_KEY_ID", "AK")
    ran = penstock("call", "kingsoft", "CheckBlacklist", *WHERE, "Stream=s1")
    assert ran.code == 2
    assert "KS_SECRET_ACCESS_KEY is missing" in ran.err
    assert server.asked == []


def test_neither_keys_nor_server_tells_of_both(penstock: Commands, tmp_path: Path) -> None:
    words = ("call", "kingsoft", "CheckBlacklist", *WHERE, "Stream=s1", "--data-dir", str(tmp_path / "none"))
    ran = penstock.bare(*words)
    assert ran.code == 2
    assert "no keys for kingsoft" in ran.err
    assert "no server answers at" in ran.err


def test_server_that_refuses_its_keys_is_told(penstock: Commands, server: FakeServer) -> None:
    server.answers["env"] = msgspec.structs.replace(ENV, endpoint="", tls_endpoint="")
    ran = penstock("call", "kingsoft", "CheckBlacklist", *WHERE, "Stream=s1")
    assert ran.code == 2
    assert "has its APIs turned off" in ran.err
