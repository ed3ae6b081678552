"""Owners: those of the settings, with keys made where none is named, and those added by hand."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock.config import Config, load
from penstock.domain import accounts, records
from penstock.domain.accounts import CREDENTIALS, new_key, read_credentials, seed_of
from penstock.domain.live import Live
from penstock.errors import ConfigError, Conflict, InvalidField, NotFound
from penstock.storage.rows import AccessKey, RecordAlways, UrlSigning, Vhost
from tests.clock import START
from tests.domain.kit import CLIENT, DEMO, SEED, NoEngine, opened
from tests.storage.kit import mode

FILE = """
data_dir = "data"
[[account]]
id = "1"
[[account.vhost]]
name = "demo"
apps = ["live", "studio"]
push_domains = ["push.demo.test", "Push2.demo.test"]
pull_domains = ["pull.demo.test"]
[[account.vhost]]
name = "signed"
publish_auth = "signed"
publish_key = "publish-key"
publish_sign_order = ["time", "key", "path"]
publish_valid_s = 600
record = "hls"
record_apps = ["live"]
record_one_file = true
[[account]]
id = "2"
[[account.key]]
access_key = "AKtwo"
secret_key = "hush-hush"
sub_account = true
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "data").mkdir()
    file = tmp_path / "penstock.toml"
    file.write_text(FILE.replace('"data"', f'"{tmp_path}/data"'))
    return load(file, {})


# From the settings


def test_what_the_settings_say_is_the_seed(config: Config) -> None:
    seed = seed_of(config)
    assert [account.id for account in seed.accounts] == ["1", "2"]
    demo, signed = seed.vhosts
    assert (demo.name, demo.account, demo.apps, demo.publish_auth) == ("demo", "1", ("live", "studio"), "none")
    assert (signed.publish_auth, signed.publish_key) == ("signed", "publish-key")
    assert signed.signing == UrlSigning(("time", "key", "path"), 600)
    assert (demo.record, signed.record) == (RecordAlways(), RecordAlways("hls", ("live",), True))
    assert [(domain.vhost, domain.name, domain.kind) for domain in seed.domains] == [
        ("demo", "push.demo.test", "push"),
        ("demo", "push2.demo.test", "push"),
        ("demo", "pull.demo.test", "pull"),
    ]
    (two, one) = seed.keys
    assert two == AccessKey(access_key="AKtwo", secret_key="hush-hush", account="2", sub_account=True)
    assert one.account == "1"


def test_a_made_key_is_random_and_as_long_as_the_clouds() -> None:
    keys = [new_key("1") for _ in range(100)]
    assert len({key.access_key for key in keys} | {key.secret_key for key in keys}) == 200
    for key in keys:
        assert (len(key.access_key), len(key.secret_key)) == (20, 40)
        assert key.access_key.startswith("AKPS")
        assert (key.access_key + key.secret_key).isalnum()
    assert new_key("1", sub_account=True).sub_account


def test_made_keys_are_kept_where_only_their_owner_reads(config: Config) -> None:
    before = os.umask(0)
    try:
        first = seed_of(config)
    finally:
        os.umask(before)
    path = config.data_dir / CREDENTIALS
    assert mode(path) == 0o600
    assert seed_of(config) == first
    assert list(read_credentials(path)) == ["1"]
    assert [each.name for each in config.data_dir.iterdir()] == [CREDENTIALS]


def test_a_new_account_gets_its_key_and_the_others_keep_theirs(config: Config, tmp_path: Path) -> None:
    first = read_after(config)["1"]
    more = tmp_path / "more.toml"
    more.write_text(
        (tmp_path / "penstock.toml").read_text() + '[[account]]\nid = "3 \\" [x]"\n'.replace(' \\" [x]', "")
    )
    keys = read_after(load(more, {}))
    assert keys["1"] == first
    assert set(keys) == {"1", "3"}


def read_after(config: Config) -> dict[str, AccessKey]:
    seed_of(config)
    return read_credentials(config.data_dir / CREDENTIALS)


def test_with_a_key_of_its_own_for_each_account_nothing_is_made(config: Config, tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(
        f'data_dir = "{tmp_path}/data"\n[[account]]\nid = "1"\n[[account.key]]\naccess_key = "A"\nsecret_key = "s"\n'
    )
    assert [key.access_key for key in seed_of(load(file, {})).keys] == ["A"]
    assert list(config.data_dir.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    ["[oops", '["1"]\naccess_key = "A"\n', '["1"]\nsecret_key = "s"\n', '"1" = 5\n', '"1" = "x"\n', "\x00", "\xff\xfe"],
)
def test_a_damaged_file_is_named_and_not_written_over(config: Config, text: str) -> None:
    path = config.data_dir / CREDENTIALS
    path.write_text(text, "latin-1")
    with pytest.raises(ConfigError, match=r"credentials\.toml cannot be read .*; delete it to have new keys made"):
        seed_of(config)
    assert path.read_text("latin-1") == text


def test_a_folder_that_cannot_be_written_is_told(config: Config) -> None:
    (config.data_dir / CREDENTIALS).with_suffix(".new").mkdir()
    with pytest.raises(ConfigError, match=r"credentials\.toml cannot be written: "):
        seed_of(config)


def test_a_file_that_another_left_half_written_is_no_trap(config: Config) -> None:
    fresh = (config.data_dir / CREDENTIALS).with_suffix(".new")
    fresh.write_text("half")
    fresh.chmod(0o644)
    seed_of(config)
    assert mode(config.data_dir / CREDENTIALS) == 0o600
    assert not fresh.exists()


def test_no_secret_is_shown_by_a_keys_own_text(config: Config) -> None:
    seed = seed_of(config)
    for key in seed.keys:
        assert key.secret_key not in repr(seed)
    assert "publish-key" not in repr(seed)
    assert stat.S_ISREG((config.data_dir / CREDENTIALS).stat().st_mode)


# By hand


class Told(NoEngine):
    """Counts how often it is told of vhosts, and which."""

    def __init__(self) -> None:
        self.vhosts: list[set[str]] = []

    def tell_vhosts(self, live: Live) -> None:
        self.vhosts.append({vhost.name for vhost in live.registry.names()})


async def test_what_is_added_is_in_force_and_kept_and_told_to_the_engine() -> None:
    engine = Told()
    async with opened(engine=engine) as live:
        await accounts.add_account(live, "three")
        key = await accounts.add_key(live, new_key("three"))
        made = Vhost(name="fresh", account="three")
        await accounts.add_vhost(live, made, push_domains=["Push.fresh.test"], pull_domains=["127.0.0.1"])
        assert live.registry.find_key(key.access_key) == key
        assert live.registry.vhost_of("three", "fresh") == made
        assert live.registry.push_domain("fresh", "push.fresh.test").vhost == "fresh"
        assert "fresh" in engine.vhosts[-1]
        assert [each.id for each in await live.store.accounts()] == ["1", "2", "three"]


async def test_what_is_removed_is_gone_everywhere(live: Live) -> None:
    await accounts.add_account(live, "three")
    key = await accounts.add_key(live, new_key("three"))
    await accounts.add_vhost(
        live, Vhost(name="fresh", account="three"), push_domains=["push.fresh.test"], pull_domains=["push.fresh.test"]
    )
    with pytest.raises(Conflict):
        await accounts.remove_account(live, "three")
    await accounts.remove_vhost(live, "fresh")
    await accounts.remove_key(live, key.access_key)
    await accounts.remove_account(live, "three")
    assert "fresh" not in live.registry.vhosts
    assert live.registry.find_key(key.access_key) is None
    assert "three" not in live.registry.accounts
    assert not await live.store.domains(vhost="fresh")


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "é", "x" * 256])
async def test_an_account_and_a_vhost_have_names(live: Live, name: str) -> None:
    with pytest.raises(InvalidField):
        await accounts.add_account(live, name)
    with pytest.raises(InvalidField):
        await accounts.add_vhost(live, Vhost(name=name, account="1"), push_domains=[], pull_domains=[])
    with pytest.raises(InvalidField):
        await accounts.add_vhost(live, Vhost(name="v", account="1", apps=(name,)), push_domains=[], pull_domains=[])
    assert set(live.registry.vhosts) == {"demo", "other", "signed"}


@pytest.mark.parametrize(
    ("access_key", "secret_key"),
    [("", "s"), ("A", ""), ("A" * 129, "s"), ("A", "s" * 257), ("A B", "s"), ("A\n", "s"), ("é", "s"), ("A", "\x7f")],
)
async def test_a_key_is_what_a_header_can_carry(live: Live, access_key: str, secret_key: str) -> None:
    with pytest.raises(InvalidField) as refusal:
        await accounts.add_key(live, AccessKey(access_key=access_key, secret_key=secret_key, account="1"))
    assert len(secret_key) < 2 or secret_key not in str(refusal.value)


async def test_a_key_is_one_accounts_and_given_once(live: Live) -> None:
    for account in ("1", "2"):
        with pytest.raises(Conflict):
            await accounts.add_key(live, AccessKey(access_key="AKone", secret_key="x", account=account))
    with pytest.raises(NotFound):
        await accounts.add_key(live, AccessKey(access_key="AKnew", secret_key="x", account="nosuch"))
    found = live.registry.find_key("AKone")
    assert found is not None
    assert found.secret_key == "secret-of-one"


@pytest.mark.parametrize(
    ("vhost", "push", "error"),
    [
        ({"account": "nosuch"}, [], NotFound),
        ({"name": "demo"}, [], Conflict),
        ({}, ["push.demo.test"], Conflict),
        ({}, ["push.new.test", "push.new.test"], Conflict),
        ({}, ["no host"], InvalidField),
        ({}, ["push.new.test:1935"], InvalidField),
        ({"apps": ()}, [], InvalidField),
        ({"publish_auth": "signed"}, [], InvalidField),
    ],
)
async def test_a_vhost_is_made_whole_or_not_at_all(
    live: Live, vhost: dict[str, Any], push: list[str], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await accounts.add_vhost(
            live, Vhost(**{"name": "new", "account": "1", **vhost}), push_domains=["a.new.test", *push], pull_domains=[]
        )
    assert "new" not in live.registry.vhosts
    assert await live.store.find_vhost("new") is None
    assert not [domain for domain in await live.store.domains() if domain.name == "a.new.test"]


async def test_a_vhost_with_a_stream_on_air_stays_with_its_domains(live: Live) -> None:
    session = live.sessions.admit(DEMO, CLIENT, account="1", push_domain="push.demo.test")
    live.journal.put(lambda store: store.admit_session(records.row_of(session)))
    with pytest.raises(Conflict):
        await accounts.remove_vhost(live, "demo")
    assert [domain.name for domain in live.registry.domains("demo", "push")] == ["push.demo.test", "push2.demo.test"]
    assert len(await live.store.domains(vhost="demo")) == 4


async def test_what_does_not_exist_cannot_be_removed(live: Live) -> None:
    for removal in (
        accounts.remove_account(live, "nosuch"),
        accounts.remove_key(live, "nosuch"),
        accounts.remove_vhost(live, "nosuch"),
    ):
        with pytest.raises(NotFound):
            await removal


async def test_a_seed_that_is_at_odds_changes_nothing(live: Live) -> None:
    await accounts.add_account(live, "mine")
    await accounts.add_vhost(live, Vhost(name="taken", account="mine"), push_domains=[], pull_domains=[])
    before = dict(live.registry.vhosts)
    with pytest.raises(Conflict):
        await accounts.seed(
            live, msgspec.structs.replace(SEED, vhosts=(*SEED.vhosts, Vhost(name="taken", account="1")))
        )
    assert live.registry.vhosts == before
    assert live.clock.now() == START
