"""Fragmented MP4: what a stream's setup and frames look like to players of HLS.

The plan: a box is written by one small function, bottom up, so that each size is known when its header
is made. An init segment says what the tracks are and holds no sample; a media segment is one fragment
whose tracks lie one behind the other in its mdat. Samples go in as they are and are copied once.

Video counts in units of 1/90000 s: RTMP's milliseconds are whole numbers of them, and players of HLS
count in them anyway. Audio counts in samples, so that frames follow each other without a gap or an
overlap however their milliseconds were rounded.

Source: ISO/IEC 14496-12:2022 (boxes), 14496-14:2020 section 6.7 (mp4a, esds), 14496-15:2022 sections
5.4.2 and 8.4.1 (avc1, hvc1), 14496-1:2010 section 7.2.6 (descriptors), AV1-ISOBMFF 1.2.0 (av01);
RFC 8216, section 3.3.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, TypeAlias

from msgspec import Struct

Bytes: TypeAlias = bytes | bytearray | memoryview

VIDEO_TIMESCALE: Final = 90_000
AAC_OBJECT_TYPE, MP3_OBJECT_TYPE = 0x40, 0x6B  # objectTypeIndication (14496-1, table 5)

_MOVIE_TIMESCALE = 1000
_UNITY_MATRIX: Final = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_NO_LANGUAGE = 0x55C4  # "und", five bits a letter
_SYNC_SAMPLE, _OTHER_SAMPLE = 0x02000000, 0x01010000  # depends on nothing; depends on others, and is no sync sample

# Track fragment flags.
_DEFAULT_BASE_IS_MOOF, _DEFAULT_SAMPLE_FLAGS = 0x020000, 0x000020
# Track run flags: data offset, then each sample's duration, size, flags and composition offset.
_DATA_OFFSET, _DURATION, _SIZE, _FLAGS, _COMPOSITION = 0x001, 0x100, 0x200, 0x400, 0x800

# The configuration box of each codec, by its sample entry.
_VIDEO_ENTRIES: Final = {"avc": (b"avc1", b"avcC"), "hevc": (b"hvc1", b"hvcC"), "av1": (b"av01", b"av1C")}


class VideoTrack(Struct, frozen=True):
    """A video track's setup. `record` is the codec's configuration record, as an encoder sends it."""

    codec: str  # "avc", "hevc" or "av1"
    width: int
    height: int
    record: bytes

    @property
    def timescale(self) -> int:
        return VIDEO_TIMESCALE


class AudioTrack(Struct, frozen=True):
    """An audio track's setup. `record` is AAC's AudioSpecificConfig; MP3 has none."""

    codec: str  # "aac" or "mp3"
    sample_rate: int
    channels: int
    record: bytes = b""

    @property
    def timescale(self) -> int:
        return self.sample_rate


Track: TypeAlias = VideoTrack | AudioTrack


class Sample(Struct, gc=False):
    """One frame; times count in its track's timescale."""

    data: Bytes
    duration: int
    is_key: bool = True  # of audio always
    composition: int = 0  # how long after its decoding it is shown; may be negative


class Run(Struct, frozen=True):
    """One track's samples in a segment, one right behind the other."""

    track_id: int
    is_video: bool
    decode_time: int  # the first one's, in 64 bits
    samples: Sequence[Sample]


# ---- boxes -----------------------------------------------------------------------------------


def box(kind: bytes, *parts: Bytes) -> bytes:
    """Return a box of that type around `parts`."""
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full_box(kind: bytes, version: int, flags: int, *parts: Bytes) -> bytes:
    """Return a box that opens with a version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


# ---- the init segment ------------------------------------------------------------------------


def init_segment(tracks: Sequence[Track]) -> bytes:
    """Return what a player needs ahead of the segments; tracks are numbered from 1, in this order."""
    numbered = list(enumerate(tracks, 1))
    return _file_type() + box(
        b"moov",
        _movie_header(next_track_id=len(numbered) + 1),
        *(_track(track_id, track) for track_id, track in numbered),
        box(b"mvex", *(_track_extends(track_id) for track_id, _ in numbered)),
    )


def _file_type() -> bytes:
    # iso5 brought default-base-is-moof, iso6 composition offsets below zero in a run.
    return box(b"ftyp", b"iso6", struct.pack(">I", 0), b"iso6", b"iso5", b"mp41")


def _movie_header(next_track_id: int) -> bytes:
    times = struct.pack(">4I", 0, 0, _MOVIE_TIMESCALE, 0)  # made and changed at no time; a live stream has no length
    rate_and_volume = struct.pack(">IH10x", 0x10000, 0x100)
    return full_box(b"mvhd", 0, 0, times, rate_and_volume, _UNITY_MATRIX, bytes(24), struct.pack(">I", next_track_id))


def _track(track_id: int, track: Track) -> bytes:
    is_video = isinstance(track, VideoTrack)
    media_header = full_box(b"vmhd", 0, 1, bytes(8)) if is_video else full_box(b"smhd", 0, 0, bytes(4))
    return box(
        b"trak",
        _track_header(track_id, track),
        box(
            b"mdia",
            full_box(b"mdhd", 0, 0, struct.pack(">4I2H", 0, 0, track.timescale, 0, _NO_LANGUAGE, 0)),
            _handler(is_video),
            box(b"minf", media_header, _data_information(), _sample_table(track)),
        ),
    )


def _track_header(track_id: int, track: Track) -> bytes:
    is_video = isinstance(track, VideoTrack)
    width, height = (track.width, track.height) if isinstance(track, VideoTrack) else (0, 0)
    return full_box(
        b"tkhd",
        0,
        0x7,  # enabled, in the movie, in its preview
        struct.pack(">5I8x", 0, 0, track_id, 0, 0),
        struct.pack(">4H", 0, 0 if is_video else 1, 0 if is_video else 0x100, 0),  # layer, alternate group, volume
        _UNITY_MATRIX,
        struct.pack(">2I", width << 16, height << 16),
    )


def _handler(is_video: bool) -> bytes:
    kind, name = (b"vide", b"video\0") if is_video else (b"soun", b"sound\0")
    return full_box(b"hdlr", 0, 0, bytes(4), kind, bytes(12), name)


def _data_information() -> bytes:
    here = full_box(b"url ", 0, 1)  # the samples are in this same file
    return box(b"dinf", full_box(b"dref", 0, 0, struct.pack(">I", 1), here))


def _sample_table(track: Track) -> bytes:
    """The tables of a track whose samples are all in fragments: empty but for what they are."""
    entry = _video_entry(track) if isinstance(track, VideoTrack) else _audio_entry(track)
    none = struct.pack(">I", 0)
    return box(
        b"stbl",
        full_box(b"stsd", 0, 0, struct.pack(">I", 1), entry),
        full_box(b"stts", 0, 0, none),
        full_box(b"stsc", 0, 0, none),
        full_box(b"stsz", 0, 0, none, none),
        full_box(b"stco", 0, 0, none),
    )


def _video_entry(track: VideoTrack) -> bytes:
    entry, config = _VIDEO_ENTRIES[track.codec]
    return box(
        entry,
        struct.pack(">6xH16x", 1),  # data reference
        struct.pack(">2H", track.width, track.height),
        struct.pack(">3IH32xHh", 0x480000, 0x480000, 0, 1, 24, -1),  # 72 dpi, a frame a sample, no name, 24 bits deep
        box(config, track.record),
    )


def _audio_entry(track: AudioTrack) -> bytes:
    # 16.16 bits: a rate that has no place in them is left to the decoder's own setup.
    rate = track.sample_rate if track.sample_rate < 1 << 16 else 0
    return box(
        b"mp4a",
        struct.pack(">6xH8x", 1),
        struct.pack(">2H4xI", track.channels, 16, rate << 16),
        full_box(b"esds", 0, 0, _es_descriptor(track)),
    )


def _es_descriptor(track: AudioTrack) -> bytes:
    object_type = AAC_OBJECT_TYPE if track.codec == "aac" else MP3_OBJECT_TYPE
    # An audio stream (5 << 2), with the reserved bit set; buffer and bit rates are not known.
    config = struct.pack(">BB11x", object_type, 5 << 2 | 1)
    if track.record:
        config += _descriptor(0x05, track.record)
    return _descriptor(0x03, struct.pack(">HB", 0, 0), _descriptor(0x04, config), _descriptor(0x06, b"\x02"))


def _descriptor(tag: int, *parts: bytes) -> bytes:
    """Return a descriptor; its size has seven bits a byte, the highest first."""
    body = b"".join(parts)
    size = len(body)
    digits = [size >> shift & 0x7F for shift in (21, 14, 7, 0)]
    return bytes([tag, *(digit | 0x80 for digit in digits[:-1]), digits[-1]]) + body


def _track_extends(track_id: int) -> bytes:
    return full_box(b"trex", 0, 0, struct.pack(">5I", track_id, 1, 0, 0, 0))


# ---- a media segment -------------------------------------------------------------------------


def media_segment(number: int, runs: Sequence[Run]) -> bytes:
    """Return one fragment: a moof, and an mdat with the data of each run, in this order."""
    # Offsets count from the moof's start, so its size has to be known before it is written.
    size = _FRAGMENT_HEAD + sum(_size_of(run) for run in runs)
    offsets, at = [], size + 8
    for run in runs:
        offsets.append(at)
        at += sum(len(sample.data) for sample in run.samples)
    moof = _fragment(number, runs, offsets)
    assert len(moof) == size
    mdat = struct.pack(">I4s", at - size, b"mdat")
    return b"".join((moof, mdat, *(sample.data for run in runs for sample in run.samples)))


_FRAGMENT_HEAD = 8 + 16  # moof, mfhd
_RUN_HEAD = 8 + 16 + 20 + 20  # traf, tfhd, tfdt, trun
_VIDEO_ROW, _AUDIO_ROW = 16, 8


def _size_of(run: Run) -> int:
    count = len(run.samples)
    return _RUN_HEAD + _VIDEO_ROW * count if run.is_video else _RUN_HEAD + 4 + _AUDIO_ROW * count


def _fragment(number: int, runs: Sequence[Run], offsets: Sequence[int]) -> bytes:
    return box(
        b"moof",
        full_box(b"mfhd", 0, 0, struct.pack(">I", number & 0xFFFFFFFF)),
        *(_track_fragment(run, offset) for run, offset in zip(runs, offsets, strict=True)),
    )


def _track_fragment(run: Run, data_offset: int) -> bytes:
    flags = _DEFAULT_BASE_IS_MOOF | (0 if run.is_video else _DEFAULT_SAMPLE_FLAGS)
    defaults = b"" if run.is_video else struct.pack(">I", _SYNC_SAMPLE)
    return box(
        b"traf",
        full_box(b"tfhd", 0, flags, struct.pack(">I", run.track_id), defaults),
        full_box(b"tfdt", 1, 0, struct.pack(">Q", run.decode_time)),
        _video_run(run.samples, data_offset) if run.is_video else _audio_run(run.samples, data_offset),
    )


def _video_run(samples: Sequence[Sample], data_offset: int) -> bytes:
    rows: list[int] = []
    for sample in samples:
        flags = _SYNC_SAMPLE if sample.is_key else _OTHER_SAMPLE
        # Signed in version 1; written in two's complement, as all the rest is unsigned.
        rows += (sample.duration, len(sample.data), flags, sample.composition & 0xFFFFFFFF)
    flags = _DATA_OFFSET | _DURATION | _SIZE | _FLAGS | _COMPOSITION
    return _run(flags, len(samples), data_offset, rows)


def _audio_run(samples: Sequence[Sample], data_offset: int) -> bytes:
    rows: list[int] = []
    for sample in samples:
        rows += (sample.duration, len(sample.data))
    return _run(_DATA_OFFSET | _DURATION | _SIZE, len(samples), data_offset, rows)


def _run(flags: int, count: int, data_offset: int, rows: Sequence[int]) -> bytes:
    return full_box(b"trun", 1, flags, struct.pack(f">Ii{len(rows)}I", count, data_offset, *rows))
