"""Packets cut into fragments of MP4, for files and for HLS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from penstock.engine.recording.cutting import Pace
from penstock.engine.tracks import TICKS_PER_MS, AudioLine, VideoLine
from penstock.model import Kind, MediaPacket
from penstock.protocols.flvbody import audio_body, video_body
from penstock.protocols.fmp4 import AudioTrack, Run, Track, VideoTrack

# What a length in the playlist may be more than its target: it counts rounded to the second.
SLACK_MS: Final = 400


class Fragment(Struct, frozen=True, eq=False):
    """A piece of MP4. `runs` are in the order of `tracks`, which it needs to be set up; some may have no run."""

    tracks: tuple[Track, ...]
    runs: Sequence[Run]
    start_ms: int
    end_ms: int
    is_start: bool

    @property
    def video(self) -> str:
        return next((track.codec for track in self.tracks if isinstance(track, VideoTrack)), "")

    @property
    def audio(self) -> str:
        return next((track.codec for track in self.tracks if isinstance(track, AudioTrack)), "")

    def track_of(self, run: Run) -> Track:
        return next(track for track in self.tracks if isinstance(track, VideoTrack) == run.is_video)


class Fragmenter:
    """Cuts packets into fragments, each at most `longest_ms` long but for what it waits for the next picture."""

    def __init__(self, longest_ms: int, put: Callable[[Fragment], None]) -> None:
        self.left_out: set[str] = set()
        self._put = put
        self._pace = Pace(longest_ms)
        self._video, self._audio = VideoLine(), AudioLine()
        self._awaits_key = True

    def take(self, packet: MediaPacket) -> None:
        if packet.kind == Kind.VIDEO:
            self._take_video(packet)
        elif packet.kind == Kind.AUDIO:
            self._take_audio(packet)

    def pause(self) -> None:
        self._cut(None)
        self._video.track = None
        self._audio.use(None)
        self._awaits_key = True
        self.left_out.clear()

    def _take_video(self, packet: MediaPacket) -> None:
        video = self._video
        if packet.is_header:
            track = video.setup(packet)
            if track != video.track:
                if video.samples or self._audio.samples:
                    self._cut(packet.dts_ms)
                video.track, self._awaits_key = track, True
        elif not video.carries(packet):
            self._leave_out(video_body(packet.payload))
        elif packet.is_key or not self._awaits_key:
            self._awaits_key = False
            self._cut_before(packet)
            video.add(packet)
            self._pace.count(packet)
            self._pace.weigh(packet)

    def _take_audio(self, packet: MediaPacket) -> None:
        audio = self._audio
        if packet.is_header or audio.is_setup_by_frames(packet):
            self._set_up_audio(packet)
        if packet.is_header:
            return
        if not audio.carries(packet):
            self._leave_out(audio_body(packet.payload))
            return
        self._cut_before(packet)
        audio.add(packet)
        self._pace.count(packet)
        self._pace.weigh(packet)

    def _set_up_audio(self, packet: MediaPacket) -> None:
        found = self._audio.setup(packet)
        if found is None and not packet.is_header:
            return  # no frame after all
        track, frame_samples = found or (None, 1024)
        if track == self._audio.track:
            return
        if self._video.samples or self._audio.samples:
            self._cut(packet.dts_ms)
        self._audio.use(track, frame_samples)

    def _leave_out(self, body: object) -> None:
        """Note what the stream has, and the file will not."""
        if getattr(body, "is_frame", False) and len(self.left_out) < 8:
            self.left_out.add(str(getattr(body, "codec", "")))

    def _cut_before(self, packet: MediaPacket) -> None:
        if self._pace.is_due(packet):
            self._cut(packet.dts_ms)

    def _cut(self, until_ms: int | None) -> None:
        """Put out what is under way; the next piece begins at `until_ms`, if that is known."""
        video, audio = self._video, self._audio
        if not video.samples and not audio.samples:
            return
        tracks: list[Track] = [line.track for line in (video, audio) if line.track is not None]
        is_start = self._pace.begins_with_key or video.track is None
        runs = []
        if video.samples:
            runs.append(video.cut(1, until_ms, self._latest_ms()))
        if audio.samples:
            runs.append(audio.cut(len(tracks)))
        self._pace.restart()
        starts, ends = zip(*(_span(run, audio.track) for run in runs), strict=True)
        self._put(Fragment(tuple(tracks), runs, min(starts), max(ends), is_start))

    def _latest_ms(self) -> int:
        """How long the last picture may stay: what comes after a longer pause does not follow from it."""
        return self._pace.start_ms + self._pace.longest_ms + SLACK_MS


def _span(run: Run, audio: AudioTrack | None) -> tuple[int, int]:
    """When a run begins and ends, in milliseconds."""
    end = run.decode_time + sum(sample.duration for sample in run.samples)
    if run.is_video:
        return run.decode_time // TICKS_PER_MS, -(-end // TICKS_PER_MS)
    assert audio is not None
    return run.decode_time * 1000 // audio.sample_rate, -(-end * 1000 // audio.sample_rate)
