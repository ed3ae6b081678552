"""A relay whose two ends the test plays by hand, with a clock that it turns."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.engine.relaying.ports import SourceOwner, TargetOwner
from penstock.engine.relaying.relay import Relay, RelayPolicy, RelayRooms
from penstock.engine.stream import FlushPolicy
from penstock.link.relaying import RelayOrder, RelayState, RelayTold
from penstock.model import Kind
from penstock.protocols.rtmp.chunk import ChunkReader, Message
from penstock.protocols.rtmp.session import CHUNK_SIZE
from tests.clock import ManualClock
from tests.engine.kit import AAC_HEADER, AVC_HEADER, FakeOwner, audio_body, inter_body, key_body, message_buffer

SOURCE = "rtmp://source.example/live/cam"
TARGET = "rtmp://target.example/live/cam"
ORDER = RelayOrder("a" * 32, TARGET, SOURCE)
BROUGHT = RelayOrder("b" * 32, TARGET)
FLUSH = FlushPolicy(every_s=0.0, audio_s=0.0, gop_cache_bytes=1_000_000)
POLICY = RelayPolicy(FLUSH)


class FakeCall:
    """One call that a relay made."""

    def __init__(self, url: str = "") -> None:
        self.url = url
        self.bytes_in = 0
        self.is_closed = False
        self.is_finished = False
        self.far = FakeOwner()

    @property
    def bytes_out(self) -> int:
        return self.far.outlet.sent_bytes

    def close(self) -> None:
        self.is_closed = True

    def finish(self) -> None:
        self.is_closed = self.is_finished = True

    @property
    def is_on(self) -> bool:
        return not self.is_closed


class Pulled(FakeCall):
    def __init__(self, url: str, owner: SourceOwner) -> None:
        super().__init__(url)
        self.owner = owner

    def sends(self, *messages: Message) -> None:
        """One receive's worth of media."""
        assert self.is_on
        self.bytes_in += sum(len(message.buffer) for message in messages)
        self.owner.media(messages)

    def loses(self, why: str) -> None:
        assert self.is_on
        self.is_closed = True
        self.owner.lost(why)


class Pushed(FakeCall):
    def __init__(self, url: str, owner: TargetOwner) -> None:
        super().__init__(url)
        self.owner = owner
        self._chunks = ChunkReader(1 << 24)
        self._chunks.chunk_size = CHUNK_SIZE
        self._read = 0

    def opens(self, stream_id: int = 1) -> None:
        assert self.is_on
        self.owner.opened(self.far.outlet, stream_id)

    def loses(self, why: str) -> None:
        assert self.is_on
        self.is_closed = True
        self.owner.lost(why)

    def got(self) -> list[Message]:
        """The messages that its socket took since the last look."""
        taken = bytes(self.far.socket.taken[self._read :])
        self._read += len(taken)
        return self._chunks.receive(taken)

    def bodies(self) -> list[tuple[int, bytes]]:
        return [(message.timestamp, bytes(message.payload)) for message in self.got()]


class Stage:
    """The caller that relays are given, and all that they told."""

    def __init__(self, policy: RelayPolicy = POLICY, randoms: Sequence[float] = ()) -> None:
        self.clock = ManualClock()
        self.pulls: list[Pulled] = []
        self.pushes: list[Pushed] = []
        self.told: list[RelayTold] = []
        self._randoms = list(randoms)
        self.rooms = RelayRooms(
            caller=self, clock=self.clock, later=self.clock.later, random=self._random, policy=policy
        )

    def pull(self, url: str, owner: SourceOwner, *, is_own: bool = False) -> Pulled:
        self.pulls.append(Pulled(url, owner))
        return self.pulls[-1]

    def push(self, url: str, owner: TargetOwner, *, is_own: bool = False) -> Pushed:
        self.pushes.append(Pushed(url, owner))
        return self.pushes[-1]

    def _random(self) -> float:
        return self._randoms.pop(0) if self._randoms else 1.0

    def relay(self, order: RelayOrder = ORDER) -> Relay:
        relay = Relay(order, self.rooms, self.told.append)
        relay.start()
        return relay

    def pass_time(self, relay: Relay, seconds: float) -> None:
        """As the engine does: a tick each quarter of a second."""
        for _ in range(round(seconds * 4)):
            self.clock.advance(0.25)
            relay.tick()

    @property
    def last(self) -> RelayTold:
        return self.told[-1]

    @property
    def state(self) -> RelayState:
        return self.last.state


def video(timestamp: int, body: bytes) -> Message:
    return Message(Kind.VIDEO, timestamp, 1, message_buffer(body))


def audio(timestamp: int, body: bytes | None = None) -> Message:
    return Message(Kind.AUDIO, timestamp, 1, message_buffer(body or audio_body()))


def key(timestamp: int, data: bytes = b"key") -> Message:
    return video(timestamp, key_body(data))


def inter(timestamp: int, data: bytes = b"inter") -> Message:
    return video(timestamp, inter_body(data))


def opening(timestamp: int = 0) -> list[Message]:
    """What a source sends first: both setups and a key frame."""
    return [video(timestamp, AVC_HEADER), audio(timestamp, AAC_HEADER), key(timestamp)]
