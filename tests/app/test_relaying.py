"""What relays run on, as the settings have it."""

from __future__ import annotations

import os
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from penstock.app.relaying import RelayPlane
from penstock.config import Config, Network
from penstock.domain.caller import Caller
from penstock.domain.relays import tasks
from penstock.domain.relays.wishes import Wish
from penstock.errors import ConfigError
from penstock.link.relaying import RelayOrder, RelayState, RelayTold, StartRelay
from penstock.model import SystemClock
from penstock.net.guard import HTTP, RTMP
from penstock.net.urls import parse_url
from penstock.storage.relay_rows import Source
from tests.engine.kit import key_body
from tests.servers.house import House, until

RELAY = "a" * 32


def plane(**network: object) -> RelayPlane:
    return RelayPlane(Config(network=Network(**network)), SystemClock())  # type: ignore[arg-type]


async def test_a_file_of_authorities_is_read_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"network\.ca_file is .*missing\.pem"):
        plane(ca_file=tmp_path / "missing.pem")


async def test_the_door_is_its_owners_alone_however_long_its_path_is(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    (folder / "relay.sock").write_text("of a server that was killed")
    opened = plane()
    opened.listen(folder)
    mode = os.stat(folder / "relay.sock").st_mode
    assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o600)
    opened.close()
    assert not (folder / "relay.sock").exists()
    (folder / "relay.sock").mkdir()
    with pytest.raises(ConfigError, match="data_dir holds the socket"):
        plane().listen(folder)


async def test_this_machine_is_out_of_reach_unless_it_was_opened(tmp_path: Path) -> None:
    house = await House.open(tmp_path)
    told: list[RelayTold] = []
    source = f"rtmp://127.0.0.1:{house.rtmp.port}/live/cam?vhost=demo"
    shut, opened = plane(), plane(allow_private=("127.0.0.1/32",))
    for each in (shut, opened):
        each.relays.tell = told.append
        each.relays.obey(StartRelay(RelayOrder(RELAY, "rtmp://127.0.0.1:1/live/out", source)))
        await until(lambda: bool(told) and told[-1].state is RelayState.WAITING)
        each.close()
        each.hang_up()
        told.append(RelayTold(RELAY, RelayState.STOPPED))
    errors = [one.error for one in told if one.error]
    assert "network.allow_private" in errors[0]
    assert "NetStream.Play.StreamNotFound" in errors[-1]
    await house.close()


async def test_an_engine_that_ends_ends_its_relays(tmp_path: Path) -> None:
    house = await House.open(tmp_path)
    house.engine.relaying.relays.obey(StartRelay(RelayOrder(RELAY, "rtmp://a.invalid/live/cam")))
    await house.close()
    assert len(house.engine.relaying.relays) == 0


async def test_domains_of_ours_lead_to_our_own_door_whatever_they_resolve_to(tmp_path: Path) -> None:
    house = await House.open(tmp_path)
    await house.on_air("cam")
    now = house.control.live.clock.now()
    wish = Wish(
        starts_at=now,
        ends_at=now + timedelta(minutes=1),
        kind="live",
        sources=(Source("rtmp://PULL.demo.test/live/cam"),),
        target="rtmps://push.demo.test/live/out",
    )
    await tasks.create(house.control.live, Caller(account="1", access_key=""), wish)
    await house.arrived(len(key_body()), "out")
    await house.close()


@pytest.mark.parametrize("url", ["rtmp://push.demo.test:2935/live/out", "rtmp://elsewhere.invalid/live/out"])
async def test_other_ports_and_names_are_other_servers(tmp_path: Path, url: str) -> None:
    house = await House.open(tmp_path)
    exchange = house.engine.relaying._exchange
    assert exchange.own_door(parse_url("rtmp://push.demo.test/live/out", RTMP)) is not None
    assert exchange.own_door(parse_url(url, RTMP)) is None
    assert exchange.own_door(parse_url("http://pull.demo.test/live/out.flv", HTTP)) is None
    await house.close()
