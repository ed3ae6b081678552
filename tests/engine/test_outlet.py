from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.kit import FakeOwner

PATIENCE_S = 10.0


def taken(owner: FakeOwner) -> bytes:
    return bytes(owner.socket.taken)


def blocked(limit_bytes: int, *batches: bytes) -> FakeOwner:
    """A player that stopped reading with `batches` waiting, none of which was begun."""
    owner = FakeOwner(0, limit_bytes)
    owner.outlet.hold(batches[0], 0)
    for batch in batches[1:]:
        owner.outlet.offer(batch, None, 1.0)
    return owner


# Writing


def test_what_is_taken_whole_leaves_nothing_behind() -> None:
    owner = FakeOwner()
    owner.outlet.write(b"answer")
    assert taken(owner) == b"answer"
    assert owner.outlet.queue is None
    assert owner.outlet.sent_bytes == 6
    assert not owner.wants_write


def test_what_is_not_taken_waits_in_order_until_the_peer_reads() -> None:
    owner = FakeOwner(4)
    for word in (b"first,", b"second,", b"third"):
        owner.outlet.write(word)
    assert taken(owner) == b"firs"
    assert owner.wants_write
    assert (owner.outlet.sent_bytes, owner.outlet.queued_bytes) == (4, 14)
    owner.make_room(6)
    assert taken(owner) == b"first,seco"
    assert owner.outlet.queued_bytes == 8
    owner.make_room(None)
    assert taken(owner) == b"first,second,third"
    assert (owner.outlet.queue, owner.outlet.queued_bytes, owner.wants_write) == (None, 0, False)


def test_a_send_that_would_block_takes_nothing_and_counts_nothing() -> None:
    owner = FakeOwner(0)
    owner.outlet.write(b"answer")
    assert (owner.outlet.sent_bytes, owner.outlet.queued_bytes) == (0, 6)
    owner.outlet.on_writable(1.0)  # a false alarm
    assert (owner.outlet.sent_bytes, owner.outlet.queued_bytes, owner.wants_write) == (0, 6, True)


def test_a_peer_that_is_gone_is_an_error_and_counts_nothing() -> None:
    owner = FakeOwner()
    owner.socket.error = BrokenPipeError()
    with pytest.raises(BrokenPipeError):
        owner.outlet.write(b"answer")
    assert owner.outlet.sent_bytes == 0


def test_a_peer_that_goes_while_bytes_wait_is_an_error_and_keeps_the_count() -> None:
    owner = FakeOwner(3)
    owner.outlet.write(b"answer")
    owner.socket.error = ConnectionResetError()
    with pytest.raises(ConnectionResetError):
        owner.outlet.on_writable(1.0)
    assert owner.outlet.sent_bytes == 3


def test_control_messages_wait_up_to_the_limit_and_the_one_after_it_is_an_error() -> None:
    owner = FakeOwner(0, limit_bytes=10)
    owner.outlet.write(bytes(10))
    owner.outlet.write(bytes(1))
    with pytest.raises(OSError, match="left 11 bytes unread"):
        owner.outlet.write(b"x")


def test_the_start_of_a_play_may_be_longer_than_the_limit() -> None:
    owner = FakeOwner(0, limit_bytes=10)
    owner.outlet.start(bytes(1000))
    assert owner.outlet.queued_bytes == 1000
    owner.make_room(None)
    assert len(taken(owner)) == 1000


# Slow players


def test_batches_wait_behind_what_waits_as_long_as_they_fit() -> None:
    owner = blocked(12, b"aaaa", b"bbbb", b"cccc")
    owner.make_room(None)
    assert taken(owner) == b"aaaabbbbcccc"
    assert owner.outlet.queue is None


def test_over_the_limit_all_is_given_up_but_what_is_on_its_way() -> None:
    owner = FakeOwner(2, limit_bytes=8)
    owner.outlet.write(b"aaaa")
    owner.outlet.offer(b"bbbb", None, 1.0)
    owner.outlet.offer(b"cccc", None, 2.0)
    assert (owner.outlet.queued_bytes, owner.outlet.skipped_at) == (2, 2.0)
    owner.make_room(None)
    assert taken(owner) == b"aaaa"


def test_having_skipped_it_takes_nothing_until_a_batch_that_it_can_start_on() -> None:
    owner = blocked(8, b"aaaa", b"bbbb", b"cccc")
    owner.make_room(None)
    assert taken(owner) == b"aaaa"
    # It reads again and nothing waits, but the middle of a GOP is of no use to it.
    owner.outlet.offer(b"dddd", None, 3.0)
    assert (taken(owner), owner.wants_write) == (b"aaaa", False)
    owner.outlet.offer(b"KKKK", b"setup", 4.0)
    owner.make_room(None)
    assert taken(owner) == b"aaaasetupKKKK"
    assert (owner.outlet.queue, owner.outlet.skipped_at) == (None, 0.0)


def test_a_batch_to_start_on_is_no_start_while_it_does_not_fit() -> None:
    owner = FakeOwner(0, limit_bytes=8)
    owner.outlet.start(bytes(20))
    owner.outlet.offer(b"KKKK", b"", 1.0)
    assert owner.outlet.queued_bytes == 20
    owner.make_room(16)
    owner.outlet.offer(b"LLLL", b"", 2.0)
    assert owner.outlet.queued_bytes == 8
    owner.make_room(None)
    assert taken(owner) == bytes(20) + b"LLLL"


def test_the_batch_that_is_over_the_limit_may_itself_be_the_one_to_start_on() -> None:
    owner = blocked(8, b"aaaa", b"bbbb")
    owner.outlet.offer(b"KKKK", b"", 2.0)
    owner.make_room(None)
    assert taken(owner) == b"aaaaKKKK"


def test_a_batch_above_the_whole_limit_still_goes_when_nothing_is_ahead_of_it() -> None:
    owner = blocked(8, b"aaaa", b"bbbb", b"cccc")
    owner.make_room(None)
    owner.outlet.offer(bytes(100), b"", 3.0)
    owner.make_room(None)
    assert len(taken(owner)) == 104


def test_a_play_begun_anew_forgets_that_it_skipped() -> None:
    owner = blocked(8, b"aaaa", b"bbbb", b"cccc")
    owner.outlet.start(b"opening")
    assert owner.outlet.skipped_at == 0.0
    owner.make_room(None)
    assert taken(owner) == b"aaaaopening"
    assert owner.outlet.queue is None


def test_control_messages_reach_one_that_skipped_and_waits() -> None:
    owner = blocked(8, b"aaaa", b"bbbb", b"cccc")
    owner.make_room(None)
    owner.outlet.write(b"status")
    assert owner.wants_write
    owner.make_room(None)
    assert taken(owner) == b"aaaastatus"
    assert not owner.wants_write


def test_buffers_are_kept_by_reference_not_copied() -> None:
    batch = bytes(1000)
    owner = blocked(10_000, b"a", batch)
    assert owner.outlet.queue is not None
    assert owner.outlet.queue[1] is batch


# Who is given up


def test_a_peer_that_keeps_up_never_stalls() -> None:
    owner = FakeOwner()
    assert not owner.outlet.stalled(1e9, PATIENCE_S)


def test_a_blocked_peer_has_all_its_patience_from_the_first_look() -> None:
    owner = FakeOwner(0)
    owner.outlet.write(b"answer")
    assert not owner.outlet.stalled(100.0, PATIENCE_S)
    assert not owner.outlet.stalled(109.9, PATIENCE_S)
    assert owner.outlet.stalled(110.0, PATIENCE_S)


def test_each_byte_that_it_takes_gives_it_its_patience_anew() -> None:
    owner = FakeOwner(0)
    owner.outlet.write(b"answer")
    assert not owner.outlet.stalled(100.0, PATIENCE_S)
    owner.make_room(1, now=109.0)
    assert not owner.outlet.stalled(118.9, PATIENCE_S)
    assert owner.outlet.stalled(119.0, PATIENCE_S)


def test_one_that_caught_up_and_blocks_again_is_looked_at_anew() -> None:
    owner = FakeOwner(0)
    owner.outlet.write(b"answer")
    assert not owner.outlet.stalled(100.0, PATIENCE_S)
    owner.make_room(6, now=105.0)
    owner.outlet.write(b"more")
    assert not owner.outlet.stalled(500.0, PATIENCE_S)
    assert owner.outlet.stalled(510.0, PATIENCE_S)


def test_one_that_trickles_is_given_up_when_not_even_a_skip_let_it_catch_up() -> None:
    owner = FakeOwner(0, limit_bytes=100)
    owner.outlet.hold(bytes(90), 0)
    owner.outlet.offer(bytes(90), None, 100.0)
    for second in range(1, 10):
        owner.make_room(1, now=100.0 + second)
        assert not owner.outlet.stalled(100.0 + second, PATIENCE_S)
    owner.make_room(1, now=110.0)
    assert owner.outlet.stalled(110.0, PATIENCE_S)


def test_one_that_caught_up_and_waits_for_a_key_frame_is_not_given_up_for_that() -> None:
    owner = blocked(8, b"aaaa", b"bbbb", b"cccc")
    owner.make_room(None, now=2.0)
    assert not owner.outlet.stalled(1000.0, PATIENCE_S)


# However its sends go


@given(
    limit=st.integers(20, 200),
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("media"), st.integers(1, 60), st.booleans()),
            st.tuples(st.just("control"), st.integers(1, 10), st.just(False)),
            st.tuples(st.just("room"), st.integers(0, 100), st.just(False)),
        ),
        max_size=80,
    ),
)
def test_whole_buffers_come_out_in_order_and_the_count_is_what_the_socket_took(
    limit: int, steps: list[tuple[str, int, bool]]
) -> None:
    owner = FakeOwner(0, limit_bytes=limit)
    outlet = owner.outlet
    offered: list[bytes] = []
    for number, (what, size, starts) in enumerate(steps, 1):
        if what == "room":
            owner.make_room(size)
        elif what == "control":
            if outlet.queued_bytes <= limit:
                offered.append(_framed(number, size))
                outlet.write(offered[-1])
        else:
            offered.append(_framed(number, size))
            _fan_out(owner, offered[-1], starts=starts)
        assert outlet.sent_bytes == len(owner.socket.taken)
        assert outlet.queued_bytes == sum(map(len, outlet.queue or ()))
        assert owner.wants_write == bool(outlet.queue)
        assert outlet.queued_bytes <= limit + 75
    owner.make_room(None)
    came = _frames(taken(owner))
    assert came == [number for number in range(1, len(steps) + 1) if number in came]


def _framed(number: int, size: int) -> bytes:
    return bytes((number, size)) + bytes(size)


def _frames(data: bytes) -> list[int]:
    """The numbers of the buffers in `data`, each of which must be whole."""
    numbers = []
    while data:
        number, size = data[:2]
        assert data[2 : 2 + size] == bytes(size)
        assert len(data) >= 2 + size
        numbers.append(number)
        data = data[2 + size :]
    return numbers


def _fan_out(owner: FakeOwner, batch: bytes, *, starts: bool) -> None:
    """What Feed does with one batch and one player."""
    outlet = owner.outlet
    if outlet.queue is not None:
        outlet.offer(batch, b"" if starts else None, 1.0)
    else:
        outlet.write(batch)
