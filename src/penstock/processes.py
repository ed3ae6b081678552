"""What a child process of the supervisor does: engine or control, from its first line to its end.

A child gets one line of JSON on its standard input, says ``ready`` on its standard output, and ends
when it is told to, or when its standard input ends: then its parent is gone, however that went.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from penstock.config import Config, load
from penstock.errors import ConfigError
from penstock.logs import LogFormat, set_up_logging
from penstock.storage.errors import StorageError

log = logging.getLogger("penstock.processes")

# Packets come and go by reference counts alone, and nothing in them can form a circle; the collector's
# default threshold would walk all of them several times a second.
GC_THRESHOLD: Final = 100_000

# Tells a child that the server is ending: the engine lets its streams end, and then ends by itself.
DRAIN: Final = signal.SIGUSR1

# A control process that answered before its engine told it what is on air would say that nothing is. Without an
# engine it answers all the same after so long: bans and histories need none.
ENGINE_FIRST_S: Final = 1.0

# Where both want the same core, media goes first: a third of the engine's share is left for control, so that calls
# wait and frames do not.
CONTROL_NICE: Final = 5

# How a child begins the line that tells why it cannot be started, and its exit code then.
REFUSED: Final = "refused: "
EXIT_REFUSED: Final = 2


class Boot(Struct, frozen=True):
    """All that a child is given. Listeners are descriptors that it inherited."""

    config: Config
    listeners: dict[str, int]
    link_path: str
    link_fd: int | None = None
    log_level: str = "INFO"
    config_file: str | None = None  # where the settings came from, for a reload
    dev: bool = False
    log_format: LogFormat = "human"

    def encode(self) -> bytes:
        return msgspec.json.encode(self, enc_hook=str) + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Boot:
        return msgspec.json.decode(line, type=cls, dec_hook=_decode_path)


def _decode_path(kind: type, value: object) -> Any:
    assert issubclass(kind, Path), kind
    return kind(str(value))


@contextlib.asynccontextmanager
async def _engine(boot: Boot, stop: asyncio.Event) -> AsyncIterator[None]:
    from penstock.app.engine import Engine, Listeners  # noqa: PLC0415  each process loads what it runs

    assert boot.link_fd is not None
    listeners = Listeners(**{name: socket.socket(fileno=fd) for name, fd in boot.listeners.items()})
    engine = Engine(boot.config, listeners)
    await engine.listen_for_control(socket.socket(fileno=boot.link_fd))
    engine.relaying.listen(boot.config.data_dir)

    async def drain() -> None:
        await engine.drain(boot.config.media.drain_s)
        stop.set()

    draining: list[asyncio.Task[None]] = []
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(DRAIN, lambda: draining.append(loop.create_task(drain())) if not draining else None)
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    yield
    for task in draining:
        task.cancel()
    await engine.close()


@contextlib.asynccontextmanager
async def _control(boot: Boot, stop: asyncio.Event) -> AsyncIterator[None]:
    from penstock.app.control import Control  # noqa: PLC0415  each process loads what it runs
    from penstock.workers.supervisor import Workers  # noqa: PLC0415

    listeners = {name: socket.socket(fileno=fd) for name, fd in boot.listeners.items()}
    file = Path(boot.config_file) if boot.config_file is not None else None
    config = _latest(boot, file)
    workers = Workers(
        memory_mib=config.relay.worker_memory_mib,
        ca_file=config.network.ca_file,
        log_level=boot.log_level,
        log_format=boot.log_format,
    )
    control = await Control.open(config, file=file, dev=boot.dev, relay_workers=workers)
    try:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, control.reload_soon)
        loop.add_signal_handler(DRAIN, control.drain)
        following = asyncio.create_task(control.follow(Path(boot.link_path)))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ENGINE_FIRST_S):
                await control.engine.connected.wait()
        control.start(listeners)
        await control.engine.connected.wait()
        yield
        following.cancel()
    finally:
        await control.close()


def _latest(boot: Boot, file: Path | None) -> Config:
    """The settings as the file has them now: it may have been reloaded since the server started."""
    from penstock.app.reloading import reloaded  # noqa: PLC0415  loaded by now

    try:
        return reloaded(boot.config, load(file, os.environ))
    except ConfigError as error:
        log.error("%s; going on with the settings of the start", error)
        return boot.config


ROLES: Final = {"engine": _engine, "control": _control}


async def _run(role: str, boot: Boot) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    # Nothing more is ever written to it: readable means that it ended.
    loop.add_reader(sys.stdin.fileno(), stop.set)
    started = asyncio.create_task(_serve(role, boot, stop))
    # A control process that waits for its engine must end all the same when it is told to.
    await asyncio.wait([started, asyncio.create_task(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
    if not started.done():
        done, _ = await asyncio.wait([started], timeout=3)
        if not done:
            started.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await started


async def _serve(role: str, boot: Boot, stop: asyncio.Event) -> None:
    async with ROLES[role](boot, stop):
        with contextlib.suppress(BrokenPipeError):
            os.write(sys.stdout.fileno(), b"ready\n")
        await stop.wait()


def main() -> None:
    role = sys.argv[1]
    # Ctrl-C goes to the whole group of a terminal; ending in order is the supervisor's business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    boot = Boot.decode(sys.stdin.buffer.readline())
    set_up_logging(boot.log_level, boot.log_format, role)
    if role == "control":
        os.nice(CONTROL_NICE)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_run(role, boot))
    except (ConfigError, StorageError) as error:
        # For the supervisor: at a start it is the reason why there is no server.
        print(f"{REFUSED}{error}", flush=True)
        raise SystemExit(EXIT_REFUSED) from None


def _loop_factory() -> Any:
    try:
        import uvloop  # noqa: PLC0415  not there on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    main()
