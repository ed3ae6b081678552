"""HLS as files in a folder: a playlist that only grows, until it says that nothing more comes.

The plan: the head is told once, as the target duration holds for all segments; each segment adds its lines,
and an end its one. So a recording of a day is written without going through its segments again.

Source: RFC 8216bis-15, sections 4.4 and 6.2.1 (EXT-X-PLAYLIST-TYPE: EVENT only appends).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from penstock.protocols.hls import VERSION, init_name, segment_name

PLAYLIST: Final = "index.m3u8"
END: Final = "#EXT-X-ENDLIST\n"

_SEGMENT: Final = re.compile(r"(\d{1,9})\.m4s", re.ASCII)
_INIT: Final = re.compile(r'#EXT-X-MAP:URI="(init-\d{1,9}\.mp4)"', re.ASCII)
_LENGTH: Final = re.compile(r"#EXTINF:(\d{1,7}\.\d{3}),", re.ASCII)


class Entry(Struct, frozen=True):
    """One segment as a playlist tells of it, with the lines that do."""

    name: str
    init: str
    duration_s: float
    is_discontinuous: bool
    text: str


def head(target_duration: int) -> str:
    return (
        f"#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-TARGETDURATION:{target_duration}\n"
        "#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-MEDIA-SEQUENCE:0\n"
    )


def entry(number: int, duration_s: float, *, init: int | None, is_discontinuous: bool, at: datetime | None) -> str:
    """Return a segment's lines. `init` and the time `at` are None where they follow from the segment before."""
    lines = ["#EXT-X-DISCONTINUITY"] if is_discontinuous else []
    if init is not None:
        lines.append(f'#EXT-X-MAP:URI="{init_name(init)}"')
    if at is not None:
        told = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{told}")
    lines += (f"#EXTINF:{duration_s:.3f},", segment_name(number))
    return "\n".join(lines) + "\n"


def read(playlist: str) -> tuple[str, list[Entry], bool]:
    """Return a playlist's head, its segments, and whether it has ended; lines that are not ours are passed over."""
    opening, found, is_ended = "", list[Entry](), False
    init, duration_s, is_discontinuous, text = "", 0.0, False, ""
    for line in _lines(playlist):
        is_ended |= line == END
        if not found and not text and not _begins_entry(line):
            opening += line
            continue
        text += line
        if match := _INIT.match(line):
            init = match[1]
        elif match := _LENGTH.match(line):
            duration_s = float(match[1])
        elif line.startswith("#EXT-X-DISCONTINUITY\n"):
            is_discontinuous = True
        elif _SEGMENT.fullmatch(line.rstrip("\n")):
            found.append(Entry(line.rstrip("\n"), init, duration_s, is_discontinuous, text))
            duration_s, is_discontinuous, text = 0.0, False, ""
    return opening, found, is_ended


def _lines(playlist: str) -> Iterator[str]:
    """Whole lines alone: what is cut off says nothing."""
    at = 0
    while (end := playlist.find("\n", at)) >= 0:
        yield playlist[at : end + 1]
        at = end + 1


def _begins_entry(line: str) -> bool:
    return line.startswith(("#EXT-X-MAP", "#EXT-X-PROGRAM-DATE-TIME", "#EXTINF", "#EXT-X-DISCONTINUITY\n"))
