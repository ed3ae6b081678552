"""Playlists of others, read: what is in them, and what is refused."""

from __future__ import annotations

from fractions import Fraction

import pytest

from penstock.errors import HlsError
from penstock.protocols import hlsread
from penstock.protocols.hlsread import InitSection, MediaPlaylist, MultivariantPlaylist, Range, Segment, Variant, parse

HEAD = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n"


def media(text: str) -> MediaPlaylist:
    found = parse((HEAD + text).encode())
    assert isinstance(found, MediaPlaylist)
    return found


def test_segments_come_with_their_numbers_times_and_init_sections() -> None:
    found = media(
        '#EXT-X-VERSION:7\n#EXT-X-MEDIA-SEQUENCE:41\n#EXT-X-MAP:URI="i.mp4",BYTERANGE="100@20"\n'
        "#EXTINF:5.005,a title, with a comma\r\na.m4s\n\n# a comment\n#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00Z\n"
        '#EXTINF:6\nsub/b.m4s?x=1\n#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI="j.mp4"\n#EXT-X-GAP\n#EXTINF:1.5,\nc.m4s\n'
    )
    init, other = InitSection("i.mp4", Range(20, 100)), InitSection("j.mp4")
    assert found == MediaPlaylist(
        6,
        (
            Segment(41, "a.m4s", Fraction(1001, 200), init=init),
            Segment(42, "sub/b.m4s?x=1", Fraction(6), init=init),
            Segment(43, "c.m4s", Fraction(3, 2), True, other, is_gap=True),
        ),
        False,
    )
    assert media("#EXTINF:1,\na\n#EXT-X-ENDLIST").is_ended
    assert media("#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:1,\na\n").is_ended
    assert not media("#EXT-X-PLAYLIST-TYPE:EVENT\n#EXTINF:1,\na\n").is_ended


def test_parts_of_one_file_follow_each_other() -> None:
    found = media(
        "#EXTINF:1,\n#EXT-X-BYTERANGE:100@50\na.ts\n#EXTINF:1,\n#EXT-X-BYTERANGE:30\na.ts\n"
        "#EXTINF:1,\n#EXT-X-BYTERANGE:7\nb.ts\n#EXTINF:1,\nc.ts\n"
    )
    assert [segment.part for segment in found.segments] == [Range(50, 100), Range(150, 30), Range(0, 7), None]


def test_variants_come_with_their_sound_and_the_best_is_the_one_of_most_bits() -> None:
    found = parse(
        b'#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=300,CODECS="avc1.4d401f,mp4a.40.2",RESOLUTION=640x360,AUDIO="a"\nlow\n'
        b"#EXT-X-STREAM-INF:BANDWIDTH=900,RESOLUTION=1280x720\nhigh\n"
        b'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en",URI="en"\n'
        b'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="de",DEFAULT=YES,URI="de"\n'
        b'#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI="i"\n'
    )
    assert isinstance(found, MultivariantPlaylist)
    assert found.variants == (
        Variant("low", 300, 360, "avc1.4d401f,mp4a.40.2", "de"),
        Variant("high", 900, 720),
    )
    assert found.best().uri == "high"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "wanted '#EXTM3U'"),
        (b"<html>", "wanted '#EXTM3U'"),
        (b"\xff\xfe#EXTM3U", "not UTF-8"),
        (b"#EXTM3U\n#EXTINF:1,\na\n", "no EXT-X-TARGETDURATION"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:6\na.ts\n", "without an EXTINF"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:-1\n", "wanted a number"),
        (b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:99999999999999999\n", "wanted a number"),
        (b"#EXTM3U\n#EXTINF:nan,\n", "wanted seconds"),
        (b"#EXTM3U\n#EXTINF:-1,\n", "wanted seconds"),
        (b"#EXTM3U\n#EXTINF:1e400,\n", "wanted seconds"),
        (b"#EXTM3U\n#EXTINF:1e-999999,\n", "wanted seconds"),
        (b"#EXTM3U\n#EXT-X-BYTERANGE:0@1\n", "of no bytes"),
        (b"#EXTM3U\n#EXT-X-MAP:BYTERANGE=1\n", "no URI"),
        (b'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="k"\n', r"encrypted \(AES-128\)"),
        (b"#EXTM3U\n#EXT-X-KEY:METHOD=SAMPLE-AES\n", r"encrypted \(SAMPLE-AES\)"),
        (b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n", "no variant"),
        (b"#EXTM3U\n" + b"x" * (hlsread.MAX_LINE + 1), "a line of over"),
        (b"#EXTM3U" + b"\n" * hlsread.MAX_PLAYLIST, "at most"),
    ],
)
def test_what_is_none_or_passes_a_bound_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(HlsError, match=words):
        parse(data)


def test_counts_have_a_bound() -> None:
    most = "#EXTINF:1,\na\n" * hlsread.MAX_SEGMENTS
    assert len(media(most).segments) == hlsread.MAX_SEGMENTS
    with pytest.raises(HlsError, match="over 20000 segments"):
        media(most + "#EXTINF:1,\na\n")
    with pytest.raises(HlsError, match="over 200 variants"):
        parse(b"#EXTM3U\n" + b"#EXT-X-STREAM-INF:BANDWIDTH=1\na\n" * (hlsread.MAX_VARIANTS + 1))


def test_no_encryption_is_none() -> None:
    assert media("#EXT-X-KEY:METHOD=NONE\n#EXTINF:1,\na\n").segments
