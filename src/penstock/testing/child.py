"""The server's process in a test: `penstock serve` until standard input ends.

However the test run ends, a killed one too, the pipe to it is closed, and the server goes with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading

from penstock.cli.main import main


def _end_with_parent() -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    main(["serve", *sys.argv[1:]])
