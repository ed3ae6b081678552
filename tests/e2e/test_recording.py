"""Real publishers recorded by a real engine process, which is killed, ended and starved."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock.link.recording import (
    Container,
    FileBegan,
    FileEnded,
    RecordingState,
    RecordingTold,
    StopRecording,
)
from tests.e2e.engine import EngineProcess
from tests.e2e.media import Packet, Samples, is_run_of, rising
from tests.e2e.peers import Ffmpeg, Pyav
from tests.engine.recording.kit import ffprobe_packets
from tests.engine.recording.kit import packets as pyav_packets

IDS = {container: f"{number}" * 32 for number, container in enumerate(Container)}


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[EngineProcess]:
    engine = EngineProcess(tmp_path, hls_segment_s=2)
    try:
        await engine.start()
        yield engine
    finally:
        engine.close()
    print(engine.log.text())
    assert "Traceback" not in engine.log.text()


def packets_of(path: Path) -> list[Packet]:
    return ffprobe_packets(path / "index.m3u8" if path.is_dir() else path)


async def recorded(engine: EngineProcess, recording: str, duration_ms: int) -> RecordingTold:
    return await engine.heard(RecordingTold, lambda told: told.id == recording and told.duration_ms >= duration_ms)


async def test_a_killed_engine_leaves_files_that_play_and_the_next_one_says_what_is_in_them(
    engine: EngineProcess, ffmpeg: Ffmpeg, samples: Samples
) -> None:
    for container, recording in IDS.items():
        engine.record("cam", container, recording)
    await ffmpeg.publish(samples.b_frames, engine.rtmp_url("live/cam"))
    told = {recording: (await recorded(engine, recording, 2500)).duration_ms for recording in IDS.values()}
    paths = {began.id: began.path for began in engine.all_heard(FileBegan)}
    assert paths.keys() == told.keys()
    assert engine.all_heard(FileEnded) == []
    await engine.kill()

    source = await ffmpeg.packets(samples.b_frames)
    left = {recording: engine.recordings / path for recording, path in paths.items()}
    for recording in (IDS[Container.MP4], IDS[Container.FLV]):
        # As it was left, before anybody looked into it.
        assert is_run_of(source, pyav_packets(left[recording]), looped=False)

    await engine.start()
    for recording, path in paths.items():
        engine.inspect(recording, path)
    for recording, path in paths.items():
        ended = await engine.heard(FileEnded, lambda one, path=path: one.path == path)  # type: ignore[misc]
        assert ended.id == recording
        assert ended.facts is not None
        assert not ended.facts.is_whole
        assert ended.facts.duration_ms >= told[recording] - 100
        assert (ended.facts.video, ended.facts.audio) == ("avc", "aac")
        got = packets_of(left[recording])
        assert is_run_of(source, got, looped=False)
        assert got[0].identity == source[0].identity
        assert rising(got)
        assert got[-1].dts_ms >= told[recording] - 300


async def test_a_publisher_that_returns_goes_on_in_one_file(
    engine: EngineProcess, ffmpeg: Ffmpeg, samples: Samples
) -> None:
    one, each = "a" * 32, "b" * 32
    engine.record("cam", Container.MP4, one, one_file=True)
    engine.record("cam", Container.MP4, each)
    for _ in range(2):
        publisher = await ffmpeg.publish(samples.brief, engine.rtmp_url("live/cam"))
        await publisher.exit_code(within_s=10)
    await engine.heard(FileEnded, lambda ended: ended.number > 3)
    for recording in (one, each):
        engine.send(StopRecording(recording))
        await engine.heard(RecordingTold, lambda told: told.id == recording and told.state == RecordingState.STOPPED)  # noqa: B023
    source = await ffmpeg.packets(samples.brief)
    ended = engine.all_heard(FileEnded)
    (whole,) = [end for end in ended if end.id == one]
    parts = [end for end in ended if end.id == each]
    assert len(parts) == 2
    assert whole.facts is not None
    (gap,) = whole.facts.gaps
    assert gap.length_ms > 0
    got = packets_of(engine.recordings / whole.path)
    assert [packet.md5 for packet in sorted(got, key=lambda p: p.track)] == [
        packet.md5 for track in "av" for packet in [*source, *source] if packet.track == track
    ]
    assert rising(got)
    for part in parts:
        assert len(packets_of(engine.recordings / part.path)) == len(source)


async def test_an_engine_that_is_told_to_end_finishes_its_files(
    engine: EngineProcess, ffmpeg: Ffmpeg, samples: Samples
) -> None:
    for container, recording in IDS.items():
        engine.record("cam", container, recording)
    await ffmpeg.publish(samples.h264, engine.rtmp_url("live/cam"))
    for recording in IDS.values():
        await recorded(engine, recording, 2000)
    engine.send_signal(signal.SIGUSR1)
    source = await ffmpeg.packets(samples.h264)
    for recording in IDS.values():
        ended = await engine.heard(FileEnded, lambda one, recording=recording: one.id == recording)  # type: ignore[misc]
        assert ended.why == "engine stopped"
        assert ended.facts is not None
        assert ended.facts.is_whole
        path = engine.recordings / ended.path
        got = packets_of(path)
        assert is_run_of(source, got, looped=False)
        if path.is_dir():
            assert (path / "index.m3u8").read_text().endswith("#EXT-X-ENDLIST\n")
    assert await engine.exit_code() == 0


@pytest.mark.parametrize("name", ["hevc", "av1"])
async def test_enhanced_rtmp_is_recorded(name: str, engine: EngineProcess, pyav: Pyav, samples: Samples) -> None:
    sample: Path = getattr(samples, name)
    for container, recording in IDS.items():
        engine.record("cam", container, recording)
    publisher = await pyav.publish(sample, engine.rtmp_url("live/cam"))
    for recording in IDS.values():
        await recorded(engine, recording, 2000)
    await publisher.stop()
    source = await pyav.packets(sample)
    for recording in IDS.values():
        ended = await engine.heard(FileEnded, lambda one, recording=recording: one.id == recording)  # type: ignore[misc]
        assert ended.facts is not None
        assert ended.facts.video == name
        path = engine.recordings / ended.path
        assert is_run_of(source, pyav_packets(path / "index.m3u8" if path.is_dir() else path), looped=False)
