"""One RTMP connection from the server's side: what clients say, what the session makes of it, what it answers."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from penstock.errors import RtmpError
from penstock.protocols import amf0, flv
from penstock.protocols.amf0 import UNDEFINED
from penstock.protocols.rtmp.chunk import MAX_COMMAND_SIZE, Message
from penstock.protocols.rtmp.session import (
    AUDIO_FOURCCS,
    MAX_WAITING,
    VIDEO_FOURCCS,
    WINDOW_SIZE,
    Connected,
    Event,
    Left,
    PauseAsked,
    PlayAsked,
    PublishAsked,
    ServerSession,
    State,
    split_aggregate,
)
from tests.protocols.rtmp.tools import Answers, Got, bytewise, command, from_hex, pieces, seen, write

CAPTURES = Path(__file__).parents[2] / "captures" / "rtmp"
HANDSHAKE = b"\x03" + bytes(2 * 1536)
SERVER_HANDSHAKE = len(HANDSHAKE)
BIG = 1 << 20  # a publisher's bound, once it was let in

Heard = list[object]


class Client:
    """A session, what came out of it, and what it answered."""

    def __init__(self) -> None:
        self.session = ServerSession()
        self._answers = Answers(skip=SERVER_HANDSHAKE)

    @property
    def state(self) -> State:
        return self.session.state

    def say(self, *data: bytes) -> list[Event]:
        return [event for piece in data for event in self.session.receive(piece)]

    def hear(self) -> Heard:
        return self._answers.read(self.session.data_to_send())


def media(*messages: Got) -> bytes:
    return write((4 if message[0] == 8 else 6, message) for message in messages)


def control(type_id: int, value: int) -> bytes:
    return write([(2, (type_id, 0, 0, value.to_bytes(4, "big")))])


def status(code: str, level: str = "status") -> list[object]:
    """As it is heard, but for the description, which is for people."""
    return ["onStatus", 0.0, None, level, code]


def told(heard: Heard) -> Heard:
    """What was heard, with each onStatus cut down to what `status` gives."""
    short: Heard = []
    for one in heard:
        match one:
            case ["onStatus", number, None, {"level": level, "code": code, "description": str()}]:
                short.append(["onStatus", number, None, level, code])
            case _:
                short.append(one)
    return short


CONNECT = command("connect", 1, {"app": "live", "flashVer": "test", "tcUrl": "rtmp://a/live"})
CREATE = command("createStream", 2, None)
PUBLISH = command("publish", 3, None, "demo", "live", stream_id=1)
PLAY = command("play", 3, None, "demo", stream_id=1)
DELETE = command("deleteStream", 4, None, 1)
SOUND: Got = (8, 0, 1, b"\xaf\x00\x11\x90")
PICTURE: Got = (9, 0, 1, b"\x17\x00\x00\x00\x00\x01")
METADATA: Got = (18, 0, 1, amf0.encode("@setDataFrame", "onMetaData", amf0.EcmaArray(width=64)))
WELCOME: Heard = [(5, WINDOW_SIZE.to_bytes(4, "big")), (6, WINDOW_SIZE.to_bytes(4, "big") + b"\x02"), (1, b"\0\1\0\0")]
STREAM_BEGINS = (4, from_hex("0000 00000001"))
STREAM_ENDS = (4, from_hex("0001 00000001"))
STARTED = [STREAM_BEGINS, status("NetStream.Play.Reset"), status("NetStream.Play.Start")]


def at(state: State) -> Client:
    """A client that has come as far as `state`, and has heard everything up to there."""
    client = Client()
    client.say(HANDSHAKE)
    if state is not State.CONNECT:
        client.say(CONNECT, CREATE)
    if state in (State.ASKED, State.PUBLISHING):
        client.say(PUBLISH)
    if state is State.PUBLISHING:
        client.session.accept_publish(BIG)
    if state is State.PLAYING:
        client.say(PLAY)
        client.session.accept_play()
    client.hear()
    assert client.state is state
    return client


# Transcripts


class Step(Struct, frozen=True):
    """What a client sends, what the session says of it, and what it answers."""

    sends: bytes
    events: list[Event | Got] = []
    answers: Heard = []


def connect_answer(transaction: float = 1.0) -> list[object]:
    return [
        "_result",
        transaction,
        {"fmsVer": "FMS/3,5,7,7009", "capabilities": 31.0, "mode": 1.0},
        {
            "level": "status",
            "code": "NetConnection.Connect.Success",
            "description": "connected",
            "objectEncoding": 0.0,
        },
    ]


def result(transaction: float, value: amf0.Value = UNDEFINED) -> list[object]:
    return ["_result", transaction, None, value]


PUBLISHED = status("NetStream.Publish.Start")
UNPUBLISHED = status("NetStream.Unpublish.Success")

FFMPEG = [
    Step(
        command("connect", 1, {"app": "live", "type": "nonprivate", "flashVer": "FMLE/3.0", "tcUrl": "rtmp://a/live"}),
        [Connected("live", "rtmp://a/live", "FMLE/3.0")],
        [*WELCOME, connect_answer()],
    ),
    Step(control(1, 65536)),
    Step(command("releaseStream", 2, None, "demo?key=a%20b"), answers=[result(2.0)]),
    Step(command("FCPublish", 3, None, "demo?key=a%20b"), answers=[result(3.0)]),
    Step(command("createStream", 4, None), answers=[result(4.0, 1.0)]),
    Step(command("_checkbw", 5, None)),
    Step(
        command("publish", 6, None, "demo?key=a%20b", "live", stream_id=1),
        [PublishAsked("demo?key=a%20b")],
        [PUBLISHED],
    ),
    Step(media(METADATA, PICTURE, SOUND), [METADATA, PICTURE, SOUND]),
    Step(command("FCUnpublish", 7, None, "demo?key=a%20b"), [Left()], [UNPUBLISHED]),
    Step(command("deleteStream", 8, None, 1)),
]
OBS = [
    Step(
        command(
            "connect",
            1,
            {
                "app": "live",
                "type": "nonprivate",
                "flashVer": "FMLE/3.0 (compatible; FMSc/1.0)",
                "swfUrl": "rtmp://a/live",
                "tcUrl": "rtmp://a/live",
            },
        ),
        [Connected("live", "rtmp://a/live", "FMLE/3.0 (compatible; FMSc/1.0)")],
        [*WELCOME, connect_answer()],
    ),
    Step(control(5, WINDOW_SIZE)),
    Step(command("releaseStream", 2, None, "demo"), answers=[result(2.0)]),
    Step(command("FCPublish", 3, None, "demo"), answers=[result(3.0)]),
    Step(command("createStream", 4, None), answers=[result(4.0, 1.0)]),
    Step(command("publish", 5, None, "demo", "live", stream_id=1), [PublishAsked("demo")], [PUBLISHED]),
    Step(media(METADATA, SOUND, PICTURE), [METADATA, SOUND, PICTURE]),
    Step(command("FCUnpublish", 6, None, "demo"), [Left()], [UNPUBLISHED]),
    Step(command("deleteStream", 7, None, 1)),
]
RTMP2SINK = [
    Step(
        command("connect", 1, {"app": "live", "flashVer": "LNX 10,0,32,18", "tcUrl": "rtmp://a/live"}),
        [Connected("live", "rtmp://a/live", "LNX 10,0,32,18")],
        [*WELCOME, connect_answer()],
    ),
    Step(control(5, WINDOW_SIZE)),
    Step(command("releaseStream", 0, None, "demo"), answers=[result(0.0)]),
    Step(command("FCPublish", 0, None, "demo"), answers=[result(0.0)]),
    Step(command("createStream", 2, None), answers=[result(2.0, 1.0)]),
    Step(command("publish", 0, None, "demo", "live", stream_id=1), [PublishAsked("demo")], [PUBLISHED]),
    Step(control(1, 128)),
    Step(media(METADATA, SOUND, PICTURE), [METADATA, SOUND, PICTURE]),
    Step(command("FCUnpublish", 0, None, "demo"), [Left()], [UNPUBLISHED]),
    Step(command("deleteStream", 0, None, "demo")),
]
FLASH_PUBLISHER = [
    Step(
        # Its connect is plain AMF0, as the encoding is not agreed on yet.
        command("connect", 1, {"app": "live", "flashVer": "WIN 32,0", "tcUrl": "rtmp://a/live", "objectEncoding": 3}),
        [Connected("live", "rtmp://a/live", "WIN 32,0")],
        [*WELCOME, connect_answer()],
    ),
    Step(command("createStream", 2, None, wrapped=True), answers=[result(2.0, 1.0)]),
    Step(command("publish", 0, None, "demo", "live", stream_id=1, wrapped=True), [PublishAsked("demo")], [PUBLISHED]),
    Step(media((15, 0, 1, b"\0" + METADATA[3])), [(15, 0, 1, b"\0" + METADATA[3])]),
    Step(media(SOUND, PICTURE), [SOUND, PICTURE]),
    Step(command("closeStream", 0, None, stream_id=1, wrapped=True), [Left()], [UNPUBLISHED]),
]
FLASH_PLAYER = [
    Step(
        command("connect", 1, {"app": "live", "tcUrl": "rtmp://a/live", "objectEncoding": 3}, wrapped=True),
        [Connected("live", "rtmp://a/live", "")],
        [*WELCOME, connect_answer()],
    ),
    Step(command("createStream", 2, None, wrapped=True), answers=[result(2.0, 1.0)]),
    Step(command("FCSubscribe", 0, None, "demo", wrapped=True)),
    Step(command("play", 0, None, "demo", -2000, stream_id=1, wrapped=True), [PlayAsked("demo")], [*STARTED]),
    Step(write([(2, (4, 0, 0, from_hex("0003 00000001 000003e8")))])),  # Set Buffer Length
    Step(command("receiveAudio", 0, None, True, stream_id=1, wrapped=True)),
    Step(
        command("pause", 0, None, True, 2000, stream_id=1, wrapped=True),
        [PauseAsked(True)],
        [status("NetStream.Pause.Notify")],
    ),
    Step(
        command("pause", 0, None, False, 2000, stream_id=1, wrapped=True),
        [PauseAsked(False)],
        [status("NetStream.Unpause.Notify")],
    ),
    Step(
        command("pauseRaw", 0, None, True, 2000, stream_id=1),
        [PauseAsked(True)],
        [status("NetStream.Pause.Notify")],
    ),
    Step(command("closeStream", 0, None, stream_id=1, wrapped=True), [Left()], [status("NetStream.Play.Stop")]),
    Step(command("play", 0, None, "other", stream_id=1, wrapped=True), [PlayAsked("other")], [*STARTED]),
    Step(command("deleteStream", 0, None, 1, wrapped=True), [Left()], [status("NetStream.Play.Stop")]),
]
TRANSCRIPTS = {
    "ffmpeg": FFMPEG,
    "OBS": OBS,
    "rtmp2sink": RTMP2SINK,
    "Flash publisher": FLASH_PUBLISHER,
    "Flash player": FLASH_PLAYER,
}


def shown(events: Iterable[Event]) -> list[Event | Got]:
    return [seen([event])[0] if isinstance(event, Message) else event for event in events]


def let_in(client: Client, events: Iterable[Event]) -> None:
    """Be the owner that lets everybody in."""
    for event in events:
        if isinstance(event, PublishAsked):
            client.session.accept_publish(BIG)
        elif isinstance(event, PlayAsked):
            client.session.accept_play()


@pytest.mark.parametrize("steps", TRANSCRIPTS.values(), ids=TRANSCRIPTS)
def test_transcript_goes_step_by_step(steps: list[Step]) -> None:
    client = at(State.CONNECT)
    for step in steps:
        events = client.say(step.sends)
        let_in(client, events)
        assert shown(events) == step.events
        assert told(client.hear()) == step.answers
    assert client.state is State.READY


@pytest.mark.parametrize("steps", TRANSCRIPTS.values(), ids=TRANSCRIPTS)
@pytest.mark.parametrize("seed", [None, *range(5)])
def test_transcript_means_the_same_in_any_split(steps: list[Step], seed: int | None) -> None:
    raw = HANDSHAKE + b"".join(step.sends for step in steps)
    rng = random.Random(seed)
    cuts = [rng.randrange(len(HANDSHAKE), len(raw)) for _ in range(10)]
    client, events, heard = Client(), list[Event](), Heard()
    for piece in [*(bytewise(raw) if seed is None else pieces(raw, cuts)), b""]:
        came = client.say(piece)
        let_in(client, came)
        events += came
        heard += client.hear()
    assert shown(events) == [event for step in steps for event in step.events]
    assert told(heard) == [answer for step in steps for answer in step.answers]


# What real clients sent


class Capture(Struct, frozen=True):
    agent: str
    asked: PublishAsked | PlayAsked
    leaves: bool = True
    digest: bool = False
    counts: dict[int, int] = {}  # messages by type
    last_ms: int = 0
    first_picture: str = "1700000000 01"
    enhanced: bool = False


LAVF, GST = "FMLE/3.0 (compatible; Lavf{})", "LNX 10,0,32,18"
CAPTURED = {
    "ffmpeg-5.1.9-publish": Capture(
        agent=LAVF.format("59.27.100"),
        asked=PublishAsked("demo?vhost=demo&key=a%20b"),
        digest=True,
        counts={18: 1, 9: 11, 8: 9},
        last_ms=928,
    ),
    "ffmpeg-5.1.9-publish-past-24-bits": Capture(
        agent=LAVF.format("59.27.100"),
        asked=PublishAsked("demo"),
        digest=True,
        counts={18: 1, 9: 9, 8: 8},
        last_ms=16777728,
    ),
    "ffmpeg-5.1.9-play": Capture(agent="LNX 9,0,124,2", asked=PlayAsked("demo"), leaves=False, digest=True),
    "pyav-18.1-publish": Capture(
        agent=LAVF.format("62.12.102"),
        asked=PublishAsked("demo"),
        digest=True,
        counts={18: 1, 9: 11, 8: 9},
        last_ms=928,
    ),
    "pyav-18.1-publish-hevc": Capture(
        agent=LAVF.format("62.12.102"),
        asked=PublishAsked("demo"),
        digest=True,
        counts={18: 1, 9: 15},
        last_ms=1200,
        first_picture="90 68766331 01",
        enhanced=True,
    ),
    "gstreamer-1.22-rtmpsink-publish": Capture(
        agent="", asked=PublishAsked("demo"), counts={18: 2, 9: 13, 8: 11}, last_ms=1152
    ),
    "gstreamer-1.22-rtmp2sink-publish": Capture(
        agent=GST, asked=PublishAsked("demo"), counts={18: 2, 9: 13, 8: 11}, last_ms=1152
    ),
    "gstreamer-1.22-rtmp2src-play": Capture(agent=GST, asked=PlayAsked("demo"), leaves=False),
    "librtmp-2.4-publish-past-24-bits": Capture(
        agent="", asked=PublishAsked("demo"), counts={9: 9, 8: 8}, last_ms=16778228
    ),
    "rtmpdump-2.4-play": Capture(agent=GST, asked=PlayAsked("demo")),
    "rtmpdump-2.4-play-digest": Capture(agent=GST, asked=PlayAsked("demo"), digest=True),
}


def replay(data: Iterable[bytes]) -> tuple[list[Event], bytes]:
    """What comes out of a client's bytes, and the answers; everybody is let in."""
    client, events, sent = Client(), list[Event](), b""
    for piece in [*data, b""]:
        came = client.say(piece)
        let_in(client, came)
        events += came
        sent += client.session.data_to_send()
    return events, sent


def test_every_capture_is_replayed() -> None:
    files = list(CAPTURES.glob("*.bin"))
    assert {path.stem for path in files} == set(CAPTURED)
    assert all(path.stat().st_size <= 8192 for path in files)


@pytest.mark.parametrize(("name", "capture"), CAPTURED.items(), ids=CAPTURED)
@pytest.mark.parametrize("split", ["whole", "byte by byte", "random"])
def test_real_client_is_understood(name: str, capture: Capture, split: str) -> None:
    raw = (CAPTURES / f"{name}.bin").read_bytes()
    cuts = random.Random(name).sample(range(len(raw)), 20) if split == "random" else []
    events, sent = replay(bytewise(raw) if split == "byte by byte" else pieces(raw, cuts))
    assert any(sent[5:9]) == capture.digest
    connected, asked, *rest = events
    assert isinstance(connected, Connected)
    assert (connected.app, connected.agent) == ("live", capture.agent)
    assert connected.tc_url.startswith("rtmp://127.0.0.1:")
    assert asked == capture.asked
    messages = [event for event in rest if isinstance(event, Message)]
    assert Counter(message.type_id for message in messages) == capture.counts
    assert rest[len(messages) :] == [Left()] * capture.leaves
    heard = told(Answers(skip=SERVER_HANDSHAKE).read(sent))
    assert heard[:3] == WELCOME
    assert ("fourCcList" in str(heard[3])) == capture.enhanced
    if capture.counts:
        assert heard[-2:] == [PUBLISHED, UNPUBLISHED]
        pictures = [message for message in messages if message.type_id == 9]
        assert bytes(pictures[0].payload).startswith(from_hex(capture.first_picture))
        assert pictures[-1].timestamp == capture.last_ms


# The state table

STOPPED = status("NetStream.Play.Stop")
NAMES = ("connect", "releaseStream", "FCPublish", "createStream", "publish", "play")
ENDINGS = ("deleteStream", "closeStream", "FCUnpublish")
NOISE = ("_checkbw", "FCSubscribe", "getStreamLength", "seek", "play2", "receiveVideo", "onStatus", "_result", "", "ÿ")

Outcome = tuple[Event | None, Heard, State]

# What each command does in each state: its event, its answers, the state after it. What is not here is ignored.
MEANINGS: dict[tuple[State, str], Outcome] = {
    (State.CONNECT, "connect"): (Connected("live", "", ""), [*WELCOME, connect_answer(9.0)], State.READY),
    (State.READY, "releaseStream"): (None, [result(9.0)], State.READY),
    (State.READY, "FCPublish"): (None, [result(9.0)], State.READY),
    (State.READY, "createStream"): (None, [result(9.0, 1.0)], State.READY),
    (State.READY, "publish"): (PublishAsked("demo"), [], State.ASKED),
    (State.READY, "play"): (PlayAsked("demo"), [], State.ASKED),
    (State.PUBLISHING, "releaseStream"): (None, [result(9.0)], State.PUBLISHING),
    (State.PUBLISHING, "FCPublish"): (None, [result(9.0)], State.PUBLISHING),
    (State.PUBLISHING, "createStream"): (None, [result(9.0, 1.0)], State.PUBLISHING),
    (State.PLAYING, "pause"): (PauseAsked(True), [status("NetStream.Pause.Notify")], State.PLAYING),
    (State.PLAYING, "pauseRaw"): (PauseAsked(True), [status("NetStream.Pause.Notify")], State.PLAYING),
    **{(State.PUBLISHING, name): (Left(), [UNPUBLISHED], State.READY) for name in ENDINGS},
    **{(State.PLAYING, name): (Left(), [STOPPED], State.READY) for name in ENDINGS},
}
SETTLED = (State.CONNECT, State.READY, State.PUBLISHING, State.PLAYING)


def any_command(name: str) -> bytes:
    """With what makes sense for some of them, and harms none."""
    return command(name, 9, {"app": "live"} if name == "connect" else None, True if "pause" in name else "demo")


@pytest.mark.parametrize("name", [*NAMES, *ENDINGS, "pause", "pauseRaw", *NOISE])
@pytest.mark.parametrize("state", SETTLED)
def test_command_does_what_its_state_says(state: State, name: str) -> None:
    client = at(state)
    event, answers, after = MEANINGS.get((state, name), (None, [], state))
    expected: list[Event] = [] if event is None else [event]
    assert client.say(any_command(name)) == expected
    assert told(client.hear()) == answers
    assert client.state is after


@pytest.mark.parametrize("name", [*NAMES, *ENDINGS, "pause"])
def test_nothing_is_heard_of_a_command_while_the_owner_decides(name: str) -> None:
    client = at(State.ASKED)
    assert client.say(any_command(name)) == []
    assert client.hear() == []
    assert client.state is State.ASKED


def test_connection_can_publish_again_and_then_play() -> None:
    client = at(State.PUBLISHING)
    asks: list[tuple[bytes, Event]] = [(PUBLISH, PublishAsked("demo")), (PLAY, PlayAsked("demo"))]
    for ask, asked in asks:
        assert client.say(DELETE) == [Left()]
        assert client.say(CREATE, ask) == [asked]
        let_in(client, [asked])
    assert client.state is State.PLAYING


# What the owner says


def test_publisher_is_refused() -> None:
    client = at(State.ASKED)
    client.session.refuse("NetStream.Publish.BadName", "live/demo is being published")
    assert client.hear() == [
        [
            "onStatus",
            0.0,
            None,
            {"level": "error", "code": "NetStream.Publish.BadName", "description": "live/demo is being published"},
        ]
    ]
    assert client.say(media(SOUND)) == []
    assert client.say(PUBLISH) == [PublishAsked("demo")]


def test_player_is_refused() -> None:
    client = at(State.READY)
    client.say(PLAY)
    client.session.refuse("NetStream.Play.StreamNotFound", "live/demo is not on air")
    assert told(client.hear()) == [status("NetStream.Play.StreamNotFound", "error")]
    assert client.state is State.READY


def test_player_is_told_of_the_end() -> None:
    client = at(State.PLAYING)
    client.session.end_play("the publisher left")
    assert told(client.hear()) == [STREAM_ENDS, status("NetStream.Play.UnpublishNotify"), STOPPED]
    assert client.say(DELETE) == []


def test_publisher_is_told_of_the_end() -> None:
    client = at(State.PUBLISHING)
    client.session.end_publish("NetStream.Publish.Denied", "banned")
    assert told(client.hear()) == [status("NetStream.Publish.Denied", "error")]
    assert client.say(media(SOUND)) == []


def test_long_reasons_are_read_whole() -> None:
    client = at(State.ASKED)
    client.session.refuse("NetStream.Publish.Denied", "why" * 50_000)
    assert amf_object(client.hear()[0], 3)["description"] == "why" * 50_000


# Publishing


@pytest.mark.parametrize("state", [State.CONNECT, State.READY, State.PLAYING])
def test_media_from_who_may_not_publish_is_dropped(state: State) -> None:
    client = at(state)
    assert client.say(media(METADATA, PICTURE, SOUND, (15, 0, 1, b"\0"), (22, 0, 1, flv.tag(8, 0, b"x")))) == []
    assert client.say(PUBLISH if state is State.READY else b"") == [PublishAsked("demo")] * (state is State.READY)


def test_media_after_the_end_is_dropped() -> None:
    client = at(State.PUBLISHING)
    assert client.say(DELETE + media(PICTURE)) == [Left()]


def test_message_comes_out_as_it_was_sent() -> None:
    client = at(State.PUBLISHING)
    sent = [(9, 2**32 - 5, 1, bytes(BIG)), (8, 10, 1, b""), METADATA]
    assert shown(client.say(media(*sent))) == sent


@pytest.mark.parametrize("state", [State.CONNECT, State.READY, State.PLAYING])
@pytest.mark.parametrize("type_id", [8, 9, 18, 20, 99])
def test_big_messages_are_for_publishers(state: State, type_id: int) -> None:
    with pytest.raises(RtmpError, match=f"of type {type_id} has 65537 bytes; at most 65536 are taken here"):
        at(state).say(media((type_id, 0, 1, bytes(MAX_COMMAND_SIZE + 1))))


def test_publishers_have_a_bound_too() -> None:
    with pytest.raises(RtmpError, match=f"has {BIG + 1} bytes; at most {BIG}"):
        at(State.PUBLISHING).say(media((9, 0, 1, bytes(BIG + 1))))


@pytest.mark.parametrize("who", ["client", "owner"])
def test_big_messages_end_with_the_publish(who: str) -> None:
    client = at(State.PUBLISHING)
    if who == "client":
        client.say(DELETE)
    else:
        client.session.end_publish("NetStream.Publish.Denied", "banned")
    with pytest.raises(RtmpError, match="at most 65536"):
        client.say(media((9, 0, 1, bytes(MAX_COMMAND_SIZE + 1))))


def test_command_of_a_publisher_stays_small() -> None:
    padding = amf0.encode("_checkbw", 1, None, "x" * MAX_COMMAND_SIZE)
    with pytest.raises(RtmpError, match=f"a command has {len(padding)} bytes; at most 65536 are read"):
        at(State.PUBLISHING).say(media((20, 0, 0, padding)))


# What comes along with the question


def test_media_behind_the_publish_waits_for_the_answer() -> None:
    client = at(State.READY)
    assert client.say(PUBLISH + media(METADATA, PICTURE, SOUND)) == [PublishAsked("demo")]
    assert client.say(media((8, 23, 1, b"a"))) == []
    client.session.accept_publish(BIG)
    assert shown(client.say(media((8, 46, 1, b"b")))) == [METADATA, PICTURE, SOUND, (8, 23, 1, b"a"), (8, 46, 1, b"b")]
    assert client.say(b"") == []


def test_media_behind_a_publish_that_is_refused_is_dropped() -> None:
    client = at(State.READY)
    client.say(PUBLISH + media(METADATA, PICTURE))
    client.session.refuse("NetStream.Publish.BadName", "in use")
    assert client.say(PUBLISH) == [PublishAsked("demo")]
    client.session.accept_publish(BIG)
    assert client.say(b"") == []


def test_big_messages_behind_the_publish_are_taken_once_it_is_let_in() -> None:
    client, key_frame = at(State.READY), (9, 0, 1, b"\x17" + bytes(BIG - 1))
    assert client.say(PUBLISH + media(METADATA, key_frame)) == [PublishAsked("demo")]
    client.session.accept_publish(BIG)
    assert client.session.can_go_on
    assert shown(client.say(b"")) == [METADATA, key_frame]
    assert not client.session.can_go_on


def test_end_behind_the_publish_waits_too() -> None:
    client = at(State.READY)
    assert client.say(PUBLISH + media(PICTURE) + DELETE + PLAY + media(SOUND)) == [PublishAsked("demo")]
    client.session.accept_publish(BIG)
    first, *rest = client.say(b"")
    assert shown([first]) == [PICTURE]
    assert rest == [Left(), PlayAsked("demo")]
    assert client.state is State.ASKED


def test_pause_behind_the_play_waits_too() -> None:
    client = at(State.READY)
    client.say(PLAY + command("pause", 0, None, True, 0))
    client.session.accept_play()
    client.hear()
    assert client.say(b"") == [PauseAsked(True)]
    assert told(client.hear()) == [status("NetStream.Pause.Notify")]


def test_chunk_size_behind_the_publish_counts_at_once() -> None:
    client = at(State.READY)
    long = (9, 0, 1, b"\x17" + bytes(300))
    client.say(PUBLISH + control(1, 4096) + write([(6, long)], chunk_size=4096))
    client.session.accept_publish(BIG)
    assert shown(client.say(b"")) == [long]


@pytest.mark.parametrize("size", [0, 1, 1000, MAX_COMMAND_SIZE])
def test_what_waits_is_bounded(size: int) -> None:
    client, data = at(State.ASKED), media((9, 0, 1, bytes(size)))
    enough = [data] * (MAX_WAITING // len(data) + 1)
    with pytest.raises(RtmpError, match=f"more than {MAX_WAITING} bytes came before the answer"):
        client.say(*enough)


def test_each_question_has_its_own_bound() -> None:
    client, data = at(State.READY), media((9, 0, 1, bytes(MAX_COMMAND_SIZE)))
    for _ in range(2 * MAX_WAITING // MAX_COMMAND_SIZE):
        client.say(PUBLISH + data)
        client.session.accept_publish(BIG)
        assert len(client.say(DELETE)) == 2


# Around the commands


@pytest.mark.parametrize("more", ["", "ff"])
def test_ping_is_answered(more: str) -> None:
    client = at(State.READY)
    assert client.say(write([(2, (4, 0, 0, from_hex("0006 01020304" + more)))])) == []
    assert client.hear() == [(4, from_hex("0007 01020304"))]


@pytest.mark.parametrize(
    "payload", ["", "00", "0006", "0006 010203", "0003 00000001 000003e8", "0007 01020304", "001f"]
)
def test_other_user_control_is_ignored(payload: str) -> None:
    client = at(State.READY)
    assert client.say(write([(2, (4, 0, 0, from_hex(payload)))])) == []
    assert client.hear() == []


@pytest.mark.parametrize("type_id", [0, 3, 6, 7, 16, 19, 23, 99, 255])
@pytest.mark.parametrize("state", [State.CONNECT, State.READY, State.PUBLISHING, State.PLAYING])
def test_other_messages_are_ignored(state: State, type_id: int) -> None:
    client = at(state)
    assert client.say(write([(2, (type_id, 0, 0, bytes(5))), (2, (type_id, 0, 0, b""))])) == []
    assert client.hear() == []


def acknowledged(heard: Heard) -> list[int]:
    return [int.from_bytes(one[1], "big") for one in heard if isinstance(one, tuple) and one[0] == 3]


def test_every_window_is_acknowledged_with_the_bytes_so_far() -> None:
    client, heard, sent = at(State.PUBLISHING), Heard(), 0
    before = len(HANDSHAKE + CONNECT + CREATE + PUBLISH)
    for _ in range(60):
        client.say(data := media((9, 0, 1, bytes(100_000))))
        sent += len(data)
        heard += client.hear()
    first, second = acknowledged(heard)
    assert WINDOW_SIZE <= first < WINDOW_SIZE + 110_000
    assert WINDOW_SIZE <= second - first < WINDOW_SIZE + 110_000
    assert second <= before + sent


def test_client_sets_the_window() -> None:
    client = at(State.PUBLISHING)
    client.say(control(5, 5000))
    assert acknowledged(client.hear()) == []
    client.say(media((9, 0, 1, bytes(4990))))
    assert len(acknowledged(client.hear())) == 1


@pytest.mark.parametrize("window", [0, 1, 1023])
def test_tiny_window_does_not_mean_an_answer_to_every_byte(window: int) -> None:
    client = at(State.PUBLISHING)
    client.say(control(5, window))
    data = media((9, 0, 1, bytes(20_000)))
    client.say(*bytewise(data))
    assert len(acknowledged(client.hear())) <= len(data) // 1024 + 1
    client.say(data)
    assert len(acknowledged(client.hear())) == 1


def test_window_of_three_bytes_is_refused() -> None:
    with pytest.raises(RtmpError, match="type 5 has 3 bytes; wanted 4"):
        at(State.READY).say(write([(2, (5, 0, 0, bytes(3)))]))


@pytest.mark.parametrize(
    "asks", [{"fourCcList": ["hvc1"]}, {"videoFourCcInfoMap": {"*": 7.0}}, {"audioFourCcInfoMap": {"Opus": 1.0}}]
)
def test_enhanced_rtmp_is_answered_to_who_asks(asks: dict[str, amf0.Value]) -> None:
    client = at(State.CONNECT)
    client.say(command("connect", 1, {"app": "live", **asks}))
    properties = amf_object(client.hear()[-1], 2)
    assert properties["fourCcList"] == [*VIDEO_FOURCCS, *AUDIO_FOURCCS]
    assert properties["videoFourCcInfoMap"] == dict.fromkeys(VIDEO_FOURCCS, 4.0)  # "can forward"
    assert properties["audioFourCcInfoMap"] == dict.fromkeys(AUDIO_FOURCCS, 4.0)
    assert {"hvc1", "av01"} <= set(VIDEO_FOURCCS)


def amf_object(heard: object, index: int) -> dict[str, amf0.Value]:
    assert isinstance(heard, list)
    assert isinstance(heard[index], dict)
    found: dict[str, amf0.Value] = heard[index]
    return found


# Aggregates (section 7.1.6)


def aggregate(*tags: bytes, timestamp: int = 1000) -> Message:
    body = b"".join(tags)
    return Message(22, timestamp, 1, bytearray(flv.HEAD) + body + bytes(flv.TAIL))


def test_aggregate_is_split_and_moved_to_its_own_time() -> None:
    found = split_aggregate(aggregate(flv.tag(9, 500, b"v"), flv.tag(8, 512, b""), flv.tag(18, 523, b"data")))
    assert seen(found) == [(9, 1000, 1, b"v"), (8, 1012, 1, b""), (18, 1023, 1, b"data")]
    assert all(len(one.buffer) == flv.HEAD + len(one.payload) + flv.TAIL for one in found)


def test_times_in_an_aggregate_wrap() -> None:
    found = split_aggregate(aggregate(flv.tag(8, 2**32 - 1, b"a"), flv.tag(8, 1, b"b"), timestamp=2**32 - 1))
    assert [one.timestamp for one in found] == [2**32 - 1, 1]
    found = split_aggregate(aggregate(flv.tag(8, 0x01000000, b"a"), flv.tag(8, 0x01000017, b"b"), timestamp=2**32 - 1))
    assert [one.timestamp for one in found] == [2**32 - 1, 22]


def test_parts_of_other_types_are_left_out_but_the_first_still_sets_the_time() -> None:
    found = split_aggregate(aggregate(flv.tag(22, 500, b"again"), flv.tag(20, 500, b"call"), flv.tag(8, 510, b"a")))
    assert seen(found) == [(8, 1010, 1, b"a")]


@pytest.mark.parametrize("cut", [0, 1, 4])
def test_last_back_pointer_may_be_missing(cut: int) -> None:
    raw = flv.tag(8, 0, b"a") + flv.tag(8, 1, b"b")
    assert [bytes(one.payload) for one in split_aggregate(aggregate(raw[: len(raw) - cut]))] == [b"a", b"b"]


def test_empty_aggregate_holds_nothing() -> None:
    assert split_aggregate(aggregate()) == []


def test_publishers_aggregate_comes_out_as_its_parts() -> None:
    client = at(State.PUBLISHING)
    body = flv.tag(9, 0, b"v") + flv.tag(8, 10, b"a")
    assert shown(client.say(media((22, 40, 1, body), SOUND))) == [(9, 40, 1, b"v"), (8, 50, 1, b"a"), SOUND]


@pytest.mark.parametrize("cut", range(1, 13))
def test_aggregate_with_a_part_past_its_end_is_refused(cut: int) -> None:
    raw = flv.tag(8, 0, bytes(8))[: -4 - cut]
    body = flv.tag(9, 0, b"v") + raw
    if len(raw) < flv.HEAD:  # not even a header: nothing that could be read
        assert len(split_aggregate(aggregate(body))) == 1
        return
    with pytest.raises(RtmpError, match="an aggregate's part of 8 bytes passes its end"):
        at(State.PUBLISHING).say(media((22, 0, 1, body)))


@settings(max_examples=100)
@given(st.binary(max_size=80))
def test_any_aggregate_splits_or_raises_rtmp_error(body: bytes) -> None:
    with contextlib.suppress(RtmpError):
        split_aggregate(aggregate(body))


# Commands that are not what they should be


def deep(levels: int) -> bytes:
    return b"\x03\x00\x01a" * levels + b"\x05" + b"\x00\x00\x09" * levels


# (case, message type, payload, what the error says)
REFUSED = [
    ("empty", 20, b"", "must open with its name and its transaction number"),
    ("name alone", 20, amf0.encode("publish"), "must open with its name"),
    ("number for a name", 20, amf0.encode(1, 2, None), "must open with its name"),
    ("object for a name", 20, amf0.encode({"connect": 1}, 2), "must open with its name"),
    ("null for a name", 20, amf0.encode(None, 2), "must open with its name"),
    ("text for a number", 20, amf0.encode("publish", "3", None), "must open with its name"),
    ("boolean for a number", 20, amf0.encode("publish", True, None), "must open with its name"),
    ("cut off", 20, amf0.encode("publish", 3, None, "demo")[:-1], "does not decode"),
    ("not AMF", 20, b"GET / HTTP/1.1", "does not decode"),
    ("AMF3 inside AMF0", 20, amf0.encode("publish", 3) + b"\x11\x06\x09demo", "which Penstock does not speak"),
    ("nested too deep", 20, amf0.encode("connect", 1) + deep(17), "deep; wanted 16 at most"),
    ("nested as deep as there is room for", 20, amf0.encode("connect", 1) + deep(9000), "deep; wanted 16 at most"),
    ("array of 4 thousand million", 20, amf0.encode("publish", 3) + b"\x0a\xff\xff\xff\xff", "counts 4294967295"),
    ("more values than anyone says", 20, amf0.encode("publish", 3) + b"\x05" * 60000, "more than 1024 values"),
    ("wrapped in nothing", 17, b"", "opens with nothing"),
    ("wrapped without the zero", 17, amf0.encode("publish", 3, None), "opens with 0x02"),
    ("AMF3 for good", 17, b"\x03" + amf0.encode("publish", 3, None), "opens with 0x03"),
]


@pytest.mark.parametrize("state", SETTLED)
@pytest.mark.parametrize(("_case", "type_id", "payload", "says"), REFUSED, ids=[row[0] for row in REFUSED])
def test_command_that_cannot_be_read_is_refused(
    _case: str, type_id: int, payload: bytes, says: str, state: State
) -> None:
    client = at(state)
    with pytest.raises(RtmpError, match=says):
        client.say(write([(3, (type_id, 0, 0, payload))]))


# (case, state, values, event)
CONFUSED: list[tuple[str, State, list[amf0.Value], Event]] = [
    ("connect with nothing", State.CONNECT, ["connect", 1], Connected("", "", "")),
    ("connect with null", State.CONNECT, ["connect", 1, None], Connected("", "", "")),
    ("connect with text", State.CONNECT, ["connect", 1, "app"], Connected("", "", "")),
    ("connect with an array", State.CONNECT, ["connect", 1, ["app"]], Connected("", "", "")),
    (
        "connect with an array of pairs",
        State.CONNECT,
        ["connect", 1, amf0.EcmaArray(app="live")],
        Connected("live", "", ""),
    ),
    (
        "connect with numbers for texts",
        State.CONNECT,
        ["connect", 1, {"app": 5, "tcUrl": True, "flashVer": ["x"]}],
        Connected("", "", ""),
    ),
    ("transaction that is no number", State.CONNECT, ["connect", float("nan"), {"app": "a"}], Connected("a", "", "")),
    ("transaction without end", State.CONNECT, ["connect", float("inf"), {"app": "a"}], Connected("a", "", "")),
    ("publish without a name", State.READY, ["publish", 3, None], PublishAsked("")),
    ("publish without anything", State.READY, ["publish", 3], PublishAsked("")),
    ("publish with a number for a name", State.READY, ["publish", 3, None, 5], PublishAsked("")),
    ("publish with its name in the wrong place", State.READY, ["publish", 3, "demo"], PublishAsked("")),
    ("publish with an object for a name", State.READY, ["publish", 3, None, {"demo": "demo"}], PublishAsked("")),
    ("publish with every kind of name", State.READY, ["publish", 3, None, "../\0\r\n"], PublishAsked("../\0\r\n")),
    ("publish beyond ASCII", State.READY, ["publish", 3, None, "流"], PublishAsked("流")),
    ("play without a name", State.READY, ["play", 3, None], PlayAsked("")),
    ("play with null for a name", State.READY, ["play", 3, None, None], PlayAsked("")),
    ("play with false for a name", State.READY, ["play", 3, None, False], PlayAsked("")),
    ("pause without a word", State.PLAYING, ["pause", 3, None], PauseAsked(True)),
    ("pause with nothing", State.PLAYING, ["pause", 3], PauseAsked(True)),
    ("pause with a number", State.PLAYING, ["pause", 3, None, 0], PauseAsked(False)),
    ("pause with undefined", State.PLAYING, ["pause", 3, None, UNDEFINED], PauseAsked(True)),
    ("end of a stream nobody has", State.PUBLISHING, ["deleteStream", 3, None, {"a": []}], Left()),
    ("end without saying of what", State.PLAYING, ["closeStream", 3], Left()),
]


@pytest.mark.parametrize(("_case", "state", "values", "event"), CONFUSED, ids=[row[0] for row in CONFUSED])
def test_argument_of_another_type_is_as_if_it_were_missing(
    _case: str, state: State, values: list[amf0.Value], event: Event
) -> None:
    client = at(state)
    assert client.say(command(*values)) == [event]
    client.hear()


def test_text_that_is_not_utf8_is_no_reason_to_refuse() -> None:
    client = at(State.READY)
    payload = amf0.encode("publish", 3, None) + b"\x02\x00\x03a\xffb"
    assert client.say(write([(3, (20, 0, 1, payload))])) == [PublishAsked("a\ufffdb")]


# Anything at all

VALUES: st.SearchStrategy[amf0.Value] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from(["live", "demo", UNDEFINED, amf0.Date(0.0)]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["app", "tcUrl", "flashVer", "fourCcList", ""]), inner, max_size=3),
    ),
    max_leaves=6,
)
COMMANDS = st.sampled_from([*NAMES, *NAMES, *ENDINGS, "pause", "_checkbw", "_result", ""])
TYPES = st.sampled_from([0, 3, 4, 5, 6, 8, 9, 15, 16, 17, 18, 19, 20, 22, 99])
SAID = st.one_of(
    st.builds(lambda name, rest: command(name, 1, *rest), COMMANDS, st.lists(VALUES, max_size=4)),
    st.builds(lambda name: command(name, 1, None, "demo", wrapped=True), COMMANDS),
    st.builds(lambda values: command(*values), st.lists(VALUES, max_size=4)),
    st.builds(lambda type_id, payload: write([(5, (type_id, 0, 1, payload))]), TYPES, st.binary(max_size=30)),
    st.sampled_from([CONNECT, CREATE, PUBLISH, PLAY, DELETE, media(METADATA, PICTURE), control(5, 0), control(1, 77)]),
)


@settings(max_examples=250)
@given(st.lists(st.tuples(SAID, st.integers(0, 3)), max_size=12), st.booleans())
def test_anything_said_in_any_state_is_taken_or_raises_rtmp_error(said: list[tuple[bytes, int]], ready: bool) -> None:
    client = at(State.READY if ready else State.CONNECT)
    with contextlib.suppress(RtmpError):
        for data, mood in said:
            for event in client.say(data):
                assert isinstance(event, Event)
            owner_acts(client.session, mood)
            client.hear()  # whatever is answered can be read


def owner_acts(session: ServerSession, mood: int) -> None:
    if session.state is State.ASKED and mood == 0:
        session.accept_publish(BIG)
    elif session.state is State.ASKED and mood == 1:
        session.accept_play()
    elif session.state is State.ASKED and mood == 2:
        session.refuse("NetStream.Publish.Denied", "no")
    elif session.state is State.PLAYING and mood == 3:
        session.end_play("over")
    elif session.state is State.PUBLISHING and mood == 3:
        session.end_publish("NetStream.Publish.Denied", "over")


@settings(max_examples=250)
@given(st.sampled_from([*SETTLED, State.ASKED]), st.lists(st.binary(max_size=100), max_size=5))
def test_any_bytes_in_any_state_are_taken_or_raise_rtmp_error(state: State, data: list[bytes]) -> None:
    client = at(state)
    with contextlib.suppress(RtmpError):
        client.say(*data)
        client.hear()


@settings(max_examples=100)
@given(st.sampled_from(sorted(CAPTURED)), st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 255)), max_size=4))
def test_damaged_capture_is_taken_or_raises_rtmp_error(name: str, damages: list[tuple[int, int]]) -> None:
    raw = bytearray((CAPTURES / f"{name}.bin").read_bytes())
    for where, change in damages:
        raw[len(HANDSHAKE) + where % (len(raw) - len(HANDSHAKE))] ^= change
    with contextlib.suppress(RtmpError):
        replay(pieces(bytes(raw), range(0, len(raw), 500)))
