"""The writing thread: in order, never on the event loop, and alive whatever happens."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import threading
from functools import partial
from pathlib import Path

import pytest

from penstock.engine.recording.disk import DiskThread, FileTarget, FolderTarget, explain, finish, make_target
from penstock.engine.recording.folder import Folder
from penstock.engine.recording.ops import Append, Patch, Put, Swap

WITHIN_S = 5.0
PATH = "demo/live/cam/one"


async def results(disk: DiskThread, *works: object) -> list[object]:
    found: list[object] = []
    done = asyncio.Event()

    def take(result: object) -> None:
        found.append(result)
        if len(found) == len(works):
            done.set()

    for work in works:
        disk.put(work, take)  # type: ignore[arg-type]
    async with asyncio.timeout(WITHIN_S):
        await done.wait()
    return found


@pytest.fixture
def loop_thread() -> int:
    return threading.get_ident()


async def test_work_is_done_in_its_order_by_another_thread_and_told_on_the_loop(loop_thread: int) -> None:
    disk = DiskThread("test", asyncio.get_running_loop().call_soon_threadsafe)
    order: list[int] = []

    def work(number: int) -> int:
        order.append(number)
        return threading.get_ident()

    found = await results(disk, *(partial(work, number) for number in range(20)))
    assert order == list(range(20))
    assert set(found) == {disk._thread.ident}
    assert disk._thread.ident != loop_thread
    disk.close()
    disk._thread.join(WITHIN_S)
    assert not disk._thread.is_alive()


async def test_a_failure_is_told_and_a_fault_costs_no_other_work(caplog: pytest.LogCaptureFixture) -> None:
    disk = DiskThread("test", asyncio.get_running_loop().call_soon_threadsafe)

    def fail() -> None:
        raise OSError(errno.EIO, "broken")

    def fault() -> None:
        raise KeyError("ours")

    with caplog.at_level(logging.CRITICAL):
        one, two, three = await results(disk, fail, fault, lambda: 3)
    assert isinstance(one, OSError)
    assert one.errno == errno.EIO
    assert isinstance(two, OSError)
    assert "a fault of our own" in str(two.strerror)
    assert three == 3
    disk.close()


async def test_a_disk_that_never_answers_holds_up_neither_the_loop_nor_the_end() -> None:
    disk = DiskThread("test", asyncio.get_running_loop().call_soon_threadsafe)
    stuck, began = threading.Event(), threading.Event()

    def hang() -> bool:
        began.set()
        return stuck.wait(WITHIN_S)

    disk.put(hang, lambda _: None)
    assert await asyncio.to_thread(began.wait, WITHIN_S)
    assert disk._thread.daemon
    disk.close()
    stuck.set()
    await asyncio.to_thread(disk._thread.join, WITHIN_S)


def file_target(tmp_path: Path) -> tuple[FileTarget, Path]:
    target = make_target(Folder(tmp_path / "r"), PATH, is_folder=False, reserve_bytes=0)
    assert isinstance(target, FileTarget)
    return target, tmp_path / "r" / PATH


def test_a_file_grows_and_is_patched_in_its_middle(tmp_path: Path) -> None:
    target, path = file_target(tmp_path)
    target.do([Append(b"abc"), Append(b"def")])
    target.do([Patch(1, b"BC"), Append(b"g")])
    finish(target, [Patch(0, b"A")])
    assert path.read_bytes() == b"ABCdefg"


def test_what_fails_leaves_the_file_as_it_was_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, path = file_target(tmp_path)
    target.do([Append(b"whole")])
    real, left = os.pwrite, [2]

    def one_by_one(descriptor: int, data: bytes, at: int) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, "full")
        left[0] -= 1
        return real(descriptor, data[:1], at)

    monkeypatch.setattr(os, "pwrite", one_by_one)
    with pytest.raises(OSError, match="full"):
        target.do([Append(b"torn")])
    monkeypatch.undo()
    assert target.is_broken
    assert path.read_bytes() == b"whole"
    finish(target, [Patch(0, b"W")])
    assert path.read_bytes() == b"Whole"


def test_a_folder_gets_files_and_loses_those_of_a_step_that_failed(tmp_path: Path) -> None:
    target = make_target(Folder(tmp_path / "r"), PATH, is_folder=True, reserve_bytes=0)
    assert isinstance(target, FolderTarget)
    folder = tmp_path / "r" / PATH
    target.do([Put("0.m4s", b"one"), Swap("index.m3u8", b"#")])
    (folder / "1.m4s").write_bytes(b"somebody's")
    with pytest.raises(FileExistsError):
        target.do([Put("init-1.mp4", b"init"), Put("1.m4s", b"two"), Swap("index.m3u8", b"##")])
    assert sorted(os.listdir(folder)) == ["0.m4s", "index.m3u8"]
    assert (folder / "index.m3u8").read_bytes() == b"#"
    finish(target, [Swap("index.m3u8", b"#END")])
    assert (folder / "index.m3u8").read_bytes() == b"#END"


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_every_error_names_the_path_and_what_to_do(number: int) -> None:
    text = explain(OSError(number, os.strerror(number)), "/data/x.mp4")
    assert text.startswith(f"/data/x.mp4: {os.strerror(number)}; ")
    assert "record again" in text
