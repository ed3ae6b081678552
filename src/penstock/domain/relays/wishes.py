"""What somebody wants a relay task to be, and every rule that it is held to.

Names of fields in errors are ours; each door says them in its own words.
"""

from __future__ import annotations

import logging
import math
import re
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from msgspec import Struct

from penstock.domain.live import Live
from penstock.errors import Denied, InvalidField, MissingField, NetworkRefused, RtmpError, UnknownDomain
from penstock.model import is_name
from penstock.net.guard import HTTP, RTMP
from penstock.net.urls import Url
from penstock.protocols.rtmp.client import place_of
from penstock.storage.relay_rows import RelayKind, Source, Watermark

log = logging.getLogger("penstock.relays")

MAX_WINDOW: Final = timedelta(days=7)
MAX_FILES: Final = 30
MAX_URL: Final = 1000  # characters
MAX_CALLBACK_URL: Final = 2000
# Later editions of the cloud's page: a task that is moved there would be refused.
USUAL_CALLBACK_URL: Final = 512
MAX_PLAYS: Final = 1_000_000
MAX_OFFSET_S: Final = 10 * 366 * 86_400
UNTIL_END: Final = -1  # cycle_mode

_HAN: Final = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TITLE: Final = re.compile(rf"[A-Za-z0-9{_HAN}]{{1,20}}")
TITLE_WANTED: Final = "1 to 20 Chinese characters, letters A-Z and a-z, and digits"
LIVE_SCHEMES: Final = (*RTMP, *HTTP)


class Overlay(Struct, frozen=True):
    """A picture, PNG or JPEG, that was checked; where it lies, in shares of the frame."""

    picture: bytes
    x: float
    y: float
    width: float


class Wish(Struct, frozen=True, kw_only=True):
    """All settings of a task. The target is `target`, or one of the account's own by domain, app and stream."""

    starts_at: datetime
    ends_at: datetime
    kind: RelayKind
    sources: tuple[Source, ...]
    has_parts: bool = False
    cycle_mode: int | None = None  # files alone: -1 until the end, 0 `play_times`, else that often
    play_times: int | None = None
    target: str = ""
    domain: str = ""
    app: str = ""
    stream: str = ""
    title: str = ""
    callback_url: str = ""
    download_first: bool = True
    resumes_late: bool = False
    overlay: Overlay | None = None
    group: str = ""


def is_title(text: str) -> bool:
    """True for what may name a group, or a task that has a title."""
    return _TITLE.fullmatch(text) is not None


def check(live: Live, account: str, wish: Wish) -> str:
    """Hold a wish to every rule that needs no store; return the target as a URL.

    Raises:
        MissingField, InvalidField: a value is missing, or breaks a rule.
        UnknownDomain: the target's domain is none of the account's push domains.
        Denied: its vhost has no such app.
    """
    if wish.title and not is_title(wish.title):
        raise InvalidField("title", wish.title, f"{TITLE_WANTED}; or empty")
    _check_window(wish)
    _check_sources(live, wish)
    _check_overlay(wish.overlay)
    if wish.callback_url:
        _check_callback(live, wish.callback_url)
    return _target(live, account, wish)


def watermark_of(overlay: Overlay) -> Watermark:
    """Where the picture lies, with the name that its content gives it."""
    return Watermark(sha256(overlay.picture).hexdigest(), overlay.x, overlay.y, overlay.width)


def checked_url(live: Live, field: str, text: str, schemes: tuple[str, ...], longest: int) -> Url:
    """A URL as far as it can be checked before anybody connects.

    Raises:
        InvalidField: it is too long, none of these schemes, of an address that may not be reached, or RTMP without
            an app or a stream.
    """
    if len(text) > longest:
        raise InvalidField(field, f"{text[:40]}... ({len(text)} characters)", f"at most {longest} characters")
    try:
        url = live.guard.check_url(text, schemes)
        if url.scheme in RTMP:
            place_of(url.scheme, url.place, url.path, url.query)
    except (NetworkRefused, RtmpError) as error:
        raise InvalidField(field, text.partition("?")[0], f"a URL that may be reached: {error}") from None
    return url


def _check_window(wish: Wish) -> None:
    if not wish.starts_at < wish.ends_at <= wish.starts_at + MAX_WINDOW:
        wanted = f"later than the start ({wish.starts_at:%Y-%m-%dT%H:%M:%SZ}), and at most {MAX_WINDOW.days} days"
        raise InvalidField("ends_at", f"{wish.ends_at:%Y-%m-%dT%H:%M:%SZ}", wanted)


def _check_sources(live: Live, wish: Wish) -> None:
    most = 1 if wish.kind == "live" else MAX_FILES
    if not wish.sources:
        raise MissingField("sources", "one live source, or 1 to 30 files")
    if len(wish.sources) > most:
        raise InvalidField("sources", len(wish.sources), f"at most {most} of them")
    for source in wish.sources:
        if wish.kind == "live":
            checked_url(live, "sources", source.url, LIVE_SCHEMES, MAX_URL)
        else:
            checked_url(live, "sources", source.url, HTTP, MAX_URL)
            _check_part(source)
    if wish.kind == "files":
        _check_loops(wish)


def _check_part(source: Source) -> None:
    start_s, end_s = source.start_s or 0.0, source.end_s
    if not 0 <= start_s <= MAX_OFFSET_S:  # False for NaN too
        raise InvalidField("start_s", source.start_s, "a number of seconds, 0 or more")
    if end_s is not None and not start_s < end_s <= MAX_OFFSET_S:
        raise InvalidField("end_s", end_s, f"later than where it starts, {start_s:g} s")


def _check_loops(wish: Wish) -> None:
    if wish.cycle_mode is None:
        raise MissingField("cycle_mode", "-1 (until the end), 0 (`play_times`) or how often the files are played")
    if not UNTIL_END <= wish.cycle_mode <= MAX_PLAYS:
        raise InvalidField("cycle_mode", wish.cycle_mode, f"from {UNTIL_END} to {MAX_PLAYS}")
    if not 0 <= (wish.play_times or 0) <= MAX_PLAYS:
        raise InvalidField("play_times", wish.play_times, f"from 0 to {MAX_PLAYS}")


def _check_overlay(overlay: Overlay | None) -> None:
    if overlay is None:
        return
    for field, value in (("x", overlay.x), ("y", overlay.y)):
        if not 0 <= value < 1:
            raise InvalidField(field, value, "a share of the frame: 0 or more, and below 1")
    if not (0 < overlay.width <= 1 and math.isfinite(overlay.width)):
        raise InvalidField("width", overlay.width, "a share of the frame's width: above 0, and 1 at most")


def _check_callback(live: Live, url: str) -> None:
    checked_url(live, "callback_url", url, HTTP, MAX_CALLBACK_URL)
    if len(url) > USUAL_CALLBACK_URL:
        log.warning("a callback URL of %d characters: the cloud itself takes %d by now", len(url), USUAL_CALLBACK_URL)


def _target(live: Live, account: str, wish: Wish) -> str:
    if wish.target:
        checked_url(live, "target", wish.target, RTMP, MAX_URL)
        return wish.target
    for field, value in (("domain", wish.domain), ("app", wish.app), ("stream", wish.stream)):
        if not value:
            raise MissingField(field, "given with the other two of domain, app and stream; or else a whole target")
    vhost = live.registry.vhost_at(wish.domain)
    if vhost is None or vhost.account != account:
        there = "a push domain of the account; for other servers give the whole target"
        raise UnknownDomain(f"account {account} has no push domain {wish.domain[:80]!r}; it must be {there}")
    domain = live.registry.push_domain(vhost.name, wish.domain).name
    if wish.app not in vhost.apps:
        raise Denied(f"vhost {vhost.name} has no app {wish.app[:80]!r}; it has {', '.join(vhost.apps)}")
    if not is_name(wish.stream) or len(wish.stream) > 100:
        raise InvalidField("stream", wish.stream, "a name: letters, digits, '_', '.' or '-', 100 at most")
    return f"rtmp://{domain}/{wish.app}/{wish.stream}"
