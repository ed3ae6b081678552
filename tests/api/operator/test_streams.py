"""Streams and bans, as the operator asks for them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec import structs

from penstock.admin import streams as verbs
from penstock.domain import bans
from penstock.errors import InvalidField, NotBanned, NotOnAir, UnknownDomain, UnknownVhost
from penstock.link.messages import Audience, AudioFacts, EndReason, VideoFacts
from penstock.model import StreamId
from tests.api.operator.kit import Office, office, publish
from tests.clock import START
from tests.domain.kit import CLIENT, DEMO, ME, OTHER, RULES, make_stats


async def test_streams_on_air_are_listed_with_what_is_measured() -> None:
    async with office() as desk:
        session = publish(desk.live)
        stats = make_stats(session.lease.epoch, bytes_in=5000, audience=(Audience("flv", "pull.demo.test", 3, 900),))
        video = VideoFacts(
            codec="H264", profile="High", level="3.1", width=1280, height=720, declared_fps=30.0, fps=29.5
        )
        stats = structs.replace(stats, duration_ms=12_500, bitrate_kbps=2500.0, video=video, audio=AudioFacts("AAC"))
        desk.live.sessions.update(stats)
        (shown,) = (await desk.ask(verbs.ListStreams())).streams
        assert (shown.id, shown.account, shown.session) == (DEMO, "1", session.lease.session)
        assert (shown.address, shown.port, shown.domain) == (CLIENT.address, CLIENT.port, "push.demo.test")
        assert (shown.on_air_s, shown.bitrate_kbps, shown.bytes_in) == (12.5, 2500.0, 5000)
        assert (shown.players, shown.bytes_out) == ({"flv": 3}, {"flv": 900})
        assert (shown.video.codec, shown.video.width, shown.video.fps) == ("H264", 1280, 29.5)
        assert (shown.audio.codec, shown.audio.sample_rate) == ("AAC", None)


async def test_stream_that_nothing_is_measured_of_yet_is_listed() -> None:
    async with office() as desk:
        publish(desk.live)
        desk.clock.advance(2)
        (shown,) = (await desk.ask(verbs.ListStreams())).streams
        assert (shown.video, shown.audio, shown.players, shown.on_air_s) == (None, None, {}, 2.0)


async def test_lists_can_be_of_one_vhost_or_account() -> None:
    async with office() as desk:
        foreign = StreamId("other", "live", "cam")
        for stream in (DEMO, OTHER, foreign):
            publish(desk.live, stream)
            await desk.ask(verbs.BanStream(stream=str(stream)))
            publish(desk.live, stream)
        asks: tuple[tuple[dict[str, str], list[StreamId]], ...] = (
            ({}, [DEMO, OTHER, foreign]),
            ({"vhost": "demo"}, [DEMO, OTHER]),
            ({"account": "2"}, [foreign]),
            ({"vhost": "demo", "account": "2"}, []),
        )
        for ask, wanted in asks:
            assert [each.id for each in (await desk.ask(verbs.ListStreams(**ask))).streams] == wanted
            listed = await desk.ask(verbs.ListBans(vhost=ask.get("vhost", ""), account=ask.get("account", "")))
            assert sorted(each.id for each in listed.bans) == sorted(wanted)
            assert listed.total == len(wanted)


async def test_bans_come_page_by_page() -> None:
    async with office() as desk:
        for days in (1, 2, 3):
            await desk.ask(verbs.BanStream(stream=f"demo/live/s{days}", for_s=days * 86_400.0))
        page = await desk.ask(verbs.ListBans(offset=1, limit=1))
        assert ([each.stream for each in page.bans], page.total) == (["s2"], 3)


async def test_shown_stream_is_on_air_or_banned_or_an_error() -> None:
    async with office() as desk:
        show = verbs.ShowStream(stream="demo/live/cam")
        with pytest.raises(NotOnAir, match="nobody publishes demo/live/cam, and it is not banned"):
            await desk.ask(show)
        publish(desk.live)
        shown = await desk.ask(show)
        assert (shown.on_air.id, shown.ban) == (DEMO, None)
        await desk.ask(verbs.BanStream(stream="demo/live/cam", reason="late"))
        shown = await desk.ask(show)
        assert (shown.on_air, shown.ban.reason) == (None, "late")


async def test_kick_ends_the_publish_with_its_reason() -> None:
    async with office() as desk:
        session = publish(desk.live)
        kicked = await desk.ask(verbs.KickStream(stream="demo/live/cam", reason="wrong camera"))
        assert kicked.id == DEMO
        assert desk.engine.dropped == [(DEMO, EndReason.KICKED, "wrong camera")]
        assert session.reason == EndReason.KICKED
        with pytest.raises(NotOnAir):
            await desk.ask(verbs.KickStream(stream="demo/live/cam"))


async def test_ban_is_the_operators_for_whoever_owns_the_vhost() -> None:
    async with office() as desk:
        made = (await desk.ask(verbs.BanStream(stream="other/live/cam"))).ban
        assert (made.account, made.cloud, made.access_key) == ("2", "", "")
        assert (made.since, made.until - made.since) == (START, timedelta(days=90))
        assert made.push_domain == "push.other.test"


async def test_ban_ends_at_a_time_or_after_a_span_of_the_servers_clock() -> None:
    async with office() as desk:
        desk.live.clock.turn(by=timedelta(days=400))
        now = desk.live.clock.now()
        made = (await desk.ask(verbs.BanStream(stream="demo/live/cam", for_s=7200.0))).ban
        assert made.until == now + timedelta(hours=2)
        made = (await desk.ask(verbs.BanStream(stream="demo/live/cam", until=now + timedelta(hours=1)))).ban
        assert made.until == now + timedelta(hours=1)
        with pytest.raises(InvalidField, match="left out beside `until`"):
            await desk.ask(verbs.BanStream(stream="demo/live/cam", until=now, for_s=1.0))
        with pytest.raises(InvalidField, match="within 90 days"):
            await desk.ask(verbs.BanStream(stream="demo/live/cam", for_s=91 * 86_400.0))


async def test_ban_can_name_the_push_domain_that_it_shows_under() -> None:
    async with office() as desk:
        made = (await desk.ask(verbs.BanStream(stream="demo/live/cam", push_domain="push2.demo.test"))).ban
        assert made.push_domain == "push2.demo.test"
        with pytest.raises(UnknownDomain):
            await desk.ask(verbs.BanStream(stream="demo/live/cam", push_domain="push.other.test"))


async def test_ban_that_a_cloud_asked_for_is_lifted_too() -> None:
    async with office() as desk:
        await bans.ban(desk.live, ME, DEMO, reason="by an SDK")
        (listed,) = (await desk.ask(verbs.ListBans())).bans
        assert (listed.cloud, listed.access_key) == ("kingsoft", "AKone")
        lifted = (await desk.ask(verbs.UnbanStream(stream="demo/live/cam"))).ban
        assert lifted == listed
        with pytest.raises(NotBanned):
            await desk.ask(verbs.UnbanStream(stream="demo/live/cam"))


async def kick_error(desk: Office, stream: str) -> str:
    with pytest.raises((InvalidField, UnknownVhost, NotOnAir)) as caught:
        await desk.ask(verbs.KickStream(stream=stream))
    return str(caught.value)


async def test_what_is_left_out_must_be_the_only_one() -> None:
    async with office() as desk:
        assert await kick_error(desk, "cam") == (
            "vhost is 'cam'; it must be with its vhost named: there is demo, other, signed"
        )
        assert await kick_error(desk, "demo/live/cam") == "nobody publishes demo/live/cam"
        assert await kick_error(desk, "none/live/cam") == "there is no vhost none; there is demo, other, signed"
        assert "an app of demo: live, studio" in await kick_error(desk, "demo/nope/cam")
        assert "must be STREAM, APP/STREAM or VHOST/APP/STREAM" in await kick_error(desk, "a/b/c/d")
    async with office(structs.replace(RULES, default_vhost="other")) as desk:
        assert await kick_error(desk, "cam") == "nobody publishes other/live/cam"
    async with office(structs.replace(RULES, default_vhost="demo")) as desk:
        assert "there is live, studio" in await kick_error(desk, "cam")
        assert await kick_error(desk, "studio/cam") == "nobody publishes demo/studio/cam"


async def test_ban_outlives_the_process_in_the_store() -> None:
    async with office() as desk:
        await desk.ask(verbs.BanStream(stream="demo/live/cam"))
        assert await desk.live.store.find_ban(DEMO, desk.live.clock.now()) is not None
