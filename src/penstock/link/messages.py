"""What control and engine say to each other: typed, versioned, the same on every carrier.

::

    engine                                  control
      Hello (on air, ends to tell)    ───►
                                      ◄───  Welcome (vhosts)
      PublishAsked                    ───►
                                      ◄───  Admitted | Refused
      Began, Ended, TurnedAway        ───►
                                      ◄───  Noted
      Stats, Usage                    ───►
                                      ◄───  UsageTaken
                                      ◄───  Drop
      Dropped                         ───►

An engine speaks first on every new connection, so that control knows what is on air before it
decides anything. Ends, refusals and usage are kept by the engine until control says that it has them.
Recordings and relays have files of their own: `link.recording`, `link.relaying`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct

from penstock.link import recording, relaying
from penstock.model import StreamId

# Raised when a message changes its meaning; two ends of different versions do not talk.
VERSION: Final = 3


class EndReason(StrEnum):
    """Why a session ended, in our own words. All of them are KLS's code 200."""

    LEFT = "publisher left"
    LOST = "connection lost"
    SILENT = "publisher silent"
    BROKE_PROTOCOL = "protocol broken"
    REPLACED = "replaced by another publisher"
    KICKED = "kicked"
    BANNED = "banned"
    ENGINE_STOPPED = "engine stopped"
    ENGINE_LOST = "engine lost"  # said by control alone: nobody was left to say it


class Vhost(Struct, frozen=True):
    """What an engine must know of a vhost to tell which stream a URL means."""

    name: str
    push_domains: tuple[str, ...] = ()
    pull_domains: tuple[str, ...] = ()
    apps: tuple[str, ...] = ()


class Client(Struct, frozen=True):
    """The far end of a connection. `agent` is a text from outside."""

    address: str
    port: int
    tls: bool = False
    agent: str = ""


class Holder(Struct, frozen=True):
    """The publisher that has a name already: its epoch, and how long it has sent no media."""

    epoch: int
    silent_s: float


class Lease(Struct, frozen=True):
    """One admitted publish. A later lease of any stream has a higher epoch."""

    stream: StreamId
    session: str
    epoch: int


class VideoFacts(Struct, frozen=True):
    """Measured; None (or an empty text) is not known, never a guess."""

    codec: str = ""
    profile: str = ""
    level: str = ""
    width: int | None = None
    height: int | None = None
    declared_fps: float | None = None
    fps: float = 0.0
    bitrate_kbps: float = 0.0
    key_interval_ms: int | None = None
    frame_loss_percent: float | None = None  # (1 - fps / declared_fps) * 100; None with nothing declared


class AudioFacts(Struct, frozen=True):
    codec: str = ""
    profile: str = ""
    sample_rate: int | None = None
    channels: int | None = None
    bitrate_kbps: float = 0.0


class Audience(Struct, frozen=True):
    """The players of one stream that came in one format by one host, and what their sockets took."""

    format: str
    domain: str  # the host that they asked for, in lower case and without its port
    players: int
    bytes_out: int


class StreamStats(Struct, frozen=True):
    """One stream on air. Rates are over the last seconds, `bytes_in` and duration since the session began.

    `audience` counts bytes on through a publisher's return, as its players stay.
    """

    epoch: int
    client: Client
    domain: str
    began_at: datetime
    duration_ms: int
    bitrate_kbps: float
    bytes_in: int
    video: VideoFacts | None
    audio: AudioFacts | None
    audience: tuple[Audience, ...] = ()

    @property
    def players(self) -> dict[str, int]:
        """How many there are, by format."""
        return _sums((part.format, part.players) for part in self.audience)

    @property
    def bytes_out(self) -> dict[str, int]:
        """What the kernel took for players, those that left included, by format."""
        return _sums((part.format, part.bytes_out) for part in self.audience)


def _sums(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for word, count in counts:
        found[word] = found.get(word, 0) + count
    return {word: count for word, count in found.items() if count}


class OnAir(Struct, frozen=True):
    lease: Lease
    stats: StreamStats


class UsageRow(Struct, frozen=True):
    """Bytes that players' sockets took between two times, by everything a report may ask for."""

    stream: StreamId
    format: str  # rtmp, flv, hls
    address: str  # the player's
    domain: str  # the host that the player asked for
    tls: bool
    bytes_down: int  # before TLS
    plays: int  # players that began in this time


# Engine to control


class Ended(Struct, frozen=True, tag=True):
    """Numbered together with TurnedAway, from 1 in each engine; said again after a broken link until it is noted."""

    lease: Lease
    reason: EndReason
    detail: str
    at: datetime
    last: StreamStats | None  # None: it was admitted, and never came on air
    number: int = 0


class Hello(Struct, frozen=True, tag=True):
    """Opens every connection. `engine` is new for each engine process."""

    version: int
    engine: str
    on_air: tuple[OnAir, ...]
    ended: tuple[int, ...] = ()  # epochs whose ends nobody noted yet; they are told behind this
    pid: int = 0  # of its process; 0 where that means nothing to control
    recordings: tuple[str, ...] = ()  # ids that it works on
    relays: tuple[str, ...] = ()


class PublishAsked(Struct, frozen=True, tag=True):
    ask: int
    stream: StreamId
    domain: str  # the host in tcUrl, in lower case and without its port
    query: str  # what the encoder put behind the stream name
    client: Client
    holder: Holder | None


class Began(Struct, frozen=True, tag=True):
    lease: Lease
    at: datetime


class TurnedAway(Struct, frozen=True, tag=True):
    """A publish that the engine refused by itself: it named no stream that could be, or nobody decided.

    Everything that it named is as it came, whether or not that exists.
    """

    target: str  # the URL's parts in one
    client: Client
    code: int
    why: str
    at: datetime
    vhost: str = ""  # of ours, when that much could be told; else empty
    app: str = ""
    name: str = ""
    domain: str = ""
    number: int = 0  # as in Ended


class Stats(Struct, frozen=True, tag=True):
    streams: tuple[StreamStats, ...]


class Usage(Struct, frozen=True, tag=True):
    """Numbered from 1 in each engine; said again after a broken link until it is taken."""

    number: int
    since: datetime
    until: datetime
    rows: tuple[UsageRow, ...]


class Dropped(Struct, frozen=True, tag=True):
    """Said after the socket was closed. `epoch` is None where nobody was publishing."""

    command: int
    epoch: int | None


# Control to engine


class Welcome(Struct, frozen=True, tag=True):
    version: int
    vhosts: tuple[Vhost, ...]
    default_vhost: str


class Admitted(Struct, frozen=True, tag=True):
    """The publish may begin. `replaces` is the epoch of the holder that has to go first."""

    ask: int
    lease: Lease
    replaces: int | None = None


class Refused(Struct, frozen=True, tag=True):
    ask: int
    code: int
    why: str


class Noted(Struct, frozen=True, tag=True):
    """Ends and refusals up to `number` are written down: the engine may forget them."""

    number: int


class UsageTaken(Struct, frozen=True, tag=True):
    number: int


class Drop(Struct, frozen=True, tag=True):
    """End the publish of `stream`, and its players with it, at once."""

    command: int
    stream: StreamId
    reason: EndReason
    detail: str = ""


FromEngine = (
    Hello
    | PublishAsked
    | Began
    | Ended
    | TurnedAway
    | Stats
    | Usage
    | Dropped
    | recording.RecordingTold
    | recording.FileBegan
    | recording.FileEnded
    | recording.FileRemoved
    | relaying.RelayTold
)
FromControl = (
    Welcome
    | Admitted
    | Refused
    | Noted
    | UsageTaken
    | Drop
    | recording.Record
    | recording.StopRecording
    | recording.Inspect
    | recording.RemoveFile
    | recording.FilesNoted
    | relaying.StartRelay
    | relaying.StopRelay
)
AnyMessage = FromEngine | FromControl
