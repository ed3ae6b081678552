"""Accounts, their keys, their vhosts."""

from __future__ import annotations

import secrets
from collections import Counter

from msgspec import structs

from penstock.admin import owners as verbs
from penstock.admin.contract import Done
from penstock.api.operator.desk import Desk, account_of
from penstock.domain import accounts
from penstock.domain.live import Live
from penstock.errors import Conflict, InvalidField
from penstock.storage.rows import AccessKey, Account, RecordAlways, Vhost


async def list_accounts(desk: Desk, _: verbs.ListAccounts) -> verbs.Accounts:
    registry = desk.live.registry
    keys = Counter(key.account for key in registry.keys.values())
    vhosts = Counter(vhost.account for vhost in registry.vhosts.values())
    return verbs.Accounts(
        accounts=[
            verbs.Account(id=each.id, configured=each.configured, keys=keys[each.id], vhosts=vhosts[each.id])
            for each in registry.accounts.values()
        ]
    )


async def add_account(desk: Desk, ask: verbs.AddAccount) -> Done:
    await accounts.add_account(desk.live, ask.id)
    return Done()


async def remove_account(desk: Desk, ask: verbs.RemoveAccount) -> Done:
    _refuse_configured(f"account {ask.id}", desk.live.registry.accounts.get(ask.id))
    await accounts.remove_account(desk.live, ask.id)
    return Done()


async def list_keys(desk: Desk, ask: verbs.ListKeys) -> verbs.Keys:
    return verbs.Keys(
        keys=[
            verbs.Key(
                access_key=key.access_key, account=key.account, sub_account=key.sub_account, configured=key.configured
            )
            for key in desk.live.registry.keys.values()
            if ask.account in ("", key.account)
        ]
    )


async def add_key(desk: Desk, ask: verbs.AddKey) -> verbs.KeyAdded:
    key = accounts.new_key(account_of(desk.live, ask.account), sub_account=ask.sub_account)
    key = structs.replace(key, access_key=ask.access_key or key.access_key, secret_key=ask.secret_key or key.secret_key)
    await accounts.add_key(desk.live, key)
    return verbs.KeyAdded(
        access_key=key.access_key, secret_key=key.secret_key, account=key.account, sub_account=key.sub_account
    )


async def remove_key(desk: Desk, ask: verbs.RemoveKey) -> Done:
    # One that was made at the first start stands in a file of its own.
    where = f"there, or out of {accounts.CREDENTIALS} in the data folder,"
    _refuse_configured(f"key {ask.access_key}", desk.live.registry.keys.get(ask.access_key), where)
    await accounts.remove_key(desk.live, ask.access_key)
    return Done()


async def list_vhosts(desk: Desk, ask: verbs.ListVhosts) -> verbs.Vhosts:
    live = desk.live
    return verbs.Vhosts(
        vhosts=[_vhost(live, each) for each in live.registry.vhosts.values() if ask.account in ("", each.account)]
    )


async def add_vhost(desk: Desk, ask: verbs.AddVhost) -> verbs.VhostAdded:
    live = desk.live
    vhost = Vhost(
        name=ask.name,
        account=account_of(live, ask.account),
        apps=tuple(dict.fromkeys(ask.apps)),
        publish_auth=ask.publish_auth,
        publish_key=_publish_key(ask),
        record=_record(ask),
    )
    await accounts.add_vhost(live, vhost, push_domains=ask.push_domains, pull_domains=ask.pull_domains)
    return verbs.VhostAdded(vhost=_vhost(live, vhost), publish_key=vhost.publish_key)


async def remove_vhost(desk: Desk, ask: verbs.RemoveVhost) -> Done:
    _refuse_configured(f"vhost {ask.name}", desk.live.registry.vhosts.get(ask.name))
    await accounts.remove_vhost(desk.live, ask.name)
    return Done()


def _publish_key(ask: verbs.AddVhost) -> str:
    if ask.publish_auth == "signed":
        return ask.publish_key or secrets.token_hex(16)
    if ask.publish_key is not None:
        raise InvalidField("publish_key", "(hidden)", 'left out, as with publish_auth "none" anyone may publish')
    return ""


def _record(ask: verbs.AddVhost) -> RecordAlways:
    if ask.record_one_file and not ask.record:
        raise InvalidField("record_one_file", True, "left out, unless `record` says what as")
    return RecordAlways(ask.record, one_file=ask.record_one_file)


def _vhost(live: Live, vhost: Vhost) -> verbs.Vhost:
    push, pull = (live.registry.domains(vhost.name, kind) for kind in ("push", "pull"))
    return verbs.Vhost(
        name=vhost.name,
        account=vhost.account,
        apps=list(vhost.apps),
        push_domains=[verbs.Domain(id=each.id, name=each.name) for each in push],
        pull_domains=[verbs.Domain(id=each.id, name=each.name) for each in pull],
        publish_auth=vhost.publish_auth,
        record=vhost.record.container,
        record_apps=list(vhost.record.apps),
        configured=vhost.configured,
    )


def _refuse_configured(what: str, row: Account | AccessKey | Vhost | None, where: str = "there,") -> None:
    """What the settings have would be there again with the next reload."""
    if row is not None and row.configured:
        raise Conflict(f"{what} comes from the settings; take it out {where} then `penstock reload`")
