"""The servers that `bench api` asks: ours as it is configured by default, and a bare Starlette echo.

Both run uvicorn's protocol on httptools and uvloop, without access logs. Ours is the whole server: supervisor, engine
and control share the core, and all of their CPU counts.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from pathlib import Path

from bench.servers import APP, CREDENTIALS, PUSH_DOMAIN

ACCOUNT = "2000000001"
VHOST = "demo"


class ApiTarget(ABC):
    """One kind of server; `configure` writes its files and returns the command that runs it."""

    name: str
    expect: str  # in the body of each of its answers

    @abstractmethod
    def configure(self, folder: Path, port: int) -> list[str]: ...


class Penstock(ApiTarget):
    name = "penstock"
    expect = '"RetCode":0'

    def configure(self, folder: Path, port: int) -> list[str]:
        config = folder / "penstock.toml"
        config.write_text(f"""\
data_dir = "data"
[api]
listen = "127.0.0.1:{port}"
tls_listen = ""
rate_limits = false
[media]
rtmp_listen = "127.0.0.1:0"
http_listen = ""
https_listen = ""
[[account]]
id = "{ACCOUNT}"
[[account.key]]
access_key = "{CREDENTIALS.access_key}"
secret_key = "{CREDENTIALS.secret_key}"
[[account.vhost]]
name = "{VHOST}"
apps = ["{APP}"]
push_domains = ["{PUSH_DOMAIN}"]
""")
        return [sys.executable, "-m", "penstock", "serve", "--config", str(config)]


class Starlette(ApiTarget):
    """`bench/echo.py` by uvicorn's own command."""

    name = "starlette"
    expect = "Action=CheckBlacklist"

    def configure(self, folder: Path, port: int) -> list[str]:
        words = ["--host", "127.0.0.1", "--port", str(port), "--loop", "uvloop", "--http", "httptools", "--ws", "none"]
        words += ["--lifespan", "off", "--no-access-log", "--no-server-header", "--no-proxy-headers"]
        return [sys.executable, "-m", "uvicorn", *words, "--timeout-keep-alive", "75", "bench.echo:app"]


TARGETS: tuple[ApiTarget, ...] = (Penstock(), Starlette())
