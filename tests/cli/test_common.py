"""Which server a command means."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.cli.common import find_data_dir
from penstock.errors import ConfigError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_without_a_word_it_is_data_here(here: Path) -> None:
    assert find_data_dir(None, None, {}) == here / "data"


def test_option_comes_before_everything(here: Path) -> None:
    broken = written(here / "penstock.toml", "[")
    assert find_data_dir(Path("mine"), broken, {"PENSTOCK_DATA_DIR": "theirs"}) == here / "mine"


def test_environment_comes_before_the_file(here: Path) -> None:
    file = written(here / "penstock.toml", 'data_dir = "file"')
    assert find_data_dir(None, file, {"PENSTOCK_DATA_DIR": "/srv/live"}) == Path("/srv/live")


def test_file_is_found_as_serve_finds_it(here: Path) -> None:
    written(here / "penstock.toml", 'data_dir = "one"')
    other = written(here / "etc" / "other.toml", 'data_dir = "two"')
    assert find_data_dir(None, None, {}) == here / "one"
    assert find_data_dir(None, None, {"PENSTOCK_CONFIG": str(other)}) == here / "etc" / "two"
    assert find_data_dir(None, Path("etc/other.toml"), {}) == here / "etc" / "two"


def test_mistake_elsewhere_in_the_file_does_not_hide_the_server(here: Path) -> None:
    written(here / "penstock.toml", 'data_dir = "one"\n[media]\nno_such = 1')
    assert find_data_dir(None, None, {}) == here / "one"


@pytest.mark.parametrize(("text", "why"), [("data_dir = 5", "data_dir is 5"), ("data_dir =", "line 1")])
def test_mistake_in_what_is_asked_for_is_told(here: Path, text: str, why: str) -> None:
    file = written(here / "penstock.toml", text)
    with pytest.raises(ConfigError, match=why):
        find_data_dir(None, file, {})
