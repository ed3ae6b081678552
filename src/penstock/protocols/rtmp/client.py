"""One RTMP connection from the client's side: what it asks for, one step after the other, and what comes of it.

`REPLIES` is the state machine: which command of a server means something in which state. Everything else is
ignored, as servers differ widely in what they tell (onBWDone, onFCPublish, answers that nobody waits for).

::

    HANDSHAKE ─► CONNECT ─_result─► CREATE ─_result─► ASK ─onStatus Publish.Start─► PUBLISHING ─┐
                    │                  │               │ └──onStatus Play.Start───► PLAYING ────┤
                    └──────────────────┴───────────────┴── _error · onStatus error · close ─────┴─► OVER

Source: Adobe RTMP 1.0, section 7.2; Enhanced RTMP v2, "Enhancing NetConnection connect Command". releaseStream
and FCPublish are in no specification: Flash Media Live Encoder sent them, and servers wait for them.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final

from msgspec import Struct

from penstock.errors import AmfError, RtmpError
from penstock.protocols import amf0
from penstock.protocols.flv import HEAD
from penstock.protocols.rtmp import messages
from penstock.protocols.rtmp.chunk import DEFAULT_CHUNK_SIZE, MAX_COMMAND_SIZE, ChunkReader, Message
from penstock.protocols.rtmp.handshake import ClientHandshake
from penstock.protocols.rtmp.session import (
    AUDIO_FOURCCS,
    CHUNK_SIZE,
    VIDEO_FOURCCS,
    WINDOW_SIZE,
    split_aggregate,
)

# Characters of a server's own words in an error.
# Shorter words are no keys, and stand in other words.
SHORTEST_KEY: Final = 8
MAX_WORDS: Final = 300
AGENT: Final = "FMLE/3.0 (compatible; Penstock)"  # servers look for FMLE to tell encoders from players
_CONNECT: Final = 1.0
_RELEASE: Final = 2.0
_FC_PUBLISH: Final = 3.0
_CREATE: Final = 4.0
_LAST: Final = 5.0
_BUFFER_MS: Final = 1000
_ANY_LIVE: Final = -1000.0  # play's start: live alone, nothing recorded
_MEDIA: Final = frozenset((messages.AUDIO, messages.VIDEO))
_STARTS: Final = frozenset(("NetStream.Publish.Start", "NetStream.Play.Start"))
_ENDS: Final = frozenset(
    (
        "NetStream.Play.Stop",
        "NetStream.Play.UnpublishNotify",
        "NetStream.Unpublish.Success",
        "NetConnection.Connect.Closed",
    )
)


class State(Enum):
    HANDSHAKE = "handshake"
    CONNECT = "connect"
    CREATE = "create"
    ASK = "ask"
    PUBLISHING = "publishing"
    PLAYING = "playing"
    OVER = "over"


class Place(Struct, frozen=True):
    """Where a stream is on a server: its app, its name with the query behind it, and the URL of the app."""

    app: str
    name: str
    tc_url: str


class Ready(Struct, frozen=True):
    """The publish or play was let in; media goes on message stream `stream_id`."""

    stream_id: int


class Refused(Struct, frozen=True):
    why: str  # with the server's own words


class Ended(Struct, frozen=True):
    """The server says that what it had let in is over."""

    why: str


Event = Message | Ready | Refused | Ended


def place_of(scheme: str, host_and_port: str, path: str, query: str | None) -> Place:
    """Read an RTMP URL's path: `/app[/more]/stream`. The query belongs to the stream, where servers look for keys.

    Raises:
        RtmpError: it names no app or no stream.
    """
    app, _, stream = path.strip("/").rpartition("/")
    if not app or not stream:
        # The path is not shown: a stream's name often is its key.
        raise RtmpError("the URL's path lacks an app or a stream; it must be /app/stream")
    name = stream if query is None else f"{stream}?{query}"
    return Place(app, name, f"{scheme}://{host_and_port}/{app}")


class ClientSession:
    """The protocol of one connection. A media message comes out as the `Message` itself.

    The first `data_to_send` holds the handshake; then `receive` and `data_to_send` in turn lead to `Ready`.
    """

    __slots__ = (
        "_acknowledged",
        "_chunks",
        "_handshake",
        "_max_message_size",
        "_out",
        "_place",
        "_publishes",
        "_received",
        "_stream_id",
        "_window",
        "state",
    )

    def __init__(self, place: Place, *, publishes: bool, max_message_size: int = MAX_COMMAND_SIZE) -> None:
        """Publish to `place`, or play it; `max_message_size` bounds the media messages that are played."""
        self.state = State.HANDSHAKE
        self._place = place
        self._publishes = publishes
        self._max_message_size = max_message_size
        self._handshake: ClientHandshake | None = ClientHandshake()
        self._chunks = ChunkReader()
        self._out: list[bytes] = [self._handshake.data_to_send()]
        self._stream_id = 0
        self._received = 0
        self._acknowledged = 0
        self._window = WINDOW_SIZE

    def receive(self, data: bytes | bytearray | memoryview) -> list[Event]:
        """Take bytes in any split; return what they say, in order. Keeps nothing of `data`.

        Raises:
            RtmpError: the bytes are not RTMP. The session is over.
        """
        self._received += len(data)
        events: list[Event] = []
        if self._handshake is not None:
            data = self._handshake.receive(data)
            self._put(self._handshake.data_to_send())
            if not self._handshake.done:
                return events
            self._handshake = None
            self._connect()
        for message in self._chunks.receive(data):
            if self.state is State.OVER:
                break
            if message.type_id not in _MEDIA:
                self._take(message, events)
            elif self.state is State.PLAYING:
                events.append(message)
        if self._received - self._acknowledged >= self._window:
            self._acknowledged = self._received
            self._put(messages.control(messages.ACKNOWLEDGEMENT, self._received & 0xFFFFFFFF))
        return events

    def data_to_send(self) -> bytes:
        """Everything to be sent since the last call."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def end(self) -> None:
        """Say that the publish or play is over; the connection is to be closed behind it."""
        if self.state is State.PUBLISHING:
            self._command("FCUnpublish", _LAST, None, self._place.name)
        if self.state in (State.PUBLISHING, State.PLAYING):
            self._command("deleteStream", _LAST + 1, None, float(self._stream_id))
        self.state = State.OVER

    # What is asked for

    def _connect(self) -> None:
        self.state = State.CONNECT
        about: dict[str, amf0.Value] = {
            "app": self._place.app,
            "type": "nonprivate",
            "flashVer": AGENT,
            "tcUrl": self._place.tc_url,
            "fpad": False,
            "capabilities": 15.0,
            "audioCodecs": 4071.0,
            "videoCodecs": 252.0,
            "videoFunction": 1.0,
            "objectEncoding": 0.0,
            "fourCcList": [*VIDEO_FOURCCS, *AUDIO_FOURCCS],
        }
        # Before the server's answer a chunk may have 128 bytes, and servers know no other at that time.
        self._put(messages.command("connect", _CONNECT, about, chunk_size=DEFAULT_CHUNK_SIZE))

    def _connected(self, rest: list[amf0.Value]) -> None:
        self.state = State.CREATE
        self._put(messages.control(messages.WINDOW_SIZE, WINDOW_SIZE))
        self._put(messages.control(messages.SET_CHUNK_SIZE, CHUNK_SIZE))
        if self._publishes:
            self._command("releaseStream", _RELEASE, None, self._place.name)
            self._command("FCPublish", _FC_PUBLISH, None, self._place.name)
        self._command("createStream", _CREATE, None)

    def _created(self, rest: list[amf0.Value]) -> Event | None:
        number = rest[1] if len(rest) > 1 else None
        if not isinstance(number, float) or not 0 <= number < 1 << 31:
            return self._over(Refused("createStream was answered without a stream's number"))
        self.state, self._stream_id = State.ASK, int(number)
        if self._publishes:
            self._ask("publish", self._place.name, "live")
            return None
        self._ask("play", self._place.name, _ANY_LIVE)
        length = _BUFFER_MS.to_bytes(4, "big")
        self._put(messages.user_control(messages.SET_BUFFER_LENGTH, self._stream_id.to_bytes(4, "big") + length))
        # Media may come along with the answer.
        self._chunks.max_message_size = self._max_message_size
        return None

    def _ask(self, name: str, *arguments: amf0.Value) -> None:
        self._put(
            messages.command(name, _LAST, None, *arguments, stream_id=self._stream_id, chunk_size=CHUNK_SIZE),
        )

    def _command(self, *values: amf0.Value) -> None:
        self._put(messages.command(*values, chunk_size=CHUNK_SIZE))

    def _put(self, data: bytes) -> None:
        if data:
            self._out.append(data)

    # What comes of it

    def _take(self, message: Message, events: list[Event]) -> None:
        """A message that is neither audio nor video."""
        match message.type_id:
            case messages.COMMAND | messages.COMMAND_AMF3:
                event = self._take_command(message)
                if event is not None:
                    events.append(event)
            case messages.DATA if self.state is State.PLAYING:
                events.append(message)
            case messages.DATA_AMF3 if self.state is State.PLAYING and message.payload:
                # One byte says that AMF3 may follow; what follows is AMF0.
                del message.buffer[HEAD]
                message.type_id = messages.DATA
                events.append(message)
            case messages.AGGREGATE if self.state is State.PLAYING:
                events.extend(split_aggregate(message))
            case messages.WINDOW_SIZE:
                # Zero would mean an answer to every byte.
                self._window = max(_uint32(message), 1024)
            case messages.USER_CONTROL:
                self._take_user_control(bytes(message.payload[:6]), events)
            case _:
                # Acknowledgements and Set Peer Bandwidth bound what we may send; TCP does that here.
                pass

    def _take_user_control(self, payload: bytes, events: list[Event]) -> None:
        event, data = int.from_bytes(payload[:2], "big"), payload[2:]
        if len(data) < 4:
            return
        if event == messages.PING_REQUEST:
            self._put(messages.user_control(messages.PING_RESPONSE, data))
        elif event == messages.STREAM_EOF and self.state is State.PLAYING:
            events.append(self._over(Ended("the server says that the stream is over")))

    def _take_command(self, message: Message) -> Event | None:
        if len(message.payload) > MAX_COMMAND_SIZE:
            raise RtmpError(f"a command has {len(message.payload)} bytes; at most {MAX_COMMAND_SIZE} are read")
        try:
            values = amf0.decode_command(message.payload, amf3_wrapped=message.type_id == messages.COMMAND_AMF3)
        except AmfError as error:
            raise RtmpError(f"a command does not decode: {error}") from error
        if not values or not isinstance(values[0], str):
            raise RtmpError("a command must open with its name")
        # ffmpeg, which listens, sends onFCPublish by its name alone.
        name, transaction = values[0], values[1] if len(values) > 1 and isinstance(values[1], float) else None
        replies = REPLIES[self.state]
        handler = replies.get((name, transaction)) or replies.get((name, None))
        return handler(self, values[2:]) if handler is not None else None

    def _status(self, rest: list[amf0.Value]) -> Event | None:
        info = _info(rest)
        code = info.get("code")
        if info.get("level") == "error":
            said = self._said(info)
            return self._over(Refused(said) if self.state not in _RUNNING else Ended(said))
        if self.state is State.ASK and code in _STARTS:
            self.state = State.PUBLISHING if self._publishes else State.PLAYING
            return Ready(self._stream_id)
        if self.state in _RUNNING and code in _ENDS:
            return self._over(Ended(self._said(info)))
        return None

    def _error(self, rest: list[amf0.Value]) -> Event:
        return self._over(Refused(self._said(_info(rest))))

    def _close(self, rest: list[amf0.Value]) -> Event:
        why = "the server closes the connection"
        return self._over(Ended(why) if self.state in _RUNNING else Refused(why))

    def _said(self, info: dict[str, amf0.Value]) -> str:
        """What the server says about itself; it may repeat what we asked for, and so a key."""
        return _without(_keys_of(self._place.name), _words(info))[:MAX_WORDS]

    def _over(self, event: Refused | Ended) -> Event:
        self.state = State.OVER
        return event


Handler = Callable[[ClientSession, list[amf0.Value]], Event | None]
Replies = dict[tuple[str, float | None], Handler]  # by name and transaction; None: any transaction

_RUNNING: Final = frozenset((State.PUBLISHING, State.PLAYING))
_ALWAYS: Final[Replies] = {("onStatus", None): ClientSession._status, ("close", None): ClientSession._close}
REPLIES: Final[dict[State, Replies]] = {
    State.HANDSHAKE: {},
    State.CONNECT: _ALWAYS
    | {("_result", _CONNECT): ClientSession._connected, ("_error", _CONNECT): ClientSession._error},
    # Errors of releaseStream and FCPublish are none: servers that do not know them say so.
    State.CREATE: _ALWAYS | {("_result", _CREATE): ClientSession._created, ("_error", _CREATE): ClientSession._error},
    State.ASK: _ALWAYS | {("_error", _LAST): ClientSession._error},
    State.PUBLISHING: _ALWAYS,
    State.PLAYING: _ALWAYS,
    State.OVER: {},
}


def _info(rest: list[amf0.Value]) -> dict[str, amf0.Value]:
    """The information object of an answer: behind the command object, or in its place."""
    return next((value for value in rest[1::-1] if isinstance(value, dict)), {})


def _words(info: dict[str, amf0.Value]) -> str:
    """What a server says about itself, in one line."""
    parts = [part for key in ("code", "description") if isinstance(part := info.get(key), str) and part]
    text = ": ".join(parts) or "without a word"
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _keys_of(name: str) -> list[str]:
    """What of a stream's name and its query may be a key, the longest first."""
    name, _, query = name.partition("?")
    words = {name, query, *(field.partition("=")[2] for field in query.split("&"))}
    return sorted((word for word in words if len(word) >= SHORTEST_KEY), key=len, reverse=True)


def _without(keys: list[str], text: str) -> str:
    for key in keys:
        text = text.replace(key, "...")
    return text


def _uint32(message: Message) -> int:
    if len(message.payload) < 4:
        raise RtmpError(f"a message of type {message.type_id} has {len(message.payload)} bytes; wanted 4")
    return int.from_bytes(message.payload[:4], "big")
