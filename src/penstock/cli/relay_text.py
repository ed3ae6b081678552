"""Relay tasks as text: a table of all, the facts of one, and a line of progress."""

from __future__ import annotations

from datetime import datetime

from penstock.admin import relays as verbs
from penstock.cli import tables
from penstock.cli.watching import bar


def print_relays(answer: verbs.Relays) -> None:
    if not answer.relays:
        print("There are no relay tasks.")
        return
    headings = ("TASK", "TITLE", "STATE", "MEDIA", "RATE", "OUT", "PLACE", "WINDOW", "TROUBLE")
    rows = (
        (
            each.id[:8],
            each.title or None,
            each.state,
            each.truth.state or None,
            tables.size(each.truth.rate_kbps * 1000, "bit/s"),
            tables.size(each.truth.bytes_out),
            place_text(each),
            bar(window_share(each, answer.now), 10),
            trouble_text(each, answer.now),
        )
        for each in answer.relays
    )
    print(tables.table(headings, rows, right=("RATE", "OUT")))
    if len(answer.relays) < answer.total:
        print(f"{len(answer.relays)} of {answer.total}.")


def print_relay(relay: verbs.Relay, now: datetime) -> None:
    """Print one task, fact by fact."""
    truth = relay.truth
    mark = relay.watermark
    pairs: list[tuple[str, tables.Cell]] = [
        ("task", relay.id),
        ("title", relay.title),
        ("account", relay.account),
        ("group", relay.group),
        ("state", relay.state),
        ("media", truth.state or "it never ran"),
        ("rate", tables.size(truth.rate_kbps * 1000, "bit/s")),
        ("in", tables.size(truth.bytes_in)),
        ("out", tables.size(truth.bytes_out)),
        ("place", place_text(relay)),
        ("window", f"{bar(window_share(relay, now))} {_left(relay, now)}"),
        ("from", f"{tables.clock_text(relay.starts_at)} UTC"),
        ("until", f"{tables.clock_text(relay.ends_at)} UTC"),
        ("failures", truth.failures or None),
        ("last error", f"{truth.error_side}: {truth.error}" if truth.error else None),
        ("at", f"{tables.clock_text(truth.error_at)} UTC" if truth.error_at else None),
        ("next try", _next_try(relay, now)),
        *((f"source {number}", _source(each)) for number, each in enumerate(relay.sources, 1)),
        ("plays", None if relay.kind == "live" else "until the end" if relay.plays is None else relay.plays),
        ("target", relay.target),
        ("watermark", f"at {mark.x:g},{mark.y:g}, {mark.width:g} wide" if mark else None),
        ("callback", relay.callback_url),
        ("made by", f"{relay.cloud} {relay.access_key}" if relay.cloud else "operator"),
    ]
    print(tables.facts(pairs))


def progress_line(relay: verbs.Relay, now: datetime) -> str:
    """Return how a task stands, in one line for a log."""
    truth = relay.truth
    words = [
        tables.clock_text(now),
        truth.state or "-",
        tables.size(truth.rate_kbps * 1000, "bit/s"),
        f"{tables.size(truth.bytes_out)} out",
        place_text(relay) or "-",
        trouble_text(relay, now) or "",
    ]
    return tables.shown("  ".join(word for word in words if word))


def place_text(relay: verbs.Relay) -> str | None:
    """Where a task is: in which of its files, or how long its media is by now; and what it downloads ahead."""
    place, download = _place(relay), _download(relay.truth)
    if download is None:
        return place
    return f"{place}, {download}" if place and relay.truth.state == "running" else download


def _place(relay: verbs.Relay) -> str | None:
    truth = relay.truth
    if relay.kind == "live":
        return tables.duration(truth.position_ms / 1000) if truth.position_ms else None
    if truth.is_finished:
        return "all played"
    plays = f" of {relay.plays}" if relay.plays is not None else ""
    at = tables.duration(truth.offset_s)
    return f"file {truth.clip + 1}/{len(relay.sources)} at {at}, round {truth.loop + 1}{plays}"


def _download(truth: verbs.Truth) -> str | None:
    if truth.fetched_bytes >= truth.fetch_size_bytes:
        return None
    share = 100 * truth.fetched_bytes // truth.fetch_size_bytes
    return f"downloading {share} % of {tables.size(truth.fetch_size_bytes)}"


def trouble_text(relay: verbs.Relay, now: datetime) -> str | None:
    """What is wrong at the moment; None while media flows."""
    truth = relay.truth
    if not truth.error or truth.state in ("running", "stopped", "finished"):
        return None
    again = _next_try(relay, now)
    return f"{truth.error_side}: {truth.error}" + (f" (again {again})" if again else "")


def window_share(relay: verbs.Relay, now: datetime) -> float:
    """How much of its window is over."""
    return (now - relay.starts_at) / (relay.ends_at - relay.starts_at)


def _left(relay: verbs.Relay, now: datetime) -> str:
    if now < relay.starts_at:
        return f"begins in {tables.duration((relay.starts_at - now).total_seconds())}"
    if now < relay.ends_at:
        return f"{tables.duration((relay.ends_at - now).total_seconds())} left"
    return "over"


def _next_try(relay: verbs.Relay, now: datetime) -> str | None:
    at = relay.truth.next_try_at
    return f"in {tables.duration((at - now).total_seconds())}" if at is not None and at > now else None


def _source(source: verbs.Source) -> str:
    if source.start_s is None and source.end_s is None:
        return source.url
    end = f"{source.end_s:g} s" if source.end_s is not None else "its end"
    return f"{source.url}, from {source.start_s or 0:g} s to {end}"
