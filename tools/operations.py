"""The page of all operations, read off the contracts in `clouds/`; `tools/docs.py` writes it."""

from __future__ import annotations

import ast
import inspect
import io
import tokenize
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, get_args, get_origin

from msgspec import Struct

from penstock.clouds.contract import Operation, Wire
from penstock.clouds.kingsoft import codes as kingsoft_codes
from penstock.clouds.kingsoft import wire as kingsoft
from penstock.clouds.members import Member, extras, members_of
from penstock.clouds.volcengine import codes as volcengine_codes
from penstock.clouds.volcengine import wire as volcengine
from penstock.errors import PenstockError
from tools.clients import snake

INTRODUCTION = """\
# Operations

<!-- Made from src/penstock/clouds/ by `make docs`; change it there. -->

Every operation of the clouds' APIs that Penstock speaks, on both sides: the SDK calls them ([how](sdk.md)), and the
server answers them. Methods and members have the wire's names in snake_case; the second column is the name as the cloud
writes it.

- **reads** and **sets** may be said twice: when no answer came, the SDK asks again. What **creates** is said once.
- **Limits** are checked before a request is sent, and again by the server. A value that breaks one is an
  `errors.InvalidField`, which names the member, the value seen and the value wanted.
- **Results** carry `request_id`, and `raw`: the whole answer as it came.
- **Errors** are classes of `penstock.errors`; what a cloud refuses is an `errors.ApiError` too, with its `code`.
"""

PAGED: Final = "Comes in pages of `{size}` rows: `{method}.pages(...)` walks them all, from the page `{index}` on."


class Cloud(Struct, frozen=True, kw_only=True):
    """A cloud as this page shows it."""

    title: str
    client: str
    wire: Wire
    errors: Mapping[type[PenstockError], Any]  # class of ours: the cloud's code
    spelled: Mapping[type, str]  # how a code of that type is written
    field_codes: Mapping[str, object]  # of a wrong value, by its parameter
    only_read: Mapping[str, type[PenstockError]]


CLOUDS: Final = (
    Cloud(
        title="Kingsoft Cloud KLS, version 2017-01-01",
        client="Kingsoft",
        wire=kingsoft,
        errors=kingsoft_codes.ERROR_CODES,
        spelled={kingsoft_codes.ErrorCode: "`{0.code}`, HTTP {0.status}", kingsoft_codes.RetCode: "RetCode {0.code}"},
        field_codes=kingsoft_codes.FIELD_CODES,
        only_read=kingsoft_codes.ONLY_READ,
    ),
    Cloud(
        title="Volcengine Live, version 2023-01-01",
        client="Volcengine",
        wire=volcengine,
        errors=volcengine_codes.ERROR_CODES,
        spelled={volcengine_codes.ErrorCode: "`{0.code}`, HTTP {0.status}"},
        field_codes={},
        only_read=volcengine_codes.ONLY_READ,
    ),
)


def page() -> str:
    """Return the whole page."""
    return "\n".join([INTRODUCTION, *map(_cloud, CLOUDS)])


def _cloud(cloud: Cloud) -> str:
    operations = cloud.wire.OPERATIONS.values()
    clients = f"`penstock.{cloud.client}` and `penstock.Async{cloud.client}`"
    head = f"## {cloud.title}\n\n{clients}; {len(operations)} operations.\n"
    return "\n".join([head, _index(cloud), *(_operation(cloud, each) for each in operations), _errors(cloud)])


def _index(cloud: Cloud) -> str:
    rows = [
        [f"[`{snake(each.about.action)}`](#{_anchor(cloud, each)})", each.about.action, _first_line(each)]
        for each in cloud.wire.OPERATIONS.values()
    ]
    return _table(["method", "on the wire", "does"], rows)


def _anchor(cloud: Cloud, operation: type[Operation[Any]]) -> str:
    """Return where a heading is found: a method that an earlier cloud has too is numbered."""
    action = operation.about.action
    before = sum(action in each.wire.OPERATIONS for each in CLOUDS[: CLOUDS.index(cloud)])
    return f"{snake(action)}-{before}" if before else snake(action)


def _operation(cloud: Cloud, operation: type[Operation[Any]]) -> str:
    method = snake(operation.about.action)
    parts = [f"### `{method}`\n", f"{inspect.getdoc(operation)}\n", f"{_facts(operation)}\n"]
    if (paging := operation.about.paging) is not None:
        parts.append(f"{PAGED.format(method=method, size=paging.size, index=paging.index)}\n")
    parts += [_parameters(operation), _result(operation.result)]
    codes = ", ".join(f"`{error.__name__}` ({_code(cloud, error)})" for error in operation.about.errors)
    parts += [f"Errors beside those of every call: {codes}.\n"] if codes else []
    return "\n".join(parts)


def _facts(operation: type[Operation[Any]]) -> str:
    about = operation.about
    path = "" if about.path == "/" else f" {about.path}"
    rate = f", {about.rate.calls} calls {_span(about.rate.per_s)} for one account" if about.rate else ""
    return f"**{about.action}**, {about.method}{path}; {about.effect}{rate}. Source: {about.source}."


def _span(seconds: int) -> str:
    return {1: "a second", 60: "a minute"}.get(seconds, f"in {seconds} s")


def _parameters(operation: type[Operation[Any]]) -> str:
    rows = [row for each in members_of(operation) for row in _parameter(operation, each)]
    return _table(["parameter", "on the wire", "must be", "default", ""], rows)


def _parameter(struct: type[Struct], member: Member, before: str = "", wire_before: str = "") -> Iterator[list[str]]:
    """Yield a row for a parameter, and behind one that is or holds objects, for the members of those."""
    name, wire_name = f"{before}{member.name}", f"{wire_before}{member.wire_name}"
    inner = inner_struct(member.type)
    wanted = member.wanted if inner is None else _of_objects(member)
    yield [f"`{name}`", wire_name, wanted, _default(member), _note(struct, member)]
    if inner is not None:
        many = "[]" if wanted.startswith("a list") else ""
        for each in members_of(inner):
            yield from _parameter(inner, each, f"{name}{many}.", f"{wire_name}{many}.")


def _of_objects(member: Member) -> str:
    """Say that it is an object or a list of them, whose members stand below."""
    if not member.wanted.startswith("a list"):
        return "an object"
    sized = member.wanted.partition(", each an object")[0]
    return sized.replace(" items", " objects") if " items" in sized else f"{sized} of objects"


def _default(member: Member) -> str:
    if member.is_required:
        return "**required**"
    return "absent" if member.default in (None, "", ()) else f"`{member.default!r}`"


def _note(struct: type[Struct], member: Member) -> str:
    parts = [
        notes(struct).get(member.name, ""),
        "0 counts as absent" if member.zero_is_absent else "",
        "in upper or lower case" if member.any_case else "",
    ]
    return "; ".join(part for part in parts if part)


def _result(result: type[Struct]) -> str:
    rows = [list(row) for row in _members(result)]
    if not rows:
        return f"Returns `{result.__name__}`, without members.\n"
    return f"Returns `{result.__name__}`:\n\n{_table(['member', 'on the wire', 'is', ''], rows)}"


def _members(struct: type[Struct], before: str = "", wire_before: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Yield a row for each member, and behind one that holds objects, for the members of those."""
    for each in members_of(struct):
        marks = extras(each.type)
        also = f", {wire_before}{marks['also']}" if "also" in marks else ""
        inner = inner_struct(each.type)
        is_text = ", as text" if "as text" in marks else ""
        kind = f"{each.wanted}{is_text}" if inner is None else _of_objects(each)
        yield f"`{before}{each.name}`", f"{wire_before}{each.wire_name}{also}", kind, notes(struct).get(each.name, "")
        if inner is not None:
            many = "[]" if kind.startswith("a list") else ""
            yield from _members(inner, f"{before}{each.name}{many}.", f"{wire_before}{each.wire_name}{many}.")


def inner_struct(hint: Any) -> type[Struct] | None:
    """Return the Struct that a member is, or that a list holds."""
    if isinstance(hint, type) and issubclass(hint, Struct):
        return hint
    if get_origin(hint) is not None:
        return next((found for each in get_args(hint) if (found := inner_struct(each)) is not None), None)
    return None


def _errors(cloud: Cloud) -> str:
    special = {error for operation in cloud.wire.OPERATIONS.values() for error in operation.about.errors}
    rows = [[f"`{each.__name__}`", _code(cloud, each), _meaning(each)] for each in cloud.errors if each not in special]
    fields = ", ".join(f"{name} {code}" for name, code in cloud.field_codes.items())
    return "\n".join(
        [
            f"### Errors of every call of {cloud.client}\n",
            "A class that is not here goes by the nearest of its bases.\n",
            _table(["class", "code", "means"], rows),
            *([f"The code of an `InvalidField` is its parameter's, where it has one: {fields}.\n"] if fields else []),
            f"Codes that only {cloud.client}'s own service sends, and how they are read:\n",
            _only_read(cloud),
        ]
    )


def _meaning(error: type[PenstockError]) -> str:
    return "A fault of the server's own, which is not told." if error is PenstockError else _first_line(error)


def _only_read(cloud: Cloud) -> str:
    ours = {str(code.code) for code in cloud.errors.values()}
    classes: dict[str, list[str]] = {}
    for code, error in cloud.only_read.items():
        if code not in ours:
            classes.setdefault(error.__name__, []).append(code)
    return _table(["class", "codes"], [[f"`{name}`", ", ".join(found)] for name, found in classes.items()])


def _code(cloud: Cloud, error: type[PenstockError]) -> str:
    code = cloud.errors[error]
    return cloud.spelled[type(code)].format(code)


def _first_line(thing: type) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


# What a member means stands beside it in the source, as a comment; its type's, where it has none of its own.


def notes(struct: type[Struct]) -> dict[str, str]:
    """Return the comments on the members of a Struct."""
    path = Path(inspect.getfile(struct))
    tree, comments = _read(path)
    aliases = {
        target.id: comments[node.lineno]
        for node in tree.body
        if isinstance(node, ast.Assign) and node.lineno in comments
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == struct.__name__)
    return {
        node.target.id: comments.get(node.end_lineno or 0) or _of_alias(node.annotation, aliases)
        for node in found.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def _of_alias(annotation: ast.expr, aliases: Mapping[str, str]) -> str:
    named = (node.id for node in ast.walk(annotation) if isinstance(node, ast.Name))
    return next((aliases[name] for name in named if name in aliases), "")


@cache
def _read(path: Path) -> tuple[ast.Module, dict[int, str]]:
    text = path.read_text(encoding="utf-8")
    words = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = {each.start[0]: each.string.lstrip("# ") for each in words if each.type == tokenize.COMMENT}
    return ast.parse(text), comments
