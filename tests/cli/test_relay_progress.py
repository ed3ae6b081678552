"""How relay tasks are told to people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penstock.admin.relays import Relay, Source, Truth
from penstock.cli.relay_text import place_text, progress_line

NOW = datetime(2027, 1, 1, tzinfo=UTC)


def task(kind: Any = "files", plays: int | None = None, **truth: Any) -> Relay:
    facts: dict[str, Any] = {"state": "running", "rate_kbps": 0, "bytes_in": 0, "bytes_out": 0, "position_ms": 0}
    facts |= {"loop": 0, "clip": 0, "offset_s": 0.0, "fetched_bytes": 0, "fetch_size_bytes": 0, "failures": 0}
    facts |= {"error": "", "error_side": "", "error_at": None, "next_try_at": None, "is_finished": False}
    return Relay(
        id="ab" * 16,
        account="1",
        group="default",
        title="",
        state="in effect",
        created_at=NOW,
        changed_at=NOW,
        starts_at=NOW,
        ends_at=NOW + timedelta(hours=1),
        kind=kind,
        sources=[Source(url="http://files.test/1.mp4"), Source(url="http://files.test/2.mp4")],
        plays=plays,
        target="rtmp://target.test/live/b",
        callback_url="",
        download_first=True,
        resumes_late=False,
        watermark=None,
        cloud="",
        access_key="",
        truth=Truth(**facts | truth),
    )


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (task(clip=1, offset_s=61.0, loop=2), "file 2/2 at 1m 1s, round 3"),
        (task(plays=4, loop=2), "file 1/2 at 0s, round 3 of 4"),
        (task(is_finished=True), "all played"),
        (task("live", position_ms=61_000), "1m 1s"),
        (task("live"), None),
        (task(state="waiting", fetched_bytes=12, fetch_size_bytes=40_000_000), "downloading 0 % of 40.0 MB"),
        (task(state="waiting", fetched_bytes=39, fetch_size_bytes=40), "downloading 97 % of 40 B"),
        (task(fetched_bytes=1, fetch_size_bytes=4), "file 1/2 at 0s, round 1, downloading 25 % of 4 B"),
        (task(fetched_bytes=4, fetch_size_bytes=4), "file 1/2 at 0s, round 1"),
    ],
)
def test_place_tells_where_a_task_is_and_what_it_downloads(shown: Relay, words: str | None) -> None:
    assert place_text(shown) == words


def test_line_of_progress_tells_a_download() -> None:
    line = progress_line(task(state="waiting", fetched_bytes=1, fetch_size_bytes=4), NOW)
    assert line.endswith("waiting  0 bit/s  0 B out  downloading 25 % of 4 B")
