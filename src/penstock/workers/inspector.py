"""Looks into one recording whose writer died, and mends it: a process of its own, with bounds.

Asked by one line of JSON on its standard input, it answers by one on its standard output. What lies on a
disk may have been changed by others, and reading a large file takes its time: so it takes nobody else's.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from penstock.engine.recording.folder import Folder
from penstock.engine.recording.salvage import inspect
from penstock.link.recording import FileFacts

CPU_S: Final = 240
MEMORY: Final = 1024 * 1024 * 1024
NICE: Final = 10
UNREADABLE: Final = "nothing in it can be read"


class Question(Struct, frozen=True):
    root: str
    path: str


class Answer(Struct, frozen=True):
    """`why` is empty where there are facts."""

    facts: FileFacts | None
    why: str


def answer(question: Question) -> Answer:
    try:
        facts = inspect(Folder(Path(question.root)), question.path)
    except FileNotFoundError:
        return Answer(None, "it is gone")
    except OSError as error:
        return Answer(None, error.strerror or str(error))
    except ValueError as error:
        return Answer(None, str(error))
    return Answer(facts, "" if facts is not None else UNREADABLE)


def main() -> None:
    with contextlib.suppress(OSError, ValueError):
        os.nice(NICE)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    sys.stdout.buffer.write(msgspec.json.encode(answer(question)))


if __name__ == "__main__":
    main()
