"""KLS signatures, stage by stage against recorded ones, and made by us as kscore makes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from penstock.clouds.contract import Credentials
from penstock.clouds.http import Headers, HttpRequest
from penstock.clouds.kingsoft import signing
from penstock.clouds.signed import format_time
from tests.clouds.kingsoft.recorded import AT, CREDENTIALS, SCOPE, SIGNATURES, Vector

by_vector = pytest.mark.parametrize("vector", SIGNATURES, ids=lambda vector: vector.name)
TIME = "20240914T031650Z"


@by_vector
def test_canonical_request_is_the_recorded_one(vector: Vector) -> None:
    assert signing.canonical_request(vector.dated(), vector.signed_headers) == vector.canonical_request


@by_vector
def test_string_to_sign_is_the_recorded_one(vector: Vector) -> None:
    assert signing.string_to_sign(vector.canonical_request, TIME, SCOPE) == vector.string_to_sign


@by_vector
def test_signature_is_the_recorded_one(vector: Vector) -> None:
    made = signing.signature(CREDENTIALS.secret_key, SCOPE, vector.string_to_sign)
    assert vector.authorization.endswith(f"Signature={made}")


@by_vector
def test_we_sign_what_kscore_signs(vector: Vector) -> None:
    credentials = Credentials(CREDENTIALS.access_key, CREDENTIALS.secret_key, vector.token)
    signed = signing.sign(vector.request, credentials, AT)
    assert signed.headers.get("Authorization") == vector.authorization
    assert signed.headers.get("X-Amz-Security-Token") == vector.token
    assert (signed.method, signed.target, signed.body) == (vector.method, vector.target, vector.body.encode())


@pytest.mark.parametrize(
    ("query", "canonical"),
    [
        ("", ""),
        ("b=2&a=1", "a=1&b=2"),
        ("a=2&a=1", "a=1&a=2"),
        ("a", "a="),
        ("a=1&&b=2&", "a=1&b=2"),
        ("s=news+1", "s=news%201"),
        ("s=news%201%2B2%2f3", "s=news%201%2B2%2F3"),
        ("s=a~b-c_d.e", "s=a~b-c_d.e"),
        ("s=a=b", "s=a%3Db"),
        ("s=%E6%96%B0", "s=%E6%96%B0"),
        ("s=新", "s=%E6%96%B0"),
        ("s=%ff", "s=%FF"),
        ("s=%zz", "s=%25zz"),
        ("A=1&a=1", "A=1&a=1"),
    ],
)
def test_query_is_decoded_as_a_form_and_encoded_strictly(query: str, canonical: str) -> None:
    assert signing.canonical_query(query) == canonical


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        ("", "/"),
        ("/", "/"),
        ("/kls", "/kls"),
        ("/kls/", "/kls/"),
        ("//kls//a", "/kls/a"),
        ("/a/./b/../c", "/a/c"),
        ("/../..", "/"),
        ("/a%20b~", "/a%2520b~"),
    ],
)
def test_path_loses_its_dots_and_is_encoded_once_more(path: str, canonical: str) -> None:
    assert signing.canonical_path(path) == canonical


def test_header_values_are_trimmed_sorted_and_joined() -> None:
    headers = Headers([("X-B", " two "), ("Host", "h"), ("x-b", "one")])
    assert signing.canonical_headers(headers, ("host", "x-b")) == "host:h\nx-b:one,two\n"


def test_time_is_told_in_utc() -> None:
    there = datetime(2026, 3, 1, 1, 0, tzinfo=timezone(timedelta(hours=8)))
    assert format_time(there) == "20260228T170000Z"
    assert there.astimezone(UTC).day == 28


def test_user_agent_is_not_signed() -> None:
    request = HttpRequest(
        method="GET", target="/", headers=Headers([("Host", "h"), ("User-Agent", "x"), ("Expect", "y")])
    )
    assert "SignedHeaders=host;x-amz-date," in signing.sign(request, CREDENTIALS, AT).headers.get("Authorization")
