"""`penstock records`: what each command asks, and what it prints for people."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from penstock.admin import records
from penstock.admin.contract import Ask
from tests.admin.kit import ANSWERS, FILE, NOW, RECORDING
from tests.cli.kit import Commands, FakeServer

ASKED: list[tuple[str, Ask[Any]]] = [
    ("records ls", records.ListRecords()),
    (
        "records ls --vhost demo --account 1 --stream cam --all --offset 5 --limit 10",
        records.ListRecords(vhost="demo", account="1", stream="cam", over=True, offset=5, limit=10),
    ),
    ("records start live/cam", records.StartRecord(stream="live/cam")),
    (
        "records start cam --as hls --one-file --from 30m --for 2h --push-domain p.test",
        records.StartRecord(
            stream="cam", container="hls", one_file=True, from_s=1800.0, for_s=7200.0, push_domain="p.test"
        ),
    ),
    (
        "records start cam --from 2027-01-01T08:00Z --until 2027-01-01T10:00Z",
        records.StartRecord(
            stream="cam", from_at=datetime(2027, 1, 1, 8, tzinfo=UTC), until=datetime(2027, 1, 1, 10, tzinfo=UTC)
        ),
    ),
    ("records stop 12", records.StopRecord(id=12)),
    ("records show 12", records.ShowRecord(id=12)),
    ("records rm 12", records.RemoveRecord(id=12)),
    ("records rm 12 --file 31", records.RemoveRecord(id=12, file=31)),
    ("records url 12", records.MakeUrls(id=12)),
    ("records url 12 --file 31 --for 1h", records.MakeUrls(id=12, file=31, for_s=3600.0)),
]


@pytest.mark.parametrize(("words", "ask"), ASKED, ids=[words for words, _ in ASKED])
def test_command_asks(penstock: Commands, server: FakeServer, words: str, ask: Ask[Any]) -> None:
    assert (penstock(*words.split()).code, server.asked) == (0, [ask])
    ran = penstock(*words.split(), "--json")
    assert json.loads(ran.out) == msgspec.to_builtins(ANSWERS[ask.verb])


def test_recordings_are_a_table_with_their_progress(penstock: Commands) -> None:
    head, row = penstock("records", "ls").out.splitlines()
    assert re.split(r" {2,}", head) == [
        "ID", "STREAM", "AS", "STATE", "FROM (UTC)", "UNTIL (UTC)", "LENGTH", "SIZE", "GAPS", "WHY",
    ]  # fmt: skip
    assert re.split(r" {2,}", row) == [
        *("12", "demo/live/cam", "mp4", "failed", "2026-03-01 12:00:00", "2026-03-01 14:00:00"),
        *("12m 5s", "1.2 MB", "1", "the disk is full"),
    ]


@pytest.mark.parametrize(("total", "said"), [(0, "Nothing is recorded."), (7, "There are 7 recordings, all before")])
def test_an_empty_list_says_so(penstock: Commands, server: FakeServer, total: int, said: str) -> None:
    server.answers["records.ls"] = records.Recordings(recordings=[], total=total)
    assert said in penstock("records", "ls").out


def test_a_page_says_how_it_goes_on(penstock: Commands, server: FakeServer) -> None:
    server.answers["records.ls"] = records.Recordings(recordings=[RECORDING], total=9)
    assert "1 of 9; --offset 6 goes on." in penstock("records", "ls", "--offset", "5").out


def test_watch_prints_again_until_it_is_interrupted(penstock: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", sleep)
    ran = penstock("records", "ls", "--watch")
    assert (ran.code, ran.out.count("demo/live/cam"), slept) == (0, 3, [1, 1, 1])


@pytest.mark.parametrize(
    ("state", "until", "said"),
    [
        ("waiting", None, "Recording 12: demo/live/cam as mp4, from now on, until `penstock records stop 12`.\n"),
        (
            "planned",
            NOW + timedelta(hours=2),
            "Recording 12: demo/live/cam as mp4, from 2026-03-01 12:00:00 UTC on, until 2026-03-01 14:00:00 UTC.\n",
        ),
    ],
)
def test_what_was_started_is_said_with_its_end(
    penstock: Commands, server: FakeServer, state: Any, until: Any, said: str
) -> None:
    server.answers["records.start"] = records.Started(recording=replace(RECORDING, state=state, until=until))
    assert penstock("records", "start", "cam").out == said


def test_what_was_stopped_is_said_with_what_came_of_it(penstock: Commands, server: FakeServer) -> None:
    done = replace(RECORDING, state="stopped")
    server.answers["records.stop"] = records.Stopped(recording=done)
    assert penstock("records", "stop", "12").out == (
        "Recording 12 of demo/live/cam is stopped: 1 file, 1.2 MB, 12m 5s.\n"
    )
    server.answers["records.stop"] = records.Stopped(recording=replace(done, state="cancelled", files=0))
    assert "is cancelled: nothing came of it." in penstock("records", "stop", "12").out


def test_everything_of_a_recording_and_its_files_is_shown(penstock: Commands) -> None:
    first, second = penstock("records", "show", "12").out.split("\n\n")
    assert dict(re.split(r" {2,}", line, maxsplit=1) for line in first.splitlines()) == {
        "recording": "12",
        "stream": "demo/live/cam",
        "account": "2000000001",
        "state": "failed",
        "error": "the disk is full",
        "next try": "2026-03-01 12:00:05 UTC",
        "as": "mp4, one file",
        "from": "2026-03-01 12:00:00 UTC",
        "until": "2026-03-01 14:00:00 UTC",
        "first bytes": "2026-03-01 12:00:00 UTC",
        "asked by": "kingsoft AKtest",
        "files": "1, 1.2 MB, 12m 5s",
    }
    assert dict(re.split(r" {2,}", line, maxsplit=1) for line in second.splitlines()) == {
        "file": "31",
        "path": FILE.path,
        "state": "whole",
        "from": "2026-03-01 12:00:00 UTC",
        "to": "2026-03-01 12:12:05 UTC",
        "length": "12m 5s, 1.2 MB",
        "codecs": "avc, aac",
        "why it ended": "stopped",
        "gap": "5s at 1m 1s: the disk was behind",
        "url": FILE.url,
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ended_at": None, "is_whole": False}, "being written"),
        ({"is_whole": False}, "its writer died: the last moment may be missing"),
        ({"is_lost": True}, "lost: it cannot be read"),
        ({"removed_at": NOW, "url": ""}, "removed 2026-03-01 12:00:00 UTC"),
        ({"gaps": FILE.gaps * 30}, "30 in all; --json has them"),
    ],
)
def test_how_a_file_stands_is_said(penstock: Commands, server: FakeServer, changes: dict[str, Any], said: str) -> None:
    server.answers["records.show"] = records.RecordShown(recording=RECORDING, files=[replace(FILE, **changes)])
    assert said in penstock("records", "show", "12").out


def test_urls_are_printed_one_a_line_for_other_programs(penstock: Commands) -> None:
    assert penstock("records", "url", "12").out == f"{FILE.url}\n"
    assert penstock("records", "rm", "12").out == "1 file removed, 1.2 MB.\n"


@pytest.mark.parametrize(
    "words",
    ["records stop cam", "records start a/b/c/d", "records start cam --as mkv", "records url 1 --for 2030-01-01"],
)
def test_a_word_that_cannot_be_used_is_exit_code_2(penstock: Commands, words: str) -> None:
    assert penstock(*words.split()).code == 2


def test_words_of_somebody_else_do_nothing_to_the_terminal(penstock: Commands, server: FakeServer) -> None:
    bad = replace(RECORDING, error="\x1b[2Jfull\u202e", access_key="\x07")
    server.answers["records.ls"] = records.Recordings(recordings=[bad], total=1)
    server.answers["records.show"] = records.RecordShown(recording=bad, files=[replace(FILE, why="\x9b2J")])
    for words in ("records ls", "records show 12"):
        out = penstock(*words.split()).out
        assert not set("\x1b\u202e\x07\x9b") & set(out)
