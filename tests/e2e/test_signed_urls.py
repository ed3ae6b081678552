"""Signed publishing URLs with a real encoder, and what the API tells of those that were refused."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from penstock.domain import publish_url
from penstock.model import StreamId
from penstock.sdk.kingsoft import AsyncKingsoft
from penstock.storage.rows import UrlSigning
from tests.e2e.peers import Ffmpeg, PublishRefused
from tests.e2e.server import Serve, Server

STREAM = StreamId("signed", "live", "cam")
ACCOUNTS = """
[[account]]
id = "1"
[[account.key]]
access_key = "AKone"
secret_key = "the-secret"
[[account.vhost]]
name = "signed"
push_domains = ["push.signed.test"]
publish_auth = "signed"
publish_key = "key-of-the-vhost"
publish_sign_order = ["time", "key", "path"]
"""
SIGNING = UrlSigning(order=("time", "key", "path"))


def url(
    server: Server, *, in_s: int, key: str = "key-of-the-vhost", stream: StreamId = STREAM, hexed: bool = False
) -> str:
    at = int(time.time()) + in_s
    query = publish_url.sign(key, stream, f"{at:x}" if hexed else str(at), SIGNING)
    return server.rtmp_url(f"live/cam?{query}")


async def refused_codes(server: Server) -> list[int]:
    async with AsyncKingsoft(access_key="AKone", secret_key="the-secret", endpoint=server.api_url) as cloud:
        page = await cloud.list_history_pub_streams_err_info(
            unique_name="signed", app="live", pubdomain="push.signed.test", order_time=1
        )
    return [attempt.status_code for row in page.result for attempt in row.detail]


@pytest.mark.parametrize("hexed", [False, True])
async def test_a_url_that_is_signed_and_in_time_publishes(
    serve: Serve, ffmpeg: Ffmpeg, sample: Path, hexed: bool
) -> None:
    server = serve(accounts=ACCOUNTS)
    publisher = await ffmpeg.publish(sample, url(server, in_s=60, hexed=hexed))
    await publisher.stop()
    assert await refused_codes(server) == []


async def test_others_are_refused_and_the_history_says_why(serve: Serve, ffmpeg: Ffmpeg, sample: Path) -> None:
    server = serve(accounts=ACCOUNTS)
    other = StreamId("signed", "live", "other")
    attempts = {
        server.rtmp_url("live/cam"): 426,
        url(server, in_s=60, key="another-key"): 426,
        url(server, in_s=60, stream=other): 426,
        url(server, in_s=-1): 425,
        url(server, in_s=-1, key="another-key"): 426,  # whoever has no key does not hear of times
    }
    for attempt in attempts:
        with pytest.raises(PublishRefused):
            await ffmpeg.publish(sample, attempt)
    assert await refused_codes(server) == list(attempts.values())


async def test_the_test_pattern_signs_its_own_url(serve: Serve) -> None:
    server = serve("--test-pattern", accounts=ACCOUNTS)
    await server.wait_log(r"signed/live/test on air", within_s=10)
    assert await refused_codes(server) == []
