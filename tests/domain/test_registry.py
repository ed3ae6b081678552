from __future__ import annotations

import pytest

from penstock.domain.live import Live
from penstock.domain.registry import Registry, require_app
from penstock.errors import InvalidField, UnknownDomain, UnknownVhost
from penstock.storage.rows import Domain
from tests.domain.kit import KEY, SEED


@pytest.fixture
def registry(live: Live) -> Registry:
    return live.registry


async def test_it_knows_what_the_store_has(live: Live, registry: Registry) -> None:
    assert set(registry.accounts) == {"1", "2"}
    assert set(registry.vhosts) == {"demo", "other", "signed"}
    found = registry.find_key("AKone")
    assert found is not None
    assert (found.secret_key, found.account) == (KEY.secret_key, "1")
    assert registry.find_key("akone") is None
    await live.store.remove_key("AKone")
    assert registry.find_key("AKone") is not None
    await registry.load(live.store)
    assert registry.find_key("AKone") is None


async def test_a_vhost_is_its_accounts_alone_and_anothers_looks_like_none(registry: Registry) -> None:
    assert registry.vhost_of("1", "demo").name == "demo"
    messages = []
    for account, name in (("2", "demo"), ("2", "nosuch"), ("1", "Demo"), ("1", ""), ("3", "demo"), ("", "demo")):
        with pytest.raises(UnknownVhost) as refusal:
            registry.vhost_of(account, name)
        messages.append(str(refusal.value).replace(repr(name), "X").replace(account, "A", 1))
    assert len({message.partition(" has no ")[2] for message in messages}) == 1


async def test_push_domains_are_found_whatever_their_case(registry: Registry) -> None:
    assert registry.push_domain("demo", "PUSH.Demo.test").name == "push.demo.test"
    for vhost, name in (("demo", "pull.demo.test"), ("demo", "push.other.test"), ("nosuch", "push.demo.test")):
        with pytest.raises(UnknownDomain):
            registry.push_domain(vhost, name)


async def test_a_domain_is_found_by_its_name_alone_among_those_of_its_account(live: Live, registry: Registry) -> None:
    assert registry.domain_of("1", "PUSH2.demo.test").vhost == "demo"
    assert registry.domain_of("1", "pull.demo.test").kind == "pull"
    for kind in ("pull", "push"):
        await live.store.put_domain(Domain(vhost="signed", name="both.test", kind=kind))
    await registry.load(live.store)
    assert registry.domain_of("1", "both.test").kind == "push"
    for account, name in (("2", "push.demo.test"), ("1", "push.other.test"), ("1", "nosuch.test"), ("1", "")):
        with pytest.raises(UnknownDomain):
            registry.domain_of(account, name)


async def test_domains_are_in_the_order_of_their_ids(live: Live, registry: Registry) -> None:
    assert [domain.name for domain in registry.domains("demo", "push")] == ["push.demo.test", "push2.demo.test"]
    await live.store.put_domain(Domain(vhost="demo", name="a.demo.test", kind="push"))
    await registry.load(live.store)
    found = registry.domains("demo", "push")
    assert [domain.id for domain in found] == sorted(domain.id for domain in found)
    assert found[-1].name == "a.demo.test"
    assert registry.domains("nosuch", "push") == []


@pytest.mark.parametrize(
    ("vhost", "host", "domain"),
    [
        ("demo", "push2.demo.test", "push2.demo.test"),
        ("demo", "PUSH2.demo.test", "push2.demo.test"),
        ("demo", "127.0.0.1", "push.demo.test"),
        ("demo", "pull.demo.test", "push.demo.test"),
        ("demo", "", "push.demo.test"),
        ("signed", "push.demo.test", ""),
        ("nosuch", "push.demo.test", ""),
    ],
)
async def test_what_comes_by_no_domain_counts_under_the_first(
    registry: Registry, vhost: str, host: str, domain: str
) -> None:
    assert registry.domain_for(vhost, "push", host) == domain


async def test_an_engine_is_told_names_and_no_secrets(registry: Registry) -> None:
    told = {vhost.name: vhost for vhost in registry.names()}
    assert set(told) == {vhost.name for vhost in SEED.vhosts}
    assert told["demo"].push_domains == ("push.demo.test", "push2.demo.test")
    assert told["demo"].pull_domains == ("pull.demo.test", "pull2.demo.test")
    assert told["demo"].apps == ("live", "studio")
    assert "publish-key" not in repr(told)


async def test_an_app_is_one_of_the_vhosts(registry: Registry) -> None:
    require_app(registry.vhosts["demo"], "studio")
    with pytest.raises(InvalidField, match="App is 'vod'; it must be an app of demo: live, studio"):
        require_app(registry.vhosts["demo"], "vod", "App")


async def test_an_owner_is_told_or_nobody(registry: Registry) -> None:
    assert [registry.account_of(name) for name in ("demo", "other", "nosuch")] == ["1", "2", ""]
