"""What the play page is made of: vendored scripts are what they say they are, and a wheel has all of it."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from pathlib import Path

import pytest

from penstock.servers.page.assets import HASH_LENGTH, VENDORED, Vendored, load_assets, read
from tests.e2e.browser import HLS_JS

ROOT = Path(__file__).resolve().parents[3]
STATES = {"looking", "waiting", "starting", "playing", "away", "paused", "failed"}
FOLDER = ROOT / "src" / "penstock" / "servers" / "page"
by_package = pytest.mark.parametrize("vendored", VENDORED, ids=lambda vendored: vendored.package)


@by_package
def test_a_vendored_script_is_the_one_of_its_version(vendored: Vendored) -> None:
    body = read(f"vendor/{vendored.file}")
    assert sha256(body).hexdigest() == vendored.sha256
    assert vendored.version.encode() in body


@by_package
def test_a_vendored_script_has_its_licence_beside_it_and_its_row_in_the_page(vendored: Vendored) -> None:
    text = read(f"vendor/{vendored.licence_file}").decode()
    assert "Apache License" in text
    (row,) = re.findall(
        rf"^\| \[?{re.escape(vendored.package)}\b.*$", (ROOT / "docs/dependencies.md").read_text(), re.MULTILINE
    )
    for word in (vendored.version, vendored.licence, vendored.built, f"`{vendored.file}`", vendored.sha256[:12]):
        assert word in row


def test_nothing_is_vendored_that_is_not_told_of() -> None:
    told = {name for vendored in VENDORED for name in (vendored.file, vendored.licence_file)}
    assert {path.name for path in (FOLDER / "vendor").iterdir()} == told


def test_the_browser_tests_run_the_version_that_is_vendored() -> None:
    package = json.loads((HLS_JS.parent.parent / "package.json").read_text())
    (vendored,) = (vendored for vendored in VENDORED if vendored.package == "hls.js")
    assert package["version"] == vendored.version
    assert (HLS_JS.parent.parent / vendored.built).read_bytes() == read(f"vendor/{vendored.file}")


def test_every_file_of_the_page_has_its_hash_in_its_name() -> None:
    assets = load_assets()
    named = re.findall(r'"/~penstock/([^"]+)"', assets.page.body.decode())
    assert set(named) == {name for name in assets.files if not name.endswith(".txt")}
    for name in named:
        assert re.search(r"\.([0-9a-f]+)\.\w+$", name)
        assert sha256(assets.files[name].body).hexdigest()[:HASH_LENGTH] in name


def test_the_page_asks_for_nothing_from_elsewhere() -> None:
    for name in ("play.html", "play.css", "play.js", "words.js"):
        assert not re.search(r"(?:https?:)?//[\w.-]+\.\w+", read(name).decode()), name


def test_both_languages_say_the_same_things() -> None:
    text = read("words.js").decode()
    english, chinese = (
        re.findall(r"^    (\w+):", part, re.MULTILINE) for part in text.partition("  en: {")[2].split("  zh: {")
    )
    assert english == chinese
    assert len(english) > 20
    for found in (part for part in text.split("  zh: {")):
        states = re.search(r"badge: \{(.*?)\}", found, re.DOTALL)
        assert states is not None
        assert set(re.findall(r"(\w+):", states[1])) == STATES


def test_every_text_that_the_script_shows_is_there() -> None:
    script, words = read("play.js").decode(), read("words.js").decode()
    shown = {
        word for call in re.findall(r"\b(?:show|fail)\(([^;]*?)\);", script) for word in re.findall(r'"(\w+)"', call)
    }
    shown |= set(re.findall(r"\bwords\.(\w+)", script)) - {"badge"}
    known = set(re.findall(r"^\s+(\w+):|[{,] (\w+): \"", words, re.MULTILINE))
    flat = {word for pair in known for word in pair if word} | {"looking", "waiting", "starting", "playing", "failed"}
    assert shown <= flat
    assert len(shown) > 15


@pytest.mark.parametrize("name", ["play.js", "words.js"])
def test_no_text_of_others_becomes_markup(name: str) -> None:
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", read(name).decode()
    )
