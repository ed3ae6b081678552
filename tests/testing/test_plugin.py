"""The pytest plugin, in runs of pytest of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest

from penstock.testing import Clock, Publisher, Server, plugin

pytest_plugins = ["pytester"]

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
SAMPLES: Final = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the runs have this plugin and no other, whatever is installed."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.setenv("PENSTOCK_MEDIA__RTMP_LISTEN", "127.0.0.1:1")  # the server is not to hear of it


def run(pytester: pytest.Pytester, *files: str, conftest: str = "") -> pytest.RunResult:
    for number, text in enumerate(files):
        pytester.makepyfile(**{f"test_{number}": text})
    if conftest:
        pytester.makeconftest(conftest)
    return pytester.runpytest_subprocess("-p", "penstock.testing.plugin", "-p", "no:cacheprovider", timeout=50)


def test_pytest_finds_the_plugin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"penstock": plugin.__name__}


def test_the_samples_of_the_page_pass(pytester: pytest.Pytester) -> None:
    tests = [sample for sample in SAMPLES if "def test_" in sample]
    assert len(tests) == 3
    run(pytester, *tests).assert_outcomes(passed=3)


def test_the_page_names_everything_that_a_server_and_a_publisher_have() -> None:
    shown = {"start", "close", "folder", "tidy", "pid", "log_size", "begin", "end", "url", "now", "reset"}
    for kind in (Server, Publisher, Clock):
        public = {name for name in dir(kind) if not name.startswith("_")}
        assert [name for name in sorted(public - shown) if not re.search(rf"\b{name}\b", PAGE)] == []


def test_the_sample_without_pytest_runs() -> None:
    (sample,) = (sample for sample in SAMPLES if "def test_" not in sample)
    done = subprocess.run([sys.executable, "-c", sample], capture_output=True, text=True, timeout=50, check=False)
    assert (done.stdout, done.stderr) == ("s1\n", "")


def test_what_a_test_leaves_behind_is_gone_in_the_next(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        from datetime import UTC, datetime, timedelta

        def test_a_mess(penstock_server):
            global left
            penstock_server.clock.turn(days=3)
            left = penstock_server.publish("left"), penstock_server.publish("again", comes_back=True)
            penstock_server.kingsoft().forbid_stream(**penstock_server.kingsoft_place, stream="banned")

        def test_the_next(penstock_server):
            assert not penstock_server.is_on_air("left")
            assert not penstock_server.is_on_air("again")
            assert penstock_server.kingsoft().get_blacklist(**penstock_server.kingsoft_place).recs == []
            assert abs(penstock_server.clock.now() - datetime.now(UTC)) < timedelta(seconds=20)
        """,
    )
    result.assert_outcomes(passed=2)


def test_a_failed_test_shows_what_the_server_said(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        def test_fails(penstock_server):
            with penstock_server.publish("shown"):
                pass
            assert False

        def test_of_its_own(penstock_servers):
            with penstock_servers().publish("own"):
                pass
            assert False
        """,
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*demo/live/shown on air*", "*demo/live/own on air*"])


def test_settings_come_from_a_conftest(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        def test_it(penstock_server):
            assert penstock_server.access_key == "AKmine"
            kls = penstock_server.kingsoft()
            assert kls.get_blacklist(unique_name="mine", app="show", pubdomain="push.mine.test").recs == []
            with penstock_server.publish("s1?vhost=mine", app="show"):
                assert penstock_server.is_on_air("s1", app="show", vhost="mine")
        """,
        conftest="""
        import pytest

        @pytest.fixture(scope="session")
        def penstock_settings():
            vhost = {"name": "mine", "push_domains": ["push.mine.test"], "apps": ["show"]}
            key = {"access_key": "AKmine", "secret_key": "with'\\\\quotes"}
            return {"media": {"default_vhost": ""}, "account": [{"id": "1", "key": [key], "vhost": [vhost]}]}
        """,
    )
    result.assert_outcomes(passed=1)


def test_a_mistake_in_the_settings_is_one_error_that_names_it(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        def test_it(penstock_servers):
            penstock_servers({"media": {"idle_timeout": 1}})
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*ConfigError: the server did not start*", "*idle_timeout*idle_timeout_s*"])


def test_a_run_that_wants_no_server_loads_nothing_for_one() -> None:
    code = "import sys, penstock.testing.plugin; print(*sys.modules)"
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    said = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True).stdout
    loaded = set(said.split())
    assert {name for name in loaded if name.startswith("penstock")} == {
        "penstock",
        "penstock.testing",
        "penstock.testing.plugin",
    }
    assert loaded & {"msgspec", "httpx2", "av", "asyncio.sslproto", "sqlalchemy"} == set()
