"""URLs that come from users, read strictly and in one way only.

Readers of URLs differ in what they take for the host of an odd one; so what is odd is refused here, and
whoever connects gets the parts as they were read here, never the text.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from typing import Final

from msgspec import Struct

from penstock.errors import NetworkRefused

MAX_URL: Final = 4096
DEFAULT_PORTS: Final = {"http": 80, "https": 443, "rtmp": 1935, "rtmps": 443}

_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,31})://([^/?#]+)(/[^?#]*)?(?:\?([^#]*))?(?:#.*)?")
_PLACE: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([^:\[\]@%]+))(?::([0-9]{1,5}))?")
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# A last label like these makes readers take the whole for an address: 127.1, 2130706433, 0x7f.0.0.1.
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_SHOWN: Final = 200


class Url(Struct, frozen=True):
    """A URL in parts. `host` is in lower case and ASCII, an IPv6 address without its brackets."""

    scheme: str
    host: str
    port: int
    path: str = ""  # with its leading slash
    query: str | None = None  # None: there is not even a question mark

    @property
    def place(self) -> str:
        """Host and port as they stand in a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS.get(self.scheme) else f"{host}:{self.port}"

    @property
    def is_tls(self) -> bool:
        return self.scheme in ("https", "rtmps")

    def __str__(self) -> str:
        """The whole URL; its query may hold a key."""
        query = "" if self.query is None else f"?{self.query}"
        return f"{self.scheme}://{self.place}{self.path}{query}"


def parse_url(text: str, schemes: Collection[str]) -> Url:
    """Read a URL whose scheme is one of `schemes`, in lower case.

    Raises:
        NetworkRefused: it is none, or written in a way that could be read differently.
    """
    if len(text) > MAX_URL:
        raise NetworkRefused(f"the URL has {len(text)} characters; it must have at most {MAX_URL}")
    # Blanks, line feeds and their like end a line of some protocol; a backslash is a slash to browsers alone.
    if not text.isprintable() or " " in text or "\\" in text:
        raise _refused(text, "printable, and without blanks and backslashes")
    found = _URL.fullmatch(text)
    if found is None or found[1].lower() not in schemes:
        raise _refused(text, f"a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    scheme = found[1].lower()
    if "@" in found[2]:
        raise NetworkRefused(f"the {scheme} URL has a user before its host; it must have none, put keys into its query")
    place = _PLACE.fullmatch(found[2])
    if place is None:
        raise _refused(text, "a URL with a host, and a port if it has one, behind its slashes")
    port = int(place[3]) if place[3] else DEFAULT_PORTS[scheme]
    if not 1 <= port <= 65535:
        raise _refused(text, "a URL whose port is from 1 to 65535")
    return Url(scheme, _v6(place[1]) if place[1] else host_of(place[2]), port, found[3] or "", found[4])


def host_of(text: str) -> str:
    """A host's name in lower case and ASCII, or an IPv4 address of four decimal numbers, as it is.

    Raises:
        NetworkRefused: it is no name, or an address in another spelling.
    """
    host = _ascii(text).lower().removesuffix(".")
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise NetworkRefused(f"the host is {text[:_SHOWN]!r}; an address must be four numbers, a.b.c.d") from None
    if len(host) > 253 or not _NAME.fullmatch(host):
        raise NetworkRefused(f"the host is {text[:_SHOWN]!r}; it must be a name or an address")
    return host


def _ascii(text: str) -> str:
    if text.isascii():
        return text
    try:
        # Short first: the codec's work grows faster than its input does.
        return text[:254].encode("idna").decode("ascii")
    except UnicodeError:
        raise NetworkRefused(f"the host is {text[:_SHOWN]!r}; it must be a name or an address") from None


def _v6(text: str) -> str:
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise NetworkRefused(f"the host is [{text}]; in brackets it must be an IPv6 address") from None


def _refused(text: str, wanted: str) -> NetworkRefused:
    # Up to its host: behind that are keys, a stream's name among them, and a user's password is before it.
    scheme, slashes, rest = text.rpartition("://") if text.count("://") == 1 else ("", "", text)
    host = re.split("[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    shown = f"{scheme}{slashes}{host}"[:_SHOWN]
    return NetworkRefused(f"the URL is {shown!r}; it must be {wanted}")
