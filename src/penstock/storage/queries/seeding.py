"""Makes the configured owners those of the file, and leaves what was added by hand."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, select

from penstock.storage.queries import owners
from penstock.storage.rows import Seed
from penstock.storage.schema import accounts, domains, keys, vhosts


def seed(connection: Connection, seed: Seed) -> None:
    # First away, then there: a domain may have moved to another vhost, a vhost to another account.
    _take_away(connection, seed)
    for account in seed.accounts:
        owners.put_account(connection, msgspec.structs.replace(account, configured=True))
    for key in seed.keys:
        owners.put_key(connection, msgspec.structs.replace(key, configured=True))
    for vhost in seed.vhosts:
        owners.put_vhost(connection, msgspec.structs.replace(vhost, configured=True))
    for domain in seed.domains:
        owners.put_domain(connection, msgspec.structs.replace(domain, configured=True))


def _take_away(connection: Connection, seed: Seed) -> None:
    wanted_keys = {(key.access_key, key.account) for key in seed.keys}
    for key in owners.list_keys(connection):
        if key.configured and (key.access_key, key.account) not in wanted_keys:
            connection.execute(keys.delete().where(keys.c.access_key == key.access_key))
    wanted_domains = {(domain.vhost, domain.name, domain.kind) for domain in seed.domains}
    for domain in owners.list_domains(connection):
        if domain.configured and (domain.vhost, domain.name, domain.kind) not in wanted_domains:
            connection.execute(domains.delete().where(domains.c.id == domain.id))
    wanted_vhosts = {(vhost.name, vhost.account) for vhost in seed.vhosts}
    for vhost in owners.list_vhosts(connection):
        if vhost.configured and (vhost.name, vhost.account) not in wanted_vhosts:
            _drop_vhost(connection, vhost.name)
    wanted_accounts = {account.id for account in seed.accounts}
    for account in owners.list_accounts(connection):
        if account.configured and account.id not in wanted_accounts:
            _drop_account(connection, account.id)


def _drop_vhost(connection: Connection, name: str) -> None:
    its_own = vhosts.c.name == name
    if connection.execute(select(domains.c.id).where(domains.c.vhost == name)).first() is None:
        connection.execute(vhosts.delete().where(its_own))
    else:  # a domain was added by hand
        connection.execute(vhosts.update().where(its_own), {"configured": False})


def _drop_account(connection: Connection, name: str) -> None:
    its_own = accounts.c.id == name
    hangs_on_it = (select(table.c.account).where(table.c.account == name) for table in (keys, vhosts))
    if all(connection.execute(found).first() is None for found in hangs_on_it):
        connection.execute(accounts.delete().where(its_own))
    else:
        connection.execute(accounts.update().where(its_own), {"configured": False})
