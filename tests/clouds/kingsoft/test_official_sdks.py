"""Kingsoft's own SDKs over real sockets: what they send verifies and decodes, and what we answer they read."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest

from penstock.clouds import shape
from penstock.clouds.contract import Credentials, Operation
from penstock.clouds.http import Headers, HttpRequest
from penstock.clouds.kingsoft import streams
from tests.clock import ManualClock
from tests.clouds.kingsoft.official import ACTIONS_OF_KSYUN, ClientError, Kscore, Ksyun, KsyunSDKException, Wrapper
from tests.sdk.cloud import KEYS, Cloud, members_for

ACTIONS = list(streams.OPERATIONS)


@contextmanager
def listening(cloud: Cloud) -> Iterator[str]:
    """Let `cloud` answer over HTTP; yields the URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = Headers(self.headers.items())
            cloud.requests.append(None)  # type: ignore[arg-type]  # counts for its ids
            answer = cloud.answer(HttpRequest(method=self.command, target=self.path, headers=headers, body=body))
            self.send_response_only(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(5)


@pytest.fixture
def cloud() -> Cloud:
    """A cloud whose clock is the machine's, as the SDKs' is."""
    cloud = Cloud(clock=ManualClock(datetime.now(UTC)))
    cloud.rows = 3
    cloud.on_air = {"s1"}
    return cloud


@pytest.fixture
def url(cloud: Cloud) -> Iterator[str]:
    with listening(cloud) as url:
        yield url


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def operation_and_parameters(cloud: Cloud, action: str) -> tuple[Operation[Any], dict[str, Any]]:
    """Return what is asked for in our form, and in the wire's names; nothing about it stands in its way."""
    kind = streams.OPERATIONS[action]
    operation = kind.make(**members_for(kind))
    if isinstance(operation, streams.ResumeStream):
        cloud.bans[operation.pubdomain, operation.stream] = 1
    given = msgspec.to_builtins(operation)
    return operation, {name: value for name, value in given.items() if value not in (None, "")}


def assert_read(answer: Mapping[str, Any], cloud: Cloud) -> None:
    """See that the answer, as an SDK read it, is the one that was given."""
    (result,) = cloud.answered
    data = dict(answer["Data"])
    assert (data.pop("RetCode"), data.pop("RetMsg")) == (0, "success")
    assert data == shape.encode(result)
    assert answer["RequestId"] == "id-1"


@pytest.mark.parametrize("path", ["", "/kls", "/kls/"])
@pytest.mark.parametrize("action", ACTIONS)
def test_kscore(action: str, path: str, url: str, cloud: Cloud) -> None:
    operation, parameters = operation_and_parameters(cloud, action)
    answer = Kscore(f"{url}{path}", KEYS).call(action, **parameters)
    assert cloud.asked == [operation]
    assert_read(answer, cloud)


@pytest.mark.parametrize("action", ACTIONS)
def test_its_wrapper(action: str, url: str, cloud: Cloud) -> None:
    operation, parameters = operation_and_parameters(cloud, action)
    # The wrapper says Limit=1 where its caller says nothing.
    if "limit" in operation.__struct_fields__:
        parameters["Limit"] = operation.limit  # type: ignore[attr-defined]
    answer = Wrapper(url, KEYS).call(action, **parameters)
    assert cloud.asked == [operation]
    assert_read(answer, cloud)


@pytest.mark.parametrize("action", ["ListHistoryPubStreamsInfo", "ListHistoryPubStreamsErrInfo"])
def test_what_the_wrapper_fills_in_counts_as_absent(action: str, url: str, cloud: Cloud) -> None:
    Wrapper(url, KEYS).call(action, UniqueName="demo", App="live", Pubdomain="push.demo.test", Limit=7)
    (asked,) = cloud.asked
    kind = streams.OPERATIONS[action]
    assert asked == kind.make(unique_name="demo", app="live", pubdomain="push.demo.test", limit=7)


@pytest.mark.parametrize("path", ["/", "/kls"])
@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("action", ACTIONS_OF_KSYUN)
def test_the_second_generation(action: str, method: str, path: str, url: str, cloud: Cloud) -> None:
    operation, parameters = operation_and_parameters(cloud, action)
    answer = Ksyun(url, KEYS, method, path).call(action, **parameters)
    assert cloud.asked == [operation]
    assert_read(answer, cloud)


AWKWARD = "a b+c&d=e%20é中~*'()"


@pytest.mark.parametrize("sdk", [Kscore, Wrapper, Ksyun, lambda url, keys: Ksyun(url, keys, "GET")])
def test_awkward_letters_arrive(sdk: Any, url: str, cloud: Cloud) -> None:
    cloud.vhost = AWKWARD
    place = {"UniqueName": AWKWARD, "App": "a/b", "Pubdomain": "push.demo.test"}
    sdk(url, KEYS).call("CheckBlacklist", **place, Stream="x?y#z")
    sdk(url, KEYS).call("ForbidStream", **place, Stream="x?y#z", ForbidTillUnixTime=-1)
    assert [each.unique_name for each in cloud.asked] == [AWKWARD] * 2  # type: ignore[attr-defined]
    assert cloud.bans.keys() == {("push.demo.test", "x?y#z")}


def test_temporary_keys_come_with_their_token() -> None:
    keys = Credentials("AKtmp", "its-secret", "tok/+=")
    cloud = Cloud(keys, clock=ManualClock(datetime.now(UTC)))
    with listening(cloud) as url:
        answer = Kscore(url, keys).call("GetBlacklist", UniqueName="demo", App="live", Pubdomain="push.demo.test")
    assert answer["Data"]["RetCode"] == 0


@pytest.mark.parametrize("region", ["cn-beijing-6", "cn-shanghai-2"])
def test_any_region_will_do(region: str, url: str, cloud: Cloud) -> None:
    Kscore(url, KEYS, region).call("GetBlacklist", UniqueName="demo", App="live", Pubdomain="push.demo.test")
    assert len(cloud.asked) == 1


PLACE = {"UniqueName": "demo", "App": "live", "Pubdomain": "push.demo.test"}
NOBODY = Credentials("AKnobody", "x")
FORGER = Credentials(KEYS.access_key, "another")


@pytest.mark.parametrize("sdk", [Kscore, Wrapper])
@pytest.mark.parametrize(("keys", "code"), [(NOBODY, "InvalidAccesskey"), (FORGER, "SignatureNotMatch")])
def test_kscore_reads_a_refusal(sdk: Any, keys: Credentials, code: str, url: str, cloud: Cloud) -> None:
    with pytest.raises(ClientError) as caught:
        sdk(url, keys).call("GetBlacklist", **PLACE)
    response = caught.value.response
    assert response["Error"]["Code"] == code
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert response["ResponseMetadata"]["RequestId"] == "id-1"
    assert len(cloud.requests) == 1


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize(("keys", "code"), [(NOBODY, "InvalidAccesskey"), (FORGER, "SignatureNotMatch")])
@pytest.mark.usefixtures("cloud")
def test_the_second_generation_reads_a_refusal(method: str, keys: Credentials, code: str, url: str) -> None:
    with pytest.raises(KsyunSDKException) as caught:
        Ksyun(url, keys, method).call("GetBlacklist", **PLACE)
    # Whatever is no 200 becomes one code of its own, with the answer as text.
    assert caught.value.code == "ServerNetworkError"
    assert json.loads(caught.value.message)["Error"]["Code"] == code


@pytest.mark.parametrize("sdk", [Kscore, Wrapper, Ksyun])
@pytest.mark.usefixtures("cloud")
def test_a_retcode_is_an_answer(sdk: Any, url: str) -> None:
    answer = sdk(url, KEYS).call("ResumeStream", **PLACE, Stream="s1")
    assert answer["Data"] == {"RetCode": 8201, "RetMsg": "stream is not on the blacklist"}


@pytest.mark.parametrize("sdk", [Kscore, Ksyun])
def test_a_clock_that_is_off_is_told(sdk: Any, url: str, cloud: Cloud) -> None:
    cloud.clock.step_wall(timedelta(minutes=16))
    with pytest.raises((ClientError, KsyunSDKException), match="InvalidTimestamp"):
        sdk(url, KEYS).call("GetBlacklist", **PLACE)
    assert cloud.asked == []
