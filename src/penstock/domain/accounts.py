"""Owners and their keys: those of the configuration file, and those added while the server runs.

Every change goes to the store, then into the registry, then to the engine.
"""

from __future__ import annotations

import os
import secrets
import string
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from penstock import config as settings
from penstock import forms
from penstock.domain import enforcement
from penstock.domain.live import Live
from penstock.errors import ConfigError, InvalidField, NotFound
from penstock.model import is_name
from penstock.storage.rows import AccessKey, Account, Domain, DomainKind, RecordAlways, Seed, UrlSigning, Vhost

CREDENTIALS: Final = "credentials.toml"
_ALPHABET: Final = string.ascii_letters + string.digits
# 20 characters of 62 are 119 bits, 40 are 238: as much as the clouds' own keys have.
_ACCESS_KEY_LENGTH: Final = 20
_SECRET_KEY_LENGTH: Final = 40
_HEAD: Final = """\
# Keys that Penstock made for accounts whose configuration names none. Whoever has them may ban and kick.
# A key given in penstock.toml ([[account.key]]) takes their place.
"""


def new_key(account: str, *, sub_account: bool = False) -> AccessKey:
    """A fresh pair of random halves."""
    return AccessKey(
        access_key="AKPS" + _random(_ACCESS_KEY_LENGTH - 4),
        secret_key=_random(_SECRET_KEY_LENGTH),
        account=account,
        sub_account=sub_account,
    )


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


# The configuration's owners


def seed_of(config: settings.Config) -> Seed:
    """Everything that the settings say of owners; accounts without a key have the one in `data_dir`."""
    made = _made_keys(config)
    keys = [
        AccessKey(access_key=key.access_key, secret_key=key.secret_key, account=account.id, sub_account=key.sub_account)
        for account in config.accounts
        for key in account.keys
    ]
    return Seed(
        accounts=tuple(Account(id=account.id) for account in config.accounts),
        keys=(*keys, *made),
        vhosts=tuple(_vhost_of(account.id, vhost) for account in config.accounts for vhost in account.vhosts),
        domains=tuple(domain for vhost in config.vhosts for domain in _domains_of(vhost)),
    )


def _vhost_of(account: str, vhost: settings.Vhost) -> Vhost:
    return Vhost(
        name=vhost.name,
        account=account,
        apps=vhost.apps,
        publish_auth=vhost.publish_auth,
        publish_key=vhost.publish_key,
        signing=UrlSigning(order=vhost.publish_sign_order, valid_s=vhost.publish_valid_s or None),
        record=RecordAlways(vhost.record, vhost.record_apps, vhost.record_one_file),
    )


def _domains_of(vhost: settings.Vhost) -> Iterable[Domain]:
    yield from (Domain(vhost=vhost.name, name=name, kind="push") for name in vhost.push_domains)
    yield from (Domain(vhost=vhost.name, name=name, kind="pull") for name in vhost.pull_domains)


def _made_keys(config: settings.Config) -> list[AccessKey]:
    """The keys of accounts whose configuration names none, made at the first start and kept."""
    path = config.data_dir / CREDENTIALS
    without = [account.id for account in config.accounts if not account.keys]
    if not without:
        return []
    known = read_credentials(path)
    missing = [account for account in without if account not in known]
    if missing:
        known = {**known, **{account: new_key(account) for account in missing}}
        _write_credentials(path, known)
    return [known[account] for account in without]


def read_credentials(path: Path) -> dict[str, AccessKey]:
    """The keys that were made, by account; none when there is no such file.

    Raises:
        ConfigError: the file cannot be read, or does not hold what we wrote.
    """
    try:
        tables: Mapping[str, Mapping[str, str]] = tomllib.loads(path.read_text())
        return {
            account: AccessKey(access_key=table["access_key"], secret_key=table["secret_key"], account=account)
            for account, table in tables.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        wanted = "delete it to have new keys made"
        raise ConfigError(f"{path} cannot be read ({error}); {wanted}") from error


def _write_credentials(path: Path, keys: Mapping[str, AccessKey]) -> None:
    tables = [
        f'\n["{account}"]\naccess_key = "{key.access_key}"\nsecret_key = "{key.secret_key}"\n'
        for account, key in keys.items()
    ]
    fresh = path.with_suffix(".new")
    try:
        fresh.unlink(missing_ok=True)
        # Nobody else's from its first byte on.
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(_HEAD + "".join(tables))
        fresh.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error


# Owners added by hand. Each call raises what the store raises: NotFound, Conflict.


async def add_account(live: Live, account: str) -> Account:
    """Raises:
    InvalidField: it is no name.
    """
    made = Account(id=_name("id", account))
    await live.store.put_account(made, new=True)
    await _changed(live)
    return made


async def remove_account(live: Live, account: str) -> None:
    await live.store.remove_account(account)
    await _changed(live)


async def add_key(live: Live, key: AccessKey) -> AccessKey:
    """Raises:
    InvalidField: a half is empty, too long or holds what a header cannot.
    """
    for name, text, longest in (("access_key", key.access_key, 128), ("secret_key", key.secret_key, 256)):
        if not 1 <= len(text) <= longest or not all("!" <= char <= "~" for char in text):
            shown = text if name == "access_key" else "(hidden)"
            raise InvalidField(name, shown, f"1 to {longest} visible ASCII characters without blanks")
    await live.store.put_key(key, new=True)
    await _changed(live)
    return key


async def remove_key(live: Live, access_key: str) -> None:
    await live.store.remove_key(access_key)
    await _changed(live)


async def add_vhost(live: Live, vhost: Vhost, *, push_domains: Iterable[str], pull_domains: Iterable[str]) -> Vhost:
    """Make a vhost with its domains, or nothing.

    Raises:
        InvalidField: a name is none, there is no app, or it wants signed URLs and has no key.
    """
    _name("name", vhost.name)
    if not vhost.apps:
        raise InvalidField("apps", "empty", "at least one name")
    for app in vhost.apps:
        _name("app", app)
    if vhost.publish_auth == "signed" and not vhost.publish_key:
        raise InvalidField("publish_key", "", "the key that publishing URLs are signed with")
    named: list[tuple[DomainKind, str]] = [
        *(("push", name) for name in push_domains),
        *(("pull", name) for name in pull_domains),
    ]
    domains = [Domain(vhost=vhost.name, name=_domain(name), kind=kind) for kind, name in named]
    async with live.store.transaction() as store:
        await store.put_vhost(vhost, new=True)
        for domain in domains:
            await store.put_domain(domain, new=True)
    await _changed(live)
    return vhost


async def remove_vhost(live: Live, name: str) -> None:
    """Take a vhost away with its domains; what was banned and recorded of it stays for its account.

    Raises:
        NotFound: there is no such vhost.
        Conflict: somebody publishes on it.
    """
    if name not in live.registry.vhosts:
        raise NotFound(f"there is no vhost {name[:80]!r}")
    await live.journal.written()
    async with live.store.transaction() as store:
        for domain in await store.domains(vhost=name):
            await store.remove_domain(domain.name, domain.kind)
        await store.remove_vhost(name)
    await _changed(live)


async def seed(live: Live, seeded: Seed) -> None:
    """Make the configured owners those of `seeded`.

    Raises:
        Conflict: it is at odds with what was added by hand; nothing was changed.
    """
    await live.store.seed(seeded)
    await _changed(live)


async def _changed(live: Live) -> None:
    registry = live.registry
    before = dict(registry.vhosts)
    await registry.load(live.store)
    # The store did so when the vhost was made anew under another account.
    live.bans.forget_of(lambda ban: registry.account_of(ban.stream.vhost) not in ("", ban.account))
    live.engine.tell_vhosts(live)
    rekeyed = [name for name, vhost in registry.vhosts.items() if name in before and _is_rekeyed(before[name], vhost)]
    await enforcement.enforce(live, rekeyed=rekeyed)


def _is_rekeyed(before: Vhost, now: Vhost) -> bool:
    """True if no URL that let somebody in before would do so now: a key that leaked is taken back."""
    return now.publish_auth == "signed" and (before.publish_auth, before.publish_key) != ("signed", now.publish_key)


def _name(field: str, text: str) -> str:
    if not is_name(text):
        raise InvalidField(field, text, "a name: letters, digits, '_', '.' or '-', 255 at most")
    return text


def _domain(text: str) -> str:
    try:
        return forms.host_name(text)
    except ValueError:
        raise InvalidField("domain", text, "a host name or an address without port, in ASCII") from None
