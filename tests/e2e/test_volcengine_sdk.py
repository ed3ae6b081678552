"""Volcengine's own SDK, unchanged, against a server that runs: what it says happens to real media."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from penstock.clouds.contract import Credentials
from penstock.sdk.volcengine import Volcengine
from tests.clouds.kingsoft.official import Kscore
from tests.clouds.volcengine.official import OUTSIDE, Official, told_by
from tests.e2e.peers import Ffmpeg, PublishRefused
from tests.e2e.server import Serve, Server
from tests.e2e.test_kingsoft_sdk import ACCOUNTS, KEY, OTHER_KEY, SUB_KEY
from tests.e2e.test_kingsoft_sdk import STREAM as KLS_STREAM

STREAM: Final = {"Vhost": "one", "App": "live", "Stream": "cam"}
BY_DOMAIN: Final = {"Domain": "push.one.test", "App": "live", "Stream": "cam"}
PAGE: Final = {"PageNum": 1, "PageSize": 10}
LIVE: Final = "DescribeLiveStreamInfoByPage"
CLOSED: Final = "DescribeClosedStreamInfoByPage"
FORBIDDEN: Final = "DescribeForbiddenStreamInfoByPage"
STATE: Final = "DescribeLiveStreamState"


class Volc:
    """The official client, whose calls do not block the loop."""

    def __init__(self, client: Official) -> None:
        self._client = client

    async def call(self, action: str, members: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        return await asyncio.to_thread(self._client.call, action, {**members, **more})

    async def result(self, action: str, members: Mapping[str, Any], **more: Any) -> Any:
        """Call what must work; return its Result, or None where there is none."""
        answer = await self.call(action, members, **more)
        assert "Error" not in answer["ResponseMetadata"]
        assert answer["ResponseMetadata"]["Action"] == action
        return answer.get("Result")

    async def rows(self, action: str, **more: Any) -> list[dict[str, Any]]:
        result = await self.result(action, PAGE, **more)
        assert result["RoughCount"] == len(result["StreamInfoList"])
        found: list[dict[str, Any]] = result["StreamInfoList"]
        return found

    async def refusal(self, action: str, members: Mapping[str, Any], **more: Any) -> str:
        with pytest.raises(Exception, match="ResponseMetadata") as caught:
            await self.call(action, members, **more)
        code: str = told_by(caught.value)["Error"]["Code"]
        return code

    async def state(self, **place: Any) -> str:
        found = await self.result(STATE, place or STREAM)
        assert found["type"] == "push"
        state: str = found["stream_state"]
        return state


@pytest.fixture(autouse=True)
def nothing_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the machine's own keys and proxies, which come before what a caller says."""
    for name in OUTSIDE:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def own(serve: Serve) -> Server:
    return serve(accounts=ACCOUNTS)


@pytest.fixture
def volc(own: Server) -> Volc:
    return Volc(Official(own.api_url, KEY))


def url(server: Server, stream: str = "cam") -> str:
    return server.rtmp_url(f"live/{stream}?vhost=one")


def rfc3339(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def around_now() -> dict[str, str]:
    now = datetime.now(UTC)
    return {
        "EndTimeFrom": (now - timedelta(minutes=5)).isoformat(timespec="seconds"),
        "EndTimeTo": (now + timedelta(minutes=1)).isoformat(timespec="seconds"),
    }


def as_time(text: str) -> datetime:
    assert text.endswith("Z")
    return datetime.fromisoformat(text)


@pytest.mark.timeout(120)
async def test_a_stream_is_listed_killed_banned_lifted_and_remembered(
    own: Server, volc: Volc, ffmpeg: Ffmpeg, sample: Path
) -> None:
    assert await volc.state() == "offline"
    began = datetime.now(UTC)
    publisher = await ffmpeg.publish(sample, url(own), loop=True)
    (live,) = await volc.rows(LIVE)
    assert await volc.rows(LIVE, Domain="push.one.test", App="live", Stream="ca", QueryType="fuzzy") == [live]
    assert await volc.rows(LIVE, Stream="ca") == []
    assert (live["Vhost"], live["Domain"], live["App"], live["Stream"]) == ("one", "push.one.test", "live", "cam")
    assert live["SourceType"] == "push"
    assert abs(as_time(live["SessionStartTime"]) - began) < timedelta(seconds=10)
    assert await volc.state() == await volc.state(**BY_DOMAIN) == "online"

    # Kick: cut before the answer, and back at once.
    assert await volc.result("KillStream", STREAM) is None
    assert await publisher.exit_code(within_s=2) != 0
    assert await volc.state() == "offline"
    again = await ffmpeg.publish(sample, url(own), loop=True)

    # Ban: cut, listed, and refused afterwards.
    end = datetime.now(UTC) + timedelta(days=7)
    assert await volc.result("ForbidStream", BY_DOMAIN, EndTime=rfc3339(end)) is None
    assert await again.exit_code(within_s=2) != 0
    assert await volc.rows(LIVE) == []
    assert await volc.state() == "forbidden"
    (ban,) = await volc.rows(FORBIDDEN, Vhost="one")
    assert (ban["Domain"], ban["App"], ban["Stream"], ban["Status"]) == ("push.one.test", "live", "cam", True)
    assert as_time(ban["EndTime"]) == end.replace(microsecond=0)
    with pytest.raises(PublishRefused, match="banned until"):
        await ffmpeg.publish(sample, url(own))

    # Lift: published at once.
    assert await volc.result("ResumeStream", STREAM) is None
    assert await volc.rows(FORBIDDEN) == []
    last = await ffmpeg.publish(sample, url(own), loop=True)
    assert last.running

    # Two publishes are over, the third one lasts.
    past = await volc.rows(CLOSED, **around_now(), Stream="cam")
    assert len(past) == 2
    assert past == [*reversed(await volc.rows(CLOSED, **around_now(), Sort="asc"))]
    for row in past:
        assert (row["Vhost"], row["Domain"], row["SourceType"]) == ("one", "push.one.test", "push")
        assert as_time(row["StartTime"]) <= as_time(row["EndTime"])


async def test_a_ban_through_either_cloud_is_seen_and_lifted_through_the_other(
    own: Server, volc: Volc, ffmpeg: Ffmpeg, sample: Path
) -> None:
    kls = Kscore(own.api_url, KEY)
    publisher = await ffmpeg.publish(sample, url(own), loop=True)
    end = int(time.time()) + 3600
    await asyncio.to_thread(kls.call, "ForbidStream", {**KLS_STREAM, "ForbidTillUnixTime": end})
    assert await publisher.exit_code(within_s=2) != 0
    (ban,) = await volc.rows(FORBIDDEN)
    assert as_time(ban["EndTime"]).timestamp() == end
    assert await volc.state() == "forbidden"
    await volc.result("ResumeStream", STREAM)
    found = await asyncio.to_thread(kls.call, "CheckBlacklist", KLS_STREAM)
    assert found["Data"]["CheckResult"] == 0

    await volc.result("ForbidStream", STREAM)
    found = await asyncio.to_thread(kls.call, "CheckBlacklist", KLS_STREAM)
    assert found["Data"]["CheckResult"] == 1
    with pytest.raises(PublishRefused, match="banned until"):
        await ffmpeg.publish(sample, url(own))
    await asyncio.to_thread(kls.call, "ResumeStream", KLS_STREAM)
    await ffmpeg.publish(sample, url(own))


async def test_another_accounts_key_sees_and_touches_nothing(own: Server, ffmpeg: Ffmpeg, sample: Path) -> None:
    publisher = await ffmpeg.publish(sample, url(own), loop=True)
    # Its clients share their keys in one process: one after the other.
    other = Volc(Official(own.api_url, OTHER_KEY))
    asked: dict[str, Mapping[str, Any]] = {
        LIVE: {**PAGE, "Vhost": "one"},
        CLOSED: {**PAGE, **around_now(), "Domain": "push.one.test"},
        FORBIDDEN: {**PAGE, "Vhost": "one"},
        "KillStream": STREAM,
        "ForbidStream": BY_DOMAIN,
        "ResumeStream": STREAM,
        STATE: STREAM,
    }
    for action, members in asked.items():
        assert await other.refusal(action, members) == "RequestForbidden"
    assert await other.rows(LIVE) == []
    assert await other.rows(FORBIDDEN) == []
    assert publisher.running
    sub = Volc(Official(own.api_url, SUB_KEY))
    await sub.result("ForbidStream", STREAM)
    assert await publisher.exit_code(within_s=2) != 0


async def test_what_cannot_be_done_has_its_code(volc: Volc) -> None:
    late = rfc3339(datetime.now(UTC) + timedelta(days=90, minutes=1))
    for action, members, code in (
        ("KillStream", STREAM, "ResourceNotFound"),
        ("ResumeStream", STREAM, "ResourceNotFound"),
        ("ForbidStream", {**STREAM, "EndTime": late}, "InvalidParam"),
        ("ForbidStream", {**STREAM, "Domain": "push.one.test"}, "InvalidParam"),
        ("ForbidStream", {**STREAM, "Stream": "a b"}, "InvalidParam"),
        ("ResumeStream", {**STREAM, "Stream": "a b"}, "InvalidParam.Format"),
        ("ForbidStream", {**STREAM, "Stream": 5}, "InvalidParam.BindError"),
        (LIVE, {"PageNum": 0, "PageSize": 10}, "InvalidParam"),
        (STATE, {"App": "live", "Stream": "cam"}, "InvalidParam"),
        ("ListDomainDetail", {"PageNum": 1}, "InvalidActionOrVersion"),
    ):
        assert await volc.refusal(action, members) == code


async def test_calls_beyond_ten_a_second_are_refused(volc: Volc) -> None:
    async def outcome() -> str:
        try:
            await volc.result(STATE, STREAM)
        except Exception as error:
            code: str = told_by(error)["Error"]["Code"]
            return code
        return "ok"

    began = time.monotonic()
    outcomes = await asyncio.gather(*(outcome() for _ in range(60)))
    took_s = time.monotonic() - began
    assert set(outcomes) <= {"ok", "FlowLimitExceeded"}
    # Ten in each second, and ten more in the one that was begun.
    assert 10 <= outcomes.count("ok") <= 10 * (took_s + 1)


async def test_a_wrong_key_is_refused(own: Server) -> None:
    for keys, code in (
        (Credentials("AKnobody", KEY.secret_key), "InvalidAccessKey"),
        (Credentials(KEY.access_key, OTHER_KEY.secret_key), "SignatureDoesNotMatch"),
    ):
        assert await Volc(Official(own.api_url, keys)).refusal("ForbidStream", STREAM) == code
    assert await Volc(Official(own.api_url, KEY)).state() == "offline"


async def test_by_tls_with_the_servers_own_authority(own: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(own.ca_file))
    assert await Volc(Official(own.api_tls_url, KEY)).state() == "offline"


async def test_a_url_that_it_signs_can_be_opened_by_anybody_and_not_changed(own: Server) -> None:
    official = Official(own.api_url, KEY)
    query = official.signed_query(STATE, {**STREAM, "Stream": "cam.1"})

    def opened(query: str) -> tuple[int, dict[str, Any]]:
        try:
            with urllib.request.urlopen(f"{own.api_url}/?{query}", timeout=10) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    status, said = await asyncio.to_thread(opened, query)
    assert (status, said["Result"]) == (200, {"stream_state": "offline", "type": "push"})
    status, said = await asyncio.to_thread(opened, query.replace("cam.1", "cam.2"))
    assert (status, said["ResponseMetadata"]["Error"]["Code"]) == (401, "SignatureDoesNotMatch")


async def test_ours_does_the_same(own: Server, ffmpeg: Ffmpeg, sample: Path) -> None:
    publisher = await ffmpeg.publish(sample, url(own), loop=True)

    def steps() -> None:
        with Volcengine(access_key=KEY.access_key, secret_key=KEY.secret_key, endpoint=own.api_url) as volc:
            live = volc.wait_live(vhost="one", app="live", stream="cam", timeout_s=10)
            assert live.domain == "push.one.test"
            volc.forbid_stream(vhost="one", app="live", stream="cam")
            volc.wait_silent(vhost="one", app="live", stream="cam", timeout_s=10)
            pages = volc.describe_forbidden_stream_info_by_page.pages(page_num=1, page_size=1)
            assert [ban.stream for ban in pages] == ["cam"]

    await asyncio.to_thread(steps)
    assert await publisher.exit_code(within_s=2) != 0
