"""What the gateway writes into the log: changes, by whom, and under which request id."""

from __future__ import annotations

import json
import logging

import pytest

from penstock.clouds.contract import Credentials
from penstock.errors import NotBanned
from tests.api.kit import BAN, CHECK, KEY, House


async def test_a_change_is_a_line_done_or_refused_and_a_read_is_none(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "penstock")
    house = House()

    async def refuse() -> None:
        raise NotBanned("it is not")

    await house.ask(CHECK)
    done = await house.ask(BAN)
    house.live.instead = refuse
    await house.ask(BAN)
    first, second = caplog.records
    assert first.__dict__["request"] == json.loads(done.body)["RequestId"]
    assert (first.__dict__["account"], first.__dict__["code"]) == ("1001", "ok")
    assert second.__dict__["code"] not in ("", "ok")
    assert "ForbidStream for account 1001: ok" in first.getMessage()


async def test_who_is_nobody_writes_no_line_and_no_secret_is_in_any(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "penstock")
    house = House()
    await house.ask(BAN, Credentials(KEY.access_key, "guessed"))
    assert caplog.records == []
    caplog.set_level(logging.DEBUG, "penstock")
    await house.ask(BAN, Credentials(KEY.access_key, "guessed"))
    await house.ask(BAN)
    assert len(caplog.records) == 2
    assert KEY.secret_key not in caplog.text
    assert "guessed" not in caplog.text
