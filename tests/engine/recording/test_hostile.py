"""Publishers that send what no encoder would: their recordings are files all the same, and fail nobody."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from penstock.link.recording import Container, FileBegan, FileEnded, RecordingState
from penstock.model import Kind
from penstock.protocols import amf0
from penstock.protocols.flv import Tag
from tests.engine.kit import AAC_HEADER, AVC_HEADER, key_body
from tests.engine.recording.kit import ID, Studio, frames
from tests.fuzz.targets import messages_of
from tests.fuzz.test_corpus import CORPUS

INPUTS = sorted([*CORPUS.glob("bodies/*"), *CORPUS.glob("segments/*")])


def record(root: Path, data: bytes) -> None:
    studio = Studio(root)
    for number, container in enumerate(Container):
        studio.record(container, one_file=True, recording=f"{number}" * 32)
    for _ in range(2):
        publication = studio.begin()
        studio.send(*(Tag(kind, timestamp, body) for kind, timestamp, body in messages_of(data)))
        assert studio.hub.publications() == [publication]
        studio.end()
    for number in range(len(Container)):
        studio.stop(f"{number}" * 32)
        assert studio.state == RecordingState.STOPPED
    assert len(studio.heard(FileEnded)) == len(studio.heard(FileBegan))
    for ended in list(studio.heard(FileEnded)):
        assert ended.facts is not None
        assert frames(studio.root / ended.path)
        found = studio.inspect(ended.path).facts
        assert found is not None
        assert found.size_bytes == ended.facts.size_bytes
        if ended.path.endswith(".flv"):
            assert (found.video, found.audio) == (ended.facts.video, ended.facts.audio)


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_whatever_is_published_is_recorded_or_left_out(path: Path, tmp_path: Path) -> None:
    dice, data = random.Random(path.name), path.read_bytes()
    record(tmp_path / "whole", data)
    for number in range(5):
        changed = bytearray(data)
        for _ in range(dice.randint(1, 4)):
            changed[dice.randrange(len(changed))] = dice.randrange(256)
        record(tmp_path / f"{number}", bytes(changed))


def test_what_is_no_frame_fills_no_memory(tmp_path: Path) -> None:
    """Texts, setup and ends of sequences without end, and one frame now and then or never."""
    texts = [Tag(Kind.DATA, 0, amf0.encode("onTextData", "x" * 10_000)), Tag(Kind.AUDIO, 0, AAC_HEADER + bytes(5000))]
    for frame in ([], [Tag(Kind.VIDEO, 0, AVC_HEADER), Tag(Kind.VIDEO, 0, key_body())]):
        studio = Studio(tmp_path / f"{len(frame)}")
        studio.record(Container.FLV)
        studio.begin()
        studio.send(*frame)
        studio.disk.at_once = False  # nothing leaves the queue
        for _ in range(2000):
            studio.send(*texts)
        held = studio.desk._recordings[ID]._cutter._packets  # type: ignore[attr-defined]
        assert sum(len(packet.tag) for packet in held) < 5 * 1024 * 1024
        assert studio.desk._tools.budget.bytes < 5 * 1024 * 1024
        studio.disk.work()
        studio.stop()
        studio.disk.work()
