"""What `penstock serve` says once it runs: where to publish, where to play, what was set up."""

from __future__ import annotations

import ipaddress
from datetime import datetime
from typing import Final

from msgspec import Struct

from penstock import __version__
from penstock.config import Config, Vhost
from penstock.domain import publish_url
from penstock.domain.accounts import CREDENTIALS
from penstock.forms import parse_listen
from penstock.model import StreamId
from penstock.storage.rows import UrlSigning

# Addresses that mean every address of a machine; a URL needs one that does.
ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
DEFAULT_PORTS: Final = {"rtmp": 1935, "rtmps": 443, "http": 80, "https": 443}
# Every way to play: a page for browsers, HTTP-FLV, HLS, RTMP, and each in TLS.
PLAYS: Final = (
    ("http", ""),
    ("http", ".flv"),
    ("http", ".m3u8"),
    ("rtmp", ""),
    ("https", ""),
    ("https", ".flv"),
    ("https", ".m3u8"),
    ("rtmps", ""),
)
MEDIA_DOORS: Final = tuple(DEFAULT_PORTS)
API_DOORS: Final = {"api": ("http", "listen"), "api_tls": ("https", "tls_listen")}


class Places(Struct, frozen=True):
    """The start of each door's URLs, as ``rtmp://host:port``, and what stands before and behind a stream's name."""

    bases: dict[str, str]
    app: str
    query: str  # names the vhost where nothing else does
    apis: tuple[str, ...]  # where the management APIs answer
    watch: str  # where monitoring reads; "": turned off
    vhost: Vhost  # whose streams the URLs mean

    @classmethod
    def of(cls, config: Config, ports: dict[str, int]) -> Places:
        bases = {
            door: _base(config, door, getattr(config.media, f"{door}_listen"), ports[door])
            for door in MEDIA_DOORS
            if door in ports
        }
        apis = tuple(
            _base(config, scheme, getattr(config.api, setting), ports[door])
            for door, (scheme, setting) in API_DOORS.items()
            if door in ports
        )
        watch = _base(config, "http", config.watch.listen, ports["watch"]) if "watch" in ports else ""
        vhost = next((v for v in config.vhosts if v.name == config.media.default_vhost), config.vhosts[0])
        needs_name = len(config.vhosts) > 1 and not config.media.default_vhost
        return cls(
            bases,
            vhost.apps[0] if vhost.apps else "APP",
            f"?vhost={vhost.name}" if needs_name else "",
            apis,
            watch,
            vhost,
        )

    @property
    def publish(self) -> str:
        """The server's part of a publish URL, as OBS asks for it; empty when RTMP is off."""
        base = self.bases.get("rtmp") or self.bases.get("rtmps")
        return f"{base}/{self.app}" if base else ""

    def publish_url(self, stream: str) -> str:
        return f"{self.publish}/{stream}{self.query}"

    def signed_publish_url(self, stream: str, until: datetime) -> str:
        """The same, good until then, where the vhost takes signed URLs alone."""
        vhost, url = self.vhost, self.publish_url(stream)
        if vhost.publish_auth == "none":
            return url
        signing = UrlSigning(order=vhost.publish_sign_order)
        at = int(until.timestamp()) - vhost.publish_valid_s
        signed = publish_url.sign(vhost.publish_key, StreamId(vhost.name, self.app, stream), str(at), signing)
        return f"{url}{'&' if self.query else '?'}{signed}"

    def play_urls(self, stream: str) -> list[str]:
        """Every way to play; the page first, as everybody has a browser."""
        return [
            f"{self.bases[door]}/{self.app}/{stream}{suffix}{self.query}"
            for door, suffix in PLAYS
            if door in self.bases
        ]


def _base(config: Config, scheme: str, listen: str, port: int) -> str:
    address = parse_listen(listen)
    assert address is not None
    # A door on loopback is reached from here alone, whatever name the machine has outside.
    is_public = config.media.public_host and not is_loopback(address[0])
    host = config.media.public_host if is_public else ANY_ADDRESS.get(address[0], address[0])
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}" + ("" if port == DEFAULT_PORTS[scheme] and scheme != "rtmp" else f":{port}")


def welcome(places: Places, config: Config, open_files: tuple[int, int], *, on_air: str) -> str:
    """The text; `on_air` is the test pattern's stream name, or empty."""
    rows: list[tuple[str, str]] = []
    if on_air:
        rows += _titled("Test pattern", _explained(places.play_urls(on_air)))
    if places.publish:
        rows += _titled("Publish", [places.publish_url("STREAM")])
        rows += _titled("  with OBS", [f"Server {places.publish}   Stream Key STREAM{places.query}"])
        if places.vhost.publish_auth == "signed":
            rows += _titled("  signed", [f"vhost {places.vhost.name} takes URLs with wsSecret and wsTime alone"])
    rows += _titled("Play", _explained(places.play_urls("STREAM")))
    if places.apis:
        rows += _titled("API", list(places.apis))
        rows += _titled("  its keys", _keys(config))
    if places.watch:
        rows += _titled("Watch", [f"{places.watch}/metrics"])
    before, now = open_files
    rows += _titled("Open files", [f"{now}" + (f" (raised from {before})" if now != before else "")])
    rows += _titled("Data", [str(config.data_dir)])
    if config.api.tls_cert is None and any(
        base.startswith("https:") for base in (*places.bases.values(), *places.apis)
    ):
        rows += _titled("TLS", [f"for https, trust {config.data_dir}/tls/ca.pem"])
    body = "\n".join(f"  {title:<14}{text}" for title, text in rows)
    stream = "STREAM is a name of your choice. ffplay, VLC and mpv play all but the pages."
    return f"\n  Penstock {__version__} is running. Ctrl-C ends it.\n\n{body}\n\n  {stream}\n"


def _explained(urls: list[str]) -> list[str]:
    """The URLs, with a word behind those that are pages."""
    return [f"{url}   a page for browsers" if _is_page(url) else url for url in urls]


def _is_page(url: str) -> bool:
    return url.startswith("http") and not url.partition("?")[0].endswith((".flv", ".m3u8"))


def _keys(config: Config) -> list[str]:
    given = [] if all(not account.keys for account in config.accounts) else ["those of the configuration file"]
    made = [] if all(account.keys for account in config.accounts) else [str(config.data_dir / CREDENTIALS)]
    return [*made, *given]


def is_loopback(host: str) -> bool:
    """True for an address that only this machine reaches."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _titled(title: str, texts: list[str]) -> list[tuple[str, str]]:
    return [(title if not index else "", text) for index, text in enumerate(texts)]
