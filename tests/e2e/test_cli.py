"""The command line against a server that runs: what is said happens to real media."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import ssl
import stat
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from tests.e2e.peers import Curl, Ffmpeg, PublishRefused
from tests.e2e.server import PENSTOCK, Serve, Server, environment

ANSWER_S = 15.0  # of a command; the machine may be busy


class Ran(Struct, frozen=True):
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def penstock(server: Server, *words: str, **variables: str) -> Ran:
    """Run a command in the server's folder, where it finds penstock.toml as `serve` would."""
    process = await asyncio.create_subprocess_exec(
        *PENSTOCK,
        *words,
        cwd=server.folder,
        env=environment() | {"HOME": str(server.folder)} | variables,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), ANSWER_S)
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


async def done(server: Server, *words: str, **variables: str) -> Ran:
    """Run a command that must work."""
    ran = await penstock(server, *words, **variables)
    assert ran.code == 0, ran.err
    return ran


async def test_streams_are_listed_shown_kicked_and_banned(
    serve: Serve, ffmpeg: Ffmpeg, sample: Path, stream: str
) -> None:
    server = serve()
    assert (await done(server, "streams", "ls")).out == "Nothing is on air.\n"
    publisher = await ffmpeg.publish(sample, server.rtmp_url(stream))
    player = await ffmpeg.play(server.flv_url(stream))
    await player.until_got(seconds=2)
    assert f"demo/{stream}" in (await done(server, "streams", "ls")).out

    (shown,) = (await done(server, "streams", "ls", "--json")).json["streams"]
    assert (shown["vhost"], f"{shown['app']}/{shown['stream']}") == ("demo", stream)
    assert shown["address"] == "127.0.0.1"
    facts = (await done(server, "streams", "show", stream)).out
    assert re.search(r"^state +on air$", facts, re.MULTILINE)
    assert re.search(rf"^size +{shown['video']['width']}x{shown['video']['height']}$", facts, re.MULTILINE)
    assert re.search(r"^players flv +1, ", facts, re.MULTILINE)

    assert (await done(server, "streams", "kick", stream)).out == f"demo/{stream} is off air.\n"
    # The answer came after the socket was closed.
    assert await publisher.exit_code(within_s=2) != 0
    ran = await penstock(server, "streams", "kick", stream)
    assert (ran.code, ran.err) == (1, f"penstock: nobody publishes demo/{stream}\n")

    again = await ffmpeg.publish(sample, server.rtmp_url(stream))
    await done(server, "streams", "ban", stream, "--for", "2h", "--reason", "no licence")
    assert await again.exit_code(within_s=2) != 0
    with pytest.raises(PublishRefused, match=r"banned until .*no licence"):
        await ffmpeg.publish(sample, server.rtmp_url(stream))
    listed = (await done(server, "bans", "ls")).out
    assert f"demo/{stream}" in listed
    assert "no licence" in listed
    assert re.search(r"^state +banned$", (await done(server, "streams", "show", stream)).out, re.MULTILINE)

    await done(server, "streams", "unban", stream)
    await ffmpeg.publish(sample, server.rtmp_url(stream))
    assert (await penstock(server, "streams", "unban", stream)).code == 1


async def test_a_ban_of_90_days_ends_when_the_clock_is_turned(
    serve: Serve, ffmpeg: Ffmpeg, sample: Path, stream: str
) -> None:
    server = serve("--dev")
    until = (await done(server, "streams", "ban", stream, "--json")).json["ban"]["until"]
    await done(server, "clock", "turn", "+89d")
    with pytest.raises(PublishRefused, match="banned until"):
        await ffmpeg.publish(sample, server.rtmp_url(stream))
    turned = (await done(server, "clock", "turn", until, "--json")).json
    assert turned["ahead_s"] == pytest.approx(90 * 86_400, abs=60)
    assert (await done(server, "bans", "ls")).out == "Nothing is banned.\n"
    await ffmpeg.publish(sample, server.rtmp_url(stream))
    assert "ahead of the real one" in (await done(server, "clock")).out
    assert (await done(server, "clock", "reset", "--json")).json["ahead_s"] == 0


async def test_the_clock_of_a_server_that_is_no_developers_stays(server: Server) -> None:
    ran = await penstock(server, "clock", "turn", "+1d")
    assert ran.code == 1
    assert "--dev" in ran.err


async def test_a_vhost_that_was_added_can_be_published_to_at_once(serve: Serve, ffmpeg: Ffmpeg, sample: Path) -> None:
    server = serve()
    await done(server, "accounts", "add", "3")
    await done(
        server, "vhosts", "add", "shop", "--account", "3", "--push-domain", "push.shop.test", "--app", "rehearsal"
    )
    publisher = await ffmpeg.publish(sample, server.rtmp_url("rehearsal/cam?vhost=push.shop.test"))
    (shown,) = (await done(server, "streams", "ls", "--account", "3", "--json")).json["streams"]
    assert (shown["vhost"], shown["account"]) == ("shop", "3")
    ran = await penstock(server, "vhosts", "rm", "shop")
    assert ran.code == 1
    await publisher.stop()
    await server.wait_log(r"shop/rehearsal/cam ended", within_s=5)
    await done(server, "vhosts", "rm", "shop")
    await done(server, "accounts", "rm", "3")
    with pytest.raises(PublishRefused):
        await ffmpeg.publish(sample, server.rtmp_url("rehearsal/cam?vhost=push.shop.test"))


async def test_env_points_a_shell_at_the_server(server: Server, curl: Curl) -> None:
    exports = (await done(server, "env", "--json")).json
    assert exports["KS_ACCESS_KEY_ID"] == exports["PENSTOCK_KINGSOFT_ACCESS_KEY"]
    # The bundle is what curl and Python trust, for the server's own TLS.
    bundle = exports["SSL_CERT_FILE"]
    context = ssl.create_default_context(cafile=bundle)
    assert len(context.get_ca_certs()) > 10
    answer = await curl.get(f"{exports['PENSTOCK_TLS_ENDPOINT']}/", "--cacert", bundle)
    assert answer


async def test_a_call_without_keys_goes_to_the_server_here(
    serve: Serve, ffmpeg: Ffmpeg, sample: Path, stream: str
) -> None:
    server = serve()
    app, name = stream.split("/")
    words = ("call", "kingsoft", "ForbidStream", "UniqueName=demo", f"App={app}", "Pubdomain=push.demo.test")
    ran = await done(server, *words, f"Stream={name}")
    assert "this goes to the server here" in ran.err
    with pytest.raises(PublishRefused, match="banned until"):
        await ffmpeg.publish(sample, server.rtmp_url(stream))
    exports = (await done(server, "env", "--json")).json
    lift = ("call", "kingsoft", "ResumeStream", "UniqueName=demo", f"App={app}", "Pubdomain=push.demo.test")
    ran = await done(server, *lift, f"Stream={name}", "--json", **exports)
    assert ran.err == ""
    ran = await penstock(server, *lift, f"stream={name}", **exports)
    assert ran.code == 1
    found = re.search(r"kingsoft answers 8201: .*\(request (.+)\)", ran.err)
    assert found is not None


async def test_a_wrong_signature_is_explained(serve: Serve) -> None:
    server = serve()
    exports = (await done(server, "env", "--json")).json
    wrong = exports | {"PENSTOCK_KINGSOFT_SECRET_KEY": "wrong"}
    words = ("CheckBlacklist", "UniqueName=demo", "App=live", "Pubdomain=push.demo.test", "Stream=cam")
    ran = await penstock(server, "call", "kingsoft", *words, **wrong)
    assert ran.code == 1
    found = re.search(r"\(request (.+)\)", ran.err)
    assert found is not None
    said = (await done(server, "explain", found[1])).out
    assert "CheckBlacklist" in said
    assert "canonical request, as the server made it" in said
    ran = await penstock(server, "explain", "no-such-request")
    assert ran.code == 1


async def test_a_key_counts_from_its_making_to_its_removal(serve: Serve) -> None:
    server = serve()
    exports = (await done(server, "env", "--json")).json
    made = (await done(server, "keys", "add", "--json")).json
    keys = {"PENSTOCK_KINGSOFT_ACCESS_KEY": made["access_key"], "PENSTOCK_KINGSOFT_SECRET_KEY": made["secret_key"]}
    words = ("call", "kingsoft", "GetBlacklist", "UniqueName=demo", "App=live", "Pubdomain=push.demo.test")
    await done(server, *words, **exports | keys)
    assert made["access_key"] in (await done(server, "keys", "ls")).out
    await done(server, "keys", "rm", made["access_key"])
    assert (await penstock(server, *words, **exports | keys)).code == 1


async def test_a_reload_applies_a_new_vhost_and_drops_no_stream(
    serve: Serve, ffmpeg: Ffmpeg, sample: Path, stream: str
) -> None:
    server = serve(accounts='[[account]]\nid = "1"\n[[account.vhost]]\nname = "demo"\n')
    publisher = await ffmpeg.publish(sample, server.rtmp_url(stream))
    settings = server.folder / "penstock.toml"
    text = settings.read_text()
    settings.write_text(text + '[[account.vhost]]\nname = "shop"\n')
    assert "Changed: account" in (await done(server, "reload")).out
    await ffmpeg.publish(sample, server.rtmp_url(f"{stream}?vhost=shop"))
    assert len((await done(server, "streams", "ls", "--json")).json["streams"]) == 2
    settings.write_text(text + "[[account.vhost]]\nnmae = 1\n")
    ran = await penstock(server, "reload")
    assert ran.code == 2
    assert "nmae" in ran.err
    assert publisher.running


async def test_the_socket_is_the_owners_alone_and_speaks_http(server: Server, curl: Curl) -> None:
    path = server.data_dir / "control.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    answer = await curl.get("http://penstock/streams.ls", "--unix-socket", str(path), "-d", "{}")
    assert "streams" in json.loads(answer.splitlines()[-1])["result"]
    answer = await curl.get("http://penstock/streams.kik", "--unix-socket", str(path), "-d", "{}")
    assert answer.startswith("HTTP/1.1 404 ")
    assert json.loads(answer.splitlines()[-1])["error"]["kind"] == "UnknownOperation"


async def test_a_command_finds_the_server_again_after_control_was_killed(serve: Serve) -> None:
    server = serve()
    control = server.child("control")
    await done(server, "streams", "ban", "demo/live/cam")
    since = server.mark()
    os.kill(control, signal.SIGKILL)
    # The socket is the supervisor's: who asks meanwhile waits in its queue.
    assert "demo/live/cam" in (await done(server, "bans", "ls")).out
    await server.wait_log("control ended", within_s=5, since=since)


async def test_no_server_is_exit_code_3(tmp_path: Path, server: Server) -> None:
    ran = await penstock(server, "streams", "ls", "--data-dir", str(tmp_path))
    assert (ran.code, ran.out) == (3, "")
    assert f"no server answers at {tmp_path / 'control.sock'}" in ran.err
