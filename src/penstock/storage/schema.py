"""The tables, and how our values become columns. A change here needs a migration (`migrations/versions`)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

from penstock.storage.recordings import Gap
from penstock.storage.relay_rows import Source, Tag, Watermark
from penstock.storage.rows import RecordAlways, UrlSigning

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class UtcTime(TypeDecorator[datetime]):
    """A time as whole microseconds since 1970: exact, and in order as a number on every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        if value is None:
            return None
        assert value.tzinfo is not None, f"{value} has no time zone"
        return (value - EPOCH) // MICROSECOND

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        return None if value is None else EPOCH + value * MICROSECOND


class Chars(TypeDecorator[str]):
    """A text of any alphabet, cut after `limit` characters where there is a limit."""

    impl = Text
    cache_ok = True

    def __init__(self, limit: int | None = None) -> None:
        super().__init__()
        self.limit = limit

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        text = value if self.limit is None else value[: self.limit]
        if text.isascii() and "\0" not in text:
            return text
        # UTF-8 has no lone surrogates, PostgreSQL no NUL.
        return "".join("\ufffd" if char == "\0" or "\ud800" <= char <= "\udfff" else char for char in text)

    def process_literal_param(self, value: str | None, dialect: Dialect) -> str:
        raise AssertionError("a text is always a bound parameter")

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return value


class Json(TypeDecorator[Any]):
    """A value of type `kind` as JSON text."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.kind = kind
        self._decoder = msgspec.json.Decoder(kind)

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        return msgspec.json.encode(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else self._decoder.decode(value)


# Whole numbers of 64 bits. SQLite's own row number, which costs no index, must be called INTEGER.
RowNumber = BigInteger().with_variant(Integer(), "sqlite")
NAME = Chars()  # has been checked before, or is only compared with what has been
OUTSIDE = Chars(1024)  # anybody's, kept where nothing was checked: the limit bounds what one row takes

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", NAME, primary_key=True),
    Column("configured", Boolean, nullable=False),
)

keys = Table(
    "access_keys",
    metadata,
    Column("access_key", NAME, primary_key=True),
    Column("secret_key", NAME, nullable=False),
    Column("account", NAME, ForeignKey("accounts.id"), nullable=False, index=True),
    Column("sub_account", Boolean, nullable=False),
    Column("configured", Boolean, nullable=False),
)

vhosts = Table(
    "vhosts",
    metadata,
    Column("name", NAME, primary_key=True),
    Column("account", NAME, ForeignKey("accounts.id"), nullable=False, index=True),
    Column("apps", Json(tuple[str, ...]), nullable=False),
    Column("publish_auth", NAME, nullable=False),
    Column("publish_key", NAME, nullable=False),
    Column("signing", Json(UrlSigning), nullable=False),
    Column("record", Json(RecordAlways), nullable=False),
    Column("configured", Boolean, nullable=False),
)

domains = Table(
    "domains",
    metadata,
    Column("id", RowNumber, primary_key=True),
    Column("vhost", NAME, ForeignKey("vhosts.name"), nullable=False, index=True),
    Column("name", NAME, nullable=False),
    Column("kind", NAME, nullable=False),
    Column("configured", Boolean, nullable=False),
    UniqueConstraint("name", "kind"),
    sqlite_autoincrement=True,  # an id is not given again after its domain is gone
)

bans = Table(
    "bans",
    metadata,
    Column("vhost", NAME, primary_key=True),
    Column("app", NAME, primary_key=True),
    Column("stream", NAME, primary_key=True),
    Column("since", UtcTime, nullable=False),
    Column("until", UtcTime, nullable=False, index=True),
    Column("changed_at", UtcTime, nullable=False),
    Column("reason", Chars(2048), nullable=False),
    Column("account", NAME, nullable=False),
    Column("access_key", NAME, nullable=False),
    Column("cloud", NAME, nullable=False),
    Column("push_domain", NAME, nullable=False),
    Index("ix_bans_by_account", "account", "until"),
)

# The indices end in what a count must know, so that it reads the index alone.
sessions = Table(
    "sessions",
    metadata,
    Column("epoch", RowNumber, primary_key=True, autoincrement=False),
    Column("session", NAME, nullable=False),
    Column("vhost", NAME, nullable=False),
    Column("app", NAME, nullable=False),
    Column("stream", NAME, nullable=False),
    Column("account", NAME, nullable=False),
    Column("push_domain", NAME, nullable=False),
    Column("address", OUTSIDE, nullable=False),
    Column("port", Integer, nullable=False),
    Column("tls", Boolean, nullable=False),
    Column("agent", OUTSIDE, nullable=False),
    Column("admitted_at", UtcTime, nullable=False),
    Column("began_at", UtcTime),
    Column("ended_at", UtcTime),
    Column("reason", NAME, nullable=False),
    Column("code", Integer, nullable=False),
    Column("detail", OUTSIDE, nullable=False),
    Column("facts", NAME, nullable=False),
    Column("bytes_in", BigInteger, nullable=False),
    Index("ix_sessions_by_domain", "vhost", "app", "push_domain", "began_at", "epoch", "ended_at", "account"),
    Index("ix_sessions_by_stream", "vhost", "app", "stream", "began_at", "epoch", "ended_at", "account", "push_domain"),
    Index("ix_sessions_by_account", "account", "ended_at", "epoch", "began_at"),
    Index("ix_sessions_ended_at", "ended_at"),
)

refusals = Table(
    "refusals",
    metadata,
    Column("id", RowNumber, primary_key=True),
    Column("at", UtcTime, nullable=False, index=True),
    Column("code", Integer, nullable=False),
    Column("why", OUTSIDE, nullable=False),
    Column("vhost", OUTSIDE, nullable=False),
    Column("app", OUTSIDE, nullable=False),
    Column("stream", OUTSIDE, nullable=False),
    Column("account", NAME, nullable=False),
    Column("domain", OUTSIDE, nullable=False),
    Column("address", OUTSIDE, nullable=False),
    Column("port", Integer, nullable=False),
    Column("agent", OUTSIDE, nullable=False),
    Index("ix_refusals_by_domain", "vhost", "app", "domain", "at", "id", "account"),
    Index("ix_refusals_by_account", "account", "at"),
)

explained = Table(
    "explained",
    metadata,
    Column("id", RowNumber, primary_key=True),
    Column("request_id", OUTSIDE, nullable=False, unique=True),
    Column("at", UtcTime, nullable=False, index=True),
    Column("cloud", OUTSIDE, nullable=False),
    Column("action", OUTSIDE, nullable=False),
    Column("account", NAME, nullable=False),
    Column("access_key", OUTSIDE, nullable=False),
    Column("outcome", OUTSIDE, nullable=False),
    Column("rule", OUTSIDE, nullable=False),
    Column("canonical_request", Chars(16_384), nullable=False),
    Column("string_to_sign", Chars(4096), nullable=False),
)

recordings = Table(
    "recordings",
    metadata,
    Column("number", RowNumber, primary_key=True),
    Column("id", NAME, nullable=False, unique=True),
    Column("vhost", NAME, nullable=False),
    Column("app", NAME, nullable=False),
    Column("stream", NAME, nullable=False),
    Column("account", NAME, nullable=False),
    Column("push_domain", NAME, nullable=False),
    Column("container", NAME, nullable=False),
    Column("one_file", Boolean, nullable=False),
    Column("always", Boolean, nullable=False),
    Column("from_at", UtcTime, nullable=False),
    Column("until", UtcTime),
    Column("made_at", UtcTime, nullable=False),
    Column("access_key", NAME, nullable=False),
    Column("cloud", NAME, nullable=False),
    Column("asked", Json(dict[str, str]), nullable=False),
    Column("state", NAME, nullable=False),
    Column("error", OUTSIDE, nullable=False),
    Column("next_try", UtcTime),
    Column("began_at", UtcTime),
    Column("ended_at", UtcTime),
    Column("why", OUTSIDE, nullable=False),
    Index("ix_recordings_by_account", "account", "from_at", "number"),
    Index("ix_recordings_by_stream", "vhost", "app", "stream", "from_at", "number"),
    Index("ix_recordings_ended_at", "ended_at"),
    sqlite_autoincrement=True,  # a number is not given again
)

files = Table(
    "recorded_files",
    metadata,
    Column("id", RowNumber, primary_key=True),
    Column("recording", BigInteger, ForeignKey("recordings.number"), nullable=False),
    Column("path", NAME, nullable=False),
    Column("session", NAME, nullable=False),
    Column("engine", NAME, nullable=False),
    Column("began_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("size_bytes", BigInteger, nullable=False),
    Column("duration_ms", BigInteger, nullable=False),
    Column("video", OUTSIDE, nullable=False),
    Column("audio", OUTSIDE, nullable=False),
    Column("gaps", Json(tuple[Gap, ...]), nullable=False),
    Column("is_whole", Boolean, nullable=False),
    Column("is_lost", Boolean, nullable=False),
    Column("why", OUTSIDE, nullable=False),
    Column("removed_at", UtcTime),
    UniqueConstraint("recording", "path"),
    Index("ix_recorded_files_ended_at", "ended_at"),
    sqlite_autoincrement=True,  # a URL that was made for a file means no other one
)

# What the server signs with, made once.
secrets = Table(
    "secrets",
    metadata,
    Column("name", NAME, primary_key=True),
    Column("value", NAME, nullable=False),
)

# Numbers that must outlive the rows they were taken from.
marks = Table(
    "marks",
    metadata,
    Column("name", NAME, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

relay_groups = Table(
    "relay_groups",
    metadata,
    Column("account", NAME, primary_key=True),
    Column("name", NAME, primary_key=True),
    Column("project", OUTSIDE, nullable=False),
    Column("tags", Json(tuple[Tag, ...]), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("deleted_at", UtcTime),
)

relay_tasks = Table(
    "relay_tasks",
    metadata,
    Column("id", NAME, primary_key=True),
    Column("account", NAME, nullable=False),
    Column("access_key", NAME, nullable=False),
    Column("cloud", NAME, nullable=False),
    Column("group", NAME, nullable=False),
    Column("title", NAME, nullable=False),
    Column("title_folded", NAME, nullable=False),  # as it is searched
    Column("created_at", UtcTime, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
    Column("starts_at", UtcTime, nullable=False),
    Column("ends_at", UtcTime, nullable=False),
    Column("kind", NAME, nullable=False),
    Column("sources", Json(tuple[Source, ...]), nullable=False),
    Column("has_parts", Boolean, nullable=False),
    Column("cycle_mode", Integer, nullable=False),
    Column("play_times", Integer),
    Column("target", NAME, nullable=False),
    Column("callback_url", NAME, nullable=False),
    Column("download_first", Boolean, nullable=False),
    Column("resumes_late", Boolean, nullable=False),
    Column("watermark", Json(Watermark | None), nullable=False),
    Column("picture", NAME, index=True),  # the watermark's, by its name
    Column("is_stopped", Boolean, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("is_settled", Boolean, nullable=False),
    Index("ix_relay_tasks_by_account", "account", "created_at", "id"),
    Index("ix_relay_tasks_by_group", "account", "group", "created_at", "id"),
    Index("ix_relay_tasks_due", "is_settled", "is_stopped", "ends_at"),
    Index("ix_relay_tasks_ends_at", "ends_at"),
)

relay_progress = Table(
    "relay_progress",
    metadata,
    Column("task", NAME, primary_key=True),
    Column("generation", Integer, nullable=False),
    Column("state", NAME, nullable=False),
    Column("is_flowing", Boolean, nullable=False),
    Column("is_finished", Boolean, nullable=False),
    Column("loop", Integer, nullable=False),
    Column("clip", Integer, nullable=False),
    Column("offset_s", Float, nullable=False),
    Column("position_ms", BigInteger, nullable=False),
    Column("noted_at", UtcTime),
    Column("bytes_in", BigInteger, nullable=False),
    Column("bytes_out", BigInteger, nullable=False),
    Column("told_in", BigInteger, nullable=False),
    Column("told_out", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("error", OUTSIDE, nullable=False),
    Column("error_side", NAME, nullable=False),
    Column("error_at", UtcTime),
    Column("next_try_at", UtcTime),
)

# Named by their content, so that a picture of many tasks is kept once.
relay_pictures = Table(
    "relay_pictures",
    metadata,
    Column("name", NAME, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)

notices = Table(
    "notices",
    metadata,
    Column("id", RowNumber, primary_key=True),
    Column("account", NAME, nullable=False),
    Column("subject", NAME, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("event", NAME, nullable=False),
    Column("url", NAME, nullable=False),
    Column("facts", NAME, nullable=False),
    Column("made_at", UtcTime, nullable=False),
    Column("state", NAME, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("first_try_at", UtcTime),
    Column("next_try_at", UtcTime),
    Column("answer", OUTSIDE, nullable=False),
    Index("ix_notices_by_subject", "subject", "sequence"),
    Index("ix_notices_by_account", "account", "id"),
    Index("ix_notices_waiting", "state", "id"),
    Index("ix_notices_made_at", "made_at"),
    sqlite_autoincrement=True,  # an id that a log names is nobody else's later
)

# The last sequence number of each subject: it outlives the subject's rows.
notice_counts = Table(
    "notice_counts",
    metadata,
    Column("subject", NAME, primary_key=True),
    Column("sequence", Integer, nullable=False),
    Column("at", UtcTime, nullable=False, index=True),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", RowNumber, primary_key=True),
    Column("notice", RowNumber, nullable=False, index=True),
    Column("at", UtcTime, nullable=False, index=True),
    Column("took_ms", Integer, nullable=False),
    Column("status", Integer, nullable=False),
    Column("error", OUTSIDE, nullable=False),
)
