"""Packets as real players saw them, how to compare them, and the samples that publishers send.

A packet is known by its track, its key flag and the MD5 of its data. Both sides of a comparison
must hold their bitstream in the same form: make the source an .flv when RTMP or HTTP-FLV is played.

Run as a program (``python -m tests.e2e.media pull|push ...``) it is the PyAV peer: a process of
its own, because libav holds the interpreter's lock while an RTMP connection is made.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import av
from av.packet import Packet as AvPacket
from av.stream import Stream
from msgspec import Struct

from penstock.workers import testpattern

NETWORK_TIMEOUT_S = 10.0
TRACKS = {"video": "v", "audio": "a"}


class Packet(Struct, frozen=True):
    track: str  # "v" or "a"
    dts_ms: int
    pts_ms: int
    is_key: bool  # always true for audio
    md5: str

    @property
    def identity(self) -> tuple[bool, str]:
        """What a server must not change; the time line is its own."""
        return self.is_key, self.md5

    def __str__(self) -> str:
        return f"{self.track}{' key' if self.is_key else ''} dts={self.dts_ms} pts={self.pts_ms} md5={self.md5[:8]}"


def track_of(packets: Iterable[Packet], track: str) -> list[Packet]:
    return [packet for packet in packets if packet.track == track]


def first_video(packets: Iterable[Packet]) -> Packet:
    return next(packet for packet in packets if packet.track == "v")


class Verdict(Struct, frozen=True):
    """True or false in an `assert`, and shown there as the reason."""

    ok: bool
    why: str

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        return self.why


def is_run_of(source: Sequence[Packet], got: Sequence[Packet], *, looped: bool = True) -> Verdict:
    """Is each track of `got` a contiguous run of `source`: nothing missing, doubled or remade?

    With `looped` the source's end is followed by its start again. Timestamps do not count
    (see `rising`), and a source's track that `got` lacks is an error.
    """
    tracks = sorted({packet.track for packet in [*source, *got]})
    if not got:
        return Verdict(False, "no packets were got")
    verdicts = [_track_verdict(track, track_of(source, track), track_of(got, track), looped) for track in tracks]
    failed = [verdict.why for verdict in verdicts if not verdict]
    return Verdict(not failed, "; ".join(failed or [verdict.why for verdict in verdicts]))


def _track_verdict(track: str, source: list[Packet], got: list[Packet], looped: bool) -> Verdict:
    if not got or not source:
        return Verdict(False, f"{track}: the source has {len(source)} packets, {len(got)} were got")
    starts = [n for n, packet in enumerate(source) if packet.identity == got[0].identity]
    if not starts:
        return Verdict(False, f"{track}: the first packet got is not in the source: {got[0]}")
    # Silence encodes alike again and again, so the first packet may fit at several places.
    start, length = max(((start, _run_length(source, got, start, looped)) for start in starts), key=lambda run: run[1])
    if length == len(got):
        return Verdict(True, f"{track}: {length} packets from the source's packet {start} on")
    return Verdict(False, f"{track}: {_difference(source, got, start, length, looped)}")


def _run_length(source: list[Packet], got: list[Packet], start: int, looped: bool) -> int:
    limit = len(got) if looped else min(len(got), len(source) - start)
    fits = (got[n].identity == source[(start + n) % len(source)].identity for n in range(limit))
    return next((n for n, same in enumerate(fits) if not same), limit)


def _difference(source: list[Packet], got: list[Packet], start: int, at: int, looped: bool) -> str:
    """Say what is wrong with `got[at]`, the first packet that does not follow `source` from `start`."""
    seen = got[at]
    where = f"packet {at} of {len(got)} got ({seen})"
    if not looped and start + at >= len(source):
        return f"{where} comes after the source's end"
    wanted = source[(start + at) % len(source)]
    where += f" should be the source's {(start + at) % len(source)} ({wanted})"
    if seen.md5 == wanted.md5:
        return f"{where}: its key flag was changed"
    if at and seen.identity == got[at - 1].identity:
        return f"{where}: it is the one before, doubled"
    ahead = [source[(start + at + n) % len(source)].identity for n in range(len(source))]
    if seen.identity in ahead:
        return f"{where}: {ahead.index(seen.identity)} missing (or out of order)"
    return f"{where}: it was remade, as the source has no such data"


def rising(got: Sequence[Packet], *, strictly: bool = True) -> Verdict:
    """Does each track's decoding time go up with every packet (or, not `strictly`, never down)?"""
    if not got:
        return Verdict(False, "no packets were got")
    for track in sorted({packet.track for packet in got}):
        for n, (before, after) in enumerate(pairwise(track_of(got, track)), start=1):
            if after.dts_ms < before.dts_ms or (strictly and after.dts_ms == before.dts_ms):
                return Verdict(False, f"{track}: dts does not rise at packet {n}: {before} is followed by {after}")
    return Verdict(True, f"{len(got)} packets rise from {got[0].dts_ms} to {got[-1].dts_ms} ms")


def same_spacing(source: Sequence[Packet], got: Sequence[Packet]) -> Verdict:
    """Are the times of `got`, a run of `source`, those of the source, all moved by one and the same time?

    So sound and picture stay as far apart as they were, and a picture's pts from its dts.
    """
    shifts = {track: _shifts(track_of(source, track), track_of(got, track)) for track in {p.track for p in got}}
    for track, found in sorted(shifts.items()):
        if not found:
            return Verdict(False, f"{track}: the packets do not stand as far apart as the source's")
    common = set.intersection(*shifts.values()) if shifts else set()
    return Verdict(bool(common), f"moved by {common or shifts} ms")


def _shifts(source: list[Packet], got: list[Packet]) -> set[int]:
    """By how many milliseconds one track was moved, at each place of the source that it fits to."""
    found = set()
    for start in range(len(source) - len(got) + 1):
        run = source[start : start + len(got)]
        if run[0].identity == got[0].identity and all(a.identity == b.identity for a, b in zip(run, got, strict=True)):
            moved = {b.dts_ms - a.dts_ms for a, b in zip(run, got, strict=True)}
            moved |= {b.pts_ms - a.pts_ms for a, b in zip(run, got, strict=True)}
            if len(moved) == 1:
                found |= moved
    return found


def parse_packet(line: str) -> Packet | None:
    """Read one line of ffprobe's compact form, as printed with `FFPROBE_OPTIONS`; None for other tracks."""
    fields = dict(field.split("=", 1) for field in line.strip().split("|") if "=" in field)
    track = TRACKS.get(fields.get("codec_type", ""))
    if track is None or "data_hash" not in fields:
        return None
    dts, pts = (fields.get(name, "N/A") for name in ("dts_time", "pts_time"))
    dts, pts = (pts if dts == "N/A" else dts), (dts if pts == "N/A" else pts)
    return Packet(
        track=track,
        dts_ms=round(float(dts) * 1000),
        pts_ms=round(float(pts) * 1000),
        is_key=fields["flags"].startswith("K"),
        md5=fields["data_hash"].removeprefix("MD5:").lower(),
    )


FFPROBE_OPTIONS = (
    *("-show_packets", "-show_data_hash", "md5", "-of", "compact=print_section=0"),
    *("-show_entries", "packet=codec_type,pts_time,dts_time,flags,data_hash"),
)


class Samples:
    """Files to publish, made at first use and kept for the next run.

    Debian 12's ffmpeg (5.1) can neither write nor read HEVC and AV1 in FLV: publish and play
    those two with PyAV, whose libav is newer.
    """

    seconds = 12

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(tempfile.gettempdir()) / f"penstock-samples-{os.getuid()}"

    @cached_property
    def h264(self) -> Path:
        """H.264 without B-frames and AAC, a key frame each second."""
        return self._made("h264", testpattern.Pattern(width=320, height=180, fps=25, gop_s=1))

    @cached_property
    def b_frames(self) -> Path:
        """H.264 with B-frames (pts differs from dts) and AAC, a key frame each 2 s."""
        return self._made("b-frames", testpattern.Pattern(width=320, height=180, fps=25, gop_s=2, b_frames=2))

    @cached_property
    def hevc(self) -> Path:
        """HEVC (Enhanced RTMP) and AAC, a key frame each second."""
        return self._made("hevc", testpattern.Pattern(width=320, height=180, fps=25, gop_s=1, video_codec="libx265"))

    @cached_property
    def av1(self) -> Path:
        """AV1 (Enhanced RTMP) and AAC, a key frame each second."""
        return self._made("av1", testpattern.Pattern(width=320, height=180, fps=25, gop_s=1, video_codec="libsvtav1"))

    @cached_property
    def audio_only(self) -> Path:
        return self._made("audio-only", testpattern.Pattern(video=False))

    @cached_property
    def video_only(self) -> Path:
        return self._made("video-only", testpattern.Pattern(width=320, height=180, fps=25, gop_s=1, audio=False))

    @cached_property
    def brief(self) -> Path:
        """H.264 and AAC, over after 3 s and with its only key frame at the start: who comes late gets it whole."""
        return self._made("brief", testpattern.Pattern(width=320, height=180, fps=25, gop_s=5), seconds=3)

    @cached_property
    def one_gop(self) -> Path:
        """H.264 and AAC, with its only key frame at the start of 12 s."""
        return self._made("one-gop", testpattern.Pattern(width=320, height=180, fps=25, gop_s=60))

    @cached_property
    def at_30_fps(self) -> Path:
        """H.264 and AAC like `h264`, with 30 pictures a second."""
        return self._made("30-fps", testpattern.Pattern(width=640, height=360, fps=30, gop_s=2))

    def _made(self, name: str, pattern: testpattern.Pattern, *, seconds: float = seconds) -> Path:
        recipe = f"{pattern!r} {seconds} {av.library_versions} {inspect.getsource(testpattern)}"
        path = self._folder / f"{name}-{hashlib.md5(recipe.encode()).hexdigest()[:12]}.flv"
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(f".{os.getpid()}")
            # SVT-AV1 talks to stderr by itself; 1 leaves its errors.
            os.environ.setdefault("SVT_LOG", "1")
            testpattern.write_pattern(partial, seconds, pattern)
            partial.rename(path)
        return path


# The PyAV peer.


def pull(url: str) -> None:
    """Print the packets of `url` in ffprobe's form until it ends."""
    # Looking for a track that an RTMP server need not announce ends early; what was read meanwhile is kept.
    with av.open(url, timeout=NETWORK_TIMEOUT_S, options={"analyzeduration": "500000"}) as source:
        for packet in source.demux():
            if packet.dts is not None and packet.stream.type in TRACKS:
                print(_compact(packet), flush=True)


def _compact(packet: AvPacket[Stream]) -> str:
    assert packet.dts is not None
    dts_s = float(packet.dts * packet.time_base)
    pts_s = dts_s if packet.pts is None else float(packet.pts * packet.time_base)
    flags, data_hash = "K_" if packet.is_keyframe else "__", hashlib.md5(bytes(packet)).hexdigest()
    return (
        f"codec_type={packet.stream.type}|pts_time={pts_s:.6f}|dts_time={dts_s:.6f}|flags={flags}|data_hash={data_hash}"
    )


def push(path: str, url: str, *, realtime: bool, loop: bool, going_on: Callable[[], bool]) -> None:
    """Send the packets of `path` unchanged; print a dot's worth of progress for each."""
    output = testpattern.open_rtmp(url)
    try:
        start = time.monotonic()
        for packet, at_s in _timeline(path, output, loop):
            if realtime:
                time.sleep(max(0.0, start + at_s - time.monotonic()))
            if not going_on():
                break
            output.mux(packet)
            print(f"sent {at_s:.3f}", flush=True)
    finally:
        output.close()


def _timeline(path: str, output: av.container.OutputContainer, loop: bool) -> Iterator[tuple[AvPacket[Stream], float]]:
    """The packets of `path` on one rising time line, each with its seconds from the start."""
    streams: dict[int, Stream] = {}
    offset_s = end_s = 0.0
    while True:
        with av.open(path) as source:
            if not streams:
                streams = {
                    stream.index: output.add_stream_from_template(stream, opaque=True) for stream in source.streams
                }
            for packet in source.demux():
                if packet.dts is None or packet.pts is None:
                    continue
                shift = round(offset_s / packet.time_base)
                packet.dts, packet.pts = packet.dts + shift, packet.pts + shift
                at_s = float(packet.dts * packet.time_base)
                end_s = max(end_s, at_s + float((packet.duration or 40) * packet.time_base))
                packet.stream = streams[packet.stream.index]
                yield packet, at_s
        if not loop:
            return
        offset_s = end_s


def main(argv: list[str]) -> None:
    command, *arguments = argv
    av.logging.set_level(av.logging.ERROR)
    try:
        if command == "pull":
            # Ends at once: a handler in Python would wait for libav, which waits for the server.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            pull(*arguments)
        else:
            stopped: list[int] = []
            signal.signal(signal.SIGINT, lambda signum, _frame: stopped.append(signum))
            path, url, *options = arguments
            loop, realtime = "--loop" in options, "--realtime" in options
            push(path, url, realtime=realtime, loop=loop, going_on=lambda: not stopped)
    except av.FFmpegError as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
