"""The pytest plugin as its users have it: in test runs of their own, with the samples of its page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

pytest_plugins = ["pytester"]

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
SAMPLES: Final = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
PLUGIN: Final = "penstock.testing.plugin"
# Plugins of ours that are no user's, and the clocks of which would go on.
OURS: Final = ("-p", "no:asyncio", "-p", "no:timeout", "-p", "no:hypothesispytest", "-p", "no:cacheprovider")


@pytest.fixture(autouse=True)
def own_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run the tests that were written, in a pytest of their own."""
    return pytester.runpytest_subprocess("-p", PLUGIN, *OURS, *arguments, timeout=100)


@pytest.mark.timeout(120)
def test_the_samples_of_the_page_pass(pytester: pytest.Pytester) -> None:
    names = [f"test_sample{number}" for number in range(len(SAMPLES))]
    pytester.makepyfile(**dict(zip(names, SAMPLES, strict=True)))
    count = sum(sample.count("def test_") for sample in SAMPLES)
    assert count >= 6
    run(pytester).assert_outcomes(passed=count)


def test_the_samples_pass_a_strict_type_checker(tmp_path: Path) -> None:
    for number, sample in enumerate(SAMPLES):
        (tmp_path / f"sample{number}.py").write_text(sample)
    # Kingsoft's own SDK has no types.
    options = ["--strict", "--ignore-missing-imports", "--disable-error-code=import-untyped"]
    command = [sys.executable, "-m", "mypy", *options, "--cache-dir", str(tmp_path / "cache"), str(tmp_path)]
    environ = {**os.environ, "MYPYPATH": str(ROOT / "src")}
    found = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=50, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_nothing_is_loaded_by_a_run_that_does_not_ask(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_modules():
            ours = {name for name in sys.modules if name.partition(".")[0] == "penstock"}
            assert ours == {"penstock", "penstock.testing", "penstock.testing.plugin"}
            assert not {"msgspec", "httpx2", "av"} & set(sys.modules)
        """
    )
    run(pytester).assert_outcomes(passed=1)


def test_tests_share_a_server_and_nothing_on_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from penstock.errors import UnknownVhost

        seen = []

        @pytest.mark.parametrize("number", [0, 1])
        def test_each(penstock, number):
            kls = penstock.kingsoft()
            assert kls.get_blacklist(**penstock.where).recs == []
            kls.forbid_stream(**penstock.where, stream="cam")
            ahead = penstock.clock.now()
            penstock.clock.turn(days=30)
            assert (penstock.clock.now() - ahead).days == 30
            seen.append(penstock)
            if number:
                first = seen[0]
                assert first.server is penstock.server
                assert (ahead - before).days == 0
                with pytest.raises(UnknownVhost):
                    kls.get_blacklist(**first.where)
            else:
                globals()["before"] = ahead
        """
    )
    run(pytester).assert_outcomes(passed=2)


def test_a_failed_test_shows_what_the_server_said(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_passes(penstock):
            with penstock.publish("unshown"):
                pass

        def test_fails(penstock):
            with penstock.publish("shown"):
                pass
            assert False

        def test_on_a_server_of_its_own(penstock_with):
            with penstock_with({}).publish("own"):
                pass
            assert False
        """
    )
    result = run(pytester)
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*/live/shown on air*", "*/live/own on air*"])
    result.stdout.no_fnmatch_line("*/live/unshown*")


def test_settings_come_from_a_conftest(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(scope="session")
        def penstock_settings():
            key = {"access_key": "AKmine", "secret_key": "a-secret"}
            vhost = {"name": "mine", "push_domains": ["push.mine.test"]}
            return {"media": {"default_vhost": "mine"}, "account": [{"id": "1", "key": [key], "vhost": [vhost]}]}
        """
    )
    pytester.makepyfile(
        """
        from penstock import Kingsoft

        def test_it(penstock_server, penstock):
            with Kingsoft(access_key="AKmine", secret_key="a-secret", endpoint=penstock.endpoint) as kls:
                assert kls.get_blacklist(unique_name="mine", app="live", pubdomain="push.mine.test").total == 0
            with penstock.publish("cam"):
                pass
        """
    )
    run(pytester).assert_outcomes(passed=1)


def test_a_mistake_in_the_settings_is_told(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(penstock_with): penstock_with({'media': {'idle_timeout': 1}})")
    result = run(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*ServerFailed*", "*idle_timeout*idle_timeout_s*"])


def test_the_server_ends_with_the_run_even_with_one_that_fails(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from pathlib import Path

        def test_fails(penstock):
            Path("pid").write_text(str(penstock.server._process.pid))
            Path("folder").write_text(str(penstock.server.folder))
            penstock.publish("cam").__enter__()  # and is forgotten
            assert False
        """
    )
    run(pytester).assert_outcomes(failed=1)
    pid = int((pytester.path / "pid").read_text())
    assert not (Path("/proc") / str(pid)).exists()
    log = (Path((pytester.path / "folder").read_text()) / "serve.log").read_text()
    assert log.rstrip().endswith("Penstock has stopped.")


def test_the_plugin_is_registered_by_its_modules_name() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'[project.entry-points.pytest11]\n"{PLUGIN}" = "{PLUGIN}"\n' in text
