"""Segments in parts: how long they are, what they hold, and what a playlist has."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from penstock.engine.parts import PartSegmenter, Reload
from penstock.engine.segments import Segmenter, SegmentPolicy
from penstock.model import MediaPacket
from tests.clock import START, ManualClock
from tests.engine.kit import AVC_RECORD, audio, audio_header, inter, key, video_header
from tests.engine.test_segments import FIRST, OTHER_RECORD, SETUP, frames, mixed, pictures, sounds
from tests.protocols.boxes import read, read_fragments, read_segment

PART_S = 0.3
POLICY = SegmentPolicy(part_s=PART_S)


class Told(Struct):
    """A segment as the playlist tells it; without a length it is under way."""

    number: int
    parts: list[tuple[float, bool]]
    duration_s: float | None = None
    is_broken: bool = False
    init: int = 0


def told(segmenter: Segmenter) -> list[Told]:
    """What the playlist says, read line by line; a name out of its order is an error."""
    found: list[Told] = []
    parts: list[tuple[float, bool]] = []
    number, init, is_broken, duration_s = -1, 0, False, 0.0
    for line in segmenter.playlist.decode().splitlines():
        if match := re.fullmatch(r'#EXT-X-PART:DURATION=([\d.]+),URI="(\d+)\.(\d+)\.m4s"(,INDEPENDENT=YES)?', line):
            assert int(match[3]) == len(parts)
            number = int(match[2])
            parts.append((float(match[1]), bool(match[4])))
        elif match := re.fullmatch(r"(\d+)\.m4s", line):
            assert not parts or int(match[1]) == number
            found.append(Told(int(match[1]), parts, duration_s, is_broken, init))
            parts, is_broken = [], False
        elif match := re.fullmatch(r'#EXT-X-MAP:URI="init-(\d+).mp4"', line):
            assert not parts
            init = int(match[1])
        elif match := re.fullmatch(r"#EXTINF:([\d.]+),", line):
            duration_s = float(match[1])
        elif line == "#EXT-X-DISCONTINUITY":
            assert not parts
            is_broken = True
    if parts:
        found.append(Told(number, parts, None, is_broken, init))
    return found


def hint(segmenter: Segmenter) -> str:
    (found,) = re.findall(r'^#EXT-X-PRELOAD-HINT:TYPE=PART,URI="(.*)"$', segmenter.playlist.decode(), re.MULTILINE)
    return str(found)


def fed(*packets: MediaPacket, policy: SegmentPolicy = POLICY) -> PartSegmenter:
    segmenter = PartSegmenter(policy, ManualClock())
    for one in packets:
        segmenter.take([one])
    return segmenter


def mixture(seconds: float, *, fps: int = 25, gop_s: float = 2.0) -> list[MediaPacket]:
    return mixed(pictures(seconds, gop_s=gop_s, fps=fps), sounds(seconds))


def part(segmenter: PartSegmenter, number: int, index: int) -> bytes:
    found = segmenter.part(number, index)
    assert found is not None
    return bytes(found)


# Where a part ends


@pytest.mark.parametrize("fps", [10, 15, 20, 24, 25, 30, 50, 60])
@pytest.mark.parametrize("part_s", [0.3, 0.5, 1.0])
def test_parts_are_as_long_as_the_draft_wants_them(fps: int, part_s: float) -> None:
    segmenter = fed(*SETUP, *mixture(11, fps=fps), policy=SegmentPolicy(part_s=part_s))
    seen = 0
    for segment in told(segmenter):
        for at, (length, is_independent) in enumerate(segment.parts):
            assert length <= part_s
            is_last = segment.duration_s is not None and at == len(segment.parts) - 1
            assert length >= 0.85 * part_s or is_independent or is_last
            seen += 1
    assert seen > 8 / part_s * 0.5


def test_parts_of_sound_alone_too() -> None:
    segmenter = fed(audio_header(), *sounds(11))
    for segment in told(segmenter):
        for at, (length, is_independent) in enumerate(segment.parts):
            assert is_independent
            is_last = segment.duration_s is not None and at == len(segment.parts) - 1
            assert is_last or 0.85 * PART_S <= length <= PART_S


def test_the_parts_of_a_segment_are_as_long_as_it_is_and_hold_its_very_bytes() -> None:
    segmenter = fed(*SETUP, *mixture(9))
    whole = [segment for segment in told(segmenter) if segment.duration_s and segment.parts]
    assert len(whole) == 2
    for segment in whole:
        assert segment.duration_s == pytest.approx(sum(length for length, _ in segment.parts), abs=0.002)
        data = segmenter.segment(segment.number)
        assert data == b"".join(part(segmenter, segment.number, index) for index in range(len(segment.parts)))
        assert segmenter.part(segment.number, len(segment.parts)) is None
        assert len(read_fragments(data)) == len(segment.parts)


def test_each_frame_is_in_one_part_in_its_order_and_at_its_time() -> None:
    packets = mixture(9)
    in_parts, ordinary = fed(*SETUP, *packets), Segmenter(SegmentPolicy(), ManualClock())
    ordinary.take([*SETUP, *packets])
    for number in range(FIRST, FIRST + 4):
        data, other = in_parts.segment(number), ordinary.segment(number)
        assert data is not None
        assert other is not None
        fragments = read_fragments(data)
        for at, run in enumerate(read_segment(other)):
            runs = [runs[at] for runs in fragments]
            assert [sample for run in runs for sample in run.samples] == run.samples
            clock = run.decode_time
            for piece in runs:
                assert piece.decode_time == clock
                clock += sum(sample.duration for sample in piece.samples)


def test_a_part_is_independent_where_it_begins_with_a_key_frame() -> None:
    segmenter = fed(*SETUP, *mixture(9))
    for segment in told(segmenter):
        for index, (_, is_independent) in enumerate(segment.parts):
            first = read_segment(part(segmenter, segment.number, index))[0].samples[0]
            assert is_independent == (first.flags == 0x02000000) == (index == 0)


def test_fragments_are_numbered_one_after_the_other() -> None:
    segmenter = fed(*SETUP, *mixture(5))
    numbers = []
    for segment in (FIRST, FIRST + 1):
        moofs = [box for box in read(segmenter.segment(segment) or b"").boxes if box.kind == "moof"]
        numbers += [moof.one("mfhd").numbers("I", 4)[0] for moof in moofs]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_a_segment_ends_where_it_would_without_parts() -> None:
    for gop_s in (1, 2, 8):
        packets = mixture(21, gop_s=gop_s)
        ordinary = Segmenter(SegmentPolicy(), ManualClock())
        ordinary.take([*SETUP, *packets])
        lengths = [float(length) for length in re.findall(r"#EXTINF:([\d.]+)", ordinary.playlist.decode())]
        found = [segment.duration_s for segment in told(fed(*SETUP, *packets)) if segment.duration_s]
        assert found == pytest.approx(lengths, abs=0.05)


# What breaks the line


def test_another_setup_begins_another_segment() -> None:
    other = [video_header(3000, OTHER_RECORD), *pictures(3, from_s=3, gop_s=2)]
    segmenter = fed(*SETUP, *mixed(pictures(3, gop_s=2), sounds(3)), *other)
    found = told(segmenter)
    (broken,) = (segment for segment in found if segment.is_broken)
    assert broken.init == broken.number
    assert AVC_RECORD in (segmenter.init(FIRST) or b"")
    assert OTHER_RECORD in (segmenter.init(broken.init) or b"")


def test_a_track_that_comes_later_begins_another_segment() -> None:
    late = mixed(pictures(1, gop_s=2), [audio_header(1000)], pictures(4, from_s=1, gop_s=2), sounds(4, from_s=1))
    segmenter = fed(video_header(), *late)
    found = told(segmenter)
    assert [segment.is_broken for segment in found][:2] == [False, True]
    assert found[0].duration_s == pytest.approx(0.84, abs=0.1)
    for segment in found:
        init = segmenter.init(segment.init)
        assert init is not None
        tracks = len(read(init).one("moov").all("trak"))
        runs = [
            run.track_id
            for runs in read_fragments(segmenter.segment(segment.number) or part(segmenter, segment.number, 0))
            for run in runs
        ]
        assert max(runs) == tracks


def test_a_publishers_return_is_told_with_its_first_part() -> None:
    segmenter = fed(*SETUP, *mixture(3))
    segmenter.pause()
    before = told(segmenter)
    assert all(segment.duration_s for segment in before)
    assert hint(segmenter) == f"{before[-1].number + 1}.0.m4s"
    for one in (video_header(20_000), audio_header(20_000), *mixed(pictures(1, from_s=20), sounds(1, from_s=20))):
        segmenter.take([one])
    last = told(segmenter)[-1]
    assert (last.number, last.duration_s, last.is_broken) == (before[-1].number + 1, None, True)
    assert last.init == before[-1].init


def test_the_end_is_told_without_a_hint() -> None:
    segmenter = fed(*SETUP, *mixture(3))
    segmenter.end()
    text = segmenter.playlist.decode()
    assert text.endswith("#EXT-X-ENDLIST\n")
    assert "PRELOAD-HINT" not in text
    assert all(segment.duration_s for segment in told(segmenter))


# What is told, and kept


def test_parts_of_the_latest_segments_alone_are_told_and_can_be_had_for_longer() -> None:
    segmenter = fed(*SETUP, *mixture(41), policy=SegmentPolicy(part_s=PART_S, listed=3))
    found = told(segmenter)
    assert [bool(segment.parts) for segment in found] == [False, True, True, True]
    under_way = found[-1].number
    # Twelve seconds, which is three target durations, after they left the playlist.
    assert segmenter.part(under_way - 8, 0) is not None
    assert segmenter.part(under_way - 9, 0) is None


def test_the_part_that_comes_next_is_hinted_and_then_there() -> None:
    segmenter = fed(*SETUP)
    hinted = ""
    for one in mixture(6):
        segmenter.take([one])
        if not segmenter.is_ready:
            continue
        name = hint(segmenter)
        if hinted and name != hinted:
            number, index, _ = hinted.split(".")
            assert segmenter.part(int(number), int(index)) is not None
            assert not segmenter.is_hinted(int(number), int(index))
        hinted = name
        number, index, _ = name.split(".")
        assert segmenter.is_hinted(int(number), int(index))
        assert segmenter.part(int(number), int(index)) is None


def test_a_number_that_was_told_with_a_part_is_not_given_again() -> None:
    segmenter = fed(*SETUP, *mixture(3))
    assert segmenter.number_after == told(segmenter)[-1].number + 1
    segmenter.pause()
    assert segmenter.number_after == told(segmenter)[-1].number + 1


def test_news_is_told_once_for_each_part() -> None:
    segmenter = fed(*SETUP)
    heard: list[int] = []
    segmenter.on_news = lambda one: heard.append(one.number_after)
    for one in mixture(4.5):
        segmenter.take([one])
    # Eight parts a segment of two seconds, of which the last is one picture, and one of that under way.
    assert len(heard) == 17
    segmenter.pause()
    assert len(heard) == 18
    segmenter.end()
    assert len(heard) == 19


# What a playlist has


@pytest.mark.parametrize(
    ("number", "index", "has"),
    [
        (-5, None, True),
        (-1, None, True),
        (0, None, False),
        (1, None, False),
        (-1, 0, True),
        (-1, 7, True),
        # Behind the last part of a whole segment comes the next one's first.
        (-1, 8, True),
        (-1, 99, True),
        (0, 0, True),
        (0, 1, True),
        (0, 2, False),
        (1, 0, False),
    ],
)
def test_a_playlist_has_what_it_tells(number: int, index: int | None, has: bool) -> None:
    segmenter = fed(*SETUP, *mixture(4.64))
    under_way = told(segmenter)[-1]
    assert len(under_way.parts) == 2
    assert segmenter.has(Reload(under_way.number + number, index)) is has


def test_behind_a_last_part_comes_the_next_segments_first() -> None:
    segmenter = fed(*SETUP, *mixture(4.04))
    whole = told(segmenter)[-1]
    assert whole.duration_s
    assert segmenter.has(Reload(whole.number, len(whole.parts) - 1))
    assert not segmenter.has(Reload(whole.number, len(whole.parts)))
    segmenter.end()
    assert segmenter.has(Reload(whole.number + 5, 0))


@pytest.mark.parametrize(
    ("number", "index", "is_beyond"),
    [
        (-3, None, False),
        (-3, 99, False),
        (0, None, False),
        # The last whole segment's number plus two is the one behind that under way.
        (1, None, False),
        (2, None, True),
        (1, 0, False),
        (2, 0, True),
        # The advance part limit is 3 s in parts: ten.
        (0, 11, False),
        (0, 12, True),
        (1, 10, False),
        (1, 11, True),
    ],
)
def test_what_no_player_can_know_of_is_beyond(number: int, index: int | None, is_beyond: bool) -> None:
    segmenter = fed(*SETUP, *mixture(4.64))
    under_way = told(segmenter)[-1]
    assert len(under_way.parts) == 2
    assert segmenter.is_beyond(Reload(under_way.number + number, index)) is is_beyond
    segmenter.end()
    assert not segmenter.is_beyond(Reload(under_way.number + number, index))


# Any stream at all


@settings(max_examples=200, deadline=None)
@given(st.lists(frames, max_size=60))
def test_whatever_comes_the_playlist_keeps_its_promises(steps: list[tuple[str, int]]) -> None:
    segmenter = PartSegmenter(SegmentPolicy(part_s=PART_S, listed=5), ManualClock())
    at, headers = 0, 0
    before = -1
    for what, step in steps:
        at = max(0, at + step)
        match what:
            case "key":
                segmenter.take([key(at)])
            case "inter":
                segmenter.take([inter(at)])
            case "audio":
                segmenter.take([audio(at)])
            case "video header":
                headers += 1
                segmenter.take([video_header(at, (AVC_RECORD, OTHER_RECORD)[headers % 2])])
            case "audio header":
                segmenter.take([audio_header(at)])
            case _:
                segmenter.pause()
        if not segmenter.is_ready:
            continue
        found = told(segmenter)
        numbers = [segment.number for segment in found]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert numbers[0] >= before
        before = numbers[0]
        assert segmenter.peak_bps > 0
        for segment in found:
            init = segmenter.init(segment.init)
            assert init is not None
            tracks = len(read(init).one("moov").all("trak"))
            data = b"".join(part(segmenter, segment.number, index) for index in range(len(segment.parts)))
            if segment.duration_s is not None:
                assert round(segment.duration_s) <= 4
                assert not segment.parts or data == segmenter.segment(segment.number)
                data = segmenter.segment(segment.number) or b""
            assert all(run.track_id <= tracks for runs in read_fragments(data) for run in runs)


def test_the_clock_of_the_first_part_is_its_segments() -> None:
    clock = ManualClock()
    segmenter = PartSegmenter(POLICY, clock)
    for one in (*SETUP, *mixture(3)):
        clock.advance(max(0.0, one.dts_ms / 1000 - (clock.now() - START).total_seconds()))
        segmenter.take([one])
    times = re.findall(r"#EXT-X-PROGRAM-DATE-TIME:(\S+)", segmenter.playlist.decode())
    assert times == ["2026-03-01T12:00:00.000Z"]
