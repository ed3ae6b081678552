"""Accounts, their keys, their vhosts."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from penstock.admin.contract import AccessKey, Ask, Done, Name, OptionalName, Result

SecretText = Annotated[str, Meta(min_length=1, max_length=256)]
DomainName = Annotated[str, Meta(min_length=1, max_length=253)]
Domains = Annotated[tuple[DomainName, ...], Meta(max_length=1000)]
Apps = Annotated[tuple[Name, ...], Meta(min_length=1, max_length=1000)]


class Account(Struct, frozen=True, kw_only=True):
    """One account. `configured`: it stands in the configuration file, and is changed there."""

    id: str
    configured: bool
    keys: int
    vhosts: int


class Accounts(Result, frozen=True):
    """Every account, by its id."""

    accounts: list[Account]


class ListAccounts(Ask[Accounts], frozen=True):
    """Tell which accounts there are."""

    verb = "accounts.ls"


class AddAccount(Ask[Done], frozen=True):
    """Make an account, without key or vhost."""

    verb = "accounts.add"

    id: Name


class RemoveAccount(Ask[Done], frozen=True):
    """Remove an account that has neither keys nor vhosts any more."""

    verb = "accounts.rm"

    id: Name


class Key(Struct, frozen=True, kw_only=True):
    """An access key; its secret is told once, when it is made."""

    access_key: str
    account: str
    sub_account: bool
    configured: bool


class Keys(Result, frozen=True):
    """By account and access key."""

    keys: list[Key]


class ListKeys(Ask[Keys], frozen=True):
    """Tell which keys there are, without their secrets."""

    verb = "keys.ls"

    account: OptionalName = ""


class KeyAdded(Result, frozen=True):
    """The new key. Nothing tells the secret again."""

    access_key: str
    secret_key: str
    account: str
    sub_account: bool

    def __repr__(self) -> str:
        return f"KeyAdded({self.access_key!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("access_key", self.access_key)]


class AddKey(Ask[KeyAdded], frozen=True):
    """Make a key of an account; a half that is left out is random. Without `account` it is the only account's."""

    verb = "keys.add"

    account: OptionalName = ""
    access_key: AccessKey | None = None
    secret_key: SecretText | None = None
    sub_account: bool = False

    def __repr__(self) -> str:
        return f"AddKey({self.account!r}, {self.access_key!r})"

    def __rich_repr__(self) -> list[tuple[str, str | None]]:
        return [("account", self.account), ("access_key", self.access_key)]


class RemoveKey(Ask[Done], frozen=True):
    """Remove a key; calls that are signed with it are refused from now on."""

    verb = "keys.rm"

    access_key: AccessKey


class Domain(Struct, frozen=True, kw_only=True):
    """A domain of a vhost; the id is what the clouds' calls know it by."""

    id: int
    name: str


class Vhost(Struct, frozen=True, kw_only=True):
    """One vhost. `configured`: it stands in the configuration file, and is changed there."""

    name: str
    account: str
    apps: list[str]
    push_domains: list[Domain]
    pull_domains: list[Domain]
    publish_auth: Literal["none", "signed"]
    record: Literal["", "mp4", "flv", "hls"]  # what is always recorded as; "": nothing is
    record_apps: list[str]  # []: every app
    configured: bool


class Vhosts(Result, frozen=True):
    """By their names."""

    vhosts: list[Vhost]


class ListVhosts(Ask[Vhosts], frozen=True):
    """Tell which vhosts there are."""

    verb = "vhosts.ls"

    account: OptionalName = ""


class VhostAdded(Result, frozen=True):
    """The new vhost; it can be published to."""

    vhost: Vhost
    publish_key: str  # of signed publishing URLs; "" where they are not signed. Nothing tells it again

    def __repr__(self) -> str:
        return f"VhostAdded({self.vhost!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("vhost", self.vhost)]


class AddVhost(Ask[VhostAdded], frozen=True):
    """Make a vhost with its domains. Without `account` it is the only account's.

    With `publish_auth` "signed" a publish must carry a signature made with `publish_key`; left out, it is random.
    """

    verb = "vhosts.add"

    name: Name
    account: OptionalName = ""
    push_domains: Domains = ()
    pull_domains: Domains = ()
    apps: Apps = ("live",)
    publish_auth: Literal["none", "signed"] = "none"
    publish_key: SecretText | None = None
    record: Literal["", "mp4", "flv", "hls"] = ""  # every stream, whenever it is on air
    record_one_file: bool = False  # a publisher that comes back goes on in the same file

    def __repr__(self) -> str:
        return f"AddVhost({self.name!r}, {self.account!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("name", self.name), ("account", self.account)]


class RemoveVhost(Ask[Done], frozen=True):
    """Remove a vhost with its domains. Its bans and its history are there again when its account makes it anew."""

    verb = "vhosts.rm"

    name: Name
