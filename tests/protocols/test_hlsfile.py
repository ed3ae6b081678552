"""A playlist that grows, and is read back as it was written."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from penstock.protocols import hlsfile

AT = datetime(2026, 3, 1, 12, 0, 0, 40_000, tzinfo=UTC)

FIRST = hlsfile.entry(0, 4.0, init=0, is_discontinuous=False, at=AT)
NEXT = hlsfile.entry(1, 3.96, init=None, is_discontinuous=False, at=None)
BROKEN = hlsfile.entry(2, 0.5, init=1, is_discontinuous=True, at=AT)
PLAYLIST = hlsfile.head(8) + FIRST + NEXT + BROKEN


def test_each_segment_adds_its_lines() -> None:
    assert PLAYLIST.splitlines() == [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        "#EXT-X-TARGETDURATION:8",
        "#EXT-X-PLAYLIST-TYPE:EVENT",
        "#EXT-X-MEDIA-SEQUENCE:0",
        '#EXT-X-MAP:URI="init-0.mp4"',
        "#EXT-X-PROGRAM-DATE-TIME:2026-03-01T12:00:00.040Z",
        "#EXTINF:4.000,",
        "0.m4s",
        "#EXTINF:3.960,",
        "1.m4s",
        "#EXT-X-DISCONTINUITY",
        '#EXT-X-MAP:URI="init-1.mp4"',
        "#EXT-X-PROGRAM-DATE-TIME:2026-03-01T12:00:00.040Z",
        "#EXTINF:0.500,",
        "2.m4s",
    ]


def test_it_is_read_back_with_what_each_segment_needs() -> None:
    head, entries, is_ended = hlsfile.read(PLAYLIST + hlsfile.END)
    assert (head, is_ended) == (hlsfile.head(8), True)
    assert [(one.name, one.init, one.duration_s, one.is_discontinuous) for one in entries] == [
        ("0.m4s", "init-0.mp4", 4.0, False),
        ("1.m4s", "init-0.mp4", 3.96, False),
        ("2.m4s", "init-1.mp4", 0.5, True),
    ]
    assert head + "".join(one.text for one in entries) == PLAYLIST


def test_what_is_cut_off_says_nothing() -> None:
    for size in range(len(PLAYLIST)):
        _, entries, is_ended = hlsfile.read(PLAYLIST[:size])
        assert not is_ended
        wanted = [FIRST, NEXT, BROKEN][: len(entries)]
        assert [one.text for one in entries] == wanted


def test_a_name_that_leads_elsewhere_is_no_segment() -> None:
    for name in ("../0.m4s", "/etc/passwd", "http://x/0.m4s", "a.m4s", "0.m4s?x", "0.m4s\r"):
        _, entries, _ = hlsfile.read(f"{hlsfile.head(8)}#EXTINF:4.000,\n{name}\n")
        assert entries == []
    _, entries, _ = hlsfile.read(f'{hlsfile.head(8)}#EXT-X-MAP:URI="../init-0.mp4"\n#EXTINF:4.000,\n0.m4s\n')
    assert [one.init for one in entries] == [""]


@given(st.text(alphabet=st.sampled_from('#EXTINFMAP:URI="init-0.mp4\n1234567890,'), max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    hlsfile.read(text)
