"""Volcengine's own SDK, unchanged: its signer beside ours, and its client against the server's half of the wire.

It signs, we verify; it encodes, we decode; we answer, it reads. For every operation, those too that the
server behind a gateway may not serve.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import pytest
from volcengine.auth.SignerV4 import SignerV4
from volcengine.base.Request import Request
from volcengine.Credentials import Credentials as TheirCredentials
from volcengine.util.Util import Util

from penstock.clouds.contract import Credentials, Operation, Result
from penstock.clouds.http import Headers, HttpRequest, HttpResponse
from penstock.clouds.members import members_of
from penstock.clouds.reading import read_query
from penstock.clouds.volcengine import signing, streams, wire
from penstock.errors import Denied, ExpiredRequest, LimitExceeded, NotBanned, PenstockError, UnknownKey
from tests.clouds.volcengine.official import OUTSIDE, Official, told_by
from tests.clouds.volcengine.recorded import AT, CREDENTIALS, EXCHANGES, SIGNATURES, TIME, URLS, Exchange, Url, Vector
from tests.sdk.served import served

KEYS: Final = Credentials("AKLTofficial", "the+secret/of=AKLTofficial")
IDS: Final = [exchange.action for exchange in EXCHANGES]
STREAM: Final = {"Vhost": "acme", "App": "live", "Stream": "s1"}
by_exchange = pytest.mark.parametrize("exchange", EXCHANGES, ids=IDS)


class Cloud:
    """Answers each operation as it was recorded, or refuses all of them."""

    def __init__(self) -> None:
        self.asked: list[Operation[Result]] = []
        self.requests: list[HttpRequest] = []
        self.refusal: PenstockError | None = None
        self.keys = KEYS
        self.url = ""

    def answer(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        try:
            claim = wire.read_claim(request, datetime.now(UTC))
            if claim.access_key != self.keys.access_key:
                raise UnknownKey(f"there is no {claim.access_key}")
            wire.verify(request, claim, self.keys)
            operation = wire.decode_request(request).operation
            self.asked.append(operation)
            if self.refusal is not None:
                raise self.refusal
            return wire.encode_result(operation, result_of(operation), f"id-{len(self.requests)}")
        except PenstockError as error:
            return wire.encode_error(error, request, f"id-{len(self.requests)}")


def result_of(operation: Operation[Any]) -> Result:
    exchange = EXCHANGES[IDS.index(operation.about.action)]
    response = HttpResponse(status=200, headers=Headers(), body=json.dumps(exchange.answer).encode())
    made: Result = wire.decode_response(operation, response)
    return made


def in_wire_names(exchange: Exchange) -> dict[str, Any]:
    names = {member.name: member.wire_name for member in members_of(wire.OPERATIONS[exchange.action])}
    return {names[name]: value for name, value in exchange.members.items()}


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    for name in OUTSIDE:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path_factory.getbasetemp()))
    cloud = Cloud()
    with served(cloud.answer) as cloud.url:
        yield cloud


# Its signer.


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What its signer hashes and signs, by stage; its clock stands still."""
    seen: dict[str, str] = {}
    sha256, hmac_sha256 = Util.sha256, Util.hmac_sha256

    def note(stage: str, made: Any, text: str) -> Any:
        seen[stage] = text
        return made

    monkeypatch.setattr(SignerV4, "get_current_format_date", staticmethod(lambda: TIME))
    monkeypatch.setattr(Util, "sha256", staticmethod(lambda text: note("canonical", sha256(text), text)))
    monkeypatch.setattr(
        Util, "hmac_sha256", staticmethod(lambda key, text: note("to sign", hmac_sha256(key, text), text))
    )
    return seen


def theirs(stage: Vector | Url) -> tuple[Request, TheirCredentials]:
    request = Request()
    request.method, request.path, request.body = stage.method, "/", stage.body
    request.query = dict(read_query(stage.request.query))
    request.headers = dict(stage.headers)
    keys = TheirCredentials(CREDENTIALS.access_key, CREDENTIALS.secret_key, "live", "cn-north-1", stage.token)
    return request, keys


@pytest.mark.parametrize("vector", SIGNATURES, ids=lambda vector: vector.name)
def test_its_stages_are_ours(stages: dict[str, str], vector: Vector) -> None:
    request, keys = theirs(vector)
    SignerV4.sign(request, keys)
    ours = signing.sign(vector.request, Credentials(keys.ak, keys.sk, vector.token), AT)
    names = tuple(request.headers["Authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";"))
    canonical = signing.canonical_request(ours, names)
    assert stages["canonical"] == canonical
    assert stages["to sign"] == signing.string_to_sign(canonical, TIME, signing.scope_of(TIME))
    assert request.headers["Authorization"] == ours.headers.get("Authorization")


@pytest.mark.parametrize("url", URLS, ids=lambda url: url.name)
def test_its_url_is_ours(stages: dict[str, str], url: Url) -> None:
    request, keys = theirs(url)
    query = SignerV4.sign_url(request, keys)
    ours = signing.sign_query(url.request, Credentials(keys.ak, keys.sk, url.token), AT)
    assert stages["canonical"] == signing.canonical_url(ours)
    assert f"/?{query}" == ours.target


# Its client.


@by_exchange
def test_every_operation_arrives_and_its_answer_is_read(cloud: Cloud, exchange: Exchange) -> None:
    answer = Official(cloud.url, KEYS).call(exchange.action, in_wire_names(exchange))
    assert cloud.asked == [wire.OPERATIONS[exchange.action].make(**exchange.members)]
    assert answer.get("Result") == exchange.answer.get("Result")
    assert answer["ResponseMetadata"] == {**exchange.answer["ResponseMetadata"], "RequestId": "id-1"}


@by_exchange
def test_what_it_sends_we_would_sign_alike(cloud: Cloud, exchange: Exchange) -> None:
    Official(cloud.url, KEYS).call(exchange.action, in_wire_names(exchange))
    (sent,) = cloud.requests
    at = datetime.strptime(sent.headers.get("X-Date"), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    bare = [line for line in sent.headers if line[0] in ("Host", "Accept", "Content-Type")]
    ours = signing.sign(msgspec.structs.replace(sent, headers=Headers(bare)), KEYS, at)
    assert ours.headers.get("Authorization") == sent.headers.get("Authorization")
    assert ours.headers.get("X-Content-Sha256") == sent.headers.get("X-Content-Sha256")
    assert ("Content-Type" in sent.headers) is (sent.method == "POST")


@pytest.mark.parametrize("exchange", [each for each in EXCHANGES if each.action != "CreatePullToPushTask"], ids=repr)
def test_url_that_it_signs_passes(cloud: Cloud, exchange: Exchange) -> None:
    members = {name: value for name, value in in_wire_names(exchange).items() if not isinstance(value, list | dict)}
    query = Official(cloud.url, KEYS).signed_query(exchange.action, {name: str(each) for name, each in members.items()})
    method = wire.OPERATIONS[exchange.action].about.method
    request = HttpRequest(method=method, target=f"/?{query}", headers=Headers([("Host", "anything")]))
    claim = wire.read_claim(request, datetime.now(UTC))
    assert wire.verify(request, claim, KEYS).access_key == KEYS.access_key
    assert wire.resolve(request).about.action == exchange.action


@pytest.mark.parametrize("stream", ["news.1", "新闻", "a=b&c%20d", "1+2/3 4~", "*!'()"])
def test_letters_that_encodings_differ_on_arrive(cloud: Cloud, stream: str) -> None:
    client = Official(cloud.url, KEYS)
    client.call("ListPullToPushTask", {"Title": stream})
    assert [asked.title for asked in cloud.asked] == [stream]  # type: ignore[attr-defined]
    client.call("CreatePullToPushGroup", {"Name": "a", "ProjectName": stream})
    assert cloud.asked[1].project_name == stream  # type: ignore[attr-defined]


def test_empty_filters_are_none(cloud: Cloud) -> None:
    given = dict.fromkeys(("Vhost", "Domain", "App", "Stream", "StreamType", "SourceType", "QueryType"), "")
    Official(cloud.url, KEYS).call("DescribeLiveStreamInfoByPage", {"PageNum": 1, "PageSize": 10.0, **given})
    assert cloud.asked == [streams.DescribeLiveStreamInfoByPage.make(page_num=1, page_size=10)]


@pytest.mark.parametrize(
    "error", [Denied("no"), LimitExceeded("slow"), ExpiredRequest("late"), NotBanned("-")], ids=repr
)
@pytest.mark.parametrize("action", ["KillStream", "DescribeLiveStreamState"])
def test_refusal_is_raised_with_its_code(cloud: Cloud, error: PenstockError, action: str) -> None:
    cloud.refusal = error
    with pytest.raises(Exception, match="ResponseMetadata") as caught:
        Official(cloud.url, KEYS).call(action, STREAM)
    said = told_by(caught.value)
    assert said["Error"]["Code"] == wire.code_of(error)
    assert (said["Action"], said["RequestId"]) == (action, "id-1")


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        (Credentials("AKnobody", KEYS.secret_key), "InvalidAccessKey"),
        (Credentials(KEYS.access_key, "another"), "SignatureDoesNotMatch"),
    ],
)
def test_another_key_is_refused(cloud: Cloud, keys: Credentials, code: str) -> None:
    with pytest.raises(Exception, match=code) as caught:
        Official(cloud.url, keys).call("KillStream", STREAM)
    assert told_by(caught.value)["Error"]["Code"] == code
    assert cloud.asked == []


@pytest.mark.parametrize(("held", "is_let_in"), [("TOKEN+/=", True), ("", False), ("another", False)])
def test_temporary_keys_come_with_their_token(cloud: Cloud, held: str, is_let_in: bool) -> None:
    cloud.keys = msgspec.structs.replace(KEYS, token=held)
    client = Official(cloud.url, msgspec.structs.replace(KEYS, token="TOKEN+/="))
    if is_let_in:
        assert "Error" not in client.call("KillStream", STREAM)["ResponseMetadata"]
        return
    with pytest.raises(Exception, match="SignatureDoesNotMatch"):
        client.call("KillStream", STREAM)
