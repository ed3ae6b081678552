"""URLs of recorded files: whose, which, and until when."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from penstock.domain.recording_urls import MAX_VALID, FileUrls, file_name
from penstock.errors import BadSignature, ExpiredRequest, InvalidField
from penstock.model import StreamId
from penstock.storage.recordings import RecordedFile, Recording
from tests.clock import START
from tests.domain.kit import DEMO

URLS = FileUrls("a-secret", "https://media.test:8443")
ROW = Recording(
    number=4, id="0" * 32, stream=DEMO, account="1", container="mp4", from_at=START, made_at=START, state="stopped"
)
FILE = RecordedFile(id=7, recording=4, path="demo/live/cam/x.mp4", session="s", engine="e", began_at=START)


def token(urls: FileUrls = URLS, row: Recording = ROW, file: RecordedFile = FILE) -> str:
    return urlsplit(urls.make(row, file, START)).path.split("/")[6]


def test_a_url_names_the_stream_the_file_and_its_time() -> None:
    url = URLS.make(ROW, FILE, START, timedelta(hours=1))
    until = int(START.timestamp()) + 3601
    assert url.startswith(f"https://media.test:8443/recordings/demo/live/cam/7/{until}-")
    assert url.endswith(f"/cam-{START:%Y%m%dT%H%M%SZ}.mp4")
    assert FileUrls("a-secret").make(ROW, FILE, START).startswith("/recordings/")


def test_a_playlist_has_the_name_that_its_folder_has_it_by() -> None:
    assert file_name(replace(ROW, container="hls"), FILE) == "index.m3u8"
    assert file_name(replace(ROW, container="flv"), FILE).endswith(".flv")


def test_its_own_token_is_taken_until_its_time() -> None:
    URLS.check(ROW, FILE, token(), START)
    URLS.check(ROW, FILE, token(), START + timedelta(days=1))
    with pytest.raises(ExpiredRequest, match="was good until"):
        URLS.check(ROW, FILE, token(), START + timedelta(days=1, seconds=2))


@pytest.mark.parametrize(
    "other",
    [
        token(FileUrls("another")),
        token(row=replace(ROW, account="2")),
        token(row=replace(ROW, id="1" * 32)),
        token(row=replace(ROW, stream=StreamId("demo", "live", "other"))),
        token(file=replace(FILE, id=8)),
        token().replace("-", "--", 1),
        f"1{token()}",
        token() + "x",
        token().partition("-")[2],
        "",
        "-",
        "0-" + "A" * 43,
        "\u0661-" + "A" * 43,
        "9" * 5000,
    ],
)
def test_no_other_token_is(other: str) -> None:
    with pytest.raises(BadSignature):
        URLS.check(ROW, FILE, other, START)


@pytest.mark.parametrize("valid", [timedelta(), timedelta(seconds=-1), MAX_VALID + timedelta(seconds=1)])
def test_a_time_has_bounds(valid: timedelta) -> None:
    with pytest.raises(InvalidField):
        URLS.make(ROW, FILE, START, valid)
    URLS.make(ROW, FILE, START, MAX_VALID)


def test_the_secret_is_in_no_repr() -> None:
    assert "a-secret" not in repr(URLS)
    assert "a-secret" not in str(URLS.__rich_repr__())
