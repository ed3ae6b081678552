"""What every connection to the API holds to."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from penstock.api.forwarded import Network
from penstock.clouds.reading import MAX_BODY

# A query of 16 KiB is told in the cloud's own words that it is too long, so heads get twice that.
MAX_HEAD: Final = 32 * 1024
# The SDKs send some twelve lines, and a row of proxies adds as many again.
MAX_HEADER_LINES: Final = 100
# Bytes of a body in chunks of one byte each, and none of its extensions: six for each.
CHUNKED: Final = 6
# A picture in a call: Volcengine's watermark of 2 MB, in base64, with what stands around it.
MAX_PICTURE_BODY: Final = 3 * 1024 * 1024
# Requests sent ahead of answers that wait in one connection. No client of today does that on purpose.
MAX_PIPELINED: Final = 16


class HttpPolicy(Struct, frozen=True, kw_only=True):
    """Bounds of connections; seconds are of real time."""

    trusted_proxies: tuple[Network, ...] = ()  # X-Forwarded-For is believed from these alone
    # A head is one packet or a few, and a usual body 256 KiB at most.
    head_s: float = 10.0  # TLS handshake, and head
    body_s: float = 10.0
    # Longer for one that is large: so much for each byte above MAX_BODY.
    body_s_per_byte: float = 1 / 131_072
    max_body: int = MAX_BODY
    # Bodies above MAX_BODY, of all connections together: anybody may send one before a signature is looked at.
    max_large_bytes: int = 64 * 1024 * 1024
    # What is not taken by a peer for so long is not wanted.
    stall_s: float = 10.0
    # Longer than the pools of usual clients keep a connection (botocore and urllib3: until it is closed).
    keep_alive_s: float = 75.0
    # After a refusal: time to read it, before a peer that goes on sending is reset.
    closing_s: float = 2.0
    max_connections_per_address: int = 256
    # Each may hold a body: 2,000 of them are 512 MiB at the very worst.
    max_connections: int = 2000
