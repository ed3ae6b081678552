"""Imports run one way: a room stands on the rooms below it, and never on one above or beside it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import penstock

SOURCE = Path(__file__).resolve().parent.parent / "src"
PACKAGE = "penstock"

# From the top; a room may import any room of a later row. "" is the package itself: its version.
ORDER = (
    {"__main__"},
    {"testing"},
    {"cli"},
    {"supervisor"},
    {"processes"},
    {"app"},
    {"servers", "workers", "api", "sdk"},
    {"domain", "engine"},
    {"link"},
    {"admin", "clouds", "protocols", "storage", "analytics", "config", "tls", "net"},
    {"forms"},
    {"model", "settings", "logs"},
    {"errors"},
    {""},
)
RANK = {room: len(ORDER) - row for row, rooms in enumerate(ORDER) for room in rooms}

# What the order alone would allow: (room, forbidden module or room, the rule in words).
NETWORK = ("socket", "ssl")
FORBIDDEN = (
    *(("protocols", name, "protocols turn bytes into messages") for name in ("asyncio", "time", "select", *NETWORK)),
    *(("engine", name, "the engine has no sockets") for name in NETWORK),
    *(("clouds", name, "a contract talks to nobody") for name in ("asyncio", "time", "select", *NETWORK)),
    *(("admin", name, "a contract talks to nobody") for name in ("asyncio", "time", "select", *NETWORK)),
    ("servers", f"{PACKAGE}.domain", "servers ask the domain over the link"),
    *(("", f"{PACKAGE}.{room}", "the package itself loads no room") for room in RANK if room),
)

# What the package itself hands out comes from these, when it is first used. It names them for type checkers.
HANDING_OUT = {"sdk", "errors"}
# What a client of a cloud needs; nothing else is loaded with it.
SDK_ROOMS = {"", "sdk", "clouds", "model", "errors"}


def is_for_types(node: ast.AST) -> bool:
    """True for `if TYPE_CHECKING:`, whose body never runs."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def running(node: ast.AST) -> Iterator[ast.AST]:
    """Walk what runs, which is all but imports for type checkers."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not is_for_types(child):
            yield from running(child)


def imported(path: Path, source: str) -> Iterator[tuple[int, str]]:
    """Yield (line, module) for each import of a file below `SOURCE`, in absolute names.

    What stands there for type checkers counts too: a room that knows another's types depends on it. The
    package itself alone is excused, as whoever imports any room runs it first.
    """
    package = path.with_suffix("").parts[:-1]
    tree = ast.parse(source)
    for node in running(tree) if path == Path(PACKAGE) / "__init__.py" else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            # `from penstock import tls` names a room only by its last word.
            names = [f"{module}.{alias.name}" for alias in node.names] if module == PACKAGE else [module]
            yield from ((node.lineno, name) for name in names)


def room_of(module: str) -> str | None:
    """Return the room that a module belongs to, "" for the package itself; None outside of it."""
    head, _, rest = module.partition(".")
    if head != PACKAGE:
        return None
    word = rest.partition(".")[0]
    # `from penstock import __version__` is a name in the package, not a room.
    return "" if word in ("__init__", "__version__") else word


def violations(path: Path, source: str) -> Iterator[str]:
    """Yield "file:line: rule" for each import of a file (below `SOURCE`) that the order forbids."""
    room = room_of(".".join(path.with_suffix("").parts))
    assert room in RANK, f"{path}: no rank for the room {room!r}; give it a row in {Path(__file__).name}"
    for line, module in imported(path, source):
        for rule in broken_rules(room, module):
            yield f"src/{path}:{line}: {rule}"


def broken_rules(room: str, module: str) -> Iterator[str]:
    for home, forbidden, rule in FORBIDDEN:
        if home == room and (module == forbidden or module.startswith(f"{forbidden}.")):
            yield f"{room or PACKAGE} may not import {module}: {rule}"
            return
    target = room_of(module)
    if target is None or target == room:
        return
    if target not in RANK:
        yield f"no rank for the room {target!r}; give it a row in {Path(__file__).name}"
    elif RANK[target] >= RANK[room]:
        where = "beside" if RANK[target] == RANK[room] else "above"
        yield f"{room or PACKAGE} may not import {module}: {target} stands {where} it"


def test_imports_run_one_way() -> None:
    paths = sorted(SOURCE.glob(f"{PACKAGE}/**/*.py"))
    assert len(paths) > 10
    found = [
        broken for path in paths for broken in violations(path.relative_to(SOURCE), path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("path", "source", "rule"),
    [
        (
            "link/local.py",
            "\n\nfrom penstock.engine import hub",
            ":3: link may not import penstock.engine: engine stand",
        ),
        ("engine/hub.py", "from penstock.domain.live import Live", "domain stands beside it"),
        ("engine/hub.py", "from penstock.servers import rtmp", "servers stands above it"),
        ("engine/hub.py", "def f():\n    import socket", ":2: engine may not import socket: the engine has no sockets"),
        ("protocols/flv.py", "import asyncio.streams", "protocols may not import asyncio.streams"),
        ("protocols/rtmp/chunk.py", "from time import monotonic", "protocols turn bytes into messages"),
        ("servers/rtmp.py", "import penstock.domain", "servers ask the domain over the link"),
        ("servers/rtmp.py", "from penstock import domain", "servers ask the domain over the link"),
        ("servers/rtmp.py", "from .. import app", "servers may not import penstock.app: app stands above it"),
        ("protocols/rtmp/chunk.py", "from ...config import Config", "config stands beside it"),
        ("errors.py", "from penstock.model import Kind", "model stands above it"),
        ("__init__.py", "from penstock.model import Kind", "the package itself loads no room"),
        ("__init__.py", "if not TYPE_CHECKING:\n    import penstock.sdk.kingsoft", ":2: penstock may not import"),
        ("engine/hub.py", "if TYPE_CHECKING:\n    from penstock.servers import rtmp", "servers stands above it"),
        ("link/local.py", "import penstock.cellar", "no rank for the room 'cellar'"),
    ],
)
def test_a_forbidden_import_is_named_with_its_place_and_rule(path: str, source: str, rule: str) -> None:
    (found,) = violations(Path(PACKAGE) / path, source)
    assert found.startswith(f"src/penstock/{path}:")
    assert rule in found


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("cli/serve.py", "from penstock import __version__, supervisor\nfrom penstock.errors import ConfigError"),
        ("supervisor.py", "import asyncio\nfrom penstock.app import run"),
        ("servers/rtmp.py", "import asyncio, ssl\nfrom penstock.engine.hub import Hub\nfrom penstock import tls"),
        ("engine/hub.py", "import asyncio\nfrom penstock.protocols import flv\nfrom .stream import Stream"),
        ("protocols/rtmp/chunk.py", "import timeit\nfrom ..amf0 import decode\nfrom penstock.model import Kind"),
        ("model.py", "import time\nfrom penstock.errors import DomainError"),
        ("__init__.py", "if TYPE_CHECKING:\n    from penstock.sdk.kingsoft import Kingsoft"),
    ],
)
def test_what_the_order_allows_is_not_named(path: str, source: str) -> None:
    assert list(violations(Path(PACKAGE) / path, source)) == []


def test_a_room_without_a_rank_is_an_error() -> None:
    with pytest.raises(AssertionError, match="no rank for the room 'cellar'"):
        list(violations(Path("penstock/cellar/wine.py"), ""))


def loaded_by(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter has after `statement`, and had not before."""
    code = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    environ = {**os.environ, "PYTHONPATH": str(SOURCE)}
    answer = subprocess.run([sys.executable, "-c", code], env=environ, check=True, capture_output=True, text=True)
    return set(answer.stdout.split())


def rooms(modules: set[str]) -> set[str]:
    return {room for module in modules if (room := room_of(module)) is not None}


def packages(modules: set[str]) -> set[str]:
    """Return what others made, and pip installed."""
    return {module.partition(".")[0] for module in modules} - sys.stdlib_module_names - {PACKAGE}


def test_importing_the_package_loads_no_room_and_no_library() -> None:
    modules = loaded_by("import penstock")
    assert (rooms(modules), packages(modules)) == ({""}, set())
    # Half of these would be more than the rest of it.
    assert modules & {"asyncio", "dataclasses", "inspect", "logging", "socket", "ssl", "typing"} == set()


@pytest.mark.parametrize("name", ["Kingsoft", "AsyncKingsoft"])
def test_making_a_client_loads_neither_the_server_nor_http(name: str) -> None:
    modules = loaded_by(f"import penstock; penstock.{name}(access_key='a', secret_key='b')")
    assert rooms(modules) == SDK_ROOMS
    assert packages(modules) <= {"msgspec", "typing_extensions"}
    assert modules & {"asyncio", "http.client", "socket", "ssl"} == set()


def test_what_is_loaded_would_be_seen() -> None:
    modules = loaded_by("import penstock.engine.hub, h11")
    assert {"engine", "protocols"} <= rooms(modules)
    assert "h11" in packages(modules)


def test_the_package_hands_out_what_it_says() -> None:
    source = (SOURCE / PACKAGE / "__init__.py").read_text(encoding="utf-8")
    (for_types,) = (node for node in ast.walk(ast.parse(source)) if is_for_types(node))
    named = {alias.name for node in ast.walk(for_types) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert named == penstock._HANDED_OUT.keys()
    assert set(penstock.__all__) == named | {"__version__"} == set(dir(penstock))
    assert rooms({module for module, _ in penstock._HANDED_OUT.values()}) <= HANDING_OUT
    assert [getattr(penstock, name) for name in penstock.__all__]


def test_what_it_hands_out_is_the_thing_itself() -> None:
    from penstock import AsyncKingsoft, Kingsoft, errors
    from penstock.sdk import kingsoft

    assert (AsyncKingsoft, Kingsoft) == (kingsoft.AsyncKingsoft, kingsoft.Kingsoft)
    assert issubclass(errors.NotFound, errors.PenstockError)


def test_another_name_is_an_ordinary_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'penstock' has no attribute 'Kingsfot'"):
        _ = penstock.Kingsfot  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match="cannot import name 'Kingsfot'"):
        from penstock import Kingsfot  # type: ignore[attr-defined]  # noqa: F401
