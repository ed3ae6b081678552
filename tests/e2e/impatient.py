"""`penstock` with a supervisor that starts what died at once, however often it dies.

    python -m tests.e2e.impatient serve ...

For tests that kill more in a minute than a machine does in a year: waiting out the pauses between two starts would be
most of their time. That a child which does not live is started less and less often is in `tests/test_supervisor.py`.
"""

from __future__ import annotations

from penstock import supervisor
from penstock.cli.main import main

PAUSES = ("FIRST_PAUSE_S", "LONGEST_PAUSE_S")

if __name__ == "__main__":
    for name in PAUSES:
        assert hasattr(supervisor, name)
        setattr(supervisor, name, 0.0)
    main()
