"""The gateway as an application of the HTTP server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from penstock.api.connection import RESPOND, TARGET
from penstock.clouds.http import Headers, HttpRequest, HttpResponse

Application = Callable[[Mapping[str, Any], Callable[[], Awaitable[Any]], object], Awaitable[None]]
Answer = Callable[[HttpRequest, str], Awaitable[HttpResponse]]

# Answers are for one caller at one moment, and for programs.
_ALWAYS: Final = b"\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n"


class GatewayApp:
    """Passes each request to `Gateway.answer`, its target and its header lines as they came.

    An application of `HttpServer` alone: it needs the whole target, and answers in one piece.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def __call__(self, scope: Mapping[str, Any], receive: Callable[[], Awaitable[Any]], send: object) -> None:
        assert scope["type"] == "http"
        message = await receive()  # the server has read the whole body by now
        request = HttpRequest(
            method=scope["method"],
            target=scope[TARGET],
            headers=Headers([(name.decode(), _text(value)) for name, value in scope["headers"]]),
            body=message["body"],
        )
        client = scope["client"]
        response = await self._answer(request, client[0] if client else "")
        await scope["extensions"][RESPOND](response.status, _head(response.headers), response.body)


class FrontApp:
    """What answers on the API's doors: recorded files by their path, and the gateway everything else."""

    def __init__(self, gateway: GatewayApp, files: Application, is_for_files: Callable[[str], bool]) -> None:
        self._gateway = gateway
        self._files = files
        self._is_for_files = is_for_files

    async def __call__(self, scope: Mapping[str, Any], receive: Callable[[], Awaitable[Any]], send: object) -> None:
        answer = self._files if self._is_for_files(scope[TARGET]) else self._gateway
        await answer(scope, receive, send)


def _text(value: bytes) -> str:
    """Header values are ASCII by the book, UTF-8 from those who sign them, and Latin-1 by tradition."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _head(headers: Headers) -> bytes:
    """Return header lines as they are sent."""
    lines = [f"{name.lower()}: {value}" for name, value in headers]
    head = "\r\n".join(lines)
    assert head.count("\n") == head.count("\r") == len(lines) - 1, "a header line holds another one"
    return head.encode("latin-1") + _ALWAYS
