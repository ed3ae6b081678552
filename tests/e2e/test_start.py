"""A server that cannot start says in one line what to change, and leaves nothing behind."""

from __future__ import annotations

import re
import socket
import subprocess
from pathlib import Path

import pytest

from tests.e2e.server import PENSTOCK, Serve, Server, environment, write_settings


def assert_refused(folder: Path, *why: str) -> None:
    """Start a server with `folder`'s settings: exit code 2, one line with each of `why` in it, nothing left behind."""
    before = listing(folder)
    # Its output's end is the end of all that it started, too.
    ended = subprocess.run(
        [*PENSTOCK, "serve", "--config", str(folder / "penstock.toml")],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert re.fullmatch(r"penstock: [^\n]+\n", ended.stderr), ended.stderr
    for part in why:
        assert part in ended.stderr
    assert listing(folder) == before


def listing(folder: Path) -> list[str]:
    names = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    # A data folder that holds its lock alone says nothing, and is in nobody's way.
    return sorted(names - {"data", "data/lock"})


# The file's text, and what of it the one line has to say: setting, value, what is wanted.
WRONG: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "no TOML": ('data_dir = "data\n', ("penstock.toml: line 1", )),
    "cut short": ('data_dir = "data"\n[media', ("penstock.toml: line 2", "file ends there")),
    "no text": (b"data_dir = '\xff'\n", ("penstock.toml: line 1", "Not UTF-8")),
    "unknown key": ("[media]\nidle_timeot_s = 3\n", ("media.idle_timeot_s is not", "nearest is media.idle_timeout_s")),
    "unknown table": ("[medai]\n", ("medai is not a setting", "nearest is media")),
    "wrong type": ('[media]\nidle_timeout_s = "ten"\n', ("media.idle_timeout_s is 'ten'", "a number from 0.1 to 3600")),
    "wrong range": ("[media]\nidle_timeout_s = 0\n", ("media.idle_timeout_s is 0", "a number from 0.1 to 3600")),
    "no address": ('[media]\nrtmp_listen = "here"\n', ("media.rtmp_listen is 'here'", '"host:port"')),
    "another machine's address": (
        '[media]\nrtmp_listen = "203.0.113.1:1"\n', ("media.rtmp_listen is 203.0.113.1:1", "wanted a free address")
    ),
    "no vhost": ("[media]\n[[account]]\nid = '1'\n", ("no account has a vhost", "[[account.vhost]]")),
    "no certificate": (
        '[api]\ntls_cert = "c.pem"\ntls_key = "k.pem"\n[media]\nrtmps_listen = "127.0.0.1:0"\n[watch]\nlisten = ""\n',
        ("api.tls_cert", "c.pem", "No such file", "wanted a certificate"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_settings_that_cannot_be_used_are_named(case: str, tmp_path: Path) -> None:
    text, why = WRONG[case]
    (tmp_path / "penstock.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert_refused(tmp_path, *why)


def test_a_settings_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert_refused(tmp_path, "penstock.toml", "No such file")


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        write_settings(tmp_path, https_listen=address)
        assert_refused(tmp_path, f"media.https_listen is {address}", "Address already in use", "wanted a free address")


# Root may write anywhere, but not where no folder can be.
@pytest.mark.parametrize("place", ["penstock.toml", "penstock.toml/below", "/proc/penstock", "/dev/null"])
def test_a_data_folder_that_cannot_be_written_is_named(place: str, tmp_path: Path) -> None:
    write_settings(tmp_path, data_dir=place)
    assert_refused(tmp_path, "data_dir is ", place, "; wanted a ")


def test_a_data_folder_in_use_is_named_and_its_user_undisturbed(server: Server, tmp_path: Path) -> None:
    write_settings(tmp_path, data_dir=str(server.data_dir))
    before = listing(server.data_dir)
    assert_refused(
        tmp_path, f"data_dir is {server.data_dir}", "another server uses it", "wanted one of this server's own"
    )
    assert listing(server.data_dir) == before


def test_the_limit_of_open_files_is_raised_and_said(serve: Serve) -> None:
    server = serve(wrapper=("bash", "-c", 'ulimit -Sn 256; exec "$@"', "bash"))
    said = server.log.wait(r"Open files +\d+ \(raised from 256\)", within_s=0)
    limits = Path(f"/proc/{server.child('engine')}/limits").read_text()
    soft, hard = re.findall(r"Max open files +(\d+) +(\d+)", limits)[0]
    assert soft == hard
    assert f" {soft} (" in said.text
