"""What is in the files: the source's own packets, whatever the container, session by session."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from penstock.engine.recording.recorder import RecordingPolicy
from penstock.link.messages import EndReason
from penstock.link.recording import Container, FileBegan, FileEnded, Gap, RecordingState, RecordingTold
from penstock.model import Kind
from penstock.protocols import amf0, flv
from tests.clock import START
from tests.e2e.media import Samples, is_run_of, rising, same_spacing
from tests.engine.kit import (
    DEMO,
    audio,
    audio_header,
    inter,
    key,
    metadata,
    packet,
    video_header,
)
from tests.engine.recording.kit import (
    Studio,
    between,
    ffprobe_packets,
    frames,
    is_frame,
    moved,
    packets,
    probe,
    tags_of,
)
from tests.engine.test_segments import OTHER_RECORD, SETUP, mixed, pictures, sounds
from tests.protocols.boxes import read

SAMPLES = Samples()
NAMES = ("h264", "b_frames", "hevc", "av1", "audio_only", "video_only")
WAITING, RECORDING, FAILED, STOPPED = RecordingState
MP4, FLV, HLS = Container
MP3_FRAME = bytes.fromhex("2ffffb9444") + bytes(380)


def playable(path: Path) -> Path:
    return path / "index.m3u8" if path.is_dir() else path


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path / "recordings")


@pytest.mark.parametrize("container", Container)
@pytest.mark.parametrize("name", NAMES)
def test_the_file_holds_the_sources_own_packets_from_the_first_to_the_last(
    name: str, container: Container, studio: Studio
) -> None:
    sample: Path = getattr(SAMPLES, name)
    tags = list(between(tags_of(sample), 0, 4000))
    studio.record(container)
    studio.begin()
    studio.send(*tags)
    studio.end()
    (path,) = studio.began()
    got, source = packets(playable(path)), packets(sample)
    assert len(got) == sum(map(is_frame, tags))
    assert is_run_of(source, got, looped=False)
    assert got[0].identity == source[0].identity
    assert rising(got)
    if container == FLV:
        assert same_spacing(source, got)  # MP4 counts sound in samples, which milliseconds only come near to
    (facts,) = studio.facts()
    assert facts is not None
    assert facts.is_whole
    assert facts.gaps == ()
    assert facts.duration_ms == pytest.approx(4000, abs=100)
    files = list(path.iterdir()) if path.is_dir() else [path]
    assert facts.size_bytes == sum(file.stat().st_size for file in files)
    video = {"hevc": "hevc", "av1": "av1", "audio_only": ""}.get(name, "avc")
    assert (facts.video, facts.audio) == (video, "" if name == "video_only" else "aac")
    if not (container == FLV and name in ("hevc", "av1")):  # which Debian's ffprobe cannot read
        assert len(ffprobe_packets(playable(path))) == len(got)
        assert float(probe(playable(path))["format"]["duration"]) == pytest.approx(4.0, abs=0.15)


@pytest.mark.parametrize("container", Container)
def test_mp3_is_recorded(container: Container, studio: Studio) -> None:
    studio.record(container)
    studio.begin()
    studio.send(*(packet(Kind.AUDIO, number * 24, MP3_FRAME) for number in range(100)))
    studio.end()
    (path,), (facts,) = studio.began(), studio.facts()
    assert facts is not None
    assert (facts.video, facts.audio) == ("", "mp3")
    assert {stream["codec_name"] for stream in probe(playable(path))["streams"]} == {"mp3"}


# Before, during and after


def test_who_records_in_the_middle_gets_the_pictures_since_the_last_key_frame(studio: Studio) -> None:
    studio.begin()
    studio.send(*SETUP, *mixed(pictures(3.4), sounds(3.4)))
    studio.record()
    studio.stop()
    (path,), (facts,) = studio.began(), studio.facts()
    assert facts is not None
    assert facts.duration_ms == pytest.approx(400, abs=30)
    # The key frame at 3 s came 0.36 s ago, with the last picture.
    (began,) = studio.heard(FileBegan)
    assert (studio.clock.now() - began.at).total_seconds() == pytest.approx(0.38, abs=0.03)
    assert frames(path)[0].is_key


def test_a_recording_waits_for_its_publisher_and_a_stream_goes_on_when_it_stops(studio: Studio) -> None:
    studio.record()
    assert studio.state == WAITING
    assert studio.began() == []
    studio.begin()
    studio.send(*SETUP)
    assert (studio.state, studio.began()) == (WAITING, [])
    studio.send(*mixed(pictures(2.1), sounds(2.1)))
    assert studio.state == RECORDING
    studio.stop()
    assert studio.state == STOPPED
    assert studio.heard(FileEnded)[0].why == "stopped"
    assert studio.publication is not None
    assert studio.hub.publications() == [studio.publication]
    studio.send(*pictures(2.0, from_s=2.1))
    assert len(studio.began()) == 1


@pytest.mark.parametrize("reason", [EndReason.KICKED, EndReason.BANNED])
def test_who_is_thrown_out_has_a_whole_file(reason: EndReason, studio: Studio) -> None:
    studio.record()
    studio.begin()
    studio.send(*SETUP, *mixed(pictures(2.1), sounds(2.1)))
    studio.hub.drop(DEMO, reason, "")
    (ended,) = studio.heard(FileEnded)
    assert ended.why == reason
    assert ended.facts is not None
    assert ended.facts.is_whole
    assert studio.state == WAITING
    (path,) = studio.began()
    assert [one.track for one in frames(path)].count("v") == len(list(pictures(2.1)))


def test_a_path_is_of_the_stream_and_of_the_time_and_its_owners_alone(studio: Studio) -> None:
    studio.record()
    studio.begin()
    studio.send(*SETUP, *pictures(1.0))
    studio.end()
    (began,) = studio.heard(FileBegan)
    assert re.fullmatch(rf"demo/live/cam/{START:%Y%m%dT%H%M%S}Z-[0-9a-f]{{8}}\.mp4", began.path)
    assert began.session == "session-1"
    (path,) = studio.began()
    assert path.stat().st_mode & 0o777 == 0o600
    for folder in path.relative_to(studio.root).parents:
        assert (studio.root / folder).stat().st_mode & 0o777 == 0o700


# Publishers that return


@pytest.mark.parametrize("container", Container)
def test_each_session_has_a_file_of_its_own(container: Container, studio: Studio) -> None:
    studio.record(container)
    for _ in range(2):
        studio.begin()
        studio.send(*SETUP, *mixed(pictures(2.0), sounds(2.0)))
        studio.end()
        studio.clock.advance(3)
    one, two = studio.began()
    assert [len(frames(path)) for path in (one, two)] == [50 + 94] * 2
    assert [began.session for began in studio.heard(FileBegan)] == ["session-1", "session-2"]
    for facts in studio.facts():
        assert facts is not None
        assert facts.gaps == ()


@pytest.mark.parametrize("container", Container)
@pytest.mark.parametrize("kept", [True, False], ids=["a blink", "an hour"])
def test_sessions_go_on_in_one_file_with_the_gap_between_in_its_times(
    kept: bool, container: Container, studio: Studio
) -> None:
    pause_s = 3 if kept else 3600
    studio.record(container, one_file=True)
    studio.begin()
    studio.send(*SETUP, *mixed(pictures(2.0), sounds(2.0)))
    studio.end()
    assert studio.state == WAITING
    (path,) = studio.began()
    # It can be played meanwhile, and says how long it is.
    if container != HLS:  # of which ffprobe waits for more
        assert float(probe(path)["format"]["duration"]) == pytest.approx(2, abs=0.1)
    for _ in range(pause_s):  # while the hub forgets the stream
        studio.clock.advance(1)
        studio.hub.tick()
    studio.begin()
    studio.send(*SETUP, *mixed(pictures(2.0), sounds(2.0)))
    assert studio.state == (WAITING if container == HLS else RECORDING)  # until a segment is whole
    studio.end()
    studio.stop()
    assert studio.began() == [path]
    got = frames(path)
    assert len(got) == 2 * (50 + 94)
    video = [one.dts_ms for one in got if one.track == "v"]
    assert video == sorted(video)
    assert video[50] - video[49] == pytest.approx(pause_s * 1000 + 40, abs=50)
    (facts,) = studio.facts()
    assert facts is not None
    (gap,) = facts.gaps
    assert gap.why == "nobody published"
    assert gap.at_ms == pytest.approx(2000, abs=20)
    assert gap.length_ms == pytest.approx(pause_s * 1000, abs=60)
    assert facts.duration_ms == pytest.approx(pause_s * 1000 + 4000, abs=80)


def test_another_setup_needs_another_mp4(studio: Studio) -> None:
    studio.record(one_file=True)
    studio.begin()
    studio.send(*SETUP, *mixed(pictures(1.2), sounds(1.2)))
    studio.send(video_header(1200, OTHER_RECORD), *mixed(pictures(1.0, from_s=1.2), sounds(1.0, from_s=1.2)))
    studio.end()
    studio.stop()
    one, two = studio.began()
    assert studio.heard(FileEnded)[0].why == "the codecs' setup changed"
    sizes = [
        [(stream["width"], stream["height"]) for stream in probe(path)["streams"] if stream["codec_type"] == "video"]
        for path in (one, two)
    ]
    assert sizes[0] != sizes[1]
    first = frames(two)
    assert [len(frames(path)) for path in (one, two)] == [30 + 56, 25 + 47]
    assert 0 <= min(one.dts_ms for one in first) < 1  # sound lies where its samples do


def test_another_setup_goes_on_in_one_flv_and_in_one_hls(studio: Studio) -> None:
    for number, container in enumerate((FLV, HLS)):
        studio.record(container, recording=f"{number}" * 32)
    studio.begin()
    studio.send(*SETUP, *pictures(1.2), video_header(1200, OTHER_RECORD), *pictures(1.0, from_s=1.2))
    studio.end()
    file, folder = studio.began()
    assert len(frames(file)) == len(frames(folder)) == 55
    text = (folder / "index.m3u8").read_text()
    assert text.count("#EXT-X-DISCONTINUITY\n") == 1
    assert re.findall(r'EXT-X-MAP:URI="(.+)"', text) == ["init-0.mp4", "init-1.mp4"]


def test_a_codec_that_the_container_cannot_hold_is_named(studio: Studio) -> None:
    studio.record()
    studio.begin()
    vp9 = bytes.fromhex("91") + b"vp09" + bytes(20)
    studio.send(*(packet(Kind.VIDEO, at, vp9, is_key=True) for at in range(0, 2000, 40)))
    studio.desk.tell_states()
    assert studio.state == WAITING
    assert studio.error == "vp9 cannot be put into mp4; record as flv"
    assert studio.began() == []


# What the containers promise


def test_an_mp4_says_how_long_it_is_and_where_to_start(studio: Studio) -> None:
    studio.record()
    studio.begin()
    studio.send(*SETUP, *mixed(pictures(4.0), sounds(4.0)))
    studio.end()
    (path,) = studio.began()
    file = read(path.read_bytes())
    assert file.one("moov/mvex").boxes[0].kind == "mehd"
    (length_ms,) = file.one("moov/mvex/mehd").numbers("Q", 4)
    assert length_ms == pytest.approx(4000, abs=40)
    assert [box.kind for box in file.boxes[:2]] == ["ftyp", "moov"]
    assert file.boxes[-1].kind == "mfra"
    moofs = {box.start for box in file.boxes if box.kind == "moof"}
    data = path.read_bytes()
    at = data.rindex(b"tfra") + 4
    count = int.from_bytes(data[at + 12 : at + 16], "big")
    rows = [data[at + 16 + 19 * row :][:19] for row in range(count)]
    assert [int.from_bytes(row[:8], "big") / 90_000 for row in rows] == [0, 1, 2, 3]
    assert {int.from_bytes(row[8:16], "big") for row in rows} <= moofs


def test_an_flv_keeps_its_encoders_words_and_its_own_length(studio: Studio) -> None:
    studio.record(FLV)
    studio.begin()
    studio.send(metadata("mine"), *SETUP, *mixed(pictures(2.0), sounds(2.0)))
    studio.end()
    (path,), (facts,) = studio.began(), studio.facts()
    assert facts is not None
    first, *rest = tags_of(path)
    name, values = amf0.decode(first.payload)
    assert name == "onMetaData"
    assert isinstance(values, dict)
    assert values["title"] == "mine"
    assert values["duration"] == facts.duration_ms / 1000
    assert values["filesize"] == facts.size_bytes == path.stat().st_size
    assert all(tag.kind != Kind.DATA for tag in rest)
    assert path.read_bytes()[4] == 0x05


def test_pieces_are_at_most_as_long_as_the_setting_says(tmp_path: Path) -> None:
    studio = Studio(tmp_path / "r", RecordingPolicy(fragment_ms=500))
    studio.record()
    studio.begin()
    studio.send(*SETUP, *mixed(pictures(8.0, gop_s=8.0), sounds(8.0)))
    (path,) = studio.began()
    # What a killed process would leave now.
    left = frames(path)
    assert max(one.dts_ms for one in left if one.track == "v") >= 8000 - 500 - 40
    moofs = [box for box in read(path.read_bytes()).boxes if box.kind == "moof"]
    assert len(moofs) == 15
    studio.stop()


def test_no_picture_without_its_key_frame_and_no_sound_is_lost(studio: Studio) -> None:
    studio.record()
    studio.begin()
    studio.send(
        video_header(), audio_header(), inter(0), audio(0), inter(40), audio(21), key(80), audio(90), inter(120)
    )
    studio.end()
    (path,) = studio.began()
    got = frames(path)
    assert [one.track for one in got].count("a") == 3
    assert [one.is_key for one in got if one.track == "v"] == [True, False]


# A disk that is slow


def test_a_slow_disk_costs_whole_groups_of_pictures_and_the_file_says_which(tmp_path: Path) -> None:
    studio = Studio(tmp_path / "r", RecordingPolicy(queue_bytes=8 * 1024))
    studio.record()
    studio.begin()
    studio.send(*SETUP, *pictures(2.0))
    studio.disk.at_once = False
    studio.send(*pictures(10.0, from_s=2.0, gop_s=2.0))
    assert studio.state == RECORDING
    studio.disk.at_once = True
    studio.disk.work()
    studio.send(*pictures(4.0, from_s=12.0, gop_s=2.0))
    studio.end()
    (path,), (facts,) = studio.began(), studio.facts()
    assert facts is not None
    (gap,) = facts.gaps
    assert gap.why == "the disk was behind"
    video = [one for one in frames(path) if one.track == "v"]
    places = [at for at in range(1, len(video)) if video[at].dts_ms - video[at - 1].dts_ms > 40]
    assert len(places) == 1
    after = video[places[0]]
    assert after.is_key
    assert gap.at_ms + gap.length_ms == after.dts_ms
    assert gap.at_ms == video[places[0] - 1].dts_ms + 40
    assert facts.is_whole


def test_all_recordings_together_have_a_bound_too(tmp_path: Path) -> None:
    policy = RecordingPolicy(queue_bytes=1 << 30, queue_total_bytes=64 * 1024)
    studio = Studio(tmp_path / "r", policy, at_once=False)
    for number in range(10):
        studio.record(recording=f"{number:032x}")
    studio.begin()
    studio.send(*SETUP, *(key(at, bytes(4000)) for at in range(0, 20_000, 40)))
    assert studio.desk._tools.budget.bytes < 64 * 1024 + 10 * 200 * 1024
    studio.disk.at_once = True
    studio.disk.work()
    assert studio.desk._tools.budget.bytes == 0


def test_what_is_missing_at_the_end_is_a_gap_too(tmp_path: Path) -> None:
    studio = Studio(tmp_path / "r", RecordingPolicy(queue_bytes=8 * 1024))
    studio.record(FLV)
    studio.begin()
    studio.send(*SETUP, *pictures(2.0))
    studio.disk.at_once = False
    studio.send(*pictures(10.0, from_s=2.0))
    studio.end()
    studio.disk.at_once = True
    studio.disk.work()
    (facts,) = studio.facts()
    assert facts is not None
    assert facts.gaps[-1] == Gap(facts.duration_ms, facts.gaps[-1].length_ms, "the disk was behind")
    assert facts.duration_ms + facts.gaps[-1].length_ms == pytest.approx(11_960, abs=50)


# Telling


def test_states_are_told_at_each_change_and_with_the_statistics_if_they_changed(studio: Studio) -> None:
    studio.record()
    studio.begin()
    studio.send(*SETUP, *pictures(1.1))
    before = len(studio.heard(RecordingTold))
    studio.desk.tell_states()
    studio.desk.tell_states()
    first = studio.heard(RecordingTold)[-1]
    assert len(studio.heard(RecordingTold)) == before
    studio.send(*pictures(2.0, from_s=1.1))
    studio.desk.tell_states()
    last = studio.heard(RecordingTold)[-1]
    assert last.size_bytes > first.size_bytes > 0
    assert last.duration_ms > first.duration_ms
    assert last.path == studio.heard(FileBegan)[0].path


def test_flv_of_moved_times_is_counted_from_its_begin(studio: Studio) -> None:
    """An encoder's clock may have run for weeks, and wraps."""
    studio.record(FLV)
    studio.begin()
    studio.send(*moved(list(between(tags_of(SAMPLES.h264), 0, 1000)), 2**32 - 500))
    studio.end()
    (path,) = studio.began()
    assert tags_of(path)[0].dts_ms == 0
    assert max(tag.dts_ms for tag in tags_of(path)) < 1000
    assert flv.TagReader().receive(path.read_bytes())
