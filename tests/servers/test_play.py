"""The play page on the HTTP door: what is answered, how it is kept, and that no name becomes markup."""

from __future__ import annotations

import asyncio
import gzip
import json
import re

import pytest

from penstock.link.messages import EndReason
from penstock.model import Kind
from penstock.servers.play import POLICY
from tests.clock import ManualClock
from tests.engine.kit import AVC_HEADER
from tests.servers.client import HttpClient
from tests.servers.house import House, OpenHouse, until

PAGE = "/live/cam"
ON_AIR, UNTIL_ON_AIR = "/~penstock/on-air/live/cam", "/~penstock/until-on-air/live/cam"
ON = {"on_air": True, "video": "avc", "audio": "aac"}
OFF = {"on_air": False, "video": "", "audio": ""}


async def told(client: HttpClient, target: str = ON_AIR) -> object:
    answer, body = await client.get(target)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["cache-control"] == "no-store"
    return json.loads(body)


def uris(page: bytes) -> list[str]:
    return re.findall(r'"(/~penstock/[^"]+)"', page.decode())


# The page


async def test_a_page_is_there_before_its_stream_is(house: House) -> None:
    client = await house.http_client()
    answer, body = await client.get(PAGE)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert body.startswith(b"<!doctype html>")
    assert "connection" not in answer.headers


async def test_the_page_says_what_it_may_do_and_no_more(house: House) -> None:
    answer, body = await (await house.http_client()).get(PAGE)
    assert answer.headers["content-security-policy"] == POLICY
    assert "default-src 'none'; script-src 'self';" in POLICY
    assert "unsafe" not in POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-cache"
    # What the policy would forbid is not there to begin with.
    assert not re.search(rb"<script[^>]*>[^<]|<style|\sstyle=|\son\w+=|https?://", body)


async def test_the_page_is_the_same_for_every_stream(house: House) -> None:
    client = await house.http_client()
    _, one = await client.get(PAGE)
    _, other = await client.get("/live/another?vhost=demo&x=%3Cscript%3E")
    assert one == other


@pytest.mark.parametrize(
    "target",
    [
        "/live/<script>alert(1)</script>",
        "/live/%3Cscript%3Ealert(1)",
        '/live/cam"onload=alert(1)',
        "/live/cam%0d%0aSet-Cookie:x",
        "/live/..",
        "/live/",
        "/<b>/cam",
        f"/live/{'x' * 256}",
        "/vod/cam",
    ],
)
async def test_02_what_is_no_name_has_no_page_and_becomes_no_markup(house: House, target: str) -> None:
    answer, body = await (await house.http_client()).get(target)
    assert (answer.status, answer.headers["content-type"]) == (404, "text/plain")
    assert b"<!doctype" not in body
    assert "set-cookie" not in answer.headers


async def test_a_vhost_that_nobody_has_is_not_found(house: House) -> None:
    client = await house.http_client()
    for target in (f"{PAGE}?vhost=nobody", f"{ON_AIR}?vhost=nobody", f"{UNTIL_ON_AIR}?vhost=nobody"):
        assert (await client.get(target, host="127.0.0.1"))[0].status == 404
        client = await house.http_client()
    # Two vhosts, and nothing that tells which.
    assert (await client.get(PAGE, host="127.0.0.1"))[0].status == 404
    client = await house.http_client()
    assert (await client.get(f"{PAGE}?vhost=shop", host="127.0.0.1"))[0].status == 200


async def test_a_look_at_the_head_alone_gets_the_same_head(house: House) -> None:
    client = await house.http_client()
    for target in (PAGE, uris((await client.get(PAGE))[1])[0], ON_AIR):
        head = await client.request(target, method="HEAD")
        answer, _ = await client.get(target)
        assert head == answer
    # A look waits for nobody.
    assert (await client.request(UNTIL_ON_AIR, method="HEAD")).status == 200


async def test_another_method_is_refused(house: House) -> None:
    assert (await (await house.http_client()).request(PAGE, method="POST")).status == 404


async def test_a_page_in_tls_is_the_same(open_house: OpenHouse) -> None:
    house = await open_house(tls=True)
    client = await HttpClient.open_tls(house.engine.doors["https"].port, house.client_context(), "pull.demo.test")
    _, body = await client.get(PAGE)
    assert body == (await (await house.http_client()).get(PAGE))[1]
    # Longer than a record, and than what a socket takes at once.
    answer, script = await client.get(next(uri for uri in uris(body) if "hls" in uri))
    assert len(script) == int(answer.headers["content-length"]) > 300_000
    client.close()


# Its files


async def test_what_the_page_names_is_there_and_stays(house: House) -> None:
    client = await house.http_client()
    _, page = await client.get(PAGE)
    kinds = {}
    for uri in uris(page):
        answer, body = await client.get(uri)
        assert (answer.status, len(body)) == (200, int(answer.headers["content-length"]))
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"
        kinds[uri.rpartition(".")[2]] = answer.headers["content-type"]
    assert kinds == {
        "js": "text/javascript; charset=utf-8",
        "css": "text/css; charset=utf-8",
        "svg": "image/svg+xml",
    }
    assert len(uris(page)) == 6


@pytest.mark.parametrize("name", ["mpegts.js.LICENSE.txt", "hls.js.LICENSE.txt"])
async def test_licences_go_with_the_scripts(house: House, name: str) -> None:
    answer, body = await (await house.http_client()).get(f"/~penstock/{name}")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert b"Apache License" in body


@pytest.mark.parametrize(
    ("accepts", "is_packed"),
    [
        ("gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000, br", False),
        ("x-gzip2", False),
        ("br", False),
    ],
)
async def test_a_script_is_packed_for_who_can_unpack_it(house: House, accepts: str, is_packed: bool) -> None:
    client = await house.http_client()
    _, page = await client.get(PAGE)
    uri = next(uri for uri in uris(page) if "mpegts" in uri)
    _, plain = await client.get(uri)
    answer, body = await client.get(uri, headers=f"Accept-Encoding: {accepts}\r\n")
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.headers.get("content-encoding") == ("gzip" if is_packed else None)
    assert (gzip.decompress(body) if is_packed else body) == plain


@pytest.mark.parametrize(
    "path", ["", "play.js", "vendor/mpegts.js", "../play.html", "..%2fassets.py", "assets.py", "on-air", "on-air/live"]
)
async def test_nothing_else_is_below_that_word(house: House, path: str) -> None:
    answer, body = await (await house.http_client()).get(f"/~penstock/{path}")
    assert (answer.status, answer.headers["content-type"]) == (404, "text/plain")
    assert body.startswith(b"no such path; streams are at /APP/STREAM, ")


# Whether it is on air


async def test_what_is_on_air_is_told_with_its_codecs(house: House) -> None:
    client = await house.http_client()
    assert await told(client) == OFF
    await house.on_air()
    assert await told(client) == ON
    assert house.players() == 0


async def test_a_publisher_that_has_sent_nothing_is_not_on_air_yet(house: House) -> None:
    publisher = await house.publisher()
    client = await house.http_client()
    assert await told(client) == OFF
    await publisher.send_media(Kind.VIDEO, 0, AVC_HEADER)
    await house.arrived(len(AVC_HEADER))
    assert await told(client) == {"on_air": True, "video": "avc", "audio": ""}


async def test_who_waits_hears_of_it_when_it_comes(house: House) -> None:
    client = await house.http_client()
    asked = asyncio.create_task(told(client, UNTIL_ON_AIR))
    await until(lambda: bool(house.engine.viewers.waits))
    await house.on_air()
    assert await asked == ON
    # The connection is there for the next request.
    assert await told(client) == ON


async def test_who_waited_long_enough_is_told_so_and_may_ask_again(open_house: OpenHouse) -> None:
    clock = ManualClock()
    house = await open_house(clock=clock)
    client = await house.http_client()
    asked = asyncio.create_task(told(client, UNTIL_ON_AIR))
    await until(lambda: bool(house.engine.viewers.waits))
    clock.advance(7.9)
    house.engine.viewers.tick()
    house.http.sweep()
    await asyncio.sleep(0)
    assert not asked.done()
    clock.advance(0.1)
    house.engine.viewers.tick()
    assert await asked == OFF
    asked = asyncio.create_task(told(client, UNTIL_ON_AIR))
    await until(lambda: bool(house.engine.viewers.waits))
    await house.on_air()
    house.engine.viewers.tick()
    assert await asked == ON


async def test_a_stream_whose_publisher_left_is_not_on_air_though_players_are_kept(house: House) -> None:
    publisher = await house.on_air()
    await house.flv_player()
    await publisher.leave()
    await until(lambda: not house.engine.hub.on_air())
    assert await told(await house.http_client()) == OFF


async def test_who_waits_is_let_go_when_the_server_ends(house: House) -> None:
    client = await house.http_client()
    asked = asyncio.create_task(told(client, UNTIL_ON_AIR))
    await until(lambda: bool(house.engine.viewers.waits))
    house.engine.hub.drain(EndReason.ENGINE_STOPPED)
    house.engine.viewers.tick()
    assert await asked == OFF


async def test_who_leaves_while_it_waits_is_forgotten(house: House) -> None:
    client = await house.http_client()
    await client.pipe.write(f"GET {UNTIL_ON_AIR} HTTP/1.1\r\nHost: pull.demo.test\r\n\r\n".encode())
    await until(lambda: bool(house.engine.viewers.waits))
    client.close()
    await until(lambda: not house.engine.viewers.waits)
    await until(lambda: len(house.http) == 0)


async def test_one_that_waits_counts_among_those_that_have_not_begun(open_house: OpenHouse) -> None:
    house = await open_house(max_pending_per_address=2)
    waiting = [await house.http_client() for _ in range(2)]
    asked = [asyncio.create_task(told(client, UNTIL_ON_AIR)) for client in waiting]
    await until(lambda: len(house.engine.viewers.waits) == 2)
    with pytest.raises((EOFError, ConnectionError)):
        await (await house.http_client()).get(PAGE)
    for task in asked:
        task.cancel()


# Beside other requests


async def test_one_connection_serves_the_page_and_then_the_stream(house: House) -> None:
    await house.on_air()
    client = await house.http_client()
    assert (await client.get(PAGE))[0].status == 200
    before = await house.usage_bytes()
    answer = await client.request("/live/cam.flv")
    assert answer.headers["content-type"] == "video/x-flv"
    await client.tags(2)
    # The page is nobody's traffic.
    page = len((await (await house.http_client()).get(PAGE))[1])
    assert 0 < await house.usage_bytes() - before < page


async def test_requests_said_ahead_are_answered_in_their_order(house: House) -> None:
    client = await house.http_client()
    for target in (PAGE, ON_AIR, "/~penstock/hls.js.LICENSE.txt"):
        await client.pipe.write(f"GET {target} HTTP/1.1\r\nHost: pull.demo.test\r\n\r\n".encode())
    kinds = []
    for _ in range(3):
        answer = await client.answer()
        await client.content(answer)
        kinds.append(answer.headers["content-type"].partition(";")[0])
    assert kinds == ["text/html", "application/json", "text/plain"]
