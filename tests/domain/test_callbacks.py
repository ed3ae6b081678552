"""The outbox: at least once, in order, with every try written down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta

import pytest

from penstock.domain import callbacks
from penstock.domain.callbacks import Callbacks
from penstock.domain.caller import Caller
from penstock.domain.live import Live
from penstock.errors import NetworkRefused, NotFound, PeerError
from penstock.storage.relay_rows import Notice, NoticeQuery
from tests.clock import ManualClock
from tests.storage.kit import notice

ME = Caller(account="alice", access_key="AKone")
URL = "http://receiver.test/"
Answer = int | Exception


class Receiver:
    """Answers as a test says; each URL's last answer stays."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.got: list[tuple[str, bytes]] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, url: str, body: bytes) -> int:
        self.got.append((url, body))
        await self.may_answer.wait()
        answers = self.answers.get(url, [200])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Post:
    """The outbox with all that a test touches."""

    def __init__(self, live: Live, clock: ManualClock) -> None:
        self.live, self.clock = live, clock
        self.receiver = Receiver()
        self.outbox = self.opened()

    def opened(self) -> Callbacks:
        def encode(notice: Notice, now: datetime) -> bytes:
            return f"{notice.subject}{notice.sequence}".encode()

        return Callbacks(self.live, self.receiver, encode, self.clock, lambda: 1.0)

    async def put(self, subject: str = "t", url: str = URL) -> Notice:
        return await self.live.store.put_notice(notice(subject, url=url, made_at=self.clock.now()))

    async def round(self) -> None:
        """Begin what is due, and let it come to its end."""
        await self.outbox.step()
        await self.until(lambda: not self.outbox._under_way)

    async def later(self, seconds: float) -> None:
        self.clock.spend(seconds)
        await self.round()

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not is_so():  # noqa: ASYNC110 - what is waited for is done in threads
                await asyncio.sleep(0)

    async def state(self, made: Notice) -> Notice:
        found = await self.live.store.find_notice(made.id)
        assert found is not None
        return found

    @property
    def bodies(self) -> list[str]:
        return [body.decode() for _, body in self.receiver.got]


@pytest.fixture
async def post(live: Live, clock: ManualClock) -> AsyncIterator[Post]:
    post = Post(live, clock)
    yield post
    await post.outbox.close()


async def test_a_callback_is_delivered_and_the_try_is_written_down(post: Post) -> None:
    made = await post.put()
    await post.round()
    assert post.bodies == ["t1"]
    kept = await post.state(made)
    assert (kept.state, kept.tries, kept.answer, kept.next_try_at) == ("delivered", 1, "HTTP 200", None)
    (tried,) = await post.live.store.deliveries([made.id])
    assert (tried.status, tried.error, tried.at) == (200, "", post.clock.now())
    await post.later(3600)
    assert post.bodies == ["t1"]


async def test_three_quick_tries_follow_and_then_slower_ones_for_ten_minutes(post: Post) -> None:
    post.receiver.answers[URL] = [500]
    made = await post.put()
    begun = post.clock.now()
    at: list[float] = []
    while (await post.state(made)).state == "waiting":
        before = len(post.bodies)
        await post.round()
        at += [(post.clock.now() - begun).total_seconds()] * (len(post.bodies) - before)
        post.clock.spend(1)
        assert post.clock.now() - begun < timedelta(minutes=20)
    assert at == [0, 3, 6, 9, 19, 39, 79, 159, 279, 399, 519]
    kept = await post.state(made)
    assert (kept.state, kept.tries, kept.answer) == ("given up", 11, "HTTP 500")
    assert len(await post.live.store.deliveries([made.id])) == 11
    assert dict(post.live.tallies.callbacks) == {("delivered",): 0, ("failed",): 11, ("given up",): 1}


@pytest.mark.parametrize("answer", [201, 204, 302, 404, 500, PeerError("refused"), NetworkRefused("private")])
async def test_only_200_is_an_answer(post: Post, answer: Answer) -> None:
    post.receiver.answers[URL] = [answer, 200]
    made = await post.put()
    await post.round()
    kept = await post.state(made)
    assert kept.state == "waiting"
    assert kept.answer == (str(answer) if isinstance(answer, Exception) else f"HTTP {answer}")
    await post.later(3)
    assert (await post.state(made)).state == "delivered"


async def test_an_answer_that_does_not_come_is_a_failed_try(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "TIMEOUT_S", 0.01)
    post.receiver.may_answer.clear()
    made = await post.put()
    await post.round()
    assert (await post.state(made)).answer == "no answer within 0.01 s"


async def test_what_comes_behind_waits_for_what_failed(post: Post) -> None:
    post.receiver.answers[URL] = [500, 500, 200]
    for _ in range(3):
        await post.put("t")
    await post.put("other", "http://elsewhere.test/")
    await post.round()
    assert sorted(post.bodies) == ["other1", "t1"]
    for seconds in (1, 2, 3, 0, 0):
        await post.later(seconds)
    assert [body for body in post.bodies if body[0] == "t"] == ["t1", "t1", "t1", "t2", "t3"]


async def test_what_was_given_up_lets_the_next_one_through(post: Post) -> None:
    post.receiver.answers[URL] = [500]
    first, second = await post.put(), await post.put()
    while (await post.state(first)).state == "waiting":
        await post.later(30)
    post.receiver.answers[URL] = [200]
    await post.later(30)
    assert (await post.state(second)).state == "delivered"


async def test_an_outage_of_the_receiver_loses_nothing_and_no_order(post: Post) -> None:
    post.receiver.answers[URL] = [PeerError("refused")]
    for _ in range(3):
        await post.put()
    for _ in range(8):
        await post.later(30)
    post.receiver.answers[URL] = [200]
    post.receiver.got.clear()
    for _ in range(10):
        await post.later(30)
    assert post.bodies == ["t1", "t2", "t3"]


async def test_what_waits_goes_on_in_the_next_process(post: Post) -> None:
    post.receiver.may_answer.clear()
    made = await post.put()
    await post.outbox.step()
    await post.until(lambda: bool(post.bodies))
    await post.outbox.close()  # as if it was killed: nothing of this try is written
    post.receiver.may_answer.set()
    post.outbox = post.opened()
    await post.round()
    assert post.bodies == ["t1", "t1"], "at least once"
    assert (await post.state(made)).state == "delivered"


async def test_a_host_gets_few_at_once(post: Post) -> None:
    post.receiver.may_answer.clear()
    for number in range(10):
        await post.put(f"t{number}")
    await post.put("other", "http://elsewhere.test/")
    await post.outbox.step()
    await post.until(lambda: len(post.bodies) == callbacks.MAX_PER_HOST + 1)
    await post.outbox.step()
    assert len(post.bodies) == callbacks.MAX_PER_HOST + 1
    post.receiver.may_answer.set()
    for _ in range(3):
        await post.until(lambda: not post.outbox._under_way)
        await post.round()
    assert len(post.bodies) == 11


async def test_a_host_that_always_fails_is_left_alone_for_a_while(post: Post) -> None:
    post.receiver.answers[URL] = [500]
    for number in range(callbacks.TRIPS_AT + 20):
        await post.put(f"t{number}")
    for _ in range(10):
        await post.round()
    tried = len(post.bodies)
    assert callbacks.TRIPS_AT <= tried < callbacks.TRIPS_AT + callbacks.MAX_PER_HOST
    await post.put("other", "http://elsewhere.test/")
    await post.round()
    assert post.bodies[tried:] == ["other1"]
    await post.later(callbacks.TRIPPED_S)
    assert len(post.bodies) == tried + 1 + callbacks.MAX_PER_HOST
    post.receiver.answers[URL] = [200]
    await post.later(callbacks.TRIPPED_S)
    for _ in range(20):
        await post.later(3)
    assert (await post.live.store.notices(NoticeQuery(state="waiting"))).total == 0


async def test_what_was_given_up_is_delivered_again_by_hand(post: Post) -> None:
    post.receiver.answers[URL] = [500]
    made = await post.put()
    while (await post.state(made)).state == "waiting":
        await post.later(60)
    post.receiver.answers[URL] = [200]
    again = await callbacks.redeliver(post.live, ME, made.id)
    assert (again.state, again.sequence) == ("waiting", 1)
    await post.round()
    assert (await post.state(made)).state == "delivered"
    await callbacks.redeliver(post.live, ME, made.id)
    await post.round()
    assert post.bodies[-2:] == ["t1", "t1"]


async def test_another_accounts_callback_is_none(post: Post) -> None:
    made = await post.put()
    for caller, id in ((Caller(account="bob", access_key=""), made.id), (ME, made.id + 1)):
        with pytest.raises(NotFound):
            await callbacks.redeliver(post.live, caller, id)
