"""What the engine's relay door gets, in which order, when connections break."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.link.relaying import Position
from penstock.model import Kind
from penstock.protocols import flv
from penstock.protocols.flv import TagReader
from penstock.workers import door as doors
from penstock.workers.door import Door
from penstock.workers.frames import Frame


def frame(name: str, kind: Kind = Kind.VIDEO, *, key: bool = False, header: bool = False) -> Frame:
    return Frame(kind, 0, key, header, flv.tag(kind, 0, name.encode()), Position())


class Engine:
    """A door that is opened, listened at and shut by hand."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.listener.settimeout(5)

    def accept(self) -> socket.socket:
        connection, _ = self.listener.accept()
        connection.settimeout(5)
        return connection

    def close(self) -> None:
        self.listener.close()
        self.path.unlink()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path / "d")
    yield engine
    engine.listener.close()


def read(connection: socket.socket, count: int) -> list[str]:
    """The payloads of the next `count` tags of a new connection, behind its first line."""
    line = b""
    while not line.endswith(b"\n"):
        line += connection.recv(1)
    assert line == b'{"relay":"r1"}\n'
    reader, got = TagReader(), list[str]()
    while len(got) < count:
        got += [tag.payload.decode() for tag in reader.receive(connection.recv(65536))]
    return got


HEADERS = [frame("meta", Kind.DATA, header=True), frame("V", header=True), frame("A", Kind.AUDIO, header=True)]


def test_new_connection_begins_with_headers_and_the_last_key_frame(engine: Engine) -> None:
    errors: list[str] = []
    door = Door(str(engine.path), "r1", lambda _: False, errors.append)
    assert door.send([*HEADERS, frame("key1", key=True), frame("p1"), frame("key2", key=True), frame("p2")])
    first = engine.accept()
    assert read(first, 7) == ["meta", "V", "A", "key1", "p1", "key2", "p2"]
    first.close()
    # The first send into a closed socket tells; what it held goes again, behind what it stands on.
    sent = ["p3"]
    door.send([frame("p3")])
    if errors == [""]:
        sent.append("p4")
        door.send([frame("p4")])
    second = engine.accept()
    got = read(second, 6 + (len(sent) > 1))
    assert got[:5] == ["meta", "V", "A", "key2", "p2"]
    assert got[5:] == sent
    assert errors[0] == errors[-1] == ""
    assert any(error.startswith("the engine's relay door: ") for error in errors)
    door.close()


def test_header_in_force_is_the_latest(engine: Engine) -> None:
    door = Door(str(engine.path), "r1", lambda _: False, lambda _: None)
    door.send([*HEADERS, frame("key1", key=True), frame("V2", header=True), frame("key2", key=True)])
    engine.accept().close()
    door.send([frame("p1")])
    door.send([frame("p2")])
    got = read(engine.accept(), 5)
    assert got[:4] == ["meta", "V2", "A", "key2"]


def test_absent_engine_is_waited_for_with_growing_pauses(tmp_path: Path) -> None:
    pauses: list[float] = []
    errors: list[str] = []
    engines: list[Engine] = []

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        if len(pauses) == 6:
            engines.append(Engine(tmp_path / "d"))
        return False

    door = Door(str(tmp_path / "d"), "r1", wait, errors.append)
    assert door.send([frame("key", key=True)])
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0]
    assert read(engines[0].accept(), 1) == ["key"]
    assert errors == ["the engine's relay door: No such file or directory"] * 6 + [""]
    engines[0].close()


def test_stop_ends_the_waiting(tmp_path: Path) -> None:
    door = Door(str(tmp_path / "d"), "r1", lambda _: True, lambda _: None)
    assert not door.send([frame("key", key=True)])


def test_gop_without_end_is_let_go(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "MAX_GOP_BYTES", 100)
    door = Door(str(engine.path), "r1", lambda _: False, lambda _: None)
    door.send([*HEADERS, frame("key1", key=True), *(frame("p") for _ in range(20))])
    engine.accept().close()
    door.send([frame("q1")])
    door.send([frame("q2"), frame("key2", key=True)])
    got = read(engine.accept(), 5)
    assert got[:3] == ["meta", "V", "A"]
    assert "p" not in got


def test_path_too_long_for_a_socket_is_reached_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    short = Engine(tmp_path / "d")
    (folder / "d").symlink_to(tmp_path / "d")
    door = Door(str(folder / "d"), "r1", lambda _: False, lambda _: None)
    assert door.send([frame("key", key=True)])
    assert read(short.accept(), 1) == ["key"]
    short.close()
