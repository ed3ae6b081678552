"""The id of a call, in the form of the cloud that was spoken to."""

from __future__ import annotations

import os
from datetime import UTC, datetime


def as_uuid(_now: datetime) -> str:
    """Return a UUID of version 4 in lower case; `uuid.uuid4` makes an object of it first."""
    text = os.urandom(16).hex()
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"


def as_time_and_hex(now: datetime) -> str:
    """Return the time in UTC to the second, and 20 upper-case hex digits: Volcengine's form."""
    return now.astimezone(UTC).strftime("%Y%m%d%H%M%S") + os.urandom(10).hex().upper()
