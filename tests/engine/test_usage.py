from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock.engine import usage
from penstock.engine.usage import Player, UsageMeter
from penstock.link.messages import Client, Usage, UsageRow
from penstock.model import StreamId
from tests.clock import START
from tests.engine.kit import CLIENT, DEMO, FakeOwner

OTHER = StreamId("demo", "live", "other")


def player(
    owner: FakeOwner,
    stream: StreamId = DEMO,
    form: str = "flv",
    client: Client = CLIENT,
    domain: str = "pull.demo.test",
) -> Player:
    return Player(owner.outlet, stream, form, client, domain)


def playing(meter: UsageMeter, *, sent: int = 0, stream: StreamId = DEMO) -> tuple[FakeOwner, Player]:
    owner = FakeOwner()
    play = player(owner, stream)
    meter.open(play)
    owner.outlet.write(bytes(sent))
    return owner, play


@pytest.fixture
def meter() -> UsageMeter:
    return UsageMeter(START)


def report(meter: UsageMeter, seconds: int = 10) -> Usage:
    found = meter.report(START + timedelta(seconds=seconds))
    assert found is not None
    return found


def bytes_of(*reports: Usage) -> int:
    return sum(row.bytes_down for one in reports for row in one.rows)


def plays_of(*reports: Usage) -> int:
    return sum(row.plays for one in reports for row in one.rows)


def test_a_row_has_what_a_socket_took_under_all_its_headings(meter: UsageMeter) -> None:
    owner = FakeOwner()
    meter.open(player(owner, client=Client("192.0.2.9", 4711, tls=True, agent="VLC")))
    owner.outlet.write(bytes(1234))
    assert report(meter) == Usage(
        1,
        START,
        START + timedelta(seconds=10),
        (UsageRow(DEMO, "flv", "192.0.2.9", "pull.demo.test", True, bytes_down=1234, plays=1),),
    )


def test_only_what_was_taken_is_counted_not_what_waits(meter: UsageMeter) -> None:
    owner = FakeOwner(room=100)
    meter.open(player(owner))
    owner.outlet.write(bytes(1000))
    assert bytes_of(report(meter)) == 100
    owner.make_room(None)
    assert bytes_of(report(meter)) == 900


def test_each_report_has_what_came_since_the_last_one(meter: UsageMeter) -> None:
    owner, _ = playing(meter, sent=100)
    first = report(meter, 10)
    owner.outlet.write(bytes(50))
    second = report(meter, 20)
    assert (bytes_of(first), plays_of(first)) == (100, 1)
    assert (bytes_of(second), plays_of(second)) == (50, 0)
    assert (second.number, second.since, second.until) == (2, first.until, START + timedelta(seconds=20))


def test_players_of_the_same_headings_share_a_row(meter: UsageMeter) -> None:
    for size in (100, 200, 300):
        playing(meter, sent=size)
    (row,) = report(meter).rows
    assert (row.bytes_down, row.plays) == (600, 3)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (player(FakeOwner(), stream=OTHER), "stream"),
        (player(FakeOwner(), form="rtmp"), "format"),
        (player(FakeOwner(), client=Client("192.0.2.8", 1)), "address"),
        (player(FakeOwner(), client=Client(CLIENT.address, 1, tls=True)), "tls"),
        (player(FakeOwner(), domain="192.0.2.1"), "domain"),
    ],
)
def test_any_other_heading_is_a_row_of_its_own(meter: UsageMeter, other: Player, what: str) -> None:
    playing(meter)
    meter.open(other)
    assert len({getattr(row, what) for row in report(meter).rows}) == 2


def test_the_port_and_the_agent_are_no_headings(meter: UsageMeter) -> None:
    for port in (1, 2, 3):
        meter.open(player(FakeOwner(), client=Client(CLIENT.address, port, agent=f"agent {port}")))
    assert [row.plays for row in report(meter).rows] == [3]


def test_a_player_that_left_between_two_reports_is_counted(meter: UsageMeter) -> None:
    owner, play = playing(meter, sent=100)
    meter.close(play)
    assert (bytes_of(report(meter)), owner.outlet.sent_bytes) == (100, 100)


def test_a_play_of_no_bytes_is_still_a_play(meter: UsageMeter) -> None:
    _, play = playing(meter)
    meter.close(play)
    assert plays_of(report(meter)) == 1


def test_what_is_taken_after_a_play_ended_is_counted_when_its_connection_closes(meter: UsageMeter) -> None:
    owner = FakeOwner(room=10)
    play = player(owner)
    meter.open(play)
    owner.outlet.write(bytes(100))
    meter.close(play)
    first = report(meter)
    owner.make_room(None)
    meter.close(play)
    second = report(meter)
    assert (bytes_of(first), bytes_of(second), plays_of(first, second)) == (10, 90, 1)


def test_two_plays_on_one_connection_count_each_byte_for_one_of_them(meter: UsageMeter) -> None:
    owner, first = playing(meter, sent=100)
    meter.close(first)
    second = player(owner, OTHER)
    meter.open(second)
    owner.outlet.write(bytes(30))
    meter.close(second)
    assert {row.stream: (row.bytes_down, row.plays) for row in report(meter).rows} == {DEMO: (100, 1), OTHER: (30, 1)}


def test_with_nothing_to_say_there_is_no_report_and_no_number_is_spent(meter: UsageMeter) -> None:
    assert meter.report(START) is None
    playing(meter, sent=1)
    assert report(meter).number == 1
    assert meter.report(START) is None
    assert len(meter.untaken) == 1


def test_reports_are_kept_until_they_are_taken(meter: UsageMeter) -> None:
    owner, _ = playing(meter)
    reports = []
    for size in (10, 20, 30):
        owner.outlet.write(bytes(size))
        reports.append(report(meter))
    assert list(meter.untaken) == reports
    meter.taken(2)
    assert list(meter.untaken) == reports[2:]
    meter.taken(2)
    meter.taken(99)
    assert not meter.untaken


def test_unsent_reports_of_too_many_rows_become_one_of_sums(meter: UsageMeter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "MAX_ROWS_KEPT", 3)
    owner, _ = playing(meter)
    for second, size in enumerate((10, 20, 30, 40), 1):
        owner.outlet.write(bytes(size))
        report(meter, second)
    (merged,) = meter.untaken
    assert (merged.number, merged.since, merged.until) == (4, START, START + timedelta(seconds=4))
    (row,) = merged.rows
    assert (row.bytes_down, row.plays) == (100, 1)


def test_reports_that_were_sent_are_never_changed(meter: UsageMeter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "MAX_ROWS_KEPT", 3)
    owner, _ = playing(meter)
    sent = []
    for size in (10, 20):
        owner.outlet.write(bytes(size))
        sent.append(report(meter))
    meter.sent_number = 2
    for size in (30, 40):
        owner.outlet.write(bytes(size))
        report(meter)
    assert list(meter.untaken)[:2] == sent
    assert [one.number for one in meter.untaken] == [1, 2, 4]
    assert bytes_of(*meter.untaken) == 100


class Ledger:
    """Control: counts each report once, by its number; what it was told of may be lost before it was."""

    def __init__(self) -> None:
        self.last = 0
        self.rows: Counter[tuple[StreamId, str]] = Counter()
        self.plays = 0

    def take(self, one: Usage) -> None:
        if one.number <= self.last:
            return
        self.last = one.number
        for row in one.rows:
            self.rows[row.stream, row.address] += row.bytes_down
            self.plays += row.plays


class Metering(RuleBasedStateMachine):
    """Players come, take and go; reports are made, sent, lost on the way, merged and taken, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.meter = UsageMeter(START)
        self.ledger = Ledger()
        self.is_linked = False
        self.in_flight: list[Usage] = []
        self.players: list[tuple[FakeOwner, Player]] = []
        self.truth: Counter[tuple[StreamId, str]] = Counter()
        self.plays = 0
        self._kept, usage.MAX_ROWS_KEPT = usage.MAX_ROWS_KEPT, 4  # type: ignore[misc]

    def teardown(self) -> None:
        usage.MAX_ROWS_KEPT = self._kept  # type: ignore[misc]

    @rule(stream=st.sampled_from([DEMO, OTHER]), address=st.integers(1, 3))
    def join(self, stream: StreamId, address: int) -> None:
        owner = FakeOwner()
        play = player(owner, stream, client=Client(f"192.0.2.{address}", 1))
        self.meter.open(play)
        self.players.append((owner, play))
        self.plays += 1

    @precondition(lambda self: self.players)
    @rule(data=st.data(), size=st.integers(0, 1000))
    def take_bytes(self, data: st.DataObject, size: int) -> None:
        owner, play = data.draw(st.sampled_from(self.players))
        owner.outlet.write(bytes(size))
        self.truth[play.stream, play.client.address] += size

    @precondition(lambda self: self.players)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        gone = data.draw(st.sampled_from(self.players))
        self.players.remove(gone)
        self.meter.close(gone[1])

    @rule()
    def make_report(self) -> None:
        """As ControlLink.send_usage."""
        one = self.meter.report(START)
        if one is not None and self.is_linked:
            self.meter.sent_number = one.number
            self.in_flight.append(one)

    @precondition(lambda self: not self.is_linked)
    @rule()
    def connect(self) -> None:
        self.is_linked = True
        for one in self.meter.untaken:
            self.meter.sent_number = one.number
            self.in_flight.append(one)

    @precondition(lambda self: self.in_flight)
    @rule(count=st.integers(1, 3), answers=st.booleans())
    def arrive(self, count: int, answers: bool) -> None:
        for one in self.in_flight[:count]:
            self.ledger.take(one)
            if answers:
                self.meter.taken(one.number)
        del self.in_flight[:count]

    @rule()
    def break_link(self) -> None:
        self.is_linked = False
        self.in_flight.clear()

    @invariant()
    def numbers_rise(self) -> None:
        numbers = [one.number for one in self.meter.untaken]
        assert numbers == sorted(set(numbers))

    @invariant()
    def every_byte_is_in_one_place(self) -> None:
        """What control has, what is kept for it, and what was not reported yet: together all, and no more."""
        total, plays = self.ledger.rows.copy(), self.ledger.plays
        for one in self.meter.untaken:
            if one.number > self.ledger.last:
                for row in one.rows:
                    total[row.stream, row.address] += row.bytes_down
                    plays += row.plays
        for (stream, _, address, _, _), (size, count) in self.meter._ended.items():
            total[stream, address] += size
            plays += count
        for owner, play in self.players:
            total[play.stream, play.client.address] += owner.outlet.sent_bytes - owner.outlet.counted_bytes
            plays += not play.counted_play
        assert +total == +self.truth
        assert plays == self.plays


Metering.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestNoByteIsLostOrDoubled = Metering.TestCase
