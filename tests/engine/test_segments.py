"""A stream cut into segments: where, how long, how they are told, and how much is kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from penstock.engine.publication import Publication
from penstock.engine.segments import DISCONTINUITIES, Segmenter, SegmentPolicy, Shelf
from penstock.model import Kind, MediaPacket
from penstock.protocols import hls
from tests.clock import START, ManualClock
from tests.engine.kit import (
    AVC_RECORD,
    CLIENT,
    FakePublisher,
    audio,
    audio_header,
    inter,
    key,
    make_lease,
    make_stream,
    metadata,
    packet,
    put,
    send,
    video_header,
)
from tests.protocols.boxes import ReadRun, read, read_segment
from tests.protocols.codecs.tools import captures

OTHER_RECORD = bytes.fromhex(captures("avc")["avc_baseline"]["hex"])
MP3_FRAME = bytes.fromhex("2ffffb9444") + b"mp3"
FIRST = int(START.timestamp())
FIRST_BREAK = FIRST % DISCONTINUITIES


def make(policy: SegmentPolicy | None = None, clock: ManualClock | None = None, at_least: int = 0) -> Segmenter:
    return Segmenter(policy or SegmentPolicy(), clock or ManualClock(), at_least)


def pictures(seconds: float, *, from_s: float = 0.0, gop_s: float = 1.0, fps: int = 25) -> Iterator[MediaPacket]:
    """A picture's data is its time."""
    for number in range(round(seconds * fps)):
        dts_ms = round(from_s * 1000) + number * 1000 // fps
        is_key = number % round(gop_s * fps) == 0
        yield (key if is_key else inter)(dts_ms, f"picture {dts_ms}".encode())


def sounds(seconds: float, *, from_s: float = 0.0) -> Iterator[MediaPacket]:
    for number in range(round(seconds * 48_000 / 1024)):
        dts_ms = round(from_s * 1000) + number * 1024 // 48
        yield audio(dts_ms, f"sound {dts_ms}".encode())


def mixed(*tracks: Iterable[MediaPacket]) -> list[MediaPacket]:
    return sorted((one for track in tracks for one in track), key=lambda one: (one.dts_ms, -one.kind))


SETUP = (video_header(), audio_header())


class Told(Struct, frozen=True):
    """A segment as the playlist tells it."""

    number: int
    init: int
    duration_s: float
    is_broken: bool
    at: str


def told(segmenter: Segmenter) -> list[Told]:
    found: list[Told] = []
    init, duration_s, is_broken, at = 0, 0.0, False, ""
    for line in segmenter.playlist.decode().splitlines():
        if match := re.fullmatch(r'#EXT-X-MAP:URI="init-(\d+).mp4"', line):
            init = int(match[1])
        elif match := re.fullmatch(r"#EXTINF:([\d.]+),", line):
            duration_s = float(match[1])
        elif match := re.fullmatch(r"#EXT-X-PROGRAM-DATE-TIME:(\S+)", line):
            at = match[1]
        elif line == "#EXT-X-DISCONTINUITY":
            is_broken = True
        elif match := re.fullmatch(r"(\d+).m4s", line):
            found.append(Told(int(match[1]), init, duration_s, is_broken, at))
            is_broken, at = False, ""
    return found


def tag(segmenter: Segmenter, name: str) -> int:
    match = re.search(rf"^#EXT-X-{name}:(\d+)$", segmenter.playlist.decode(), re.MULTILINE)
    assert match
    return int(match[1])


def runs(segmenter: Segmenter, number: int) -> list[ReadRun]:
    data = segmenter.segment(number)
    assert data is not None
    return read_segment(data)


def all_runs(segmenter: Segmenter) -> list[list[ReadRun]]:
    return [runs(segmenter, piece.number) for piece in told(segmenter)]


def lengths(segmenter: Segmenter) -> list[float]:
    return [piece.duration_s for piece in told(segmenter)]


def fed(*packets: MediaPacket, policy: SegmentPolicy | None = None, clock: ManualClock | None = None) -> Segmenter:
    segmenter = make(policy, clock)
    for one in packets:
        segmenter.take([one])
    return segmenter


# Where a segment ends


def test_a_segment_ends_with_the_first_key_frame_after_its_target() -> None:
    segmenter = fed(*SETUP, *pictures(7, gop_s=1))
    assert lengths(segmenter) == [2, 2, 2]
    for found in all_runs(segmenter):
        assert [sample.flags == 0x02000000 for sample in found[0].samples] == [n % 25 == 0 for n in range(50)]


@pytest.mark.parametrize(
    ("gop_s", "wanted"),
    [
        (0.5, [2, 2, 2, 2, 2]),
        (1.5, [3, 3, 3]),
        (2, [2, 2, 2, 2, 2]),
        (3, [3, 3, 3]),
        (4, [4, 4]),
        (5, [4, 1, 4, 1]),
        (1.96, [1.96, 1.96, 1.96, 1.96, 1.96]),
        (8, [4, 4]),
    ],
)
def test_key_frames_that_come_otherwise_make_other_lengths(gop_s: float, wanted: list[float]) -> None:
    segmenter = fed(*SETUP, *pictures(11, gop_s=gop_s, fps=50))
    assert lengths(segmenter) == wanted
    assert tag(segmenter, "TARGETDURATION") == 4


def test_nothing_is_lost_or_doubled_and_times_go_on_from_segment_to_segment() -> None:
    packets = mixed(pictures(9, gop_s=2), sounds(9))
    segmenter = fed(*SETUP, *packets, key(9000))
    segmenter.end()
    for track_id, kind, frame in ((1, Kind.VIDEO, None), (2, Kind.AUDIO, 1024)):
        found = [run for segment in all_runs(segmenter) for run in segment if run.track_id == track_id]
        datas = [sample.data for run in found for sample in run.samples]
        head = 5 if kind == Kind.VIDEO else 2
        assert datas[: len(packets)] == [bytes(one.payload[head:]) for one in [*packets, key(9000)] if one.kind == kind]
        at = 0
        for run in found:
            assert run.decode_time == at
            at += sum(sample.duration for sample in run.samples)
            assert frame is None or {sample.duration for sample in run.samples} == {frame}


def test_sound_alone_is_cut_at_the_target() -> None:
    segmenter = fed(audio_header(), *sounds(9))
    assert all(2 <= length < 2.03 for length in lengths(segmenter))
    assert len(told(segmenter)) == 4
    (run,) = runs(segmenter, FIRST)
    assert run.track_id == 1


def test_pictures_that_stop_do_not_stop_the_sound() -> None:
    segmenter = fed(*SETUP, *mixed(pictures(2), sounds(2)), *sounds(12, from_s=2))
    kinds = [[run.track_id for run in found] for found in all_runs(segmenter)]
    assert kinds == [[1, 2], [2], [2]]
    assert all(length <= 4.05 for length in lengths(segmenter))
    assert not any(piece.is_broken for piece in told(segmenter))


def test_frames_ahead_of_the_first_key_frame_are_left_out() -> None:
    segmenter = fed(*SETUP, inter(0), audio(10), *mixed(pictures(3, from_s=1), sounds(3, from_s=1)))
    video, sound = runs(segmenter, FIRST)
    assert video.samples[0].data == b"picture 1000"
    assert sound.samples[0].data == b"sound 1000"


def test_a_setup_without_pictures_does_not_silence_the_sound() -> None:
    segmenter = fed(*SETUP, *sounds(12))
    assert segmenter.is_ready
    assert {run.track_id for found in all_runs(segmenter) for run in found} == {1}


def test_mp3_needs_no_header() -> None:
    segmenter = fed(*(packet(Kind.AUDIO, n * 24, MP3_FRAME) for n in range(100)))
    (run,) = runs(segmenter, FIRST)
    assert {sample.duration for sample in run.samples} == {1152}


def test_a_stream_of_nothing_that_can_be_carried_has_no_segments() -> None:
    frames = [packet(Kind.VIDEO, n * 40, b"\x12\x00h263", is_key=True) for n in range(300)]
    segmenter = fed(metadata(), *frames)
    segmenter.end()
    assert not segmenter.is_ready


def test_sound_is_carried_though_its_pictures_cannot_be() -> None:
    header = packet(Kind.VIDEO, 0, b"\x90vp09\0\0", is_header=True)
    frames = (packet(Kind.VIDEO, n * 40, b"\x91vp09" + b"picture", is_key=True) for n in range(200))
    segmenter = fed(header, audio_header(), *mixed(frames, sounds(8)))
    assert {run.track_id for found in all_runs(segmenter) for run in found} == {1}


# Setup


def test_the_init_segment_is_of_the_tracks_that_came() -> None:
    segmenter = fed(*SETUP, *mixed(pictures(3), sounds(3)))
    init = segmenter.init(told(segmenter)[0].init)
    assert init is not None
    assert [box.kind for box in read(init).one("moov").boxes] == ["mvhd", "trak", "trak", "mvex"]
    assert [type(track).__name__ for track in segmenter.tracks] == ["VideoTrack", "AudioTrack"]


def test_a_track_that_is_announced_and_never_comes_is_not_in_it() -> None:
    assert [type(track).__name__ for track in fed(*SETUP, *pictures(3)).tracks] == ["VideoTrack"]


def test_another_setup_makes_another_init_segment_and_a_discontinuity() -> None:
    packets = [*SETUP, *mixed(pictures(3), sounds(3)), video_header(3000, OTHER_RECORD)]
    segmenter = fed(*packets, *mixed(pictures(3, from_s=3), sounds(3, from_s=3)))
    found = told(segmenter)
    assert [piece.is_broken for piece in found] == [False, False, True]
    assert [round(piece.duration_s) for piece in found] == [2, 1, 2]
    assert found[0].init == found[1].init != found[2].init
    after = segmenter.init(found[2].init)
    assert after is not None
    assert OTHER_RECORD in after
    # A picture of the old setup is not in a segment of the new one.
    assert runs(segmenter, found[2].number)[0].samples[0].data == b"picture 3000"


def test_the_same_setup_said_again_changes_nothing() -> None:
    segmenter = fed(*SETUP, *pictures(2), *SETUP, *pictures(3, from_s=2))
    assert lengths(segmenter) == [2, 2]
    assert len({piece.init for piece in told(segmenter)}) == 1


def test_a_track_that_comes_later_makes_another_init_segment() -> None:
    segmenter = fed(*SETUP, *pictures(2), *mixed(pictures(5, from_s=2), sounds(5, from_s=2)))
    assert [piece.is_broken for piece in told(segmenter)] == [False, True, False]
    assert [len(found) for found in all_runs(segmenter)] == [1, 2, 2]


def test_another_rate_of_sound_makes_another_init_segment() -> None:
    segmenter = fed(audio_header(), *sounds(3), audio_header(3000, bytes.fromhex("1210")), *sounds(3, from_s=3))
    found = told(segmenter)
    assert [piece.is_broken for piece in found] == [False, False, True]
    assert runs(segmenter, found[2].number)[0].decode_time == 3 * 44_100


# Sessions


def test_a_publisher_that_left_gives_what_it_sent_and_comes_back_after_a_discontinuity() -> None:
    segmenter = fed(*SETUP, *pictures(3))
    segmenter.pause()
    assert lengths(segmenter) == [2, 1]
    for one in (*SETUP, *pictures(3, from_s=9)):
        segmenter.take([one])
    found = told(segmenter)
    assert [piece.is_broken for piece in found] == [False, False, True]
    assert len({piece.init for piece in found}) == 1  # it is what it was
    assert [piece.number for piece in found] == [FIRST, FIRST + 1, FIRST + 2]


def test_a_publisher_that_comes_back_without_its_setup_is_not_read_by_the_old_one() -> None:
    segmenter = fed(*SETUP, *pictures(3))
    segmenter.pause()
    for one in pictures(5, from_s=9):
        segmenter.take([one])
    assert len(told(segmenter)) == 2


def test_a_long_gap_is_a_discontinuity() -> None:
    segmenter = fed(*SETUP, *pictures(1), *pictures(3, from_s=31))
    found = told(segmenter)
    assert [piece.is_broken for piece in found] == [False, True]
    assert lengths(segmenter)[0] == 1


def test_the_end_is_told_after_the_last_segment() -> None:
    segmenter = fed(*SETUP, *pictures(3))
    segmenter.end()
    assert lengths(segmenter) == [2, 1]
    assert segmenter.playlist.endswith(b"#EXT-X-ENDLIST\n")


def test_a_stream_is_followed_from_its_cached_gop_on() -> None:
    stream = make_stream(ManualClock())
    put(stream, *SETUP, *pictures(1.5, gop_s=3))
    segmenter = make()
    stream.follow(segmenter)
    put(stream, *pictures(1.5, from_s=1.5, gop_s=5), key(3000))
    assert runs(segmenter, FIRST)[0].samples[0].data == b"picture 0"
    stream.unfollow(segmenter)
    put(stream, *pictures(9, from_s=3.04))
    assert len(told(segmenter)) == 1


def test_a_stream_that_is_followed_before_it_has_begun_starts_with_its_first_key_frame() -> None:
    stream = make_stream(ManualClock())
    segmenter = make()
    stream.follow(segmenter)
    put(stream, *SETUP, *pictures(3))
    assert lengths(segmenter) == [2]


# Numbers and times


def test_numbers_rise_from_the_wall_clock() -> None:
    segmenter = fed(*SETUP, *pictures(7))
    assert tag(segmenter, "MEDIA-SEQUENCE") == FIRST
    assert [piece.number for piece in told(segmenter)] == [FIRST, FIRST + 1, FIRST + 2]
    assert tag(segmenter, "DISCONTINUITY-SEQUENCE") == FIRST_BREAK


def test_numbers_do_not_go_back_though_the_clock_does() -> None:
    assert make(at_least=FIRST + 500)._next == FIRST + 500
    before = fed(*SETUP, *pictures(7))
    again = make(clock=ManualClock(START - timedelta(hours=1)), at_least=before.number_after)
    for one in (*SETUP, *pictures(3)):
        again.take([one])
    assert tag(again, "MEDIA-SEQUENCE") == FIRST + 3
    assert tag(again, "DISCONTINUITY-SEQUENCE") != tag(before, "DISCONTINUITY-SEQUENCE")


def test_a_discontinuity_that_left_the_playlist_is_counted() -> None:
    segmenter = fed(*SETUP, *pictures(3), policy=SegmentPolicy(listed=3))
    segmenter.pause()
    numbers = []
    for number in range(6):
        for one in (*SETUP, *pictures(2, from_s=10 + 2 * number)):
            segmenter.take([one])
        numbers.append(tag(segmenter, "DISCONTINUITY-SEQUENCE") - FIRST_BREAK)
    assert numbers == [0, 0, 0, 1, 1, 1]
    assert not any(piece.is_broken for piece in told(segmenter))


def test_a_segments_time_is_when_its_first_frame_came() -> None:
    clock = ManualClock()
    segmenter = make(clock=clock)
    # Two seconds out of the cache, of which the last picture has just come.
    segmenter.take([*SETUP, *pictures(2)])
    clock.advance(0.04)
    segmenter.take([key(2000)])
    assert told(segmenter)[0].at == "2026-03-01T11:59:58.040Z"
    clock.advance(60)
    segmenter.pause()
    segmenter.take([*SETUP, key(70_000)])
    segmenter.pause()
    assert told(segmenter)[-1].at == "2026-03-01T12:01:00.040Z"


# What is kept


def test_the_playlist_slides_and_what_left_it_stays_as_long_again() -> None:
    segmenter = fed(*SETUP, *pictures(41), policy=SegmentPolicy(listed=4))
    assert len(told(segmenter)) == 4
    last = told(segmenter)[-1].number
    assert segmenter.segment(last - 7) is not None
    assert segmenter.segment(last - 8) is None
    assert segmenter.segment(last + 1) is None


def test_memory_has_a_bound_and_three_segments_stay() -> None:
    big = [(key if n % 25 == 0 else inter)(n * 40, bytes(40_000)) for n in range(2000)]
    segmenter = fed(video_header(), *big, policy=SegmentPolicy(limit_bytes=8_000_000))
    kept = [data for number in range(FIRST, FIRST + 200) if (data := segmenter.segment(number))]
    assert len(kept) >= 3
    assert sum(map(len, kept)) <= 8_000_000
    huge = fed(video_header(), *big, policy=SegmentPolicy(limit_bytes=80_000))
    assert len(told(huge)) == 3


def test_all_streams_together_have_a_bound_and_each_keeps_three_segments() -> None:
    shelf = Shelf(3_000_000)
    frames = [(key if n % 25 == 0 else inter)(n * 40, bytes(4000)) for n in range(1000)]
    both = [Segmenter(SegmentPolicy(), ManualClock(), shelf=shelf) for _ in range(2)]
    for segmenter in both:
        segmenter.take([video_header(), *frames])
    kept = [[n for n in range(FIRST, FIRST + 50) if segmenter.segment(n)] for segmenter in both]
    assert [len(numbers) for numbers in kept] == [14, 3]
    sizes = [
        sum(len(segmenter.segment(n) or b"") for n in numbers) for segmenter, numbers in zip(both, kept, strict=True)
    ]
    assert shelf.bytes == sum(sizes)
    # With one of them gone, there is room again.
    both[0].leave_shelf()
    assert shelf.bytes == sizes[1]
    both[0].end()
    assert shelf.bytes == sizes[1]
    for frame in frames:
        both[1].take(
            [key(40_000 + frame.dts_ms, bytes(4000)) if frame.is_key else inter(40_000 + frame.dts_ms, bytes(4000))]
        )
    assert len([n for n in range(FIRST, FIRST + 50) if both[1].segment(n)]) > 3


def test_a_segment_is_cut_before_it_takes_too_much() -> None:
    big = [(key if n == 0 else inter)(n * 40, bytes(100_000)) for n in range(50)]
    segmenter = fed(video_header(), *big, policy=SegmentPolicy(limit_bytes=8_000_000))
    assert all(len(segmenter.segment(piece.number) or b"") <= 1_200_000 for piece in told(segmenter))


def test_init_segments_go_with_the_last_segment_that_needs_them() -> None:
    packets: list[MediaPacket] = []
    for number in range(30):
        record = (AVC_RECORD, OTHER_RECORD)[number % 2] + bytes([number])
        packets += [video_header(number * 2000, record), *pictures(2, from_s=2 * number)]
    segmenter = fed(*packets, policy=SegmentPolicy(listed=3))
    inits = {piece.init for piece in told(segmenter)}
    assert len(inits) == 3
    assert all(segmenter.init(number) for number in inits)
    assert segmenter.init(FIRST) is None


# Any stream at all

frames = st.tuples(
    st.sampled_from(["key", "inter", "audio", "video header", "audio header", "pause"]), st.integers(-3000, 9000)
)


@settings(max_examples=200)
@given(st.lists(frames, max_size=60))
def test_whatever_comes_the_playlist_keeps_its_promises(steps: list[tuple[str, int]]) -> None:
    segmenter = make(SegmentPolicy(listed=5))
    at, headers = 0, 0
    before: list[int] = []
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
        if segmenter.is_ready:
            found = told(segmenter)
            numbers = [piece.number for piece in found]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
            assert not before or numbers[0] >= before[0]
            assert all(round(piece.duration_s) <= tag(segmenter, "TARGETDURATION") for piece in found)
            assert all(segmenter.init(piece.init) for piece in found)
            assert all(runs(segmenter, number) for number in numbers)
            before = numbers


# Bodies that any publisher could send, the setup of one codec ahead of frames of another included.
heads = st.sampled_from(
    [
        *(
            "1700000000",
            "1701000000",
            "2701ffffff",
            "2701800000",
            "1c00000000",
            "1c01000000",
            "af00",
            "af01",
            "2f",
            "1200",
        ),
        *("9061766331", "9068766331", "9161766331000000", "9361766331", "9061763031", "9161763031", "9758"),
        *("906d703461", "916d703461", "90 2e6d7033", "91 2e6d7033", "9504", "96"),
    ]
).map(bytes.fromhex)
records = st.sampled_from(
    [
        AVC_RECORD,
        OTHER_RECORD,
        bytes.fromhex(captures("hevc")["hevc_main"]["hex"]),
        bytes.fromhex(captures("av1")["av1_libaom"]["hex"]),
        *map(bytes.fromhex, ("1190", "1210", "2b920800", "1780003e90", "fffb9444", "ffe39844", "", "00")),
    ]
)
media = st.tuples(
    st.sampled_from([Kind.VIDEO, Kind.AUDIO]),
    st.integers(0, 2**32 - 1),
    st.tuples(heads, records, st.binary(max_size=8)).map(b"".join) | st.binary(max_size=40),
)


@settings(max_examples=300)
@given(st.lists(media, max_size=40))
def test_no_bytes_of_a_publisher_are_a_fault(messages: list[tuple[Kind, int, bytes]]) -> None:
    clock = ManualClock()
    stream = make_stream(clock)
    segmenter = make(clock=clock)
    stream.follow(segmenter)
    publication = Publication(
        make_lease(1), stream, FakePublisher(), CLIENT, "", began_at=clock.now(), now_s=clock.monotonic(), start_ms=0
    )
    for kind, timestamp, payload in messages:
        send(publication, kind, timestamp, payload, clock.monotonic())
    segmenter.end()
    if segmenter.is_ready:
        assert all_runs(segmenter)
        assert hls.multivariant_playlist("x", segmenter.tracks, peak_bps=segmenter.peak_bps)
        for piece in told(segmenter):
            init = segmenter.init(piece.init)
            assert init is not None
            assert read(init)
