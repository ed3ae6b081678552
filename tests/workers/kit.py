"""A web server with the habits of many, a relay door that collects, samples, and what a relay made of them."""

from __future__ import annotations

import asyncio
import http.server
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
from msgspec import Struct

from penstock.link.relaying import Clip, RelayJob
from penstock.net.guard import Guard
from penstock.net.http import HttpPolicy, open_client
from penstock.protocols import flv
from penstock.workers.frames import Frame
from penstock.workers.program import Program
from penstock.workers.remote import Client, Meter
from penstock.workers.testpattern import write_sample

LOOPBACK = ("127.0.0.0/8",)
RELAY = "0123456789abcdef" * 2


class Asked(Struct, frozen=True):
    """One request that came."""

    path: str
    range: str
    if_range: str


class Web:
    """Files by their paths, and how they are served; bytes, or a function that is asked each time."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.files: dict[str, bytes | Callable[[], bytes]] = {}
        self.asked: list[Asked] = []
        self.has_ranges = True
        self.tells_size = True
        self.etag = '"one"'
        self.moved: dict[str, str] = {}  # path to Location
        self.breaks_after: list[int] = []  # bytes of each answer to come, before its connection breaks

    def add(self, path: str, data: bytes | Path | Callable[[], bytes]) -> str:
        """Serve something; return its URL."""
        self.files[path] = data.read_bytes() if isinstance(data, Path) else data
        return f"{self.url}/{path}"

    def ranges(self, path: str) -> list[str]:
        return [each.range for each in self.asked if each.path == path]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    web: Web

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        web, path = self.web, self.path.lstrip("/").partition("?")[0]
        wanted = self.headers.get("Range", "")
        web.asked.append(Asked(path, wanted, self.headers.get("If-Range", "")))
        if path in web.moved:
            self._answer(302, {"Location": web.moved[path]}, b"")
            return
        found = web.files.get(path)
        if found is None:
            self._answer(404, {}, b"no such file")
            return
        data = found if isinstance(found, bytes) else found()
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted)
        headers = {"ETag": web.etag} if web.etag else {}
        is_same = self.headers.get("If-Range", web.etag) == web.etag
        if match is None or not web.has_ranges or not is_same:
            self._answer(200, headers, data)
            return
        first, last = int(match[1]), min(int(match[2] or len(data) - 1), len(data) - 1)
        if first >= len(data):
            self._answer(416, headers | {"Content-Range": f"bytes */{len(data)}"}, b"words")
            return
        self._answer(206, headers | {"Content-Range": f"bytes {first}-{last}/{len(data)}"}, data[first : last + 1])

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.web.tells_size:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Transfer-Encoding", "chunked")
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        self.end_headers()
        limit = self.web.breaks_after.pop(0) if self.web.breaks_after and body else None
        try:
            self.wfile.write(body[:limit])
            if limit is not None and limit < len(body):
                self.wfile.flush()
                self.close_connection = True
                self.connection.shutdown(2)
        except OSError:
            self.close_connection = True


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up in the middle of an answer is usual here."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def serving() -> Iterator[Web]:
    """A web server on a free port, until the end of `with`."""
    handler = type("Handler", (_Handler,), {})
    server = _Server(("127.0.0.1", 0), handler)
    handler.web = web = Web(f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class Sample(Struct, frozen=True):
    """A generated file: 25 pictures a second, a key frame each second, AAC."""

    seconds: float = 3.0
    container: str = "mp4"
    b_frames: int = 0
    audio: bool = True
    video: bool = True
    video_codec: str = "libx264"
    width: int = 160


@cache
def sample_bytes(sample: Sample, folder: Path) -> bytes:
    path = folder / f"sample.{sample.container}"
    write_sample(
        path,
        sample.seconds,
        fps=25,
        gop_s=1,
        width=sample.width,
        height=90,
        container=sample.container,
        b_frames=sample.b_frames,
        audio=sample.audio,
        video=sample.video,
        video_codec=sample.video_codec,
        bitrate_kbps=150,
    )
    return path.read_bytes()


def no_sleep(_: float) -> None:
    """What a client does between two attempts, in a test."""


def client(allow_private: tuple[str, ...] = LOOPBACK) -> Client:
    return open_client(Guard(allow_private), HttpPolicy())


def job(*clips: Clip | str, **options: Any) -> RelayJob:
    listed = tuple(Clip(clip) if isinstance(clip, str) else clip for clip in clips)
    return RelayJob(RELAY, options.pop("door", "unused"), listed, allow_private=LOOPBACK, **options)


class Made(Struct):
    """All that a job played."""

    frames: list[Frame]
    path: Path  # of the same as an FLV file
    meter: Meter

    def times(self, kind: int) -> list[int]:
        return [frame.dts_ms for frame in self.frames if frame.kind == kind and not frame.is_header]

    def steps(self, kind: int) -> set[int]:
        """How far apart the frames of a track are."""
        return {after - before for before, after in pairwise(self.times(kind))}

    def headers(self, kind: int) -> list[bytes]:
        """The sequence headers of a track, as bodies."""
        return [frame.tag[11:-4] for frame in self.frames if frame.kind == kind and frame.is_header]

    def pictures(self) -> list[bytes]:
        """The brightness of each picture, decoded, in the order of showing."""
        return pictures_of(self.path)


def pictures_of(path: Path | str) -> list[bytes]:
    with av.open(str(path)) as source:
        return [bytes(frame.reformat(format="gray").planes[0]) for frame in source.decode(video=0)]


def play(made: RelayJob, folder: Path) -> Made:
    """Make all frames of a job, as fast as they come."""
    meter = Meter()
    frames = list(Program(made, client(made.allow_private), meter, no_sleep).frames())
    path = folder / "made.flv"
    path.write_bytes(flv.file_header(audio=True, video=True) + b"".join(frame.tag for frame in frames))
    return Made(frames, path, meter)


def probe(path: Path, *words: str) -> str:
    """What ffprobe says; its errors fail the test."""
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-of", "csv=p=0", *words, str(path)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return done.stdout


class CollectingDoor:
    """The engine's relay door, played by a test: it takes whatever comes."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.openings: list[bytes] = []  # the first line of each connection
        self.taken: list[bytearray] = []  # and the FLV behind it
        self.news = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def open(self) -> None:
        self._unlink()
        self._server = await asyncio.start_unix_server(self._take, self.path)

    async def close(self) -> None:
        """Close the door and cut whoever stands in it, as an engine's end does."""
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._unlink()

    def _unlink(self) -> None:
        Path(self.path).unlink(missing_ok=True)

    async def until(self, is_so: Callable[[], bool], within_s: float = 20.0) -> None:
        async with asyncio.timeout(within_s), self.news:
            await self.news.wait_for(is_so)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        taken = bytearray()
        self.openings.append(await reader.readline())
        self.taken.append(taken)
        while data := await reader.read(65536):
            taken += data
            async with self.news:
                self.news.notify_all()
        writer.close()
