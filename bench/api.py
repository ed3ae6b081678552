"""Signed calls that one core answers, beside a bare Starlette echo under the same load and uvicorn settings."""

from __future__ import annotations

import shutil
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench import workshop
from bench.api_targets import ApiTarget
from bench.measure import Setup, fanout
from bench.processes import Child
from bench.results import Api, Fanout
from bench.servers import APP, CREDENTIALS, PUSH_DOMAIN, WITH_API, Penstock, Running, await_port, free_port
from penstock.clouds.http import Endpoint, HttpRequest
from penstock.clouds.kingsoft import streams, wire

CONNECTIONS = 32
CALLS_PER_S = 1000  # of the case with players, paced
CALLS = 1000  # different ones, asked in turn
_GRACE_S = 30.0
_LONG_S = 600  # longer than any window; it is ended before


def api(setup: Setup, target: ApiTarget, repeat: int) -> Api:
    """Keep `CONNECTIONS` connections asking; count what is answered.

    Raises:
        BenchError: the server did not start, or refused the connections.
    """
    folder = setup.folder / f"api-{target.name}-{repeat}"
    shutil.rmtree(folder, ignore_errors=True)  # of a measurement that is made again
    folder.mkdir(parents=True)
    port = free_port()
    command = target.configure(folder, port)
    with Child(command, core=setup.server_core, log=folder / "server.log", cwd=workshop.HERE.parent) as at:
        await_port(port, at)
        time.sleep(1)  # what a server still does after its first answer is not to be measured
        calls = folder / "calls"
        write_calls(calls, port, datetime.now(UTC))
        words = ["--port", port, "--file", calls, "--count", CONNECTIONS, "--expect", target.expect]
        words += ["--warm", setup.warm_s, "--duration", setup.seconds, "--pids", ",".join(map(str, at.pids()))]
        command = [str(workshop.load_generator()), "call", *map(str, words)]
        with Child(command, core=setup.load_core, log=folder / "call.log", talks=True) as load:
            called = load.event(setup.warm_s + setup.seconds + _GRACE_S)
    return Api.of(target.name, repeat, called, setup.server_core)


def under_calls(setup: Setup, players: int, calls_per_s: int, repeat: int) -> Fanout:
    """`fanout` by HTTP-FLV, while the API of the same server is called so often, paced.

    Both share the server's core and the load's: what the calls take from the stream shows as latency.

    Raises:
        BenchError: as for `fanout`.
    """

    @contextmanager
    def calling(at: Running) -> Iterator[None]:
        calls = at.folder / "calls"
        write_calls(calls, at.ports.api, datetime.now(UTC))
        words = ["--port", at.ports.api, "--file", calls, "--count", CONNECTIONS, "--rate", calls_per_s]
        words += ["--expect", '"RetCode":0', "--warm", 0, "--duration", _LONG_S]
        command = [str(workshop.load_generator()), "call", *map(str, words)]
        with Child(command, core=setup.load_core, log=at.folder / "call.log", talks=True) as load:
            yield
            load.must_run()

    if not calls_per_s:
        return fanout(setup, WITH_API, "flv", players, repeat)
    server = Penstock(f"{WITH_API.name}, {calls_per_s} calls/s", "low", has_api=True)
    return fanout(setup, server, "flv", players, repeat, beside=calling)


def write_calls(path: Path, port: int, now: datetime) -> None:
    """Write a signed call for each of many streams, signed over the last minute: no two signatures are equal."""
    endpoint = Endpoint("http", f"127.0.0.1:{port}")
    with path.open("wb") as file:
        for number in range(CALLS):
            ask = streams.CheckBlacklist(
                unique_name=WITH_API.vhost, app=APP, pubdomain=PUSH_DOMAIN, stream=f"s{number}"
            )
            data = as_bytes(wire.encode_request(ask, CREDENTIALS, now - timedelta(seconds=number % 60), endpoint))
            file.write(struct.pack(">I", len(data)) + data)


def as_bytes(request: HttpRequest) -> bytes:
    """A request as it goes over the line."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in request.headers)
    return f"{request.method} {request.target} HTTP/1.1\r\n{lines}\r\n".encode() + request.body
