"""The folder of recordings: every path in it is opened part by part, and no part may be a link.

Names are checked when they come in (`model.is_name`), and again here, as what is written must be inside
whatever else went wrong. Files are their owner's alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from penstock.model import is_name

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
# vhost, app, stream, file.
DEPTH: Final = 4
# A folder that a removal takes away meanwhile is made again.
ATTEMPTS: Final = 5

_TO_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TO_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_TO_OLD: Final = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe that lies there must not hold us


def parts_of(path: str) -> tuple[str, ...]:
    """Return the parts of a recording's path, as FileBegan tells it.

    Raises:
        ValueError: it could be no path of ours.
    """
    parts = tuple(path.split("/"))
    if len(parts) != DEPTH or not all(map(is_name, parts)):
        raise ValueError(f"{path!r:.300} is no path of a recording; wanted VHOST/APP/STREAM/FILE")
    return parts


class Folder:
    """Where recordings lie. All methods may block, and raise OSError."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def make_file(self, path: str) -> int:
        """Make a new file, and the folders above it; return its descriptor."""
        *above, name = parts_of(path)
        with self._made(above) as folder:
            return os.open(name, _TO_NEW, FILE_MODE, dir_fd=folder)

    def make_folder(self, path: str) -> int:
        """Make a new folder, and those above it; return its descriptor."""
        *above, name = parts_of(path)
        with self._made(above) as folder:
            os.mkdir(name, FOLDER_MODE, dir_fd=folder)
            return os.open(name, _TO_FOLDER, dir_fd=folder)

    def open_file(self, path: str) -> int:
        """Open an old file to be read and mended."""
        *above, name = parts_of(path)
        with self._opened(above) as folder:
            return os.open(name, os.O_RDWR | _TO_OLD, dir_fd=folder)

    def read_file(self, path: str, name: str = "") -> int:
        """Open a file to be read, or the one called `name` in the folder at `path`; nothing else lets itself be opened.

        Raises:
            OSError: it is not there, or it is a link, a pipe, a folder.
        """
        *above, last = parts_of(path)
        if name and not is_name(name):
            raise ValueError(f"{name!r:.300} is no file of a recording")
        with self._opened([*above, last] if name else above) as folder:
            descriptor = os.open(name or last, os.O_RDONLY | _TO_OLD, dir_fd=folder)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "it is no file", path)
        return descriptor

    def open_folder(self, path: str) -> int:
        *above, name = parts_of(path)
        with self._opened(above) as folder:
            return os.open(name, _TO_FOLDER, dir_fd=folder)

    def remove(self, path: str) -> None:
        """Delete a file, or a folder with the files in it; then the folders above it that are empty."""
        *above, name = parts_of(path)
        try:
            with self._opened(above) as folder:
                _remove(folder, name)
        except FileNotFoundError:
            return  # it is gone
        for depth in range(len(above), 0, -1):
            with contextlib.suppress(OSError), self._opened(above[: depth - 1]) as folder:
                os.rmdir(above[depth - 1], dir_fd=folder)

    @contextlib.contextmanager
    def _made(self, parts: Sequence[str]) -> Iterator[int]:
        for attempt in range(ATTEMPTS):
            try:
                # The folder itself, and none above it: where a disk is not mounted, nothing is to be made.
                with contextlib.suppress(FileExistsError):
                    os.mkdir(self.root, FOLDER_MODE)
                folder = self._open(parts, make=True)
                break
            except FileNotFoundError:
                if attempt == ATTEMPTS - 1 or not self.root.is_dir():
                    raise
        try:
            yield folder
        finally:
            os.close(folder)

    @contextlib.contextmanager
    def _opened(self, parts: Sequence[str]) -> Iterator[int]:
        folder = self._open(parts, make=False)
        try:
            yield folder
        finally:
            os.close(folder)

    def _open(self, parts: Sequence[str], *, make: bool) -> int:
        # The folder of recordings may itself be a link: that is its owner's own choice.
        folder = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for part in parts:
            try:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, FOLDER_MODE, dir_fd=folder)
                inner = os.open(part, _TO_FOLDER, dir_fd=folder)
            finally:
                os.close(folder)
            folder = inner
        return folder


def _remove(folder: int, name: str) -> None:
    try:
        inner = os.open(name, _TO_FOLDER, dir_fd=folder)
    except NotADirectoryError:  # a file, or a link, which goes itself and not what it leads to
        os.unlink(name, dir_fd=folder)
        return
    try:
        for entry in os.listdir(inner):
            os.unlink(entry, dir_fd=inner)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=folder)
