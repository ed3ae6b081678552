"""Reading back: what the writer wrote, and nothing past the end of anything."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import Mp4Error
from penstock.protocols import fmp4file, fmp4reader
from penstock.protocols.fmp4 import AudioTrack, Run, Sample, VideoTrack, box, full_box, media_segment
from penstock.protocols.fmp4reader import ReadRun, ReadTrack
from tests.engine.kit import AAC_RECORD, AVC_RECORD
from tests.protocols import boxes

TRACKS = (VideoTrack("avc", 640, 360, AVC_RECORD), AudioTrack("aac", 48_000, 2, AAC_RECORD))
PICTURES = [Sample(b"key", 3600), Sample(b"other", 1800, is_key=False, composition=-90)]
SEGMENT = media_segment(7, [Run(1, True, 1 << 33, PICTURES), Run(2, False, 96_000, [Sample(b"sound", 1024)] * 3)])
MOOF = SEGMENT[: struct.unpack_from(">I", SEGMENT)[0]]


def moov(head: bytes) -> bytes:
    found = boxes.read(head).one("moov")
    return head[found.start :]


HEAD, LENGTH_AT = fmp4file.file_head(TRACKS)
MOOV = moov(HEAD)


@pytest.mark.parametrize(
    ("track", "codec"),
    [
        (VideoTrack("avc", 2, 2, AVC_RECORD), "avc"),
        (VideoTrack("hevc", 2, 2, b"record"), "hevc"),
        (VideoTrack("av1", 2, 2, b"record"), "av1"),
        (AudioTrack("aac", 44_100, 2, AAC_RECORD), "aac"),
        (AudioTrack("mp3", 44_100, 2), "mp3"),
    ],
)
def test_each_codec_is_known_again(track: VideoTrack | AudioTrack, codec: str) -> None:
    head, _ = fmp4file.file_head([track])
    is_video = isinstance(track, VideoTrack)
    assert fmp4reader.read_tracks(moov(head)) == (ReadTrack(1, is_video, codec, track.timescale),)


def test_the_length_has_its_place_in_the_head() -> None:
    assert fmp4reader.room_for_length(MOOV) == LENGTH_AT - boxes.read(HEAD).one("moov").start
    told = fmp4file.length_box(90_000)
    patched = HEAD[:LENGTH_AT] + told + HEAD[LENGTH_AT + len(told) :]
    assert boxes.read(patched).one("moov/mvex/mehd").numbers("Q", 4) == (90_000,)
    assert fmp4reader.room_for_length(moov(patched)) is not None
    assert fmp4reader.read_tracks(moov(patched)) == fmp4reader.read_tracks(MOOV)


def test_an_init_segment_has_no_such_place() -> None:
    from penstock.protocols.fmp4 import init_segment

    assert fmp4reader.room_for_length(moov(init_segment(TRACKS))) is None


def test_the_index_can_be_found_from_the_end() -> None:
    index = fmp4file.index(1, [(0, 700), (90_000, 1 << 33)])
    found = boxes.read(index).one("mfra")
    assert found.start == 0
    assert struct.unpack(">I", index[-4:]) == (len(index),)


def test_a_fragment_says_when_and_how_much() -> None:
    assert fmp4reader.read_fragment(MOOF) == (ReadRun(1, 1 << 33, 5400, 8), ReadRun(2, 96_000, 3072, 15))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\0\x07free",
        bytes(8),
        b"\0\0\0\x01free",
        b"\0\0\0\x01free\0\0\0\0\0\0\0\x0f",
    ],
    ids=["nothing", "shorter than a head", "of size 0", "cut in its size", "long and shorter than a head"],
)
def test_a_box_without_an_end_is_none(data: bytes) -> None:
    with pytest.raises(Mp4Error):
        fmp4reader.read_head(data)


def test_a_box_has_64_bits_for_its_size() -> None:
    found = fmp4reader.read_head(struct.pack(">I4sQ", 1, b"mdat", 1 << 40))
    assert (found.kind, found.size, found.head) == (b"mdat", 1 << 40, 16)


def trun(count: int, rows: bytes, flags: int = 0x300) -> bytes:
    traf = box(
        b"traf",
        full_box(b"tfhd", 0, 0x020000, struct.pack(">I", 1)),
        full_box(b"tfdt", 1, 0, struct.pack(">Q", 0)),
        full_box(b"trun", 0, flags, struct.pack(">I", count), rows),
    )
    return box(b"moof", traf)


def test_a_run_of_more_samples_than_it_has_room_for_is_refused() -> None:
    assert fmp4reader.read_fragment(trun(1, bytes(8)))
    for hostile in (trun(2, bytes(8)), trun(0xFFFFFFFF, bytes(8)), trun(0xFFFFFFFF, b"", flags=0)):
        with pytest.raises(Mp4Error, match="do not fit"):
            fmp4reader.read_fragment(hostile)


def test_a_fragment_of_endless_runs_is_refused() -> None:
    inner = trun(1, bytes(8))[8:]
    assert len(fmp4reader.read_fragment(box(b"moof", inner * fmp4reader.MAX_RUNS))) == fmp4reader.MAX_RUNS
    with pytest.raises(Mp4Error, match="more than"):
        fmp4reader.read_fragment(box(b"moof", inner * (fmp4reader.MAX_RUNS + 1)))


@given(st.data())
def test_whatever_is_changed_is_read_or_refused(data: st.DataObject) -> None:
    whole, read = data.draw(
        st.sampled_from(
            [(MOOV, fmp4reader.read_tracks), (MOOV, fmp4reader.room_for_length), (MOOF, fmp4reader.read_fragment)]
        )
    )
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        read(bytes(changed[: data.draw(st.integers(0, len(whole)))]))
    except Mp4Error:
        return
