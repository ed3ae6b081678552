"""A player of HLS that does what it is told: follows playlists, fetches what they name."""

from __future__ import annotations

from typing import Self

from tests.servers.client import Answer, HttpClient


class HlsPlayer:
    """One session. `uris` are those of its latest playlist, the init segments first."""

    def __init__(self, client: HttpClient, base: str, host: str) -> None:
        self.client = client
        self.base = base  # the path that its playlist's URIs are relative to
        self.host = host
        self.uris: list[str] = []
        self.text = ""

    @classmethod
    async def begin(cls, client: HttpClient, target: str = "/live/cam.m3u8", host: str = "pull.demo.test") -> Self:
        """Ask for the stream, which must be there, and learn where its playlist is."""
        answer, body = await client.get(target, host=host)
        assert answer.status == 200, body
        uri = body.decode().splitlines()[-1]
        folder, _, name = uri.rpartition("/")
        assert name.partition("?")[0] == "live.m3u8"
        return cls(client, f"{target.partition('?')[0].rpartition('/')[0]}/{folder}", host)

    @property
    def session(self) -> str:
        return self.base.rpartition("/")[2]

    async def get(self, name: str) -> bytes:
        """Something of the session, which must be there."""
        answer, body = await self.client.get(f"{self.base}/{name}", host=self.host)
        assert answer.status == 200, body
        return body

    async def ask(self, name: str, method: str = "GET") -> Answer:
        """The same, but only the answer's head is read."""
        return await self.client.request(f"{self.base}/{name}", method=method, host=self.host)

    async def status(self, name: str) -> int:
        answer, _ = await self.client.get(f"{self.base}/{name}", host=self.host)
        return answer.status

    async def playlist(self) -> str:
        self.text = (await self.get("live.m3u8")).decode()
        lines = self.text.splitlines()
        inits = [line.partition('URI="')[2].rstrip('"') for line in lines if line.startswith("#EXT-X-MAP")]
        self.uris = inits + [line for line in lines if not line.startswith("#")]
        return self.text

    @property
    def segments(self) -> list[str]:
        return [uri for uri in self.uris if uri.endswith(".m4s")]
