"""Each implementation of the store, empty, for the suite that runs over all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from penstock.storage.base import Store
from penstock.storage.rows import Account, Domain, Vhost
from penstock.storage.sql import SqlStore


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "penstock.db"


@pytest_asyncio.fixture(params=["file", "memory"])
async def store(request: pytest.FixtureRequest, file: Path) -> AsyncIterator[Store]:
    store: Store = await SqlStore.open(file if request.param == "file" else None)
    yield store
    await store.close()


@pytest_asyncio.fixture
async def owned(store: Store) -> Store:
    """A store with two accounts; the first has vhost ``demo`` with a push domain and a pull domain."""
    for account in ("alice", "bob"):
        await store.put_account(Account(id=account))
    await store.put_vhost(Vhost(name="demo", account="alice"))
    await store.put_domain(Domain(vhost="demo", name="push.demo.test", kind="push"))
    await store.put_domain(Domain(vhost="demo", name="pull.demo.test", kind="pull"))
    return store
