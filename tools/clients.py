"""Writes the clients' methods from the contracts: `python -m tools.clients`.

One method for each operation, sync and async from the same lines, with the types that an editor and mypy
can see. A test compares the files with what this would write.
"""

from __future__ import annotations

import keyword
import re
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from msgspec import Struct

from penstock.clouds.contract import Operation, Wire
from penstock.clouds.kingsoft import wire as kingsoft
from penstock.clouds.members import Member, members_of
from penstock.clouds.volcengine import wire as volcengine
from penstock.sdk import options

SDK = Path(__file__).resolve().parent.parent / "src" / "penstock" / "sdk"
CLIENTS: dict[str, Wire] = {"Kingsoft": kingsoft, "Volcengine": volcengine}

HEAD = '''\
"""The operations of {cloud} as methods. Made from its contract by `python -m tools.clients`; change it there."""

from __future__ import annotations

{beyond}from typing import {typing}

{imports}
from penstock.sdk.client import AsyncClient, Client
from penstock.sdk.options import Options
'''


def written() -> Iterator[tuple[Path, str]]:
    """Yield each file and what stands in it."""
    for name, wire in CLIENTS.items():
        yield SDK / f"{wire.CLOUD}_operations.py", source(name, wire)


def source(name: str, wire: Wire) -> str:
    """Return the module with a cloud's methods."""
    operations = list(wire.OPERATIONS.values())
    bodies = [_class(name, wire, operations, is_async=is_async) for is_async in (False, True)]
    text = "\n\n".join(bodies)
    imports = _imports(sorted({operation.__module__ for operation in operations}))
    typing = ", ".join(word for word in ("Any", "Literal", "Unpack") if re.search(rf"\b{word}\[?", text))
    beyond = "".join(
        f"from {module} import {word}\n"
        for module, word in (("collections.abc", "Sequence"), ("datetime", "datetime"))
        if re.search(rf"\b{word}\b", text)
    )
    head = HEAD.format(cloud=wire.CLOUD, beyond=beyond, typing=typing, imports=imports)
    if "@paged" in text:
        head += "from penstock.sdk.paging import async_paged, paged\n"
    return f"{head}\n\n{text}"


def _imports(modules: list[str]) -> str:
    packages: dict[str, list[str]] = {}
    for module in modules:
        package, _, name = module.rpartition(".")
        packages.setdefault(package, []).append(name)
    return "\n".join(f"from {package} import {', '.join(names)}" for package, names in packages.items())


def _class(name: str, wire: Wire, operations: list[type[Operation[Any]]], *, is_async: bool) -> str:
    title = f"Async{name}Operations" if is_async else f"{name}Operations"
    base = "AsyncClient" if is_async else "Client"
    about = f"Every operation of {wire.CLOUD}, for asyncio." if is_async else f"Every operation of {wire.CLOUD}."
    methods = "\n".join(_method(operation, is_async=is_async) for operation in operations)
    return f'class {title}({base}):\n    """{about}"""\n\n{methods}'


def _method(operation: type[Operation[Any]], *, is_async: bool) -> str:
    there = members_of(operation)
    names = [each.name for each in there]
    assert not options.NAMES & set(names), f"{operation.__name__} has a member that is an option's name"
    assert not any(keyword.iskeyword(each) for each in names), f"{operation.__name__} has a keyword for a member"
    word = "async def" if is_async else "def"
    lines = [
        *_decorator(operation, is_async=is_async),
        f"{word} {snake(operation.about.action)}(",
        "    self,",
        *(["    *,"] if there else []),
        *(f"    {_parameter(each)}," for each in there),
        "    **options: Unpack[Options],",
        f") -> {_spelled(operation.result)}:",
        *_docstring(operation),
        f"    asked = {_spelled(operation)}.make(",
        *(f"        {each}={each}," for each in names),
        "    )",
        f"    return {'await ' if is_async else ''}self.call(asked, **options)",
        "",
    ]
    return "\n".join(f"    {line}" if line else "" for line in lines)


def _decorator(operation: type[Operation[Any]], *, is_async: bool) -> list[str]:
    if operation.about.paging is None:
        return []
    found: Any = operation.result
    for name in operation.about.paging.rows.split("."):
        found = next(each.type for each in members_of(found) if each.name == name)
    (row,) = get_args(found)
    return [f"@{'async_' if is_async else ''}paged({_spelled(operation)}, {_spelled(row)})"]


def _docstring(operation: type[Operation[Any]]) -> list[str]:
    text = textwrap.dedent(f"    {operation.__doc__ or ''}").strip()
    first, _, rest = text.partition("\n")
    lines = [f'"""{first}', *rest.splitlines(), '"""'] if rest else [f'"""{first}"""']
    return [f"    {line}" if line else "" for line in lines]


def _parameter(member: Member) -> str:
    if member.is_required:
        return f"{member.name}: {_spelled(member.type)}"
    return f"{member.name}: {_spelled(member.type)} = {_text(member.default)}"


def _spelled(hint: Any) -> str:
    """Write a type as it stands in source, without its limits."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _spelled(args[0])
    if origin is Literal:
        return f"Literal[{', '.join(_text(each) for each in args)}]"
    if origin in (Union, types.UnionType):
        return " | ".join(_spelled(each) for each in args)
    if origin is not None:
        return f"{origin.__name__}[{', '.join(_spelled(each) for each in args)}]"
    if hint is None or hint is types.NoneType:
        return "None"
    if isinstance(hint, type) and issubclass(hint, Struct):
        return f"{hint.__module__.rpartition('.')[2]}.{hint.__name__}"
    return "Any" if hint is Any else str(hint.__name__)


def _text(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def snake(action: str) -> str:
    """Return `ListPullToPushTask` as `list_pull_to_push_task`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", action).lower()


def main() -> None:
    """Write every file."""
    for path, text in written():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
