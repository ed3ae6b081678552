"""What a relay plays, from files on a real web server to FLV that ffprobe reads."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import av
import pytest

from penstock.errors import MediaError, NetworkRefused
from penstock.link.relaying import Clip, Overlay, Position
from penstock.model import Kind
from penstock.protocols.flvbody import audio_body, video_body
from penstock.workers.program import Program
from penstock.workers.remote import Meter
from tests.workers.kit import Made, Web, client, job, no_sleep, pictures_of, play, probe

MakeSample = Callable[..., bytes]

CONTAINERS = [("mp4", 0), ("mp4", 2), ("flv", 0), ("flv", 2), ("matroska", 0), ("matroska", 2), ("mpegts", 0)]
CONTAINERS += [("mpegts", 2)]


def picture_at(name: str, folder: Path, colour: str) -> bytes:
    path = folder / name
    with av.open(str(path), "w", format="image2") as output:
        stream = output.add_stream("png" if name.endswith("png") else "mjpeg", rate=1)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = 100, 50
        stream.pix_fmt = "rgb24" if name.endswith("png") else "yuvj420p"
        graph = av.filter.Graph()
        graph.link_nodes(graph.add("color", f"{colour}:size=100x50"), graph.add("buffersink")).configure()
        frame = graph.vpull()
        frame.pts = 0
        output.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        output.mux(stream.encode(None))
    return path.read_bytes()


@pytest.mark.parametrize(("container", "b_frames"), CONTAINERS)
def test_loops_follow_each_other_without_a_gap(
    web: Web, sample: MakeSample, tmp_path: Path, container: str, b_frames: int
) -> None:
    data = sample(container=container, b_frames=b_frames)
    url = web.add(f"a.{container}", data)
    made = play(job(url, loops=3), tmp_path)
    assert len(made.times(Kind.VIDEO)) == 3 * 75
    assert made.steps(Kind.VIDEO) == {40}
    assert made.steps(Kind.AUDIO) == {21, 22}
    assert len(made.headers(Kind.VIDEO)) == len(made.headers(Kind.AUDIO)) == 1
    every = [frame.dts_ms for frame in made.frames]
    assert every == sorted(every)
    (tmp_path / "source").write_bytes(data)
    assert made.pictures() == 3 * pictures_of(tmp_path / "source")
    shown = sorted(round(float(line) * 1000) for line in pts_of(made))
    assert {after - before for before, after in pairwise(shown)} == {40}


def pts_of(made: Made) -> list[str]:
    return probe(made.path, "-select_streams", "v", "-show_entries", "packet=pts_time").replace(",", "").split()


@pytest.mark.parametrize(("container", "b_frames"), CONTAINERS)
def test_offsets_are_kept_to_the_frame(
    web: Web, sample: MakeSample, tmp_path: Path, container: str, b_frames: int
) -> None:
    """From picture 13, between key frames, up to picture 58, which others need."""
    data = sample(container=container, b_frames=b_frames)
    made = play(job(Clip(web.add("a", data), 0.52, 2.32), loops=2), tmp_path)
    (tmp_path / "source").write_bytes(data)
    wanted = 2 * pictures_of(tmp_path / "source")[13:58]
    got = made.pictures()
    assert len(got) == len(wanted)
    # Those at the ends were encoded anew, and look the same but for what encoding takes.
    assert max(map(difference, got, wanted)) < 8
    assert got[12:30] == wanted[12:30]  # from the key frame on nothing was touched
    assert made.steps(Kind.VIDEO) == {40}
    assert made.steps(Kind.AUDIO) == {21, 22}


def difference(one: bytes, other: bytes) -> float:
    """How far two pictures' brightness lies apart, on average."""
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


def test_offset_on_a_key_frame_encodes_nothing_anew(web: Web, sample: MakeSample, tmp_path: Path) -> None:
    data = sample(container="mp4")
    made = play(job(Clip(web.add("a", data), 1.0, 2.0)), tmp_path)
    (tmp_path / "source").write_bytes(data)
    assert made.pictures() == pictures_of(tmp_path / "source")[25:50]
    assert len(made.headers(Kind.VIDEO)) == 1


def test_hevc_is_cut_and_carried_as_hevc(web: Web, sample: MakeSample, tmp_path: Path) -> None:
    for container in ("mp4", "mpegts"):
        data = sample(container=container, video_codec="libx265", b_frames=2)
        made = play(job(Clip(web.add("a", data), 0.52, 2.32)), tmp_path)
        assert all(header[1:5] == b"hvc1" for header in made.headers(Kind.VIDEO))
        assert len(made.pictures()) == 45
        assert made.steps(Kind.VIDEO) == {40}


def test_av1_is_carried_and_begins_with_the_key_frame_ahead_of_its_start(
    web: Web, sample: MakeSample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SVT_LOG", "1")
    data = sample(container="mp4", video_codec="libsvtav1")
    made = play(job(Clip(web.add("a", data), 1.52, 2.52)), tmp_path)
    (header,) = made.headers(Kind.VIDEO)
    assert header[1:5] == b"av01"
    assert len(made.times(Kind.VIDEO)) == 25 + 13


def test_new_codec_begins_with_its_own_sequence_header_and_a_key_frame(
    web: Web, sample: MakeSample, tmp_path: Path
) -> None:
    urls = [
        web.add("a", sample()),
        web.add("b", sample(container="mpegts", video_codec="libx265")),
        web.add("c", sample(width=320)),
    ]
    made = play(job(*urls), tmp_path)
    bodies = [(frame.is_header, video_body(frame.tag[11:-4])) for frame in made.frames if frame.kind is Kind.VIDEO]
    assert [body.codec for is_header, body in bodies if is_header and body] == ["avc", "hevc", "avc"]
    for (is_header, _), (_, following) in pairwise(bodies):
        if is_header:
            assert following is not None
            assert following.is_key
    assert made.steps(Kind.VIDEO) == {40}
    assert made.steps(Kind.AUDIO) <= {21, 22, 32}


@pytest.mark.parametrize("words", ["-c:v copy -c:a ac3 -f mpegts", "-c:v copy -c:a pcm_s16le -f matroska"])
def test_sound_that_flv_does_not_carry_becomes_aac(web: Web, sample: MakeSample, tmp_path: Path, words: str) -> None:
    made = play(job(web.add("a", converted(sample(), tmp_path, words)), loops=2), tmp_path)
    (header,) = made.headers(Kind.AUDIO)
    body = audio_body(header)
    assert body is not None
    assert body.codec == "aac"
    assert made.steps(Kind.AUDIO) == {21, 22}
    assert made.steps(Kind.VIDEO) == {40}


def test_vp9_and_opus_become_h264_and_aac(web: Web, sample: MakeSample, tmp_path: Path) -> None:
    words = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus -f matroska"
    made = play(job(web.add("a", converted(sample(seconds=1.0), tmp_path, words))), tmp_path)
    codecs = probe(made.path, "-show_entries", "stream=codec_name").split()
    assert sorted(codecs) == ["aac", "h264"]
    assert len(made.pictures()) == 25


def test_mp3_stays_mp3(web: Web, sample: MakeSample, tmp_path: Path) -> None:
    made = play(job(web.add("a", converted(sample(), tmp_path, "-c:v copy -c:a libmp3lame -f matroska"))), tmp_path)
    assert "mp3" in probe(made.path, "-show_entries", "stream=codec_name").split()
    assert not made.headers(Kind.AUDIO)


def converted(data: bytes, folder: Path, words: str) -> bytes:
    source, target = folder / "from", folder / "to"
    source.write_bytes(data)
    subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", "-y", "-i", source, *words.split(), target], check=True, timeout=60
    )
    return target.read_bytes()


@pytest.mark.parametrize("name", ["red.png", "red.jpg"])
def test_watermark_lies_where_it_was_put(web: Web, sample: MakeSample, tmp_path: Path, name: str) -> None:
    overlay = Overlay(picture_at(name, tmp_path, "red"), x=0.5, y=0.5, width=0.25)
    made = play(job(web.add("a", sample(b_frames=2)), overlay=overlay), tmp_path)
    with av.open(str(made.path)) as source:
        frames = list(source.decode(video=0))
    assert len(frames) == 75
    for frame in (frames[0], frames[-1]):
        picture = frame.reformat(format="rgb24")
        data, row = bytes(picture.planes[0]), picture.planes[0].line_size

        def pixel(x: int, y: int, data: bytes = data, row: int = row) -> tuple[int, ...]:
            return tuple(data[y * row + 3 * x : y * row + 3 * x + 3])

        # 160x90: it is 40x20 and begins at 80, 45.
        for x, y in ((83, 48), (117, 62), (100, 55)):
            red, green, blue = pixel(x, y)
            assert red > 200, (x, y)
            assert max(green, blue) < 60, (x, y)
        for x, y in ((76, 55), (124, 55), (100, 41), (100, 69)):
            assert pixel(x, y)[0] < 200 or max(pixel(x, y)[1:]) > 60, (x, y)
    assert made.steps(Kind.VIDEO) == {40}
    assert "bframes=0" in made.path.read_bytes().decode("latin-1")


def test_position_tells_where_to_go_on_and_that_is_where_it_goes_on(
    web: Web, sample: MakeSample, tmp_path: Path
) -> None:
    data = sample()
    clips = [Clip(web.add("a", data), 0.0, 2.0), Clip(web.add("b", data), 1.0)]
    made = play(job(*clips, loops=2), tmp_path)
    places = [frame.position for frame in made.frames if frame.kind is Kind.VIDEO and not frame.is_header]
    assert places[0] == Position(0, 0, 0.04)
    assert [(place.loop, place.clip) for place in (places[49], places[50], places[100])] == [(0, 0), (0, 1), (1, 0)]
    assert places[50] == Position(0, 1, 1.04)
    rest = play(job(*clips, loops=2, start=places[59]), tmp_path)
    again = [frame.position for frame in rest.frames if frame.kind is Kind.VIDEO and not frame.is_header]
    assert again == places[60:]


def test_position_behind_its_clips_end_goes_on_with_the_next_clip(web: Web, sample: MakeSample, tmp_path: Path) -> None:
    clips = [Clip(web.add("a", sample()), 0.0, 1.0), Clip(web.add("b", sample()))]
    made = play(job(*clips, start=Position(0, 0, 1.0)), tmp_path)
    assert {frame.position.clip for frame in made.frames} == {1}


@pytest.mark.parametrize(
    ("offset_s", "expected"),
    [
        (3.5, Position(0, 1, 1.5)),  # half a second into the second clip, which begins at 1 s
        (5.5, Position(1, 0, 0.5)),
        (3.0 + 2.0 + 10 * 5.0 + 0.5, Position(11, 0, 0.5)),
        (3.0 + 2.0 + 100_000 * 5.0 + 3.5, Position(100_001, 1, 1.5)),
    ],
)
def test_start_behind_the_end_of_a_file_is_carried_into_the_next_ones(
    web: Web, sample: MakeSample, tmp_path: Path, offset_s: float, expected: Position
) -> None:
    """Whoever goes on where it would be by now does not know how long files are."""
    clips = [Clip(web.add("a", sample())), Clip(web.add("b", sample(b_frames=2)), 1.0)]
    made = play(job(*clips, loops=expected.loop + 1, start=Position(0, 0, offset_s)), tmp_path)
    first = next(frame.position for frame in made.frames if frame.kind is Kind.VIDEO and not frame.is_header)
    assert (first.loop, first.clip) == (expected.loop, expected.clip)
    assert first.offset_s == pytest.approx(expected.offset_s, abs=0.1)


def test_list_without_a_frame_ends_and_does_not_spin(web: Web, sample: MakeSample, tmp_path: Path) -> None:
    clip = Clip(web.add("a", sample()), 5.0, 6.0)
    with pytest.raises(MediaError, match="nothing to play"):
        play(job(clip, loops=None), tmp_path)


@pytest.mark.parametrize("what", [{"audio": False}, {"video": False}])
def test_one_track_is_enough(web: Web, sample: MakeSample, tmp_path: Path, what: dict[str, bool]) -> None:
    made = play(job(web.add("a", sample(container="matroska", **what)), loops=2), tmp_path)
    kind = Kind.VIDEO if "audio" in what else Kind.AUDIO
    assert {frame.kind for frame in made.frames} == {kind, Kind.DATA}
    assert made.steps(kind) <= {40} | {21, 22}


def test_server_without_ranges_is_read_in_one_go(web: Web, sample: MakeSample, tmp_path: Path) -> None:
    """An MP4 with its index at the end is fetched whole first; others are read as they come, to the offset too."""
    web.has_ranges = False
    for container in ("mp4", "flv", "matroska", "mpegts"):
        made = play(job(Clip(web.add(f"a.{container}", sample(container=container)), 1.2)), tmp_path)
        assert len(made.times(Kind.VIDEO)) == 45, container


def test_download_first_plays_from_the_cache_and_asks_once(web: Web, sample: MakeSample, tmp_path: Path) -> None:
    data = sample()
    url = web.add("a", data)
    where = {"download_first": True, "cache": str(tmp_path / "cache"), "cache_bytes": 10_000_000}
    made = play(job(url, loops=3, **where), tmp_path)
    assert made.meter.fetched_bytes == made.meter.fetch_size_bytes == len(data)
    # Each loop looks whether the file is still the same, and takes no more than what had been sent by then.
    kept = list((tmp_path / "cache").iterdir())
    assert [path.read_bytes() for path in kept] == [data]
    assert made.steps(Kind.VIDEO) == {40}


@pytest.mark.parametrize("container", ["flv", "mpegts", "matroska", "fragmented"])
def test_file_of_unknown_size_is_played_as_it_comes(
    web: Web, sample: MakeSample, tmp_path: Path, container: str, caplog: pytest.LogCaptureFixture
) -> None:
    if container == "fragmented":
        data = converted(sample(), tmp_path, "-c copy -movflags frag_keyframe+empty_moov -f mp4")
    else:
        data = sample(container=container)
    web.has_ranges = web.tells_size = False
    where = {"download_first": True, "cache": str(tmp_path / "cache"), "cache_bytes": 10_000_000}
    made = play(job(web.add("a", data), **where), tmp_path)
    assert len(made.times(Kind.VIDEO)) == 75
    assert made.meter.fetch_size_bytes == 0
    assert "played as it comes: its server does not tell its size" in caplog.text
    assert not (tmp_path / "cache").exists()


def test_file_that_is_too_large_for_the_cache_is_played_as_it_comes(
    web: Web, sample: MakeSample, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    where = {"download_first": True, "cache": str(tmp_path / "cache"), "cache_bytes": 1000}
    made = play(job(web.add("a", sample()), **where), tmp_path)
    assert len(made.times(Kind.VIDEO)) == 75
    assert "1000 may be kept" in caplog.text


def test_mp4_with_its_index_at_the_end_must_be_reached_somehow(web: Web, sample: MakeSample, tmp_path: Path) -> None:
    data = sample()
    assert data.index(b"mdat") < data.index(b"moov")
    web.has_ranges = web.tells_size = False
    with pytest.raises(MediaError, match=r"without ranges, must be fetched whole; its server does not tell its size$"):
        play(job(web.add("a", data)), tmp_path)
    web.tells_size = True
    with pytest.raises(MediaError, match=r"must be fetched whole; it has \d+ bytes; 1000 may be kept$"):
        play(job(web.add("a", data), cache=str(tmp_path / "cache"), cache_bytes=1000), tmp_path)
    first = converted(data, tmp_path, "-c copy -movflags faststart -f mp4")
    made = play(job(web.add("a", first), cache=str(tmp_path / "cache"), cache_bytes=1000), tmp_path)
    assert len(made.times(Kind.VIDEO)) == 75


def test_next_file_is_downloaded_while_the_one_before_is_played(web: Web, sample: MakeSample, tmp_path: Path) -> None:
    data, asked = sample(), threading.Event()
    clips = [web.add("a", data), web.add("b", lambda: asked.set() or data)]  # type: ignore[func-returns-value]
    where = {"download_first": True, "cache": str(tmp_path / "cache"), "cache_bytes": 10_000_000}
    frames = Program(job(*clips, **where), client(), Meter(), no_sleep).frames()
    assert next(frames).position.clip == 0
    assert asked.wait(10)
    times = [frame.dts_ms for frame in frames if frame.kind is Kind.VIDEO and not frame.is_header]
    assert len(times) == 150
    # Nothing is asked for ahead behind the last one.
    assert {each.path for each in web.asked} == {"a", "b"}


def test_errors_name_the_clip_and_no_url(web: Web, sample: MakeSample, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"^clip 2: the server answers 404$"):
        play(job(web.add("a", sample()), f"{web.url}/gone.mp4?key=secret"), tmp_path)
    with pytest.raises(NetworkRefused, match=r"^clip 1: ") as refused:
        play(job("http://10.0.0.1/a.mp4?key=secret"), tmp_path)
    assert "secret" not in str(refused.value)
