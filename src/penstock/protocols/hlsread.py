"""HLS playlists, read: of others' servers, and so with every bound that a stranger's text needs.

The plan: line by line, into a list of variants or a list of segments; what is not needed to fetch the media
is passed over, what changes how it must be fetched and is not understood (encryption) is refused by name.
URIs are given out as they stand: whoever fetches joins them to the playlist's own, and asks the guard.

Source: RFC 8216bis-15, sections 4.1 to 4.4.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Final

from msgspec import Struct

from penstock.errors import HlsError

MAX_PLAYLIST: Final = 4 * 1024 * 1024  # bytes
MAX_LINE: Final = 8192
MAX_SEGMENTS: Final = 20_000
MAX_VARIANTS: Final = 200
MAX_NUMBER: Final = 1 << 53
MAX_DURATION_S: Final = 86_400

_ATTRIBUTE: Final = re.compile(r'\s*([A-Z0-9-]+)=("[^"]*"|[^",]*)(?:,|$)')


class Range(Struct, frozen=True):
    """Part of a resource, in bytes."""

    offset: int
    length: int


class InitSection(Struct, frozen=True):
    """EXT-X-MAP: what a decoder needs ahead of fragments."""

    uri: str
    part: Range | None = None


class Segment(Struct, frozen=True):
    """One media segment."""

    number: int  # its media sequence number
    uri: str
    duration_s: Fraction
    is_discontinuous: bool = False  # it does not follow from the one before
    init: InitSection | None = None
    part: Range | None = None
    is_gap: bool = False  # EXT-X-GAP: there is nothing to fetch


class MediaPlaylist(Struct, frozen=True):
    """The segments that there are, in order."""

    target_duration_s: int
    segments: tuple[Segment, ...]
    is_ended: bool


class Variant(Struct, frozen=True):
    """One of several playlists of the same media."""

    uri: str
    bandwidth_bps: int = 0
    height: int = 0
    codecs: str = ""
    audio_uri: str = ""  # where its sound has a playlist of its own


class MultivariantPlaylist(Struct, frozen=True):
    variants: tuple[Variant, ...]

    def best(self) -> Variant:
        """Return the variant of most bits a second among those that say nothing but what can be relayed."""
        return max(self.variants, key=lambda each: (each.bandwidth_bps, each.height))


def parse(data: bytes) -> MediaPlaylist | MultivariantPlaylist:
    """Return what a playlist says.

    Raises:
        HlsError: it is no playlist, passes a bound, or is encrypted.
    """
    if len(data) > MAX_PLAYLIST:
        raise HlsError(f"a playlist has {len(data)} bytes; wanted {MAX_PLAYLIST} at most")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise HlsError("a playlist is not UTF-8 text") from None
    lines = [line.rstrip("\r") for line in text.split("\n")]
    if not lines[0].startswith("#EXTM3U"):
        raise HlsError(f"a playlist opens {lines[0][:32]!r}; wanted '#EXTM3U'")
    if any(len(line) > MAX_LINE for line in lines):
        raise HlsError(f"a playlist has a line of over {MAX_LINE} letters")
    if any(line.startswith("#EXT-X-STREAM-INF:") for line in lines):
        return _multivariant(lines)
    reader = _MediaReader()
    for line in lines:
        reader.take(line.strip())
    return reader.finish()


class _MediaReader:
    """A media playlist, line after line."""

    def __init__(self) -> None:
        self._target_s = 0
        self._next_number = 0
        self._segments: list[Segment] = []
        self._duration: Fraction | None = None
        self._is_discontinuous = self._is_gap = self._is_ended = False
        self._init: InitSection | None = None
        self._part: Range | None = None
        self._range_end = {"": 0}  # of the resource that the last part was of

    def take(self, line: str) -> None:
        tag, _, value = line.partition(":")
        match tag:
            case "":
                return
            case "#EXT-X-TARGETDURATION":
                self._target_s = min(_number(value, tag), MAX_DURATION_S)
            case "#EXT-X-MEDIA-SEQUENCE":
                self._next_number = _number(value, tag)
            case "#EXTINF":
                self._duration = _duration(value.partition(",")[0])
            case "#EXT-X-DISCONTINUITY":
                self._is_discontinuous = True
            case "#EXT-X-GAP":
                self._is_gap = True
            case "#EXT-X-ENDLIST":
                self._is_ended = True
            case "#EXT-X-PLAYLIST-TYPE" if value.strip() == "VOD":
                self._is_ended = True  # section 4.4.3.5: it must not change
            case "#EXT-X-BYTERANGE":
                self._part = self._range(value)
            case "#EXT-X-MAP":
                self._init = self._map(_attributes(value))
            case "#EXT-X-KEY" if (method := _attributes(value).get("METHOD", "")) != "NONE":
                raise HlsError(f"the segments are encrypted ({method[:32]}), which is not supported")
            case _ if not line.startswith("#"):
                self._add(line)

    def finish(self) -> MediaPlaylist:
        if not self._target_s:
            raise HlsError("a playlist has no EXT-X-TARGETDURATION")
        return MediaPlaylist(self._target_s, tuple(self._segments), self._is_ended)

    def _add(self, uri: str) -> None:
        if self._duration is None:
            raise HlsError(f"a playlist names {uri[:64]!r} without an EXTINF")
        if len(self._segments) == MAX_SEGMENTS:
            raise HlsError(f"a playlist has over {MAX_SEGMENTS} segments")
        part = self._part
        if part is not None and part.offset < 0:  # no offset: it goes on where the last one of that URI ended
            part = Range(self._range_end.get(uri, 0), part.length)
        if part is not None:
            self._range_end = {uri: part.offset + part.length}
        number = self._next_number
        self._segments.append(
            Segment(number, uri, self._duration, self._is_discontinuous, self._init, part, self._is_gap)
        )
        self._next_number += 1
        self._duration = self._part = None
        self._is_discontinuous = self._is_gap = False

    def _map(self, attributes: dict[str, str]) -> InitSection:
        if "URI" not in attributes:
            raise HlsError("an EXT-X-MAP has no URI")
        part = self._range(attributes["BYTERANGE"]) if "BYTERANGE" in attributes else None
        if part is not None and part.offset < 0:
            part = Range(0, part.length)
        return InitSection(attributes["URI"], part)

    def _range(self, text: str) -> Range:
        length, _, offset = text.partition("@")
        found = Range(_number(offset, "a byte range") if offset else -1, _number(length, "a byte range"))
        if not found.length:
            raise HlsError("a byte range is of no bytes")
        return found


def _multivariant(lines: list[str]) -> MultivariantPlaylist:
    sounds: dict[str, str] = {}  # by group: the default rendition's own playlist, or "" where it is in the variant
    variants: list[Variant] = []
    waiting: dict[str, str] | None = None
    for line in map(str.strip, lines):
        tag, _, value = line.partition(":")
        if tag == "#EXT-X-MEDIA":
            _note_sound(sounds, _attributes(value))
        elif tag == "#EXT-X-STREAM-INF":
            waiting = _attributes(value)
        elif line and not line.startswith("#") and waiting is not None:
            variants.append(_variant(line, waiting))
            waiting = None
            if len(variants) > MAX_VARIANTS:
                raise HlsError(f"a playlist has over {MAX_VARIANTS} variants")
    if not variants:
        raise HlsError("a playlist names no variant")
    # Groups may stand behind the variants that use them, so their sound is looked up now.
    return MultivariantPlaylist(
        tuple(
            Variant(each.uri, each.bandwidth_bps, each.height, each.codecs, sounds.get(each.audio_uri, ""))
            for each in variants
        )
    )


def _note_sound(sounds: dict[str, str], attributes: dict[str, str]) -> None:
    if attributes.get("TYPE") != "AUDIO" or len(sounds) >= MAX_VARIANTS:
        return
    group, uri = attributes.get("GROUP-ID", ""), attributes.get("URI", "")
    if group not in sounds or attributes.get("DEFAULT") == "YES":
        sounds[group] = uri


def _variant(uri: str, attributes: dict[str, str]) -> Variant:
    bandwidth, height = attributes.get("BANDWIDTH", ""), attributes.get("RESOLUTION", "").partition("x")[2]
    return Variant(
        uri,
        _number(bandwidth, "BANDWIDTH") if bandwidth else 0,
        _number(height, "RESOLUTION") if height else 0,
        attributes.get("CODECS", ""),
        attributes.get("AUDIO", ""),  # the group, until all are known
    )


def _attributes(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    # One after the other from the start: a search would try each letter of nonsense.
    while match := _ATTRIBUTE.match(text, at):
        found.setdefault(match[1], match[2].strip('"'))
        at = match.end()
    return found


def _number(text: str, what: str) -> int:
    text = text.strip()
    if not re.fullmatch(r"[0-9]{1,16}", text) or int(text) > MAX_NUMBER:
        raise HlsError(f"{what.lstrip('#')} is {text[:32]!r}; wanted a number")
    return int(text)


def _duration(text: str) -> Fraction:
    try:
        # As text, not as a float: sums of segments' times must not drift.
        value = Decimal(text.strip()) if len(text) <= 32 else Decimal("NaN")
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or not 0 <= value <= MAX_DURATION_S or value.as_tuple().exponent < -12:  # type: ignore[operator]
        raise HlsError(f"EXTINF is {text[:32]!r}; wanted seconds")
    return Fraction(value)
