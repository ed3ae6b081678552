"""23. Keys leak nowhere: not into logs, answers, tables, explanations, nor command lines that every user can read."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest

from penstock.admin.server import Explain
from penstock.admin.verbs import VERBS
from penstock.cli import admin
from penstock.clouds.contract import Credentials
from penstock.clouds.http import Endpoint
from penstock.clouds.kingsoft import streams, wire
from penstock.domain import publish_url
from penstock.errors import ApiError, PenstockError
from penstock.model import StreamId
from penstock.sdk.kingsoft import AsyncKingsoft
from penstock.storage.rows import UrlSigning
from penstock.testing import Publisher
from tests.e2e.conftest import serve
from tests.e2e.server import PENSTOCK, Serve, Server, children_of, environment
from tests.e2e.world import Place
from tests.servers.client import HttpClient, Refused, RtmpClient

__all__ = ["serve"]

PUBLISH_KEY = "publish-key-9f8e7d6c"
SECRET_KEY = "secret-key-5b4a3928"
STREAM = StreamId("signed", "live", "cam")
PLACE = Place(unique_name="signed", app="live", pubdomain="push.signed.test")
ACCOUNTS = f"""
[[account]]
id = "1"
[[account.key]]
access_key = "AKone"
secret_key = "{SECRET_KEY}"
[[account.vhost]]
name = "signed"
push_domains = ["push.signed.test"]
publish_auth = "signed"
publish_key = "{PUBLISH_KEY}"
"""
COMMANDS = ("streams ls", "streams show cam", "bans ls", "vhosts ls", "accounts ls", "keys ls", "clock", "reload")


def signature(stream: StreamId = STREAM) -> str:
    return publish_url.sign(PUBLISH_KEY, stream, str(int(time.time()) + 60), UrlSigning())


class Secrets:
    """Texts that nobody may see, and what was seen."""

    def __init__(self) -> None:
        self.hidden = {PUBLISH_KEY, SECRET_KEY}
        self.seen: list[tuple[str, str]] = []

    def signed(self, stream: StreamId = STREAM) -> str:
        """A signed query; its signature is a key for as long as it is good."""
        query = signature(stream)
        self.hidden.add(query[len("wsSecret=") :].partition("&")[0])
        return query

    def look(self, where: str, text: str) -> None:
        self.seen.append((where, text))

    def leaks(self) -> list[tuple[str, str]]:
        return [(where, secret) for where, text in self.seen for secret in self.hidden if secret in text]


def family(pid: int) -> list[int]:
    """A process and all below it."""
    return [pid, *(each for child in children_of(pid) for each in family(child))]


def command_lines(pid: int) -> str:
    """What `ps` shows of a process and all below it."""
    return "\n".join(Path(f"/proc/{each}/cmdline").read_text().replace("\0", " ") for each in family(pid))


async def rtmp(server: Server) -> RtmpClient:
    return await RtmpClient.open(int(server.rtmp_url("").split(":")[2].partition("/")[0]))


def read_url(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read(), "utf-8")


async def publishes(server: Server, secrets: Secrets) -> RtmpClient:
    """One publish that is let in, and each way to be refused with a good signature in hand."""
    publisher = await rtmp(server)
    await publisher.publish(f"cam?{secrets.signed()}", tc_url="rtmp://push.signed.test/live")
    query = secrets.signed()
    for name, app, tc_url in (
        (f"cam?{query}", "live", "rtmp://push.signed.test/live"),  # in use
        (f"other?{query}", "live", "rtmp://push.signed.test/live"),
        (f"cam&{query}", "live", "rtmp://push.signed.test/live"),
        (f"cam%3F{query}", "live", "rtmp://push.signed.test/live"),
        ("cam", f"nosuch?{query}", f"rtmp://push.signed.test/nosuch?{query}"),
        ("cam", "live", f"rtmp://user:{PUBLISH_KEY}@push.signed.test/live?{query}x"),
    ):
        client = await rtmp(server)
        with pytest.raises(Refused) as refused:
            await client.publish(name, app=app, tc_url=tc_url)
        secrets.look(f"the refusal of {name} on {app}", str(refused.value))
        client.close()
    return publisher


async def plays(server: Server, secrets: Secrets) -> None:
    port = int(server.flv_url("").split(":")[2].partition("/")[0])
    for name in ("nosuch.flv", "cam/x"):
        client = await HttpClient.open(port)
        answer = await client.request(f"/live/{name}?{secrets.signed()}", host="pull.signed.test")
        secrets.look(f"the answer to {name}", f"{answer} {(await client.body())!r}")
        client.close()
    client = await HttpClient.open(port)
    answer, page = await client.get(f"/live/cam?{secrets.signed()}", host="pull.signed.test")
    secrets.look("the page", f"{answer} {page!r}")
    client.close()


async def calls(server: Server, secrets: Secrets) -> str:
    """Calls that work and that do not; return the request id of one whose signature did not fit."""
    async with AsyncKingsoft(access_key="AKone", secret_key=SECRET_KEY, endpoint=server.api_url) as cloud:
        secrets.look("repr of a client", repr(cloud))
        live = await cloud.list_realtime_pub_streams_info(**PLACE)
        errors = await cloud.list_history_pub_streams_err_info(**PLACE)
        secrets.look("answers", f"{live!r} {live.raw} {errors!r} {errors.raw}")
    async with AsyncKingsoft(access_key="AKone", secret_key=SECRET_KEY + "x", endpoint=server.api_url) as cloud:
        with pytest.raises(ApiError) as refused:
            await cloud.get_blacklist(**PLACE)
    secrets.look("an error", f"{refused.value!r} {refused.value} {vars(refused.value)}")
    assert refused.value.request_id
    return refused.value.request_id


def verbs(server: Server, secrets: Secrets) -> None:
    """Every verb of the operator's socket that can be asked without a word, and `explain`."""
    asked = 0
    for verb, ask in VERBS.items():
        if verb == "env":
            continue  # it is there to tell a key to its owner
        try:
            made = ask()
        except TypeError:
            continue
        try:
            secrets.look(f"verb {verb}", repr(admin.Server(server.data_dir).ask(made)))
            asked += 1
        except PenstockError as error:
            secrets.look(f"verb {verb}", str(error))
    assert asked > 5


async def commands(server: Server, secrets: Secrets, request_id: str) -> None:
    for words in (*COMMANDS, f"explain {request_id}"):
        for more in ((), ("--json",)):
            process = await asyncio.create_subprocess_exec(
                *PENSTOCK, *words.split(), *more,
                cwd=server.folder, env=environment(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            said, _ = await asyncio.wait_for(process.communicate(), 30)
            assert process.returncode == 0, said
            secrets.look(f"penstock {words}", said.decode())


@pytest.mark.timeout(120)
async def test_23_no_key_and_no_signature_is_told_to_anybody(serve: Serve) -> None:
    secrets = Secrets()
    server = serve("--test-pattern", "--log-level", "debug", accounts=ACCOUNTS)
    await server.wait_log("testpattern: publishing", within_s=15)
    publisher = await publishes(server, secrets)
    await plays(server, secrets)
    request_id = await calls(server, secrets)
    verbs(server, secrets)
    metrics = await asyncio.to_thread(read_url, f"{server.watch_url}/metrics")
    assert "penstock_" in metrics
    secrets.look("metrics", metrics)
    explained = admin.Server(server.data_dir).ask(Explain(request_id=request_id))
    assert explained.string_to_sign
    secrets.look("explained", json.dumps([explained.rule, explained.canonical_request, explained.string_to_sign]))
    await commands(server, secrets, request_id)
    assert "penstock.workers.testpattern" in command_lines(server.pid)
    secrets.look("command lines", command_lines(server.pid))
    publisher.close()
    await server.wait_log(r"signed/live/cam ended", within_s=5)
    secrets.look("the log", server.log.text())
    assert secrets.leaks() == []
    # The look would have found them: they did go over the wire, and lie where they belong.
    assert len(secrets.hidden) > 2
    assert PUBLISH_KEY in (server.folder / "penstock.toml").read_text()


def test_23_what_lies_on_disk_is_its_owners_alone(serve: Serve) -> None:
    """The store has keys in it, and in what it writes ahead."""
    server = serve(accounts=ACCOUNTS)
    assert server.data_dir.stat().st_mode & 0o777 == 0o700
    others = [path for path in server.data_dir.rglob("*") if path.suffix == ".sock" and path.stat().st_mode & 0o077]
    assert others == []


def test_23_a_publisher_for_tests_shows_no_signature(serve: Serve) -> None:
    server = serve(accounts=ACCOUNTS)
    query = signature()
    with Publisher(f"{server.rtmp_url('live/cam')}?{query}") as publisher:
        shown = command_lines(os.getpid())
        assert "penstock.workers.testpattern" in shown
        assert query not in shown
        assert query not in repr(publisher) + publisher.last_words


async def test_23_a_signature_travels_and_its_key_does_not() -> None:
    """What leaves a client holds neither half of the secret, in any header, query or body."""
    credentials = Credentials("AKone", SECRET_KEY)
    assert SECRET_KEY not in repr(credentials)
    now = datetime.now(UTC)
    for operation in (streams.GetBlacklist(**PLACE), streams.ForbidStream(**PLACE, stream="cam")):
        request = wire.encode_request(operation, credentials, now, Endpoint("http", "api.test"))
        text = f"{request.target} {list(request.headers)} {request.body!r}"
        assert "AKone" in text
        assert SECRET_KEY not in text


@pytest.mark.parametrize("options", [("-",), ("--once", "-")])
async def test_23_the_test_pattern_takes_its_url_from_standard_input(options: tuple[str, ...]) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "penstock.workers.testpattern", "--seconds", "1", *options),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await asyncio.wait_for(process.communicate(b"http://host/live/cam?key=s3cret\n"), 30)
    assert process.returncode == 2
    assert b"standard input: " in said
