from __future__ import annotations

from penstock.domain import explain
from penstock.domain.explain import MAX_WAITING, Explanations
from penstock.domain.live import Live
from tests.storage.kit import entry


async def test_an_entry_is_found_before_and_after_it_was_written(live: Live) -> None:
    explanations = Explanations()
    explanations.put(entry("one"))
    assert await explanations.find(live, "one") == entry("one")
    assert await live.store.explained("one") is None
    await explanations.flush(live)
    assert await live.store.explained("one") == entry("one")
    assert await explanations.find(live, "one") == entry("one")
    assert await explanations.find(live, "two") is None


async def test_a_flood_is_bounded_and_its_latest_entries_are_kept(live: Live) -> None:
    explanations = Explanations()
    for number in range(MAX_WAITING + 10):
        explanations.put(entry(f"r{number}"))
    assert await explanations.find(live, "r9") is None
    assert await explanations.find(live, "r10") is not None
    await explanations.flush(live)
    assert await live.store.explained("r9") is None
    assert await live.store.explained(f"r{MAX_WAITING + 9}") is not None


async def test_what_was_written_is_not_written_again(live: Live) -> None:
    explanations = Explanations()
    explanations.put(entry("one"))
    await explanations.flush(live)
    assert not explanations._waiting
    await explanations.flush(live)
    explanations.put(entry("two"))
    assert [each.request_id for each in explanations._waiting] == ["two"]
    assert explain.MAX_WAITING == 1000
