"""The fan-out in FLV, so that what each player's socket took can be read back as a file."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.engine.feed import OPENING_BATCHES, Feed, Opening
from penstock.engine.formats import FLV, RTMP
from penstock.model import Kind, MediaPacket
from penstock.protocols.flv import Tag
from tests.engine.kit import (
    FakeOwner,
    audio,
    audio_header,
    inter,
    is_key_tag,
    is_setup_tag,
    key,
    metadata,
    packet,
    video_header,
)

HEADERS = (metadata(), video_header(), audio_header())


def opening(*gop: MediaPacket, ready: bool = True, headers: Sequence[MediaPacket] = HEADERS) -> Opening:
    return Opening(headers, gop, ready=ready, audio=True, video=True)


NOT_READY = opening(ready=False)


def playing(*players: FakeOwner) -> Feed:
    """A feed with players that start with the setup alone."""
    feed = Feed(FLV)
    for player in players:
        feed.attach(player.outlet, opening())
    return feed


def media_times(player: FakeOwner) -> list[int]:
    return [tag.dts_ms for tag in player.tags() if not is_setup_tag(tag)]


def test_each_player_gets_each_batch_once() -> None:
    players = [FakeOwner() for _ in range(3)]
    feed = playing(*players)
    assert feed.send([key(0), audio(5)], opening(), 1.0) == []
    assert feed.send([inter(40)], NOT_READY, 1.0) == []
    assert [media_times(player) for player in players] == [[0, 5, 40]] * 3


def test_one_packet_goes_out_as_the_object_that_it_is() -> None:
    player, seen = FakeOwner(), list[object]()
    feed = playing(player)

    def send(buffer: bytes) -> int:
        seen.append(buffer)
        return len(buffer)

    player.outlet.send = send  # type: ignore[assignment]
    picture = inter(40)
    feed.send([picture], NOT_READY, 1.0)
    assert seen == [picture.tag]
    assert seen[0] is picture.tag


def test_nothing_is_encoded_for_nobody() -> None:
    class Never:
        name = "never"

        def preamble(self, *, audio: bool, video: bool) -> bytes:
            raise AssertionError

        def encode(self, packet: MediaPacket) -> bytes:
            raise AssertionError

    feed = Feed(Never())
    assert feed.send([key(0)], opening(), 1.0) == []
    feed.attach(FakeOwner().outlet, NOT_READY)
    assert len(feed) == 1


def test_bytes_taken_in_part_are_followed_by_the_rest_before_anything_else() -> None:
    player = FakeOwner(room=60)
    feed = playing(player)
    feed.send([key(0)], opening(), 1.0)
    assert player.outlet.sent_bytes == 60
    feed.send([inter(40)], NOT_READY, 1.0)
    player.make_room(200)
    feed.send([inter(80)], NOT_READY, 1.0)
    player.make_room(None)
    assert media_times(player) == [0, 40, 80]
    assert player.outlet.sent_bytes == len(player.socket.taken)


def test_one_that_blocks_holds_up_nobody_and_is_counted_nothing() -> None:
    slow, quick = FakeOwner(), FakeOwner()
    feed = playing(slow, quick)
    before = slow.outlet.sent_bytes
    slow.make_room(0)
    feed.send([key(0)], opening(), 1.0)
    assert media_times(quick) == [0]
    assert slow.outlet.sent_bytes == before
    assert slow.wants_write


@pytest.mark.parametrize("error", [BrokenPipeError(), ConnectionResetError(), TimeoutError(), OSError(113, "no route")])
def test_one_that_is_gone_is_handed_back_and_counted_nothing(error: OSError) -> None:
    gone, there = FakeOwner(), FakeOwner()
    feed = playing(gone, there)
    before = gone.outlet.sent_bytes
    gone.socket.error = error
    assert feed.send([key(0)], opening(), 1.0) == [gone.outlet]
    assert gone.outlet.sent_bytes == before
    assert feed.outlets() == [there.outlet]
    assert gone.losses == []  # telling it is the stream's part, once the fan-out is over


def test_players_are_served_in_the_order_in_which_they_came() -> None:
    order: list[int] = []
    players = [FakeOwner() for _ in range(3)]
    feed = playing(*players)
    for number, player in enumerate(players):

        def send(buffer: bytes, number: int = number) -> int:
            order.append(number)
            return len(buffer)

        player.outlet.send = send  # type: ignore[assignment]
    feed.send([key(0)], opening(), 1.0)
    assert order == [0, 1, 2]


# Starting


def test_with_nothing_to_start_from_a_player_waits_and_gets_nothing() -> None:
    player, feed = FakeOwner(), Feed(FLV)
    feed.attach(player.outlet, NOT_READY)
    feed.send([inter(0)], NOT_READY, 1.0)
    assert player.socket.sends == []
    assert feed.outlets() == [player.outlet]


def test_the_waiting_start_with_the_setup_and_the_batch_that_is_ready() -> None:
    player, feed = FakeOwner(), Feed(FLV)
    feed.attach(player.outlet, NOT_READY)
    feed.send([key(40), audio(45)], opening(), 1.0)
    assert media_times(player) == [40, 45]
    assert len([tag for tag in player.tags() if is_setup_tag(tag)]) == 3


def test_one_that_waited_and_is_gone_is_handed_back_once() -> None:
    player, feed = FakeOwner(), Feed(FLV)
    feed.attach(player.outlet, NOT_READY)
    player.socket.error = BrokenPipeError()
    assert feed.send([key(0)], opening(), 1.0) == [player.outlet]
    assert len(feed) == 0


def test_one_that_is_gone_before_it_starts_is_an_error_and_no_player() -> None:
    player, feed = FakeOwner(), Feed(FLV)
    player.socket.error = BrokenPipeError()
    with pytest.raises(BrokenPipeError):
        feed.attach(player.outlet, opening(key(0)))
    assert len(feed) == 0


def gop_so_far(pictures: Sequence[MediaPacket]) -> list[MediaPacket]:
    """What a GOP cache has of the pictures that were sent."""
    begin = max(at for at, picture in enumerate(pictures) if picture.is_key)
    return list(pictures[begin:])


def long_gop(count: int) -> list[MediaPacket]:
    return [(inter if number else key)(number * 40, bytes(50)) for number in range(count)]


def test_who_joins_a_little_later_gets_the_same_opening_and_every_batch_since_once() -> None:
    feed, pictures = playing(FakeOwner()), long_gop(2 * OPENING_BATCHES + 8)
    joined: list[FakeOwner] = []
    for at, picture in enumerate(pictures):
        feed.send([picture], opening(ready=picture.is_key), 1.0)
        joined.append(FakeOwner())
        feed.attach(joined[-1].outlet, opening(*gop_so_far(pictures[: at + 1])))
    for player in joined:
        assert media_times(player) == [picture.dts_ms for picture in pictures]
    # The first of all is the opening; its length tells how many pictures are in it.
    assert len({player.socket.sends[0] for player in joined}) == 3


def test_slow_players_who_join_one_by_one_hold_few_openings() -> None:
    feed, pictures = playing(FakeOwner()), long_gop(10 * OPENING_BATCHES)
    slow = [FakeOwner(room=0) for _ in pictures]
    for at, picture in enumerate(pictures):
        feed.send([picture], opening(ready=picture.is_key), 1.0)
        feed.attach(slow[at].outlet, opening(*gop_so_far(pictures[: at + 1])))
    held = {id(memoryview(buffer).obj): len(buffer) for player in slow for buffer in player.outlet.queue or ()}
    whole = sum(len(picture.tag) for picture in pictures)
    assert sum(held.values()) < 7 * whole  # and not a good half of it for each of 160
    for player in slow:
        player.make_room(None)
        assert media_times(player) == [picture.dts_ms for picture in pictures]


def test_a_key_frame_is_where_the_next_one_starts() -> None:
    feed, late = playing(FakeOwner()), FakeOwner()
    feed.attach(FakeOwner().outlet, opening(key(0)))
    for picture in (inter(40), key(80), inter(120)):
        feed.send([picture], opening(ready=picture.is_key), 1.0)
    feed.attach(late.outlet, opening(key(80), inter(120)))
    assert media_times(late) == [80, 120]


@given(
    joins=st.lists(st.tuples(st.integers(0, 39), st.integers(0, 3000)), min_size=1, max_size=12),
    key_every=st.integers(1, 40),
    limit=st.integers(100, 2000),
)
def test_whenever_a_player_joins_it_gets_the_whole_gop_and_what_follows(
    joins: list[tuple[int, int]], key_every: int, limit: int
) -> None:
    feed = playing(FakeOwner())
    pictures = [(inter if number % key_every else key)(number * 40, bytes(50)) for number in range(40)]
    joined: list[tuple[int, FakeOwner]] = []
    for at, picture in enumerate(pictures):
        feed.send([picture], opening(ready=picture.is_key), 1.0)
        for _, room in (join for join in joins if join[0] == at):
            joined.append((at, FakeOwner(room=room, limit_bytes=limit)))
            feed.attach(joined[-1][1].outlet, opening(*gop_so_far(pictures[: at + 1])))
    for at, player in joined:
        player.make_room(None)
        check_watchable(player.tags())
        assert media_times(player)[0] == at // key_every * key_every * 40
        if player.outlet.skipped_at == 0:
            assert player.outlet.queue is None
    assert all(player.outlet.sent_bytes == len(player.socket.taken) for _, player in joined)


def test_a_format_without_a_preamble_starts_the_waiting_of_a_stream_without_setup_with_no_empty_send() -> None:
    player, feed = FakeOwner(), Feed(RTMP)
    feed.attach(player.outlet, NOT_READY)
    feed.send([audio(0)], opening(headers=()), 1.0)
    assert len(player.socket.sends) == 1


def test_a_player_may_leave_while_it_waits_or_plays() -> None:
    waits, plays, feed = FakeOwner(), FakeOwner(), Feed(FLV)
    feed.attach(waits.outlet, NOT_READY)
    feed.attach(plays.outlet, opening())
    for player in (waits, plays, plays):
        feed.detach(player.outlet)
    assert not feed.outlets()


# Slow players

KEY_EVERY = 5


def gop_batches(gops: int, size: int = 100) -> list[MediaPacket]:
    """A picture each 40 ms, every fifth a key frame."""
    return [(key if number % KEY_EVERY == 0 else inter)(number * 40, bytes(size)) for number in range(gops * KEY_EVERY)]


def send_all(feed: Feed, pictures: list[MediaPacket]) -> None:
    for picture in pictures:
        feed.send([picture], opening(ready=picture.is_key), 1.0)


def check_watchable(tags: list[Tag]) -> None:
    """Times never fall, and after any gap the next picture is a key frame."""
    media = [tag for tag in tags if tag.kind == Kind.VIDEO and not is_setup_tag(tag)]
    times = [tag.dts_ms for tag in media]
    assert times == sorted(set(times))
    assert is_key_tag(media[0])
    for before, after in pairwise(media):
        assert after.dts_ms == before.dts_ms + 40 or is_key_tag(after)


def test_slow_player_skips_to_the_next_key_frame() -> None:
    slow, quick = FakeOwner(limit_bytes=500), FakeOwner()
    feed = playing(slow, quick)
    pictures = gop_batches(4)
    send_all(feed, pictures[:2])
    slow.make_room(50)  # stops reading in the middle of a tag
    send_all(feed, pictures[2:8])
    for picture in pictures[8:]:  # reads again, from the middle of the second GOP on
        slow.make_room(None)
        send_all(feed, [picture])
    slow.make_room(None)

    tags = slow.tags()
    check_watchable(tags)
    # What was on its way when it stopped is whole, and the third GOP is the first it could start on.
    assert media_times(slow) == [0, 40, 80, *range(400, 800, 40)]
    assert media_times(quick) == list(range(0, 800, 40))
    assert slow.outlet.sent_bytes == len(slow.socket.taken)


def test_the_setup_is_told_again_at_the_key_frame_that_it_skipped_to() -> None:
    slow = FakeOwner(limit_bytes=500)
    feed = playing(slow)
    slow.make_room(0)
    send_all(feed, gop_batches(1, size=200))
    changed = video_header(400, b"changed")
    feed.send([key(400)], opening(headers=(changed,)), 1.0)
    slow.make_room(None)
    setups = [tag.payload for tag in slow.tags() if is_setup_tag(tag) and tag.kind == Kind.VIDEO]
    assert setups[-1] == changed.payload


def test_one_that_only_waits_a_little_skips_nothing() -> None:
    player = FakeOwner(limit_bytes=100_000)
    feed = playing(player)
    player.make_room(10)
    send_all(feed, gop_batches(3))
    player.make_room(None)
    assert media_times(player) == list(range(0, 600, 40))
    assert len([tag for tag in player.tags() if is_setup_tag(tag)]) == 3


def test_a_slow_listener_of_audio_alone_goes_on_with_any_batch() -> None:
    slow = FakeOwner(limit_bytes=300)
    feed = playing(slow)
    slow.make_room(0)
    ready = opening(headers=(audio_header(),))
    for at in range(0, 1000, 20):
        feed.send([audio(at, bytes(80))], ready, 1.0)
    slow.make_room(None)
    feed.send([audio(1000)], ready, 1.0)
    slow.make_room(None)
    times = media_times(slow)
    assert times == sorted(times)
    assert times[-1] == 1000


@given(
    reads=st.lists(st.integers(0, 900), min_size=40, max_size=40),
    sizes=st.lists(st.integers(1, 300), min_size=40, max_size=40),
    limit=st.integers(100, 2000),
)
def test_however_a_player_reads_it_gets_a_file_that_can_be_played(
    reads: list[int], sizes: list[int], limit: int
) -> None:
    player = FakeOwner(limit_bytes=limit)
    feed = playing(player)
    for number, (room, size) in enumerate(zip(reads, sizes, strict=True)):
        player.make_room(room)
        is_key = number % KEY_EVERY == 0
        picture = (key if is_key else inter)(number * 40, bytes(size))
        sound = packet(Kind.AUDIO, number * 40 + 1, b"\xaf\x01" + bytes(size))
        assert feed.send([picture, sound], opening(ready=is_key), 1.0) == []
        assert player.outlet.sent_bytes == len(player.socket.taken)
        assert player.outlet.queued_bytes <= 2 * limit + 1000
    player.make_room(None)
    check_watchable(player.tags())
