"""Clocks that leap, come round, or begin anew: as units made up, and in transport streams on a web server."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from penstock.link.relaying import Clip, Overlay
from penstock.model import Kind
from penstock.workers.media import Unit
from penstock.workers.steady import MAX_AHEAD_S, ROUND_S, Steady
from tests.workers.kit import Web, job, pictures_of, play
from tests.workers.test_program import picture_at

MakeSample = Callable[..., bytes]
BASE = Fraction(1, 90_000)
FRAME_S, SOUND_S = Fraction(1, 25), Fraction(1024, 48_000)


def unit(at: Fraction, *, is_video: bool) -> Unit:
    packet = av.Packet(4)
    packet.time_base = BASE
    packet.dts = packet.pts = round(at / BASE)
    return Unit(packet, is_video, at, at, FRAME_S if is_video else SOUND_S, True)


def second(begins: Fraction | int, *, sound_s: Fraction | int = 0) -> list[Unit]:
    """A second of pictures and sound; the sound is `sound_s` behind."""
    units = [unit(begins + n * FRAME_S, is_video=True) for n in range(25)]
    units += [unit(begins + n * SOUND_S + sound_s, is_video=False) for n in range(47)]
    return sorted(units, key=lambda each: each.dts)


def through(units: Iterable[Unit]) -> dict[bool, list[Fraction]]:
    """The times of each track, made steady; the packets' own say the same."""
    steady = Steady()
    found: dict[bool, list[Fraction]] = {True: [], False: []}
    for each in units:
        if (moved := steady.take(each)) is not None:
            assert moved.packet.dts == round(moved.dts / BASE)
            found[each.is_video].append(moved.dts)
    return found


def steps(times: list[Fraction]) -> set[Fraction]:
    return {after - before for before, after in pairwise(times)}


@pytest.mark.parametrize("to", [1 + MAX_AHEAD_S + 1, 50_000, -80, -90_000])
@pytest.mark.parametrize("late", [Fraction(0), Fraction(1, 2), Fraction(-1, 2)])
def test_picture_behind_a_leap_comes_one_frame_later(to: int, late: Fraction) -> None:
    """Whichever track leaps first."""
    found = through([*second(0, sound_s=late), *second(to, sound_s=late), *second(0, sound_s=late)])
    assert steps(found[True]) == {FRAME_S}
    assert len(found[True]) == 75
    # Sound is to the picture as the source had it: in the last second as in the first.
    assert abs(found[False][-1] - (found[True][50] + 46 * SOUND_S + late)) <= Fraction(1, 1000)
    assert all(0 < step <= SOUND_S + Fraction(1, 25) for step in steps(found[False]))


def test_leap_is_what_is_over_a_minute_ahead() -> None:
    limit = [unit(Fraction(at), is_video=True) for at in (0, MAX_AHEAD_S)]
    assert through(limit)[True] == [0, MAX_AHEAD_S]
    beyond = [unit(Fraction(at), is_video=True) for at in (0, MAX_AHEAD_S + FRAME_S)]
    assert through(beyond)[True] == [0, FRAME_S]


def test_clock_that_comes_round_keeps_its_own_distances() -> None:
    pause = Fraction(1, 10)  # between the last frame of a round and the next one's first
    found = through([*second(ROUND_S - 1), *second(pause)])
    assert steps(found[True]) == {FRAME_S, FRAME_S + pause}
    assert found[True][25] == ROUND_S + pause
    assert found[False][47] == ROUND_S + pause


def test_sound_that_is_silent_for_long_has_not_leapt() -> None:
    pictures = [unit(n * FRAME_S, is_video=True) for n in range(25 * 130)]
    sounds = [unit(Fraction(at), is_video=False) for at in (0, 129)]
    found = through(sorted([*pictures, *sounds], key=lambda each: each.dts))
    assert found[False] == [0, 129]


def test_sound_that_leaps_alone_goes_on_with_the_pictures() -> None:
    pictures = [unit(n * FRAME_S, is_video=True) for n in range(50)]
    sounds = [unit(n * SOUND_S, is_video=False) for n in range(47)]
    far = [unit(1000 + n * SOUND_S, is_video=False) for n in range(47, 94)]
    together = zip(pictures, [*sounds, *far], strict=False)
    found = through(each for pair in together for each in pair)
    assert steps(found[True]) == {FRAME_S}
    assert all(abs(step - SOUND_S) <= Fraction(1, 1000) for step in steps(found[False]))


def test_tracks_that_begin_on_two_clocks_are_put_together() -> None:
    found = through([unit(Fraction(50_000), is_video=True), unit(Fraction(3), is_video=False)])
    assert found[True] == found[False]


def transport_stream(data: bytes, folder: Path, begins_s: float) -> bytes:
    """A file as MPEG-TS whose clock begins at a time."""
    source = folder / "from"
    source.write_bytes(data)
    words = f"-c copy -muxdelay 0 -mpegts_flags initial_discontinuity -output_ts_offset {begins_s} -f mpegts -"
    command = ["ffmpeg", "-nostdin", "-v", "error", "-i", str(source), *words.split()]
    return subprocess.run(command, check=True, timeout=60, capture_output=True).stdout


@pytest.mark.parametrize("b_frames", [0, 2])
def test_transport_stream_that_leaps_is_played_on(web: Web, sample: MakeSample, tmp_path: Path, b_frames: int) -> None:
    data = sample(b_frames=b_frames)
    # From the middle of the day to the clock's last second, round to 0.5 s, and back to the beginning.
    begins = [40_000.0, float(ROUND_S) - 2.5, 100.0, 10.0]
    url = web.add("a.ts", b"".join(transport_stream(data, tmp_path, at) for at in begins))
    made = play(job(url, loops=2), tmp_path)
    assert made.steps(Kind.VIDEO) == {40}
    assert made.pictures() == 8 * pictures_of(tmp_path / "from")
    assert max(made.steps(Kind.AUDIO)) < 22 + 40
    # Offsets count over leaps as if there were none.
    part = play(job(Clip(url, 2.0, 7.0)), tmp_path)
    assert len(part.times(Kind.VIDEO)) == 125
    assert part.steps(Kind.VIDEO) == {40}


def test_painted_pictures_go_on_too(web: Web, sample: MakeSample, tmp_path: Path) -> None:
    data = sample()
    url = web.add("a.ts", b"".join(transport_stream(data, tmp_path, at) for at in (40_000.0, 10.0, 70_000.0)))
    made = play(job(url, overlay=Overlay(picture_at("red.png", tmp_path, "red"), 0.5, 0.5, 0.25)), tmp_path)
    assert len(made.pictures()) == 225
    assert made.steps(Kind.VIDEO) == {40}


@pytest.mark.parametrize("before_s", [1.5, 70.0, 3.0])
def test_clock_of_33_bits_comes_round(web: Web, sample: MakeSample, tmp_path: Path, before_s: float) -> None:
    url = web.add("a.ts", transport_stream(sample(), tmp_path, float(ROUND_S) - before_s))
    made = play(job(url, loops=2), tmp_path)
    assert made.steps(Kind.VIDEO) == {40}
    assert made.steps(Kind.AUDIO) == {21, 22}
    assert len(made.times(Kind.VIDEO)) == 150
