"""What a changed configuration changes in a server that runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Struct, structs

from penstock.config import Config

# Settings of `media` that a reload applies; the engine knows the others from its start.
RELOADED: Final = ("default_vhost", "on_conflict", "replace_after_silent_s")
RELOADED_OF_RELAY: Final = ("max_tasks", "max_account_tasks", "max_workers")


class Reloaded(Struct, frozen=True):
    """What became of a changed configuration: the keys that were applied, and those that need a restart."""

    applied: list[str]
    needs_restart: list[str]


def reloaded(running: Config, fresh: Config) -> Config:
    """The settings that are running, with what of `fresh` can be applied to them."""
    media = structs.replace(running.media, **{name: getattr(fresh.media, name) for name in RELOADED})
    relay = structs.replace(running.relay, **{name: getattr(fresh.relay, name) for name in RELOADED_OF_RELAY})
    return structs.replace(running, accounts=fresh.accounts, retention=fresh.retention, media=media, relay=relay)


def differences(before: Config, after: Config) -> Iterator[str]:
    """The settings that are not the same, as `section.key`; accounts as one."""
    for field in structs.fields(before):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if old == new:
            continue
        if not isinstance(old, Struct):
            yield field.name
            continue
        for inner in structs.fields(old):
            if getattr(old, inner.name) != getattr(new, inner.name):
                yield f"{field.name}.{inner.encode_name}"
