"""Volcengine's signatures, stage by stage against recorded ones, and made by us as the official SDK makes them."""

from __future__ import annotations

import msgspec
import pytest

from penstock.clouds.contract import Credentials
from penstock.clouds.http import Headers, HttpRequest
from penstock.clouds.volcengine import signing
from tests.clouds.volcengine.recorded import AT, CREDENTIALS, DERIVED_KEY, SCOPE, SIGNATURES, TIME, URLS, Url, Vector

by_vector = pytest.mark.parametrize("vector", SIGNATURES, ids=lambda vector: vector.name)
by_url = pytest.mark.parametrize("url", URLS, ids=lambda url: url.name)


@by_vector
def test_canonical_request_is_the_recorded_one(vector: Vector) -> None:
    assert signing.canonical_request(vector.dated(), vector.signed_headers) == vector.canonical_request


@by_url
def test_canonical_url_is_the_recorded_one(url: Url) -> None:
    assert signing.canonical_url(url.signed()) == url.canonical_request


@pytest.mark.parametrize("stage", [*SIGNATURES, *URLS], ids=lambda stage: stage.name)
def test_string_to_sign_is_the_recorded_one(stage: Vector | Url) -> None:
    assert signing.string_to_sign(stage.canonical_request, TIME, SCOPE) == stage.string_to_sign


def test_key_is_derived_as_published() -> None:
    assert signing._derived_key(CREDENTIALS.secret_key, SCOPE).hex() == DERIVED_KEY


@by_vector
def test_signature_is_the_recorded_one(vector: Vector) -> None:
    made = signing.signature(CREDENTIALS.secret_key, SCOPE, vector.string_to_sign)
    assert vector.authorization.endswith(f"Signature={made}")


@by_vector
def test_we_sign_what_the_sdk_signs(vector: Vector) -> None:
    credentials = Credentials(CREDENTIALS.access_key, CREDENTIALS.secret_key, vector.token)
    signed = signing.sign(vector.request, credentials, AT)
    assert signed.headers.get("Authorization") == vector.authorization
    assert signed.headers.get("X-Security-Token") == vector.token
    assert (signed.method, signed.target, signed.body) == (vector.method, vector.target, vector.body.encode())


@by_url
def test_we_sign_a_url_as_the_sdk_does(url: Url) -> None:
    credentials = Credentials(CREDENTIALS.access_key, CREDENTIALS.secret_key, url.token)
    assert signing.sign_query(url.request, credentials, AT).target == url.signed_target


@pytest.mark.parametrize(
    ("query", "canonical"),
    [
        ("", ""),
        ("b=2&a=1", "a=1&b=2"),
        ("a=2&a=1", "a=2&a=1"),  # by its names: values stay in their order
        ("a-b=1&a=2&aB=3", "a=2&a-b=1&aB=3"),
        ("a", "a="),
        ("a=1&&b=2&", "a=1&b=2"),
        ("s=news+1", "s=news%201"),
        ("s=news%201%2B2%2f3", "s=news%201%2B2%2F3"),
        ("s=a~b-c_d.e", "s=a~b-c_d.e"),
        ("s=a=b", "s=a%3Db"),
        ("s=新", "s=%E6%96%B0"),
        ("s=%ff", "s=%FF"),
    ],
)
def test_query_is_decoded_as_a_form_and_encoded_strictly(query: str, canonical: str) -> None:
    assert signing.canonical_query(query) == canonical


@pytest.mark.parametrize(
    ("path", "canonical"), [("", "/"), ("/", "/"), ("/live", "/live"), ("/a b", "/a%20b"), ("/a%20b~", "/a%20b~")]
)
def test_path_is_encoded_once(path: str, canonical: str) -> None:
    assert signing.canonical_path(path) == canonical


@pytest.mark.parametrize(
    ("host", "signed"),
    [
        ("live.volcengineapi.com", "live.volcengineapi.com"),
        ("h:80", "h"),
        ("h:443", "h"),
        ("h:8080", "h:8080"),
        ("h:4430", "h:4430"),
        ("[::1]:443", "[::1]:443"),  # the piece behind the first colon is none of the two
    ],
)
def test_default_port_is_not_signed(host: str, signed: str) -> None:
    assert signing.signed_host(host) == signed


def test_signed_names_are_those_of_the_sdk() -> None:
    lines = [("Host", "h"), ("Content-MD5", "m"), ("User-Agent", "x"), ("Accept", "y"), ("X-Other", "z")]
    request = HttpRequest(method="GET", target="/", headers=Headers(lines))
    wanted = "SignedHeaders=content-md5;host;x-content-sha256;x-date;x-other,"
    assert wanted in signing.sign(request, CREDENTIALS, AT).headers.get("Authorization")


def test_url_without_any_parameter_is_signed_too() -> None:
    request = HttpRequest(method="GET", target="/", headers=Headers([("Host", "h")]))
    signed = signing.sign_query(request, CREDENTIALS, AT)
    assert signed.target.startswith("/?X-Date=20240914T031650Z&X-NotSignBody=&X-Credential=")
    assert signed == msgspec.structs.replace(request, target=signed.target)
