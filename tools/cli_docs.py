"""The page of the command line: its commands as they describe themselves, and the verbs that they ask."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, get_args, get_origin

import msgspec
from msgspec import Meta, Struct, inspect, structs

from penstock.admin.contract import IN_WORDS, Ask
from penstock.admin.verbs import VERBS
from penstock.cli.common import OPTIONS
from penstock.cli.main import EXIT_CODES, app
from penstock.clouds import members

INTRODUCTION: Final = """\
# The command line

<!-- Made from src/penstock/cli and src/penstock/admin by `make docs`; change it there. -->

`penstock serve` runs the server. `penstock call` calls a cloud's API, the real one or the server's. Everything else
asks a server that runs on this machine, over a socket in its data folder; only the user that runs the server may.

    penstock streams ls
    penstock streams ban live/cam --for 2h --reason "no licence"
    eval "$(penstock env)"

`penstock COMMAND --help` tells of one command what this page tells of all.
"""

COMMON: Final = """\
## Which server

{options}

A server is meant by its data folder. With neither option it is the one that `penstock serve` would use, were it started
in the same place with the same environment.

## For people, and for programs

Tables are for people: they may change, are in colour on a terminal alone (and not with `NO_COLOR` set), and show times
in UTC. With `--json` a command prints one JSON document instead, the `result` of [the verb that it asks](#verbs). Its
keys stay; later versions may add some. Times are RFC 3339 in UTC, spans seconds, sizes bytes, rates kbit/s. Unknown is
`null`, or `""`.

A time is given as `2027-01-01`, `2027-01-01T08:30` (UTC) or `2027-01-01T08:30+08:00`; a span as `30s`, `30m`, `2h`,
`7d`, `2w` or `1d12h`.
"""

EXITS: Final = """\
## Exit codes

| code | means |
|---|---|
{rows}

What went wrong is told on standard error, in a line that begins with `penstock:`. Ctrl-C ends a command with 130.
"""

VERBS_INTRODUCTION: Final = """\
## Verbs

What the commands ask can be asked by any program of the same user, by HTTP over the socket `control.sock` in the data
folder (mode 0600):

    curl --unix-socket data/control.sock http://penstock/streams.ban -d '{"stream": "live/cam", "for_s": 7200}'

The answer is `{"result": {...}}` with status 200, or `{"error": {"kind": "NotFound", "message": "..."}}` with another:
400 what cannot be read, 403 and 409 what may not or cannot be done now, 404 no such verb or thing, 422 a value that is
not taken, 503 nobody there to do it. An unknown member is refused. A stream is `STREAM`, `APP/STREAM` or
`VHOST/APP/STREAM`; what is left out is the default one, or the only one there is.
"""


def page() -> str:
    """Return the whole page."""
    text = app.generate_docs(output_format="markdown")
    text = _with_usage(text[text.index("\n## penstock serve") :])
    common, title = _common(text), OPTIONS.name
    text = text.replace(common, "").replace("\n\n\n", "\n\n")
    options = common.partition("\n\n")[2].strip()
    assert title in common
    assert title not in text
    commands = re.sub(r"^#(#+) penstock ", r"#\1 ", text.strip(), flags=re.MULTILINE)
    commands = re.sub(r"\]\(#penstock-", "](#", commands)
    rows = "\n".join(f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items())
    return "\n".join(
        [
            INTRODUCTION,
            COMMON.format(options=options),
            EXITS.format(rows=rows),
            f"## Commands\n\n{_deeper(commands)}\n",
            VERBS_INTRODUCTION,
            *map(_verb, VERBS.values()),
            _objects(),
        ]
    )


def _with_usage(text: str) -> str:
    """Put each command's own name into its usage, where cyclopts puts that of the program that runs."""
    usage = r"^(#+) (penstock.*)\n\n```console\n.*?((?: \[?[A-Z].*)?)\n```"
    return re.sub(usage, r"\1 \2\n\n```console\n\2\3\n```", text, flags=re.MULTILINE)


def _common(text: str) -> str:
    """Return what every command that asks a server says of the options that all of them have."""
    found: set[str] = set(re.findall(rf"^\*\*{re.escape(OPTIONS.name)}\*\*:\n\n(?:\* .*\n)+", text, re.MULTILINE))
    (common,) = {each.strip() + "\n" for each in found}
    return common


def _deeper(text: str) -> str:
    return re.sub(r"^#", "##", text, flags=re.MULTILINE)


def _verb(ask: type[Ask[Any]]) -> str:
    fields = structs.fields(ask)
    taken = "".join(map(_member, fields)) or "Is asked with nothing.\n"
    return f"### POST /{ask.verb}\n\n{_prose(ask)}\n\n{taken}\nResult: {_result(ask.result)}\n"


def _result(result: type[Struct]) -> str:
    names = ", ".join(f"`{field.encode_name}` ({_type(field.type)})" for field in structs.fields(result))
    return f"{names}. {_prose(result)}" if names else _prose(result)


def _member(field: structs.FieldInfo) -> str:
    value = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    default = "required" if field.required else f"default `{_json(value)}`"
    return f"- `{field.encode_name}` ({default}): {_wanted(field.type)}\n"


def _json(value: object) -> str:
    return str(msgspec.json.encode(value), "utf-8")


def _wanted(hint: Any) -> str:
    words: str = members.describe(inspect.type_info(hint))
    for pattern, meaning in IN_WORDS.items():
        words = words.replace(f"text, matching {pattern}", meaning)
    return words


def _type(hint: Any) -> str:
    """Return a result's type in a word or two; an object by its name, see `_objects`."""
    args = get_args(hint)
    if type(None) in args:
        (inner,) = (each for each in args if each is not type(None))
        return f"{_type(inner)} or null"
    if get_origin(hint) is list:
        return f"list of {_type(args[0])}"
    if get_origin(hint) is dict:
        return f"object of {_type(args[1])} by text"
    if isinstance(hint, type) and issubclass(hint, Struct):
        return f"[{hint.__name__}](#{hint.__name__.lower()})"
    words = {"str": "text", "int": "integer", "float": "number", "bool": "true or false", "datetime": "time"}
    return words.get(getattr(hint, "__name__", ""), "") or _wanted(hint)


def _objects() -> str:
    found: dict[str, type[Struct]] = {}
    for ask in VERBS.values():
        for field in structs.fields(ask.result):
            found |= {each.__name__: each for each in _structs(field.type)}
    return "## Objects\n\n" + "\n".join(
        f"### {name}\n\n{_prose(each)}\n\n{_members(each)}" for name, each in found.items()
    )


def _members(struct: type[Struct]) -> str:
    return "".join(f"- `{field.encode_name}`: {_type(field.type)}\n" for field in structs.fields(struct))


def _structs(hint: Any) -> Iterator[type[Struct]]:
    """Yield the Struct types inside a type, each before those inside of it."""
    if isinstance(hint, type) and issubclass(hint, Struct):
        yield hint
        for field in structs.fields(hint):
            yield from _structs(field.type)
    elif not isinstance(hint, Meta):
        for each in get_args(hint):
            yield from _structs(each)


def _prose(kind: type) -> str:
    """Return a docstring as one paragraph or several."""
    paragraphs = (kind.__doc__ or "").strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
