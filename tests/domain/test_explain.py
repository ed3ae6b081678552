from __future__ import annotations

import msgspec

from penstock.domain import explain
from penstock.domain.explain import MAX_NOBODYS, MAX_WAITING, Explanations
from penstock.domain.live import Live
from penstock.storage.rows import ExplainEntry
from tests.storage import kit as rows


def entry(request_id: str) -> ExplainEntry:
    """A refusal of a request that an account signed."""
    return msgspec.structs.replace(rows.entry(request_id), account="1")


async def test_an_entry_is_found_before_and_after_it_was_written(live: Live) -> None:
    explanations = Explanations(live.registry)
    explanations.put(entry("one"))
    assert await explanations.find(live, "one") == entry("one")
    assert await live.store.explained("one") is None
    await explanations.flush(live)
    assert await live.store.explained("one") == entry("one")
    assert await explanations.find(live, "one") == entry("one")
    assert await explanations.find(live, "two") is None


async def test_a_flood_is_bounded_and_its_latest_entries_are_kept(live: Live) -> None:
    explanations = Explanations(live.registry)
    for number in range(MAX_WAITING + 10):
        explanations.put(entry(f"r{number}"))
    assert await explanations.find(live, "r9") is None
    assert await explanations.find(live, "r10") is not None
    await explanations.flush(live)
    assert await live.store.explained("r9") is None
    assert await live.store.explained(f"r{MAX_WAITING + 9}") is not None


async def test_what_was_written_is_not_written_again(live: Live) -> None:
    explanations = Explanations(live.registry)
    explanations.put(entry("one"))
    await explanations.flush(live)
    assert not explanations._known
    await explanations.flush(live)
    explanations.put(entry("two"))
    assert [each.request_id for each in explanations._known] == ["two"]
    assert explain.MAX_WAITING == 1000


async def test_requests_of_nobody_push_out_none_of_a_known_key(live: Live) -> None:
    explanations = Explanations(live.registry)
    explanations.put(msgspec.structs.replace(entry("mine"), account="", access_key="AKone"))
    for number in range(MAX_WAITING):
        explanations.put(msgspec.structs.replace(entry(f"x{number}"), account="", access_key="AKnobody"))
    await explanations.flush(live)
    assert await live.store.explained("mine") is not None
    assert await live.store.explained(f"x{MAX_WAITING - MAX_NOBODYS - 1}") is None
    assert await live.store.explained(f"x{MAX_WAITING - MAX_NOBODYS}") is not None
