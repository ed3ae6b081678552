"""Accounts, keys, vhosts and domains: who owns what, and what may not be taken away."""

from __future__ import annotations

from secrets import token_hex
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, bindparam, func, select

from penstock.errors import Conflict, NotFound, UnknownDomain, UnknownVhost
from penstock.storage.queries.mapping import columns_of, first_of, rows_of
from penstock.storage.rows import AccessKey, Account, Domain, DomainKind, Vhost
from penstock.storage.schema import accounts, bans, domains, keys, secrets, sessions, vhosts
from penstock.storage.sqlite import insert_missing, upsert

FIND_KEY = select(keys).where(keys.c.access_key == bindparam("access_key"))
FIND_VHOST = select(vhosts).where(vhosts.c.name == bindparam("name"))
FIND_DOMAIN = select(domains).where(domains.c.name == bindparam("name"), domains.c.kind == bindparam("kind"))


def put_account(connection: Connection, account: Account, *, new: bool = False) -> None:
    if new and _count(connection, accounts, accounts.c.id == account.id):
        raise Conflict(f"account {account.id} exists already")
    connection.execute(upsert(accounts, "id"), columns_of(account))


def remove_account(connection: Connection, account: str) -> None:
    for table, what in ((keys, "access keys"), (vhosts, "vhosts")):
        if number := _count(connection, table, table.c.account == account):
            raise Conflict(f"account {account} has {what} ({number}); remove them first")
    if not _delete(connection, accounts, accounts.c.id == account):
        raise NotFound(f"there is no account {account}")


def list_accounts(connection: Connection) -> list[Account]:
    return rows_of(connection, Account, select(accounts).order_by(accounts.c.id))


def put_key(connection: Connection, key: AccessKey, *, new: bool = False) -> None:
    _require_account(connection, key.account)
    found = find_key(connection, key.access_key)
    # Not whose it is: an access key is half of a secret.
    if found is not None and (new or found.account != key.account):
        raise Conflict(f"access key {key.access_key} exists already")
    connection.execute(upsert(keys, "access_key"), columns_of(key))


def remove_key(connection: Connection, access_key: str) -> None:
    if not _delete(connection, keys, keys.c.access_key == access_key):
        raise NotFound(f"there is no access key {access_key}")


def find_key(connection: Connection, access_key: str) -> AccessKey | None:
    return first_of(connection, AccessKey, FIND_KEY, access_key=access_key)


def list_keys(connection: Connection, account: str | None = None) -> list[AccessKey]:
    statement = select(keys).order_by(keys.c.account, keys.c.access_key)
    return rows_of(connection, AccessKey, statement if account is None else statement.where(keys.c.account == account))


def put_vhost(connection: Connection, vhost: Vhost, *, new: bool = False) -> None:
    _require_account(connection, vhost.account)
    found = find_vhost(connection, vhost.name)
    if found is not None and found.account != vhost.account:
        raise Conflict(f"vhost {vhost.name} belongs to another account")
    if found is not None and new:
        raise Conflict(f"vhost {vhost.name} exists already")
    if _count(connection, domains, domains.c.name == vhost.name.lower(), domains.c.vhost != vhost.name):
        raise Conflict(f"vhost {vhost.name} has the name of another vhost's domain")
    if found is None:
        # Bans outlive their vhost, but are no business of an account that takes the name over.
        connection.execute(bans.delete().where(bans.c.vhost == vhost.name, bans.c.account != vhost.account))
    connection.execute(upsert(vhosts, "name"), columns_of(vhost))


def remove_vhost(connection: Connection, vhost: str) -> None:
    if number := _count(connection, domains, domains.c.vhost == vhost):
        raise Conflict(f"vhost {vhost} has domains ({number}); remove them first")
    if number := _count(connection, sessions, sessions.c.ended_at.is_(None), sessions.c.vhost == vhost):
        raise Conflict(f"vhost {vhost} has streams on air ({number}); end them first")
    if not _delete(connection, vhosts, vhosts.c.name == vhost):
        raise UnknownVhost(f"there is no vhost {vhost}")


def find_vhost(connection: Connection, vhost: str) -> Vhost | None:
    return first_of(connection, Vhost, FIND_VHOST, name=vhost)


def list_vhosts(connection: Connection, account: str | None = None) -> list[Vhost]:
    statement = select(vhosts).order_by(vhosts.c.name)
    return rows_of(connection, Vhost, statement if account is None else statement.where(vhosts.c.account == account))


def put_domain(connection: Connection, domain: Domain, *, new: bool = False) -> Domain:
    if find_vhost(connection, domain.vhost) is None:
        raise UnknownVhost(f"there is no vhost {domain.vhost}")
    if _count(connection, domains, domains.c.name == domain.name, domains.c.vhost != domain.vhost) or _count(
        connection, vhosts, func.lower(vhosts.c.name) == domain.name, vhosts.c.name != domain.vhost
    ):
        raise Conflict(f"domain {domain.name} belongs to another vhost")
    found = first_of(connection, Domain, FIND_DOMAIN, name=domain.name, kind=domain.kind)
    if found is None:
        values = columns_of(domain)
        del values["id"]
        key = connection.execute(domains.insert(), values).inserted_primary_key
        assert key is not None
        return msgspec.structs.replace(domain, id=key[0])
    if new:
        raise Conflict(f"{domain.kind} domain {domain.name} exists already")
    connection.execute(domains.update().where(domains.c.id == found.id), {"configured": domain.configured})
    return msgspec.structs.replace(domain, id=found.id)


def remove_domain(connection: Connection, name: str, kind: DomainKind) -> None:
    if kind == "push":
        on_air = _count(connection, sessions, sessions.c.ended_at.is_(None), sessions.c.push_domain == name)
        if on_air:
            raise Conflict(f"push domain {name} has streams on air ({on_air}); end them first")
    if not _delete(connection, domains, domains.c.name == name, domains.c.kind == kind):
        raise UnknownDomain(f"there is no {kind} domain {name}")


def list_domains(connection: Connection, *, vhost: str | None = None, account: str | None = None) -> list[Domain]:
    statement = select(domains).order_by(domains.c.id)
    if vhost is not None:
        statement = statement.where(domains.c.vhost == vhost)
    if account is not None:
        statement = statement.join(vhosts).where(vhosts.c.account == account)
    return rows_of(connection, Domain, statement)


def secret(connection: Connection, name: str) -> str:
    connection.execute(insert_missing(secrets), {"name": name, "value": token_hex(32)})
    return str(connection.scalar(select(secrets.c.value).where(secrets.c.name == name)))


def _require_account(connection: Connection, account: str) -> None:
    if not _count(connection, accounts, accounts.c.id == account):
        raise NotFound(f"there is no account {account}")


def _count(connection: Connection, table: Table, *conditions: ColumnElement[bool]) -> int:
    return connection.scalar(select(func.count()).select_from(table).where(*conditions)) or 0


def _delete(connection: Connection, table: Table, *conditions: ColumnElement[bool]) -> bool:
    deleted: Any = connection.execute(table.delete().where(*conditions))
    return bool(deleted.rowcount)
