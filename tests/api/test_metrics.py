"""`/metrics`: each number is what was done, read by Prometheus' own parser."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest_asyncio
from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

from penstock import __version__
from penstock.api.metrics import Metrics
from penstock.domain.engines import EngineLink
from penstock.domain.live import Live
from penstock.link.messages import Audience, EndReason, Usage, UsageRow
from penstock.model import StreamId
from penstock.storage.recordings import Recording, StateWord
from penstock.storage.rows import Ban
from tests.clock import START, ManualClock
from tests.domain import kit


class Numbers(Struct):
    """What one scrape brought, by name and labels."""

    found: dict[tuple[str, frozenset[tuple[str, str]]], float]

    @classmethod
    def of(cls, text: str) -> Numbers:
        found = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                key = sample.name, frozenset(sample.labels.items())
                assert key not in found, f"{key} is told twice"
                found[key] = sample.value
        return cls(found)

    def get(self, name: str, **labels: str) -> float | None:
        return self.found.get((name, frozenset(labels.items())))

    def named(self, name: str) -> dict[frozenset[tuple[str, str]], float]:
        return {labels: value for (each, labels), value in self.found.items() if each == name}


class Scraped:
    def __init__(self, live: Live, top_streams: int = 10) -> None:
        self.live = live
        self.clock = ManualClock()
        self.engine = EngineLink()
        self.metrics = Metrics(live, self.engine, top_streams, self.clock.monotonic)

    def numbers(self) -> Numbers:
        self.clock.advance(1)
        return Numbers.of(self.metrics.text())

    def on_air(self, name: str, *, players: int = 0, bytes_in: int = 0, form: str = "flv") -> None:
        """Put a stream on air, by whatever name."""
        session = self.live.sessions.admit(StreamId("demo", "live", name), kit.CLIENT)
        self.live.sessions.began(session.lease, START)
        audience = (Audience(form, "pull.demo.test", players, 0),)
        self.live.sessions.update(kit.make_stats(session.lease.epoch, bytes_in=bytes_in, audience=audience))


@pytest_asyncio.fixture
async def scraped() -> AsyncIterator[Scraped]:
    async with kit.opened() as live:
        yield Scraped(live)


async def test_a_server_that_did_nothing_tells_zeros_and_who_it_is(scraped: Scraped) -> None:
    numbers = scraped.numbers()
    assert numbers.get("penstock_build_info", version=__version__) == 1
    for name in (
        "penstock_streams_on_air",
        "penstock_publishes_admitted_total",
        "penstock_journal_backlog",
        "penstock_engine_connected",
        "penstock_engine_restarts_total",
        "penstock_store_write_errors_total",
    ):
        assert numbers.get(name) == 0, name
    assert {dict(labels)["reason"] for labels in numbers.named("penstock_sessions_ended_total")} == set(EndReason)


async def test_streams_players_and_bytes_are_told_by_format(scraped: Scraped) -> None:
    scraped.on_air("a", players=3, bytes_in=1000)
    scraped.on_air("b", players=2, bytes_in=500)
    scraped.on_air("c", players=4, form="rtmp")
    rows = tuple(
        UsageRow(StreamId("demo", "live", name), form, "192.0.2.9", "", False, size, 1)
        for name, form, size in (("a", "flv", 10), ("b", "flv", 20), ("c", "rtmp", 5))
    )
    usage = Usage(1, START, START + timedelta(seconds=10), rows)
    assert scraped.live.usage.take("engine-1", usage)
    assert not scraped.live.usage.take("engine-1", usage)
    numbers = scraped.numbers()
    assert numbers.get("penstock_streams_on_air") == 3
    assert numbers.get("penstock_players", format="flv") == 5
    assert numbers.get("penstock_players", format="rtmp") == 4
    assert numbers.get("penstock_media_bytes_in_total", format="rtmp") == 1500
    assert numbers.get("penstock_media_bytes_out_total", format="flv") == 30
    assert numbers.get("penstock_media_bytes_out_total", format="rtmp") == 5
    assert numbers.get("penstock_plays_total", format="flv") == 2


async def test_the_top_streams_are_those_with_the_most_players_and_of_equals_the_older(scraped: Scraped) -> None:
    scraped.metrics = Metrics(scraped.live, scraped.engine, 3, scraped.clock.monotonic)
    for name, players in (("first", 1), ("none", 0), ("second", 1), ("third", 1), ("most", 9)):
        scraped.on_air(name, players=players)
    named = scraped.numbers().named("penstock_top_stream_players")
    assert {dict(labels)["stream"]: value for labels, value in named.items()} == {"most": 9, "first": 1, "second": 1}


async def test_ten_thousand_random_names_are_no_ten_thousand_series(scraped: Scraped) -> None:
    """Attack 31: whoever publishes and plays under ever new names fills no Prometheus."""
    before = len(scraped.numbers().found)
    names = set()
    for _ in range(10_000):
        names.add(name := os.urandom(8).hex())
        scraped.on_air(name, players=1)
        scraped.live.tallies.refused.add("428")
    scraped.live.usage.take(
        "engine-1",
        Usage(
            1,
            START,
            START,
            tuple(UsageRow(StreamId("demo", "live", name), "flv", "192.0.2.9", name, False, 1, 1) for name in names),
        ),
    )
    scraped.clock.advance(1)
    text = scraped.metrics.text()
    told = Numbers.of(text)
    assert told.get("penstock_streams_on_air") == 10_000
    assert told.get("penstock_media_bytes_out_total", format="flv") == 10_000
    # Two series for each of the ten that are named, and one for each word that came up for the first time.
    assert len(told.found) <= before + 2 * 10 + 10
    first = {dict(labels)["stream"] for labels in told.named("penstock_top_stream_players")}
    assert len(names & set(re.findall(r'"([0-9a-f]{16})"', text))) == 10
    # A flood of newcomers displaces nobody.
    for _ in range(1000):
        scraped.on_air(os.urandom(8).hex(), players=1)
    after = scraped.numbers().named("penstock_top_stream_players")
    assert {dict(labels)["stream"] for labels in after} == first


async def test_writes_are_told_by_how_long_they_took(scraped: Scraped) -> None:
    live = scraped.live
    live.store.on_write(live.tallies.wrote)  # type: ignore[attr-defined]  # the store of these tests is SQL's
    await live.store.put_ban(
        Ban(stream=kit.DEMO, since=START, until=START + timedelta(days=1), changed_at=START, account="1")
    )
    async with live.store.transaction() as together:
        await together.lift_ban(kit.DEMO, START)
    await live.store.close()
    numbers = scraped.numbers()
    assert numbers.get("penstock_store_write_seconds_count") == 2
    assert numbers.get("penstock_store_write_seconds_bucket", le="+Inf") == 2
    buckets = [value for _, value in sorted(
        (float(dict(labels)["le"]), value)
        for labels, value in numbers.named("penstock_store_write_seconds_bucket").items()
    )]  # fmt: skip
    assert buckets == sorted(buckets)
    assert 0 < (numbers.get("penstock_store_write_seconds_sum") or 0) < 10


async def test_what_waits_for_the_store_is_the_backlog(scraped: Scraped) -> None:
    gate = kit.gated(scraped.live)
    gate.opened.clear()

    async def nothing(_: object) -> None:
        """Writes nothing."""

    for _ in range(3):
        scraped.live.journal.put(nothing)
    assert scraped.numbers().get("penstock_journal_backlog") == 3
    await gate.waiting.wait()
    assert scraped.numbers().get("penstock_journal_backlog") == 3
    gate.opened.set()
    await scraped.live.journal.written()
    assert scraped.live.journal.backlog == 0


async def test_processes_are_told_by_what_they_take(scraped: Scraped) -> None:
    scraped.engine.connected.set()
    scraped.engine.pid = os.getppid()
    numbers = scraped.numbers()
    assert numbers.get("penstock_engine_connected") == 1
    for process in ("engine", "control"):
        assert (numbers.get("penstock_process_resident_bytes", process=process) or 0) > 1_000_000
        assert (numbers.get("penstock_process_open_files", process=process) or 0) > 2
        assert numbers.get("penstock_process_cpu_seconds_total", process=process) is not None
        assert numbers.get("penstock_process_max_open_files", process=process) is not None
    # Of one that is gone nothing is told: its pid may be another's by now.
    scraped.engine.connected.clear()
    assert scraped.numbers().get("penstock_process_resident_bytes", process="engine") is None


async def test_a_text_is_made_once_a_second_however_often_it_is_read(scraped: Scraped) -> None:
    text = scraped.metrics.text()
    scraped.on_air("new")
    scraped.clock.advance(0.9)
    assert scraped.metrics.text() is text
    scraped.clock.advance(0.1)
    assert "penstock_streams_on_air 1\n" in scraped.metrics.text()


async def test_recordings_are_counted_by_how_they_stand(scraped: Scraped) -> None:
    live = scraped.live
    states: tuple[StateWord, ...] = ("recording", "recording", "failed", "planned")
    for digit, state in enumerate(states):
        row = Recording(
            number=digit + 1, id=f"{digit:032x}", stream=StreamId("demo", "live", "cam"), account="1", container="mp4",
            from_at=START, made_at=START, state=state,
        )  # fmt: skip
        live.recordings.put(row)
    live.recordings.bytes_written = 5000
    live.tallies.recordings_failed = 3
    live.tallies.recording_bytes_sent = 700
    numbers = scraped.numbers()
    found = {state: numbers.get("penstock_recordings", state=state) for state in ("recording", "waiting", "failed")}
    assert found == {"recording": 2, "waiting": 0, "failed": 1}
    assert numbers.get("penstock_recordings", state="planned") == 1
    assert numbers.get("penstock_recorded_bytes_total") == 5000
    assert numbers.get("penstock_recording_failures_total") == 3
    assert numbers.get("penstock_recording_bytes_sent_total") == 700
    assert b"cam" not in scraped.metrics.text().encode()
