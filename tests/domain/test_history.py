"""What was published and refused, as far as the caller's filter lets it through."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from penstock.domain import history
from penstock.domain.history import Filter
from penstock.domain.live import Live
from penstock.storage.rows import SessionEnd
from tests.domain.kit import gated
from tests.storage import kit as rows
from tests.storage.kit import NOW

EVERYTHING = Filter(account="1", vhost="demo", since=NOW - timedelta(days=1), until=NOW + timedelta(days=1))


async def put(live: Live, epoch: int, **changes: Any) -> None:
    await rows.publish(live.store, epoch, rows.at(epoch), rows.at(epoch + 60), **{"account": "1", **changes})
    refused = {name: value for name, value in changes.items() if name != "stream"}
    stream = changes.get("stream", rows.STREAM)
    domain = refused.pop("push_domain", "push.demo.test")
    refusal = rows.refusal(at=rows.at(epoch), vhost=stream.vhost, app=stream.app, stream=stream.stream, domain=domain)
    await live.store.put_refusals([replace(refusal, **{"account": "1", **refused})])


async def times(live: Live, which: Filter) -> list[list[float]]:
    """Of either history: how long after NOW each row began."""
    past, refused = await history.sessions(live, which), await history.refusals(live, which)
    began = [(row.began_at - NOW).total_seconds() for row in past.rows if row.began_at is not None]
    assert past.total == refused.total
    return [began, [(row.at - NOW).total_seconds() for row in refused.rows]]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, [6, 5, 4, 1]),
        ({"newest_first": False}, [1, 4, 5, 6]),
        ({"offset": 1, "limit": 2}, [5, 4]),
        ({"since": rows.at(4), "until": rows.at(6)}, [5, 4]),
        ({"app": "live"}, [6, 5, 1]),
        ({"stream": "s2"}, [5]),
        ({"push_domain": "push2.demo.test"}, [6]),
        ({"account": "2"}, [3]),
        ({"vhost": "other"}, [2]),
        ({"vhost": "nosuch"}, []),
        ({"vhost": ""}, [6, 5, 4, 2, 1]),
    ],
)
async def test_a_filter_lets_through_what_fits(live: Live, given: dict[str, Any], expected: list[int]) -> None:
    stream = rows.STREAM
    await put(live, 1)
    await put(live, 2, stream=replace(stream, vhost="other"))
    await put(live, 3, account="2")
    await put(live, 4, stream=replace(stream, app="studio"))
    await put(live, 5, stream=replace(stream, stream="s2"))
    await put(live, 6, push_domain="push2.demo.test")
    assert await times(live, replace(EVERYTHING, **given)) == [expected, expected]


async def test_sessions_go_by_their_end_and_by_a_piece_of_a_name_too(live: Live) -> None:
    for epoch, (name, ended_s) in enumerate([("cam1", 900), ("cam2", 600), ("mic", 700), ("cam3", 901)], 1):
        stream = replace(rows.STREAM, stream=name)
        await rows.publish(live.store, epoch, rows.at(epoch), rows.at(ended_s), account="1", stream=stream)
    which = replace(EVERYTHING, since=rows.at(600), until=rows.at(901))
    for part, found in (("", ["cam1", "mic", "cam2"]), ("am", ["cam1", "cam2"]), ("AM", [])):
        page = await history.sessions(live, replace(which, stream_part=part), by="ended_at")
        assert [row.stream.stream for row in page.rows] == found


async def test_what_is_still_to_be_written_is_waited_for(live: Live) -> None:
    await live.store.admit_session(rows.session(1, account="1"))
    await live.store.begin_session(1, NOW)
    gate = gated(live)
    gate.opened.clear()
    end = SessionEnd(epoch=1, at=rows.at(9), reason="kicked")
    live.journal.put(lambda store: store.end_session(end))
    live.journal.put(lambda store: store.put_refusals([rows.refusal(account="1")]))
    asking = asyncio.create_task(times(live, EVERYTHING))
    await gate.waiting.wait()
    assert not asking.done()
    gate.opened.set()
    async with asyncio.timeout(5):
        assert await asking == [[0], [0]]
