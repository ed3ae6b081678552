"""The engine's relays in a process of their own, for `bench relay`: ready, begin at SIGINT, running.

python -m bench.relaying TASKS SOURCE TARGET          # pulled by the engine
python -m bench.relaying TASKS SOURCE TARGET FOLDER   # brought by workers, a process each, through a door in the folder
"""

from __future__ import annotations

import asyncio
import gc
import json
import secrets
import signal
import sys
from pathlib import Path

import uvloop

from penstock.app.relaying import SOCKET_NAME, RelayPlane
from penstock.app.timers import every
from penstock.config import Config, Network
from penstock.link.relaying import Clip, RelayJob, RelayOrder, RelayState, RelayTold, StartRelay
from penstock.model import SystemClock
from penstock.processes import GC_THRESHOLD
from penstock.workers.supervisor import Workers

PRIVATE = ("127.0.0.0/8",)
TICK_S = 0.25
STATS_S = 1.0


async def _run(tasks: int, source: str, target: str, folder: Path | None) -> None:
    config = Config(data_dir=Path(), network=Network(allow_private=PRIVATE))
    plane = RelayPlane(config, SystemClock())
    running: set[str] = set()
    begin, all_run = asyncio.Event(), asyncio.Event()

    def tell(told: RelayTold) -> None:
        if told.state is RelayState.RUNNING:
            running.add(told.id)
        if len(running) == tasks:
            all_run.set()

    plane.relays.tell = tell
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, begin.set)
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    timers = [
        asyncio.create_task(every(TICK_S, plane.relays.tick)),
        asyncio.create_task(every(STATS_S, plane.relays.tell_numbers)),
    ]
    workers = Workers()
    if folder is not None:
        plane.listen(folder)
    print(json.dumps({"event": "ready"}), flush=True)
    await begin.wait()
    for number in range(tasks):
        relay = secrets.token_hex(16)
        plane.relays.obey(StartRelay(RelayOrder(relay, f"{target}{number}", source if folder is None else "")))
        if folder is not None:
            await workers.start(_job(relay, source, folder), lambda told: None, lambda why: None)
        await asyncio.sleep(0.1)
    await all_run.wait()
    print(json.dumps({"event": "running"}), flush=True)
    try:
        await asyncio.gather(*timers)
    finally:
        await workers.close()


def _job(relay: str, source: str, folder: Path) -> RelayJob:
    return RelayJob(relay, str(folder / SOCKET_NAME), (Clip(source),), live=True, allow_private=PRIVATE)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(int(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4]) if len(sys.argv) > 4 else None))
