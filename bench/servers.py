"""The servers under test: how each is configured, started, and told to drop a stream.

All listen on 127.0.0.1, take stream `s` of app `live` by RTMP, and ask nobody for a password.
"""

from __future__ import annotations

import json
import shutil
import socket
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import workshop
from bench.processes import BenchError, Child
from penstock.clouds.contract import Credentials

APP, STREAM = "live", "s"
_FIRST_PORT, _PORTS_END = 20000, 32768  # above are the ports that the load's own connections get
_START_S = 20.0


@dataclass(frozen=True)
class Ports:
    rtmp: int
    http: int
    api: int  # of the servers that have one

    def of(self, protocol: str) -> int:
        return self.rtmp if protocol == "rtmp" else self.http


class Server(ABC):
    """One kind of server; `configure` writes its files and returns the command that runs it."""

    name: str
    protocols: tuple[str, ...] = ("flv", "rtmp")
    vhost = "127.0.0.1"  # what publishers and players name as the host

    @abstractmethod
    def configure(self, folder: Path, ports: Ports) -> list[str]: ...


CREDENTIALS = Credentials("AKBENCH", "SKBENCH/of-the-usual-length-and-looks==")
PUSH_DOMAIN = "push.demo.test"


class Penstock(Server):
    vhost = "demo"

    def __init__(self, name: str, latency: str, *, has_api: bool = False, media: str = "") -> None:
        """`media` is a line of further settings of that section."""
        self.name, self._latency, self._has_api, self._media = name, latency, has_api, media

    def configure(self, folder: Path, ports: Ports) -> list[str]:
        config = folder / "penstock.toml"
        config.write_text(f"""\
data_dir = "data"
[api]
listen = "{f"127.0.0.1:{ports.api}" if self._has_api else ""}"
tls_listen = ""
rate_limits = false
[watch]
listen = ""
[media]
rtmp_listen = "127.0.0.1:{ports.rtmp}"
http_listen = "127.0.0.1:{ports.http}"
https_listen = ""
latency = "{self._latency}"
{self._media}
[[account]]
id = "2000000001"
[[account.key]]
access_key = "{CREDENTIALS.access_key}"
secret_key = "{CREDENTIALS.secret_key}"
[[account.vhost]]
name = "{self.vhost}"
apps = ["{APP}"]
push_domains = ["{PUSH_DOMAIN}"]
""")
        return [sys.executable, "-m", "penstock", "serve", "--config", str(config)]


class NginxRtmp(Server):
    """Debian's nginx with libnginx-mod-rtmp; it has no HTTP-FLV, so its RTMP is what others are compared with."""

    name = "nginx-rtmp"
    protocols = ("rtmp",)

    def configure(self, folder: Path, ports: Ports) -> list[str]:
        module = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
        if not module.exists():
            raise BenchError(f"{module} is missing; Debian's package is libnginx-mod-rtmp")
        temporary = "".join(
            f"{kind}_temp_path {folder}/tmp; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        config = folder / "nginx.conf"
        # ping: the players that discard in the kernel cannot answer one, and must not be dropped for it.
        config.write_text(f"""\
load_module {module};
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
events {{ worker_connections 20000; }}
rtmp {{
  access_log off;
  server {{
    listen 127.0.0.1:{ports.rtmp};
    chunk_size 4096;
    ping 60m;
    application {APP} {{ live on; wait_key on; }}
  }}
}}
http {{
  access_log off;
  {temporary}
  server {{
    listen 127.0.0.1:{ports.http};
    location /control {{ rtmp_control all; }}
  }}
}}
""")
        nginx = workshop.need("nginx", "Debian's packages are nginx and libnginx-mod-rtmp")
        return [nginx, "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")]


class NodeMediaServer(Server):
    name = "node-media-server"

    def configure(self, folder: Path, ports: Ports) -> list[str]:
        settings = {
            "bind": "127.0.0.1",
            "rtmp": {"port": ports.rtmp},
            "http": {"port": ports.http},
            "store": {"path": str(folder / "store")},
            "record": {"auto": False, "path": str(folder / "record")},
            "auth": {"play": False, "publish": False},
            "webadmin": {"enable": False},
        }
        script = folder / "server.js"
        package = json.dumps(str(workshop.node_package()))
        script.write_text(f"const Server = require({package});\nnew Server({json.dumps(settings)}).run();\n")
        return [workshop.need("node", "it runs node-media-server"), str(script)]


SERVERS: dict[str, Server] = {
    server.name: server
    for server in (
        Penstock("penstock", "low"),
        Penstock("penstock-normal", "normal"),
        NginxRtmp(),
        NodeMediaServer(),
    )
}


# The same with its API open; measured by itself.
WITH_API = Penstock("penstock-api", "low", has_api=True)


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    server: Server
    child: Child
    ports: Ports
    folder: Path


def _free_ports() -> Iterator[int]:
    for port in range(_FIRST_PORT, _PORTS_END):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        yield port
    raise BenchError(f"no port from {_FIRST_PORT} to {_PORTS_END} is free")


_ports = _free_ports()  # one run never gives a port twice: old connections may linger on it


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, and that this run has not had."""
    return next(_ports)


def await_port(port: int, child: Child) -> None:
    """Wait until the server answers on `port`.

    Raises:
        BenchError: it ended, or nothing listens after 20 s.
    """
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if not child.running:
            raise BenchError(f"the server ended at its start: {child.last_words()}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise BenchError(f"nothing listens on port {port} after {_START_S:.0f} s: {child.last_words()}")


@contextmanager
def running(server: Server, folder: Path, core: int) -> Iterator[Running]:
    """Start `server` on `core` with its files in `folder`; it is ended on the way out.

    Raises:
        BenchError: it is not installed, or did not start.
    """
    shutil.rmtree(folder, ignore_errors=True)  # of a measurement that is made again
    folder.mkdir(parents=True)
    ports = Ports(rtmp=free_port(), http=free_port(), api=free_port())
    command = server.configure(folder, ports)
    with Child(command, core=core, log=folder / "server.log", cwd=folder) as child:
        for port in (ports.rtmp, ports.http):
            await_port(port, child)
        time.sleep(0.5)  # what a server still does after its first answer is not to be measured
        yield Running(server, child, ports, folder)
