"""The process that looks into a file: one question, one answer, within bounds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from penstock.link.recording import Container
from penstock.workers import inspector
from penstock.workers.inspector import Answer, Question
from tests.engine.recording.test_salvage import recorded


def ask(root: Path, path: str) -> Answer:
    done = subprocess.run(
        [sys.executable, "-m", inspector.__name__],
        input=msgspec.json.encode(Question(str(root), path)),
        capture_output=True,
        check=True,
        timeout=20,
    )
    assert not done.stderr
    return msgspec.json.decode(done.stdout, type=Answer)


@pytest.mark.parametrize("container", Container)
def test_a_file_is_mended_by_a_process_of_its_own(container: Container, tmp_path: Path) -> None:
    path, file = recorded(tmp_path / "r", container)
    if file.is_file():
        file.write_bytes(file.read_bytes()[:-10])
    answer = ask(tmp_path / "r", path)
    assert answer.why == ""
    assert answer.facts is not None
    assert answer.facts.video == "avc"
    assert not answer.facts.is_whole


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("demo/live/cam/gone.mp4", "it is gone"),
        ("../live/cam/x.mp4", "is no path of a recording"),
        ("demo/live/cam/empty.mp4", "nothing in it can be read"),
        ("demo/live/cam/link.mp4", "Too many levels of symbolic links"),
    ],
)
def test_what_cannot_be_read_has_a_reason(path: str, why: str, tmp_path: Path) -> None:
    folder = tmp_path / "demo" / "live" / "cam"
    folder.mkdir(parents=True)
    (folder / "empty.mp4").touch()
    (folder / "link.mp4").symlink_to("empty.mp4")
    answer = ask(tmp_path, path)
    assert answer.facts is None
    assert why in answer.why
