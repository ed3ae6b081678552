from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.engine.addressing import MAX_HOST, MAX_QUERY, Target, VhostTable, host_name
from penstock.errors import BadParameters
from penstock.link.messages import Vhost
from penstock.model import StreamId, is_name

DEMO = Vhost("demo", ("push.demo.test",), ("pull.demo.test", "cdn.demo.test"), ("live", "vod"))
SHOP = Vhost("shop", ("push.shop.test",), ("pull.shop.test",), ("live",))
BOTH = VhostTable([DEMO, SHOP])


def rtmp(tc_url: str, app: str = "live", name: str = "cam") -> Target:
    return Target.of_rtmp(tc_url, app, name)


def vhost_of(table: VhostTable, target: Target) -> str:
    return table.locate(target).vhost


# Which vhost


@pytest.mark.parametrize(
    ("host", "vhost"),
    [
        ("push.demo.test", "demo"),
        ("pull.demo.test", "demo"),
        ("cdn.demo.test", "demo"),
        ("push.shop.test", "shop"),
        ("push.demo.test:1935", "demo"),
        ("PUSH.Demo.TEST:19350", "demo"),
        ("push.demo.test.", "demo"),
        ("push.demo.test.:1935", "demo"),
        ("user:secret@push.demo.test:1935", "demo"),
        ("push.shop.test@push.demo.test", "demo"),
    ],
)
def test_a_configured_domain_in_the_host_tells_the_vhost(host: str, vhost: str) -> None:
    assert vhost_of(BOTH, rtmp(f"rtmp://{host}/live")) == vhost
    assert vhost_of(BOTH, Target(host, "live", "cam")) == vhost


def test_the_host_goes_before_every_query() -> None:
    target = rtmp("rtmp://push.demo.test/live?vhost=shop", "live?vhost=shop", "cam?vhost=shop")
    assert vhost_of(BOTH, target) == "demo"


@pytest.mark.parametrize("hint", ["shop", "push.shop.test", "pull.shop.test", "PULL.SHOP.TEST", "pull.shop.test."])
@pytest.mark.parametrize(
    "target",
    [
        ("rtmp://192.0.2.1/live", "live", "cam?vhost={}"),
        ("rtmp://192.0.2.1/live", "live", "cam?key=1&vhost={}&b=2"),
        ("rtmp://192.0.2.1/live", "live?vhost={}", "cam"),
        ("rtmp://192.0.2.1/live", "live/?vhost={}", "cam"),
        ("rtmp://192.0.2.1/live?vhost={}", "live", "cam"),
        ("rtmp://192.0.2.1:1935/live/?vhost={}", "live", "cam?key=1"),
        ("", "live", "cam?vhost={}"),
    ],
)
def test_else_a_query_does_wherever_the_encoder_put_it(target: tuple[str, str, str], hint: str) -> None:
    assert BOTH.locate(rtmp(*(part.format(hint) for part in target))) == StreamId("shop", "live", "cam")


def test_of_several_queries_the_one_nearest_to_the_stream_name_tells() -> None:
    assert vhost_of(BOTH, rtmp("rtmp://h/live?vhost=demo", "live?vhost=demo", "cam?vhost=shop")) == "shop"
    assert vhost_of(BOTH, rtmp("rtmp://h/live?vhost=demo", "live?vhost=shop", "cam?key=1")) == "shop"


def test_a_query_may_name_a_vhost_that_no_domain_leads_to() -> None:
    table = VhostTable([Vhost("bare", apps=("live",)), SHOP])
    assert vhost_of(table, rtmp("rtmp://192.0.2.1/live", name="cam?vhost=bare")) == "bare"


def test_a_query_that_names_nothing_is_refused_even_where_there_is_a_default() -> None:
    for table in (BOTH, VhostTable([DEMO, SHOP], "demo"), VhostTable([DEMO])):
        with pytest.raises(BadParameters, match="vhost 'nosuch' is neither a vhost nor a domain of one"):
            table.locate(rtmp("rtmp://192.0.2.1/live", name="cam?vhost=nosuch"))


def test_else_the_default_vhost_does() -> None:
    table = VhostTable([DEMO, SHOP], "shop")
    assert vhost_of(table, rtmp("rtmp://192.0.2.1/live")) == "shop"
    assert vhost_of(table, rtmp("rtmp://push.demo.test/live")) == "demo"
    assert vhost_of(table, rtmp("rtmp://192.0.2.1/live", name="cam?vhost=demo")) == "demo"


def test_else_the_only_vhost_there_is_does() -> None:
    assert vhost_of(VhostTable([SHOP]), rtmp("rtmp://192.0.2.1/live")) == "shop"
    assert vhost_of(VhostTable([SHOP]), rtmp("")) == "shop"


def test_else_the_refusal_names_each_way_out() -> None:
    with pytest.raises(BadParameters) as refusal:
        BOTH.locate(rtmp("rtmp://192.0.2.1:1935/live"))
    text = str(refusal.value)
    assert "'192.0.2.1:1935' is no configured domain" in text
    assert "?vhost=NAME" in text
    assert "media.default_vhost" in text


def test_with_no_vhost_at_all_everything_is_refused() -> None:
    with pytest.raises(BadParameters):
        VhostTable().locate(rtmp("rtmp://push.demo.test/live"))


@pytest.mark.parametrize("hint", ["vhost=", "vhost", "VHOST=demo", "vhosts=demo", "%76host", "x=vhost=demo"])
def test_what_only_looks_like_a_hint_is_none(hint: str) -> None:
    assert vhost_of(VhostTable([DEMO, SHOP], "shop"), rtmp("rtmp://h/live", name=f"cam?{hint}")) == "shop"


def test_a_query_of_a_hundred_thousand_fields_is_no_hint_and_costs_little() -> None:
    query = "&".join(f"a{number}=1" for number in range(100_000)) + "&vhost=demo"
    assert vhost_of(VhostTable([DEMO, SHOP], "shop"), rtmp("rtmp://h/live", name=f"cam?{query}")) == "shop"


def test_a_hint_behind_all_that_is_looked_at_is_none() -> None:
    query = "key=" + "k" * MAX_QUERY + "&vhost=demo"
    assert vhost_of(VhostTable([DEMO, SHOP], "shop"), rtmp("rtmp://h/live", name=f"cam?{query}")) == "shop"


@pytest.mark.parametrize(
    ("host", "hint", "domain"),
    [
        ("push.demo.test", "", "push.demo.test"),
        ("PUSH.demo.test:1935", "cdn.demo.test", "push.demo.test"),
        ("192.0.2.1:1935", "CDN.demo.test", "cdn.demo.test"),
        ("192.0.2.1:1935", "demo", "192.0.2.1"),
        ("192.0.2.1", "nobodys.test", "192.0.2.1"),
        ("192.0.2.1", "", "192.0.2.1"),
        ("", "cdn.demo.test.", "cdn.demo.test"),
        ("x" * (MAX_HOST + 1), "", ""),
    ],
)
def test_the_domain_is_the_host_or_the_one_that_the_query_names(host: str, hint: str, domain: str) -> None:
    assert BOTH.domain_of(Target(host, "live", "cam", (f"vhost={hint}",))) == domain


# Hosts


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("example.com", "example.com"),
        ("Example.COM.:8080", "example.com"),
        ("[2001:DB8::1]:1935", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("a:b@[::1]:80", "::1"),
        ("[::1", "::1"),
        ("", ""),
        (":1935", ""),
        ("@", ""),
        (".", ""),
        ("x" * MAX_HOST, "x" * MAX_HOST),
        ("x" * (MAX_HOST + 1), ""),
        ("[" + "1" * (MAX_HOST + 1) + "]", ""),
    ],
)
def test_a_host_is_read_without_user_port_and_closing_dot(host: str, name: str) -> None:
    assert host_name(host) == name


@pytest.mark.parametrize("host", ["[2001:db8::1]", "[2001:DB8::1]:1935", "u@[2001:db8::1]:80"])
def test_an_address_may_be_a_vhosts_domain(host: str) -> None:
    table = VhostTable([DEMO, Vhost("six", ("2001:db8::1",), (), ("live",))])
    assert vhost_of(table, Target(host, "live", "cam")) == "six"


@pytest.mark.parametrize(
    "tc_url",
    [
        "rtmp://[::1/live",
        "rtmp://]/live",
        "rtmp://\uff0fpush.demo.test/live",
        "push.demo.test/live",
        "\x00",
        "rtmp:///live",
        "rtmp://push.demo.test\uff0eevil/live",
    ],
)
def test_a_url_that_makes_no_sense_names_no_host(tc_url: str) -> None:
    assert vhost_of(VhostTable([DEMO, SHOP], "shop"), rtmp(tc_url)) == "shop"


# Apps and names


@pytest.mark.parametrize("app", ["live", "live/", "/live", "live?key=1", "live/?key=1"])
def test_slashes_around_an_app_are_the_encoders_habit(app: str) -> None:
    assert BOTH.locate(rtmp("rtmp://push.demo.test/live", app)) == StreamId("demo", "live", "cam")


def test_an_app_that_the_vhost_has_not_is_refused_with_those_that_it_has() -> None:
    with pytest.raises(BadParameters, match="vhost demo has no app other; it has live, vod"):
        BOTH.locate(rtmp("rtmp://push.demo.test/other", "other"))
    with pytest.raises(BadParameters, match="it has none"):
        VhostTable([Vhost("bare")]).locate(rtmp("", "live"))


@pytest.mark.parametrize("name", ["cam", "CAM", "a", "0", "...", "a.b", "-", "_", "A-Z_0.9", "x" * 255])
def test_names_are_letters_digits_and_three_signs(name: str) -> None:
    assert BOTH.locate(rtmp("rtmp://push.demo.test/live", name=name)).stream == name


HOSTILE = [
    "",
    ".",
    "..",
    "../cam",
    "..%2fcam",
    "%2e%2e",
    "cam/",
    "/cam",
    "a/b",
    "a\\b",
    "..\\cam",
    "C:cam",
    "cam\x00",
    "cam\r\nX-Header: 1",
    "cam\n",
    " cam",
    "cam ",
    "ca m",
    "cam#x",
    "cam%00",
    "<script>alert(1)</script>",
    "\x1b[31mcam",
    "\u202ecam",
    "c\u0430m",  # a Cyrillic letter
    "\uff43am",  # a full-width one
    "ca\u0301m",
    "cam\ufffd",
    "'; DROP TABLE streams;--",
    "$(reboot)",
    "x" * 256,
    "x" * 60_000,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_refused_as_app_and_as_stream(name: str) -> None:
    for target in (Target("push.demo.test", "live", name), Target("push.demo.test", name, "cam")):
        with pytest.raises(BadParameters) as refusal:
            BOTH.locate(target)
        text = str(refusal.value)
        assert text.isascii()
        assert text.isprintable()
        assert len(text) < 400


@given(st.text(max_size=300), st.text(max_size=40), st.text(max_size=300))
def test_whatever_a_peer_says_is_a_stream_of_safe_names_or_a_short_refusal(tc_url: str, app: str, name: str) -> None:
    for table in (BOTH, VhostTable([DEMO])):
        try:
            stream = table.locate(rtmp(tc_url, app, name))
        except BadParameters as refusal:
            text = str(refusal)
        else:
            text = str(stream)
            assert all(map(is_name, (stream.vhost, stream.app, stream.stream)))
        assert text.isprintable()
        assert len(text) < 800


def test_the_query_that_may_hold_a_signature_is_the_one_nearest_to_the_name() -> None:
    assert rtmp("rtmp://h/live?a=1", "live?b=2", "cam?c=3").query == "c=3"
    assert rtmp("rtmp://h/live?a=1", "live?b=2").query == "b=2"
    assert rtmp("rtmp://h/live?a=1").query == "a=1"
    assert rtmp("rtmp://h/live").query == ""


def test_a_domain_in_any_case_in_the_settings_is_found() -> None:
    table = VhostTable([Vhost("demo", ("Push.Demo.Test",), (), ("live",)), SHOP])
    assert vhost_of(table, Target("push.demo.test", "live", "cam")) == "demo"


# What is shown of it


@pytest.mark.parametrize(
    "target",
    [
        rtmp("rtmp://user:s3cret@10.0.0.1/live", name="cam"),
        rtmp("rtmp://push.demo.test/live", name="cam&wsSecret=s3cret"),
        rtmp("rtmp://push.demo.test/live", name="cam%3FwsSecret=s3cret&wsTime=1"),
        rtmp("rtmp://push.demo.test/live", app="live&key=s3cret"),
        rtmp("rtmp://push.demo.test/live?key=s3cret", name="cam?key=s3cret", app="nosuch?key=s3cret"),
    ],
    ids=str,
)
def test_neither_a_target_nor_its_refusal_shows_what_may_be_a_key(target: Target) -> None:
    assert "s3cret" not in str(target)
    with pytest.raises(BadParameters) as refusal:
        BOTH.locate(target)
    assert "s3cret" not in str(refusal.value)
