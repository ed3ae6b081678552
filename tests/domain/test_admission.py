from __future__ import annotations

import msgspec
import pytest

from penstock.domain.admission import admit
from penstock.domain.live import Rules
from penstock.errors import BadParameters, NameInUse
from penstock.link.messages import EndReason, Holder
from penstock.model import StreamId
from tests.clock import START, ManualClock
from tests.domain.kit import CLIENT, DEMO, OTHER, RIVAL, RULES, asked, make_live

REPLACE = msgspec.structs.replace(RULES, on_conflict="replace")


def test_a_free_name_is_leased() -> None:
    live = make_live()
    session, replaces = admit(live, asked())
    assert (session.lease.stream, session.client, session.admitted_at) == (DEMO, CLIENT, START)
    assert replaces is None
    assert session.began_at is None
    assert live.sessions.holder(DEMO) is session


def test_each_lease_has_a_session_of_its_own_and_a_higher_epoch() -> None:
    live = make_live()
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
def test_what_the_settings_do_not_have_is_refused_and_nothing_is_leased(stream: StreamId, why: str) -> None:
    live = make_live()
    with pytest.raises(BadParameters, match=why) as refusal:
        admit(live, asked(stream))
    assert refusal.value.code == 428
    assert len(live.sessions) == 0


def test_while_the_holder_sends_a_second_publisher_is_refused() -> None:
    live = make_live()
    first, _ = admit(live, asked())
    with pytest.raises(NameInUse, match=r"demo/live/cam has a publisher that sends; .* silent for 2 s") as refusal:
        admit(live, asked(client=RIVAL, holder=Holder(first.lease.epoch, 1.9)))
    assert refusal.value.code == 422
    assert live.sessions.holder(DEMO) is first


def test_a_holder_that_is_silent_for_long_enough_has_to_go() -> None:
    live = make_live()
    first, _ = admit(live, asked())
    second, replaces = admit(live, asked(client=RIVAL, holder=Holder(first.lease.epoch, 2.0)))
    assert replaces == first.lease.epoch
    assert second.lease.epoch > first.lease.epoch
    assert live.sessions.holder(DEMO) is second


def test_where_the_newest_wins_even_a_sending_holder_has_to_go() -> None:
    live = make_live(rules=REPLACE)
    first, _ = admit(live, asked())
    _, replaces = admit(live, asked(client=RIVAL, holder=Holder(first.lease.epoch, 0.0)))
    assert replaces == first.lease.epoch


@pytest.mark.parametrize("rules", [RULES, REPLACE])
def test_of_two_that_race_for_a_free_name_the_first_has_it(rules: Rules) -> None:
    live = make_live(rules=rules)
    admit(live, asked())
    with pytest.raises(NameInUse, match=r"was just given to a publisher at 192\.0\.2\.7"):
        admit(live, asked(ask=2, client=RIVAL))


def test_a_name_is_free_again_once_its_session_is_over() -> None:
    clock = ManualClock()
    live = make_live(clock)
    first, _ = admit(live, asked())
    live.sessions.end(first.lease, EndReason.LEFT, clock.now(), None)
    second, replaces = admit(live, asked(client=RIVAL))
    assert replaces is None
    assert second.lease.epoch > first.lease.epoch


def test_other_names_are_not_concerned() -> None:
    live = make_live()
    admit(live, asked())
    admit(live, asked(OTHER))
    assert len(live.sessions) == 2


def test_a_holder_that_control_does_not_know_counts_all_the_same() -> None:
    """The engine is where publishers are: control may have been started a moment ago."""
    live = make_live()
    with pytest.raises(NameInUse):
        admit(live, asked(holder=Holder(77, 0.1)))
    assert admit(live, asked(holder=Holder(77, 5.0)))[1] == 77
