"""Relay tasks and callbacks as an operator sees them."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from penstock.admin import relays as verbs
from penstock.cli.relay_text import place_text, progress_line, trouble_text, window_share
from penstock.cli.relay_values import Place, SourceUrl, place, source
from penstock.cli.watching import bar
from tests.admin.kit import CALLBACK_SHOWN, NOW, RELAY, TASK
from tests.cli.kit import Commands, FakeServer


def with_truth(**changes: Any) -> verbs.Relay:
    return replace(RELAY, truth=replace(RELAY.truth, **changes))


WAITING = with_truth(state="waiting", next_try_at=NOW + timedelta(seconds=9))


def test_tasks_are_a_table_with_the_truth_beside_the_state(penstock: Commands, server: FakeServer) -> None:
    server.answers["relays.ls"] = verbs.Relays(relays=[RELAY, WAITING], total=2, now=NOW)
    head, first, second = penstock("relays", "ls").out.splitlines()
    columns = ["TASK", "TITLE", "STATE", "MEDIA", "RATE", "OUT", "PLACE", "WINDOW", "TROUBLE"]
    assert re.split(r" {2,}", head) == columns
    assert re.split(r" {2,}", first) == [
        *("3f2a3f2a", "news", "in effect", "running", "2.5 Mbit/s", "8.0 MB", "file 2/2 at 1m 5s, round 3"),
        *("██········", "-"),
    ]
    assert second.endswith("target: refused (again in 9s)")


def test_no_tasks_are_a_sentence(penstock: Commands, server: FakeServer) -> None:
    server.answers["relays.ls"] = verbs.Relays(relays=[], total=0, now=NOW)
    assert penstock("relays", "ls").out == "There are no relay tasks.\n"
    server.answers["relays.ls"] = verbs.Relays(relays=[RELAY], total=5, now=NOW)
    assert penstock("relays", "ls").out.endswith("1 of 5.\n")


def test_a_task_is_shown_fact_by_fact(penstock: Commands) -> None:
    facts = dict(re.split(r" {2,}", line, maxsplit=1) for line in penstock("relays", "show", "3f2a").out.splitlines())
    assert facts == {
        "task": TASK,
        "title": "news",
        "account": "2000000001",
        "group": "default",
        "state": "in effect",
        "media": "running",
        "rate": "2.5 Mbit/s",
        "in": "9.0 MB",
        "out": "8.0 MB",
        "place": "file 2/2 at 1m 5s, round 3",
        "window": "█████··············· 3h 0m left",
        "from": "2026-03-01 11:00:00 UTC",
        "until": "2026-03-01 15:00:00 UTC",
        "failures": "1",
        "last error": "target: refused",
        "at": "2026-03-01 11:55:00 UTC",
        "source 1": "http://files.test/1.mp4, from 1.5 s to 9 s",
        "source 2": "http://files.test/2.mp4",
        "plays": "until the end",
        "target": "rtmp://push.demo.test/live/b",
        "watermark": "at 0.8,0.05, 0.1 wide",
        "callback": "http://receiver.test/hook",
        "made by": "volcengine AKtest",
    }


def three_times(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", sleep)


def test_a_watch_is_a_line_each_second_where_nobody_looks(penstock: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    three_times(monkeypatch)
    ran = penstock("relays", "show", "3f2a", "--watch")
    assert ran.code == 0
    assert ran.out.splitlines() == [progress_line(RELAY, NOW)] * 3
    assert "\x1b" not in ran.out


def test_a_watch_is_redrawn_on_a_terminal(penstock: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    three_times(monkeypatch)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    for words in (("relays", "show", "3f2a", "--watch"), ("relays", "ls", "--watch")):
        three_times(monkeypatch)
        assert penstock(*words).out.count("\x1b[H\x1b[2J") == 3


def test_a_line_of_progress() -> None:
    assert progress_line(RELAY, NOW) == (
        "2026-03-01 12:00:00  running  2.5 Mbit/s  8.0 MB out  file 2/2 at 1m 5s, round 3"
    )
    assert progress_line(WAITING, NOW).endswith("round 3  target: refused (again in 9s)")
    hostile = with_truth(state="waiting", error="\x1b]0;owned\x07\nmore")
    assert "\x1b" not in progress_line(hostile, NOW)
    assert "\n" not in progress_line(hostile, NOW)


@pytest.mark.parametrize(
    ("relay", "text"),
    [
        (replace(RELAY, plays=5), "file 2/2 at 1m 5s, round 3 of 5"),
        (with_truth(is_finished=True), "all played"),
        (with_truth(fetched_bytes=25, fetch_size_bytes=100), "file 2/2 at 1m 5s, round 3, downloading 25 % of 100 B"),
        (with_truth(fetched_bytes=100, fetch_size_bytes=100), "file 2/2 at 1m 5s, round 3"),
        (replace(RELAY, kind="live"), "1h 0m"),
        (replace(with_truth(position_ms=0), kind="live"), None),
    ],
)
def test_a_place(relay: verbs.Relay, text: str | None) -> None:
    assert place_text(relay) == text


def test_trouble_is_what_is_wrong_now() -> None:
    assert trouble_text(RELAY, NOW) is None, "it flows again"
    assert trouble_text(WAITING, NOW + timedelta(seconds=9)) == "target: refused"
    assert trouble_text(with_truth(state="stopped"), NOW) is None


@pytest.mark.parametrize(
    ("share", "text"), [(-1.0, "····"), (0.0, "····"), (0.5, "██··"), (1.0, "████"), (9.0, "████")]
)
def test_a_bar(share: float, text: str) -> None:
    assert bar(share, 4) == text


def test_a_windows_share() -> None:
    assert window_share(RELAY, NOW) == 0.25


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://a.test/1.mp4", SourceUrl("http://a.test/1.mp4")),
        ("http://a.test/1.mp4#t=10,60", SourceUrl("http://a.test/1.mp4", 10.0, 60.0)),
        ("http://a.test/1.mp4#t=10", SourceUrl("http://a.test/1.mp4", 10.0, None)),
        ("http://a.test/1.mp4?x#t=,2.5", SourceUrl("http://a.test/1.mp4?x", None, 2.5)),
    ],
)
def test_a_source_may_have_a_part(text: str, expected: SourceUrl) -> None:
    assert source(text) == expected


@pytest.mark.parametrize("text", ["http://a.test/#", "http://a.test/#x=1", "http://a.test/#t=", "http://a.test/#t=a,b"])
def test_a_part_that_is_none(penstock: Commands, text: str) -> None:
    with pytest.raises(ValueError, match="#t=START,END"):
        source(text)
    assert penstock("relays", "create", text, "--to", "rtmp://b.test/a/b").code == 2


def test_where_a_watermark_lies() -> None:
    assert place("0.8,0.05") == Place(0.8, 0.05)
    for text in ("0.8", "a,b", "0.8;0.05", ""):
        with pytest.raises(ValueError, match="X,Y"):
            place(text)


def test_a_picture_is_sent_whole(penstock: Commands, server: FakeServer, tmp_path: Path) -> None:
    picture = tmp_path / "logo.png"
    picture.write_bytes(bytes(range(256)) * 8192)  # as large as it may be
    words = ["relays", "create", "http://a.test/1.mp4", "--to", "rtmp://b.test/a/b", "--watermark", str(picture)]
    assert penstock(*words, "--at", "0.8,0.05", "--width", "0.2").code == 0
    (ask,) = server.asked
    assert isinstance(ask, verbs.CreateRelay)
    assert ask.overlay == verbs.Overlay(picture=bytes(range(256)) * 8192, x=0.8, y=0.05, width=0.2)
    ran = penstock(*words[:-1], str(tmp_path / "none.png"))
    assert (ran.code, "cannot be read: No such file" in ran.err) == (2, True)


def test_a_tag_without_a_value_is_a_mistake(penstock: Commands) -> None:
    ran = penstock("relays", "groups", "add", "sport", "--tag", "team")
    assert (ran.code, "it must be KEY=VALUE" in ran.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("relays stop 3f2a", f"Task {TASK} is stopped."),
        ("relays restart 3f2a", f"Task {TASK} is in effect."),
        ("relays rm 3f2a", "The task is gone."),
        ("relays groups ls", "sport  2000000001  tv       2026-03-01 12:00:00  -              team=a"),
        ("relays groups add sport", "Group sport is there."),
        ("relays groups rm sport", "Group sport is deleted."),
        ("callbacks ls", "error  waiting      1  HTTP 503"),
        ("callbacks show 7", "try 1       2026-03-01 12:00:00 UTC, 12 ms: 503"),
        ("callbacks show 7", "error side  target"),
        ("callbacks redeliver 7", "state       waiting"),
    ],
)
def test_answers_in_words(penstock: Commands, words: str, said: str) -> None:
    assert said in penstock(*words.split()).out


def test_nothing_is_said_to_be_nothing(penstock: Commands, server: FakeServer) -> None:
    server.answers["relays.groups.ls"] = verbs.Groups(groups=[], total=0)
    server.answers["callbacks.ls"] = verbs.Callbacks(callbacks=[], total=0)
    assert penstock("relays", "groups", "ls").out == "There are no groups.\n"
    assert penstock("callbacks", "ls").out == "There are no callbacks.\n"
    server.answers["callbacks.ls"] = verbs.Callbacks(callbacks=[CALLBACK_SHOWN.callback], total=9)
    assert "1 of 9; --offset 3 goes on." in penstock("callbacks", "ls", "--offset", "2").out
