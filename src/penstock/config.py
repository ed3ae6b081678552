"""What can be set, to what, and why; see `settings` for how it is read.

Each setting stands here once, its meaning below it; `docs/configuration.md` is made from these
declarations. Rules that span several settings are in `_conflicts`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from penstock.errors import ConfigError
from penstock.forms import (
    AccessKey,
    Apps,
    Domains,
    File,
    Folder,
    Host,
    Listener,
    Name,
    Names,
    Networks,
    OptionalNames,
    OtherFolder,
    SignOrder,
    VhostName,
    parse_listen,
)
from penstock.settings import Form, Secret, Section, Setting, read, read_toml, settings_of

FILE_VARIABLE = "PENSTOCK_CONFIG"
DEFAULT_FILE = "penstock.toml"


# --- The settings -----------------------------------------------------------------------------


class Api(Section, frozen=True, kw_only=True):
    """The management APIs."""

    listen: Listener = "127.0.0.1:8080"
    """Where the management APIs answer, without TLS."""

    tls_listen: Listener = "127.0.0.1:8443"
    """The same in TLS. Some SDKs can only speak https."""

    trusted_proxies: Networks = ()
    """Addresses or networks of reverse proxies whose `X-Forwarded-For` is believed; from anyone else the header is
    ignored, as a client could write any address into it."""

    rate_limits: bool = True
    """Whether an account's calls are limited as its cloud limits them; tests and benchmarks may want to go on."""

    tls_cert: File = None
    """Certificate chain (PEM) of every TLS listener; empty: one made by the local certificate authority in
    `data_dir/tls`. Goes together with `api.tls_key`."""

    tls_key: File = None
    """Private key (PEM) of `api.tls_cert`."""


class Media(Section, frozen=True, kw_only=True):
    """Publishers and players, and how the engine treats them."""

    rtmp_listen: Listener = "127.0.0.1:1935"
    """RTMP: publishers and players."""

    rtmps_listen: Listener = ""
    """RTMP in TLS: publishers and players."""

    http_listen: Listener = "127.0.0.1:8081"
    """HTTP players: `/{app}/{stream}.flv`, `/{app}/{stream}.m3u8`, and a page that plays at `/{app}/{stream}`."""

    https_listen: Listener = "127.0.0.1:8444"
    """HTTP players in TLS: a page that came by https can play nothing else."""

    public_host: Host = ""
    """Host put into the URLs that are handed out, and what KLS's `Node` is; empty: the address that a door listens
    on."""

    default_vhost: VhostName = ""
    """Vhost of a stream whose host is no configured domain and that names none by `?vhost=`; empty: the only vhost
    there is, and with several a refusal."""

    on_conflict: Literal["refuse", "replace"] = "refuse"
    """What a second publisher of a name on air gets: `refuse` keeps the first one while it sends, so that nobody
    takes over a stream by its name; `replace` lets the newest one win."""

    replace_after_silent_s: Annotated[float, Meta(ge=0.1, le=60)] = 2.0
    """A publisher that has sent nothing for so long is replaced by a second one even under `refuse`: an encoder
    that lost its network comes back before its old connection is known to be dead."""

    idle_timeout_s: Annotated[float, Meta(ge=0.1, le=3600)] = 10.0
    """A publisher that has sent nothing for so long is closed: no stream stays on air without one."""

    keep_players_s: Annotated[float, Meta(ge=0, le=3600)] = 10.0
    """How long players are kept after a publisher left by itself, so that a blink of its network is no end for
    them; 0: they end with it. A kick or a ban closes them at once."""

    drain_s: Annotated[float, Meta(ge=0, le=600)] = 5.0
    """At SIGTERM: how long streams may go on to their next key frame, where their players are let go, and slow players
    may take what waits for them; whoever is left is cut. 0: all are cut at once, as by Ctrl-C."""

    admission_timeout_s: Annotated[float, Meta(ge=0.1, le=60)] = 3.0
    """How long a publish waits for the control process's answer; then it is refused, so that a restart of control
    costs a moment and a dead one does not hold connections."""

    setup_timeout_s: Annotated[float, Meta(ge=0.1, le=300)] = 10.0
    """A connection must be publishing or playing by then, or it is closed: one that only occupies a place is of no
    use to anyone."""

    latency: Literal["low", "normal", "max"] = "low"
    """When players are written to. `low`: with every picture; `normal`: every 100 ms, `max`: every 250 ms, for more
    players on the same machine, as the number of writes is nearly all that costs."""

    audio_flush_ms: Annotated[int, Meta(ge=0, le=1000)] = 60
    """Audio waits for the next picture at most so long: it rides along with pictures, and a stream of sound alone
    is still written in time."""

    player_buffer_kib: Annotated[int, Meta(ge=64, le=1_048_576)] = 4096
    """Bytes that may wait for one slow player; above, it skips to the next key frame. Many slow players at once
    cost at most this much memory each."""

    player_stall_s: Annotated[float, Meta(ge=0.1, le=3600)] = 10.0
    """A player whose socket has taken nothing for so long is closed."""

    notsent_lowat_kib: Annotated[int, Meta(ge=1, le=65_536)] = 128
    """Bytes that the kernel holds unsent for a player (TCP_NOTSENT_LOWAT): small, so that a slow player shows at
    once and skips by frames that were never handed over."""

    gop_cache_kib: Annotated[int, Meta(ge=0, le=1_048_576)] = 32_768
    """Frames since the last key frame that are kept per stream, so that a player starts at once; a longer run is
    not kept, and its players wait for the next key frame. 0: no cache."""

    hls_target_s: Annotated[float, Meta(ge=0.5, le=10)] = 2.0
    """HLS: a segment ends with the first key frame after so long, and at twice of it where none came. Players stay
    a few segments behind: shorter ones bring them closer, and cost more requests."""

    hls_segments: Annotated[int, Meta(ge=3, le=60)] = 8
    """Segments in an HLS playlist: with the usual ones of 2 s it is as long as players want it, three times the
    longest segment, and two more for those who are late. As many again are kept that have left it."""

    hls_stream_kib: Annotated[int, Meta(ge=1024, le=4_194_304)] = 65_536
    """Bytes that one stream's HLS segments may take in memory; above, the oldest are let go before their time."""

    hls_total_kib: Annotated[int, Meta(ge=1024, le=1_073_741_824)] = 1_048_576
    """The same of all streams together: anybody may ask for every stream that is on air. Above, a stream keeps three
    segments."""

    hls_wait_s: Annotated[float, Meta(ge=0, le=60)] = 8.0
    """How long a player's first request waits for a stream's first segment, or after a restart for the stream itself:
    shorter than players wait for an answer."""

    hls_low_latency: bool = False
    """HLS: segments are told of in parts, and players wait for the next one: two seconds behind live instead of
    several, for some seven requests a second of each player. Players that do not know of parts play as before."""

    hls_part_s: Annotated[float, Meta(ge=0.2, le=2)] = 0.3
    """The longest part with `hls_low_latency`. Players stay three of them behind the last one; a part should have room
    for at least three pictures."""

    hls_online_s: Annotated[float, Meta(ge=1, le=600)] = 30.0
    """A player of HLS counts as there for so long after its last request."""

    hls_always: Apps = ()
    """Apps (`live`, or `demo/live` for one vhost's) that are packed for HLS although nobody plays it, so that the first
    player need not wait for a segment; others are packed while somebody plays them."""

    # RTMP writes a message's length in 24 bits.
    max_message_kib: Annotated[int, Meta(ge=64, le=16_383)] = 8192
    """Longest media message of an admitted publisher; above, its connection is closed. It bounds what one publisher
    can make the server hold before a frame is whole."""

    max_connections_per_address: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000
    """Connections that one address may hold in all; further ones are closed."""

    max_pending_per_address: Annotated[int, Meta(ge=1, le=1_000_000)] = 1024
    """Connections of one address that neither publish nor play yet; further ones are closed, so that one address
    cannot fill the server with half-open ones. Encoders behind one proxy may all come back in the same second."""

    # The promise: a killed process loses at most ten seconds of usage.
    usage_flush_s: Annotated[float, Meta(ge=0.1, le=10)] = 10.0
    """How often counted bytes are handed to control: what a killed engine may lose."""

    stats_interval_s: Annotated[float, Meta(ge=0.1, le=60)] = 1.0
    """How often bit rates and player numbers of each stream are reported."""


class Recording(Section, frozen=True, kw_only=True):
    """Streams written to disk."""

    dir: OtherFolder = None
    """Folder of recordings, as `VHOST/APP/STREAM/FILE` in it; made at the first one, if the folder around it is there.
    Empty: `recordings` in `data_dir`."""

    fragment_s: Annotated[float, Meta(ge=0.2, le=10)] = 1.0
    """Longest piece of an MP4 or FLV that is written at once: what a killed process loses at most. Shorter ones cost
    more writes and a larger file."""

    hls_segment_s: Annotated[float, Meta(ge=1, le=20)] = 8.0
    """Longest segment of a recording in HLS; one ends with the first key frame after half of it. A killed process loses
    the one under way."""

    min_free_mib: Annotated[int, Meta(ge=0, le=1_048_576)] = 512
    """Recordings fail when less than so much of their disk is free: bans and sessions may be written there too, and go
    on. 0: they go on until it is full."""

    queue_kib: Annotated[int, Meta(ge=1024, le=4_194_304)] = 16_384
    """Bytes of one recording that may wait for the disk; above, it leaves out frames up to a key frame, and the file's
    list of gaps says so. No stream waits for a disk."""

    queue_total_kib: Annotated[int, Meta(ge=1024, le=1_073_741_824)] = 262_144
    """The same of all recordings together."""


class Relay(Section, frozen=True, kw_only=True):
    """Relay tasks: what is pulled from elsewhere, or played from files, and pushed on."""

    max_tasks: Annotated[int, Meta(ge=0, le=100_000)] = 1000
    """Tasks that are neither stopped nor over; above, no more can be made. One that only moves packets takes about 1 MB
    and no process. 0: none."""

    max_account_tasks: Annotated[int, Meta(ge=0, le=100_000)] = 200
    """The same of one account, so that one of them cannot take all places."""

    max_workers: Annotated[int, Meta(ge=0, le=1000)] = 8
    """Processes for files, HLS sources and watermarks that run at once, each about 100 MB, and more with a watermark;
    tasks above wait for a free place, and say so."""

    worker_memory_mib: Annotated[int, Meta(ge=128, le=16_384)] = 768
    """What such a process may allocate; one that wants more ends, and its task is tried again. Files of 4K with a
    watermark want more than the default."""

    cache_mib: Annotated[int, Meta(ge=0, le=16_777_216)] = 4096
    """Files that are fetched whole before they are played, kept in `data_dir/relay-cache`; above, those that were used
    longest ago go. 0: none are, and every loop fetches anew."""


class Storage(Section, frozen=True, kw_only=True):
    """Where control keeps its rows."""

    # Hidden like a password, as the URL of a database server may hold one.
    url: Annotated[Literal["sqlite"], Secret, Form('"sqlite" for now: PostgreSQL comes later')] = "sqlite"
    """`sqlite`: a file in `data_dir` (PostgreSQL comes later)."""


class Analytics(Section, frozen=True, kw_only=True):
    """Where usage is kept for reports."""

    url: Annotated[Literal["duckdb"], Secret, Form('"duckdb" for now: ClickHouse comes later')] = "duckdb"
    """`duckdb`: a file in `data_dir` (ClickHouse comes later); none is made yet."""


class Link(Section, frozen=True, kw_only=True):
    """How control and engine talk to each other."""

    url: Annotated[Literal["socket"], Secret, Form('"socket" for now: NATS comes later')] = "socket"
    """`socket`: a Unix socket in `data_dir` (NATS comes later)."""


class Watch(Section, frozen=True, kw_only=True):
    """What monitoring reads."""

    listen: Listener = "127.0.0.1:9464"
    """Where `/healthz`, `/readyz` and `/metrics` answer, by HTTP and to anybody who gets there: they name streams, so
    let no stranger in."""

    top_streams: Annotated[int, Meta(ge=0, le=100)] = 10
    """How many streams `/metrics` names, those with the most players; all others are in the totals alone. 0: none."""


class Network(Section, frozen=True, kw_only=True):
    """What outgoing connections may reach."""

    allow_private: Networks = ()
    """Private networks that relays, forwards, pulls and callbacks may reach, such as `127.0.0.0/8`; all others are
    refused, so that a URL from outside opens nothing inside. Streams of this very server are behind such an address,
    too."""

    ca_file: File = None
    """Certificates (PEM) of authorities that are believed besides the system's, when `rtmps` and `https` servers are
    called."""


class Retention(Section, frozen=True, kw_only=True):
    """How long what was written down is kept."""

    sessions_days: Annotated[int, Meta(ge=1, le=3650)] = 90
    """Sessions that are over: the longest window that a cloud's API asks for is 60 days."""

    max_sessions: Annotated[int, Meta(ge=1000, le=1_000_000_000)] = 5_000_000
    """So many of them at most, the latest ones."""

    refusals_days: Annotated[int, Meta(ge=1, le=3650)] = 28
    """Publishes that were turned away: as far back as a cloud's API asks."""

    max_refusals: Annotated[int, Meta(ge=1000, le=1_000_000_000)] = 500_000
    """So many of them at most: anybody can try to publish, and must not fill the disk."""

    explained_days: Annotated[int, Meta(ge=1, le=3650)] = 7
    """Reasons of refused API calls, for `penstock explain`."""

    max_explained: Annotated[int, Meta(ge=100, le=100_000_000)] = 50_000
    """So many of them at most: anybody can send a request."""

    recordings_days: Annotated[int, Meta(ge=0, le=3650)] = 0
    """Recorded files, counted from their end; 0: until somebody removes them, as nobody else may have them. That they
    were there stays known for `sessions_days`."""

    recordings_gib: Annotated[int, Meta(ge=0, le=1_048_576)] = 0
    """So many GiB of recorded files at most, over all accounts; above, the oldest are removed. 0: as many as the disk
    takes."""

    relays_days: Annotated[int, Meta(ge=1, le=3650)] = 90
    """Relay tasks that are over, counted from their end."""

    callbacks_days: Annotated[int, Meta(ge=1, le=3650)] = 14
    """Callbacks that were delivered or given up, with each try, for `penstock callbacks`."""

    max_callbacks: Annotated[int, Meta(ge=100, le=100_000_000)] = 100_000
    """So many of them at most, the latest ones."""


class Key(Section, frozen=True, kw_only=True):
    """An access key of an account."""

    access_key: AccessKey
    """Public half of the key; no two accounts share one."""

    secret_key: Annotated[str, Secret, Meta(min_length=1, max_length=256)]
    """Secret half, which signs requests; never shown."""

    sub_account: bool = False
    """True for the key of a sub-account."""


class Vhost(Section, frozen=True, kw_only=True):
    """A group of domains whose streams belong together."""

    name: Name
    """The vhost's name; unique over all accounts."""

    push_domains: Domains = ()
    """Domains that encoders publish to; each belongs to one vhost."""

    pull_domains: Domains = ()
    """Domains that players play from; likewise."""

    apps: Names = ("live",)
    """Apps that streams may be published under; others are refused."""

    publish_auth: Literal["none", "signed"] = "none"
    """`none`: whoever reaches the port may publish. `signed`: only by a URL with `wsSecret` and `wsTime`, made with
    `publish_key`."""

    publish_key: Annotated[str, Secret, Meta(max_length=256)] = ""
    """Key of signed publishing URLs; never shown. When it changes, whoever publishes by the old one is cut off."""

    publish_sign_order: SignOrder = ("key", "path", "time")
    """In which order key, path and time are hashed into `wsSecret`."""

    publish_valid_s: Annotated[int, Meta(ge=0, le=31_536_000)] = 0
    """0: `wsTime` is when the URL ends; otherwise it is when the URL was made, and the URL is good for so long."""

    record: Literal["", "mp4", "flv", "hls"] = ""
    """Record every stream of this vhost whenever it is on air, as fragmented MP4, FLV or HLS; empty: only what is asked
    for."""

    record_apps: OptionalNames = ()
    """Apps that `record` is for; an empty list: all of them."""

    record_one_file: bool = False
    """Whether a publisher that comes back within a minute goes on in the same file, with a gap; otherwise each publish
    has its own."""


class Account(Section, frozen=True, kw_only=True):
    """A customer of this server; sees its own vhosts alone."""

    id: Name
    """The account's number or name."""

    callback_key: Annotated[str, Secret, Meta(max_length=256)] = ""
    """Key that this account's callbacks are signed with, so that their receiver can tell them from others'; empty: they
    are not signed."""

    keys: tuple[Key, ...] = msgspec.field(name="key", default=())
    vhosts: tuple[Vhost, ...] = msgspec.field(name="vhost", default=())


DEMO_ACCOUNT = Account(
    id="2000000001",
    vhosts=(Vhost(name="demo", push_domains=("push.demo.test",), pull_domains=("pull.demo.test",), apps=("live",)),),
)


class Config(Section, frozen=True, kw_only=True):
    """All settings of one server. Paths are absolute after `load`."""

    data_dir: Folder = Path("data")
    """Folder of everything that is kept; made at the first start. A relative path counts from the configuration
    file's folder, or without a file from the working directory."""

    api: Api = Api()
    media: Media = Media()
    recording: Recording = Recording()
    relay: Relay = Relay()
    storage: Storage = Storage()
    analytics: Analytics = Analytics()
    link: Link = Link()
    watch: Watch = Watch()
    network: Network = Network()
    retention: Retention = Retention()
    accounts: tuple[Account, ...] = msgspec.field(name="account", default=(DEMO_ACCOUNT,))

    @property
    def recordings_dir(self) -> Path:
        return self.recording.dir or self.data_dir / "recordings"

    @property
    def vhosts(self) -> tuple[Vhost, ...]:
        """The vhosts of all accounts, in the file's order."""
        return tuple(vhost for account in self.accounts for vhost in account.vhosts)


def settings() -> Iterator[Setting]:
    """Yield every setting, in the order of the file."""
    return settings_of(Config)


# --- Loading ----------------------------------------------------------------------------------


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Return the settings of the file at `path` (see `find_file`), with the environment's on top.

    Raises:
        ConfigError: a setting is unknown, wrong, or at odds with another; one line says which.
    """
    file = find_file(path, environ)
    source = str(file) if file else "settings"
    config = read(Config, read_toml(file) if file else {}, source, environ)
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


def _anchored(config: Config, folder: Path) -> Config:
    """Return `config` with its relative paths counted from `folder`."""
    api = msgspec.structs.replace(
        config.api,
        tls_cert=config.api.tls_cert and folder / config.api.tls_cert,
        tls_key=config.api.tls_key and folder / config.api.tls_key,
    )
    recording = msgspec.structs.replace(config.recording, dir=config.recording.dir and folder / config.recording.dir)
    network = msgspec.structs.replace(
        config.network, ca_file=config.network.ca_file and folder / config.network.ca_file
    )
    return msgspec.structs.replace(
        config, data_dir=folder / config.data_dir, api=api, recording=recording, network=network
    )


# --- Rules that span several settings ---------------------------------------------------------


def _conflicts(config: Config) -> Iterator[str]:
    """Yield a sentence for each pair of settings that cannot both hold."""
    if bool(config.api.tls_cert) != bool(config.api.tls_key):
        present, absent = ("api.tls_cert", "api.tls_key") if config.api.tls_cert else ("api.tls_key", "api.tls_cert")
        yield f"{present} is set and {absent} is not; set both, or none for a local certificate"
    media = config.media
    if media.hls_low_latency and 2 * media.hls_part_s > media.hls_target_s:
        yield (
            f"media.hls_part_s is {media.hls_part_s:g} and media.hls_target_s is {media.hls_target_s:g}; "
            "with hls_low_latency a segment must have room for two parts"
        )
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
                'set publish_auth = "signed", or take the key out'
            )
        if vhost.publish_auth == "signed" and not vhost.publish_key:
            yield f'vhost {vhost.name!r} has publish_auth = "signed" and no publish_key; give it one'
        yield from _record_conflicts(vhost)


def _record_conflicts(vhost: Vhost) -> Iterator[str]:
    for app in vhost.record_apps:
        if app not in vhost.apps:
            yield f"vhost {vhost.name!r} has no app {app!r} to record; its apps are {', '.join(vhost.apps)}"
    if not vhost.record and (vhost.record_apps or vhost.record_one_file):
        yield f'vhost {vhost.name!r} says how to record, and not what as; set record = "mp4", "flv" or "hls"'


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
    for section, values in (("api", config.api), ("media", config.media), ("watch", config.watch)):
        for field in msgspec.structs.fields(values):
            if field.type == Listener:
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
