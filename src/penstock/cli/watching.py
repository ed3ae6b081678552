"""Answers that are printed again and again: redrawn in place on a terminal, one after the other elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final

CLEAR: Final = "\x1b[H\x1b[2J\x1b[3J"
EVERY_S: Final = 1
_FULL, _EMPTY = "█", "·"


def again_and_again(draw: Callable[[], None], *, in_place: bool) -> None:
    """Call `draw` each second until Ctrl-C; `in_place` clears the screen before."""
    try:
        while True:
            if in_place and sys.stdout.isatty():
                sys.stdout.write(CLEAR)
            draw()
            sys.stdout.flush()
            time.sleep(EVERY_S)
    except KeyboardInterrupt:
        # That is how a watch ends; nothing went wrong.
        return


def bar(share: float, columns: int = 20) -> str:
    """Return how far something is, from 0 to 1, as a bar of so many columns."""
    full = round(max(0.0, min(1.0, share)) * columns)
    return _FULL * full + _EMPTY * (columns - full)
