"""What control knows of a stream is what is so: engine and control in this process, real encoders, real files."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Self

import av
import pytest
from msgspec import Struct

from penstock.app.control import Control
from penstock.app.engine import Engine, Listeners
from penstock.config import Config, Media
from penstock.domain.sessions import Sessions
from penstock.domain.usage import UsageLedger
from penstock.link import socket as link_socket
from penstock.link.messages import AudioFacts, StreamStats, Usage, VideoFacts
from penstock.model import StreamId, SystemClock
from penstock.supervisor import bind
from tests.e2e.media import Samples
from tests.e2e.peers import Curl, Ffmpeg, Pyav

MEASURED_S = 5.5  # the window of rates, and a little


class HeardSessions(Sessions):
    """Tells when control has heard something new."""

    def __init__(self, news: asyncio.Event) -> None:
        super().__init__(SystemClock())
        self._news = news

    def update(self, stats: StreamStats) -> None:
        super().update(stats)
        self._news.set()


class HeardUsage(UsageLedger):
    def __init__(self, news: asyncio.Event) -> None:
        super().__init__()
        self._news = news

    def take(self, engine: str, usage: Usage) -> bool:
        self._news.set()
        return super().take(engine, usage)


class Plant:
    """Engine and control, connected by the socket that connects them anywhere; no process of their own."""

    def __init__(self, engine: Engine, control: Control, ports: dict[str, int]) -> None:
        self._news = asyncio.Event()
        self._ports = ports
        self.engine = engine
        self.live = control.live
        self.live.sessions = HeardSessions(self._news)
        self.live.usage = HeardUsage(self._news)

    @classmethod
    @contextlib.asynccontextmanager
    async def started(cls, folder: Path, media: Media) -> AsyncIterator[Self]:
        config = Config(data_dir=folder, media=media)
        doors = {door: bind(door, "127.0.0.1:0") for door in ("rtmp", "http", "https")}
        engine = Engine(config, Listeners(**doors))
        control = await Control.open(config, in_memory=True)
        plant = cls(engine, control, {door: port_of(listener) for door, listener in doors.items()})
        await engine.listen_for_control(link_socket.bind(folder / "link.sock"))
        following = asyncio.create_task(control.follow(folder / "link.sock"))
        try:
            async with asyncio.timeout(5):
                await control.engine.connected.wait()
            yield plant
        finally:
            following.cancel()
            await engine.close()
            await control.close()

    def url(self, door: str, name: str) -> str:
        return f"{door}://127.0.0.1:{self._ports[door]}/live/{name}" + (".flv" if door.startswith("http") else "")

    def stats(self) -> dict[str, StreamStats]:
        """What control heard last of each stream on air."""
        return {s.lease.stream.stream: s.stats for s in self.live.sessions.on_air() if s.stats is not None}

    async def until(self, done: Callable[[], bool], within_s: float) -> None:
        """Wait for `done()`, which is asked whenever control has heard something."""
        async with asyncio.timeout(within_s):
            while not done():
                self._news.clear()
                await self._news.wait()


def port_of(listener: socket.socket | None) -> int:
    assert listener is not None
    return int(listener.getsockname()[1])


# Every stream at once, and once for all tests: rates take seconds to measure.

STREAMS = ("h264", "b_frames", "hevc", "av1", "audio_only", "video_only", "at_30_fps")


@pytest.fixture(scope="module")
def measured(samples: Samples, tmp_path_factory: pytest.TempPathFactory) -> dict[str, StreamStats]:
    """The facts of each sample's stream, named like the sample; `lossy` declares 30 fps and sends 15.

    `h264` has a player by RTMP and two by HTTP-FLV.
    """
    return asyncio.run(measure(samples, tmp_path_factory.mktemp("facts")))


async def measure(samples: Samples, folder: Path) -> dict[str, StreamStats]:
    ffmpeg, pyav, curl = Ffmpeg(), Pyav(), Curl()
    async with contextlib.AsyncExitStack() as stack:
        plant = await stack.enter_async_context(Plant.started(folder, Media(stats_interval_s=0.2)))
        for peers in (ffmpeg, pyav, curl):
            stack.push_async_callback(peers.close)
        halved = ("-bsf:v", "noise=drop='mod(n,2)'")
        await asyncio.gather(
            *(pyav.publish(getattr(samples, name), plant.url("rtmp", name)) for name in ("hevc", "av1", "video_only")),
            *(
                ffmpeg.publish(getattr(samples, name), plant.url("rtmp", name))
                for name in ("h264", "b_frames", "audio_only", "at_30_fps")
            ),
            ffmpeg.publish(samples.at_30_fps, plant.url("rtmp", "lossy"), extra=halved),
        )
        await ffmpeg.play(plant.url("rtmp", "h264"))
        await ffmpeg.play(plant.url("http", "h264"))
        await curl.play_to_file(plant.url("http", "h264"), folder / "played.flv", seconds=1)
        await ffmpeg.play(plant.url("http", "h264"))
        began_ms = MEASURED_S * 1000
        await plant.until(lambda: all(stats.duration_ms > began_ms for stats in plant.stats().values()), within_s=10)
        return plant.stats()


class Truth(Struct):
    """What a file is, by libav's own account."""

    fps: float = 0.0
    video_kbps: float = 0.0
    audio_kbps: float = 0.0

    @classmethod
    def of(cls, path: Path) -> Truth:
        truth, sizes = cls(), {"video": 0, "audio": 0}
        with av.open(str(path)) as file:
            pictures = 0
            for packet in file.demux():
                sizes[packet.stream.type] += packet.size
                pictures += packet.stream.type == "video" and bool(packet.size)
        seconds = Samples.seconds
        truth.fps = pictures / seconds
        truth.video_kbps, truth.audio_kbps = (sizes[track] * 8 / 1000 / seconds for track in ("video", "audio"))
        return truth


def video(stats: StreamStats) -> VideoFacts:
    assert stats.video is not None
    return stats.video


def audio(stats: StreamStats) -> AudioFacts:
    assert stats.audio is not None
    return stats.audio


@pytest.mark.parametrize("name", STREAMS)
def test_rates_are_those_of_the_file(name: str, measured: dict[str, StreamStats], samples: Samples) -> None:
    truth, stats = Truth.of(getattr(samples, name)), measured[name]
    assert stats.bitrate_kbps == pytest.approx(truth.video_kbps + truth.audio_kbps, rel=0.15)
    if truth.fps:
        assert video(stats).fps == pytest.approx(truth.fps, rel=0.1)
        assert video(stats).bitrate_kbps == pytest.approx(truth.video_kbps, rel=0.15)
    if truth.audio_kbps:
        assert audio(stats).bitrate_kbps == pytest.approx(truth.audio_kbps, rel=0.15)


# Codec, profile, level, size, declared frame rate (PyAV declares none; AV1's setup holds none), key frame interval.
PICTURES = {
    "h264": ("avc", "High", "2.0", 320, 180, 25.0, 1000),
    "b_frames": ("avc", "High", "2.0", 320, 180, 25.0, 2000),
    "hevc": ("hevc", "Main", "2.0", 320, 180, 25.0, 1000),
    "av1": ("av1", "Main", "2.0", 320, 180, None, 1000),
    "video_only": ("avc", "High", "2.0", 320, 180, 25.0, 1000),
    "at_30_fps": ("avc", "High", "3.0", 640, 360, 30.0, 2000),
}


@pytest.mark.parametrize("name", PICTURES)
def test_the_picture_is_described(name: str, measured: dict[str, StreamStats]) -> None:
    facts = video(measured[name])
    described = (facts.codec, facts.profile, facts.level, facts.width, facts.height, facts.declared_fps)
    assert (*described, facts.key_interval_ms) == PICTURES[name]


def test_the_sound_is_described(measured: dict[str, StreamStats]) -> None:
    for name in STREAMS:
        if name != "video_only":
            facts = audio(measured[name])
            assert (facts.codec, facts.profile, facts.sample_rate, facts.channels) == ("aac", "LC", 48_000, 2)


def test_what_a_stream_has_not_is_not_told(measured: dict[str, StreamStats]) -> None:
    assert measured["audio_only"].video is None
    assert measured["video_only"].audio is None


def test_loss_is_told_against_the_declared_rate(measured: dict[str, StreamStats]) -> None:
    lossy = video(measured["lossy"])
    assert lossy.declared_fps == 30.0
    assert lossy.fps == pytest.approx(15, rel=0.1)
    assert lossy.frame_loss_percent == pytest.approx(50, abs=5)
    for name in STREAMS:
        facts = measured[name].video
        if facts is not None and facts.declared_fps is not None:
            assert facts.frame_loss_percent is not None
            assert facts.frame_loss_percent < 5


def test_players_and_what_they_took_are_told_by_format(measured: dict[str, StreamStats]) -> None:
    stats = measured["h264"]
    assert stats.players == {"rtmp": 1, "flv": 2}  # a third one came by HTTP-FLV and left
    # Each of these got all that was sent since the last key frame before it came.
    assert 0.7 * stats.bytes_in < stats.bytes_out["rtmp"] < 1.1 * stats.bytes_in
    assert stats.bytes_out["rtmp"] < stats.bytes_out["flv"] < 3.3 * stats.bytes_in
    assert measured["hevc"].players == measured["hevc"].bytes_out == {}


def test_the_publisher_is_told(measured: dict[str, StreamStats]) -> None:
    for stats in measured.values():
        assert stats.client.address == stats.domain == "127.0.0.1"
        assert stats.client.agent.startswith("FMLE/3.0 (compatible; Lavf")
        assert not stats.client.tls
        assert stats.bytes_in * 8 / stats.duration_ms == pytest.approx(stats.bitrate_kbps, rel=0.2)


async def test_usage_is_what_players_received_to_the_byte(
    ffmpeg: Ffmpeg, samples: Samples, tmp_path: Path, curl: Curl
) -> None:
    media = Media(keep_players_s=0, usage_flush_s=0.2)
    async with Plant.started(tmp_path, media) as plant:
        publisher = await ffmpeg.publish(samples.brief, plant.url("rtmp", "x"))
        # Head and body, as curl counts them, until the stream ends.
        count = ("--insecure", "--output", "/dev/null", "--write-out", "%{size_header} %{size_download}")
        answers = asyncio.gather(
            *(curl.get(plant.url(door, "x"), *count, within_s=8) for door in ("http", "http", "https"))
        )
        assert await publisher.exit_code(within_s=8) == 0
        received = [sum(map(int, answer.split())) for answer in await answers]
        assert min(received) > samples.brief.stat().st_size * 0.9

        key = (StreamId("demo", "live", "x"), "flv")
        await plant.until(lambda: plant.live.usage.bytes_down.get(key, 0) >= sum(received), within_s=2)
        assert plant.live.usage.bytes_down[key] == sum(received)
        assert plant.live.usage.plays[key] == len(received)
