"""Paths that lead nowhere else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.engine.recording.folder import Folder, parts_of

PATH = "demo/live/cam/one.mp4"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "demo",
        "demo/live/cam",
        "demo/live/cam/one.mp4/x",
        "/demo/live/one.mp4",
        "demo/../cam/one.mp4",
        "demo/./cam/one.mp4",
        "demo/live/cam/..",
        "demo//cam/one.mp4",
        "demo/live/cam/one\\..mp4",
        "demo/live/cam/one\0.mp4",
        "demo/live/cam/one\n.mp4",
        "demo/live/%2e%2e/one:mp4",
        f"demo/live/cam/{'x' * 256}",
    ],
)
def test_what_is_no_path_of_ours_is_refused_everywhere(path: str, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "r")
    with pytest.raises(ValueError, match="is no path of a recording"):
        parts_of(path)
    for do in (folder.make_file, folder.make_folder, folder.open_file, folder.open_folder, folder.remove):
        with pytest.raises(ValueError, match="is no path of a recording"):
            do(path)
    assert list(tmp_path.iterdir()) == []


def test_the_longest_names_have_a_place(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "r")
    path = "/".join(["x" * 255] * 4)
    os.close(folder.make_file(path))
    folder.remove(path)
    assert list((tmp_path / "r").iterdir()) == []


def test_a_file_is_always_new(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "r")
    os.close(folder.make_file(PATH))
    with pytest.raises(FileExistsError):
        folder.make_file(PATH)


@pytest.mark.parametrize("part", ["demo", "demo/live", "demo/live/cam", PATH])
def test_no_link_is_followed(part: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    inside = outside / Path(PATH).relative_to(part)
    inside.parent.mkdir(parents=True, exist_ok=True)
    inside.write_bytes(b"theirs")
    folder = Folder(tmp_path / "r")
    link = tmp_path / "r" / part
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    for do in (folder.make_file, folder.make_folder, folder.open_file, folder.open_folder):
        with pytest.raises(OSError):
            do(PATH)
    if part == PATH:
        folder.remove(PATH)  # the link itself
        assert not link.is_symlink()
    else:
        with pytest.raises(OSError):
            folder.remove(PATH)
    assert inside.read_bytes() == b"theirs"


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "r").symlink_to(tmp_path / "disk")
    os.close(Folder(tmp_path / "r").make_file(PATH))
    assert (tmp_path / "disk" / PATH).is_file()


def test_a_folder_that_is_removed_meanwhile_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, real, left = Folder(tmp_path / "r"), os.open, [2]

    def racing(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == "cam" and left[0]:
            left[0] -= 1
            os.rmdir(path, dir_fd=dir_fd)
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", racing)
    os.close(folder.make_file(PATH))
    assert left == [0]


def test_a_removal_leaves_what_is_not_empty(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "r")
    os.close(folder.make_folder("demo/live/cam/one"))
    (tmp_path / "r/demo/live/cam/one/0.m4s").touch()
    os.close(folder.make_file("demo/live/other/two.mp4"))
    folder.remove("demo/live/cam/one")
    assert sorted(path.name for path in (tmp_path / "r/demo/live").iterdir()) == ["other"]


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "r")
    before = len(os.listdir("/proc/self/fd"))
    os.close(folder.make_file(PATH))
    os.close(folder.open_file(PATH))
    attempts: list[Callable[[str], object]] = [folder.make_file, folder.make_folder, folder.open_folder]
    for do in attempts:
        with pytest.raises(OSError):
            do(PATH)
    folder.remove(PATH)
    folder.remove(PATH)
    assert len(os.listdir("/proc/self/fd")) == before


def test_only_files_are_opened_to_be_read(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "r")
    os.close(folder.make_file(PATH))
    os.close(folder.make_folder("demo/live/cam/hls"))
    inner = tmp_path / "r/demo/live/cam/hls"
    (inner / "index.m3u8").write_bytes(b"#EXTM3U")
    descriptor = folder.read_file("demo/live/cam/hls", "index.m3u8")
    assert os.read(descriptor, 100) == b"#EXTM3U"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(descriptor, b"x")
    os.close(descriptor)
    os.close(folder.read_file(PATH))
    (inner / "link").symlink_to(inner / "index.m3u8")
    os.mkfifo(inner / "pipe")
    for path, name in ((PATH, "x"), ("demo/live/cam/hls", ""), ("demo/live/cam/hls", "link")):
        with pytest.raises(OSError, match=r"."):
            folder.read_file(path, name)
    with pytest.raises(OSError, match="it is no file"):
        folder.read_file("demo/live/cam/hls", "pipe")
    for name in ("..", "a/b", "a\0b"):
        with pytest.raises(ValueError, match="is no file of a recording"):
            folder.read_file("demo/live/cam/hls", name)
