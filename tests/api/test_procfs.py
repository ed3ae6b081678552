"""What is read of a process, from one whose facts are known otherwise."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

from penstock.api.procfs import facts_of


def test_a_process_is_told_by_its_time_its_memory_and_its_files(tmp_path: Path) -> None:
    before = facts_of(os.getpid())
    assert before is not None
    files = [(tmp_path / str(number)).open("w") for number in range(20)]
    ballast = bytearray(b"x") * 50_000_000
    after = facts_of(os.getpid())
    for file in files:
        file.close()
    assert after is not None
    assert after.open_files == before.open_files + 20
    assert after.resident_bytes - before.resident_bytes > 0.9 * len(ballast)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    # The kernel counts both, in ticks here and in microseconds there.
    assert abs(after.cpu_s - usage.ru_utime - usage.ru_stime) < 0.5
    assert after.max_open_files == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_one_that_is_gone_has_no_facts() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert facts_of(child.pid) is None
