"""The form of a relay's callback, which is ours, and its signature, which is the cloud's."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import md5
from typing import Any

import pytest
from msgspec.structs import replace

from penstock.clouds.volcengine.callbacks import EVENTS, STATUSES, TYPES, RelayFacts, encode
from penstock.domain.relays.notices import Event
from penstock.domain.relays.states import TaskState

AT = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
NOW = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)
FACTS = RelayFacts(
    task="3f" * 16,
    title="新闻",
    group="default",
    state="in effect",
    kind="files",
    source="http://files.test/1.mp4",
    target="rtmp://push.demo.test:1935/live/b",
    at=AT,
    error_side="target",
    error="refused",
    vhost="demo",
)


def said(facts: RelayFacts = FACTS, event: str = "error", key: str = "") -> Any:
    return json.loads(encode(facts, event, 7, key, NOW))


def test_the_wrapper_is_that_of_stream_events() -> None:
    body = said()
    assert (body["code"], body["message"], set(body)) == (0, "ok", {"code", "message", "data"})
    data = body["data"]
    assert (data["vhost"], data["domain"], data["app"], data["stream"]) == ("demo", "push.demo.test", "live", "b")
    assert data["event_type"] == "pull_to_push_error"
    assert set(data) == {"vhost", "domain", "app", "stream", "event_type", "sign", "t", "detail"}


def test_the_detail_tells_the_task_and_what_happened() -> None:
    assert said()["data"]["detail"] == {
        "task_id": "3f" * 16,
        "sequence": 7,
        "title": "新闻",
        "group_name": "default",
        "status": "生效中",
        "type": 1,
        "src_addr": "http://files.test/1.mp4",
        "dst_addr": "rtmp://push.demo.test:1935/live/b",
        "time": "2026-03-01T12:00:00Z",
        "time_ms": 1772366400250,
        "error_code": "target",
        "error_message": "refused",
    }


def test_without_a_key_it_is_not_signed() -> None:
    data = said()["data"]
    assert (data["sign"], data["t"]) == ("", 0)


def test_a_signature_is_the_md5_of_key_and_end_ten_minutes_ahead() -> None:
    data = said(key="the-key")["data"]
    assert data["t"] == int(NOW.timestamp()) + 600
    assert data["sign"] == md5(f"the-key{data['t']}".encode(), usedforsecurity=False).hexdigest()


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("rtmp://a.test/live/s", ["a.test", "live", "s"]),
        ("rtmps://a.test:443/live/inst/s", ["a.test", "live/inst", "s"]),
        ("rtmp://[2606:4700::1]:1935/live/s", ["2606:4700::1", "live", "s"]),
        ("rtmp://a.test", ["a.test", "", ""]),
    ],
)
def test_the_target_is_told_in_parts(target: str, parts: list[str]) -> None:
    data = said(replace(FACTS, target=target))["data"]
    assert [data["domain"], data["app"], data["stream"]] == parts


def test_every_word_of_the_domains_has_its_translation() -> None:
    assert EVENTS.keys() == {str(event) for event in Event}
    assert STATUSES.keys() == {str(state) for state in TaskState}
    assert TYPES == {"live": 0, "files": 1}
