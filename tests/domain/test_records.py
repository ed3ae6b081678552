from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from penstock.domain import records
from penstock.domain.live import Live
from penstock.domain.sessions import Session
from penstock.errors import BadParameters, Banned
from penstock.link.messages import Client, EndReason, StreamStats, TurnedAway
from penstock.model import StreamId
from tests.clock import START
from tests.domain.kit import DEMO, asked, make_stats

ENCODER = Client("2001:db8::7", 50_000, True, "OBS\r\n\x1b[31m")


def session(live: Live) -> Session:
    return live.sessions.admit(DEMO, ENCODER, account="1", push_domain="push2.demo.test")


async def test_a_row_is_the_session_and_reads_back_as_it(live: Live) -> None:
    admitted = session(live)
    row = records.row_of(admitted)
    assert (row.epoch, row.session, row.stream) == (admitted.lease.epoch, admitted.lease.session, DEMO)
    assert (row.address, row.port, row.tls, row.agent) == ("2001:db8::7", 50_000, True, "OBS\r\n\x1b[31m")
    assert (row.account, row.push_domain, row.admitted_at, row.began_at) == ("1", "push2.demo.test", START, None)
    assert records.session_of(row) == admitted


async def test_an_end_has_the_last_facts(live: Live) -> None:
    admitted = session(live)
    live.sessions.began(admitted.lease, START)
    stats = make_stats(admitted.lease.epoch, bytes_in=77)
    live.sessions.end(admitted.lease, EndReason.KICKED, START + timedelta(seconds=5), stats)
    end = records.end_of(admitted, "by AKone")
    assert (end.epoch, end.reason, end.detail) == (admitted.lease.epoch, "kicked", "by AKone")
    assert (end.at, end.began_at, end.bytes_in) == (START + timedelta(seconds=5), START, 77)
    assert msgspec.json.decode(end.facts, type=StreamStats) == stats


async def test_without_facts_there_are_none(live: Live) -> None:
    admitted = session(live)
    live.sessions.end(admitted.lease, EndReason.LOST, START, None)
    end = records.end_of(admitted, "")
    assert (end.facts, end.bytes_in, end.began_at) == ("", 0, None)
    # An engine that has measured nothing yet knows no better.
    assert records.facts_of(make_stats(5)) == ""


async def test_a_session_that_goes_on_has_no_end(live: Live) -> None:
    with pytest.raises(AssertionError):
        records.end_of(session(live), "")


async def test_a_refusal_is_the_owners_of_what_was_named(live: Live) -> None:
    made = records.refusal_of(live, asked(client=ENCODER, domain="push2.demo.test"), Banned("until then"))
    assert (made.at, made.code, made.why) == (START, 423, "until then")
    assert (made.vhost, made.app, made.stream, made.account, made.domain) == (*_parts(DEMO), "1", "push2.demo.test")
    assert (made.address, made.port, made.agent) == (ENCODER.address, ENCODER.port, ENCODER.agent)


async def test_a_refusal_of_what_does_not_exist_is_nobodys(live: Live) -> None:
    nowhere = StreamId("nosuch", "live", "cam")
    made = records.refusal_of(live, asked(nowhere, domain="h"), BadParameters("no such vhost"))
    assert (made.vhost, made.account, made.domain, made.code) == ("nosuch", "", "", 428)


async def test_what_an_engine_turned_away_is_kept_as_it_was_named(live: Live) -> None:
    told = TurnedAway("h/live/../x", ENCODER, 428, "no name", START, "demo", "live", "../x", "unknown.test")
    made = records.turned_away(live, told, START + timedelta(days=1))
    assert (made.at, made.code, made.why, made.stream) == (START + timedelta(days=1), 428, "no name", "../x")
    assert (made.account, made.domain) == ("1", "push.demo.test")
    nobody = records.turned_away(live, TurnedAway("?", ENCODER, 428, "", START), START)
    assert (nobody.account, nobody.vhost, nobody.domain) == ("", "", "")


def _parts(stream: StreamId) -> tuple[str, str, str]:
    return stream.vhost, stream.app, stream.stream
