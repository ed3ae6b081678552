"""The settings of a server under test: what a settings file may hold, as plain dicts, written as TOML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

Settings = Mapping[str, Any]

_ANY_PORT: Final = "127.0.0.1:0"
# The tests' accounts and vhosts come later; the one vhost that there must be is the configuration's own default.
DEFAULTS: Final[Settings] = {
    "data_dir": "data",
    "api": {"listen": _ANY_PORT, "tls_listen": _ANY_PORT},
    "watch": {"listen": _ANY_PORT},
    "media": {f"{door}_listen": _ANY_PORT for door in ("rtmp", "rtmps", "http", "https")},
}


def merged(defaults: Settings, settings: Settings) -> dict[str, Any]:
    """Return settings on top of defaults: a section key by key, everything else as a whole."""
    found = dict(defaults)
    for name, value in settings.items():
        there = found.get(name)
        if isinstance(there, Mapping) and isinstance(value, Mapping):
            found[name] = merged(there, value)
        else:
            found[name] = value
    return found


def as_toml(settings: Settings) -> str:
    """Return settings as the text of a file; a section, or a table of an account, stands in one line."""
    return "".join(f"{_plain(name)} = {_value(value)}\n" for name, value in settings.items())


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_plain(name)} = {_value(each)}' for name, each in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[ {', '.join(map(_value, value))} ]"
    return _plain(str(value) if isinstance(value, Path) else value)


def _plain(value: object) -> str:
    # Text, numbers and truth look alike in JSON, but for two: a letter in two halves, and DEL as it is.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
