"""5, 6, 12 and 28. What a relay is given to play: it reads its source, and nothing else by way of it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from penstock.errors import MediaError, NetworkRefused, PeerError
from penstock.link.relaying import Overlay
from penstock.model import Kind
from penstock.workers import demux, supervisor
from penstock.workers.overlay import MAX_BYTES, MAX_SIDE, check_picture, decode_picture
from tests.workers.kit import Sample, Web, job, play, sample_bytes, serving

REFUSED = (MediaError, NetworkRefused, PeerError)

SECRET = b"the secret of this machine"


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as web:
        yield web


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    return path


@pytest.fixture
def segment(tmp_path: Path) -> bytes:
    return sample_bytes(Sample(seconds=1.0, container="mpegts"), tmp_path)


PLACES = [
    "file://{secret}",
    "{secret}",
    "concat:{secret}|{secret}",
    "subfile,,start,0,end,0,,:{secret}",
    "data:video/mp2t;base64,R0dH",
    "crypto:http://127.0.0.1/",
    "pipe:0",
    "rtmp://127.0.0.1/live/x",
    "http://169.254.169.254/latest/meta-data/",
    "http://[::ffff:169.254.169.254]/",
    "http://2852039166/",
    "http://10.0.0.1/",
    "gopher://10.0.0.1/",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("where", ["segment", "init", "variant", "sound"])
def test_5_no_playlist_leads_to_a_file_or_into_the_network(
    web: Web, segment: bytes, secret: Path, tmp_path: Path, place: str, where: str
) -> None:
    target = place.format(secret=secret)
    web.add("good.ts", segment)
    web.add("good.m3u8", b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\ngood.ts\n#EXT-X-ENDLIST\n")
    head = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n"
    text = {
        "segment": f"{head}#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n",
        "init": f'{head}#EXT-X-MAP:URI="{target}"\n#EXTINF:1,\ngood.ts\n#EXT-X-ENDLIST\n',
        "variant": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{target}\n",
        "sound": f'#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",URI="{target}"\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\ngood.m3u8\n',
    }[where]
    with pytest.raises(REFUSED) as refused:
        play(job(web.add("list.m3u8", text.encode())), tmp_path)
    assert SECRET.decode() not in str(refused.value)
    # What looks like a path is one on the server that the playlist came from.
    known = {"list.m3u8", "good.ts", "good.m3u8"}
    assert all(each.path in known or each.path.endswith(str(secret)[1:]) for each in web.asked)


def test_5_a_redirect_leads_no_further_than_a_url(web: Web, tmp_path: Path) -> None:
    web.moved["inside"] = "http://169.254.169.254/latest/"
    web.moved["file"] = "file:///etc/passwd"
    listed = web.add("list.m3u8", b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\ninside\n#EXT-X-ENDLIST\n")
    for url in (f"{web.url}/inside", f"{web.url}/file", listed):
        with pytest.raises(REFUSED):
            play(job(url), tmp_path)


def test_5_loopback_is_refused_unless_the_operator_opened_it(web: Web, segment: bytes, tmp_path: Path) -> None:
    url = web.add("a.ts", segment)
    closed = job(url)
    closed = type(closed)(closed.id, closed.door, closed.clips)
    with pytest.raises(NetworkRefused):
        play(closed, tmp_path)
    assert not web.asked


SCRIPTS = {
    "concat": "ffconcat version 1.0\nfile {secret}\n",
    "subtitles": "1\n00:00:00,000 --> 00:00:01,000\n{secret}\n",
    "dash": '<?xml version="1.0"?><MPD><BaseURL>{secret}</BaseURL></MPD>',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 5004 RTP/AVP 96\n",
    "ffmetadata": ";FFMETADATA1\ntitle={secret}\n",
    "image list": "GIF89a",
    "html": "<html>",
    "empty": "",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_5_a_script_named_mp4_is_no_film(web: Web, secret: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(MediaError, match=r"wanted MP4, FLV, Matroska, MPEG-TS or an HLS playlist"):
        play(job(web.add("film.mp4", SCRIPTS[name].format(secret=secret).encode())), tmp_path)


def test_5_a_playlist_named_mp4_is_read_by_our_reader(web: Web, secret: Path, tmp_path: Path) -> None:
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n"
    with pytest.raises(NetworkRefused):
        play(job(web.add("film.mp4", text.encode())), tmp_path)


def test_5_a_playlist_as_a_segment_is_no_media(web: Web, segment: bytes, tmp_path: Path) -> None:
    web.add("good.ts", segment)
    inner = web.add("inner.ts", b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\ngood.ts\n#EXT-X-ENDLIST\n")
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{inner}\n#EXT-X-ENDLIST\n"
    with pytest.raises(MediaError, match="a segment is hls"):
        play(job(web.add("list.m3u8", text.encode())), tmp_path)
    assert "good.ts" not in {each.path for each in web.asked}


def with_external_media(mp4: bytes, path: Path) -> bytes:
    """An MP4 whose tracks say that their frames lie in another file."""
    alias = b"file://" + bytes(path) + b"\0"
    outside = struct.pack(">I4sI", 12 + len(alias), b"url ", 0) + alias
    inside = struct.pack(">I4sI", 12, b"url ", 1)
    assert mp4.count(inside) == 2
    # Boxes around it grow by as much: each of the tracks has moov, trak, mdia, minf, dinf, dref above it.
    grown = len(outside) - len(inside)
    data = bytearray(mp4)
    while (at := bytes(data).find(inside)) >= 0:
        data[at : at + len(inside)] = outside
        for name in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
            box = bytes(data).rfind(name, 0, at) - 4
            size = int.from_bytes(data[box : box + 4], "big")
            data[box : box + 4] = (size + grown).to_bytes(4, "big")
    return bytes(data)


def test_5_frames_that_an_mp4_says_lie_elsewhere_are_not_looked_for(
    web: Web, secret: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    refuse = demux.refuse

    def watched(url: str, flags: int, options: dict[str, str]) -> None:
        opened.append(url)
        refuse(url, flags, options)

    monkeypatch.setattr(demux, "refuse", watched)
    url = web.add("film.mp4", with_external_media(sample_bytes(Sample(seconds=1.0), tmp_path), secret))
    assert SECRET not in all_that_comes_of(url, tmp_path)
    assert not opened
    # Even with the option that allows it our own door refuses.
    monkeypatch.setitem(demux.OPTIONS, "enable_drefs", "1")
    assert SECRET not in all_that_comes_of(url, tmp_path)


def all_that_comes_of(url: str, folder: Path) -> bytes:
    """What is played, and what is said where it is not."""
    try:
        return b"".join(frame.tag for frame in play(job(url), folder).frames)
    except MediaError as error:
        return str(error).encode()


def test_6_nothing_of_a_users_is_on_a_workers_command_line() -> None:
    """The job is a line on standard input; the words are numbers and names of ours."""
    words = " ".join(supervisor.Workers(memory_mib=700, nice=3)._arguments)
    assert words == "--memory-mib 700 --nice 3 --log-level INFO --log-format human"


@pytest.mark.parametrize("url", ["-i", "--help", "http://host/ -i /etc/passwd", "http://-x/", "tcp:\r\nhost"])
def test_6_a_url_that_looks_like_an_option_is_no_url(tmp_path: Path, url: str) -> None:
    with pytest.raises(NetworkRefused):
        play(job(url), tmp_path)


def test_12_boxes_that_lie_end_in_an_error(web: Web, tmp_path: Path) -> None:
    good = sample_bytes(Sample(seconds=1.0), tmp_path)
    moov = good.rfind(b"moov")
    lies: list[Callable[[bytearray], None]] = [
        lambda data: data.__setitem__(slice(moov - 4, moov), bytes(4)),
        lambda data: data.__setitem__(slice(moov - 4, moov), b"\xff\xff\xff\xff"),
        lambda data: data.__setitem__(slice(4, 8), b"moov"),
        lambda data: data.__delitem__(slice(moov + 200, None)),
        lambda data: data.__setitem__(slice(moov + 100, moov + 400), b"\xff" * 300),
    ]
    for number, lie in enumerate(lies):
        data = bytearray(good)
        lie(data)
        try:
            made = play(job(web.add(f"{number}.mp4", bytes(data))), tmp_path)
        except MediaError:
            continue
        assert len(made.times(Kind.VIDEO)) <= 25


def png(width: int, height: int, *, rows: int = 1) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packed = zlib.compress(bytes(1 + 3 * min(width, 100)) * rows)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def jpeg_head(width: int, height: int) -> bytes:
    return b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0" + struct.pack(">HBHHB", 11, 8, height, width, 1) + bytes(16)


def test_28_a_pictures_size_is_judged_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr("av.CodecContext.create", never)
    for bomb in (png(MAX_SIDE + 1, 10), png(10, MAX_SIDE + 1), png(60_000, 60_000), png(0, 10), png(1 << 31, 1)):
        with pytest.raises(MediaError, match="pixels"):
            decode_picture(bomb)
    for bomb in (jpeg_head(MAX_SIDE + 1, 10), jpeg_head(65_535, 65_535)):
        with pytest.raises(MediaError, match="pixels"):
            decode_picture(bomb)
    for other in (b"", b"GIF89a", b"<svg>", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\xff\xd8\xff\xe0\x00\x00" * 100):
        with pytest.raises(MediaError):
            decode_picture(other)
    with pytest.raises(MediaError, match=f"it must have {MAX_BYTES} at most"):
        check_picture(png(10, 10) + bytes(MAX_BYTES))
    assert check_picture(png(MAX_SIDE, MAX_SIDE)) == ("png", MAX_SIDE, MAX_SIDE)
    assert check_picture(jpeg_head(20, 30)) == ("mjpeg", 20, 30)


def test_28_a_picture_that_does_not_decode_is_refused_with_its_job(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="watermark"):
        play(job("http://127.0.0.1:1/a", overlay=Overlay(jpeg_head(20, 30), 0.0, 0.0, 0.1)), tmp_path)
