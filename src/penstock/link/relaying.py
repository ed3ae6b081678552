"""What control says of relays to the engine and to workers, and what they tell.

::

    engine                                  control                              worker
                                      ◄───  StartRelay, StopRelay
      RelayTold                       ───►
                                            RelayJob (a line on its stdin)  ───►
                                      ◄───────────────────────────────────────  WorkerTold (lines on its stdout)
      ◄──────────────────────────────────────────────  FLV, by data_dir/relay.sock  ──────┘

Every relay is pushed by the engine. Where the source is RTMP or HTTP-FLV the engine pulls it, too; else a
worker makes FLV of it and brings it by the relay door. So back-off, state and byte counts are in one place.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct


class RelayState(StrEnum):
    CONNECTING = "connecting"
    RUNNING = "running"  # media left for the target within the last seconds
    WAITING = "waiting"  # for the next try, or for the worker's bytes
    FINISHED = "finished"  # the source came to its end by itself
    STOPPED = "stopped"


class RelayOrder(Struct, frozen=True):
    """One relay as control wants it. `id` is ours: 32 hexadecimal digits."""

    id: str
    target: str  # rtmp:// or rtmps://
    source: str = ""  # rtmp://, rtmps:// or http(s):// with FLV; empty: a worker brings it
    # Their hosts are domains of the account that wants this: RTMP of those goes to the engine's own door.
    target_is_own: bool = False
    source_is_own: bool = False


class StartRelay(Struct, frozen=True, tag=True):
    """Relay from now on; the same order again changes nothing, another one for the id replaces it."""

    order: RelayOrder


class StopRelay(Struct, frozen=True, tag=True):
    id: str


class RelayTold(Struct, frozen=True, tag=True):
    """How a relay stands; told at each change and with the statistics. Counts are since the order came.

    `failures` rises by one with each connection that failed or broke; `error` is the latest one's.
    """

    id: str
    state: RelayState
    bytes_in: int = 0
    bytes_out: int = 0  # that the target's socket took
    position_ms: int = 0  # of the last frame that was sent, on the relay's line of time
    failures: int = 0
    error: str = ""
    error_side: str = ""  # source or target
    next_try_at: datetime | None = None


# Control to worker


class Clip(Struct, frozen=True):
    """One file of a list, and the part of it that is played; seconds. `end_s` None: to its end."""

    url: str
    start_s: float = 0.0
    end_s: float | None = None


class Overlay(Struct, frozen=True):
    """A picture that is laid over the frames. Numbers are shares of the frame's width or height."""

    picture: bytes  # PNG or JPEG
    x: float
    y: float
    width: float


class Position(Struct, frozen=True):
    """A place in a list of clips. `offset_s` counts from the clip file's own beginning."""

    loop: int = 0
    clip: int = 0
    offset_s: float = 0.0


class RelayJob(Struct, frozen=True):
    """All that a worker needs. With `live` there is one clip, which is a live source and has no end."""

    id: str
    door: str  # path of the engine's relay door
    clips: tuple[Clip, ...]
    live: bool = False
    loops: int | None = 1  # None: for ever
    start: Position = Position()
    overlay: Overlay | None = None
    download_first: bool = False  # files are fetched whole into `cache`, before they are played
    cache: str = ""  # a folder; empty: nothing is kept
    cache_bytes: int = 0
    allow_private: tuple[str, ...] = ()  # networks that may be reached although they are private


# Worker to control


class WorkerTold(Struct, frozen=True):
    """How a worker stands; a line each second, and at each change. `error` empty: nothing is wrong."""

    position: Position
    bytes_in: int = 0
    fetched_bytes: int = 0  # of the file that is downloaded first
    fetch_size_bytes: int = 0  # 0: not known
    error: str = ""
    is_finished: bool = False  # the last clip's last frame was handed over
