"""Relay tasks by Volcengine's own SDK, unchanged, with real media: files over HTTP in, players that check it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from hashlib import md5
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import av
import pytest

from tests.clouds.volcengine.official import OUTSIDE
from tests.e2e.media import Packet, is_run_of, rising, track_of
from tests.e2e.peers import Ffmpeg, PeerFailed
from tests.e2e.server import Serve, Server
from tests.e2e.tasks import (
    CALLBACK_KEY,
    KEY,
    OTHER_KEY,
    SETTINGS,
    SUB_KEY,
    WITHIN_S,
    Client,
    Receiver,
    Script,
    eventually,
    kill_worker,
    receiving,
    workers_of,
)
from tests.workers.kit import Sample, Web, sample_bytes, serving

OWN: Final = {"Domain": "push.one.test", "App": "live", "Stream": "out"}
FPS: Final = 25
LONG: Final = Sample(seconds=90.0)
SHORT: Final = Sample(seconds=3.0)


@pytest.fixture(autouse=True)
def nothing_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the machine's own keys and proxies, which come before what a caller says."""
    for name in OUTSIDE:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def own(serve: Serve) -> Server:
    return serve(accounts=SETTINGS)


@pytest.fixture
def client(own: Server) -> Client:
    return Client(own)


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as web:
        yield web


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Sample], bytes]:
    folder = tmp_path_factory.mktemp("relay-samples")
    return lambda sample: sample_bytes(sample, folder)


async def script_of(ffmpeg: Ffmpeg, folder: Path, data: bytes) -> Script:
    path = folder / "script.mp4"
    await asyncio.to_thread(path.write_bytes, data)
    return Script(await ffmpeg.packets(path))


async def plays(ffmpeg: Ffmpeg, url: str, seconds: float = 2.0) -> list[Packet]:
    """What a player gets of a stream, which may not be on air yet."""
    until_s = time.monotonic() + WITHIN_S
    while True:
        try:
            return await ffmpeg.packets(url, seconds=seconds)
        except PeerFailed:
            if time.monotonic() > until_s:
                raise


async def state_of(client: Client, app_stream: str = "live/out") -> str:
    app, _, stream = app_stream.partition("/")
    found = await client.call("DescribeLiveStreamState", Vhost="one", App=app, Stream=stream)
    return str(found["stream_state"])


# Every operation


async def test_every_operation_by_the_official_sdk_with_media(
    own: Server, client: Client, web: Web, ffmpeg: Ffmpeg, made: Callable[[Sample], bytes]
) -> None:
    url = web.add("a.mp4", made(SHORT))
    await client.call("CreatePullToPushGroup", Name="sport", ProjectName="tv", Tags=[{"Key": "team", "Value": "a"}])
    await client.call("UpdatePullToPushGroup", Name="sport", Tags=[{"Key": "team", "Value": "b", "Category": "Custom"}])
    groups = await client.call("ListPullToPushGroup", PageNum=1, PageSize=10, StatusList=[])
    assert groups["Total"] == 1
    assert groups["List"] == [
        {
            "Name": "sport",
            "ProjectName": "tv",
            "Status": 0,
            "Tags": [{"Key": "team", "Value": "b", "Category": "Custom"}],
        }
    ]
    files = {"Type": 1, "CycleMode": -1, "VodSrcAddrs": [{"SrcAddr": url, "StartOffset": 1, "EndOffset": 2.5}]}
    id = await client.create(Title="news1", GroupName="sport", **files, **OWN)
    assert len(await plays(ffmpeg, own.flv_url("live/out"))) > 50

    task = await client.task(id)
    assert (task["Status"], task["DstAddr"], task["DstAddrType"]) == ("生效中", "rtmp://push.one.test/live/out", 1)
    assert (task["Title"], task["GroupName"], task["Type"], task["CycleMode"]) == ("news1", "sport", 1, -1)
    assert task["VodSrcAddrs"] == [{"SrcAddr": url, "StartOffset": 1.0, "EndOffset": 2.5}]
    for filters, found in (
        ({"Title": "NEWS"}, 1),
        ({"Title": "sport"}, 0),
        ({"GroupName": "sport"}, 1),
        ({"GroupName": "default"}, 0),
        ({"Page": 2, "Size": 1}, 0),
        ({"Title": "", "GroupName": ""}, 1),
    ):
        listed = await client.call("ListPullToPushTask", **filters)
        assert len(listed["List"]) == found, filters
    assert listed["Pagination"] == {"PageCur": 1, "PageSize": 20, "PageTotal": 1, "TotalCount": 1}

    await client.call("StopPullToPushTask", TaskId=id)
    assert (await client.task(id))["Status"] == "停用"
    await eventually(lambda: state_of(client), lambda state: state == "offline", "the stream's end")
    assert await client.refusal("StopPullToPushTask", TaskId=id) == "InvalidParam"
    for again in ("RestartPullToPushTask", "ContinuePullToPushTask", "RelaunchPullToPushTask"):
        await client.call(again, TaskId=id)
        assert (await client.task(id))["Status"] == "生效中"
        await eventually(lambda: state_of(client), lambda state: state == "online", f"media after {again}")
        if again != "RelaunchPullToPushTask":
            assert await client.refusal(again, TaskId=id) == "InvalidParam"
            await client.call("StopPullToPushTask", TaskId=id)
            await eventually(lambda: state_of(client), lambda state: state == "offline", "the stream's end")

    now = int(time.time())
    moved = files | {"StartTime": now, "EndTime": now + 600, "DstAddr": own.rtmp_url("live/moved"), "Title": "news2"}
    await client.call("UpdatePullToPushTask", TaskId=id, **moved)
    assert len(await plays(ffmpeg, own.flv_url("live/moved"))) > 50
    await eventually(lambda: state_of(client), lambda state: state == "offline", "the old target's end")
    task = await client.task(id)
    assert (task["Title"], task["GroupName"], task["DstAddrType"]) == ("news2", "sport", 2)

    assert await client.refusal("DeletePullToPushGroup", Name="sport") == "InvalidParam"
    assert await client.refusal("DeletePullToPushTask", TaskId=id, GroupName="default") == "RequestForbidden"
    await client.call("DeletePullToPushTask", TaskId=id, GroupName="sport")
    assert (await client.call("ListPullToPushTask"))["List"] == []
    await eventually(lambda: state_of(client, "live/moved"), lambda state: state == "offline", "the deleted one's end")
    assert await client.refusal("StopPullToPushTask", TaskId=id) == "ResourceNotFound"
    await client.call("DeletePullToPushGroup", Name="sport")
    assert (await client.call("ListPullToPushGroup", PageNum=1, PageSize=10))["Total"] == 0
    deleted = await client.call("ListPullToPushGroup", PageNum=1, PageSize=10, StatusList=[1])
    assert [(group["Name"], group["Status"]) for group in deleted["List"]] == [("sport", 1)]


async def test_a_sub_account_and_a_stranger(own: Server, web: Web, made: Callable[[Sample], bytes]) -> None:
    url = web.add("a.mp4", made(SHORT))
    files: dict[str, Any] = {"Type": 1, "CycleMode": -1, "SrcAddrS": [url], "OffsetS": [0.5], **OWN}
    main = Client(own)
    id = await main.create(**files)
    assert (await main.task(id))["OffsetS"] == [0.5]
    now = int(time.time())
    window = {"StartTime": now, "EndTime": now + 60}
    sub = Client(own, SUB_KEY)
    assert await sub.refusal("CreatePullToPushTask", **files, **window) == "InvalidParam"
    assert await sub.refusal("CreatePullToPushTask", **files, **window, GroupName="none") == "ResourceNotFound"
    assert await sub.refusal("DeletePullToPushTask", TaskId=id) == "InvalidParam"
    assert (await sub.task(id))["GroupName"] == "default"
    await sub.call("StopPullToPushTask", TaskId=id, GroupName="default")
    stranger = Client(own, OTHER_KEY)
    assert await stranger.refusal("RestartPullToPushTask", TaskId=id) == "ResourceNotFound"
    assert await stranger.refusal("DeletePullToPushTask", TaskId=id) == "ResourceNotFound"
    assert (await stranger.call("ListPullToPushTask"))["List"] == []
    assert await stranger.refusal("CreatePullToPushTask", **files, **window) == "RequestForbidden"
    main = Client(own, KEY)
    assert (await main.task(id))["Status"] == "停用"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"EndTime": 0}, "InvalidParam"),
        ({"EndTime": 604_801}, "InvalidParam"),
        ({"SrcAddr": ""}, "InvalidParam"),
        ({"SrcAddr": "file:///etc/passwd"}, "InvalidParam"),
        ({"SrcAddr": "http://169.254.169.254/latest/meta-data"}, "InvalidParam"),
        ({"DstAddr": "rtmp://10.0.0.1/live/a"}, "InvalidParam"),
        ({"DstAddr": "", "Domain": "push.one.test"}, "InvalidParam"),
        ({"Title": "a b"}, "InvalidParam"),
        ({"CallbackURL": "ftp://receiver.test/"}, "InvalidParam"),
        ({"Type": 1}, "InvalidParam"),
        ({"Type": 1, "SrcAddrS": ["http://a.test/a.mp4"]}, "InvalidParam"),
        ({"Type": 1, "CycleMode": 0, "SrcAddrS": ["http://a.test/a.mp4"], "OffsetS": [1, 2]}, "InvalidParam"),
        ({"GroupName": "none"}, "ResourceNotFound"),
    ],
)
async def test_what_breaks_a_rule_is_refused(client: Client, changes: dict[str, Any], code: str) -> None:
    now = int(time.time())
    good = {"Type": 0, "SrcAddr": "rtmp://a.test/live/a", "DstAddr": "rtmp://b.test/live/b", "StartTime": now}
    ends = now + changes.pop("EndTime", 60)
    refused = await client.refusal("CreatePullToPushTask", **good | {"EndTime": ends} | changes)
    assert refused == code or refused.startswith(f"{code}.")
    assert (await client.call("ListPullToPushTask"))["Pagination"]["TotalCount"] == 0


# Live sources


@pytest.mark.parametrize("source", ["rtmp", "flv", "hls", "own"])
async def test_a_live_source_is_relayed_packet_by_packet(
    own: Server, client: Client, ffmpeg: Ffmpeg, sample: Path, source: str
) -> None:
    await ffmpeg.publish(sample, own.rtmp_url("live/in"), loop=True)
    urls = {
        "rtmp": own.rtmp_url("live/in"),
        "flv": own.flv_url("live/in"),
        "hls": own.hls_url("live/in"),
        "own": "rtmp://pull.one.test/live/in",
    }
    await client.create(Type=0, SrcAddr=urls[source], **OWN)
    got = await plays(ffmpeg, own.flv_url("live/out"), 4.0)
    assert is_run_of(await ffmpeg.packets(sample), got)
    assert rising(got, strictly=False)
    assert bool(workers_of(own)) == (source == "hls")


async def test_a_dead_source_is_tried_again_until_it_is_there(
    own: Server, client: Client, ffmpeg: Ffmpeg, sample: Path, receiver: Receiver
) -> None:
    id = await client.create(Type=0, SrcAddr=own.rtmp_url("live/in"), CallbackURL=receiver.url, **OWN)

    async def events() -> list[str]:
        return receiver.events(id)

    await eventually(events, lambda seen: seen == ["error"], "the source's failure")
    assert (await client.task(id))["Status"] == "生效中"
    publisher = await ffmpeg.publish(sample, own.rtmp_url("live/in"), loop=True)
    await eventually(events, lambda seen: seen[-1] == "start", "the source's coming", 60)
    await publisher.kill()
    await eventually(events, lambda seen: seen[-2:] == ["start", "error"], "the source's end", 60)


# Files


async def test_parts_of_files_loop_without_a_gap(
    own: Server, client: Client, web: Web, ffmpeg: Ffmpeg, tmp_path: Path, made: Callable[[Sample], bytes]
) -> None:
    data = made(SHORT)
    script = await script_of(ffmpeg, tmp_path, data)
    url = web.add("a.mp4", data)
    parts = [{"SrcAddr": url, "StartOffset": 1, "EndOffset": 2}, {"SrcAddr": url, "StartOffset": 2}]
    await client.create(Type=1, CycleMode=-1, VodSrcAddrs=parts, **OWN)
    got = await plays(ffmpeg, own.flv_url("live/out"), 6.0)
    assert rising(got, strictly=False)
    video = track_of(got, "v")
    assert {after.dts_ms - before.dts_ms for before, after in pairwise(video)} == {40}
    numbers = script.places(got)
    wrapped = {(after - 25) % 50 - (before - 25) % 50 for before, after in pairwise(numbers)}
    assert wrapped == {1, -49}


async def test_a_list_that_is_played_twice_ends_and_says_so(
    own: Server, client: Client, web: Web, receiver: Receiver, made: Callable[[Sample], bytes]
) -> None:
    url = web.add("a.mp4", made(SHORT))
    id = await client.create(
        Type=1, CycleMode=0, PlayTimes=2, SrcAddrS=[url], CallbackURL=receiver.url, PreDownload=0, **OWN
    )

    async def events() -> list[str]:
        return receiver.events(id)

    await eventually(events, lambda seen: seen == ["start", "end"], "its end", 60)
    detail = receiver.bodies[-1]["data"]["detail"]
    assert (detail["status"], detail["error_message"]) == ("生效中", "")
    assert (await client.task(id))["Status"] == "生效中"
    assert workers_of(own) == []


async def test_a_watermark_is_in_the_picture_and_comes_back_in_the_list(
    own: Server, client: Client, web: Web, ffmpeg: Ffmpeg, tmp_path: Path, made: Callable[[Sample], bytes]
) -> None:
    picture = tmp_path / "logo.png"
    await ffmpeg.run("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=red:s=64x64", "-frames:v", "1", str(picture))
    data_url = "data:image/png;base64," + b64encode(await asyncio.to_thread(picture.read_bytes)).decode()
    mark = {"Picture": data_url, "RelativePosX": 0.5, "RelativePosY": 0.25, "Ratio": 0.25}
    url = web.add("a.mp4", made(Sample(seconds=3.0, width=320)))
    id = await client.create(Type=1, CycleMode=-1, SrcAddrS=[url], Watermark=mark, **OWN)
    await plays(ffmpeg, own.flv_url("live/out"))
    shown = tmp_path / "shown.png"
    flv = own.flv_url("live/out")
    await ffmpeg.run("ffmpeg", "-v", "error", "-y", "-i", flv, "-frames:v", "1", str(shown), within_s=WITHIN_S)
    with av.open(str(shown)) as file:
        frame = next(file.decode(video=0)).reformat(format="rgb24")
    plane = frame.planes[0]
    at = (int(frame.height * 0.25) + 8) * plane.line_size + (int(frame.width * 0.5) + 8) * 3
    red, green, blue = bytes(plane)[at : at + 3]
    assert red > 180
    assert max(green, blue) < 80
    assert (await client.task(id))["Watermark"] == mark


# What dies


async def goes_on(
    script: Script, ffmpeg: Ffmpeg, url: str, kill: Callable[[], Any], *, back_s: float = 5.0, on_s: float = 2.0
) -> None:
    """See that a file goes on about where it was when something was killed."""
    before = script.places(await plays(ffmpeg, url, 3.0))[-1]
    killed_s = time.monotonic()
    answer = kill()
    if answer is not None:
        await answer
    gone_s = time.monotonic()
    after = script.places(await fresh(ffmpeg, url, gone_s))[0]
    # A player that comes gets the pictures since the last key frame, and the place is written each two seconds.
    assert before - back_s * FPS <= after <= before + (gone_s - killed_s + on_s) * FPS, (before, after)


async def fresh(ffmpeg: Ffmpeg, url: str, since_s: float) -> list[Packet]:
    """What a player gets of a publish that began after something was killed."""
    await asyncio.sleep(0)
    assert time.monotonic() >= since_s
    return await plays(ffmpeg, url, 1.0)


async def test_a_killed_worker_goes_on_where_it_was(
    own: Server, client: Client, web: Web, ffmpeg: Ffmpeg, tmp_path: Path, made: Callable[[Sample], bytes],
    receiver: Receiver,
) -> None:  # fmt: skip
    data = made(LONG)
    script = await script_of(ffmpeg, tmp_path, data)
    id = await client.create(Type=1, CycleMode=1, SrcAddrS=[web.add("a.mp4", data)], CallbackURL=receiver.url, **OWN)
    await goes_on(script, ffmpeg, own.flv_url("live/out"), lambda: kill_worker(own), on_s=8.0)

    async def events() -> list[str]:
        return receiver.events(id)

    await eventually(events, lambda seen: seen == ["start", "error", "start"], "what its callback was told")
    detail = receiver.bodies[1]["data"]["detail"]
    assert (detail["error_code"], detail["error_message"]) == ("server", "the worker was killed by SIGKILL")


@pytest.mark.parametrize("victim", ["control", "engine"])
async def test_a_killed_process_of_the_server_goes_on_where_it_was(
    own: Server, client: Client, web: Web, ffmpeg: Ffmpeg, tmp_path: Path, made: Callable[[Sample], bytes], victim: str
) -> None:
    data = made(LONG)
    script = await script_of(ffmpeg, tmp_path, data)
    await client.create(Type=1, CycleMode=1, SrcAddrS=[web.add("a.mp4", data)], **OWN)
    url = own.flv_url("live/out")
    before = script.places(await plays(ffmpeg, url, 4.0))[-1]
    os.kill(own.child(victim), signal.SIGKILL)
    await eventually(lambda: asyncio.to_thread(workers_of_if_there, own), lambda pids: len(pids) == 1, "another worker")
    after = script.places(await plays(ffmpeg, url, 4.0))[-1]
    assert before - 5 * FPS <= after <= before + 20 * FPS


def workers_of_if_there(server: Server) -> list[int]:
    try:
        return workers_of(server)
    except KeyError:  # control is between two lives
        return []


async def test_a_relay_in_the_engine_does_not_notice_that_control_was_killed(
    own: Server, client: Client, ffmpeg: Ffmpeg, sample: Path, receiver: Receiver
) -> None:
    await ffmpeg.publish(sample, own.rtmp_url("live/in"), loop=True)
    id = await client.create(Type=0, SrcAddr=own.rtmp_url("live/in"), CallbackURL=receiver.url, **OWN)
    await plays(ffmpeg, own.flv_url("live/out"))
    player = await ffmpeg.play(own.flv_url("live/out"))
    await player.until_got(seconds=1)
    os.kill(own.child("control"), signal.SIGKILL)
    got = await player.until_got(seconds=6)
    assert is_run_of(await ffmpeg.packets(sample), got)
    await player.kill()
    assert (await client.task(id))["Status"] == "生效中"
    await client.call("StopPullToPushTask", TaskId=id)

    async def events() -> list[str]:
        return receiver.events(id)

    await eventually(events, lambda seen: seen == ["start", "stop"], "what its callback was told")


async def test_a_server_that_was_killed_whole_goes_on_where_it_was(
    serve: Serve, web: Web, ffmpeg: Ffmpeg, tmp_path: Path, made: Callable[[Sample], bytes], receiver: Receiver
) -> None:
    first = serve(accounts=SETTINGS)
    client = Client(first)
    data = made(LONG)
    script = await script_of(ffmpeg, tmp_path, data)
    receiver.down = True
    id = await client.create(Type=1, CycleMode=1, SrcAddrS=[web.add("a.mp4", data)], CallbackURL=receiver.url, **OWN)
    before = script.places(await plays(ffmpeg, first.flv_url("live/out"), 5.0))[-1]
    for pid in (first.pid, *first.children().values(), *workers_of(first)):
        os.kill(pid, signal.SIGKILL)
    await first.exit_code()
    receiver.down = False
    again = Server.started(first.folder, ["--config", str(first.folder / "penstock.toml")])
    try:
        after = script.places(await plays(ffmpeg, again.flv_url("live/out"), 1.0))[0]
        assert before - 6 * FPS <= after <= before + 6 * FPS

        async def events() -> list[str]:
            return receiver.events(id)

        await eventually(events, lambda seen: seen[:2] == ["start", "start"], "no callback is lost")
    finally:
        await asyncio.to_thread(again.close)
    assert again.faults() == []


# Callbacks


async def test_callbacks_come_in_order_signed_and_after_an_outage(
    own: Server, client: Client, web: Web, receiver: Receiver, made: Callable[[Sample], bytes]
) -> None:
    receiver.down = True
    url = web.add("a.mp4", made(SHORT))
    id = await client.create(Type=1, CycleMode=-1, SrcAddrS=[url], CallbackURL=receiver.url, Title="新闻", **OWN)
    await own.wait_log(f"relay {id}: media reaches its target", WITHIN_S)
    await client.call("StopPullToPushTask", TaskId=id)
    await client.call("RestartPullToPushTask", TaskId=id)
    await client.call("DeletePullToPushTask", TaskId=id)

    async def tries() -> int:
        return receiver.tries

    await eventually(tries, lambda number: number >= 2, "tries while it is down")
    receiver.down = False

    async def events() -> list[str]:
        return receiver.events(id)

    await eventually(events, lambda seen: seen.count("stop") == 2, "all of them")
    assert receiver.events(id)[0] == "start"
    data = receiver.bodies[0]["data"]
    assert (data["vhost"], data["domain"], data["app"], data["stream"]) == ("one", "push.one.test", "live", "out")
    assert data["sign"] == md5(f"{CALLBACK_KEY}{data['t']}".encode(), usedforsecurity=False).hexdigest()
    assert abs(data["t"] - time.time() - 600) < 60
    detail = data["detail"]
    assert (detail["title"], detail["group_name"], detail["status"], detail["type"]) == ("新闻", "default", "生效中", 1)
