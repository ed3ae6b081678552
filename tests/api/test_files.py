"""Recorded files over HTTP: who may have them, whole and in parts, and what is said of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from penstock.api import files
from penstock.api.ranges import http_date
from penstock.clouds.contract import Credentials
from penstock.model import StreamId
from penstock.storage.recordings import FileEnd, RecordedFile, Recording
from tests.api.library import BODY, MINE, Library, library
from tests.clock import START
from tests.domain.kit import STRANGER_KEY

THEIRS = Credentials(STRANGER_KEY.access_key, STRANGER_KEY.secret_key)
FOLDER = {"index.m3u8": b"#EXTM3U\n0.m4s\n", "init-0.mp4": b"init", "0.m4s": b"segment"}
BIG = 24 * 1024 * 1024
SIGNED = "this takes a URL that the server signed, or a key of its account"


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Library]:
    async with library(tmp_path) as here:
        yield here


async def test_a_signed_url_gives_the_whole_file(here: Library) -> None:
    target = here.url(*await here.recorded())
    answer = await here.get(target)
    assert (answer.status, answer.body) == (200, BODY)
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["content-disposition"] == f'attachment; filename="{target.rpartition("/")[2]}"'
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert here.live.tallies.recording_bytes_sent == len(BODY)


@pytest.mark.parametrize(("name", "kind"), [("a.mp4", "video/mp4"), ("a.flv", "video/x-flv")])
async def test_head_says_the_same_without_the_body(here: Library, name: str, kind: str) -> None:
    target = here.url(*await here.recorded(name))
    answer = await here.get(target, method="HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert (answer.headers["content-length"], answer.headers["content-type"]) == (str(len(BODY)), kind)


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=300000-700000", 300_000, 700_001),
        ("bytes=1048575-", 1_048_575, 1_048_576),
        ("bytes=-10", 1_048_566, 1_048_576),
        ("bytes=-99999999", 0, 1_048_576),
        ("bytes=5-99999999", 5, 1_048_576),
    ],
)
async def test_a_range_gives_a_part(here: Library, wanted: str, start: int, end: int) -> None:
    answer = await here.get(here.url(*await here.recorded()), ("Range", wanted))
    assert (answer.status, answer.body) == (206, BODY[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(BODY)}"


async def test_a_range_outside_is_refused_with_the_size(here: Library) -> None:
    answer = await here.get(here.url(*await here.recorded()), ("Range", "bytes=1048576-"))
    assert (answer.status, answer.headers["content-range"]) == (416, f"bytes */{len(BODY)}")


async def test_a_version_that_is_known_is_not_sent_again(here: Library) -> None:
    target = here.url(*await here.recorded())
    first = await here.get(target, method="HEAD")
    tag, changed = first.headers["etag"], first.headers["last-modified"]
    for condition in (("If-None-Match", tag), ("If-Modified-Since", changed)):
        answer = await here.get(target, condition)
        assert (answer.status, answer.body) == (304, b"")
    part = ("Range", "bytes=0-3")
    for known in (tag, changed):
        assert (await here.get(target, part, ("If-Range", known))).status == 206
    earlier = http_date(START - timedelta(days=365 * 30))
    for other in ('"other"', f"W/{tag}", earlier):
        assert (await here.get(target, part, ("If-Range", other))).status == 200


async def test_a_connection_is_used_again_behind_a_file(here: Library) -> None:
    target = here.url(*await here.recorded())
    client = await here.connect()
    for _ in range(3):
        answer = await client.ask(f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (answer.status, len(answer.body)) == (200, len(BODY))


async def test_what_a_playlist_names_is_reached_by_its_own_signature(here: Library) -> None:
    target = here.url(*await here.recorded("a", FOLDER))
    assert target.endswith("/index.m3u8")
    base = target.rpartition("/")[0]
    for name, kind in (
        ("index.m3u8", "application/vnd.apple.mpegurl"),
        ("init-0.mp4", "video/mp4"),
        ("0.m4s", "video/iso.segment"),
    ):
        answer = await here.get(f"{base}/{name}")
        assert (answer.status, answer.body, answer.headers["content-type"]) == (200, FOLDER[name], kind)
        assert answer.headers["access-control-allow-origin"] == "*"
    assert (await here.get(f"{base}/1.m4s")).status == 404


# Who may have it


async def test_a_key_of_the_account_is_enough(here: Library) -> None:
    row, file = await here.recorded()
    signed = here.url(row, file)
    *place, _, name = signed.split("/")
    plain = "/".join([*place, name])
    answer = await here.get_signed(plain)
    assert (answer.status, answer.body) == (200, BODY)
    assert (await here.get_signed(plain, THEIRS)).status == 404
    assert (await here.get_signed(plain, Credentials(MINE.access_key, "another"))).status == 403
    assert (await here.get_signed(plain, at=START - timedelta(hours=1))).status == 403
    answer = await here.get(plain)
    assert (answer.status, answer.body) == (403, f"{SIGNED}\n".encode())


async def test_a_url_is_good_until_its_time_of_the_machines_clock(here: Library) -> None:
    target = here.url(*await here.recorded(), timedelta(seconds=60))
    here.clock.step_wall(timedelta(seconds=59))
    assert (await here.get(target)).status == 200
    # However far the domain's clock is turned.
    here.live.clock.turn(by=timedelta(days=9))
    assert (await here.get(target)).status == 200
    here.clock.step_wall(timedelta(seconds=2))
    answer = await here.get(target)
    assert answer.status == 403
    assert answer.body.startswith(b"the URL was good until 20")


async def test_a_signature_is_for_one_file_and_one_time(here: Library) -> None:
    one, two = await here.recorded("one.mp4"), await here.recorded("two.mp4")
    *place, number, token, name = here.url(*one).split("/")
    until, _, signature = token.partition("-")
    tries = [
        [*place, str(two[1].id), token, name],
        [*place, number, f"{int(until) + 1}-{signature}", name],
        [*place, number, f"{until}-{signature[:-1]}{'A' if signature[-1] != 'A' else 'B'}", name],
        [*place, number, f"{until}-{signature}=", name],
        [*place, number, f"{until}-", name],
        [*place[:-1], "other", number, token, name],
        [*place, "999", token, name],
    ]
    answers = [await here.get("/".join(each)) for each in tries]
    assert {answer.status for answer in answers} == {403}
    # Whether there is such a file is not told.
    assert {answer.body for answer in answers} == {b"the URL's signature is not the one of this file\n"}


async def test_the_urls_of_an_account_end_with_it(here: Library) -> None:
    target = here.url(*await here.recorded(account="3"))
    assert (await here.get(target)).status == 403


async def test_a_server_with_another_secret_takes_none_of_the_old_urls(here: Library) -> None:
    target = here.url(*await here.recorded())
    here.live.file_urls = type(here.live.file_urls)("another", "")
    assert (await here.get(target)).status == 403


# What is not there


async def test_a_removed_file_is_gone_and_a_lost_one_is_not_there(here: Library) -> None:
    row, file = await here.recorded("one.mp4")
    lost, lost_file = await here.recorded("two.mp4")
    (here.root / lost_file.path).unlink()
    assert (await here.get(here.url(lost, lost_file))).status == 404
    await here.live.store.remove_file(row.number, file.path, START)
    assert (await here.get(here.url(row, file))).status == 410


async def test_a_file_that_grows_is_given_as_long_as_it_was(here: Library) -> None:
    row, file = await here.recorded()
    target = here.url(row, file)
    before = (await here.get(target, method="HEAD")).headers["etag"]
    with (here.root / file.path).open("ab") as writer:
        writer.write(b"more")
    answer = await here.get(target)
    assert answer.body == BODY + b"more"
    assert answer.headers["etag"] != before


async def test_an_empty_file_is_empty(here: Library) -> None:
    answer = await here.get(here.url(*await here.recorded("a.flv", b"")))
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_other_methods_are_refused(here: Library, method: str) -> None:
    answer = await here.get(here.url(*await here.recorded()), method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_calls_of_the_api_are_answered_beside(here: Library) -> None:
    answer = await here.get("/?Action=GetBlacklist&Version=2017-01-01", ("Accept", "application/json"))
    assert answer.status == 400
    assert b"MissingAccesskey" in answer.body


# Many, and slow ones


async def big(here: Library) -> tuple[Recording, RecordedFile]:
    """A file of more than socket buffers hold: it is under way until its client reads."""
    row, file = await here.recorded("big.mp4", b"x")
    with (here.root / file.path).open("r+b") as writer:
        writer.truncate(BIG)
    return row, file


async def test_so_many_are_read_at_a_time_and_no_more(here: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_DOWNLOADS_PER_ADDRESS", 2)
    target = here.url(*await big(here))
    slow = [await here.connect() for _ in range(2)]
    for client in slow:
        await client.say(f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")
        head = await asyncio.wait_for(client.reader.readuntil(b"\r\n\r\n"), 5)
        assert head.startswith(b"HTTP/1.1 200")
    answer = await here.get(target)
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    await slow[0].close()
    async with asyncio.timeout(5):
        status = 0
        while status != 200:  # until the server has seen that one of them left
            status = (await here.get(target, method="HEAD")).status
        left = BIG
        while left:
            left -= len(await slow[1].reader.readexactly(min(left, 65_536)))


async def test_a_file_that_became_shorter_ends_the_connection(here: Library) -> None:
    row, file = await big(here)
    client = await here.connect()
    await client.say(f"GET {here.url(row, file)} HTTP/1.1\r\nHost: h\r\n\r\n")
    assert (await asyncio.wait_for(client.reader.readline(), 5)).startswith(b"HTTP/1.1 200")
    with (here.root / file.path).open("r+b") as writer:
        writer.truncate(10)
    assert len(await client.rest()) < BIG


async def test_another_accounts_stream_of_the_same_name_is_another_one(here: Library) -> None:
    row, file = await here.recorded(stream=StreamId("other", "live", "cam"), account="2")
    await here.live.store.end_file(FileEnd(recording=row.number, path=file.path, at=START))
    *place, _, name = here.url(row, file).split("/")
    assert (await here.get_signed("/".join([*place, name]))).status == 404
    assert (await here.get_signed("/".join([*place, name]), THEIRS)).status == 200
