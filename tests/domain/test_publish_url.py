"""Signed publishing URLs: who has the key, for which path, until when."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from hashlib import md5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.publish_url import MAX_FIELDS, check, sign
from penstock.errors import UrlExpired, UrlNotSigned
from penstock.model import StreamId
from penstock.storage.rows import SignPart, UrlSigning
from tests.clock import START
from tests.domain.kit import DEMO, OTHER

KEY = "the-publish-key"
PLAIN = UrlSigning()
NOW = int(START.timestamp())
SECOND = timedelta(seconds=1)


def passes(query: str, *, stream: StreamId = DEMO, signing: UrlSigning = PLAIN, key: str = KEY) -> bool:
    try:
        check(key, stream, query, signing, START)
    except UrlNotSigned as error:
        return _is_silent(error)
    return True


def _is_silent(error: UrlNotSigned) -> bool:
    """False, as the URL does not pass; its refusal has its code, and no key."""
    assert error.code == 426
    assert KEY not in str(error)
    return False


def test_the_secret_is_the_md5_of_key_path_and_time() -> None:
    made = md5(f"{KEY}/live/cam{NOW + 60}".encode()).hexdigest()
    assert sign(KEY, DEMO, str(NOW + 60), PLAIN) == f"wsSecret={made}&wsTime={NOW + 60}"
    assert passes(f"wsSecret={made}&wsTime={NOW + 60}")


@pytest.mark.parametrize("order", list(itertools.permutations(("key", "path", "time"))))
def test_the_order_is_the_vhosts(order: tuple[str, ...]) -> None:
    parts = {"key": KEY, "path": "/live/cam", "time": str(NOW + 60)}
    made = md5("".join(parts[part] for part in order).encode()).hexdigest()
    query = f"wsSecret={made}&wsTime={NOW + 60}"
    assert passes(query, signing=UrlSigning(order=order))  # type: ignore[arg-type]
    assert passes(query) == (order == ("key", "path", "time"))


@pytest.mark.parametrize("time", [f"{NOW + 60:x}", f"{NOW + 60:X}", f"{NOW + 60:08x}"])
def test_the_time_may_be_hexadecimal_and_is_hashed_as_it_is_written(time: str) -> None:
    assert passes(sign(KEY, DEMO, time, PLAIN))
    decimal = sign(KEY, DEMO, str(NOW + 60), PLAIN)
    assert not passes(decimal.replace(str(NOW + 60), time))


def test_the_secret_may_be_in_capitals_and_other_parameters_about() -> None:
    secret, _, time = sign(KEY, DEMO, str(NOW + 60), PLAIN).partition("&")
    assert passes(f"a=b&{time}&x=&{secret.replace('wsSecret=', '').upper().join(['wsSecret=', ''])}&vhost=demo")


@pytest.mark.parametrize(
    "change",
    [
        lambda query: "",
        lambda query: query.partition("&")[0],
        lambda query: query.partition("&")[2],
        lambda query: query + "&" + query,
        lambda query: query + "&wsTime=1",
        lambda query: query + "&wsSecret=",
        lambda query: query.replace("wsTime", "wstime"),
        lambda query: query.replace(f"wsTime={NOW + 60}", f"wsTime={NOW + 61}"),
        lambda query: query.replace("wsSecret=", "wsSecret=0"),
        lambda query: query[:9] + "0" * 32 + query[41:],
        lambda query: query + "&x=1" * MAX_FIELDS,
        lambda query: query.replace("wsSecret=", "wsSecret=é"),
        lambda query: query.replace("wsSecret=", "wsSecret=%ed%a0%80"),
    ],
)
def test_a_part_that_is_missing_or_double_or_another_is_no_signature(change: object) -> None:
    assert not passes(change(sign(KEY, DEMO, str(NOW + 60), PLAIN)))  # type: ignore[operator]


def test_another_stream_or_key_has_another_signature() -> None:
    query = sign(KEY, DEMO, str(NOW + 60), PLAIN)
    assert not passes(query, stream=OTHER)
    assert not passes(query, stream=StreamId("demo", "studio", "cam"))
    assert not passes(query, key="another")
    # The vhost is the key's.
    assert passes(query, stream=StreamId("second", "live", "cam"))


@pytest.mark.parametrize(
    "time", ["", "1", "soon", "17723664000", "-772366400", "\uff11" * 10, "1772366 00", "0x69a429"]
)
def test_a_time_of_another_form_is_none_even_if_it_was_signed(time: str) -> None:
    assert not passes(sign(KEY, DEMO, time, PLAIN))


def test_a_url_is_good_until_just_before_its_time() -> None:
    query = sign(KEY, DEMO, str(NOW), PLAIN)
    check(KEY, DEMO, query, PLAIN, START - timedelta(microseconds=1))
    for now in (START, START + 900 * SECOND):
        with pytest.raises(UrlExpired, match="was good until 2026-03-01T12:00:00Z") as refusal:
            check(KEY, DEMO, query, PLAIN, now)
        assert refusal.value.code == 425


def test_where_the_time_is_that_of_signing_it_is_good_for_a_while_from_there() -> None:
    signing = UrlSigning(valid_s=600)
    query = sign(KEY, DEMO, str(NOW), signing)
    check(KEY, DEMO, query, signing, START + 600 * SECOND - timedelta(microseconds=1))
    with pytest.raises(UrlExpired):
        check(KEY, DEMO, query, signing, START + 600 * SECOND)


def test_a_wrong_signature_is_no_old_one() -> None:
    """Nobody learns from 425 that a guess was right but for its time."""
    query = sign("guess", DEMO, str(NOW - 60), PLAIN)
    with pytest.raises(UrlNotSigned):
        check(KEY, DEMO, query, PLAIN, START)


@pytest.mark.parametrize("order", [("key", "path", "time"), ("path", "time", "key")])
@pytest.mark.parametrize("expires_in_s", [-60, 60, 365 * 86_400])
def test_a_signature_that_fits_two_streams_is_good_for_the_one_whose_time_is_nearer(
    order: tuple[SignPart, ...], expires_in_s: int
) -> None:
    """From a URL of `cam` nobody makes one of `cam17` that is good for years."""
    signing = UrlSigning(order=order)
    signed_at = datetime(2026, 11, 25, tzinfo=UTC)
    time = str(int(signed_at.timestamp()) + expires_in_s)
    query = sign(KEY, DEMO, time, signing)
    other = StreamId("demo", "live", DEMO.stream + time[:2])
    assert sign(KEY, other, time[2:], signing) == query.replace(f"wsTime={time}", f"wsTime={time[2:]}")
    with pytest.raises(UrlNotSigned, match="reads as another stream's"):
        check(KEY, other, sign(KEY, other, time[2:], signing), signing, signed_at)
    if expires_in_s > 0:
        check(KEY, DEMO, query, signing, signed_at)
    else:
        with pytest.raises(UrlExpired):
            check(KEY, DEMO, query, signing, signed_at)


def test_a_hexadecimal_time_without_letters_is_good_for_its_own_stream() -> None:
    time, stream = "70000000", StreamId("demo", "live", "cam99")
    now = datetime.fromtimestamp(int(time, 16), UTC) - 60 * SECOND
    check(KEY, stream, sign(KEY, stream, time, PLAIN), PLAIN, now)
    with pytest.raises(UrlNotSigned, match="reads as another stream's"):
        check(KEY, DEMO, sign(KEY, DEMO, f"99{time}", PLAIN), PLAIN, now)


@given(st.text() | st.text().map(lambda text: f"wsSecret={text}&wsTime={text}"))
def test_no_query_passes_by_chance_or_raises_anything_else(query: str) -> None:
    assert not passes(query)


@given(st.text(), st.integers(0, 2**32 - 1).map(lambda number: f"{number:08x}"))
def test_any_key_signs(key: str, time: str) -> None:
    query = sign(key, DEMO, time, PLAIN)
    try:
        check(key, DEMO, query, PLAIN, START)
    except UrlExpired:
        assert int(time, 16) <= NOW
    else:
        assert int(time, 16) > NOW
