"""`penstock reload` and `penstock explain`."""

from __future__ import annotations

from penstock.admin import server as verbs
from penstock.cli import tables
from penstock.cli.common import NO_CHOICES, Common, print_json


def reload(*, common: Common = NO_CHOICES) -> None:
    """Read the settings again and apply what can change while the server runs; no stream is dropped.

    With a mistake in the settings file nothing changes, and the exit code is 2.
    """
    answer = common.server().ask(verbs.Reload())
    if common.json:
        print_json(answer)
        return
    print(f"Changed: {', '.join(map(tables.shown, answer.changed))}." if answer.changed else "Nothing changed.")
    if answer.restart:
        print(f"From the next start on: {', '.join(map(tables.shown, answer.restart))}.")


def explain(request_id: str, /, *, common: Common = NO_CHOICES) -> None:
    """Tell why a request to a cloud's API got its answer, signature and all.

    Parameters
    ----------
    request_id
        As the answer told it.
    """
    answer = common.server().ask(verbs.Explain(request_id=request_id))
    if common.json:
        print_json(answer)
        return
    pairs: tuple[tuple[str, tables.Cell], ...] = (
        ("request", answer.request_id),
        ("at", f"{tables.clock_text(answer.at)} UTC"),
        ("cloud", answer.cloud),
        ("action", answer.action),
        ("account", answer.account),
        ("access key", answer.access_key),
        ("answered", answer.outcome),
        ("because", answer.rule),
    )
    print(tables.facts(pairs))
    for title, text in (
        ("canonical request", answer.canonical_request),
        ("string to sign", answer.string_to_sign),
    ):
        if text:
            print(f"\n{tables.painted(f'{title}, as the server made it', tables.BOLD)}\n{tables.lines(text)}")
