"""From a file on a web server to a player: worker, relay door, the engine's relay, RTMP, a whole server."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

from penstock.app.relaying import SOCKET_NAME, RelayPlane
from penstock.config import Config, Network
from penstock.link.relaying import RelayOrder, RelayState, RelayTold, StartRelay, WorkerTold
from penstock.model import Kind, SystemClock
from penstock.protocols.flvbody import video_body
from penstock.workers.supervisor import Workers
from tests.servers.house import DEMO, House, until
from tests.workers.kit import LOOPBACK, RELAY, Sample, job, sample_bytes, serving


async def test_file_reaches_a_player_by_way_of_worker_engine_and_rtmp(tmp_path: Path) -> None:
    (tmp_path / "house").mkdir()
    house = await House.open(tmp_path / "house")
    (tmp_path / "data").mkdir()
    config = Config(data_dir=tmp_path / "data", network=Network(allow_private=LOOPBACK))
    plane, workers = RelayPlane(config, SystemClock()), Workers()
    plane.listen(config.data_dir)
    told: list[RelayTold] = []
    plane.relays.tell = told.append
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    places: list[WorkerTold] = []
    try:
        with serving() as web:
            url = web.add("a.mp4", sample_bytes(Sample(b_frames=2), tmp_path))
            target = f"rtmp://127.0.0.1:{house.rtmp.port}/live/{DEMO.stream}?vhost={DEMO.vhost}"
            plane.relays.obey(StartRelay(RelayOrder(RELAY, target)))
            made = job(url, door=str(config.data_dir / SOCKET_NAME), loops=2)
            await workers.start(made, places.append, ended.set_result)
            async with asyncio.timeout(20):
                while not list(house.engine.hub.on_air()):  # noqa: ASYNC110  no event tells
                    await asyncio.sleep(0)
            player = await house.rtmp_player()
            pictures: list[int] = []
            async with asyncio.timeout(20):
                while len(pictures) < 120:
                    for message in await player.media(1):
                        body = video_body(message.payload) if message.type_id == Kind.VIDEO else None
                        if body is not None and body.is_frame:
                            pictures.append(message.timestamp)
            # Over the joint of two loops, at five seconds of six.
            assert {after - before for before, after in pairwise(pictures)} == {40}
            assert await asyncio.wait_for(ended, 20) == ""
            plane.relays.tell_numbers()
            await until(lambda: bool(told))
            assert told[-1].failures == 0
            assert told[-1].bytes_out > 1000
            assert RelayState.RUNNING in {each.state for each in told}
    finally:
        await workers.close()
        plane.close()
        await house.close()
    assert places[-1].is_finished
