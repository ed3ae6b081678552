"""A whole server inside the test: engine and control in one loop, their link in memory, ports of their own."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from penstock.app.control import Control
from penstock.app.engine import Engine, Listeners
from penstock.config import Account, Config, Media, Vhost
from penstock.link import local
from penstock.link.messages import AnyMessage, EndReason
from penstock.model import Clock, Kind, StreamId
from penstock.servers.door import Door
from tests.engine.kit import AAC_HEADER, AVC_HEADER, audio_body, inter_body, key_body
from tests.servers.client import HttpClient, RtmpClient

M = TypeVar("M", bound=AnyMessage)

DEADLINE_S: Final = 5.0
DEMO: Final = StreamId("demo", "live", "cam")
ACCOUNT: Final = Account(
    id="1",
    vhosts=(
        Vhost(name="demo", push_domains=("push.demo.test",), pull_domains=("pull.demo.test",), apps=("live",)),
        Vhost(name="shop", push_domains=("push.shop.test",), pull_domains=("pull.shop.test",), apps=("live", "vod")),
    ),
)


async def until(is_so: Callable[[], bool]) -> None:
    """Turn the loop until something is so that the server does by itself, with a deadline."""
    async with asyncio.timeout(DEADLINE_S):
        while not is_so():  # noqa: ASYNC110  what is waited for is of many kinds, and most of them set no event
            await asyncio.sleep(0)


def listen() -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(512)
    return listener


class House:
    """The server. `told` has every message that control heard from the engine, oldest first."""

    def __init__(self, config: Config, control: Control, *, clock: Clock | None = None, tls: bool = False) -> None:
        doors = {"rtmp": listen(), "http": listen()}
        if tls:
            doors |= {"rtmps": listen(), "https": listen()}
        self.config = config
        self.engine = Engine(config, Listeners(**doors), clock)
        self.control = control
        self.told: list[AnyMessage] = []
        self._peers: list[RtmpClient | HttpClient] = []
        self._heard: asyncio.Queue[AnyMessage] = asyncio.Queue()
        self._is_closed = False
        self._link()

    @classmethod
    async def open(cls, folder: Path, *, clock: Clock | None = None, tls: bool = False, **media: Any) -> Self:
        """`media` are settings of that section."""
        config = Config(data_dir=folder, media=Media(**media), accounts=(ACCOUNT,))
        house = cls(config, await Control.open(config, clock=clock, in_memory=True), clock=clock, tls=tls)
        await house.control.engine.connected.wait()
        return house

    def _link(self) -> None:
        mine, theirs = local.pair()
        self.control.engine.attach(mine, self.control.live)
        hear = mine.on_message

        def tap(message: AnyMessage) -> None:
            hear(message)
            self.told.append(message)
            self._heard.put_nowait(message)

        mine.on_message = tap
        self.engine.control.attach(theirs)

    async def close(self) -> None:
        """End the engine, and let control hear what it said last. Closing again does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        await self.engine.close()
        for _ in range(3):
            await asyncio.sleep(0)
        await self.control.close()
        for peer in self._peers:
            peer.close()

    @property
    def rtmp(self) -> Door:
        return self.engine.doors["rtmp"]

    @property
    def http(self) -> Door:
        return self.engine.doors["http"]

    def client_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.config.data_dir / "tls" / "ca.pem"))

    # What happens

    async def heard(self, kind: type[M]) -> M:
        """The next message of this kind that control hears; others on the way are passed over."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                message = await self._heard.get()
                if isinstance(message, kind):
                    return message

    async def drop(self, stream: StreamId = DEMO, reason: EndReason = EndReason.KICKED) -> int | None:
        async with asyncio.timeout(DEADLINE_S):
            return await self.control.engine.drop(stream, reason, "by hand")

    async def usage_bytes(self) -> int:
        """All bytes that control has counted, once the engine has handed over what it knows."""
        self.engine.control.send_usage()
        await until(lambda: not self.engine.meter.untaken)
        return self.control.live.usage.total_bytes_down

    def players(self, stream: StreamId = DEMO) -> int:
        """Players of a stream on air."""
        for status in self.engine.hub.on_air():
            if status.lease.stream == stream:
                return sum(status.stats.players.values())
        return 0

    # Peers; they stay until the server closes, whoever forgets them

    async def rtmp_client(self, **options: Any) -> RtmpClient:
        client = await RtmpClient.open(self.rtmp.port, **options)
        self._peers.append(client)
        return client

    async def http_client(self, **options: Any) -> HttpClient:
        client = await HttpClient.open(self.http.port, **options)
        self._peers.append(client)
        return client

    async def publisher(self, name: str = "cam", **options: Any) -> RtmpClient:
        return await (await self.rtmp_client()).publish(name, **options)

    async def on_air(self, name: str = "cam", **options: Any) -> RtmpClient:
        """A publisher that sent its setup and a key frame at 0, which the engine has."""
        publisher = await self.publisher(name, **options)
        await begin(publisher)
        await self.arrived(len(AVC_HEADER) + len(AAC_HEADER) + len(key_body()), name.partition("?")[0])
        return publisher

    async def arrived(self, size: int, name: str = "cam") -> None:
        """The publisher of `name` has sent `size` bytes of media in all, and the engine has them."""
        await until(
            lambda: any(
                status.lease.stream.stream == name and status.stats.bytes_in >= size
                for status in self.engine.hub.on_air()
            )
        )

    async def rtmp_player(self, name: str = "cam", **options: Any) -> RtmpClient:
        return await (await self.rtmp_client()).play(name, **options)

    async def flv_player(self, name: str = "cam", *, app: str = "live", host: str = "pull.demo.test") -> HttpClient:
        client = await self.http_client()
        answer = await client.request(f"/{app}/{name}.flv", host=host)
        assert answer.status == 200
        return client


async def film(publisher: RtmpClient, frames: int, *, size: int = 20_000, from_ms: int = 40) -> None:
    """Send `frames` pictures, each tenth a key frame, with a sound to each."""
    for number in range(frames):
        at_ms = from_ms + number * 40
        picture = (key_body if number % 10 == 9 else inter_body)(bytes((number,)) * size)
        await publisher.send_media(Kind.AUDIO, at_ms, audio_body(bytes(300)))
        await publisher.send_media(Kind.VIDEO, at_ms, picture)


async def begin(publisher: RtmpClient, timestamp: int = 0) -> None:
    """What an encoder sends first."""
    await publisher.send_media(Kind.VIDEO, timestamp, AVC_HEADER)
    await publisher.send_media(Kind.AUDIO, timestamp, AAC_HEADER)
    await publisher.send_media(Kind.VIDEO, timestamp, key_body())


OpenHouse = Callable[..., Awaitable[House]]  # as the fixture `open_house` gives it
