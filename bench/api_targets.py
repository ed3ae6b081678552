"""The two servers that `bench api` asks, each on a port of its own until it is told to end.

python -m bench.api_targets penstock --port 20000     our HTTP server and gateway; CheckBlacklist from a dict
python -m bench.api_targets starlette --port 20000    a bare echo of the query: what the same stack costs without us

Both are uvicorn's protocol on httptools and uvloop, in one process, without access logs.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
from collections.abc import Callable, Coroutine

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from penstock.api.asgi import GatewayApp
from penstock.api.gateway import Gateway
from penstock.api.http import HttpServer
from penstock.api.policy import HttpPolicy
from penstock.clouds.contract import Credentials
from penstock.clouds.kingsoft import streams
from penstock.domain.caller import Caller
from penstock.model import SystemClock
from penstock.storage.rows import AccessKey, ExplainEntry

CREDENTIALS = Credentials("AKBENCH", "SKBENCH/of-the-usual-length-and-looks==")
BANNED = {("demo", "live", f"s{number}"): number % 2 == 0 for number in range(1000)}


async def check_blacklist(
    banned: dict[tuple[str, str, str], bool], caller: Caller, ask: streams.CheckBlacklist
) -> streams.CheckBlacklistResult:
    del caller
    return streams.CheckBlacklistResult(check_result=int(banned[ask.unique_name, ask.app, ask.stream]))


def ignore(entry: ExplainEntry) -> None:
    print(f"refused: {entry.outcome}: {entry.rule}", flush=True)


async def penstock(listener: socket.socket) -> None:
    key = AccessKey(access_key=CREDENTIALS.access_key, secret_key=CREDENTIALS.secret_key, account="2000000001")
    gateway = Gateway(
        {streams.CheckBlacklist: check_blacklist},
        BANNED,
        find_key={key.access_key: key}.get,
        explain=ignore,
        clock=SystemClock(),
        limits=None,
    )
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    server = HttpServer(GatewayApp(gateway.answer), HttpPolicy())
    server.listen(listener)
    await ended.wait()
    await server.close()


async def echo(request: Request) -> Response:
    return Response(request.url.query, media_type="application/json")


async def starlette(listener: socket.socket) -> None:
    app = Starlette(routes=[Route("/", echo, methods=["GET", "POST"])])
    config = uvicorn.Config(
        app, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False,
        proxy_headers=False, server_header=False, timeout_keep_alive=75,
    )  # fmt: skip
    await uvicorn.Server(config).serve([listener])


TARGETS: dict[str, Callable[[socket.socket], Coroutine[None, None, None]]] = {
    "penstock": penstock,
    "starlette": starlette,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", options.port), backlog=1024)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(TARGETS[options.target](listener))


if __name__ == "__main__":
    main()
