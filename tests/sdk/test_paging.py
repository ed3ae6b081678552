"""Lists that come in pages: row by row, page by page, and only as far as they are asked for."""

from __future__ import annotations

from itertools import islice
from typing import Any

import httpx2
import pytest

from penstock.errors import TransportError
from tests.sdk.cloud import CLIENTS, WHERE, Cloud, client, done, listed

PAGED = ("list_realtime_pub_streams_info", "list_history_pub_streams_info", "list_history_pub_streams_err_info")


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize("name", PAGED)
@pytest.mark.parametrize(("total", "calls"), [(0, 1), (1, 1), (3, 1), (4, 2), (9, 3), (10, 4)])
async def test_every_row_comes_once(kind: Any, name: str, total: int, calls: int, cloud: Cloud) -> None:
    cloud.rows = total
    rows = await listed(getattr(client(kind, cloud), name).pages(**WHERE, limit=3))
    assert [row.stream for row in rows] == [f"s{number}" for number in range(total)]
    assert len(cloud.requests) == calls


@pytest.mark.parametrize("kind", CLIENTS)
async def test_pages_can_be_had_whole_and_begin_anew(kind: Any, cloud: Cloud) -> None:
    cloud.rows = 5
    pages = client(kind, cloud).list_history_pub_streams_info.pages(**WHERE, limit=2, marker=1)
    for _ in range(2):
        results = await listed(pages.by_page())
        assert [(each.marker, each.count, each.request_id != "") for each in results] == [(1, 2, True), (2, 1, True)]


@pytest.mark.parametrize("kind", CLIENTS)
async def test_one_page_is_a_plain_call(kind: Any, cloud: Cloud) -> None:
    cloud.rows = 5
    result = await done(client(kind, cloud).list_history_pub_streams_info(**WHERE, limit=2))
    assert (len(result.result), result.total) == (2, 5)


def test_what_nobody_looks_at_is_not_fetched(cloud: Cloud) -> None:
    cloud.rows = 1000
    pages = client(CLIENTS[0], cloud).list_realtime_pub_streams_info.pages(**WHERE, limit=2)
    assert cloud.requests == []
    assert [row.stream for row in islice(pages, 3)] == ["s0", "s1", "s2"]
    assert len(cloud.requests) == 2


@pytest.mark.parametrize("kind", CLIENTS)
async def test_options_hold_for_every_page(kind: Any, cloud: Cloud) -> None:
    cloud.first = [httpx2.ReadError("reset")]
    with pytest.raises(TransportError):
        await listed(client(kind, cloud).list_realtime_pub_streams_info.pages(**WHERE, retries=0))
