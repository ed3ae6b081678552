"""Accounts, keys and vhosts, as the operator changes them."""

from __future__ import annotations

import re

import pytest

from penstock.admin import owners as verbs
from penstock.errors import Conflict, InvalidField, NotFound
from penstock.model import StreamId
from penstock.storage.rows import RecordAlways
from tests.api.operator.kit import office, publish


async def test_accounts_are_listed_with_what_they_have() -> None:
    async with office() as desk:
        listed = (await desk.ask(verbs.ListAccounts())).accounts
        assert listed == [
            verbs.Account(id="1", configured=True, keys=1, vhosts=2),
            verbs.Account(id="2", configured=True, keys=1, vhosts=1),
        ]


async def test_account_key_and_vhost_are_made_and_removed_in_turn() -> None:
    async with office() as desk:
        await desk.ask(verbs.AddAccount(id="3"))
        key = await desk.ask(verbs.AddKey(account="3"))
        added = await desk.ask(verbs.AddVhost(name="shop", account="3", push_domains=("Push.Shop.test",)))
        assert added.vhost.account == "3"
        assert [each.name for each in added.vhost.push_domains] == ["push.shop.test"]
        assert added.publish_key == ""
        for removal in (verbs.RemoveAccount(id="3"), verbs.RemoveAccount(id="1")):
            with pytest.raises(Conflict):
                await desk.ask(removal)
        await desk.ask(verbs.RemoveVhost(name="shop"))
        await desk.ask(verbs.RemoveKey(access_key=key.access_key))
        await desk.ask(verbs.RemoveAccount(id="3"))
        assert [each.id for each in (await desk.ask(verbs.ListAccounts())).accounts] == ["1", "2"]


async def test_key_is_random_or_as_given_and_told_once() -> None:
    async with office() as desk:
        made = await desk.ask(verbs.AddKey(account="1"))
        again = await desk.ask(verbs.AddKey(account="1", sub_account=True))
        assert re.fullmatch(r"AKPS\w{16}", made.access_key)
        assert re.fullmatch(r"\w{40}", made.secret_key)
        assert (made.access_key, made.secret_key) != (again.access_key, again.secret_key)
        given = await desk.ask(verbs.AddKey(account="1", access_key="AKmine", secret_key="my-secret"))
        assert (given.access_key, given.secret_key) == ("AKmine", "my-secret")
        found = desk.live.registry.find_key("AKmine")
        assert found is not None
        assert found.secret_key == "my-secret"
        listed = (await desk.ask(verbs.ListKeys(account="1"))).keys
        assert {each.access_key: each.sub_account for each in listed} == {
            "AKone": False,
            "AKmine": False,
            made.access_key: False,
            again.access_key: True,
        }
        assert "secret" not in str(verbs.Key.__struct_fields__)


async def test_what_is_there_is_not_made_twice() -> None:
    async with office() as desk:
        for ask in (verbs.AddAccount(id="1"), verbs.AddVhost(name="demo", account="1")):
            with pytest.raises(Conflict):
                await desk.ask(ask)
        with pytest.raises(Conflict):
            await desk.ask(verbs.AddKey(account="1", access_key="AKtwo"))
        with pytest.raises(Conflict):
            await desk.ask(verbs.AddVhost(name="shop", account="1", pull_domains=("push.other.test",)))
        assert "shop" not in desk.live.registry.vhosts


async def test_what_the_settings_have_is_taken_out_there() -> None:
    async with office() as desk:
        for ask in (
            verbs.RemoveAccount(id="1"),
            verbs.RemoveKey(access_key="AKone"),
            verbs.RemoveVhost(name="demo"),
        ):
            with pytest.raises(Conflict, match=r"comes from the settings; take it out there,.* then `penstock reload`"):
                await desk.ask(ask)
        assert "AKone" in desk.live.registry.keys


async def test_what_is_not_there_is_not_removed() -> None:
    async with office() as desk:
        for ask in (
            verbs.RemoveAccount(id="9"),
            verbs.RemoveKey(access_key="AKnone"),
            verbs.RemoveVhost(name="none"),
            verbs.AddKey(account="9"),
            verbs.AddVhost(name="shop", account="9"),
        ):
            with pytest.raises(NotFound):
                await desk.ask(ask)


async def test_account_must_be_named_where_there_are_several() -> None:
    async with office() as desk:
        for ask in (verbs.AddKey(), verbs.AddVhost(name="shop")):
            with pytest.raises(InvalidField, match="account named: there is 1, 2"):
                await desk.ask(ask)


async def test_signed_vhost_has_a_key() -> None:
    async with office() as desk:
        made = await desk.ask(verbs.AddVhost(name="one", account="1", publish_auth="signed"))
        assert re.fullmatch(r"[0-9a-f]{32}", made.publish_key)
        assert desk.live.registry.vhosts["one"].publish_key == made.publish_key
        given = await desk.ask(verbs.AddVhost(name="two", account="1", publish_auth="signed", publish_key="mine"))
        assert given.publish_key == "mine"
        with pytest.raises(InvalidField, match=r"publish_key.*anyone may publish"):
            await desk.ask(verbs.AddVhost(name="three", account="1", publish_key="mine"))


async def test_vhosts_are_listed_with_their_domains_and_ids() -> None:
    async with office() as desk:
        (listed,) = (await desk.ask(verbs.ListVhosts(account="2"))).vhosts
        assert (listed.name, listed.apps, listed.publish_auth, listed.configured) == ("other", ["live"], "none", True)
        assert [each.name for each in listed.push_domains] == ["push.other.test"]
        assert all(each.id > 0 for each in listed.push_domains)
        assert len((await desk.ask(verbs.ListVhosts())).vhosts) == 3


async def test_vhost_with_a_publisher_stays() -> None:
    async with office() as desk:
        await desk.ask(verbs.AddVhost(name="shop", account="1", apps=("live", "live", "studio")))
        assert desk.live.registry.vhosts["shop"].apps == ("live", "studio")
        session = publish(desk.live, StreamId("shop", "live", "cam"))
        from penstock.domain.records import row_of

        await desk.live.store.admit_session(row_of(session))
        with pytest.raises(Conflict):
            await desk.ask(verbs.RemoveVhost(name="shop"))


async def test_a_vhost_made_by_hand_may_record_always() -> None:
    async with office() as desk:
        await desk.ask(verbs.AddVhost(name="shop", account="1", record="flv", record_one_file=True))
        assert desk.live.registry.vhosts["shop"].record == RecordAlways("flv", (), True)
        shown = {each.name: each.record for each in (await desk.ask(verbs.ListVhosts())).vhosts}
        assert (shown["shop"], shown["demo"]) == ("flv", "")
        with pytest.raises(InvalidField, match="record_one_file"):
            await desk.ask(verbs.AddVhost(name="other2", account="1", record_one_file=True))
