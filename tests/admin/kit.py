"""One answer to each verb, as a server with one stream and one ban would give it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from penstock.admin import owners, records, relays, server, streams
from penstock.admin.contract import Done, Result

NOW: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DEMO: Final = {"vhost": "demo", "app": "live", "stream": "cam"}

VIDEO: Final = streams.VideoFacts(
    codec="H264",
    profile="High",
    level="3.1",
    width=1280,
    height=720,
    declared_fps=30.0,
    fps=29.5,
    bitrate_kbps=2400.0,
    key_interval_ms=2000,
    frame_loss_percent=1.7,
)
AUDIO: Final = streams.AudioFacts(codec="AAC", profile="LC", sample_rate=48_000, channels=2, bitrate_kbps=128.0)
ON_AIR: Final = streams.OnAir(
    **DEMO,
    account="2000000001",
    session="5f2c",
    began_at=NOW - timedelta(minutes=12, seconds=5),
    on_air_s=725.0,
    address="192.0.2.7",
    port=50_000,
    tls=False,
    agent="FMLE/3.0",
    domain="push.demo.test",
    bitrate_kbps=2528.0,
    bytes_in=229_000_000,
    video=VIDEO,
    audio=AUDIO,
    players={"flv": 3, "rtmp": 1},
    bytes_out={"flv": 687_000_000, "rtmp": 12_000},
)
BAN: Final = streams.Ban(
    **DEMO,
    account="2000000001",
    since=NOW,
    until=NOW + timedelta(days=90),
    changed_at=NOW,
    reason="no licence",
    push_domain="push.demo.test",
    cloud="",
    access_key="",
)
CLOCK: Final = server.ClockShown(now=NOW, real=NOW, ahead_s=0.0, is_turnable=True)
VHOST: Final = owners.Vhost(
    name="demo",
    account="2000000001",
    apps=["live"],
    push_domains=[owners.Domain(id=1, name="push.demo.test")],
    pull_domains=[owners.Domain(id=2, name="pull.demo.test")],
    publish_auth="none",
    record="mp4",
    record_apps=["live"],
    configured=True,
)

RECORDING: Final = records.Recording(
    **DEMO,
    number=12,
    account="2000000001",
    state="failed",
    error="the disk is full",
    next_try=NOW + timedelta(seconds=5),
    container="mp4",
    one_file=True,
    always=False,
    from_at=NOW,
    until=NOW + timedelta(hours=2),
    began_at=NOW,
    ended_at=None,
    why="",
    cloud="kingsoft",
    access_key="AKtest",
    files=1,
    size_bytes=1_234_567,
    duration_s=725.0,
    gaps=1,
)
FILE: Final = records.File(
    id=31,
    path="demo/live/cam/20260301T120000Z-5f2c.mp4",
    url="http://127.0.0.1:8080/recordings/demo/live/cam/31/1-x/cam-20260301T120000Z.mp4",
    began_at=NOW,
    ended_at=NOW + timedelta(seconds=725),
    size_bytes=1_234_567,
    duration_s=725.0,
    video="avc",
    audio="aac",
    gaps=[records.Gap(at_s=61.0, length_s=5.5, why="the disk was behind")],
    is_whole=True,
    is_lost=False,
    why="stopped",
    removed_at=None,
)

TASK: Final = "3f2a" * 8
RELAY: Final = relays.Relay(
    id=TASK,
    account="2000000001",
    group="default",
    title="news",
    state="in effect",
    created_at=NOW - timedelta(hours=1),
    changed_at=NOW - timedelta(hours=1),
    starts_at=NOW - timedelta(hours=1),
    ends_at=NOW + timedelta(hours=3),
    kind="files",
    sources=[
        relays.Source(url="http://files.test/1.mp4", start_s=1.5, end_s=9.0),
        relays.Source(url="http://files.test/2.mp4"),
    ],
    plays=None,
    target="rtmp://push.demo.test/live/b",
    callback_url="http://receiver.test/hook",
    download_first=True,
    resumes_late=False,
    watermark=relays.Mark(x=0.8, y=0.05, width=0.1),
    cloud="volcengine",
    access_key="AKtest",
    truth=relays.Truth(
        state="running",
        rate_kbps=2500.0,
        bytes_in=9_000_000,
        bytes_out=8_000_000,
        position_ms=3_600_000,
        loop=2,
        clip=1,
        offset_s=65.4,
        fetched_bytes=0,
        fetch_size_bytes=0,
        failures=1,
        error="refused",
        error_side="target",
        error_at=NOW - timedelta(minutes=5),
        next_try_at=None,
        is_finished=False,
    ),
)
RELAY_SHOWN: Final = relays.RelayShown(relay=RELAY, now=NOW)
CALLBACK_SHOWN: Final = relays.CallbackShown(
    callback=relays.Callback(
        id=7,
        account="2000000001",
        subject=TASK,
        sequence=2,
        event="error",
        url="http://receiver.test/hook",
        made_at=NOW,
        state="waiting",
        tries=1,
        next_try_at=NOW + timedelta(seconds=3),
        answer="HTTP 503",
    ),
    facts={"task": TASK, "error_side": "target", "error": "refused"},
    tried=[relays.Try(at=NOW, took_ms=12, status=503, error="")],
)

ANSWERS: Final[dict[str, Result]] = {
    "relays.ls": relays.Relays(relays=[RELAY], total=1, now=NOW),
    **dict.fromkeys(("relays.show", "relays.create", "relays.stop", "relays.restart"), RELAY_SHOWN),
    "relays.rm": Done(),
    "relays.groups.ls": relays.Groups(
        groups=[
            relays.Group(
                name="sport", account="2000000001", project="tv", created_at=NOW, deleted_at=None, tags={"team": "a"}
            )
        ],
        total=1,
    ),
    "relays.groups.add": Done(),
    "relays.groups.rm": Done(),
    "callbacks.ls": relays.Callbacks(callbacks=[CALLBACK_SHOWN.callback], total=1),
    "callbacks.show": CALLBACK_SHOWN,
    "callbacks.redeliver": CALLBACK_SHOWN,
    "env": server.Environment(
        account="2000000001",
        access_key="AKtest",
        secret_key="it's$ecret",
        endpoint="http://127.0.0.1:8080",
        tls_endpoint="https://127.0.0.1:8443",
        ca="",
    ),
    "reload": server.Reloaded(changed=["vhost shop"], restart=["media.latency"]),
    "streams.ls": streams.Streams(streams=[ON_AIR]),
    "streams.show": streams.StreamShown(on_air=ON_AIR, ban=None),
    "streams.kick": streams.Kicked(**DEMO),
    "streams.ban": streams.Banned(ban=BAN),
    "streams.unban": streams.Unbanned(ban=BAN),
    "bans.ls": streams.Bans(bans=[BAN], total=1),
    "records.ls": records.Recordings(recordings=[RECORDING], total=1),
    "records.start": records.Started(recording=RECORDING),
    "records.stop": records.Stopped(recording=RECORDING),
    "records.show": records.RecordShown(recording=RECORDING, files=[FILE]),
    "records.rm": records.Removed(files=1, size_bytes=1_234_567),
    "records.url": records.Urls(urls=[FILE.url]),
    "accounts.ls": owners.Accounts(accounts=[owners.Account(id="2000000001", configured=True, keys=1, vhosts=1)]),
    "accounts.add": Done(),
    "accounts.rm": Done(),
    "vhosts.ls": owners.Vhosts(vhosts=[VHOST]),
    "vhosts.add": owners.VhostAdded(vhost=VHOST, publish_key=""),
    "vhosts.rm": Done(),
    "keys.ls": owners.Keys(
        keys=[owners.Key(access_key="AKtest", account="2000000001", sub_account=False, configured=False)]
    ),
    "keys.add": owners.KeyAdded(
        access_key="AKnew", secret_key="the-new-secret", account="2000000001", sub_account=False
    ),
    "keys.rm": Done(),
    "explain": server.Explained(
        request_id="id-1",
        at=NOW,
        cloud="kingsoft",
        action="ForbidStream",
        account="",
        access_key="AKtest",
        outcome="SignatureDoesNotMatch",
        rule="the signature is another one",
        canonical_request="POST\n/\n\nhost:127.0.0.1",
        string_to_sign="AWS4-HMAC-SHA256\n20260301T120000Z",
    ),
    "clock.show": CLOCK,
    "clock.turn": CLOCK,
    "clock.reset": CLOCK,
}

# What each verb is asked with where nothing can be left out.
ASKS: Final[dict[str, dict[str, Any]]] = {
    **{f"relays.{word}": {"id": TASK} for word in ("show", "stop", "restart", "rm")},
    "relays.create": {"kind": "live", "sources": [{"url": "rtmp://a.test/live/a"}], "target": "rtmp://b.test/live/b"},
    **{f"relays.groups.{word}": {"name": "sport"} for word in ("add", "rm")},
    **{f"callbacks.{word}": {"id": 7} for word in ("show", "redeliver")},
    **{f"streams.{word}": {"stream": "cam"} for word in ("show", "kick", "ban", "unban")},
    "records.start": {"stream": "cam"},
    **{f"records.{word}": {"id": 12} for word in ("stop", "show", "rm", "url")},
    **{f"accounts.{word}": {"id": "2000000002"} for word in ("add", "rm")},
    **{f"vhosts.{word}": {"name": "shop"} for word in ("add", "rm")},
    "keys.rm": {"access_key": "AKtest"},
    "explain": {"request_id": "id-1"},
}
