"""The threads that write: whatever a disk does, the event loop waits for none of it.

One thread writes the files of all recordings, in the order in which it was asked; another one removes
them, as a large file may take long. What they are asked is bounded by who asks (`output.Budget`).
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

from penstock.engine.recording.folder import FILE_MODE, Folder
from penstock.engine.recording.ops import Append, Op, Patch, Put, Swap

log = logging.getLogger("penstock.engine.recording")

T = TypeVar("T")

Done = Callable[[T | OSError], None]
Soon = Callable[[Callable[[], None]], object]

MIB: Final = 1024 * 1024


class Disk(Protocol):
    """Does work that may block; `done` is called by the event loop, with what came of it."""

    def put(self, work: Callable[[], T], done: Done[T]) -> None: ...


class DiskThread:
    """One thread. It is a daemon: a disk that never answers does not hold up the process's end."""

    def __init__(self, name: str, soon: Soon) -> None:
        """`soon` has something called by the event loop, from any thread."""
        self._soon = soon
        self._works: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, work: Callable[[], T], done: Done[T]) -> None:
        def do() -> None:
            try:
                result: T | OSError = work()
            except OSError as error:
                result = error
            except Exception as fault:  # the thread serves all recordings, and goes on for the others
                log.exception("a fault of our own in a recording")
                result = OSError(0, f"a fault of our own: {fault}")
            # The loop may be gone by now, and nobody wants to know.
            with contextlib.suppress(RuntimeError):
                self._soon(lambda: done(result))

        self._works.put(do)

    def close(self) -> None:
        """End once all that was asked is done; does not wait."""
        self._works.put(None)

    def _run(self) -> None:
        while (work := self._works.get()) is not None:
            work()


class Target(Protocol):
    """An open file or folder, as the thread has it."""

    @property
    def is_broken(self) -> bool: ...
    def do(self, ops: Sequence[Op]) -> None: ...
    def do_one(self, op: Op) -> None: ...
    def close(self) -> None: ...


class _Broken:
    """Once something failed, what was meant to follow it is left out: there would be a hole."""

    def __init__(self, descriptor: int, reserve_bytes: int) -> None:
        self.descriptor = descriptor
        self.is_broken = False
        self._reserve_bytes = reserve_bytes

    def close(self) -> None:
        os.close(self.descriptor)

    def _check(self) -> None:
        """Raises OSError where writing on makes no sense, though it might still go."""
        if not os.fstat(self.descriptor).st_nlink:
            raise FileNotFoundError(errno.ENOENT, "it was deleted while it was written")
        found = os.fstatvfs(self.descriptor)
        free = found.f_bavail * found.f_frsize
        if free < self._reserve_bytes:
            kept = self._reserve_bytes // MIB
            raise OSError(
                errno.ENOSPC, f"{free // MIB} MiB of its disk are left, and recording.min_free_mib keeps {kept}"
            )


class FileTarget(_Broken):
    """One file that grows."""

    def __init__(self, descriptor: int, reserve_bytes: int) -> None:
        super().__init__(descriptor, reserve_bytes)
        self._size = 0

    def do(self, ops: Sequence[Op]) -> None:
        """Do all of `ops`; if one of them fails, the file ends where it did before them."""
        size = self._size
        try:
            self._check()
            for op in ops:
                self.do_one(op)
        except OSError:
            self.is_broken = True
            self._size = size
            with contextlib.suppress(OSError):
                os.ftruncate(self.descriptor, size)
            raise

    def do_one(self, op: Op) -> None:
        if isinstance(op, Append):
            _write(self.descriptor, op.data, self._size)
            self._size += len(op.data)
        elif isinstance(op, Patch):
            _write(self.descriptor, op.data, op.at)


class FolderTarget(_Broken):
    """A folder that files are added to."""

    def do(self, ops: Sequence[Op]) -> None:
        """Do all of `ops`; if one of them fails, the files that they made are gone again."""
        made: list[str] = []
        try:
            self._check()
            for op in ops:
                if isinstance(op, Put):
                    made.append(op.name)
                self.do_one(op)
        except OSError:
            self.is_broken = True
            for name in made:
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=self.descriptor)
            raise

    def do_one(self, op: Op) -> None:
        if isinstance(op, Put):
            make_in(self.descriptor, op.name, op.data)
        elif isinstance(op, Swap):
            swap(self.descriptor, op.name, op.data)


def make_in(folder: int, name: str, data: bytes) -> None:
    """Make a new file in an open folder."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, FILE_MODE, dir_fd=folder)
    try:
        _write(descriptor, data, 0)
    finally:
        os.close(descriptor)


def swap(folder: int, name: str, data: bytes) -> None:
    """Replace a file in an open folder, or make it: it is the old one or the new one at any moment."""
    part = f"{name}.part"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(part, dir_fd=folder)
    try:
        make_in(folder, part, data)
        os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(part, dir_fd=folder)
        raise


def _write(descriptor: int, data: bytes, at: int) -> None:
    """Write all of `data`: a disk that fills up takes a part of it first."""
    rest = memoryview(data)
    while rest:
        count = os.pwrite(descriptor, rest, at)
        rest, at = rest[count:], at + count


def make_target(folder: Folder, path: str, *, is_folder: bool, reserve_bytes: int) -> Target:
    """Make a recording's file or folder, where there is room for one."""
    if is_folder:
        return FolderTarget(folder.make_folder(path), reserve_bytes)
    return FileTarget(folder.make_file(path), reserve_bytes)


def finish(target: Target, ops: Sequence[Op]) -> None:
    """Do what can be done of the last words, and close."""
    try:
        # Its own room was kept for this: the reserve does not count any more.
        for op in ops:
            with contextlib.suppress(OSError):
                target.do_one(op)
    finally:
        target.close()


# What to do about an error of the system's, by its number; "" where its own words are all that can be said.
_ADVICE: Final = {
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "raise the quota, or make room",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f)",
    errno.EIO: "look after that disk",
    errno.ENOENT: "make the folder again, and mount what belongs there",
    errno.EROFS: "mount that disk so that it can be written",
    errno.EACCES: "let the server's user write there",
    errno.EPERM: "let the server's user write there",
    errno.ELOOP: "take away the link that lies there: none is followed",
    errno.ENOTDIR: "take away what lies there and is no folder",
    errno.EMFILE: "raise the limit of open files",
    errno.ENFILE: "raise the system's limit of open files",
}


def explain(error: OSError, path: str) -> str:
    """Return one sentence: which path, what the system said, and what to do."""
    said = error.strerror or str(error)
    advice = _ADVICE.get(error.errno or 0, "")
    tail = f"; {advice}, then record again" if advice else "; record again once that is mended"
    return f"{path}: {said}{tail}"
