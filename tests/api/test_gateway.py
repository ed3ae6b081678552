"""From a request to an answer: who is let through, what is counted, what is told."""

from __future__ import annotations

import asyncio
import json
import logging
import re

import pytest
from msgspec import structs

from penstock.api import dialects
from penstock.clouds.contract import Credentials
from penstock.clouds.http import Headers, HttpRequest
from penstock.clouds.kingsoft import signing, streams, wire
from penstock.domain.caller import Caller
from penstock.errors import LinkError, NotBanned
from penstock.storage.errors import StorageError
from tests.api.kit import BAN, CHECK, KEY, OTHER, SUB, House, MakeTask, changed, fault, signed
from tests.clouds.kingsoft.test_checks import with_header

UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture
def house() -> House:
    return House()


def plain(method: str = "GET", target: str = "/", *lines: tuple[str, str], body: bytes = b"") -> HttpRequest:
    return HttpRequest(
        method=method, target=target, headers=Headers([("Host", "api.demo.test:8080"), *lines]), body=body
    )


# What is let through


async def test_a_signed_call_is_acted_on_and_answered(house: House) -> None:
    answer = await house.ask(CHECK)
    result = wire.decode_response(CHECK, answer)
    assert result.check_result == 1
    assert UUID4.fullmatch(result.request_id)
    assert house.live.asked == [(Caller(account="1001", access_key="AKMAIN", cloud="kingsoft"), CHECK)]
    assert house.told == []


async def test_a_sub_accounts_key_does_what_the_main_one_does(house: House) -> None:
    assert fault(await house.ask(BAN, SUB)) == (200, "0")
    ((caller, _),) = house.live.asked
    assert caller == Caller(account="1001", access_key="AKSUB", sub_account=True, cloud="kingsoft")


async def test_what_a_cloud_keeps_for_its_main_account_is_denied_to_others(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    kls = dialects._BY_SCHEME[signing.ALGORITHM]
    strict = structs.replace(kls, main_account_only=frozenset({streams.ForbidStream}))
    monkeypatch.setitem(dialects._BY_SCHEME, kls.scheme, strict)
    assert fault(await house.ask(BAN, SUB)) == (403, "InvalidAuthenticationCode")
    assert fault(await house.ask(CHECK, SUB)) == (200, "0")
    assert fault(await house.ask(BAN)) == (200, "0")
    assert [caller.access_key for caller, _ in house.live.asked] == [SUB.access_key, KEY.access_key]


async def test_two_answers_have_two_request_ids(house: House) -> None:
    ids = {json.loads((await house.ask(CHECK)).body)["RequestId"] for _ in range(3)}
    assert len(ids) == 3


async def test_a_key_that_was_taken_away_opens_nothing(house: House) -> None:
    request = house.signed(CHECK)
    del house.keys[KEY.access_key]
    assert fault(await house.answer(request)) == (400, "InvalidAccesskey")
    assert house.live.asked == []


# Refusals of the gateway


async def test_an_unknown_key_and_a_wrong_secret_have_their_own_codes_and_do_nothing(house: House) -> None:
    stranger = signed(CHECK, Credentials("AKNOBODY", "x"), house.clock.now())
    liar = signed(CHECK, Credentials(KEY.access_key, "x"), house.clock.now())
    assert fault(await house.answer(stranger)) == (400, "InvalidAccesskey")
    assert fault(await house.answer(liar)) == (400, "SignatureNotMatch")
    assert house.live.asked == []


async def test_an_unknown_key_costs_the_work_of_a_known_one(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    worked: list[str] = []
    real = wire.verify
    monkeypatch.setattr(wire, "verify", lambda *args: worked.append(args[1].access_key) or real(*args))  # type: ignore[func-returns-value]
    await house.answer(signed(CHECK, Credentials("AKNOBODY", "x"), house.clock.now()))
    await house.answer(signed(CHECK, Credentials(KEY.access_key, "x"), house.clock.now()))
    assert worked == ["AKNOBODY", "AKMAIN"]


async def test_an_operation_that_is_not_served_is_unknown(house: House) -> None:
    ask = streams.GetBlacklist(unique_name="demo", app="live", pubdomain="push.demo.test")
    assert fault(await house.ask(ask)) == (400, "InvalidActionOrVersion")


async def test_a_wrong_parameter_is_a_retcode_inside_200(house: House) -> None:
    request = signed(CHECK, now=house.clock.now())
    target = request.target.replace("Stream=cam", "Stream=")
    again = _signed_anew(house, changed(request, target=target))
    assert fault(await house.answer(again)) == (200, "1000")
    assert house.live.asked == []


def _signed_anew(house: House, request: HttpRequest) -> HttpRequest:
    return signing.sign(changed(request, drop=("x-amz-date", "authorization")), KEY, house.clock.now())


@pytest.mark.parametrize(
    ("accept", "content_type", "begin"),
    [
        ("application/json", "application/json", b'{"RequestId":'),
        ("*/*", "text/xml", b"<ErrorResponse><RequestId>"),
        ("", "text/xml", b"<ErrorResponse><RequestId>"),
    ],
)
async def test_an_error_is_xml_unless_json_is_asked_for(
    house: House, accept: str, content_type: str, begin: bytes
) -> None:
    request = with_header(house.signed(CHECK), "Accept", *([accept] if accept else []))
    answer = await house.answer(with_header(request, "Authorization"))
    assert answer.status == 400
    assert answer.headers.get("Content-Type").startswith(content_type)
    assert answer.body.startswith(begin)
    assert b"MissingAccesskey" in answer.body


@pytest.mark.parametrize(
    "request_",
    [
        plain("GET", "/?Action=CheckBlacklist&Version=2017-01-01"),
        plain("POST", "/", ("X-Action", "CheckBlacklist"), ("X-Version", "2017-01-01")),
        plain("POST", "/", ("X-Amz-Target", "kls.CheckBlacklist")),
        plain("POST", "/kls?Version=2017-01-01&Action=CheckBlacklist"),
        plain("DELETE", "/?Action=CheckBlacklist"),
    ],
)
async def test_what_looks_like_kls_and_is_not_signed_is_told_so_in_its_words(
    house: House, request_: HttpRequest
) -> None:
    answer = await house.answer(request_)
    assert (answer.status, b"<Code>MissingAccesskey</Code>" in answer.body) == (400, True)
    basic = await house.answer(changed(request_, add=(("Authorization", "Basic QTpC"),)))
    assert (basic.status, b"<Code>SignatureNotMatch</Code>" in basic.body) == (400, True)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (plain("GET", "/"), 404),
        (plain("GET", "/favicon.ico?v=1"), 404),
        (plain("POST", "/", body=b"{}"), 400),
        (plain("GET", "/", ("Authorization", "Basic QTpC")), 400),
        (plain("GET", "/?NoAction=CheckBlacklist", ("Authorization", "")), 400),
    ],
)
async def test_what_is_in_no_dialect_gets_a_short_plain_answer(
    house: House, request_: HttpRequest, status: int
) -> None:
    answer = await house.answer(request_)
    body = json.loads(answer.body)
    assert answer.status == status
    assert UUID4.fullmatch(body["RequestId"])
    assert len(answer.body) < 300
    assert [entry.request_id for entry in house.told] == [body["RequestId"]]


# Two clocks


@pytest.mark.parametrize(("late_s", "outcome"), [(900, (200, "0")), (901, (400, "InvalidTimestamp"))])
@pytest.mark.parametrize("direction", [1, -1])
async def test_the_window_is_15_minutes_either_way(
    house: House, late_s: float, outcome: tuple[int, str], direction: int
) -> None:
    assert fault(await house.answer(house.signed(CHECK, late_s=direction * late_s))) == outcome


# Rates


async def test_the_call_after_the_last_one_of_the_window_is_answered_409(house: House) -> None:
    calls = [await house.ask(CHECK) for _ in range(101)]
    assert [fault(each) for each in calls] == [(200, "0")] * 100 + [(409, "LimitExceeded")]
    house.clock.advance(1)
    assert fault(await house.ask(CHECK)) == (200, "0")


async def test_fifty_queries_a_minute_pass_and_the_51st_does_not(house: House) -> None:
    ask = streams.ListRealtimeStreamsInfo(unique_name="demo", app="live")
    house.gateway._handlers = {
        streams.ListRealtimeStreamsInfo: lambda *_: _list(),
    }

    async def _list() -> streams.ListRealtimeStreamsInfoResult:
        return streams.ListRealtimeStreamsInfoResult(
            unique_name="demo", app="live", count=0, bw=0, online_user=0, streams=[]
        )

    assert [fault(await house.ask(ask)) for _ in range(51)] == [(200, "0")] * 50 + [(409, "LimitExceeded")]
    house.clock.advance(60)
    assert fault(await house.ask(ask)) == (200, "0")


async def test_rates_are_per_account_and_operation(house: House) -> None:
    for _ in range(100):
        await house.ask(CHECK)
    assert fault(await house.ask(CHECK, SUB)) == (409, "LimitExceeded"), "one account has one window"
    assert fault(await house.ask(CHECK, OTHER)) == (200, "0")
    assert fault(await house.ask(BAN)) == (200, "0")


async def test_without_a_signature_nothing_is_counted(house: House) -> None:
    liar = signed(CHECK, Credentials(KEY.access_key, "x"), house.clock.now())
    for _ in range(200):
        assert fault(await house.answer(liar)) == (400, "SignatureNotMatch")
    assert fault(await house.ask(CHECK)) == (200, "0")


async def test_wrong_parameters_count(house: House) -> None:
    wrong = _signed_anew(house, changed(house.signed(CHECK), target="/?Action=CheckBlacklist&Version=2017-01-01"))
    for _ in range(100):
        assert fault(await house.answer(wrong)) == (200, "1000")
    assert fault(await house.ask(CHECK)) == (409, "LimitExceeded")


async def test_limits_can_be_turned_off() -> None:
    house = House(limited=False)
    assert {fault(await house.ask(CHECK)) for _ in range(300)} == {(200, "0")}


# Dry runs


async def test_a_dry_run_of_a_change_checks_and_does_nothing(house: House) -> None:
    body = json.dumps({**json.loads(house.signed(BAN).body), "DryRun": True}).encode()
    answer = await house.answer(_signed_anew(house, changed(house.signed(BAN), body=body)))
    assert fault(answer) == (412, "ErrorDryRun")
    assert house.live.asked == []


async def test_a_dry_run_of_a_read_is_answered_the_same(house: House) -> None:
    request = house.signed(CHECK)
    answer = await house.answer(_signed_anew(house, changed(request, target=f"{request.target}&DryRun=true")))
    assert fault(answer) == (412, "ErrorDryRun")


# Saying it twice


@pytest.fixture
def with_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(wire.OPERATIONS, "MakeTask", MakeTask)


@pytest.mark.usefixtures("with_tasks")
async def test_what_creates_is_done_once_and_answered_twice(house: House) -> None:
    request = house.signed(MakeTask(name="night"))
    first, second = await house.answer(request), await house.answer(request)
    assert json.loads(first.body)["Data"] == {"Task": 1, "RetCode": 0, "RetMsg": "success"}
    assert second == first, "its request id, too"
    house.clock.advance(10)
    again = await house.answer(request)
    assert json.loads(again.body)["Data"]["Task"] == 2


@pytest.mark.usefixtures("with_tasks")
async def test_two_at_once_create_one_thing(house: House) -> None:
    may_end = asyncio.Event()
    house.live.instead = may_end.wait  # type: ignore[assignment]
    calls = [asyncio.create_task(house.answer(house.signed(MakeTask(name="night")))) for _ in range(3)]
    await asyncio.sleep(0)
    may_end.set()
    first, *others = await asyncio.gather(*calls)
    assert others == [first, first]
    assert len(house.live.asked) == 1


@pytest.mark.usefixtures("with_tasks")
async def test_another_name_key_or_second_creates_another_thing(house: House) -> None:
    await house.ask(MakeTask(name="night"))
    await house.ask(MakeTask(name="day"))
    await house.ask(MakeTask(name="night"), SUB)
    house.clock.advance(1)
    await house.ask(MakeTask(name="night"))
    assert len(house.live.asked) == 4


@pytest.mark.usefixtures("with_tasks")
async def test_a_refusal_of_what_creates_is_given_again(house: House) -> None:
    async def refuse() -> None:
        raise NotBanned("no")

    house.live.instead = refuse
    request = house.signed(MakeTask(name="night"))
    first = await house.answer(request)
    assert fault(first) == (200, "8201")
    house.live.instead = None
    assert await house.answer(request) == first


@pytest.mark.usefixtures("with_tasks")
async def test_a_dry_run_of_what_creates_is_no_first_call(house: House) -> None:
    request = house.signed(MakeTask(name="night"))
    body = json.dumps({"Name": "night", "DryRun": True}).encode()
    dry = _signed_anew(house, changed(request, body=body))
    assert fault(await house.answer(dry)) == (412, "ErrorDryRun")
    assert fault(await house.answer(dry)) == (412, "ErrorDryRun")
    assert fault(await house.answer(request)) == (200, "0")


@pytest.mark.parametrize("ask", [CHECK, BAN])
async def test_reads_and_bans_always_run(house: House, ask: object) -> None:
    request = house.signed(ask)  # type: ignore[arg-type]
    await house.answer(request)
    await house.answer(request)
    assert len(house.live.asked) == 2


# Faults


@pytest.mark.parametrize("error", [RuntimeError("secret path"), AssertionError("secret path"), KeyError("secret path")])
async def test_a_fault_of_our_own_is_logged_and_told_without_its_text(
    house: House, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    async def fail() -> None:
        raise error

    house.live.instead = fail
    with caplog.at_level(logging.ERROR, "penstock.api"):
        answer = await house.ask(CHECK)
    assert fault(answer) == (500, "UndefinedError")
    assert b"secret" not in answer.body
    assert json.loads(answer.body)["RequestId"] in caplog.text
    assert "secret path" in caplog.text


@pytest.mark.parametrize("error", [LinkError("/var/penstock/link.sock is gone"), StorageError("/var/penstock/db")])
async def test_a_part_of_the_server_that_is_away_is_the_clouds_word_for_it(house: House, error: Exception) -> None:
    async def fail() -> None:
        raise error

    house.live.instead = fail
    answer = await house.ask(CHECK)
    assert fault(answer) == (500, "ServiceUnavailable")
    assert b"/var" not in answer.body


# What is explained


async def test_a_refusal_is_told_with_its_rule(house: House) -> None:
    async def refuse() -> None:
        raise NotBanned("demo/live/cam is not banned")

    house.live.instead = refuse
    answer = await house.ask(CHECK)
    (entry,) = house.told
    assert entry.request_id == json.loads(answer.body)["RequestId"]
    assert entry.at == house.clock.now()
    assert (entry.cloud, entry.action, entry.account, entry.access_key) == (
        "kingsoft",
        "CheckBlacklist",
        "1001",
        "AKMAIN",
    )
    assert (entry.outcome, entry.rule) == ("8201", "demo/live/cam is not banned")
    assert (entry.canonical_request, entry.string_to_sign) == ("", "")


async def test_a_signature_that_does_not_match_is_told_with_what_we_signed(house: House) -> None:
    liar = signed(CHECK, Credentials(KEY.access_key, "x"), house.clock.now())
    await house.answer(liar)
    (entry,) = house.told
    assert (entry.outcome, entry.action, entry.account) == ("SignatureNotMatch", "CheckBlacklist", "")
    assert entry.canonical_request.startswith("GET\n/\nAction=CheckBlacklist&")
    assert entry.string_to_sign.startswith("AWS4-HMAC-SHA256\n20260301T120000Z\n")
    assert KEY.secret_key not in repr(entry)


async def test_what_is_told_is_bounded(house: House) -> None:
    request = changed(house.signed(CHECK), drop=("x-long",), add=(("X-Long", "x" * 30_000), ("X-Action", "y" * 30_000)))
    await house.answer(request)
    long_key = signed(CHECK, Credentials("A" * 3000, "x"), house.clock.now())
    await house.answer(long_key)
    for entry in house.told:
        assert sum(len(str(getattr(entry, name))) for name in entry.__struct_fields__) < 45_000
        assert len(entry.access_key) <= 128


async def test_a_sink_that_fails_costs_no_answer(house: House, caplog: pytest.LogCaptureFixture) -> None:
    def fail(entry: object) -> None:
        raise RuntimeError("disk full")

    house.gateway._explain = fail
    assert fault(await house.answer(with_header(house.signed(CHECK), "Authorization"))) == (400, "MissingAccesskey")
    assert "disk full" in caplog.text
