"""What a worker may do to its machine: little, and nothing at all once its parent is gone."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38

MAX_FILES: Final = 256


def enter(*, parent: int, memory_mib: int, nice: int) -> None:
    """Bound this process for good. `parent` is the pid of whoever started it."""
    libc = ctypes.CDLL(None, use_errno=True)
    # Killed, not asked: a worker that hangs in libav would not hear.
    libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:  # it was gone before we asked
        os._exit(1)
    # What is written to counts, not what is mapped: libraries and stacks reserve far more than they use.
    _lower(resource.RLIMIT_DATA, memory_mib * 1024 * 1024)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, MAX_FILES)
    os.nice(nice)


def _lower(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, most))
