"""Real publishers and players as child processes: ffmpeg, PyAV, GStreamer, rtmpdump; and nginx-rtmp.

Every wait has a deadline and fails with what the peer wrote to stderr. Every family of peers
ends its children by pid in `close` and prints what they said, which pytest shows when the test
failed. A publish has begun when the peer has really sent media for a while, as libav and librtmp
send without waiting for the server's answer; a server that refuses makes it `PublishRefused`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from tests.e2e.media import FFPROBE_OPTIONS, Packet, parse_packet

ROOT = Path(__file__).parents[2]
BEGIN_S = 15.0  # for a peer to connect, probe and get going on a busy machine
SENDING_S = 0.5  # so much media sent is a publish that was not refused
END_S = 5.0


class PeerFailed(AssertionError):
    """A peer did not do its part in time."""


class PublishRefused(PeerFailed):
    """The publisher ended before it had sent media for `SENDING_S`; the text has its stderr."""


class MediaServer(Protocol):
    """What the peers need to know about a server."""

    def rtmp_url(self, app_stream: str) -> str: ...

    def flv_url(self, app_stream: str) -> str: ...


class Child:
    """A peer's process; its stderr is kept, and its stdout is read line by line as it comes."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self.name = name
        self.stderr = ""
        self._process = process
        self._news = asyncio.Event()
        self._watch = asyncio.gather(
            self._read(process.stdout, self.on_line), self._read(process.stderr, self._on_stderr)
        )

    @classmethod
    async def start(cls, name: str, *command: str) -> Self:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, cwd=ROOT
        )
        return cls(name, process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return not self._watch.done()

    def on_line(self, line: str) -> None:
        """Take a line of stdout."""

    def _on_stderr(self, line: str) -> None:
        self.stderr += line

    async def _read(self, pipe: asyncio.StreamReader, take: Callable[[str], None]) -> None:
        while line := await pipe.readline():
            take(line.decode(errors="replace"))
            self._news.set()

    async def until(self, done: Callable[[], bool], *, within_s: float, what: str) -> None:
        """Wait for `done()`, which is asked at each line that the peer writes and at its end.

        Raises:
            PeerFailed: the peer ended, or the time was over, before.
        """
        deadline = time.monotonic() + within_s
        while not done():
            if not self.running:
                raise PeerFailed(self._failure(f"ended with {await self.exit_code(END_S)} before {what}"))
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise PeerFailed(self._failure(f"gave no {what} within {within_s:g} s"))
            await self._wait_for_news(left_s)

    async def _wait_for_news(self, timeout_s: float) -> None:
        self._news.clear()
        news: asyncio.Future[Any] = asyncio.ensure_future(self._news.wait())
        await asyncio.wait({news, self._watch}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        news.cancel()

    def _failure(self, what: str) -> str:
        return f"{self.name} {what}; it said:\n{self.stderr[-4000:] or '(nothing)'}"

    async def exit_code(self, within_s: float) -> int:
        """Wait for the process's end; negative is the signal that ended it."""
        try:
            async with asyncio.timeout(within_s):
                # The pipes first: all that was said is then in `stderr`.
                await asyncio.shield(self._watch)
                return await self._process.wait()
        except TimeoutError:
            raise PeerFailed(self._failure(f"was still running after {within_s:g} s")) from None

    def send_signal(self, signum: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signum)

    async def kill(self) -> None:
        """End it as a crash would: nothing more is sent, and the kernel closes its sockets."""
        self.send_signal(signal.SIGKILL)
        await self.exit_code(END_S)

    async def stop(self, within_s: float = END_S) -> int:
        """End it as its user would, by Ctrl-C; return the exit code."""
        self.send_signal(signal.SIGINT)
        return await self.exit_code(within_s)

    def freeze(self) -> None:
        """Stop it where it stands; its connections stay open and silent."""
        self.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.send_signal(signal.SIGCONT)


class Publisher(Child):
    """Sends media; `sent_s` says how much by the publisher's own count."""

    PROGRESS = re.compile(r"sent ([\d.]+)")  # as this kit's PyAV peer prints it
    UNITS_PER_S = 1.0

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        super().__init__(name, process)
        self.sent_s = 0.0

    def on_line(self, line: str) -> None:
        if progress := self.PROGRESS.search(line):
            self.sent_s = max(self.sent_s, float(progress[1]) / self.UNITS_PER_S)

    async def until_sending(self) -> None:
        """Wait until `SENDING_S` of media were sent, or all there was.

        Raises:
            PublishRefused: it ended before.
        """
        await self.until(
            lambda: self.sent_s >= SENDING_S or not self.running, within_s=BEGIN_S, what="media that it sent"
        )
        if not self.running and await self.exit_code(END_S) != 0:
            raise PublishRefused(self._failure("could not publish"))

    async def until_sent(self, seconds: float, *, within_s: float | None = None) -> None:
        within_s = seconds + BEGIN_S if within_s is None else within_s
        await self.until(lambda: self.sent_s >= seconds, within_s=within_s, what=f"{seconds:g} s of media sent")


class FfmpegPublisher(Publisher):
    PROGRESS = re.compile(r"out_time_us=(\d+)")
    UNITS_PER_S = 1_000_000.0


class GstPublisher(Publisher):
    """Counts the buffers between its muxer and its RTMP sink; they are more than 50 a second."""

    PROGRESS = re.compile(r"sent:sink\) \(\d+ bytes, .*? pts: 0:(\d\d:\d\d\.\d+)")

    def on_line(self, line: str) -> None:
        if progress := self.PROGRESS.search(line):
            minutes, seconds = progress[1].split(":")
            self.sent_s = max(self.sent_s, int(minutes) * 60 + float(seconds))

    async def until_sending(self) -> None:
        await super().until_sending()
        # gst-launch-1.0 1.22 ends with 0 after an error that came while the pipeline was live.
        if "ERROR:" in self.stderr:
            raise PublishRefused(self._failure("could not publish"))


class Player(Child):
    """Collects the packets that it is sent, in `packets`, from the first one on."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        super().__init__(name, process)
        self.packets: list[Packet] = []
        self._begun = ""

    def on_line(self, line: str) -> None:
        # ffprobe 5.1 ends the line early where a packet brings side data, such as a new sequence header.
        line = self._begun + line.rstrip("\n")
        packet = parse_packet(line)
        self._begun = "" if packet or "data_hash" in line else line
        if packet:
            self.packets.append(packet)

    @property
    def span_s(self) -> float:
        """Media time from the first packet to the last."""
        times = [packet.dts_ms for packet in self.packets]
        return (max(times) - min(times)) / 1000 if times else 0.0

    async def until_got(
        self, *, seconds: float | None = None, count: int | None = None, within_s: float | None = None
    ) -> list[Packet]:
        """Wait for `seconds` of media or `count` packets since the start; return all that came."""
        within_s = (seconds or 0) + BEGIN_S if within_s is None else within_s
        wanted = f"{count} packets" if seconds is None else f"{seconds:g} s of packets"

        def enough() -> bool:
            return len(self.packets) >= (count or 1) and self.span_s >= (seconds or 0)

        await self.until(enough, within_s=within_s, what=wanted)
        return list(self.packets)

    async def until_end(self, within_s: float = BEGIN_S) -> list[Packet]:
        """Wait until the source ends; return all that came."""
        await self.exit_code(within_s)
        return list(self.packets)


class Client(Child):
    """Asks once; `answer` is what it got."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        super().__init__(name, process)
        self.answer = ""

    def on_line(self, line: str) -> None:
        self.answer += line


C = TypeVar("C", bound=Child)


class Peers:
    """One family of peers, and the children that it has to end."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    async def start(self, kind: type[C], name: str, *command: str) -> C:
        child = await kind.start(name, *command)
        self._children.append(child)
        return child

    async def close(self) -> None:
        for child in self._children:
            await child.kill()
            print(f"--- {child.name} (pid {child.pid})\n{child.stderr[-4000:]}", file=sys.stderr)

    async def _published(self, publisher: C, begun: Callable[[], Awaitable[None]]) -> C:
        try:
            await begun()
        except BaseException:
            await publisher.kill()
            raise
        return publisher


class PacketPeers(Peers):
    """Peers that can tell a stream's packets apart."""

    async def play(self, source: str | Path) -> Player:
        raise NotImplementedError

    async def packets(
        self,
        source: str | Path,
        *,
        seconds: float | None = None,
        count: int | None = None,
        within_s: float | None = None,
    ) -> list[Packet]:
        """The packets of a URL or file: `seconds` or `count` of them, or all until its end."""
        player = await self.play(source)
        try:
            if seconds is None and count is None:
                return await player.until_end(BEGIN_S if within_s is None else within_s)
            return await player.until_got(seconds=seconds, count=count, within_s=within_s)
        finally:
            await player.kill()


class Ffmpeg(PacketPeers):
    """ffmpeg publishes without touching the packets; ffprobe reads them."""

    async def publish(
        self, source: str | Path, url: str, *, realtime: bool = True, loop: bool = False, extra: Sequence[str] = ()
    ) -> FfmpegPublisher:
        """Send a file's packets to `url`; `extra` are output options.

        Raises:
            PublishRefused: the server did not take it.
        """
        command = ["ffmpeg", "-hide_banner", "-nostats", "-progress", "pipe:1", "-stats_period", "0.1"]
        command += ["-re"] * realtime + ["-stream_loop", "-1"] * loop
        command += ["-i", str(source), "-c", "copy", *extra, "-f", "flv", url]
        publisher = await self.start(FfmpegPublisher, f"ffmpeg to {url}", *command)
        return await self._published(publisher, publisher.until_sending)

    async def play(self, source: str | Path, *options: str) -> Player:
        # Line-buffered, so that packets are here when they are there. Probing ends early but loses
        # nothing: what was read meanwhile is printed first.
        command = ["stdbuf", "-oL", "ffprobe", "-hide_banner", "-analyzeduration", "500000", *FFPROBE_OPTIONS]
        return await self.start(Player, f"ffprobe of {source}", *command, *options, str(source))

    async def run(self, *command: str, within_s: float = BEGIN_S) -> Client:
        """Run one of ffmpeg's programs to its end; return what it said.

        Raises:
            PeerFailed: its exit code is not 0.
        """
        client = await self.start(Client, command[0], *command)
        if await client.exit_code(within_s):
            raise PeerFailed(client._failure("failed"))
        return client


class Pyav(PacketPeers):
    """PyAV in a process of its own. Its libav is newer than Debian's: HEVC and AV1 go through FLV."""

    COMMAND = (sys.executable, "-m", "tests.e2e.media")

    async def publish(self, source: str | Path, url: str, *, realtime: bool = True, loop: bool = False) -> Publisher:
        """Send a file's packets to `url`.

        Raises:
            PublishRefused: the server did not take it.
        """
        options = ["--realtime"] * realtime + ["--loop"] * loop
        publisher = await self.start(Publisher, f"PyAV to {url}", *self.COMMAND, "push", str(source), url, *options)
        return await self._published(publisher, publisher.until_sending)

    async def play(self, source: str | Path) -> Player:
        return await self.start(Player, f"PyAV of {source}", *self.COMMAND, "pull", str(source))


class Gstreamer(Peers):
    """GStreamer's two RTMP implementations: librtmp's (`rtmpsink`, `rtmpsrc`), and its own (`rtmp2…`).

    librtmp is what OBS publishes with.
    """

    SHORT_QUEUE = ("queue", "max-size-time=200000000")

    async def publish(self, source: str | Path, url: str, *, sink: str = "rtmpsink") -> GstPublisher:
        """Send an H.264 and AAC file's packets once to `url`, in real time.

        Raises:
            PublishRefused: the server did not take it.
        """
        return await self._launch(
            url,
            *("filesrc", f"location={source}", "!", "flvdemux", "name=demux", *self._sink(url, sink)),
            *("demux.video", "!", *self.SHORT_QUEUE, "!", "mux.video"),
            *("demux.audio", "!", *self.SHORT_QUEUE, "!", "mux.audio"),
        )

    async def publish_encoded(
        self, url: str, copy: Path, *, sink: str = "rtmpsink", audio_encoder: str = "voaacenc"
    ) -> GstPublisher:
        """Encode a live test picture to `url` until stopped; `copy` gets the same packets as FLV.

        Raises:
            PublishRefused: the server did not take it.
        """
        return await self._launch(
            url,
            *("videotestsrc", "is-live=true", "pattern=ball", "!", "video/x-raw,width=320,height=180,framerate=25/1"),
            *("!", "x264enc", "tune=zerolatency", "speed-preset=ultrafast", "key-int-max=25", "bitrate=400"),
            *("!", "video/x-h264,profile=main", "!", "h264parse", "!", "queue", "!", "mux.video"),
            *("audiotestsrc", "is-live=true", "wave=ticks", "!", "audio/x-raw,rate=44100,channels=2", "!"),
            *("audioconvert", "!", audio_encoder, "!", "aacparse", "!", "queue", "!", "mux.audio"),
            *("tee", "name=copy", *self._sink(url, sink, source=("copy.", "!", "queue"))),
            *("copy.", "!", "queue", "!", "filesink", f"location={copy}", "buffer-mode=unbuffered"),
        )

    def _sink(self, url: str, sink: str, *, source: Sequence[str] = ()) -> list[str]:
        # flvmux names its own output; a tee stands between it and the sink when there is a copy.
        location = f"location={url} live=1" if sink == "rtmpsink" else f"location={url}"
        tail = ["identity", "name=sent", "silent=false", "!", sink, location]
        mux = ["flvmux", "name=mux", "streamable=true", "!"]
        return [*mux, "copy.", *source, "!", *tail] if source else [*mux, *tail]

    async def _launch(self, url: str, *pipeline: str) -> GstPublisher:
        # -e: Ctrl-C sends an end of stream through the pipeline, so that the sink unpublishes.
        command = ("gst-launch-1.0", "-e", "-v", *pipeline)
        publisher = await self.start(GstPublisher, f"GStreamer to {url}", *command)
        return await self._published(publisher, publisher.until_sending)

    async def play_to_file(self, url: str, path: Path, *, seconds: float, source: str = "rtmp2src") -> Path:
        """Write `seconds` of what `url` plays to `path`, as the FLV that the server sent."""
        location = f"location={url} live=1" if source == "rtmpsrc" else f"location={url}"
        command = ("gst-launch-1.0", "-v", source, location, "!", "filesink", f"location={path}")
        child = await self.start(Child, f"GStreamer of {url}", *command, "buffer-mode=unbuffered")
        return await recorded(child, path, seconds)


Publish = Callable[[Path, str], Awaitable[Publisher]]


class Curl(Peers):
    """An HTTP client that says all that it was told."""

    async def get(self, url: str, *options: str, within_s: float = BEGIN_S) -> str:
        """The whole answer, head and body, of something that is no stream; empty if there was none."""
        command = ("curl", "--silent", "--show-error", "--include", *options, url)
        client = await self.start(Client, f"curl of {url}", *command)
        await client.exit_code(within_s)
        return client.answer

    async def play(self, url: str, path: Path, *options: str) -> Child:
        """Begin to write what `url` plays to `path`; return when the server has answered that it plays."""
        command = ("curl", "--silent", "--verbose", "--fail", "--no-buffer", "--output", str(path), *options, url)
        client = await self.start(Child, f"curl of {url}", *command)
        await client.until(lambda: "< HTTP/1.1 200 OK" in client.stderr, within_s=BEGIN_S, what="answer that it plays")
        return client

    async def play_to_file(self, url: str, path: Path, *options: str, seconds: float) -> Path:
        """Write `seconds` of what `url` plays to `path`, as the FLV that the server sent."""
        return await recorded(await self.play(url, path, *options), path, seconds)


class Rtmpdump(Peers):
    """librtmp as a player."""

    async def play_to_file(self, url: str, path: Path, *, seconds: float) -> Path:
        """Write `seconds` of what `url` plays to `path`, as the FLV that the server sent."""
        # Its own --stop is left to the server when --live is given (2.4), so that it would not end.
        command = ("rtmpdump", "--live", "--verbose", "-r", url, "-o", str(path))
        return await recorded(await self.start(Child, f"rtmpdump of {url}", *command), path, seconds)


async def recorded(child: Child, path: Path, seconds: float) -> Path:
    """Let `child` write FLV to `path` until that spans `seconds`; cut off the unfinished last tag."""
    deadline = time.monotonic() + seconds + BEGIN_S
    while _whole_tags(path)[1] < seconds * 1000:
        if time.monotonic() > deadline or not child.running:
            raise PeerFailed(child._failure(f"wrote {_whole_tags(path)[1]} ms of media, not {seconds:g} s"))
        await asyncio.sleep(0.1)  # a file tells nobody that it grew
    # Not stopped in order, for which GStreamer's librtmp sometimes takes its time: the last tag is cut off anyway.
    await child.kill()
    with path.open("r+b") as file:
        file.truncate(_whole_tags(path)[0])
    return path


def _whole_tags(path: Path) -> tuple[int, int]:
    """The bytes of an FLV file up to its last whole tag, and the milliseconds that its frames span."""
    data = path.read_bytes() if path.exists() else b""
    position, times = 13, []
    while len(data) >= position + 11:
        end = position + 11 + int.from_bytes(data[position + 1 : position + 4], "big") + 4
        if end > len(data):
            break
        # Sequence headers and metadata may come with time 0 in the middle of a stream.
        if data[position] != 18 and end - position > 100:
            times.append(int.from_bytes(data[position + 4 : position + 7], "big") | data[position + 7] << 24)
        position = end
    return min(position, len(data)), max(times) - min(times) if times else 0


class NginxRtmp(Peers):
    """Debian's nginx with its RTMP module: another server to prove the kit against, or to relay to.

    Its app `live` takes every publisher, `closed` none. It has no GOP cache, and no HTTP-FLV.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._port = 0
        self._process: Child | None = None

    def rtmp_url(self, app_stream: str) -> str:
        return f"rtmp://127.0.0.1:{self._port}/{app_stream}"

    def flv_url(self, app_stream: str) -> str:
        raise NotImplementedError("nginx-rtmp serves no HTTP-FLV")

    async def listen(self) -> None:
        """Start, at the same port if it was killed before; return when it takes connections."""
        if not self._port:
            with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
                self._port = free.getsockname()[1]
        config = self._folder / "nginx.conf"
        config.write_text(NGINX_CONFIG.format(port=self._port))
        child = await self.start(
            Child, "nginx", shutil.which("nginx") or "/usr/sbin/nginx", "-p", str(self._folder), "-c", str(config),
            "-e", "stderr",
        )  # fmt: skip
        self._process = child
        deadline = time.monotonic() + BEGIN_S
        while not await _listens(self._port):
            if time.monotonic() > deadline or not child.running:
                raise PeerFailed(child._failure("does not listen"))
            await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """End it as a crash would."""
        assert self._process is not None
        await self._process.kill()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


NGINX_CONFIG = """
load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
daemon off; master_process off; pid nginx.pid; error_log stderr info;
events {{}}
rtmp {{
    access_log off;
    server {{
        listen 127.0.0.1:{port};
        chunk_size 4096;
        application live {{ live on; wait_key on; }}
        application closed {{ live on; deny publish all; }}
    }}
}}
"""
