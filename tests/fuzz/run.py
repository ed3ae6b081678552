"""Fuzzes one target with atheris, guided by coverage; and keeps of what was found the little that is worth keeping.

python -m tests.fuzz.run chunks --minutes 10     # a finding ends it, and lies in .fuzz/
python -m tests.fuzz.run chunks --keep           # the smallest set of inputs with the same coverage → corpus/
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final

CORPUS: Final = Path(__file__).parent / "corpus"
WORK: Final = Path(__file__).resolve().parents[2] / ".fuzz"
LARGEST: Final = 4096  # bytes of an input
ONE_INPUT_S: Final = 10
MEMORY_MIB: Final = 2048
KEPT: Final = 50  # inputs of a target, at most


def fuzz(name: str, minutes: float) -> None:
    """Does not return: libFuzzer ends the process, with an exit code that is not 0 after a finding."""
    import atheris  # a tool of its own, which --keep does without

    with atheris.instrument_imports(include=["penstock"]):
        from tests.fuzz.targets import TARGETS  # while its imports are instrumented

    found = WORK / name
    found.mkdir(parents=True, exist_ok=True)
    (CORPUS / name).mkdir(parents=True, exist_ok=True)
    options = {
        "max_total_time": int(minutes * 60),
        "max_len": LARGEST,
        "timeout": ONE_INPUT_S,
        "rss_limit_mb": MEMORY_MIB,
        "artifact_prefix": f"{WORK}/{name}-",
        "print_final_stats": 1,
    }
    flags = [f"-{option}={value}" for option, value in options.items()]
    # The first folder is where new inputs go.
    atheris.Setup([sys.argv[0], *flags, str(found), str(CORPUS / name)], TARGETS[name])
    atheris.Fuzz()


def keep(name: str) -> None:
    """Write the inputs that together reach all that any of them reaches, the small ones first."""
    from tests.fuzz.targets import TARGETS, close  # see above

    target, inputs = TARGETS[name], sorted(filter(None, _inputs(name)), key=len)
    for data in inputs[:10]:
        target(data)  # what is loaded and made once is no coverage
    reached: set[tuple[str, int, int]] = set()
    kept: list[tuple[int, bytes]] = []
    for data in inputs:
        new = _lines(target, data) - reached
        if new:
            reached |= new
            kept.append((len(new), data))
    kept.sort(key=lambda each: -each[0])
    for _, data in kept[:KEPT]:
        (CORPUS / name / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)
    close()
    print(f"{name}: {min(len(kept), KEPT)} of {len(inputs)} inputs kept; they reach {len(reached)} steps")


def _inputs(name: str) -> Iterator[bytes]:
    """What was found and what was kept, which is taken away: it comes back if it is still worth it.

    What has a name of its own was a finding, and stays.
    """
    for path in (WORK / name).glob("*"):
        yield path.read_bytes()
    for path in (CORPUS / name).glob("*"):
        data = path.read_bytes()
        yield data
        if path.name == hashlib.sha256(data).hexdigest()[:12]:
            path.unlink()


def _lines(target: Any, data: bytes) -> set[tuple[str, int, int]]:
    """The steps from line to line that an input takes inside of Penstock."""
    taken: set[tuple[str, int, int]] = set()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if "/penstock/" not in (path := frame.f_code.co_filename):
            return None
        before = frame.f_lineno

        def step(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal before
            if event == "line":
                taken.add((path, before, frame.f_lineno))
                before = frame.f_lineno
            return step

        return step

    sys.settrace(trace)
    try:
        with contextlib.suppress(AssertionError):
            target(data)
    finally:
        sys.settrace(None)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description="Fuzz a target, or keep its corpus.")
    parser.add_argument("target", help="one of tests.fuzz.targets.TARGETS")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--keep", action="store_true", help="only keep what was found")
    args = parser.parse_args()
    if args.keep:
        keep(args.target)
    else:
        fuzz(args.target, args.minutes)


if __name__ == "__main__":
    main()
