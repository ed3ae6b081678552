"""The process that a test's server lives in: `python -m penstock.testing.host SETTINGS`.

It is `penstock serve --dev`, except that it tells its ports to a program instead of a person: one line of
JSON on stdout once it takes connections. It ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from pathlib import Path

from penstock.config import load
from penstock.errors import ConfigError
from penstock.processes import set_up_logging
from penstock.supervisor import Supervisor


def main() -> int:
    """Serve until standard input ends; return the exit code."""
    file = Path(sys.argv[1])
    set_up_logging("INFO")
    try:
        supervisor = Supervisor(load(file, {}), config_file=file, dev=True)
        threading.Thread(target=_end_with_parent, daemon=True).start()
        asyncio.run(supervisor.run(lambda: print(json.dumps(supervisor.ports()), flush=True)))
    except ConfigError as error:
        print(f"refused: {error}", file=sys.stderr)
        return 2
    return 0


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
