"""The client of the admin socket: what it does when the other end is not what it should be."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.admin import contract
from penstock.admin.streams import ListStreams
from penstock.cli.admin import Server
from penstock.errors import AdminError, NotOnAir, TransportError
from tests.admin.kit import ANSWERS
from tests.cli.kit import FakeServer, bind

LIST = ListStreams()


def saying(text: bytes) -> Callable[[socket.socket], None]:
    """Read the request and answer with these bytes."""

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(text)

    return answer


def test_answer_comes_back_typed(server: FakeServer) -> None:
    assert Server(server.data_dir).ask(LIST) == ANSWERS["streams.ls"]
    assert server.asked == [LIST]


def test_refusal_is_raised_with_its_kind(server: FakeServer) -> None:
    server.answers["streams.ls"] = NotOnAir("nobody is there")
    with pytest.raises(AdminError, match="nobody is there") as caught:
        Server(server.data_dir).ask(LIST)
    assert caught.value.kind == "NotOnAir"


def test_no_server_names_what_was_tried_and_how_to_choose(tmp_path: Path) -> None:
    with pytest.raises(TransportError) as caught:
        Server(tmp_path).ask(LIST)
    for word in (str(tmp_path / "control.sock"), "no such socket", "--data-dir", "PENSTOCK_DATA_DIR", "--config"):
        assert word in str(caught.value)


def test_folder_that_is_not_there_is_no_server(tmp_path: Path) -> None:
    with pytest.raises(TransportError, match="no server answers at"):
        Server(tmp_path / "none").ask(LIST)


def test_socket_of_a_server_that_ended_is_told_as_such(tmp_path: Path) -> None:
    bind(tmp_path).close()
    with pytest.raises(TransportError, match="its server has ended"):
        Server(tmp_path).ask(LIST)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "does not speak HTTP"),
        (b"RTMP\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}", "in the middle of its answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "no server of this version"),
        (b"HTTP/1.1 502 Bad\r\nContent-Length: 4\r\n\r\noops", "no server of this version"),
    ],
)
def test_answer_that_is_none_is_told_and_not_believed(server: FakeServer, answer: bytes, why: str) -> None:
    server.raw = saying(answer)
    with pytest.raises(TransportError, match=why):
        Server(server.data_dir).ask(LIST)


def test_server_that_is_silent_is_not_waited_for_without_end(server: FakeServer) -> None:
    done = threading.Event()

    def keep_open(connection: socket.socket) -> None:
        connection.recv(65536)
        done.wait(5)

    server.raw = keep_open
    with pytest.raises(TransportError, match=r"did not answer within 0.05 s; what it was asked may still be done"):
        Server(server.data_dir, timeout_s=0.05).ask(LIST)
    done.set()


def test_answer_that_drips_is_bounded_as_a_whole(server: FakeServer) -> None:
    done = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.recv(65536)
        while not done.wait(0.01):
            try:
                connection.sendall(b"x")
            except OSError:
                return

    server.raw = drip
    with pytest.raises(TransportError, match="did not answer within"):
        Server(server.data_dir, timeout_s=0.1).ask(LIST)
    done.set()


def test_answer_has_a_bound(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "MAX_ANSWER_BYTES", 1000)
    server.raw = saying(b"x" * 2000)
    with pytest.raises(TransportError, match="longer than 1000 bytes"):
        Server(server.data_dir).ask(LIST)


def test_folder_may_lie_deeper_than_a_sockets_address_is_long(tmp_path: Path) -> None:
    with FakeServer(tmp_path / ("d" * 100) / ("e" * 100)) as server:
        assert Server(server.data_dir).ask(LIST) == ANSWERS["streams.ls"]
