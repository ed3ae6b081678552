"""A disk that does not take it: the recording fails and says so, its file ends in order, the stream goes on."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.engine.recording import disk
from penstock.engine.recording.recorder import RecordingPolicy
from penstock.link.messages import EndReason
from penstock.link.recording import Container, FileEnded, RecordingState
from tests.clock import START
from tests.engine.recording.kit import Studio, frames, probe
from tests.engine.test_segments import SETUP, mixed, pictures, sounds

FAILED, STOPPED = RecordingState.FAILED, RecordingState.STOPPED


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path / "recordings")


def on_air(studio: Studio, container: Container = Container.MP4, *, seconds: float = 16.0) -> Path:
    studio.record(container)
    studio.begin()
    studio.send(*SETUP, *mixed(pictures(seconds), sounds(seconds)))
    (path,) = studio.began()
    return path


def assert_failed_in_order(studio: Studio, path: Path, said: str) -> None:
    assert studio.state == FAILED
    (ended,) = studio.heard(FileEnded)
    assert studio.error == ended.why
    assert str(path) in studio.error
    assert said in studio.error
    assert studio.publication is not None
    # The stream is none the worse.
    assert studio.hub.publications() == [studio.publication]
    studio.send(*pictures(2.0, from_s=30.0))
    assert len(studio.began()) == 1
    assert studio.desk.ids != ()


@pytest.mark.parametrize("container", Container)
def test_a_write_that_fails_in_its_middle_leaves_a_file_up_to_the_one_before(
    container: Container, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = on_air(studio, container)
    real, left = os.pwrite, [3000]

    def full(descriptor: int, data: bytes, at: int) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = real(descriptor, data[: left[0]], at)
        left[0] -= count
        return count

    monkeypatch.setattr(os, "pwrite", full)
    studio.send(*mixed(pictures(10.0, from_s=16.0), sounds(10.0, from_s=16.0)))
    monkeypatch.undo()
    assert_failed_in_order(studio, path, "No space left on device; make room on that disk, then record again")
    (facts,) = studio.facts()
    assert facts is not None
    assert facts.is_whole
    got = frames(path)
    assert max(one.dts_ms for one in got) <= facts.duration_ms + 50
    files = list(path.iterdir()) if path.is_dir() else [path]
    size = sum(file.stat().st_size for file in files)
    # The playlist's end could not be written, nor the file's length: what there is is the same.
    assert size == facts.size_bytes
    assert studio.inspect(studio.heard(FileEnded)[0].path).facts is not None
    assert float(probe(path / "index.m3u8" if path.is_dir() else path)["format"]["duration"]) > 10


def test_a_real_limit_of_a_files_size_is_such_an_error(studio: Studio) -> None:
    path = on_air(studio, seconds=2.0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 500, limits[1]))
        studio.send(*pictures(3.0, from_s=2.0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert_failed_in_order(studio, path, "File too large; raise the limit of file sizes")
    # Its length was written into its place all the same.
    (facts,) = studio.facts()
    assert facts is not None
    assert float(probe(path)["format"]["duration"]) == pytest.approx(facts.duration_ms / 1000, abs=0.1)


def test_a_reserve_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    studio = Studio(tmp_path / "r", RecordingPolicy(reserve_bytes=100 * disk.MIB))
    found = os.statvfs(tmp_path)
    blocks = [200 * disk.MIB // found.f_frsize]
    values = list(found)

    def fstatvfs(_descriptor: int) -> os.statvfs_result:
        values[4] = blocks[0]  # f_bavail
        return os.statvfs_result(values)

    monkeypatch.setattr(os, "fstatvfs", fstatvfs)
    path = on_air(studio, seconds=3.0)
    assert studio.state == RecordingState.RECORDING
    blocks[0] = 99 * disk.MIB // found.f_frsize
    studio.send(*pictures(3.0, from_s=3.0))
    assert_failed_in_order(studio, path, "99 MiB of its disk are left, and recording.min_free_mib keeps 100")


def gone(root: Path, _path: Path) -> None:
    shutil.rmtree(root)


def file_gone(_root: Path, path: Path) -> None:
    path.unlink() if path.is_file() else shutil.rmtree(path)


@pytest.mark.parametrize("container", Container)
@pytest.mark.parametrize("harm", [gone, file_gone])
def test_what_is_deleted_while_it_is_written_is_a_failure(
    harm: Callable[[Path, Path], None], container: Container, studio: Studio
) -> None:
    path = on_air(studio, container)
    harm(studio.root, path)
    studio.send(*mixed(pictures(10.0, from_s=16.0), sounds(10.0, from_s=16.0)))
    assert_failed_in_order(studio, path, "deleted while it was written; make the folder again")


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EROFS, "Read-only file system; mount that disk so that it can be written"),
        (errno.EACCES, "Permission denied; let the server's user write there"),
        (errno.EMFILE, "Too many open files; raise the limit of open files"),
        (errno.EIO, "Input/output error; look after that disk"),
    ],
)
def test_a_folder_that_takes_no_file_is_a_failure(
    number: int, said: str, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_options: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    path = on_air(studio)
    monkeypatch.undo()
    assert_failed_in_order(studio, path, said)
    assert studio.facts() == [None]


def test_where_the_folder_around_it_is_missing_nothing_is_made(tmp_path: Path) -> None:
    studio = Studio(tmp_path / "not mounted" / "recordings")
    path = on_air(studio)
    assert_failed_in_order(studio, path, "No such file or directory; make the folder again")
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_which_nothing_was_written_is_no_file(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "pwrite", refuse)
    on_air(studio)
    assert studio.facts() == [None]
    assert not any(path.is_file() for path in studio.root.rglob("*"))


def test_a_failure_behind_the_end_is_no_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end was asked for while the write that fails still waited."""
    studio = Studio(tmp_path / "r")
    path = on_air(studio, seconds=3.0)
    size = path.stat().st_size
    studio.disk.at_once = False
    studio.send(*mixed(pictures(2.0, from_s=3.0), sounds(2.0, from_s=3.0)))
    studio.end()
    real = os.pwrite

    def refuse(descriptor: int, data: bytes, at: int) -> int:
        if at >= size:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(descriptor, data, at)

    monkeypatch.setattr(os, "pwrite", refuse)
    studio.disk.at_once = True
    studio.disk.work()
    assert studio.state == FAILED
    (facts,) = studio.facts()
    assert facts is not None
    assert facts.size_bytes == path.stat().st_size == size
    assert float(probe(path)["format"]["duration"]) == pytest.approx(facts.duration_ms / 1000, abs=0.1)


def test_one_that_failed_stays_so_until_it_is_stopped_and_recorded_again(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = on_air(studio, seconds=3.0)
    path.unlink()
    studio.send(*pictures(2.0, from_s=3.0))
    assert studio.state == FAILED
    studio.record()
    studio.end(EndReason.LEFT)
    studio.begin()
    studio.send(*SETUP, *pictures(2.0))
    assert studio.state == FAILED
    assert len(studio.began()) == 1
    studio.stop()
    assert studio.state == STOPPED
    studio.record()
    assert studio.state == RecordingState.WAITING
    studio.send(*pictures(2.0, from_s=2.0))
    assert len(studio.began()) == 2
    assert studio.clock.now() > START
