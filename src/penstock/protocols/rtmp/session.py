"""One RTMP connection from the server's side: bytes in, events out, answers to send.

`COMMANDS` is the state machine: which command means something in which state. Everything else a
peer may say there is ignored, as real servers do; encoders differ widely in what they add.

::

    HANDSHAKE ─► CONNECT ─connect─► READY ─publish─► ASKED ─accept_publish─► PUBLISHING
                                     ▲  └──play────► ASKED ─accept_play────► PLAYING ◄─pause─► PLAYING
                                     └── deleteStream · closeStream · FCUnpublish ──┘

The session decides nothing: a publish or a play waits in ASKED until its owner accepts or refuses.
What came along with it waits too (an SRS that forwards sends its sequence headers without waiting for
the answer): it is acted on in the first `receive` after the answer, as if it had come then.

Source: Adobe RTMP 1.0, section 7.2; Enhanced RTMP v2, "Enhancing NetConnection connect Command".
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final

from msgspec import Struct

from penstock.errors import AmfError, RtmpError
from penstock.protocols import amf0
from penstock.protocols.flv import HEAD, TAIL
from penstock.protocols.rtmp import messages
from penstock.protocols.rtmp.chunk import DEFAULT_CHUNK_SIZE, MAX_COMMAND_SIZE, ChunkReader, Message
from penstock.protocols.rtmp.handshake import ServerHandshake

# ffmpeg, OBS and GStreamer take over the chunk size that they are told, and then send whole frames in
# one chunk, which is the cheapest form to read; the same size is what players get.
CHUNK_SIZE: Final = 65536
# How many bytes each side may send before the other acknowledges; the value of Flash Media Server.
WINDOW_SIZE: Final = 2_500_000
MEDIA_STREAM_ID: Final = 1  # createStream's one answer: a connection carries one publish or one play
# Bytes that may wait for an answer: those of one read, as the owner reads no further meanwhile.
MAX_WAITING: Final = 512 * 1024
# FourCCs of Enhanced RTMP that are passed through; a client may look before it sends one.
VIDEO_FOURCCS: Final = ("hvc1", "av01", "vp09", "avc1")
AUDIO_FOURCCS: Final = ("mp4a", "Opus", ".mp3", "fLaC", "ac-3", "ec-3")
_ENHANCED: Final = frozenset(("fourCcList", "videoFourCcInfoMap", "audioFourCcInfoMap"))
_CAN_FORWARD: Final = 4.0
_MEDIA: Final = frozenset((messages.AUDIO, messages.VIDEO))
_COMMANDS: Final = frozenset((messages.COMMAND, messages.COMMAND_AMF3))


class State(Enum):
    HANDSHAKE = "handshake"
    CONNECT = "connect"
    READY = "ready"
    ASKED = "asked"
    PUBLISHING = "publishing"
    PLAYING = "playing"


class Connected(Struct, frozen=True):
    """What the peer said of itself and of where it wants to go; texts from outside, unchecked."""

    app: str
    tc_url: str
    agent: str


class PublishAsked(Struct, frozen=True):
    """The peer wants to publish; `name` is the stream name with the query the encoder put there."""

    name: str


class PlayAsked(Struct, frozen=True):
    name: str


class PauseAsked(Struct, frozen=True):
    paused: bool


class Left(Struct, frozen=True):
    """The peer ended its publish or play, and keeps its connection."""


Event = Message | Connected | PublishAsked | PlayAsked | PauseAsked | Left


class ServerSession:
    """The protocol of one connection. A media message comes out as the `Message` itself."""

    __slots__ = (
        "_acknowledged",
        "_chunks",
        "_handshake",
        "_out",
        "_out_chunk_size",
        "_received",
        "_window",
        "state",
    )

    def __init__(self) -> None:
        self.state = State.HANDSHAKE
        self._handshake: ServerHandshake | None = ServerHandshake()
        # What follows a publish is media, which may be longer than what was allowed before it.
        self._chunks = ChunkReader(stops_after=_COMMANDS)
        self._out: list[bytes] = []
        self._out_chunk_size = DEFAULT_CHUNK_SIZE
        self._received = 0
        self._acknowledged = 0
        self._window = WINDOW_SIZE

    def receive(self, data: bytes | bytearray | memoryview) -> list[Event]:
        """Take bytes in any split; return what they say, in order. Keeps nothing of `data`.

        Raises:
            RtmpError: the bytes are not RTMP. The session is over.
        """
        self._received += len(data)
        if self._handshake is not None:
            data = self._handshake.receive(data)
            self._put(self._handshake.data_to_send())
            if not self._handshake.done:
                return []
            self._handshake = None
            self.state = State.CONNECT
        events: list[Event] = []
        if self.state is State.ASKED:
            self._keep_waiting(data)
            return events
        chunks = self._chunks
        while True:
            for message in chunks.receive(data):
                if message.type_id not in _MEDIA:
                    self._take(message, events)
                elif self.state is State.PUBLISHING:
                    events.append(message)
            if not self.can_go_on:
                break
            data = b""
        if self._received - self._acknowledged >= self._window:
            self._acknowledge()
        return events

    @property
    def can_go_on(self) -> bool:
        """True when bytes wait that came behind a question which is answered by now: receive nothing to go on."""
        return bool(self._chunks.unread) and self.state is not State.ASKED

    def data_to_send(self) -> bytes:
        """Everything to be sent since the last call."""
        if not self._out:
            return b""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def accept_publish(self, max_message_size: int) -> None:
        """Let the publisher in; from here its messages may have up to `max_message_size` bytes."""
        assert self.state is State.ASKED
        self.state = State.PUBLISHING
        self._chunks.max_message_size = max_message_size
        self._status("status", "NetStream.Publish.Start", "publishing")

    def accept_play(self) -> None:
        assert self.state is State.ASKED
        self.state = State.PLAYING
        self._put(messages.user_control(messages.STREAM_BEGIN, MEDIA_STREAM_ID.to_bytes(4, "big")))
        self._status("status", "NetStream.Play.Reset", "playing from the start of what is cached")
        self._status("status", "NetStream.Play.Start", "playing")

    def refuse(self, code: str, why: str) -> None:
        """Answer no to what was asked; the owner closes the connection after it."""
        assert self.state is State.ASKED
        self.state = State.READY
        self._status("error", code, why)

    def end_play(self, why: str) -> None:
        """Tell a player that the stream is over."""
        self.state = State.READY
        self._put(messages.user_control(messages.STREAM_EOF, MEDIA_STREAM_ID.to_bytes(4, "big")))
        self._status("status", "NetStream.Play.UnpublishNotify", why)
        self._status("status", "NetStream.Play.Stop", why)

    def end_publish(self, code: str, why: str) -> None:
        """Tell a publisher that its session is over."""
        self.state = State.READY
        self._chunks.max_message_size = MAX_COMMAND_SIZE
        self._status("error", code, why)

    def _keep_waiting(self, data: bytes | bytearray | memoryview) -> None:
        if len(self._chunks.unread) + len(data) > MAX_WAITING:
            raise RtmpError(f"more than {MAX_WAITING} bytes came before the answer to a publish or play")
        self._chunks.unread += bytes(data)

    def _put(self, data: bytes) -> None:
        if data:
            self._out.append(data)

    def _status(self, level: str, code: str, description: str) -> None:
        self._put(messages.status(level, code, description, stream_id=MEDIA_STREAM_ID, chunk_size=self._out_chunk_size))

    def _reply(self, transaction: float, *values: amf0.Value) -> None:
        self._put(messages.command("_result", transaction, *values, chunk_size=self._out_chunk_size))

    def _acknowledge(self) -> None:
        self._acknowledged = self._received
        self._put(messages.control(messages.ACKNOWLEDGEMENT, self._received & 0xFFFFFFFF))

    def _take(self, message: Message, events: list[Event]) -> None:
        """A message that is not a publisher's audio or video."""
        match message.type_id:
            case messages.COMMAND | messages.COMMAND_AMF3:
                self._take_command(message, events)
            case messages.DATA | messages.DATA_AMF3:
                if self.state is State.PUBLISHING:
                    events.append(message)
            case messages.AGGREGATE:
                if self.state is State.PUBLISHING:
                    events.extend(split_aggregate(message))
            case messages.WINDOW_SIZE:
                # Zero would mean an answer to every byte.
                self._window = max(_uint32(message), 1024)
            case messages.USER_CONTROL:
                payload = message.payload
                if len(payload) >= 6 and int.from_bytes(payload[:2], "big") == messages.PING_REQUEST:
                    self._put(messages.user_control(messages.PING_RESPONSE, bytes(payload[2:6])))
            case _:
                # Acknowledgements and Set Peer Bandwidth bound what we may send; TCP does that here.
                # Nobody asked for the audio and video that end up here.
                pass

    def _take_command(self, message: Message, events: list[Event]) -> None:
        if len(message.payload) > MAX_COMMAND_SIZE:
            raise RtmpError(f"a command has {len(message.payload)} bytes; at most {MAX_COMMAND_SIZE} are read")
        try:
            values = amf0.decode_command(message.payload, amf3_wrapped=message.type_id == messages.COMMAND_AMF3)
        except AmfError as error:
            raise RtmpError(f"a command does not decode: {error}") from error
        if len(values) < 2 or not isinstance(values[0], str) or not isinstance(values[1], float):
            raise RtmpError("a command must open with its name and its transaction number")
        handler = COMMANDS[self.state].get(values[0])
        if handler is not None:
            event = handler(self, values[1], values[2:])
            if event is not None:
                events.append(event)

    # Each command below is called with its transaction number and what follows it: the command
    # object, then the arguments (any of which a peer may leave out, or give another type).

    def _connect(self, transaction: float, rest: list[amf0.Value]) -> Event:
        asked = rest[0] if rest and isinstance(rest[0], dict) else {}
        self.state = State.READY
        self._put(messages.control(messages.WINDOW_SIZE, WINDOW_SIZE))
        self._put(messages.set_peer_bandwidth(WINDOW_SIZE))
        self._put(messages.control(messages.SET_CHUNK_SIZE, CHUNK_SIZE))
        self._out_chunk_size = CHUNK_SIZE
        properties: dict[str, amf0.Value] = {"fmsVer": "FMS/3,5,7,7009", "capabilities": 31.0, "mode": 1.0}
        info: dict[str, amf0.Value] = {
            "level": "status",
            "code": "NetConnection.Connect.Success",
            "description": "connected",
            # Commands of AMF3 are read, but AMF0 inside them is what is spoken.
            "objectEncoding": 0.0,
        }
        if not _ENHANCED.isdisjoint(asked):
            properties["fourCcList"] = [*VIDEO_FOURCCS, *AUDIO_FOURCCS]
            properties["videoFourCcInfoMap"] = dict.fromkeys(VIDEO_FOURCCS, _CAN_FORWARD)
            properties["audioFourCcInfoMap"] = dict.fromkeys(AUDIO_FOURCCS, _CAN_FORWARD)
        self._reply(transaction, properties, info)
        return Connected(_text(asked.get("app")), _text(asked.get("tcUrl")), _text(asked.get("flashVer")))

    def _acknowledge_name(self, transaction: float, rest: list[amf0.Value]) -> None:
        """releaseStream and FCPublish ask nothing; an encoder may still wait for their answer."""
        self._reply(transaction, None, amf0.UNDEFINED)

    def _create_stream(self, transaction: float, rest: list[amf0.Value]) -> None:
        self._reply(transaction, None, float(MEDIA_STREAM_ID))

    def _publish(self, transaction: float, rest: list[amf0.Value]) -> Event:
        self.state = State.ASKED
        return PublishAsked(_argument(rest))

    def _play(self, transaction: float, rest: list[amf0.Value]) -> Event:
        self.state = State.ASKED
        return PlayAsked(_argument(rest))

    def _pause(self, transaction: float, rest: list[amf0.Value]) -> Event:
        paused = bool(rest[1]) if len(rest) > 1 else True
        code, why = ("Pause", "paused") if paused else ("Unpause", "playing again")
        self._status("status", f"NetStream.{code}.Notify", why)
        return PauseAsked(paused)

    def _leave(self, transaction: float, rest: list[amf0.Value]) -> Event:
        code = "NetStream.Unpublish.Success" if self.state is State.PUBLISHING else "NetStream.Play.Stop"
        self.state = State.READY
        self._chunks.max_message_size = MAX_COMMAND_SIZE
        self._status("status", code, "ended by the client")
        return Left()


Handler = Callable[[ServerSession, float, list[amf0.Value]], Event | None]
_SETUP: Final[dict[str, Handler]] = {
    "releaseStream": ServerSession._acknowledge_name,
    "FCPublish": ServerSession._acknowledge_name,
    "createStream": ServerSession._create_stream,
}
_LEAVING: Final[dict[str, Handler]] = {
    "deleteStream": ServerSession._leave,
    "closeStream": ServerSession._leave,
    "FCUnpublish": ServerSession._leave,
}
COMMANDS: Final[dict[State, dict[str, Handler]]] = {
    State.HANDSHAKE: {},
    State.CONNECT: {"connect": ServerSession._connect},
    State.READY: _SETUP | {"publish": ServerSession._publish, "play": ServerSession._play},
    State.ASKED: {},  # the owner is deciding; all else waits
    State.PUBLISHING: _SETUP | _LEAVING,
    State.PLAYING: _LEAVING | {"pause": ServerSession._pause, "pauseRaw": ServerSession._pause},
}


def split_aggregate(message: Message) -> list[Message]:
    """The messages inside an aggregate one, which has the form of FLV tags (section 7.1.6).

    Their timestamps are moved so that the first one is the aggregate's own.
    """
    body, found, at, shift = message.payload, list[Message](), 0, 0
    while at + HEAD <= len(body):
        size = int.from_bytes(body[at + 1 : at + 4], "big")
        stop = at + HEAD + size
        if stop > len(body):
            raise RtmpError(f"an aggregate's part of {size} bytes passes its end")
        timestamp = body[at + 7] << 24 | int.from_bytes(body[at + 4 : at + 7], "big")
        if not found:
            shift = message.timestamp - timestamp
        part = bytearray(HEAD + size + TAIL)
        part[HEAD : HEAD + size] = body[at + HEAD : stop]
        found.append(Message(body[at], (timestamp + shift) & 0xFFFFFFFF, message.stream_id, part))
        at = stop + TAIL
    return [part for part in found if part.type_id in (messages.AUDIO, messages.VIDEO, messages.DATA)]


def _uint32(message: Message) -> int:
    if len(message.payload) < 4:
        raise RtmpError(f"a message of type {message.type_id} has {len(message.payload)} bytes; wanted 4")
    return int.from_bytes(message.payload[:4], "big")


def _text(value: amf0.Value) -> str:
    return value if isinstance(value, str) else ""


def _argument(rest: list[amf0.Value]) -> str:
    """The first argument behind the command object: the stream name."""
    return _text(rest[1]) if len(rest) > 1 else ""
