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
from penstock.clouds.reading import query_pairs
from penstock.clouds.volcengine import signing
from penstock.clouds.volcengine.checks import read_claim, verify
from penstock.errors import (
    BadScope,
    BadSignature,
    ExpiredRequest,
    MalformedRequest,
    MissingKey,
    MissingScope,
    MissingSignature,
    MissingTime,
    RequestRefused,
    UnknownKey,
    UnknownService,
)
from tests.clouds.volcengine.recorded import AT, CREDENTIALS, SENT, SIGNATURES, URLS, Exchange, Sent, Url, Vector

V2 = SIGNATURES[1].signed()
V3 = SIGNATURES[2].signed()
URL = URLS[0].signed()
KEY = "AKLTEXAMPLEACCESSKEY0001"


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
    return with_header(V2, "Authorization", change(V2.headers.get("Authorization")))


def with_query(old: str, new: str) -> HttpRequest:
    assert old in URL.target
    return msgspec.structs.replace(URL, target=URL.target.replace(old, new))


def keys_of(stage: Vector | Url) -> Credentials:
    return Credentials(CREDENTIALS.access_key, CREDENTIALS.secret_key, stage.token)


@pytest.mark.parametrize("stage", [*SIGNATURES, *URLS], ids=lambda stage: stage.name)
def test_recorded_signature_passes_and_tells_what_was_signed(stage: Vector | Url) -> None:
    verified = check(stage.signed(), keys_of(stage))
    assert verified.string_to_sign == stage.string_to_sign
    shown = stage.canonical_request
    for token in ("STS2exampletoken+/=", "TOK%2F1"):
        shown = shown.replace(token, "(hidden)")
    assert verified.canonical_request == shown


@pytest.mark.parametrize(("_exchange", "sent"), SENT, ids=[each.action for each, _ in SENT])
def test_request_of_the_official_sdk_passes(_exchange: Exchange, sent: Sent) -> None:
    request = sent.request
    verify(request, read_claim(request, sent.at), CREDENTIALS)


@pytest.mark.parametrize("request_", [V2, URL], ids=["headers", "url"])
@pytest.mark.parametrize("at_s", [-900, 900])
def test_clocks_may_differ_by_fifteen_minutes(request_: HttpRequest, at_s: float) -> None:
    check(request_, at_s=at_s)


@pytest.mark.parametrize("request_", [V2, URL], ids=["headers", "url"])
@pytest.mark.parametrize("at_s", [-901, 901, 86_400 * 365])
def test_more_than_fifteen_minutes_is_expired(request_: HttpRequest, at_s: float) -> None:
    with pytest.raises(ExpiredRequest, match=r"X-Date is 20240914T031650Z; it must be within 15 minutes"):
        check(request_, at_s=at_s)


CREDENTIAL = f"Credential={KEY}/20240914/cn-north-1/live/request, "
REFUSALS: list[tuple[str, HttpRequest, type[RequestRefused], str]] = [
    ("no Authorization", with_header(V2, "Authorization"), MissingKey, "no Authorization header"),
    ("an empty one", with_header(V2, "Authorization", ""), BadScope, "must be HMAC-SHA256"),
    ("two of them", with_header(V2, "Authorization", "HMAC-SHA256 a", "b"), MalformedRequest, "once"),
    ("a huge one", with_authorization(lambda text: text + "," * 5000), MalformedRequest, "4096"),
    ("Kingsoft's", with_authorization(lambda text: "AWS4-" + text), BadScope, "begins with 'AWS4-HMAC-SHA256'"),
    ("the scheme alone", with_header(V2, "Authorization", "HMAC-SHA256"), MalformedRequest, "each once"),
    ("no Credential", with_authorization(lambda text: text.replace(CREDENTIAL, "")), MissingScope, "no Credential"),
    ("no key in it", with_authorization(lambda text: text.replace(KEY, "")), MissingScope, "the Credential is '/2024"),
    ("a key alone", with_authorization(lambda text: text.replace(CREDENTIAL, "Credential=A,")), MissingScope, "is 'A'"),
    (
        "Credential twice",
        with_authorization(lambda text: text.replace(CREDENTIAL, CREDENTIAL * 2)),
        MalformedRequest,
        "each once",
    ),
    ("no Signature", with_authorization(lambda text: text.partition(", Signature")[0]), MissingSignature, "Signature"),
    ("an empty Signature", with_authorization(lambda text: text[:-64]), MissingSignature, "no Signature"),
    (
        "no SignedHeaders",
        with_authorization(lambda text: text.replace(text.split(", ")[1] + ", ", "")),
        MissingScope,
        "no SignedHeaders",
    ),
    ("host unsigned", with_authorization(lambda text: text.replace("host;", "")), BadSignature, "has no host"),
    ("date unsigned", with_authorization(lambda text: text.replace(";x-date", "")), BadSignature, "has no x-date"),
    (
        "a token unsigned",
        with_header(V2, "X-Security-Token", "T"),
        BadSignature,
        "the request has x-security-token, and SignedHeaders has not",
    ),
    (
        "a name too many",
        with_authorization(lambda text: text.replace("host;", "cookie;host;")),
        BadSignature,
        "'cookie', and the request has no such header",
    ),
    (
        "names without end",
        with_authorization(lambda text: text.replace("host;", "host;" * 100)),
        MalformedRequest,
        "at most 64",
    ),
    ("no time", with_header(V2, "X-Date"), MissingTime, "no X-Date"),
    ("two times", with_header(V2, "X-Date", "20240914T031650Z", "20240914T031650Z"), ExpiredRequest, "one time"),
    ("no such day", with_header(V2, "X-Date", "20240230T031650Z"), ExpiredRequest, "one time"),
    ("Unix seconds", with_header(V2, "X-Date", "1726283810"), ExpiredRequest, "one time"),
    ("digits beyond ASCII", with_header(V2, "X-Date", "\uff120240914T031650Z"), ExpiredRequest, "one time"),
    (
        "another day's key",
        with_authorization(lambda text: text.replace("/20240914/", "/20240913/")),
        BadScope,
        "must be like 20240914/",
    ),
    ("another service's", with_authorization(lambda text: text.replace("/live/", "/vod/")), UnknownService, "'vod'"),
    ("another end", with_authorization(lambda text: text.replace("/request", "/aws4_request")), BadScope, "be like"),
    ("no region", with_authorization(lambda text: text.replace("cn-north-1", "")), MissingScope, "it must be like"),
    ("a short scope", with_authorization(lambda text: text.replace("/live", "")), MissingScope, "it must be like"),
    (
        "another body announced",
        with_header(V2, "X-Content-Sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        BadSignature,
        "X-Content-Sha256",
    ),
    ("no body announced", with_header(V2, "X-Content-Sha256", "UNSIGNED"), BadSignature, "the body's is"),
    ("100,000 parameters", msgspec.structs.replace(V2, target="/?" + "a=1&" * 100_000), MalformedRequest, "too long"),
    # In the query.
    ("a URL without time", with_query("X-Date=20240914T031650Z&", ""), MissingTime, "no X-Date"),
    ("an empty time", with_query("X-Date=20240914T031650Z", "X-Date="), ExpiredRequest, "one time"),
    ("without Credential", with_query("X-Credential=", "X-Nothing="), MissingScope, "no Credential"),
    ("without signature", with_query("X-Signature=", "X-Nothing="), MissingSignature, "no X-Signature"),
    ("without algorithm", with_query("X-Algorithm=", "X-Nothing="), BadScope, "X-Algorithm is ''"),
    ("another algorithm", with_query("=HMAC-SHA256", "=AWS4-HMAC-SHA256"), BadScope, "X-Algorithm is 'AWS4-"),
    ("signed headers", with_query("X-SignedHeaders=", "X-SignedHeaders=host"), BadSignature, "names headers"),
    ("two signatures", with_query("X-Signature=", "X-Signature=0&X-Signature="), MalformedRequest, "twice"),
    ("another service's", with_query("%2Flive%2F", "%2Fvod%2F"), UnknownService, "'vod'"),
    ("a body", msgspec.structs.replace(URL, body=b"{}"), BadSignature, "has a body"),
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
        msgspec.structs.replace(V2, method="PUT"),
        msgspec.structs.replace(V2, target="/live"),
        msgspec.structs.replace(V2, target="/?Action=ResumeStream&Version=2023-01-01"),
        with_header(V2, "Host", "live.volcengineapi.com:8080"),
        with_header(V2, "Content-Type", "text/plain"),
        with_header(V2, "X-Date", "20240914T031651Z"),
        with_header(msgspec.structs.replace(V2, body=b""), "X-Content-Sha256", signing.body_hash(b"")),
        with_authorization(lambda text: text[:-1] + ("0" if text[-1] != "0" else "1")),
        with_authorization(lambda text: text[:-64] + text[-64:].upper()),
        with_authorization(lambda text: text.replace("cn-north-1", "cn-south-1")),
        msgspec.structs.replace(URL, method="POST"),
        msgspec.structs.replace(URL, target=f"{URL.target}&Domain=x"),
        with_query("Action=DescribeLiveStreamState", "Action=KillStream"),
        with_query("X-NotSignBody=&", ""),
        with_query("X-SignedQueries=", "X-SignedQueries=a"),
        with_query("cn-north-1", "cn-south-1"),
    ],
)
def test_anything_changed_after_signing_is_noticed(changed: HttpRequest) -> None:
    with pytest.raises(BadSignature) as caught:
        check(changed)
    assert caught.value.string_to_sign.startswith("HMAC-SHA256\n")
    assert caught.value.canonical_request.count("\n") >= 6


def test_body_that_was_changed_and_announced_anew_is_noticed() -> None:
    body = V2.body.replace(b"stream001", b"stream002")
    changed = with_header(msgspec.structs.replace(V2, body=body), "X-Content-Sha256", signing.body_hash(body))
    with pytest.raises(BadSignature, match="not the one of this request"):
        check(changed)


def test_another_secret_does_not_pass() -> None:
    for request in (V2, URL):
        with pytest.raises(BadSignature):
            check(request, Credentials(CREDENTIALS.access_key, CREDENTIALS.secret_key + "0"))


def test_host_and_time_signed_alone_pass() -> None:
    # As published examples have it; the body is covered by its hash all the same.
    request = HttpRequest(
        method="POST", target="/?a=1", headers=Headers([("Host", "h"), ("X-Date", "20240914T031650Z")]), body=b"{}"
    )
    text = signing.string_to_sign(
        signing.canonical_request(request, ("host", "x-date")), "20240914T031650Z", signing.scope_of("20240914")
    )
    made = signing.signature(CREDENTIALS.secret_key, signing.scope_of("20240914"), text)
    value = f"HMAC-SHA256 {CREDENTIAL}SignedHeaders=host;x-date, Signature={made}"
    signed = with_header(request, "Authorization", value)
    check(signed)
    with pytest.raises(BadSignature):
        check(msgspec.structs.replace(signed, body=b"[]"))


@pytest.mark.parametrize("port", ["80", "443"])
def test_default_port_may_be_signed_or_not(port: str) -> None:
    bare = signing.sign(HttpRequest(method="GET", target="/", headers=Headers([("Host", "h")])), CREDENTIALS, AT)
    check(with_header(bare, "Host", f"h:{port}"))
    check(V3_WITHOUT_TOKEN)
    with pytest.raises(BadSignature):
        check(with_header(bare, "Host", "h:8080"))
    # A client that signs what it sends.
    names = ("host", "x-date")
    request = HttpRequest(method="GET", target="/", headers=Headers([("Host", "h"), ("X-Date", "20240914T031650Z")]))
    canonical = signing.canonical_request(request, names).replace("host:h\n", f"host:h:{port}\n")
    scope = signing.scope_of("20240914")
    text = signing.string_to_sign(canonical, "20240914T031650Z", scope)
    made = signing.signature(CREDENTIALS.secret_key, scope, text)
    value = f"HMAC-SHA256 {CREDENTIAL}SignedHeaders=host;x-date, Signature={made}"
    check(with_header(with_header(request, "Host", f"h:{port}"), "Authorization", value))


V3_WITHOUT_TOKEN = signing.sign(
    HttpRequest(method="POST", target="/", headers=Headers([("Host", "gateway.example.test:443")]), body=b"{}"),
    CREDENTIALS,
    AT,
)


@pytest.mark.parametrize("token", ["", "another"])
def test_token_of_another_session_is_refused(token: str) -> None:
    for request, sent in ((V3, "STS2exampletoken+/="), (URLS[1].signed(), "TOK%2F1")):
        with pytest.raises(BadSignature, match="not the one of this key") as caught:
            check(request, Credentials(CREDENTIALS.access_key, CREDENTIALS.secret_key, token))
        assert sent not in caught.value.canonical_request


def test_token_that_is_needed_and_missing_is_refused() -> None:
    for request in (V2, URL):
        with pytest.raises(BadSignature, match="not the one of this key"):
            check(request, Credentials(CREDENTIALS.access_key, CREDENTIALS.secret_key, "TOKEN+/="))


TEXT = st.text(max_size=40)
HEADER_LINES = st.lists(
    st.tuples(st.sampled_from(V2.headers.names()) | TEXT, TEXT | st.sampled_from([v for _, v in V2.headers])),
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
        changed = msgspec.structs.replace(signed, target=f"{signed.target}&x{data.draw(TEXT.filter(bool))}")
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
        if new.strip() == old.strip():
            return
    with pytest.raises(RequestRefused):
        check(changed)


@given(st.integers(2, len(URL.target) - 1), st.characters(codec="utf-8"))
def test_no_mutation_of_a_signed_url_verifies(at: int, letter: str) -> None:
    target = URL.target[:at] + letter + URL.target[at + 1 :]
    if query_pairs(target.partition("?")[2]) == query_pairs(URL.query):
        return  # `%2f` for `%2F`: the same URL
    with pytest.raises(RequestRefused):
        check(msgspec.structs.replace(URL, target=target))
