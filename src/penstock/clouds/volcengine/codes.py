"""Errors of Volcengine Live: the table from ours to its own, and back.

What the gateway finds has a number (`CodeN`) beside its code; what the service finds has none that was
published. `ERROR_CODES` says which of ours is which; a class that is not listed goes by the nearest of its
bases. The way back is not one to one: where an operation may meet one of ours that has the code, it is that
one; elsewhere it is what `ONLY_READ` says.

Source: Volcengine Live OpenAPI 2023-01-01, common errors and the error codes of each operation (read 2026-11).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from penstock.errors import (
    BadParameters,
    BadScope,
    BadSignature,
    Conflict,
    Denied,
    DomainError,
    ExpiredRequest,
    InvalidField,
    LimitExceeded,
    MalformedRequest,
    MissingField,
    MissingKey,
    MissingOperation,
    MissingScope,
    MissingSignature,
    MissingTime,
    NotBanned,
    NotFound,
    NotOnAir,
    PenstockError,
    RequestRefused,
    TooManyTasks,
    Unavailable,
    UnknownDomain,
    UnknownField,
    UnknownKey,
    UnknownOperation,
    UnknownService,
    UnknownVhost,
    WrongFormat,
    WrongType,
)


class ErrorCode(Struct, frozen=True):
    """An `Error` object's code, the HTTP status it comes with, and its number where it has one."""

    code: str
    status: int
    number: int | None = None


_INVALID: Final = ErrorCode("InvalidParam", 400)
_FORBIDDEN: Final = ErrorCode("RequestForbidden", 403)
_NOT_FOUND: Final = ErrorCode("ResourceNotFound", 404)
_NO_INFO: Final = ErrorCode("MissingRequestInfo", 400, 100004)
_NO_MATCH: Final = ErrorCode("SignatureDoesNotMatch", 401, 100010)

ERROR_CODES: Final[dict[type[PenstockError], ErrorCode]] = {
    PenstockError: ErrorCode("InternalError", 500, 100014),
    # The gateway's.
    RequestRefused: ErrorCode("InvalidParam.BindError", 400),
    MalformedRequest: ErrorCode("InvalidParam.BindError", 400),
    MissingOperation: ErrorCode("MissingParameter", 400, 100002),
    MissingKey: ErrorCode("MissingAuthenticationToken", 401, 100003),
    MissingTime: _NO_INFO,
    MissingScope: _NO_INFO,
    MissingSignature: ErrorCode("MissingSignature", 401, 100005),
    ExpiredRequest: ErrorCode("InvalidTimestamp", 400, 100006),
    UnknownService: ErrorCode("ServiceNotFound", 404, 100007),
    UnknownOperation: ErrorCode("InvalidActionOrVersion", 404, 100008),
    UnknownKey: ErrorCode("InvalidAccessKey", 401, 100009),
    BadSignature: _NO_MATCH,
    BadScope: _NO_MATCH,
    Unavailable: ErrorCode("FailToConnect", 502, 100015),
    LimitExceeded: ErrorCode("FlowLimitExceeded", 429, 100018),
    # The service's.
    DomainError: ErrorCode("CommonErr", 200),
    BadParameters: _INVALID,
    MissingField: _INVALID,
    UnknownField: _INVALID,
    InvalidField: _INVALID,
    WrongType: ErrorCode("InvalidParam.BindError", 400),
    WrongFormat: ErrorCode("InvalidParam.Format", 400),
    Conflict: _INVALID,
    Denied: _FORBIDDEN,
    TooManyTasks: _FORBIDDEN,  # not the code of calls that come too fast: trying again soon is of no use
    UnknownVhost: _FORBIDDEN,
    UnknownDomain: _FORBIDDEN,
    NotOnAir: _NOT_FOUND,
    NotBanned: _NOT_FOUND,
    NotFound: _NOT_FOUND,
}

# Codes that none of ours has, or several: what they mean where the operation does not tell.
ONLY_READ: Final[dict[str, type[PenstockError]]] = {
    "LackPolicy": Denied,
    "AccessDenied": Denied,
    "RequestForbidden": Denied,
    "RequestForbidden.AccountIDNotAllow": Denied,
    "InternalError": Unavailable,
    "InternalServiceTimeout": Unavailable,
    "CommonErr": Unavailable,
    "InvalidParam": InvalidField,
    "InvalidParam.BindError": WrongType,
    "MissingRequestInfo": MissingTime,
    "SignatureDoesNotMatch": BadSignature,
    "ResourceNotFound": NotFound,
}

_KINDS: Final[dict[str, type[PenstockError]]] = {
    **{code.code: error for error, code in ERROR_CODES.items()},
    **ONLY_READ,
}


def code_of(error: Exception) -> ErrorCode:
    """Return the code that an error of ours travels as."""
    return next((ERROR_CODES[each] for each in type(error).__mro__ if each in ERROR_CODES), ERROR_CODES[PenstockError])


def kind_of(code: str, status: int, expected: Iterable[type[PenstockError]] = ()) -> type[PenstockError] | None:
    """Return the class of ours that a code of the cloud means; None for one that nobody knows.

    `expected` are the errors that the operation may meet: the first of them with that code it is.
    """
    for each in expected:
        if ERROR_CODES[each].code == code:
            return each
    if code in _KINDS:
        return _KINDS[code]
    return Unavailable if status >= 500 else LimitExceeded if status == 429 else None
