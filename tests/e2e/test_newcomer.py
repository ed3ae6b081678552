"""The first five minutes: what is printed works, and says what to do next."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from penstock import __version__
from tests.e2e.peers import Ffmpeg
from tests.e2e.server import PENSTOCK, Server, environment, faultless, free_ports


@pytest.fixture(scope="module")
def shared_pattern(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server.started(tmp_path_factory.mktemp("newcomer"), ["--test-pattern"], environ=free_ports())
    try:
        server.log.wait("demo/live/test on air", within_s=10)
        yield server
    finally:
        server.close()


@pytest.fixture
def pattern(shared_pattern: Server) -> Iterator[Server]:
    """A server without a settings file, with its test pattern on air."""
    with faultless(shared_pattern, since=0):
        yield shared_pattern


def printed_urls(server: Server) -> dict[str, str]:
    """The play URLs of the test pattern as they were printed, by scheme."""
    return {url.partition(":")[0]: url for url in re.findall(r"\w+://\S+/live/test\S*", server.log.text())}


@pytest.mark.parametrize("scheme", ["http", "rtmp", "https", "rtmps"])
async def test_the_printed_urls_play_when_they_are_pasted_into_ffprobe(
    scheme: str, pattern: Server, ffmpeg: Ffmpeg
) -> None:
    url = printed_urls(pattern)[scheme]
    said = await ffmpeg.run("ffprobe", "-v", "error", "-show_streams", "-of", "json", url)
    assert {stream["codec_name"] for stream in json.loads(said.answer)["streams"]} == {"h264", "aac"}


async def test_the_pattern_moves_and_can_be_heard(pattern: Server, ffmpeg: Ffmpeg) -> None:
    picture = ("-map", "0:v", "-t", "1", "-f", "framemd5", "pipe:1")
    sound = ("-map", "0:a", "-t", "1", "-af", "volumedetect", "-f", "null", "-")
    said = await ffmpeg.run("ffmpeg", "-hide_banner", "-nostats", "-i", printed_urls(pattern)["http"], *picture, *sound)
    hashes = [line.rpartition(",")[2] for line in said.answer.splitlines() if not line.startswith("#")]
    assert len(hashes) == len(set(hashes)) == 30
    volume = re.search(r"mean_volume: (-?[\d.]+) dB", said.stderr)
    assert volume
    assert -40 < float(volume[1]) < 0


def test_what_it_keeps_goes_into_a_folder_where_it_was_started(pattern: Server) -> None:
    assert [path.name for path in pattern.folder.iterdir()] == ["data"]
    # Keys lie there.
    assert pattern.data_dir.stat().st_mode & 0o077 == 0


# The command


def run(*arguments: str, command: tuple[str, ...] = PENSTOCK) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *arguments], env=environment(), capture_output=True, text=True, timeout=10, check=False
    )


@pytest.mark.parametrize("command", [PENSTOCK, (f"{sys.prefix}/bin/penstock",)], ids=["module", "script"])
def test_the_version_is_said(command: tuple[str, ...]) -> None:
    assert run("--version", command=command).stdout == f"{__version__}\n"


def test_help_tells_what_there_is() -> None:
    overview = run("--help")
    assert overview.returncode == 0
    assert re.search(r"serve\s+Run the server until Ctrl-C", overview.stdout)
    details = run("serve", "--help")
    assert details.returncode == 0
    for option in ("--config", "--test-pattern", "--log-level"):
        assert option in details.stdout
    # Without a word it tells the same, and starts nothing.
    assert run().stdout == overview.stdout


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("sevre",), "sevre"),
        (("serve", "--confg", "x.toml"), "--confg"),
        (("serve", "--log-level", "loud"), "loud"),
        (("serve", "x.toml"), "x.toml"),
    ],
)
def test_a_mistyped_command_is_named(arguments: tuple[str, ...], why: str) -> None:
    ended = run(*arguments)
    assert ended.returncode != 0
    assert why in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("missing", ["cryptography", "h11"])
def test_without_the_servers_packages_it_says_what_to_install(missing: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; from penstock.cli.main import main; main()"
    ended = run("serve", command=(sys.executable, "-c", program))
    assert ended.returncode == 2
    assert ended.stderr == f"penstock: the server needs {missing}; install it with: pip install 'penstock[server]'\n"
