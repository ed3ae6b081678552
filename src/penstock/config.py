"""Typed settings: what can be set, to what, why, and where a value came from.

Each setting stands here once, with its default, its range and its meaning; the reader, the
error texts and `docs/configuration.md` are all made from these declarations. Precedence:
environment, then file, then default. Values are checked one by one as they are read, so that
an error can name the place, the dotted key, the value seen and the value wanted; rules that
span several settings are in `_conflicts`.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import sys
import tomllib
import types
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Union, cast, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from penstock.errors import ConfigError
from penstock.model import is_name

ENVIRONMENT_PREFIX = "PENSTOCK_"
FILE_VARIABLE = "PENSTOCK_CONFIG"
DEFAULT_FILE = "penstock.toml"

Raw = dict[str, Any]


# --- Forms: what a text has to look like, beyond being text ---------------------------------


class Form(Struct, frozen=True):
    """A value's shape: `wanted` ends the sentence "it must be ..."; `parse` returns the value to keep.

    `parse` raises ValueError for a value of another shape.
    """

    wanted: str
    parse: Callable[[Any], Any]


class Secret:
    """Marks a setting that is never shown: not in a repr, not in an error."""


def parse_listen(text: str) -> tuple[str, int] | None:
    """Return the (host, port) that a listener's text names; None for "", which turns it off.

    Port 0 asks the system for a free port. An IPv6 host comes back without its brackets.

    Raises:
        ConfigError: `text` is not "host:port", "[v6]:port" or "".
    """
    try:
        return _split_listen(text)
    except ValueError:
        raise ConfigError(f"{_shown(text)} is not a listener; it must be {LISTENER.wanted}") from None


def _split_listen(text: str) -> tuple[str, int] | None:
    if not text:
        return None
    host, _, port = text.rpartition(":")
    # The length goes first: int() of thousands of digits is an error of another kind.
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(port)
    if host.startswith("[") and host.endswith("]"):
        return str(ipaddress.IPv6Address(host[1:-1])), int(port)
    return _host(host), int(port)


def _listener(text: str) -> str:
    _split_listen(text)
    return text


_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*", re.ASCII)


def _host(text: str) -> str:
    """Return a host name or IPv4 address in lower case."""
    host = text.lower()
    # ASCII before lower(): the Kelvin sign's lower case is a plain k.
    if not text.isascii() or len(host) > 253 or not _DOMAIN.fullmatch(host):
        raise ValueError(text)
    # A last label of digits alone is no top-level domain: this is meant as an address (RFC 3696, 2).
    return str(ipaddress.IPv4Address(host)) if host.rpartition(".")[2].isdigit() else host


def _domain(text: str) -> str:
    return str(ipaddress.IPv6Address(text)) if ":" in text else _host(text)


def _name(text: str) -> str:
    if not is_name(text):
        raise ValueError(text)
    return text


def _names(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values:
        raise ValueError("empty")
    return tuple(dict.fromkeys(map(_name, values)))


def _access_key(text: str) -> str:
    if not re.fullmatch(r"[!-~]{1,128}", text):
        raise ValueError
    return text


def _one_of(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(text)
        return text

    return parse


def _path(text: str) -> Path:
    # "\0" would be a ValueError at every use; other control characters are a slip of the keyboard.
    if not text or re.search(r"[\x00-\x1f\x7f]", text):
        raise ValueError(text)
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # "~nobody": there is no such user
        raise ValueError(text) from error


LISTENER = Form('"host:port", "[v6]:port" or "" (off); port 0 takes a free one', _listener)
NAME = Form("a name: letters, digits, `_`, `.`, `-`, at most 255 characters, not `.` or `..`", _name)
OPTIONAL_NAME = Form("a vhost's name, or empty", lambda text: text and _name(text))
NAMES = Form("a list of at least one name (letters, digits, `_`, `.`, `-`)", _names)
HOST = Form("a host name or an address without port (in ASCII), or empty", lambda text: text and _domain(text))
DOMAINS = Form(
    "a list of host names or addresses without port (in ASCII)",
    lambda values: tuple(dict.fromkeys(map(_domain, values))),
)
NETWORKS = Form(
    'a list of addresses or networks such as "10.0.0.0/8", host bits zero',
    # Host bits are refused, as "10.0.0.5/8" opens 16 million addresses where one was meant.
    lambda values: tuple(str(ipaddress.ip_network(value)) for value in values),
)
FOLDER = Form("the path of a folder", _path)
OPTIONAL_FILE = Form("the path of a file, or empty", lambda text: _path(text) if text else None)
ACCESS_KEY = Form("1 to 128 visible ASCII characters without blanks", _access_key)
SQLITE = Form('"sqlite" for now: PostgreSQL comes later', _one_of("sqlite"))
DUCKDB = Form('"duckdb" for now: ClickHouse comes later', _one_of("duckdb"))
SOCKET = Form('"socket" for now: NATS comes later', _one_of("socket"))
UNSIGNED = Form('"none" for now: "signed" comes with signed publishing URLs', _one_of("none"))

ListenText = Annotated[str, LISTENER]
NameList = Annotated[tuple[str, ...], NAMES]
DomainList = Annotated[tuple[str, ...], DOMAINS]
NetworkList = Annotated[tuple[str, ...], NETWORKS]


# --- The settings -----------------------------------------------------------------------------


class Section(Struct, frozen=True):
    """A table of settings. Its repr hides the secrets."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value}' for name, value in self._shown_fields())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """What pretty-printed tracebacks show of it."""
        return list(self._shown_fields())

    def _shown_fields(self) -> Iterator[tuple[str, str]]:
        for field in msgspec.structs.fields(type(self)):
            value = getattr(self, field.name)
            yield field.name, "<hidden>" if value and _is_secret(field.type) else repr(value)


class Api(Section, frozen=True, kw_only=True):
    """The management APIs and the console."""

    listen: Annotated[
        ListenText, Meta(description="Where the management APIs and the console answer, without TLS (no API yet).")
    ] = "127.0.0.1:8080"
    tls_listen: Annotated[
        ListenText, Meta(description="The same in TLS; one of the clouds' SDKs can only speak https (no API yet).")
    ] = "127.0.0.1:8443"
    trusted_proxies: Annotated[
        NetworkList,
        Meta(
            description="Addresses or networks of reverse proxies whose `X-Forwarded-For` is believed; from anyone "
            "else the header is ignored, as a client could write any address into it."
        ),
    ] = ()
    tls_cert: Annotated[
        Path | None,
        OPTIONAL_FILE,
        Meta(
            description="Certificate chain (PEM) of every TLS listener; empty: one made by the local certificate "
            "authority in `data_dir/tls`. Goes together with `api.tls_key`."
        ),
    ] = None
    tls_key: Annotated[Path | None, OPTIONAL_FILE, Meta(description="Private key (PEM) of `api.tls_cert`.")] = None


class Media(Section, frozen=True, kw_only=True):
    """Publishers and players, and how the engine treats them."""

    rtmp_listen: Annotated[ListenText, Meta(description="RTMP: publishers and players.")] = "127.0.0.1:1935"
    rtmps_listen: Annotated[ListenText, Meta(description="RTMP in TLS: publishers and players.")] = ""
    http_listen: Annotated[ListenText, Meta(description="HTTP players: `/{app}/{stream}.flv`.")] = "127.0.0.1:8081"
    https_listen: Annotated[
        ListenText, Meta(description="HTTP players in TLS: a page that came by https can play nothing else.")
    ] = "127.0.0.1:8444"
    public_host: Annotated[
        str, HOST, Meta(description="Host put into the URLs that are handed out; empty: the vhost's domains.")
    ] = ""
    default_vhost: Annotated[
        str,
        OPTIONAL_NAME,
        Meta(
            description="Vhost of a stream whose host is no configured domain and that names none by `?vhost=`; "
            "empty: the only vhost there is, and with several a refusal."
        ),
    ] = ""
    on_conflict: Annotated[
        Literal["refuse", "replace"],
        Meta(
            description="What a second publisher of a name on air gets: `refuse` keeps the first one while it sends, "
            "so that nobody takes over a stream by its name; `replace` lets the newest one win."
        ),
    ] = "refuse"
    replace_after_silent_s: Annotated[
        float,
        Meta(
            ge=0.1,
            le=60,
            description="A publisher that has sent nothing for so long is replaced by a second one even under "
            "`refuse`: an encoder that lost its network comes back before its old connection is known to be dead.",
        ),
    ] = 2.0
    idle_timeout_s: Annotated[
        float,
        Meta(
            ge=0.1,
            le=3600,
            description="A publisher that has sent nothing for so long is closed: no stream stays on air without one.",
        ),
    ] = 10.0
    keep_players_s: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="How long players are kept after a publisher left by itself, so that a blink of its network "
            "is no end for them; 0: they end with it. A kick or a ban closes them at once.",
        ),
    ] = 10.0
    admission_timeout_s: Annotated[
        float,
        Meta(
            ge=0.1,
            le=60,
            description="How long a publish waits for the control process's answer; then it is refused, so that "
            "a restart of control costs a moment and a dead one does not hold connections.",
        ),
    ] = 3.0
    setup_timeout_s: Annotated[
        float,
        Meta(
            ge=0.1,
            le=300,
            description="A connection must be publishing or playing by then, or it is closed: one that only occupies "
            "a place is of no use to anyone.",
        ),
    ] = 10.0
    latency: Annotated[
        Literal["low", "normal", "max"],
        Meta(
            description="When players are written to. `low`: with every picture; `normal`: every 100 ms, `max`: every "
            "250 ms, for more players on the same machine, as the number of writes is nearly all that costs."
        ),
    ] = "low"
    audio_flush_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=1000,
            description="Audio waits for the next picture at most so long: it rides along with pictures, and a "
            "stream of sound alone is still written in time.",
        ),
    ] = 60
    player_buffer_kib: Annotated[
        int,
        Meta(
            ge=64,
            le=1_048_576,
            description="Bytes that may wait for one slow player; above, it skips to the next key frame. "
            "Many slow players at once cost at most this much memory each.",
        ),
    ] = 4096
    player_stall_s: Annotated[
        float,
        Meta(ge=0.1, le=3600, description="A player whose socket has taken nothing for so long is closed."),
    ] = 10.0
    notsent_lowat_kib: Annotated[
        int,
        Meta(
            ge=1,
            le=65_536,
            description="Bytes that the kernel holds unsent for a player (TCP_NOTSENT_LOWAT): small, so that a slow "
            "player shows at once and skips by frames that were never handed over.",
        ),
    ] = 128
    gop_cache_kib: Annotated[
        int,
        Meta(
            ge=0,
            le=1_048_576,
            description="Frames since the last key frame that are kept per stream, so that a player starts at once; "
            "a longer run is not kept, and its players wait for the next key frame. 0: no cache.",
        ),
    ] = 32_768
    max_message_kib: Annotated[
        int,
        Meta(
            ge=64,
            # RTMP writes a message's length in 24 bits.
            le=16_383,
            description="Longest media message of an admitted publisher; above, its connection is closed. "
            "It bounds what one publisher can make the server hold before a frame is whole.",
        ),
    ] = 8192
    max_connections_per_address: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Connections that one address may hold in all; further ones are closed."),
    ] = 10_000
    max_pending_per_address: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Connections of one address that neither publish nor play yet; further ones are closed, so "
            "that one address cannot fill the server with half-open ones.",
        ),
    ] = 256
    usage_flush_s: Annotated[
        float,
        Meta(
            ge=0.1,
            # The promise: a killed process loses at most ten seconds of usage.
            le=10,
            description="How often counted bytes are handed to control: what a killed engine may lose.",
        ),
    ] = 10.0
    stats_interval_s: Annotated[
        float,
        Meta(ge=0.1, le=60, description="How often bit rates and player numbers of each stream are reported."),
    ] = 1.0


class Storage(Section, frozen=True, kw_only=True):
    """Where control keeps its rows."""

    # Hidden like a password, as the URL of a database server may hold one.
    url: Annotated[
        str, Secret, SQLITE, Meta(description="`sqlite`: a file in `data_dir` (PostgreSQL comes later).")
    ] = "sqlite"


class Analytics(Section, frozen=True, kw_only=True):
    """Where usage is kept for reports."""

    url: Annotated[
        str, Secret, DUCKDB, Meta(description="`duckdb`: a file in `data_dir` (ClickHouse comes later).")
    ] = "duckdb"


class Link(Section, frozen=True, kw_only=True):
    """How control and engine talk to each other."""

    url: Annotated[
        str, Secret, SOCKET, Meta(description="`socket`: a Unix socket in `data_dir` (NATS comes later).")
    ] = "socket"


class Network(Section, frozen=True, kw_only=True):
    """What outgoing connections may reach."""

    allow_private: Annotated[
        NetworkList,
        Meta(
            description="Private networks that relays, forwards, pulls and callbacks may reach, such as "
            "`127.0.0.0/8`; all others are refused, so that a URL from outside opens nothing inside."
        ),
    ] = ()


class Key(Section, frozen=True, kw_only=True):
    """An access key of an account."""

    access_key: Annotated[str, ACCESS_KEY, Meta(description="Public half of the key; no two accounts share one.")]
    secret_key: Annotated[
        str, Secret, Meta(min_length=1, max_length=256, description="Secret half, which signs requests; never shown.")
    ]
    sub_account: Annotated[bool, Meta(description="True for the key of a sub-account.")] = False


class Vhost(Section, frozen=True, kw_only=True):
    """A group of domains whose streams belong together."""

    name: Annotated[str, NAME, Meta(description="The vhost's name; unique over all accounts.")]
    push_domains: Annotated[
        DomainList, Meta(description="Domains that encoders publish to; each belongs to one vhost.")
    ] = ()
    pull_domains: Annotated[DomainList, Meta(description="Domains that players play from; likewise.")] = ()
    apps: Annotated[NameList, Meta(description="Apps that streams may be published under; others are refused.")] = (
        "live",
    )
    publish_auth: Annotated[
        Literal["none", "signed"],
        UNSIGNED,
        Meta(description="`none`: whoever reaches the port may publish (`signed` URLs come later)."),
    ] = "none"
    publish_key: Annotated[
        str, Secret, Meta(max_length=256, description="Key of signed publishing URLs; never shown.")
    ] = ""


class Account(Section, frozen=True, kw_only=True):
    """A customer of this server; sees its own vhosts alone."""

    id: Annotated[str, NAME, Meta(description="The account's number or name.")]
    keys: tuple[Key, ...] = msgspec.field(name="key", default=())
    vhosts: tuple[Vhost, ...] = msgspec.field(name="vhost", default=())


DEMO_ACCOUNT = Account(
    id="2000000001",
    vhosts=(Vhost(name="demo", push_domains=("push.demo.test",), pull_domains=("pull.demo.test",), apps=("live",)),),
)


class Config(Section, frozen=True, kw_only=True):
    """All settings of one server. Paths are absolute after `load`."""

    data_dir: Annotated[
        Path,
        FOLDER,
        Meta(
            description="Folder of everything that is kept; made at the first start. A relative path counts from the "
            "configuration file's folder, or without a file from the working directory."
        ),
    ] = Path("data")
    api: Api = Api()
    media: Media = Media()
    storage: Storage = Storage()
    analytics: Analytics = Analytics()
    link: Link = Link()
    network: Network = Network()
    accounts: tuple[Account, ...] = msgspec.field(name="account", default=(DEMO_ACCOUNT,))

    @property
    def vhosts(self) -> tuple[Vhost, ...]:
        """The vhosts of all accounts, in the file's order."""
        return tuple(vhost for account in self.accounts for vhost in account.vhosts)


# --- Loading ----------------------------------------------------------------------------------


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Return the settings of the file at `path` (see `find_file`), with the environment's on top.

    Raises:
        ConfigError: a setting is unknown, wrong, or at odds with another; one line says which.
    """
    file = find_file(path, environ)
    raw = _read(file) if file else {}
    source = str(file) if file else "settings"
    _refuse_unknown_variables(environ)
    config = cast(Config, _Reader(source, environ).table(Config, raw, ""))
    for conflict in _conflicts(config):
        raise ConfigError(f"{source}: {conflict}")
    return _anchored(config, (file.parent if file else Path()).absolute())


def find_file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return the file that `load` reads: the argument, PENSTOCK_CONFIG, or ./penstock.toml if there is one."""
    if path is not None:
        return path
    if named := environ.get(FILE_VARIABLE):
        return Path(named)
    default = Path(DEFAULT_FILE)
    return default if default.is_file() else None


def _read(file: Path) -> Raw:
    try:
        # A byte order mark is not TOML, and some editors write one.
        return tomllib.loads(_decode(file.read_bytes()))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: {_located(error, file)}") from None
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from None
    except RecursionError:
        raise ConfigError(f"{file}: not TOML that can be read: nested too deeply") from None
    except ValueError as error:  # an embedded "\0" in the path; an integer of thousands of digits
        raise ConfigError(f"{str(file)!r}: cannot be read: {error}") from None


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise tomllib.TOMLDecodeError(f"Not UTF-8 text (at line {line}, column 1)") from None


def _located(error: tomllib.TOMLDecodeError, file: Path) -> str:
    """Return the parser's complaint with its place in front: "line 3, column 5: ..."."""
    what, _, where = str(error).rpartition(" (at ")
    if where.startswith("line"):
        return f"{where.rstrip(')')}: {what}"
    last = file.read_bytes().rstrip().count(b"\n") + 1
    return f"line {last}: {what or error}, and the file ends there"


def _anchored(config: Config, folder: Path) -> Config:
    """Return `config` with its relative paths counted from `folder`."""
    api = msgspec.structs.replace(
        config.api,
        tls_cert=config.api.tls_cert and folder / config.api.tls_cert,
        tls_key=config.api.tls_key and folder / config.api.tls_key,
    )
    return msgspec.structs.replace(config, data_dir=folder / config.data_dir, api=api)


class _Reader:
    """Turns raw tables into sections; `source` says in errors where a value came from."""

    def __init__(self, source: str, environ: Mapping[str, str]) -> None:
        self._source = source
        self._environ = environ

    def table(self, kind: type[Section], raw: object, key: str) -> Section:
        """Return `raw` as a `kind`. `key` is the table's dotted key, "" for the whole file."""
        if not isinstance(raw, dict):
            self._refuse(self._source, key, _shown(raw), f"a table, written [{key}]")
        fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        for name in raw:
            if name not in fields:
                raise ConfigError(f"{self._source}: {_unknown(_dotted(key, name), kind, key)}")
        values = {f.name: self._field(f, raw, _dotted(key, f.encode_name)) for f in fields.values()}
        return kind(**values)

    def _field(self, field: msgspec.structs.FieldInfo, raw: Raw, key: str) -> Any:
        if section := _section_of(field.type):
            return self._section(section, field, raw, key)
        variable = _variable(key)
        if variable in self._environ:
            return self._leaf(field.type, _from_text(field.type, self._environ[variable]), f"${variable}", key)
        if field.encode_name in raw:
            return self._leaf(field.type, raw[field.encode_name], self._source, key)
        if field.required:
            raise ConfigError(f"{self._source}: {key} is missing; it must be {wanted(field.type)}")
        return field.default

    def _section(self, kind: type[Section], field: msgspec.structs.FieldInfo, raw: Raw, key: str) -> Any:
        if not _is_array(field.type):
            return self.table(kind, raw.get(field.encode_name, {}), key)
        if field.encode_name not in raw:
            return field.default
        tables = raw[field.encode_name]
        if not isinstance(tables, list):
            plain_key = re.sub(r"\[\d+\]", "", key)
            self._refuse(self._source, key, _shown(tables), f"a list of tables, each written [[{plain_key}]]")
        return tuple(self.table(kind, table, f"{key}[{index}]") for index, table in enumerate(tables))

    def _leaf(self, kind: Any, raw: object, source: str, key: str) -> Any:
        plain, marks = _split_type(kind)
        form = next((mark for mark in marks if isinstance(mark, Form)), None)
        try:
            value = msgspec.convert(raw, str if _is_path(plain) else kind)
            return form.parse(value) if form else value
        except ValueError:  # msgspec's ValidationError is one, too
            self._refuse(source, key, "<hidden>" if _is_secret(kind) else _shown(raw), wanted(kind))

    def _refuse(self, source: str, key: str, shown: str, wanted_text: str) -> NoReturn:
        raise ConfigError(f"{source}: {key} is {shown}; it must be {wanted_text}")


def _from_text(kind: Any, text: str) -> object:
    """Return what an environment variable's text says, as TOML would have given it; else the text."""
    plain, _ = _split_type(kind)
    try:
        if get_origin(plain) is tuple:
            return _list_from_text(text)
        if plain in (int, float, bool):
            # Lax: the text of a number counts as one. The range is checked later, with a better message.
            return msgspec.convert(text.strip(), plain, strict=False)
    except (ValueError, RecursionError):
        pass
    return text


def _list_from_text(text: str) -> object:
    """Return the entries of `a, b` or of a TOML array."""
    if text.lstrip().startswith("["):
        array = tomllib.loads(f"x = {text.strip()}")
        # "[]\ny = 1" is more than an array; say so by handing back the text.
        return array["x"] if len(array) == 1 else text
    return [entry.strip() for entry in text.split(",") if entry.strip()]


# --- Unknown names ----------------------------------------------------------------------------


def _unknown(key: str, table: type[Section], prefix: str) -> str:
    """Return the sentence about an unknown key in `table`, which names the nearest known one."""
    here = [_dotted(prefix, field.encode_name) for field in msgspec.structs.fields(table)]
    elsewhere = [setting.key for setting in settings() if not setting.key.startswith("account[]")]
    return f"{_printable(key)} is not a setting; the nearest is {_nearest(key, here, elsewhere)}"


def _nearest(key: str, here: list[str], elsewhere: list[str]) -> str:
    """Return the known key most like `key`; one of the same last word in another table comes first."""
    last = key.rpartition(".")[2]
    moved = [known for known in elsewhere if known.rpartition(".")[2] == last]
    # Bounded, as difflib takes quadratic time and a key may be of any length.
    return difflib.get_close_matches(key[:100], moved or [*here, *elsewhere], n=1, cutoff=0)[0]


def _refuse_unknown_variables(environ: Mapping[str, str]) -> None:
    known = [setting.variable for setting in settings() if setting.variable]
    for name in sorted(environ):
        # Without "__" it may be somebody else's: PENSTOCK_CONFIG, an SDK's profile, a deploy script's.
        if name.startswith(ENVIRONMENT_PREFIX) and "__" in name and name not in known:
            nearest = _nearest(name, known, [])
            raise ConfigError(f"${_printable(name)} is not a setting; the nearest is ${nearest}{_file_only(name)}")


def _file_only(name: str) -> str:
    return " (accounts are set in the file alone)" if name.startswith(f"{ENVIRONMENT_PREFIX}ACCOUNT__") else ""


# --- Rules that span several settings ---------------------------------------------------------


def _conflicts(config: Config) -> Iterator[str]:
    """Yield a sentence for each pair of settings that cannot both hold."""
    if bool(config.api.tls_cert) != bool(config.api.tls_key):
        present, absent = ("api.tls_cert", "api.tls_key") if config.api.tls_cert else ("api.tls_key", "api.tls_cert")
        yield f"{present} is set and {absent} is not; set both, or none for a local certificate"
    names = [vhost.name for vhost in config.vhosts]
    if config.media.default_vhost and config.media.default_vhost not in names:
        known = ", ".join(names) or "none"
        yield f"media.default_vhost is {config.media.default_vhost!r}; it must be one of the vhosts ({known})"
    yield from _listener_conflicts(config)
    yield from _twice("account id", [account.id for account in config.accounts])
    yield from _twice("access key", [key.access_key for account in config.accounts for key in account.keys])
    yield from _twice("vhost name", names)
    yield from _domain_conflicts(config)
    for vhost in config.vhosts:
        if vhost.publish_key and vhost.publish_auth == "none":
            yield (
                f'vhost {vhost.name!r} has a publish_key, but its publish_auth is "none": anyone may publish; '
                "take the key out until signed publishing URLs come"
            )


def _listener_conflicts(config: Config) -> Iterator[str]:
    seen: dict[tuple[str, int], str] = {}
    for key, text in _listeners(config):
        address = parse_listen(text)
        if address is None or address[1] == 0:
            continue
        if address in seen:
            yield f"{seen[address]} and {key} are both {text!r}; each listener needs a port of its own"
        seen[address] = key


def _listeners(config: Config) -> Iterator[tuple[str, str]]:
    for section, values in (("api", config.api), ("media", config.media)):
        for field in msgspec.structs.fields(values):
            if LISTENER in _split_type(field.type)[1]:
                yield f"{section}.{field.encode_name}", getattr(values, field.name)


def _twice(what: str, names: list[str]) -> Iterator[str]:
    for name, count in Counter(names).items():
        if count > 1:
            yield f"{what} {name!r} is given {count} times; it must be unique over all accounts"


def _domain_conflicts(config: Config) -> Iterator[str]:
    # A vhost may be named where a domain is expected (`?vhost=`), so its name counts as one of its domains.
    owners = {vhost.name.lower(): vhost.name for vhost in config.vhosts}
    for vhost in config.vhosts:
        for domain in (*vhost.push_domains, *vhost.pull_domains):
            owner = owners.setdefault(domain, vhost.name)
            if owner != vhost.name:
                yield f"domain {domain!r} belongs to vhost {owner!r}, so vhost {vhost.name!r} cannot have it too"


# --- What there is to set, for the documentation ------------------------------------------------


class Setting(Struct, frozen=True):
    """One setting as documentation shows it; all parts are text."""

    key: str  # dotted; account tables are written account[].vhost[].name
    type: str  # what it must be
    default: str  # in TOML, "" where a value is required
    variable: str  # environment variable, "" where there is none
    description: str
    unit: str  # "" where the number counts things or the value is no number


def settings() -> Iterator[Setting]:
    """Yield every setting, in the order of the file."""
    yield from _settings_of(Config, "")


def _settings_of(kind: type[Section], prefix: str) -> Iterator[Setting]:
    for field in msgspec.structs.fields(kind):
        key = _dotted(prefix, field.encode_name)
        if section := _section_of(field.type):
            yield from _settings_of(section, f"{key}[]" if _is_array(field.type) else key)
            continue
        yield Setting(
            key=key,
            type=wanted(field.type),
            default="" if field.required else _toml(field.default),
            variable=_variable(key),
            description=_meta(field.type, "description") or "",
            unit=_unit(field.encode_name),
        )


def _unit(name: str) -> str:
    units = {"s": "seconds", "ms": "milliseconds", "kib": "KiB"}
    return units.get(name.rpartition("_")[2], "") if "_" in name else ""


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    return f'"{value or ""}"'


def _variable(key: str) -> str:
    """Return the environment variable of a dotted key; "" inside the account tables."""
    return "" if "[" in key else ENVIRONMENT_PREFIX + key.upper().replace(".", "__")


def wanted(kind: Any) -> str:
    """Return the end of the sentence "it must be ..." for a setting's type."""
    plain, marks = _split_type(kind)
    for mark in marks:
        if isinstance(mark, Form):
            return mark.wanted
    if get_origin(plain) is Literal:
        return " or ".join(f'"{choice}"' for choice in get_args(plain))
    if plain is str:
        least, most = _meta(kind, "min_length") or 0, _meta(kind, "max_length")
        return f"text of {least} to {most} characters" if most else "text"
    if plain is bool:
        return "true or false"
    number = "a whole number" if plain is int else "a number"
    return f"{number} from {_meta(kind, 'ge'):g} to {_meta(kind, 'le'):.15g}"


# --- Types and texts --------------------------------------------------------------------------


def _split_type(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return an annotation's bare type and its marks (`Meta`, `Form`, `Secret`)."""
    return (get_args(kind)[0], kind.__metadata__) if get_origin(kind) is Annotated else (kind, ())


def _meta(kind: Any, name: str) -> Any:
    return next((getattr(mark, name) for mark in _split_type(kind)[1] if isinstance(mark, Meta)), None)


def _is_secret(kind: Any) -> bool:
    return Secret in _split_type(kind)[1]


def _is_path(plain: Any) -> bool:
    return plain is Path or (get_origin(plain) in (Union, types.UnionType) and Path in get_args(plain))


def _is_array(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _section_of(kind: Any) -> type[Section] | None:
    """Return the section that a field holds, one or many; None for a single value."""
    inner = get_args(kind)[0] if _is_array(kind) else kind
    return inner if isinstance(inner, type) and issubclass(inner, Section) else None


def _dotted(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _shown(value: object) -> str:
    """Return a value for an error text: one line of at most 100 characters."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) > sys.maxsize:
        return "a number beyond 64 bits"  # repr() of one with thousands of digits is an error
    if isinstance(value, dict):
        return "a table"
    # Only texts, for the same reason: anything may be nested in a list.
    if isinstance(value, list) and not all(isinstance(entry, str) for entry in value):
        return "a list"
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _printable(name: str) -> str:
    """Return a name as it is when it is one plain word, else quoted and cut."""
    return name if re.fullmatch(r"[A-Za-z0-9_.\[\]-]{1,100}", name, re.ASCII) else _shown(name)
