"""HLS on the HTTP door: playlists, init segments and segments, over connections that are kept.

``GET /{app}/{stream}.m3u8`` begins a session and names its playlist, whose URIs are relative; so the
session's id is in the path of all that it asks for::

    /{app}/{stream}/{session}/live.m3u8
    /{app}/{stream}/{session}/init-{number}.mp4
    /{app}/{stream}/{session}/{number}.m4s
    /{app}/{stream}/{session}/{number}.{part}.m4s

With low latency a request for the playlist may say what it must have, and one for the part that comes next
may be ahead of it: both are answered as soon as that is there.

A connection answers one request at a time, and what its socket takes meanwhile is the session's. What is
no request for HLS is HTTP-FLV's, and the connection's last one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import h11
from msgspec import Struct

from penstock.engine.addressing import Target
from penstock.engine.hub import Hub
from penstock.engine.outlet import Buffer
from penstock.engine.parts import PartSegmenter, Reload
from penstock.engine.viewers import SESSION_RULE, Viewer, Viewers
from penstock.errors import BadParameters, HttpError, LimitExceeded
from penstock.link.messages import EndReason
from penstock.protocols.hls import init_name, multivariant_playlist, part_name, segment_name
from penstock.servers.door import Door
from penstock.servers.httpflv import (
    CORS,
    PREFLIGHT,
    REASONS,
    HttpFlvConnection,
    split_target,
)
from penstock.servers.request import MAX_REQUEST_HEAD, Request, new_parser, read_plain, read_request
from penstock.servers.wire import Wire

PLAYLIST: Final = "live.m3u8"
# What a peer may say ahead of its answers: requests that wait for their turn are kept here, not in the kernel.
MAX_AHEAD: Final = 2 * MAX_REQUEST_HEAD
# How long an answer may take: a segment that is later than that has left the playlist, and must not be kept
# alive by everybody who is slow.
ANSWER_S: Final = 30.0
# How long a request waits for a part, or for a playlist that has it: three target durations, as the draft has it,
# but no longer than players wait for an answer.
PART_S: Final = 9.0
# Between two requests: longer than the longest time between two looks at a playlist.
KEEP_ALIVE_S: Final = 30.0

_M3U8, _MP4 = "application/vnd.apple.mpegurl", "video/mp4"
# A playlist is another one at each look, and the first one is one player's own; what has a number stays.
_CHANGES, _OWN, _STAYS = "no-cache", "no-store", "public, max-age=3600, immutable"
_NUMBERED: Final = re.compile(r"(?:([0-9]{1,18})(?:\.([0-9]{1,4}))?\.m4s|init-([0-9]{1,18})\.mp4)", re.ASCII)
_DIRECTIVE: Final = re.compile(r"(?:^|&)_HLS_(msn|part)=([^&]*)")
_NO_SUCH_FILE: Final = "no such segment, or not any more"
_NOTHING_NEW: Final = "the publisher has sent nothing new"
NO_SUCH_PATH: Final = "no such path; streams are at /APP/STREAM, /APP/STREAM.flv and /APP/STREAM.m3u8"
_NOTHING_YET: Final = "HLS carries H.264, HEVC, AV1, AAC and MP3; nothing of that has come yet"


class Ask(Struct, frozen=True):
    """A request for HLS."""

    target: Target
    session: str  # empty: one is to begin
    file: str
    has_body: bool  # of its answer: false for HEAD
    agent: str


class HlsConnection(HttpFlvConnection):
    """One HTTP client that asks for HLS, request after request, or once for HTTP-FLV."""

    __slots__ = ("_counted_bytes", "_is_begun", "_is_busy", "_keeps", "_unread", "_viewer", "_viewers", "_waits_for")

    def __init__(self, hub: Hub, viewers: Viewers, door: Door, wire: Wire, address: str, port: int) -> None:
        super().__init__(hub, door, wire, address, port)
        self._viewers = viewers
        self._unread = bytearray()
        self._is_begun = False  # the parser holds some of a head
        self._is_busy = False  # a request is not answered yet
        self._keeps = False  # the connection stays after the answer
        self._viewer: Viewer | None = None  # whose answer is on its way
        self._waits_for: Viewer | None = None  # whose first segment a request waits for
        self._counted_bytes = 0  # what of the outlet's bytes was counted for viewers

    # Requests

    def receive(self, data: memoryview) -> None:
        if self._parser is None:
            return  # a player of HTTP-FLV, or a connection that is being closed
        self._unread += data
        self._go_on()
        if self._parser is None:
            self._unread.clear()
        elif len(self._unread) > MAX_AHEAD:
            raise HttpError(400, f"over {MAX_AHEAD} bytes came ahead of an answer")

    def _go_on(self) -> None:
        """Serve what was asked, up to a request that has to wait."""
        while self._parser is not None and not self._is_busy and not self.closed:
            try:
                request = self._next_request(self._parser)
            except HttpError as error:
                self._parser = None
                self._answer(error.status, str(error), with_body=True)
                return
            if request is None:
                return
            self._serve(request)

    def _next_request(self, parser: h11.Connection) -> Request | None:
        if not self._is_begun:
            found = read_plain(self._unread)
            if found is not None:
                request, size = found
                del self._unread[:size]
                return request
        while self._unread:
            self._is_begun = True
            piece = bytes(self._unread[:MAX_REQUEST_HEAD])
            del self._unread[:MAX_REQUEST_HEAD]
            event = read_request(parser, piece)
            if event is not None:
                return self._parsed(parser, Request.of(event))
        return None

    def _parsed(self, parser: h11.Connection, request: Request) -> Request:
        """A head that h11 took: what it holds beyond that is the next request's."""
        if not request.is_last:
            parser.next_event()  # EndOfMessage
            self._unread[:0] = parser.trailing_data[0]
            self._parser, self._is_begun = new_parser(), False
        return request

    def _serve(self, request: Request) -> None:
        try:
            ask = read_ask(request)
        except HttpError as error:
            self._parser = None
            self._answer(error.status, str(error), with_body=request.method != b"HEAD")
            return
        if ask is None:
            # What the socket took for HLS is counted already.
            self.outlet.counted_bytes = self.outlet.sent_bytes
            self._serve_flv(request)
            return
        if request.method == b"OPTIONS":
            self._parser = None
            self.send(PREFLIGHT)
            self.finish()
            return
        self._take_up(request)
        try:
            self._serve_hls(ask)
        except BadParameters as error:
            self._refuse(404, str(error), with_body=ask.has_body)

    def _take_up(self, request: Request) -> None:
        """What comes behind `request` waits for its answer, if the connection stays for more."""
        self._is_busy = True
        self._keeps = not request.is_last
        if request.is_last:
            # What follows is nobody's to read.
            self._unread.clear()

    # Serving

    def _serve_hls(self, ask: Ask) -> None:
        if not ask.session:
            self._begin_session(ask)
            return
        viewer = self._viewers.find(ask.session)
        if viewer is None and ask.file == PLAYLIST:
            # An engine before this one may have known it, and its publisher is on the way too.
            self._hub.vhosts.locate(ask.target)
            self._when_ready(ask, None)
        elif viewer is None or (viewer.stream.app, viewer.stream.stream) != (ask.target.app, ask.target.name):
            self._refuse(404, "no such session", with_body=ask.has_body)
        elif ask.file == PLAYLIST:
            self._when_ready(ask, viewer)
        elif viewer.is_gone:
            self._refuse(410, "the session was ended", with_body=ask.has_body)
        else:
            self._send_numbered(ask, viewer)

    def _begin_session(self, ask: Ask) -> None:
        stream = self._hub.vhosts.locate(ask.target)
        if not self._hub.is_playable(stream):
            self._refuse(404, f"{stream} is not on air", with_body=ask.has_body)
        elif not ask.has_body:
            # Whoever only looks is no player, and there may be nothing to tell the length of yet.
            self._respond(None, _head(200, _M3U8, _OWN, None, keeps=self._keeps))
        else:
            self._when_ready(ask, None)

    def _when_ready(self, ask: Ask, viewer: Viewer | None) -> None:
        """Answer with a playlist now, or as soon as there is a segment; without a viewer, one begins."""
        self._waits_for = viewer
        if self._look(ask):
            return
        # As long as it waits, it is no idle connection.
        self.door.settle(self, was_pending=False)
        waited_for = self._waits_for
        if waited_for is not None and waited_for.segmenter.is_ready:
            self._wait_for_part(ask, waited_for, self._look)
            return
        self._viewers.waits.wait(
            self,
            lambda: self._look_again(ask, self._look),
            lambda: self._give_up(ask),
            within_s=self._viewers.wait_s,
        )

    def _look_again(self, ask: Ask, look: Callable[[Ask], bool]) -> bool:
        is_answered = look(ask)
        if is_answered:
            self._go_on()
        return is_answered

    def _give_up(self, ask: Ask) -> None:
        self._refuse(404, _NOTHING_YET if self._waits_for else "the stream is not on air", with_body=ask.has_body)
        self._go_on()

    def _wait_for_part(self, ask: Ask, viewer: Viewer, look: Callable[[Ask], bool]) -> None:
        """Have `look` answer as soon as the next part is there."""
        # Who is thrown out while it waits is cut off.
        self._viewer, self._counted_bytes = viewer, self.outlet.sent_bytes
        viewer.answering[self] = self.close
        self.settled()
        self._viewers.waits.wait(
            self,
            lambda: self._look_again(ask, look),
            lambda: self._give_up_part(ask),
            within_s=min(PART_S, 3 * viewer.segmenter.target_duration_s),
            about=viewer.segmenter,
        )

    def _give_up_part(self, ask: Ask) -> None:
        self._refuse(503, _NOTHING_NEW, with_body=ask.has_body)
        self._go_on()

    def _look(self, ask: Ask) -> bool:
        """Answer if there is something to answer with; true if that is so."""
        try:
            viewer = self._waits_for = self._waits_for or self._open(ask)
        except LimitExceeded as error:
            self._refuse(429, str(error), with_body=ask.has_body)
            return True
        except BadParameters as error:
            self._refuse(404, str(error), with_body=ask.has_body)
            return True
        if viewer is None:
            return False
        segmenter = viewer.segmenter
        if viewer.is_gone:
            self._refuse(410, "the session was ended", with_body=ask.has_body)
        elif segmenter.is_ready:
            return self._send_wanted_playlist(ask, viewer)
        elif segmenter.is_ended:
            self._refuse(404, _NOTHING_YET, with_body=ask.has_body)
        else:
            return False
        return True

    def _open(self, ask: Ask) -> Viewer | None:
        """Begin a session; None while the stream is not on air."""
        vhosts = self._hub.vhosts
        stream = vhosts.locate(ask.target)
        return self._viewers.open(stream, self.client(ask.agent), vhosts.domain_of(ask.target), ask.session)

    def _send_wanted_playlist(self, ask: Ask, viewer: Viewer) -> bool:
        """Answer with the playlist, if it has what the request wants it to have; true if that is so."""
        segmenter = viewer.segmenter
        if isinstance(segmenter, PartSegmenter) and ask.session:
            try:
                wanted = read_reload(ask.target.queries[0])
            except HttpError as error:
                self._refuse(error.status, str(error), with_body=ask.has_body)
                return True
            if wanted is not None and segmenter.is_beyond(wanted):
                self._refuse(400, "that is too far ahead", with_body=ask.has_body)
                return True
            if wanted is not None and not segmenter.has(wanted):
                return False
        self._send_playlist(ask, viewer)
        return True

    def _send_playlist(self, ask: Ask, viewer: Viewer) -> None:
        body = viewer.segmenter.playlist if ask.session else _multivariant(ask, viewer)
        head = _head(200, _M3U8, _CHANGES if ask.session else _OWN, len(body), keeps=self._keeps)
        self._respond(viewer, head + body if ask.has_body else head)

    def _send_numbered(self, ask: Ask, viewer: Viewer) -> None:
        found = _NUMBERED.fullmatch(ask.file)
        assert found is not None
        segment, part, init = found.groups()
        if part is not None:
            self._send_part(ask, viewer, int(segment), int(part))
            return
        body = viewer.segmenter.segment(int(segment)) if segment else viewer.segmenter.init(int(init))
        name = segment_name(int(segment)) if segment else init_name(int(init))
        self._send_file(ask, viewer, body if name == ask.file else None)

    def _send_part(self, ask: Ask, viewer: Viewer, number: int, index: int) -> None:
        segmenter = viewer.segmenter
        if not isinstance(segmenter, PartSegmenter) or part_name(number, index) != ask.file:
            self._send_file(ask, viewer, None)
            return

        def look(ask: Ask) -> bool:
            if segmenter.is_hinted(number, index):
                return False
            self._send_file(ask, viewer, segmenter.part(number, index))
            return True

        if not look(ask):
            self.door.settle(self, was_pending=False)
            self._wait_for_part(ask, viewer, look)

    def _send_file(self, ask: Ask, viewer: Viewer, body: Buffer | None) -> None:
        if body is None:
            self._refuse(404, _NO_SUCH_FILE, with_body=ask.has_body)
            return
        head = _head(200, _MP4, _STAYS, len(body), keeps=self._keeps)
        self._respond(viewer, head, body if ask.has_body else b"")

    # Answering

    def _refuse(self, status: int, why: str, *, with_body: bool) -> None:
        # Who never played anything here does not keep its place for being wrong.
        self._keeps = self._keeps and not self._pending
        body = f"{why}\n".encode("ascii", "replace")
        head = _head(status, "text/plain", _OWN, len(body), keeps=self._keeps)
        self._respond(None, head + body if with_body else head)

    def _respond(self, viewer: Viewer | None, head: bytes, body: Buffer = b"") -> None:
        self._viewers.waits.no_more(self)
        self._let_go()
        if viewer is not None:
            self._viewer = viewer
            viewer.answering[self] = self.close
            self.settled()
        self._counted_bytes = self.outlet.sent_bytes
        self.door.expect(self, ANSWER_S)
        self.send(head)
        self.send(body)
        self._progress()

    def _progress(self) -> None:
        """Count what the socket took, and see whether that was all of the answer."""
        viewer = self._viewer
        if viewer is not None:
            viewer.count(self.outlet.sent_bytes - self._counted_bytes)
            self._counted_bytes = self.outlet.sent_bytes
        if self.closed or self.outlet.queue:
            return
        self._let_go()
        self._is_busy = False
        if self._keeps:
            self.door.expect(self, KEEP_ALIVE_S)
        else:
            self._parser = None
            self.finish()

    def _let_go(self) -> None:
        if self._viewer is not None:
            self._viewer.answering.pop(self, None)
            self._viewer = None

    def on_writable(self) -> None:
        super().on_writable()
        if self._is_busy and not self.closed:
            self._progress()
            self._go_on()

    def gone(self, reason: EndReason, why: str) -> None:
        super().gone(reason, why)
        self._viewers.waits.no_more(self)
        if self._viewer is not None:
            self._viewer.count(self.outlet.sent_bytes - self._counted_bytes)
            self._let_go()


def _head(status: int, content_type: str, caching: str, size: int | None, *, keeps: bool) -> bytes:
    reason = REASONS.get(status, "OK")
    length = "" if size is None else f"Content-Length: {size}\r\n"
    connection = "" if keeps else "Connection: close\r\n"
    return (
        f"HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\n{length}"
        f"Cache-Control: {caching}\r\n{CORS}{connection}\r\n"
    ).encode()


def read_reload(query: str) -> Reload | None:
    """What a query says that a playlist must have; None if nothing.

    Raises:
        HttpError: that is not two numbers, or a part without its segment.
    """
    words = dict(_DIRECTIVE.findall(query))
    if not words:
        return None
    number, part = words.get("msn", ""), words.get("part")
    if not all(re.fullmatch(r"[0-9]{1,18}", word, re.ASCII) for word in (number, "0" if part is None else part)):
        raise HttpError(400, "wanted _HLS_msn=NUMBER, with _HLS_part=NUMBER or without")
    return Reload(int(number), None if part is None else int(part))


def _multivariant(ask: Ask, viewer: Viewer) -> bytes:
    segmenter = viewer.segmenter
    uri = f"{viewer.stream.stream}/{viewer.session}/{PLAYLIST}"
    if any("vhost=" in query for query in ask.target.queries):
        # After a restart nothing but the URL tells whose stream it is.
        uri += f"?vhost={viewer.stream.vhost}"
    return multivariant_playlist(uri, segmenter.tracks, peak_bps=segmenter.peak_bps).encode("ascii")


def read_ask(request: Request) -> Ask | None:
    """What a request for HLS asks for; None for any other request.

    Raises:
        HttpError: it is below a session, and names nothing that is there.
    """
    if request.method not in (b"GET", b"HEAD", b"OPTIONS"):
        return None
    try:
        host = request.headers.get(b"host", b"").decode("ascii")
        authority, path, query = split_target(request.target.decode("ascii"), host)
    except ValueError:
        return None
    has_body, agent = request.method == b"GET", request.agent
    match path.split("/"):
        case ["", app, name] if name.endswith(".m3u8"):
            return Ask(Target(authority, app, name.removesuffix(".m3u8"), (query,)), "", "", has_body, agent)
        case ["", app, name, session, file]:
            if not SESSION_RULE.fullmatch(session) or (file != PLAYLIST and not _NUMBERED.fullmatch(file)):
                raise HttpError(404, NO_SUCH_PATH)
            return Ask(Target(authority, app, name, (query,)), session, file, has_body, agent)
    return None
