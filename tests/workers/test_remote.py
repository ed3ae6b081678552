"""Files over HTTP: ranges, no ranges, broken connections, files that change."""

from __future__ import annotations

import io
import random

import pytest

from penstock.errors import MediaError, NetworkRefused, PeerError
from penstock.workers import remote
from penstock.workers.remote import Meter, RemoteFile
from tests.workers.kit import Web, client, no_sleep

DATA = random.Random(1).randbytes(9_000_000)


def opened(url: str) -> RemoteFile:
    return RemoteFile(client(), url, Meter(), no_sleep)


def read_all(file: RemoteFile) -> bytes:
    data = bytearray()
    while part := file.read(100_000):
        data += part
    return bytes(data)


def test_file_is_read_to_its_end(web: Web) -> None:
    with opened(web.add("a", DATA)) as file:
        assert file.peek(100) == DATA[:100]
        assert read_all(file) == DATA
        assert file.meter.bytes_in == len(DATA)
    assert web.ranges("a") == ["bytes=0-"]


def test_any_place_can_be_read_and_near_ones_cost_no_request(web: Web) -> None:
    with opened(web.add("a", DATA)) as file:
        places = (0, 8_999_000, 100, 8_990_000, 50_000, 5_000_000, 5_100_000, 300_000)
        for place in places:
            assert file.seek(place) == place
            got = bytearray()
            while len(got) < 500 and (part := file.read(500 - len(got))):
                got += part
            assert got == DATA[place : place + 500]
        assert file.seek(-10, io.SEEK_END) == len(DATA) - 10
        assert len(read_all(file)) == 10
    assert len(web.ranges("a")) <= 5


def test_two_places_in_turn_keep_a_request_each(web: Web) -> None:
    """As a file has it whose sound lies behind all of its pictures."""
    with opened(web.add("a", DATA)) as file:
        for step in range(40):
            for start in (0, 4_500_000):
                at = start + step * 50_000
                file.seek(at)
                got = file.read(1000)
                assert got
                assert got == DATA[at : at + len(got)]
    assert len(web.ranges("a")) == 2


def test_what_is_fetched_ahead_has_a_bound(web: Web) -> None:
    with opened(web.add("a", DATA)) as file:
        file.read(1)
        stretch = file._stretches[0]
        with file.changed:
            file.changed.wait_for(lambda: stretch.end - stretch.read_to > remote.AHEAD, timeout=10)
            assert len(stretch.data) <= remote.AHEAD + 65536 + 1


def test_broken_connection_goes_on_where_it_broke(web: Web) -> None:
    url = web.add("a", DATA)
    web.breaks_after = [1_000_000, 1, 2_000_000]
    with opened(url) as file:
        assert read_all(file) == DATA
    ranges = web.ranges("a")
    assert len(ranges) >= 4
    starts = [int(each.partition("=")[2].rstrip("-")) for each in ranges]
    assert starts == sorted(starts)
    assert {each.if_range for each in web.asked[1:]} == {'"one"'}


def test_broken_connection_without_ranges_begins_anew_and_passes_over_what_it_had(web: Web) -> None:
    web.has_ranges = False
    url = web.add("a", DATA)
    web.breaks_after = [1_000_000]
    with opened(url) as file:
        assert not file.seekable()
        assert read_all(file) == DATA


def test_what_has_no_end_and_no_state_is_not_taken_up(web: Web) -> None:
    """A live stream: asked for again it would be another one."""
    web.has_ranges = web.tells_size = False
    web.etag = ""
    web.breaks_after = [300_000]
    file = RemoteFile(client(), web.add("a", DATA), Meter(), no_sleep)
    assert not file.facts.can_go_on
    with pytest.raises(PeerError):
        read_all(file)
    assert len(web.asked) == 1


def test_file_that_changed_meanwhile_is_no_longer_read(web: Web) -> None:
    url = web.add("a", DATA)
    web.breaks_after = [1_000_000]
    with opened(url) as file:
        web.etag = '"two"'
        with pytest.raises(MediaError, match="changed while it was read"):
            read_all(file)


def test_server_that_breaks_each_time_is_given_up(web: Web) -> None:
    url = web.add("a", DATA)
    web.breaks_after = [1_000_000] + [0] * remote.ATTEMPTS
    with opened(url) as file, pytest.raises(PeerError):
        read_all(file)


def test_refusals_are_told_as_they_are(web: Web) -> None:
    with pytest.raises(MediaError, match="answers 404"):
        opened(f"{web.url}/none")
    web.moved["away"] = "http://169.254.169.254/latest/meta-data/"
    with pytest.raises(NetworkRefused):
        opened(f"{web.url}/away")
    web.moved["here"] = "/a"
    web.add("a", b"found")
    with opened(f"{web.url}/here") as file:
        assert read_all(file) == b"found"
        assert file.final_url == f"{web.url}/a"


def test_empty_file_ends_at_once(web: Web) -> None:
    with opened(web.add("a", b"")) as file:
        assert file.read(10) == b""
