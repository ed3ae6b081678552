"""What the clouds' signatures have in common: each check at its edge."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from penstock.clouds.contract import Credentials, Verified
from penstock.clouds.http import Headers
from penstock.clouds.signed import (
    WINDOW,
    authorization_parts,
    check_body,
    check_names,
    check_token,
    format_time,
    read_time,
)
from penstock.errors import BadScope, BadSignature, ExpiredRequest, MalformedRequest, MissingKey, MissingTime

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
FOUND = Verified(access_key="AK", canonical_request="canonical", string_to_sign="text")


def parts_of(*lines: str) -> dict[str, str]:
    return authorization_parts(Headers([("Authorization", line) for line in lines]), "ALG", "there is none")


def test_the_parts_of_an_authorization_are_read_in_any_order() -> None:
    found = {"Credential": "AK/day", "SignedHeaders": "host;x-date", "Signature": "ab=="}
    assert parts_of("ALG Signature=ab==,Credential=AK/day, SignedHeaders=host;x-date") == found
    assert parts_of("ALG Credential=" + "a" * 4081) == {"Credential": "a" * 4081}


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ((), MissingKey),
        (("ALG Credential=a", "ALG Credential=a"), MalformedRequest),
        (("ALG Credential=" + "a" * 4082,), MalformedRequest),
        (("ALG Credential=a, Credential=a",), MalformedRequest),
        (("ALG Credential=a b",), MalformedRequest),
        (("ALG Other=a",), MalformedRequest),
        (("ALG256 Credential=a",), BadScope),
    ],
)
def test_what_is_no_authorization_is_refused(lines: tuple[str, ...], error: type[Exception]) -> None:
    with pytest.raises(error):
        parts_of(*lines)


@pytest.mark.parametrize("off", [WINDOW, -WINDOW, timedelta(0)])
def test_a_time_within_the_window_is_taken(off: timedelta) -> None:
    at = NOW + off
    assert read_time([f" {format_time(at)} "], "X-Date", NOW) == (at, "20260301")


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ([], MissingTime),
        ([format_time(NOW + WINDOW + SECOND)], ExpiredRequest),
        ([format_time(NOW - WINDOW - SECOND)], ExpiredRequest),
        ([format_time(NOW)] * 2, ExpiredRequest),
        (["20260230T120000Z"], ExpiredRequest),
        (["2026-03-01T12:00:00Z"], ExpiredRequest),
    ],
)
def test_any_other_time_is_refused_by_the_name_of_its_header(values: list[str], error: type[Exception]) -> None:
    with pytest.raises(error, match="X-Date"):
        read_time(values, "X-Date", NOW)


def test_signed_headers_are_there_and_what_steers_a_call_is_signed() -> None:
    headers = Headers([("Host", "h"), ("X-Date", "d"), ("X-Token", "t"), *((f"a{n}", "") for n in range(64))])
    check_names(("host", "x-token"), headers, ("host",), ("x-token",))
    with pytest.raises(BadSignature, match="has no host"):
        check_names(("x-token",), headers, ("host",), ())
    with pytest.raises(BadSignature, match="no such header"):
        check_names(("host", "x-gone"), headers, ("host",), ())
    with pytest.raises(BadSignature, match="the request has x-token"):
        check_names(("host",), headers, ("host",), ("x-token",))
    check_names(tuple(f"a{n}" for n in range(64)), headers, (), ())
    with pytest.raises(MalformedRequest, match="65 names"):
        check_names((*(f"a{n}" for n in range(64)), "host"), headers, (), ())


def test_a_body_is_the_one_that_was_announced() -> None:
    check_body(Headers([]), "X-Hash", "made")
    check_body(Headers([("X-Hash", " made ")]), "X-Hash", "made")
    for wrong in ("other", "", "m\udcffde"):
        with pytest.raises(BadSignature, match="the body's is made"):
            check_body(Headers([("X-Hash", "made"), ("X-Hash", wrong)]), "X-Hash", "made")


def test_a_token_comes_with_the_key_that_has_one_and_with_no_other() -> None:
    with_token, without = Credentials("AK", "SK", token="t"), Credentials("AK", "SK")
    check_token([" t "], "X-Token", with_token, FOUND)
    check_token([], "X-Token", without, FOUND)
    for sent, credentials in (([], with_token), (["t", "t"], with_token), (["u"], with_token), (["t"], without)):
        with pytest.raises(BadSignature, match="X-Token is not the one of this key"):
            check_token(sent, "X-Token", credentials, FOUND)
