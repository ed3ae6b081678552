"""The guard: names are resolved once, every answer is checked, and what was checked is what is connected to."""

from __future__ import annotations

import asyncio
import threading

import pytest

from penstock.errors import NetworkRefused, PeerError
from penstock.net.guard import HTTP, MAX_ANSWERS, MAX_RESOLVING, Address, Guard, system_resolver


class Names:
    """A resolver that answers in turn, and counts."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append((host, port))
        return self.answers.pop(0)


def test_a_name_becomes_its_addresses() -> None:
    names = Names(["1.1.1.1", "2600::1", "::ffff:8.8.8.8"])
    addresses = Guard(resolver=names).resolve("a.example", 443)
    assert addresses == [Address("1.1.1.1", 443), Address("2600::1", 443), Address("8.8.8.8", 443)]
    assert names.asked == [("a.example", 443)]
    assert [str(address) for address in addresses] == ["1.1.1.1:443", "[2600::1]:443", "8.8.8.8:443"]


@pytest.mark.parametrize(
    "answers", [["127.0.0.1"], ["1.1.1.1", "127.0.0.1"], ["10.0.0.1", "1.1.1.1"], ["::ffff:169.254.169.254"]]
)
def test_one_answer_inside_refuses_them_all(answers: list[str]) -> None:
    with pytest.raises(NetworkRefused, match=r"a\.example resolves to .* is in .*network\.allow_private"):
        Guard(resolver=Names(answers)).resolve("a.example", 80)


def test_an_address_asks_nobody() -> None:
    guard = Guard(resolver=Names())
    assert guard.resolve("1.1.1.1", 80) == [Address("1.1.1.1", 80)]
    assert guard.resolve("2600::1", 80) == [Address("2600::1", 80)]
    for inside in ("127.0.0.1", "::1", "fe80::1"):
        with pytest.raises(NetworkRefused):
            guard.resolve(inside, 80)


def test_what_the_operator_opened_is_reached() -> None:
    guard = Guard(("10.1.0.0/16", "fd00::/8", "127.0.0.1"), Names(["10.1.2.3", "fd00::1", "1.1.1.1"], ["10.2.0.1"]))
    assert len(guard.resolve("inside.example", 80)) == 3
    assert guard.resolve("::ffff:127.0.0.1", 80) == [Address("127.0.0.1", 80)]
    for still in ("127.0.0.2", "::1", "2002:7f00:1::1"):
        with pytest.raises(NetworkRefused):
            guard.resolve(still, 80)
    with pytest.raises(NetworkRefused):
        guard.resolve("inside.example", 80)


def test_a_url_is_refused_before_anything_is_asked() -> None:
    guard = Guard(resolver=Names())
    assert guard.check_url("http://a.example/x", HTTP).host == "a.example"
    for text in ("http://127.0.0.1/", "http://[::1]/", "http://169.254.169.254/latest/meta-data", "file:///etc/passwd"):
        with pytest.raises(NetworkRefused):
            guard.check_url(text, HTTP)


def test_a_zone_is_no_part_of_an_address() -> None:
    with pytest.raises(NetworkRefused, match="names an interface"):
        Guard(("fe80::/10",)).check_address("fe80::1%1")
    assert Guard(("fe80::/10",)).check_address("fe80::1") == "fe80::1"


def test_who_has_no_or_too_many_addresses_is_not_there() -> None:
    for answers in ([], ["1.1.1.1"] * (MAX_ANSWERS + 1)):
        with pytest.raises(PeerError, match=f"resolves to {len(answers)} addresses"):
            Guard(resolver=Names(answers)).resolve("a.example", 80)


def test_a_name_that_does_not_exist_is_told() -> None:
    def nobody(host: str, port: int) -> list[str]:
        raise OSError(-2, "Name or service not known")

    with pytest.raises(PeerError, match=r"a\.example does not resolve: Name or service not known"):
        Guard(resolver=nobody).resolve("a.example", 80)


def test_the_system_knows_itself() -> None:
    assert set(system_resolver("localhost", 80)) & {"127.0.0.1", "::1"}
    with pytest.raises(NetworkRefused, match="localhost resolves to"):
        Guard().resolve("localhost", 80)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1"])
def test_a_spelling_that_the_system_understands_leads_nowhere(host: str) -> None:
    # Past `check_url`, which refuses the spelling already.
    with pytest.raises((NetworkRefused, PeerError)):
        Guard().resolve(host, 80)


async def test_resolving_does_not_hold_up_the_loop() -> None:
    hang = threading.Event()

    def slow(host: str, port: int) -> list[str]:
        assert hang.wait(10)
        return ["1.1.1.1"]

    guard = Guard(resolver=slow)
    task = asyncio.create_task(guard.resolve_async("a.example", 80))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not task.done()
    hang.set()
    assert await asyncio.wait_for(task, 10) == [Address("1.1.1.1", 80)]
    assert await guard.resolve_async("2600::1", 80) == [Address("2600::1", 80)]


async def test_what_is_given_up_gives_its_place_back() -> None:
    hang = threading.Event()

    def slow(host: str, port: int) -> list[str]:
        assert hang.wait(10)
        return ["1.1.1.1"]

    guard = Guard(resolver=slow)
    tasks = [asyncio.create_task(guard.resolve_async("a.example", 80)) for _ in range(64)]
    await asyncio.sleep(0)
    one_more = asyncio.create_task(guard.resolve_async("b.example", 80))
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    hang.set()
    assert await asyncio.wait_for(one_more, 10) == [Address("1.1.1.1", 80)]


async def test_refusals_come_out_of_the_background() -> None:
    with pytest.raises(NetworkRefused):
        await Guard(resolver=Names(["127.0.0.1"])).resolve_async("a.example", 80)
    with pytest.raises(PeerError):
        await Guard(resolver=Names([])).resolve_async("a.example", 80)


async def test_without_threads_it_is_told_and_no_place_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    guard = Guard(resolver=Names(["1.1.1.1"]))

    def cannot_start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", cannot_start)
        for _ in range(MAX_RESOLVING + 1):
            with pytest.raises(PeerError, match="can't start new thread"):
                await asyncio.wait_for(guard.resolve_async("a.example", 80), 5)
    assert await asyncio.wait_for(guard.resolve_async("a.example", 80), 5) == [Address("1.1.1.1", 80)]
