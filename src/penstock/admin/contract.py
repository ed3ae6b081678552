"""What a verb is, and how it travels over the admin socket.

A verb is a Struct of what is asked; its class names the verb and its result. It travels as HTTP/1.1 over
the Unix socket `SOCKET_NAME` in the data folder::

    POST /streams.kick          {"result": {"stream": "demo/live/cam"}}
    {"stream": "cam"}           {"error": {"kind": "NotOnAir", "message": "nobody publishes demo/live/cam"}}

Members are snake_case, times RFC 3339 in UTC. What a Struct gives a default for may be left out; a member
that is unknown is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Final, Generic, TypeVar, get_args

import msgspec
from msgspec import Meta, Struct

from penstock.errors import AdminError, InvalidField, MalformedRequest, TransportError, UnknownOperation
from penstock.model import StreamId, is_name

SOCKET_NAME: Final = "control.sock"
# An ask is a few names, and a picture of 2 MB at most; an answer may be a list of many thousand streams.
MAX_ASK_BYTES: Final = 3 * 1024 * 1024
MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024

R = TypeVar("R", bound="Result")
R_co = TypeVar("R_co", bound="Result", covariant=True)

_NAME: Final = r"\A(?!\.{1,2}\Z)[A-Za-z0-9_.-]{1,255}\Z"
_OPTIONAL_NAME: Final = r"\A(?!\.{1,2}\Z)[A-Za-z0-9_.-]{0,255}\Z"
_ACCESS_KEY: Final = r"\A[!-~]{1,128}\Z"
TASK_ID: Final = r"\A[0-9a-f]{4,32}\Z"
OPTIONAL_TASK_ID: Final = r"\A(?:[0-9a-f]{4,32})?\Z"
IN_WORDS: Final = {
    TASK_ID: "a relay task's id, or a beginning of it: 4 to 32 hexadecimal digits in lower case",
    OPTIONAL_TASK_ID: "a relay task's id, or a beginning of it, or empty",
    _NAME: "a name: letters, digits, `_`, `.`, `-`, at most 255 characters",
    _OPTIONAL_NAME: "a name: letters, digits, `_`, `.`, `-`, at most 255 characters; or empty",
    _ACCESS_KEY: "1 to 128 visible ASCII characters without blanks",
}

# "" where the server is to find the only one that there is.
OptionalName = Annotated[str, Meta(pattern=_OPTIONAL_NAME)]
Name = Annotated[str, Meta(pattern=_NAME)]
AccessKey = Annotated[str, Meta(pattern=_ACCESS_KEY)]
StreamName = Annotated[str, Meta(max_length=767)]  # see `parse_stream`
Reason = Annotated[str, Meta(max_length=2048)]


class Result(Struct, frozen=True, kw_only=True):
    """What a verb answers. A member that is None or empty is not known, or not there."""


class Done(Result, frozen=True):
    """Nothing but that it was done."""


class Ask(Struct, Generic[R_co], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a verb is asked with. A subclass names its result in its base, and itself by `verb`."""

    verb: ClassVar[str]
    result: ClassVar[type[Result]]

    def __init_subclass__(cls, **config: Any) -> None:
        super().__init_subclass__(**config)
        (base,) = cls.__dict__["__orig_bases__"]
        (cls.result,) = get_args(base)


class Failure(Struct, frozen=True):
    """Why a verb was refused: the name of an error of ours, and its text."""

    kind: str
    message: str


class _Failed(Struct, frozen=True):
    error: Failure


def encode_ask(ask: Ask[Any]) -> bytes:
    """Return the whole HTTP request; the connection ends with its answer."""
    body = msgspec.json.encode(ask)
    head = (
        f"POST /{ask.verb} HTTP/1.1\r\nHost: penstock\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def decode_ask(ask: type[Ask[R]], body: bytes) -> Ask[R]:
    """Return what a body asks; an empty one asks with every default.

    Raises:
        MalformedRequest: it is no JSON object of that verb; the message tells where and why.
    """
    try:
        return msgspec.json.decode(body or b"{}", type=ask)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedRequest(f"{ask.verb}: {_in_words(str(error))}") from None


def _in_words(message: str) -> str:
    for pattern, words in IN_WORDS.items():
        message = message.replace(f"`str` matching regex {pattern!r}", words)
    return message


def verb_of(verbs: Mapping[str, type[Ask[Any]]], name: str) -> type[Ask[Any]]:
    """Return the verb of that name.

    Raises:
        UnknownOperation: there is none; the nearest one is named.
    """
    if name in verbs:
        return verbs[name]
    near = next(iter(get_close_matches(name[:100], verbs, 1)), "")
    raise UnknownOperation(
        f"there is no verb {name[:100]!r}; " + (f"the nearest is {near}" if near else _one_of(verbs))
    )


def _one_of(verbs: Mapping[str, type[Ask[Any]]]) -> str:
    return f"it must be one of {', '.join(verbs)}"


def encode_result(result: Result) -> bytes:
    return msgspec.json.encode({"result": result})


def encode_failure(failure: Failure) -> bytes:
    return msgspec.json.encode(_Failed(failure))


def decode_answer(ask: Ask[R], status: int, body: bytes) -> R:
    """Return the result that an answer brings.

    Raises:
        AdminError: the verb was refused.
        TransportError: it is no answer of this contract.
    """
    try:
        if status == 200:
            return msgspec.json.decode(body, type=dict[str, ask.result])["result"]  # type: ignore[name-defined,no-any-return]
        failure = msgspec.json.decode(body, type=_Failed).error
    except (msgspec.DecodeError, KeyError, UnicodeDecodeError) as error:
        raise TransportError(f"what answers {ask.verb} is no server of this version (HTTP {status}): {error}") from None
    raise AdminError(failure.kind, failure.message)


def parse_stream(text: str) -> tuple[str, str, str]:
    """Return vhost, app and stream out of `stream`, `app/stream` or `vhost/app/stream`; "" for what is left out.

    Raises:
        InvalidField: it is none of these.
    """
    words = text.split("/")
    if len(words) > 3 or not all(map(is_name, words)):
        raise InvalidField("stream", text, "STREAM, APP/STREAM or VHOST/APP/STREAM")
    vhost, app, stream = [""] * (3 - len(words)) + words
    return vhost, app, stream


class Named(Struct, frozen=True, kw_only=True):
    """How a stream is shown: by its three names."""

    vhost: str
    app: str
    stream: str

    @property
    def id(self) -> StreamId:
        return StreamId(self.vhost, self.app, self.stream)
