"""A moving test pattern with sound: published to an RTMP URL, or written to a file.

    python -m penstock.workers.testpattern rtmp://127.0.0.1/live/demo

Pictures and sound come from libavfilter's own sources inside PyAV, so that neither an ffmpeg
binary nor a sample file is needed. The picture carries a running clock and its frame number;
the sound beeps at each full second, when the clock jumps, so that eye and ear can judge sync.

Every frame is due at a moment of media time. A file takes the frames as fast as they are made;
a server gets each one when that moment, counted from the session's start, has come on the
monotonic clock: rounding never adds up, so the pattern neither drifts nor stutters.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import av
import av.logging
from av.audio.frame import AudioFrame
from av.codec.context import Flags as CodecFlags
from av.container import OutputContainer
from av.filter import Graph
from av.packet import Packet
from av.stream import Stream
from av.video.frame import PictureType
from msgspec import Struct

from penstock.errors import PenstockError
from penstock.logs import set_up_logging

# Has a level where lines are for programs.
LOG = logging.getLogger("penstock.testpattern")

SAMPLE_RATE_HZ = 48_000
AAC_FRAME_SAMPLES = 1024
AUDIO_BITRATE_KBPS = 96

NETWORK_TIMEOUT_S = 5.0
FIRST_BACKOFF_S = 0.25
MAX_BACKOFF_S = 5.0
STEADY_SESSION_S = 5.0  # a session that lasted this long starts the back-off anew
MAX_LATENESS_S = 1.0  # further behind (the laptop slept), the clock moves instead of a burst going out
STOP_GRACE_S = 3.0
ACCEPTED_AFTER_S = 0.5  # a refusal has come by then
FROM_STDIN = "-"
MAX_URL = 65536

ENCODER_OPTIONS = {
    # One thread: sliced threads cost more than they bring at this size. The library sets the GOP
    # by time alone, so that segments and key frames stand where --gop-s says.
    "libx264": {"preset": "veryfast", "sc_threshold": "0"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=error:scenecut=0:open-gop=0:pools=1"},
    "libsvtav1": {"preset": "9", "svtav1-params": "scd=0:lp=1"},
}

Wait = Callable[[Fraction], bool]
"""Waits until a moment of media time is due; False means that the pattern ends before it."""


class PublishError(PenstockError):
    """The server could not be reached, refused the stream, or closed it. The text says which."""


class Pattern(Struct, frozen=True, kw_only=True):
    """What is generated. The defaults cost about a tenth of one core."""

    width: int = 640
    height: int = 360
    fps: int = 30
    gop_s: float = 2.0
    bitrate_kbps: int = 800  # of the picture; the sound adds AUDIO_BITRATE_KBPS
    audio: bool = True
    video: bool = True
    video_codec: str = "libx264"  # one of ENCODER_OPTIONS
    b_frames: int = 0  # any makes the encoder look ahead: for files, not for live

    def __str__(self) -> str:
        picture = f"{self.width}x{self.height} at {self.fps} fps, {self.bitrate_kbps} kbit/s"
        return " with ".join([picture] * self.video + ["sound"] * self.audio)


def write_sample(
    path: Path | str,
    seconds: float,
    *,
    fps: int = 30,
    gop_s: float = 2.0,
    width: int = 640,
    height: int = 360,
    audio: bool = True,
    video: bool = True,
    container: str = "flv",
    video_codec: str = "libx264",
    b_frames: int = 0,
    bitrate_kbps: int = 800,
) -> None:
    """Write `seconds` of the pattern to `path` in a libav container, as fast as it can be made.

    The picture has `fps * seconds` frames and a key frame every `gop_s`, whatever is on it.
    """
    pattern = Pattern(
        width=width,
        height=height,
        fps=fps,
        gop_s=gop_s,
        bitrate_kbps=bitrate_kbps,
        audio=audio,
        video=video,
        video_codec=video_codec,
        b_frames=b_frames,
    )
    write_pattern(path, seconds, pattern, container=container)


def write_pattern(path: Path | str, seconds: float, pattern: Pattern, *, container: str = "flv") -> None:
    """`write_sample` for a `Pattern` that exists already."""
    with av.open(str(path), "w", format=container) as output:
        tracks = _add_tracks(output, pattern)
        _render(output, tracks, lambda due_s: due_s < seconds)


def publish(url: str, pattern: Pattern, stop: threading.Event, *, seconds: float | None = None) -> None:
    """Publish to `url` until `stop` is set or `seconds` were sent; come back after every failure.

    Each success and each failure is one line on stderr.
    """
    sent_s, backoff_s = 0.0, FIRST_BACKOFF_S
    while not stop.is_set() and (seconds is None or sent_s < seconds):
        pace = _Pace(stop, None if seconds is None else seconds - sent_s)
        try:
            publish_once(url, pattern, pace)
        except PublishError as error:
            if pace.sent_s >= STEADY_SESSION_S:
                backoff_s = FIRST_BACKOFF_S
            say(f"{error}; next try in {backoff_s:g} s")
            stop.wait(backoff_s)
            backoff_s = min(backoff_s * 2, MAX_BACKOFF_S)
        sent_s += pace.sent_s


def publish_once(url: str, pattern: Pattern, wait: Wait) -> None:
    """Publish one session to `url` until `wait` ends it, then unpublish.

    Raises:
        PublishError: it failed, at the start or on the way.
    """
    on_air = False

    def wait_and_tell(due_s: Fraction) -> bool:
        # libav sends media without waiting for the answer to its publish command.
        nonlocal on_air
        if not on_air and due_s >= ACCEPTED_AFTER_S:
            on_air = True
            say(f"publishing {pattern} to {without_query(url)}")
        return wait(due_s)

    with av.logging.Capture() as log:
        try:
            _send(url, pattern, wait_and_tell)
        except av.FFmpegError as error:
            failed = "lost" if on_air else "cannot publish to"
            why = _reason(error, "".join(text for _, _, text in log), on_air=on_air)
            raise PublishError(f"{failed} {without_query(url)}: {why}") from error


def _send(url: str, pattern: Pattern, wait: Wait) -> None:
    output = open_rtmp(url)
    try:
        tracks = _add_tracks(output, pattern)
        output.start_encoding()
        _render(output, tracks, wait)
    except BaseException:
        # The trailer cannot be sent any more, and its error would hide the first one.
        with contextlib.suppress(av.FFmpegError):
            output.close()
        raise
    output.close()


class _Pace:
    """Lets media time pass at the speed of the monotonic clock, which starts at the first wait."""

    def __init__(self, stop: threading.Event, seconds: float | None) -> None:
        self.sent_s = 0.0
        self._stop = stop
        self._end_s = seconds
        self._start: float | None = None

    def __call__(self, due_s: Fraction) -> bool:
        if self._end_s is not None and due_s >= self._end_s:
            self.sent_s = self._end_s
            return False
        now = time.monotonic()
        if self._start is None or now - self._start - due_s > MAX_LATENESS_S:
            self._start = now - float(due_s)
        self.sent_s = float(due_s)
        return not self._stop.wait(max(0.0, self._start + float(due_s) - now))


class _Track:
    """One source and its encoder; knows when its next frame is due."""

    def __init__(
        self, frame_s: Fraction, encode: Callable[[], list[Packet[Stream]]], flush: Callable[[], list[Packet[Stream]]]
    ) -> None:
        self.due_s = Fraction(0)
        self.flush = flush
        self._frame_s = frame_s
        self._encode = encode

    def encode_next(self) -> list[Packet[Stream]]:
        self.due_s += self._frame_s
        return self._encode()


def _render(output: OutputContainer, tracks: list[_Track], wait: Wait) -> None:
    """Encode and mux frame after frame in order of media time, until `wait` says to end."""
    while True:
        track = min(tracks, key=lambda candidate: candidate.due_s)
        if not wait(track.due_s):
            break
        output.mux(track.encode_next())
    for track in tracks:
        output.mux(track.flush())


def _add_tracks(output: OutputContainer, pattern: Pattern) -> list[_Track]:
    tracks = []
    if pattern.video:
        tracks.append(_picture_track(output, pattern))
    if pattern.audio:
        tracks.append(_sound_track(output))
    return tracks


def _picture_track(output: OutputContainer, pattern: Pattern) -> _Track:
    options = dict(ENCODER_OPTIONS[pattern.video_codec])
    if not pattern.b_frames and pattern.video_codec != "libsvtav1":
        options["tune"] = "zerolatency"
    stream = output.add_stream(pattern.video_codec, rate=pattern.fps, options=options)
    assert isinstance(stream, av.VideoStream)
    stream.width, stream.height, stream.pix_fmt = pattern.width, pattern.height, "yuv420p"
    stream.bit_rate = pattern.bitrate_kbps * 1000
    stream.gop_size = max(1, round(pattern.gop_s * pattern.fps))
    stream.max_b_frames = pattern.b_frames
    stream.thread_count = 1
    # SPS and PPS belong into the sequence header; PyAV asks for that only where the muxer does, and tee does not.
    stream.codec_context.flags |= CodecFlags.global_header
    graph = _graph(
        ("testsrc2", f"size={pattern.width}x{pattern.height}:rate={pattern.fps}"),
        ("format", "pix_fmts=yuv420p"),
        ("buffersink", None),
    )

    def encode() -> list[Packet[Stream]]:
        frame = graph.vpull()
        # The source marks every frame as intra, and the encoder would obey.
        frame.pict_type = PictureType.NONE
        return stream.encode(frame)

    return _Track(Fraction(1, pattern.fps), encode, stream.encode)


def _sound_track(output: OutputContainer) -> _Track:
    stream = output.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="stereo")
    stream.bit_rate = AUDIO_BITRATE_KBPS * 1000
    graph = _graph(
        ("sine", f"frequency=220:beep_factor=4:sample_rate={SAMPLE_RATE_HZ}:samples_per_frame={AAC_FRAME_SAMPLES}"),
        ("aformat", "sample_fmts=fltp:channel_layouts=stereo"),
        ("abuffersink", None),
    )

    def encode() -> list[Packet[Stream]]:
        frame = graph.pull()
        assert isinstance(frame, AudioFrame)
        return stream.encode(frame)

    return _Track(Fraction(AAC_FRAME_SAMPLES, SAMPLE_RATE_HZ), encode, stream.encode)


def _graph(*filters: tuple[str, str | None]) -> Graph:
    graph = Graph()
    graph.link_nodes(*(graph.add(name, args) for name, args in filters)).configure()
    return graph


def open_rtmp(url: str) -> OutputContainer:
    """Prepare an RTMP output; nothing connects before its first packet."""
    # PyAV opens a URL with neither options nor time-outs, holding the interpreter's lock: a server
    # that stays silent would hang us for good. The tee muxer hands both on to what it opens.
    options = {
        "f": "flv",
        "rw_timeout": str(int(NETWORK_TIMEOUT_S * 1_000_000)),
        "tcp_nodelay": "1",
        "flvflags": "no_duration_filesize",  # the end cannot be patched into the start of a live stream
    }
    target = re.sub(r"([\\'|])", r"\\\1", url)
    return av.open(f"[{':'.join(f'{name}={value}' for name, value in options.items())}]{target}", "w", format="tee")


def _reason(error: av.FFmpegError, log: str, *, on_air: bool) -> str:
    """Say in a sentence's words what went wrong; `log` is what libav printed meanwhile."""
    if said := re.search(r"Server error: *(.+)", log):
        return f'the server refused: "{said[1].strip()}"'
    if unresolved := re.search(r"Failed to resolve hostname (.+)", log):
        return f"no such host: {unresolved[1].strip()}"
    match error:
        case av.error.ConnectionRefusedError():
            return "nothing listens there, so the server is not running, or on another port"
        case av.error.TimeoutError():
            return f"the server did not react within {NETWORK_TIMEOUT_S:g} s"
        case _ if on_air:
            return f"the server closed the connection ({error.strerror})"
        case _:
            return (
                f"the server closed the connection ({error.strerror}) without telling why: "
                "name in use, banned, unknown app, wrong key, or no RTMP server"
            )


def without_query(url: str) -> str:
    """The URL as it may be shown: a query may hold a signature or a key."""
    return url.partition("?")[0]


def say(line: str) -> None:
    if LOG.level:
        LOG.info(line)
        return
    # Nobody may be left to read it, and that is no reason to fail.
    with contextlib.suppress(OSError):
        print(f"testpattern: {line}", file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> int:
    """Publish as the command line says; return the exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    url = args.url if args.url != FROM_STDIN else _url_from_stdin(parser)
    pattern = Pattern(
        width=args.size[0],
        height=args.size[1],
        fps=args.fps,
        gop_s=args.gop_s,
        bitrate_kbps=args.bitrate_kbps,
    )
    av.logging.set_level(av.logging.ERROR)
    if args.log_format == "json":
        set_up_logging("INFO", "json", "pattern")
        LOG.setLevel(logging.INFO)
    stop = threading.Event()
    if args.with_parent:
        threading.Thread(target=_stop_at_eof, args=(stop,), daemon=True).start()

    def work() -> None:
        if args.once:
            publish_once(url, pattern, _Pace(stop, args.seconds))
        else:
            publish(url, pattern, stop, seconds=args.seconds)

    return _run_until_stopped(work, stop)


def _run_until_stopped(work: Callable[[], None], stop: threading.Event) -> int:
    """Run `work` beside the main thread, which thereby stays free for signals while libav blocks."""
    signals: list[int] = []
    code = [1]  # what a failure or a crash of `work` leaves behind

    def note(signum: int, _frame: FrameType | None) -> None:
        signals.append(signum)

    def run() -> None:
        try:
            work()
        except PublishError as error:
            say(str(error))
        else:
            code[0] = 0

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, note)
    worker = threading.Thread(target=run, daemon=True)
    worker.start()
    while worker.is_alive() and not signals and not stop.is_set():
        worker.join(0.1)
    stopped = bool(signals) or stop.is_set()
    stop.set()
    # A server that takes no more bytes must not keep us: then the daemon thread ends with the process.
    worker.join(STOP_GRACE_S)
    return 0 if stopped else code[0]


def _url_from_stdin(parser: argparse.ArgumentParser) -> str:
    line = sys.stdin.buffer.readline(MAX_URL).decode(errors="replace").strip()
    try:
        return _rtmp_url(line)
    except argparse.ArgumentTypeError as error:
        parser.error(f"standard input: {error}")


def _stop_at_eof(stop: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    stop.set()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m penstock.workers.testpattern",
        description="Publish a moving test pattern with sound (H.264, AAC) to an RTMP server, until stopped.",
    )
    default = Pattern()
    parser.add_argument(
        "url",
        type=lambda text: text if text == FROM_STDIN else _rtmp_url(text),
        help="rtmp://host[:port]/app/stream; with - the first line of stdin, as every user sees a command line",
    )
    parser.add_argument(
        "--size", type=_size, default=(default.width, default.height), metavar="WxH", help="picture size (640x360)"
    )
    parser.add_argument("--fps", type=_positive_int, default=default.fps, help="pictures per second (%(default)s)")
    parser.add_argument(
        "--bitrate-kbps", type=_positive_int, default=default.bitrate_kbps, help="of the picture (%(default)s)"
    )
    parser.add_argument(
        "--gop-s", type=_positive, default=default.gop_s, help="seconds from key frame to key frame (%(default)s)"
    )
    parser.add_argument("--seconds", type=_positive, default=None, help="end after this much media (never)")
    parser.add_argument("--once", action="store_true", help="do not come back after a failure")
    parser.add_argument("--log-format", choices=("human", "json"), default="human")
    parser.add_argument("--with-parent", action="store_true", help="end when stdin reaches its end")
    return parser


def _rtmp_url(text: str) -> str:
    parts = urlsplit(text)
    names = [name for name in parts.path.split("/") if name]
    if parts.scheme not in ("rtmp", "rtmps") or not parts.hostname or len(names) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} should look like rtmp://127.0.0.1/live/demo (server, app, stream)")
    return text


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{2,4})x(\d{2,4})", text)
    if match is None or int(match[1]) % 2 or int(match[2]) % 2:
        raise argparse.ArgumentTypeError(f"{text!r} should be width x height in even numbers, such as 640x360")
    return int(match[1]), int(match[2])


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} should be over 0")
    return value


def _positive_int(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} should be 1 or more")
    return value


if __name__ == "__main__":
    sys.exit(main())
