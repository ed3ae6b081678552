"""ListRealtimeStreamsInfo, ListRealtimePubStreamsInfo: what is on air now."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from penstock.api.kingsoft.times import to_unix
from penstock.clouds.kingsoft.streams import (
    LATEST_FIRST,
    ListRealtimePubStreamsInfo,
    ListRealtimePubStreamsInfoResult,
    ListRealtimeStreamsInfo,
    ListRealtimeStreamsInfoResult,
    PublishedStream,
    Pull,
    RealtimeStream,
)
from penstock.domain.audience import Crowd
from penstock.domain.caller import Caller
from penstock.domain.live import Live
from penstock.domain.registry import require_app
from penstock.domain.sessions import Session
from penstock.errors import InvalidField, UnknownDomain
from penstock.link.messages import AudioFacts, StreamStats, VideoFacts

MAX_STREAMS: Final = 10_000
# KLS's words for protocols, and what our usage is counted under.
FORMATS: Final = {"http+flv": "flv", "rtmp": "rtmp", "hls": "hls"}

# Codecs that KLS's samples call otherwise than we do.
CODECS: Final = {"avc": "h264", "hevc": "h265"}

_NO_VIDEO: Final = VideoFacts()
_NO_AUDIO: Final = AudioFacts()


async def list_realtime_streams_info(
    live: Live, caller: Caller, ask: ListRealtimeStreamsInfo
) -> ListRealtimeStreamsInfoResult:
    vhost = live.registry.vhost_of(caller.account, ask.unique_name)
    require_app(vhost, ask.app, "App")
    counts = _counted(live, vhost.name, ask.domain_ids, FORMATS[ask.pull_protocol])
    rows: list[RealtimeStream] = []
    total, number = Crowd(), 0
    for session in _on_air(live, vhost.name, ask.app, ask.stream):
        crowd = live.audiences.crowd(session.lease.stream, counts) if ask.type != "push" else Crowd()
        if ask.type == "pull" and not crowd.players:
            continue
        number, total = number + 1, total + crowd
        if len(rows) < MAX_STREAMS:
            rows.append(
                _stream(
                    session, crowd, live.rules.node, with_publish=ask.type != "pull", with_players=ask.type != "push"
                )
            )
    return ListRealtimeStreamsInfoResult(
        unique_name=ask.unique_name,
        app=ask.app,
        count=number,
        bw=total.bits_per_s,
        online_user=total.players,
        streams=rows,
    )


def _on_air(live: Live, vhost: str, app: str, stream: str) -> list[Session]:
    """The sessions on air of an app, latest first."""
    found = [
        session
        for session in live.sessions.on_air()
        if (session.lease.stream.vhost, session.lease.stream.app) == (vhost, app)
        and stream in ("", session.lease.stream.stream)
    ]
    return sorted(found, key=_began, reverse=True)


def _began(session: Session) -> tuple[datetime, int]:
    assert session.began_at is not None
    return session.began_at, session.lease.epoch


def _counted(live: Live, vhost: str, domain_ids: str, form: str) -> Callable[[str, str], bool]:
    """Which players count: of one protocol, and on the domains asked for.

    Raises:
        InvalidField: an id is no number.
        UnknownDomain: the vhost has no playback domain of that id.
    """
    if not domain_ids:
        return lambda format_, _: format_ == form
    names = {domain.id: domain.name for domain in live.registry.domains(vhost, "pull")}
    asked = set()
    for text in domain_ids.split(","):
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise InvalidField("DomainIds", domain_ids, "ids of playback domains, joined by commas")
        if int(text) not in names:
            raise UnknownDomain(f"vhost {vhost} has no playback domain with the id {text}")
        asked.add(names[int(text)])
    return lambda format_, host: format_ == form and live.registry.domain_for(vhost, "pull", host) in asked


def _stream(session: Session, crowd: Crowd, node: str, *, with_publish: bool, with_players: bool) -> RealtimeStream:
    facts = _Facts(session.stats if with_publish else None)
    name = session.lease.stream.stream
    return RealtimeStream(
        stream=name,
        client_ip=session.client.address if with_publish else "",
        node=node if with_publish else "",
        pub_time=to_unix(_began(session)[0]),
        frame_rate=facts.frame_rate,
        curfps=facts.curfps,
        flr=facts.loss,
        curbitrate=facts.video.bitrate_kbps,
        bw_in_audio=facts.audio.bitrate_kbps,
        bw_in=facts.nominal_kbps,
        bw_real=facts.kbps,
        bw_diff=round(facts.nominal_kbps - facts.kbps, 1),
        width=facts.video.width or 0,
        height=facts.video.height or 0,
        sample_rate=facts.audio.sample_rate or 0,
        vcodec=CODECS.get(facts.video.codec, facts.video.codec),
        acodec=facts.audio.codec,
        online_user=crowd.players,
        bw=crowd.bits_per_s,
        pulls=[Pull(stream=name, online_user=crowd.players, bw=crowd.bits_per_s)] if with_players else [],
    )


class _Facts:
    """A session's measurements in KLS's terms; what is not known is 0 or empty."""

    def __init__(self, stats: StreamStats | None) -> None:
        self.video = (stats and stats.video) or _NO_VIDEO
        self.audio = (stats and stats.audio) or _NO_AUDIO
        self.kbps = stats.bitrate_kbps if stats is not None else 0.0
        self.curfps = round(self.video.fps)
        # Without a declared rate the measured one is all that can be called nominal.
        self.frame_rate = round(self.video.declared_fps or self.video.fps)
        self.loss = round(self.video.frame_loss_percent or 0)
        self.nominal_kbps = round(self.video.bitrate_kbps + self.audio.bitrate_kbps, 1)


async def list_realtime_pub_streams_info(
    live: Live, caller: Caller, ask: ListRealtimePubStreamsInfo
) -> ListRealtimePubStreamsInfoResult:
    vhost = live.registry.vhost_of(caller.account, ask.unique_name)
    require_app(vhost, ask.app, "App")
    domain = live.registry.push_domain(vhost.name, ask.pubdomain).name
    found = [session for session in _on_air(live, vhost.name, ask.app, ask.stream) if session.push_domain == domain]
    if ask.order_time != LATEST_FIRST:
        found.reverse()
    page = found[ask.marker * ask.limit : (ask.marker + 1) * ask.limit]
    now = to_unix(live.clock.now())
    return ListRealtimePubStreamsInfoResult(
        unique_name=ask.unique_name,
        app=ask.app,
        pubdomain=ask.pubdomain,
        count=len(page),
        marker=ask.marker,
        order_time=ask.order_time,
        total=len(found),
        result=[_published(session, now) for session in page],
    )


def _published(session: Session, now: int) -> PublishedStream:
    facts = _Facts(session.stats)
    return PublishedStream(
        stream=session.lease.stream.stream,
        client_ip=session.client.address,
        width=facts.video.width or 0,
        height=facts.video.height or 0,
        frame_rate=facts.frame_rate,
        curfps=facts.curfps,
        curbitrate=_bits(facts.video.bitrate_kbps),
        bw_in_audio=_bits(facts.audio.bitrate_kbps),
        sample_rate=facts.audio.sample_rate or 0,
        bw_real=_bits(facts.kbps),
        bw_in=_bits(facts.nominal_kbps),
        update_time=now,
        pub_time=to_unix(_began(session)[0]),
    )


def _bits(kbps: float) -> int:
    return round(kbps * 1000)
