"""Every error that Penstock raises on purpose.

::

    PenstockError
    ├── ConfigError             a setting is unknown, wrong, or cannot be used here
    ├── LinkError               control and engine cannot (or may not) talk to each other
    ├── ProtocolError           the peer broke a wire protocol; its connection closes
    │   ├── AmfError
    │   ├── CodecError          a codec's own header does not parse
    │   ├── FlvError
    │   ├── HttpError           (carries the HTTP status to answer)
    │   └── RtmpError
    └── DomainError             understood, and refused
        ├── BadParameters       428
        ├── NameInUse           422
        └── Unavailable         no control process answered in time

A fault of our own is an ``AssertionError`` and is never caught by name.
"""


class PenstockError(Exception):
    """Anything that Penstock says on purpose."""


class ConfigError(PenstockError):
    """A setting is unknown, wrong, or cannot be used on this machine."""


class LinkError(PenstockError):
    """Control and engine cannot, or may not, talk to each other."""


class ProtocolError(PenstockError):
    """The peer broke a wire protocol; nothing more can be read from it."""


class AmfError(ProtocolError):
    """Bytes that are not AMF0, or that pass one of the decoder's bounds."""


class CodecError(ProtocolError):
    """A codec's sequence header does not parse."""


class FlvError(ProtocolError):
    """Bytes that are not FLV."""


class HttpError(ProtocolError):
    """A request that cannot be served; `status` is the answer it gets."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


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


class Unavailable(DomainError):
    """Nobody could decide: the control process did not answer in time."""

    code = 428
