"""One suite over every carrier of the link."""

from __future__ import annotations

import pytest

from penstock.link.messages import AnyMessage, PublishAsked, Refused, UsageTaken
from tests.link.kit import End, numbered, samples, turn_the_loop

Ends = tuple[End, End]


@pytest.mark.parametrize("message", samples(), ids=lambda message: type(message).__name__)
async def test_every_message_arrives_as_it_was_sent(ends: Ends, message: AnyMessage) -> None:
    one, other = ends
    for sender, receiver in [(one, other), (other, one)]:
        sender.send(message)
        assert await receiver.until_got(1) == [message]
        assert type(receiver.got[0]) is type(message)


async def test_messages_keep_their_order_both_ways(ends: Ends) -> None:
    one, other = ends
    for number in range(300):
        one.send(UsageTaken(number))
        other.send(UsageTaken(-number))
    assert await other.until_got(300) == numbered(300)
    assert await one.until_got(300) == [UsageTaken(-number) for number in range(300)]


async def test_large_messages_arrive_whole(ends: Ends) -> None:
    one, other = ends
    messages = [Refused(number, 422, "why" * 500_000) for number in range(3)]
    one.send(*messages)
    assert await other.until_got(3) == messages


async def test_no_handler_is_called_inside_send_or_close(ends: Ends) -> None:
    one, other = ends
    one.send(UsageTaken(1))
    assert other.log == []
    one.channel.close()
    assert (one.log, other.log) == ([], [])
    await other.until_lost()
    await one.until_lost()


@pytest.mark.parametrize("closes_first", [0, 1])
async def test_both_ends_hear_of_the_end_once_and_last(ends: Ends, closes_first: int) -> None:
    closing, other = ends[closes_first], ends[1 - closes_first]
    closing.send(*numbered(3))
    closing.channel.close()
    await closing.until_lost()
    await other.until_lost()
    await turn_the_loop()
    assert other.log == [*numbered(3), "the other end closed the link"]
    assert closing.log == ["closed here"]


async def test_close_delivers_what_was_sent_before(ends: Ends) -> None:
    one, other = ends
    # More than a socket takes at once.
    messages = [Refused(number, 422, "why" * 1000) for number in range(1000)]
    one.send(*messages)
    one.channel.close()
    await other.until_lost()
    assert other.got == messages


async def test_close_delivers_what_was_sent_before_to_an_end_that_is_sending(ends: Ends) -> None:
    one, other = ends
    one.send(*numbered(5))
    one.channel.close()
    await one.until_lost()
    other.send(*numbered(5))  # to nobody; a socket may fail here, with five messages still unread
    await other.until_lost()
    assert other.got == numbered(5)
    assert len(other.lost) == 1


async def test_nothing_arrives_after_the_end(ends: Ends) -> None:
    one, other = ends
    one.channel.close()
    other.send(*numbered(3))  # it has not heard of it yet
    await one.until_lost()
    await other.until_lost()
    await turn_the_loop()
    assert isinstance(one.log[-1], str)
    assert isinstance(other.log[-1], str)
    assert (len(one.lost), len(other.lost)) == (1, 1)


async def test_sending_and_closing_after_the_end_do_nothing(ends: Ends) -> None:
    one, other = ends
    one.channel.close()
    await one.until_lost()
    await other.until_lost()
    for end in ends:
        end.send(*numbered(3))
        end.channel.close()
    await turn_the_loop()
    assert [len(end.log) for end in ends] == [1, 1]


async def test_sending_behind_a_close_does_nothing(ends: Ends) -> None:
    one, other = ends
    one.channel.close()
    one.send(*numbered(3))
    await other.until_lost()
    assert other.got == []


async def test_both_ends_may_close_at_once(ends: Ends) -> None:
    one, other = ends
    one.channel.close()
    other.channel.close()
    one.channel.close()
    await one.until_lost()
    await other.until_lost()
    await turn_the_loop()
    assert (len(one.log), len(other.log)) == (1, 1)


async def test_handler_may_answer_and_close(ends: Ends) -> None:
    one, other = ends

    def answer(message: AnyMessage) -> None:
        assert isinstance(message, UsageTaken)
        other.send(UsageTaken(message.number + 1000))
        if message.number == 2:
            other.channel.close()

    other.channel.on_message = answer
    one.send(*numbered(3))
    await one.until_lost()
    assert one.got == numbered(3, start=1000)


async def test_handler_may_be_replaced(ends: Ends) -> None:
    one, other = ends
    seen: list[AnyMessage] = []
    one.send(UsageTaken(1))
    await other.until_got(1)
    other.channel.on_message = seen.append
    one.send(UsageTaken(2))
    one.channel.close()
    await other.until_lost()
    assert (other.got, seen) == ([UsageTaken(1)], [UsageTaken(2)])


def test_samples_hold_what_is_declared() -> None:
    kinds = {type(message).__name__ for message in samples()}
    assert {"Hello", "Ended", "Usage", "Welcome", "Admitted", "Drop"} <= kinds
    (full, bare) = [message for message in samples() if isinstance(message, PublishAsked)]
    assert full.holder is not None
    assert bare.holder is None
