"""Players of HLS: sessions over many requests, counted and ended like any player."""

from __future__ import annotations

import gc
import weakref

import pytest
from msgspec import structs

from penstock.engine.hub import Hub, HubPolicy
from penstock.engine.publication import Publication
from penstock.engine.usage import UsageMeter
from penstock.engine.viewers import SESSION_RULE, Viewer, ViewerPolicy, Viewers
from penstock.errors import LimitExceeded
from penstock.link.messages import Client, EndReason
from penstock.model import Kind
from tests.clock import START, ManualClock
from tests.engine.kit import (
    AAC_HEADER,
    AVC_HEADER,
    CLIENT,
    DEMO,
    LOW,
    FakePublisher,
    key_body,
    make_lease,
    send,
)

HUB = HubPolicy(flush=LOW, idle_timeout_s=100.0, keep_players_s=10.0, player_stall_s=10.0)
ONLINE_S = ViewerPolicy().online_s


class House:
    """A hub with viewers and a clock to turn."""

    def __init__(self, hub: HubPolicy = HUB, policy: ViewerPolicy | None = None) -> None:
        self.clock = ManualClock()
        self.meter = UsageMeter(START)
        self.hub = Hub(hub, self.clock, self.clock.later, self.meter)
        self.viewers = Viewers(self.hub, policy or ViewerPolicy(), self.clock)
        self._epoch = 0

    def on_air(self, *, keys: int = 1) -> Publication:
        """A publisher that sent its setup and a key frame every two seconds."""
        self._epoch += 1
        publication = self.hub.begin(make_lease(self._epoch), FakePublisher(), CLIENT, "push.demo.test")
        assert publication is not None
        self.send(publication, 0, AVC_HEADER)
        self.send(publication, 0, AAC_HEADER, Kind.AUDIO)
        self.keys(publication, keys)
        return publication

    def keys(self, publication: Publication, count: int, from_s: int = 0) -> None:
        for number in range(count):
            self.send(publication, 1000 * from_s + 2000 * number, key_body())

    def send(self, publication: Publication, timestamp: int, payload: bytes, kind: Kind = Kind.VIDEO) -> None:
        send(publication, kind, timestamp, payload, self.clock.monotonic())

    def open(self, client: Client = CLIENT, session: str = "") -> Viewer:
        viewer = self.viewers.open(DEMO, client, "pull.demo.test", session)
        assert viewer is not None
        return viewer

    def players(self) -> dict[str, int]:
        (status,) = self.hub.on_air()
        return status.stats.players

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.hub.tick()
        self.viewers.tick()

    def usage(self) -> list[tuple[str, str, int, int]]:
        report = self.meter.report(self.clock.now())
        return [(row.format, row.address, row.bytes_down, row.plays) for row in report.rows] if report else []


@pytest.fixture
def house() -> House:
    return House()


# Sessions


def test_a_session_is_a_player_of_its_stream(house: House) -> None:
    house.on_air()
    viewer = house.open()
    assert SESSION_RULE.fullmatch(viewer.session)
    assert house.viewers.find(viewer.session) is viewer
    assert house.players() == {"hls": 1}
    viewer.count(1000)
    (status,) = house.hub.on_air()
    assert status.stats.bytes_out == {"hls": 1000}


def test_sessions_have_different_ids(house: House) -> None:
    house.on_air()
    assert len({house.open().session for _ in range(50)}) == 50


def test_nobody_can_play_what_is_not_on_air(house: House) -> None:
    assert house.viewers.open(DEMO, CLIENT, "pull.demo.test") is None
    assert len(house.viewers) == 0


def test_a_player_is_there_for_a_while_after_its_last_request(house: House) -> None:
    house.on_air()
    one, other = house.open(), house.open()
    house.pass_time(ONLINE_S - 1)
    house.viewers.find(other.session)
    house.pass_time(2)
    assert house.players() == {"hls": 1}
    assert house.viewers.find(one.session) is None
    assert house.viewers.find(other.session) is other
    house.pass_time(ONLINE_S)
    assert house.players() == {}


def test_an_unknown_session_begins_under_its_own_name(house: House) -> None:
    house.on_air()
    viewer = house.open(session="0123456789abcdef")
    assert viewer.session == "0123456789abcdef"
    assert house.viewers.find("0123456789abcdef") is viewer


def test_an_address_has_so_many_sessions_and_no_more() -> None:
    house = House(policy=ViewerPolicy(max_per_address=2))
    house.on_air()
    house.open()
    house.open()
    with pytest.raises(LimitExceeded, match="2 streams by HLS already"):
        house.open()
    house.open(Client("192.0.2.8", 1))
    house.pass_time(ONLINE_S)
    house.open()


# Packing


def test_a_stream_is_packed_while_somebody_plays_it(house: House) -> None:
    publication = house.on_air()
    viewer = house.open()
    segmenter = viewer.segmenter
    assert not segmenter.is_ready
    house.keys(publication, 2, from_s=2)
    assert segmenter.is_ready
    assert house.open().segmenter is segmenter  # one for all
    house.pass_time(ONLINE_S)
    before = segmenter.playlist
    house.keys(publication, 3, from_s=20)
    assert segmenter.playlist == before
    # Who comes then gets new numbers, above the old ones.
    again = house.open().segmenter
    house.keys(publication, 3, from_s=40)
    assert again is not segmenter
    assert first_number(again.playlist) > first_number(before)


def test_a_stream_that_is_packed_no_more_is_not_counted_any_more(house: House) -> None:
    publication = house.on_air(keys=4)
    house.open()
    house.keys(publication, 3, from_s=20)
    assert house.hub._shelf.bytes > 0
    house.pass_time(ONLINE_S)
    assert house.hub._shelf.bytes == 0


def first_number(playlist: bytes) -> int:
    return int(playlist.partition(b"MEDIA-SEQUENCE:")[2].partition(b"\n")[0])


@pytest.mark.parametrize(("apps", "is_packed"), [({"live"}, True), ({"demo/live"}, True), ({"shop/live"}, False)])
def test_an_app_may_be_packed_always(apps: set[str], is_packed: bool) -> None:
    house = House(structs.replace(HUB, hls_always=frozenset(apps)))
    publication = house.on_air(keys=3)
    assert house.open().segmenter.is_ready is is_packed
    house.pass_time(ONLINE_S)
    house.keys(publication, 3, from_s=30)
    assert house.open().segmenter.is_ready is is_packed


# Ends


def test_players_stay_for_the_publishers_return(house: House) -> None:
    publication = house.on_air(keys=2)
    viewer = house.open()
    house.hub.end(publication, EndReason.LOST, "")
    assert b"ENDLIST" not in viewer.segmenter.playlist
    house.pass_time(5)
    house.on_air(keys=3)
    assert not viewer.is_over
    assert b"#EXT-X-DISCONTINUITY\n" in viewer.segmenter.playlist
    assert house.players() == {"hls": 1}


def test_when_it_does_not_return_the_playlist_ends_and_can_be_read_on(house: House) -> None:
    publication = house.on_air(keys=2)
    viewer = house.open()
    house.hub.end(publication, EndReason.LEFT, "")
    house.pass_time(10)
    assert not house.hub.is_playable(DEMO)
    found = house.viewers.find(viewer.session)
    assert found is viewer
    assert viewer.is_over
    assert not viewer.is_gone
    assert viewer.segmenter.playlist.endswith(b"#EXT-X-ENDLIST\n")
    house.pass_time(ONLINE_S)
    assert len(house.viewers) == 0


def test_a_player_that_still_asks_when_the_stream_comes_back_plays_it(house: House) -> None:
    publication = house.on_air(keys=2)
    viewer = house.open()
    viewer.count(100)
    house.hub.end(publication, EndReason.LEFT, "")
    house.pass_time(10)
    viewer.count(10)
    house.on_air(keys=3)
    assert house.viewers.find(viewer.session) is viewer
    viewer.count(1)
    assert not viewer.is_over
    assert house.players() == {"hls": 1}
    assert house.usage() == [("hls", "192.0.2.7", 111, 2)]


def test_who_is_thrown_out_gets_nothing_more_and_what_is_sent_to_it_stops(house: House) -> None:
    house.on_air(keys=2)
    viewer = house.open()
    stopped: list[str] = []
    viewer.answering[self_ := object()] = stopped.append
    house.hub.drop(DEMO, EndReason.KICKED, "")
    assert stopped == ["kicked"]
    assert self_ not in viewer.answering
    assert viewer.is_gone
    # It is not let in again by asking on, and asking does not keep it.
    house.on_air(keys=2)
    house.pass_time(ONLINE_S - 1)
    found = house.viewers.find(viewer.session)
    assert found is not None
    assert found.is_gone
    house.pass_time(1)
    assert house.viewers.find(viewer.session) is None


def test_a_replaced_publishers_last_frames_are_in_its_own_segment(house: House) -> None:
    house.on_air(keys=2)
    viewer = house.open()
    lease = make_lease(50)
    publication = house.hub.begin(lease, FakePublisher(), CLIENT, "", replaces=1)
    assert publication is not None
    house.send(publication, 0, AVC_HEADER)
    house.keys(publication, 2)
    assert viewer.segmenter.playlist.count(b"#EXT-X-DISCONTINUITY\n") == 1


# Usage


def test_a_session_is_one_play_however_often_it_asks(house: House) -> None:
    house.on_air(keys=2)
    viewer = house.open(Client("192.0.2.9", 1))
    viewer.count(500)
    assert house.usage() == [("hls", "192.0.2.9", 500, 1)]
    for _ in range(3):
        house.pass_time(9)
        house.viewers.find(viewer.session)
        viewer.count(100)
        assert house.usage() == [("hls", "192.0.2.9", 100, 0)]
    house.pass_time(ONLINE_S)
    assert house.usage() == []


def test_what_is_sent_after_the_end_is_counted(house: House) -> None:
    publication = house.on_air(keys=2)
    viewer = house.open()
    house.hub.end(publication, EndReason.LEFT, "")
    house.pass_time(10)
    assert house.usage() == [("hls", "192.0.2.7", 0, 1)]
    viewer.count(300)
    house.pass_time(ONLINE_S)
    assert house.usage() == [("hls", "192.0.2.7", 300, 0)]


def test_what_was_packed_goes_with_its_last_player_and_not_when_the_collector_comes(house: House) -> None:
    """Segments are megabytes, and the engine's collector looks rarely."""
    gc.disable()
    try:
        publication = house.on_air(keys=5)
        segmenter = weakref.ref(house.open().segmenter)
        house.open()
        house.hub.end(publication, EndReason.LEFT, "")
        house.pass_time(HUB.keep_players_s)
        assert segmenter() is not None  # its players may read to the end
        house.pass_time(ONLINE_S)
        assert len(house.viewers) == 0
        del publication
        assert segmenter() is None
    finally:
        gc.enable()
