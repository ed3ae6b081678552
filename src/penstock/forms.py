"""Forms of settings: what a text has to look like, beyond being text."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from penstock.errors import ConfigError
from penstock.model import is_name
from penstock.settings import Form, shown, wanted


def parse_listen(text: str) -> tuple[str, int] | None:
    """Return the (host, port) that a listener's text names; None for "", which turns it off.

    Port 0 asks the system for a free port. An IPv6 host comes back without its brackets.

    Raises:
        ConfigError: `text` is not "host:port", "[v6]:port" or "".
    """
    try:
        return _split_listen(text)
    except ValueError:
        raise ConfigError(f"{shown(text)} is not a listener; it must be {wanted(Listener)}") from None


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


def host_name(text: str) -> str:
    """Return a host name or an address, without port, as it is compared: in lower case.

    Raises:
        ValueError: it is neither.
    """
    return str(ipaddress.IPv6Address(text)) if ":" in text else _host(text)


def _name(text: str) -> str:
    if not is_name(text):
        raise ValueError(text)
    return text


def _app(text: str) -> str:
    words = text.split("/")
    if len(words) > 2 or not all(map(is_name, words)):
        raise ValueError(text)
    return text


def _path(text: str) -> Path:
    # "\0" would be a ValueError at every use; other control characters are a slip of the keyboard.
    if not text or re.search(r"[\x00-\x1f\x7f]", text):
        raise ValueError(text)
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # "~nobody": there is no such user
        raise ValueError(text) from error


def _each(parse: Callable[[str], str]) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    """Return a parser of lists that keeps each entry once."""
    return lambda texts: tuple(dict.fromkeys(map(parse, texts)))


def _each_once(parts: tuple[str, ...]) -> tuple[str, ...]:
    if sorted(parts) != ["key", "path", "time"]:
        raise ValueError(parts)
    return parts


Listener = Annotated[str, Form('"host:port", "[v6]:port" or "" (off); port 0 takes a free one', _listener)]
Name = Annotated[str, Form("a name: letters, digits, `_`, `.`, `-`, at most 255 characters, not `.` or `..`", _name)]
Names = Annotated[
    tuple[str, ...],
    Meta(min_length=1),
    Form("a list of at least one name (letters, digits, `_`, `.`, `-`)", _each(_name)),
]
OptionalNames = Annotated[
    tuple[str, ...], Form("a list of names (letters, digits, `_`, `.`, `-`), which may be empty", _each(_name))
]
Apps = Annotated[tuple[str, ...], Form('a list of apps, each "APP" or "VHOST/APP"', _each(_app))]
VhostName = Annotated[str, Form("a vhost's name, or empty", lambda text: text and _name(text))]
Host = Annotated[
    str, Form("a host name or an address without port (in ASCII), or empty", lambda text: text and host_name(text))
]
Domains = Annotated[
    tuple[str, ...], Form("a list of host names or addresses without port (in ASCII)", _each(host_name))
]
Networks = Annotated[
    tuple[str, ...],
    Form(
        'a list of addresses or networks such as "10.0.0.0/8", host bits zero',
        # Host bits are refused, as "10.0.0.5/8" opens 16 million addresses where one was meant.
        lambda values: tuple(str(ipaddress.ip_network(value)) for value in values),
    ),
]
Folder = Annotated[Path, Form("the path of a folder", _path)]
OtherFolder = Annotated[Path | None, Form("the path of a folder, or empty", lambda text: _path(text) if text else None)]
File = Annotated[Path | None, Form("the path of a file, or empty", lambda text: _path(text) if text else None)]
AccessKey = Annotated[str, Meta(pattern=r"\A[!-~]{1,128}\Z"), Form("1 to 128 visible ASCII characters without blanks")]
SignOrder = Annotated[
    tuple[Literal["key", "path", "time"], ...],
    Meta(min_length=3, max_length=3),
    Form('a list of "key", "path" and "time", each once', _each_once),
]
