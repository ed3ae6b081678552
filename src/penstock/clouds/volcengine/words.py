"""Names, times and numbers as the operations of Volcengine Live have them, and their limits."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from msgspec import Meta

from penstock.clouds.contract import Rate
from penstock.clouds.shape import as_time

SOURCE: Final = "Volcengine Live OpenAPI 2023-01-01, {} (read 2026-11)"
RATE: Final = Rate(10, per_s=1)

# `\Z`, as `$` lets a line feed follow. In the published alphabets of some operations digits are missing, and in their
# samples they are not.
Vhost = Annotated[str, Meta(min_length=1)]
App = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,30}\Z")]
Stream = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,100}\Z")]
AnyApp = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{0,30}\Z")]  # empty: every application
AnyStream = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{0,100}\Z")]  # empty: every stream

Page = Annotated[int, Meta(ge=1, le=2_147_483_647)]  # counted from 1; its end is ours
PageSize = Annotated[int, Meta(ge=1, le=1000)]  # rows per page

# A time without its zone is refused, as nobody could say which one was meant.
Moment = Annotated[datetime, Meta(tz=True), as_time("seconds")]  # RFC 3339, seconds
ExactMoment = Annotated[datetime, Meta(tz=True), as_time("milliseconds")]  # RFC 3339, milliseconds

Source = Literal["push", "relay"]  # pushed to the cloud, or pulled by it from an origin
Order = Literal["asc", "desc"]  # oldest first, newest first
Match = Literal["strict", "fuzzy"]  # how `stream` is compared: the same, or a piece of it

ASCENDING: Final = "asc"
FUZZY: Final = "fuzzy"
