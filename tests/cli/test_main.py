"""How commands end: exit codes, one line on standard error, help."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from penstock.admin import streams
from penstock.cli.main import COMMANDS, EXIT_CODES, exit_code
from penstock.errors import (
    AdminError,
    ApiError,
    ConfigError,
    InvalidField,
    LinkError,
    NoKeys,
    NotFound,
    PenstockError,
    TransportError,
)
from tests.admin.kit import BAN
from tests.cli.kit import Commands, FakeServer

SOURCE = Path(__file__).resolve().parents[2] / "src"
SERVER_MODULES = {"asyncio", "sqlalchemy", "h11", "av", "cryptography", "httpx2", "ssl", "email", "http", "rich"}
SERVER_ROOMS = {"app", "api", "supervisor", "processes", "servers", "engine", "domain", "storage", "link", "tls"}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AdminError("NotOnAir", "nobody publishes it"), 1),
        (AdminError("InvalidField", "until is past"), 1),
        (AdminError("ConfigError", "penstock.toml: data_dir is 5"), 2),
        (ApiError.of(NotFound)("kingsoft", "8201", "no ban"), 1),
        (ApiError.of(InvalidField)("kingsoft", "428", "bad"), 1),
        (LinkError("no engine"), 1),
        (ConfigError("no such file"), 2),
        (NoKeys("no keys"), 2),
        (InvalidField("Limit", 0, "more"), 2),
        (TransportError("no answer"), 3),
    ],
)
def test_exit_code_goes_by_what_went_wrong(error: PenstockError, code: int) -> None:
    assert exit_code(error) == code
    assert code in EXIT_CODES


def test_refusal_is_one_line_on_standard_error(penstock: Commands, server: FakeServer) -> None:
    server.answers["streams.kick"] = NotFound("nobody publishes demo/live/cam")
    ran = penstock("streams", "kick", "cam")
    assert (ran.code, ran.out, ran.err) == (1, "", "penstock: nobody publishes demo/live/cam\n")


def test_no_server_is_another_exit_code(penstock: Commands, tmp_path: Path) -> None:
    ran = penstock.bare("streams", "ls", "--data-dir", str(tmp_path / "none"))
    assert (ran.code, ran.out) == (3, "")
    assert re.fullmatch(r"penstock: no server answers at .*\n", ran.err)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("strems", "ls"), 'Did you mean "streams"'),
        (("streams", "kick"), "STREAM requires an argument"),
        (("streams", "kick", "a/b/c/d"), "must be STREAM, APP/STREAM or VHOST/APP/STREAM"),
        (("streams", "ban", "cam", "--for", "soon"), "neither a span of time"),
        (("streams", "ls", "--nope"), "--nope"),
        (("bans", "ls", "--limit", "many"), "many"),
        (("clock", "turn", "5x"), "neither a span of time"),
        (("vhosts", "add", "shop", "--publish-auth", "maybe"), "maybe"),
        (("explain",), "REQUEST_ID requires an argument"),
        (("streams", "ls", "--config", "none.toml"), "none.toml: cannot be read"),
    ],
)
def test_argument_that_cannot_be_used_is_one_line_and_exit_code_2(
    penstock: Commands, server: FakeServer, words: tuple[str, ...], why: str
) -> None:
    ran = penstock.bare(*words)
    assert (ran.code, ran.out) == (2, "")
    assert why in ran.err
    assert ran.err.startswith("penstock: ")
    assert server.asked == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_the_exit_codes(command: str, penstock: Commands) -> None:
    ran = penstock.bare(command, "--help")
    assert (ran.code, ran.err) == (0, "")
    said = " ".join(ran.out.split())
    assert f"Usage: penstock {command}" in said
    assert "Exit codes: 0 done; 1 refused" in said


def test_asking_a_server_loads_no_server_and_no_http_library(server: FakeServer) -> None:
    words = ["streams", "ls", "--data-dir", str(server.data_dir)]
    code = (
        f"import sys\nfrom penstock.cli.main import main\ntry: main({words!r})\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    environ = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30, check=True)
    assert "demo/live/cam" in ran.stdout
    loaded = set(ran.stderr.split())
    assert {"penstock.cli.streams", "socket"} <= loaded
    assert {name.partition(".")[0] for name in loaded} & SERVER_MODULES == set()
    assert {name.split(".")[1] for name in loaded if name.startswith("penstock.")} & SERVER_ROOMS == set()


@pytest.mark.parametrize(
    "words",
    [
        ("explain", "\udcff"),
        ("accounts", "add", "\udcff"),
        ("call", "kingsoft", "CheckBlacklist", "UniqueName=a", "App=b", "Pubdomain=c", "Stream=\udcff"),
        ("streams", "kick", "\udcff"),
        ("clock", "turn", "\udcff"),
    ],
)
def test_argument_that_is_no_text_is_told(penstock: Commands, server: FakeServer, words: tuple[str, ...]) -> None:
    ran = penstock(*words)
    assert (ran.code, ran.out) == (2, "")
    assert "udcff" in ran.err
    assert server.asked == []


def test_terminal_that_lacks_a_letter_shows_its_escape(server: FakeServer) -> None:
    server.answers["streams.show"] = streams.StreamShown(on_air=None, ban=msgspec.structs.replace(BAN, reason="直播"))
    command = [sys.executable, "-m", "penstock", "streams", "show", "cam", "--data-dir", str(server.data_dir)]
    environ = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONIOENCODING": "latin-1"}
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30, check=True)
    assert r"\u76f4\u64ad" in ran.stdout


def test_reader_that_has_enough_is_no_error(server: FakeServer) -> None:
    command = f"{sys.executable} -m penstock streams ls --data-dir {server.data_dir} | true; echo ${{PIPESTATUS[0]}}"
    environ = {**os.environ, "PYTHONPATH": str(SOURCE)}
    ran = subprocess.run(["bash", "-c", command], env=environ, capture_output=True, text=True, timeout=30, check=True)
    assert (ran.stdout.strip(), ran.stderr) == ("0", "")
