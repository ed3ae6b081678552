"""HLS as real players see it: the publisher's own packets, in fragmented MP4."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.e2e.media import Packet, Samples, is_run_of, rising, track_of
from tests.e2e.peers import Ffmpeg, Publish, Pyav
from tests.e2e.server import Server

PLAYED_S = 3.0
# A sound's time is its place among the samples; RTMP had it in whole milliseconds.
ROUNDING_MS = 1


def assert_unchanged(source: list[Packet], got: list[Packet]) -> None:
    assert is_run_of(source, got, looped=False)
    assert rising(got)
    for track in {packet.track for packet in got}:
        assert moved_alike(track_of(source, track), track_of(got, track))
    pictures = track_of(got, "v")
    assert not pictures or pictures[0].is_key


def moved_alike(source: list[Packet], got: list[Packet]) -> bool:
    """Is there a place in the source whose times lie as far apart as those that were got?"""
    for start in range(len(source) - len(got) + 1):
        run = source[start : start + len(got)]
        if [packet.identity for packet in run] == [packet.identity for packet in got]:
            moved = [(b.dts_ms - a.dts_ms, b.pts_ms - a.pts_ms) for a, b in zip(run, got, strict=True)]
            shifts = [shift for both in moved for shift in both]
            if max(shifts) - min(shifts) <= 2 * ROUNDING_MS:
                return True
    return False


# Debian's ffmpeg knows neither HEVC nor AV1 in FLV, but plays HEVC from fragmented MP4; its publisher sends H.264.
CASES = [
    ("h264", "ffmpeg", ("ffprobe", "pyav")),
    ("b_frames", "pyav", ("ffprobe", "pyav")),
    ("hevc", "pyav", ("ffprobe", "pyav")),
    ("av1", "pyav", ("ffprobe", "pyav")),
    ("audio_only", "ffmpeg", ("ffprobe", "pyav")),
    ("video_only", "pyav", ("ffprobe", "pyav")),
]


@pytest.mark.parametrize(("sample", "publisher", "players"), CASES, ids=[case[0] for case in CASES])
async def test_players_get_the_publishers_own_packets(
    sample: str,
    publisher: str,
    players: tuple[str, ...],
    samples: Samples,
    publishers: dict[str, Publish],
    server: Server,
    ffmpeg: Ffmpeg,
    pyav: Pyav,
    stream: str,
) -> None:
    path: Path = getattr(samples, sample)
    source = await pyav.packets(path)
    await publishers[publisher](path, server.rtmp_url(stream))
    peers = {"ffprobe": ffmpeg, "pyav": pyav}
    url = server.hls_url(stream)
    for got in await asyncio.gather(*(peers[player].packets(url, seconds=PLAYED_S) for player in players)):
        assert_unchanged(source, got)
