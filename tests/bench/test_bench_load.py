"""The load generator's players, against a server of this test that sends what real ones may, in awkward pieces."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench import workshop

Serve = Callable[[socket.socket], None]
FRAMES = 120


def sevens(value: int, width: int) -> bytes:
    return bytes(0x80 | value >> 7 * place & 0x7F for place in reversed(range(width)))


def picture(sequence: int) -> bytes:
    """A video tag's body: one stamp, as publishers write it, and a slice longer than a read."""
    sei = b"\x06\x05\x1fPenstock.bench.1" + sevens(sequence, 5) + sevens(time.monotonic_ns(), 10) + b"\x80"
    piece = b"\x65" + bytes(70_000 if sequence == 0 else 300)
    kind = b"\x17" if sequence % 30 == 0 else b"\x27"
    return kind + b"\x01\0\0\0" + struct.pack(">I", len(sei)) + sei + struct.pack(">I", len(piece)) + piece


def pictures() -> Iterator[bytes]:
    """Pictures at 100 a second; number 100 is never sent, and is after the window's start."""
    for sequence in range(FRAMES):
        if sequence != 100:
            yield picture(sequence)
        time.sleep(0.01)


def flv_tag(body: bytes) -> bytes:
    head = b"\x09" + len(body).to_bytes(3, "big") + bytes(7)
    return head + body + struct.pack(">I", 11 + len(body))


def serve_flv(peer: socket.socket) -> None:
    peer.recv(4096)
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\n\r\nFLV\x01\x05\0\0\0\x09\0\0\0\0")
    for body in pictures():
        peer.sendall(flv_tag(body))


def serve_chunked_flv(peer: socket.socket) -> None:
    peer.recv(4096)
    peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n")

    def send(data: bytes) -> None:
        # Pieces that end anywhere: inside a tag's header, inside the stamp.
        for at in range(0, len(data), 333):
            piece = data[at : at + 333]
            peer.sendall(b"%x;note=abc\r\n" % len(piece) + piece + b"\r\n")

    send(b"FLV\x01\x05\0\0\0\x09\0\0\0\0")
    for body in pictures():
        send(flv_tag(body))


def rtmp_message(csid: int, kind: int, body: bytes, *, time_ms: int = 0, chunk: int = 128) -> bytes:
    extended = struct.pack(">I", time_ms) if time_ms >= 0xFFFFFF else b""
    out = bytes([csid]) + min(time_ms, 0xFFFFFF).to_bytes(3, "big") + len(body).to_bytes(3, "big") + bytes([kind])
    out += struct.pack("<I", 1) + extended
    for at in range(0, len(body), chunk):
        out += (bytes([0xC0 | csid]) + extended if at else b"") + body[at : at + chunk]
    return out


def result_of(number: float, *values: bytes) -> bytes:
    return b"\x02\0\x07_result\0" + struct.pack(">d", number) + b"".join(values)


def read_exactly(peer: socket.socket, n: int) -> bytes:
    data = b""
    while len(data) < n:
        data += peer.recv(n - len(data))
    return data


def read_until(peer: socket.socket, word: bytes) -> None:
    data = b""
    while word not in data:
        data += peer.recv(4096)


def serve_rtmp(peer: socket.socket) -> None:
    c1 = read_exactly(peer, 1537)[1:]
    peer.sendall(b"\x03" + bytes(1536) + c1)
    read_exactly(peer, 1536)
    read_until(peer, b"connect")
    peer.sendall(rtmp_message(2, 5, struct.pack(">I", 5000)) + rtmp_message(3, 20, result_of(1, b"\x05\x05")))
    read_until(peer, b"createStream")
    peer.sendall(rtmp_message(3, 20, result_of(2, b"\x05\0" + struct.pack(">d", 1))))
    read_until(peer, b"play")
    status = b"\x02\0\x08onStatus" + bytes(9) + b"\x05\x03\0\x04code\x02\0\x14NetStream.Play.Start\0\0\x09"
    peer.sendall(rtmp_message(3, 20, status) + rtmp_message(2, 1, struct.pack(">I", 65536)))
    # Past 4 h 39 min, timestamps are extended, and repeated in every chunk.
    for number, body in enumerate(pictures()):
        peer.sendall(rtmp_message(6, 9, body, time_ms=0xFFFFFF + number * 10, chunk=65536))


def play(serve: Serve, protocol: str) -> dict[str, float]:
    """One sampled player of `serve`'s stream; returns its report."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(10)

        def answer() -> None:
            peer, _ = door.accept()
            with peer:
                peer.settimeout(10)
                serve(peer)
                time.sleep(1)  # on air until the window is over

        server = threading.Thread(target=answer)
        server.start()
        command = [str(workshop.load_generator()), "play", "--port", str(door.getsockname()[1]), "--count", "1"]
        command += ["--protocol", protocol, "--warm", "0.3", "--duration", "1.4"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        server.join()
    assert done.returncode == 0, done.stderr
    report: dict[str, float] = json.loads(done.stdout)
    return report


@pytest.mark.parametrize(
    ("serve", "protocol"),
    [(serve_flv, "flv"), (serve_chunked_flv, "flv"), (serve_rtmp, "rtmp")],
    ids=["flv", "flv in chunked coding", "rtmp with chunks of 65536 and extended timestamps"],
)
def test_player_counts_the_one_lost_frame_and_times_the_rest(serve: Serve, protocol: str) -> None:
    report = play(serve, protocol)
    assert report["gaps"] == report["gaps_in_window"] == 1
    assert report["repeats"] == 0
    assert 50 < report["latency_frames"] < FRAMES
    assert 0 < report["latency_ms_p50"] < 20
    assert 0 < report["key_ms_median"] < 500
    assert report["closed"] == 0


def test_player_refused_over_http_counts_as_behind() -> None:
    def refuse(peer: socket.socket) -> None:
        peer.recv(4096)
        peer.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    report = play(refuse, "flv")
    assert report["behind"] == report["refused"] == report["closed"] == 1


def call(answers: Callable[[int], bytes], tmp_path: Path, *words: str) -> dict[str, float]:
    """One caller of a server whose answer to each request is given by its number; returns its report."""
    asked = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"
    requests = [asked % number for number in range(7)]
    (tmp_path / "calls").write_bytes(b"".join(struct.pack(">I", len(data)) + data for data in requests))
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(10)

        def answer() -> None:
            peer, _ = door.accept()
            number = 0
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with peer:
                peer.settimeout(10)
                while data := peer.recv(4096):
                    assert data == requests[number % 7], "one at a time, in turn"
                    text = answers(number)
                    half = len(text) // 2
                    peer.sendall(text[:half])
                    peer.sendall(text[half:])
                    number += 1

        server = threading.Thread(target=answer)
        server.start()
        command = [str(workshop.load_generator()), "call", "--port", str(door.getsockname()[1]), "--count", "1"]
        command += ["--file", str(tmp_path / "calls"), "--warm", "0", "--expect", "good", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        server.join()
    assert done.returncode == 0, done.stderr
    report: dict[str, float] = json.loads(done.stdout)
    return report


def http(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n" % (status, len(body)) + body


def test_caller_counts_answers_that_are_not_what_it_wants(tmp_path: Path) -> None:
    wrong = {3: http(500, b"good"), 5: http(200, b"bad")}
    report = call(lambda number: wrong.get(number, http(200, b"all good")), tmp_path, "--duration", "0.3")
    assert report["failed"] == 2
    assert report["calls"] > 20
    assert 0 < report["latency_ms_p50"] < 20


def test_caller_at_a_rate_counts_time_from_when_a_call_was_due(tmp_path: Path) -> None:
    def late_once(number: int) -> bytes:
        if number == 50:
            time.sleep(0.25)  # 25 calls fall due meanwhile, and all of them are late
        return http(200, b"good")

    report = call(late_once, tmp_path, "--duration", "1", "--rate", "100")
    assert report["failed"] == 0
    assert 90 <= report["calls"] <= 101
    assert report["latency_ms_p50"] < 30
    assert report["latency_ms_p99"] > 200


def watch(playlists: list[bytes], *words: str) -> tuple[dict[str, float], list[str]]:
    """One player of a server whose media playlist changes with each look; its report, and what it asked for."""
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(10)

        def answer() -> None:
            peer, _ = door.accept()
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            looks = iter(playlists)
            with peer:
                peer.settimeout(10)
                while data := peer.recv(4096):
                    path = data.split()[1].decode()
                    asked.append(path)
                    if path == "/live/s.m3u8":
                        body = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\ns/0123/live.m3u8\n"
                    elif path.endswith(".m3u8"):
                        body = next(looks, playlists[-1])
                    else:
                        body = bytes(300_000)
                    text = http(200, body)
                    peer.sendall(text[:70])
                    peer.sendall(text[70:])

        server = threading.Thread(target=answer)
        server.start()
        command = [str(workshop.load_generator()), "hls", "--port", str(door.getsockname()[1]), "--count", "1"]
        command += ["--path", "/live/s.m3u8", "--poll", "0.1", "--warm", "0", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        server.join()
    assert done.returncode == 0, done.stderr
    report: dict[str, float] = json.loads(done.stdout)
    return report, asked


def test_viewer_finds_its_playlist_and_fetches_each_new_segment_once() -> None:
    looks = [b"#EXTM3U\n#EXTINF:2,\n%d.m4s\n" % (number // 2) for number in range(10, 200)]
    report, asked = watch(looks, "--duration", "1")
    assert asked[:5] == [
        "/live/s.m3u8",
        "/live/s/0123/live.m3u8",
        "/live/s/0123/5.m4s",
        "/live/s/0123/live.m3u8",
        "/live/s/0123/live.m3u8",
    ]
    segments = [path for path in asked if path.endswith(".m4s")]
    assert len(segments) == len(set(segments))
    assert 3 <= report["segments"] <= 6
    assert report["received_bytes"] > 300_000 * report["segments"]
    assert report["gone"] == report["gaps"] == 0


def test_viewer_that_is_refused_is_behind() -> None:
    report, _ = watch([b"no playlist at all\r\n"], "--duration", "0.5")
    assert (report["behind"], report["segments"]) == (1, 0)
