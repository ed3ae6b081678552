"""HLS as a source: lists that end, lists that go on, and what breaks their line."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from penstock.errors import MediaError
from penstock.link.relaying import Clip
from penstock.model import Kind
from penstock.workers.frames import Frame
from penstock.workers.program import Program
from penstock.workers.remote import Meter
from tests.workers.kit import Web, client, job, pictures_of, play

MakeSample = Callable[..., bytes]


def segmented(data: bytes, folder: Path, web: Web, *, kind: str = "mpegts", name: str = "v") -> list[str]:
    """Serve a file cut into segments of a second; return the lines of its playlist."""
    (folder / "whole").write_bytes(data)
    words = f"-c copy -f hls -hls_segment_type {kind} -hls_time 1 -hls_list_size 0"
    words += f" -hls_fmp4_init_filename {name}-init.mp4 -hls_segment_filename {folder}/{name}-%d.seg"
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-i", str(folder / "whole"), *words.split()]
    subprocess.run([*command, str(folder / f"{name}.m3u8")], check=True, timeout=60)
    for path in folder.glob(f"{name}-*"):
        web.add(path.name, path)
    return (folder / f"{name}.m3u8").read_text().splitlines()


@pytest.mark.parametrize("kind", ["mpegts", "fmp4"])
def test_list_that_ends_is_a_file_like_any_other(web: Web, sample: MakeSample, tmp_path: Path, kind: str) -> None:
    data = sample(b_frames=2)
    url = web.add("v.m3u8", "\n".join(segmented(data, tmp_path, web, kind=kind)).encode())
    source = pictures_of(tmp_path / "whole")
    made = play(job(url, loops=2), tmp_path)
    assert made.pictures() == 2 * source
    assert made.steps(Kind.VIDEO) == {40}
    assert made.steps(Kind.AUDIO) == {21, 22}
    before = len(web.asked)
    part = play(job(Clip(url, 2.0, 2.8)), tmp_path)
    assert part.pictures()[:10] == source[50:60]
    assert len(part.pictures()) == 20
    # Segments ahead of the start are not asked for.
    assert not {"v-0.seg", "v-1.seg"} & {each.path for each in web.asked[before:]}


def test_best_variant_is_played_with_the_sound_that_it_names(web: Web, sample: MakeSample, tmp_path: Path) -> None:
    data = sample()
    pictures = segmented(sample(audio=False), tmp_path, web, name="v")
    sounds = segmented(sample(video=False, container="matroska"), tmp_path, web, name="s")
    web.add("deep/v.m3u8", "\n".join(line.replace("v-", "/v-") for line in pictures).encode())
    web.add("deep/s.m3u8", "\n".join(line.replace("s-", "/s-") for line in sounds).encode())
    url = web.add(
        "m.m3u8",
        b'#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=100\nnone.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=900,AUDIO="a"\n'
        b'deep/v.m3u8\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="x",DEFAULT=YES,URI="deep/s.m3u8"\n',
    )
    made = play(job(url), tmp_path)
    (tmp_path / "whole").write_bytes(data)
    assert len(made.times(Kind.VIDEO)) == 75
    assert len(made.times(Kind.AUDIO)) > 130
    assert made.steps(Kind.AUDIO) == {21, 22}


def test_discontinuity_joins_like_two_files(web: Web, sample: MakeSample, tmp_path: Path) -> None:
    lines = segmented(sample(), tmp_path, web)
    head, body = lines[:4], [line for line in lines if line.startswith("#EXTINF") or line.endswith(".seg")]
    other = segmented(sample(width=320), tmp_path, web, name="w")
    more = [line for line in other if line.startswith("#EXTINF") or line.endswith(".seg")]
    text = "\n".join([*head, *body, "#EXT-X-DISCONTINUITY", *more, "#EXT-X-DISCONTINUITY", *body, "#EXT-X-ENDLIST"])
    made = play(job(web.add("v.m3u8", text.encode())), tmp_path)
    assert len(made.times(Kind.VIDEO)) == 225
    assert made.steps(Kind.VIDEO) == {40}
    assert len(made.headers(Kind.VIDEO)) == 3
    late = play(job(Clip(web.url + "/v.m3u8", 4.0)), tmp_path)
    assert len(late.times(Kind.VIDEO)) == 125


class Live:
    """A live playlist of six segments in a window of three that moves on with each time it is asked for."""

    def __init__(self, lines: list[str], *, window: int = 3) -> None:
        self.segments = [line for line in lines if line.endswith(".seg")]
        self.first = 0
        self.window = window
        self.is_ended = False
        self.jump_to: int | None = None

    def __call__(self) -> bytes:
        end = min(self.first + self.window, len(self.segments))
        named = [f"#EXTINF:1.0,\n{segment}" for segment in self.segments[self.first : end]]
        text = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", f"#EXT-X-MEDIA-SEQUENCE:{self.first}", *named]
        if end == len(self.segments):
            text += ["#EXT-X-ENDLIST"] * self.is_ended
            self.is_ended = True
        elif self.jump_to is not None:
            self.first, self.jump_to = self.jump_to, None
        else:
            self.first += 1
        return "\n".join(text).encode()


def frames_until_the_end(web: Web, live: Live) -> tuple[list[Frame], str]:
    url = web.add("live.m3u8", live)
    frames: list[Frame] = []
    program = Program(job(url, live=True), client(), Meter(), lambda _: None)
    with pytest.raises(MediaError) as ended:
        frames.extend(frames_of(program, frames))
    return frames, str(ended.value)


def frames_of(program: Program, into: list[Frame]) -> list[Frame]:
    for frame in program.frames():
        into.append(frame)
    return []


def test_live_list_is_followed_from_near_its_edge(web: Web, sample: MakeSample, tmp_path: Path) -> None:
    live = Live(segmented(sample(seconds=6.0), tmp_path, web), window=4)
    frames, why = frames_until_the_end(web, live)
    assert why == "clip 1: the live stream has ended"
    times = [frame.dts_ms for frame in frames if frame.kind is Kind.VIDEO and not frame.is_header]
    # Three target durations from the edge: the first of the four is left out.
    assert {after - before for before, after in pairwise(times)} == {40}
    assert len(times) >= 100
    assert "v-0.seg" not in {each.path for each in web.asked}


def test_live_list_that_ran_ahead_is_joined_again_at_its_edge(web: Web, sample: MakeSample, tmp_path: Path) -> None:
    live = Live(segmented(sample(seconds=10.0), tmp_path, web))
    live.jump_to = 6  # while we were away
    frames, _ = frames_until_the_end(web, live)
    times = [frame.dts_ms for frame in frames if frame.kind is Kind.VIDEO and not frame.is_header]
    assert {after - before for before, after in pairwise(times)} == {40}
    assert {"v-3.seg", "v-4.seg", "v-5.seg"}.isdisjoint(each.path for each in web.asked)


def test_live_segment_that_is_gone_is_passed_over(web: Web, sample: MakeSample, tmp_path: Path) -> None:
    live = Live(segmented(sample(seconds=10.0), tmp_path, web))
    del web.files["v-2.seg"], web.files["v-6.seg"]
    frames, why = frames_until_the_end(web, live)
    assert why == "clip 1: the live stream has ended"
    times = [frame.dts_ms for frame in frames if frame.kind is Kind.VIDEO and not frame.is_header]
    assert {after - before for before, after in pairwise(times)} == {40}
    assert len(times) >= 7 * 25
    assert [each.path for each in web.asked].count("v-6.seg") == 1


def test_live_segments_that_are_never_there_end_it(web: Web, sample: MakeSample, tmp_path: Path) -> None:
    live = Live(segmented(sample(seconds=10.0), tmp_path, web))
    for number in range(4, 10):
        del web.files[f"v-{number}.seg"]
    frames, why = frames_until_the_end(web, live)
    assert why == "clip 1: 3 segments in a row are not there: the server answers 404"
    assert any(frame.kind is Kind.VIDEO for frame in frames)


@pytest.mark.parametrize("gone", ["v-0.seg", "s-0.seg", "v-4.seg", "s-4.seg"])
def test_picture_and_sound_leap_together_to_the_edge(web: Web, sample: MakeSample, tmp_path: Path, gone: str) -> None:
    pictures = segmented(sample(seconds=10.0, audio=False), tmp_path, web, name="v")
    sounds = segmented(sample(seconds=10.0, video=False, container="matroska"), tmp_path, web, name="s")
    web.add("video.m3u8", Live(pictures))
    web.add("sound.m3u8", Live(sounds))
    del web.files[gone]
    master = '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="x",DEFAULT=YES,URI="sound.m3u8"\n'
    master += '#EXT-X-STREAM-INF:BANDWIDTH=900,AUDIO="a"\nvideo.m3u8\n'
    frames, why = frames_until_the_end(web, master.encode)  # type: ignore[arg-type]
    assert why == "clip 1: the live stream has ended"
    for kind in (Kind.VIDEO, Kind.AUDIO):
        times = [frame.dts_ms for frame in frames if frame.kind is kind and not frame.is_header]
        assert times[-1] - times[0] > 5000, kind
        # To the last there is both.
        assert frames[-1].dts_ms - times[-1] < 1500, kind


def test_live_list_that_brings_nothing_new_is_dead(web: Web, sample: MakeSample, tmp_path: Path) -> None:
    lines = segmented(sample(), tmp_path, web)
    text = "\n".join(line for line in lines if line != "#EXT-X-ENDLIST").encode()
    _, why = frames_until_the_end(web, lambda: text)  # type: ignore[arg-type]
    assert why == "clip 1: the live playlist brings nothing new"


def test_list_without_an_end_is_no_file(web: Web, sample: MakeSample, tmp_path: Path) -> None:
    lines = segmented(sample(), tmp_path, web)
    text = "\n".join(line for line in lines if line != "#EXT-X-ENDLIST")
    url = web.add("v.m3u8", text.encode())
    with pytest.raises(MediaError, match=r"^clip 1: the playlist has no end: it is live; make a live task of it$"):
        play(job(url), tmp_path)
    web.add("v.m3u8", text.replace("#EXTM3U", "#EXTM3U\n#EXT-X-PLAYLIST-TYPE:VOD").encode())
    assert len(play(job(url), tmp_path).times(Kind.VIDEO)) == 75


@pytest.mark.parametrize("with_tag", [0, 1])
def test_packed_audio_is_refused_by_name(web: Web, sample: MakeSample, tmp_path: Path, with_tag: int) -> None:
    (tmp_path / "whole").write_bytes(sample(video=False, container="matroska"))
    words = f"-c copy -f adts -write_id3v2 {with_tag} {tmp_path}/a.aac"
    command = ["ffmpeg", "-nostdin", "-v", "error", "-i", str(tmp_path / "whole"), *words.split()]
    subprocess.run(command, check=True, timeout=60)
    web.add("a.aac", tmp_path / "a.aac")
    text = b"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\na.aac\n#EXT-X-ENDLIST\n"
    with pytest.raises(MediaError, match="segments are packed audio"):
        play(job(web.add("a.m3u8", text)), tmp_path)


def test_encryption_is_refused_by_name(web: Web, tmp_path: Path) -> None:
    text = '#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-KEY:METHOD=AES-128,URI="k"\n#EXTINF:1,\na.ts\n#EXT-X-ENDLIST\n'
    with pytest.raises(MediaError, match=r"encrypted \(AES-128\), which is not supported"):
        play(job(web.add("v.m3u8", text.encode())), tmp_path)
