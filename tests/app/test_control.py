"""The control plane as it is built: what it remembers over a restart, and what a reload changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from penstock.app.control import Control
from penstock.config import load
from penstock.domain import bans
from penstock.domain.accounts import CREDENTIALS, read_credentials
from penstock.domain.caller import Caller
from penstock.errors import ConfigError
from penstock.link import local
from penstock.link.messages import VERSION, Client, Hello, Lease, OnAir, StreamStats, Welcome
from penstock.model import StreamId
from penstock.storage.rows import HistoryQuery, Vhost
from tests.clock import START, ManualClock
from tests.link.kit import turn_the_loop

STREAM = StreamId("demo", "live", "cam")
OPERATOR = Caller(account="1", access_key="")
FILE = """
data_dir = "{folder}/data"
[[account]]
id = "1"
[[account.vhost]]
name = "demo"
push_domains = ["push.demo.test"]
"""


class Plant:
    """A control plane over files in a folder, which can be started again."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "penstock.toml"
        self.data_dir = folder / "data"
        self.data_dir.mkdir()
        self.clock = ManualClock()
        self.write()
        self._running: list[Control] = []

    def write(self, more: str = "", *, folder: str | None = None) -> None:
        self.file.write_text(FILE.format(folder=folder or self.file.parent) + more)

    async def start(self, *, dev: bool = False) -> Control:
        control = await Control.open(load(self.file, {}), file=self.file, clock=self.clock, dev=dev)
        self._running.append(control)
        return control

    async def close(self) -> None:
        for control in self._running:
            await control.close()


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[Plant]:
    plant = Plant(tmp_path)
    yield plant
    await plant.close()


async def test_an_account_without_a_key_gets_one_that_only_its_owner_reads_and_that_stays(plant: Plant) -> None:
    control = await plant.start()
    (key,) = control.live.registry.keys.values()
    path = plant.data_dir / CREDENTIALS
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_credentials(path) == {"1": key} or read_credentials(path)["1"].secret_key == key.secret_key
    await control.close()
    again = await plant.start()
    assert [each.access_key for each in again.live.registry.keys.values()] == [key.access_key]


async def test_a_key_of_the_file_takes_the_place_of_the_made_one(plant: Plant) -> None:
    await (await plant.start()).close()
    plant.write('[[account.key]]\naccess_key = "AKmine"\nsecret_key = "s"\n')
    assert list((await plant.start()).live.registry.keys) == ["AKmine"]


async def test_a_damaged_credentials_file_is_named(plant: Plant) -> None:
    (plant.data_dir / CREDENTIALS).write_text("[oops")
    with pytest.raises(ConfigError, match=r"credentials\.toml cannot be read .*; delete it to have new keys made"):
        await plant.start()


async def test_bans_are_known_again_after_a_restart(plant: Plant) -> None:
    control = await plant.start()
    await bans.ban(control.live, OPERATOR, STREAM, until=START + timedelta(days=1))
    await control.close()
    again = await plant.start()
    assert again.live.bans.find(STREAM, START) is not None
    assert again.live.bans.find(STREAM, START + timedelta(days=1)) is None


def on_air(lease: Lease) -> OnAir:
    stats = StreamStats(lease.epoch, Client("192.0.2.7", 1), "push.demo.test", START, 0, 0.0, 9, None, None)
    return OnAir(lease, stats)


async def greeted(control: Control, *on_air: OnAir, ended: tuple[int, ...] = ()) -> None:
    """Connect an engine that says what is on air."""
    mine, theirs = local.pair()
    control.engine.attach(theirs, control.live)
    mine.on_message = lambda message: None
    mine.send(Hello(VERSION, "engine", on_air, ended))
    await control.engine.connected.wait()
    await control.live.journal.written()


async def test_a_session_goes_on_over_a_restart_of_control_and_others_are_ended(plant: Plant) -> None:
    control = await plant.start()
    goes_on, is_lost = (control.live.sessions.admit(StreamId("demo", "live", name), Client("", 1)) for name in "ab")
    await greeted(control, on_air(goes_on.lease), on_air(is_lost.lease))
    await control.close()
    again = await plant.start()
    await greeted(again, on_air(goes_on.lease))
    assert [session.lease for session in again.live.sessions.on_air()] == [goes_on.lease]
    (row,) = await again.store.open_sessions()
    assert (row.epoch, row.began_at, row.account) == (goes_on.lease.epoch, START, "1")
    day = HistoryQuery(since=START - timedelta(days=1), until=START + timedelta(days=1))
    (past,) = (await again.store.history(day)).rows
    assert (past.epoch, past.reason) == (is_lost.lease.epoch, "engine lost")


async def test_an_end_that_is_still_to_be_told_is_waited_for(plant: Plant) -> None:
    control = await plant.start()
    session = control.live.sessions.admit(STREAM, Client("", 1))
    await greeted(control, on_air(session.lease))
    await control.close()
    again = await plant.start()
    await greeted(again, ended=(session.lease.epoch,))
    assert [row.epoch for row in await again.store.open_sessions()] == [session.lease.epoch]


async def test_epochs_rise_over_a_restart_even_when_the_clock_was_set_back(plant: Plant) -> None:
    control = await plant.start()
    session = control.live.sessions.admit(STREAM, Client("", 1))
    await greeted(control, on_air(session.lease))
    await control.close()
    plant.clock.step_wall(timedelta(days=-400))
    again = await plant.start()
    assert again.live.sessions.admit(STREAM, Client("", 1)).lease.epoch > session.lease.epoch


async def test_a_turned_clock_stays_turned_over_a_restart(plant: Plant) -> None:
    control = await plant.start(dev=True)
    control.live.clock.turn(by=timedelta(days=90))
    await control.close()
    again = await plant.start(dev=True)
    assert again.live.clock.now() == START + timedelta(days=90)
    await again.close()
    assert (await plant.start(dev=False)).live.clock.now() == START


# Reload


async def test_a_reload_applies_owners_and_rules_and_tells_the_engine(plant: Plant) -> None:
    control = await plant.start()
    mine, theirs = local.pair()
    heard: list[object] = []
    control.engine.attach(theirs, control.live)
    mine.on_message = heard.append
    mine.send(Hello(VERSION, "engine", ()))
    await control.engine.connected.wait()
    plant.write('[[account.vhost]]\nname = "second"\n[media]\non_conflict = "replace"\nlatency = "max"\n')
    done = await control.reload()
    assert done.applied == ["media.on_conflict", "accounts"]
    assert done.needs_restart == ["media.latency"]
    assert control.live.rules.on_conflict == "replace"
    await turn_the_loop()
    *_, last = heard
    assert isinstance(last, Welcome)
    assert [vhost.name for vhost in last.vhosts] == ["demo", "second"]


async def test_a_reload_of_a_damaged_file_changes_nothing(plant: Plant) -> None:
    control = await plant.start()
    plant.write("[media]\nlatancy = 1\n")
    with pytest.raises(ConfigError, match="latency"):
        await control.reload()
    assert list(control.live.registry.vhosts) == ["demo"]


async def test_a_reload_never_moves_the_data(plant: Plant, tmp_path: Path) -> None:
    control = await plant.start()
    keys = list(control.live.registry.keys)
    plant.write(folder=str(tmp_path / "elsewhere"))
    assert (await control.reload()).needs_restart == ["data_dir"]
    assert not (tmp_path / "elsewhere").exists()
    assert list(control.live.registry.keys) == keys


async def test_a_reload_that_is_at_odds_with_what_was_added_by_hand_is_refused_whole(plant: Plant) -> None:
    control = await plant.start()
    await control.store.put_vhost(Vhost(name="taken", account="1"))
    plant.write('[[account]]\nid = "2"\n[[account.vhost]]\nname = "taken"\n')
    with pytest.raises(ConfigError, match="at odds with what was added by hand"):
        await control.reload()
    assert [account.id for account in await control.store.accounts()] == ["1"]
