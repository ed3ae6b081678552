"""What runs out: descriptors, the log's room, and the wall clock's patience."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from penstock.link.messages import Ended
from penstock.model import Kind
from penstock.servers import door
from tests.clock import ManualClock
from tests.engine.kit import inter_body
from tests.security.conftest import Bystander
from tests.security.test_names import files
from tests.servers.client import RawPipe, Refused
from tests.servers.house import DEMO, House, OpenHouse, until

# Descriptors


@contextlib.contextmanager
def descriptors_left(number: int) -> Iterator[None]:
    """In here, so many more can be opened and no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    holes = [os.open("/dev/null", os.O_RDONLY)]
    while holes[-1] <= highest:
        holes.append(os.open("/dev/null", os.O_RDONLY))
    resource.setrlimit(resource.RLIMIT_NOFILE, (holes[-1] + 1 + number, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for hole in holes:
            os.close(hole)


async def test_without_descriptors_streams_play_on_and_newcomers_wait(
    house: House, bystander: Bystander, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Exhaustion of file descriptors: nobody on air notices, the door rests, and goes on when some are free."""
    monkeypatch.setattr(door, "ACCEPT_REST_S", 0.05)
    waiting = [RawPipe.prepare() for _ in range(3)]
    with descriptors_left(1):
        for pipe in waiting:
            await pipe.connect(house.rtmp.port)
        await until(lambda: "accepts nobody" in caplog.text)
        assert len(house.rtmp) == 2  # the bystander's, and the one that there was a descriptor for
        for _ in range(3):
            await bystander.plays_on()
    await until(lambda: len(house.rtmp) == 4)
    assert caplog.text.count("accepts nobody") < 100  # it rested between two tries
    for pipe in waiting:
        pipe.close()


# The log, and what is kept by name


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]


async def test_random_names_leave_short_lines_and_nothing_else(
    house: House, bystander: Bystander, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Cardinality bomb by names: publishes and plays under ever new ones, refused or ended."""
    await house.heard(type(house.told[0]))
    caplog.clear()
    rounds = 50
    for number in range(rounds):
        with pytest.raises(Refused):
            await house.publisher(f"{number}\x1b[31m" + "\U0001f600" * 5000)
        with pytest.raises(Refused):
            await house.publisher(app=f"app{number}" + "x" * 200)
        with pytest.raises(Refused):
            await house.rtmp_player(f"nosuch{number}" + "x" * 200)
        publisher = await house.publisher(f"random{number}")
        await publisher.leave()
        await house.heard(Ended)
    lines = messages(caplog)
    assert len(lines) <= rounds * 6
    assert max(map(len, lines)) < 1000
    assert all(line.isprintable() for line in lines)
    hub, control = house.engine.hub, house.control.live
    assert list(hub._places) == [DEMO]
    assert len(control.sessions) == 1
    assert house.engine.control._questions == {}
    assert [path.name for path in files(tmp_path)] == ["credentials.toml"]


async def test_closed_doors_leave_a_line_at_most(
    house: House, bystander: Bystander, caplog: pytest.LogCaptureFixture
) -> None:
    """Noise at the doors: a line for each connection at most, whatever it sent."""
    caplog.clear()
    for number in range(50):
        for port in (house.rtmp.port, house.http.port):
            pipe = await RawPipe.open(port)
            with contextlib.suppress(ConnectionError):
                await pipe.write(bytes((number + 4,)) * 20_000)
            await pipe.ended()
            pipe.close()
    lines = messages(caplog)
    assert len(lines) <= 100
    assert all(len(line) < 300 for line in lines)


# The wall clock


@pytest.mark.parametrize("days", [-1, 1])
async def test_a_wall_clock_that_jumps_by_a_day_moves_no_stream(open_house: OpenHouse, days: int) -> None:
    """A clock step in mid-stream: sessions, players, deadlines and leases go by the clock that does not jump."""
    clock = ManualClock()
    house = await open_house(clock=clock)
    publisher = await house.on_air()
    viewer = await house.flv_player()
    await viewer.tags(3)
    before = house.control.live.sessions.on_air()[0].lease
    clock.step_wall(timedelta(days=days))
    clock.advance(1)
    house.engine.hub.tick()
    house.rtmp.sweep()
    await publisher.send_media(Kind.VIDEO, 1000, inter_body())
    (tag,) = await viewer.tags(1)
    assert tag.dts_ms == 1000
    (status,) = house.engine.hub.stats()
    assert status.duration_ms == 1000
    await house.publisher("other")
    leases = [session.lease for session in house.control.live.sessions.on_air()]
    assert leases[0] == before
    assert leases[1].epoch > before.epoch
    assert await house.usage_bytes() > 0
