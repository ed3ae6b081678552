"""A file on an HTTP server, as a file: read, seek, tell; fetched ahead, and taken up again where it broke off.

The plan: a file is one or a few stretches, each one request whose answer a thread reads ahead into a bounded
window. A read outside of all windows begins another stretch, so that files whose sound and picture lie far
apart, or whose index is at the end, are read without fetching anything twice. A broken answer is asked for
again from its end on, on the condition that the file is still the same.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

import httpx2
from msgspec import Struct

from penstock.errors import MediaError, NetworkRefused, PeerError

AHEAD: Final = 2 * 1024 * 1024  # bytes fetched before they are wanted
BEHIND: Final = 1024 * 1024  # and kept after they were, as demuxers look back
NEAR: Final = 256 * 1024  # so far ahead of a stretch is waited for; further needs its own
MAX_STRETCHES: Final = 3
ATTEMPTS: Final = 5  # of one place in the file
FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 4.0

_OK, _PARTIAL, _BEYOND = 200, 206, 416


class Gone(MediaError):
    """The server has no such file, or not any more."""


class Meter:
    """Bytes that came over the network, by any thread; and how far a download is, of which there is one at a time."""

    def __init__(self) -> None:
        self.bytes_in = 0
        self._adding = threading.Lock()
        self.fetched_bytes = 0
        self.fetch_size_bytes = 0

    def add(self, count: int) -> None:
        with self._adding:
            self.bytes_in += count

    @property
    def is_fetching(self) -> bool:
        """True while a file is downloaded before it is played."""
        return self.fetched_bytes < self.fetch_size_bytes


class Facts(Struct, frozen=True):
    """What a server says of a file."""

    size: int | None
    validator: str  # for If-Range: a strong ETag, or the time of the last change
    takes_ranges: bool

    @property
    def can_go_on(self) -> bool:
        """True if an answer that broke may be asked for again from there."""
        return self.takes_ranges or self.size is not None or bool(self.validator)

    def is_same(self, other: Facts) -> bool:
        # A server that stops telling one of them tells nothing by that.
        sizes = {self.size, other.size} - {None}
        validators = {self.validator, other.validator} - {""}
        return len(sizes) < 2 and len(validators) < 2


class Client(Protocol):
    """What is asked of an HTTP client; `penstock.net.http.GuardedClient` has it."""

    def build_request(self, method: str, url: str, *, headers: dict[str, str]) -> httpx2.Request: ...

    def send(self, request: httpx2.Request, *, stream: bool) -> httpx2.Response: ...


class Answer:
    """A file's bytes from `offset` on, as one answer brings them."""

    def __init__(self, response: httpx2.Response, offset: int, facts: Facts) -> None:
        self.offset = offset
        self.facts = facts
        self.type = response.headers.get("Content-Type", "")
        self.url = str(response.url)  # after redirects: relative URIs are relative to it
        # What comes with a 416 is words about it.
        self.parts = response.iter_bytes(65536) if response.status_code != _BEYOND else iter(())
        self.close = response.close


def ask(client: Client, url: str, offset: int = 0, *, last: int | None = None, known: Facts | None = None) -> Answer:
    """Ask for a file from `offset` to `last` or its end; the answer may begin earlier, at 0.

    Raises:
        Gone: the server has no such file.
        MediaError: it refuses, or has another one by now than `known`.
        PeerError: it could not be asked, or is not well.
        NetworkRefused: the URL leads where it must not.
    """
    headers = {"Range": f"bytes={offset}-{'' if last is None else last}"}
    if known is not None and known.validator:
        headers["If-Range"] = known.validator
    response = client.send(client.build_request("GET", url, headers=headers), stream=True)
    try:
        answer = _read_head(response, offset)
        if known is not None and not known.is_same(answer.facts):
            raise MediaError("the file changed while it was read")
    except BaseException:
        response.close()
        raise
    return answer


def _read_head(response: httpx2.Response, offset: int) -> Answer:
    status = response.status_code
    validator = response.headers.get("ETag", "")
    if not validator or validator.startswith("W/"):
        validator = response.headers.get("Last-Modified", "")
    if status == _PARTIAL:
        first, size = _content_range(response.headers.get("Content-Range", ""))
        if first != offset:
            raise PeerError(f"the server sent bytes from {first} on; wanted {offset}")
        return Answer(response, offset, Facts(size, validator[:512], takes_ranges=True))
    if status == _OK:
        length = response.headers.get("Content-Length", "")
        return Answer(response, 0, Facts(_number(length), validator[:512], takes_ranges=False))
    if status == _BEYOND:
        return Answer(response, offset, Facts(None, "", takes_ranges=True))
    if status in (404, 410):
        raise Gone(f"the server answers {status}")
    if status in (408, 425, 429) or status >= 500:
        raise PeerError(f"the server answers {status}")
    raise MediaError(f"the server answers {status}")


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else None


def _content_range(text: str) -> tuple[int, int | None]:
    unit, _, rest = text.partition(" ")
    span, _, size = rest.partition("/")
    first = _number(span.partition("-")[0])
    if unit != "bytes" or first is None:
        raise PeerError(f"Content-Range is {text[:64]!r}; wanted bytes first-last/size")
    return first, _number(size)


def pauses(attempts: int = ATTEMPTS) -> list[float]:
    """How long to wait before each attempt after the first one, seconds."""
    return [min(FIRST_PAUSE_S * 2**n, LONGEST_PAUSE_S) for n in range(attempts - 1)]


class _Stretch:
    """One part of the file, being fetched by a thread of its own."""

    def __init__(self, file: RemoteFile, start: int, answer: Answer | None) -> None:
        self.start = start  # of what is in the window
        self.data = bytearray()
        self.read_to = start  # how far the reader is
        self.is_ended = self.is_closed = False
        self.error: Exception | None = None
        self._file = file
        self._answer = answer
        threading.Thread(target=self._run, name="fetch", daemon=True).start()

    @property
    def end(self) -> int:
        return self.start + len(self.data)

    def covers(self, at: int) -> bool:
        return self.start <= at <= self.end + NEAR and not (self.is_ended and at > self.end)

    def take(self, at: int, size: int) -> bytes:
        """Return what the window has of [at, at + size), and let go what lies far behind."""
        found = bytes(self.data[at - self.start : at - self.start + size])
        self.read_to = at + len(found)
        if (old := self.read_to - BEHIND - self.start) > BEHIND:
            del self.data[:old]
            self.start += old
        return found

    def close(self) -> None:
        self.is_closed = True
        self.data.clear()

    def _run(self) -> None:
        try:
            self._fetch()
        except (MediaError, PeerError, NetworkRefused) as error:
            self._stop(error)
        except Exception as error:
            self._stop(MediaError(f"fetching failed: {type(error).__name__}: {error}"))
        else:
            self._stop(None)

    def _stop(self, error: Exception | None) -> None:
        with self._file.changed:
            self.error, self.is_ended = error, True
            self._file.changed.notify_all()

    def _fetch(self) -> None:
        waits = pauses()
        while not self.is_closed:
            before = self.end
            try:
                answer = self._answer or ask(self._file.client, self._file.url, self.end, known=self._file.facts)
                self._answer = None
                if self._read(answer):
                    return
            except PeerError:
                if self.end > before:
                    waits = pauses()
                # What has no end and no state cannot be taken up: it would be another stream by then.
                if not waits or (self.end and not self._file.facts.can_go_on):
                    raise
                self._file.sleep(waits.pop(0))

    def _read(self, answer: Answer) -> bool:
        """Read an answer to its end; True when it is the file's end, too."""
        try:
            skip = self.end - answer.offset
            for part in answer.parts:
                fresh, skip = part[skip:] if skip else part, max(0, skip - len(part))
                if not self._add(fresh):
                    return True
        finally:
            answer.close()
        size = self._file.facts.size
        if size is not None and self.end < size:
            raise PeerError(f"the answer ended at byte {self.end} of {size}")
        return True

    def _add(self, part: bytes) -> bool:
        """Put bytes into the window once there is room; False when nobody wants more."""
        with self._file.changed:
            while not self.is_closed and self.end - self.read_to > AHEAD:
                self._file.changed.wait()
            if self.is_closed:
                return False
            self.data += part
            self._file.meter.add(len(part))
            self._file.changed.notify_all()
            return True


class RemoteFile(io.RawIOBase):
    """See the module. Its reads block; one thread reads at a time."""

    def __init__(self, client: Client, url: str, meter: Meter, sleep: Callable[[float], None] = time.sleep) -> None:
        """Asks for the file.

        Raises:
            MediaError, PeerError, NetworkRefused: as `ask` does.
        """
        self.client, self.url, self.meter, self.sleep = client, url, meter, sleep
        self.changed = threading.Condition()
        answer = ask(client, url)
        self.facts = answer.facts
        self.type, self.final_url = answer.type, answer.url
        self._at = 0
        self._stretches = [_Stretch(self, 0, answer)]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self.facts.takes_ranges

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_CUR:
            offset += self._at
        elif whence == io.SEEK_END:
            if self.facts.size is None:
                raise OSError("the server does not tell the file's size")
            offset += self.facts.size
        if offset < 0 or not (self.seekable() or offset == self._at):
            raise OSError(f"no way to byte {offset}")
        self._at = offset
        return offset

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, as soon as there are some; none at the end.

        Raises:
            MediaError, PeerError, NetworkRefused: they cannot be had.
        """
        assert size > 0, size
        if self.facts.size is not None and self._at >= self.facts.size:
            return b""
        with self.changed:
            stretch = self._stretch_at(self._at)
            while not stretch.end > self._at and not stretch.is_ended:
                self.changed.wait()
            found = stretch.take(self._at, size)
            self.changed.notify_all()
        if not found and stretch.error is not None:
            raise stretch.error
        self._at += len(found)
        return found

    def peek(self, size: int) -> bytes:
        """Return the file's first bytes, up to `size` of them, without moving."""
        assert self._at == 0
        first = self._stretches[0]
        with self.changed:
            while len(first.data) < size and not first.is_ended:
                self.changed.wait()
            if first.error is not None and not first.data:
                raise first.error
            return bytes(first.data[:size])

    def _stretch_at(self, at: int) -> _Stretch:
        for stretch in self._stretches:
            if stretch.covers(at):
                # Where it reads on is what it fetches ahead of.
                stretch.read_to = max(stretch.read_to, at)
                self._stretches.remove(stretch)
                self._stretches.append(stretch)  # the last one used is the last to go
                return stretch
        if len(self._stretches) == MAX_STRETCHES:
            self._stretches.pop(0).close()
        self._stretches.append(_Stretch(self, at, None))
        return self._stretches[-1]

    def close(self) -> None:
        with self.changed:
            for stretch in self._stretches:
                stretch.close()
            self.changed.notify_all()
        super().close()
