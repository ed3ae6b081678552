"""Every rule that a task is held to, at its limit and one beyond."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from penstock.domain.live import Live
from penstock.domain.relays import wishes
from penstock.domain.relays.wishes import Overlay
from penstock.errors import Denied, InvalidField, MissingField, NotFound, UnknownDomain
from penstock.net.guard import Guard
from penstock.storage.relay_rows import Source
from tests.clock import START
from tests.domain.relays.kit import FILES, TARGET, files, wish

SECOND = timedelta(seconds=1)
DAYS7 = timedelta(days=7)
OWN = {"target": "", "domain": "push.demo.test", "app": "live", "stream": "b"}
PICTURE = b"\x89PNG"


def check(live: Live, **changes: Any) -> str:
    return wishes.check(live, "1", wish(**changes))


def check_files(live: Live, **changes: Any) -> str:
    return wishes.check(live, "1", files(**changes))


def url(length: int, head: str = "http://files.test/") -> str:
    return head + "a" * (length - len(head))


@pytest.mark.parametrize("title", ["", "a", "Z9", "新闻直播", "a" * 20, "新" * 20])
def test_a_title_is_chinese_letters_and_digits(live: Live, title: str) -> None:
    assert check(live, title=title) == TARGET


@pytest.mark.parametrize("title", ["a" * 21, "a b", "a-b", "é", "\uff46", "a\n", "<b>", "٣"])
def test_any_other_title_is_refused(live: Live, title: str) -> None:
    with pytest.raises(InvalidField, match=r"title is .*; it must be 1 to 20 Chinese characters"):
        check(live, title=title)


@pytest.mark.parametrize("span", [SECOND, DAYS7])
def test_a_window_is_seven_days_at_most(live: Live, span: timedelta) -> None:
    assert check(live, ends_at=START + span)


@pytest.mark.parametrize("span", [-SECOND, timedelta(), DAYS7 + SECOND])
def test_a_window_that_is_none_or_too_long_is_refused(live: Live, span: timedelta) -> None:
    with pytest.raises(InvalidField, match=r"ends_at is .*; it must be later than the start .* at most 7 days"):
        check(live, ends_at=START + span)


def test_a_window_may_be_over_already(live: Live) -> None:
    assert check(live, starts_at=START - DAYS7, ends_at=START - SECOND)


@pytest.mark.parametrize("scheme", ["rtmp", "rtmps", "http", "https"])
def test_a_live_source_comes_by_rtmp_or_http(live: Live, scheme: str) -> None:
    assert check(live, sources=(Source(f"{scheme}://source.test/live/a"),))


@pytest.mark.parametrize(
    "source",
    ["", "file:///etc/passwd", "rtsp://source.test/a", "srt://source.test:1", "data:video/mp4,x", "http://", "//a/b",
     "concat:http://a|http://b", "-i http://source.test/a", "http://source.test/a b", "http://user:pw@source.test/a"],
)  # fmt: skip
def test_any_other_source_is_refused(live: Live, source: str) -> None:
    with pytest.raises(InvalidField, match=r"sources is .*; it must be a URL that may be reached"):
        check(live, sources=(Source(source),))


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1",
     "0177.0.0.1", "0.0.0.0", "100.64.0.1", "[fd00::1]"],
)  # fmt: skip
def test_private_addresses_are_refused_at_once(live: Live, host: str) -> None:
    for field, changes in (
        ("sources", {"sources": (Source(f"http://{host}/a.flv"),)}),
        ("target", {"target": f"rtmp://{host}/live/b"}),
        ("callback_url", {"callback_url": f"http://{host}/hook"}),
    ):
        with pytest.raises(InvalidField) as refused:
            check(live, **changes)
        assert refused.value.field == field


@pytest.mark.parametrize("source", ["rtmp://source.test", "rtmp://source.test/live", "rtmps://source.test/live/?k=1"])
def test_an_rtmp_source_has_an_app_and_a_stream(live: Live, source: str) -> None:
    with pytest.raises(InvalidField, match=r"sources is .* lacks an app or a stream"):
        check(live, sources=(Source(source),))


def test_what_the_operator_opened_may_be_reached(live: Live) -> None:
    live.guard = Guard(["127.0.0.0/8"])
    assert check(live, sources=(Source("http://127.0.0.1/a.flv"),), target="rtmp://127.0.0.1/live/b")


def test_a_live_task_has_one_source(live: Live) -> None:
    with pytest.raises(MissingField):
        check(live, sources=())
    with pytest.raises(InvalidField, match="sources is 2; it must be at most 1 of them"):
        check(live, sources=(Source("http://a.test/1.flv"), Source("http://a.test/2.flv")))


def test_thirty_files_of_a_thousand_characters_are_the_most(live: Live) -> None:
    longest = Source(url(1000))
    assert check_files(live, sources=(longest,) * 30)
    with pytest.raises(InvalidField, match="sources is 31; it must be at most 30 of them"):
        check_files(live, sources=(longest,) * 31)
    with pytest.raises(InvalidField, match="1001 characters"):
        check_files(live, sources=(Source(url(1001)),))
    with pytest.raises(MissingField):
        check_files(live, sources=())


def test_files_come_by_http_alone(live: Live) -> None:
    with pytest.raises(InvalidField, match="sources is"):
        check_files(live, sources=(Source("rtmp://source.test/live/a"),))


@pytest.mark.parametrize("part", [(None, None), (0.0, 0.001), (5.0, None), (None, 9.0), (5.0, 5.1)])
def test_parts_of_files(live: Live, part: tuple[float | None, float | None]) -> None:
    assert check_files(live, sources=(Source(FILES[0].url, *part),))


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ((-0.1, None), "start_s"),
        ((float("nan"), None), "start_s"),
        ((float("inf"), None), "start_s"),
        ((5.0, 5.0), "end_s"),
        ((5.0, 4.0), "end_s"),
        ((None, 0.0), "end_s"),
        ((None, float("nan")), "end_s"),
        ((None, float("inf")), "end_s"),
    ],
)
def test_parts_that_are_none_are_refused(live: Live, part: tuple[float | None, float | None], field: str) -> None:
    with pytest.raises(InvalidField) as refused:
        check_files(live, sources=(Source(FILES[0].url, *part),))
    assert refused.value.field == field


@pytest.mark.parametrize("cycle_mode", [-1, 0, 1, 1_000_000])
def test_loops(live: Live, cycle_mode: int) -> None:
    assert check_files(live, cycle_mode=cycle_mode)


@pytest.mark.parametrize(
    "changes",
    [{"cycle_mode": -2}, {"cycle_mode": 1_000_001}, {"cycle_mode": 0, "play_times": -1}, {"cycle_mode": None}],
)
def test_loops_that_are_none_are_refused(live: Live, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidField):
        check_files(live, **changes)


def test_what_does_not_count_for_a_live_source_may_be_anything(live: Live) -> None:
    assert check(live, cycle_mode=-7, play_times=-1)


# The target


@pytest.mark.parametrize("target", ["rtmp://target.test/live/b", "rtmps://target.test:443/app/inst/b?k=1"])
def test_a_target_is_rtmp(live: Live, target: str) -> None:
    assert check(live, target=target) == target


@pytest.mark.parametrize(
    "target",
    [
        "http://target.test/live/b",
        "rtmp:/target.test",
        "srt://target.test:1",
        # Whom nobody could push to.
        "rtmp://target.test",
        "rtmp://target.test/live",
        "rtmp://target.test/live/",
        "rtmps://target.test//b?k=1",
    ],
)
def test_any_other_target_is_refused(live: Live, target: str) -> None:
    with pytest.raises(InvalidField, match="target is"):
        check(live, target=target)


def test_a_whole_target_wins_over_its_parts(live: Live) -> None:
    assert check(live, **OWN | {"target": TARGET, "domain": "nowhere.test"}) == TARGET


def test_a_target_is_made_of_domain_app_and_stream(live: Live) -> None:
    assert check(live, **OWN) == "rtmp://push.demo.test/live/b"
    assert check(live, **OWN | {"domain": "Push2.Demo.test"}) == "rtmp://push2.demo.test/live/b"


@pytest.mark.parametrize("part", ["domain", "app", "stream"])
def test_none_of_the_three_may_be_missing(live: Live, part: str) -> None:
    with pytest.raises(MissingField) as refused:
        check(live, **OWN | {part: ""})
    assert refused.value.field == part


@pytest.mark.parametrize("domain", ["push.other.test", "nowhere.test", "pull.demo.test", "demo"])
def test_a_domain_is_a_push_domain_of_the_account(live: Live, domain: str) -> None:
    with pytest.raises(UnknownDomain):
        check(live, **OWN | {"domain": domain})


def test_app_and_stream_are_names_of_the_vhost(live: Live) -> None:
    with pytest.raises(Denied, match="vhost demo has no app 'vod'; it has live, studio"):
        check(live, **OWN | {"app": "vod"})
    assert check(live, **OWN | {"stream": "a" * 100})
    for stream in ("a" * 101, "a/b", "..", "a b", "直播"):
        with pytest.raises(InvalidField, match="stream is"):
            check(live, **OWN | {"stream": stream})


# Callback and watermark


def test_a_callback_has_two_thousand_characters_at_most(live: Live, caplog: pytest.LogCaptureFixture) -> None:
    head = "http://receiver.test/"
    assert check(live, callback_url=url(512, head))
    assert caplog.text == ""
    assert check(live, callback_url=url(2000, head))
    assert "512" in caplog.text
    with pytest.raises(InvalidField, match=r"callback_url is .*2001 characters"):
        check(live, callback_url=url(2001, head))
    with pytest.raises(InvalidField, match="callback_url is"):
        check(live, callback_url="ftp://receiver.test/")


@pytest.mark.parametrize("place", [(0.0, 0.0, 0.01), (0.999, 0.999, 1.0)])
def test_where_a_watermark_may_lie(live: Live, place: tuple[float, float, float]) -> None:
    assert check(live, overlay=Overlay(PICTURE, *place))


@pytest.mark.parametrize(
    ("place", "field"),
    [
        ((1.0, 0.0, 0.1), "x"),
        ((-0.01, 0.0, 0.1), "x"),
        ((0.0, 1.0, 0.1), "y"),
        ((0.0, float("nan"), 0.1), "y"),
        ((0.0, 0.0, 0.0), "width"),
        ((0.0, 0.0, 1.01), "width"),
        ((0.0, 0.0, float("nan")), "width"),
    ],
)
def test_where_it_may_not(live: Live, place: tuple[float, float, float], field: str) -> None:
    with pytest.raises(InvalidField) as refused:
        check(live, overlay=Overlay(PICTURE, *place))
    assert refused.value.field == field


def test_a_refusal_shows_no_key_of_a_url(live: Live) -> None:
    with pytest.raises(InvalidField) as refused:
        check(live, target="rtmp://10.0.0.1/live/b?wsSecret=hidden")
    assert "hidden" not in str(refused.value)
    assert not isinstance(refused.value, NotFound)
