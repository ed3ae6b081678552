"""What a stream is like: read from its own setup, or counted; never taken on a publisher's word.

The one exception is the frame rate that a publisher declares, which is shown as what it is, and
against which loss is told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from penstock.errors import CodecError
from penstock.link.messages import AudioFacts, VideoFacts
from penstock.protocols.codecs.parse import parse_audio_config, parse_video_config
from penstock.protocols.codecs.setup import AudioSetup, VideoSetup
from penstock.protocols.flvbody import AudioBody, VideoBody

# Rates are those of the last seconds: long enough for a GOP's uneven frames, short enough to show a stall.
RATE_WINDOW_S: Final = 5.0


class _Sample(Struct, frozen=True):
    at_s: float
    frames: int
    video_bytes: int
    audio_bytes: int


class Facts:
    """Counters of one session, and the setup that is in force."""

    def __init__(self, now_s: float) -> None:
        self.bytes_in = 0  # of all messages' payloads
        self.video_bytes = 0
        self.video_frames = 0
        self.audio_bytes = 0
        self._video: VideoSetup | None = None
        self._audio: AudioSetup | None = None
        self._video_codec = ""
        self._audio_body: AudioBody | None = None
        self._declared_fps: float | None = None
        self._last_key_ms: int | None = None
        self._key_interval_ms: int | None = None
        self._samples: deque[_Sample] = deque([_Sample(now_s, 0, 0, 0)])

    # Setup, as it comes by

    def see_video(self, body: VideoBody, payload: memoryview) -> None:
        """A video packet of another form than the last."""
        self._video_codec = body.codec
        if body.is_header:
            try:
                self._video = parse_video_config(body.codec, payload[body.config_at :])
            except CodecError:
                # The frames pass all the same: a player may know what we do not.
                self._video = None

    def see_audio(self, body: AudioBody, payload: memoryview) -> None:
        self._audio_body = body
        if body.is_header:
            try:
                self._audio = parse_audio_config(body.codec, payload[body.config_at :])
            except CodecError:
                self._audio = None

    def see_metadata(self, metadata: Mapping[str, object]) -> None:
        declared = metadata.get("framerate", metadata.get("videoframerate"))
        if isinstance(declared, float) and 0 < declared <= 1000:
            self._declared_fps = declared

    def see_key(self, dts_ms: int) -> None:
        if self._last_key_ms is not None and dts_ms > self._last_key_ms:
            self._key_interval_ms = dts_ms - self._last_key_ms
        self._last_key_ms = dts_ms

    # What can be said of it

    def sample(self, now_s: float) -> None:
        """Note where the counters stand; to be called about once a second."""
        self._samples.append(_Sample(now_s, self.video_frames, self.video_bytes, self.audio_bytes))
        while len(self._samples) > 2 and self._samples[1].at_s <= now_s - RATE_WINDOW_S:
            self._samples.popleft()

    def video(self) -> VideoFacts | None:
        if not self._video_codec:
            return None
        setup = self._video
        declared = self._declared_fps or (setup.frame_rate if setup else None)
        first, last = self._samples[0], self._samples[-1]
        fps = self._rate(last.frames - first.frames)
        is_measured = last.at_s > first.at_s  # before that there is no loss to tell
        return VideoFacts(
            codec=self._video_codec,
            profile=setup.profile if setup else "",
            level=setup.level if setup else "",
            width=setup.width if setup else None,
            height=setup.height if setup else None,
            declared_fps=declared,
            fps=round(fps, 2),
            bitrate_kbps=self._kbps(last.video_bytes - first.video_bytes),
            key_interval_ms=self._key_interval_ms,
            frame_loss_percent=round(max(0.0, 1 - fps / declared) * 100, 1) if declared and is_measured else None,
        )

    def audio(self) -> AudioFacts | None:
        body, setup = self._audio_body, self._audio
        if body is None:
            return None
        return AudioFacts(
            codec=body.codec,
            profile=setup.profile if setup else "",
            sample_rate=setup.sample_rate if setup else body.sample_rate,
            channels=setup.channels if setup else body.channels,
            bitrate_kbps=self._kbps(self._samples[-1].audio_bytes - self._samples[0].audio_bytes),
        )

    def bitrate_kbps(self) -> float:
        first, last = self._samples[0], self._samples[-1]
        return self._kbps(last.video_bytes + last.audio_bytes - first.video_bytes - first.audio_bytes)

    def _rate(self, count: int) -> float:
        span = self._samples[-1].at_s - self._samples[0].at_s
        return count / span if span > 0 else 0.0

    def _kbps(self, size: int) -> float:
        return round(self._rate(size) * 8 / 1000, 1)
