"""The engine's end of the link: questions to control, what happened here, and its commands.

Control may come and go. While it is away streams go on, questions wait for the next one up to
their deadline, ends of sessions and usage are kept, and whoever connects is told all of it first.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Final

from msgspec import Struct

from penstock.engine.addressing import Target, VhostTable, without_values
from penstock.engine.hub import Hub
from penstock.engine.publication import Publication
from penstock.engine.recording.desk import RecordingDesk
from penstock.engine.relaying.relays import Relays
from penstock.engine.stream import Later, Timer
from penstock.engine.usage import UsageMeter
from penstock.errors import BadParameters, Unavailable
from penstock.link import recording
from penstock.link.channel import Channel
from penstock.link.messages import (
    VERSION,
    Admitted,
    AnyMessage,
    Began,
    Client,
    Drop,
    Dropped,
    Ended,
    EndReason,
    FromEngine,
    Hello,
    Lease,
    Noted,
    PublishAsked,
    Refused,
    Stats,
    StreamStats,
    TurnedAway,
    UsageTaken,
    Welcome,
)
from penstock.link.relaying import RelayTold, StartRelay, StopRelay
from penstock.model import Clock, StreamId

log = logging.getLogger("penstock.engine.control")

# Characters of a URL's parts that a refusal is told with.
MAX_TARGET: Final = 1024
# Ends and refusals that control has not written down: so many are kept, the latest ones.
MAX_UNHEARD: Final = 10_000
UNAVAILABLE: Final = Unavailable.code

Answer = Admitted | Refused


class _Question(Struct, eq=False):
    ask: int
    target: Target
    client: Client
    on_answer: Callable[[Answer], None]
    timer: Timer


class ControlLink:
    """Speaks for one engine to whichever control process is there."""

    def __init__(
        self,
        hub: Hub,
        meter: UsageMeter,
        clock: Clock,
        later: Later,
        admission_timeout_s: float,
        recordings: RecordingDesk | None = None,
    ) -> None:
        """Without `recordings` it is an engine that records nothing, and says so to nobody."""
        self.engine = uuid.uuid4().hex
        self._hub = hub
        self._meter = meter
        self._clock = clock
        self._later = later
        self._admission_timeout_s = admission_timeout_s
        self._recordings = recordings
        self._channel: Channel | None = None
        self._welcomed = False
        self._questions: dict[int, _Question] = {}
        self._last_ask = 0
        self._untold: deque[Ended | TurnedAway] = deque(maxlen=MAX_UNHEARD)
        self._last_told = 0
        self._relays: Relays | None = None
        hub.listen(self)

    def speak_for(self, relays: Relays) -> None:
        """Control's orders for relays go to `relays`, and what becomes of them to control."""
        self._relays = relays
        relays.tell = self._tell_of_relay

    def attach(self, channel: Channel) -> None:
        """Control is there. An older connection, if it is still open, is its predecessor's: it goes."""
        if self._channel is not None:
            log.warning("a new control process connected; the link to the old one is closed")
            self._channel.close()
        self._channel, self._welcomed = channel, False
        if self._recordings is not None:
            self._recordings.detach()
        channel.on_message = lambda message: self._receive(channel, message)
        channel.on_lost = lambda why: self._lose(channel, why)
        ended = tuple(told.lease.epoch for told in self._untold if isinstance(told, Ended))
        recordings = self._recordings.ids if self._recordings is not None else ()
        relays = self._relays.ids if self._relays is not None else ()
        channel.send(Hello(VERSION, self.engine, self._hub.on_air(), ended, os.getpid(), recordings, relays))

    def close(self) -> None:
        """Hand over the last usage and close the link; what was sent before still arrives."""
        # Players that were given time to read to the end took bytes up to now.
        self.send_usage()
        channel, self._channel, self._welcomed = self._channel, None, False
        if channel is not None:
            channel.close()

    # Asking

    def ask(self, target: Target, client: Client, on_answer: Callable[[Answer], None]) -> Callable[[], None]:
        """May this be published? `on_answer` is called once; the returned function takes the question back."""
        self._last_ask = ask = self._last_ask + 1
        timer = self._later(self._admission_timeout_s, lambda: self._give_up(ask))
        question = self._questions[ask] = _Question(ask, target, client, on_answer, timer)
        if self._welcomed:
            self._put(question)
        return lambda: self._take_back(ask)

    def _put(self, question: _Question) -> None:
        """Send a question to a control process that is there, or answer it if it names no stream."""
        if self._hub.is_draining:
            self._take_back(question.ask)
            self._refuse(question, UNAVAILABLE, "the server is ending, and takes no new publishers")
            return
        try:
            stream = self._hub.vhosts.locate(question.target)
        except BadParameters as error:
            self._take_back(question.ask)
            self._refuse(question, error.code, str(error))
            return
        self._send(
            PublishAsked(
                question.ask,
                stream,
                self._hub.vhosts.domain_of(question.target),
                question.target.query,
                question.client,
                self._hub.holder(stream),
            )
        )

    def _give_up(self, ask: int) -> None:
        why = f"no control process answered within {self._admission_timeout_s:g} s"
        self._refuse(self._questions.pop(ask), UNAVAILABLE, why)

    def _refuse(self, question: _Question, code: int, why: str) -> None:
        """Refuse here, and tell control of it, as nobody else can write it down."""
        client, target, now = question.client, question.target, self._clock.now()
        whole = str(target)[:MAX_TARGET]
        log.debug("publish of %a by %s:%d refused: %s", whole, client.address, client.port, why)
        self._tell(
            TurnedAway(
                whole,
                client,
                code,
                why,
                now,
                vhost=self._hub.vhosts.vhost_of(target),
                app=without_values(target.app)[:MAX_TARGET],
                name=without_values(target.name)[:MAX_TARGET],
                domain=self._hub.vhosts.domain_of(target),
                number=self._last_told + 1,
            )
        )
        question.on_answer(Refused(question.ask, code, why))

    def _take_back(self, ask: int) -> None:
        question = self._questions.pop(ask, None)
        if question is not None:
            question.timer.cancel()

    def _answer(self, answer: Answer) -> None:
        question = self._questions.pop(answer.ask, None)
        if question is not None:
            question.timer.cancel()
            question.on_answer(answer)
        elif isinstance(answer, Admitted):
            # Too late, or the encoder left meanwhile: the lease ends before it began.
            self.never_began(answer.lease, EndReason.LOST, "gone before it was admitted")

    # Telling

    def began(self, publication: Publication) -> None:
        lease = publication.lease
        log.debug("%s on air, session %s", lease.stream, lease.session, extra=_about(lease))
        # Not kept: a control process that was away hears of it in Hello.
        self._send(Began(publication.lease, publication.began_at))

    def ended(self, lease: Lease, reason: EndReason, detail: str, at: datetime, last: StreamStats) -> None:
        log.debug("%s off air, session %s: %s (%s)", lease.stream, lease.session, reason, detail, extra=_about(lease))
        self._tell(Ended(lease, reason, detail, at, last, self._last_told + 1))

    def never_began(self, lease: Lease, reason: EndReason, detail: str) -> None:
        """An admitted publish that came to nothing: control is to forget the lease."""
        self._tell(Ended(lease, reason, detail, self._clock.now(), None, self._last_told + 1))

    def turned_away(self, stream: StreamId, domain: str, client: Client, code: int, why: str) -> None:
        """A publish that control let in, and that found its name taken after all."""
        now = self._clock.now()
        self._tell(
            TurnedAway(
                str(stream),
                client,
                code,
                why,
                now,
                vhost=stream.vhost,
                app=stream.app,
                name=stream.stream,
                domain=domain,
                number=self._last_told + 1,
            )
        )

    def send_stats(self) -> None:
        self._hub.sample()
        if self._welcomed:
            self._send(Stats(self._hub.stats()))
            if self._recordings is not None:
                self._recordings.tell_states()
            if self._relays is not None:
                self._relays.tell_numbers()

    def send_usage(self) -> None:
        """Hand over what was sent to players since the last time."""
        usage = self._meter.report(self._clock.now())
        if usage is not None and self._welcomed:
            self._meter.sent_number = usage.number
            self._send(usage)

    def _tell_of_relay(self, told: RelayTold) -> None:
        # Not kept: a control process that was away hears how all of them stand when it is there.
        if self._welcomed:
            self._send(told)

    def _tell(self, message: Ended | TurnedAway) -> None:
        """Send, now and to the next control process, until one says that it wrote it down."""
        self._last_told = message.number
        self._untold.append(message)
        if self._welcomed:
            self._send(message)

    def _forget(self, number: int) -> None:
        while self._untold and self._untold[0].number <= number:
            self._untold.popleft()

    def _send(self, message: FromEngine) -> None:
        if self._channel is not None:
            self._channel.send(message)

    # Hearing

    def _receive(self, channel: Channel, message: AnyMessage) -> None:
        if channel is not self._channel:
            return
        match message:
            case Welcome():
                self._welcome(channel, message)
            case Admitted() | Refused():
                self._answer(message)
            case Noted(number):
                self._forget(number)
            case UsageTaken(number):
                self._meter.taken(number)
            case Drop():
                epoch = self._hub.drop(message.stream, message.reason, message.detail)
                self._send(Dropped(message.command, epoch))
            case (
                recording.Record()
                | recording.StopRecording()
                | recording.Inspect()
                | recording.RemoveFile()
                | recording.FilesNoted()
            ) if self._recordings is not None:
                self._recordings.receive(message)
            case StartRelay() | StopRelay() if self._relays is not None:
                self._relays.obey(message)
            case _:
                log.error("the link brought a %s, which control does not send", type(message).__name__)

    def _welcome(self, channel: Channel, welcome: Welcome) -> None:
        if welcome.version != VERSION:
            log.error("control speaks version %d of the link, this engine %d", welcome.version, VERSION)
            channel.close()
            return
        self._hub.vhosts = VhostTable(welcome.vhosts, welcome.default_vhost)
        if self._welcomed:
            return  # the same control process: its configuration changed
        self._welcomed = True
        for told in list(self._untold):
            self._send(told)
        for usage in self._meter.untaken:
            self._meter.sent_number = usage.number
            self._send(usage)
        for question in list(self._questions.values()):
            self._put(question)
        if self._recordings is not None:
            self._recordings.attach(self._send)
        if self._relays is not None:
            self._relays.tell_all()

    def _lose(self, channel: Channel, why: str) -> None:
        if channel is self._channel:
            log.warning("the link to control is lost: %s; streams go on", why)
            self._channel, self._welcomed = None, False
            if self._recordings is not None:
                self._recordings.detach()


def _about(lease: Lease) -> dict[str, str]:
    return {"stream": str(lease.stream), "session": lease.session}
