"""When a session begins and ends, who may take it over, and how long its players stay."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import pytest

from tests.e2e.media import is_run_of, rising
from tests.e2e.peers import Curl, Ffmpeg, Publish, Publisher, PublishRefused, Pyav
from tests.e2e.server import Serve, Server


def ended(stream: str, reason: str) -> str:
    """What control says of a session's end."""
    return rf"control: demo/{re.escape(stream)} ended, session \w+: {reason}"


# Its end


async def test_a_session_ends_when_its_encoder_is_killed(
    publishers: dict[str, Publish], server: Server, sample: Path, stream: str
) -> None:
    for name, publisher in (await one_of_each(publishers, server, sample, stream)).items():
        since = server.mark()
        await publisher.kill()
        await server.wait_log(ended(f"{stream}-{name}", "connection lost"), within_s=2, since=since)


async def test_a_session_ends_when_its_encoder_leaves(
    publishers: dict[str, Publish], server: Server, sample: Path, stream: str
) -> None:
    for name, publisher in (await one_of_each(publishers, server, sample, stream)).items():
        await publisher.stop()
        await server.wait_log(ended(f"{stream}-{name}", "publisher left"), within_s=2)


async def one_of_each(
    publishers: dict[str, Publish], server: Server, sample: Path, stream: str
) -> dict[str, Publisher]:
    """Publish `stream-NAME` with each kind of encoder."""
    tasks = [publish(sample, server.rtmp_url(f"{stream}-{name}")) for name, publish in publishers.items()]
    return dict(zip(publishers, await asyncio.gather(*tasks), strict=True))


async def test_a_frozen_encoders_session_ends_after_the_idle_timeout(
    serve: Serve, ffmpeg: Ffmpeg, sample: Path, stream: str
) -> None:
    server = serve(idle_timeout_s=1)
    publisher = await ffmpeg.publish(sample, server.rtmp_url(stream))
    publisher.freeze()
    frozen_at = time.monotonic()
    silent = await server.wait_log(ended(stream, r"publisher silent \(no media for 1\.\d s\)"), within_s=2)
    assert silent.at_s - frozen_at > 0.8
    publisher.thaw()
    assert await publisher.exit_code(within_s=5) != 0


async def test_silence_and_a_missed_return_take_10_s_by_default(
    server: Server, ffmpeg: Ffmpeg, sample: Path, stream: str
) -> None:
    frozen, killed = stream, f"{stream}-killed"
    silent, gone = [await ffmpeg.publish(sample, server.rtmp_url(name)) for name in (frozen, killed)]
    players = [await ffmpeg.play(url) for url in (server.rtmp_url(killed), server.flv_url(killed))]
    await asyncio.gather(*(player.until_got(seconds=0.5) for player in players))
    silent.freeze()
    await gone.kill()
    began_at = time.monotonic()

    end = await server.wait_log(ended(frozen, "publisher silent"), within_s=11)
    assert end.at_s - began_at > 9.5
    for player in players:
        assert await player.exit_code(within_s=2) == 0
    assert time.monotonic() - began_at > 9.9


async def test_players_are_closed_when_the_publisher_does_not_come_back(
    serve: Serve, ffmpeg: Ffmpeg, pyav: Pyav, sample: Path, stream: str
) -> None:
    server = serve(keep_players_s=1)
    publisher = await ffmpeg.publish(sample, server.rtmp_url(stream))
    players = [await ffmpeg.play(url) for url in play_urls(server, stream)]
    players += [await pyav.play(server.rtmp_url(stream))]
    await asyncio.gather(*(player.until_got(seconds=0.5) for player in players))
    await publisher.kill()
    killed_at = time.monotonic()
    ends = await asyncio.gather(*(player.exit_code(within_s=3) for player in players))
    assert set(ends) == {0}
    assert 0.9 < time.monotonic() - killed_at < 2.5


def play_urls(server: Server, stream: str) -> list[str]:
    return [server.rtmp_url(stream), server.flv_url(stream)]


async def test_what_is_not_on_air_is_not_played(server: Server, curl: Curl, ffmpeg: Ffmpeg, stream: str) -> None:
    assert "404 Not Found" in await curl.get(server.flv_url(stream))
    player = await ffmpeg.play(server.rtmp_url(stream))
    assert await player.exit_code(within_s=5) != 0
    assert not player.packets


# Who has the name


async def test_a_second_publisher_is_told_why_it_is_refused_while_the_first_one_sends(
    server: Server, ffmpeg: Ffmpeg, pyav: Pyav, publishers: dict[str, Publish], sample: Path, stream: str
) -> None:
    url, why = server.rtmp_url(stream), f"demo/{stream} has a publisher that sends"
    await ffmpeg.publish(sample, url)
    player = await ffmpeg.play(url)
    for name, publish in publishers.items():
        since = server.mark()
        with pytest.raises(PublishRefused) as refused:
            await publish(sample, url)
        # librtmp knows that it was refused, and does not say why.
        assert name == "rtmpsink" or why in str(refused.value)
        await server.wait_log(rf"control: .*\(422\): {why}", within_s=1, since=since)
    got = await player.until_got(seconds=2)
    assert is_run_of(await pyav.packets(sample), got, looped=False)


async def test_a_publisher_that_was_silent_for_2_s_is_replaced(
    server: Server, ffmpeg: Ffmpeg, sample: Path, stream: str
) -> None:
    first = await ffmpeg.publish(sample, server.rtmp_url(stream))
    player = await ffmpeg.play(server.flv_url(stream))
    await player.until_got(seconds=0.5)
    first.freeze()
    frozen_at = time.monotonic()
    await publish_again_and_again(ffmpeg, sample, server.rtmp_url(stream), until_s=frozen_at + 4)
    replaced = await server.wait_log(ended(stream, r"replaced by another publisher \(by 127\.0\.0\.1\)"), within_s=1)
    assert 1.9 < replaced.at_s - frozen_at < 3.5

    count = len(player.packets)
    assert rising(await player.until_got(count=count + 50))
    first.thaw()
    assert await first.exit_code(within_s=5) != 0


async def publish_again_and_again(ffmpeg: Ffmpeg, sample: Path, url: str, *, until_s: float) -> Publisher:
    """What an encoder does that lost its connection: try until it is let in."""
    while True:
        try:
            return await ffmpeg.publish(sample, url)
        except PublishRefused:
            assert time.monotonic() < until_s


async def test_the_newest_publisher_wins_where_conflicts_are_set_to_replace(
    serve: Serve, ffmpeg: Ffmpeg, pyav: Pyav, sample: Path, stream: str
) -> None:
    server = serve(on_conflict="replace")
    first = await ffmpeg.publish(sample, server.rtmp_url(stream))
    players = [await ffmpeg.play(url) for url in play_urls(server, stream)]
    await asyncio.gather(*(player.until_got(seconds=0.5) for player in players))
    await pyav.publish(sample, server.rtmp_url(stream))
    assert await first.exit_code(within_s=2) != 0
    await server.wait_log(ended(stream, "replaced by another publisher"), within_s=1)
    for player in players:
        assert rising(await player.until_got(count=len(player.packets) + 50))
