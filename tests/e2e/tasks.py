"""What the tests of relay tasks share: the official client, files over HTTP, and a receiver of callbacks."""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from penstock.clouds.contract import Credentials
from tests.clouds.volcengine.official import Official, told_by
from tests.e2e.media import Packet, track_of
from tests.e2e.server import Server, children_of

T = TypeVar("T")

KEY: Final = Credentials("AKone", "the-secret-of-one")
SUB_KEY: Final = Credentials("AKonesub", "the-secret-of-onesub")
OTHER_KEY: Final = Credentials("AKtwo", "the-secret-of-two")
CALLBACK_KEY: Final = "the-callback-key"
SETTINGS: Final = f"""
[network]
allow_private = ["127.0.0.0/8"]
[[account]]
id = "1"
callback_key = "{CALLBACK_KEY}"
[[account.key]]
access_key = "{KEY.access_key}"
secret_key = "{KEY.secret_key}"
[[account.key]]
access_key = "{SUB_KEY.access_key}"
secret_key = "{SUB_KEY.secret_key}"
sub_account = true
[[account.vhost]]
name = "one"
push_domains = ["push.one.test"]
pull_domains = ["pull.one.test"]
[[account]]
id = "2"
[[account.key]]
access_key = "{OTHER_KEY.access_key}"
secret_key = "{OTHER_KEY.secret_key}"
"""
WITHIN_S: Final = 30.0  # of a machine with other things to do; usually it is one or two


async def eventually(
    look: Callable[[], Awaitable[T]], holds: Callable[[T], bool], what: str, within_s: float = WITHIN_S
) -> T:
    """Look again and again until what is seen is right; return it."""
    until_s = time.monotonic() + within_s
    while True:
        seen = await look()
        if holds(seen):
            return seen
        assert time.monotonic() < until_s, f"{what}: still {seen} after {within_s:g} s"
        await asyncio.sleep(0.25)  # the cloud lets an account call ten times a second


class Client:
    """Volcengine's own SDK, whose calls do not block the loop."""

    def __init__(self, server: Server, key: Credentials = KEY) -> None:
        self._official = Official(server.api_url, key)

    async def call(self, action: str, **members: Any) -> Any:
        """The Result of a call that must work."""
        answer = await asyncio.to_thread(self._official.call, action, members)
        assert "Error" not in answer["ResponseMetadata"], answer
        return answer.get("Result")

    async def refusal(self, action: str, **members: Any) -> str:
        """The code of a call that must not."""
        try:
            answer = await asyncio.to_thread(self._official.call, action, members)
        except Exception as error:
            return str(told_by(error)["Error"]["Code"])
        raise AssertionError(f"{action} worked: {answer}")

    async def create(self, **members: Any) -> str:
        now = int(time.time())
        made = {"StartTime": now, "EndTime": now + 3600} | members
        return str((await self.call("CreatePullToPushTask", **made))["TaskId"])

    async def task(self, id: str) -> dict[str, Any]:
        listed: Sequence[dict[str, Any]] = (await self.call("ListPullToPushTask"))["List"]
        return next(each for each in listed if each["TaskId"] == id)


class Receiver:
    """An HTTP server that takes callbacks; while it is `down` it answers 503."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.down = False
        self.bodies: list[dict[str, Any]] = []
        self.tries = 0

    def events(self, id: str) -> list[str]:
        """What it was told of a task, each callback once, in the order in which they came."""
        seen: dict[int, str] = {}
        for body in self.bodies:
            detail = body["data"]["detail"]
            if detail["task_id"] == id:
                seen.setdefault(detail["sequence"], body["data"]["event_type"].removeprefix("pull_to_push_"))
        assert list(seen) == sorted(seen), "they came out of their order"
        assert list(seen) == list(range(1, len(seen) + 1)), "one is missing"
        return list(seen.values())


@contextmanager
def receiving() -> Iterator[Receiver]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.tries += 1
            if not receiver.down:
                assert self.headers["Content-Type"] == "application/json"
                receiver.bodies.append(json.loads(body))
            self.send_response(503 if receiver.down else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}/hook")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def workers_of(server: Server) -> list[int]:
    """The pids of relay workers, which control started."""
    return [pid for pid in children_of(server.child("control")) if b"penstock.workers.relay" in _command(pid)]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


async def kill_worker(server: Server) -> None:
    (pid,) = workers_of(server)
    os.kill(pid, signal.SIGKILL)


class Script:
    """A file's pictures by what is in them: where in the file is what a player got?"""

    def __init__(self, packets: Sequence[Packet]) -> None:
        self._at: Mapping[str, int] = {packet.md5: n for n, packet in enumerate(track_of(packets, "v"))}
        self.length = len(self._at)

    def places(self, got: Sequence[Packet]) -> list[int]:
        """The number of each picture in the file. Where a part begins inside of a GOP, its first ones are made anew."""
        return [self._at[packet.md5] for packet in track_of(got, "v") if packet.md5 in self._at]
