"""What every connection to the API holds to."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from penstock.api.forwarded import Network

# A query of 16 KiB is told in the cloud's own words that it is too long, so heads get twice that.
MAX_HEAD: Final = 32 * 1024
# The SDKs send some twelve lines, and a row of proxies adds as many again.
MAX_HEADER_LINES: Final = 100
# A body with a picture in it: 2 MB in base64.
MAX_LARGE_BODY: Final = 3 * 1024 * 1024
# Of a body in chunks of one byte each, and none of its extensions.
BYTES_IN_CHUNKS: Final = 6
# Where all who come are the operator: any body may have a picture in it.
ANY_TARGET: Final = re.compile(b"")
# Requests sent ahead of answers that wait in one connection. No client of today does that on purpose.
MAX_PIPELINED: Final = 16


class HttpPolicy(Struct, frozen=True, kw_only=True):
    """Bounds of connections; seconds are of real time."""

    trusted_proxies: tuple[Network, ...] = ()  # X-Forwarded-For is believed from these alone
    # A head is one packet or a few, and a body 256 KiB at most: 10 s is a line of 30 kB/s.
    head_s: float = 10.0  # TLS handshake, and head
    body_s: float = 10.0
    # Targets whose bodies may be large. Before anybody knows who sends them, few may be there at a time, on all
    # connections together: eight are 24 MiB.
    large_targets: re.Pattern[bytes] | None = None
    max_large_bodies: int = 8
    large_body_s: float = 30.0  # a line of 100 kB/s
    # What is not taken by a peer for so long is not wanted.
    stall_s: float = 10.0
    # Longer than the pools of usual clients keep a connection (botocore and urllib3: until it is closed).
    keep_alive_s: float = 75.0
    # After a refusal: time to read it, before a peer that goes on sending is reset.
    closing_s: float = 2.0
    max_connections_per_address: int = 256
    # Each may hold a body: 2,000 of them are 512 MiB at the very worst.
    max_connections: int = 2000
