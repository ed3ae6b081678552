"""Which stream a URL means, in every form in which encoders and players write it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.peers import Curl, Ffmpeg, Publish, PublishRefused
from tests.e2e.server import TWO_VHOSTS, Server, faultless, write_settings


@pytest.fixture(scope="module")
def shared_vhosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("vhosts")
    server = Server.started(folder, ["--config", str(write_settings(folder, accounts=TWO_VHOSTS))])
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def two_vhosts(shared_vhosts: Server) -> Iterator[Server]:
    """A server with the vhosts `one` and `two`, and no default."""
    with faultless(shared_vhosts, since=shared_vhosts.mark()):
        yield shared_vhosts


# What ffmpeg is given: the URL behind the host (STREAM is put in), its options, and what is meant by it.
PUBLISHES = [
    ("live/STREAM", ("-rtmp_tcurl", "rtmp://push.one.test/live"), "one/live"),
    ("live/STREAM", ("-rtmp_tcurl", "rtmp://PUSH.two.test:1935/live"), "two/live"),
    ("live/STREAM", ("-rtmp_tcurl", "rtmp://elsewhere.test/live?vhost=two"), "two/live"),
    ("live/STREAM?vhost=two", (), "two/live"),
    ("live/STREAM?sign=a%26b&vhost=push.one.test", (), "one/live"),
    ("live?vhost=two/STREAM", (), "two/live"),
    ("ignored", ("-rtmp_app", "studio?vhost=two", "-rtmp_playpath", "STREAM"), "two/studio"),
    # A domain says more than a query.
    ("live/STREAM?vhost=two", ("-rtmp_tcurl", "rtmp://pull.one.test/live"), "one/live"),
]


@pytest.mark.parametrize(
    ("url", "options", "means"), PUBLISHES, ids=["".join((case[0], *case[1])) for case in PUBLISHES]
)
async def test_a_publish_reaches_the_vhost_that_it_names(
    url: str, options: tuple[str, ...], means: str, two_vhosts: Server, ffmpeg: Ffmpeg, sample: Path, stream: str
) -> None:
    name = stream.partition("/")[2]
    options = tuple(option.replace("STREAM", name) for option in options)
    await ffmpeg.publish(sample, two_vhosts.rtmp_url(url.replace("STREAM", name)), realtime=False, extra=options)
    await two_vhosts.wait_log(rf"{means}/{name} on air", within_s=2)


@pytest.mark.parametrize("form", ["live/{}?vhost=two", "live?vhost=two/{}"])
async def test_other_encoders_name_a_vhost_in_their_stream_key_or_app(
    form: str, two_vhosts: Server, publishers: dict[str, Publish], sample: Path, stream: str
) -> None:
    names = {publisher: f"{stream.partition('/')[2]}-{publisher}" for publisher in publishers}
    urls = {publisher: two_vhosts.rtmp_url(form.format(name)) for publisher, name in names.items()}
    await asyncio.gather(*(publish(sample, urls[publisher]) for publisher, publish in publishers.items()))
    for name in names.values():
        await two_vhosts.wait_log(rf"two/live/{name} on air", within_s=2)


async def test_a_stream_is_played_on_its_own_vhost_alone(
    two_vhosts: Server, ffmpeg: Ffmpeg, curl: Curl, sample: Path, stream: str
) -> None:
    await ffmpeg.publish(sample, two_vhosts.rtmp_url(f"{stream}?vhost=two"))
    url = two_vhosts.flv_url(stream)

    async def status(url: str, *options: str) -> str:
        return (await curl.get(url, "--head", *options)).partition("\r\n")[0]

    assert await status(url, "--header", "Host: pull.two.test") == "HTTP/1.1 200 OK"
    assert await status(url, "--header", "Host: pull.one.test") == "HTTP/1.1 404 Not Found"
    assert await status(f"{url}?vhost=two") == "HTTP/1.1 200 OK"
    assert await status(f"{url}?vhost=one") == "HTTP/1.1 404 Not Found"
    assert await status(url) == "HTTP/1.1 404 Not Found"
    for played in (f"{url}?vhost=two", two_vhosts.rtmp_url(f"{stream}?vhost=pull.two.test")):
        assert await ffmpeg.packets(played, seconds=0.5)


REFUSED = [
    ("nosuch/x?vhost=two", "vhost two has no app nosuch; it has live, studio"),
    ("live/x~y?vhost=two", "stream 'x~y' is not a name; wanted letters, digits"),
    ("live/..?vhost=two", "stream '..' is not a name"),
    ("live/x?vhost=three", "vhost 'three' is neither a vhost nor a domain of one"),
    ("live/x", "add ?vhost=NAME to the URL"),
]


@pytest.mark.parametrize(("url", "why"), REFUSED)
async def test_a_publish_that_names_no_stream_is_told_so(
    url: str, why: str, two_vhosts: Server, ffmpeg: Ffmpeg, sample: Path
) -> None:
    since = two_vhosts.mark()
    with pytest.raises(PublishRefused, match=re.escape(why)):
        await ffmpeg.publish(sample, two_vhosts.rtmp_url(url))
    await two_vhosts.wait_log(rf"control: 127\.0\.0\.1:\d+ turned away \(428\): .*{re.escape(why)}", 2, since=since)


async def test_no_name_from_outside_is_a_path(two_vhosts: Server, curl: Curl) -> None:
    for path in ("live/../../etc/passwd.flv", "live/%2e%2e.flv", "../live/x.flv", "live//x.flv", "", "live/x.m3u8"):
        answer = await curl.get(two_vhosts.flv_url("").removesuffix(".flv") + path, "--path-as-is")
        assert answer.startswith("HTTP/1.1 404 Not Found"), path
