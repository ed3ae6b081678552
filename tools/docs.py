"""Writes the pages of `docs/` that are made from the code: `python -m tools.docs`."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from penstock.config import settings
from penstock.settings import Setting
from tools import cli_docs, operations

DOCS = Path(__file__).resolve().parent.parent / "docs"

INTRODUCTION = """\
# Configuration

<!-- Made from src/penstock/config.py by `make docs`; change it there. -->

Penstock runs without a file: every setting has a default, and with no account configured there is one with the vhost
`demo` and its app `live`. To change something, write a [TOML](https://toml.io) file with the keys that differ and start
`penstock serve --config penstock.toml`. Without `--config` the file is the one that `PENSTOCK_CONFIG` names, else
`penstock.toml` in the working directory if there is one.

- **Environment.** Every key outside the account tables has a variable, named with it below, that wins over the file. A
  list is written `10.0.0.0/8, ::1` or as a TOML array.
- **Listeners** are `"host:port"` or `"[v6]:port"`. An empty text turns one off; port 0 takes a free port, and the
  server prints it.
- **Paths** that are relative count from the file's folder, or without a file from the working directory.
- **Units** are in the name: `_s` seconds, `_ms` milliseconds, `_kib` and `_mib` units of 1024 and 1,048,576 bytes.
- **Mistakes** end the start with one line: the file, the key, the value seen and the value wanted. A key that does not
  exist is a mistake too, and the line names the nearest one that does. Secrets are never shown, in no error or log.
"""

EXAMPLE_INTRODUCTION = """\
## A complete file

Everything that can be set. Outside the accounts each value is the default, so a file of your own needs only the lines
that differ.
"""

EXAMPLE_ACCOUNTS = """\
[[account]]
id = "2000000001"
callback_key = "replace-this-by-a-random-word"

[[account.key]]
access_key = "AKexample"
secret_key = "replace-this-by-40-random-characters"
sub_account = false

[[account.vhost]]
name = "shop"
push_domains = ["push.shop.example"]
pull_domains = ["pull.shop.example", "cdn.shop.example"]
apps = ["live", "rehearsal"]
publish_auth = "signed"
publish_key = "replace-this-by-a-random-word"
publish_sign_order = ["key", "path", "time"]
publish_valid_s = 0
record = "mp4"
record_apps = ["live"]
record_one_file = false
"""

ABOUT = {
    "": "On top of the file, before the first `[section]`.",
    "api": "The management APIs, and the certificate of every TLS listener.",
    "media": "Publishers and players: where they connect, and how the engine treats them.",
    "recording": "Streams written to disk; see [how a file is written](architecture.md#recording).",
    "relay": "Tasks that pull and push; see [relays](relays.md).",
    "storage": "Where bans, sessions and accounts are kept.",
    "analytics": "Where usage is to be kept for reports; nothing is kept yet.",
    "link": "How the control process and the engine process talk to each other.",
    "watch": "What monitoring reads; see [watching](watching.md).",
    "network": "What the server itself may connect to; see [the guard](security.md#the-guard).",
    "retention": "How long sessions, refusals and explanations are kept; a reload applies it.",
    "account[]": "`[[account]]`, once for each customer; nobody sees another account's streams.",
    "account[].key[]": "`[[account.key]]`, below its account: an access key.",
    "account[].vhost[]": "`[[account.vhost]]`, below its account: domains whose streams belong together.",
}


def configuration() -> str:
    """Return the page of all settings."""
    sections = [_section(key, list(group)) for key, group in groupby(settings(), key=_table)]
    return "\n".join([INTRODUCTION, EXAMPLE_INTRODUCTION, f"```toml\n{example()}```\n", *sections])


def example() -> str:
    """Return a file (TOML) that sets everything there is."""
    plain = [setting for setting in settings() if not setting.key.startswith("account[]")]
    tables = [_example_table(key, list(group)) for key, group in groupby(plain, key=_table)]
    return "\n".join([*tables, EXAMPLE_ACCOUNTS])


def _example_table(table: str, group: list[Setting]) -> str:
    lines = [f"{_last(setting.key)} = {setting.default}\n" for setting in group]
    return "".join([f"[{table}]\n" if table else "", *lines])


def _section(table: str, group: list[Setting]) -> str:
    title = f"`[{table}]`" if table else "General"
    # TOML writes the parts of a list in double brackets.
    title = f"`[[{table.replace('[]', '')}]]`" if "[]" in table else title
    return f"## {title}\n\n{ABOUT[table]}\n\n{''.join(map(_entry, group))}"


def _entry(setting: Setting) -> str:
    default = f"default `{setting.default}`" if setting.default else "required"
    facts = "; ".join(fact for fact in (default, setting.unit, setting.type) if fact)
    variable = f"  \n  `{setting.variable}`" if setting.variable else ""
    return f"- **`{_last(setting.key)}`** ({facts})  \n  {setting.description}{variable}\n"


def _table(setting: Setting) -> str:
    return setting.key.rpartition(".")[0]


def _last(key: str) -> str:
    return key.rpartition(".")[2]


PAGES = {"cli.md": cli_docs.page, "configuration.md": configuration, "operations.md": operations.page}


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
