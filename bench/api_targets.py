"""The servers that `bench api` asks: ours as it is configured by default, and a bare Starlette echo.

Both run uvicorn's protocol on httptools and uvloop, without access logs. Ours is the whole server: supervisor, engine
and control share the core, and all of their CPU counts.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from pathlib import Path

from bench.servers import WITH_API, Ports


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
        return WITH_API.configure(folder, Ports(rtmp=0, http=0, api=port))


class Starlette(ApiTarget):
    """`bench/echo.py` by uvicorn's own command."""

    name = "starlette"
    expect = "Action=CheckBlacklist"

    def configure(self, folder: Path, port: int) -> list[str]:
        words = ["--host", "127.0.0.1", "--port", str(port), "--loop", "uvloop", "--http", "httptools", "--ws", "none"]
        words += ["--lifespan", "off", "--no-access-log", "--no-server-header", "--no-proxy-headers"]
        return [sys.executable, "-m", "uvicorn", *words, "--timeout-keep-alive", "75", "bench.echo:app"]


TARGETS: tuple[ApiTarget, ...] = (Penstock(), Starlette())
