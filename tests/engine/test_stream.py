"""When batches leave, and where players start. The players speak FLV, so that what they got can be read back."""

from __future__ import annotations

import pytest

from penstock.engine.formats import FLV, RTMP
from penstock.engine.stream import MAX_REST_S, FlushPolicy, Stream, restamp
from penstock.model import Kind, MediaPacket
from penstock.protocols.flv import Tag, file_header
from penstock.protocols.flvbody import video_body
from tests.clock import ManualClock
from tests.engine.kit import (
    AAC_HEADER,
    AVC_HEADER,
    LOW,
    FakeOwner,
    audio,
    audio_header,
    bodies,
    inter,
    is_key_tag,
    is_setup_tag,
    key,
    make_stream,
    metadata,
    packet,
    put,
    read_flv,
    video_header,
)

MEDIA_HEADERS = [AVC_HEADER, AAC_HEADER]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def stream(clock: ManualClock) -> Stream:
    return make_stream(clock)


def join(stream: Stream, room: int | None = None, limit_bytes: int = 1_000_000) -> FakeOwner:
    player = FakeOwner(room, limit_bytes)
    stream.attach(player.outlet, FLV)
    return player


def begin(stream: Stream) -> None:
    """What an encoder sends first."""
    put(stream, metadata(), video_header(), audio_header())


def started(stream: Stream) -> FakeOwner:
    """A player that got the start of a stream: setup and a key frame at 0."""
    begin(stream)
    player = join(stream)
    put(stream, key(0))
    player.socket.sends.clear()
    return player


def batches(player: FakeOwner) -> list[list[tuple[int, bytes]]]:
    """Each send since `started`, as its tags' times and bodies."""
    header = file_header(audio=True, video=True)
    return [[(tag.dts_ms, tag.payload) for tag in read_flv(header + sent)] for sent in player.socket.sends]


def media_of(player: FakeOwner) -> list[tuple[int, bytes]]:
    return [(tag.dts_ms, tag.payload) for tag in player.tags() if not is_setup_tag(tag)]


def as_sent(*packets: MediaPacket) -> list[tuple[int, bytes]]:
    return [(item.dts_ms, bytes(item.payload)) for item in packets]


# When a batch leaves


def test_a_picture_leaves_at_once_and_the_audio_before_it_rides_along(stream: Stream, clock: ManualClock) -> None:
    player = started(stream)
    sound, picture = audio(21), inter(40)
    put(stream, sound)
    assert player.socket.sends == []
    put(stream, picture)
    assert batches(player) == [as_sent(sound, picture)]
    assert clock.waiting() == []


def test_all_that_one_receive_brought_is_one_batch(stream: Stream) -> None:
    player = started(stream)
    packets = [audio(21), inter(40), audio(43), inter(80), audio(64)]
    put(stream, *packets)
    assert batches(player) == [as_sent(*packets)]


def test_audio_alone_leaves_after_its_time_counted_from_the_first(stream: Stream, clock: ManualClock) -> None:
    player = started(stream)
    first, second, third = audio(21), audio(43), audio(64)
    put(stream, first)
    clock.advance(0.030)
    put(stream, second)
    clock.advance(0.0299)
    assert player.socket.sends == []
    clock.advance(0.0001)
    assert batches(player) == [as_sent(first, second)]
    put(stream, third)
    assert clock.waiting() == [0.06]


def test_a_batch_ends_before_a_key_frame(stream: Stream) -> None:
    player = started(stream)
    before, sound, picture, after = inter(40), audio(43), key(80), inter(120)
    put(stream, before, sound, picture, after)
    assert batches(player) == [as_sent(before, sound), as_sent(picture, after)]


def test_audio_that_waits_leaves_ahead_of_a_key_frame_not_with_it(stream: Stream) -> None:
    player = started(stream)
    sound, picture = audio(21), key(40)
    put(stream, sound)
    put(stream, picture)
    assert batches(player) == [as_sent(sound), as_sent(picture)]


@pytest.mark.parametrize("every_s", [0.1, 0.25])
def test_a_policy_of_batches_holds_pictures_back_until_the_time_is_up(clock: ManualClock, every_s: float) -> None:
    stream = make_stream(clock, FlushPolicy(every_s=every_s, audio_s=0.06, gop_cache_bytes=1_000_000))
    player = started(stream)
    first, second, third = inter(40), inter(80), inter(120)
    put(stream, first)
    clock.advance(every_s / 2)
    put(stream, second)
    clock.advance(every_s / 2 - 0.001)
    assert player.socket.sends == []
    clock.advance(0.002)
    assert batches(player) == [as_sent(first, second)]

    # Later than that, the next one need not wait.
    clock.advance(every_s)
    put(stream, third)
    assert batches(player)[1:] == [as_sent(third)]


def test_even_then_a_key_frame_starts_a_batch_and_is_held_back_itself(clock: ManualClock) -> None:
    stream = make_stream(clock, FlushPolicy(every_s=0.1, audio_s=0.06, gop_cache_bytes=1_000_000))
    player = started(stream)
    put(stream, inter(40))
    clock.advance(0.05)
    put(stream, key(80), inter(120))
    assert batches(player) == [as_sent(inter(40))]
    clock.advance(0.1)
    assert batches(player)[1:] == [as_sent(key(80), inter(120))]


@pytest.mark.parametrize(("costs_s", "rest_s"), [(0.03, 0.03), (0.2, 0.2), (0.4, MAX_REST_S), (5.0, MAX_REST_S)])
def test_the_stream_rests_as_long_as_the_fan_out_took_but_not_for_ever(
    stream: Stream, clock: ManualClock, costs_s: float, rest_s: float
) -> None:
    player = started(stream)
    player.socket.clock, player.socket.costs_s = clock, costs_s
    put(stream, inter(40))
    assert len(player.socket.sends) == 1
    put(stream, inter(80))
    put(stream, inter(120))
    clock.advance(rest_s - 0.001)
    assert len(player.socket.sends) == 1
    clock.advance(0.002)
    assert batches(player)[1:] == [as_sent(inter(80), inter(120))]


def test_a_picture_does_not_wait_for_the_audio_timer(stream: Stream, clock: ManualClock) -> None:
    player = started(stream)
    put(stream, audio(21))
    assert clock.waiting() == [0.06]
    put(stream, inter(40))
    assert clock.waiting() == []
    clock.advance(1)
    assert len(player.socket.sends) == 1


def test_without_players_nothing_is_scheduled_and_nothing_piles_up(stream: Stream, clock: ManualClock) -> None:
    begin(stream)
    put(stream, key(0), audio(5))
    put(stream, inter(40))
    assert clock.waiting() == []
    assert media_of(join(stream)) == as_sent(key(0), audio(5), inter(40))


def test_a_timer_that_outlives_the_last_player_does_nothing(stream: Stream, clock: ManualClock) -> None:
    player = started(stream)
    put(stream, audio(21))
    stream.detach(player.outlet)
    clock.advance(1)
    put(stream, audio(43))
    clock.advance(1)
    assert player.socket.sends == []


def test_all_players_of_a_format_are_given_one_and_the_same_object(stream: Stream) -> None:
    begin(stream)
    given: list[list[int]] = []
    for _ in range(3):
        player = join(stream)
        seen: list[int] = []
        given.append(seen)

        def send(buffer: bytes, seen: list[int] = seen) -> int:
            seen.append(id(buffer))
            return len(buffer)

        player.outlet.send = send  # type: ignore[assignment]
    put(stream, key(0), audio(5))
    assert given[0] == given[1] == given[2] != []


# Where a player starts


def test_a_player_starts_on_the_last_key_frame_and_misses_nothing(stream: Stream) -> None:
    begin(stream)
    put(stream, key(0), inter(40), audio(45))
    put(stream, key(80), audio(85))
    put(stream, inter(120))
    player = join(stream)
    assert media_of(player) == as_sent(key(80), audio(85), inter(120))
    put(stream, inter(160))
    assert media_of(player) == as_sent(key(80), audio(85), inter(120), inter(160))


def test_before_it_come_the_file_header_the_metadata_and_each_tracks_setup(stream: Stream) -> None:
    begin(stream)
    put(stream, key(800))
    player = join(stream)
    assert player.socket.taken.startswith(file_header(audio=True, video=True))
    tags = player.tags()
    assert [(tag.kind, tag.dts_ms) for tag in tags] == [
        (Kind.DATA, 0),  # always there, whatever the time of what follows
        (Kind.VIDEO, 800),
        (Kind.AUDIO, 800),
        (Kind.VIDEO, 800),
    ]
    assert bodies(tags)[1:3] == MEDIA_HEADERS


@pytest.mark.parametrize(
    ("headers", "flags"),
    [([video_header()], 0x01), ([audio_header()], 0x04), ([video_header(), audio_header()], 0x05)],
)
def test_the_file_header_names_the_tracks_that_there_are(
    stream: Stream, headers: list[MediaPacket], flags: int
) -> None:
    put(stream, *headers)
    player = join(stream)
    if flags & 1:
        put(stream, key(0))
    else:
        put(stream, audio(0))
    assert player.socket.taken[4] == flags


def test_a_player_joining_between_the_gops_start_and_its_flush_gets_each_frame_once(clock: ManualClock) -> None:
    stream = make_stream(clock, FlushPolicy(every_s=0.1, audio_s=0.06, gop_cache_bytes=1_000_000))
    started(stream)
    put(stream, inter(40))
    put(stream, key(80), inter(120))  # held back
    player = join(stream)
    assert media_of(player) == as_sent(key(0), inter(40))
    clock.advance(0.1)
    assert media_of(player) == as_sent(key(0), inter(40), key(80), inter(120))


def test_those_who_wait_start_together_at_the_next_key_frame(stream: Stream) -> None:
    begin(stream)
    early = [join(stream), join(stream)]
    put(stream, inter(0))
    put(stream, audio(10), inter(40))
    assert [player.socket.sends for player in early] == [[], []]
    put(stream, inter(80), key(120), inter(160))
    for player in early:
        assert media_of(player) == as_sent(key(120), inter(160))
        assert bodies(player.tags())[1:3] == MEDIA_HEADERS


def test_audio_alone_starts_anywhere_behind_its_setup(stream: Stream, clock: ManualClock) -> None:
    put(stream, audio_header())
    for at in (0, 21, 43):
        put(stream, audio(at))
    player = join(stream)
    put(stream, audio(64))
    clock.advance(0.06)
    assert bodies(player.tags()) == [AAC_HEADER, audio(64).payload]
    assert player.tags()[0].dts_ms == 43


def test_a_player_that_waited_for_an_audio_stream_starts_with_its_first_batch(
    stream: Stream, clock: ManualClock
) -> None:
    player = join(stream)
    put(stream, audio_header(), audio(0), audio(21))
    clock.advance(0.06)
    assert bodies(player.tags()) == [AAC_HEADER, audio(0).payload, audio(21).payload]


def test_video_alone_starts_on_a_key_frame(stream: Stream) -> None:
    put(stream, video_header())
    put(stream, inter(0))
    player = join(stream)
    put(stream, inter(40))
    assert player.socket.sends == []
    put(stream, key(80))
    assert [is_key_tag(tag) for tag in player.tags()] == [False, True]


def test_audio_ahead_of_the_first_picture_is_no_audio_stream(stream: Stream, clock: ManualClock) -> None:
    put(stream, video_header(), audio_header(), audio(0))
    player = join(stream)
    clock.advance(1)
    assert player.socket.sends == []
    put(stream, audio(21), key(40))
    assert media_of(player) == as_sent(key(40))


def test_over_the_caches_limit_a_player_waits_for_the_next_key_frame(clock: ManualClock) -> None:
    stream = make_stream(clock, FlushPolicy(every_s=0.0, audio_s=0.06, gop_cache_bytes=1200))
    begin(stream)
    put(stream, key(0, bytes(600)))
    put(stream, inter(40, bytes(600)))
    player = join(stream)
    put(stream, inter(80))
    assert player.socket.sends == []
    put(stream, key(120))
    assert media_of(player) == as_sent(key(120))


def test_a_join_sends_the_setup_that_was_in_force_at_its_key_frame(stream: Stream) -> None:
    begin(stream)
    put(stream, key(0))
    put(stream, video_header(40, b"new"), inter(40))
    player = join(stream)
    # The old setup first, then the frames it is for, then the new one in its place among the frames.
    assert bodies(player.tags())[1] == AVC_HEADER
    assert media_of(player) == as_sent(key(0), inter(40))
    assert bodies(player.tags())[-2] == video_header(record=b"new").payload


def test_a_setup_that_changes_mid_stream_reaches_those_on_air_and_those_to_come(stream: Stream) -> None:
    on_air = started(stream)
    changed = video_header(40, b"new")
    put(stream, changed, key(40))
    assert batches(on_air) == [as_sent(changed), as_sent(key(40))]
    late = join(stream)
    assert [tag.payload for tag in late.tags() if video_setup(tag)] == [changed.payload]


def test_of_two_setups_in_one_batch_a_waiting_player_gets_the_one_for_the_first_frame_first(
    clock: ManualClock,
) -> None:
    stream = make_stream(clock, LOW)
    begin(stream)
    player = join(stream)
    changed = video_header(40, b"new")
    put(stream, key(0), inter(20), changed, key(40))
    setups = [tag.payload for tag in player.tags() if video_setup(tag)]
    assert setups == [AVC_HEADER, changed.payload]
    assert media_of(player) == as_sent(key(0), inter(20), key(40))


def video_setup(tag: Tag) -> bool:
    body = video_body(tag.payload) if tag.kind == Kind.VIDEO else None
    return body is not None and body.is_header


def test_a_new_sessions_setup_replaces_all_of_the_old_ones(stream: Stream) -> None:
    begin(stream)
    put(stream, key(0))
    stream.begin()
    other = video_header(1000, b"other")
    put(stream, other, key(1000))
    player = join(stream)
    # The last publisher had sound and metadata; this one said nothing of them.
    assert [(tag.kind, tag.dts_ms) for tag in player.tags()] == [(Kind.VIDEO, 1000), (Kind.VIDEO, 1000)]
    assert bodies(player.tags())[0] == other.payload
    assert player.socket.taken[4] == 0x01


def test_between_two_sessions_a_player_waits_for_the_new_one(stream: Stream) -> None:
    begin(stream)
    put(stream, key(0))
    stream.begin()
    player = join(stream)
    assert player.socket.sends == []
    put(stream, video_header(1000), key(1000))
    assert media_of(player) == as_sent(key(1000))


def test_a_join_in_a_new_session_is_not_given_the_start_that_was_kept_of_the_last(stream: Stream) -> None:
    begin(stream)
    put(stream, key(0))
    join(stream)
    join(stream)  # both from one opening, which is kept for the next one
    stream.begin()
    put(stream, audio_header(1000), audio(1000))  # sound alone, not flushed yet
    player = join(stream)
    assert media_of(player) == []


def test_metadata_in_force_is_the_latest(stream: Stream) -> None:
    begin(stream)
    put(stream, key(0))
    put(stream, metadata("two"), key(40))
    told = [tag for tag in join(stream).tags() if tag.kind == Kind.DATA]
    assert [tag.payload for tag in told] == [metadata("two").payload]


def test_metadata_stays_at_zero_where_a_setup_moves_to_where_a_player_starts() -> None:
    assert restamp(metadata(), 500) == metadata()
    moved = restamp(video_header(0), 500)
    assert (moved.dts_ms, moved.payload) == (500, video_header().payload)
    assert moved.tag == video_header(500).tag


def test_all_who_join_before_the_next_batch_share_one_opening(stream: Stream) -> None:
    begin(stream)
    put(stream, key(0))
    openings: list[object] = []
    for _ in range(3):
        player = FakeOwner()

        def send(buffer: bytes) -> int:
            openings.append(buffer)
            return len(buffer)

        player.outlet.send = send  # type: ignore[assignment]
        stream.attach(player.outlet, FLV)
    assert openings[0] is openings[1] is openings[2]


# Players come and go


def test_a_format_that_nobody_plays_any_more_costs_nothing(stream: Stream) -> None:
    begin(stream)
    put(stream, key(0))
    flv, rtmp = join(stream), FakeOwner()
    stream.attach(rtmp.outlet, RTMP)
    assert set(stream.feeds) == {"flv", "rtmp"}
    stream.detach(rtmp.outlet)
    assert set(stream.feeds) == {"flv"}
    assert list(stream.outlets()) == [flv.outlet]


def test_a_player_that_is_gone_when_it_joins_leaves_no_trace(stream: Stream) -> None:
    begin(stream)
    put(stream, key(0))
    player = FakeOwner()
    player.socket.error = BrokenPipeError()
    with pytest.raises(BrokenPipeError):
        stream.attach(player.outlet, FLV)
    assert stream.feeds == {}


def test_a_player_found_gone_in_the_fan_out_is_told_of_once_and_the_others_get_the_batch(stream: Stream) -> None:
    begin(stream)
    put(stream, key(0))
    players = [join(stream) for _ in range(3)]
    players[1].socket.error = ConnectionResetError()
    put(stream, inter(40))
    put(stream, inter(80))
    assert [len(player.losses) for player in players] == [0, 1, 0]
    assert [media_of(player) for player in (players[0], players[2])] == [as_sent(key(0), inter(40), inter(80))] * 2


def test_one_that_waited_and_is_gone_is_told_of_once(stream: Stream) -> None:
    begin(stream)
    player = join(stream)
    player.socket.error = BrokenPipeError()
    put(stream, key(0))
    assert len(player.losses) == 1
    assert list(stream.outlets()) == []


def test_a_lost_player_may_take_others_with_it_while_it_is_told(stream: Stream) -> None:
    begin(stream)
    put(stream, key(0))
    first, second = join(stream), join(stream)

    def lost(why: str) -> None:
        stream.detach(second.outlet)

    first.lost = lost  # type: ignore[method-assign]
    first.socket.error = BrokenPipeError()
    put(stream, inter(40))
    put(stream, inter(80))
    assert media_of(second) == as_sent(key(0), inter(40))


def test_the_end_of_the_line_is_the_furthest_packet(stream: Stream) -> None:
    put(stream, key(80), audio(60))
    assert stream.end_ms == 80


def test_a_slow_player_is_given_the_setup_again_that_it_skipped(clock: ManualClock) -> None:
    stream = make_stream(clock, LOW)
    begin(stream)
    put(stream, key(0))
    player = join(stream, limit_bytes=1000)
    player.make_room(0)
    put(stream, inter(40, bytes(700)))
    put(stream, inter(80, bytes(700)))  # over the limit: left out
    changed = video_header(120, b"new")
    put(stream, changed)
    put(stream, key(120))  # no room yet, and the queue is still long
    player.make_room(None)
    put(stream, key(160))
    player.make_room(None)
    last_setup = [tag.payload for tag in player.tags() if video_setup(tag)][-1]
    assert last_setup == changed.payload
    assert media_of(player)[-1] == as_sent(key(160))[0]


def test_packets_of_other_kinds_pass_in_their_place(stream: Stream) -> None:
    player = started(stream)
    cue = packet(Kind.DATA, 40, b"\x02\x00\x0aonTextData")
    put(stream, cue, inter(40))
    assert batches(player) == [as_sent(cue, inter(40))]
