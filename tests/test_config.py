"""Settings: where they come from, what they refuse, and that every error says what to write instead."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings

from penstock.config import Config, load, settings
from penstock.errors import ConfigError
from penstock.forms import parse_listen
from penstock.settings import Setting, read

WORLD = """
[[account]]
id = "7"
[[account.key]]
access_key = "AKexample"
secret_key = "do-not-show-this"
[[account.vhost]]
name = "shop"
push_domains = ["push.shop.test"]
pull_domains = ["pull.shop.test", "cdn.shop.test"]
apps = ["live", "test_1"]
[[account.vhost]]
name = "news"
push_domains = ["push.news.test"]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of each test: an empty one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load_text(text: str, **environ: str) -> Config:
    file = Path("penstock.toml")
    file.write_text(text, encoding="utf-8")
    return load(file, environ)


def error_of(text: str, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_text(text, **environ)
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- where settings come from


def test_without_a_file_all_settings_have_their_defaults(folder: Path) -> None:
    config = load(None, {})
    assert config == msgspec.structs.replace(Config(), data_dir=folder / "data")
    assert config.media.rtmp_listen == "127.0.0.1:1935"


def test_without_accounts_there_is_the_demo_vhost() -> None:
    (account,) = load_text("").accounts
    (vhost,) = account.vhosts
    assert (account.id, account.keys) == ("2000000001", ())
    assert (vhost.name, vhost.apps) == ("demo", ("live",))
    assert (vhost.push_domains, vhost.pull_domains) == (("push.demo.test",), ("pull.demo.test",))


def test_an_empty_account_list_is_taken_at_its_word() -> None:
    assert load_text("account = []").accounts == ()


def test_accounts_of_the_file_replace_the_demo() -> None:
    config = load_text(WORLD)
    assert [vhost.name for vhost in config.vhosts] == ["shop", "news"]
    assert config.vhosts[0].apps == ("live", "test_1")
    assert config.vhosts[1].apps == ("live",)


def test_the_argument_wins_over_the_variable_and_the_variable_over_the_folder(folder: Path) -> None:
    for name in ("argument", "variable", "penstock"):
        (folder / f"{name}.toml").write_text(f'data_dir = "{name}"')
    environ = {"PENSTOCK_CONFIG": "variable.toml"}
    assert load(Path("argument.toml"), environ).data_dir.name == "argument"
    assert load(None, environ).data_dir.name == "variable"
    assert load(None, {"PENSTOCK_CONFIG": ""}).data_dir.name == "penstock"


def test_relative_paths_count_from_the_files_folder(folder: Path) -> None:
    (folder / "etc").mkdir()
    (folder / "etc/p.toml").write_text('data_dir = "../kept"\n[api]\ntls_cert = "c.pem"\ntls_key = "/k.pem"')
    config = load(Path("etc/p.toml"), {})
    assert config.data_dir == folder / "etc/../kept"
    assert (config.api.tls_cert, config.api.tls_key) == (folder / "etc/c.pem", Path("/k.pem"))


def test_a_home_folder_is_expanded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder / "somebody"))
    assert load_text('data_dir = "~/p"').data_dir == folder / "somebody/p"


def test_a_byte_order_mark_is_no_error() -> None:
    assert load_text('\ufeffdata_dir = "x"').data_dir.name == "x"


# --- environment


@pytest.mark.parametrize(
    ("variable", "text", "section", "field", "value"),
    [
        ("PENSTOCK_API__LISTEN", "[::1]:0", "api", "listen", "[::1]:0"),
        ("PENSTOCK_MEDIA__RTMP_LISTEN", "", "media", "rtmp_listen", ""),
        ("PENSTOCK_MEDIA__AUDIO_FLUSH_MS", "90", "media", "audio_flush_ms", 90),
        ("PENSTOCK_MEDIA__IDLE_TIMEOUT_S", "2.5", "media", "idle_timeout_s", 2.5),
        ("PENSTOCK_MEDIA__IDLE_TIMEOUT_S", " 3 ", "media", "idle_timeout_s", 3.0),
        ("PENSTOCK_MEDIA__LATENCY", "max", "media", "latency", "max"),
        ("PENSTOCK_NETWORK__ALLOW_PRIVATE", "127.0.0.0/8, ::1", "network", "allow_private", ("127.0.0.0/8", "::1/128")),
        ("PENSTOCK_NETWORK__ALLOW_PRIVATE", '["10.1.2.3"]', "network", "allow_private", ("10.1.2.3/32",)),
        ("PENSTOCK_API__TRUSTED_PROXIES", "", "api", "trusted_proxies", ()),
    ],
)
def test_the_environment_overrides_the_file(variable: str, text: str, section: str, field: str, value: object) -> None:
    config = load_text('[media]\nidle_timeout_s = 9\n[api]\ntrusted_proxies = ["10.0.0.1"]', **{variable: text})
    assert getattr(getattr(config, section), field) == value


def test_data_dir_has_a_variable_of_its_own(folder: Path) -> None:
    assert load(None, {"PENSTOCK_DATA_DIR": "elsewhere"}).data_dir == folder / "elsewhere"


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("PENSTOCK_MEDIA__AUDIO_FLUSH_MS", ""),
        ("PENSTOCK_MEDIA__AUDIO_FLUSH_MS", "1.5"),
        ("PENSTOCK_MEDIA__AUDIO_FLUSH_MS", "9" * 5000),
        ("PENSTOCK_MEDIA__IDLE_TIMEOUT_S", "soon"),
        ("PENSTOCK_MEDIA__IDLE_TIMEOUT_S", "nan"),
        ("PENSTOCK_MEDIA__IDLE_TIMEOUT_S", "inf"),
        ("PENSTOCK_MEDIA__LATENCY", "lowest"),
        ("PENSTOCK_NETWORK__ALLOW_PRIVATE", "["),
        ("PENSTOCK_NETWORK__ALLOW_PRIVATE", "[" * 5000),
        ("PENSTOCK_NETWORK__ALLOW_PRIVATE", "[]\ny = 1"),
        ("PENSTOCK_NETWORK__ALLOW_PRIVATE", "[1]"),
    ],
)
def test_a_wrong_variable_is_named_with_its_key(variable: str, text: str) -> None:
    key = variable.removeprefix("PENSTOCK_").lower().replace("__", ".")
    message = error_of("", **{variable: text})
    assert message.startswith(f"${variable}: {key} is ")
    assert "; it must be " in message


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("PENSTOCK_MEDIA__RTMP_LISTN", "$PENSTOCK_MEDIA__RTMP_LISTEN"),
        ("PENSTOCK_API__DATA__DIR", "$PENSTOCK_DATA_DIR"),
        ("PENSTOCK_ACCOUNT__ID", "accounts are set in the file alone"),
    ],
)
def test_an_unknown_variable_names_the_nearest(variable: str, nearest: str) -> None:
    assert nearest in error_of("", **{variable: "x"})


def test_variables_of_others_are_left_alone() -> None:
    load_text("", PENSTOCK_PROFILE="x", PENSTOCK_ACCESS_KEY="x", MEDIA__RTMP_LISTEN="x", penstock_media__x="x")


def test_every_setting_outside_the_accounts_can_be_set_by_its_variable() -> None:
    defaults = {s.variable: s.default.strip('"') for s in settings() if s.variable}
    assert load(None, defaults) == load(None, {})


# --- unknown keys


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        ("datadir = 'x'", "datadir", "data_dir"),
        ("[medai]\nrtmp_listen = ''", "medai", "media"),
        ("[media]\nrtmp_lisen = ''", "media.rtmp_lisen", "media.rtmp_listen"),
        ("[api]\nrtmp_listen = ''", "api.rtmp_listen", "media.rtmp_listen"),
        ("rtmps_listen = ''", "rtmps_listen", "media.rtmps_listen"),
        ("[[accounts]]\nid = '1'", "accounts", "account"),
        ("[[account]]\nid = '1'\nname = '1'", "account[0].name", "account[0]."),
        (f"{WORLD}push_domain = []", "account[0].vhost[1].push_domain", "account[0].vhost[1].push_domains"),
    ],
)
def test_an_unknown_key_names_the_file_the_key_and_the_nearest(text: str, key: str, nearest: str) -> None:
    assert error_of(text).startswith(f"penstock.toml: {key} is not a setting; the nearest is {nearest}")


def test_an_unknown_key_of_any_length_or_look_gives_one_short_line() -> None:
    assert len(error_of(f"{'x' * 100_000} = 1")) < 300
    assert error_of('"a\\nb" = 1').startswith(r"penstock.toml: 'a\nb' is not a setting")


# --- damaged files


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[api]\nlisten = \n", 2),
        ("[api]\nlisten = 'a'\nlisten = 'b'", 3),
        ("[api\nlisten = 'a'", 1),
        ("[api]\n\nlisten = 'a", 3),
        ('[api]\nlisten = """a\n\nb', 4),
        ("[api]\ntrusted_proxies = [", 2),
    ],
)
def test_damaged_toml_names_the_line(text: str, line: int) -> None:
    assert re.match(rf"penstock\.toml: line {line}\b", error_of(text))


def test_bytes_that_are_not_utf8_name_the_line(folder: Path) -> None:
    (folder / "p.toml").write_bytes(b"[api]\n# ok\n# \xff")
    with pytest.raises(ConfigError, match=r"^p\.toml: line 3, column 1: Not UTF-8 text$"):
        load(Path("p.toml"), {})


@pytest.mark.parametrize(
    ("path", "reason"), [("missing.toml", "No such file"), (".", "Is a directory"), ("a\0b", "null")]
)
def test_a_file_that_cannot_be_read_is_named(path: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"cannot be read: .*{reason}"):
        load(Path(path), {})


def test_deep_nesting_and_huge_numbers_are_refused() -> None:
    assert "nested too deeply" in error_of("data_dir = " + "[" * 100_000)
    assert "cannot be read" in error_of(f"[media]\naudio_flush_ms = {'9' * 5000}")
    assert "a number beyond 64 bits" in error_of(f"[media]\naudio_flush_ms = 0x{'f' * 9000}")
    assert "is a list;" in error_of(f"[media]\naudio_flush_ms = [0x{'f' * 9000}]")


# --- types and ranges


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("audio_flush_ms = '60'", "audio_flush_ms is '60'; it must be a whole number from 0 to 1000"),
        ("audio_flush_ms = 60.0", "audio_flush_ms is 60.0; it must be a whole number"),
        ("audio_flush_ms = true", "audio_flush_ms is true; it must be a whole number"),
        ("audio_flush_ms = -1", "audio_flush_ms is -1; it must be a whole number from 0"),
        ("audio_flush_ms = 1001", "audio_flush_ms is 1001;"),
        ("max_message_kib = 16384", "max_message_kib is 16384; it must be a whole number from 64 to 16383"),
        ("idle_timeout_s = inf", "idle_timeout_s is inf; it must be a number from 0.1 to 3600"),
        ("idle_timeout_s = nan", "idle_timeout_s is nan;"),
        ("usage_flush_s = 10.001", "usage_flush_s is 10.001; it must be a number from 0.1 to 10"),
        ("latency = 'high'", 'latency is \'high\'; it must be "low" or "normal" or "max"'),
        ("on_conflict = 1979-05-27", 'on_conflict is datetime.date(1979, 5, 27); it must be "refuse" or "replace"'),
        ("rtmp_listen = 1935", 'rtmp_listen is 1935; it must be "host:port"'),
        ("rtmp_listen = {}", "rtmp_listen is a table;"),
        ("public_host = 'a/b'", "public_host is 'a/b'; it must be a host name or an address without port"),
        ("default_vhost = '..'", "default_vhost is '..'; it must be a vhost's name, or empty"),
    ],
)
def test_a_wrong_value_names_key_value_and_what_is_wanted(line: str, said: str) -> None:
    assert error_of(f"[media]\n{line}").startswith(f"penstock.toml: media.{said}")


# Inside a list of tables: it has a test of its own.
BOUNDED_IN_ACCOUNTS = ("account[].vhost[].publish_valid_s",)


@pytest.mark.parametrize("setting", [s for s in settings() if " from " in s.type], ids=lambda s: s.key)
def test_both_limits_of_a_number_are_allowed_and_nothing_beyond(setting: Setting) -> None:
    found = re.fullmatch(r"a (whole )?number from ([0-9.]+) to ([0-9.]+)", setting.type)
    assert found
    if setting.key.startswith("account"):
        assert setting.key in BOUNDED_IN_ACCOUNTS
        return
    section, name = setting.key.split(".")
    for limit, away in ((float(found[2]), -math.inf), (float(found[3]), math.inf)):
        shown = int(limit) if found[1] else limit
        assert getattr(getattr(load_text(f"[{section}]\n{name} = {shown}"), section), name) == shown
        beyond = shown + int(math.copysign(1, away)) if found[1] else math.nextafter(limit, away)
        assert setting.key in error_of(f"[{section}]\n{name} = {beyond}")


@pytest.mark.parametrize(
    "text", ["api = 1", "api = []", "[[api]]", "account = 1", "[account]\nid = 'x'", "account=[1]"]
)
def test_a_table_of_another_kind_is_refused_with_its_spelling(text: str) -> None:
    assert re.search(r"it must be a (table, written \[|list of tables, each written \[\[account\]\])", error_of(text))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[[account]]", "account[0].id"),
        ("[[account]]\nid='1'\n[[account.vhost]]", "account[0].vhost[0].name"),
        ("[[account]]\nid='1'\n[[account.key]]\naccess_key='a'", "account[0].key[0].secret_key"),
    ],
)
def test_a_missing_value_is_named(text: str, key: str) -> None:
    assert error_of(text).startswith(f"penstock.toml: {key} is missing; it must be ")


@pytest.mark.parametrize("path", ["", "a\\u0000b", "a\\nb", "~there-is-no-such-user/x"])
def test_a_folder_that_cannot_be_a_path_is_refused(path: str) -> None:
    assert "data_dir is " in error_of(f'data_dir = "{path}"')


@pytest.mark.parametrize("network", ["10.0.0.5/8", "10.0.0.0/33", "localhost", "", "::1/129"])
def test_a_network_must_be_one_with_host_bits_zero(network: str) -> None:
    assert "network.allow_private is " in error_of(f"[network]\nallow_private = ['{network}']")


@pytest.mark.parametrize(
    ("section", "value", "later"),
    [
        ("storage", "postgresql://u:p4ss@h/db", "PostgreSQL comes later"),
        ("analytics", "clickhouse://u:p4ss@h", "ClickHouse comes later"),
        ("link", "nats://u:p4ss@h", "NATS comes later"),
    ],
)
def test_stores_that_come_later_are_refused_without_showing_their_url(section: str, value: str, later: str) -> None:
    message = error_of(f"[{section}]\nurl = '{value}'")
    assert message.startswith(f"penstock.toml: {section}.url is <hidden>; it must be ")
    assert later in message
    assert "p4ss" not in message


def test_signed_publishing_needs_a_key_and_a_key_needs_it() -> None:
    *_, account = load_text(f"{WORLD}publish_auth = 'signed'\npublish_key = 'k'").accounts
    assert (account.vhosts[-1].publish_auth, account.vhosts[-1].publish_sign_order) == (
        "signed",
        ("key", "path", "time"),
    )
    assert "anyone may publish" in error_of(f"{WORLD}publish_key = 'k'")
    assert 'publish_auth = "signed" and no publish_key' in error_of(f"{WORLD}publish_auth = 'signed'")


@pytest.mark.parametrize("order", ["['key', 'path']", "['key', 'key', 'time']", "['key', 'path', 'stream']", "'key'"])
def test_an_order_of_signing_names_each_part_once(order: str) -> None:
    assert 'it must be a list of "key", "path" and "time", each once' in error_of(
        f"{WORLD}publish_sign_order = {order}"
    )
    good = load_text(f"{WORLD}publish_sign_order = ['time', 'key', 'path']")
    assert good.accounts[-1].vhosts[-1].publish_sign_order == ("time", "key", "path")


def test_how_long_a_signed_url_is_good_has_limits() -> None:
    for seconds in (0, 31_536_000):
        assert load_text(f"{WORLD}publish_valid_s = {seconds}").accounts[-1].vhosts[-1].publish_valid_s == seconds
    for seconds in (-1, 31_536_001):
        assert "publish_valid_s" in error_of(f"{WORLD}publish_valid_s = {seconds}")


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("record = 'mkv'", 'it must be "" or "mp4" or "flv" or "hls"'),
        ("record = 'mp4'\nrecord_apps = ['studio']", "vhost 'news' has no app 'studio' to record; its apps are live"),
        ("record_apps = ['live']", 'set record = "mp4", "flv" or "hls"'),
        ("record_one_file = true", "says how to record"),
        ("record = 'mp4'\nrecord_apps = ['../x']", "it must be a list of names"),
    ],
)
def test_what_is_always_recorded_has_to_make_sense(lines: str, why: str) -> None:
    assert why in error_of(f"{WORLD}{lines}")


def test_a_vhost_may_record_always() -> None:
    *_, account = load_text(f"{WORLD}record = 'mp4'\nrecord_apps = ['live']\nrecord_one_file = true").accounts
    vhost = account.vhosts[-1]
    assert (vhost.record, vhost.record_apps, vhost.record_one_file) == ("mp4", ("live",), True)
    assert account.vhosts[0].record == ""


# --- listeners


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("", None),
        ("127.0.0.1:1935", ("127.0.0.1", 1935)),
        ("localhost:0", ("localhost", 0)),
        ("Media_1.Example.COM:65535", ("media_1.example.com", 65535)),
        ("[::]:443", ("::", 443)),
        ("[FE80::1%eth0]:00080", ("fe80::1%eth0", 80)),
    ],
)
def test_a_listener_is_host_and_port(text: str, address: tuple[str, int] | None) -> None:
    assert parse_listen(text) == address


WRONG_LISTENERS = re.findall(
    r"\S+",
    """
    1935  :1935  *:1  a:  a:-1  a:65536  a:+1  a:\uff11  ::1:80  [::1]  [::1:80  []:80  [127.0.0.1]:80  256.1.1.1:80
    1.2.3:80  a..b:80  -a:80  \u212a.test:80  http://a:80  a:80/x""",
)


@pytest.mark.parametrize(
    "text", [*WRONG_LISTENERS, "a b:80", "a:1 ", "a\n:80", "a:80\n", f"{'a' * 64}:80", "a:" + "0" * 5000]
)
def test_any_other_listener_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="it must be"):
        parse_listen(text)


def test_two_listeners_cannot_share_a_port_unless_it_is_free_choice() -> None:
    message = error_of("[api]\nlisten = 'localhost:9'\n[media]\nhttp_listen = 'localhost:9'")
    assert "api.listen and media.http_listen are both 'localhost:9'" in message
    load_text("[api]\nlisten = 'localhost:0'\n[media]\nhttp_listen = 'localhost:0'\nrtmp_listen = ''")


# --- accounts, vhosts, domains


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "é", "x" * 256, "a\\n"])
def test_a_name_must_follow_the_rule(name: str) -> None:
    assert "account[0].vhost[0].name is " in error_of(WORLD.replace('"shop"', f'"{name}"'))
    assert "account[0].vhost[0].apps is " in error_of(WORLD.replace('"test_1"', f'"{name}"'))
    assert "account[0].id is " in error_of(WORLD.replace('"7"', f'"{name}"'))


def test_a_name_at_its_limit_is_allowed() -> None:
    assert load_text(WORLD.replace('"shop"', f'"{"x" * 255}"')).vhosts[0].name == "x" * 255


@pytest.mark.parametrize(
    "domain", ["", "a.test:80", "*.a.test", "http://a", "a..b", "a.test.", "é.test", "1.2.3.999", "a" * 254]
)
def test_a_domain_must_be_a_host(domain: str) -> None:
    assert "account[0].vhost[0].push_domains is " in error_of(WORLD.replace("push.shop.test", domain))


def test_domains_are_kept_in_lower_case_and_once() -> None:
    config = load_text(WORLD.replace('["push.shop.test"]', '["Push.Shop.TEST", "push.shop.test", "10.0.0.1", "::1"]'))
    assert config.vhosts[0].push_domains == ("push.shop.test", "10.0.0.1", "::1")


def test_a_domain_belongs_to_one_vhost_only() -> None:
    message = error_of(WORLD.replace("push.news.test", "CDN.shop.test"))
    assert "domain 'cdn.shop.test' belongs to vhost 'shop', so vhost 'news' cannot have it too" in message
    assert "domain 'shop' belongs to vhost 'shop'" in error_of(WORLD.replace("push.news.test", "shop"))


def test_one_vhost_may_push_and_pull_by_the_same_domain() -> None:
    load_text(WORLD.replace("cdn.shop.test", "push.shop.test"))


def test_what_must_be_unique_is_refused_twice() -> None:
    assert "vhost name 'shop' is given 2 times" in error_of(WORLD.replace('"news"', '"shop"'))
    assert "account id '7' is given 2 times" in error_of(f"{WORLD}[[account]]\nid = '7'")
    key = "[[account.key]]\naccess_key = 'AKexample'\nsecret_key = 's'"
    assert "access key 'AKexample' is given 2 times" in error_of(f"{WORLD}[[account]]\nid = '8'\n{key}")


def test_default_vhost_must_be_a_vhost() -> None:
    assert load_text(f"[media]\ndefault_vhost = 'news'\n{WORLD}").media.default_vhost == "news"
    assert "must be one of the vhosts (shop, news)" in error_of(f"[media]\ndefault_vhost = 'demo'\n{WORLD}")


def test_certificate_and_key_go_together() -> None:
    assert "api.tls_cert is set and api.tls_key is not" in error_of("[api]\ntls_cert = 'c.pem'")
    assert "api.tls_key is set and api.tls_cert is not" in error_of("[api]\ntls_key = 'k.pem'")


@pytest.mark.parametrize("key", ["", "a b", "é", "x" * 129])
def test_an_access_key_is_one_visible_word(key: str) -> None:
    assert "account[0].key[0].access_key is " in error_of(WORLD.replace("AKexample", key))


# --- secrets


def test_secrets_are_in_no_repr() -> None:
    config = load_text(WORLD)
    assert config.accounts[0].keys[0].secret_key == "do-not-show-this"
    for shown in (repr(config), str(config), repr(config.accounts[0].keys[0].__rich_repr__())):
        assert "do-not-show-this" not in shown
        assert "<hidden>" in shown


@pytest.mark.parametrize("value", ["['do-not-show-this']", "''"])
def test_secrets_are_in_no_error(value: str) -> None:
    message = error_of(WORLD.replace('"do-not-show-this"', value))
    assert "account[0].key[0].secret_key is <hidden>; it must be text of 1 to 256 characters" in message


def test_settings_can_not_be_changed_after_loading() -> None:
    config = load_text("")
    with pytest.raises(AttributeError):
        config.media.latency = "max"  # type: ignore[misc]
    assert hash(config) == hash(load_text(""))


# --- anything at all


def settings_or_one_line(read: Callable[[], object]) -> bool:
    try:
        read()
    except ConfigError as error:
        return "\n" not in str(error) and len(str(error)) < 1000
    return True


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.binary()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)
KEYS = st.sampled_from([part for s in settings() for part in re.split(r"\W+", s.key) if part]) | st.text()
TREES = st.recursive(
    VALUES,
    lambda inner: st.dictionaries(KEYS, inner, max_size=4) | st.lists(inner, max_size=3),
    max_leaves=12,
)


@given(raw=st.dictionaries(KEYS, TREES, max_size=4))
def test_any_table_gives_settings_or_one_line(raw: dict[str, object]) -> None:
    assert settings_or_one_line(lambda: read(Config, raw, "x", {}))


TOML_PIECES = st.sampled_from(
    re.findall(
        r"\S+|\n",
        """\n [api]\n [media]\n [[account]]\n [[account.vhost]]\n
        [ ] = " ' { } , . # - 0x 1 nan true id= listen= "a:1" name="a" tls_cert= data_dir=""",
    )
)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.lists(TOML_PIECES | st.text(max_size=3), max_size=20).map("".join))
def test_any_text_gives_settings_or_one_line(text: str) -> None:
    Path("penstock.toml").write_bytes(text.encode("utf-8", "surrogatepass"))
    assert settings_or_one_line(lambda: load(None, {}))


VARIABLES = st.sampled_from([s.variable for s in settings() if s.variable]) | st.text(max_size=8).map(
    lambda word: f"PENSTOCK_{word}__X"
)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(environ=st.dictionaries(VARIABLES, st.text(max_size=12) | st.sampled_from(["[1]", "['a']", "1e9", "0"])))
def test_any_environment_gives_settings_or_one_line(environ: dict[str, str]) -> None:
    assert settings_or_one_line(lambda: load(None, environ))


@given(text=st.text(max_size=30) | st.from_regex(r"[\[\]a:.0-9]{1,12}", fullmatch=True))
def test_any_listener_text_is_an_address_or_refused(text: str) -> None:
    try:
        address = parse_listen(text)
    except ConfigError:
        return
    assert address is None or 0 <= address[1] <= 65535
