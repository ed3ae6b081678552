"""The `penstock` command: its nouns, and how its errors end."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import Final

import cyclopts
from cyclopts.exceptions import CycloptsError

from penstock import __version__
from penstock.errors import ApiError, ConfigError, InvalidField, PenstockError, TransportError

EXIT_REFUSED: Final = 1
EXIT_USAGE: Final = 2
EXIT_NO_ANSWER: Final = 3
EXIT_CODES: Final = {
    0: "done",
    EXIT_REFUSED: "refused, or there is no such thing; standard error says why in one line",
    EXIT_USAGE: "an argument or a setting that cannot be used",
    EXIT_NO_ANSWER: "no server answers, or its answer did not come",
}

app = cyclopts.App(
    name="penstock",
    help="A live-streaming cloud on your own machine.",
    version=__version__,
    help_epilogue="Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items()) + ".",
)
# By name, as each command loads what it needs when it is called, and no more; so what it does stands here too.
COMMANDS: Final = {
    "serve": ("serve:serve", "Run the server until Ctrl-C."),
    "env": ("env:env", "Print what a shell needs to talk to the server here."),
    "reload": ("server:reload", "Apply a changed configuration file; no stream is disturbed."),
    "streams": ("streams:app", "What is on air: list, look at, kick, ban."),
    "bans": ("bans:app", "Streams that may not be published."),
    "relays": ("relays:app", "What is pulled or played from files, and pushed on."),
    "callbacks": ("callbacks:app", "What receivers were told, and what waits."),
    "records": ("records:app", "Recordings: list, start, stop, look at, and their files."),
    "accounts": ("accounts:app", "Customers of the server."),
    "vhosts": ("vhosts:app", "Groups of domains whose streams belong together."),
    "keys": ("keys:app", "Access keys of accounts."),
    "explain": ("server:explain", "Tell why a request was refused."),
    "clock": ("clock:app", "The clock that bans and histories go by; turn it."),
    "call": ("call:app", "Call an operation of a cloud's API."),
}
for place, (command, (where, about)) in enumerate(COMMANDS.items()):
    app.command(f"penstock.cli.{where}", name=command, help=about, sort_key=place)


def main(tokens: Sequence[str] | None = None) -> None:
    """Run one command; `EXIT_CODES` says what its end means."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a letter shows its escape; that is no reason to fail.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(tokens, print_error=False, exit_on_error=False)
    except CycloptsError as error:
        print(f"penstock: {error}", file=sys.stderr)
        raise SystemExit(EXIT_USAGE) from None
    except BrokenPipeError:
        # `penstock streams ls | head -1`: whoever read has enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except PenstockError as error:
        print(f"penstock: {error}", file=sys.stderr)
        raise SystemExit(exit_code(error)) from None


def exit_code(error: PenstockError) -> int:
    """Return the exit code that an error means."""
    match error:
        case ApiError():
            return EXIT_REFUSED
        case TransportError():
            return EXIT_NO_ANSWER
        case ConfigError() | InvalidField():
            return EXIT_USAGE
    return EXIT_USAGE if getattr(error, "kind", "") == ConfigError.__name__ else EXIT_REFUSED
