"""What is done to a recording's file or folder, as data: decided by the event loop, done by a thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from msgspec import Struct


class Append(Struct, frozen=True):
    """Put `data` behind what there is."""

    data: bytes


class Patch(Struct, frozen=True):
    """Write `data` over what is at a place; the file is no longer by it."""

    at: int
    data: bytes


class Put(Struct, frozen=True):
    """Make a new file in the folder."""

    name: str
    data: bytes


class Swap(Struct, frozen=True):
    """Replace a file in the folder: readers see the old one or the new one, each whole."""

    name: str
    data: bytes


Op: TypeAlias = Append | Patch | Put | Swap


def size_of(ops: Sequence[Op]) -> int:
    return sum(len(op.data) for op in ops)
