"""A fault of our own in what reads a stream: it is taken off and says so, and neither stream nor players notice."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec import structs

from penstock.engine.formats import FLV
from penstock.engine.recording.flv import FlvFile
from penstock.engine.recording.fragments import Fragmenter
from penstock.engine.recording.recorder import FAULT, Recording
from penstock.engine.segments import Segmenter, SegmentPolicy
from penstock.engine.stream import Stream
from penstock.engine.viewers import Viewer
from penstock.link.messages import EndReason, Lease
from penstock.link.recording import Container, FileEnded, RecordingState
from penstock.model import MediaPacket
from tests.clock import ManualClock
from tests.engine.kit import CLIENT, DEMO, FakeOwner, inter, key, make_stream, put, video_header
from tests.engine.recording.kit import Studio, frames
from tests.engine.test_segments import SETUP, mixed, pictures, sounds
from tests.engine.test_viewers import HUB, House


class Fault(Exception):
    """One of our own."""


class Reads:
    """A reader that raises from a call on."""

    def __init__(self, good: int = 0) -> None:
        self.good = good
        self.calls = 0
        self.failures = 0

    def take(self, packets: Sequence[MediaPacket]) -> None:
        self.calls += 1
        if self.calls > self.good:
            raise Fault

    def failed(self) -> None:
        self.failures += 1

    def session_began(self, lease: Lease) -> None: ...

    def session_ended(self, why: str) -> None: ...


@pytest.fixture
def stream() -> Stream:
    return make_stream(ManualClock())


def faults(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What was logged with a traceback."""
    return [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("good", [0, 1, 2])
@pytest.mark.parametrize("is_played", [True, False])
def test_a_reader_that_raises_is_taken_off_and_the_others_read_on(
    good: int, is_played: bool, stream: Stream, caplog: pytest.LogCaptureFixture
) -> None:
    put(stream, video_header(), key(0))
    player = FakeOwner()
    if is_played:
        stream.attach(player.outlet, FLV)
    before, bad, after = Reads(99), Reads(good), Reads(99)
    for reader in (before, bad, after):
        stream.follow(reader)
    for at in range(1, 6):
        put(stream, inter(40 * at))
    for reader in (before, bad, after):
        stream.unfollow(reader)
    assert (bad.calls, bad.failures) == (good + 1, 1)
    assert (before.calls, after.calls, before.failures, after.failures) == (6, 6, 0, 0)
    assert not stream.is_followed
    assert len(faults(caplog)) == 1
    if is_played:
        assert [tag.dts_ms for tag in player.tags() if tag.payload[:1] == b"\x27"] == [40, 80, 120, 160, 200]


def test_a_reader_that_raises_at_its_last_batch_is_told_once(stream: Stream) -> None:
    reader = Reads(1)
    stream.follow(reader)
    stream.add(key(0))
    stream.unfollow(reader)
    assert (reader.calls, reader.failures, stream.is_followed) == (2, 1, False)


def test_a_reader_whose_end_fails_too_is_the_end_of_it(stream: Stream, caplog: pytest.LogCaptureFixture) -> None:
    class Hopeless(Reads):
        def failed(self) -> None:
            raise Fault

    stream.follow(Hopeless())
    put(stream, key(0))
    assert not stream.is_followed
    assert len(faults(caplog)) == 2


# Recordings


def raising(*_: object, **__: object) -> None:
    raise Fault


def where_a_recording_may_fail() -> list[tuple[Container, object, str]]:
    return [
        (Container.MP4, Fragmenter, "take"),
        (Container.MP4, Fragmenter, "_cut"),
        (Container.MP4, Recording, "take"),
        (Container.HLS, Fragmenter, "_cut"),
        (Container.FLV, FlvFile, "add"),
    ]


@pytest.mark.parametrize(("container", "of", "name"), where_a_recording_may_fail())
def test_a_fault_in_a_recording_fails_it_in_words_and_nobody_else(
    container: Container,
    of: object,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    studio = Studio(tmp_path / "recordings")
    player = FakeOwner(limit_bytes=1 << 30)
    studio.record(container)
    publication = studio.begin()
    studio.hub.join(DEMO, FLV, player.outlet, CLIENT, "play.demo.test")
    studio.send(*SETUP, *mixed(pictures(16.0), sounds(16.0)))
    (path,) = studio.began()
    with monkeypatch.context() as patch:
        patch.setattr(of, name, raising)
        studio.send(*mixed(pictures(8.0, from_s=16.0), sounds(8.0, from_s=16.0)))
    assert (studio.state, studio.error) == (RecordingState.FAILED, FAULT)
    assert len(faults(caplog)) == 1
    # What was cut before is a file, closed in order and readable.
    (ended,) = studio.heard(FileEnded)
    assert ended.why == FAULT
    assert ended.facts is not None
    assert frames(path)
    # The stream goes on, and with it whoever plays it; a recording that is ordered anew works.
    assert studio.hub.publications() == [publication]
    taken = len(player.socket.taken)
    studio.stop()
    studio.record(container)
    studio.send(*mixed(pictures(16.0, from_s=24.0), sounds(16.0, from_s=24.0)))
    assert len(player.socket.taken) > taken
    assert studio.state == RecordingState.RECORDING


@pytest.mark.parametrize("name", ["session_began", "session_ended"])
def test_a_fault_at_a_sessions_edge_keeps_nobody_from_publishing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    studio = Studio(tmp_path / "recordings")
    monkeypatch.setattr(Recording, name, raising)
    studio.record()
    studio.begin()
    studio.send(*SETUP, *pictures(4.0))
    studio.end()
    assert (studio.state, studio.hub.publications()) == (RecordingState.FAILED, [])
    assert len(faults(caplog)) == 1
    assert studio.begin() in studio.hub.publications()


def test_a_fault_leaves_no_descriptor_open_even_when_the_last_words_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = Studio(tmp_path / "recordings")
    before = len(list(Path("/proc/self/fd").iterdir()))
    studio.record(Container.FLV)
    studio.begin()
    studio.send(*SETUP, *pictures(8.0))
    monkeypatch.setattr(FlvFile, "add", raising)
    monkeypatch.setattr(FlvFile, "finish", raising)
    studio.send(*pictures(8.0, from_s=8.0))
    assert studio.error == FAULT
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    studio.stop()
    assert studio.state == RecordingState.STOPPED
    assert studio.desk.ids == ()


# HLS


HUB_OF = {0.0: HUB, 0.5: structs.replace(HUB, segments=SegmentPolicy(part_s=0.5))}


class WaitsFor:
    """A request that waits for the part that comes next."""

    def __init__(self, house: House, viewer: Viewer) -> None:
        self.is_answered = False
        self._segmenter = viewer.segmenter
        house.viewers.waits.wait(self, self._look, lambda: None, within_s=99, about=viewer.segmenter)

    def _look(self) -> bool:
        self.is_answered = self._segmenter.is_ended
        return self.is_answered


def open_viewer(house: House) -> Viewer | None:
    return house.viewers.open(DEMO, CLIENT, "play.demo.test")


@pytest.mark.parametrize("part_s", [0.0, 0.5])
@pytest.mark.parametrize(("of", "name"), [(Segmenter, "_take_video"), (Segmenter, "_next_piece"), (Segmenter, "_add")])
def test_a_fault_in_packing_ends_its_players_and_no_other(
    of: object, name: str, part_s: float, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(HUB_OF[part_s])
    publication = house.on_air()
    viewer, flv = open_viewer(house), FakeOwner()
    assert viewer is not None
    house.hub.join(DEMO, FLV, flv.outlet, CLIENT, "play.demo.test")
    house.keys(publication, 4, from_s=2)
    assert viewer.segmenter.is_ready
    waiting = WaitsFor(house, viewer)
    with monkeypatch.context() as patch:
        patch.setattr(of, name, raising)
        house.keys(publication, 3, from_s=10)
        # Nobody tries that again before the next session: it would fail again, at each player's request.
        assert open_viewer(house) is None
    assert open_viewer(house) is None
    assert len(faults(caplog)) == 1
    # Its players read what there is to the end; nothing is packed, and nothing on the shelf.
    assert viewer.is_over
    assert b"#EXT-X-ENDLIST" in viewer.segmenter.playlist
    house.clock.advance(0)
    assert waiting.is_answered == bool(part_s)
    assert house.hub._shelf.bytes == 0
    # The other player goes on, and so does its publisher.
    house.keys(publication, 1, from_s=16)
    assert [tag.dts_ms for tag in flv.tags() if tag.payload[:2] == b"\x17\x01"][-1] == 16000
    assert house.hub.publications() == [publication]
    house.hub.end(publication, EndReason.LEFT, "")
    publication = house.on_air()
    found = open_viewer(house)
    assert found is not None
    house.keys(publication, 2, from_s=2)
    assert found.segmenter.is_ready
