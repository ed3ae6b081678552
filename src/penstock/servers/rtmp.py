"""RTMP's door: publishers and players on one port, told apart by what they ask for."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from penstock.engine.addressing import Target
from penstock.engine.control import Answer, ControlLink
from penstock.engine.formats import RTMP
from penstock.engine.hub import Hub
from penstock.engine.publication import Publication
from penstock.engine.usage import Player
from penstock.errors import BadParameters, NameInUse
from penstock.link.messages import Admitted, EndReason, Refused
from penstock.protocols.flv import HEAD
from penstock.protocols.rtmp.chunk import Message
from penstock.protocols.rtmp.messages import DATA, DATA_AMF3
from penstock.protocols.rtmp.session import (
    Connected,
    Event,
    Left,
    PauseAsked,
    PlayAsked,
    PublishAsked,
    ServerSession,
    State,
)
from penstock.servers.door import Connection, Door
from penstock.servers.wire import Wire


class RtmpRooms(Struct, frozen=True):
    """What every RTMP connection is given."""

    hub: Hub
    control: ControlLink
    max_message_bytes: int


class RtmpConnection(Connection):
    """One RTMP peer."""

    __slots__ = ("_player", "_publication", "_rooms", "_session", "_take_back", "_where")

    def __init__(self, rooms: RtmpRooms, door: Door, wire: Wire, address: str, port: int) -> None:
        super().__init__(door, wire, address, port)
        self._rooms = rooms
        self._session = ServerSession()
        self._where = Connected("", "", "")
        self._publication: Publication | None = None
        self._player: Player | None = None  # the last one, until the connection closes
        self._take_back: Callable[[], None] | None = None

    def receive(self, data: memoryview) -> None:
        self._take(self._session.receive(data))
        while self._session.can_go_on and not self.closed:
            self._take(self._session.receive(b""))

    def _take(self, events: list[Event]) -> None:
        publication = self._publication
        if publication is not None:
            now_s = self.door.clock.monotonic()
            for event in events:
                if isinstance(event, Message):
                    self._media(publication, event, now_s)
                else:
                    self._act(event)
            publication.stream.settle()
        else:
            for event in events:
                self._act(event)
        self.send(self._session.data_to_send())

    def _media(self, publication: Publication, message: Message, now_s: float) -> None:
        kind = message.type_id
        if kind == DATA_AMF3:
            if not message.payload:
                return
            # One byte says that AMF3 may follow; what follows is AMF0.
            del message.buffer[HEAD]
            kind = DATA
        publication.receive(kind, message.timestamp, message.buffer, now_s)

    def _act(self, event: Event) -> None:
        if self.closed:
            return  # by what an earlier event of the same bytes led to
        match event:
            case Connected():
                self._where = event
            case PublishAsked(name):
                self._ask_to_publish(self._target(name))
            case PlayAsked(name):
                self._play(self._target(name))
            case PauseAsked(paused):
                self._pause(paused)
            case Left():
                self._leave()

    def _target(self, name: str) -> Target:
        return Target.of_rtmp(self._where.tc_url, self._where.app, name)

    # Publishing

    def _ask_to_publish(self, target: Target) -> None:
        # What the encoder sends before it has its answer is left in the socket.
        self.pause_reading()
        client = self.client(self._where.agent[:256])
        domain = self._rooms.hub.vhosts.domain_of(target)
        self._take_back = self._rooms.control.ask(target, client, lambda answer: self._answered(answer, domain))

    def _answered(self, answer: Answer, domain: str) -> None:
        self._take_back = None
        if isinstance(answer, Admitted):
            client = self.client(self._where.agent[:256])
            publication = self._rooms.hub.begin(answer.lease, self, client, domain, replaces=answer.replaces)
            if publication is not None:
                self._publication = publication
                self._session.accept_publish(self._rooms.max_message_bytes)
                self.settled()
                self.send(self._session.data_to_send())
                self.resume_reading()
                # What came along with the question, in the same read.
                self.door.take(self, 0)
                return
            why = f"{answer.lease.stream} is being published by another"
            self._rooms.control.never_began(answer.lease, EndReason.LOST, why)
            self._rooms.control.turned_away(answer.lease.stream, domain, client, NameInUse.code, why)
            answer = Refused(answer.ask, NameInUse.code, why)
        self._refuse(
            "NetStream.Publish.BadName" if answer.code == NameInUse.code else "NetStream.Publish.Denied", answer.why
        )

    def cut(self, reason: EndReason, detail: str) -> None:
        """Close the publisher's socket now; its publication ended before (engine.publication.Publisher)."""
        self._publication = None
        if self._session.state is State.PUBLISHING:
            self._session.end_publish("NetStream.Publish.Denied", f"{reason}: {detail}" if detail else reason)
            self.send(self._session.data_to_send())
        self.close(reason)

    def look(self) -> None:
        """See whether the publisher is still there (engine.publication.Publisher).

        Data and a reset that come together are one event on uvloop, and its last: after that read,
        the reset is to be seen only by reading again.
        """
        self.on_readable()

    # Playing

    def _play(self, target: Target) -> None:
        hub = self._rooms.hub
        try:
            stream = hub.vhosts.locate(target)
        except BadParameters as error:
            self._refuse("NetStream.Play.Failed", str(error))
            return
        if not hub.is_playable(stream):
            self._refuse("NetStream.Play.StreamNotFound", f"{stream} is not on air")
            return
        self._session.accept_play()
        self.send(self._session.data_to_send())
        if self.closed:
            return
        self.outlet.limit_bytes = self.door.policy.player_buffer_bytes
        try:
            client = self.client(self._where.agent[:256])
            if self._player is not None:
                hub.leave(self._player)  # what it took after its last play ended counts for that one
            self._player = hub.join(stream, RTMP, self.outlet, client, hub.vhosts.domain_of(target))
        except OSError as error:
            self.close(f"connection lost: {error}")
            return
        self.settled()

    def _pause(self, paused: bool) -> None:
        if self._player is None:
            return
        if paused:
            self._rooms.hub.pause(self._player)
            return
        self.send(self._session.data_to_send())
        if self.closed:
            return
        try:
            self._rooms.hub.resume(self._player, RTMP)
        except OSError as error:
            self.close(f"connection lost: {error}")

    def end(self, why: str, *, at_once: bool) -> None:
        """The stream that this player watches is over (engine.outlet.Owner)."""
        if self._player is not None:
            self._rooms.hub.leave(self._player)
        if self._session.state is State.PLAYING:
            self._session.end_play(why)
            self.send(self._session.data_to_send())
        if at_once:
            self.close(why)
        else:
            self.finish()

    # Both

    def _leave(self) -> None:
        """The peer ended what it did, and may begin something else on the same connection."""
        self._end_of_use(EndReason.LEFT, "")
        self.unsettled()

    def gone(self, reason: EndReason, why: str) -> None:
        if self._take_back is not None:
            self._take_back()
            self._take_back = None
        self._end_of_use(reason, why)

    def _end_of_use(self, reason: EndReason, detail: str) -> None:
        publication, self._publication = self._publication, None
        if publication is not None:
            self._rooms.hub.end(publication, reason, detail)
        if self._player is not None:
            self._rooms.hub.leave(self._player)

    def _refuse(self, code: str, why: str) -> None:
        if self._session.state is not State.ASKED:
            return
        self._session.refuse(code, why)
        self.send(self._session.data_to_send())
        self.resume_reading()
        self.finish()


def rtmp_connection(rooms: RtmpRooms) -> Callable[[Door, Wire, str, int], Connection]:
    """What an RTMP door makes of each socket."""
    return lambda door, wire, address, port: RtmpConnection(rooms, door, wire, address, port)
