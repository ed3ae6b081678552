"""The callback of a relay task, as it is posted.

The cloud's documents have the wrapper and the signature of its callbacks, and neither names nor body of one that
tells of a relay. Those are ours: the wrapper of stream events, with what a receiver has to know in `detail`.

Source: Volcengine Live, callback settings, and the official SDK's models (read 2026-11).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import md5
from typing import Final

import msgspec
from msgspec import Struct

from penstock.clouds.volcengine.relays import ENDED, FILES, IN_EFFECT, LIVE, NOT_STARTED, STOPPED

VALID: Final = timedelta(minutes=10)
EVENTS: Final = {
    "start": "pull_to_push_start",
    "end": "pull_to_push_end",
    "stop": "pull_to_push_stop",
    "error": "pull_to_push_error",
}
STATUSES: Final = {"not started": NOT_STARTED, "in effect": IN_EFFECT, "ended": ENDED, "stopped": STOPPED}
TYPES: Final = {"live": LIVE, "files": FILES}


class RelayFacts(Struct, frozen=True, kw_only=True):
    """What is told of a task; events, states and kinds in the words that `EVENTS`, `STATUSES` and `TYPES` translate."""

    task: str
    title: str
    group: str
    state: str
    kind: str
    source: str
    target: str
    at: datetime
    error_side: str = ""
    error: str = ""
    vhost: str = ""


class Detail(Struct, frozen=True, kw_only=True):
    task_id: str
    sequence: int  # of the task's callbacks: one that comes again has the same
    title: str
    group_name: str
    status: str
    type: int
    src_addr: str
    dst_addr: str
    time: str
    time_ms: int
    error_code: str  # which side failed: source, target or server; empty: none
    error_message: str


class Data(Struct, frozen=True, kw_only=True):
    vhost: str
    domain: str
    app: str
    stream: str
    event_type: str
    sign: str
    t: int
    detail: Detail


class Callback(Struct, frozen=True, kw_only=True):
    data: Data
    code: int = 0
    message: str = "ok"


def encode(facts: RelayFacts, event: str, sequence: int, key: str, now: datetime) -> bytes:
    """The body of one try: `sign` and `t` are of `now`, and empty and 0 without a key."""
    domain, app, stream = _parts(facts.target)
    until = int((now + VALID).timestamp()) if key else 0
    detail = Detail(
        task_id=facts.task,
        sequence=sequence,
        title=facts.title,
        group_name=facts.group,
        status=STATUSES[facts.state],
        type=TYPES[facts.kind],
        src_addr=facts.source,
        dst_addr=facts.target,
        time=f"{facts.at:%Y-%m-%dT%H:%M:%SZ}",
        time_ms=int(facts.at.timestamp() * 1000),
        error_code=facts.error_side,
        error_message=facts.error,
    )
    data = Data(
        vhost=facts.vhost,
        domain=domain,
        app=app,
        stream=stream,
        event_type=EVENTS[event],
        sign=sign(key, until) if key else "",
        t=until,
        detail=detail,
    )
    return msgspec.json.encode(Callback(data=data))


def sign(key: str, until: int) -> str:
    """The scheme's own hash, which receivers compare."""
    return md5(f"{key}{until}".encode(), usedforsecurity=False).hexdigest()


def _parts(target: str) -> tuple[str, str, str]:
    """Host, app and stream of a push address, as whoever pushes reads them: the stream is the last word."""
    place, _, path = target.partition("://")[2].partition("/")
    app, _, stream = path.strip("/").rpartition("/")
    host = place.partition("]")[0].removeprefix("[") if place.startswith("[") else place.partition(":")[0]
    return host, app, stream
