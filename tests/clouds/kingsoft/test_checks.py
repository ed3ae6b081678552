"""The server's checks: every recorded request passes, and nothing that differs from one does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.clouds.contract import Credentials, Verified
from penstock.clouds.http import Headers, HttpRequest
from penstock.clouds.kingsoft import signing
from penstock.clouds.kingsoft.checks import read_claim, verify
from penstock.errors import (
    BadScope,
    BadSignature,
    ExpiredRequest,
    MalformedRequest,
    MissingKey,
    MissingSignature,
    MissingTime,
    RequestRefused,
    UnknownKey,
)
from tests.clouds.kingsoft.recorded import AT, CREDENTIALS, SENT, SIGNATURES, Exchange, Sent, Vector

K2 = SIGNATURES[1].signed()
K3 = SIGNATURES[2].signed()


def check(request: HttpRequest, credentials: Credentials = CREDENTIALS, at_s: float = 0) -> Verified:
    claim = read_claim(request, AT + timedelta(seconds=at_s))
    if claim.access_key != credentials.access_key:
        raise UnknownKey(claim.access_key)
    return verify(request, claim, credentials)


def with_header(request: HttpRequest, name: str, *values: str) -> HttpRequest:
    """The request with other values under a name; with none, without that header."""
    others = [line for line in request.headers if line[0].lower() != name.lower()]
    return msgspec.structs.replace(request, headers=Headers([*others, *((name, value) for value in values)]))


def with_authorization(change: Callable[[str], str]) -> HttpRequest:
    return with_header(K2, "Authorization", change(K2.headers.get("Authorization")))


@pytest.mark.parametrize("vector", SIGNATURES, ids=lambda vector: vector.name)
def test_recorded_signature_passes_and_tells_what_was_signed(vector: Vector) -> None:
    credentials = Credentials(CREDENTIALS.access_key, CREDENTIALS.secret_key, vector.token)
    verified = check(vector.signed(), credentials)
    assert verified.string_to_sign == vector.string_to_sign
    assert verified.canonical_request == (
        vector.canonical_request.replace("TOKEN+/=", "(hidden)") if vector.token else vector.canonical_request
    )


@pytest.mark.parametrize(("_exchange", "sent"), SENT, ids=[f"{each.action}-{sent.by}" for each, sent in SENT])
def test_request_of_an_official_sdk_passes(_exchange: Exchange, sent: Sent) -> None:
    request = sent.request
    verify(request, read_claim(request, sent.at), CREDENTIALS)


@pytest.mark.parametrize("at_s", [-900, 900])
def test_clocks_may_differ_by_fifteen_minutes(at_s: float) -> None:
    check(K2, at_s=at_s)


@pytest.mark.parametrize("at_s", [-901, 901, 86_400 * 365])
def test_more_than_fifteen_minutes_is_expired(at_s: float) -> None:
    with pytest.raises(ExpiredRequest, match=r"X-Amz-Date is 20240914T031650Z; it must be within 15 minutes"):
        check(K2, at_s=at_s)


CREDENTIAL = "Credential=AKLTEXAMPLEKSC0001/20240914/cn-beijing-6/kls/aws4_request, "
REFUSALS: list[tuple[str, HttpRequest, type[RequestRefused], str]] = [
    ("no Authorization", with_header(K2, "Authorization"), MissingKey, "no Authorization header"),
    ("an empty one", with_header(K2, "Authorization", ""), BadScope, "must be AWS4-HMAC-SHA256"),
    ("two of them", with_header(K2, "Authorization", "AWS4-HMAC-SHA256 a", "b"), MalformedRequest, "once"),
    ("a huge one", with_authorization(lambda text: text + "," * 5000), MalformedRequest, "4096"),
    ("Volcengine's", with_authorization(lambda text: text[5:]), BadScope, "begins with 'HMAC-SHA256'"),
    ("Wangsu's", with_authorization(lambda text: "CNC-" + text[5:]), BadScope, "begins with 'CNC-HMAC-SHA256'"),
    ("the scheme alone", with_header(K2, "Authorization", "AWS4-HMAC-SHA256"), MalformedRequest, "each once"),
    ("no Credential", with_authorization(lambda text: text.replace(CREDENTIAL, "")), MissingKey, "no Credential"),
    (
        "an empty Credential",
        with_authorization(lambda text: text.replace("AKLTEXAMPLEKSC0001", "")),
        MissingKey,
        "no Credential",
    ),
    (
        "Credential twice",
        with_authorization(lambda text: text.replace(CREDENTIAL, CREDENTIAL * 2)),
        MalformedRequest,
        "each once",
    ),
    (
        "no Signature",
        with_authorization(lambda text: text.partition(", Signature")[0]),
        MissingSignature,
        "no Signature",
    ),
    (
        "an empty Signature",
        with_authorization(lambda text: text[:-64]),
        MissingSignature,
        "no Signature",
    ),
    (
        "no SignedHeaders",
        with_authorization(lambda text: text.replace(text.split(", ")[1] + ", ", "")),
        MissingSignature,
        "no SignedHeaders",
    ),
    ("host unsigned", with_authorization(lambda text: text.replace("host;", "")), BadSignature, "has no host"),
    ("date unsigned", with_authorization(lambda text: text.replace("x-amz-date;", "")), BadSignature, "no x-amz-date"),
    (
        "the operation unsigned",
        with_authorization(lambda text: text.replace("x-action;", "")),
        BadSignature,
        "the request has x-action, and SignedHeaders has not",
    ),
    (
        "a name too many",
        with_authorization(lambda text: text.replace("accept;", "accept;cookie;")),
        BadSignature,
        "'cookie', and the request has no such header",
    ),
    (
        "names without end",
        with_authorization(lambda text: text.replace("accept;", "accept;" * 100)),
        MalformedRequest,
        "at most 64",
    ),
    ("no time", with_header(K2, "X-Amz-Date"), MissingTime, "no X-Amz-Date"),
    ("two times", with_header(K2, "X-Amz-Date", "20240914T031650Z", "20240914T031650Z"), ExpiredRequest, "one time"),
    ("no such day", with_header(K2, "X-Amz-Date", "20240230T031650Z"), ExpiredRequest, "one time"),
    ("Unix seconds", with_header(K2, "X-Amz-Date", "1726283810"), ExpiredRequest, "one time"),
    ("digits beyond ASCII", with_header(K2, "X-Amz-Date", "\uff120240914T031650Z"), ExpiredRequest, "one time"),
    (
        "another day's key",
        with_authorization(lambda text: text.replace("/20240914/", "/20240913/")),
        BadScope,
        "must be like 20240914/",
    ),
    (
        "another service's key",
        with_authorization(lambda text: text.replace("/kls/", "/iam/")),
        BadScope,
        "it must be like",
    ),
    (
        "another end",
        with_authorization(lambda text: text.replace("aws4_request", "request")),
        BadScope,
        "it must be like",
    ),
    ("no region", with_authorization(lambda text: text.replace("cn-beijing-6", "")), BadScope, "it must be like"),
    (
        "another body announced",
        with_header(K2, "X-Amz-Content-SHA256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        BadSignature,
        "X-Amz-Content-SHA256",
    ),
    ("no body announced", with_header(K2, "X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD"), BadSignature, "the body's is"),
    ("100,000 parameters", msgspec.structs.replace(K2, target="/?" + "a=1&" * 100_000), MalformedRequest, "too long"),
]


@pytest.mark.parametrize(
    ("request_", "error", "words"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS]
)
def test_refusal_has_its_own_error(request_: HttpRequest, error: type[RequestRefused], words: str) -> None:
    with pytest.raises(RequestRefused, match=words) as caught:
        check(request_)
    assert type(caught.value) is error


@pytest.mark.parametrize(
    "changed",
    [
        msgspec.structs.replace(K2, method="PUT"),
        msgspec.structs.replace(K2, target="/kls"),
        msgspec.structs.replace(K2, target="/?Action=ResumeStream&Version=2017-01-01"),
        msgspec.structs.replace(K2, body=K2.body.replace(b"news1", b"news2")),
        msgspec.structs.replace(K2, body=b""),
        with_header(K2, "X-Action", "ResumeStream"),
        with_header(K2, "X-Action", "ForbidStream", "ResumeStream"),
        with_header(K2, "Host", "kls.api.ksyun.com:8080"),
        with_header(K2, "X-Amz-Date", "20240914T031651Z"),
        with_authorization(lambda text: text[:-1] + ("0" if text[-1] != "0" else "1")),
        with_authorization(lambda text: text[:-64] + text[-64:].upper()),
        with_authorization(lambda text: text.replace("cn-beijing-6", "cn-shanghai-2")),
    ],
)
def test_anything_changed_after_signing_is_noticed(changed: HttpRequest) -> None:
    with pytest.raises(BadSignature) as caught:
        check(changed)
    assert caught.value.string_to_sign.startswith("AWS4-HMAC-SHA256\n")
    assert caught.value.canonical_request.count("\n") > 8


def test_another_secret_does_not_pass() -> None:
    with pytest.raises(BadSignature):
        check(K2, Credentials(CREDENTIALS.access_key, CREDENTIALS.secret_key + "0"))


def test_any_region_passes_if_it_was_signed() -> None:
    request = HttpRequest(method="GET", target="/", headers=Headers([("Host", "h")]))
    check(signing.sign(request, CREDENTIALS, AT, region="eu-east-1"))


@pytest.mark.parametrize("port", [80, 443])
def test_default_port_that_was_signed_and_not_sent_is_tried(port: int) -> None:
    request = HttpRequest(method="GET", target="/", headers=Headers([("Host", f"127.0.0.1:{port}"), ("Accept", "a")]))
    signed = signing.sign(request, CREDENTIALS, AT)
    check(with_header(signed, "Host", "127.0.0.1"))
    with pytest.raises(BadSignature):
        check(with_header(signed, "Host", "127.0.0.2"))


@pytest.mark.parametrize(("token", "sent"), [("", "TOKEN+/="), ("another", "TOKEN+/=")])
def test_token_of_another_session_is_refused(token: str, sent: str) -> None:
    assert K3.headers.get("X-Amz-Security-Token") == sent
    with pytest.raises(BadSignature, match="not the one of this key") as caught:
        check(K3, Credentials(CREDENTIALS.access_key, CREDENTIALS.secret_key, token))
    assert sent not in caught.value.canonical_request


def test_token_that_is_needed_and_missing_is_refused() -> None:
    with pytest.raises(BadSignature, match="not the one of this key"):
        check(K2, Credentials(CREDENTIALS.access_key, CREDENTIALS.secret_key, "TOKEN+/="))


TEXT = st.text(max_size=40)
HEADER_LINES = st.lists(
    st.tuples(st.sampled_from(K2.headers.names()) | TEXT, TEXT | st.sampled_from([v for _, v in K2.headers])),
    max_size=12,
)


@given(TEXT, TEXT, HEADER_LINES, st.binary(max_size=60))
def test_random_requests_are_refused_and_never_raise_anything_else(
    method: str, target: str, lines: list[tuple[str, str]], body: bytes
) -> None:
    with pytest.raises(RequestRefused):
        check(HttpRequest(method=method, target=target, headers=Headers(lines), body=body))


@given(st.data())
def test_no_mutation_of_a_signed_request_verifies(data: st.DataObject) -> None:
    signed = data.draw(st.sampled_from([vector.signed() for vector in SIGNATURES if not vector.token]))
    what = data.draw(st.sampled_from(["target", "body", "header", "authorization"]))
    if what == "target":
        query = data.draw(TEXT.filter(bool))
        changed = msgspec.structs.replace(signed, target=f"{signed.target}&x{query}")
    elif what == "body":
        changed = msgspec.structs.replace(signed, body=data.draw(st.binary().filter(lambda body: body != signed.body)))
    elif what == "header":
        names = signed.headers.get("Authorization").partition("SignedHeaders=")[2].partition(",")[0].split(";")
        name = data.draw(st.sampled_from(names))
        old = signed.headers.get(name)
        changed = with_header(signed, name, data.draw(TEXT.filter(lambda text: text.strip() != old)))
    else:
        old = signed.headers.get("Authorization")
        at = data.draw(st.integers(0, len(old) - 1))
        new = old[:at] + data.draw(TEXT.filter(lambda text: text.strip() and "," not in text)) + old[at + 1 :]
        changed = with_header(signed, "Authorization", new)
        if new == old or new.strip() == old.strip():
            return
    with pytest.raises(RequestRefused):
        check(changed)
