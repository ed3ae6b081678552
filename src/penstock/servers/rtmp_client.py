"""RTMP to other servers: what publishes to them, and what plays from them."""

from __future__ import annotations

from penstock.engine.relaying.ports import SourceOwner, TargetOwner
from penstock.net.guard import RTMP
from penstock.net.urls import Url
from penstock.protocols.rtmp.chunk import Message
from penstock.protocols.rtmp.client import ClientSession, Ended, Event, Ready, Refused, place_of
from penstock.servers.calling import Exchange, OutgoingCall


class _RtmpCall(OutgoingCall):
    schemes = RTMP
    publishes = False

    def __init__(self, exchange: Exchange, url: str, *, is_own: bool) -> None:
        self._session: ClientSession | None = None
        super().__init__(exchange, url, is_own=is_own)

    def check(self, url: Url) -> None:
        place_of(url.scheme, url.place, url.path, url.query)

    def connected(self, url: Url) -> None:
        place = place_of(url.scheme, url.place, url.path, url.query)
        limit = self.exchange.policy.max_message_bytes
        self._session = ClientSession(place, publishes=self.publishes, max_message_size=limit)
        self.send(self._session.data_to_send())

    def goodbye(self) -> bytes:
        if self._session is None:
            return b""
        self._session.end()
        return self._session.data_to_send()

    def receive(self, data: memoryview) -> None:
        session = self._session
        assert session is not None
        events = session.receive(data)
        self.send(session.data_to_send())
        if not self.is_closed and events:
            self._hear(events)

    def _hear(self, events: list[Event]) -> None:
        messages: list[Message] = []
        for event in events:
            match event:
                case Message():
                    messages.append(event)
                case Ready(stream_id):
                    self.settled()
                    self.ready(stream_id)
                case Refused(why):
                    self.fail(f"it refuses: {why}")
                case Ended(why):
                    # What came before the end still counts.
                    self.take(messages)
                    messages = []
                    self.fail(f"it ended the stream: {why}")
        self.take(messages)

    def ready(self, stream_id: int) -> None:
        raise NotImplementedError

    def take(self, messages: list[Message]) -> None:
        """Media, once it plays."""


class RtmpPush(_RtmpCall):
    """Publishes to a server; media goes through its outlet."""

    publishes = True

    def __init__(self, exchange: Exchange, url: str, owner: TargetOwner, *, is_own: bool) -> None:
        self._owner = owner
        super().__init__(exchange, url, is_own=is_own)

    def ready(self, stream_id: int) -> None:
        self._owner.opened(self.outlet, stream_id)

    def over(self, why: str) -> None:
        self._owner.lost(why)


class RtmpPull(_RtmpCall):
    """Plays from a server."""

    def __init__(self, exchange: Exchange, url: str, owner: SourceOwner, *, is_own: bool) -> None:
        self._owner = owner
        super().__init__(exchange, url, is_own=is_own)

    def ready(self, stream_id: int) -> None:
        self._owner.opened()

    def take(self, messages: list[Message]) -> None:
        if messages and not self.is_closed:
            self._owner.media(messages)

    def over(self, why: str) -> None:
        self._owner.lost(why)
