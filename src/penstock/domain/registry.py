"""Who owns what, in memory: accounts, keys, vhosts and their domains, as the store has them.

Every request and every publish asks it, so that neither waits for a disk. Control is the store's only
writer; whoever changes owners there calls `load` behind it (`accounts` does).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from penstock.errors import InvalidField, UnknownDomain, UnknownVhost
from penstock.link.messages import Vhost as VhostNames
from penstock.storage.base import Records
from penstock.storage.rows import AccessKey, Account, Domain, Vhost


class Registry:
    """All owners. Rows are never changed; a new state replaces the old one as a whole."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.keys: dict[str, AccessKey] = {}
        self.vhosts: dict[str, Vhost] = {}
        self._domains: dict[str, list[Domain]] = {}  # of each vhost, in the order of their ids
        self._vhost_at: dict[str, str] = {}  # by the name of any domain

    async def load(self, records: Records) -> None:
        """Take over what the store has."""
        accounts, keys = await records.accounts(), await records.keys()
        vhosts, domains = await records.vhosts(), await records.domains()
        self.accounts = {account.id: account for account in accounts}
        self.keys = {key.access_key: key for key in keys}
        self.vhosts = {vhost.name: vhost for vhost in vhosts}
        self._domains = {vhost.name: [] for vhost in vhosts}
        for domain in domains:
            self._domains[domain.vhost].append(domain)
        self._vhost_at = {domain.name: domain.vhost for domain in domains}

    def find_key(self, access_key: str) -> AccessKey | None:
        return self.keys.get(access_key)

    def vhost_of(self, account: str, name: str) -> Vhost:
        """The vhost of that name, if the account has it.

        Raises:
            UnknownVhost: there is none, or it is another account's: the two look alike.
        """
        vhost = self.vhosts.get(name)
        if vhost is None or vhost.account != account:
            raise UnknownVhost(f"account {account} has no vhost {name[:80]!r}")
        return vhost

    def domains(self, vhost: str, kind: Literal["push", "pull"]) -> list[Domain]:
        return [domain for domain in self._domains.get(vhost, ()) if domain.kind == kind]

    def push_domain(self, vhost: str, name: str) -> Domain:
        """One of the vhost's push domains, by its name.

        Raises:
            UnknownDomain: it has no such domain.
        """
        found = next((domain for domain in self.domains(vhost, "push") if domain.name == name.lower()), None)
        if found is None:
            raise UnknownDomain(f"vhost {vhost} has no push domain {name[:80]!r}")
        return found

    def domain_of(self, account: str, name: str) -> Domain:
        """A domain of the account, by its name alone; the push domain where one to play from has the same name.

        Raises:
            UnknownDomain: it has no such domain.
        """
        name = name.lower()
        owned = [domains for vhost, domains in self._domains.items() if self.account_of(vhost) == account]
        found = [domain for domains in owned for domain in domains if domain.name == name]
        if not found:
            raise UnknownDomain(f"account {account} has no domain {name[:80]!r}")
        return next((domain for domain in found if domain.kind == "push"), found[0])

    def domain_for(self, vhost: str, kind: Literal["push", "pull"], host: str) -> str:
        """The domain that something on this host counts under: that one, or the vhost's first; empty if it has none."""
        names = [domain.name for domain in self.domains(vhost, kind)]
        host = host.lower()
        return host if host in names else next(iter(names), "")

    def vhost_at(self, host: str) -> Vhost | None:
        """The vhost that has `host` as a domain of either kind, whoever's it is."""
        return self.vhosts.get(self._vhost_at.get(host.lower(), ""))

    def account_of(self, vhost: str) -> str:
        """Who owns a vhost; empty for one that does not exist."""
        found = self.vhosts.get(vhost)
        return found.account if found is not None else ""

    def names(self) -> tuple[VhostNames, ...]:
        """What an engine has to know of all vhosts."""
        return tuple(
            VhostNames(
                vhost.name,
                _names(self.domains(vhost.name, "push")),
                _names(self.domains(vhost.name, "pull")),
                vhost.apps,
            )
            for vhost in self.vhosts.values()
        )


def require_app(vhost: Vhost, app: str, field: str = "app") -> None:
    """Raises:
    InvalidField: the vhost has no such app.
    """
    if app not in vhost.apps:
        raise InvalidField(field, app, f"an app of {vhost.name}: {', '.join(vhost.apps)}")


def _names(domains: Iterable[Domain]) -> tuple[str, ...]:
    return tuple(domain.name for domain in domains)
