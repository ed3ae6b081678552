"""21. Out of the box nobody outside reaches the server, and no key is known to anybody."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from penstock.cli.welcome import is_loopback
from penstock.config import Config, load
from penstock.domain.accounts import new_key
from penstock.forms import parse_listen

LISTENERS = [(section, name) for section in ("api", "media") for name in structs.asdict(getattr(Config(), section))]
LISTENERS = [(section, name) for section, name in LISTENERS if name.endswith("listen")]


@pytest.mark.parametrize(("section", "name"), LISTENERS)
def test_21_without_settings_nothing_listens_beyond_this_machine(section: str, name: str) -> None:
    address = parse_listen(getattr(getattr(Config(), section), name))
    assert address is None or is_loopback(address[0])


def test_21_no_key_and_no_secret_is_shipped(tmp_path: Path) -> None:
    config = load(None, {"PENSTOCK_DATA_DIR": str(tmp_path)})
    assert [key for account in config.accounts for key in account.keys] == []
    assert [vhost.publish_key for vhost in config.vhosts] == [""]
    made = [new_key("1") for _ in range(100)]
    assert len({key.access_key for key in made} | {key.secret_key for key in made}) == 200


def test_every_listener_was_looked_at() -> None:
    assert len(LISTENERS) == 6
