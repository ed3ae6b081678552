"""One RTMP connection from the client's side: what it asks for, what servers answer, and how it ends."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import RtmpError
from penstock.protocols import amf0
from penstock.protocols.rtmp import client, session
from penstock.protocols.rtmp.chunk import MAX_COMMAND_SIZE, Message
from penstock.protocols.rtmp.client import ClientSession, Ended, Event, Place, Ready, Refused, State, place_of
from penstock.protocols.rtmp.session import ServerSession
from tests.protocols.rtmp.tools import Answers, bytewise, command, from_hex, pieces, seen, write

PLACE = Place("live", "cam?key=1", "rtmp://a.example/live")
BLOCKS = 2 * 1536
# A server's version and random block, and any echo: ours is not checked.
SERVER_HANDSHAKE = b"\x03" + bytes(range(256)) * 6 + bytes(1536)
BIG = 1 << 20


class Server:
    """What is said to a client's session, and what it says."""

    def __init__(self, *, publishes: bool = True) -> None:
        self.session = ClientSession(PLACE, publishes=publishes, max_message_size=BIG)
        self._answers = Answers(skip=1 + BLOCKS)

    def says(self, *data: bytes) -> list[Event]:
        return [event for piece in data for event in self.session.receive(piece)]

    def hears(self) -> list[object]:
        return self._answers.read(self.session.data_to_send())

    def lets_connect(self) -> None:
        self.says(SERVER_HANDSHAKE, result(1.0, {}, status_info("NetConnection.Connect.Success")))

    def asked(self) -> None:
        """Up to the answer that decides."""
        self.lets_connect()
        self.says(result(4.0, None, 7.0))
        self.hears()

    def runs(self) -> None:
        self.asked()
        code = "NetStream.Publish.Start" if self.session._publishes else "NetStream.Play.Start"
        assert self.says(status(code)) == [Ready(7)]


def result(transaction: float, *values: amf0.Value) -> bytes:
    return command("_result", transaction, *values)


def status_info(code: str, level: str = "status", description: str = "") -> dict[str, amf0.Value]:
    return {"level": level, "code": code, "description": description}


def status(code: str, level: str = "status", description: str = "") -> bytes:
    return command("onStatus", 0.0, None, status_info(code, level, description), stream_id=7)


def control(type_id: int, payload: bytes) -> bytes:
    return write([(2, (type_id, 0, 0, payload))])


# URLs


@pytest.mark.parametrize(
    ("path", "query", "place"),
    [
        ("/live/cam", None, Place("live", "cam", "rtmp://a.example:1936/live")),
        ("/live/cam", "a=1&b=2/3", Place("live", "cam?a=1&b=2/3", "rtmp://a.example:1936/live")),
        ("/app/instance/cam", "", Place("app/instance", "cam?", "rtmp://a.example:1936/app/instance")),
        ("/live/cam/", None, Place("live", "cam", "rtmp://a.example:1936/live")),
    ],
)
def test_a_url_names_an_app_and_a_stream(path: str, query: str | None, place: Place) -> None:
    assert place_of("rtmp", "a.example:1936", path, query) == place


@pytest.mark.parametrize("path", ["", "/", "/live", "/live/", "//"])
def test_a_url_without_one_of_them_is_an_error(path: str) -> None:
    with pytest.raises(RtmpError, match="must be /app/stream"):
        place_of("rtmp", "a.example", path, None)


# What is asked for, in order


def test_the_handshake_is_the_plain_one_and_echoes() -> None:
    asks = ClientSession(PLACE, publishes=True)
    opening = asks.data_to_send()
    assert (len(opening), opening[:9]) == (1 + 1536, b"\x03" + bytes(8))
    assert asks.receive(SERVER_HANDSHAKE[:1537]) == []
    assert asks.data_to_send() == SERVER_HANDSHAKE[1:1537]
    assert asks.receive(SERVER_HANDSHAKE[1537:]) == []
    assert asks.state is State.CONNECT


def test_a_publisher_asks_as_encoders_do() -> None:
    server = Server()
    server.says(SERVER_HANDSHAKE)
    (connect,) = server.hears()
    assert isinstance(connect, list)
    assert connect[:2] == ["connect", 1.0]
    about = connect[2]
    assert (about["app"], about["tcUrl"], about["type"]) == ("live", "rtmp://a.example/live", "nonprivate")
    assert "FMLE" in about["flashVer"]
    assert {"hvc1", "av01"} <= set(about["fourCcList"])
    server.says(result(1.0, {}, status_info("NetConnection.Connect.Success")))
    assert server.hears() == [
        (5, (2_500_000).to_bytes(4, "big")),
        (1, (65536).to_bytes(4, "big")),
        ["releaseStream", 2.0, None, "cam?key=1"],
        ["FCPublish", 3.0, None, "cam?key=1"],
        ["createStream", 4.0, None],
    ]
    server.says(result(2.0, None), command("onFCPublish", 0.0, None), result(4.0, None, 7.0))
    assert server.hears() == [["publish", 5.0, None, "cam?key=1", "live"]]
    assert server.says(status("NetStream.Publish.Start")) == [Ready(7)]
    assert server.session.state is State.PUBLISHING
    server.session.end()
    assert server.hears() == [["FCUnpublish", 5.0, None, "cam?key=1"], ["deleteStream", 6.0, None, 7.0]]


def test_a_player_asks_for_what_is_live() -> None:
    server = Server(publishes=False)
    server.lets_connect()
    assert server.hears()[-1] == ["createStream", 4.0, None]
    server.says(result(4.0, None, 7.0))
    assert server.hears() == [
        ["play", 5.0, None, "cam?key=1", -1000.0],
        (4, from_hex("0003 00000007 000003e8")),
    ]
    assert server.says(status("NetStream.Play.Reset"), status("NetStream.Play.Start")) == [Ready(7)]
    server.session.end()
    assert server.hears() == [["deleteStream", 6.0, None, 7.0]]


def test_media_comes_out_as_it_is_once_it_plays() -> None:
    server = Server(publishes=False)
    server.asked()
    media = write([(6, (9, 40, 7, b"\x17\x01" + bytes(300))), (4, (8, 41, 7, b"\xaf\x01"))])
    assert server.says(media) == []  # before the answer it means nothing
    server.says(status("NetStream.Play.Start"))
    events = server.says(media, write([(5, (18, 0, 7, b"\x02")), (5, (15, 0, 7, b"\x00\x02"))]))
    assert all(isinstance(event, Message) for event in events)
    assert [one[:3] for one in seen(event for event in events if isinstance(event, Message))] == [
        (9, 40, 7),
        (8, 41, 7),
        (18, 0, 7),
        (18, 0, 7),
    ]
    assert bytes(events[3].payload) == b"\x02"  # type: ignore[union-attr]


def test_an_aggregate_is_taken_apart() -> None:
    server = Server(publishes=False)
    server.runs()
    tag = bytes((9,)) + (2).to_bytes(3, "big") + (100).to_bytes(3, "big") + bytes(4) + b"\x27\x01" + bytes(4)
    events = server.says(write([(6, (22, 1000, 7, tag + tag))]))
    assert [event.timestamp for event in events if isinstance(event, Message)] == [1000, 1000]


# Refusals and ends


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            command("_error", 1.0, None, status_info("NetConnection.Connect.Rejected", "error", "code=403 need auth")),
            "NetConnection.Connect.Rejected: code=403 need auth",
        ),
        (status("NetConnection.Connect.Rejected", "error", "no such app"), "NetConnection.Connect.Rejected: no such"),
        (command("_error", 1.0, status_info("X", "error", "a\r\n\x1b[31mb")), "X: a   [31mb"),
        (command("_error", 1.0), "without a word"),
        (command("close", 0.0, None), "closes the connection"),
    ],
)
def test_a_refused_connect_is_told_in_the_servers_words(said: bytes, why: str) -> None:
    server = Server()
    server.says(SERVER_HANDSHAKE)
    (event,) = server.says(said)
    assert isinstance(event, Refused)
    assert why in event.why
    assert server.session.state is State.OVER
    assert server.says(result(1.0, {}, {})) == []


@pytest.mark.parametrize(
    "said",
    [
        command("_error", 4.0, None, status_info("NetStream.Failed", "error", "full")),
        result(4.0, None),
        result(4.0, None, "seven"),
        result(4.0, None, -1.0),
        result(4.0, None, 1e300),
        result(4.0, None, float("nan")),
    ],
)
def test_without_a_stream_number_it_is_refused(said: bytes) -> None:
    server = Server()
    server.lets_connect()
    # What encoders' older commands are answered with decides nothing.
    assert server.says(command("_error", 2.0, None, {}), command("_error", 3.0, None, {})) == []
    (event,) = server.says(said)
    assert isinstance(event, Refused)


@pytest.mark.parametrize("publishes", [True, False])
@pytest.mark.parametrize(
    ("said", "why"),
    [
        (status("NetStream.Publish.BadName", "error", "taken"), "NetStream.Publish.BadName: taken"),
        (status("NetStream.Play.StreamNotFound", "error"), "NetStream.Play.StreamNotFound"),
        (command("_error", 5.0, None, status_info("NetStream.Failed", "error")), "NetStream.Failed"),
    ],
)
def test_a_refused_stream_is_told_in_the_servers_words(publishes: bool, said: bytes, why: str) -> None:
    server = Server(publishes=publishes)
    server.asked()
    assert server.says(said) == [Refused(why)]


@pytest.mark.parametrize(
    "said",
    [
        status("NetStream.Play.UnpublishNotify", description="left"),
        status("NetStream.Play.Stop"),
        status("NetStream.Publish.Denied", "error", "banned"),
        command("close", 0.0, None),
        control(4, from_hex("0001 00000007")),
    ],
)
def test_the_end_of_a_play_is_told(said: bytes) -> None:
    server = Server(publishes=False)
    server.runs()
    (event,) = server.says(said)
    assert isinstance(event, Ended)
    assert server.session.state is State.OVER
    server.session.end()
    assert server.hears() == []


def test_a_publisher_that_is_cut_is_told_why() -> None:
    server = Server()
    server.runs()
    (event,) = server.says(status("NetStream.Publish.Denied", "error", "banned until 2031"))
    assert event == Ended("NetStream.Publish.Denied: banned until 2031")


def test_long_words_are_cut() -> None:
    server = Server()
    server.asked()
    (event,) = server.says(status("NetStream.Failed", "error", "x" * 10_000))
    assert isinstance(event, Refused)
    assert len(event.why) == 300


# The connection itself


def test_pings_are_answered_and_bytes_acknowledged() -> None:
    server = Server(publishes=False)
    server.runs()
    server.says(control(4, from_hex("0006 01020304")))
    assert server.hears() == [(4, from_hex("0007 01020304"))]
    server.says(control(5, (5000).to_bytes(4, "big")))
    server.hears()
    server.says(write([(6, (9, 40, 7, bytes(6000)))]))
    ((kind, payload),) = server.hears()  # type: ignore[misc]
    assert (kind, int.from_bytes(payload, "big") > 6000) == (3, True)  # type: ignore[has-type]


@pytest.mark.parametrize(
    "said",
    [
        control(4, b"\x00\x06"),
        control(3, bytes(4)),
        control(6, bytes(5)),
        command("onBWDone", 0.0, None),
        command("onFCPublish"),
        command("_result"),
        command("_error", "five"),
        command("_result", 99.0, None, 1.0),
        status("NetStream.Play.Reset"),
        command("onStatus", 0.0),
        command("onStatus", 0.0, None, "text"),
        write([(4, (8, 0, 7, b"\xaf\x01"))]),
        write([(4, (15, 0, 7, b""))]),
    ],
)
@pytest.mark.parametrize("publishes", [True, False])
def test_what_nobody_waits_for_changes_nothing(publishes: bool, said: bytes) -> None:
    server = Server(publishes=publishes)
    server.asked()
    state = server.session.state
    assert server.says(said) == []
    assert (server.session.state, server.hears()) == (state, [])


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "opens with byte 0x48"),
        (SERVER_HANDSHAKE + write([(3, (20, 0, 0, b"\x02"))]), "does not decode"),
        (SERVER_HANDSHAKE + command(7.0), "must open with its name"),
        (SERVER_HANDSHAKE + command(), "must open with its name"),
        (SERVER_HANDSHAKE + control(5, b"\x00"), "wanted 4"),
        (SERVER_HANDSHAKE + control(1, bytes(4)), "chunk size 0"),
        (SERVER_HANDSHAKE + write([(6, (9, 0, 1, bytes(MAX_COMMAND_SIZE + 1)))]), "at most 65536"),
    ],
)
def test_what_is_no_rtmp_ends_it(said: bytes, why: str) -> None:
    with pytest.raises(RtmpError, match=why):
        ClientSession(PLACE, publishes=True).receive(said)


def test_a_publisher_takes_no_large_messages() -> None:
    server = Server()
    server.runs()
    with pytest.raises(RtmpError, match="at most 65536"):
        server.says(write([(6, (9, 0, 7, bytes(MAX_COMMAND_SIZE + 1)))]))


def test_and_a_player_none_above_its_bound() -> None:
    server = Server(publishes=False)
    server.runs()
    assert len(server.says(write([(6, (9, 0, 7, bytes(BIG)))]))) == 1
    with pytest.raises(RtmpError, match=f"at most {BIG}"):
        server.says(write([(6, (9, 0, 7, bytes(BIG + 1)))]))


# Both halves together


def talk(asks: ClientSession, answers: ServerSession, cut: object = None) -> list[object]:
    """Let both say all they have; the server accepts. Returns what happened, in order."""
    happened: list[object] = []
    while True:
        asked, answered = asks.data_to_send(), answers.data_to_send()
        if not asked and not answered:
            return happened
        for piece in bytewise(asked) if cut else [asked]:
            happened += answers.receive(piece)
        if answers.state is session.State.ASKED:
            if isinstance(happened[-1], session.PublishAsked):
                answers.accept_publish(BIG)
            else:
                answers.accept_play()
        for piece in bytewise(answered) if cut else [answered]:
            happened += asks.receive(piece)


@pytest.mark.parametrize("cut", [None, bytewise])
@pytest.mark.parametrize("publishes", [True, False])
def test_it_gets_through_to_our_own_server(publishes: bool, cut: object) -> None:
    asks, answers = ClientSession(PLACE, publishes=publishes), ServerSession()
    connected, asked, ready = talk(asks, answers, cut)
    assert connected == session.Connected("live", "rtmp://a.example/live", client.AGENT)
    wanted = session.PublishAsked("cam?key=1") if publishes else session.PlayAsked("cam?key=1")
    assert (asked, ready) == (wanted, Ready(1))
    asks.end()
    assert answers.receive(asks.data_to_send()) == [session.Left()]


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=400), cuts=st.lists(st.integers(0, 4000), max_size=8))
def test_any_bytes_end_in_events_or_one_error(data: bytes, cuts: list[int]) -> None:
    asks = ClientSession(PLACE, publishes=False)
    try:
        for piece in pieces(SERVER_HANDSHAKE + data, cuts):
            asks.receive(piece)
    except RtmpError:
        return
    assert len(asks.data_to_send()) < 10_000


@pytest.mark.parametrize(
    ("name", "said", "shown"),
    [
        ("live_123_abcdef", "no such stream live_123_abcdef", "no such stream ..."),
        (
            "cam?wsSecret=0123456789abcdef&wsTime=1",
            "bad /live/cam?wsSecret=0123456789abcdef&wsTime=1",
            "bad /live/cam?...",
        ),
        ("cam?wsSecret=0123456789abcdef", "0123456789abcdef is old", "... is old"),
        ("cam", "cam is already published by a camera", "cam is already published by a camera"),
        ("k" * 60, "x" * 490 + "k" * 60, None),
    ],
)
def test_a_server_that_repeats_a_key_does_not_have_it_told_on(name: str, said: str, shown: str | None) -> None:
    """Errors go into logs, callbacks and lists; a stream's name often is what opens its server."""
    server = Server()
    server.session = ClientSession(Place("live", name, "rtmp://a.example/live"), publishes=True)
    server._answers = Answers(skip=1 + BLOCKS)
    server.asked()
    (event,) = server.says(status("NetStream.Publish.BadName", "error", said))
    assert isinstance(event, Refused)
    assert "kkkkkk" not in event.why
    if shown is not None:
        assert event.why == f"NetStream.Publish.BadName: {shown}"
