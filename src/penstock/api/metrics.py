"""`/metrics`: the server's numbers, each read where it is kept.

Labels are words of ours: codes, reasons, formats, operations. Names from outside stand in the few families of
the top streams alone, so that whoever publishes under ten thousand names makes no ten thousand series.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from heapq import nsmallest
from typing import Final

from penstock import __version__
from penstock.api.exposition import Family, Kind, Sample, encode
from penstock.api.procfs import ProcessFacts, facts_of
from penstock.domain.engines import EngineLink
from penstock.domain.live import Live
from penstock.domain.sessions import Session
from penstock.domain.tallies import Counts, Histogram

# A text is good for so long: counting all players again and again is work that anybody could ask for.
GOOD_FOR_S: Final = 1.0
RECORDING_STATES: Final = ("planned", "waiting", "recording", "failed")
INGEST: Final = "rtmp"  # the one way in


class Metrics:
    """The text for `/metrics`; `top_streams` are named."""

    def __init__(self, live: Live, engine: EngineLink, top_streams: int, monotonic: Callable[[], float]) -> None:
        self._live = live
        self._engine = engine
        self._top_streams = top_streams
        self._monotonic = monotonic
        self._text = ""
        self._made_at: float | None = None

    def text(self) -> str:
        now = self._monotonic()
        if self._made_at is None or now - self._made_at >= GOOD_FOR_S:
            self._text, self._made_at = encode(self.families()), now
        return self._text

    def families(self) -> Iterator[Family]:
        on_air = self._live.sessions.on_air()
        yield Family("penstock_build_info", "gauge", "What runs here.", [Sample(1, {"version": __version__})])
        yield from self._publishing(on_air)
        yield from self._media(on_air)
        yield from self._recordings()
        yield from self._top(on_air)
        yield from self._relays()
        yield from self._api()
        yield from self._store()
        yield from self._processes()

    def _publishing(self, on_air: list[Session]) -> Iterator[Family]:
        tallies = self._live.tallies
        yield _gauge("penstock_streams_on_air", "Streams with a publisher.", len(on_air))
        yield _counter("penstock_publishes_admitted_total", "Publishes that were let in.", tallies.admitted)
        yield _counts(
            "penstock_publishes_refused_total", "Publishes that were turned away, by code.", tallies.refused, "code"
        )
        yield _counts("penstock_sessions_ended_total", "Admitted publishes that ended.", tallies.ended, "reason")

    def _media(self, on_air: list[Session]) -> Iterator[Family]:
        usage = self._live.usage
        players: Counter[str] = Counter()
        for session in on_air:
            for part in session.stats.audience if session.stats is not None else ():
                players[part.format] += part.players
        yield _by_format("penstock_players", "gauge", "Players of streams on air.", players)
        yield _by_format("penstock_plays_total", "counter", "Plays that began.", usage.plays_by_format)
        yield Family(
            "penstock_media_bytes_in_total", "counter", "Media received from publishers.",
            [Sample(self._live.sessions.bytes_in, {"format": INGEST})],
        )  # fmt: skip
        yield _by_format(
            "penstock_media_bytes_out_total",
            "counter",
            "Bytes that players' sockets took, before TLS.",
            usage.bytes_by_format,
        )

    def _recordings(self) -> Iterator[Family]:
        live = self._live
        states = Counter(dict.fromkeys(RECORDING_STATES, 0))
        states.update(wanted.row.state for wanted in live.recordings)
        samples = [Sample(count, {"state": state}) for state, count in states.items()]
        about = "Recordings that are planned or under way; one is recording while bytes flow."
        yield Family("penstock_recordings", "gauge", about, samples)
        yield _counter("penstock_recorded_bytes_total", "Media written to disk.", live.recordings.bytes_written)
        failed, sent = live.tallies.recordings_failed, live.tallies.recording_bytes_sent
        yield _counter("penstock_recording_failures_total", "Times that a recording failed.", failed)
        yield _counter("penstock_recording_bytes_sent_total", "Bytes of recorded files given by HTTP.", sent)

    def _top(self, on_air: list[Session]) -> Iterator[Family]:
        # Of two with as many players the older one stays: names that come and go would each leave a series.
        played = [(_players(session), session) for session in on_air]
        top = nsmallest(
            self._top_streams,
            (entry for entry in played if entry[0]),
            key=lambda entry: (-entry[0], entry[1].lease.epoch),
        )
        yield Family(
            "penstock_top_stream_players", "gauge", "Players of the streams that have the most.",
            [Sample(players, _named(session)) for players, session in top],
        )  # fmt: skip
        yield Family(
            "penstock_top_stream_bits_per_second", "gauge", "What the publishers of these streams send.",
            [
                Sample(round(session.stats.bitrate_kbps * 1000), _named(session))
                for _, session in top
                if session.stats is not None
            ],
        )  # fmt: skip

    def _relays(self) -> Iterator[Family]:
        tallies = self._live.tallies
        states = [Sample(number, {"state": state}) for state, number in self._live.relays.states().items()]
        yield Family("penstock_relays", "gauge", "Relay tasks in their window, by what their media does.", states)
        yield _counter("penstock_relay_bytes_in_total", "Bytes that relays fetched.", tallies.relayed_in)
        yield _counter("penstock_relay_bytes_out_total", "Bytes that relays' targets took.", tallies.relayed_out)
        yield _counts(
            "penstock_relay_failures_total", "Sources and targets that failed, and relays that the server let down.",
            tallies.relay_failures, "side",
        )  # fmt: skip
        yield _counts("penstock_callback_tries_total", "Tries to deliver callbacks.", tallies.callbacks, "outcome")

    def _api(self) -> Iterator[Family]:
        tallies = self._live.tallies
        yield _counts(
            "penstock_api_calls_total", "Calls of the clouds' APIs; outcome is ok, or the code that was answered.",
            tallies.calls, "cloud", "action", "outcome",
        )  # fmt: skip
        yield _counts("penstock_api_rate_limited_total", "Calls refused as too many.", tallies.rate_limited, "cloud")

    def _store(self) -> Iterator[Family]:
        tallies = self._live.tallies
        yield _gauge("penstock_journal_backlog", "Writes that wait for the store.", self._live.journal.backlog)
        yield _histogram(
            "penstock_store_write_seconds", "From asking for a write until it is durable.", tallies.writes_s
        )
        yield _counter("penstock_store_write_errors_total", "Writes that the store failed.", tallies.failed_writes)

    def _processes(self) -> Iterator[Family]:
        is_connected = self._engine.connected.is_set()
        restarts = max(0, self._live.tallies.engines - 1)
        yield _gauge("penstock_engine_connected", "1 while an engine is connected.", int(is_connected))
        yield _counter("penstock_engine_restarts_total", "Engines that took the place of another.", restarts)
        pids = {"control": os.getpid()} | ({"engine": self._engine.pid} if is_connected and self._engine.pid else {})
        found = {name: facts for name, pid in pids.items() if (facts := facts_of(pid)) is not None}

        def each(name: str, about: str, read: Callable[[ProcessFacts], float], kind: Kind = "gauge") -> Family:
            samples = [Sample(read(facts), {"process": process}) for process, facts in found.items()]
            return Family(name, kind, about, samples)

        yield each("penstock_process_cpu_seconds_total", "Time on a core.", lambda facts: facts.cpu_s, "counter")
        yield each("penstock_process_resident_bytes", "Memory in use.", lambda facts: facts.resident_bytes)
        yield each("penstock_process_open_files", "Open files, sockets included.", lambda facts: facts.open_files)
        yield each("penstock_process_max_open_files", "As many may be open.", lambda facts: facts.max_open_files)


def _players(session: Session) -> int:
    return sum(part.players for part in session.stats.audience) if session.stats is not None else 0


def _named(session: Session) -> dict[str, str]:
    stream = session.lease.stream
    return {"vhost": stream.vhost, "app": stream.app, "stream": stream.stream}


def _gauge(name: str, about: str, value: float) -> Family:
    return Family(name, "gauge", about, [Sample(value)])


def _counter(name: str, about: str, value: float) -> Family:
    return Family(name, "counter", about, [Sample(value)])


def _counts(name: str, about: str, counts: Counts, *labels: str) -> Family:
    samples = [Sample(total, dict(zip(labels, words, strict=True))) for words, total in counts]
    return Family(name, "counter", about, samples)


def _by_format(name: str, kind: Kind, about: str, counts: Counter[str]) -> Family:
    samples = [Sample(count, {"format": word}) for word, count in sorted(counts.items())]
    return Family(name, kind, about, samples)


def _histogram(name: str, about: str, histogram: Histogram) -> Family:
    bounds: Iterable[tuple[str, int]] = zip(map(repr, histogram.bounds_s), histogram.up_to(), strict=True)
    buckets = [*bounds, ("+Inf", histogram.count)]
    return Family(
        name,
        "histogram",
        about,
        [
            *(Sample(count, {"le": bound}, "_bucket") for bound, count in buckets),
            Sample(histogram.sum_s, suffix="_sum"),
            Sample(histogram.count, suffix="_count"),
        ],
    )
