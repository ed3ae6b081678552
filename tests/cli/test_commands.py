"""Each command: what it asks, what it prints for people, and that `--json` is the contract's answer."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock.admin import owners, relays, streams
from penstock.admin.contract import Ask, Result
from penstock.admin.server import Reloaded, TurnClock
from penstock.errors import ConfigError
from tests.admin.kit import ANSWERS, BAN, CLOCK, NOW, ON_AIR
from tests.cli.kit import Commands, FakeServer

# Words of a command, and what they ask.
ASKED: list[tuple[str, Ask[Any]]] = [
    ("streams ls", streams.ListStreams()),
    ("streams ls --vhost demo --account 2000000001", streams.ListStreams(vhost="demo", account="2000000001")),
    ("streams show live/cam", streams.ShowStream(stream="live/cam")),
    ("streams kick demo/live/cam --reason wrong", streams.KickStream(stream="demo/live/cam", reason="wrong")),
    ("streams ban cam", streams.BanStream(stream="cam")),
    ("streams ban cam --for 2h", streams.BanStream(stream="cam", for_s=7200.0)),
    ("streams ban cam --until 1d12h", streams.BanStream(stream="cam", for_s=129_600.0)),
    (
        "streams ban cam --until 2027-01-01T08:00+08:00 --reason late --push-domain push.demo.test",
        streams.BanStream(
            stream="cam", until=datetime(2027, 1, 1, tzinfo=UTC), reason="late", push_domain="push.demo.test"
        ),
    ),
    ("streams unban cam", streams.UnbanStream(stream="cam")),
    ("relays ls --group sport --title ne", relays.ListRelays(group="sport", title="ne")),
    ("relays show 3f2a", relays.ShowRelay(id="3f2a")),
    ("relays stop 3f2a", relays.StopRelay(id="3f2a")),
    ("relays restart 3f2a --from-start", relays.RestartRelay(id="3f2a", from_start=True)),
    ("relays rm 3f2a", relays.RemoveRelay(id="3f2a")),
    (
        "relays create rtmp://a.test/live/a --to rtmp://b.test/live/b --for 2h",
        relays.CreateRelay(
            kind="live",
            sources=[relays.Source(url="rtmp://a.test/live/a")],
            target="rtmp://b.test/live/b",
            for_s=7200.0,
        ),
    ),
    (
        "relays create http://a.test/l.flv --live --to rtmp://b.test/live/b --from 2027-01-01 --until 2027-01-02",
        relays.CreateRelay(
            kind="live",
            sources=[relays.Source(url="http://a.test/l.flv")],
            target="rtmp://b.test/live/b",
            starts_at=datetime(2027, 1, 1, tzinfo=UTC),
            ends_at=datetime(2027, 1, 2, tzinfo=UTC),
        ),
    ),
    (
        "relays create http://a.test/1.mp4#t=10,60 http://a.test/2.mp4#t=,5.5 --to rtmp://b.test/live/b --loop --in 5m"
        " --title news --group sport --account 1 --callback http://c.test/ --catch-up --stream-files",
        relays.CreateRelay(
            kind="files",
            sources=[
                relays.Source(url="http://a.test/1.mp4", start_s=10.0, end_s=60.0),
                relays.Source(url="http://a.test/2.mp4", end_s=5.5),
            ],
            target="rtmp://b.test/live/b",
            in_s=300.0,
            plays=None,
            title="news",
            group="sport",
            account="1",
            callback_url="http://c.test/",
            resumes_late=True,
            download_first=False,
        ),
    ),
    ("relays groups ls --deleted", relays.ListGroups(deleted=True)),
    (
        "relays groups add sport --project tv --tag team=a --tag x=",
        relays.AddGroup(name="sport", project="tv", tags={"team": "a", "x": ""}),
    ),
    ("relays groups rm sport --account 1", relays.RemoveGroup(name="sport", account="1")),
    ("callbacks ls --task 3f2a --state waiting", relays.ListCallbacks(task="3f2a", state="waiting", limit=100)),
    ("callbacks show 7", relays.ShowCallback(id=7)),
    ("callbacks redeliver 7", relays.Redeliver(id=7)),
    ("bans ls --vhost demo --offset 5 --limit 10", streams.ListBans(vhost="demo", offset=5, limit=10)),
    ("accounts ls", owners.ListAccounts()),
    ("accounts add 2000000002", owners.AddAccount(id="2000000002")),
    ("accounts rm 2000000002", owners.RemoveAccount(id="2000000002")),
    ("vhosts ls --account 2000000001", owners.ListVhosts(account="2000000001")),
    ("vhosts add shop", owners.AddVhost(name="shop")),
    (
        "vhosts add shop --account 1 --push-domain a.test --push-domain b.test --pull-domain c.test"
        " --app live --app studio --publish-auth signed",
        owners.AddVhost(
            name="shop",
            account="1",
            push_domains=("a.test", "b.test"),
            pull_domains=("c.test",),
            apps=("live", "studio"),
            publish_auth="signed",
        ),
    ),
    (
        "vhosts add shop --record hls --record-one-file",
        owners.AddVhost(name="shop", record="hls", record_one_file=True),
    ),
    ("vhosts rm shop", owners.RemoveVhost(name="shop")),
    ("keys ls", owners.ListKeys()),
    (
        "keys add --account 1 --access-key AKx --sub-account",
        owners.AddKey(account="1", access_key="AKx", sub_account=True),
    ),
    ("keys rm AKtest", owners.RemoveKey(access_key="AKtest")),
    ("clock turn +90d", TurnClock(by_s=90 * 86_400.0)),
    ("clock turn 2027-01-01T00:00Z", TurnClock(to=datetime(2027, 1, 1, tzinfo=UTC))),
]


@pytest.mark.parametrize(("words", "ask"), ASKED, ids=[words for words, _ in ASKED])
def test_command_asks(penstock: Commands, server: FakeServer, words: str, ask: Ask[Any]) -> None:
    ran = penstock(*words.split())
    assert (ran.code, ran.err) == (0, "")
    assert ran.out
    assert server.asked == [ask]


@pytest.mark.parametrize(
    "words",
    [
        *("streams ls", "streams show cam", "streams kick cam", "streams ban cam", "streams unban cam", "bans ls"),
        *("accounts ls", "accounts add 2", "accounts rm 2", "vhosts ls", "vhosts add shop", "vhosts rm shop"),
        *("keys ls", "keys add", "keys rm AKtest"),
        *("relays ls", "relays show 3f2a", "relays stop 3f2a", "relays restart 3f2a", "relays rm 3f2a"),
        *("relays create rtmp://a.test/a/b --to rtmp://b.test/a/b", "relays groups ls", "relays groups add a"),
        *("relays groups rm a", "callbacks ls", "callbacks show 7", "callbacks redeliver 7"),
        *("reload", "explain id-1", "clock", "clock turn 1h", "clock reset"),
    ],
)
def test_json_is_the_contracts_answer(penstock: Commands, server: FakeServer, words: str) -> None:
    ran = penstock(*words.split(), "--json")
    assert (ran.code, ran.err) == (0, "")
    (ask,) = server.asked
    assert json.loads(ran.out) == msgspec.to_builtins(ANSWERS[ask.verb])


def test_streams_are_a_table(penstock: Commands) -> None:
    head, row = penstock("streams", "ls").out.splitlines()
    assert re.split(r" {2,}", head) == ["STREAM", "SINCE (UTC)", "VIDEO", "AUDIO", "IN", "PLAYERS", "PUBLISHER"]
    assert re.split(r" {2,}", row) == [
        *("demo/live/cam", "2026-03-01 11:47:55", "H264 1280x720 30 fps", "AAC", "2.5 Mbit/s"),
        *("4", "192.0.2.7:50000"),
    ]


def test_stream_without_facts_yet_is_in_the_table_all_the_same(penstock: Commands, server: FakeServer) -> None:
    early = msgspec.structs.replace(ON_AIR, video=None, audio=None, players={}, bytes_out={})
    server.answers["streams.ls"] = streams.Streams(streams=[early])
    _, row = penstock("streams", "ls").out.splitlines()
    assert re.split(r" {2,}", row)[2:4] == ["-", "-"]
    server.answers["streams.show"] = streams.StreamShown(on_air=early, ban=None)
    shown = penstock("streams", "show", "cam").out
    assert "on air" in shown
    assert "video" not in shown


def test_what_is_measured_of_a_stream_is_shown(penstock: Commands) -> None:
    facts = dict(re.split(r" {2,}", line, maxsplit=1) for line in penstock("streams", "show", "cam").out.splitlines())
    assert facts == {
        "stream": "demo/live/cam",
        "account": "2000000001",
        "state": "on air",
        "since": "2026-03-01 11:47:55 UTC (12m 5s)",
        "session": "5f2c",
        "publisher": "192.0.2.7:50000",
        "encoder": "FMLE/3.0",
        "domain": "push.demo.test",
        "in": "2.5 Mbit/s, 229.0 MB in all",
        "video": "H264 High level 3.1",
        "size": "1280x720",
        "frames": "29.5/s of 30 declared, 1.7 % lost",
        "video rate": "2.4 Mbit/s",
        "key frames": "every 2 s",
        "audio": "AAC LC, 48000 Hz, 2 channels",
        "audio rate": "128.0 kbit/s",
        "players flv": "3, 687.0 MB in all",
        "players rtmp": "1, 12.0 kB in all",
    }


def test_banned_stream_shows_its_ban(penstock: Commands, server: FakeServer) -> None:
    server.answers["streams.show"] = streams.StreamShown(on_air=None, ban=BAN)
    out = penstock("streams", "show", "cam").out
    assert re.search(r"state +banned", out)
    assert re.search(r"until +2026-05-30 12:00:00 UTC", out)
    assert re.search(r"by +operator", out)


def test_words_of_a_publisher_do_nothing_to_the_terminal(penstock: Commands, server: FakeServer) -> None:
    evil = msgspec.structs.replace(ON_AIR, agent="\x1b]0;owned\x07\x1b[2J")
    server.answers["streams.show"] = streams.StreamShown(on_air=evil, ban=None)
    out = penstock("streams", "show", "cam").out
    assert "\x1b" not in out
    assert r"\x1b]0;owned\x07\x1b[2J" in out


@pytest.mark.parametrize(
    ("words", "answer", "said"),
    [
        ("streams ls", streams.Streams(streams=[]), "Nothing is on air."),
        ("bans ls", streams.Bans(bans=[], total=0), "Nothing is banned."),
        ("bans ls --offset 9", streams.Bans(bans=[], total=3), "There are 3 bans, all before that."),
        ("bans ls --limit 1", streams.Bans(bans=[BAN], total=3), "1 of 3; --offset 1 goes on."),
        ("keys ls", owners.Keys(keys=[]), "There are no keys."),
        ("vhosts ls", owners.Vhosts(vhosts=[]), "There are no vhosts."),
        ("reload", Reloaded(changed=[], restart=[]), "Nothing changed."),
        ("reload", ANSWERS["reload"], "From the next start on: media.latency."),
        ("streams kick cam", ANSWERS["streams.kick"], "demo/live/cam is off air."),
        ("streams ban cam", ANSWERS["streams.ban"], "demo/live/cam is banned until 2026-05-30 12:00:00 UTC."),
        ("streams unban cam", ANSWERS["streams.unban"], "demo/live/cam may be published again."),
        ("keys add", ANSWERS["keys.add"], "secret      the-new-secret"),
        ("clock", CLOCK, "2026-03-01 12:00:00 UTC\n"),
        (
            "clock",
            msgspec.structs.replace(CLOCK, now=NOW + timedelta(days=90), ahead_s=90 * 86_400.0),
            "2026-05-30 12:00:00 UTC, 90d 0h ahead of the real one",
        ),
        ("clock", msgspec.structs.replace(CLOCK, is_turnable=False), "--dev lets it be turned"),
        ("vhosts ls", ANSWERS["vhosts.ls"], "push.demo.test (1)"),
        ("vhosts ls", ANSWERS["vhosts.ls"], "mp4 live"),
        (
            "vhosts add demo --publish-auth signed",
            msgspec.structs.replace(ANSWERS["vhosts.add"], publish_key="k-1"),
            "printed this once: k-1",
        ),
    ],
)
def test_answer_in_words(penstock: Commands, server: FakeServer, words: str, answer: Result, said: str) -> None:
    verb = {"clock": "clock.show", "reload": "reload"}.get(words, ".".join(words.split()[:2]))
    server.answers[verb] = answer
    assert said in penstock(*words.split()).out


def test_explained_request_shows_both_texts_line_by_line(penstock: Commands) -> None:
    out = penstock("explain", "id-1").out
    assert re.search(r"because +the signature is another one", out)
    assert "canonical request, as the server made it\nPOST\n/\n\nhost:127.0.0.1\n" in out
    assert "string to sign, as the server made it\nAWS4-HMAC-SHA256\n20260301T120000Z\n" in out


def test_mistake_in_the_settings_is_exit_code_2(penstock: Commands, server: FakeServer) -> None:
    server.answers["reload"] = ConfigError("penstock.toml: media.latency is 'none'")
    ran = penstock("reload")
    assert (ran.code, ran.err) == (2, "penstock: penstock.toml: media.latency is 'none'\n")


def test_watch_prints_again_until_it_is_interrupted(
    penstock: Commands, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", sleep)
    ran = penstock("streams", "ls", "--watch")
    assert (ran.code, ran.out.count("demo/live/cam"), slept) == (0, 3, [1, 1, 1])
    assert "\x1b" not in ran.out


def test_secret_comes_from_a_file_and_not_from_the_command_line(
    penstock: Commands, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secret.txt"
    file.write_text("from-a-file\r\nmore\n")
    assert penstock("keys", "add", "--secret-file", str(file)).code == 0
    monkeypatch.setattr("sys.stdin", open(file, encoding="utf-8"))  # noqa: SIM115
    assert penstock("vhosts", "add", "shop", "--publish-key-file", "-").code == 0
    assert server.asked == [
        owners.AddKey(secret_key="from-a-file"),
        owners.AddVhost(name="shop", publish_key="from-a-file"),
    ]


@pytest.mark.parametrize(("text", "why"), [("", "is empty"), ("\nx", "is empty"), (None, "No such file")])
def test_secret_that_is_not_there_is_not_replaced_by_a_random_one(
    penstock: Commands, server: FakeServer, tmp_path: Path, text: str | None, why: str
) -> None:
    file = tmp_path / "secret.txt"
    if text is not None:
        file.write_text(text)
    ran = penstock("keys", "add", "--secret-file", str(file))
    assert ran.code == 2
    assert why in ran.err
    assert server.asked == []
