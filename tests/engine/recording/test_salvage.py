"""`kill -9` at any byte: what is left is cut to its last whole piece, and says what is in it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from penstock.engine.recording.folder import Folder
from penstock.engine.recording.salvage import inspect
from penstock.link.recording import Container, FileBegan, FileEnded, FileFacts
from penstock.protocols import flv
from tests.e2e.media import Samples
from tests.engine.recording.kit import Frame, Studio, between, ffprobe_packets, frames, packets, probe, tags_of
from tests.engine.test_segments import SETUP, mixed, pictures, sounds

SAMPLES = Samples()


def recorded(root: Path, container: Container, *, one_file: bool = False) -> tuple[str, Path]:
    """A file as it is on the disk while the stream goes on, of made-up frames: small enough for every byte."""
    studio = Studio(root)
    studio.record(container, one_file=one_file)
    studio.begin()
    studio.send(*SETUP, *mixed(pictures(26.0 if container == Container.HLS else 3.0), sounds(3.0)))
    (began,) = studio.heard(FileBegan)
    return began.path, root / began.path


def cut(root: Path, path: str, data: bytes) -> FileFacts | None:
    (root / path).write_bytes(data)
    return inspect(Folder(root), path)


@pytest.mark.parametrize("container", [Container.MP4, Container.FLV])
def test_a_file_cut_at_any_byte_is_whole_up_to_its_last_piece(container: Container, tmp_path: Path) -> None:
    path, file = recorded(tmp_path / "r", container)
    data = file.read_bytes()
    whole = frames(file)
    last: list[Frame] = []
    for size in [*range(2000), *range(2000, len(data), 37), len(data)]:
        facts = cut(tmp_path / "r", path, data[:size])
        if facts is None:
            assert not last
            continue
        got = frames(file)
        assert got == whole[: len(got)]
        assert len(got) >= len(last)
        assert facts.size_bytes == file.stat().st_size <= size
        assert not facts.is_whole
        assert facts.gaps == ()
        assert facts.duration_ms == pytest.approx(max(one.dts_ms for one in got), abs=60)
        # Once mended, it is as it is.
        assert inspect(Folder(tmp_path / "r"), path) == facts
        last = got
    assert last == whole


@pytest.mark.parametrize("container", [Container.MP4, Container.FLV])
def test_what_a_power_cut_leaves_behind_is_cut_off_too(container: Container, tmp_path: Path) -> None:
    path, file = recorded(tmp_path / "r", container)
    data = file.read_bytes()
    whole = frames(file)
    for tail in (bytes(4096), os.urandom(4096), data[:500]):
        facts = cut(tmp_path / "r", path, data + tail)
        assert facts is not None
        assert frames(file) == whole
        assert file.stat().st_size == len(data)


@pytest.mark.parametrize("name", ["h264", "b_frames", "hevc", "av1"])
@pytest.mark.parametrize("container", [Container.MP4, Container.FLV])
def test_real_players_play_what_is_left(name: str, container: Container, tmp_path: Path) -> None:
    sample: Path = getattr(SAMPLES, name)
    studio = Studio(tmp_path / "r")
    studio.record(container)
    studio.begin()
    studio.send(*between(tags_of(sample), 0, 4000))
    (file,) = studio.began()
    source, data = [one.identity for one in packets(file)], file.read_bytes()
    is_read = not (container == Container.FLV and name in ("hevc", "av1"))
    for part in (0.5, 0.77, 0.99):
        (began,) = studio.heard(FileBegan)
        facts = cut(tmp_path / "r", began.path, data[: int(len(data) * part)])
        assert facts is not None
        got = [one.identity for one in (ffprobe_packets if is_read else packets)(file)]
        assert 0 < len(got) < len(source)
        assert (facts.video, facts.audio) == ({"hevc": "hevc", "av1": "av1"}.get(name, "avc"), "aac")
        if is_read:
            assert float(probe(file)["format"]["duration"]) == pytest.approx(facts.duration_ms / 1000, abs=0.15)


def test_a_folder_of_hls_ends_behind_its_last_whole_segment(tmp_path: Path) -> None:
    path, folder = recorded(tmp_path / "r", Container.HLS)
    text = (folder / "index.m3u8").read_text()
    assert "ENDLIST" not in text
    names = [line for line in text.splitlines() if line.endswith(".m4s")]
    assert len(names) == 6
    # Killed while it wrote the next one, and the playlist.
    (folder / "6.m4s").write_bytes((folder / "5.m4s").read_bytes()[:700])
    (folder / "index.m3u8.part").write_text(text[:100])
    whole = frames(folder)
    facts = inspect(Folder(tmp_path / "r"), path)
    assert facts is not None
    assert frames(folder) == whole
    assert (folder / "index.m3u8").read_text() == text + "#EXT-X-ENDLIST\n"
    assert sorted(os.listdir(folder)) == sorted(["index.m3u8", "init-0.mp4", *names])
    assert facts.size_bytes == sum(file.stat().st_size for file in folder.iterdir())
    assert facts.duration_ms == pytest.approx(24_000, abs=50)
    assert (facts.video, facts.audio, facts.is_whole) == ("avc", "aac", False)
    assert inspect(Folder(tmp_path / "r"), path) == FileFacts(
        facts.size_bytes, facts.duration_ms, "avc", "aac", (), is_whole=True
    )


@pytest.mark.parametrize("harm", ["cut", "gone", "a link", "another file"])
def test_a_segment_that_is_not_whole_ends_the_playlist(harm: str, tmp_path: Path) -> None:
    path, folder = recorded(tmp_path / "r", Container.HLS)
    segment = folder / "3.m4s"
    data = segment.read_bytes()
    segment.unlink()
    if harm == "cut":
        segment.write_bytes(data[:-1])
    elif harm == "a link":
        (tmp_path / "outside").write_bytes(data)
        segment.symlink_to(tmp_path / "outside")
    elif harm == "another file":
        segment.write_bytes(b"#!/bin/sh\n" * 20)
    facts = inspect(Folder(tmp_path / "r"), path)
    assert facts is not None
    assert facts.duration_ms == pytest.approx(12_000, abs=50)
    assert not segment.exists()
    if harm == "a link":
        assert (tmp_path / "outside").read_bytes() == data


def test_a_gap_between_sessions_is_found_again(tmp_path: Path) -> None:
    for container in Container:
        studio = Studio(tmp_path / container)
        studio.record(container, one_file=True)
        for _ in range(2):
            studio.begin()
            studio.send(*SETUP, *mixed(pictures(2.0), sounds(2.0)))
            studio.end()
            studio.clock.advance(5)
        (began,) = studio.heard(FileBegan)
        facts = inspect(studio.folder, began.path)
        studio.stop()
        (ended,) = studio.heard(FileEnded)
        assert facts is not None
        assert ended.facts is not None
        (found,), (told,) = facts.gaps, ended.facts.gaps
        assert found.at_ms == pytest.approx(told.at_ms, abs=50)
        assert found.length_ms == pytest.approx(told.length_ms, abs=60)


@pytest.mark.parametrize("container", Container)
def test_nothing_is_nothing(container: Container, tmp_path: Path) -> None:
    path, place = recorded(tmp_path / "r", container)
    if place.is_dir():
        (place / "index.m3u8").write_bytes(b"")
        assert inspect(Folder(tmp_path / "r"), path) is None
        shutil.rmtree(place)
    else:
        for data in (b"", b"FLV", bytes(100), b"<html>", os.urandom(5000)):
            assert cut(tmp_path / "r", path, data) is None
        place.unlink()
    with pytest.raises(FileNotFoundError):
        inspect(Folder(tmp_path / "r"), path)


def test_a_pipe_or_a_folder_in_its_place_is_no_file(tmp_path: Path) -> None:
    path, file = recorded(tmp_path / "r", Container.MP4)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(OSError, match="it is no file"):
        inspect(Folder(tmp_path / "r"), path)
    file.unlink()
    file.mkdir()
    with pytest.raises(IsADirectoryError):
        inspect(Folder(tmp_path / "r"), path)


def test_a_body_ends_where_its_tag_does(tmp_path: Path) -> None:
    """A body too short to be a frame is none, whatever the next tag begins with."""
    path, _ = recorded(tmp_path / "r", Container.FLV)
    short = flv.tag(flv.VIDEO, 0, b"\x91hv")
    data = flv.file_header(audio=True, video=True) + short + flv.tag(flv.AUDIO, 0, b"\xaf\x01sound") + short
    assert cut(tmp_path / "r", path, data) == FileFacts(len(data), 0, "", "aac", (), is_whole=False)
