"""20. Duplicate keys, NaN, deep JSON, 1e400, integers beyond 64 bits, lone surrogates: over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from penstock.clouds.kingsoft.streams import OPERATIONS
from tests.api.kit import CAM, signed, unsigned
from tests.api.test_fuzz import EVIL
from tests.security.api import Fort, fort


@pytest.fixture
async def held() -> AsyncIterator[Fort]:
    async with fort() as held:
        yield held


@pytest.mark.parametrize("evil", EVIL)
async def test_20_a_body_that_means_two_things_or_none_does_nothing(held: Fort, evil: str) -> None:
    for action in OPERATIONS:
        answer = await held.ask(signed(unsigned(action, method="POST", body=EVIL[evil])))
        assert answer.code not in ("0", "UndefinedError")
    assert held.stands()
    # And whoever comes next is served.
    assert (await held.ask(signed(unsigned("CheckBlacklist", CAM)))).code == "0"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"1e400", "InvalidParameterValue"),
        (b"NaN", "InvalidParameterValue"),
        (b"18446744073709551616", "4001"),
        (b"-9223372036854775809", "4001"),
        (b"1e3", "4001"),
        (b"1.0", "4001"),
        (b"true", "4001"),
        (b"[[[[1]]]]", "4001"),
        (b'"\\ud83d"', "InvalidParameterValue"),
    ],
)
async def test_20_a_number_that_is_none_is_no_time(held: Fort, value: bytes, code: str) -> None:
    body = (
        b'{"UniqueName":"demo","App":"live","Pubdomain":"push.demo.test","Stream":"cam","ForbidTillUnixTime":%s}'
        % value
    )
    assert (await held.ask(signed(unsigned("ForbidStream", method="POST", body=body)))).code == code
    assert held.stands()
