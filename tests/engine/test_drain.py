"""The end that nobody's picture suffers from: streams end before a key frame, players take what waits for them."""

from __future__ import annotations

import pytest

from penstock.link.messages import EndReason
from penstock.model import Kind
from tests.engine.kit import AAC_HEADER, FakePublisher, audio_body, inter_body, is_key_tag
from tests.engine.test_hub import OTHER, House

STOPPED = EndReason.ENGINE_STOPPED


@pytest.fixture
def house() -> House:
    return House()


def drain(house: House) -> None:
    house.hub.drain(STOPPED)


def test_a_stream_goes_on_to_its_next_key_frame_and_ends_before_it(house: House) -> None:
    publication = house.on_air()
    viewer = house.join()
    drain(house)
    house.send(publication, Kind.VIDEO, 40, inter_body())
    house.send(publication, Kind.AUDIO, 50, audio_body())
    assert (viewer.ends, house.ends) == ([], [])
    house.key(publication, 80)
    assert viewer.ends == [(STOPPED, False)]
    # All before the key frame was sent, sound that was waiting for a picture too.
    assert viewer.times() == [0, 40, 50]
    assert sum(map(is_key_tag, viewer.tags())) == 1
    assert house.end_reasons() == [(publication.lease.epoch, STOPPED)]
    assert isinstance(publication.publisher, FakePublisher)
    assert publication.publisher.cuts == [(STOPPED, "")]
    # What the same read brought behind it goes nowhere.
    house.send(publication, Kind.VIDEO, 120, inter_body())
    assert viewer.times() == [0, 40, 50]
    assert house.hub._places == {}


def test_a_slow_player_keeps_what_waits_for_it(house: House) -> None:
    publication = house.on_air()
    viewer = house.join()
    viewer.make_room(0)
    house.send(publication, Kind.VIDEO, 40, inter_body())
    drain(house)
    house.key(publication, 80)
    assert viewer.ends == [(STOPPED, False)]
    viewer.make_room(None)
    assert viewer.times() == [0, 40]


def test_one_that_nobody_plays_waits_for_nothing(house: House) -> None:
    publication = house.on_air()
    drain(house)
    assert house.end_reasons() == [(publication.lease.epoch, STOPPED)]
    assert house.hub._places == {}


def test_sound_alone_can_end_anywhere(house: House) -> None:
    publication = house.begin()
    house.send(publication, Kind.AUDIO, 0, AAC_HEADER)
    house.send(publication, Kind.AUDIO, 0, audio_body())
    viewer = house.join()
    house.send(publication, Kind.AUDIO, 40, audio_body())
    drain(house)
    assert viewer.ends == [(STOPPED, False)]
    assert viewer.times()[-1] == 40
    assert house.end_reasons() == [(publication.lease.epoch, STOPPED)]


def test_players_whose_publisher_is_away_are_let_go(house: House) -> None:
    publication = house.on_air()
    viewer = house.join()
    house.hub.end(publication, EndReason.LOST, "")
    drain(house)
    assert viewer.ends == [(STOPPED, False)]
    assert house.hub._places == {}


def test_a_publisher_that_leaves_meanwhile_takes_its_players_along(house: House) -> None:
    publication = house.on_air()
    viewer = house.join()
    drain(house)
    house.hub.end(publication, EndReason.LEFT, "")
    house.pass_time(0.25)
    assert len(viewer.ends) == 1
    assert house.end_reasons() == [(publication.lease.epoch, EndReason.LEFT)]
    assert house.hub._places == {}


def test_streams_end_each_at_their_own_key_frame(house: House) -> None:
    one, other = house.on_air(), house.on_air(OTHER)
    viewers = [house.join(), house.join(OTHER)]
    drain(house)
    house.key(one, 80)
    assert [len(viewer.ends) for viewer in viewers] == [1, 0]
    house.key(other, 80)
    assert [len(viewer.ends) for viewer in viewers] == [1, 1]


def test_nothing_can_be_played_from_then_on(house: House) -> None:
    house.on_air()
    house.join()
    assert house.hub.is_playable(house.begins[0].lease.stream)
    drain(house)
    assert not house.hub.is_playable(house.begins[0].lease.stream)
