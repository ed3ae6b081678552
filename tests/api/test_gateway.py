"""The way of a call: who is let in, what each refusal looks like, and what is remembered of it."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from penstock.api.gateway import FAULT, MAX_RULE, MAX_TEXT
from penstock.clouds.contract import Credentials
from penstock.clouds.http import HttpRequest
from penstock.clouds.kingsoft import checks, signing
from penstock.clouds.kingsoft.streams import CheckBlacklist, CheckBlacklistResult, ForbidStream
from penstock.domain import accounts
from penstock.domain.caller import Caller
from penstock.domain.live import Live
from penstock.errors import Denied, Unavailable
from penstock.storage.errors import StorageError
from penstock.storage.rows import AccessKey
from tests.api.kit import APP, CAM, CLIENT, MINE, THEIRS, WHERE, Front, signed, unsigned, with_header
from tests.clock import START
from tests.domain.kit import DEMO, KEY

JSON = (("Accept", "application/json"),)
XML = ()
FORMS = pytest.mark.parametrize(("form", "accept"), [("json", JSON), ("xml", XML)], ids=["json", "xml"])


def check(*, accept: tuple[tuple[str, str], ...] = JSON, **options: Any) -> HttpRequest:
    return unsigned("CheckBlacklist", CAM, headers=accept, **options)


def with_authorization(old: str, new: str) -> Callable[[HttpRequest], HttpRequest]:
    def change(request: HttpRequest) -> HttpRequest:
        made = signed(request)
        before = made.headers.get("Authorization")
        assert old in before
        return with_header(made, "Authorization", before.replace(old, new))

    return change


def with_lines(name: str, *values: str) -> Callable[[HttpRequest], HttpRequest]:
    """Another header behind the signature."""
    return lambda request: with_header(signed(request), name, *values)


def with_part(**parts: Any) -> Callable[[HttpRequest], HttpRequest]:
    """Something else than what was signed."""
    return lambda request: msgspec.structs.replace(signed(request), **parts)


def at(seconds: float) -> Callable[[HttpRequest], HttpRequest]:
    return lambda request: signed(request, at=START + timedelta(seconds=seconds))


def of_scope(scope: str) -> Callable[[HttpRequest], HttpRequest]:
    """Signed well, with a key that was derived for something else."""

    def change(request: HttpRequest) -> HttpRequest:
        dated = with_header(request, "X-Amz-Date", signing.format_time(START))
        names = tuple(sorted(dated.headers.names()))
        text = signing.string_to_sign(signing.canonical_request(dated, names), signing.format_time(START), scope)
        made = signing.signature(MINE.secret_key, scope, text)
        line = f"{signing.ALGORITHM} Credential={MINE.access_key}/{scope}, SignedHeaders={';'.join(names)}, "
        return with_header(dated, "Authorization", f"{line}Signature={made}")

    return change


SCOPE = f"{START:%Y%m%d}/{signing.REGION}/{signing.SERVICE}/{signing.TERMINATOR}"

REFUSED: dict[str, tuple[Callable[[HttpRequest], HttpRequest], str, int]] = {
    "no signature at all": (lambda request: request, "MissingAccesskey", 400),
    "no credential": (with_authorization("Credential=", "Signed="), "InvalidParameterValue", 400),
    "an empty key": (with_authorization(f"Credential={MINE.access_key}/", "Credential=/"), "MissingAccesskey", 400),
    "an empty signature": (
        lambda request: with_authorization("Signature=" + signed(request).headers.get("Authorization")[-64:], "")(
            request
        ),
        "InvalidParameterValue",
        400,
    ),
    "no signature in it": (
        lambda request: with_authorization(signed(request).headers.get("Authorization")[-64:], "")(request),
        "MissingSignature",
        400,
    ),
    "no time": (with_lines("X-Amz-Date"), "MissingTimestamp", 400),
    "a time that is none": (with_lines("X-Amz-Date", "yesterday"), "InvalidTimestamp", 400),
    "two times": (with_lines("X-Amz-Date", "20260301T120000Z", "20260301T120000Z"), "InvalidTimestamp", 400),
    "too old": (at(-901), "InvalidTimestamp", 400),
    "of the future": (at(901), "InvalidTimestamp", 400),
    "a key that nobody has": (
        lambda request: signed(request, Credentials("AKnobody", MINE.secret_key)),
        "InvalidAccesskey",
        400,
    ),
    "a key in other case": (
        lambda request: signed(request, Credentials("AKONE", MINE.secret_key)),
        "InvalidAccesskey",
        400,
    ),
    "another secret": (lambda request: signed(request, Credentials("AKone", "guess")), "SignatureNotMatch", 400),
    "another's secret": (
        lambda request: signed(request, Credentials("AKone", THEIRS.secret_key)),
        "SignatureNotMatch",
        400,
    ),
    "another service": (of_scope(SCOPE.replace("/kls/", "/live/")), "SignatureNotMatch", 400),
    "another day": (of_scope(SCOPE.replace("20260301", "20260228")), "SignatureNotMatch", 400),
    "another end": (of_scope(SCOPE.replace("aws4_request", "aws5_request")), "SignatureNotMatch", 400),
    "another region than signed": (with_authorization("cn-beijing-6", "cn-shanghai-2"), "SignatureNotMatch", 400),
    "another algorithm": (with_authorization("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"), "SignatureNotMatch", 400),
    "an algorithm of another cloud": (
        with_authorization("AWS4-HMAC-SHA256", "HMAC-SHA256"),
        "SignatureNotMatch",
        400,
    ),
    "another method": (with_part(method="POST"), "SignatureNotMatch", 400),
    "another body": (with_part(body=b'{"Stream": "other"}'), "SignatureNotMatch", 400),
    "another query": (with_part(target="/?Action=CheckBlacklist&Version=2017-01-01"), "SignatureNotMatch", 400),
    "another path": (lambda request: with_part(target=f"/x{request.target}")(request), "SignatureNotMatch", 400),
    "another host": (with_lines("Host", "kls.api.ksyun.com"), "SignatureNotMatch", 400),
    "an operation in a header that nobody signed": (with_lines("X-Action", "ForbidStream"), "SignatureNotMatch", 400),
    "a token that nobody signed": (with_lines("X-Amz-Security-Token", "t"), "SignatureNotMatch", 400),
    "two signatures": (
        lambda request: with_header(signed(request), "Authorization", *["AWS4-HMAC-SHA256 x"] * 2),
        "InvalidParameterValue",
        400,
    ),
    "a signature of many parts": (
        with_lines("Authorization", "AWS4-HMAC-SHA256 " + "Credential=x," * 300),
        "InvalidParameterValue",
        400,
    ),
}


@FORMS
@pytest.mark.parametrize("case", REFUSED)
async def test_a_request_whose_signature_is_not_right_is_refused_and_nothing_is_done(
    front: Front, case: str, form: str, accept: tuple[tuple[str, str], ...]
) -> None:
    change, code, status = REFUSED[case]
    answer = await front.send(change(check(accept=accept)))
    assert (answer.status, answer.code, answer.form) == (status, code, form)
    assert front.acted == []
    (entry,) = front.explained
    assert (entry.request_id, entry.outcome) == (answer.request_id, f"{status} {code}")


@pytest.mark.parametrize("seconds", [-900, 0, 900])
async def test_a_time_within_fifteen_minutes_is_good(front: Front, seconds: float) -> None:
    assert (await front.send(at(seconds)(check()))).code == "0"


async def test_signatures_go_by_the_machines_clock_however_far_the_domains_was_turned(front: Front) -> None:
    front.live.clock.turn(by=timedelta(days=90))
    assert (await front.send(signed(check()))).code == "0"
    assert (await front.send(signed(check(), at=front.live.clock.now()))).code == "InvalidTimestamp"


async def test_any_region_is_taken_that_the_signature_was_made_for(front: Front) -> None:
    assert (await front.send(signed(check(), region="eu-east-1"))).code == "0"


@pytest.mark.parametrize("port", ["80", "443"])
async def test_a_default_port_that_only_the_client_signed_is_no_hindrance(front: Front, port: str) -> None:
    asked = with_header(check(), "Host", f"kls.test:{port}")
    assert (await front.send(with_header(signed(asked), "Host", "kls.test"))).code == "0"


@FORMS
@pytest.mark.parametrize(
    ("request_", "code", "status"),
    [
        (unsigned(query="Version=2017-01-01", headers=(("X-Action", ""),)), "MissingParameter", 400),
        (unsigned(query="Action=CheckBlacklist"), "MissingParameter", 400),
        (unsigned("GetRecordTask"), "InvalidActionOrVersion", 400),
        (unsigned("checkblacklist", CAM), "InvalidActionOrVersion", 400),
        (unsigned(query="Action=CheckBlacklist&Version=2016-01-01"), "InvalidActionOrVersion", 400),
        (unsigned(query="Action=CheckBlacklist&Action=CheckBlacklist"), "InvalidParameterValue", 400),
        (unsigned("CheckBlacklist", CAM, headers=(("X-Action", "ForbidStream"),)), "InvalidActionOrVersion", 400),
        (unsigned("CheckBlacklist", headers=(("X-Amz-Target", "live.CheckBlacklist"),)), "InvalidActionOrVersion", 400),
        (unsigned("CheckBlacklist", method="PUT"), "InvalidParameterValue", 400),
        (unsigned("CheckBlacklist", CAM, method="HEAD"), "InvalidParameterValue", 400),
        (unsigned("CheckBlacklist", method="DELETE"), "InvalidParameterValue", 400),
        (unsigned("CheckBlacklist", method="POST", body=b"{"), "InvalidParameterValue", 400),
        (unsigned("CheckBlacklist", method="POST", body=b"[]"), "InvalidParameterValue", 400),
        (unsigned(query="Action=CheckBlacklist&%ff=1&Version=2017-01-01"), "InvalidParameterValue", 400),
    ],
)
async def test_a_signed_request_for_nothing_we_have_is_refused(
    front: Front, request_: HttpRequest, code: str, status: int, form: str, accept: tuple[tuple[str, str], ...]
) -> None:
    asked = with_header(request_, "Accept", *(value for _, value in accept))
    answer = await front.send(signed(asked))
    assert (answer.status, answer.code, answer.form) == (status, code, form)
    assert front.acted == []


# Which operation


@pytest.mark.parametrize(
    "asked",
    [
        unsigned("CheckBlacklist", CAM),
        unsigned("CheckBlacklist", CAM, method="POST"),
        unsigned("CheckBlacklist", CAM, path="//"),
        unsigned("CheckBlacklist", CAM, path="/kls"),
        unsigned("", CAM, headers=(("X-Action", "CheckBlacklist"), ("X-Version", "2017-01-01"))),
        unsigned("", CAM, headers=(("X-Amz-Target", "kls.CheckBlacklist"),)),
        unsigned("", CAM, method="POST", headers=(("X-Amz-Target", "kls.CheckBlacklist"),)),
        unsigned("CheckBlacklist", CAM, headers=(("X-Action", "CheckBlacklist"),)),
        # As the guide's Postman call: a form's content type over JSON, and nothing accepted.
        unsigned(
            "CheckBlacklist", CAM, method="POST", headers=(("Content-Type", "application/x-www-form-urlencoded"),)
        ),
    ],
)
async def test_an_operation_is_named_in_the_query_or_in_headers(front: Front, asked: HttpRequest) -> None:
    answer = await front.send(signed(asked))
    assert (answer.code, answer.data["CheckResult"]) == ("0", 0)
    ((caller, operation),) = front.acted
    assert isinstance(operation, CheckBlacklist)
    assert operation.stream == "cam"
    assert caller == Caller(account="1", access_key="AKone", cloud="kingsoft")


async def test_a_handler_is_told_who_calls(front: Front) -> None:
    sub = AccessKey(access_key="AKsub", secret_key="s", account="1", sub_account=True)
    await accounts.add_key(front.live, sub)
    assert (await front.call("CheckBlacklist", CAM, credentials=Credentials("AKsub", "s"))).code == "0"
    ((caller, _),) = front.acted
    assert (caller.account, caller.access_key, caller.sub_account) == ("1", "AKsub", True)


async def test_a_key_that_was_taken_away_is_unknown_at_once(front: Front) -> None:
    await accounts.remove_key(front.live, KEY.access_key)
    assert (await front.send(signed(check()))).code == "InvalidAccesskey"


@pytest.mark.parametrize("accept", ["application/json", "text/html, application/json;q=0.5", "APPLICATION/JSON"])
async def test_errors_are_json_for_who_accepts_it_by_name(front: Front, accept: str) -> None:
    assert (await front.send(check(accept=(("Accept", accept),)))).form == "json"


@pytest.mark.parametrize("accept", ["*/*", "application/*", "text/xml", "application/jsonx"])
async def test_errors_are_xml_for_anybody_else(front: Front, accept: str) -> None:
    assert (await front.send(check(accept=(("Accept", accept),)))).form == "xml"


async def test_a_fault_of_parameters_is_json_whatever_is_accepted(front: Front) -> None:
    answer = await front.send(signed(unsigned("CheckBlacklist", APP, headers=(("Accept", "text/xml"),))))
    assert (answer.status, answer.form, answer.code) == (200, "json", "1000")


@pytest.mark.parametrize(
    "asked",
    [
        unsigned(),
        unsigned(path="//"),
        unsigned(path="/favicon.ico"),
        unsigned(method="HEAD"),
        unsigned(method="PUT"),
        unsigned(query="action=CheckBlacklist"),
        unsigned(headers=(("Authorization", "Bearer x"),)),
    ],
)
async def test_what_is_no_clouds_request_is_told_so_in_one_line(front: Front, asked: HttpRequest) -> None:
    answer = await front.gateway.answer(asked, CLIENT)
    assert (answer.status, answer.headers.get("Content-Type")) == (404, "text/plain; charset=utf-8")
    assert answer.body.count(b"\n") == 1
    assert answer.headers.get("X-Content-Type-Options") == "nosniff"
    assert (front.acted, front.explained) == ([], [])


# What a caller learns, and what is kept


async def test_an_unknown_key_costs_the_same_work_as_a_wrong_secret(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody finds out by the clock which keys there are."""
    made: list[int] = []
    original = signing.signature

    def counted(secret_key: str, scope: str, text: str) -> str:
        made.append(len(text))
        return original(secret_key, scope, text)

    monkeypatch.setattr(checks, "signature", counted)
    assert (await front.send(signed(check(), Credentials("AKone", "guess")))).code == "SignatureNotMatch"
    known, made[:] = made[:], []
    assert (await front.send(signed(check(), Credentials("AKnil", "guess")))).code == "InvalidAccesskey"
    assert made == known


async def test_nobody_signs_for_a_key_that_does_not_exist(front: Front) -> None:
    """Not even with the words that stand in for its secret."""
    guess = Credentials("", "an unknown key's request is verified all the same")
    for key in ("AKnobody", "x"):
        answer = await front.send(signed(check(), Credentials(key, guess.secret_key)))
        assert answer.code == "InvalidAccesskey"
    assert front.acted == []


async def test_a_request_has_an_id_of_its_own(front: Front) -> None:
    ids = [(await front.send(asked)).request_id for asked in (signed(check()), signed(check()), check(), check())]
    assert len({str(uuid.UUID(each)) for each in ids}) == 4


async def test_a_signature_that_does_not_fit_is_explained_by_what_would_have_been_signed(front: Front) -> None:
    asked = signed(check(), Credentials("AKone", "guess"))
    await front.send(asked)
    (entry,) = front.explained
    assert (entry.cloud, entry.account, entry.access_key) == ("kingsoft", "", "AKone")
    assert entry.at == START
    assert entry.rule.startswith("BadSignature: ")
    assert entry.canonical_request.startswith("GET\n/\nAction=CheckBlacklist&")
    assert entry.string_to_sign.startswith("AWS4-HMAC-SHA256\n20260301T120000Z\n20260301/cn-beijing-6/kls/")


async def test_a_refusal_of_the_domain_is_explained_with_account_and_operation(front: Front) -> None:
    answer = await front.call("ResumeStream", CAM)
    (entry,) = front.explained
    assert (entry.request_id, entry.account, entry.action) == (answer.request_id, "1", "ResumeStream")
    assert (entry.outcome, entry.rule) == ("200 8201", "NotBanned: demo/live/cam is not banned")
    assert entry.canonical_request == ""


async def test_what_worked_needs_no_explanation(front: Front) -> None:
    await front.call("CheckBlacklist", CAM)
    assert front.explained == []


async def test_no_secret_is_in_what_is_kept_or_logged_or_answered(
    front: Front, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = (("X-Amz-Security-Token", "the-token"), ("Accept", "application/json"))
    texts = [
        str(await front.gateway.answer(made, CLIENT))
        for made in (
            signed(check(), Credentials("AKone", "wrong-secret")),
            signed(unsigned("CheckBlacklist", CAM, headers=token)),
            signed(unsigned("CheckBlacklist", CAM, headers=token), Credentials("AKone", "wrong-secret")),
            signed(unsigned("CheckBlacklist", {})),
        )
    ]
    texts += [str(msgspec.to_builtins(entry)) for entry in front.explained]
    assert len(texts) == 8
    for secret in (KEY.secret_key, "wrong-secret", "the-token", THEIRS.secret_key):
        assert all(secret not in text for text in (*texts, caplog.text))


async def test_what_is_kept_of_a_request_has_a_bound(front: Front) -> None:
    filler = tuple((f"X-{number}", "x" * 4000) for number in range(20))
    huge = [
        signed(unsigned("CheckBlacklist", CAM, headers=filler), Credentials("AKone", "guess")),
        signed(check(), Credentials("A" * 3000, "guess")),
        signed(unsigned("CheckBlacklist", {**CAM, "Stream": "s" * 9000}, headers=filler)),
        signed(unsigned("C" * 9000, CAM)),
    ]
    for request in huge:
        await front.send(request)
    for entry in front.explained:
        assert len(entry.access_key) <= 128
        assert len(entry.rule) <= MAX_RULE
        assert len(entry.canonical_request) <= MAX_TEXT
        assert len(entry.string_to_sign) <= MAX_TEXT
        assert len(entry.action) <= 64


async def test_text_from_outside_stays_text(front: Front) -> None:
    nasty = "<script>&\"'\x1b[31m"
    answer = await front.send(signed(unsigned(nasty, CAM, headers=())))
    assert (answer.form, answer.code) == ("xml", "InvalidActionOrVersion")
    # Read back as what it was, but for what XML cannot carry.
    assert "<script>&" in answer.message
    assert "\x1b" not in answer.message


async def test_refusals_of_the_nameless_are_not_logged_one_by_one(
    front: Front, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever has no key must not be able to fill a disk with lines."""
    caplog.set_level(logging.INFO)
    await front.send(check())
    await front.send(signed(check(), Credentials("AKnobody", "x")))
    assert caplog.text == ""
    answer = await front.call("ResumeStream", CAM)
    assert f"kingsoft ResumeStream refused (8201), request {answer.request_id} by 1 from {CLIENT}" in caplog.text


# Dry runs


@pytest.mark.parametrize("said", [True, "true", 1])
async def test_a_dry_run_of_a_change_says_that_it_would_work_and_does_nothing(front: Front, said: object) -> None:
    answer = await front.call("ForbidStream", {**CAM, "DryRun": said})
    assert (answer.status, answer.code) == (412, "ErrorDryRun")
    assert front.live.bans.find(DEMO, START) is None
    assert (await front.call("CheckBlacklist", CAM)).data["CheckResult"] == 0


async def test_a_dry_run_of_a_read_says_so_too(front: Front) -> None:
    answer = await front.call("GetBlacklist", {**WHERE, "DryRun": "true"}, method="GET")
    assert (answer.status, answer.code) == (412, "ErrorDryRun")


@pytest.mark.parametrize(
    ("action", "values", "code"),
    [
        ("ResumeStream", CAM, "8201"),
        ("ForbidStream", {**CAM, "ForbidTillUnixTime": 1}, "8502"),
        ("ForbidStream", {**CAM, "UniqueName": "other"}, "6406"),
        ("GetBlacklist", {**WHERE, "Pubdomain": "push.other.test"}, "4201"),
    ],
)
async def test_a_dry_run_of_what_would_fail_fails_the_same(
    front: Front, action: str, values: dict[str, Any], code: str
) -> None:
    assert (await front.call(action, {**values, "DryRun": True})).code == code


async def test_a_dry_run_that_is_off_is_none(front: Front) -> None:
    assert (await front.call("ForbidStream", {**CAM, "DryRun": "false"})).code == "0"
    assert front.live.bans.find(DEMO, START) is not None


async def test_a_dry_run_is_true_or_false(front: Front) -> None:
    assert (await front.call("ForbidStream", {**CAM, "DryRun": "perhaps"})).code == "4999"
    assert front.acted == []


# Faults


@FORMS
async def test_a_fault_of_our_own_is_logged_and_its_text_is_not_told(
    front: Front, caplog: pytest.LogCaptureFixture, form: str, accept: tuple[tuple[str, str], ...]
) -> None:
    async def broken(live: Live, caller: Caller, ask: CheckBlacklist) -> CheckBlacklistResult:
        raise ZeroDivisionError("at the secret place")

    front.replace(CheckBlacklist, broken)
    answer = await front.send(signed(check(accept=accept)))
    assert (answer.status, answer.code, answer.form) == (500, "UndefinedError", form)
    assert "secret place" not in answer.message
    assert f"a fault of our own, request {answer.request_id}, kingsoft CheckBlacklist" in caplog.text
    assert "ZeroDivisionError: at the secret place" in caplog.text
    (entry,) = front.explained
    assert (entry.request_id, entry.outcome, entry.rule) == (answer.request_id, "500 UndefinedError", FAULT)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Unavailable("no engine"), 500, "ServiceUnavailable"),
        (Denied("not with this key"), 403, "InvalidAuthenticationCode"),
        (StorageError("the disk is full"), 500, "UndefinedError"),
    ],
)
async def test_an_error_that_any_operation_may_have_has_its_status(
    front: Front, error: Exception, status: int, code: str
) -> None:
    async def failing(live: Live, caller: Caller, ask: ForbidStream) -> CheckBlacklistResult:
        raise error

    front.replace(ForbidStream, failing)
    answer = await front.call("ForbidStream", CAM)
    assert (answer.status, answer.code) == (status, code)
