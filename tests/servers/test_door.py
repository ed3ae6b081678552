from __future__ import annotations

import asyncio
import errno
import socket

import pytest

from penstock.engine.stream import Stream
from penstock.model import Kind
from penstock.protocols.rtmp import messages
from penstock.protocols.rtmp.session import ServerSession
from penstock.servers import door as door_module
from penstock.servers.door import CLOSING_S, CONTROL_LIMIT, Door, DoorPolicy, Guests
from penstock.servers.httpflv import HttpFlvConnection
from tests.clock import ManualClock
from tests.engine.kit import inter_body, key_body
from tests.servers.client import HttpClient, RawPipe, Refused, RtmpClient
from tests.servers.house import House, OpenHouse, until

SETUP_S = 10.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def timed(open_house: OpenHouse, clock: ManualClock) -> House:
    """A server whose clock is turned by hand."""
    return await open_house(clock=clock)


def sweep(house: House, clock: ManualClock, seconds: float) -> None:
    """Let time pass, as the engine sees it: a look four times a second."""
    for _ in range(round(seconds * 4)):
        clock.advance(0.25)
        house.engine.hub.tick()
        for door in house.engine.doors.values():
            door.sweep()


# Deadlines


async def test_a_peer_that_says_nothing_is_gone_after_the_time_to_set_up(timed: House, clock: ManualClock) -> None:
    pipes = [await RawPipe.open(timed.rtmp.port), await RawPipe.open(timed.http.port)]
    await until(lambda: len(timed.rtmp) == len(timed.http) == 1)
    sweep(timed, clock, SETUP_S - 0.25)
    assert len(timed.rtmp) == len(timed.http) == 1
    sweep(timed, clock, 0.25)
    assert len(timed.rtmp) == len(timed.http) == 0
    for pipe in pipes:
        await pipe.ended()
        pipe.close()


async def test_bytes_buy_no_time(timed: House, clock: ManualClock) -> None:
    rtmp, http = await RawPipe.open(timed.rtmp.port), await RawPipe.open(timed.http.port)
    for byte in b"\x03GET / HTT":
        await rtmp.write(b"\x03" if byte == 3 else b"\x00")
        await http.write(b"G")
        await asyncio.sleep(0)
        sweep(timed, clock, 1.0)
    assert len(timed.rtmp) == len(timed.http) == 0
    for pipe in (rtmp, http):
        pipe.close()


@pytest.mark.parametrize("far", ["handshake", "connect", "createStream"])
async def test_every_step_of_the_way_is_under_the_same_deadline(timed: House, clock: ManualClock, far: str) -> None:
    client = await timed.rtmp_client()
    if far != "handshake":
        await client.connect()
    if far == "createStream":
        await client.create_stream()
    sweep(timed, clock, SETUP_S)
    await client.ended()
    assert len(timed.rtmp) == 0


async def test_publishers_and_players_have_no_deadline(timed: House, clock: ManualClock) -> None:
    publisher = await timed.on_air()
    await timed.rtmp_player()
    await timed.flv_player()
    for second in range(1, 60):
        await publisher.send_media(Kind.VIDEO, second * 1000, key_body())
        await timed.arrived(second * len(key_body()))
        sweep(timed, clock, 1.0)
    assert timed.players() == 2


async def test_one_that_stopped_publishing_has_as_long_again(timed: House, clock: ManualClock) -> None:
    publisher = await timed.on_air()
    sweep(timed, clock, 5)
    await publisher.call("deleteStream", None, 1.0)
    await publisher.expect("NetStream.Unpublish.Success")
    sweep(timed, clock, SETUP_S - 0.25)
    assert len(timed.rtmp) == 1
    sweep(timed, clock, 0.25)
    assert len(timed.rtmp) == 0


async def test_one_that_was_refused_and_does_not_close_is_closed(timed: House, clock: ManualClock) -> None:
    client = await timed.rtmp_client()
    with pytest.raises(Refused):
        await client.play()
    http = await timed.http_client()
    assert (await http.request("/live/cam.flv")).status == 404
    assert len(timed.rtmp) == len(timed.http) == 1
    sweep(timed, clock, CLOSING_S)
    assert len(timed.rtmp) == len(timed.http) == 0


async def test_closed_connections_leave_no_deadline_behind(timed: House, clock: ManualClock) -> None:
    publisher = await timed.on_air()
    viewer = await timed.flv_player()
    viewer.close()
    await publisher.call("deleteStream", None, 1.0)
    publisher.close()
    (await RawPipe.open(timed.http.port)).close()
    await until(lambda: len(timed.rtmp) == len(timed.http) == 0)
    assert timed.rtmp._deadlines == timed.http._deadlines == {}


async def test_the_engine_looks_by_itself(open_house: OpenHouse) -> None:
    house = await open_house(setup_timeout_s=0.1)
    pipe = await RawPipe.open(house.rtmp.port)
    await pipe.ended()
    pipe.close()
    assert len(house.rtmp) == 0


# How many may come from one address


async def is_let_in(port: int, source: str = "127.0.0.1") -> RtmpClient | None:
    """A client that got through its handshake, or None if it was closed at once."""
    try:
        return await RtmpClient.open(port, source=source)
    except (EOFError, ConnectionError):
        return None


async def test_one_address_may_hold_so_many_unsettled_connections(open_house: OpenHouse) -> None:
    house = await open_house(max_pending_per_address=3)
    held = [await is_let_in(house.rtmp.port) for _ in range(3)]
    assert None not in held
    assert await is_let_in(house.rtmp.port) is None
    other = await is_let_in(house.rtmp.port, "127.0.0.2")
    assert other is not None
    assert held[0] is not None
    held[0].close()
    await until(lambda: len(house.rtmp) == 3)
    held.append(await is_let_in(house.rtmp.port))
    assert held[-1] is not None
    for client in (*held, other):
        assert client is not None
        client.close()


async def test_connections_are_counted_over_all_doors(open_house: OpenHouse) -> None:
    house = await open_house(max_pending_per_address=2)
    pipe = await RawPipe.open(house.http.port)
    await until(lambda: len(house.http) == 1)
    client = await is_let_in(house.rtmp.port)
    assert client is not None
    assert await is_let_in(house.rtmp.port) is None
    refused = await RawPipe.open(house.http.port)
    await refused.ended()
    for peer in (pipe, client, refused):
        peer.close()


async def test_settled_connections_do_not_count_as_unsettled(open_house: OpenHouse) -> None:
    house = await open_house(max_pending_per_address=1)
    await house.on_air()
    for _ in range(5):
        await house.rtmp_player()
        await house.flv_player()
        await until(lambda: not house.rtmp._guests._pending)
    assert house.players() == 10


async def test_one_address_may_hold_so_many_connections_in_all(open_house: OpenHouse) -> None:
    house = await open_house(max_connections_per_address=4)
    await house.on_air()
    for _ in range(3):
        await house.rtmp_player()
    assert await is_let_in(house.rtmp.port) is None
    elsewhere = await RtmpClient.open(house.rtmp.port, source="127.0.0.2")
    await elsewhere.play()
    assert house.players() == 4
    elsewhere.close()


async def test_at_the_end_nobody_is_counted_any_more(house: House) -> None:
    publisher = await house.on_air()
    player, viewer = await house.rtmp_player(), await house.flv_player()
    with pytest.raises(Refused):
        await house.publisher()
    guests = house.rtmp._guests
    for peer in (publisher, player, viewer):
        peer.close()
    await house.close()
    assert guests._all == guests._pending == {}


POLICY = DoorPolicy(
    setup_timeout_s=10,
    max_connections_per_address=3,
    max_pending_per_address=2,
    player_buffer_bytes=1,
    notsent_lowat_bytes=1,
)


def test_guests_are_counted_by_address() -> None:
    guests = Guests(POLICY)
    assert [guests.admit("a") for _ in range(3)] == [True, True, False]
    assert guests.admit("b")
    guests.settle("a")
    assert [guests.admit("a") for _ in range(2)] == [True, False]  # three in all
    guests.leave("a", pending=False)
    assert not guests.admit("a")  # two of those left are unsettled
    guests.leave("a", pending=True)
    assert guests.admit("a")
    for _ in range(2):
        guests.leave("a", pending=True)
    guests.leave("b", pending=True)
    assert guests._all == guests._pending == {}


async def test_a_peer_of_both_families_has_one_address(timed: House, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def taken(self: Door, accepted: socket.socket, address: str, port: int) -> None:
        seen.append(address)
        accepted.close()

    monkeypatch.setattr(Door, "_open", taken)
    ours, theirs = socket.socketpair()

    class Mapped:
        def accept(self) -> tuple[socket.socket, tuple[str, int, int, int]]:
            if seen:
                raise BlockingIOError
            return ours, ("::ffff:192.0.2.1", 50000, 0, 0)

    listener = timed.rtmp._listener
    timed.rtmp._listener = Mapped()  # type: ignore[assignment]
    timed.rtmp._accept()
    timed.rtmp._listener = listener
    assert seen == ["192.0.2.1"]
    theirs.close()


# When the system gives no more


class Failing:
    """A listening socket whose accept fails so many times, and then works."""

    def __init__(self, listener: socket.socket, number: int, times: int) -> None:
        self._listener = listener
        self._number = number
        self.left = times
        self.calls = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise OSError(self._number, "made up")
        return self._listener.accept()

    def fileno(self) -> int:
        return self._listener.fileno()

    def close(self) -> None:
        self._listener.close()

    def getsockname(self) -> object:
        return self._listener.getsockname()


def failing(door: Door, number: int, times: int) -> Failing:
    listener = Failing(door._listener, number, times)
    door._listener = listener  # type: ignore[assignment]
    return listener


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_out_of_descriptors_a_door_rests_and_then_goes_on(
    house: House, number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(door_module, "ACCEPT_REST_S", 0.02)
    await house.on_air()
    viewer = await house.flv_player()
    listener = failing(house.rtmp, number, times=2)
    pipe = await RawPipe.open(house.rtmp.port)
    await until(lambda: len(house.rtmp) == 2)
    assert listener.calls <= 4  # it did not spin
    assert caplog.text.count("accepts nobody for") == 2
    assert len(await viewer.tags(3)) == 3
    pipe.close()


async def test_a_door_that_rests_may_be_closed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "ACCEPT_REST_S", 0.01)
    listener = failing(house.rtmp, errno.EMFILE, times=1)
    pipe = await RawPipe.open(house.rtmp.port)
    await until(lambda: listener.left == 0)
    await house.close()
    done = asyncio.Event()
    asyncio.get_running_loop().call_later(0.02, done.set)
    await done.wait()
    pipe.close()


async def test_one_that_was_gone_before_it_was_accepted_is_passed_over(house: House) -> None:
    listener = failing(house.rtmp, errno.ECONNABORTED, times=3)
    client = await house.rtmp_client()
    await client.connect()
    assert listener.left == 0


async def test_a_socket_that_cannot_be_tuned_is_closed_and_counted_no_longer(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Door, accepted: socket.socket) -> None:
        raise OSError(errno.EINVAL, "made up")

    monkeypatch.setattr(Door, "_tune", broken)
    pipe = await RawPipe.open(house.rtmp.port)
    await pipe.ended()
    assert house.rtmp._guests._all == {}
    pipe.close()


# Peers that never read


async def test_a_peer_that_asks_and_never_reads_the_answers_is_closed(house: House) -> None:
    client = await house.rtmp_client(receive_buffer=4096)
    await client.connect()
    ping = client.encode(messages.USER_CONTROL, b"\x00\x06\x00\x00\x00\x01", csid=2)
    (connection,) = house.rtmp._connections
    for _ in range(100):
        if connection.closed:
            break
        try:
            await client.pipe.write(ping * 1000)
        except ConnectionError:
            break
        assert connection.outlet.queued_bytes < CONTROL_LIMIT + 1_000_000
    await until(lambda: connection.closed)


async def test_a_player_that_never_reads_is_closed_and_costs_no_more_than_its_buffer(
    open_house: OpenHouse, clock: ManualClock
) -> None:
    house = await open_house(clock=clock, player_buffer_kib=128, player_stall_s=10.0)
    publisher = await house.on_air()
    stuck = await house.rtmp_client(receive_buffer=4096)
    await stuck.play()
    fine = await house.flv_player()
    (connection,) = (one for one in house.rtmp._connections if one.port == stuck.raw.port)
    for number in range(1, 60):
        await publisher.send_media(Kind.VIDEO, number * 200, inter_body(bytes(50_000)))
        assert len(await fine.tags(1)) == 1
        assert connection.outlet.queued_bytes < 300_000
        sweep(house, clock, 0.25)
    await until(lambda: connection.closed)
    assert house.players() == 1


async def test_one_byte_a_second_is_no_way_to_hold_on(open_house: OpenHouse, clock: ManualClock) -> None:
    house = await open_house(clock=clock, player_buffer_kib=64, player_stall_s=10.0)
    publisher = await house.on_air()
    slow = await house.rtmp_client(receive_buffer=4096)
    await slow.play()
    for number in range(1, 30):
        await publisher.send_media(Kind.VIDEO, number * 1000, inter_body(bytes(60_000)))
        await house.arrived(number * 60_000)
        await asyncio.get_running_loop().sock_recv(slow.raw.socket, 1)
        sweep(house, clock, 1.0)
    assert house.players() == 0


async def test_the_last_words_to_one_that_does_not_read_wait_two_seconds(timed: House, clock: ManualClock) -> None:
    publisher = await timed.on_air()
    await publisher.send_media(Kind.VIDEO, 40, key_body(bytes(6_000_000)))
    viewer = await timed.http_client(receive_buffer=4096)
    assert (await viewer.request("/live/cam.flv")).status == 200
    await publisher.leave()
    await until(lambda: not timed.engine.hub.on_air())
    sweep(timed, clock, 10)
    assert len(timed.http) == 1
    sweep(timed, clock, CLOSING_S)
    assert len(timed.http) == 0


# Faults


async def test_a_fault_inside_one_connection_closes_that_one_alone(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    publisher = await house.on_air()
    viewer = await house.flv_player()

    def serve(self: HttpFlvConnection, request: object) -> None:
        raise RuntimeError("made up")

    monkeypatch.setattr(HttpFlvConnection, "_serve_flv", serve)
    client = await house.http_client()
    await client.pipe.write(b"GET /live/cam.flv HTTP/1.1\r\nHost: pull.demo.test\r\n\r\n")
    await client.raw.ended()
    assert "a fault of our own; closed" in caplog.text
    caplog.clear()
    await publisher.send_media(Kind.VIDEO, 40, inter_body())
    assert len(await viewer.tags(4)) == 4


async def test_a_fault_in_a_publishers_connection_ends_its_session_alone(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await house.on_air()
    other = await house.on_air("other")
    add = Stream.add

    def broken(self: Stream, packet: object) -> None:
        if self.id.stream == "other":
            raise RuntimeError("made up")
        add(self, packet)  # type: ignore[arg-type]

    monkeypatch.setattr(Stream, "add", broken)
    await other.send_media(Kind.VIDEO, 40, inter_body())
    await other.ended()
    assert "a fault of our own; closed" in caplog.text
    caplog.clear()
    assert [status.lease.stream.stream for status in house.engine.hub.on_air()] == ["cam"]


async def test_what_breaks_the_protocol_is_logged_in_a_line_and_closed(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    pipe = await RawPipe.open(house.rtmp.port)
    await pipe.write(b"GET / HTTP/1.1\r\n\r\n")
    await pipe.ended()
    assert "the peer opens with byte 0x47; RTMP opens with 0x03" in caplog.text
    pipe.close()


async def test_a_closed_door_lets_nobody_in_and_nobody_stay(house: House) -> None:
    await house.on_air()
    client = await house.rtmp_client()
    door = house.engine.doors.pop("rtmp")
    port = door.port
    door.close()
    await client.ended()
    with pytest.raises(ConnectionRefusedError):
        await RawPipe.open(port)
    assert len(door) == 0


async def test_events_behind_the_one_that_closed_the_connection_are_not_acted_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One read may bring a hundred commands, of which the first ends the connection."""
    client = await house.rtmp_client()
    await client.connect()
    await client.create_stream()
    receive = ServerSession.receive

    def closing(self: ServerSession, data: object) -> object:
        events = receive(self, data)  # type: ignore[arg-type]
        (connection,) = house.rtmp._connections
        connection.close("the test")
        return events

    monkeypatch.setattr(ServerSession, "receive", closing)
    await client.call("publish", None, "cam", "live", stream_id=1)
    await client.ended()
    assert not house.engine.control._questions
    assert house.rtmp._deadlines == {}


async def test_a_player_joins_over_a_socket_with_a_small_unsent_buffer(house: House) -> None:
    await house.on_air()
    viewer: HttpClient = await house.flv_player()
    (connection,) = house.http._connections
    with socket.socket(fileno=socket.dup(connection._wire.fileno())) as copy:
        assert copy.getsockopt(socket.IPPROTO_TCP, door_module._TCP_NOTSENT_LOWAT) == 128 * 1024
        assert copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    assert len(await viewer.tags(3)) == 3
