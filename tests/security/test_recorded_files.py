"""1, 23, 26, 32. Recorded files over HTTP: no path leads elsewhere, nothing is listed, and no range is a bomb."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock.clouds.contract import Credentials
from tests.api.library import BODY, Library, library
from tests.domain.kit import STRANGER_KEY
from tests.servers.house import until

FOLDER = {"index.m3u8": b"#EXTM3U\n", "0.m4s": b"segment", "notes.txt": b"private"}


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Library]:
    (tmp_path / "outside").write_bytes(b"a secret")
    root = tmp_path / "recordings"
    root.mkdir()
    async with library(root) as here:
        yield here


@pytest.mark.parametrize(
    "name",
    [
        "..",
        ".",
        "%2e%2e",
        "..%2f..%2foutside",
        "%2e%2e%2foutside",
        "..\\outside",
        "....//outside",
        "index.m3u8%00",
        "index.m3u8/..",
        "notes.txt",
        "",
        "x" * 300,
        "file:outside",
    ],
)
async def test_1_no_name_in_a_url_is_a_path(here: Library, name: str) -> None:
    row, file = await here.recorded("a", FOLDER)
    base = here.url(row, file).rpartition("/")[0]
    for target in (f"{base}/{name}", f"{base}/{name}/index.m3u8", f"{base}/../{name}"):
        answer = await here.get(target)
        assert answer.status in (400, 403, 404)
        assert b"secret" not in answer.body
        assert b"private" not in answer.body


@pytest.mark.parametrize(
    "target",
    [
        "/recordings",
        "/recordings/",
        "/recordings/demo",
        "/recordings/demo/live/cam",
        "/recordings/demo/live/cam/",
        "/recordings/demo/live/cam/1",
        "/recordings/demo/live/cam/1/",
        "/recordings/demo/live/cam/one.mp4",
        "/recordings/demo/live/cam/0/x",
        "/recordings/demo/live/cam/-1/x",
        "/recordings/demo/live/cam/99999999999999999999/x",
        "/recordings/../recordings/demo/live/cam/1/x",
        "//recordings/demo/live/cam/1/x",
        "/recordings/demo/live/cam/1//one.mp4",
    ],
)
async def test_32_nothing_is_listed_and_nothing_given_without_a_right(here: Library, target: str) -> None:
    row, file = await here.recorded()
    answer = await here.get(target)
    assert answer.status in (400, 403, 404)
    assert row.id.encode() not in answer.body
    assert file.path.encode() not in answer.body


async def test_32_no_link_is_followed_wherever_it_stands(here: Library) -> None:
    outside = here.root.parent / "outside"
    row, file = await here.recorded("one.mp4")
    whole = here.root / file.path
    whole.unlink()
    whole.symlink_to(outside)
    assert (await here.get(here.url(row, file))).status == 404
    hls, folder = await here.recorded("a", FOLDER)
    inner = here.root / folder.path / "1.m4s"
    inner.symlink_to(outside)
    assert (await here.get(here.url(hls, folder).replace("index.m3u8", "1.m4s"))).status == 404
    # A folder on the way.
    moved = here.root.parent / "moved"
    (here.root / "demo").rename(moved)
    (here.root / "demo").symlink_to(moved)
    assert (await here.get(here.url(hls, folder))).status == 404


async def test_32_a_pipe_in_the_place_of_a_file_holds_nobody(here: Library) -> None:
    row, file = await here.recorded("one.mp4")
    (here.root / file.path).unlink()
    os.mkfifo(here.root / file.path)
    assert (await here.get(here.url(row, file))).status == 404


async def test_32_a_row_that_was_tampered_with_leads_nowhere(here: Library) -> None:
    row, file = await here.recorded("one.mp4")
    for path in ("../../../outside", "/etc/passwd", "demo/live/cam/../../../outside", "outside"):
        threads = here.live.store._threads  # type: ignore[attr-defined]
        await threads.write(lambda c, path=path: c.exec_driver_sql("UPDATE recorded_files SET path = ?", (path,)))
        answer = await here.get(here.url(row, file))
        assert (answer.status, answer.body) == (404, b"the file is not there\n")


@pytest.mark.parametrize(
    "bomb",
    [
        "bytes=" + ",".join(f"{index}-" for index in range(2000)),
        "bytes=" + "0-0," * 4000 + "1-1",
        "bytes=0-," * 1000,
        "bytes=0-18446744073709551616",
        "bytes=-18446744073709551616",
    ],
)
async def test_32_many_ranges_are_one_answer_with_the_whole_file(here: Library, bomb: str) -> None:
    answer = await here.get(here.url(*await here.recorded()), ("Range", bomb))
    assert answer.status in (200, 206)
    assert answer.body == BODY
    assert "multipart" not in answer.headers["content-type"]


async def test_32_whatever_is_in_a_file_is_no_page(here: Library) -> None:
    for name in ("one.mp4", "one.flv"):
        answer = await here.get(here.url(*await here.recorded(name, b"<html><script>alert(1)</script>")))
        assert answer.headers["content-type"].startswith("video/")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-disposition"].startswith("attachment;")
        assert "sandbox" in answer.headers["content-security-policy"]


async def test_32_nothing_is_left_open_however_a_download_ends(here: Library) -> None:
    def open_files() -> list[str]:
        """Those of the folder of recordings; sockets come and go."""
        found = []
        for entry in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found.append(os.readlink(entry))
        return [path for path in found if path.startswith(str(here.root))]

    target = here.url(*await here.recorded("large.mp4", bytes(16 * 1024 * 1024)))
    tag = (await here.get(target, method="HEAD")).headers["etag"]
    assert (await here.get(target, ("If-None-Match", tag))).status == 304
    assert (await here.get(target, ("Range", "bytes=99999999-"))).status == 416
    assert (await here.get(target, ("Range", "bytes=0-9"))).status == 206
    for _ in range(5):
        client = await here.connect()
        await client.say(f"GET {target} HTTP/1.1\r\nHost: penstock.test\r\n\r\n")
        await client.reader.readexactly(100_000)
        assert open_files()
        client.writer.transport.abort()
        await until(lambda: not open_files())
    # And every place is free again.
    assert (await here.get(target)).status == 200
    assert not open_files()


async def test_26_the_number_of_another_accounts_file_opens_nothing(here: Library) -> None:
    theirs = Credentials(STRANGER_KEY.access_key, STRANGER_KEY.secret_key)
    row, file = await here.recorded("one.mp4")
    name = here.url(row, file).rpartition("/")[2]
    said = set()
    for number in (file.id, file.id + 1, 10**17):
        for stream in ("demo/live/cam", "other/live/cam", "demo/live/other"):
            answer = await here.get_signed(f"/recordings/{stream}/{number}/{name}", theirs)
            said.add((answer.status, answer.body))
    # What is another's and what is nowhere look alike.
    assert said == {(404, b"there is no such recording\n")}


async def test_23_no_url_of_a_file_is_in_a_log(here: Library, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    row, file = await here.recorded("one.mp4")
    target = here.url(row, file)
    token = target.split("/")[-2]
    await here.get(target)
    await here.get(target.replace(token, f"{token}x"))
    (here.root / file.path).unlink()
    (here.root / file.path).mkdir()
    assert (await here.get(target)).status == 404
    assert caplog.records
    assert token not in caplog.text
    assert repr(here.live.file_urls).count("secret") == 0
