"""Verbs as they travel: each there and back, and what is no verb refused with the place that is wrong."""

from __future__ import annotations

import json
import pickle
from typing import Any

import msgspec
import pytest

from penstock.admin import contract
from penstock.admin.contract import Ask, Failure
from penstock.admin.verbs import VERBS
from penstock.errors import AdminError, InvalidField, MalformedRequest, TransportError, UnknownOperation
from tests.admin.kit import ANSWERS, ASKS

SECRETS = ("it's$ecret", "the-new-secret")


def asked(verb: str, **members: Any) -> Ask[Any]:
    return contract.decode_ask(VERBS[verb], json.dumps({**ASKS.get(verb, {}), **members}).encode())


def test_every_verb_has_an_answer_to_try() -> None:
    assert set(ANSWERS) == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_ask_and_result_arrive_as_they_left(verb: str) -> None:
    ask = asked(verb)
    head, _, body = contract.encode_ask(ask).partition(b"\r\n\r\n")
    assert head.startswith(f"POST /{verb} HTTP/1.1\r\n".encode())
    assert f"Content-Length: {len(body)}".encode() in head
    assert contract.decode_ask(VERBS[verb], body) == ask
    result = ANSWERS[verb]
    assert contract.decode_answer(ask, 200, contract.encode_result(result)) == result


@pytest.mark.parametrize("verb", VERBS)
def test_verb_says_what_it_does(verb: str) -> None:
    assert (VERBS[verb].__doc__ or "").strip().endswith(".")
    assert isinstance(ANSWERS[verb], VERBS[verb].result)


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in ASKS])
def test_empty_body_asks_with_every_default(verb: str) -> None:
    assert contract.decode_ask(VERBS[verb], b"") == contract.decode_ask(VERBS[verb], b"{}")


@pytest.mark.parametrize(
    ("verb", "body", "why"),
    [
        ("streams.kick", b"", "missing required field `stream`"),
        ("streams.kick", b'{"stream": 5}', r"got `int` - at `\$\.stream`"),
        ("streams.kick", b'{"stream": "cam", "resaon": ""}', "unknown field `resaon`"),
        ("streams.kick", b'["cam"]', "Expected `object`, got `array`"),
        ("streams.kick", b"{", "Input data was truncated"),
        ("streams.kick", b"\xff", "Invalid UTF-8|malformed"),
        ("streams.kick", b'{"stream": "' + b"a" * 768 + b'"}', "length <= 767"),
        ("streams.ls", b'{"vhost": ".."}', r"Expected a name: letters.* or empty - at `\$\.vhost`"),
        ("accounts.add", b'{"id": "a/b"}', r"Expected a name: letters.* - at `\$\.id`"),
        ("accounts.add", b'{"id": "a\\n"}', "a name"),
        ("keys.rm", b'{"access_key": "a b"}', "visible ASCII"),
        ("streams.ban", b'{"stream": "cam", "until": "2027-01-01T00:00:00"}', "timezone"),
        ("streams.ban", b'{"stream": "cam", "for_s": 0}', "> 0"),
        ("clock.turn", b'{"by_s": 1e300}', "<="),
        ("bans.ls", b"[" * 100_000, "recursion|object"),
    ],
)
def test_what_is_not_asked_that_way_is_refused(verb: str, body: bytes, why: str) -> None:
    with pytest.raises(MalformedRequest, match=why) as caught:
        contract.decode_ask(VERBS[verb], body)
    assert str(caught.value).startswith(f"{verb}: ")


def test_unknown_verb_names_the_nearest() -> None:
    with pytest.raises(UnknownOperation, match=r"'streams.kik'; the nearest is streams.kick"):
        contract.verb_of(VERBS, "streams.kik")
    with pytest.raises(UnknownOperation, match=r"must be one of env, reload"):
        contract.verb_of(VERBS, "x" * 100_000)


def test_refusal_arrives_with_its_kind() -> None:
    body = contract.encode_failure(Failure("NotOnAir", "nobody publishes demo/live/cam"))
    with pytest.raises(AdminError, match=r"^nobody publishes demo/live/cam$") as caught:
        contract.decode_answer(asked("streams.kick"), 404, body)
    assert caught.value.kind == "NotOnAir"
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.kind, again.message) == ("NotOnAir", "nobody publishes demo/live/cam")


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"{}"), (200, b'{"result": {"vhost": "demo"}}'), (200, b"<html>"), (404, b"not found"), (500, b"\xff")],
)
def test_answer_of_somebody_else_is_no_answer(status: int, body: bytes) -> None:
    with pytest.raises(TransportError, match=f"HTTP {status}"):
        contract.decode_answer(asked("streams.kick"), status, body)


def test_member_of_a_later_version_is_left_out() -> None:
    body = json.dumps({"result": {"vhost": "demo", "app": "live", "stream": "cam", "mood": "good"}}).encode()
    assert contract.decode_answer(asked("streams.kick"), 200, body) == ANSWERS["streams.kick"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("cam", ("", "", "cam")),
        ("live/cam", ("", "live", "cam")),
        ("demo/live/cam", ("demo", "live", "cam")),
        ("a.b-c_d", ("", "", "a.b-c_d")),
    ],
)
def test_stream_may_leave_out_what_is_ahead_of_it(text: str, names: tuple[str, str, str]) -> None:
    assert contract.parse_stream(text) == names


@pytest.mark.parametrize("text", ["", "/", "live/", "/cam", "a/b/c/d", "..", "live/..", "cam?x=1", "c\nam", "кам"])
def test_what_is_no_stream_is_refused(text: str) -> None:
    with pytest.raises(InvalidField, match="must be STREAM, APP/STREAM or VHOST/APP/STREAM"):
        contract.parse_stream(text)


@pytest.mark.parametrize("verb", ["env", "keys.add", "vhosts.add"])
def test_secret_is_not_in_repr(verb: str) -> None:
    for made in (ANSWERS[verb], asked(verb, **({"secret_key": "the-new-secret"} if verb == "keys.add" else {}))):
        told = repr(made) + repr(getattr(made, "__rich_repr__", list)())
        assert not [secret for secret in SECRETS if secret in told]
    assert "the-new-secret" in msgspec.json.encode(ANSWERS["keys.add"]).decode()
