"""URLs of recorded files: signed, for one file, until a time.

::

    {base}/recordings/{vhost}/{app}/{stream}/{file id}/{time}-{signature}/{name}

The signature stands for the file's whole folder, so that what a playlist of HLS names is reached by the same one.
The key is the account's own, made from one that only the server has; whose file it is decides which. Times are
real ones: whoever made the URL has no turned clock.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from penstock.errors import BadSignature, ExpiredRequest, InvalidField
from penstock.storage.recordings import RecordedFile, Recording

PREFIX: Final = "/recordings/"
PLAYLIST: Final = "index.m3u8"
KEY_NAME: Final = "recordings"  # under which the store has the server's own
DEFAULT_VALID: Final = timedelta(days=1)
MAX_VALID: Final = timedelta(days=7)

_TOKEN: Final = re.compile(r"(\d{1,11})-([A-Za-z0-9_-]{43})", re.ASCII)


class FileUrls(Struct, frozen=True):
    """Makes and checks them. Without a `base` they are paths on this server."""

    secret: str = ""
    base: str = ""

    def __repr__(self) -> str:
        return f"FileUrls({self.base!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("base", self.base)]

    def make(self, row: Recording, file: RecordedFile, now: datetime, valid: timedelta = DEFAULT_VALID) -> str:
        """Return the URL of a file, good for so long.

        Raises:
            InvalidField: for no time, or longer than may be.
        """
        if not timedelta() < valid <= MAX_VALID:
            raise InvalidField("for", f"{valid.total_seconds():g} s", f"above 0, and at most {MAX_VALID.days} days")
        # Whole seconds, up: a URL for one second is good at once.
        until = int((now + valid).timestamp()) + 1
        stream = row.stream
        place = f"{PREFIX}{stream.vhost}/{stream.app}/{stream.stream}/{file.id}"
        return f"{self.base}{place}/{until}-{self._signature(row, file, until)}/{file_name(row, file)}"

    def check(self, row: Recording, file: RecordedFile, token: str, now: datetime) -> None:
        """Raises:
        BadSignature: it is no token, or another file's or account's.
        ExpiredRequest: its time is over.
        """
        found = _TOKEN.fullmatch(token)
        until = int(found[1]) if found is not None else 0
        signature = found[2] if found is not None else ""
        if not hmac.compare_digest(self._signature(row, file, until), signature):
            raise BadSignature("the URL's signature is not the one of this file")
        if now.timestamp() >= until:
            raise ExpiredRequest(f"the URL was good until {datetime.fromtimestamp(until, UTC):%Y-%m-%dT%H:%M:%SZ}")

    def _signature(self, row: Recording, file: RecordedFile, until: int) -> str:
        assert self.secret, "nothing to sign with"
        key = hmac.digest(self.secret.encode(), row.account.encode(), "sha256")
        made = hmac.digest(key, f"{row.stream}\n{row.id}\n{file.id}\n{until}".encode(), "sha256")
        return urlsafe_b64encode(made).decode().rstrip("=")


def file_name(row: Recording, file: RecordedFile) -> str:
    """What a file is called behind its URL: all of it is names that were checked, and digits."""
    if row.container == "hls":
        return PLAYLIST
    return f"{row.stream.stream}-{file.began_at:%Y%m%dT%H%M%SZ}.{row.container}"
