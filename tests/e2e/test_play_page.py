"""The play page in a browser: it waits, plays, plays on, and asks nobody but its own server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.browser import Browser, Page
from tests.e2e.media import Samples
from tests.e2e.peers import Ffmpeg, Publish
from tests.e2e.server import TWO_VHOSTS, Serve, Server

VIDEO = "document.getElementById('video')"
IS = "document.body.className.includes('{}')"


def text(name: str) -> str:
    return f"document.getElementById('{name}').textContent"


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    browser = await Browser.start()
    try:
        yield browser
    finally:
        await browser.close()


async def plays(page: Page, seconds: float, *, within_s: float = 25) -> None:
    """Wait until the picture has moved on by so much from where it is, and the page says that it is live."""
    start = await page.evaluate(f"{VIDEO}.currentTime")
    await page.until(f"{VIDEO}.currentTime > {start + seconds} && {IS.format('playing')}", within_s=within_s)


def assert_at_home(page: Page, server: Server) -> None:
    """It asked its own server alone, and nothing was wrong with it."""
    home = urlsplit(server.flv_url("live/x")).netloc
    assert {urlsplit(url).netloc for url in page.requests()} == {home}
    assert page.complaints() == []


async def test_the_page_waits_for_the_publisher_and_then_plays(
    server: Server, ffmpeg: Ffmpeg, samples: Samples, browser: Browser, stream: str
) -> None:
    page = await browser.open(server.page_url(stream))
    await page.until(IS.format("waiting"), within_s=10)
    assert await page.evaluate(text("message")) == "Waiting for the publisher"
    assert stream in await page.evaluate(text("advice"))
    await ffmpeg.publish(samples.h264, server.rtmp_url(stream), loop=True)
    await plays(page, 3)
    stats = await page.until(f"{text('stats')}.includes('behind live') && {text('stats')}", within_s=5)
    assert "HTTP-FLV" in stats
    assert "320\u00d7180" in stats
    assert "H.264 + AAC" in stats
    assert "frames dropped" in stats
    assert await page.evaluate(f"{VIDEO}.muted && !document.getElementById('sound').hidden")
    await page.evaluate("document.getElementById('sound').click()")
    assert not await page.evaluate(f"{VIDEO}.muted")
    assert_at_home(page, server)


@pytest.mark.parametrize("way", ["flv", "hls"])
async def test_the_page_plays_on_when_the_publisher_comes_back(
    way: str, server: Server, ffmpeg: Ffmpeg, samples: Samples, browser: Browser, stream: str
) -> None:
    publisher = await ffmpeg.publish(samples.h264, server.rtmp_url(stream), loop=True)
    page = await browser.open(f"{server.page_url(stream)}#{way}")
    await plays(page, 2)
    await publisher.kill()
    await page.until(IS.format("away"), within_s=15)
    # Of another size, so that it has another setup too.
    await ffmpeg.publish(samples.at_30_fps, server.rtmp_url(stream), loop=True)
    await page.until(f"{VIDEO}.videoWidth === 640 && {IS.format('playing')}", within_s=30)
    await plays(page, 2)
    assert_at_home(page, server)


async def test_the_page_waits_anew_when_the_stream_is_over(
    serve: Serve, ffmpeg: Ffmpeg, samples: Samples, browser: Browser, stream: str
) -> None:
    server = serve(keep_players_s=0.5)
    publisher = await ffmpeg.publish(samples.h264, server.rtmp_url(stream), loop=True)
    page = await browser.open(server.page_url(stream))
    await plays(page, 1)
    await publisher.kill()
    await page.until(IS.format("waiting"), within_s=10)
    await ffmpeg.publish(samples.at_30_fps, server.rtmp_url(stream), loop=True)
    await plays(page, 1)
    assert_at_home(page, server)


async def test_the_page_speaks_chinese_and_the_other_language_at_a_press(
    server: Server, browser: Browser, stream: str
) -> None:
    page = await browser.open(server.page_url(stream), language="zh-CN")
    await page.until(IS.format("waiting"), within_s=10)
    assert await page.evaluate(text("message")) == "等待主播推流"
    assert await page.evaluate("document.documentElement.lang") == "zh-CN"
    await page.evaluate("document.getElementById('language').click()")
    assert await page.evaluate(text("message")) == "Waiting for the publisher"
    assert await page.evaluate(text("language")) == "中文"


async def test_a_codec_that_the_browser_has_not_is_named(
    server: Server, samples: Samples, publishers: dict[str, Publish], browser: Browser, stream: str
) -> None:
    await publishers["pyav"](samples.hevc, server.rtmp_url(stream))
    page = await browser.open(server.page_url(stream))
    # Debian's Chromium decodes no HEVC in software.
    assert not await page.evaluate("""MediaSource.isTypeSupported('video/mp4; codecs="hvc1.1.6.L63.90"')""")
    await page.until(IS.format("failed"), within_s=20)
    assert await page.evaluate(text("message")) == "This browser cannot play HEVC + AAC"
    assert not await page.evaluate("document.getElementById('again').hidden")


async def test_the_page_takes_its_query_along(serve: Serve, ffmpeg: Ffmpeg, samples: Samples, browser: Browser) -> None:
    server = serve(accounts=TWO_VHOSTS)
    await ffmpeg.publish(samples.h264, server.rtmp_url("studio/cam?vhost=two"), loop=True)
    page = await browser.open(server.page_url("studio/cam?vhost=two"))
    await plays(page, 1)
    hls = await browser.open(server.page_url("studio/cam?vhost=two") + "#hls")
    await plays(hls, 1)
    assert_at_home(page, server)
    assert_at_home(hls, server)


async def test_the_page_plays_in_tls(
    server: Server, ffmpeg: Ffmpeg, samples: Samples, browser: Browser, stream: str
) -> None:
    await ffmpeg.publish(samples.h264, server.rtmp_url(stream), loop=True)
    page = await browser.open(server.https_page_url(stream), trusting=True)
    await plays(page, 1)
    assert {urlsplit(url).scheme for url in page.requests()} == {"https"}
    assert page.complaints() == []


async def test_a_page_in_a_frame_shows_the_picture_alone(
    server: Server, ffmpeg: Ffmpeg, samples: Samples, browser: Browser, stream: str, tmp_path: Path
) -> None:
    await ffmpeg.publish(samples.h264, server.rtmp_url(stream), loop=True)
    around = tmp_path / "around.html"
    frame = f'<iframe src="{server.page_url(stream)}" width="640" height="360" allow="autoplay; fullscreen"></iframe>'
    await asyncio.to_thread(around.write_text, f"<!doctype html><title>around</title>{frame}")
    await browser.open(around.as_uri())
    page = await browser.frame(server.page_url(stream))
    await plays(page, 1)
    shown = "[...document.querySelectorAll('#stage, header, footer')].map(found => found.offsetHeight)"
    assert await page.evaluate(shown) == [0, 360, 0]


async def test_the_page_plays_parts_within_two_seconds_of_live(
    serve: Serve, ffmpeg: Ffmpeg, samples: Samples, browser: Browser, stream: str
) -> None:
    server = serve(hls_low_latency=True)
    await ffmpeg.publish(samples.h264, server.rtmp_url(stream), loop=True)
    page = await browser.open(f"{server.page_url(stream)}#hls")
    await plays(page, 3)
    behind = f"parseFloat(/([0-9.]+) s behind live/.exec({text('stats')})?.[1])"
    assert await page.until(f"({behind} < 2) && {behind}", within_s=15) > 0
    assert any("_HLS_msn=" in url for url in page.requests())
    assert_at_home(page, server)
