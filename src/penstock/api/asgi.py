"""The gateway as an application of the HTTP server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from penstock.api.connection import TARGET
from penstock.clouds.http import Headers, HttpRequest, HttpResponse

Answer = Callable[[HttpRequest, str], Awaitable[HttpResponse]]

# Answers are for one caller at one moment, and for programs.
_ALWAYS: Final = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


class GatewayApp:
    """Passes each request to `Gateway.answer`, its target and its header lines as they came."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def __call__(self, scope: Mapping[str, Any], receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        assert scope["type"] == "http"
        message = await receive()  # the server has read the whole body by now
        request = HttpRequest(
            method=scope["method"],
            target=scope[TARGET],
            headers=Headers((name.decode(), _text(value)) for name, value in scope["headers"]),
            body=message.get("body", b""),
        )
        client = scope["client"]
        response = await self._answer(request, client[0] if client else "")
        lines = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
        await send({"type": "http.response.start", "status": response.status, "headers": [*lines, *_ALWAYS]})
        await send({"type": "http.response.body", "body": response.body})


def _text(value: bytes) -> str:
    """Header values are ASCII by the book, UTF-8 from those who sign them, and Latin-1 by tradition."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
