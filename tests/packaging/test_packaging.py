"""The files that others run: each is read by the program it is for, or by its rules, and says what the server does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.api.metrics import Metrics
from penstock.cli.main import app
from penstock.config import Config, load, settings
from penstock.domain.engines import EngineLink
from penstock.supervisor import STOP_S
from tests.clock import ManualClock
from tests.domain import kit

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGING = ROOT / "packaging"
UNIT = PACKAGING / "systemd" / "penstock.service"
DOCKERFILE = PACKAGING / "docker" / "Dockerfile"
COMPOSE = PACKAGING / "docker" / "compose.yaml"
DASHBOARD = PACKAGING / "grafana" / "penstock.json"

# All of them end children one after the other, after the time to drain.
LONGEST_END_S = Config().media.drain_s + 3 * STOP_S


def unit() -> dict[str, list[str]]:
    """The service's settings; one that is given again adds to itself."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def variables() -> set[str]:
    return {f"PENSTOCK_{setting.key.upper().replace('.', '__')}" for setting in settings()} | {"PENSTOCK_LOG_FORMAT"}


def image() -> dict[str, str]:
    """What the image sets in its environment."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    (line,) = re.findall(r"^ENV (.*)$", text, re.MULTILINE)
    return dict(word.split("=", 1) for word in line.split())


def compose() -> Any:
    return yaml.safe_load(COMPOSE.read_text())["services"]["penstock"]


# systemd


def test_systemd_has_nothing_to_say_against_the_unit(tmp_path: Path) -> None:
    # It looks for the program, too.
    text = UNIT.read_text().replace("/opt/penstock/bin/penstock", sys.executable)
    (tmp_path / "penstock.service").write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / "penstock.service")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # What is wrong with other units of this machine is none of ours.
    told = [line for line in done.stderr.splitlines() if "penstock" in line]
    assert (done.returncode, told) == (0, [])


def test_the_unit_would_be_refused_with_a_mistake_in_it(tmp_path: Path) -> None:
    text = UNIT.read_text().replace("ExecStart=/opt/penstock/bin/penstock", "ExecStart=relative/path")
    (tmp_path / "penstock.service").write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / "penstock.service")]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_the_unit_leaves_time_to_drain_and_tells_one_process() -> None:
    service = unit()
    assert service["Type"] == ["notify"]
    assert service["KillMode"] == ["mixed"]
    assert float(service["TimeoutStopSec"][0]) > LONGEST_END_S
    assert int(service["LimitNOFILE"][0]) >= 1_000_000
    (start,) = service["ExecStart"]
    program, command, *options = start.split()
    assert program.endswith("/penstock")
    known = subprocess.run(
        [sys.executable, "-m", "penstock", command, "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert [option for option in options if option.startswith("--") and option not in known] == []
    assert command in app


@pytest.mark.parametrize("where", ["unit", "image", "compose"])
def test_what_is_set_in_the_environment_is_a_setting(where: str) -> None:
    found = {
        "unit": dict(pair.split("=", 1) for pair in " ".join(unit()["Environment"]).split()),
        "image": image(),
        "compose": dict(compose()["environment"]),
    }[where]
    assert {name for name in found if name.startswith("PENSTOCK_")} <= variables()


# Containers


def test_the_images_settings_load_and_its_ports_are_what_it_exposes() -> None:
    config = load(None, {name: value for name, value in image().items() if name.startswith("PENSTOCK_")})
    listens = (
        config.api.listen, config.api.tls_listen, config.media.rtmp_listen, config.media.http_listen,
        config.media.https_listen, config.watch.listen,
    )  # fmt: skip
    assert all(listen.startswith("0.0.0.0:") for listen in listens)
    (exposed,) = re.findall(r"^EXPOSE (.*)$", DOCKERFILE.read_text(), re.MULTILINE)
    assert sorted(exposed.split()) == sorted(listen.partition(":")[2] for listen in listens)
    assert str(config.data_dir) in re.findall(r"^VOLUME (\S+)$", DOCKERFILE.read_text(), re.MULTILINE)


def test_the_image_is_built_in_stages_and_runs_as_nobody_special() -> None:
    text = DOCKERFILE.read_text()
    assert len(re.findall(r"^FROM ", text, re.MULTILINE)) == 2
    assert re.search(r"^COPY --from=build ", text, re.MULTILINE)
    (user,) = re.findall(r"^USER (\S+)$", text, re.MULTILINE)
    assert user == "10001:10001"
    for name in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / each).exists() for each in name.split())
    kept = (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text()
    assert {"!src", "!pyproject.toml"} <= set(kept.splitlines())


def test_the_images_health_is_the_servers_readiness() -> None:
    (command,) = re.findall(r"HEALTHCHECK.*\\\n\s+CMD (\[.*\])$", DOCKERFILE.read_text(), re.MULTILINE)
    program, flag, code = json.loads(command)
    assert (program, flag) == ("python", "-c")
    port = image()["PENSTOCK_WATCH__LISTEN"].rpartition(":")[2]
    assert f"http://127.0.0.1:{port}/readyz" in code
    compile(code, "healthcheck", "exec")


def test_compose_opens_the_servers_ports_to_this_machine_alone() -> None:
    service = compose()
    (exposed,) = re.findall(r"^EXPOSE (.*)$", DOCKERFILE.read_text(), re.MULTILINE)
    published = [port.replace("${PENSTOCK_BIND:-127.0.0.1}", "127.0.0.1") for port in service["ports"]]
    assert sorted(published) == sorted(f"127.0.0.1:{port}:{port}" for port in exposed.split())
    assert float(service["stop_grace_period"].removesuffix("s")) > LONGEST_END_S
    assert service["read_only"] is True
    assert (COMPOSE.parent / service["build"]["context"]).resolve() == ROOT
    assert (ROOT / service["build"]["dockerfile"]) == DOCKERFILE
    (volume,) = service["volumes"]
    assert volume.partition(":")[2] == image()["PENSTOCK_DATA_DIR"]


# Grafana


async def test_the_dashboard_asks_for_numbers_that_there_are_and_for_all_of_them() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    asked = {name for expression in expressions for name in re.findall(r"penstock_\w+", expression)}
    async with kit.opened() as live:
        families = list(Metrics(live, EngineLink(), 10, ManualClock().monotonic).families())
    known = {family.name for family in families} | {
        f"{family.name}{part}"
        for family in families
        if family.kind == "histogram"
        for part in ("_bucket", "_sum", "_count")
    }
    assert asked <= known
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked} == {family.name for family in families}


def test_the_dashboards_panels_have_places_titles_and_balanced_expressions() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
        for target in panel.get("targets", ()):
            assert target["expr"].count("(") == target["expr"].count(")")
            assert target["expr"].count("{") == target["expr"].count("}")
            assert 'instance=~"$instance"' in target["expr"]
