"""Recorded files over HTTP, on the API's doors: whole or by ranges, to whoever may have them.

A URL that the server signed (`domain.recording_urls`) is enough; without its signature, the request itself has to
be signed with a key of the account, as any call of the API. Which file is meant says its number; where it lies
says its row alone. The disk is read by threads of this room, piece by piece as its peer takes them, so that
neither a slow disk nor a slow peer holds up a call.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import stat
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct

from penstock.api.connection import RESPOND, STREAM, TARGET
from penstock.api.ranges import Part, Version, http_date, is_known, part_of
from penstock.clouds.http import Headers, HttpRequest
from penstock.domain.live import Live
from penstock.domain.recording_urls import PREFIX, file_name
from penstock.engine.recording.folder import Folder
from penstock.errors import BadSignature, HttpError, RequestRefused
from penstock.storage.recordings import RecordedFile, Recording

log = logging.getLogger("penstock.files")

# Each holds a descriptor and a piece of memory. A browser asks for a handful of ranges at once.
MAX_DOWNLOADS: Final = 128
MAX_DOWNLOADS_PER_ADDRESS: Final = 16
THREADS: Final = 4
PIECE: Final = 256 * 1024

TYPES: Final = {
    "mp4": "video/mp4",
    "flv": "video/x-flv",
    "m3u8": "application/vnd.apple.mpegurl",
    "m4s": "video/iso.segment",
}
# What there is in a folder of HLS.
_IN_FOLDER: Final = re.compile(r"index\.m3u8|init-\d{1,9}\.mp4|\d{1,9}\.m4s", re.ASCII)
_NUMBER: Final = re.compile(r"[1-9]\d{0,17}", re.ASCII)
# Nothing in these files is a page, whatever somebody put into them; a signed URL is for any page that has it.
_ALWAYS: Final = (
    ("x-content-type-options", "nosniff"),
    ("content-security-policy", "default-src 'none'; sandbox"),
    ("cache-control", "private, no-cache"),
    ("referrer-policy", "no-referrer"),
    ("access-control-allow-origin", "*"),
    ("access-control-expose-headers", "Accept-Ranges, Content-Length, Content-Range, ETag"),
    ("accept-ranges", "bytes"),
)

AccountOf = Callable[[HttpRequest], str]


class Place(Struct, frozen=True):
    """What a path says: which file of which stream, and by what right."""

    names: tuple[str, str, str]
    number: int
    token: str  # "": by the request's own signature
    name: str


class Opened(Struct, frozen=True):
    """A file that may be read; the descriptor is its reader's to close."""

    descriptor: int
    size: int
    version: Version
    name: str


class FilesApp:
    """An application of `HttpServer` alone, for paths that begin with `PREFIX`.

    `account_of` tells whose key signed a request, and raises `RequestRefused` where none did.
    """

    def __init__(self, live: Live, folder: Folder, account_of: AccountOf) -> None:
        self._live = live
        self._folder = folder
        self._account_of = account_of
        self._threads = ThreadPoolExecutor(THREADS, "files")
        self._downloads: Counter[str] = Counter()

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope: Mapping[str, Any], receive: Callable[[], Any], send: object) -> None:
        message = await receive()
        request = HttpRequest(
            method=scope["method"],
            target=scope[TARGET],
            headers=Headers([(name.decode(), value.decode("latin-1")) for name, value in scope["headers"]]),
            body=message["body"],
        )
        extensions = scope["extensions"]
        try:
            with self._place_for(scope["client"][0] if scope["client"] else ""):
                await self._serve(request, extensions)
        except HttpError as error:
            body = f"{error}\n".encode("ascii", "replace")
            lines = [("content-type", "text/plain; charset=utf-8"), ("content-length", str(len(body)))]
            lines += [("allow", "GET, HEAD")] if error.status == 405 else []
            lines += [("retry-after", "5")] if error.status == 503 else []
            await extensions[RESPOND](error.status, _head([*lines, *_ALWAYS]), body)

    @contextmanager
    def _place_for(self, address: str) -> Iterator[None]:
        if self._downloads.total() >= MAX_DOWNLOADS or self._downloads[address] >= MAX_DOWNLOADS_PER_ADDRESS:
            raise HttpError(503, "too many files are being read; try again")
        self._downloads[address] += 1
        try:
            yield
        finally:
            self._downloads[address] -= 1
            if not self._downloads[address]:
                del self._downloads[address]

    async def _serve(self, request: HttpRequest, extensions: Mapping[str, Any]) -> None:
        if request.method not in ("GET", "HEAD"):
            raise HttpError(405, "a recording is read by GET")
        row, file, name = await self._find(request)
        opened = await self._in_thread(self._open, row, file, name)
        try:
            await self._answer(request, extensions, opened)
        finally:
            await self._in_thread(os.close, opened.descriptor)

    # Whose file, and which

    async def _find(self, request: HttpRequest) -> tuple[Recording, RecordedFile, str]:
        """The file that is meant, once it is known that it may be read.

        Raises:
            HttpError: 403 for whoever has no right, whether or not there is such a file; else 404, or 410.
        """
        place = _place_of(request.path)
        if place is None:
            raise HttpError(404, "there is no such recording")
        account = "" if place.token else self._signer(request)
        file = await self._live.store.find_file(place.number)
        row = await self._live.store.find_recording(file.recording) if file is not None else None
        is_it = row is not None and place.names == (row.stream.vhost, row.stream.app, row.stream.stream)
        if place.token:
            self._check_token(row if is_it else None, file, place.token)
        elif not is_it or row is None or row.account != account:
            raise HttpError(404, "there is no such recording")
        assert row is not None
        assert file is not None
        if file.removed_at is not None:
            raise HttpError(410, "the recording was removed")
        if not _is_name_of(row, file, place.name):
            raise HttpError(404, "there is no such file in that recording")
        return row, file, place.name

    def _signer(self, request: HttpRequest) -> str:
        try:
            return self._account_of(request)
        except RequestRefused as error:
            why = "" if "Authorization" not in request.headers else f": {error}"
            raise HttpError(403, f"this takes a URL that the server signed, or a key of its account{why}") from None

    def _check_token(self, row: Recording | None, file: RecordedFile | None, token: str) -> None:
        try:
            if row is None or file is None or row.account not in self._live.registry.accounts:
                raise BadSignature("the URL's signature is not the one of this file")
            self._live.file_urls.check(row, file, token, self._live.clock.real_now())
        except RequestRefused as error:
            raise HttpError(403, str(error)) from None

    def _open(self, row: Recording, file: RecordedFile, name: str) -> Opened:
        try:
            descriptor = self._folder.read_file(file.path, name if row.container == "hls" else "")
        except (OSError, ValueError) as error:
            if not isinstance(error, FileNotFoundError):
                log.error("%s cannot be read: %s", file.path, error)
            raise HttpError(404, "the file is not there") from None
        found = os.fstat(descriptor)
        assert stat.S_ISREG(found.st_mode)
        # A file that grows, or was mended, is another version.
        tag = f'"{file.id:x}-{found.st_size:x}-{found.st_mtime_ns:x}"'
        changed_at = datetime.fromtimestamp(int(found.st_mtime), UTC)
        return Opened(descriptor, found.st_size, Version(tag, changed_at), name)

    # Its bytes

    async def _answer(self, request: HttpRequest, extensions: Mapping[str, Any], opened: Opened) -> None:
        version, headers = opened.version, request.headers
        about = [("etag", version.tag), ("last-modified", http_date(version.changed_at)), *_ALWAYS]
        if is_known(headers, version):
            await extensions[RESPOND](304, _head(about), b"")
            return
        part = part_of(headers, opened.size, version)
        if part is None:
            lines = [("content-range", f"bytes */{opened.size}"), ("content-length", "0")]
            await extensions[RESPOND](416, _head([*lines, *about]), b"")
            return
        lines = [*_described(opened.name), ("content-length", str(part.length)), *about]
        if not part.is_whole:
            lines.append(("content-range", f"bytes {part.start}-{part.end - 1}/{opened.size}"))
        if request.method == "HEAD" or not part.length:
            await extensions[RESPOND](200 if part.is_whole else 206, _head(lines), b"")
            return
        pieces = self._pieces(opened, part)
        sent = await extensions[STREAM](200 if part.is_whole else 206, _head(lines), pieces, part.length)
        self._live.tallies.recording_bytes_sent += sent

    async def _pieces(self, opened: Opened, part: Part) -> AsyncIterator[bytes]:
        at = part.start
        while at < part.end:
            piece = await self._in_thread(os.pread, opened.descriptor, min(PIECE, part.end - at), at)
            if not piece:
                log.error("%s became shorter while it was read", opened.name)
                return
            at += len(piece)
            yield piece

    async def _in_thread(self, do: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, do, *args)


def _place_of(path: str) -> Place | None:
    """Read a path; everything in it is a name of ours, or it is none. Escapes are in none."""
    words = path.removeprefix(PREFIX).split("/")
    if len(words) not in (5, 6) or _NUMBER.fullmatch(words[3]) is None:
        return None
    token = words[4] if len(words) == 6 else ""
    if len(words) == 6 and not token:
        return None
    return Place((words[0], words[1], words[2]), int(words[3]), token, words[-1])


def _is_name_of(row: Recording, file: RecordedFile, name: str) -> bool:
    if row.container == "hls":
        return _IN_FOLDER.fullmatch(name) is not None
    return name == file_name(row, file)


def _described(name: str) -> list[tuple[str, str]]:
    """What kind of file it is, and whether it is one to keep."""
    ending = name.rpartition(".")[2]
    # A name that is kept by a browser holds letters, digits, `_`, `.` and `-` alone: it needs no escapes.
    keeps = [("content-disposition", f'attachment; filename="{name}"')] if ending in ("mp4", "flv") else []
    return [("content-type", TYPES[ending]), *keeps]


def _head(lines: list[tuple[str, str]]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in lines).encode("ascii")


def is_for_files(target: str) -> bool:
    """True for a target that this application answers."""
    return target.startswith(PREFIX)
