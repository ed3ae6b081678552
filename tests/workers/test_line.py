"""The line of time, with an hour of loops in a moment: samples are made up, their times exact."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from itertools import pairwise

import pytest

from penstock.errors import MediaError
from penstock.link.relaying import Position
from penstock.workers.line import MAX_LEAP_S, Line, Placed, Timed, in_order, timed
from penstock.workers.media import Sample, Setup

PICTURE, SOUND = Setup("avc", b"p"), Setup("aac", b"s", 48000, 2)
AAC_S = Fraction(1024, 48000)


def picture(at: Fraction, frame: Fraction, delay: Fraction = Fraction(0)) -> Sample:
    return Sample(True, PICTURE, at - delay, at, frame, True, b"")


def sound(at: Fraction, rate: int = 48000) -> Sample:
    return Sample(False, SOUND, at, at, Fraction(1024, rate), True, b"")


def clip(seconds: Fraction, rate: Fraction, *, begins: Fraction = Fraction(0), hz: int = 48000) -> list[Sample]:
    """Pictures for `seconds`, and sound until it covers them."""
    frames = int(seconds * rate)
    sounds = -(-int(seconds * hz) // 1024)
    made = [picture(begins + n / rate, 1 / rate) for n in range(frames)]
    made += [sound(begins + Fraction(1024 * n, hz), hz) for n in range(sounds)]
    return sorted(made, key=lambda sample: (sample.dts, sample.is_video))


def at(number: int, _: Sample) -> Position:
    return Position(0, number)


def lay(clips: list[list[Sample]]) -> list[Timed]:
    line = Line()

    def placed() -> Iterator[Placed]:
        for number, samples in enumerate(clips):
            alone = len({sample.is_video for sample in samples}) == 1
            yield from line.lay(iter(samples), partial(at, number), is_alone=alone)

    return list(timed(in_order(placed())))


def steps(laid: list[Timed], *, is_video: bool) -> set[int]:
    times = [each.dts_ms for each in laid if each.sample.is_video is is_video]
    return {after - before for before, after in pairwise(times)}


@pytest.mark.parametrize(
    ("total_s", "seconds", "rate", "hz"),
    [
        (600, Fraction(7), Fraction(25), 48000),
        (3600, Fraction(1001 * 150, 15000), Fraction(15000, 1001), 22050),  # 10.01 s, and no whole ms
    ],
)
def test_after_an_hour_of_loops_sound_and_picture_are_where_they_were(
    total_s: int, seconds: Fraction, rate: Fraction, hz: int
) -> None:
    loops = int(total_s / seconds) + 1
    laid = lay([clip(seconds, rate, hz=hz)] * loops)
    assert laid[-1].dts_ms > total_s * 1000 - 1000
    frame_ms, sound_ms = 1000 / rate, Fraction(1024 * 1000, hz)
    assert all(abs(step - frame_ms) <= 1 for step in steps(laid, is_video=True))
    # A frame of sound, or at a joint half of one besides.
    assert all(sound_ms - 1 <= step <= sound_ms * 3 / 2 + 1 for step in steps(laid, is_video=False))
    # Each sound is within half of its frame of where the picture's own line has it, in the last loop as in the first.
    for each in laid:
        if not each.sample.is_video:
            at = each.position.clip * seconds + each.sample.pts
            assert abs(each.dts_ms - at * 1000) <= sound_ms / 2 + 1
    last = [each for each in laid if each.sample.is_video][-1]
    assert last.dts_ms == round((loops * seconds - 1 / rate) * 1000)


def test_files_begin_wherever_they_like() -> None:
    laid = lay(
        [clip(Fraction(2), Fraction(25), begins=begin) for begin in (Fraction(0), Fraction(95_443), Fraction(7, 5))]
    )
    assert steps(laid, is_video=True) == {40}
    assert laid[0].dts_ms == 0


def test_pictures_that_are_decoded_ahead_join_too() -> None:
    frame = Fraction(1, 25)
    pictures = [picture(n * frame, frame, delay=2 * frame) for n in range(50)]
    plain = clip(Fraction(2), Fraction(25))
    laid = lay([pictures, pictures, plain, pictures])
    # The third clip's are not decoded ahead; the fourth's would be before what was sent, and come right behind it.
    found = sorted(steps(laid, is_video=True))
    assert found[0] == 1
    assert found[-1] == 120
    shown = [each.pts_ms for each in laid if each.sample.is_video]
    assert {after - before for before, after in pairwise(shown)} == {40}
    assert all(each.pts_ms >= each.dts_ms for each in laid)


def test_sound_far_longer_than_the_picture_is_played_out() -> None:
    long = clip(Fraction(2), Fraction(25)) + [sound(AAC_S * n) for n in range(94, 188)]
    laid = lay([long, clip(Fraction(2), Fraction(25))])
    second = next(each.dts_ms for each in laid if each.sample.is_video and each.position.clip == 1)
    assert 3990 <= second <= 4015


def test_sound_alone_and_pictures_alone_take_turns() -> None:
    pictures = [picture(Fraction(n, 25), Fraction(1, 25)) for n in range(25)]
    sounds = [sound(AAC_S * n) for n in range(47)]
    laid = lay([pictures, sounds, pictures])
    assert [each.sample.is_video for each in laid] == [True] * 25 + [False] * 47 + [True] * 25
    assert laid[25].dts_ms == 1000
    assert [each.dts_ms for each in laid] == sorted(each.dts_ms for each in laid)


def test_tracks_that_lie_apart_are_put_into_order() -> None:
    samples = clip(Fraction(4), Fraction(25))
    # Half a second of pictures first, then the sound to it.
    apart = sorted(samples, key=lambda sample: (sample.dts // Fraction(1, 2), not sample.is_video, sample.dts))
    laid = lay([apart])
    times = [each.dts_ms for each in laid]
    assert times == sorted(times)
    assert steps(laid, is_video=True) == {40}


def test_leap_of_time_is_no_wait_but_an_error() -> None:
    samples = [picture(Fraction(0), Fraction(1, 25)), picture(Fraction(MAX_LEAP_S + 1), Fraction(1, 25))]
    with pytest.raises(MediaError, match=r"leaps by 61\.0 s"):
        lay([samples])
    with pytest.raises(MediaError, match="goes back"):
        lay([[picture(Fraction(20), Fraction(1, 25)), picture(Fraction(1), Fraction(1, 25))]])
