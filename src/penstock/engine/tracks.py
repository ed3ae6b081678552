"""One track's packets as samples of fragmented MP4: what they hold, and when, in the track's own time base.

A packet's time is milliseconds on the stream's line. Video's are kept to the unit. Audio's are only a
hint: its frames are as long as their codec says, and follow each other by that; a frame that lies too far
from its milliseconds shows a gap, and the line starts anew there. So rounding never adds up to a drift.
"""

from __future__ import annotations

from typing import Final

from penstock.errors import CodecError
from penstock.model import MediaPacket
from penstock.protocols.codecs import mp3
from penstock.protocols.codecs.parse import parse_audio_config, parse_video_config
from penstock.protocols.flvbody import audio_body, coded_picture, coded_sound, video_body
from penstock.protocols.fmp4 import VIDEO_TIMESCALE, AudioTrack, Run, Sample, VideoTrack

TICKS_PER_MS: Final = VIDEO_TIMESCALE // 1000
# A frame of sound may lie so far from its milliseconds: more than any encoder's rounding, and less than
# the shortest frame that could be missing at the usual rates.
MAX_DRIFT_MS: Final = 20
# What is beyond these is no setup of any encoder, and has no place in the boxes.
MAX_RECORD: Final = 64 * 1024
MAX_SIDE: Final = 65_535
SAMPLE_RATES: Final = range(4000, 192_001)
# How long a picture is shown behind which none follows: one at 25 a second, if there was none before it.
LAST_PICTURE_TICKS: Final = 40 * TICKS_PER_MS


class VideoLine:
    """Pictures that were not cut off yet, the last of which has no length yet."""

    def __init__(self) -> None:
        self.track: VideoTrack | None = None  # None: no setup, or one that HLS cannot carry
        self.samples: list[Sample] = []
        self._start = 0
        self._last = -1  # when the last picture is decoded; -1 before the first
        self._step = LAST_PICTURE_TICKS

    @property
    def step_ms(self) -> int:
        """How far the last two pictures lie apart."""
        return self._step // TICKS_PER_MS

    def setup(self, packet: MediaPacket) -> VideoTrack | None:
        """What a header says, None if HLS cannot carry it; `track` is not changed by it."""
        payload = packet.payload
        body = video_body(payload)
        if body is None:
            return None
        record = bytes(payload[body.config_at :][: MAX_RECORD + 1])
        try:
            found = parse_video_config(body.codec, record)
        except CodecError:
            return None
        if len(record) > MAX_RECORD or max(found.width, found.height) > MAX_SIDE:
            return None
        return VideoTrack(body.codec, found.width, found.height, record)

    def carries(self, packet: MediaPacket) -> bool:
        """True for a frame of the track's codec."""
        body = video_body(packet.payload)
        return body is not None and body.is_frame and self.track is not None and body.codec == self.track.codec

    def add(self, packet: MediaPacket) -> None:
        """Take a frame that the track carries."""
        assert self.track is not None
        payload = packet.payload
        at, composition_ms = coded_picture(payload, self.track.codec)
        shown = (packet.dts_ms + composition_ms) * TICKS_PER_MS
        # Time must go up; when a picture is shown does not change by that.
        decoded = max(packet.dts_ms * TICKS_PER_MS, self._last + 1)
        if self.samples:
            self._step = self.samples[-1].duration = decoded - self._last
        else:
            self._start = decoded
        self.samples.append(Sample(payload[at:], 0, packet.is_key, shown - decoded))
        self._last = decoded

    def cut(self, track_id: int, until_ms: int | None, latest_ms: int) -> Run:
        """Take off what there is as a run; the next one begins at `until_ms`, if that is known.

        Otherwise the last picture stays as long as the one before it, up to `latest_ms`.
        """
        step = self._step if until_ms is None else until_ms * TICKS_PER_MS - self._last
        self.samples[-1].duration = max(1, min(step, latest_ms * TICKS_PER_MS - self._last))
        run, self.samples = Run(track_id, True, self._start, self.samples), []
        return run


class AudioLine:
    """Frames of sound that were not cut off yet."""

    def __init__(self) -> None:
        self.track: AudioTrack | None = None
        self.samples: list[Sample] = []
        self._frame_samples = 1024
        self._start = 0
        self._next = -1  # where the next frame goes, if nothing is missing; -1 before the first

    def setup(self, packet: MediaPacket) -> tuple[AudioTrack, int] | None:
        """What a header, or a frame of a codec without one, says: the track and a frame's samples."""
        payload = packet.payload
        body = audio_body(payload)
        if body is None:
            return None
        try:
            if body.codec == "mp3" and body.is_frame:
                found, record = mp3.parse_frame(payload[coded_sound(payload) :]), b""
            else:
                record = bytes(payload[body.config_at :][: MAX_RECORD + 1])
                found = parse_audio_config(body.codec, record)
        except CodecError:
            return None
        if len(record) > MAX_RECORD or found.sample_rate not in SAMPLE_RATES:
            return None
        return AudioTrack(found.codec, found.sample_rate, found.channels, record), found.frame_samples

    def is_setup_by_frames(self, packet: MediaPacket) -> bool:
        """True for a frame of a codec whose every frame says what the stream is."""
        body = audio_body(packet.payload)
        return body is not None and body.is_frame and body.codec == "mp3"

    def use(self, track: AudioTrack | None, frame_samples: int = 1024) -> None:
        """Go on with another setup, in its own time base."""
        self.track, self._frame_samples, self._next = track, frame_samples, -1

    def carries(self, packet: MediaPacket) -> bool:
        body = audio_body(packet.payload)
        return body is not None and body.is_frame and self.track is not None and body.codec == self.track.codec

    def add(self, packet: MediaPacket) -> None:
        """Take a frame that the track carries."""
        assert self.track is not None
        payload = packet.payload
        rate = self.track.sample_rate
        meant = packet.dts_ms * rate // 1000
        at = self._next
        if at < 0 or abs(at - meant) * 1000 > MAX_DRIFT_MS * rate:
            # Never before the frame ahead of it: that one becomes shorter, or as much longer.
            at = max(meant, self._next - self._frame_samples + 1) if self._next >= 0 else meant
            if self.samples:
                self.samples[-1].duration += at - self._next
        if not self.samples:
            self._start = at
        self.samples.append(Sample(payload[coded_sound(payload) :], self._frame_samples))
        self._next = at + self._frame_samples

    def cut(self, track_id: int) -> Run:
        """Take off what there is as a run."""
        run, self.samples = Run(track_id, False, self._start, self.samples), []
        return run
