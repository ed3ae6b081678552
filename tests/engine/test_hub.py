from __future__ import annotations

from datetime import datetime

import pytest

from penstock.engine.formats import FLV, RTMP
from penstock.engine.hub import SESSION_GAP_MS, Hub, HubPolicy
from penstock.engine.publication import Publication
from penstock.engine.usage import Player, UsageMeter
from penstock.link.messages import Client, EndReason, Lease, StreamStats
from penstock.model import Kind, StreamId
from tests.clock import START, ManualClock
from tests.engine.kit import (
    AAC_HEADER,
    AVC_HEADER,
    CLIENT,
    DEMO,
    LOW,
    FakeOwner,
    FakePublisher,
    audio_body,
    inter_body,
    is_setup_tag,
    key_body,
    make_lease,
    send,
)

POLICY = HubPolicy(flush=LOW, idle_timeout_s=10.0, keep_players_s=10.0, player_stall_s=10.0)
OTHER = StreamId("demo", "live", "other")


class Viewer(FakeOwner):
    """A player's connection: closes, and leaves the hub, when it is told to, as the servers' do."""

    def __init__(self, house: House, room: int | None = None) -> None:
        super().__init__(room)
        self.house = house
        self.player: Player | None = None

    def end(self, why: str, *, at_once: bool) -> None:
        super().end(why, at_once=at_once)
        self._leave()

    def lost(self, why: str) -> None:
        super().lost(why)
        self._leave()

    def _leave(self) -> None:
        if self.player is not None:
            self.house.hub.leave(self.player)

    def times(self) -> list[int]:
        return [tag.dts_ms for tag in self.tags() if not is_setup_tag(tag)]


class House:
    """A hub with a clock to turn, and what its listener heard."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.hub = Hub(POLICY, self.clock, self.clock.later, UsageMeter(START))
        self.hub.listen(self)
        self.begins: list[Publication] = []
        self.ends: list[tuple[int, EndReason, str, datetime, StreamStats]] = []
        self._epoch = 0

    def began(self, publication: Publication) -> None:
        self.begins.append(publication)

    def ended(self, lease: Lease, reason: EndReason, detail: str, at: datetime, last: StreamStats) -> None:
        self.ends.append((lease.epoch, reason, detail, at, last))

    def end_reasons(self) -> list[tuple[int, EndReason]]:
        return [(epoch, reason) for epoch, reason, *_ in self.ends]

    def begin(self, stream: StreamId = DEMO, *, replaces: int | None = None) -> Publication:
        self._epoch += 1
        lease = make_lease(self._epoch, stream)
        publication = self.hub.begin(lease, FakePublisher(), CLIENT, "push.demo.test", replaces=replaces)
        assert publication is not None
        return publication

    def refused(self, *, replaces: int | None = None) -> FakePublisher:
        self._epoch += 1
        publisher = FakePublisher()
        begun = self.hub.begin(make_lease(self._epoch), publisher, CLIENT, "push.demo.test", replaces=replaces)
        assert begun is None
        return publisher

    def send(self, publication: Publication, kind: Kind, timestamp: int, payload: bytes) -> None:
        send(publication, kind, timestamp, payload, self.clock.monotonic())

    def headers(self, publication: Publication) -> None:
        self.send(publication, Kind.VIDEO, 0, AVC_HEADER)
        self.send(publication, Kind.AUDIO, 0, AAC_HEADER)

    def key(self, publication: Publication, timestamp: int) -> None:
        self.send(publication, Kind.VIDEO, timestamp, key_body())

    def on_air(self, stream: StreamId = DEMO) -> Publication:
        """A publisher that sent its setup and one key frame."""
        publication = self.begin(stream)
        self.headers(publication)
        self.key(publication, 0)
        return publication

    def join(self, stream: StreamId = DEMO, room: int | None = None, client: Client = CLIENT) -> Viewer:
        viewer = Viewer(self, room)
        viewer.player = self.hub.join(stream, FLV, viewer.outlet, client, "pull.demo.test")
        assert viewer.player is not None
        return viewer

    def pass_time(self, seconds: float) -> None:
        """Turn the clock in the steps in which an engine looks."""
        for _ in range(round(seconds * 4)):
            self.clock.advance(0.25)
            self.hub.tick()


@pytest.fixture
def house() -> House:
    return House()


def cuts(publication: Publication) -> list[tuple[EndReason, str]]:
    publisher = publication.publisher
    assert isinstance(publisher, FakePublisher)
    return publisher.cuts


# One publisher a name


def test_a_name_that_nobody_has_is_free(house: House) -> None:
    assert house.hub.holder(DEMO) is None
    publication = house.begin()
    assert house.begins == [publication]
    assert publication.began_at == START


def test_a_holder_is_shown_with_its_epoch_and_its_silence(house: House) -> None:
    publication = house.on_air()
    house.clock.advance(1.25)
    holder = house.hub.holder(DEMO)
    assert holder is not None
    assert (holder.epoch, holder.silent_s) == (publication.lease.epoch, 1.25)
    house.key(publication, 40)
    assert house.hub.holder(DEMO).silent_s == 0.0  # type: ignore[union-attr]


def test_a_second_publisher_of_a_name_is_turned_down_and_disturbs_nothing(house: House) -> None:
    first = house.on_air()
    viewer = house.join()
    assert house.refused().cuts == []
    house.key(first, 40)
    assert viewer.times() == [0, 40]
    assert cuts(first) == []
    assert house.ends == []


def test_other_names_are_not_concerned(house: House) -> None:
    house.on_air()
    house.on_air(OTHER)
    house.on_air(StreamId("shop", "live", "cam"))
    assert len(house.hub.publications()) == 3


def test_a_holder_is_replaced_by_the_epoch_that_was_meant(house: House) -> None:
    first = house.on_air()
    second = house.begin(replaces=first.lease.epoch)
    assert [reason for reason, _ in cuts(first)] == [EndReason.REPLACED]
    assert house.end_reasons() == [(first.lease.epoch, EndReason.REPLACED)]
    assert house.hub.publications() == [second]


def test_of_two_who_were_let_in_to_replace_the_same_holder_only_the_first_does(house: House) -> None:
    first = house.on_air()
    second = house.begin(replaces=first.lease.epoch)
    house.refused(replaces=first.lease.epoch)
    assert cuts(second) == []
    assert house.hub.publications() == [second]


def test_a_replacement_begins_even_if_the_one_to_replace_is_gone(house: House) -> None:
    first = house.on_air()
    house.hub.end(first, EndReason.LEFT, "")
    house.begin(replaces=first.lease.epoch)
    assert house.end_reasons() == [(first.lease.epoch, EndReason.LEFT)]


def test_an_end_is_told_once_and_an_old_publication_ends_no_new_one(house: House) -> None:
    first = house.on_air()
    house.join()
    house.hub.end(first, EndReason.LOST, "reset")
    second = house.begin()
    house.hub.end(first, EndReason.LOST, "again")
    assert house.end_reasons() == [(first.lease.epoch, EndReason.LOST)]
    assert house.hub.publications() == [second]


def test_the_end_carries_what_the_session_was(house: House) -> None:
    publication = house.on_air()
    house.join()
    house.clock.advance(2)
    house.hub.end(publication, EndReason.LEFT, "bye")
    ((_, _, detail, at, last),) = house.ends
    assert (detail, at) == ("bye", house.clock.now())
    assert (last.epoch, last.duration_ms, last.began_at) == (publication.lease.epoch, 2000, START)
    assert last.bytes_in == len(AVC_HEADER) + len(AAC_HEADER) + len(key_body())
    assert last.video is not None
    assert (last.video.codec, last.video.fps) == ("avc", 0.5)
    assert last.players == {"flv": 1}


# Silence


def test_a_silent_publisher_is_ended_and_cut_after_its_time(house: House) -> None:
    publication = house.on_air()
    house.pass_time(9.75)
    assert house.ends == []
    house.pass_time(0.25)
    assert house.end_reasons() == [(publication.lease.epoch, EndReason.SILENT)]
    assert [reason for reason, _ in cuts(publication)] == [EndReason.SILENT]
    assert not house.hub.is_playable(DEMO)


def test_media_keeps_a_publisher_and_data_does_not(house: House) -> None:
    publication = house.on_air()
    for second in range(1, 31):
        house.pass_time(1)
        house.send(publication, Kind.AUDIO, second * 1000, audio_body())
    assert house.ends == []
    for _ in range(10):
        house.pass_time(1)
        house.send(publication, Kind.DATA, 0, b"\x02\x00\x0aonTextData")
    assert house.end_reasons() == [(publication.lease.epoch, EndReason.SILENT)]


def test_one_that_never_sends_anything_is_silent_from_its_begin(house: House) -> None:
    house.begin()
    house.pass_time(10)
    assert len(house.ends) == 1
    assert not house.hub.is_playable(DEMO)


def test_a_publisher_that_is_quiet_for_a_moment_is_looked_at_and_one_that_sends_is_not(house: House) -> None:
    publication = house.on_air()
    publisher = publication.publisher
    assert isinstance(publisher, FakePublisher)
    for step in range(1, 20):
        house.pass_time(0.25)
        house.key(publication, step * 250)
    assert publisher.looks == 0
    house.pass_time(1)
    assert publisher.looks == 3


# Players over a blink


def test_players_are_kept_for_the_publishers_return_and_then_closed(house: House) -> None:
    publication = house.on_air()
    viewer = house.join()
    house.hub.end(publication, EndReason.LOST, "")
    house.pass_time(9.75)
    assert viewer.ends == []
    assert house.hub.is_playable(DEMO)
    house.pass_time(0.25)
    assert viewer.ends == [("the publisher did not come back", False)]
    assert not house.hub.is_playable(DEMO)


@pytest.mark.parametrize("reason", [EndReason.LEFT, EndReason.LOST, EndReason.SILENT, EndReason.BROKE_PROTOCOL])
def test_every_plain_end_keeps_them(house: House, reason: EndReason) -> None:
    publication = house.on_air()
    viewer = house.join()
    house.hub.end(publication, reason, "")
    house.pass_time(5)
    assert viewer.ends == []


def test_a_publisher_that_returns_in_time_goes_on_with_the_players_that_it_had(house: House) -> None:
    first = house.on_air()
    viewer = house.join()
    house.key(first, 400)
    house.hub.end(first, EndReason.LOST, "")
    house.pass_time(9)
    second = house.begin()
    house.headers(second)
    house.key(second, 0)
    house.pass_time(9)
    assert viewer.ends == []
    assert viewer.times() == [0, 400, 9400]


def test_one_may_join_while_the_publisher_is_away(house: House) -> None:
    first = house.on_air()
    house.join()
    house.hub.end(first, EndReason.LOST, "")
    late = house.join()
    second = house.begin()
    house.headers(second)
    house.key(second, 0)
    assert late.times()[-1] >= SESSION_GAP_MS


def test_a_plain_end_without_players_leaves_nothing_behind(house: House) -> None:
    publication = house.on_air()
    house.hub.end(publication, EndReason.LEFT, "")
    assert not house.hub.is_playable(DEMO)
    assert house.hub._places == {}


def test_a_stream_whose_last_player_leaves_after_its_publisher_is_forgotten(house: House) -> None:
    publication = house.on_air()
    viewers = [house.join(), house.join()]
    house.hub.end(publication, EndReason.LOST, "")
    for viewer in viewers:
        assert viewer.player is not None
        assert house.hub.is_playable(DEMO)
        house.hub.leave(viewer.player)
    assert house.hub._places == {}


def test_nobody_can_join_what_does_not_exist(house: House) -> None:
    viewer = FakeOwner()
    assert house.hub.join(DEMO, FLV, viewer.outlet, CLIENT, "") is None
    assert viewer.socket.sends == []
    assert house.hub.meter.report(START) is None


def test_a_player_that_is_gone_before_it_started_was_never_one(house: House) -> None:
    house.on_air()
    viewer = FakeOwner()
    viewer.socket.error = BrokenPipeError()
    with pytest.raises(BrokenPipeError):
        house.hub.join(DEMO, FLV, viewer.outlet, CLIENT, "")
    (status,) = house.hub.stats()
    assert status.players == {}
    assert house.hub.meter.report(START) is None


# The line of time


def test_a_stream_begins_at_nothing(house: House) -> None:
    publication = house.begin()
    house.headers(publication)
    viewer = house.join()
    house.key(publication, 123_456)
    assert viewer.times() == [0]


@pytest.mark.parametrize(("away_s", "gap_ms"), [(0, SESSION_GAP_MS), (0.02, SESSION_GAP_MS), (3.0, 3000)])
def test_time_rises_over_sessions_by_the_time_that_passed(house: House, away_s: float, gap_ms: int) -> None:
    first = house.on_air()
    viewer = house.join()
    house.key(first, 5000)
    house.hub.end(first, EndReason.LOST, "")
    house.clock.advance(away_s)
    second = house.begin()
    house.headers(second)
    house.key(second, 777)
    assert viewer.times() == [0, 5000, 5000 + gap_ms]


def test_time_rises_over_a_replacement_too(house: House) -> None:
    first = house.on_air()
    viewer = house.join()
    house.key(first, 5000)
    house.clock.advance(2.5)
    second = house.begin(replaces=first.lease.epoch)
    house.headers(second)
    house.key(second, 0)
    assert viewer.times() == [0, 5000, 5000 + SESSION_GAP_MS]


def test_time_rises_over_many_sessions_whatever_their_clocks_say(house: House) -> None:
    publication = house.on_air()
    viewer = house.join()
    for timestamp in (0, 4_000_000_000, 17, 2**32 - 1, 90_000):
        house.hub.end(publication, EndReason.LOST, "")
        publication = house.begin()
        house.headers(publication)
        house.key(publication, timestamp)
        house.key(publication, (timestamp + 40) % 2**32)
    times = viewer.times()
    assert times == sorted(set(times))
    assert len(times) == 11


# Dropping


def test_a_drop_cuts_the_publisher_and_its_players_at_once(house: House) -> None:
    publication = house.on_air()
    viewers = [house.join(), house.join()]
    epoch = house.hub.drop(DEMO, EndReason.KICKED, "by hand")
    assert epoch == publication.lease.epoch
    assert cuts(publication) == [(EndReason.KICKED, "by hand")]
    assert [viewer.ends for viewer in viewers] == [[("kicked", True)]] * 2
    assert house.end_reasons() == [(epoch, EndReason.KICKED)]
    assert house.hub._places == {}


def test_who_hears_of_a_drop_finds_every_player_closed_and_counted(house: House) -> None:
    house.on_air()
    viewers = [house.join(), house.join()]
    closed: list[int] = []

    class Witness(House):
        def ended(self, lease: Lease, reason: EndReason, detail: str, at: datetime, last: StreamStats) -> None:
            closed.append(sum(len(viewer.ends) for viewer in viewers))
            assert last.players == {"flv": 2}

    house.hub.listen(Witness())
    house.hub.drop(DEMO, EndReason.KICKED, "")
    assert closed == [2]


def test_a_drop_of_a_stream_that_waits_for_its_publisher_closes_the_players(house: House) -> None:
    publication = house.on_air()
    viewer = house.join()
    house.hub.end(publication, EndReason.LOST, "")
    assert house.hub.drop(DEMO, EndReason.BANNED, "") is None
    assert viewer.ends == [("banned", True)]
    assert len(house.ends) == 1
    assert house.hub._places == {}


def test_a_drop_of_nothing_says_so(house: House) -> None:
    house.on_air(OTHER)
    assert house.hub.drop(DEMO, EndReason.KICKED, "") is None
    assert len(house.hub.publications()) == 1


def test_the_name_is_free_as_soon_as_its_holder_was_dropped(house: House) -> None:
    house.on_air()
    house.hub.drop(DEMO, EndReason.KICKED, "")
    assert house.hub.holder(DEMO) is None
    house.on_air()


def test_at_the_end_of_the_engine_every_session_and_play_ends(house: House) -> None:
    publications = [house.on_air(), house.on_air(OTHER)]
    viewers = [house.join(), house.join(OTHER)]
    house.hub.stop(EndReason.ENGINE_STOPPED)
    assert {reason for _, reason in house.end_reasons()} == {EndReason.ENGINE_STOPPED}
    assert all(cuts(publication) for publication in publications)
    assert all(viewer.ends for viewer in viewers)
    assert house.hub._places == {}


# Slow and paused players


def test_a_player_that_takes_nothing_is_lost_after_its_time_and_the_rest_play_on(house: House) -> None:
    publication = house.on_air()
    stuck, fine = house.join(room=5), house.join()
    for step in range(1, 40):
        house.pass_time(0.25)
        house.key(publication, step * 250)
    assert stuck.losses == []
    house.pass_time(0.5)
    assert len(stuck.losses) == 1
    assert (fine.losses, len(fine.times())) == ([], 40)
    (status,) = house.hub.stats()
    assert status.players == {"flv": 1}


def test_a_paused_player_gets_nothing_and_stays(house: House) -> None:
    publication = house.on_air()
    viewer = house.join()
    assert viewer.player is not None
    house.hub.pause(viewer.player)
    house.key(publication, 40)
    assert viewer.times() == [0]
    assert house.hub.stats()[0].players == {"flv": 1}


def test_a_player_that_resumes_starts_as_if_it_joined_now() -> None:
    house = House()
    publication = house.on_air()
    viewer = FakeOwner()
    player = house.hub.join(DEMO, RTMP, viewer.outlet, CLIENT, "")
    assert player is not None
    house.hub.pause(player)
    house.key(publication, 40)
    house.send(publication, Kind.VIDEO, 80, inter_body())
    viewer.socket.sends.clear()
    house.hub.resume(player, RTMP)
    house.send(publication, Kind.VIDEO, 120, inter_body())
    opening, batch = viewer.socket.sends
    assert opening.count(key_body()) == 1
    assert opening.count(inter_body()) == 1
    assert batch.count(inter_body()) == 1
    assert len(list(house.hub._places[DEMO].stream.outlets())) == 1


def test_pausing_and_resuming_twice_changes_nothing(house: House) -> None:
    house.on_air()
    viewer = FakeOwner()
    player = house.hub.join(DEMO, RTMP, viewer.outlet, CLIENT, "")
    assert player is not None
    for _ in range(2):
        house.hub.pause(player)
    for _ in range(2):
        house.hub.resume(player, RTMP)
    assert len(list(house.hub._places[DEMO].stream.outlets())) == 1


def test_pause_and_resume_of_a_stream_that_is_gone_do_nothing(house: House) -> None:
    house.on_air()
    viewer = house.join()
    assert viewer.player is not None
    house.hub.drop(DEMO, EndReason.KICKED, "")
    sends = len(viewer.socket.sends)
    house.hub.pause(viewer.player)
    house.hub.resume(viewer.player, FLV)
    assert len(viewer.socket.sends) == sends


def test_a_paused_player_ends_with_its_stream(house: House) -> None:
    house.on_air()
    viewer = house.join()
    assert viewer.player is not None
    house.hub.pause(viewer.player)
    house.hub.drop(DEMO, EndReason.KICKED, "")
    assert len(viewer.ends) == 1


# What can be said of it


def test_statistics_count_players_and_bytes_by_format_those_that_left_too(house: House) -> None:
    publication = house.on_air()
    stays, leaves = house.join(), house.join()
    rtmp = FakeOwner()
    house.hub.join(DEMO, RTMP, rtmp.outlet, CLIENT, "")
    assert leaves.player is not None
    house.hub.leave(leaves.player)
    house.key(publication, 40)
    (status,) = house.hub.stats()
    assert status.players == {"flv": 1, "rtmp": 1}
    assert status.bytes_out == {
        "flv": stays.outlet.sent_bytes + leaves.outlet.sent_bytes,
        "rtmp": rtmp.outlet.sent_bytes,
    }


def test_players_and_bytes_are_told_apart_by_the_host_that_they_asked_for(house: House) -> None:
    publication = house.on_air()
    one, other, gone = FakeOwner(), FakeOwner(), FakeOwner()
    came = ((one, "a.test"), (other, "b.test"), (gone, "b.test"))
    *_, last = [house.hub.join(DEMO, FLV, owner.outlet, CLIENT, domain) for owner, domain in came]
    house.key(publication, 40)
    assert last is not None
    house.hub.leave(last)
    (status,) = house.hub.stats()
    assert sorted((part.domain, part.players, part.bytes_out) for part in status.audience) == [
        ("a.test", 1, one.outlet.sent_bytes),
        ("b.test", 1, other.outlet.sent_bytes + gone.outlet.sent_bytes),
    ]


def test_a_second_play_on_one_connection_is_counted_for_its_own_stream(house: House) -> None:
    house.on_air()
    house.on_air(OTHER)
    viewer = house.join()
    assert viewer.player is not None
    first_bytes = viewer.outlet.sent_bytes
    house.hub.leave(viewer.player)
    assert house.hub.join(OTHER, FLV, viewer.outlet, CLIENT, "") is not None
    by_epoch = {status.epoch: status.bytes_out for status in house.hub.stats()}
    assert by_epoch == {1: {"flv": first_bytes}, 2: {"flv": viewer.outlet.sent_bytes - first_bytes}}
    report = house.hub.meter.report(START)
    assert report is not None
    assert sum(row.bytes_down for row in report.rows) == viewer.outlet.sent_bytes


def test_what_a_player_takes_after_its_play_ended_is_counted_when_it_leaves_again(house: House) -> None:
    house.on_air()
    viewer = house.join(room=10)
    assert viewer.player is not None
    house.hub.drop(DEMO, EndReason.KICKED, "")
    viewer.make_room(None)
    house.hub.leave(viewer.player)
    report = house.hub.meter.report(START)
    assert report is not None
    assert sum(row.bytes_down for row in report.rows) == len(viewer.socket.taken)
    assert sum(row.plays for row in report.rows) == 1


def test_who_is_on_air_is_told_with_its_lease(house: House) -> None:
    publications = [house.on_air(), house.on_air(OTHER)]
    assert [status.lease for status in house.hub.on_air()] == [publication.lease for publication in publications]
    house.hub.end(publications[0], EndReason.LEFT, "")
    assert [status.lease for status in house.hub.on_air()] == [publications[1].lease]


def test_a_hub_that_nobody_listens_to_works_all_the_same() -> None:
    clock = ManualClock()
    hub = Hub(POLICY, clock, clock.later, UsageMeter(START))
    publication = hub.begin(make_lease(1), FakePublisher(), CLIENT, "")
    assert publication is not None
    hub.end(publication, EndReason.LEFT, "")
    assert hub.publications() == []


def test_a_player_lost_while_its_publisher_ends_is_gone_with_it(house: House) -> None:
    publication = house.on_air()
    viewer = house.join()
    publication.receive(Kind.AUDIO, 20, bytearray(11) + audio_body() + bytes(4), house.clock.monotonic())
    viewer.socket.error = BrokenPipeError()
    house.hub.end(publication, EndReason.LEFT, "")  # sends what waits, and finds nobody there
    assert len(viewer.losses) == 1
    assert house.hub._places == {}
