"""The engine's end of the link, with a control process that the test plays by hand."""

from __future__ import annotations

import asyncio
from typing import TypeVar

import pytest

from penstock.engine import control as control_module
from penstock.engine.addressing import Target
from penstock.engine.control import Answer, ControlLink
from penstock.engine.formats import FLV
from penstock.engine.hub import Hub, HubPolicy
from penstock.engine.publication import Publication
from penstock.engine.relaying.relays import Relays
from penstock.engine.usage import UsageMeter
from penstock.link import local
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
    Hello,
    Noted,
    PublishAsked,
    Refused,
    Stats,
    TurnedAway,
    Usage,
    UsageTaken,
    Vhost,
    Welcome,
)
from penstock.link.relaying import RelayState, RelayTold, StartRelay, StopRelay
from penstock.model import Kind, StreamId
from tests.clock import START, ManualClock
from tests.engine.kit import CLIENT, DEMO, LOW, FakeOwner, FakePublisher, key_body, make_lease, send
from tests.engine.relaying.kit import ORDER, Stage

M = TypeVar("M", bound=AnyMessage)

DEADLINE_S = 2.0
ADMISSION_S = 3.0
VHOST = Vhost("demo", ("push.demo.test",), ("pull.demo.test",), ("live",))
WELCOME = Welcome(VERSION, (VHOST,), "")
TARGET = Target("push.demo.test", "live", "cam", ("key=secret",))


class FakeControl:
    """The far end of one connection."""

    def __init__(self, link: ControlLink) -> None:
        self._mine, theirs = local.pair()
        self._heard: asyncio.Queue[AnyMessage] = asyncio.Queue()
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._mine.on_message = self._heard.put_nowait
        self._mine.on_lost = self.lost.set_result
        link.attach(theirs)

    def send(self, *messages: AnyMessage) -> None:
        for message in messages:
            self._mine.send(message)

    def close(self) -> None:
        self._mine.close()

    async def next(self, kind: type[M]) -> M:
        """The next message, which must be of this kind."""
        async with asyncio.timeout(DEADLINE_S):
            message = await self._heard.get()
        assert isinstance(message, kind), message
        return message

    async def nothing_more(self) -> None:
        """All that was sent has arrived, and nothing is left to hear."""
        await settle()
        assert self._heard.empty(), self._heard.get_nowait()

    async def greet(self) -> Hello:
        hello = await self.next(Hello)
        self.send(WELCOME)
        await settle()
        return hello


async def settle() -> None:
    """Let everything through that the link's two ends have sent by now, answers included."""
    for _ in range(4):
        await asyncio.sleep(0)


class Engine:
    """What stands behind the engine's end of the link."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.meter = UsageMeter(START)
        policy = HubPolicy(flush=LOW, idle_timeout_s=10, keep_players_s=10, player_stall_s=10)
        self.hub = Hub(policy, self.clock, self.clock.later, self.meter)
        self.link = ControlLink(self.hub, self.meter, self.clock, self.clock.later, ADMISSION_S)
        self.answers: list[Answer] = []

    def ask(self, target: Target = TARGET, client: Client = CLIENT) -> None:
        self.take_back = self.link.ask(target, client, self.answers.append)

    def on_air(self, epoch: int = 1, stream: StreamId = DEMO) -> Publication:
        publication = self.hub.begin(make_lease(epoch, stream), FakePublisher(), CLIENT, "push.demo.test")
        assert publication is not None
        send(publication, Kind.VIDEO, 0, key_body(), self.clock.monotonic())
        return publication

    def playing(self) -> FakeOwner:
        viewer = FakeOwner()
        assert self.hub.join(DEMO, FLV, viewer.outlet, CLIENT, "pull.demo.test") is not None
        return viewer


@pytest.fixture
async def engine() -> Engine:
    return Engine()


@pytest.fixture
async def control(engine: Engine) -> FakeControl:
    """A control process that has been greeted and has welcomed the engine."""
    control = FakeControl(engine.link)
    await control.greet()
    return control


# Greeting


async def test_an_engine_speaks_first_and_tells_what_is_on_air(engine: Engine) -> None:
    publication = engine.on_air()
    hello = await FakeControl(engine.link).next(Hello)
    assert (hello.version, hello.engine) == (VERSION, engine.link.engine)
    assert [status.lease for status in hello.on_air] == [publication.lease]


async def test_the_engine_keeps_its_name_over_connections(engine: Engine) -> None:
    first, second = FakeControl(engine.link), FakeControl(engine.link)
    assert (await first.next(Hello)).engine == (await second.next(Hello)).engine
    assert Engine().link.engine != engine.link.engine


async def test_control_of_another_version_is_sent_away(engine: Engine) -> None:
    engine.ask()
    control = FakeControl(engine.link)
    await control.next(Hello)
    control.send(Welcome(VERSION + 1, (VHOST,), ""))
    async with asyncio.timeout(DEADLINE_S):
        await control.lost
    await control.nothing_more()
    # The question waits for one that can be understood.
    assert engine.answers == []
    successor = FakeControl(engine.link)
    await successor.greet()
    await successor.next(PublishAsked)


async def test_a_new_control_process_takes_the_place_of_an_old_one(engine: Engine, control: FakeControl) -> None:
    successor = FakeControl(engine.link)
    async with asyncio.timeout(DEADLINE_S):
        await control.lost
    await successor.greet()
    engine.on_air()
    await successor.next(Began)
    await control.nothing_more()


async def test_what_an_old_connection_still_says_is_not_heard(engine: Engine, control: FakeControl) -> None:
    engine.on_air()
    await control.next(Began)
    control.send(Drop(1, DEMO, EndReason.KICKED))
    FakeControl(engine.link)
    await settle()
    assert len(engine.hub.publications()) == 1


async def test_a_second_welcome_changes_the_vhosts_and_asks_nothing_again(engine: Engine, control: FakeControl) -> None:
    engine.ask()
    await control.next(PublishAsked)
    control.send(Welcome(VERSION, (Vhost("shop", ("push.shop.test",), (), ("live",)),), ""))
    await control.nothing_more()
    engine.ask(Target("push.shop.test", "live", "cam"))
    assert (await control.next(PublishAsked)).stream == StreamId("shop", "live", "cam")


async def test_what_control_does_not_send_is_ignored(
    engine: Engine, control: FakeControl, caplog: pytest.LogCaptureFixture
) -> None:
    control.send(Began(make_lease(1), START))
    await control.nothing_more()
    assert "which control does not send" in caplog.text


async def test_closing_tells_what_was_sent_before(engine: Engine, control: FakeControl) -> None:
    engine.on_air()
    engine.link.close()
    await control.next(Began)
    async with asyncio.timeout(DEADLINE_S):
        await control.lost


# Questions


async def test_a_question_has_all_that_is_to_be_decided_on(engine: Engine, control: FakeControl) -> None:
    engine.ask()
    asked = await control.next(PublishAsked)
    assert (asked.stream, asked.domain, asked.query) == (DEMO, "push.demo.test", "key=secret")
    assert (asked.client, asked.holder) == (CLIENT, None)


async def test_a_question_tells_who_holds_the_name_and_how_silent(engine: Engine, control: FakeControl) -> None:
    engine.on_air(epoch=7)
    await control.next(Began)
    engine.clock.advance(1.5)
    engine.ask()
    holder = (await control.next(PublishAsked)).holder
    assert holder is not None
    assert (holder.epoch, holder.silent_s) == (7, 1.5)


@pytest.mark.parametrize("answer", [Admitted(1, make_lease(5)), Refused(1, 423, "banned")])
async def test_an_answer_goes_to_who_asked_once(engine: Engine, control: FakeControl, answer: Answer) -> None:
    engine.ask()
    await control.next(PublishAsked)
    control.send(answer)
    await settle()
    assert engine.answers == [answer]
    engine.clock.advance(60)
    assert engine.answers == [answer]


async def test_answers_find_their_own_questions_in_any_order(engine: Engine, control: FakeControl) -> None:
    first: list[Answer] = []
    second: list[Answer] = []
    engine.link.ask(TARGET, CLIENT, first.append)
    engine.link.ask(TARGET, CLIENT, second.append)
    numbers = [(await control.next(PublishAsked)).ask for _ in range(2)]
    control.send(Refused(numbers[1], 422, "two"), Refused(numbers[0], 423, "one"))
    await settle()
    assert (first, second) == ([Refused(numbers[0], 423, "one")], [Refused(numbers[1], 422, "two")])


async def test_a_name_that_can_be_no_stream_is_refused_here_and_control_is_told(
    engine: Engine, control: FakeControl
) -> None:
    engine.ask(Target("push.demo.test", "live", "../etc"))
    (refused,) = engine.answers
    assert isinstance(refused, Refused)
    assert refused.code == 428
    told = await control.next(TurnedAway)
    assert (told.target, told.client, told.code, told.why) == ("push.demo.test/live/../etc", CLIENT, 428, refused.why)
    assert (told.vhost, told.app, told.name, told.domain) == ("demo", "live", "../etc", "push.demo.test")
    await control.nothing_more()
    assert engine.clock.waiting() == []


async def test_a_question_waits_for_control(engine: Engine) -> None:
    engine.ask()
    engine.clock.advance(2.9)
    control = FakeControl(engine.link)
    await control.greet()
    asked = await control.next(PublishAsked)
    control.send(Admitted(asked.ask, make_lease(5)))
    await settle()
    assert engine.answers == [Admitted(asked.ask, make_lease(5))]
    assert engine.clock.waiting() == []


async def test_nothing_is_asked_before_the_vhosts_are_known(engine: Engine) -> None:
    control = FakeControl(engine.link)
    engine.ask()
    await control.next(Hello)
    await control.nothing_more()
    assert engine.answers == []


async def test_after_its_time_it_is_refused_and_control_is_told_later(engine: Engine) -> None:
    engine.ask()
    engine.clock.advance(2.99)
    assert engine.answers == []
    engine.clock.advance(0.02)
    (refused,) = engine.answers
    assert isinstance(refused, Refused)
    assert (refused.code, refused.why) == (428, "no control process answered within 3 s")
    control = FakeControl(engine.link)
    await control.greet()
    assert (await control.next(TurnedAway)).why == refused.why
    await control.nothing_more()


async def test_the_time_goes_on_while_one_control_follows_another(engine: Engine, control: FakeControl) -> None:
    engine.ask()
    await control.next(PublishAsked)
    engine.clock.advance(2)
    control.close()
    await settle()
    successor = FakeControl(engine.link)
    await successor.greet()
    await successor.next(PublishAsked)
    engine.clock.advance(1)
    assert len(engine.answers) == 1


async def test_a_question_is_asked_again_of_the_next_control_process(engine: Engine, control: FakeControl) -> None:
    engine.ask()
    asked = await control.next(PublishAsked)
    control.close()
    await settle()
    successor = FakeControl(engine.link)
    await successor.greet()
    assert await successor.next(PublishAsked) == asked
    successor.send(Admitted(asked.ask, make_lease(5)))
    await settle()
    assert engine.answers == [Admitted(asked.ask, make_lease(5))]


async def test_a_question_asked_again_tells_of_the_holder_of_now(engine: Engine) -> None:
    engine.on_air(epoch=7)
    engine.ask()
    engine.clock.advance(2)
    control = FakeControl(engine.link)
    await control.greet()
    holder = (await control.next(PublishAsked)).holder
    assert holder is not None
    assert holder.silent_s == 2.0


async def test_an_admission_that_comes_too_late_ends_its_lease(engine: Engine, control: FakeControl) -> None:
    engine.ask()
    asked = await control.next(PublishAsked)
    engine.clock.advance(3)
    await control.next(TurnedAway)
    control.send(Admitted(asked.ask, make_lease(5)))
    ended = await control.next(Ended)
    assert (ended.lease, ended.reason) == (make_lease(5), EndReason.LOST)
    assert len(engine.answers) == 1
    assert engine.hub.publications() == []


async def test_a_question_taken_back_is_answered_to_nobody_and_its_lease_ends(
    engine: Engine, control: FakeControl
) -> None:
    engine.ask()
    asked = await control.next(PublishAsked)
    engine.take_back()
    engine.take_back()
    assert engine.clock.waiting() == []
    control.send(Admitted(asked.ask, make_lease(5)))
    assert (await control.next(Ended)).lease == make_lease(5)
    assert engine.answers == []


async def test_a_late_refusal_changes_nothing(engine: Engine, control: FakeControl) -> None:
    control.send(Refused(99, 422, "too late"))
    await control.nothing_more()


async def test_a_question_taken_back_before_control_came_is_never_asked(engine: Engine) -> None:
    engine.ask()
    engine.take_back()
    control = FakeControl(engine.link)
    await control.greet()
    await control.nothing_more()


# Telling


async def test_begin_and_end_are_told_as_they_happen(engine: Engine, control: FakeControl) -> None:
    publication = engine.on_air()
    began = await control.next(Began)
    assert (began.lease, began.at) == (publication.lease, START)
    engine.clock.advance(2)
    engine.hub.end(publication, EndReason.LEFT, "bye")
    ended = await control.next(Ended)
    assert (ended.lease, ended.reason, ended.detail) == (publication.lease, EndReason.LEFT, "bye")
    assert ended.last is not None
    assert (ended.at, ended.last.duration_ms) == (engine.clock.now(), 2000)


async def test_an_end_while_control_is_away_is_told_to_the_next_one_after_its_hello(
    engine: Engine, control: FakeControl
) -> None:
    publication = engine.on_air()
    control.close()
    await settle()
    engine.hub.end(publication, EndReason.LOST, "")
    at = engine.clock.now()
    engine.clock.advance(5)
    successor = FakeControl(engine.link)
    hello = await successor.next(Hello)
    assert (hello.on_air, hello.ended) == ((), (publication.lease.epoch,))
    await successor.nothing_more()  # not before it has welcomed us
    successor.send(WELCOME)
    ended = await successor.next(Ended)
    assert (ended.lease, ended.at) == (publication.lease, at)


async def test_an_end_is_told_to_each_control_process_until_one_has_noted_it(
    engine: Engine, control: FakeControl
) -> None:
    engine.hub.end(engine.on_air(1), EndReason.LEFT, "")
    engine.ask(Target("push.demo.test", "live", "../etc"))
    await control.next(Began)
    assert ((await control.next(Ended)).number, (await control.next(TurnedAway)).number) == (1, 2)
    successor = FakeControl(engine.link)
    await successor.greet()
    assert ((await successor.next(Ended)).number, (await successor.next(TurnedAway)).number) == (1, 2)
    successor.send(Noted(1))
    await settle()
    third = FakeControl(engine.link)
    await third.greet()
    assert (await third.next(TurnedAway)).number == 2
    third.send(Noted(2))
    await settle()
    fourth = FakeControl(engine.link)
    await fourth.greet()
    await fourth.nothing_more()


async def test_what_nobody_hears_is_bounded_and_the_latest_is_kept(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.link, "_untold", type(engine.link._untold)(maxlen=3))
    assert control_module.MAX_UNHEARD <= 10_000
    for epoch in range(1, 6):
        engine.hub.end(engine.on_air(epoch), EndReason.LEFT, "")
    control = FakeControl(engine.link)
    await control.greet()
    assert [(await control.next(Ended)).lease.epoch for _ in range(3)] == [3, 4, 5]


async def test_an_admitted_publish_that_came_to_nothing_is_an_end_that_says_so(
    engine: Engine, control: FakeControl
) -> None:
    engine.link.never_began(make_lease(5), EndReason.LOST, "gone")
    ended = await control.next(Ended)
    assert (ended.lease.epoch, ended.reason, ended.last) == (5, EndReason.LOST, None)


async def test_statistics_are_of_now_and_are_not_kept_for_later(engine: Engine) -> None:
    engine.on_air()
    engine.link.send_stats()
    control = FakeControl(engine.link)
    await control.greet()
    await control.nothing_more()
    engine.clock.advance(1)
    engine.link.send_stats()
    (stats,) = (await control.next(Stats)).streams
    assert (stats.epoch, stats.duration_ms) == (1, 1000)
    assert stats.video is not None
    assert stats.video.fps == 1.0


# Usage


async def test_usage_is_kept_until_control_took_it(engine: Engine, control: FakeControl) -> None:
    engine.on_air()
    await control.next(Began)
    viewer = engine.playing()
    engine.link.send_usage()
    usage = await control.next(Usage)
    assert [row.bytes_down for row in usage.rows] == [viewer.outlet.sent_bytes]
    assert list(engine.meter.untaken) == [usage]
    control.send(UsageTaken(usage.number))
    await settle()
    assert not engine.meter.untaken


async def test_usage_is_sent_again_to_each_new_control_process_until_one_took_it(engine: Engine) -> None:
    engine.on_air()
    engine.playing()
    engine.link.send_usage()  # to nobody
    told = []
    for _ in range(2):
        control = FakeControl(engine.link)
        await control.greet()
        told.append(await control.next(Usage))
        control.close()
        await settle()
    last = FakeControl(engine.link)
    await last.greet()
    told.append(await last.next(Usage))
    assert told[0] == told[1] == told[2]
    last.send(UsageTaken(told[0].number))
    await settle()
    final = FakeControl(engine.link)
    await final.greet()
    await final.nothing_more()


async def test_usage_of_several_intervals_arrives_in_order(engine: Engine) -> None:
    engine.on_air()
    viewer = engine.playing()
    for size in (10, 20, 30):
        viewer.outlet.write(bytes(size))
        engine.link.send_usage()
    control = FakeControl(engine.link)
    await control.greet()
    numbers = [(await control.next(Usage)).number for _ in range(3)]
    assert numbers == [1, 2, 3]


async def test_with_nothing_played_no_usage_is_sent(engine: Engine, control: FakeControl) -> None:
    engine.link.send_usage()
    await control.nothing_more()


# Commands


async def test_a_drop_is_answered_after_the_cut(engine: Engine, control: FakeControl) -> None:
    publication = engine.on_air(epoch=7)
    await control.next(Began)
    order: list[str] = []
    publication.publisher.cut = lambda reason, detail: order.append(f"{reason}: {detail}")  # type: ignore[method-assign]
    sending = engine.link._send

    def watched(message: AnyMessage) -> None:
        order.append(type(message).__name__)
        sending(message)  # type: ignore[arg-type]

    engine.link._send = watched  # type: ignore[method-assign]
    control.send(Drop(3, DEMO, EndReason.KICKED, "by hand"))
    assert (await control.next(Ended)).reason is EndReason.KICKED
    assert await control.next(Dropped) == Dropped(3, 7)
    assert order[0] == "kicked: by hand"
    assert order[-1] == "Dropped"
    assert engine.hub.publications() == []


async def test_a_drop_of_nobody_says_so(engine: Engine, control: FakeControl) -> None:
    control.send(Drop(3, DEMO, EndReason.KICKED))
    assert await control.next(Dropped) == Dropped(3, None)


# What is written of it


async def test_a_refusal_is_logged_in_one_bounded_line_without_control_characters(
    engine: Engine, control: FakeControl, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "penstock")
    engine.ask(Target("h\x1b[2J" * 20_000, "live\r\nforged line", "cam\x00\u202e"))
    (record,) = caplog.records
    assert len(record.getMessage()) < 16_000
    assert record.getMessage().isprintable()
    assert record.getMessage().isascii()
    assert len((await control.next(TurnedAway)).target) <= control_module.MAX_TARGET


# Relays


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """The engine has relays, whose ends the test plays."""
    stage = Stage()
    engine.link.speak_for(Relays(stage.rooms))
    return stage


async def test_a_relay_is_ordered_and_told_of(stage: Stage, control: FakeControl) -> None:
    control.send(StartRelay(ORDER))
    assert await control.next(RelayTold) == RelayTold(ORDER.id, RelayState.CONNECTING)
    stage.pulls[0].loses("gone")
    told = await control.next(RelayTold)
    assert (told.state, told.error, told.failures) == (RelayState.WAITING, "gone", 1)
    control.send(StopRelay(ORDER.id))
    assert (await control.next(RelayTold)).state is RelayState.STOPPED


async def test_relays_tell_their_numbers_with_the_statistics(
    engine: Engine, stage: Stage, control: FakeControl
) -> None:
    control.send(StartRelay(ORDER))
    await control.next(RelayTold)
    engine.link.send_stats()
    await control.next(Stats)
    await control.nothing_more()
    stage.pulls[0].bytes_in = 7
    engine.link.send_stats()
    await control.next(Stats)
    assert (await control.next(RelayTold)).bytes_in == 7


async def test_relays_go_on_without_control_and_the_next_one_hears_of_them(
    engine: Engine, stage: Stage, control: FakeControl
) -> None:
    control.send(StartRelay(ORDER))
    await control.next(RelayTold)
    control.close()
    await settle()
    stage.pulls[0].loses("gone")
    successor = FakeControl(engine.link)
    assert (await successor.next(Hello)).relays == (ORDER.id,)
    successor.send(WELCOME)
    told = await successor.next(RelayTold)
    assert (told.error, told.next_try_at is not None) == ("gone", True)


async def test_an_engine_without_relays_takes_no_order(control: FakeControl, caplog: pytest.LogCaptureFixture) -> None:
    control.send(StartRelay(ORDER))
    await control.nothing_more()
    assert "StartRelay" in caplog.text
