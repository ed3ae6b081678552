"""The link over a Unix socket: its frames, its bounds, and the file it listens at."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import stat
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.link import socket as link_socket
from penstock.link.messages import AnyMessage, Refused, UsageTaken
from penstock.link.socket import SocketChannel
from tests.link.kit import WAIT_S, End, numbered, samples, shut, turn_the_loop


def frame(message: AnyMessage) -> bytes:
    return raw_frame(msgspec.msgpack.encode(message))


def raw_frame(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


class Pipe(asyncio.WriteTransport):
    """Stands where a connected socket would, and keeps what is done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.aborted = False
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        self.closed = True


class Fed:
    """A channel whose bytes the test feeds it."""

    def __init__(self) -> None:
        self.pipe = Pipe()
        self.channel = SocketChannel()
        self.channel.connection_made(self.pipe)
        self.got: list[AnyMessage] = []
        self.channel.on_message = self.got.append

    def feed(self, pieces: Iterable[bytes]) -> list[AnyMessage]:
        for piece in pieces:
            self.channel.data_received(piece)
        return self.got


# Frames


def test_message_is_sent_as_one_frame() -> None:
    fed = Fed()
    fed.channel.send(UsageTaken(7))
    assert fed.pipe.written == b"\x00\x00\x00\x19\x82\xa4type\xaaUsageTaken\xa6number\x07"


def test_frames_are_read_byte_by_byte() -> None:
    messages = samples()
    raw = b"".join(map(frame, messages))
    assert Fed().feed(raw[at : at + 1] for at in range(len(raw))) == messages


def test_many_frames_are_read_at_once() -> None:
    messages = [*numbered(500), *samples()]
    raw = b"".join(map(frame, messages))
    assert Fed().feed([raw]) == messages


@pytest.mark.parametrize("seed", range(10))
def test_frames_are_read_in_random_splits(seed: int) -> None:
    messages, rng = samples(), random.Random(seed)
    raw = b"".join(map(frame, messages))
    cuts = sorted(rng.sample(range(len(raw)), 12))
    assert Fed().feed(raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)) == messages


# (case, body of a frame)
DAMAGED = [
    ("empty", b""),
    ("nothing of MessagePack", b"\xc1"),
    ("not a message", b"\x93\x01\x02\x03"),
    ("nobody's message", b"\x81\xa4type\xa5Hullo"),
    ("field missing", b"\x81\xa4type\xaaUsageTaken"),
    ("field of another type", b"\x82\xa4type\xaaUsageTaken\xa6number\xa17"),
    ("cut short", msgspec.msgpack.encode(UsageTaken(7))[:-1]),
    ("more than a message", msgspec.msgpack.encode(UsageTaken(7)) + b"\x00"),
    ("text that is not UTF-8", b"\x84\xa4type\xa7Refused\xa3ask\x01\xa4code\x02\xa3why\xa1\xff"),
    ("name that is not UTF-8", b"\x81\xa4type\xa1\xff"),
    ("nesting without end", b"\x82\xa4type\xaaUsageTaken\xa1x" + b"\x91" * 100_000),
]


@pytest.mark.parametrize(("_case", "body"), DAMAGED, ids=[row[0] for row in DAMAGED])
def test_frame_that_does_not_decode_ends_the_link(_case: str, body: bytes) -> None:
    fed, lost = Fed(), list[str]()
    fed.channel.on_lost = lost.append
    fed.feed([frame(UsageTaken(1)) + raw_frame(body) + frame(UsageTaken(2))])
    assert fed.pipe.aborted
    fed.channel.connection_lost(None)
    assert fed.got == [UsageTaken(1)]
    assert lost[0].startswith("a message that does not decode: ")
    fed.channel.send(UsageTaken(3))
    assert fed.pipe.written == b""


@settings(max_examples=200)
@given(st.sampled_from(samples()), st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), max_size=3))
def test_any_damage_is_decoded_or_ends_the_link(message: AnyMessage, damages: list[tuple[int, int]]) -> None:
    raw = bytearray(msgspec.msgpack.encode(message))
    for at, change in damages:
        raw[at % len(raw)] ^= change
    fed = Fed()
    fed.feed([raw_frame(bytes(raw))])
    assert fed.pipe.aborted != bool(fed.got)


@pytest.mark.parametrize("more", [0, 1])
def test_frame_over_the_bound_is_refused_at_its_length(more: int, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = frame(UsageTaken(7))
    monkeypatch.setattr(link_socket, "MAX_FRAME", len(raw) - 4 - more)
    fed, lost = Fed(), list[str]()
    fed.channel.on_lost = lost.append
    fed.feed([raw[:4]])
    assert fed.pipe.aborted == bool(more)
    fed.feed([raw[4:]])
    assert fed.got == [UsageTaken(7)] * (1 - more)
    fed.channel.connection_lost(None)
    assert lost == [f"a frame of 25 bytes; at most {25 - more} are read" if more else "the other end closed the link"]


def test_handler_that_raises_does_not_get_its_message_again() -> None:
    fed = Fed()

    def fail(message: AnyMessage) -> None:
        fed.got.append(message)
        raise OSError("disk full")

    fed.channel.on_message = fail
    with pytest.raises(OSError, match="disk full"):
        fed.feed([frame(UsageTaken(1)) + frame(UsageTaken(2))])
    fed.channel.on_message = fed.got.append
    assert fed.feed([b""]) == numbered(2, start=1)


def test_nothing_is_read_or_sent_behind_a_close() -> None:
    fed = Fed()

    def close(message: AnyMessage) -> None:
        fed.got.append(message)
        fed.channel.close()

    fed.channel.on_message = close
    assert fed.feed([frame(UsageTaken(1)) + frame(UsageTaken(2)), frame(UsageTaken(3))]) == [UsageTaken(1)]
    fed.channel.send(UsageTaken(4))
    assert (fed.pipe.closed, fed.pipe.written) == (True, b"")


def test_close_behind_a_failure_hides_nothing() -> None:
    fed, lost = Fed(), list[str]()
    fed.channel.on_lost = lost.append
    fed.feed([raw_frame(b"")])
    fed.channel.close()
    fed.channel.connection_lost(None)
    assert lost[0].startswith("a message that does not decode")


# Real sockets


@pytest.fixture
async def raw_peer(tmp_path: Path) -> AsyncIterator[tuple[End, socket.socket]]:
    """An end, and the plain socket that it is connected to."""
    accepted: asyncio.Future[SocketChannel] = asyncio.get_running_loop().create_future()
    server = await link_socket.listen(link_socket.bind(tmp_path / "link"), accepted.set_result)
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(tmp_path / "link"))
        async with asyncio.timeout(WAIT_S):
            end = End(await accepted)
        yield end, peer
    server.close()
    await shut(end)


async def test_peer_that_breaks_the_framing_is_cut_off(raw_peer: tuple[End, socket.socket]) -> None:
    end, peer = raw_peer
    peer.sendall(frame(UsageTaken(1)) + b"GET / HTTP/1.1\r\n\r\n")
    await end.until_lost()
    assert end.log == [UsageTaken(1), f"a frame of {0x47455420} bytes; at most {link_socket.MAX_FRAME} are read"]
    assert peer.recv(1) == b""


async def test_peer_that_ends_inside_a_frame_is_just_gone(raw_peer: tuple[End, socket.socket]) -> None:
    end, peer = raw_peer
    peer.sendall(frame(UsageTaken(1)) + frame(UsageTaken(2))[:-1])
    peer.close()
    await end.until_lost()
    assert end.log == [UsageTaken(1), "the other end closed the link"]


async def test_peer_that_is_gone_with_unread_messages_is_lost_once(raw_peer: tuple[End, socket.socket]) -> None:
    end, peer = raw_peer
    end.send(*numbered(3))
    peer.recv(1)
    peer.close()  # the kernel resets the connection
    await end.until_lost()
    end.send(*numbered(3))
    assert len(end.log) == 1


async def test_write_that_fails_loses_nothing_that_came_before(raw_peer: tuple[End, socket.socket]) -> None:
    end, peer = raw_peer
    peer.sendall(b"".join(map(frame, numbered(1000))) + b"\x00")
    peer.close()
    end.send(UsageTaken(1))  # before the loop has had a turn to read
    await end.until_lost()
    assert end.got == numbered(1000)
    assert isinstance(end.log[-1], str)


@pytest.mark.parametrize("size", [10, 40_000])
async def test_peer_that_does_not_read_costs_no_more_than_the_bound(
    raw_peer: tuple[End, socket.socket], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    end, _ = raw_peer
    monkeypatch.setattr(link_socket, "MAX_UNSENT", 100_000)
    message, sent = Refused(1, 422, "x" * size), 0
    while not end.lost and sent < 50_000_000:
        end.send(message)
        sent += size
        if sent % (100 * size) == 0:
            await asyncio.sleep(0)
    assert end.log == ["the other end left 100000 bytes unread"]


async def test_peer_that_reads_slowly_loses_nothing(raw_peer: tuple[End, socket.socket]) -> None:
    end, peer = raw_peer
    messages = [Refused(number, 422, "why" * 1000) for number in range(300)]
    end.send(*messages)
    end.channel.close()
    reader, writer = await asyncio.open_unix_connection(sock=peer.dup())
    fed = Fed()
    while data := await reader.read(999):
        fed.feed([data])
    writer.close()
    assert fed.got == messages


async def test_each_connection_has_a_channel_of_its_own(tmp_path: Path) -> None:
    taken: list[End] = []
    server = await link_socket.listen(link_socket.bind(tmp_path / "link"), lambda channel: taken.append(End(channel)))
    ends = [End(await link_socket.connect(tmp_path / "link", lambda channel: None)) for _ in range(3)]
    for number, end in enumerate(ends):
        end.send(UsageTaken(number))
        end.channel.close()
        await end.until_lost()
    for end in taken:
        await end.until_lost()
    assert [end.got for end in taken] == [[message] for message in numbered(3)]
    server.close()
    await turn_the_loop()


async def test_channel_is_taken_before_its_first_message(tmp_path: Path) -> None:
    accepted: list[End] = []
    taken: list[End] = []

    def greet(channel: SocketChannel) -> None:
        accepted.append(End(channel))
        channel.send(UsageTaken(1))

    server = await link_socket.listen(link_socket.bind(tmp_path / "link"), greet)
    channel = await link_socket.connect(tmp_path / "link", lambda channel: taken.append(End(channel)))
    (end,) = taken
    assert end.channel is channel
    assert await end.until_got(1) == [UsageTaken(1)]
    server.close()
    await shut(end, *accepted)


# The file


def leave_behind(path: Path, what: str) -> None:
    if what == "socket":
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
    elif what == "file":
        path.write_text("left")
    elif what == "dangling link":
        path.symlink_to(path.with_name("nowhere"))


@pytest.mark.parametrize("what", ["nothing", "socket", "file", "dangling link"])
async def test_binding_replaces_what_a_killed_server_left(tmp_path: Path, what: str) -> None:
    path = tmp_path / "link"
    leave_behind(path, what)
    accepted: asyncio.Future[End] = asyncio.get_running_loop().create_future()
    server = await link_socket.listen(link_socket.bind(path), lambda channel: accepted.set_result(End(channel)))
    end = End(await link_socket.connect(path, lambda channel: None))
    end.send(UsageTaken(1))
    async with asyncio.timeout(WAIT_S):
        assert await (await accepted).until_got(1) == [UsageTaken(1)]
    server.close()
    await shut(end, await accepted)


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_socket_is_for_this_user_alone(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        listener = link_socket.bind(tmp_path / "link")
    finally:
        os.umask(before)
    with contextlib.closing(listener):
        assert stat.S_IMODE((tmp_path / "link").stat().st_mode) == 0o600
        assert not listener.getblocking()


def test_path_that_is_too_long_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too long"):
        link_socket.bind(tmp_path / ("x" * 120))


def test_folder_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        link_socket.bind(tmp_path / "nowhere" / "link")


@pytest.mark.parametrize(("what", "error"), [("nothing", FileNotFoundError), ("socket", ConnectionRefusedError)])
async def test_connecting_to_nobody_is_an_os_error(tmp_path: Path, what: str, error: type[OSError]) -> None:
    leave_behind(tmp_path / "link", what)
    with pytest.raises(error):
        await link_socket.connect(tmp_path / "link", lambda channel: None)
