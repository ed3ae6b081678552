"""Log lines, for people or for programs; whatever was said from outside, a line stays one line.

Calls name what a line is about in `extra`, by the words of `FIELDS`. Lines for people have it in their text
already; in JSON each becomes a field.
"""

from __future__ import annotations

import logging
import re
import sys
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Literal

import msgspec

LogFormat = Literal["human", "json"]

VARIABLE: Final = "PENSTOCK_LOG_FORMAT"
# What a line may be about, beside its text.
FIELDS: Final = ("request", "session", "stream", "client", "account", "code", "reason", "doors")

# Libraries of which only trouble is wanted. Alembic tells of each step of each start; clients of HTTP tell of each
# request with its URL, whose query may be a key, and at lower levels of every header line.
_TALKATIVE: Final = ("alembic", "httpx2", "httpcore2")

# What would end or rewrite a line on a terminal or in a reader of lines: controls, separators of lines and
# paragraphs, and what turns the direction of writing.
_UNSEEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# The same in JSON, which has escaped what it must.
_UNSEEN_IN_JSON: Final = re.compile("[\x7f-\x9f\u2028\u2029]")


def set_up_logging(level: str, form: LogFormat = "human", process: str = "supervisor") -> None:
    """Write this process's log to standard error; `process` is its name in JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(process) if form == "json" else HumanFormatter())
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.basicConfig(level=level, handlers=[handler])
    if form == "json":
        # Nothing else may write there: not a warning of Python's, and not a process's last words.
        logging.captureWarnings(True)
        sys.excepthook = _log_the_end


def _log_the_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("penstock").critical("ended by a fault of our own", exc_info=(kind, error, trace))


def one_line(text: str) -> str:
    """The text with what cannot be seen written as an escape."""
    return _UNSEEN.sub(lambda found: _escape(found[0]), text)


def _escape(letter: str) -> str:
    short = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}.get(letter)
    return short or (f"\\x{ord(letter):02x}" if ord(letter) < 256 else f"\\u{ord(letter):04x}")


class HumanFormatter(logging.Formatter):
    """Time, level, logger, text. A traceback follows with a bar before each line: none looks like a line of the log."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname).1s %(name)s: %(message)s", datefmt="%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's own name
        return one_line(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802  logging's own name
        return "\n".join(f"  | {one_line(line)}" for line in super().formatException(ei).split("\n"))


class JsonFormatter(logging.Formatter):
    """An object a line: time, level, process, logger, message, what it is about, and a fault's traceback."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": _plain(record.getMessage()),
        }
        for name in FIELDS:
            if (value := getattr(record, name, None)) is not None:
                line[name] = value if isinstance(value, int | dict) else _plain(str(value))
        if record.exc_info:
            line["fault"] = _plain(self.formatException(record.exc_info))
        text = msgspec.json.encode(line).decode()
        return _UNSEEN_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _plain(text: str) -> str:
    """The text without halves of letters, which JSON has no way to say."""
    return text.encode(errors="backslashreplace").decode()
