"""ListRealtimeStreamsInfo, ListRealtimePubStreamsInfo: what is on air, its facts and its players."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from penstock.api.kingsoft import realtime
from penstock.link.messages import Audience, Client, VideoFacts
from penstock.storage.rows import Domain
from tests.api.kingsoft.front import APP, THEIRS, WHERE, Front, signed, unsigned
from tests.api.kingsoft.kit import NOW, SENT, ago, on_air, watched
from tests.clock import START

PULL, PULL2 = "pull.demo.test", "pull2.demo.test"


async def streams(front: Front, **values: Any) -> dict[str, Any]:
    answer = await front.call("ListRealtimeStreamsInfo", {**APP, **values})
    assert answer.code == "0", answer
    assert answer.data["Count"] >= len(answer.data["Streams"])
    return answer.data


def names(data: dict[str, Any], rows: str = "Streams") -> list[str]:
    return [each["Stream"] for each in data[rows]]


def ids(front: Front) -> dict[str, int]:
    return {domain.name: domain.id for domain in front.live.registry.domains("demo", "pull")}


# ListRealtimeStreamsInfo


async def test_with_nothing_on_air_there_is_nothing(front: Front) -> None:
    assert await streams(front) == {
        "UniqueName": "demo",
        "App": "live",
        "Count": 0,
        "Bw": 0,
        "OnlineUser": 0,
        "Streams": [],
        "RetCode": 0,
        "RetMsg": "success",
    }


async def test_a_stream_shows_what_its_publisher_sends_and_its_players_take(front: Front) -> None:
    session = on_air(front.live, "cam", at=ago(seconds=100.7), client=Client("2001:db8::7", 5))
    watched(front.live, session, Audience("flv", PULL, 2, 1000), Audience("rtmp", PULL, 5, 9))
    watched(front.live, session, Audience("flv", PULL, 3, 51_000), Audience("rtmp", PULL, 5, 9), after_s=2)
    data = await streams(front)
    assert (data["Count"], data["OnlineUser"], data["Bw"]) == (1, 3, 200_000)
    assert data["Streams"] == [
        {
            "Stream": "cam",
            "ClientIP": "2001:db8::7",
            "Clientip": "2001:db8::7",
            "Node": "192.0.2.1",
            "PubTime": NOW - 101,
            "Pubtime": NOW - 101,
            "FrameRate": 25,
            "Curfps": 24,
            "FLR": 4,
            "Curbitrate": 2000.4,
            "BwInAudio": 128.1,
            "BwIn": 2128.5,
            "BwReal": 2100.5,
            "BwDiff": 28.0,
            "Width": 1280,
            "Height": 720,
            "SampleRate": 44_100,
            "Vcodec": "h264",
            "Acodec": "aac",
            "OnlineUser": 3,
            "Bw": 200_000,
            "Pulls": [{"Stream": "cam", "OnlineUser": 3, "Bw": 200_000}],
        }
    ]


async def test_what_is_not_known_yet_is_nought_or_empty(front: Front) -> None:
    on_air(front.live, "cam", stats=None)
    (stream,) = (await streams(front))["Streams"]
    numbers = {name for name, value in stream.items() if value == 0}
    assert numbers >= {"FrameRate", "Curfps", "FLR", "Curbitrate", "BwIn", "Width", "SampleRate", "OnlineUser", "Bw"}
    assert (stream["Vcodec"], stream["Acodec"]) == ("", "")
    assert stream["Pulls"] == [{"Stream": "cam", "OnlineUser": 0, "Bw": 0}]


@pytest.mark.parametrize(("ours", "theirs"), [("avc", "h264"), ("hevc", "h265"), ("av1", "av1"), ("unknown:xx", None)])
async def test_codecs_go_by_the_clouds_names(front: Front, ours: str, theirs: str | None) -> None:
    on_air(front.live, "cam", stats=replace(SENT, video=VideoFacts(codec=ours)))
    (stream,) = (await streams(front))["Streams"]
    assert stream["Vcodec"] == (theirs or ours)


async def test_an_admitted_publish_is_on_air_once_it_began(front: Front) -> None:
    session = front.live.sessions.admit(on_air(front.live, "cam").lease.stream, Client("192.0.2.9", 1))
    assert (await streams(front))["Count"] == 1
    assert session.began_at is None


async def test_the_latest_publisher_comes_first(front: Front) -> None:
    for name, seconds in (("old", 30), ("new", 10), ("mid", 20)):
        on_air(front.live, name, at=ago(seconds=seconds))
    assert names(await streams(front)) == ["new", "mid", "old"]


async def test_an_app_shows_its_own_streams_and_a_name_its_own(front: Front) -> None:
    on_air(front.live, "cam")
    on_air(front.live, "cam2", domain="push2.demo.test")
    on_air(front.live, "cam", app="studio")
    on_air(front.live, "cam", vhost="other", domain="push.other.test")
    assert sorted(names(await streams(front))) == ["cam", "cam2"]
    assert names(await streams(front, Stream="cam2")) == ["cam2"]
    assert names(await streams(front, App="studio")) == ["cam"]
    assert (await streams(front, Stream="Cam2"))["Count"] == 0
    assert len(names(await streams(front, Stream=""))) == 2


@pytest.mark.parametrize(
    ("given", "players", "bits"),
    [
        ({}, 3, 8000),
        ({"PullProtocol": "http+flv"}, 3, 8000),
        ({"PullProtocol": "rtmp"}, 7, 0),
        ({"PullProtocol": "hls"}, 1, 800),
    ],
)
async def test_players_are_those_of_one_protocol(front: Front, given: dict[str, Any], players: int, bits: int) -> None:
    session = on_air(front.live, "cam")
    for after_s, flv, hls in ((0, 0, 0), (1, 1000, 100)):
        audience = Audience("flv", PULL, 3, flv), Audience("rtmp", PULL, 7, 5), Audience("hls", PULL, 1, hls)
        watched(front.live, session, *audience, after_s=after_s)
    data = await streams(front, **given)
    assert (data["OnlineUser"], data["Bw"]) == (players, bits)


async def test_players_are_those_on_the_domains_asked_for(front: Front) -> None:
    session = on_air(front.live, "cam")
    for after_s in (0, 1):
        watched(
            front.live,
            session,
            Audience("flv", PULL, 2, after_s * 100),
            Audience("flv", PULL2, 4, after_s * 10),
            Audience("flv", "127.0.0.1", 8, after_s),  # counts under the vhost's first
            after_s=after_s,
        )
    first, second = ids(front)[PULL], ids(front)[PULL2]
    for domains, players, bits in (
        ("", 14, 888),
        (str(first), 10, 808),
        (str(second), 4, 80),
        (f"{first},{second}", 14, 888),
        (f"{second},{second}", 4, 80),
    ):
        data = await streams(front, DomainIds=domains)
        assert (data["OnlineUser"], data["Bw"]) == (players, bits), domains


@pytest.mark.parametrize("text", ["999", "0", "1,999"])
async def test_a_domain_id_that_the_vhost_does_not_have(front: Front, text: str) -> None:
    answer = await front.call("ListRealtimeStreamsInfo", {**APP, "DomainIds": text})
    assert (answer.status, answer.code) == (200, "4201")


async def test_a_push_domain_or_anothers_is_no_playback_domain(front: Front) -> None:
    await front.live.store.put_domain(Domain(vhost="other", name="pull.other.test", kind="pull"))
    await front.live.registry.load(front.live.store)
    for vhost, kind in (("demo", "push"), ("other", "pull")):
        (first, *_) = front.live.registry.domains(vhost, kind)  # type: ignore[arg-type]
        answer = await front.call("ListRealtimeStreamsInfo", {**APP, "DomainIds": str(first.id)})
        assert answer.code == "4201"


@pytest.mark.parametrize("text", ["x", "1;2", ",", ",1", "-1", "1 2", "²", "9" * 5000, 3, [1]])
async def test_domain_ids_are_numbers_and_commas(front: Front, text: object) -> None:
    answer = await front.call("ListRealtimeStreamsInfo", {**APP, "DomainIds": text})
    assert (answer.status, answer.code) == (200, "4999")


async def test_push_is_the_publishers_side_alone(front: Front) -> None:
    session = on_air(front.live, "cam")
    watched(front.live, session, Audience("flv", PULL, 2, 0))
    data = await streams(front, Type="push")
    (stream,) = data["Streams"]
    assert (stream["ClientIP"], stream["Curbitrate"], stream["Width"]) == ("192.0.2.7", 2000.4, 1280)
    assert (stream["OnlineUser"], stream["Bw"], stream["Pulls"]) == (0, 0, [])
    assert (data["OnlineUser"], data["Count"]) == (0, 1)


async def test_pull_is_the_players_side_of_streams_that_have_some(front: Front) -> None:
    watched(front.live, on_air(front.live, "cam"), Audience("flv", PULL, 2, 0), Audience("rtmp", PULL, 1, 0))
    watched(front.live, on_air(front.live, "empty"), Audience("rtmp", PULL, 1, 0))
    data = await streams(front, Type="pull")
    (stream,) = data["Streams"]
    assert (stream["Stream"], stream["OnlineUser"], stream["Pulls"][0]["OnlineUser"]) == ("cam", 2, 2)
    assert (stream["ClientIP"], stream["Node"], stream["Curbitrate"], stream["Vcodec"]) == ("", "", 0, "")
    assert (data["Count"], data["OnlineUser"]) == (1, 2)
    assert names(await streams(front, Type="pull", PullProtocol="hls")) == []


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"PullProtocol": "flv"}, "9014"),
        ({"PullProtocol": "RTMP"}, "9014"),
        ({"PullProtocol": 1}, "9014"),
        ({"Type": "both"}, "9015"),
        ({"Type": "Push"}, "9015"),
        ({"Type": 0}, "9015"),
        ({"App": "vod"}, "1003"),
        ({"UniqueName": "other"}, "6406"),
        ({"UniqueName": 1}, "1002"),
        ({"Stream": 1}, "1004"),
        ({"Pubdomain": "push.demo.test"}, "4999"),
    ],
)
async def test_a_parameter_of_the_list_that_is_wrong(front: Front, wrong: dict[str, Any], code: str) -> None:
    assert (await front.call("ListRealtimeStreamsInfo", {**APP, **wrong})).code == code


@pytest.mark.parametrize("name", ["UniqueName", "App"])
async def test_a_parameter_of_the_list_that_must_be_there(front: Front, name: str) -> None:
    values = dict(APP)
    del values[name]
    assert (await front.call("ListRealtimeStreamsInfo", values)).code == "1000"


async def test_it_may_be_asked_by_get_too(front: Front) -> None:
    on_air(front.live, "cam")
    answer = await front.call("ListRealtimeStreamsInfo", {**APP, "Type": "push"}, method="GET")
    assert names(answer.data) == ["cam"]


async def test_ten_thousand_streams_are_listed_and_all_are_counted(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert realtime.MAX_STREAMS == 10_000
    monkeypatch.setattr(realtime, "MAX_STREAMS", 20)
    for number in range(23):
        session = on_air(front.live, f"cam{number}", at=ago(seconds=number))
        watched(front.live, session, Audience("flv", PULL, 1, 0))
    data = await streams(front)
    assert (data["Count"], data["OnlineUser"]) == (23, 23)
    assert names(data) == [f"cam{number}" for number in range(20)]


# ListRealtimePubStreamsInfo


async def pubs(front: Front, **values: Any) -> dict[str, Any]:
    answer = await front.call("ListRealtimePubStreamsInfo", {**WHERE, **values}, method="GET")
    assert answer.code == "0", answer
    assert answer.data["Count"] == len(answer.data["Result"])
    return answer.data


async def test_a_published_stream_shows_bits_and_numbers_in_the_clouds_types(front: Front) -> None:
    on_air(front.live, "cam", at=ago(seconds=10))
    front.clock.spend(5)
    assert await pubs(front) == {
        "UniqueName": "demo",
        "App": "live",
        "Pubdomain": "push.demo.test",
        "Count": 1,
        "Marker": 0,
        "OrderTime": 0,
        "Total": 1,
        "Result": [
            {
                "Stream": "cam",
                "Clientip": "192.0.2.7",
                "Width": "1280",
                "Height": "720",
                "FrameRate": "25",
                "Curfps": 24,
                "Curbitrate": 2_000_400,
                "BwInAudio": "128100",
                "SampleRate": "44100",
                "BwReal": "2100500",
                "BwIn": "2128500",
                "UpdateTime": NOW + 5,
                "Pubtime": NOW - 10,
            }
        ],
        "RetCode": 0,
        "RetMsg": "success",
    }


async def test_only_what_came_by_that_push_domain_is_listed(front: Front) -> None:
    on_air(front.live, "one")
    on_air(front.live, "two", domain="push2.demo.test")
    on_air(front.live, "three", app="studio")
    assert names(await pubs(front), "Result") == ["one"]
    assert names(await pubs(front, Pubdomain="push2.demo.test"), "Result") == ["two"]
    assert names(await pubs(front, Pubdomain="PUSH2.demo.test"), "Result") == ["two"]
    assert names(await pubs(front, App="studio"), "Result") == ["three"]
    assert names(await pubs(front, Stream="two"), "Result") == []


async def test_pages_follow_each_other_in_either_order(front: Front) -> None:
    for number in range(7):
        on_air(front.live, f"cam{number}", at=ago(seconds=number))
    for order, expected in ((0, list(range(7))), (1, list(range(6, -1, -1)))):
        seen: list[str] = []
        for marker in range(4):
            data = await pubs(front, OrderTime=order, Marker=marker, Limit=3)
            assert (data["Total"], data["Marker"], data["OrderTime"]) == (7, marker, order)
            assert data["Count"] == (3, 3, 1, 0)[marker]
            seen += names(data, "Result")
        assert seen == [f"cam{number}" for number in expected]


async def test_a_page_has_a_thousand_rows_unless_asked_for_up_to_five_thousand(front: Front) -> None:
    for number in range(1001):
        on_air(front.live, f"cam{number}")
    assert ((await pubs(front))["Count"], (await pubs(front, Marker=1))["Count"]) == (1000, 1)
    assert (await pubs(front, Limit=0))["Count"] == 1000
    assert (await pubs(front, Limit=5000))["Count"] == 1001
    assert (await pubs(front, Marker=2_147_483_647, Limit=5000))["Count"] == 0


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"Limit": 5001}, "4999"),
        ({"Limit": -1}, "4999"),
        ({"Limit": "all"}, "4999"),
        ({"Marker": -1}, "4999"),
        ({"Marker": 2_147_483_648}, "4999"),
        ({"OrderTime": 2}, "4999"),
        ({"OrderTime": "new"}, "4999"),
        ({"Pubdomain": "push.other.test"}, "4201"),
        ({"Pubdomain": ""}, "1000"),
        ({"App": "vod"}, "1003"),
        ({"UniqueName": "other"}, "6406"),
        ({"StartUnixTime": NOW}, "4999"),
    ],
)
async def test_a_parameter_of_the_pages_that_is_wrong(front: Front, wrong: dict[str, Any], code: str) -> None:
    answer = await front.call("ListRealtimePubStreamsInfo", {**WHERE, **wrong}, method="GET")
    assert (answer.status, answer.code) == (200, code)


# Both


@pytest.mark.parametrize(
    ("action", "values"), [("ListRealtimeStreamsInfo", APP), ("ListRealtimePubStreamsInfo", WHERE)]
)
async def test_another_account_sees_nothing_of_it(front: Front, action: str, values: dict[str, Any]) -> None:
    on_air(front.live, "cam")
    assert (await front.call(action, values, credentials=THEIRS)).code == "6406"
    theirs = {**values, "UniqueName": "other"} | ({"Pubdomain": "push.other.test"} if "Pubdomain" in values else {})
    answer = await front.call(action, theirs, credentials=THEIRS)
    assert (answer.code, answer.data["Count"]) == ("0", 0)


async def test_what_ended_is_gone_at_once(front: Front) -> None:
    on_air(front.live, "cam")
    assert (await front.call("ForbidStream", {**WHERE, "Stream": "cam"})).code == "0"
    assert (await streams(front))["Count"] == 0
    assert (await pubs(front))["Total"] == 0


async def test_times_go_by_the_domains_clock(front: Front) -> None:
    front.live.clock.turn(by=timedelta(days=1))
    on_air(front.live, "cam", at=front.live.clock.now())
    assert (await pubs(front))["Result"][0]["UpdateTime"] == NOW + 86_400


async def test_the_official_wrappers_empty_stream_counts_as_absent(front: Front) -> None:
    on_air(front.live, "cam")
    assert names(await pubs(front, Stream=""), "Result") == ["cam"]
    request = unsigned(
        "", {**APP, "Stream": ""}, method="POST", headers=(("X-Amz-Target", "kls.ListRealtimeStreamsInfo"),)
    )
    assert (await front.send(signed(request, at=START))).data["Count"] == 1


async def test_nothing_is_logged_of_reads(front: Front, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await streams(front)
    assert caplog.text == ""
