"""Every error that Penstock raises on purpose.

::

    PenstockError
    ├── ConfigError             a setting is unknown, wrong, or cannot be used here
    │   └── NoKeys              nowhere are there keys to sign a call with
    ├── LinkError               control and engine cannot (or may not) talk to each other
    ├── PeerError               whom we called is not to be reached, breaks off or refuses
    ├── MediaError              what a relay is to play cannot be read, or changed meanwhile
    ├── ProtocolError           the peer broke a wire protocol; its connection closes
    │   ├── AmfError
    │   ├── CodecError          a codec's own header does not parse
    │   ├── FlvError
    │   ├── HlsError
    │   ├── HttpError           (carries the HTTP status to answer)
    │   ├── Mp4Error
    │   └── RtmpError
    ├── RequestRefused          an API call turned away before any action
    │   ├── MalformedRequest    not a request of that cloud: JSON, encodings, sizes
    │   ├── MissingKey, MissingSignature, MissingTime, MissingScope, MissingOperation
    │   ├── UnknownKey
    │   ├── BadSignature        (carries what explain shows)
    │   │   └── BadScope        signed for another day, service or algorithm
    │   ├── UnknownService      signed for a service that is not here
    │   ├── ExpiredRequest      its time is too far from ours, either way
    │   └── UnknownOperation    no such operation, or two at once
    ├── DomainError             understood, and refused
    │   ├── BadParameters       428
    │   ├── NameInUse           422
    │   ├── Banned              423
    │   ├── UrlExpired          425
    │   ├── UrlNotSigned        426
    │   ├── Unavailable         nobody could decide in time
    │   ├── InvalidField        (field, value, wanted)
    │   │   ├── MissingField
    │   │   ├── WrongType, WrongFormat
    │   │   ├── UnknownField
    │   │   ├── WrongStart      of a span of time
    │   │   ├── WrongEnd
    │   │   ├── TooShort        a span of time
    │   │   └── WrongFileName
    │   ├── NotFound
    │   │   ├── UnknownVhost    no such vhost of this account
    │   │   ├── UnknownDomain   no such domain of this vhost
    │   │   ├── NotOnAir
    │   │   ├── NotBanned
    │   │   ├── UnknownRecording
    │   │   └── NothingRecorded
    │   ├── Conflict
    │   │   ├── Unchanged       the same again, at once
    │   │   ├── AlreadyRecorded
    │   │   ├── AlreadyStopped
    │   │   └── WrongState      not in the state that it is in
    │   ├── Denied              the key may not do that
    │   ├── LimitExceeded       too many calls, or too many of a thing
    │   │   ├── TooManyRecordings
    │   │   └── TooManyTasks
    │   ├── NetworkRefused      an address or URL that this server connects to for nobody
    │   └── DryRun              it would have worked
    └── CallError               SDK side
        ├── TransportError      no answer
        ├── AdminError          a server's refusal of its operator (kind, message)
        ├── WaitTimeout         (and a TimeoutError) what was waited for did not come
        └── ApiError            (cloud, code, message, request_id, status, kind)

A fault of our own is an ``AssertionError`` and is never caught by name.
"""

from __future__ import annotations


class PenstockError(Exception):
    """Anything that Penstock says on purpose."""


class ConfigError(PenstockError):
    """A setting is unknown, wrong, or cannot be used on this machine."""


class NoKeys(ConfigError):
    """No place has keys to sign a call with; half of a pair is a `ConfigError` instead."""


class LinkError(PenstockError):
    """Control and engine cannot, or may not, talk to each other."""


class PeerError(PenstockError):
    """Whom we called could not be reached, broke the connection off, or refused what we wanted."""


class MediaError(PenstockError):
    """A file or a live source that a relay is to play cannot be read, or became another one meanwhile."""


class ProtocolError(PenstockError):
    """The peer broke a wire protocol; nothing more can be read from it."""


class AmfError(ProtocolError):
    """Bytes that are not AMF0, or that pass one of the decoder's bounds."""


class CodecError(ProtocolError):
    """A codec's sequence header does not parse."""


class FlvError(ProtocolError):
    """Bytes that are not FLV."""


class HlsError(ProtocolError):
    """Text that is no HLS playlist, passes the reader's bounds, or names what is not supported."""


class HttpError(ProtocolError):
    """A request that cannot be served; `status` is the answer it gets."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Mp4Error(ProtocolError):
    """Bytes that are not MP4 as we write it."""


class RtmpError(ProtocolError):
    """Bytes that are not RTMP, or that pass one of the reader's bounds."""


class DomainError(PenstockError):
    """A request that was understood and is refused.

    `code` is the disconnect reason that Kingsoft KLS publishes for refused pushes.
    """

    code = 428


class BadParameters(DomainError):
    """The vhost, app or stream name does not exist or breaks the name rule."""

    code = 428


class NameInUse(DomainError):
    """Another publisher is sending under this name."""

    code = 422


class Banned(DomainError):
    """The stream may not be published for now."""

    code = 423


class UrlExpired(DomainError):
    """The publishing URL is signed well, and its time is over."""

    code = 425


class UrlNotSigned(DomainError):
    """The publishing URL lacks its signature, or has another than its key gives."""

    code = 426


class Unavailable(DomainError):
    """Nobody could decide: the control process did not answer in time."""

    code = 428


class RequestRefused(PenstockError):
    """An API call that was turned away before anything was done for it."""


class MalformedRequest(RequestRefused):
    """The bytes are not a request of that cloud, or pass one of the reader's bounds."""


class MissingKey(RequestRefused):
    """The request names no access key."""


class MissingSignature(RequestRefused):
    """The request is not signed, or does not say which headers are."""


class MissingTime(RequestRefused):
    """The request does not say when it was signed."""


class MissingScope(RequestRefused):
    """The request does not say what its key was derived for, or which of its parts are signed."""


class MissingOperation(RequestRefused):
    """The request does not say what to do; the message names the missing part."""


class UnknownKey(RequestRefused):
    """No account has this access key."""


class BadSignature(RequestRefused):
    """The signature is not the one that this request and this key give.

    `canonical_request` and `string_to_sign` are ours, for `penstock explain`; they hold no
    secret. Both are empty when the signature was refused before it was computed.
    """

    def __init__(self, message: str, *, canonical_request: str = "", string_to_sign: str = "") -> None:
        super().__init__(message)
        self.canonical_request = canonical_request
        self.string_to_sign = string_to_sign


class BadScope(BadSignature):
    """Signed with another algorithm, or for another day or service."""


class UnknownService(RequestRefused):
    """Signed for a service that is not here."""


class ExpiredRequest(RequestRefused):
    """The request's time is too far from the server's, in the past or in the future."""


class UnknownOperation(RequestRefused):
    """No such operation in that version, or the request names two."""


class InvalidField(DomainError):
    """A parameter has a value that it may not have: `Limit is 0; it must be from 1 to 5000`."""

    def __init__(self, field: str, value: object, wanted: str) -> None:
        super().__init__(f"{field} is {_shown(value)}; it must be {wanted}")
        self.field = field
        self.value = value
        self.wanted = wanted


class MissingField(InvalidField):
    """A parameter that must be there is not."""

    def __init__(self, field: str, wanted: str) -> None:
        DomainError.__init__(self, f"{field} is missing; it must be {wanted}")
        self.field = field
        self.value = None
        self.wanted = wanted


class WrongType(InvalidField):
    """A parameter is of another type: text for a number, an object for a name."""


class WrongFormat(InvalidField):
    """A parameter is text, and does not look as it must."""


class UnknownField(InvalidField):
    """A parameter that the operation does not have; `wanted` tells what it may be instead."""

    def __init__(self, field: str, wanted: str) -> None:
        DomainError.__init__(self, f"{_shown(field)} is no parameter here; it must be {wanted}")
        self.field = field
        self.value = None
        self.wanted = wanted


class WrongStart(InvalidField):
    """A span of time cannot begin then."""


class WrongEnd(InvalidField):
    """A span of time cannot end then."""


class TooShort(InvalidField):
    """A span of time is shorter than it may be."""


class WrongFileName(InvalidField):
    """A file cannot be called so."""


class NotFound(DomainError):
    """What the request is about does not exist, or is not the caller's."""


class UnknownVhost(NotFound):
    """The caller's account has no such vhost."""


class UnknownDomain(NotFound):
    """The vhost has no such domain."""


class NotOnAir(NotFound):
    """Nobody publishes that stream."""


class NotBanned(NotFound):
    """There is no ban to lift."""


class UnknownRecording(NotFound):
    """The caller's account has no recording of that number."""


class NothingRecorded(NotFound):
    """The recording is over, and no file came of it."""


class Conflict(DomainError):
    """It cannot be done as things are: there already, or in use."""


class Unchanged(Conflict):
    """The same was asked a moment ago, and changes nothing."""


class AlreadyRecorded(Conflict):
    """The stream is being recorded."""


class AlreadyStopped(Conflict):
    """The recording is over."""


class WrongState(Conflict):
    """The thing is there, and that cannot be done to it now."""


class Denied(DomainError):
    """The key is known and may not do that."""


class LimitExceeded(DomainError):
    """Too many calls in a span of time, or too many of a thing."""


class TooManyTasks(LimitExceeded):
    """There are as many relay tasks, or groups of them, as may be."""


class NetworkRefused(DomainError):
    """A URL or an address that nobody makes this server connect to."""


class TooManyRecordings(LimitExceeded):
    """The account may not have more recordings at a time."""


class DryRun(DomainError):
    """Nothing was done, as the request wished; it would have worked."""


class CallError(PenstockError):
    """A call of the SDK that gave no result."""


class TransportError(CallError):
    """No answer came: no connection, or a time-out. Whether the call acted is unknown."""


class AdminError(CallError):
    """A verb of the admin socket that the server refused; `kind` is the name of its error's class."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.kind, self.message)


class WaitTimeout(CallError, TimeoutError):
    """What was waited for did not come in time."""


class ApiError(CallError):
    """A cloud's refusal, in its words and in ours.

    What is raised is an `ApiError` and its `kind` at once, so that both sentences work::

        except NotFound: ...                      # whichever cloud said so
        except ApiError as error: error.code      # the facts

    `code` is the cloud's own, as text; `status` the HTTP status; `kind` one of the classes of
    `RequestRefused` and `DomainError`, or None for a code that nobody knows.
    """

    kind: type[PenstockError] | None = None

    def __init__(self, cloud: str, code: str, message: str, *, request_id: str = "", status: int = 0) -> None:
        text = f"{cloud} answers {code or status}: {message}"
        Exception.__init__(self, f"{text} (request {request_id})" if request_id else text)
        self.cloud = cloud
        self.code = code
        self.message = message
        self.request_id = request_id
        self.status = status

    def __reduce__(self) -> tuple[object, ...]:
        return _remade, (self.kind, self.cloud, self.code, self.message, self.request_id, self.status)

    @classmethod
    def of(cls, kind: type[PenstockError] | None) -> type[ApiError]:
        """Return the class of answers of that kind; the same one each time."""
        if kind is None:
            return cls
        if kind not in _ANSWERS:
            # A class made here: mypy sees `ApiError`, `except` sees both.
            _ANSWERS[kind] = type(kind.__name__, (cls, kind), {"kind": kind, "__doc__": kind.__doc__})
        return _ANSWERS[kind]


_SHOWN = 80  # characters of a value in a message

_ANSWERS: dict[type[PenstockError], type[ApiError]] = {}


def _remade(kind: type[PenstockError] | None, *args: str | int) -> ApiError:
    """Unpickle: the class of an answer is made, and has no name to be found by."""
    cloud, code, message, request_id, status = args
    return ApiError.of(kind)(str(cloud), str(code), str(message), request_id=str(request_id), status=int(status))


def _shown(value: object) -> str:
    """Return a value as a message may carry it: short, in one line, and never what it contains."""
    if isinstance(value, int) and abs(value) >= 1 << 64:
        return "a number beyond 64 bits"
    text = repr(value) if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
