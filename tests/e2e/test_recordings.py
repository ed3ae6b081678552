"""Recordings, asked for by commands and by Kingsoft's SDK, of real publishers; and what is left after kills."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from penstock.clouds.contract import Credentials
from penstock.clouds.http import Endpoint, Headers, HttpRequest
from penstock.clouds.kingsoft import signing, wire
from penstock.clouds.kingsoft.records import GetRecordTask
from penstock.model import SystemClock
from penstock.sdk.kingsoft import Kingsoft
from tests.clouds.kingsoft.official import Kscore
from tests.e2e.media import Samples, is_run_of, rising
from tests.e2e.peers import Ffmpeg
from tests.e2e.server import Serve, Server
from tests.e2e.test_cli import done, penstock
from tests.e2e.test_kingsoft_sdk import ACCOUNTS, KEY, OTHER_KEY, STREAM, Kls, no_proxies, url
from tests.e2e.world import BACK_S
from tests.engine.recording.kit import ffprobe_packets

__all__ = ["no_proxies"]

Row = dict[str, Any]
ALWAYS: Final = """
[[account]]
id = "2000000001"
[[account.vhost]]
name = "demo"
push_domains = ["push.demo.test"]
record = "mp4"
[recording]
min_free_mib = 0
"""


async def shown(server: Server, number: int) -> Row:
    row: Row = (await done(server, "records", "show", str(number), "--json")).json
    return row


async def until(server: Server, number: int, so: Callable[[Row], bool], what: str, within_s: float = BACK_S) -> Row:
    """Ask until it is so; nobody tells a command line that it has news."""
    deadline = time.monotonic() + within_s
    while True:
        ran = await penstock(server, "records", "show", str(number), "--json")
        if ran.code == 0 and so(row := ran.json):
            found: Row = row
            return found
        assert time.monotonic() < deadline, f"{what}: {ran.out or ran.err}"


def of_length(seconds: float) -> Callable[[Row], bool]:
    return lambda row: row["recording"]["state"] == "recording" and row["recording"]["duration_s"] >= seconds


def get(target: str, **headers: str) -> httpx2.Response:
    return httpx2.get(target, headers=headers, trust_env=False)


@pytest.mark.timeout(120)
async def test_a_stream_is_recorded_by_command_and_downloaded_in_parts(
    serve: Serve, ffmpeg: Ffmpeg, sample: Path
) -> None:
    server = serve()
    said = (await done(server, "records", "start", "live/cam")).out
    assert said == "Recording 1: demo/live/cam as mp4, from now on, until `penstock records stop 1`.\n"
    assert (await shown(server, 1))["recording"]["state"] == "waiting"
    publisher = await ffmpeg.publish(sample, server.rtmp_url("live/cam"))
    await until(server, 1, of_length(3), "it is recorded")
    assert "recording" in (await done(server, "records", "ls")).out
    stopped = (await done(server, "records", "stop", "1")).out
    assert stopped.startswith("Recording 1 of demo/live/cam is stopped: 1 file, ")
    assert publisher.running
    row = await shown(server, 1)
    (file,) = row["files"]
    assert (file["is_whole"], file["gaps"], file["video"], file["audio"]) == (True, [], "avc", "aac")
    path = server.data_dir / "recordings" / file["path"]
    assert file["size_bytes"] == path.stat().st_size

    # What was recorded is what was sent, and what was downloaded is what was recorded.
    got = ffprobe_packets(path)
    assert is_run_of(await ffmpeg.packets(sample), got, looped=False)
    assert rising(got)
    (address,) = (await done(server, "records", "url", "1", "--for", "1h")).out.splitlines()
    data = path.read_bytes()
    whole = await asyncio.to_thread(get, address)
    assert (whole.status_code, whole.content) == (200, data)
    parts = [
        await asyncio.to_thread(get, address, Range=f"bytes={at}-{at + 99_999}") for at in range(0, len(data), 100_000)
    ]
    assert {part.status_code for part in parts} == {206}
    assert b"".join(part.content for part in parts) == data
    assert await ffmpeg.packets(address) == await ffmpeg.packets(path)
    assert (await asyncio.to_thread(get, address.replace("-", "-A"))).status_code == 403

    assert (await done(server, "records", "rm", "1")).out.startswith("1 file removed, ")
    assert not path.exists()
    assert (await asyncio.to_thread(get, address)).status_code == 410
    assert (await shown(server, 1))["files"][0]["removed_at"] is not None


@pytest.mark.timeout(120)
async def test_kingsofts_sdk_records_a_stream_and_its_playlist_plays(
    serve: Serve, ffmpeg: Ffmpeg, samples: Samples
) -> None:
    server = serve(accounts=f"{ACCOUNTS}\n[recording]\nhls_segment_s = 2")
    kls = Kls(Kscore(server.api_url, KEY))
    assert await kls.ret_code("StartStreamRecord", STREAM) == 8502
    await ffmpeg.publish(samples.h264, url(server), loop=True)
    await asyncio.sleep(1.1)  # the same call in the same second is the same call
    number = (await kls.done("StartStreamRecord", STREAM))["RecID"]
    await until(server, number, of_length(5), "it is recorded")
    where = {name: value for name, value in STREAM.items() if name != "Stream"}
    paged = {"Marker": 1, "Limit": 10, "RecType": 0, "OrderTime": 0}
    (task,) = (await kls.done("ListRecordingTasks", {**where, **paged, "RecStatusType": 0}))["Result"]
    assert (task["RecID"], task["State"], task["RecStatus"]) == (number, "recording", 2)
    await kls.done("StopStreamRecord", {**STREAM, "RecID": number})
    assert (await kls.done("ListRecordingTasks", where))["Total"] == 0
    (task,) = (await kls.done("ListHistoryRecordTasks", {**where, **paged}))["Result"]
    assert (task["RecID"], task["State"], task["Files"]) == (number, "stopped", 1)

    # Their GetRecordTask fails before it asks: by ours, and by hand.
    def asked() -> Any:
        with Kingsoft(access_key=KEY.access_key, secret_key=KEY.secret_key, endpoint=server.api_url) as ours:
            return ours.get_record_task(rec_id=number)

    (file,) = (await asyncio.to_thread(asked)).result
    assert (file.is_whole, file.vcodec, file.acodec) == (True, "h264", "aac")
    raw = await asyncio.to_thread(by_hand, server, KEY, number)
    assert raw["RetCode"] == 0
    assert raw["Result"][0]["FileID"] == file.file_id
    assert (await asyncio.to_thread(by_hand, server, OTHER_KEY, number))["RetCode"] == 6405
    path = server.data_dir / "recordings" / "one/live/cam"
    (folder,) = path.iterdir()
    assert await ffmpeg.packets(file.url) == await ffmpeg.packets(folder / "index.m3u8")

    # By the account's own key, without a signature in the path.
    *place, _, name = file.url.split("/")
    plain = "/".join([*place, name])
    assert (await asyncio.to_thread(get, plain)).status_code == 403
    answer = await asyncio.to_thread(by_key, plain, KEY)
    assert answer.content == (folder / "index.m3u8").read_bytes()
    assert (await asyncio.to_thread(by_key, plain, OTHER_KEY)).status_code == 404

    # A task with a time, and taken back.
    begin = int(time.time()) + 600
    window = {"StartUnixTime": begin, "EndUnixTime": begin + 600, "Mp4VodEnable": 1}
    task_id = (await kls.done("CreateRecordTask", {**STREAM, **window}))["RecID"]
    assert await kls.ret_code("CreateRecordTask", {**STREAM, **window, "EndUnixTime": begin + 30}) == 6709
    await kls.done("CancelRecordTask", {**STREAM, "RecID": task_id})
    assert await kls.ret_code("CancelRecordTask", {**STREAM, "RecID": task_id}) == 6708


def by_hand(server: Server, keys: Credentials, number: int) -> Mapping[str, Any]:
    """GetRecordTask as a raw, signed request."""
    endpoint = Endpoint.parse(server.api_url)
    request = wire.encode_request(GetRecordTask(rec_id=number), keys, SystemClock().now(), endpoint)
    answer = httpx2.get(f"{server.api_url}{request.target}", headers=dict(request.headers), trust_env=False)
    data: Mapping[str, Any] = answer.json()["Data"]
    return data


def by_key(address: str, keys: Credentials) -> httpx2.Response:
    found = httpx2.URL(address)
    request = HttpRequest(
        method="GET",
        target=found.raw_path.decode(),
        headers=Headers([("Host", found.netloc.decode())]),
        body=b"",
    )
    signed = signing.sign(request, keys, SystemClock().now())
    return httpx2.get(address, headers=dict(signed.headers), trust_env=False)


@pytest.mark.timeout(180)
async def test_an_app_records_always_whoever_is_killed_and_the_rows_say_what_is_left(
    serve: Serve, ffmpeg: Ffmpeg, samples: Samples
) -> None:
    server = serve(accounts=ALWAYS)
    source = await ffmpeg.packets(samples.b_frames)
    dice = random.Random(4)
    number = 0
    for victim in ("engine", "control", "engine"):
        publisher = await ffmpeg.publish(samples.b_frames, server.rtmp_url("live/cam"), loop=True)
        (listed,) = (await done(server, "records", "ls", "--json")).json["recordings"]
        assert listed["always"]
        # One whose publisher is back within a minute goes on.
        assert number in (0, listed["id"])
        number = listed["id"]
        await until(server, number, of_length(1.5), f"it is recorded before {victim} is killed")
        await asyncio.sleep(dice.random())
        os.kill(server.child(victim), signal.SIGKILL)
        if victim == "control":
            # The engine wrote on; whoever comes next finds it so.
            row = await until(server, number, of_length(3), "it is recorded while control was away")
            assert publisher.running
            await publisher.stop()
            row = await until(server, number, lambda row: row["files"][-1]["ended_at"] is not None, "its file ended")
            assert row["files"][-1]["is_whole"]
        else:
            await publisher.exit_code(within_s=BACK_S)
            row = await until(
                server, number, lambda row: all(file["ended_at"] for file in row["files"]), "its file was looked into"
            )
            assert not row["files"][-1]["is_whole"]
        for file in row["files"]:
            path = server.data_dir / "recordings" / file["path"]
            got = ffprobe_packets(path)
            assert is_run_of(source, got)
            assert rising(got)
            assert file["duration_s"] >= 1
            assert got[-1].dts_ms / 1000 == pytest.approx(file["duration_s"], abs=0.3)
            assert file["size_bytes"] == path.stat().st_size
            (answer,) = [await asyncio.to_thread(get, file["url"])]
            assert answer.content == path.read_bytes()


@pytest.mark.timeout(120)
async def test_a_reload_records_what_is_on_air_and_records_it_no_more(
    serve: Serve, ffmpeg: Ffmpeg, sample: Path
) -> None:
    server = serve(accounts=ALWAYS.replace('record = "mp4"\n', ""))
    publisher = await ffmpeg.publish(sample, server.rtmp_url("live/cam"), loop=True)
    settings = server.folder / "penstock.toml"
    text = settings.read_text()
    settings.write_text(text.replace('name = "demo"', 'name = "demo"\nrecord = "flv"'))
    await done(server, "reload")
    row = await until(server, 1, of_length(1), "the reload has it recorded")
    assert row["recording"]["container"] == "flv"
    settings.write_text(text)
    await done(server, "reload")
    row = await until(server, 1, lambda row: row["recording"]["state"] == "stopped", "the settings want it no more")
    assert row["recording"]["why"] == "the settings want it no more"
    assert row["files"][0]["is_whole"]
    assert publisher.running
