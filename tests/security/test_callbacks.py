"""2, 3, 23, 29. Callbacks: no hammer to hit others with, no way inside, and nothing in them that should not be."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from penstock.app.relays import Poster
from penstock.clouds.volcengine import callbacks as volcengine
from penstock.config import Config
from penstock.domain import callbacks
from penstock.domain.live import Live
from penstock.domain.relays.notices import Event, notice_of
from penstock.domain.relays.states import TaskState
from penstock.errors import NetworkRefused, PeerError
from penstock.net.guard import Guard
from penstock.storage.errors import StorageError
from penstock.storage.relay_rows import Notice, NoticeQuery, RelayTask
from tests.clock import START, ManualClock
from tests.domain.kit import opened
from tests.domain.test_callbacks import Post
from tests.servers.house import until
from tests.servers.relaykit import Script
from tests.storage.kit import notice, relay

VICTIM = "victim.test"
KEY = "callback-key-77aa66"
STREAM_KEY = "stream-key-13579b"


@pytest.fixture
async def live() -> AsyncIterator[Live]:
    async with opened(ManualClock()) as live:
        yield live


@asynccontextmanager
async def outbox(live: Live) -> AsyncIterator[Post]:
    post = Post(live, ManualClock())
    yield post
    await post.outbox.close()


def spelled(number: int) -> str:
    """One of many URLs of the same host."""
    return (
        f"http://{VICTIM}/{number}",
        f"https://{VICTIM}/?{number}",
        f"http://{VICTIM.upper()}:{8000 + number}/",
        f"https://{VICTIM}.:{9000 + number}/",
    )[number % 4]


# 29. A hammer to hit others with


async def test_29_one_host_gets_few_calls_at_once_whoever_wants_them_and_however_it_is_spelled(live: Live) -> None:
    async with outbox(live) as post:
        post.receiver.may_answer.clear()
        for number in range(60):
            await live.store.put_notice(notice(f"t{number}", account=f"a{number % 20}", url=spelled(number)))
        for _ in range(5):
            await post.outbox.step()
        await post.until(lambda: len(post.receiver.got) == callbacks.MAX_PER_HOST)
        assert len(post.outbox._under_way) == callbacks.MAX_PER_HOST
        post.receiver.may_answer.set()


async def test_29_a_host_that_does_not_want_them_gets_a_trickle(live: Live) -> None:
    async with outbox(live) as post:
        for number in range(60):
            post.receiver.answers[spelled(number)] = [500]
            await live.store.put_notice(notice(f"t{number}", account=f"a{number % 20}", url=spelled(number)))
        began = post.clock.now()
        while post.clock.now() - began < timedelta(minutes=5):
            await post.later(0.5)
        # In the first moment what it takes to see it, then a handful every half minute.
        most = callbacks.TRIPS_AT + callbacks.MAX_PER_HOST + callbacks.MAX_PER_HOST * 300 / callbacks.TRIPPED_S
        assert callbacks.TRIPS_AT <= len(post.receiver.got) <= most


async def test_29_whose_callbacks_hang_holds_up_no_other_account(live: Live) -> None:
    async with outbox(live) as post:
        post.receiver.may_answer.clear()
        for number in range(callbacks.LOOKED_AT + 50):
            await live.store.put_notice(notice(f"t{number}", account="mallory", url=f"http://slow{number}.test/"))
        await live.store.put_notice(notice("mine", account="alice", url="http://mine.test/"))
        for _ in range(3):
            await post.outbox.step()
        await post.until(lambda: len(post.receiver.got) == callbacks.MAX_PER_ACCOUNT + 1)
        assert post.receiver.got[-1][0] == "http://mine.test/"
        post.receiver.may_answer.set()


async def test_29_a_disk_that_is_full_repeats_no_call_at_every_round(
    live: Live, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with outbox(live) as post:
        made = await post.put()

        async def full(*_: object) -> None:
            raise StorageError("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(live.store, "update_notice", full)
            for _ in range(100):
                await post.later(0.5)
            assert len(post.receiver.got) == len(caplog.records) == 2
        await post.later(callbacks.UNWRITTEN_S)
        assert (await post.state(made)).state == "delivered"
        assert (post.outbox._unwritten, +post.outbox._hosts, +post.outbox._accounts) == ({}, {}, {})


async def test_29_a_callback_that_cannot_be_made_is_given_up_like_any_other(
    live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    async with outbox(live) as post:

        def fails(*_: object) -> bytes:
            raise KeyError("state")

        post.outbox._encode = fails
        made = await post.put()
        while (await post.state(made)).state == "waiting":
            await post.later(30)
        kept = await post.state(made)
        assert (kept.state, kept.answer) == ("given up", "a fault in the server")
        assert post.receiver.got == []


async def test_29_a_receiver_that_is_gone_for_good_fills_no_disk(live: Live) -> None:
    async with outbox(live) as post:
        post.receiver.answers["http://gone.test/"] = [PeerError("refused")]
        for _ in range(300):
            await live.store.put_notice(notice("t", url="http://gone.test/"))
        assert (await live.store.notices(NoticeQuery(state="waiting", limit=0))).total == 50
        await post.round()
        assert len(post.receiver.got) == 1


async def test_29_what_is_remembered_of_hosts_is_bounded(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "MAX_HOSTS", 10)
    monkeypatch.setattr(callbacks, "TRIPS_AT", 1)
    async with outbox(live) as post:
        for number in range(50):
            url = f"http://host{number}.test/"
            post.receiver.answers[url] = [500]
            await live.store.put_notice(notice(f"t{number}", account=f"a{number}", url=url))
        await post.round()
        assert len(post.receiver.got) == 50
        outbox_ = post.outbox
        assert (len(outbox_._failed), len(outbox_._left_alone)) == (10, 10)
        assert (+outbox_._hosts, +outbox_._accounts, outbox_._under_way) == ({}, {}, {})


# 3. A way inside


@asynccontextmanager
async def poster(*allowed: str) -> AsyncIterator[Poster]:
    opened = Poster(Guard(allowed), Config())
    yield opened
    await opened.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{}/",
        "http://[::1]:{}/",
        "http://[::ffff:127.0.0.1]:{}/",
        "http://2130706433:{}/",
        "http://0x7f.1:{}/",
        "http://localhost:{}/",
        "http://169.254.169.254:{}/latest/meta-data",
        "ftp://127.0.0.1:{}/",
        "http://public.test@127.0.0.1:{}/",
    ],
)
async def test_3_no_callback_is_posted_into_the_network_here(url: str) -> None:
    async with Script(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as inside, poster() as post:
        with pytest.raises((NetworkRefused, PeerError)):
            await post(url.format(inside.port), b"{}")
        assert inside.connections == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_3_a_receiver_sends_no_callback_elsewhere(status: int) -> None:
    async with Script(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as elsewhere:
        answer = f"HTTP/1.1 {status} Go\r\nLocation: http://127.0.0.1:{elsewhere.port}/\r\nContent-Length: 0\r\n\r\n"
        async with Script(answer.encode()) as receiver, poster("127.0.0.1/32") as post:
            assert await post(f"http://127.0.0.1:{receiver.port}/", b"{}") == status
        assert elsewhere.connections == 0


async def test_29_an_answer_without_end_is_not_read_and_leaves_nothing_open() -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async with Script(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 4_000_000) as receiver:
        before = open_files()
        async with poster("127.0.0.1/32") as post:
            for _ in range(5):
                assert await post(f"http://127.0.0.1:{receiver.port}/", b"{}") == 200
        assert receiver.connections == 5
        await until(lambda: open_files() == before)


# 2 and 23. What is in them


def told(task: RelayTask, error: str = "") -> Notice:
    made = notice_of(task, Event.ERROR, TaskState.IN_EFFECT, START, side="source", error=error)
    assert made is not None
    return made


def body_of(made: Notice) -> bytes:
    facts = msgspec.json.decode(made.facts, type=volcengine.RelayFacts)
    return volcengine.encode(facts, made.event, 1, KEY, START)


HOSTILE = 'cam\r\nX-Injected: 1\r\n\r\n<script>\x1b[2J\u202e"}'


async def test_2_no_word_of_a_user_becomes_a_header_of_a_callback() -> None:
    task = msgspec.structs.replace(relay("t1"), title=HOSTILE, callback_url="http://receiver.test/", group=HOSTILE)
    body = body_of(told(task, HOSTILE))
    async with Script(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as receiver, poster("127.0.0.1/32") as post:
        await post(f"http://127.0.0.1:{receiver.port}/in?a=b", body)
        for broken in ("\r\nX-Injected: 1", "\n", " HTTP/1.1", "\x00"):
            with pytest.raises(NetworkRefused):
                await post(f"http://127.0.0.1:{receiver.port}/{broken}", body)
    assert receiver.connections == 1
    head, _, sent = receiver.heard[0].partition(b"\r\n\r\n")
    assert sent == body
    names = {line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]}
    assert names <= {
        b"host", b"accept", b"accept-encoding", b"connection", b"user-agent", b"content-type", b"content-length",
    }  # fmt: skip
    # Every reader of JSON finds one object, with the words as they were.
    assert b"\r" not in sent
    assert b"\x1b" not in sent
    detail = json.loads(sent)["data"]["detail"]
    assert (detail["title"], detail["error_message"]) == (HOSTILE, HOSTILE)


async def test_23_no_key_is_in_a_callback_nor_in_the_store_of_them(live: Live) -> None:
    task = relay("t1")
    source = msgspec.structs.replace(task.sources[0], url=f"http://source.test/a.mp4?sign={STREAM_KEY}")
    task = msgspec.structs.replace(
        task,
        sources=(source,),
        target=f"rtmp://target.test/live/cam?wsSecret={STREAM_KEY}&wsTime=1",
        callback_url="http://receiver.test/",
    )
    made = await live.store.put_notice(told(task))
    assert STREAM_KEY not in made.facts
    body = body_of(made)
    assert STREAM_KEY.encode() not in body
    assert KEY.encode() not in body
    assert json.loads(body)["data"]["sign"]


async def test_23_a_callbacks_address_is_in_no_log(live: Live, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "penstock")
    async with outbox(live) as post:
        url = f"http://receiver.test/?token={STREAM_KEY}"
        post.receiver.answers[url] = [PeerError("refused")]
        made = await post.put(url=url)
        while (await post.state(made)).state == "waiting":
            await post.later(30)
    assert "given up" in caplog.text
    assert STREAM_KEY not in caplog.text
