"""The admin socket's server half, called as a server of ASGI would call it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from penstock import errors
from penstock.admin import contract
from penstock.admin.contract import Result
from penstock.admin.verbs import VERBS
from penstock.api.admin import AdminApp, Handler
from penstock.errors import PenstockError
from tests.admin.kit import ANSWERS, ASKS

LIVE = object()


class Response(Struct):
    status: int
    headers: dict[str, str]
    body: Any


def handlers(**others: Handler[object]) -> dict[str, Handler[object]]:
    """Return a handler for each verb, which gives its answer of the kit."""

    def made(verb: str) -> Handler[object]:
        async def handle(live: object, ask: Any) -> Result:
            assert live is LIVE
            assert isinstance(ask, VERBS[verb])
            return ANSWERS[verb]

        return handle

    return {verb: made(verb) for verb in VERBS} | {verb.replace("_", "."): handler for verb, handler in others.items()}


def failing(error: Exception) -> Handler[object]:
    async def handle(_: object, __: Any) -> Result:
        raise error

    return handle


async def call(
    app: Callable[..., Any], path: str, *chunks: bytes, method: str = "POST", leave: bool = False
) -> Response:
    """Send one request in pieces and return the answer; with `leave` the other end goes before the body's end."""
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": chunk, "more_body": leave or index < len(chunks) - 1}
        for index, chunk in enumerate(chunks or (b"",))
    ] + [{"type": "http.disconnect"}]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": b""}
    await asyncio.wait_for(app(scope, receive, send), 5)
    start, body = sent
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    assert headers["content-length"] == str(len(body["body"]))
    return Response(start["status"], headers, json.loads(body["body"]))


@pytest.mark.parametrize("verb", VERBS)
async def test_every_verb_is_decoded_and_answered(verb: str) -> None:
    answer = await call(AdminApp(LIVE, handlers()), f"/{verb}", json.dumps(ASKS.get(verb, {})).encode())
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.body == json.loads(contract.encode_result(ANSWERS[verb]))


async def test_body_may_come_in_pieces() -> None:
    answer = await call(AdminApp(LIVE, handlers()), "/streams.kick", b'{"str', b'eam": "c', b'am"}')
    assert answer.body["result"] == {"vhost": "demo", "app": "live", "stream": "cam"}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.NotOnAir("nobody publishes demo/live/cam"), 404),
        (errors.UnknownVhost("there is no vhost shop"), 404),
        (errors.NotBanned("it is not banned"), 404),
        (errors.Conflict("it has domains"), 409),
        (errors.Denied("the clock cannot be turned"), 403),
        (errors.LimitExceeded("too many"), 429),
        (errors.InvalidField("until", 1, "later"), 422),
        (errors.BadParameters("no such app"), 422),
        (errors.ConfigError("penstock.toml: data_dir is 5"), 422),
        (errors.Unavailable("nobody could decide"), 503),
        (errors.LinkError("no engine is connected"), 503),
    ],
)
async def test_refusal_tells_its_kind_and_its_text(error: PenstockError, status: int) -> None:
    app = AdminApp(LIVE, handlers(streams_kick=failing(error)))
    answer = await call(app, "/streams.kick", b'{"stream": "cam"}')
    assert answer.status == status
    assert answer.body == {"error": {"kind": type(error).__name__, "message": str(error)}}


async def test_fault_of_our_own_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    app = AdminApp(LIVE, handlers(streams_kick=failing(ZeroDivisionError("at the secret place"))))
    with caplog.at_level(logging.ERROR, "penstock.admin"):
        answer = await call(app, "/streams.kick", b'{"stream": "cam"}')
    assert answer.status == 500
    assert answer.body["error"]["kind"] == "Fault"
    assert "secret place" not in json.dumps(answer.body)
    assert "secret place" in caplog.text


@pytest.mark.parametrize(
    ("path", "method", "status", "kind"),
    [
        ("/streams.kik", "POST", 404, "UnknownOperation"),
        ("/", "POST", 404, "UnknownOperation"),
        ("//streams.ls", "POST", 404, "UnknownOperation"),
        ("/streams.ls/", "POST", 404, "UnknownOperation"),
        ("/streams.ls", "GET", 405, "MalformedRequest"),
        ("/streams.ls", "DELETE", 405, "MalformedRequest"),
    ],
)
async def test_what_names_no_verb_is_refused(path: str, method: str, status: int, kind: str) -> None:
    answer = await call(AdminApp(LIVE, handlers()), path, method=method)
    assert (answer.status, answer.body["error"]["kind"]) == (status, kind)


async def test_unreadable_body_is_refused_before_its_handler() -> None:
    app = AdminApp(LIVE, handlers(streams_kick=failing(AssertionError("never called"))))
    answer = await call(app, "/streams.kick", b'{"stream": null}')
    assert (answer.status, answer.body["error"]["kind"]) == (400, "MalformedRequest")


@settings(max_examples=300)
@given(
    path=st.one_of(st.sampled_from([f"/{verb}" for verb in VERBS]), st.text()),
    method=st.sampled_from(["POST", "POST", "POST", "GET", "BREW"]),
    body=st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: (
                st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["stream", "id", "until"]), inner)
            ),
        ).map(lambda value: json.dumps(value).encode()),
    ),
)
def test_whatever_comes_gets_an_answer_of_the_contract(path: str, method: str, body: bytes) -> None:
    answer = asyncio.run(call(AdminApp(LIVE, handlers()), path, body, method=method))
    assert answer.status in (200, 400, 404, 405)
    assert set(answer.body) == ({"result"} if answer.status == 200 else {"error"})


async def test_body_has_a_bound() -> None:
    fits = b'{"stream": "cam"}'.ljust(contract.MAX_ASK_BYTES)
    app = AdminApp(LIVE, handlers())
    assert (await call(app, "/streams.kick", fits)).status == 200
    answer = await call(app, "/streams.kick", fits, b" ", b"never read")
    assert (answer.status, answer.headers["connection"]) == (413, "close")


async def test_peer_that_leaves_gets_nothing_done() -> None:
    app = AdminApp(LIVE, handlers(streams_ls=failing(AssertionError("never called"))))
    assert (await call(app, "/streams.ls", b"", leave=True)).status == 400


def test_verb_without_a_handler_is_a_fault_of_our_own() -> None:
    lacking = handlers()
    del lacking["clock.turn"]
    with pytest.raises(AssertionError, match=r"clock\.turn"):
        AdminApp(LIVE, lacking)
