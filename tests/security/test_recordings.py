"""1, 12, 30, 32. Files of recordings: names and links that lead elsewhere, boxes that lie, disks that are full."""

from __future__ import annotations

import os
import resource
import struct
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock.link.recording import (
    Container,
    FileBegan,
    FileEnded,
    FileRemoved,
    Inspect,
    RecordingState,
    RecordingTold,
    RemoveFile,
)
from penstock.workers.inspector import Question, answer
from tests.e2e.conftest import curl, ffmpeg, samples
from tests.e2e.engine import EngineProcess
from tests.e2e.media import Samples
from tests.e2e.peers import Curl, Ffmpeg
from tests.engine.recording.kit import Studio, packets
from tests.engine.recording.test_salvage import recorded
from tests.engine.test_segments import SETUP, pictures
from tests.security.test_outages import limited

__all__ = ["curl", "ffmpeg", "samples"]

ID = "0" * 32
HOSTILE = (
    "../../../etc/passwd",
    "/etc/passwd/x/y",
    "demo/live/cam/../../../../secret",
    "demo/live/%2e%2e/secret",
    "demo/live/cam/..",
    "demo\\live\\cam\\x",
    "demo/live/cam/x\0.mp4",
    "demo/live/cam/C:",
    f"demo/live/cam/{'x' * 300}",
)


@pytest.mark.parametrize("path", HOSTILE)
def test_1_no_path_from_outside_is_read_or_removed(path: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"theirs")
    studio = Studio(tmp_path / "recordings")
    studio.desk.receive(Inspect(ID, path))
    (ended,) = studio.heard(FileEnded)
    assert ended.facts is None
    assert "is no path of a recording" in ended.why
    studio.desk.receive(RemoveFile(ID, path))
    (removed,) = studio.heard(FileRemoved)
    assert "is no path of a recording" in removed.error
    assert secret.read_bytes() == b"theirs"


@pytest.mark.parametrize("part", ["demo", "demo/live", "demo/live/cam"])
@pytest.mark.parametrize("container", Container)
def test_1_a_link_in_the_folder_fails_a_recording_and_nothing_is_written_behind_it(
    part: str, container: Container, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    studio = Studio(tmp_path / "recordings")
    link = studio.root / part
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    studio.record(container)
    studio.begin()
    studio.send(*SETUP, *pictures(20.0))
    assert studio.state == RecordingState.FAILED
    assert "take away" in studio.error
    assert list(outside.iterdir()) == []
    assert studio.publication is not None
    assert studio.hub.publications() == [studio.publication]


@pytest.mark.parametrize("container", Container)
def test_32_what_became_a_link_is_neither_read_nor_mended(container: Container, tmp_path: Path) -> None:
    path, place = recorded(tmp_path / "r", container)
    outside = tmp_path / "outside"
    place.rename(outside)
    place.symlink_to(outside)
    before = {file: file.read_bytes() for file in ([outside] if outside.is_file() else outside.iterdir())}
    told = answer(Question(str(tmp_path / "r"), path))
    assert told.facts is None
    assert {file: file.read_bytes() for file in before} == before
    studio = Studio(tmp_path / "r")
    studio.desk.receive(RemoveFile(ID, path))
    assert studio.heard(FileRemoved)[0].error == ""
    assert not place.is_symlink()
    assert {file: file.read_bytes() for file in before} == before


def deep(levels: int) -> bytes:
    data = b""
    for _ in range(levels):
        data = struct.pack(">I4s", 8 + len(data), b"moov") + data
    return data


HEAD = b"\0\0\0\x10ftypiso6\0\0\0\0"


@pytest.mark.parametrize(
    "data",
    [
        HEAD + bytes(100_000),
        HEAD + struct.pack(">I4sQ", 1, b"moov", 1 << 62),
        HEAD + struct.pack(">I4s", 0xFFFFFFFF, b"moov") + bytes(1000),
        HEAD + deep(10_000),
        HEAD * 500_000,
        HEAD + struct.pack(">I4s", 8, b"moof") * 200_000,
    ],
    ids=["size 0", "64 bits", "past the end", "deep", "half a million boxes", "empty fragments"],
)
def test_12_boxes_that_lie_are_read_within_bounds_and_nothing_is_believed(data: bytes, tmp_path: Path) -> None:
    path, file = recorded(tmp_path / "r", Container.MP4)
    for hostile in (data, file.read_bytes() + data):
        file.write_bytes(hostile)
        began = time.process_time()
        facts = answer(Question(str(tmp_path / "r"), path)).facts
        assert time.process_time() - began < 5
        if facts is not None:
            assert facts.duration_ms < 10_000
            assert file.stat().st_size == facts.size_bytes


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[EngineProcess]:
    engine = EngineProcess(tmp_path)
    try:
        await engine.start()
        yield engine
    finally:
        engine.close()
    assert "Traceback" not in engine.log.text()


@pytest.mark.parametrize("container", [Container.MP4, Container.FLV])
async def test_30_a_disk_that_takes_no_more_ends_the_recording_and_no_stream(
    container: Container, engine: EngineProcess, ffmpeg: Ffmpeg, curl: Curl, samples: Samples, tmp_path: Path
) -> None:
    engine.record("cam", container, ID)
    await ffmpeg.publish(samples.h264, engine.rtmp_url("live/cam"))
    player = await curl.play(engine.flv_url("live/cam"), tmp_path / "played.flv")
    told = await engine.heard(RecordingTold, lambda one: one.duration_ms >= 1500)
    with limited(engine.pid, resource.RLIMIT_FSIZE, told.size_bytes + 1000):
        failed = await engine.heard(RecordingTold, lambda one: one.state == RecordingState.FAILED)
        ended = await engine.heard(FileEnded)
    path = engine.recordings / engine.all_heard(FileBegan)[0].path
    assert str(path) in failed.error
    assert "File too large; raise the limit of file sizes" in failed.error
    assert ended.why == failed.error
    assert ended.facts is not None
    assert path.stat().st_size == ended.facts.size_bytes
    assert len(packets(path)) > 100
    # Whoever plays goes on, and whoever records again does.
    size = (tmp_path / "played.flv").stat().st_size
    engine.record("cam", container, "1" * 32)
    await engine.heard(RecordingTold, lambda one: one.id == "1" * 32 and one.duration_ms >= 1000)
    assert player.running
    assert (tmp_path / "played.flv").stat().st_size > size


async def test_30_without_descriptors_a_recording_fails_and_the_stream_goes_on(
    engine: EngineProcess, ffmpeg: Ffmpeg, samples: Samples
) -> None:
    await ffmpeg.publish(samples.h264, engine.rtmp_url("live/cam"))
    engine.record("other", Container.MP4, "1" * 32)
    await engine.heard(RecordingTold)
    with limited(engine.pid, resource.RLIMIT_NOFILE, 3):
        engine.record("cam", Container.MP4, ID)
        failed = await engine.heard(RecordingTold, lambda one: one.state == RecordingState.FAILED)
    assert "Too many open files; raise the limit of open files" in failed.error
    engine.record("cam", Container.MP4, "2" * 32)
    await engine.heard(RecordingTold, lambda one: one.id == "2" * 32 and one.duration_ms >= 1000)
    assert os.listdir(engine.recordings)
