"""Names as weapons: traversal, control characters, look-alikes and aliases, at both doors."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.link.messages import Began, EndReason, TurnedAway
from penstock.model import StreamId
from tests.engine.test_addressing import HOSTILE
from tests.security.conftest import Bystander
from tests.servers.client import Refused
from tests.servers.house import DEMO, House, begin, until

SHORT = [name for name in HOSTILE if len(name) < 60_000]


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
async def test_a_hostile_stream_name_is_refused_and_nothing_comes_into_being(
    house: House, bystander: Bystander, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Path traversal, separators, NUL, markup, control and right-to-left characters, over-long names."""
    caplog.set_level("DEBUG", "penstock")
    before, begun = files(tmp_path), sum(isinstance(message, Began) for message in house.told)
    for where in ({"name": name}, {"app": name}):
        with pytest.raises(Refused) as refusal:
            await house.publisher(**where)
        assert refusal.value.status.description.isprintable()
        assert len(refusal.value.status.description) < 500
        assert (await house.heard(TurnedAway)).code == 428
    assert sum(isinstance(message, Began) for message in house.told) == begun
    assert len(house.control.live.sessions) == 1
    assert files(tmp_path) == before
    for record in caplog.records:
        assert record.getMessage().isprintable()
        assert record.getMessage().isascii()
        assert len(record.getMessage()) < 16_000


@pytest.mark.parametrize("name", [name for name in HOSTILE if name], ids=ascii)
async def test_a_hostile_name_cannot_be_played_either(house: House, bystander: Bystander, name: str) -> None:
    """The same names at the players' doors; in HTTP only those that a request line can carry."""
    with pytest.raises(Refused):
        await house.rtmp_player(name)
    target = f"/live/{name}.flv"
    if target.isascii() and target.isprintable() and " " not in target and len(target) < 10_000:
        client = await house.http_client()
        answer = await client.request(target)
        assert answer.status == 404
        assert set(answer.headers) == {"content-type", "content-length", "access-control-allow-origin", "connection"}
        assert b"<" not in await client.body()


@pytest.mark.parametrize("name", ["cam\r\nSet-Cookie: a=b", "cam%0d%0aSet-Cookie:%20a=b", "cam\nx: y"])
async def test_no_name_puts_a_header_into_an_answer(house: House, bystander: Bystander, name: str) -> None:
    """Header injection by line breaks, plain and percent-encoded."""
    client = await house.http_client()
    answer = await client.say(f"GET /live/{name}.flv HTTP/1.1\r\nHost: pull.demo.test\r\n\r\n".encode())
    assert answer.status in (400, 404)
    assert "set-cookie" not in answer.headers
    assert b"\r\n" not in await client.body()


# One stream under many names: who is thrown out of one must not be in under another


@pytest.mark.parametrize(
    "alias",
    [
        {"name": "cam?key=1"},
        {"name": "cam?vhost=demo"},
        {"name": "cam?"},
        {"app": "live/"},
        {"app": "/live//"},
        {"app": "live?x=1"},
        {"tc_url": "rtmp://PUSH.DEMO.TEST/live"},
        {"tc_url": "rtmp://push.demo.test.:1935/live"},
        {"tc_url": "rtmp://user:pass@push.demo.test/live"},
        {"tc_url": "rtmp://pull.demo.test/live"},
        {"tc_url": "rtmp://10.0.0.1/live", "name": "cam?vhost=demo"},
        {"tc_url": "rtmp://10.0.0.1/live", "name": "cam?vhost=push.demo.test"},
        {"tc_url": "rtmp://10.0.0.1/live?vhost=pull.demo.test"},
    ],
    ids=str,
)
async def test_an_alias_is_the_same_stream_for_conflicts_and_for_kicks(house: House, alias: dict[str, str]) -> None:
    """Queries, slashes, spellings of the host and other domains of the vhost all lead to one name."""
    first = await house.on_air(**alias)
    assert [status.lease.stream for status in house.engine.hub.on_air()] == [DEMO]
    with pytest.raises(Refused) as refusal:
        await house.publisher()
    assert refusal.value.status.code == "NetStream.Publish.BadName"
    assert await house.drop() is not None
    await first.ended()
    assert house.engine.hub.on_air() == ()


@pytest.mark.parametrize(
    "variant",
    [
        {"name": "CAM"},
        {"name": "cam."},
        {"name": "cam "},
        {"name": "cam/"},
        {"name": "c\u0430m"},
        {"name": "\uff43\uff41\uff4d"},
        {"name": "cam\u200b"},
        {"name": "ca\u0301m"},
        {"name": "cam%20"},
        {"app": "LIVE"},
        {"app": "live."},
        {"app": "\uff4cive"},
    ],
    ids=ascii,
)
async def test_a_look_alike_is_another_stream_or_none_and_never_this_one(
    house: House, bystander: Bystander, variant: dict[str, str]
) -> None:
    """Upper case, look-alike letters, invisible characters, closing dots and blanks."""
    try:
        publisher = await house.publisher(**variant)
    except Refused:
        return
    await begin(publisher)
    streams = {status.lease.stream for status in house.engine.hub.on_air()}
    assert len(streams) == 2
    other = (streams - {DEMO}).pop()
    assert await house.drop(other) is not None
    await publisher.ended()


async def test_a_kick_reaches_a_publisher_that_is_being_let_in(house: House) -> None:
    """A publish racing a kick: whichever is first, nobody is on air afterwards but by a later admission."""
    for _ in range(20):
        client = await house.rtmp_client()
        await client.connect()
        await client.create_stream()
        await client.call("publish", None, "cam", "live", stream_id=1)
        if await house.drop() is None:
            await until(lambda: bool(house.engine.hub.on_air()))
            assert await house.drop() is not None
        await client.ended()
        assert house.engine.hub.on_air() == ()
        assert house.control.live.sessions.on_air() == []


async def test_a_stream_of_one_vhost_is_out_of_reach_of_another(house: House, bystander: Bystander) -> None:
    """Cross-tenant: the same app and name under another vhost is another stream."""
    assert await house.drop(StreamId("shop", "live", "cam"), EndReason.BANNED) is None
    with pytest.raises(Refused):
        await house.rtmp_player(tc_url="rtmp://pull.shop.test/live")
    answer = await (await house.http_client()).request("/live/cam.flv", host="pull.shop.test")
    assert answer.status == 404
