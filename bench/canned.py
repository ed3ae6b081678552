"""A server that says one thing: every request gets the same answer at once, over connections that are kept.

`python -m bench.canned` prints its port as a JSON line. It does as little as can be done between two HTTP clients, so
that what is measured is theirs.
"""

from __future__ import annotations

import asyncio
import json

_BODY = json.dumps(
    {
        "Data": {"CheckResult": 1, "RetCode": 0, "RetMsg": "success"},
        "RequestId": "0b5f2f0e-58a7-4b0c-9d0a-2f5a6b1c7d11",
    }
).encode()
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"
    b"Content-Length: " + str(len(_BODY)).encode() + b"\r\n\r\n" + _BODY
)
_LENGTH = b"\r\ncontent-length:"


class _Connection(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._held = b""

    def data_received(self, data: bytes) -> None:
        self._held += data
        while (length := whole(self._held)) is not None:
            self._held = self._held[length:]
            self._transport.write(_ANSWER)


def whole(data: bytes) -> int | None:
    """The length of the first request in `data` with its body; None while a part is missing."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    at = data.lower().find(_LENGTH, 0, end)
    body = int(data[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    length = end + 4 + body
    return length if len(data) >= length else None


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
