"""What a test has in its hands: the server, an account, a publisher, the clock."""

from __future__ import annotations

import os
import select
import signal
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import penstock.testing
from penstock import Kingsoft
from penstock.errors import AdminError, NotOnAir
from penstock.testing import Penstock, Publisher, PublishRefused, Server, ServerFailed


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def account(server: Server) -> Iterator[Penstock]:
    with Penstock.made(server) as account:
        yield account


def on_air(kls: Kingsoft, account: Penstock) -> list[str]:
    told = kls.list_realtime_streams_info(unique_name=account.vhost, app=account.app)
    return [each.stream for each in told.streams]


def test_a_publisher_is_on_air_inside_of_its_with(account: Penstock) -> None:
    kls = account.kingsoft(retries=0)
    with account.publish("cam") as publisher:
        assert publisher.is_running
        assert on_air(kls, account) == ["cam"]
        with urllib.request.urlopen(account.play_url("cam"), timeout=10) as answer:
            assert answer.read(3) == b"FLV"
    assert not publisher.is_running
    assert on_air(kls, account) == []


def test_a_kick_ends_it_and_is_told(account: Penstock) -> None:
    kls = account.kingsoft()
    with account.publish("cam") as publisher:
        with pytest.raises(TimeoutError, match="still publishes"):
            publisher.wait_ended(within_s=0.01)
        kls.forbid_stream(**account.where, stream="cam", forbid_till_unix_time=1)
        assert publisher.wait_ended().startswith("lost rtmp://")
        # It does not come back by itself.
        with pytest.raises(NotOnAir):
            kls.forbid_stream(**account.where, stream="cam", forbid_till_unix_time=1)


def test_a_refused_publisher_says_why(account: Penstock) -> None:
    with (
        account.publish("cam"),
        pytest.raises(PublishRefused, match="the server refused"),
        account.publish("cam"),
    ):
        raise AssertionError("a second publisher of a name was let in")


def test_what_nobody_publishes_is_never_measured(account: Penstock, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AdminError, match="nobody publishes test"):
        account.measured("cam")
    # A busy machine may take longer to let it in than to measure it.
    monkeypatch.setattr(account, "_is_measured", lambda _: False)
    with account.publish("cam"), pytest.raises(TimeoutError, match=r"live/cam was not measured within 0\.001 s"):
        account.measured("cam", within_s=0.001)


def test_tls_is_trusted_by_the_clients_that_it_makes(account: Penstock) -> None:
    kls = account.kingsoft(endpoint=account.tls_endpoint)
    assert kls.endpoint == account.tls_endpoint != account.endpoint
    assert kls.get_blacklist(**account.where).total == 0
    trusting = ssl.create_default_context(cafile=account.ca)
    with (
        Publisher(account.publish_url("cam", "rtmps")),
        urllib.request.urlopen(account.play_url("cam", "https"), timeout=10, context=trusting) as answer,
    ):
        assert answer.read(3) == b"FLV"


async def test_the_async_client_calls_by_the_same_keys(account: Penstock) -> None:
    async with account.async_kingsoft() as kls:
        assert (await kls.get_blacklist(**account.where)).total == 0


def test_the_clock_goes_ahead_and_is_reset(server: Server) -> None:
    with Penstock.made(server) as account:
        before = account.clock.now()
        assert account.clock.turn(days=2, hours=1) - before >= timedelta(days=2, hours=1)
        to = before + timedelta(days=10)
        assert account.clock.turn_to(to) == pytest.approx(to, abs=timedelta(seconds=5))
        with pytest.raises(AdminError, match="by_s"):
            account.clock.turn(days=-1)
    with Penstock.made(server) as account:
        assert account.clock.now() - before < timedelta(hours=1)


def test_secrets_stay_out_of_reprs(account: Penstock) -> None:
    assert account.secret_key not in f"{account!r}{account.kingsoft()!r}{account.server!r}"


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a folder has to be")
    with pytest.raises(ServerFailed, match="data_dir is"), Server(tmp_path):
        raise AssertionError("it started")


def test_the_environment_does_not_change_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_DATA_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("PENSTOCK_API__LISTEN", "nonsense")
    with Server(tmp_path) as server, Penstock.made(server) as account:
        assert account.kingsoft().get_blacklist(**account.where).total == 0
    assert not (tmp_path / "elsewhere").exists()


KILLED = """
import sys
from pathlib import Path
from penstock.testing import Server
server = Server(Path(sys.argv[1])).__enter__()
print(server._process.pid, flush=True)
sys.stdin.read()
"""


def test_the_server_ends_when_the_test_run_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        server = os.pidfd_open(int(run.stdout.readline()))
        run.send_signal(signal.SIGKILL)
        assert select.select([server], [], [], 15)[0], "the server is still there"
        os.close(server)


def test_the_room_hands_out_what_it_says() -> None:
    assert {type(getattr(penstock.testing, name)) for name in penstock.testing.__all__} == {type}
    assert set(penstock.testing._HOMES) == set(penstock.testing.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Servre'"):
        getattr(penstock.testing, "Servre")  # noqa: B009 - mypy would refuse the name
