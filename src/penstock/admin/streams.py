"""Streams on air, and bans."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from penstock.admin.contract import Ask, Named, OptionalName, Reason, Result, StreamName

Domain = Annotated[str, Meta(max_length=253)]
Seconds = Annotated[float, Meta(gt=0, le=100 * 366 * 86_400)]
Time = Annotated[datetime, Meta(tz=True)]
Rows = Annotated[int, Meta(ge=1, le=100_000)]


class VideoFacts(Struct, frozen=True, kw_only=True):
    """Measured; null or "" is not known."""

    codec: str
    profile: str
    level: str
    width: int | None
    height: int | None
    declared_fps: float | None
    fps: float
    bitrate_kbps: float
    key_interval_ms: int | None
    frame_loss_percent: float | None  # of the declared rate


class AudioFacts(Struct, frozen=True, kw_only=True):
    """Measured; null or "" is not known."""

    codec: str
    profile: str
    sample_rate: int | None  # Hz
    channels: int | None
    bitrate_kbps: float


class OnAir(Named, frozen=True, kw_only=True):
    """A stream that is published now. Rates are over the last seconds, bytes since the publish began."""

    account: str
    session: str
    began_at: datetime
    on_air_s: float
    address: str  # of the publisher
    port: int
    tls: bool
    agent: str
    domain: str  # that it was published to; "": none of the configured ones
    bitrate_kbps: float
    bytes_in: int
    video: VideoFacts | None
    audio: AudioFacts | None
    players: dict[str, int]  # by format: flv, rtmp
    bytes_out: dict[str, int]  # by format; what players' sockets took


class Ban(Named, frozen=True, kw_only=True):
    """A stream that nobody may publish, in force from `since` until just before `until`."""

    account: str
    since: datetime  # since when it has been banned without a gap
    until: datetime
    changed_at: datetime  # when it was banned last
    reason: str
    push_domain: str
    cloud: str  # the dialect in which it was asked for; "": the admin socket
    access_key: str  # that asked for it; "": the admin socket


class Streams(Result, frozen=True):
    """In the order in which they were let in."""

    streams: list[OnAir]


class ListStreams(Ask[Streams], frozen=True):
    """Tell what is on air; without `vhost` and `account` everything."""

    verb = "streams.ls"

    vhost: OptionalName = ""
    account: OptionalName = ""


class StreamShown(Result, frozen=True):
    """A stream that is on air, or banned, or both for the moment between."""

    on_air: OnAir | None
    ban: Ban | None


class ShowStream(Ask[StreamShown], frozen=True):
    """Tell everything that is known of one stream."""

    verb = "streams.show"

    stream: StreamName


class Kicked(Result, Named, frozen=True):
    """The publisher's socket is closed, and its players' too."""


class KickStream(Ask[Kicked], frozen=True):
    """End a publish; the encoder may come back at once."""

    verb = "streams.kick"

    stream: StreamName
    reason: Reason = ""


class Banned(Result, frozen=True):
    """The ban that is now in force."""

    ban: Ban


class BanStream(Ask[Banned], frozen=True):
    """Refuse a stream's publishers until a time, and end the publish that is on air.

    `until` or `for_s`, which counts from the server's time; without either the longest there is, 90 days.
    """

    verb = "streams.ban"

    stream: StreamName
    until: Time | None = None
    for_s: Seconds | None = None
    reason: Reason = ""
    push_domain: Domain = ""  # that the clouds' lists show it under; "": the vhost's first


class Unbanned(Result, frozen=True):
    """The ban that was in force until now."""

    ban: Ban


class UnbanStream(Ask[Unbanned], frozen=True):
    """Lift a ban."""

    verb = "streams.unban"

    stream: StreamName


class Bans(Result, frozen=True):
    """Bans in force; the one that ends last comes first."""

    bans: list[Ban]
    total: int  # of all that there are


class ListBans(Ask[Bans], frozen=True):
    """Tell which bans are in force; without `vhost` and `account` all."""

    verb = "bans.ls"

    vhost: OptionalName = ""
    account: OptionalName = ""
    offset: Annotated[int, Meta(ge=0)] = 0
    limit: Rows = 1000
