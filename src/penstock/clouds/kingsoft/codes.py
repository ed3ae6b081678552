"""Errors of KLS: the table from ours to its own, and back.

KLS refuses in two ways. A fault that the gateway finds is an `Error` object with an HTTP status of its
own; a fault that the service finds travels inside HTTP 200 as `Data.RetCode`. `ERROR_CODES` says which
of ours is which; a class that is not listed goes by the nearest of its bases.

Source: KLS OpenAPI 2017-01-01, common errors and return codes (read 2026-11).
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from penstock.errors import (
    AlreadyRecorded,
    AlreadyStopped,
    BadParameters,
    BadSignature,
    Conflict,
    Denied,
    DomainError,
    DryRun,
    ExpiredRequest,
    InvalidField,
    LimitExceeded,
    MalformedRequest,
    MissingField,
    MissingKey,
    MissingOperation,
    MissingSignature,
    MissingTime,
    NotBanned,
    NotFound,
    NothingRecorded,
    NotOnAir,
    PenstockError,
    RequestRefused,
    TooManyRecordings,
    TooShort,
    Unavailable,
    Unchanged,
    UnknownDomain,
    UnknownField,
    UnknownKey,
    UnknownOperation,
    UnknownRecording,
    UnknownVhost,
    WrongEnd,
    WrongFileName,
    WrongStart,
    WrongState,
)

SUCCESS: Final = 0
OTHER_FIELD: Final = 4999


class ErrorCode(Struct, frozen=True):
    """An `Error` object's code and the HTTP status it comes with."""

    code: str
    status: int


class RetCode(Struct, frozen=True):
    """A `Data.RetCode` inside HTTP 200."""

    code: int


ERROR_CODES: Final[dict[type[PenstockError], ErrorCode | RetCode]] = {
    PenstockError: ErrorCode("UndefinedError", 500),
    # The gateway's.
    RequestRefused: ErrorCode("InvalidParameterValue", 400),
    MalformedRequest: ErrorCode("InvalidParameterValue", 400),
    MissingOperation: ErrorCode("MissingParameter", 400),
    MissingKey: ErrorCode("MissingAccesskey", 400),
    MissingSignature: ErrorCode("MissingSignature", 400),
    MissingTime: ErrorCode("MissingTimestamp", 400),
    UnknownKey: ErrorCode("InvalidAccesskey", 400),
    BadSignature: ErrorCode("SignatureNotMatch", 400),
    ExpiredRequest: ErrorCode("InvalidTimestamp", 400),
    UnknownOperation: ErrorCode("InvalidActionOrVersion", 400),
    Denied: ErrorCode("InvalidAuthenticationCode", 403),
    LimitExceeded: ErrorCode("LimitExceeded", 409),
    DryRun: ErrorCode("ErrorDryRun", 412),
    Unavailable: ErrorCode("ServiceUnavailable", 500),
    # The service's.
    DomainError: RetCode(1),
    MissingField: RetCode(1000),
    InvalidField: RetCode(OTHER_FIELD),  # or the field's own, see below
    BadParameters: RetCode(OTHER_FIELD),
    UnknownVhost: RetCode(6406),
    UnknownDomain: RetCode(4201),
    NotOnAir: RetCode(8502),
    NotBanned: RetCode(8201),
    NotFound: RetCode(4201),
    Unchanged: RetCode(3802),
    Conflict: RetCode(1201),
    # Recordings.
    NothingRecorded: RetCode(6000),
    TooManyRecordings: RetCode(6401),
    AlreadyRecorded: RetCode(6403),
    AlreadyStopped: RetCode(6404),
    UnknownRecording: RetCode(6405),
    WrongStart: RetCode(6703),
    WrongEnd: RetCode(6704),
    WrongFileName: RetCode(6705),
    WrongState: RetCode(6708),
    TooShort: RetCode(6709),
}

# A wrong value has the RetCode of its field; one that is not here has OTHER_FIELD.
FIELD_CODES: Final = {
    "UniqueName": 1002,
    "App": 1003,
    "Stream": 1004,
    "Pubdomain": 4000,
    "StartUnixTime": 4001,
    "EndUnixTime": 4001,
    "ForbidTillUnixTime": 4001,
    "PullProtocol": 9014,
    "Type": 9015,
}

# The cloud's words for each RetCode, slips of spelling as published.
RET_MSGS: Final = {
    0: "success",
    1: "other error",
    1000: "lack of parameters",
    1002: "invalid uniquenessname",
    1003: "invalid app name",
    1004: "invalid stream name",
    1201: "task already exists",
    3802: "stream has been banned and no change forbid information",
    4000: "invalid pubdomain",
    4001: "invalid time",
    4201: "get result error",
    4999: "parameters other error",
    6000: "no files(m3u8) during the task",
    6401: "recording number reach upper limit",
    6403: "stream is recording",
    6404: "stream record has been stopped",
    6405: "RecID does not exist",
    6406: "unique_name and accountId not match",
    6703: "start time error",
    6704: "end time error",
    6705: "file name or path error",
    6708: "Record Status error",
    6709: "Recording time not be less than 1 minute",
    8201: "stream is not on the blacklist",
    8502: "stream is not exist",
    9014: "PullProtocol error",
    9015: "Type error",
}

# Why a publish ended or was refused (StatusCode of the histories), in the cloud's words.
STATUS_MESSAGES: Final = {
    200: "Success operation!",
    422: "Already exist stream!",
    423: "Forbidden by blacklist!",
    425: "Url expired!",
    426: "Signature does not match!",
    428: "Bad params!",
}

# Codes that we never send, and what they mean to a caller. What is in neither table is unknown.
ONLY_READ: Final[dict[str, type[PenstockError]]] = {
    "InvalidParameter": InvalidField,
    "InvalidParameterValue": InvalidField,  # the gateway's own word for it reads the same
    "MissingParameter": MissingField,
    "StreamNotExist": NotOnAir,
    "MissingKs3Bucket": NotFound,
    "UnavailableRegion": UnknownOperation,
    "InaccessibleOpenapi": Denied,
    "UnavailableAccountID": Denied,
    "UnknownError": Unavailable,
    "UndefinedError": Unavailable,
    "ServiceTimeout": Unavailable,
    "1": Unavailable,
    **dict.fromkeys(("1002", "1003", "1004", "1005", "4000", "4001", "4999", "9014", "9015"), InvalidField),
    "6707": InvalidField,
    **dict.fromkeys(("1200", "5000", "4201"), NotFound),
    **dict.fromkeys(("1201", "6010"), Conflict),
    "9016": LimitExceeded,
    "6706": Denied,
    **dict.fromkeys(("1202", "1203", "1204", "6400", "6402", "6701", "6702", "8200", "8500", "8501"), Unavailable),
}

_KINDS: Final[dict[str, type[PenstockError]]] = {
    **{str(code.code): error for error, code in ERROR_CODES.items()},
    **ONLY_READ,
}


def code_of(error: Exception) -> ErrorCode | RetCode:
    """Return the code that an error of ours travels as."""
    is_plain = type(error) is InvalidField or type(error) not in ERROR_CODES  # it has no code of its own
    if isinstance(error, InvalidField) and is_plain and not isinstance(error, UnknownField):
        return RetCode(FIELD_CODES.get(error.field, OTHER_FIELD))
    for each in type(error).__mro__:
        if each in ERROR_CODES:
            return ERROR_CODES[each]
    return ERROR_CODES[PenstockError]


def kind_of(code: str, status: int) -> type[PenstockError] | None:
    """Return the class of ours that a code of the cloud means; None for one that nobody knows."""
    if code in _KINDS:
        return _KINDS[code]
    return Unavailable if status >= 500 else LimitExceeded if status == 429 else None
