"""The server for tests, by hand."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import Kingsoft
from penstock.admin.owners import AddAccount, AddKey, AddVhost
from penstock.errors import BadSignature, ConfigError, UnknownVhost
from penstock.testing import Publisher, PublishRefused, Server
from penstock.testing.server import DEFAULTS, as_toml, merged


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as server:
        yield server


async def test_both_clients_get_in_by_both_doors(server: Server) -> None:
    place = server.kingsoft_place
    for tls in (False, True):
        assert server.kingsoft(tls=tls).get_blacklist(**place).recs == []
        async with server.async_kingsoft(tls=tls) as kls:
            assert (await kls.get_blacklist(**place)).recs == []
    with pytest.raises(BadSignature):
        Kingsoft(access_key=server.access_key, secret_key="another", endpoint=server.endpoint).get_blacklist(**place)


def test_another_account_has_keys_of_its_own(server: Server) -> None:
    server.ask(AddAccount(id="2"))
    server.ask(AddKey(account="2"))
    server.ask(AddVhost(name="theirs", account="2", push_domains=("push.theirs.test",)))
    assert server.keys("2").access_key != server.access_key
    theirs = server.kingsoft(account="2")
    assert theirs.get_blacklist(unique_name="theirs", app="live", pubdomain="push.theirs.test").recs == []
    with pytest.raises(UnknownVhost):
        theirs.get_blacklist(**server.kingsoft_place)
    with server.publish("s1?vhost=theirs"):
        assert server.is_on_air("s1", vhost="theirs")
        assert not server.is_on_air("s1", vhost="demo")


def test_a_publisher_is_on_air_within_its_block(server: Server) -> None:
    with server.publish("s1", size=(160, 90), fps=10) as publisher:
        assert isinstance(publisher, Publisher)
        assert publisher.is_on_air
        live = server.kingsoft().wait_live(unique_name="demo", app="live", stream="s1")
        assert live.client_ip == "127.0.0.1"
        with pytest.raises(TimeoutError, match=r"was still being published after 0\.1 s"):
            publisher.wait_end(within_s=0.1)
    server.kingsoft().wait_silent(unique_name="demo", app="live", stream="s1")


def test_a_publisher_ends_after_its_seconds(server: Server) -> None:
    with server.publish("brief", seconds=1) as publisher:
        publisher.wait_end()
    server.kingsoft().wait_silent(unique_name="demo", app="live", stream="brief")


def test_a_refusal_has_the_servers_words(server: Server) -> None:
    with server.publish("taken"), pytest.raises(PublishRefused, match="demo/live/taken has a publisher that sends"):
        server.publish("taken")
    with pytest.raises(PublishRefused, match="has no app nobodys"):
        server.publish("s1", app="nobodys")


def test_a_publisher_that_was_cut_stays_away_or_comes_back(server: Server) -> None:
    kls, place = server.kingsoft(), server.kingsoft_place
    with server.publish("cut") as publisher:
        kls.forbid_stream(**place, stream="cut", forbid_till_unix_time=1)
        assert "the server closed the connection" in publisher.wait_end()
        assert not publisher.is_on_air
    with server.publish("back", comes_back=True) as publisher:
        kls.forbid_stream(**place, stream="back", forbid_till_unix_time=1)
        kls.wait_live(unique_name="demo", app="live", stream="back", timeout_s=15, poll_s=0.1)
        with pytest.raises(TimeoutError):
            publisher.wait_end(within_s=0.1)


def test_the_clock_turns_by_a_span_and_to_a_time(server: Server) -> None:
    start = server.clock.now()
    assert abs(start - datetime.now(UTC)) < timedelta(seconds=5)
    turned = server.clock.turn(days=1, hours=2, minutes=3, seconds=4)
    assert timedelta(0) <= turned - start - timedelta(days=1, hours=2, minutes=3, seconds=4) < timedelta(seconds=20)
    to = start + timedelta(days=100)
    assert timedelta(0) <= server.clock.turn(to=to) - to < timedelta(seconds=20)
    server.tidy()
    assert server.clock.now() - start < timedelta(seconds=60)


def test_its_log_is_read_from_a_place_on(server: Server) -> None:
    since = server.log_size()
    with server.publish("logged"):
        pass
    assert "demo/live/logged on air" in server.log(since)
    assert "demo/live/logged" not in server.log()[:since]


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"refused: .*media\.rtmp_listen"):
        Server(tmp_path, {"media": {"rtmp_listen": "nowhere"}}).start()


def test_a_door_that_is_left_out_is_named(tmp_path: Path) -> None:
    with Server(tmp_path, {"api": {"tls_listen": ""}}) as server:
        assert server.kingsoft().get_blacklist(**server.kingsoft_place).recs == []
        with pytest.raises(ConfigError, match="the server has no api_tls door"):
            server.kingsoft(tls=True)
    with pytest.raises(ConfigError, match="it is not running"):
        _ = server.endpoint


HELD = """
import sys
from pathlib import Path
from penstock.testing import Server

server = Server(Path(sys.argv[1])).start()
publisher = server.publish("s1")
print(server.pid, publisher._child.pid, flush=True)
sys.stdin.read()
"""


def test_everything_ends_when_the_test_run_is_killed(tmp_path: Path) -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", HELD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert run.stdout is not None
    held = {os.pidfd_open(int(pid)): pid for pid in run.stdout.readline().split()}
    assert len(held) == 2
    run.send_signal(signal.SIGKILL)
    run.communicate()
    for descriptor, pid in held.items():
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)  # readable is ended
        assert poll.poll(15_000), f"{pid} is there still"
        os.close(descriptor)


VALUES = st.recursive(
    st.text() | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_settings_are_written_as_toml(settings: dict[str, object]) -> None:
    assert tomllib.loads(as_toml(settings)) == settings


def test_settings_go_on_top_of_defaults_section_by_section() -> None:
    found = merged(DEFAULTS, {"media": {"idle_timeout_s": 2}, "account": [{"id": "9"}], "new": {"a": 1}})
    assert found["media"] == {**DEFAULTS["media"], "idle_timeout_s": 2}
    assert found["account"] == [{"id": "9"}]
    assert found["new"] == {"a": 1}
    assert json.dumps(DEFAULTS) == json.dumps(merged(DEFAULTS, {}))
