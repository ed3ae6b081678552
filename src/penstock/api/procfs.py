"""What Linux says of a process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from msgspec import Struct

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class ProcessFacts(Struct, frozen=True):
    cpu_s: float  # user and system
    resident_bytes: int
    open_files: int
    max_open_files: float  # infinity: no limit


def facts_of(pid: int) -> ProcessFacts | None:
    """What is known of a process; None for one that is gone or is not ours to look at."""
    folder = Path("/proc") / str(pid)
    try:
        # The name stands in parentheses, and may hold anything.
        words = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
        return ProcessFacts(
            cpu_s=(int(words[11]) + int(words[12])) / _TICKS_PER_S,
            resident_bytes=int(words[21]) * _PAGE_BYTES,
            open_files=len(os.listdir(folder / "fd")),
            max_open_files=_open_file_limit((folder / "limits").read_text()),
        )
    except (OSError, IndexError):
        return None


def _open_file_limit(limits: str) -> float:
    soft = next(line for line in limits.splitlines() if line.startswith("Max open files")).split()[3]
    return float("inf") if soft == "unlimited" else int(soft)
