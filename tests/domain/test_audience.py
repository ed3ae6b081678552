from __future__ import annotations

import pytest

from penstock.domain.audience import WINDOW_S, Audiences, Crowd
from penstock.link.messages import Audience
from tests.domain.kit import DEMO, OTHER, make_stats

PULL, PULL2 = "pull.demo.test", "pull2.demo.test"


def everybody(format_: str, domain: str) -> bool:
    return True


def see(audiences: Audiences, now_s: float, *parts: Audience) -> None:
    audiences.see(DEMO, make_stats(1, audience=parts), now_s)


@pytest.fixture
def audiences() -> Audiences:
    return Audiences()


def test_nobody_plays_what_was_never_heard_of(audiences: Audiences) -> None:
    assert audiences.crowd(DEMO, everybody) == Crowd()


def test_one_sample_tells_players_and_no_rate(audiences: Audiences) -> None:
    see(audiences, 100, Audience("flv", PULL, 3, 5000))
    assert audiences.crowd(DEMO, everybody) == Crowd(3, 0)


def test_a_rate_is_what_was_taken_between_two_samples(audiences: Audiences) -> None:
    see(audiences, 100, Audience("flv", PULL, 3, 5000))
    see(audiences, 102, Audience("flv", PULL, 4, 5000 + 250))
    assert audiences.crowd(DEMO, everybody) == Crowd(4, 1000)


def test_rates_are_over_the_last_seconds(audiences: Audiences) -> None:
    taken = 0
    for second in range(20):
        taken += 1000 if second < 10 else 100
        see(audiences, second, Audience("flv", PULL, 1, taken))
    assert audiences.crowd(DEMO, everybody).bits_per_s == 800
    # No more is kept than that takes.
    assert len(audiences._samples[DEMO]) <= WINDOW_S + 2


def test_players_and_bytes_are_told_apart_by_how_they_came(audiences: Audiences) -> None:
    for second in (0, 1):
        see(
            audiences,
            second,
            Audience("flv", PULL, 1, second * 10),
            Audience("flv", PULL2, 2, second * 20),
            Audience("rtmp", PULL, 4, second * 40),
        )
    assert audiences.crowd(DEMO, everybody) == Crowd(7, 560)
    assert audiences.crowd(DEMO, lambda form, _: form == "flv") == Crowd(3, 240)
    assert audiences.crowd(DEMO, lambda form, domain: (form, domain) == ("flv", PULL2)) == Crowd(2, 160)
    assert audiences.crowd(DEMO, lambda *_: False) == Crowd()


def test_who_came_meanwhile_counts_from_nothing(audiences: Audiences) -> None:
    see(audiences, 0)
    see(audiences, 1, Audience("rtmp", PULL, 1, 125))
    assert audiences.crowd(DEMO, everybody) == Crowd(1, 1000)


def test_who_left_has_no_players_and_takes_no_bytes_back(audiences: Audiences) -> None:
    see(audiences, 0, Audience("rtmp", PULL, 1, 5000), Audience("flv", PULL, 1, 0))
    see(audiences, 1, Audience("flv", PULL, 1, 125))
    assert audiences.crowd(DEMO, everybody) == Crowd(1, 1000)


def test_a_stream_that_began_anew_has_no_negative_rate(audiences: Audiences) -> None:
    see(audiences, 0, Audience("flv", PULL, 1, 50_000))
    see(audiences, 1, Audience("flv", PULL, 1, 100))
    assert audiences.crowd(DEMO, everybody) == Crowd(1, 0)


def test_two_samples_of_one_moment_are_no_rate(audiences: Audiences) -> None:
    for taken in (0, 1000):
        see(audiences, 5, Audience("flv", PULL, 1, taken))
    assert audiences.crowd(DEMO, everybody) == Crowd(1, 0)


def test_a_stream_off_air_is_forgotten_and_others_are_not(audiences: Audiences) -> None:
    see(audiences, 0, Audience("flv", PULL, 1, 0))
    audiences.see(OTHER, make_stats(2, audience=(Audience("flv", PULL, 9, 0),)), 0)
    audiences.forget(DEMO)
    audiences.forget(DEMO)
    assert audiences.crowd(DEMO, everybody) == Crowd()
    assert audiences.crowd(OTHER, everybody).players == 9


def test_crowds_add_up() -> None:
    assert Crowd(1, 10) + Crowd(2, 20) == Crowd(3, 30)
