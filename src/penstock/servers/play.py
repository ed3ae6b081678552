"""The play page on the HTTP door: ``GET /{app}/{stream}`` plays that stream in a browser.

What the page needs besides is below a word that is no app's name::

    /~penstock/{file}                       its scripts, styles and their licences
    /~penstock/on-air/{app}/{stream}        whether the stream is on air, and what of
    /~penstock/until-on-air/{app}/{stream}  the same, as soon as it is, or after a while that it is not

What is no request for any of that is HLS's, or HTTP-FLV's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

from penstock.engine.addressing import Target
from penstock.engine.hub import Hub
from penstock.engine.viewers import Viewers
from penstock.errors import BadParameters
from penstock.model import StreamId
from penstock.servers.door import Connection, Door
from penstock.servers.hls import NO_SUCH_PATH, HlsConnection
from penstock.servers.httpflv import split_target
from penstock.servers.page.assets import PREFIX, Asset, Assets, load_assets
from penstock.servers.request import Request
from penstock.servers.wire import Wire

# Media comes to the page from its own server, and to its video element as a blob of its own script. Anybody may
# show the page in a frame: it knows nothing of who looks at it, and has no button that does anything elsewhere.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "media-src 'self' blob:; base-uri 'none'; form-action 'none'"
)
_SAFE: Final = "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
_PAGE: Final = f"Cache-Control: no-cache\r\nContent-Security-Policy: {POLICY}\r\n"
# Its name has its hash.
_FOR_EVER: Final = "Cache-Control: public, max-age=31536000, immutable\r\nCross-Origin-Resource-Policy: same-origin\r\n"
_NEWS: Final = "Cache-Control: no-store\r\n"
_TAKES_GZIP: Final = re.compile(r"(?:^|,)\s*gzip\s*(?:;\s*q\s*=\s*(?:1|0?\.0{0,2}[1-9])[0-9.]*\s*)?(?:,|$)")


class PageAsk(Struct, frozen=True):
    """A request for the page, or for what it needs."""

    file: str  # "": the page, or the news of a stream
    target: Target | None = None  # the stream that it is about; None: a file
    is_news: bool = False
    waits: bool = False
    has_body: bool = True  # of its answer: false for HEAD
    takes_gzip: bool = False


class OnAirNews(Struct, frozen=True):
    """Whether a stream is on air, and its codecs in FLV's words."""

    on_air: bool
    video: str = ""
    audio: str = ""


class HttpConnection(HlsConnection):
    """One HTTP client, whatever it asks for."""

    __slots__ = ("_assets",)

    def __init__(
        self, hub: Hub, viewers: Viewers, assets: Assets, door: Door, wire: Wire, address: str, port: int
    ) -> None:
        super().__init__(hub, viewers, door, wire, address, port)
        self._assets = assets

    def _serve(self, request: Request) -> None:
        ask = read_page_ask(request)
        if ask is None:
            super()._serve(request)
            return
        self._take_up(request)
        try:
            self._serve_page(ask)
        except BadParameters as error:
            self._refuse(404, str(error), with_body=ask.has_body)

    def _serve_page(self, ask: PageAsk) -> None:
        if ask.target is None:
            asset = self._assets.files.get(ask.file)
            if asset is None:
                self._refuse(404, NO_SUCH_PATH, with_body=ask.has_body)
            else:
                self._send_asset(ask, asset, _FOR_EVER)
            return
        stream = self._hub.vhosts.locate(ask.target)
        if not ask.is_news:
            self._send_asset(ask, self._assets.page, _PAGE)
        elif not self._tell_if_on_air(ask, stream):
            if not ask.waits:
                self._tell(ask, OnAirNews(on_air=False))
                return
            # As long as it waits, it is no idle connection.
            self.door.settle(self, was_pending=False)
            self._viewers.waits.wait(
                self,
                lambda: self._look_at_news(ask, stream),
                lambda: self._give_up_news(ask),
                within_s=self._viewers.wait_s,
            )

    def _look_at_news(self, ask: PageAsk, stream: StreamId) -> bool:
        is_told = self._tell_if_on_air(ask, stream)
        if not is_told and self._hub.is_draining:
            self._tell(ask, OnAirNews(on_air=False))
            is_told = True
        if is_told:
            self._go_on()
        return is_told

    def _give_up_news(self, ask: PageAsk) -> None:
        self._tell(ask, OnAirNews(on_air=False))
        self._go_on()

    def _tell_if_on_air(self, ask: PageAsk, stream: StreamId) -> bool:
        """Answer if there is something to play; true if that is so."""
        publication = self._hub.publication(stream)
        video, audio = (publication.facts.video(), publication.facts.audio()) if publication else (None, None)
        if (video is None and audio is None) or not self._hub.is_playable(stream):
            return False
        self._tell(ask, OnAirNews(True, video.codec if video else "", audio.codec if audio else ""))
        return True

    # Answering

    def _tell(self, ask: PageAsk, news: OnAirNews) -> None:
        self._send(ask, "application/json", msgspec.json.encode(news), _NEWS)

    def _send_asset(self, ask: PageAsk, asset: Asset, caching: str) -> None:
        packed = "Vary: Accept-Encoding\r\n" + ("Content-Encoding: gzip\r\n" if ask.takes_gzip else "")
        self._send(ask, asset.content_type, asset.packed if ask.takes_gzip else asset.body, caching + packed)

    def _send(self, ask: PageAsk, content_type: str, body: bytes, headers: str) -> None:
        connection = "" if self._keeps else "Connection: close\r\n"
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
            f"{headers}{_SAFE}{connection}\r\n"
        ).encode()
        self._respond(None, head, body if ask.has_body else b"")


def read_page_ask(request: Request) -> PageAsk | None:
    """What a request for the page or its files asks for; None for any other request."""
    if request.method not in (b"GET", b"HEAD"):
        return None
    try:
        host = request.headers.get(b"host", b"").decode("ascii")
        authority, path, query = split_target(request.target.decode("ascii"), host)
    except ValueError:
        return None
    has_body = request.method == b"GET"
    takes_gzip = bool(_TAKES_GZIP.search(request.headers.get(b"accept-encoding", b"").decode("latin-1").lower()))
    match path.split("/"):
        case ["", word, "on-air" | "until-on-air" as news, app, name] if word == PREFIX:
            target = Target(authority, app, name, (query,))
            return PageAsk("", target, is_news=True, waits=news == "until-on-air" and has_body, has_body=has_body)
        case ["", word, *rest] if word == PREFIX:
            return PageAsk("/".join(rest), has_body=has_body, takes_gzip=takes_gzip)
        case ["", app, name] if not name.endswith((".flv", ".m3u8")):
            return PageAsk("", Target(authority, app, name, (query,)), has_body=has_body, takes_gzip=takes_gzip)
    return None


def http_connection(hub: Hub, viewers: Viewers) -> Callable[[Door, Wire, str, int], Connection]:
    """What an HTTP door makes of each socket."""
    assets = load_assets()
    return lambda door, wire, address, port: HttpConnection(hub, viewers, assets, door, wire, address, port)
