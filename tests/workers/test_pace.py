"""Frames at the speed of a clock that is turned by hand, and the buffer ahead of them."""

from __future__ import annotations

import threading

import pytest

from penstock.errors import MediaError
from penstock.link.relaying import Position
from penstock.model import Kind
from penstock.workers.frames import Frame
from penstock.workers.pace import AHEAD_S, MAX_LATE_S, Buffer, Pace
from tests.clock import ManualClock


def frame(dts_ms: int, size: int = 10) -> Frame:
    return Frame(Kind.VIDEO, dts_ms, True, False, bytes(size), Position())


def test_first_second_goes_at_once_and_the_rest_when_it_is_due() -> None:
    clock = ManualClock()
    pace = Pace(clock)
    assert [pace.wait_s(ms) <= 0 for ms in (0, 500, 1000, 1040)] == [True, True, True, False]
    clock.advance(0.04)
    assert pace.wait_s(1040) == pytest.approx(0)


def test_an_hour_does_not_drift() -> None:
    clock = ManualClock()
    pace = Pace(clock)
    pace.wait_s(0)
    began = clock.monotonic()
    for number in range(1, 3600 * 25):
        wait_s = pace.wait_s(number * 40)
        clock.spend(max(0.0, wait_s) + 0.0005)  # each sleep is too long
    assert clock.monotonic() - began == pytest.approx(3600 - AHEAD_S, abs=0.1)


def test_what_is_late_is_caught_up_with_and_what_is_far_too_late_is_not() -> None:
    clock = ManualClock()
    pace = Pace(clock)
    pace.wait_s(0)
    clock.advance(MAX_LATE_S - 0.1)
    assert pace.wait_s(40) < 0
    assert pace.wait_s(4000) < 0
    clock.advance(100)
    # From here on the clock has moved: a burst of a hundred seconds helps nobody.
    assert pace.wait_s(4040) <= 0
    assert pace.wait_s(4040 + 1500) == pytest.approx(0.5)


def put_all(buffer: Buffer, frames: list[Frame], through: threading.Event) -> None:
    for each in frames:
        buffer.put(each)
    through.set()


def putting(buffer: Buffer, frames: list[Frame]) -> threading.Event:
    """Put frames in another thread; the event is set when the last one is in."""
    through = threading.Event()
    threading.Thread(target=put_all, args=(buffer, frames, through), daemon=True).start()
    return through


def test_buffer_waits_when_it_holds_enough_time() -> None:
    buffer = Buffer(most_ms=100, most_bytes=1000)
    through = putting(buffer, [frame(ms) for ms in range(0, 400, 40)])
    got = [buffer.get(5) for _ in range(10)]
    assert through.wait(5)
    assert [each.dts_ms for each in got if each] == list(range(0, 400, 40))


def test_buffer_waits_when_it_holds_enough_bytes() -> None:
    buffer = Buffer(most_ms=100, most_bytes=1000)
    through = putting(buffer, [frame(ms, 600) for ms in range(3)])
    assert not through.wait(0.05)
    assert buffer.get(5)
    assert through.wait(5)


def test_end_comes_behind_the_last_frame() -> None:
    buffer = Buffer()
    buffer.put(frame(0))
    buffer.end(MediaError("broken"))
    assert buffer.get(1)
    with pytest.raises(MediaError, match="broken"):
        buffer.get(1)
    done = Buffer()
    assert done.get(0) is None
    done.end()
    with pytest.raises(EOFError):
        done.get(1)
