"""Kingsoft's own SDKs, unchanged, against a server that runs: what they say happens to real media."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from hashlib import md5
from pathlib import Path
from typing import Any, Final

import pytest
from kscore.exceptions import ClientError
from kscore.session import get_session
from ksyun.common.exception.ksyun_sdk_exception import KsyunSDKException

from penstock.clouds.contract import Credentials
from tests.clouds.kingsoft.official import PROXIES, REGION, Kscore, Official, Second, Wrapper
from tests.e2e.media import Samples
from tests.e2e.peers import Ffmpeg, PublishRefused
from tests.e2e.server import Serve, Server

KEY: Final = Credentials("AKone", "the-secret+of/AKone=")
SUB_KEY: Final = Credentials("AKonesub", "the-secret-of-AKonesub")
OTHER_KEY: Final = Credentials("AKtwo", "the-secret-of-AKtwo")
PUBLISH_KEY: Final = "a-publish-key"
ACCOUNTS: Final = f"""
[[account]]
id = "1"
[[account.key]]
access_key = "{KEY.access_key}"
secret_key = "{KEY.secret_key}"
[[account.key]]
access_key = "{SUB_KEY.access_key}"
secret_key = "{SUB_KEY.secret_key}"
sub_account = true
[[account.vhost]]
name = "one"
push_domains = ["push.one.test", "push2.one.test"]
pull_domains = ["pull.one.test"]
[[account.vhost]]
name = "signed"
push_domains = ["push.signed.test"]
publish_auth = "signed"
publish_key = "{PUBLISH_KEY}"
[[account]]
id = "2"
[[account.key]]
access_key = "{OTHER_KEY.access_key}"
secret_key = "{OTHER_KEY.secret_key}"
[[account.vhost]]
name = "two"
push_domains = ["push.two.test"]
"""
WHERE: Final = {"UniqueName": "one", "App": "live", "Pubdomain": "push.one.test"}
STREAM: Final = {**WHERE, "Stream": "cam"}
DAYS_90: Final = 90 * 86_400
MINUTE_S: Final = 60
# Facts are measured over 5 s, and told each second; players are counted each 10 s.
MEASURED_S: Final = 7.0
COUNTED_S: Final = 15.0

Data = dict[str, Any]
Make = Callable[[Server, Credentials], Official]
CLIENTS: Final[Mapping[str, Make]] = {
    "kscore": lambda server, keys: Kscore(server.api_url, keys),
    "kscore's wrapper": lambda server, keys: wrapper(server.api_url, keys),
    "second by GET": lambda server, keys: Second(server.api_url, keys, "GET"),
    "second by POST": lambda server, keys: Second(server.api_url, keys, "POST"),
}


def wrapper(url: str, keys: Credentials) -> Wrapper:
    with pytest.MonkeyPatch.context() as patch:
        Wrapper.point_at(url, patch.setenv)
        return Wrapper(keys)


class Kls:
    """An official client whose calls do not block the loop."""

    def __init__(self, client: Official) -> None:
        self._client = client

    async def data(self, action: str, members: Mapping[str, Any], **more: Any) -> Data:
        """Return the Data of an answer."""
        answer = await asyncio.to_thread(self._client.call, action, {**members, **more})
        data: Data = answer["Data"]
        return data

    async def done(self, action: str, members: Mapping[str, Any], **more: Any) -> Data:
        """Call what must work."""
        data = await self.data(action, members, **more)
        assert (data["RetCode"], data["RetMsg"]) == (0, "success")
        return data

    async def ret_code(self, action: str, members: Mapping[str, Any], **more: Any) -> int:
        code: int = (await self.data(action, members, **more))["RetCode"]
        return code

    async def until(self, action: str, members: Mapping[str, Any], so: Callable[[Data], bool], within_s: float) -> Data:
        """Ask until the answer is so, and return it; after `within_s` return what it is then."""
        deadline = time.monotonic() + within_s
        while True:
            data = await self.done(action, members)
            if so(data) or time.monotonic() > deadline:
                return data
            await asyncio.sleep(0.5)  # an API tells nobody that it has news


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def own(serve: Serve) -> Server:
    return serve(accounts=ACCOUNTS)


@pytest.fixture
def kls(own: Server) -> Kls:
    return Kls(Kscore(own.api_url, KEY))


def url(server: Server, stream: str = "cam") -> str:
    return server.rtmp_url(f"live/{stream}?vhost=one")


def now() -> int:
    return int(time.time())


def today_and_tomorrow() -> Data:
    return {"StartUnixTime": now(), "EndUnixTime": now() + 86_400}


def details(data: Data) -> list[Data]:
    """The publishes in a history of one stream."""
    assert [each["Stream"] for each in data["Result"]] == ["cam"]
    found: list[Data] = data["Result"][0]["Detail"]
    assert len(found) == data["Count"] == data["Total"]
    return found


@pytest.mark.parametrize("name", ["kscore", "second by POST"])
@pytest.mark.timeout(120)
async def test_a_stream_is_listed_measured_banned_lifted_kicked_and_remembered(
    own: Server, ffmpeg: Ffmpeg, samples: Samples, name: str
) -> None:
    kls = Kls(CLIENTS[name](own, KEY))
    began = now()
    publisher = await ffmpeg.publish(samples.at_30_fps, url(own), loop=True)
    await ffmpeg.play(own.flv_url("live/cam?vhost=one"))
    await publisher.until_sent(MEASURED_S)
    await facts_are_told(kls, samples.at_30_fps, began)
    if name == "kscore":
        await published_facts_are_told(kls, samples.at_30_fps, began)

    # Ban: cut before the answer, refused afterwards, and both written down.
    await kls.done("ForbidStream", STREAM, ForbidTillUnixTime=-1)
    assert await publisher.exit_code(within_s=2) != 0
    assert (await kls.done("ListRealtimeStreamsInfo", {"UniqueName": "one", "App": "live"}))["Count"] == 0
    assert (await kls.done("CheckBlacklist", STREAM))["CheckResult"] == 1
    listed = await kls.done("GetBlacklist", WHERE)
    (ban,) = listed["Recs"]
    assert (listed["Total"], ban["Stream"]) == (1, "cam")
    assert ban["ForbidUnixTime"] == pytest.approx(now(), abs=5)
    assert ban["ForbidTillUnixTime"] == pytest.approx(now() + DAYS_90, abs=5)
    with pytest.raises(PublishRefused, match="banned until"):
        await ffmpeg.publish(samples.at_30_fps, url(own))
    (refused,) = details(await kls.done("ListHistoryPubStreamsErrInfo", WHERE, Limit=100))
    assert (refused["StatusCode"], refused["StatusMessage"]) == (423, "Forbidden by blacklist!")
    assert refused["Clientip"] == "127.0.0.1"
    (ended,) = details(await kls.done("ListHistoryPubStreamsInfo", STREAM, Limit=100))
    assert (ended["StatusCode"], ended["Clientip"]) == (200, "127.0.0.1")
    assert ended["Fintime"] - ended["Pubtime"] >= MEASURED_S - 1

    # Lift: published at once.
    await kls.done("ResumeStream", STREAM)
    assert (await kls.done("CheckBlacklist", STREAM))["CheckResult"] == 0
    assert (await kls.done("GetBlacklist", WHERE))["Recs"] == []
    again = await ffmpeg.publish(samples.at_30_fps, url(own), loop=True)

    # Kick: cut, and back at once.
    await kls.done("ForbidStream", STREAM, ForbidTillUnixTime=1)
    assert await again.exit_code(within_s=2) != 0
    assert (await kls.done("CheckBlacklist", STREAM))["CheckResult"] == 0
    last = await ffmpeg.publish(samples.at_30_fps, url(own), loop=True)
    assert last.running

    # Two publishes are over, the third one lasts.
    past = details(await kls.done("ListHistoryPubStreamsInfo", WHERE, Limit=100, OrderTime=1))
    assert [each["StatusCode"] for each in past] == [200, 200]
    assert past[0]["Pubtime"] < past[1]["Pubtime"]
    durations = await kls.done("ListStreamDurations", WHERE, **today_and_tomorrow())
    assert durations["Count"] == 2
    assert [each["StartTime"] for each in durations["Result"]] == [each["Pubtime"] for each in past]
    assert durations["Result"][0]["Duration"] == past[0]["Fintime"] - past[0]["Pubtime"]


async def facts_are_told(kls: Kls, sample: Path, began: int) -> None:
    """What the publisher sends, as the file has it; and the player."""
    asked = {"UniqueName": "one", "App": "live"}
    told = await kls.until("ListRealtimeStreamsInfo", asked, lambda data: data["OnlineUser"] == 1, COUNTED_S)
    (stream,) = told["Streams"]
    assert (told["Count"], told["OnlineUser"], stream["Stream"]) == (1, 1, "cam")
    assert (stream["Width"], stream["Height"], stream["FrameRate"]) == (640, 360, 30)
    assert (stream["Vcodec"], stream["Acodec"], stream["SampleRate"]) == ("h264", "aac", 48_000)
    assert stream["Curfps"] == pytest.approx(30, abs=2)
    assert stream["BwReal"] == pytest.approx(rate_of(sample) / 1000, rel=0.3)
    assert stream["Curbitrate"] + stream["BwInAudio"] == pytest.approx(stream["BwIn"], abs=0.2)
    assert stream["ClientIP"] == stream["Clientip"] == "127.0.0.1"
    assert began <= stream["PubTime"] <= now()
    # The player takes what the publisher sends.
    assert stream["Bw"] == pytest.approx(rate_of(sample), rel=0.5)
    assert [(pull["OnlineUser"], pull["Bw"]) for pull in stream["Pulls"]] == [(1, stream["Bw"])]


async def published_facts_are_told(kls: Kls, sample: Path, began: int) -> None:
    told = await kls.done("ListRealtimePubStreamsInfo", WHERE)
    (stream,) = told["Result"]
    assert (told["Count"], told["Total"], told["Marker"]) == (1, 1, 0)
    # Half of its numbers travel as text.
    assert (stream["Width"], stream["Height"], stream["FrameRate"], stream["SampleRate"]) == (
        "640",
        "360",
        "30",
        "48000",
    )
    assert stream["Curfps"] == pytest.approx(30, abs=2)
    assert int(stream["BwReal"]) == pytest.approx(rate_of(sample), rel=0.3)
    assert began <= stream["Pubtime"] <= stream["UpdateTime"] <= now()


def rate_of(sample: Path) -> float:
    """The bits a second of a file, which FLV's own overhead hardly changes."""
    return sample.stat().st_size * 8 / Samples.seconds


@pytest.mark.parametrize("name", ["kscore's wrapper", "second by GET"])
async def test_the_other_ways_to_call_ban_and_lift_as_well(
    own: Server, ffmpeg: Ffmpeg, sample: Path, name: str
) -> None:
    kls = Kls(CLIENTS[name](own, KEY))
    publisher = await ffmpeg.publish(sample, url(own))
    asked = {"UniqueName": "one", "App": "live"}
    assert [each["Stream"] for each in (await kls.done("ListRealtimeStreamsInfo", asked))["Streams"]] == ["cam"]
    await kls.done("ForbidStream", STREAM)
    assert await publisher.exit_code(within_s=2) != 0
    assert [each["Stream"] for each in (await kls.done("GetBlacklist", WHERE))["Recs"]] == ["cam"]
    with pytest.raises(PublishRefused, match="banned until"):
        await ffmpeg.publish(sample, url(own))
    (refused,) = details(await kls.done("ListHistoryPubStreamsErrInfo", WHERE, Limit=10))
    assert refused["StatusCode"] == 423
    assert len(details(await kls.done("ListHistoryPubStreamsInfo", WHERE, Limit=10))) == 1
    assert (await kls.done("ListStreamDurations", WHERE, **today_and_tomorrow()))["Count"] == 1
    await kls.done("ResumeStream", STREAM)
    assert (await kls.done("CheckBlacklist", STREAM))["CheckResult"] == 0
    await ffmpeg.publish(sample, url(own))


async def test_another_accounts_key_sees_and_touches_nothing(
    own: Server, kls: Kls, ffmpeg: Ffmpeg, sample: Path
) -> None:
    publisher = await ffmpeg.publish(sample, url(own), loop=True)
    await kls.done("ForbidStream", {**WHERE, "Stream": "banned"})
    other = Kls(Kscore(own.api_url, OTHER_KEY))
    asked = {
        "ListRealtimeStreamsInfo": {"UniqueName": "one", "App": "live"},
        "ListStreamDurations": {**WHERE, **today_and_tomorrow()},
        "ForbidStream": STREAM,
        "ResumeStream": {**WHERE, "Stream": "banned"},
        "CheckBlacklist": {**WHERE, "Stream": "banned"},
        **dict.fromkeys(
            ("GetBlacklist", "ListRealtimePubStreamsInfo", "ListHistoryPubStreamsInfo", "ListHistoryPubStreamsErrInfo"),
            WHERE,
        ),
    }
    told = {action: await other.data(action, members) for action, members in asked.items()}
    refusal = {"RetCode": 6406, "RetMsg": "unique_name and accountId not match"}
    assert told == dict.fromkeys(asked, refusal)
    # Nor by names of its own vhost with a domain that is not.
    assert await other.ret_code("GetBlacklist", {**WHERE, "UniqueName": "two"}) != 0
    own_list = await other.done("ListRealtimeStreamsInfo", {"UniqueName": "two", "App": "live"})
    assert (own_list["Count"], own_list["Streams"]) == (0, [])
    assert publisher.running
    assert (await kls.done("CheckBlacklist", {**WHERE, "Stream": "banned"}))["CheckResult"] == 1
    # A vhost that does not exist reads the same as one of somebody else's.
    assert await other.data("GetBlacklist", {**WHERE, "UniqueName": "nobody"}) == refusal


async def test_a_sub_accounts_key_sees_and_bans(own: Server, ffmpeg: Ffmpeg, sample: Path) -> None:
    sub = Kls(Kscore(own.api_url, SUB_KEY))
    publisher = await ffmpeg.publish(sample, url(own))
    assert (await sub.done("ListRealtimeStreamsInfo", {"UniqueName": "one", "App": "live"}))["Count"] == 1
    await sub.done("ForbidStream", STREAM)
    assert await publisher.exit_code(within_s=2) != 0


async def test_every_way_to_say_how_long(own: Server, kls: Kls) -> None:
    hour = now() + 3600
    for stream, until in {"longest": -1, "unsaid": None, "hour": hour}.items():
        more = {} if until is None else {"ForbidTillUnixTime": until}
        await kls.done("ForbidStream", WHERE, Stream=stream, **more)
    told = {ban["Stream"]: ban["ForbidTillUnixTime"] for ban in (await kls.done("GetBlacklist", WHERE))["Recs"]}
    assert told.keys() == {"longest", "unsaid", "hour"}
    assert told["hour"] == hour
    assert told["longest"] == pytest.approx(now() + DAYS_90, abs=5)
    assert told["unsaid"] == pytest.approx(now() + DAYS_90, abs=5)
    # A second ban moves the end, either way; the list has it once.
    await kls.done("ForbidStream", WHERE, Stream="hour", ForbidTillUnixTime=hour - 1800)
    assert (hour - 1800) in [ban["ForbidTillUnixTime"] for ban in (await kls.done("GetBlacklist", WHERE))["Recs"]]
    assert (await kls.done("GetBlacklist", WHERE))["Total"] == 3
    # A ban shows on the domain that it was made for.
    assert (await kls.done("GetBlacklist", WHERE, Pubdomain="push2.one.test"))["Recs"] == []


async def test_a_ban_of_at_most_90_days_that_is_not_over_yet(kls: Kls) -> None:
    ret_code = kls.ret_code
    assert await ret_code("ForbidStream", WHERE, Stream="edge", ForbidTillUnixTime=now() + DAYS_90) == 0
    assert await ret_code("ForbidStream", WHERE, Stream="beyond", ForbidTillUnixTime=now() + DAYS_90 + 30) == 4001
    assert await ret_code("ForbidStream", WHERE, Stream="past", ForbidTillUnixTime=now() - 1) == 4001
    assert await ret_code("ForbidStream", WHERE, Stream="less", ForbidTillUnixTime=-2) == 4001
    assert [ban["Stream"] for ban in (await kls.done("GetBlacklist", WHERE))["Recs"]] == ["edge"]


async def test_the_same_ban_again_within_a_second_is_3802(kls: Kls) -> None:
    for until in range(now() + 3600, now() + 3660, 10):
        first = time.monotonic()
        await kls.done("ForbidStream", STREAM, ForbidTillUnixTime=until)
        said = await kls.data("ForbidStream", STREAM, ForbidTillUnixTime=until)
        if time.monotonic() - first < 1:  # the machine may be too busy now and then
            break
    assert said == {"RetCode": 3802, "RetMsg": "stream has been banned and no change forbid information"}
    # Another end is another ban.
    await kls.done("ForbidStream", STREAM, ForbidTillUnixTime=until + 60)


async def test_lifting_and_kicking_nothing(kls: Kls) -> None:
    assert await kls.data("ResumeStream", STREAM) == {"RetCode": 8201, "RetMsg": "stream is not on the blacklist"}
    assert await kls.data("ForbidStream", STREAM, ForbidTillUnixTime=1) == {
        "RetCode": 8502,
        "RetMsg": "stream is not exist",
    }


async def test_windows_of_histories_end_where_the_cloud_says(kls: Kls) -> None:
    day = 86_400
    for action in ("ListHistoryPubStreamsInfo", "ListHistoryPubStreamsErrInfo"):
        for start, end, code in (
            (now() - 28 * day + MINUTE_S, now() - 24 * day, 0),
            (now() - 28 * day - MINUTE_S, now() - 24 * day, 4001),
            (now() - 5 * day, now(), 0),
            (now() - 5 * day - MINUTE_S, now(), 4001),
            (now(), now() - MINUTE_S, 4001),
        ):
            assert await kls.ret_code(action, WHERE, StartUnixTime=start, EndUnixTime=end) == code
    durations = [(now() - 60 * day + MINUTE_S, 0), (now() - 60 * day - MINUTE_S, 4001)]
    for start, code in durations:
        assert await kls.ret_code("ListStreamDurations", WHERE, StartUnixTime=start, EndUnixTime=now()) == code


@pytest.mark.parametrize("name", ["kscore", "second by POST"])
async def test_the_call_beyond_the_rate_is_a_409(own: Server, name: str) -> None:
    kls = Kls(CLIENTS[name](own, KEY))
    asked = {"UniqueName": "one", "App": "live"}
    for _ in range(50):
        await kls.done("ListRealtimeStreamsInfo", asked)
    with pytest.raises((ClientError, KsyunSDKException), match="LimitExceeded"):
        await kls.done("ListRealtimeStreamsInfo", asked)
    # Another operation has a count of its own, and so has another account.
    await kls.done("GetBlacklist", WHERE)
    other = Kls(CLIENTS[name](own, OTHER_KEY))
    await other.done("ListRealtimeStreamsInfo", {"UniqueName": "two", "App": "live"})


@pytest.mark.parametrize("name", CLIENTS)
async def test_a_wrong_key_is_refused(own: Server, name: str) -> None:
    for keys, code in (
        (Credentials("AKnobody", KEY.secret_key), "InvalidAccesskey"),
        (Credentials(KEY.access_key, OTHER_KEY.secret_key), "SignatureNotMatch"),
    ):
        with pytest.raises((ClientError, KsyunSDKException), match=code):
            await Kls(CLIENTS[name](own, keys)).data("ForbidStream", STREAM)
    assert (await Kls(CLIENTS[name](own, KEY)).done("CheckBlacklist", STREAM))["CheckResult"] == 0


@pytest.mark.parametrize("name", ["kscore", "second by POST"])
async def test_refused_publishes_are_told_with_their_reason(
    own: Server, ffmpeg: Ffmpeg, sample: Path, name: str
) -> None:
    kls = Kls(CLIENTS[name](own, KEY))
    await ffmpeg.publish(sample, url(own))
    with pytest.raises(PublishRefused):
        await ffmpeg.publish(sample, url(own))
    (refused,) = details(await kls.done("ListHistoryPubStreamsErrInfo", WHERE, Limit=10))
    assert (refused["StatusCode"], refused["StatusMessage"]) == (422, "Already exist stream!")

    for key, ends_in_s in (("another-key", MINUTE_S), (PUBLISH_KEY, -MINUTE_S)):
        with pytest.raises(PublishRefused):
            await ffmpeg.publish(sample, signed_url(own, key, ends_in_s))
    await ffmpeg.publish(sample, signed_url(own, PUBLISH_KEY, MINUTE_S))
    signed = {"UniqueName": "signed", "App": "live", "Pubdomain": "push.signed.test"}
    told = details(await kls.done("ListHistoryPubStreamsErrInfo", signed, Limit=10))
    assert [(each["StatusCode"], each["StatusMessage"]) for each in told] == [
        (425, "Url expired!"),
        (426, "Signature does not match!"),
    ]


def signed_url(server: Server, key: str, ends_in_s: int) -> str:
    at = now() + ends_in_s
    secret = md5(f"{key}/live/cam{at}".encode()).hexdigest()
    return server.rtmp_url(f"live/cam?vhost=signed&wsSecret={secret}&wsTime={at}")


@pytest.mark.parametrize("name", ["kscore", "kscore's wrapper"])
async def test_publishers_are_listed_by_domain_and_page(own: Server, ffmpeg: Ffmpeg, sample: Path, name: str) -> None:
    kls = Kls(CLIENTS[name](own, KEY))
    names = ["a", "b", "c"]
    for each in names:
        await ffmpeg.publish(sample, own.rtmp_url(f"live/{each}?vhost=push2.one.test"), loop=True)
    await ffmpeg.publish(sample, url(own))
    second = {**WHERE, "Pubdomain": "push2.one.test", "Limit": 2, "OrderTime": 1}
    pages = [await kls.done("ListRealtimePubStreamsInfo", second, Marker=page) for page in range(3)]
    assert [(each["Count"], each["Total"], each["Marker"]) for each in pages] == [(2, 3, 0), (1, 3, 1), (0, 3, 2)]
    assert [row["Stream"] for each in pages for row in each["Result"]] == names
    first = await kls.done("ListRealtimePubStreamsInfo", WHERE)
    assert [row["Stream"] for row in first["Result"]] == ["cam"]


async def test_by_tls_with_the_servers_own_authority(own: Server) -> None:
    client = get_session().create_client(
        "kls",
        REGION,
        endpoint_url=own.api_tls_url,
        verify=str(own.ca_file),
        ks_access_key_id=KEY.access_key,
        ks_secret_access_key=KEY.secret_key,
    )
    answer = await asyncio.to_thread(client.check_blacklist, **STREAM)
    assert answer["Data"]["CheckResult"] == 0


async def test_the_operation_of_the_sdk_that_is_not_here_is_unknown(kls: Kls) -> None:
    with pytest.raises(ClientError, match="InvalidActionOrVersion"):
        await kls.data("KillStreamCache", STREAM)
