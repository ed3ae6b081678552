"""Files fetched whole before they are played, and kept for the next time: a folder that several workers share.

A file's name is made of its URL and of what its server calls its state, so a changed file is another one. Files
come into the folder whole, by a rename; the one that was not used for longest goes first. Whoever plays a file
holds it open, so nothing that goes takes it away from him.

The next file of a list is fetched while the one before is played, so that nobody waits for it at the joint.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final, cast

from msgspec import Struct

from penstock.errors import MediaError, PeerError, PenstockError
from penstock.workers.remote import Answer, Client, Facts, Meter, ask, pauses

SUFFIX: Final = ".media"
# Without a folder, a file that must be whole is held in a nameless one.
MAX_UNKEPT: Final = 8 * 1024**3
# A download that was given up is nobody's after so long.
STALE_S: Final = 24 * 3600


class TooLarge(MediaError):
    """The file does not fit, or nobody knows whether it does."""


class _Whole(Struct, frozen=True):
    """A file that was fetched, opened at its beginning."""

    file: io.BufferedReader
    facts: Facts


class _Ahead:
    """A file that a thread of its own fetches."""

    def __init__(self, url: str, fetch: Callable[[str], _Whole | None]) -> None:
        self.url = url
        self._fetch = fetch
        self._found: _Whole | None = None
        self._is_left = False
        self._changing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="ahead", daemon=True)
        self._thread.start()

    def take(self, url: str) -> _Whole | None:
        """Wait for it, if it is this file, and return it; None if it is not, or could not be had."""
        if url != self.url:
            self.leave()
            return None
        self._thread.join()
        return self._found

    def leave(self) -> None:
        """Nobody wants it any more."""
        with self._changing:
            self._is_left = True
            if self._found is not None:
                self._found.file.close()

    def _run(self) -> None:
        found = self._fetch(self.url)
        with self._changing:
            self._found = found
            if self._is_left and found is not None:
                found.file.close()


class Cache:
    def __init__(
        self, folder: str, most: int, client: Client, meter: Meter, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._folder = Path(folder) if folder else None
        self._most = most
        self._client, self._meter, self._sleep = client, meter, sleep
        self._ahead: _Ahead | None = None

    @property
    def most_bytes(self) -> int:
        """How large a file may be."""
        return self._most if self._folder is not None else self._most or MAX_UNKEPT

    def why_not(self, facts: Facts) -> str:
        """Say why a file is not to be fetched whole; nothing if it may be."""
        if facts.size is None:
            return "its server does not tell its size"
        if facts.size > self.most_bytes:
            return f"it has {facts.size} bytes; {self.most_bytes} may be kept"
        return ""

    def fetch(self, url: str) -> io.BufferedReader:
        """Return the whole file, opened; from the folder if it is there.

        Raises:
            TooLarge: it has more bytes than may be kept, or may have.
            MediaError, PeerError, NetworkRefused, OSError: it cannot be had, or not be written.
        """
        ahead, self._ahead = self._ahead, None
        found = ahead.take(url) if ahead is not None else None
        answer = ask(self._client, url)
        try:
            if found is not None:
                if found.facts.is_same(answer.facts):
                    return found.file
                found.file.close()
            return self._fetch(url, answer).file
        finally:
            answer.close()

    def fetch_ahead(self, url: str) -> None:
        """Begin to fetch the file that is wanted next."""
        if self._folder is None or (self._ahead is not None and self._ahead.url == url):
            return
        if self._ahead is not None:
            self._ahead.leave()
        self._ahead = _Ahead(url, self._fetch_unseen)

    def _fetch_unseen(self, url: str) -> _Whole | None:
        """Fetch a file; None where that fails, as whoever plays it will find out."""
        try:
            with contextlib.closing(ask(self._client, url)) as answer:
                return self._fetch(url, answer)
        except (PenstockError, OSError):
            self._meter.fetched_bytes = self._meter.fetch_size_bytes = 0
            return None

    def _fetch(self, url: str, answer: Answer) -> _Whole:
        facts = answer.facts
        if why := self.why_not(facts):
            raise TooLarge(why)
        self._meter.fetched_bytes, self._meter.fetch_size_bytes = 0, facts.size or 0
        if self._folder is None:
            file = cast(io.BufferedReader, tempfile.TemporaryFile())  # noqa: SIM115  the caller closes it
            self._fill(file, url, answer, facts, self.most_bytes)
            file.seek(0)
            return _Whole(file, facts)
        return _Whole(self._kept(self._folder, url, answer, facts, self.most_bytes), facts)

    def _kept(self, folder: Path, url: str, answer: Answer, facts: Facts, most: int) -> io.BufferedReader:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / (_key(url, facts) + SUFFIX)
        if facts.validator:
            with contextlib.suppress(FileNotFoundError):
                file = path.open("rb")
                os.utime(path)
                self._meter.fetched_bytes = facts.size or 0
                return file
        with tempfile.NamedTemporaryFile(dir=folder, delete=False, prefix="fetching-") as new:
            try:
                self._fill(new, url, answer, facts, most)
                new.flush()
                file = Path(new.name).open("rb")  # noqa: SIM115  the caller closes it
                Path(new.name).rename(path)
            except BaseException:
                Path(new.name).unlink(missing_ok=True)
                raise
        self._make_room(folder, path)
        return file

    def _fill(self, file: IO[bytes], url: str, first: Answer, facts: Facts, most: int) -> None:
        """Write a file's bytes, asking again from where an answer broke off."""
        answer: Answer | None = first
        done, waits = 0, pauses()
        while True:
            before = done
            try:
                answer = answer or ask(self._client, url, done, known=facts)
                skip = done - answer.offset
                for piece in answer.parts:
                    fresh, skip = piece[skip:], max(0, skip - len(piece))
                    file.write(fresh)
                    done += len(fresh)
                    self._meter.add(len(piece))
                    self._meter.fetched_bytes = done
                    if done > most:
                        raise TooLarge(f"the file has over {most} bytes, which may be kept")
                if facts.size is None or done >= facts.size:
                    return
                raise PeerError(f"the answer ended at byte {done} of {facts.size}")
            except PeerError:
                if done > before:
                    waits = pauses()
                if not waits:
                    raise
                self._sleep(waits.pop(0))
            finally:
                if answer is not None:
                    answer.close()
                answer = None

    def _make_room(self, folder: Path, new: Path) -> None:
        """Take away what was used longest ago, until the rest fits."""
        found: list[tuple[float, int, Path]] = []
        for path in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                known = path.stat()
                if path.suffix == SUFFIX and path != new:
                    found.append((known.st_mtime, known.st_size, path))
                elif path.name.startswith("fetching-") and time.time() - known.st_mtime > STALE_S:
                    path.unlink()
        total = sum(size for _, size, _ in found) + new.stat().st_size
        for _, size, path in sorted(found):
            if total <= self._most:
                break
            path.unlink(missing_ok=True)
            total -= size


def _key(url: str, facts: Facts) -> str:
    return hashlib.sha256(f"{url}\0{facts.validator}\0{facts.size}".encode()).hexdigest()[:40]
