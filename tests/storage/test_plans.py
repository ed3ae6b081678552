"""Questions on 100,000 sessions and refusals are answered from an index, not by reading or sorting them all."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import event

from penstock.storage.rows import BanQuery, HistoryQuery, RefusalQuery, Retention
from penstock.storage.schema import EPOCH, MICROSECOND
from penstock.storage.sql import SqlStore
from tests.storage.kit import DAY, NOW, STREAM

ROWS = 100_000
START = (NOW - 50 * DAY - EPOCH) // MICROSECOND
STEP = 43_000_000  # a session each 43 seconds: 100,000 in 50 days

FILL = f"""
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
    INSERT INTO sessions (epoch, session, vhost, app, stream, account, push_domain, address, port, tls, agent,
        admitted_at, began_at, ended_at, reason, code, detail, facts, bytes_in)
    SELECT i, 'x', 'v' || (i % 10), 'live', 's' || (i % 500), 'a' || (i % 10), 'push' || (i % 10), '192.0.2.1', 1, 0,
        '', {START} + i * {STEP}, {START} + i * {STEP}, {START} + (i + 9) * {STEP}, '', 200, '', '', 0 FROM n
"""
FILL_REFUSALS = """
    INSERT INTO refusals (at, code, why, vhost, app, stream, account, domain, address, port, agent)
    SELECT admitted_at, 423, '', vhost, app, stream, account, push_domain, address, port, '' FROM sessions
"""


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("big") / "penstock.db"

    async def make() -> None:
        await (await SqlStore.open(path)).close()

    asyncio.run(make())
    connection = sqlite3.connect(path)
    connection.executescript(f"BEGIN; {FILL}; {FILL_REFUSALS}; COMMIT")
    connection.close()
    return path


class Asked:
    """What a store asks its database, and how the database goes about it."""

    def __init__(self, store: SqlStore) -> None:
        self.statements: list[tuple[str, Any]] = []
        for engine in (store._threads._reads_from, store._threads._writes_to):
            event.listen(engine, "before_cursor_execute", self._note)

    def _note(self, _connection: Any, _cursor: Any, statement: str, values: Any, _context: Any, _many: bool) -> None:
        if not statement.startswith(("BEGIN", "EXPLAIN")):
            self.statements.append((statement, values))

    def plans(self, path: Path) -> list[str]:
        connection = sqlite3.connect(path)
        found = [
            "; ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values))
            for statement, values in self.statements
        ]
        connection.close()
        self.statements.clear()
        return found


HISTORY = HistoryQuery(since=NOW - 30 * DAY, until=NOW - 25 * DAY, limit=1000)
BY_DOMAIN = replace(HISTORY, account="a3", vhost="v3", app="live", push_domain="push3")
REFUSED = RefusalQuery(since=HISTORY.since, until=HISTORY.until, limit=1000)


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize(
    ("query", "index", "total"),
    [
        (BY_DOMAIN, "ix_sessions_by_domain", 1004),
        (replace(BY_DOMAIN, stream="s3"), "ix_sessions_by_stream", 20),
        (replace(HISTORY, account="a3", by="ended_at"), "ix_sessions_by_account", 1004),
    ],
)
async def test_history_comes_from_an_index_in_its_order(
    big: Path, query: HistoryQuery, index: str, total: int, newest_first: bool
) -> None:
    store = await SqlStore.open(big)
    asked = Asked(store)
    page = await store.history(replace(query, newest_first=newest_first))
    count, rows = asked.plans(big)
    assert abs(page.total - total) <= 1
    assert len(page.rows) == min(page.total, 1000)
    assert f"SEARCH sessions USING COVERING INDEX {index}" in count
    assert f"SEARCH sessions USING INDEX {index}" in rows
    assert "TEMP B-TREE" not in rows
    await store.close()


async def test_every_other_question_has_its_index_too(big: Path) -> None:
    store = await SqlStore.open(big)
    asked = Asked(store)
    await store.spans(BY_DOMAIN)
    await store.open_sessions()
    await store.find_session(77)
    await store.refusals(replace(REFUSED, account="a3", vhost="v3", app="live", domain="push3"))
    await store.refusals(replace(REFUSED, account="a3"))
    await store.find_ban(STREAM, NOW)
    await store.bans(BanQuery(now=NOW, account="a3"))
    await store.bans(BanQuery(now=NOW, vhost="v3", app="live"))
    await store.highest_epoch()
    plans = asked.plans(big)
    assert all("SEARCH" in plan and "SCAN" not in plan for plan in plans), plans
    await store.close()


async def test_a_sweep_finds_what_is_due_by_an_index(big: Path) -> None:
    store = await SqlStore.open(big)
    asked = Asked(store)
    past = NOW - 60 * DAY
    await store.sweep(
        Retention(
            ended_before=past, refused_before=past, explained_before=past, relayed_before=past, noticed_before=past
        )
    )
    deletes = [
        plan
        for statement, plan in zip([s for s, _ in asked.statements], asked.plans(big), strict=True)
        if statement.startswith("DELETE")
    ]
    assert len(deletes) == 5
    assert all("SCAN" not in plan for plan in deletes), deletes
    await store.close()
