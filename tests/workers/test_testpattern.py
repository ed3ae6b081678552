"""The generator is checked through files; publishing to a real server is checked in tests/e2e."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import pytest

from penstock.workers.testpattern import (
    SAMPLE_RATE_HZ,
    _Pace,
    main,
    without_query,
    write_sample,
)


def keys_and_times(path: Path, track: str) -> list[tuple[bool, int]]:
    """Key flag and dts in milliseconds of each packet of one track."""
    with av.open(str(path)) as source:
        stream = next(stream for stream in source.streams if stream.type == track)
        packets = [packet for packet in source.demux(stream) if packet.dts is not None]
        return [(packet.is_keyframe, round(packet.dts * packet.time_base * 1000)) for packet in packets if packet.dts]


def test_a_sample_has_every_frame_a_key_frame_each_gop_and_sound(tmp_path: Path) -> None:
    path = tmp_path / "sample.flv"
    write_sample(path, 3, fps=25, gop_s=1, width=320, height=180)

    with av.open(str(path)) as source:
        video, audio = source.streams.video[0], source.streams.audio[0]
        assert (video.codec_context.name, video.width, video.height, video.average_rate) == (
            "h264",
            320,
            180,
            Fraction(25),
        )
        assert (audio.codec_context.name, audio.rate, audio.channels) == ("aac", SAMPLE_RATE_HZ, 2)
        packets = [packet for packet in source.demux(video) if packet.dts is not None]
        assert [n for n, packet in enumerate(packets) if packet.is_keyframe] == [0, 25, 50]
        assert len(packets) == 75
        assert all(packet.pts == packet.dts for packet in packets)
    sound = keys_and_times(path, "audio")
    assert sound[-1][1] - sound[0][1] == pytest.approx(3000, abs=60)


def test_pictures_move_and_the_sound_is_not_silent(tmp_path: Path) -> None:
    path = tmp_path / "sample.flv"
    write_sample(path, 1, fps=10, gop_s=1, width=160, height=90)
    with av.open(str(path)) as source:
        pictures = [bytes(frame.planes[0]) for frame in source.decode(video=0)]
    with av.open(str(path)) as source:
        loudest = max(max(memoryview(bytes(frame.planes[0])).cast("f")) for frame in source.decode(audio=0))
    assert len(set(pictures)) == 10
    assert loudest > 0.05


@pytest.mark.parametrize(("audio", "video"), [(True, False), (False, True)])
def test_either_track_can_be_left_out(tmp_path: Path, audio: bool, video: bool) -> None:
    path = tmp_path / "sample.flv"
    write_sample(path, 1, fps=10, width=160, height=90, audio=audio, video=video)
    with av.open(str(path)) as source:
        assert [stream.type for stream in source.streams] == ["audio"] * audio + ["video"] * video


@pytest.mark.parametrize(("video_codec", "name"), [("libx265", "hevc"), ("libsvtav1", "av1")])
def test_flv_carries_hevc_and_av1_with_the_asked_gop(tmp_path: Path, video_codec: str, name: str) -> None:
    path = tmp_path / "sample.flv"
    write_sample(path, 2, fps=10, gop_s=1, width=160, height=90, audio=False, video_codec=video_codec)
    with av.open(str(path)) as source:
        assert source.streams.video[0].codec_context.codec.canonical_name == name
        packets = [packet for packet in source.demux(video=0) if packet.dts is not None]
    assert [n for n, packet in enumerate(packets) if packet.is_keyframe] == [0, 10]
    assert len(packets) == 20


def test_b_frames_are_shown_in_another_order_than_they_are_sent(tmp_path: Path) -> None:
    path = tmp_path / "sample.mp4"
    write_sample(path, 2, fps=25, gop_s=1, width=160, height=90, audio=False, container="mp4", b_frames=2)
    with av.open(str(path)) as source:
        shown = [packet.pts for packet in source.demux(video=0) if packet.pts is not None]
    assert len(shown) == 50
    assert shown != sorted(shown)


def test_media_time_passes_no_faster_than_the_clock() -> None:
    pace = _Pace(threading.Event(), 0.25)
    started = Fraction(0)
    before = time.monotonic()
    while pace(started):
        started += Fraction(1, 40)
    assert 0.2 < time.monotonic() - before < 1
    assert pace.sent_s == 0.25


def test_a_stopped_pattern_waits_for_no_frame() -> None:
    stop = threading.Event()
    stop.set()
    assert not _Pace(stop, None)(Fraction(0))


def test_a_url_is_shown_without_its_query() -> None:
    assert without_query("rtmp://host/live/demo?key=secret") == "rtmp://host/live/demo"


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["http://host/live/demo"], "rtmp://127.0.0.1/live/demo"),
        (["rtmp://host/demo"], "server, app, stream"),
        (["rtmp://host/live/demo", "--size", "641x360"], "even numbers"),
        (["rtmp://host/live/demo", "--gop-s", "0"], "over 0"),
        (["rtmp://host/live/demo", "--fps", "0"], "1 or more"),
    ],
)
def test_a_wrong_argument_is_answered_with_what_is_wanted(
    argv: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err


def start_command(url: str, *options: str) -> tuple[subprocess.Popen[str], str]:
    """The command, and its first line: what went wrong.

    It is a process of its own also because libav holds the interpreter's lock while it
    connects: a server in a thread beside it could not even accept.
    """
    command = [sys.executable, "-m", "penstock.workers.testpattern", url, *options]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    return process, process.stderr.readline()


def url_of_nothing() -> str:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return f"rtmp://127.0.0.1:{server.getsockname()[1]}/live/demo?wsSecret=hidden"


def hang_up_on_one(server: socket.socket) -> None:
    peer, _ = server.accept()
    peer.close()
    server.close()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_with_code_0(signum: signal.Signals) -> None:
    process, complaint = start_command(url_of_nothing())
    with process:
        process.send_signal(signum)
        assert process.wait(timeout=10) == 0
    assert "nothing listens there" in complaint


def test_with_parent_ends_when_stdin_does() -> None:
    process, _ = start_command(url_of_nothing(), "--with-parent")
    with process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=10) == 0


def test_once_ends_with_the_first_failure() -> None:
    process, complaint = start_command(url_of_nothing(), "--once")
    with process:
        assert process.wait(timeout=10) == 1
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert "nothing listens there" in complaint
    assert "next try in" not in complaint


def test_a_server_that_hangs_up_is_explained_without_showing_the_query() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=hang_up_on_one, args=(server,), daemon=True).start()
    process, complaint = start_command(f"rtmp://127.0.0.1:{server.getsockname()[1]}/live/demo?wsSecret=hidden")
    with process:
        process.terminate()
    assert "closed the connection" in complaint
    assert "next try in" in complaint
    assert "hidden" not in complaint
