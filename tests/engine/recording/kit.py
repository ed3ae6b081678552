"""What the tests of recording share: a hub with a desk, a disk that works when it is told to, and files read back."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from penstock.engine.hub import Hub, HubPolicy
from penstock.engine.publication import Publication
from penstock.engine.recording.desk import FromDesk, Place, RecordingDesk
from penstock.engine.recording.disk import Done
from penstock.engine.recording.folder import Folder
from penstock.engine.recording.recorder import RecordingPolicy
from penstock.engine.recording.salvage import inspect
from penstock.engine.usage import UsageMeter
from penstock.link.messages import EndReason
from penstock.link.recording import (
    Container,
    FileBegan,
    FileEnded,
    FileFacts,
    Inspect,
    Record,
    RecordingState,
    RecordingTold,
    RecordOrder,
    StopRecording,
)
from penstock.model import Kind, MediaPacket
from penstock.protocols import flv
from penstock.protocols.flvbody import audio_body, video_body
from tests.clock import ManualClock
from tests.e2e.media import FFPROBE_OPTIONS, Packet, parse_packet
from tests.engine.kit import CLIENT, DEMO, LOW, FakePublisher, make_lease, message_buffer
from tests.protocols import boxes

T = TypeVar("T")
M = TypeVar("M")

ID = "0" * 32


class HandDisk:
    """Does what it is asked at once, or only when it is told, on the test's own thread."""

    def __init__(self, *, at_once: bool = True) -> None:
        self.at_once = at_once
        self._works: deque[Callable[[], None]] = deque()
        self._is_busy = False

    def put(self, work: Callable[[], T], done: Done[T]) -> None:
        def do() -> None:
            try:
                result: T | OSError = work()
            except OSError as error:
                result = error
            done(result)

        self._works.append(do)
        if self.at_once:
            self.work()

    def work(self) -> None:
        """Do all that waits, in order; what that asks for in turn comes behind it."""
        if self._is_busy:
            return
        self._is_busy = True
        try:
            while self._works:
                self._works.popleft()()
        finally:
            self._is_busy = False


class Studio:
    """A hub whose streams are recorded below `root`. `told` is what control heard, oldest first."""

    def __init__(self, root: Path, policy: RecordingPolicy | None = None, *, at_once: bool = True) -> None:
        self.clock = ManualClock()
        self.root = root
        self.disk = HandDisk(at_once=at_once)
        self.hub = Hub(HubPolicy(LOW, 10.0, 10.0, 10.0), self.clock, self.clock.later, UsageMeter(self.clock.now()))
        self.folder = Folder(root)
        place = Place(root, self.disk, HandDisk(), self._inspect)
        self.desk = RecordingDesk(self.hub, place, policy or RecordingPolicy(), self.clock)
        self.told: list[FromDesk] = []
        self.desk.attach(self.told.append)
        self.publication: Publication | None = None
        self._epoch = 0
        self._clock_ms: int | None = None

    def _inspect(self, path: str, done: Callable[[FileFacts | None, str], None]) -> None:
        try:
            facts = inspect(self.folder, path)
        except OSError as error:
            done(None, str(error))
            return
        done(facts, "" if facts else "nothing")

    # Control's side

    def record(self, container: Container = Container.MP4, *, one_file: bool = False, recording: str = ID) -> None:
        self.desk.receive(Record(RecordOrder(recording, DEMO, container, one_file)))

    def stop(self, recording: str = ID) -> None:
        self.desk.receive(StopRecording(recording))

    def inspect(self, path: str) -> FileEnded:
        self.desk.receive(Inspect(ID, path))
        return self.heard(FileEnded)[-1]

    def heard(self, kind: type[M]) -> list[M]:
        return [message for message in self.told if isinstance(message, kind)]

    @property
    def state(self) -> RecordingState:
        return self.heard(RecordingTold)[-1].state

    @property
    def error(self) -> str:
        return self.heard(RecordingTold)[-1].error

    def began(self) -> list[Path]:
        return [self.root / message.path for message in self.heard(FileBegan)]

    def facts(self) -> list[FileFacts | None]:
        return [message.facts for message in self.heard(FileEnded)]

    # The publisher's side

    def begin(self) -> Publication:
        self._epoch += 1
        self.publication = self.hub.begin(make_lease(self._epoch), FakePublisher(), CLIENT, "push.demo.test")
        assert self.publication is not None
        self._clock_ms = None
        return self.publication

    def end(self, reason: EndReason = EndReason.LEFT) -> None:
        assert self.publication is not None
        self.hub.end(self.publication, reason, "")

    def send(self, *packets: MediaPacket | flv.Tag) -> None:
        """Each alone in its receive, at the time that it says."""
        assert self.publication is not None
        for packet in packets:
            is_header = isinstance(packet, MediaPacket) and packet.is_header
            if not is_header and packet.dts_ms:
                if self._clock_ms is not None and packet.dts_ms > self._clock_ms:
                    self.clock.advance((packet.dts_ms - self._clock_ms) / 1000)
                self._clock_ms = packet.dts_ms
            elif self._clock_ms is None:
                self._clock_ms = packet.dts_ms
            buffer = message_buffer(bytes(packet.payload))
            self.publication.receive(packet.kind, packet.dts_ms, buffer, self.clock.monotonic())
            self.publication.stream.settle()


def tags_of(path: Path) -> list[flv.Tag]:
    return flv.TagReader().receive(path.read_bytes())


def moved(tags: Iterable[flv.Tag], by_ms: int) -> list[flv.Tag]:
    return [replace(tag, dts_ms=(tag.dts_ms + by_ms) % 2**32) for tag in tags]


def is_frame(tag: flv.Tag) -> bool:
    body = video_body(tag.payload) if tag.kind == Kind.VIDEO else audio_body(tag.payload)
    return tag.kind != Kind.DATA and body is not None and body.is_frame


def between(tags: Iterable[flv.Tag], from_ms: int, to_ms: int) -> Iterator[flv.Tag]:
    """Frames of a time, with all setup ahead of them."""
    for tag in tags:
        if (not is_frame(tag) and tag.dts_ms < to_ms) or from_ms <= tag.dts_ms < to_ms:
            yield tag


# What real readers say


def packets(path: Path) -> list[Packet]:
    """By PyAV in a process of its own: Debian's ffprobe reads neither HEVC nor AV1 in FLV."""
    from tests.e2e import media

    done = subprocess.run(
        [sys.executable, "-m", media.__name__, "pull", str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return [packet for line in done.stdout.splitlines() if (packet := parse_packet(line))]


def ffprobe_packets(path: Path) -> list[Packet]:
    """Fails at anything that ffprobe finds wrong."""
    return _packets(_ffprobe(path, *FFPROBE_OPTIONS, is_strict=True))


class Frame(Struct, frozen=True):
    """A frame as an independent reader finds it; for packets that are made up, which decoders despair of."""

    track: str  # "v" or "a"
    dts_ms: float
    is_key: bool
    data: bytes


def frames(path: Path) -> list[Frame]:
    """The frames of an MP4, an FLV, or a folder of HLS, in the file's order."""
    if path.is_dir():
        text = (path / "index.m3u8").read_text()
        names = re.findall(r'^(?:#EXT-X-MAP:URI="(init-\d+\.mp4)"|(\d+\.m4s))$', text, re.MULTILINE)
        return _mp4_frames(b"".join((path / (init or name)).read_bytes() for init, name in names), path)
    if path.suffix == ".mp4":
        return _mp4_frames(path.read_bytes(), path)
    return [_flv_frame(tag) for tag in tags_of(path) if is_frame(tag)]


def _flv_frame(tag: flv.Tag) -> Frame:
    if tag.kind == Kind.AUDIO:
        return Frame("a", tag.dts_ms, True, tag.payload[2 if tag.payload[0] == 0xAF else 1 :])
    return Frame("v", tag.dts_ms, tag.payload[0] >> 4 == 1, tag.payload[5:])


def _mp4_frames(whole: bytes, path: Path) -> list[Frame]:
    file = boxes.read(whole)
    found: list[Frame] = []
    tracks: dict[int, tuple[str, int]] = {}
    for box, behind in zip(file.boxes, [*file.boxes[1:], None], strict=True):
        if box.kind == "moov":
            tracks = {
                trak.one("tkhd").numbers("I", 12)[0]: (
                    "v" if trak.one("mdia/hdlr").fields[8:12] == b"vide" else "a",
                    trak.one("mdia/mdhd").numbers("I", 12)[0],
                )
                for trak in box.all("trak")
            }
        if box.kind == "moof":
            assert behind is not None, path
            end = behind.start + 8 + len(behind.fields)
            for run in boxes.read_segment(whole[box.start : end]):
                track, scale = tracks[run.track_id]
                at = run.decode_time
                for sample in run.samples:
                    found.append(Frame(track, at * 1000 / scale, not sample.flags & 0x10000, sample.data))
                    at += sample.duration
    return found


def probe(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_ffprobe(path, "-show_format", "-show_streams", "-of", "json", is_strict=False))
    return found


def _packets(text: str) -> list[Packet]:
    return [packet for line in text.splitlines() if (packet := parse_packet(line))]


def _ffprobe(path: Path, *options: str, is_strict: bool) -> str:
    command = ["ffprobe", "-v", "error" if is_strict else "quiet", *options, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert not done.stderr, done.stderr
    return done.stdout
