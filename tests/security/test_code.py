"""27 and 34. What the code must not even contain: SQL put together from values, and readers that run what they read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"
FILES = sorted(SOURCE.rglob("*.py"))

# They build objects, or run code, out of what they read.
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "jsonpickle", "yaml", "xmlrpc"}
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__"}
# Their first argument is SQL.
SQL_CALLS = {"text", "execute", "exec_driver_sql", "executescript", "literal_column", "DDL"}
# Statements of SQLAlchemy's are no texts, and are passed by their names.
STATEMENTS = (ast.Constant, ast.Name, ast.Call)
# Nobody's words are in these: settings of SQLite's, and a number, that stand in the lines above them.
KNOWN_SQL = {
    "connection.execute(f'PRAGMA {pragma}')",
    "connection.exec_driver_sql(f'PRAGMA user_version = {int(version)}')",  # SQLite binds no parameter there
}


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            yield (called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")), node


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def unsafe(tree: ast.AST) -> Iterator[str]:
    yield from UNSAFE_MODULES & set(imports(tree))
    for name, call in calls(tree):
        if isinstance(call.func, ast.Name) and name in UNSAFE_CALLS:
            yield f"{name}()"
        if any(word.arg == "shell" for word in call.keywords) or name in ("system", "popen", "create_subprocess_shell"):
            yield f"{name}() with a shell"


def made_sql(tree: ast.AST) -> Iterator[str]:
    for name, call in calls(tree):
        if name in SQL_CALLS and call.args and not isinstance(call.args[0], STATEMENTS):
            whole = ast.unparse(call)
            if whole not in KNOWN_SQL:
                yield whole


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_34_nothing_runs_what_it_reads(path: Path) -> None:
    """Settings are TOML, messages between processes JSON of declared types; no pickles, no YAML, no shell."""
    assert list(unsafe(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize("path", sorted((SOURCE / "penstock" / "storage").rglob("*.py")), ids=lambda path: path.name)
def test_27_no_statement_is_put_together_from_texts(path: Path) -> None:
    assert list(made_sql(ast.parse(path.read_text(encoding="utf-8")))) == []


def test_what_must_not_be_there_would_be_seen() -> None:
    said = """
import pickle
from yaml.loader import Loader
eval("1")
subprocess.run("ls", shell=True)
os.system("ls")
connection.execute(text("SELECT 1"))
connection.execute(text(f"SELECT {name}"))
connection.exec_driver_sql("DROP " + name)
"""
    tree = ast.parse(said)
    assert sorted(unsafe(tree)) == ["eval()", "pickle", "run() with a shell", "system() with a shell", "yaml"]
    assert sorted(made_sql(tree)) == ["connection.exec_driver_sql('DROP ' + name)", "text(f'SELECT {name}')"]
