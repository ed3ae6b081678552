from __future__ import annotations

import pytest

from penstock.engine.gop import PACKET_COST, GopCache
from penstock.model import MediaPacket
from tests.engine.kit import audio, inter, key, video_header

HEADERS = (video_header(),)


def sizes(*packets: MediaPacket) -> int:
    return sum(len(packet.tag) + PACKET_COST for packet in packets)


def test_it_holds_everything_since_the_key_frame_with_the_setup_of_that_moment() -> None:
    cache = GopCache(10_000)
    first, second, third = key(0), inter(40), audio(45)
    cache.start([first, second], HEADERS)
    cache.extend([third])
    assert cache.packets == [first, second, third]
    assert cache.headers == HEADERS


def test_the_next_key_frame_replaces_all_of_it() -> None:
    cache = GopCache(10_000)
    cache.start([key(0), inter(40)], HEADERS)
    later, headers = key(80), (video_header(record=b"other"),)
    cache.start([later], headers)
    assert (cache.packets, cache.headers) == ([later], headers)


def test_without_a_key_frame_there_is_nothing_to_go_on_with() -> None:
    cache = GopCache(10_000)
    cache.extend([inter(0), audio(5)])
    assert cache.packets == []


def test_a_gop_of_exactly_the_limit_is_kept_and_a_byte_more_is_let_go_until_the_next_one() -> None:
    first, second = key(0), inter(40)
    cache = GopCache(sizes(first, second))
    cache.start([first], HEADERS)
    cache.extend([second])
    assert cache.packets == [first, second]

    cache.extend([audio(41, b"")])
    assert (cache.packets, cache.headers) == ([], ())
    cache.extend([inter(80)])
    assert cache.packets == []
    cache.start([first], HEADERS)
    assert cache.packets == [first]


def test_many_small_packets_cost_what_they_take_up_and_not_their_bytes_alone() -> None:
    cache = GopCache(100_000)
    cache.start([key(0)], HEADERS)
    count = 0
    while cache.packets:
        cache.extend([audio(count, b"")])
        count += 1
    assert count < 600


def test_each_gop_has_the_whole_limit_for_itself() -> None:
    first = key(0)
    cache = GopCache(sizes(first))
    for _ in range(5):
        cache.start([first], HEADERS)
        assert cache.packets == [first]


def test_a_limit_of_nothing_is_no_cache() -> None:
    cache = GopCache(0)
    cache.start([key(0)], HEADERS)
    assert (cache.packets, cache.headers) == ([], ())


@pytest.mark.parametrize("begun", [False, True])
def test_a_cleared_cache_waits_for_a_key_frame(begun: bool) -> None:
    cache = GopCache(10_000)
    if begun:
        cache.start([key(0)], HEADERS)
    cache.clear()
    cache.extend([inter(40)])
    assert (cache.packets, cache.headers) == ([], ())
