"""Accounts, keys, vhosts and domains, over every implementation."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from penstock.errors import Conflict, NotFound
from penstock.storage.base import Store
from penstock.storage.rows import AccessKey, Account, BanQuery, Domain, Seed, UrlSigning, Vhost
from tests.storage.kit import HOSTILE, NOW, ban, end, session

KEY = AccessKey(access_key="AK1", secret_key="SK1", account="alice")
PUSH = Domain(vhost="demo", name="push.demo.test", kind="push")


async def test_what_was_put_comes_back_whole(owned: Store) -> None:
    vhost = Vhost(
        name="signed",
        account="alice",
        apps=("live", "vod"),
        publish_auth="signed",
        publish_key="k",
        signing=UrlSigning(order=("key", "time", "path"), valid_s=600),
        configured=True,
    )
    await owned.put_vhost(vhost)
    await owned.put_key(replace(KEY, sub_account=True))
    assert await owned.find_vhost("signed") == vhost
    assert await owned.find_key("AK1") == replace(KEY, sub_account=True)
    assert await owned.accounts() == [Account(id="alice"), Account(id="bob")]
    assert [vhost.name for vhost in await owned.vhosts()] == ["demo", "signed"]
    assert await owned.keys("bob") == []
    assert await owned.vhosts("bob") == []


async def test_put_replaces_unless_it_must_be_new(owned: Store) -> None:
    await owned.put_key(KEY)
    await owned.put_key(replace(KEY, secret_key="SK2"))
    assert await owned.keys() == [replace(KEY, secret_key="SK2")]
    for again in (
        owned.put_account(Account(id="alice"), new=True),
        owned.put_key(KEY, new=True),
        owned.put_vhost(Vhost(name="demo", account="alice"), new=True),
        owned.put_domain(PUSH, new=True),
    ):
        with pytest.raises(Conflict, match="exists already"):
            await again


async def test_a_secret_shows_in_no_repr() -> None:
    vhost = Vhost(name="demo", account="alice", publish_key="hunter2")
    for row in (replace(KEY, secret_key="hunter2"), vhost, Seed(keys=(replace(KEY, secret_key="hunter2"),))):
        assert "hunter2" not in repr(row)
        assert "<hidden>" in repr(row)
    assert "publish_key=''" in repr(replace(vhost, publish_key=""))


async def test_nothing_belongs_to_two(owned: Store) -> None:
    await owned.put_key(KEY)
    await owned.put_vhost(Vhost(name="other", account="bob"))
    with pytest.raises(Conflict, match="access key AK1 exists"):
        await owned.put_key(replace(KEY, account="bob"))
    with pytest.raises(Conflict, match="belongs to another account"):
        await owned.put_vhost(Vhost(name="demo", account="bob"))
    for kind in ("push", "pull"):
        with pytest.raises(Conflict, match="belongs to another vhost"):
            await owned.put_domain(Domain(vhost="other", name="push.demo.test", kind=kind))
    # A vhost may be named where a domain is expected.
    with pytest.raises(Conflict, match="belongs to another vhost"):
        await owned.put_domain(Domain(vhost="demo", name="other", kind="push"))
    with pytest.raises(Conflict, match="name of another vhost's domain"):
        await owned.put_vhost(Vhost(name="Push.demo.test", account="bob"))
    await owned.put_domain(Domain(vhost="demo", name="demo", kind="push"))


async def test_an_owner_must_be_there(owned: Store) -> None:
    for orphan in (
        owned.put_key(replace(KEY, account="nobody")),
        owned.put_vhost(Vhost(name="x", account="nobody")),
        owned.put_domain(replace(PUSH, vhost="nowhere")),
        owned.remove_account("nobody"),
        owned.remove_key("AK0"),
        owned.remove_vhost("nowhere"),
        owned.remove_domain("push.demo.test", "pull"),
    ):
        with pytest.raises(NotFound, match="there is no"):
            await orphan


async def test_what_is_in_use_stays(owned: Store) -> None:
    await owned.put_key(replace(KEY, account="bob"))
    await owned.admit_session(session(1))
    for refused, why in (
        (owned.remove_account("alice"), r"has vhosts \(1\)"),
        (owned.remove_account("bob"), r"has access keys \(1\)"),
        (owned.remove_vhost("demo"), r"has domains \(2\)"),
        (owned.remove_domain("push.demo.test", "push"), r"has streams on air \(1\)"),
    ):
        with pytest.raises(Conflict, match=why):
            await refused
    await owned.remove_domain("pull.demo.test", "pull")
    await owned.admit_session(session(2, push_domain=""))
    await owned.end_session(end(1))
    await owned.remove_domain("push.demo.test", "push")
    with pytest.raises(Conflict, match=r"has streams on air \(1\)"):
        await owned.remove_vhost("demo")
    await owned.end_session(end(2))
    await owned.remove_vhost("demo")
    await owned.remove_account("alice")
    await owned.remove_key("AK1")
    await owned.remove_account("bob")
    assert await owned.accounts() == []


async def test_a_domain_id_is_stable_and_never_given_again(owned: Store) -> None:
    push, pull = await owned.domains(vhost="demo")
    assert (push.name, pull.name) == ("push.demo.test", "pull.demo.test")
    assert push.id != pull.id
    assert (await owned.put_domain(replace(PUSH, id=77, configured=True))).id == push.id
    await owned.remove_domain("pull.demo.test", "pull")
    again = await owned.put_domain(Domain(vhost="demo", name="pull.demo.test", kind="pull"))
    assert again.id not in (push.id, pull.id)
    # One name may be both of one vhost; these are two domains.
    both = await owned.put_domain(Domain(vhost="demo", name="push.demo.test", kind="pull"))
    assert [domain.id for domain in await owned.domains(account="alice")] == [push.id, again.id, both.id]
    assert await owned.domains(account="bob") == []


async def test_hostile_names_stay_data(store: Store) -> None:
    for name in HOSTILE:
        await store.put_account(Account(id=name))
        await store.put_key(AccessKey(access_key=name, secret_key=name, account=name))
        await store.put_vhost(Vhost(name=name, account=name, apps=(name,)))
        assert await store.find_key(name) == AccessKey(access_key=name, secret_key=name, account=name)
        assert (await store.vhosts(name))[0].apps == (name,)
    assert {account.id for account in await store.accounts()} == set(HOSTILE)
    assert await store.find_key("\ud800\0") is None


async def test_bans_outlive_their_vhost_but_not_its_account(owned: Store) -> None:
    await owned.put_ban(ban())
    for domain in await owned.domains():
        await owned.remove_domain(domain.name, domain.kind)
    await owned.remove_vhost("demo")
    await owned.put_vhost(Vhost(name="demo", account="alice"))
    assert await owned.find_ban(ban().stream, NOW) == ban()
    await owned.remove_vhost("demo")
    await owned.put_vhost(Vhost(name="demo", account="bob"))
    assert await owned.find_ban(ban().stream, NOW) is None
    assert (await owned.bans(BanQuery(now=NOW))).total == 0


# --- Seeding ----------------------------------------------------------------------------------

SEED = Seed(
    accounts=(Account(id="alice"), Account(id="bob")),
    keys=(KEY, AccessKey(access_key="AK2", secret_key="SK2", account="bob")),
    vhosts=(Vhost(name="demo", account="alice"), Vhost(name="other", account="bob")),
    domains=(PUSH, Domain(vhost="other", name="push.other.test", kind="push")),
)


async def test_seeding_again_changes_nothing(store: Store) -> None:
    await store.seed(SEED)
    before = await store.domains(), await store.vhosts(), await store.keys(), await store.accounts()
    await store.seed(SEED)
    assert (await store.domains(), await store.vhosts(), await store.keys(), await store.accounts()) == before
    assert all(row.configured for rows in before for row in rows)


async def test_what_the_file_no_longer_has_goes(store: Store) -> None:
    await store.seed(SEED)
    await store.admit_session(session(1))
    await store.seed(replace(SEED, keys=SEED.keys[1:], vhosts=SEED.vhosts[1:], domains=SEED.domains[1:]))
    assert await store.find_key("AK1") is None
    assert await store.find_vhost("demo") is None
    assert [domain.name for domain in await store.domains()] == ["push.other.test"]
    assert len(await store.open_sessions()) == 1
    await store.seed(Seed())
    assert await store.accounts() == []


async def test_what_was_added_by_hand_stays_and_keeps_its_owner(store: Store) -> None:
    await store.seed(SEED)
    await store.put_domain(Domain(vhost="demo", name="more.test", kind="pull"))
    await store.put_account(Account(id="carol"))
    await store.seed(Seed())
    assert [(row.id, row.configured) for row in await store.accounts()] == [("alice", False), ("carol", False)]
    assert [(row.name, row.configured) for row in await store.vhosts()] == [("demo", False)]
    assert [row.name for row in await store.domains()] == ["more.test"]


async def test_a_domain_and_a_vhost_may_move_in_the_file(store: Store) -> None:
    await store.seed(SEED)
    moved = replace(
        SEED,
        keys=(replace(KEY, account="bob"),),
        vhosts=(Vhost(name="demo", account="bob"), SEED.vhosts[1]),
        domains=(replace(PUSH, vhost="other"),),
    )
    await store.seed(moved)
    assert [(row.name, row.vhost) for row in await store.domains()] == [("push.demo.test", "other")]
    assert [row.account for row in await store.vhosts()] == ["bob", "bob"]
    assert [(row.access_key, row.account) for row in await store.keys()] == [("AK1", "bob")]


async def test_a_seed_at_odds_with_what_is_there_changes_nothing(store: Store) -> None:
    await store.put_account(Account(id="carol"))
    await store.put_vhost(Vhost(name="other", account="carol"))
    with pytest.raises(Conflict, match="vhost other belongs to another account"):
        await store.seed(SEED)
    assert await store.accounts() == [Account(id="carol")]
