"""Kingsoft's own SDKs, unchanged, against a server that runs: what they say happens to what ffmpeg publishes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from hashlib import md5
from pathlib import Path
from typing import Any, Final

import pytest
from kscore.session import get_session

from penstock.clouds.contract import Credentials
from penstock.clouds.kingsoft import streams
from penstock.workers import testpattern
from tests.clouds.kingsoft.official import ACTIONS_OF_KSYUN, REGION, ClientError, Kscore, Ksyun, Wrapper
from tests.e2e.media import Samples
from tests.e2e.peers import Ffmpeg, FfmpegPublisher, PublishRefused
from tests.e2e.server import Serve, Server, faultless, write_settings

OURS: Final = Credentials("AKours", "the-secret-key-of-ours")
THEIRS: Final = Credentials("AKtheirs", "the-secret-key-of-theirs")
PUBLISH_KEY: Final = "a-publish-key"
DAY_S: Final = 86_400
ACCOUNTS: Final = f"""
[[account]]
id = "1"
[[account.key]]
access_key = "{OURS.access_key}"
secret_key = "{OURS.secret_key}"
[[account.vhost]]
name = "demo"
push_domains = ["push.demo.test", "push2.demo.test"]
pull_domains = ["pull.demo.test"]
[[account.vhost]]
name = "signed"
push_domains = ["push.signed.test"]
publish_auth = "signed"
publish_key = "{PUBLISH_KEY}"

[[account]]
id = "2"
[[account.key]]
access_key = "{THEIRS.access_key}"
secret_key = "{THEIRS.secret_key}"
[[account.vhost]]
name = "other"
push_domains = ["push.other.test"]
"""

Sdk = Kscore | Wrapper | Ksyun
SDKS: Final[Mapping[str, Callable[[str, Credentials], Sdk]]] = {
    "kscore": Kscore,
    "wrapper": Wrapper,
    "ksyun": Ksyun,
    "ksyun by GET": lambda url, keys: Ksyun(url, keys, "GET"),
}
EVERY_SDK: Final = pytest.mark.parametrize("sdk", SDKS)
# The second package has no ListRealtimePubStreamsInfo.
FIRST_SDK: Final = pytest.mark.parametrize("sdk", ["kscore", "wrapper"])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with two accounts, that nobody is told to slow down by."""
    folder = tmp_path_factory.mktemp("server")
    settings = write_settings(folder, accounts=ACCOUNTS, api={"rate_limits": False}, default_vhost="demo")
    server = Server.started(folder, ["--config", str(settings)])
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def server(house: Server) -> Iterator[Server]:
    with faultless(house, since=house.mark()):
        yield house


@pytest.fixture
def name(stream: str) -> str:
    """A stream that no other test publishes, by its name alone."""
    return stream.partition("/")[2]


class Customer:
    """Somebody with an SDK, and a stream in mind."""

    def __init__(self, server: Server, sdk: str, stream: str, keys: Credentials = OURS, domain: str = "") -> None:
        self._sdk = SDKS[sdk](server.api_url(), keys)
        self._is_wrapper = sdk == "wrapper"
        self.application = {"UniqueName": "demo", "App": "live"}
        self.place = {**self.application, "Pubdomain": domain or "push.demo.test"}
        self.stream = {**self.place, "Stream": stream}

    async def call(self, action: str, **parameters: object) -> Mapping[str, Any]:
        """Call, and see that it worked; return Data."""
        data = await self.answer(action, **parameters)
        assert (data["RetCode"], data["RetMsg"]) == (0, "success")
        return data

    async def answer(self, action: str, **parameters: object) -> Mapping[str, Any]:
        """Call; return Data, whatever its RetCode."""
        answer = await asyncio.to_thread(self._sdk.call, action, **parameters)
        assert len(answer["RequestId"]) == 36
        data: Mapping[str, Any] = answer["Data"]
        return data

    async def forbid(self, until: int | None = None) -> int:
        """Return the RetCode of a ban."""
        given = {} if until is None else {"ForbidTillUnixTime": until}
        return int((await self.answer("ForbidStream", **self.stream, **given))["RetCode"])

    async def resume(self) -> int:
        return int((await self.answer("ResumeStream", **self.stream))["RetCode"])

    async def is_banned(self) -> bool:
        return bool((await self.call("CheckBlacklist", **self.stream))["CheckResult"])

    async def bans(self) -> dict[str, Mapping[str, int]]:
        """Return the bans of the place, by stream."""
        found = await self.call("GetBlacklist", **self.place)
        assert found["Total"] == len(found["Recs"])
        return {each["Stream"]: each for each in found["Recs"]}

    async def on_air(self, **filters: str) -> list[Mapping[str, Any]]:
        asked = {**self.application, "Stream": self.stream["Stream"], **filters}
        found = await self.call("ListRealtimeStreamsInfo", **asked)
        assert found["Count"] == len(found["Streams"])
        streams: list[Mapping[str, Any]] = found["Streams"]
        return streams

    async def history(self, action: str = "ListHistoryPubStreamsInfo") -> list[Mapping[str, Any]]:
        """Return the stream's past publishes, or attempts, latest first."""
        found = await self.call(action, **self.stream, Limit=100)
        assert found["Count"] == found["Total"] == sum(len(each["Detail"]) for each in found["Result"])
        assert {each["Stream"] for each in found["Result"]} <= {self.stream["Stream"]}
        return [row for each in found["Result"] for row in each["Detail"]]

    async def refusals(self) -> list[Mapping[str, Any]]:
        return await self.history("ListHistoryPubStreamsErrInfo")


async def measured(publisher: FfmpegPublisher, look: Callable[[], Any]) -> Any:
    """Look again after each second of media that was sent, until there is something."""
    for second in range(1, 12):
        await publisher.until_sent(second)
        if found := await look():
            return found
    raise AssertionError("nothing in 11 s of media")


def kbps_of(sample: Path) -> float:
    return sample.stat().st_size * 8 / 1000 / Samples.seconds


@EVERY_SDK
async def test_a_stream_is_listed_with_its_facts_and_its_players(
    sdk: str, server: Server, ffmpeg: Ffmpeg, sample: Path, name: str
) -> None:
    customer = Customer(server, sdk, name)
    began = int(time.time())
    publisher = await ffmpeg.publish(sample, server.rtmp_url(f"live/{name}"))
    player = await ffmpeg.play(server.flv_url(f"live/{name}"))

    async def look() -> Any:
        found = await customer.on_air()
        return found and found[0]["Width"] and found[0]["Bw"] and found[0]["Curfps"] > 20 and found[0]

    found = await measured(publisher, look)
    assert (found["Stream"], found["ClientIP"], found["Clientip"]) == (name, "127.0.0.1", "127.0.0.1")
    assert began <= found["PubTime"] == found["Pubtime"] <= time.time()
    assert (found["Width"], found["Height"], found["FrameRate"]) == (320, 180, 25)
    assert found["Curfps"] == pytest.approx(25, abs=4)
    assert (found["Vcodec"], found["Acodec"], found["SampleRate"]) == ("h264", "aac", testpattern.SAMPLE_RATE_HZ)
    kbps = kbps_of(sample)
    assert found["BwReal"] == pytest.approx(kbps, rel=0.4)
    assert 0 < found["BwInAudio"] < found["Curbitrate"]
    assert found["BwIn"] == pytest.approx(found["Curbitrate"] + found["BwInAudio"], abs=0.2)
    assert found["OnlineUser"] == 1
    assert found["Bw"] == pytest.approx(kbps * 1000, rel=0.6)
    assert found["Pulls"] == [{"Stream": name, "OnlineUser": 1, "Bw": found["Bw"]}]
    (by_rtmp,) = await customer.on_air(PullProtocol="rtmp")
    assert (by_rtmp["OnlineUser"], by_rtmp["Bw"]) == (0, 0)
    (pushed,) = await customer.on_air(Type="push")
    assert (pushed["Width"], pushed["Pulls"]) == (320, [])
    await player.kill()


@FIRST_SDK
async def test_publishers_are_paged_through_with_numbers_as_text(
    sdk: str, server: Server, ffmpeg: Ffmpeg, sample: Path, name: str
) -> None:
    names = [f"{name}-{number}" for number in range(3)]
    customer = Customer(server, sdk, name, domain="push2.demo.test")
    publishers = [await ffmpeg.publish(sample, server.rtmp_url(f"live/{each}?vhost=push2.demo.test")) for each in names]

    async def look() -> Any:
        found = await customer.call("ListRealtimePubStreamsInfo", **customer.place, Stream=names[0], Limit=1)
        return found["Result"] and found["Result"][0]["Width"] != "0" and found["Result"][0]

    found = await measured(publishers[0], look)
    assert (found["Width"], found["Height"], found["FrameRate"], found["SampleRate"]) == ("320", "180", "25", "48000")
    assert int(found["BwReal"]) == pytest.approx(kbps_of(sample) * 1000, rel=0.5)
    pages = [
        await customer.call("ListRealtimePubStreamsInfo", **customer.place, Limit=2, Marker=page, OrderTime=1)
        for page in range(3)
    ]
    assert [(each["Count"], each["Total"], each["Marker"]) for each in pages] == [(2, 3, 0), (1, 3, 1), (0, 3, 2)]
    assert [row["Stream"] for each in pages for row in each["Result"]] == names
    assert await customer.call("ListRealtimePubStreamsInfo", **{**customer.place, "Pubdomain": "push.demo.test"})


@EVERY_SDK
async def test_a_ban_cuts_the_encoder_refuses_it_and_is_lifted(
    sdk: str, server: Server, ffmpeg: Ffmpeg, sample: Path, name: str
) -> None:
    customer, url = Customer(server, sdk, name), server.rtmp_url(f"live/{name}")
    began = int(time.time())
    publisher = await ffmpeg.publish(sample, url)
    player = await ffmpeg.play(server.flv_url(f"live/{name}"))
    await player.until_got(seconds=1)
    assert await customer.forbid(-1) == 0
    assert await publisher.exit_code(within_s=2) != 0
    await player.exit_code(within_s=2)
    assert await customer.is_banned()
    ban = (await customer.bans())[name]
    assert began <= ban["ForbidUnixTime"] <= time.time()
    assert ban["ForbidTillUnixTime"] == pytest.approx(ban["ForbidUnixTime"] + 90 * DAY_S, abs=1)
    assert await customer.on_air() == []
    (past,) = await customer.history()
    assert (past["StatusCode"], past["StatusMessage"], past["Clientip"]) == (200, "Success operation!", "127.0.0.1")
    assert began <= past["Pubtime"] <= past["Fintime"] <= time.time()

    with pytest.raises(PublishRefused, match="banned until"):
        await ffmpeg.publish(sample, url)
    (refused,) = await customer.refusals()
    assert (refused["StatusCode"], refused["StatusMessage"]) == (423, "Forbidden by blacklist!")

    assert await customer.resume() == 0
    assert not await customer.is_banned()
    assert name not in await customer.bans()
    await ffmpeg.publish(sample, url)
    assert len(await customer.on_air()) == 1
    assert await customer.resume() == 8201


@EVERY_SDK
async def test_a_kick_cuts_the_encoder_which_may_come_back_at_once(
    sdk: str, server: Server, ffmpeg: Ffmpeg, sample: Path, name: str
) -> None:
    customer, url = Customer(server, sdk, name), server.rtmp_url(f"live/{name}")
    assert await customer.forbid(streams.KICK) == 8502
    publisher = await ffmpeg.publish(sample, url)
    assert await customer.forbid(streams.KICK) == 0
    assert await publisher.exit_code(within_s=2) != 0
    assert await customer.on_air() == []
    assert not await customer.is_banned()
    await ffmpeg.publish(sample, url)
    assert [row["StatusCode"] for row in await customer.history()] == [200]
    assert await customer.refusals() == []


@EVERY_SDK
async def test_a_ban_ends_when_it_was_said_to(sdk: str, server: Server, name: str) -> None:
    customer = Customer(server, sdk, name)
    now = int(time.time())
    longest = now + 90 * DAY_S
    for until, end in ((None, longest), (now + 3600, now + 3600), (-1, longest), (longest - 60, longest - 60)):
        assert await customer.forbid(until) == 0
        assert (await customer.bans())[name]["ForbidTillUnixTime"] == pytest.approx(end, abs=20)
    for wrong in (longest + 120, now - 60, 2):
        assert await customer.forbid(wrong) == 4001
    assert (await customer.bans())[name]["ForbidTillUnixTime"] == longest - 60


@EVERY_SDK
async def test_the_same_ban_at_once_is_told_as_unchanged(sdk: str, server: Server, name: str) -> None:
    customer = Customer(server, sdk, name)
    end = int(time.time()) + 3600
    # The second call has to come within a second of the first, which a busy machine may miss.
    codes = [await customer.forbid(end) for _ in range(6)]
    assert codes[0] == 0
    assert 3802 in codes
    assert set(codes) <= {0, 3802}
    assert await customer.forbid(end + 10) == 0


@EVERY_SDK
async def test_lifting_nothing_is_told(sdk: str, server: Server, name: str) -> None:
    assert await Customer(server, sdk, name).resume() == 8201


@EVERY_SDK
async def test_refusals_tell_why(sdk: str, server: Server, ffmpeg: Ffmpeg, sample: Path, name: str) -> None:
    customer, url = Customer(server, sdk, name), server.rtmp_url(f"live/{name}")
    await ffmpeg.publish(sample, url)
    with pytest.raises(PublishRefused):
        await ffmpeg.publish(sample, url)
    assert [(row["StatusCode"], row["StatusMessage"]) for row in await customer.refusals()] == [
        (422, "Already exist stream!")
    ]

    signed = Customer(server, sdk, name, domain="push.signed.test")
    signed.stream["UniqueName"] = "signed"
    for key, ends_in_s in (("another-key", 60), (PUBLISH_KEY, -60)):
        with pytest.raises(PublishRefused):
            await ffmpeg.publish(sample, signed_url(server, name, key, ends_in_s))
    await ffmpeg.publish(sample, signed_url(server, name, PUBLISH_KEY, 60))
    assert [(row["StatusCode"], row["StatusMessage"]) for row in await signed.refusals()] == [
        (425, "Url expired!"),
        (426, "Signature does not match!"),
    ]


def signed_url(server: Server, name: str, key: str, ends_in_s: int) -> str:
    at = int(time.time()) + ends_in_s
    secret = md5(f"{key}/live/{name}{at}".encode()).hexdigest()
    return server.rtmp_url(f"live/{name}?vhost=signed&wsSecret={secret}&wsTime={at}")


@EVERY_SDK
async def test_durations_are_those_of_the_publishes(
    sdk: str, server: Server, ffmpeg: Ffmpeg, sample: Path, name: str
) -> None:
    customer, url = Customer(server, sdk, name), server.rtmp_url(f"live/{name}")
    for seconds in (2, 1):
        publisher = await ffmpeg.publish(sample, url)
        await publisher.until_sent(seconds)
        await publisher.stop()
        assert await customer.forbid(streams.KICK) in (0, 8502)  # if its end was not heard yet, it is over now
    now = int(time.time())
    found = await customer.call(
        "ListStreamDurations", **customer.stream, StartUnixTime=now - DAY_S, EndUnixTime=now + DAY_S
    )
    assert found["Count"] == len(found["Result"]) == 2
    assert {row["Stream"] for row in found["Result"]} == {name}
    for row, least in zip(found["Result"], (2, 1), strict=True):
        assert row["Duration"] == row["EndTime"] - row["StartTime"]
        assert least - 1 <= row["Duration"] <= least + 8
    too_long_ago = {"StartUnixTime": now - 61 * DAY_S, "EndUnixTime": now}
    assert (await customer.answer("ListStreamDurations", **customer.stream, **too_long_ago))["RetCode"] == 4001
    same_day = {"StartUnixTime": now, "EndUnixTime": now}
    assert (await customer.answer("ListStreamDurations", **customer.stream, **same_day))["RetCode"] == 4001


@EVERY_SDK
async def test_windows_of_histories_have_their_limits(sdk: str, server: Server, name: str) -> None:
    customer = Customer(server, sdk, name)
    now = int(time.time())
    for action in ("ListHistoryPubStreamsInfo", "ListHistoryPubStreamsErrInfo"):
        for start, end, code in (
            (now - 27 * DAY_S, now - 22 * DAY_S, 0),
            (now - 29 * DAY_S, now - 26 * DAY_S, 4001),
            (now - 6 * DAY_S, now, 4001),
            (now, now - 60, 4001),
        ):
            window = {"StartUnixTime": start, "EndUnixTime": end}
            found = await customer.answer(action, **customer.stream, **window, Limit=1)
            assert found["RetCode"] == code
            if not code:
                assert (found["StartUnixTime"], found["EndUnixTime"]) == (start, end)


@EVERY_SDK
async def test_another_accounts_key_sees_and_touches_nothing(
    sdk: str, server: Server, ffmpeg: Ffmpeg, sample: Path, name: str
) -> None:
    stranger, owner = Customer(server, sdk, name, THEIRS), Customer(server, sdk, name)
    publisher = await ffmpeg.publish(sample, server.rtmp_url(f"live/{name}"), loop=True)
    now = int(time.time())
    extra = {
        "ListRealtimeStreamsInfo": {},
        "ListStreamDurations": {"StartUnixTime": now - DAY_S, "EndUnixTime": now + DAY_S},
        "ForbidStream": {"ForbidTillUnixTime": -1},
    }
    actions = ACTIONS_OF_KSYUN if sdk.startswith("ksyun") else tuple(streams.OPERATIONS)
    for action in actions:
        asked = {**stranger.stream, **extra.get(action, {})}
        for left_out in {"ListRealtimeStreamsInfo": ("Pubdomain",), "GetBlacklist": ("Stream",)}.get(action, ()):
            del asked[left_out]
        answer = await stranger.answer(action, **asked)
        assert answer == {"RetCode": 6406, "RetMsg": "unique_name and accountId not match"}, action
    assert not await owner.is_banned()
    sent_s = publisher.sent_s
    await publisher.until_sent(sent_s + 1)


@EVERY_SDK
async def test_names_that_do_not_belong_together_are_told(sdk: str, server: Server, name: str) -> None:
    customer = Customer(server, sdk, name)
    for changed, code in (
        ({"UniqueName": "nobodys"}, 6406),
        ({"App": "nobodys"}, 1003),
        ({"Pubdomain": "push.other.test"}, 4201),
    ):
        answer = await customer.answer("CheckBlacklist", **{**customer.stream, **changed})
        assert answer["RetCode"] == code


async def test_by_tls_with_our_own_authority(server: Server, name: str) -> None:
    client = get_session().create_client(
        "kls",
        REGION,
        endpoint_url=server.api_url("https"),
        verify=str(server.ca_file),
        ks_access_key_id=OURS.access_key,
        ks_secret_access_key=OURS.secret_key,
    )
    place = {"UniqueName": "demo", "App": "live", "Pubdomain": "push.demo.test", "Stream": name}
    answer = await asyncio.to_thread(client.check_blacklist, **place)
    assert answer["Data"]["CheckResult"] == 0


async def test_operations_on_recordings_are_unknown(server: Server, name: str) -> None:
    wrapper = Wrapper(server.api_url(), OURS)
    asked = {"UniqueName": "demo", "App": "live", "Pubdomain": "push.demo.test", "Stream": name}
    for action in ("CreateRecordTask", "StartStreamRecord", "StopStreamRecord", "CancelRecordTask", "KillStreamCache"):
        with pytest.raises(ClientError, match="InvalidActionOrVersion"):
            await asyncio.to_thread(getattr(wrapper.wrapper, action), asked)
    for action in ("ListRecordingTasks", "ListHistoryRecordTasks"):
        with pytest.raises(ClientError, match="InvalidActionOrVersion"):
            await asyncio.to_thread(getattr(wrapper.wrapper, action), **asked)


@FIRST_SDK
async def test_whoever_calls_too_often_is_told(sdk: str, serve: Serve, name: str) -> None:
    customer = Customer(serve(accounts=ACCOUNTS), sdk, name)
    for _ in range(50):
        await customer.on_air()
    with pytest.raises(ClientError, match="LimitExceeded") as caught:
        await customer.on_air()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 409
    assert not await customer.is_banned()
