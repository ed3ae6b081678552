"""The admin socket's server half: an ASGI app that decodes a verb, calls its handler, and tells what came of it.

Who may connect is the file system's business: the socket is its owner's alone. So nothing is signed here.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, Generic, TypeVar

from penstock.admin import contract
from penstock.admin.contract import Ask, Failure, Result
from penstock.admin.verbs import VERBS
from penstock.errors import (
    ConfigError,
    Conflict,
    Denied,
    DomainError,
    LimitExceeded,
    LinkError,
    MalformedRequest,
    NotFound,
    PenstockError,
    RequestRefused,
    Unavailable,
    UnknownOperation,
)

log = logging.getLogger("penstock.admin")

L = TypeVar("L")
Handler = Callable[[L, Any], Awaitable[Result]]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# The first class that an error is one of gives the status; the order goes from kind to kin.
STATUSES: Final[tuple[tuple[type[PenstockError], int], ...]] = (
    (UnknownOperation, 404),
    (NotFound, 404),
    (Conflict, 409),
    (Denied, 403),
    (LimitExceeded, 429),
    (Unavailable, 503),
    (DomainError, 422),
    (RequestRefused, 400),
    (ConfigError, 422),
    (LinkError, 503),
    (PenstockError, 503),
)
FAULT: Final = Failure("Fault", "a fault of the server's own; its log has more")


class WrongMethod(Exception):
    """A request with another method than POST."""


class TooLong(Exception):
    """A body beyond `MAX_ASK_BYTES`."""


class AdminApp(Generic[L]):
    """Serves verbs by ASGI; `live` is handed to every handler."""

    def __init__(
        self, live: L, handlers: Mapping[str, Handler[L]], verbs: Mapping[str, type[Ask[Any]]] = VERBS
    ) -> None:
        missing = verbs.keys() ^ handlers.keys()
        assert not missing, f"a verb without a handler, or a handler without a verb: {', '.join(sorted(missing))}"
        self._live = live
        self._handlers = handlers
        self._verbs = verbs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", f"the admin socket serves HTTP alone, and not {scope['type']}"
        try:
            status, body = 200, contract.encode_result(await self._answer(scope, receive))
        except Exception as error:
            status, failure = translated(error, scope["path"])
            body = contract.encode_failure(failure)
        await _send(send, status, body)

    async def _answer(self, scope: Scope, receive: Receive) -> Result:
        if scope["method"] != "POST":
            raise WrongMethod(f"a verb is asked by POST, and not by {scope['method']}")
        ask = contract.verb_of(self._verbs, scope["path"].removeprefix("/"))
        asked = contract.decode_ask(ask, await _body(receive))
        result = await self._handlers[ask.verb](self._live, asked)
        assert isinstance(result, ask.result), f"{ask.verb} answered a {type(result).__name__}"
        return result


def translated(error: Exception, path: str) -> tuple[int, Failure]:
    """The HTTP status and the words for an error, whatever it is; what nobody expects is logged and not told."""
    match error:
        case WrongMethod():
            return 405, Failure(MalformedRequest.__name__, str(error))
        case TooLong():
            return 413, Failure(MalformedRequest.__name__, str(error))
        case PenstockError():
            status = next(status for kind, status in STATUSES if isinstance(error, kind))
            return status, Failure(type(error).__name__, str(error))
    log.error("a fault of our own in %s", path, exc_info=error)
    return 500, FAULT


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise MalformedRequest("the other end left in the middle of its request")
        body += message.get("body", b"")
        if len(body) > contract.MAX_ASK_BYTES:
            raise TooLong(f"the body is longer than {contract.MAX_ASK_BYTES} bytes")
        if not message.get("more_body", False):
            return bytes(body)


async def _send(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    # What was not read of a body that is too long is not the next request.
    headers += [(b"connection", b"close")] if status == 413 else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
