"""The pages say what the code does: nothing out of date, nothing left out, no dead link."""

from __future__ import annotations

import ast
import html
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App

from penstock.admin.verbs import VERBS
from penstock.cli import main
from penstock.cli.welcome import Places, welcome
from penstock.clouds.members import members_of
from penstock.config import Config, load, settings
from penstock.settings import Setting
from tools import docs, operations, picture
from tools.clients import CLIENTS, snake

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")])
FOLDERS = (".ci", "bench", "docs", "packaging", "src", "tests", "tools")
TEXT = {".md", ".py", ".sh", ".toml", ".c", ".h", ".json", ".txt", ".yml", ".yaml", ""}

FENCED = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*$", re.MULTILINE)
# A place on one machine. A letter, a brace or a bracket before it makes it part of something longer.
MACHINE_PATH = re.compile(r"(?<![\w.)}\]>*~-])/(?:home|root|work|workspace|Users|mnt)/[\w.-]+")


def anchors(page: Path) -> set[str]:
    """Return the names that a page's headings can be linked by, the way GitHub makes them."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text)]
    # A name that comes again is numbered.
    earlier = [plain[:index].count(name) for index, name in enumerate(plain)]
    return {f"{name}-{before}" if before else name for name, before in zip(plain, earlier, strict=True)}


def dead_links(page: Path) -> Iterator[str]:
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    for inline, reference in LINK.findall(text):
        target = inline or reference
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        if not linked.exists():
            yield f"{page.name}: {target}: no such file"
        elif anchor and linked.suffix == ".md" and anchor not in anchors(linked):
            yield f"{page.name}: {target}: no such heading"


def texts() -> Iterator[Path]:
    """Yield the files of this project that hold text."""
    tops = (path for path in ROOT.iterdir() if path.name not in (".git", ".gitignore"))
    deeper = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))
    for path in (*tops, *deeper):
        if path.is_file() and path.suffix in TEXT and not {".work", "__pycache__"} & set(path.parts):
            yield path


@pytest.mark.parametrize("name", docs.PAGES)
def test_made_pages_are_up_to_date(name: str) -> None:
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == docs.PAGES[name](), "run `make docs`"


@pytest.mark.parametrize("setting", list(settings()), ids=lambda setting: setting.key)
def test_every_setting_is_described(setting: Setting) -> None:
    assert re.fullmatch(r".{15,}\.", setting.description), "a sentence, with its full stop"
    assert setting.default or setting.key.startswith("account[]")


def test_the_complete_example_loads_and_differs_from_the_defaults_by_its_accounts(tmp_path: Path) -> None:
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "penstock.toml").write_text(example, encoding="utf-8")
    config = load(tmp_path / "penstock.toml", {})
    assert (config.api, config.media, config.network) == (Config().api, Config().media, Config().network)
    assert [vhost.name for vhost in config.vhosts] == ["shop"]


def test_the_complete_example_is_complete() -> None:
    keys = re.findall(r"^(\w+) = ", docs.example(), re.MULTILINE)
    assert sorted(keys) == sorted(setting.key.rpartition(".")[2] for setting in settings())


def commands(app: App, *names: str) -> Iterator[str]:
    """Yield every command below `app` that does something, in full."""
    for name in app:
        if not name.startswith("-"):
            yield " ".join((*names, name))
            yield from commands(app[name], *names, name)


def test_every_command_and_verb_and_exit_code_is_on_its_page() -> None:
    page = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    headings = set(HEADING.findall(page))
    found = list(commands(main.app))
    assert {"serve", "streams ban", "clock turn", "call kingsoft"} <= set(found)
    assert [command for command in found if command not in headings] == []
    assert [verb for verb in VERBS if f"POST /{verb}" not in headings] == []
    assert [code for code in main.EXIT_CODES if f"| {code} | " not in page] == []


def test_every_usage_begins_with_its_command() -> None:
    page = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    usages = re.findall(r"^#+ ([a-z ]+)\n\n```console\n(.*)\n```", page, re.MULTILINE)
    assert len(usages) > 20
    for command, usage in usages:
        assert re.fullmatch(rf"penstock {command}( \[?[A-Z_.]+\]?)*", usage)


def section(client: str, operation: str) -> str:
    """Return what the page of operations says of one, in its cloud's part."""
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    (part,) = [part for part in page.split("\n## ")[1:] if f"`penstock.{client}`" in part]
    (found,) = re.findall(rf"^### `{operation}`\n(.*?)(?=^###? )", part, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.mark.parametrize(
    ("name", "action"), [(name, action) for name, wire in CLIENTS.items() for action in wire.OPERATIONS]
)
def test_every_operation_is_described_whole(name: str, action: str) -> None:
    operation = CLIENTS[name].OPERATIONS[action]
    told = section(name, snake(action))
    rows = {(name, wire) for name, wire in re.findall(r"^\| `(\S+)` \| ([^,|]+?)(?:, [^|]*)? \|", told, re.MULTILINE)}
    for member in (*members_of(operation), *members_of(operation.result)):
        assert (member.name, member.wire_name) in rows
    assert f"**{action}**, {operation.about.method}; {operation.about.effect}" in told
    assert all(f"`{error.__name__}` (" in told for error in operation.about.errors)
    rate = operation.about.rate
    assert rate is None or f"{rate.calls} calls a {'minute' if rate.per_s == 60 else 'second'}" in told


def test_every_cloud_with_a_client_has_its_operations_described() -> None:
    assert {each.client: each.wire for each in operations.CLOUDS} == CLIENTS


@pytest.mark.parametrize("cloud", operations.CLOUDS, ids=lambda cloud: cloud.client)
def test_every_error_of_a_cloud_is_named_with_its_code(cloud: operations.Cloud) -> None:
    page = operations.page()
    codes = {str(code.code) for code in cloud.errors.values()} | cloud.only_read.keys()
    assert [code for code in codes if not re.search(rf"\b{code}\b", page)] == []
    assert [error.__name__ for error in cloud.errors if f"`{error.__name__}`" not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    assert list(dead_links(page)) == []


def test_a_dead_link_would_be_seen(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# One, `two`\n```\n# not a heading\n```\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](other.md#one-two) [b](https://x.test/y) [c](gone.md) [d](other.md#not-a-heading)\n"
        "[e](#here)\n```\n[f](also-gone.md)\n```\n[g]: gone-too.md\n# Here\n"
    )
    assert [dead.split(": ")[1] for dead in dead_links(page)] == ["gone.md", "other.md#not-a-heading", "gone-too.md"]


def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_attack_case_has_its_tests_or_says_what_brings_them() -> None:
    page = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| [^|]{15,} \| (.+) \|$", page, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 35))
    for number, cell in rows:
        named = re.findall(r"`(tests/[^`\s:]+\.py)::(test_\w+)`", cell)
        assert named or "*Comes:* " in cell, f"case {number}"
        missing = [f"{path}::{name}" for path, name in named if name not in functions_of(ROOT / path)]
        assert missing == []


def test_the_readmes_picture_shows_what_the_server_prints_today() -> None:
    shown: dict[str, str] = {}
    for line, text in re.findall(r"clip-path=\"url\(#(\S+?)\)\"[^>]*>(.*?)</text>", picture.PICTURE.read_text()):
        shown[line] = shown.get(line, "") + html.unescape(text).replace("\xa0", " ")
    words = {word for text in shown.values() for word in re.split(r" {2,}", text)}

    config = Config(data_dir=picture.FOLDER / "data")
    ports = {"rtmp": 1935, "http": 8081, "https": 8444}
    printed = welcome(Places.of(config, ports), config, (1024, 1024), on_air="test")
    wanted = {word for line in printed.splitlines() for word in re.split(r" {2,}", line.strip())}
    # How many files may be open is the machine's own.
    missing = wanted - words - {"1024"}
    assert missing == set(), "run `python tools/picture.py`"


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]}"
        for path in texts()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        for match in MACHINE_PATH.finditer(line)
    ]
    assert found == []
