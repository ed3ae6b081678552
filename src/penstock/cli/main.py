"""The `penstock` command: its nouns, and how its errors end."""

from __future__ import annotations

import sys
from typing import Final

import cyclopts

from penstock import __version__
from penstock.cli import serve
from penstock.errors import ConfigError

EXIT_USAGE: Final = 2

app = cyclopts.App(
    name="penstock",
    help="A live-streaming cloud on your own machine.",
    version=__version__,
)
app.command(serve.serve)


def main() -> None:
    """Run one command. Exit codes: 0 done, 2 a setting or an argument that cannot be used."""
    try:
        app()
    except ConfigError as error:
        print(f"penstock: {error}", file=sys.stderr)
        raise SystemExit(EXIT_USAGE) from None
