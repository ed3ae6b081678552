"""HTTP messages as data."""

from __future__ import annotations

import pytest

from penstock.clouds.http import Endpoint, Headers, HttpRequest


def test_headers_are_found_whatever_their_case_and_may_repeat() -> None:
    headers = Headers([("X-A", "1"), ("Host", "h"), ("x-a", "2")])
    assert headers.get("x-A") == "1"
    assert headers.get_all("X-a") == ["1", "2"]
    assert headers.names() == ["x-a", "host"]
    assert "HOST" in headers
    assert (headers.get("no"), headers.get("no", "-"), headers.get_all("no")) == ("", "-", [])
    assert list(headers.and_also([("B", "3")])) == [("X-A", "1"), ("Host", "h"), ("x-a", "2"), ("B", "3")]
    assert headers == Headers(list(headers))
    assert hash(headers) == hash(Headers(list(headers)))


def test_header_values_are_not_shown() -> None:
    assert repr(Headers([("Authorization", "secret")])) == "Headers(Authorization)"


def test_target_splits_at_its_first_question_mark() -> None:
    request = HttpRequest(method="GET", target="/a?b=1?c", headers=Headers())
    assert (request.path, request.query) == ("/a", "b=1?c")


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://kls.api.ksyun.com", Endpoint("https", "kls.api.ksyun.com")),
        ("http://127.0.0.1:8080/kls/", Endpoint("http", "127.0.0.1:8080", "/kls")),
        ("http://127.0.0.1:80/", Endpoint("http", "127.0.0.1")),
        ("https://h:443", Endpoint("https", "h")),
        ("https://h:80", Endpoint("https", "h:80")),
        ("http://[::1]:8080", Endpoint("http", "[::1]:8080")),
    ],
)
def test_endpoint_is_read_with_the_host_as_it_is_sent(url: str, endpoint: Endpoint) -> None:
    assert Endpoint.parse(url) == endpoint
    assert Endpoint.parse(str(endpoint)) == endpoint


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8080", "ftp://h", "http://", "http://h?a=1", "http://u:p@h", "http://h:x"]
)
def test_what_is_no_endpoint_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"endpoint|Port"):
        Endpoint.parse(url)
