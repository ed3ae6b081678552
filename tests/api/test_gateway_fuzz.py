"""Whatever is asked: an answer in the form of KLS, never a fault of ours, and nothing done."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.clouds.contract import Credentials
from penstock.clouds.http import Headers, HttpRequest, HttpResponse
from penstock.clouds.kingsoft import signing
from penstock.errors import MalformedRequest
from tests.api.kit import BAN, CHECK, KEY, OTHER, House, changed, signed
from tests.api.volcengine.front import read as read_volcengine
from tests.clock import START

FUZZ = settings(max_examples=150)

ODD_TEXTS = st.sampled_from(
    ["", "\x00", "\ud800", "\udfff", "é", "测试", "\u202e", "%", "%zz", "%ed%a0%80", "+", "&", "=", "<a>&amp;", "../..",
     "'; DROP TABLE bans; --", "\r\nX: 1", "1e400", "-0", "0x10", "NaN", "9" * 400]
)  # fmt: skip
TEXTS = st.one_of(ODD_TEXTS, st.text(max_size=20))
NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([1 << 63, 1 << 64, -(1 << 70), 10**400]))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=10,
)
NAMES = st.one_of(
    st.sampled_from(["UniqueName", "App", "Pubdomain", "Stream", "ForbidTillUnixTime", "DryRun", "Action", "Version"]),
    TEXTS,
)
# Never whole: one of the members that every operation of this house wants is not there.
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=6).map(lambda found: {k: v for k, v in found.items() if k != "App"})

ODD_BODIES = st.sampled_from(
    [
        b"",
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"{}{}",
        b"{'a':1}",
        b'{"UniqueName":"demo","UniqueName":"other"}',
        b'{"UniqueName":NaN}',
        b'{"UniqueName":Infinity}',
        b'{"UniqueName":1e400}',
        b'{"UniqueName":' + b"9" * 5000 + b"}",
        b'{"UniqueName":"\\ud800"}',
        b'{"\\udc00":1}',
        b'{"a":' * 50_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":"' + b"x" * 262_144 + b'"}',
        b"\x00" * 1000,
    ]
)
BODIES = st.one_of(ODD_BODIES, st.binary(max_size=200), OBJECTS.map(lambda found: json.dumps(found).encode()))


def check_form(answer: HttpResponse, request: HttpRequest) -> None:
    """KLS's form: a RetCode in JSON, or an Error in JSON or XML as the request accepts it; below 500."""
    assert 200 <= answer.status < 500, answer.body[:300]
    body = answer.body.decode()
    if answer.headers.get("Content-Type").startswith("application/json"):
        value = json.loads(body)
        if request.headers.get("Authorization").startswith("HMAC-SHA256"):
            # By its scheme it is Volcengine's, whatever else it has of KLS.
            assert read_volcengine(answer).code
            return
        assert value["RequestId"]
        assert (answer.status == 200) == ("Data" in value)
        assert ("Error" in value) != ("Data" in value)
    else:
        assert "application/json" not in request.headers.get("Accept").lower()
        assert re.fullmatch(
            r"<ErrorResponse><RequestId>[0-9a-f-]{36}</RequestId><Error><Type>\w+</Type><Code>\w+</Code>"
            r"<Message>[^<]*</Message></Error></ErrorResponse>",
            body,
            re.DOTALL,
        )


async def refused(request: HttpRequest, house: House | None = None) -> HttpResponse:
    house = house or House(limited=False)
    answer = await house.answer(request)
    check_form(answer, request)
    assert house.live.asked == []
    assert json.loads(answer.body).get("Data", {}).get("RetCode") != 0 if answer.body[:1] == b"{" else True
    return answer


def signed_as_it_is(request: HttpRequest, credentials: Credentials = KEY) -> HttpRequest:
    """A request with a signature of its own; where none can be made of it, with one of something else."""
    bare = changed(request, drop=("x-amz-date", "authorization"))
    try:
        return signing.sign(bare, credentials, START)
    except (MalformedRequest, UnicodeEncodeError):
        return request


# Bodies and queries of those who hold a key


@FUZZ
@given(body=BODIES)
async def test_any_body_under_a_good_signature(body: bytes) -> None:
    await refused(signed_as_it_is(changed(signed(BAN), body=body)))


@FUZZ
@given(pairs=st.lists(st.tuples(NAMES.filter(lambda name: name != "App"), TEXTS), max_size=8), data=st.data())
async def test_any_query_under_a_good_signature(pairs: list[tuple[str, str]], data: st.DataObject) -> None:
    tail = "&".join(f"{name}={value}" for name, value in pairs)
    method = data.draw(st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "", "G\x00T", "x" * 1000]))
    target = f"/?Action=CheckBlacklist&Version=2017-01-01&{tail}"
    await refused(signed_as_it_is(changed(signed(CHECK), target=target, method=method)))


@pytest.mark.parametrize("count", [201, 1000, 100_000])
async def test_a_hundred_thousand_parameters(count: int) -> None:
    target = signed(CHECK).target + "&a=1" * count
    answer = await refused(signed_as_it_is(changed(signed(CHECK), target=target)))
    assert json.loads(answer.body)["Error"]["Code"] == "InvalidParameterValue"


@FUZZ
@given(
    lines=st.lists(
        st.tuples(
            st.sampled_from(
                ["X-Action", "X-Version", "X-Amz-Target", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-SHA256",
                 "Accept", "Host", "Content-Type", "Authorization", "Expect", "X-Forwarded-For"]
            ),
            st.one_of(TEXTS, st.sampled_from(["CheckBlacklist", "ForbidStream", "kls.ResumeStream", "2017-01-01"])),
        ),
        min_size=1,
        max_size=4,
    )
)  # fmt: skip
async def test_header_lines_that_nobody_signed_change_nothing(lines: list[tuple[str, str]]) -> None:
    """Either they are refused, or they are not of those that count: then the call is what was signed."""
    house = House(limited=False)
    request = changed(signed(CHECK), add=tuple(lines))
    answer = await house.answer(request)
    check_form(answer, request)
    assert all(operation == CHECK for _, operation in house.live.asked)
    if {name for name, _ in lines} & {"X-Action", "X-Version", "X-Amz-Target", "X-Amz-Security-Token", "X-Amz-Date"}:
        assert house.live.asked == []


# Everything of those who hold none


@FUZZ
@given(
    method=st.one_of(st.sampled_from(["GET", "POST"]), TEXTS),
    target=st.one_of(TEXTS, TEXTS.map(lambda text: f"/?Action={text}")),
    lines=st.lists(st.tuples(st.sampled_from(["Host", "X-Action", "X-Amz-Date", "Accept"]), TEXTS), max_size=4),
    authorization=st.one_of(TEXTS, TEXTS.map(lambda text: f"{signing.ALGORITHM} {text}")),
    body=BODIES,
)
async def test_requests_of_anything(
    method: str, target: str, lines: list[tuple[str, str]], authorization: str, body: bytes
) -> None:
    headers = Headers([*lines, ("X-Amz-Target", "kls.CheckBlacklist"), ("Authorization", authorization)])
    await refused(HttpRequest(method=method, target=target, headers=headers, body=body))


PARTS = ("Credential", "SignedHeaders", "Signature")


@FUZZ
@given(data=st.data())
async def test_an_authorization_with_one_part_changed(data: st.DataObject) -> None:
    request = signed(CHECK)
    text = request.headers.get("Authorization")
    at = data.draw(st.integers(0, len(text) - 1))
    put = data.draw(st.sampled_from(["", ",", "/", ";", "=", "0", "é", "\x00", "kls", text[: at // 2], "A" * 5000]))
    other = text[:at] + put + text[at + data.draw(st.integers(0, 30)) :]
    if other.split() == text.split():
        return
    await refused(changed(request, drop=("authorization",), add=(("Authorization", other),)))


@FUZZ
@given(
    scope=st.one_of(
        st.sampled_from(
            ["20260301/cn-beijing-6/live/aws4_request", "20260301/cn-north-1/live/request", "20260301/cn-beijing-6/kls",
             "20260302/cn-beijing-6/kls/aws4_request", "/cn-beijing-6/kls/aws4_request", "20260301//kls/aws4_request",
             "20260301/cn-beijing-6/kls/aws4_request/x", "20260301/cn-shanghai-2/kls/aws4_request", ""]
        ),
        TEXTS,
    )
)  # fmt: skip
async def test_a_scope_that_was_not_signed(scope: str) -> None:
    request = signed(CHECK)
    text = request.headers.get("Authorization").replace("20260301/cn-beijing-6/kls/aws4_request", scope)
    await refused(changed(request, drop=("authorization",), add=(("Authorization", text),)))


@pytest.mark.parametrize("late_s", [901, -901, 86_400, -86_400, 3.2e9, -2e9])
async def test_a_clock_that_is_off(late_s: float) -> None:
    answer = await refused(House().signed(CHECK, late_s=late_s))
    assert json.loads(answer.body)["Error"]["Code"] == "InvalidTimestamp"


@FUZZ
@given(body=BODIES)
async def test_the_signature_of_another_body(body: bytes) -> None:
    request = signed(BAN)
    if body != request.body:
        answer = await refused(changed(request, body=body))
        assert json.loads(answer.body)["Error"]["Code"] == "SignatureNotMatch"


@FUZZ
@given(change=st.sampled_from([("cam", "cam2"), ("demo", "other"), ("Check", "Get"), ("?", "?a=1&"), ("/?", "/x?")]))
async def test_the_signature_of_another_target(change: tuple[str, str]) -> None:
    request = signed(CHECK)
    await refused(changed(request, target=request.target.replace(*change)))


@pytest.mark.parametrize(
    "scheme", ["HMAC-SHA256", "CNC-HMAC-SHA256", "aws4-hmac-sha256", "AWS4-HMAC-SHA1", "Basic", ""]
)
async def test_dialects_that_are_mixed(scheme: str) -> None:
    request = signed(CHECK)
    text = request.headers.get("Authorization")
    other = text.replace(signing.ALGORITHM, scheme).strip()
    await refused(changed(request, drop=("authorization",), add=(("Authorization", other),)))
    await refused(changed(request, add=(("Authorization", other),)))
    await refused(changed(request, drop=("authorization",), add=(("Authorization", other), ("Authorization", text))))


async def test_the_key_of_another_account_signs_for_itself_alone() -> None:
    house = House()
    request = signed(CHECK, OTHER)
    text = request.headers.get("Authorization").replace(OTHER.access_key, KEY.access_key)
    await refused(changed(request, drop=("authorization",), add=(("Authorization", text),)), house)
    await house.answer(request)
    ((caller, _),) = house.live.asked
    assert caller.account == "1002"


def test_a_form_that_is_not_klss_would_be_seen() -> None:
    plain = HttpResponse(status=400, headers=Headers([("Content-Type", "text/plain")]), body=b"no")
    with pytest.raises(AssertionError):
        check_form(plain, signed(CHECK))
    failed: dict[str, Any] = {"RequestId": "1", "Error": {}}
    broken = HttpResponse(
        status=500, headers=Headers([("Content-Type", "application/json")]), body=json.dumps(failed).encode()
    )
    with pytest.raises(AssertionError):
        check_form(broken, signed(CHECK))
