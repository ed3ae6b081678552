"""The engine's relays in a process of their own, for `bench relay`: ready, begin at SIGINT, running.

python -m bench.relaying TASKS SOURCE TARGET
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

from penstock.app.relaying import RelayPlane
from penstock.app.timers import every
from penstock.config import Config, Network
from penstock.link.relaying import RelayOrder, RelayState, RelayTold, StartRelay
from penstock.model import SystemClock
from penstock.processes import GC_THRESHOLD

TICK_S = 0.25
STATS_S = 1.0


async def _run(tasks: int, source: str, target: str) -> None:
    config = Config(data_dir=Path(), network=Network(allow_private=("127.0.0.0/8",)))
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
    print(json.dumps({"event": "ready"}), flush=True)
    await begin.wait()
    for number in range(tasks):
        plane.relays.obey(StartRelay(RelayOrder(secrets.token_hex(16), f"{target}{number}", source)))
        await asyncio.sleep(0.1)
    await all_run.wait()
    print(json.dumps({"event": "running"}), flush=True)
    await asyncio.gather(*timers)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
