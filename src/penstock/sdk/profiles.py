"""Files that hold keys: our own (TOML), and those of other SDKs (INI, JSON). A missing file holds none.

::

    [default.kingsoft]                       # ~/.penstock/config.toml: profile, cloud
    access_key = "AK..."
    secret_key = "..."
    endpoint = "http://127.0.0.1:8080"       # and, if wanted: token, ca (a file of CA certificates)
"""

from __future__ import annotations

import configparser
import json
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from msgspec import Struct

from penstock.errors import ConfigError


class Keys(Struct, frozen=True):
    """What one place says; a part that it does not say is empty."""

    access_key: str = ""
    secret_key: str = ""
    token: str = ""
    endpoint: str = ""
    ca: str = ""

    def __repr__(self) -> str:
        return f"Keys({self.access_key!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("access_key", self.access_key)]


def read_toml(path: Path, profile: str, cloud: str) -> Keys | None:
    """Return what our own file says for a cloud.

    Raises:
        ConfigError: the file cannot be read, or has a key that nobody knows.
    """
    table = _toml(path).get(profile, {})
    found = table.get(cloud) if isinstance(table, dict) else None
    if found is None:
        return None
    where = f"{path}: [{profile}.{cloud}]"
    if not isinstance(found, dict):
        raise ConfigError(f"{where} must be a table")
    known = Keys.__struct_fields__
    for name, value in found.items():
        if name not in known:
            near = next(iter(get_close_matches(name, known, 1)), ", ".join(known))
            raise ConfigError(f"{where}: {name!r} is no key here; it must be {near}")
        if not isinstance(value, str):
            raise ConfigError(f"{where}: {name} is a {type(value).__name__}; it must be text in quotes")
    return Keys(**found)


def names_in(path: Path) -> list[str]:
    """Return the profiles or sections of a file, to be named in an error."""
    if path.suffix == ".toml":
        return list(_toml(path))
    return _ini(path).sections()


def read_ini(path: Path, section: str, prefix: str) -> Keys | None:
    """Return what a file in the manner of botocore says: `<prefix>access_key_id` and so on."""
    parser = _ini(path)
    if not parser.has_section(section):
        return None
    values = dict(parser.items(section))
    token = values.get(f"{prefix}security_token") or values.get(f"{prefix}session_token") or ""
    access, secret = values.get(f"{prefix}access_key_id", ""), values.get(f"{prefix}secret_access_key", "")
    return Keys(access, secret, token) if access or secret else None


def read_json(path: Path, access: str, secret: str) -> Keys | None:
    """Return what a JSON object under two names says."""
    text = _text(path)
    if not text.strip():
        return None
    try:
        found = json.loads(text)
    except ValueError:
        # What the parser would quote may be half a key.
        raise ConfigError(f"{path} is not JSON") from None
    if not isinstance(found, dict) or not (found.get(access) or found.get(secret)):
        return None
    return Keys(str(found.get(access) or ""), str(found.get(secret) or ""))


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        # It tells line and column, and no text.
        raise ConfigError(f"{path} is not TOML: {error}") from None


def _ini(path: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(_text(path))
    except configparser.Error:
        raise ConfigError(f"{path} is not an INI file") from None
    return parser


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
