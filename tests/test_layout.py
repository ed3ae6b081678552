"""Imports run one way: a room stands on the rooms below it, and never on one above or beside it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import penstock

SOURCE = Path(__file__).resolve().parent.parent / "src"
PACKAGE = "penstock"

# From the top; a room may import any room of a later row. "" is the package itself: its version.
ORDER = (
    {"__main__"},
    {"cli", "testing"},
    {"supervisor"},
    {"processes"},
    {"app"},
    {"servers", "workers", "api", "sdk"},
    {"domain", "engine"},
    {"link"},
    {"admin", "clouds", "protocols", "storage", "analytics", "config", "tls"},
    {"model", "settings"},
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
# The package's own names that are loaded late have their types from here: imports for the eyes of mypy alone.
SHOWN_BY_THE_PACKAGE = "sdk"


def imported(path: Path, source: str) -> Iterator[tuple[int, str]]:
    """Yield (line, module) for each import of a file below `SOURCE`, in absolute names."""
    package = path.with_suffix("").parts[:-1]
    tree = ast.parse(source)
    shown = set(only_for_mypy(tree)) if room_of(".".join(package)) == "" and path.stem == "__init__" else set()
    for node in ast.walk(tree):
        if node in shown:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            # `from penstock import tls` names a room only by its last word.
            names = [f"{module}.{alias.name}" for alias in node.names] if module == PACKAGE else [module]
            yield from ((node.lineno, name) for name in names)


def only_for_mypy(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield the imports below `if TYPE_CHECKING:` from the one room whose names the package shows."""
    for block in tree.body:
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING":
            for node in block.body:
                if isinstance(node, ast.ImportFrom) and room_of(node.module or "") == SHOWN_BY_THE_PACKAGE:
                    yield node


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
        ("__init__.py", "from penstock.sdk.kingsoft import Kingsoft", "the package itself loads no room"),
        ("__init__.py", "if TYPE_CHECKING:\n    from penstock.app import run", "the package itself loads no room"),
        ("__init__.py", "if True:\n    from penstock.sdk import client", "the package itself loads no room"),
        ("errors.py", "if TYPE_CHECKING:\n    from penstock.sdk import client", "sdk stands above it"),
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


SERVER_ROOMS = {"app", "processes", "supervisor", "api", "servers", "engine", "domain", "storage", "link", "tls"}
SERVER_PACKAGES = {"alembic", "av", "cryptography", "h11", "httptools", "sqlalchemy", "uvicorn", "uvloop"}
# What a client needs at its first call, or never.
LATE_MODULES = {"asyncio", "http", "httpcore2", "httpx2", "multiprocessing", "socket", "ssl"}
KEYS = "access_key='AK', secret_key='secret'"


def loaded_by(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter has after `statement`, and had not before."""
    code = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    environ = {**os.environ, "PYTHONPATH": str(SOURCE)}
    answer = subprocess.run([sys.executable, "-c", code], env=environ, check=True, capture_output=True, text=True)
    return set(answer.stdout.split())


def tops(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


def test_importing_the_package_loads_no_room_of_it() -> None:
    modules = loaded_by("import penstock")
    assert {module for module in modules if room_of(module) is not None} == {PACKAGE}
    assert tops(modules) & (SERVER_PACKAGES | LATE_MODULES | {"msgspec"}) == set()


@pytest.mark.parametrize("name", ["Kingsoft", "AsyncKingsoft"])
def test_making_a_client_loads_neither_server_code_nor_sockets(name: str) -> None:
    modules = loaded_by(f"from penstock import {name}; {name}({KEYS})")
    assert "penstock.sdk.kingsoft" in modules
    assert tops(modules) & (SERVER_PACKAGES | LATE_MODULES) == set()
    assert {room_of(module) for module in modules} & SERVER_ROOMS == set()


def test_the_package_shows_the_same_names_to_everybody() -> None:
    shown = {
        alias.name
        for node in only_for_mypy(ast.parse((SOURCE / PACKAGE / "__init__.py").read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(penstock._HOMES) == shown
    assert {*shown, "__version__"} == set(penstock.__all__)
    assert {room_of(home) for home in penstock._HOMES.values()} == {SHOWN_BY_THE_PACKAGE}
    assert shown <= set(dir(penstock))


@pytest.mark.parametrize("name", penstock._HOMES)
def test_a_late_name_is_the_one_of_its_module(name: str) -> None:
    assert getattr(penstock, name) is getattr(import_module(penstock._HOMES[name]), name)


def test_a_name_that_the_package_has_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'penstock' has no attribute 'Kingsfot'"):
        getattr(penstock, "Kingsfot")  # noqa: B009 - mypy would refuse the name
    with pytest.raises(ImportError, match="cannot import name 'Kingsfot'"):
        exec("from penstock import Kingsfot", {})


def test_server_code_would_be_seen() -> None:
    assert {"asyncio", "socket"} <= loaded_by("import penstock, asyncio")
    assert "penstock.link" in loaded_by("import penstock.link")
