"""HLS: playlists as text, and what codecs are called in them.

The plan: a media playlist is written from its segments alone, and the same text serves every player, as
its URIs are relative. With low latency it names the parts of the latest segments too, and the part that
comes next, which may be asked for before it is there. The multivariant playlist ahead of it names the one
variant there is; the URI that it gives carries what tells players apart.

Source: RFC 8216bis-15, sections 4.4 and 6.2; RFC 6381, section 3.3; ISO/IEC 14496-15:2022, annex E;
AV1-ISOBMFF 1.2.0, section 5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from penstock.protocols.codecs import aac
from penstock.protocols.fmp4 import AudioTrack, Track, VideoTrack

VERSION: Final = 7  # EXT-X-MAP without I-frames alone wants 6; 7 is what fragmented MP4 is played with everywhere
LOW_LATENCY_VERSION: Final = 9  # parts ask for none; players of them were made with 9
# A player stays so many parts behind, as the draft recommends (section 4.4.3.8).
PARTS_BEHIND: Final = 3
_AAC_BY_PROFILE: Final = {"HE-AAC": 5, "HE-AACv2": 29}


class PartPiece(Struct, frozen=True):
    """One part of a segment as a playlist tells of it."""

    duration_s: float
    is_independent: bool  # it begins with what needs nothing before it


class Piece(Struct, frozen=True):
    """One segment as a playlist tells of it."""

    number: int  # its media sequence number
    init: int  # the init segment that it needs
    duration_s: float
    began_at: datetime  # when its first frame came (UTC)
    is_discontinuous: bool  # it does not follow from the one before
    parts: tuple[PartPiece, ...] = ()  # those that are told


class LowLatency(Struct, frozen=True):
    """What a playlist with parts tells besides its segments."""

    part_target_s: float
    under_way: Piece | None  # the segment that has parts already, and is not whole
    hint: str  # the part that comes next; "": none will


def segment_name(number: int) -> str:
    return f"{number}.m4s"


def part_name(number: int, index: int) -> str:
    return f"{number}.{index}.m4s"


def init_name(init: int) -> str:
    return f"init-{init}.mp4"


def target_duration(longest_s: float) -> int:
    """Return the EXT-X-TARGETDURATION that segments of up to `longest_s` seconds keep to."""
    return math.ceil(longest_s)


def media_playlist(
    pieces: Sequence[Piece],
    *,
    target_duration: int,
    discontinuity_sequence: int,
    is_ended: bool,
    low_latency: LowLatency | None = None,
) -> str:
    """Return a playlist of `pieces`, of which there is one at least.

    `discontinuity_sequence` counts the discontinuities ahead of the first piece; one that stands at
    that piece itself is counted there already, and not told again.
    """
    first = pieces[0]
    lines = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{LOW_LATENCY_VERSION if low_latency else VERSION}",
        f"#EXT-X-TARGETDURATION:{target_duration}",
        *(_control(low_latency.part_target_s) if low_latency else ()),
        f"#EXT-X-MEDIA-SEQUENCE:{first.number}",
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuity_sequence}",
    ]
    before: Piece | None = None
    for piece in pieces:
        lines += _opening(piece, before)
        lines += (f"#EXTINF:{piece.duration_s:.3f},", segment_name(piece.number))
        before = piece
    if low_latency is not None:
        if low_latency.under_way is not None:
            lines += _opening(low_latency.under_way, before)
        if low_latency.hint:
            lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{low_latency.hint}"')
    if is_ended:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join(lines) + "\n"


def _opening(piece: Piece, before: Piece | None) -> list[str]:
    """What stands ahead of a segment's own line."""
    lines = []
    if piece.is_discontinuous and before is not None:
        lines.append("#EXT-X-DISCONTINUITY")
    if before is None or piece.init != before.init:
        lines.append(f'#EXT-X-MAP:URI="{init_name(piece.init)}"')
    if before is None or piece.is_discontinuous:
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{_time(piece.began_at)}")
    for index, part in enumerate(piece.parts):
        independent = ",INDEPENDENT=YES" if part.is_independent else ""
        name = part_name(piece.number, index)
        lines.append(f'#EXT-X-PART:DURATION={part.duration_s:.3f},URI="{name}"{independent}')
    return lines


def _control(part_target_s: float) -> tuple[str, str]:
    behind_s = PARTS_BEHIND * part_target_s
    return (
        f"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={behind_s:.3f}",
        f"#EXT-X-PART-INF:PART-TARGET={part_target_s:.3f}",
    )


def multivariant_playlist(uri: str, tracks: Sequence[Track], *, peak_bps: int) -> str:
    """Return a playlist whose one variant is `uri`, of `tracks` and at most `peak_bps` bits a second."""
    words = [f"BANDWIDTH={max(1, peak_bps)}", f'CODECS="{",".join(map(codec_name, tracks))}"']
    words += [f"RESOLUTION={track.width}x{track.height}" for track in tracks if isinstance(track, VideoTrack)]
    return f"#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-STREAM-INF:{','.join(words)}\n{uri}\n"


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# ---- what codecs are called ------------------------------------------------------------------


def codec_name(track: Track) -> str:
    """Return a track's element in CODECS.

    Raises:
        CodecError: an AudioSpecificConfig is cut short.
    """
    if isinstance(track, AudioTrack):
        return _audio_name(track)
    return {"avc": _avc_name, "hevc": _hevc_name, "av1": _av1_name}[track.codec](track.record)


def _audio_name(track: AudioTrack) -> str:
    if track.codec == "mp3":
        return "mp4a.40.34"  # the object type of MPEG-4 that HLS players know MP3 by
    profile = aac.parse_config(track.record).profile
    return f"mp4a.40.{_AAC_BY_PROFILE.get(profile) or aac.object_type(track.record)}"


def _avc_name(record: bytes) -> str:
    """The profile, constraint and level bytes, as they stand in the record (and in its SPS)."""
    return f"avc1.{record[1:4].hex()}"


def _hevc_name(record: bytes) -> str:
    space, tier, profile = record[1] >> 6, record[1] >> 5 & 1, record[1] & 0x1F
    # Compatibility flags are told from the last bit to the first.
    compatibility = int(f"{int.from_bytes(record[2:6], 'big'):032b}"[::-1], 2)
    constraints = record[6:12].rstrip(b"\0")
    words = [f"{'ABC'[space - 1] if space else ''}{profile}", f"{compatibility:X}", f"{'LH'[tier]}{record[12]}"]
    return ".".join(["hvc1", *words, *(f"{byte:X}" for byte in constraints)])


def _av1_name(record: bytes) -> str:
    profile, level = record[1] >> 5, record[1] & 0x1F
    tier, is_high, is_twelve = record[2] >> 7, record[2] >> 6 & 1, record[2] >> 5 & 1
    depth = (12 if is_twelve else 10) if is_high else 8
    return f"av01.{profile}.{level:02}{'MH'[tier]}.{depth:02}"
