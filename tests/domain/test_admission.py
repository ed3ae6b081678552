from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from penstock.domain import bans, publish_url
from penstock.domain.admission import admit
from penstock.domain.live import Live, Rules
from penstock.errors import BadParameters, Banned, NameInUse, UrlNotSigned
from penstock.link.messages import EndReason, Holder
from penstock.model import StreamId
from penstock.storage.rows import UrlSigning
from tests.clock import START
from tests.domain.kit import CLIENT, DEMO, ME, OTHER, RIVAL, RULES, asked

REPLACE = msgspec.structs.replace(RULES, on_conflict="replace")


async def test_a_free_name_is_leased(live: Live) -> None:
    session, replaces = admit(live, asked())
    assert (session.lease.stream, session.client, session.admitted_at) == (DEMO, CLIENT, START)
    assert replaces is None
    assert session.began_at is None
    assert live.sessions.holder(DEMO) is session


async def test_each_lease_has_a_session_of_its_own_and_a_higher_epoch(live: Live) -> None:
    leases = [admit(live, asked(StreamId("demo", "live", f"cam{number}")))[0].lease for number in range(5)]
    epochs = [lease.epoch for lease in leases]
    assert epochs == sorted(set(epochs))
    assert len({lease.session for lease in leases}) == 5


@pytest.mark.parametrize(
    ("stream", "why"),
    [
        (StreamId("nosuch", "live", "cam"), "there is no vhost nosuch"),
        (StreamId("demo", "vod", "cam"), "vhost demo has no app vod"),
        (StreamId("Demo", "live", "cam"), "there is no vhost Demo"),
        (StreamId("demo", "LIVE", "cam"), "vhost demo has no app LIVE"),
    ],
)
async def test_what_the_settings_do_not_have_is_refused_and_nothing_is_leased(
    live: Live, stream: StreamId, why: str
) -> None:
    with pytest.raises(BadParameters, match=why) as refusal:
        admit(live, asked(stream))
    assert refusal.value.code == 428
    assert len(live.sessions) == 0


async def test_while_the_holder_sends_a_second_publisher_is_refused(live: Live) -> None:
    first, _ = admit(live, asked())
    with pytest.raises(NameInUse, match=r"demo/live/cam has a publisher that sends; .* silent for 2 s") as refusal:
        admit(live, asked(client=RIVAL, holder=Holder(first.lease.epoch, 1.9)))
    assert refusal.value.code == 422
    assert live.sessions.holder(DEMO) is first


async def test_a_holder_that_is_silent_for_long_enough_has_to_go(live: Live) -> None:
    first, _ = admit(live, asked())
    second, replaces = admit(live, asked(client=RIVAL, holder=Holder(first.lease.epoch, 2.0)))
    assert replaces == first.lease.epoch
    assert second.lease.epoch > first.lease.epoch
    assert live.sessions.holder(DEMO) is second


async def test_where_the_newest_wins_even_a_sending_holder_has_to_go(live: Live) -> None:
    live.rules = REPLACE
    first, _ = admit(live, asked())
    _, replaces = admit(live, asked(client=RIVAL, holder=Holder(first.lease.epoch, 0.0)))
    assert replaces == first.lease.epoch


@pytest.mark.parametrize("rules", [RULES, REPLACE])
async def test_of_two_that_race_for_a_free_name_the_first_has_it(live: Live, rules: Rules) -> None:
    live.rules = rules
    admit(live, asked())
    with pytest.raises(NameInUse, match=r"was just given to a publisher at 192\.0\.2\.7"):
        admit(live, asked(ask=2, client=RIVAL))


async def test_a_name_is_free_again_once_its_session_is_over(live: Live) -> None:
    first, _ = admit(live, asked())
    live.sessions.end(first.lease, EndReason.LEFT, live.clock.now(), None)
    second, replaces = admit(live, asked(client=RIVAL))
    assert replaces is None
    assert second.lease.epoch > first.lease.epoch


async def test_other_names_are_not_concerned(live: Live) -> None:
    admit(live, asked())
    admit(live, asked(OTHER))
    assert len(live.sessions) == 2


async def test_a_holder_that_control_does_not_know_counts_all_the_same(live: Live) -> None:
    """The engine is where publishers are: control may have been started a moment ago."""
    with pytest.raises(NameInUse):
        admit(live, asked(holder=Holder(77, 0.1)))
    assert admit(live, asked(holder=Holder(77, 5.0)))[1] == 77


async def test_a_session_is_its_vhosts_accounts_and_shows_under_the_domain_that_it_came_by(
    live: Live,
) -> None:
    by_host, _ = admit(live, asked(domain="push2.demo.test"))
    assert (by_host.account, by_host.push_domain) == ("1", "push2.demo.test")
    by_query, _ = admit(live, asked(OTHER, domain="127.0.0.1"))
    assert by_query.push_domain == "push.demo.test"


async def test_a_banned_stream_is_refused_until_its_ban_ends(live: Live) -> None:
    await bans.ban(live, ME, DEMO, until=START + timedelta(hours=1), reason="no rights")
    with pytest.raises(Banned, match="demo/live/cam is banned until 2026-03-01T13:00:00Z: no rights") as refusal:
        admit(live, asked())
    assert refusal.value.code == 423
    admit(live, asked(OTHER))
    live.clock.turn(by=timedelta(hours=1))
    admit(live, asked())


async def test_a_vhost_with_signed_urls_takes_no_other(live: Live) -> None:
    stream = StreamId("signed", "live", "cam")
    good = publish_url.sign("publish-key", stream, str(int(START.timestamp()) + 60), UrlSigning())
    with pytest.raises(UrlNotSigned) as refusal:
        admit(live, asked(stream))
    assert refusal.value.code == 426
    # However far the domain's clock was turned: URLs are made by other people's clocks.
    live.clock.turn(by=timedelta(days=90))
    admit(live, asked(stream, query=good))
