"""Signed publishing URLs: who has the vhost's key makes a URL that is good for a while.

::

    rtmp://push.demo.test/live/cam?wsSecret=<32 hex digits>&wsTime=<10 digits>

`wsSecret` is the MD5 of key, path (``/live/cam``) and time, in the order that the vhost has. `wsTime` is in
Unix seconds, in decimal (10 digits) or in hexadecimal (8 digits), and is hashed as it is written.

The parts are hashed without anything between them. Where the time follows the path, ``/live/cam`` at
``1793545200`` is the same text as ``/live/cam17`` at ``93545200`` in hexadecimal, so that one signature fits two
streams. Of the two readings the one whose time is nearer to now is meant, and the other is refused.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import md5
from typing import Final
from urllib.parse import parse_qsl

from penstock.errors import UrlExpired, UrlNotSigned
from penstock.model import StreamId
from penstock.storage.rows import UrlSigning

SECRET: Final = "wsSecret"  # noqa: S105 - a parameter's name
TIME: Final = "wsTime"
_DECIMAL: Final = re.compile(r"[0-9]{10}", re.ASCII)
_HEX: Final = re.compile(r"[0-9a-fA-F]{8}", re.ASCII)
MAX_FIELDS: Final = 64


def sign(key: str, stream: StreamId, time: str, signing: UrlSigning) -> str:
    """The query that lets `stream` be published; `time` as it is to stand in the URL."""
    return f"{SECRET}={_digest(key, stream, time, signing)}&{TIME}={time}"


def check(key: str, stream: StreamId, query: str, signing: UrlSigning, now: datetime) -> None:
    """Let a publishing URL pass whose query is signed with `key` and in time.

    Raises:
        UrlNotSigned: a part is missing, twice, or of another form; or another key or path was signed.
        UrlExpired: it is signed, and its time is over.
    """
    given = _fields(query)
    for name in (SECRET, TIME):
        if len(given.get(name, [])) != 1:
            seen = "twice" if given.get(name) else "missing"
            raise UrlNotSigned(f"the publishing URL's {name} is {seen}; it must be signed with the vhost's key")
    (secret,), (time,) = given[SECRET], given[TIME]
    made = _digest(key, stream, time, signing)
    if not hmac.compare_digest(made.encode(), secret.lower().encode("utf-8", "surrogatepass")):
        raise UrlNotSigned(f"the publishing URL's {SECRET} is not the one that the vhost's key gives for this path")
    until = _read_time(time)
    other = _other_reading(stream, time, signing)
    if other is not None and abs(other - now) < abs(until - now):
        raise UrlNotSigned(f"the publishing URL's {TIME} is {time}; with this path it reads as another stream's")
    if signing.valid_s is not None:
        until += timedelta(seconds=signing.valid_s)
    if now >= until:
        raise UrlExpired(f"the publishing URL was good until {until:%Y-%m-%dT%H:%M:%SZ}")


def _fields(query: str) -> Mapping[str, list[str]]:
    given: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        pairs = []
    for name, value in pairs:
        given.setdefault(name, []).append(value)
    return given


def _digest(key: str, stream: StreamId, time: str, signing: UrlSigning) -> str:
    parts = {"key": key, "path": f"/{stream.app}/{stream.stream}", "time": time}
    text = "".join(parts[part] for part in signing.order)
    # The scheme's own hash, as encoders' tools make it; what it protects is a URL's spelling for some hours.
    return md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def _other_reading(stream: StreamId, time: str, signing: UrlSigning) -> datetime | None:
    """The time of the other stream that the same signature fits, if there is one."""
    order = signing.order
    if order.index("time") != order.index("path") + 1:
        return None
    other = time[2:] if len(time) == 10 else stream.stream[-2:] + time
    is_other = _HEX.fullmatch(other) if len(time) == 10 else _DECIMAL.fullmatch(other)
    return _read_time(other) if is_other else None


def _read_time(text: str) -> datetime:
    if _DECIMAL.fullmatch(text):
        return datetime.fromtimestamp(int(text), UTC)
    if _HEX.fullmatch(text):
        return datetime.fromtimestamp(int(text, 16), UTC)
    raise UrlNotSigned(f"the publishing URL's {TIME} is {text[:32]!r}; it must be Unix seconds, 10 digits or 8 in hex")
