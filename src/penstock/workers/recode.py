"""Frames made anew: where a picture is laid over, where a clip begins between key frames, where FLV has no word
for a codec.

Pictures are encoded without B-frames and without looking ahead, one frame in and one out; sound becomes AAC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Any, Final, cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.resampler import AudioResampler
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame

from penstock.errors import MediaError
from penstock.protocols.codecs import annexb
from penstock.workers.demux import translated
from penstock.workers.media import Sample, Setup, Unit

KEY_EVERY_S: Final = 2
MAX_PIXELS: Final = 4096 * 2304
MIN_SIDE: Final = 16
MAX_RATE: Final = 120
BITS_PER_PIXEL: Final = 0.12  # at most, on average over a second; what is needed may be far less
LEAST_BITRATE: Final = 400_000
MAX_BROKEN: Final = 100  # packets in a row that do not decode

ENCODERS: Final = {"avc": "libx264", "hevc": "libx265"}
_OPTIONS: Final = {
    "avc": {"preset": "veryfast", "tune": "zerolatency", "crf": "21", "sc_threshold": "0"},
    "hevc": {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "crf": "23",
        "x265-params": "log-level=error:pools=none:frame-threads=1:scenecut=0:open-gop=0:repeat-headers=1",
    },
}

AAC_SAMPLES: Final = 1024
AAC_BITRATE: Final = 128_000
AAC_RATES: Final = frozenset((48000, 44100, 32000, 24000, 22050, 16000))
# Sound that is further off than this from where its samples put it has a hole, or went back.
MAX_DRIFT_S: Final = Fraction(1, 10)

Paint = Callable[[VideoFrame], VideoFrame]


class Decoder:
    """One track's decoder, which passes over what is broken."""

    def __init__(self, stream: Stream) -> None:
        self.context: Any = cast(Any, stream).codec_context
        self._time_base = stream.time_base
        self._broken = 0

    def decode(self, unit: Unit | None) -> list[Any]:
        """Return the frames that a packet gives; None gets out what is still inside, and begins anew."""
        try:
            frames: list[Any] = self.context.decode(unit.packet if unit is not None else None)
        except av.FFmpegError as error:
            self._broken += 1
            if self._broken > MAX_BROKEN:
                raise MediaError(f"the file does not decode: {error.strerror}") from error
            frames = []
        else:
            self._broken = 0
        if unit is None:
            self.context.flush_buffers()
            for frame in frames:  # those that come out at the end lack it
                frame.time_base = self._time_base
        return frames


def time_of(frame: Any) -> Fraction | None:
    return None if frame.pts is None else Fraction(frame.pts * frame.time_base)


class PictureEncoder:
    """Makes samples of decoded pictures; the first one fixes the size."""

    def __init__(self, codec: str, rate: Fraction | None, delay: Fraction, paint: Paint | None = None) -> None:
        """`delay` is how far the time of decoding shall lie ahead of that of showing, as with copied frames."""
        self._codec = codec
        self._rate = rate if rate and rate <= MAX_RATE else Fraction(25)
        self._delay = delay
        self._paint = paint
        self._context: VideoCodecContext | None = None
        self._setup: Setup | None = None

    def encode(self, frame: VideoFrame) -> Iterator[Sample]:
        with translated():
            if self._paint is not None:
                frame = self._paint(frame)
            if self._context is None:
                self._context = self._opened(frame)
            width, height = self._context.width, self._context.height
            if (frame.width, frame.height, frame.format.name) != (width, height, "yuv420p"):
                frame = frame.reformat(width=width, height=height, format="yuv420p")
            # The source's own kind of picture is not an order to the encoder.
            frame.pict_type = PictureType.NONE
            packets = self._context.encode(frame)
        return self._samples(packets)

    def flush(self) -> Iterator[Sample]:
        if self._context is None:
            return iter(())
        with translated():
            packets = self._context.encode(None)
        return self._samples(packets)

    def _opened(self, frame: VideoFrame) -> VideoCodecContext:
        width, height = frame.width & ~1, frame.height & ~1
        if min(width, height) < MIN_SIDE or width * height > MAX_PIXELS:
            raise MediaError(f"a picture of {frame.width}x{frame.height} cannot be encoded anew")
        context = cast(VideoCodecContext, av.CodecContext.create(ENCODERS[self._codec], "w"))
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        assert frame.time_base is not None
        context.time_base = frame.time_base
        context.framerate = self._rate
        context.gop_size = max(1, round(KEY_EVERY_S * self._rate))
        context.max_b_frames = 0
        context.thread_count = 1
        most = max(LEAST_BITRATE, int(width * height * float(self._rate) * BITS_PER_PIXEL))
        context.options = {**_OPTIONS[self._codec], "maxrate": str(most), "bufsize": str(2 * most)}
        return context

    def _samples(self, packets: Iterable[Any]) -> Iterator[Sample]:
        for packet in packets:
            sets, rest = annexb.sort_out(self._codec, bytes(packet))
            if sets:
                self._setup = Setup(self._codec, annexb.record(self._codec, sets))
            assert self._setup is not None
            pts = packet.pts * packet.time_base
            data = annexb.with_lengths(rest)
            yield Sample(True, self._setup, pts - self._delay, pts, 1 / self._rate, packet.is_keyframe, data)


class SoundRecoder:
    """Makes AAC of a track's packets."""

    def __init__(self, stream: Stream) -> None:
        self._decoder = Decoder(stream)
        self._encoder: AudioCodecContext | None = None
        self._resampler: AudioResampler | None = None
        self._setup: Setup | None = None
        self._begin: Fraction | None = None  # the time of the first sample that went in
        self._in = self._out = 0  # samples

    def take(self, unit: Unit) -> Iterator[Sample]:
        for frame in self._decoder.decode(unit):
            yield from self._encode(frame)

    def flush(self) -> Iterator[Sample]:
        for frame in self._decoder.decode(None):
            yield from self._encode(frame)
        if self._encoder is None or self._resampler is None:
            return
        with translated():
            rest = self._resampler.resample(None)
            packets = [packet for frame in rest for packet in self._encode_one(frame)] + self._encoder.encode(None)
        yield from self._samples(packets)

    def _encode(self, frame: Any) -> Iterator[Sample]:
        with translated():
            if self._encoder is None:
                self._open(frame)
            assert self._resampler is not None
            self._follow(frame)
            self._in += frame.samples * self._rate // frame.sample_rate
            packets = [packet for part in self._resampler.resample(frame) for packet in self._encode_one(part)]
        yield from self._samples(packets)

    @property
    def _rate(self) -> int:
        assert self._encoder is not None
        return self._encoder.sample_rate

    def _open(self, frame: Any) -> None:
        rate = frame.sample_rate if frame.sample_rate in AAC_RATES else 48000
        layout = "mono" if frame.layout.nb_channels == 1 else "stereo"
        encoder = av.CodecContext.create("aac", "w")
        encoder.sample_rate, encoder.layout, encoder.format = rate, layout, "fltp"
        encoder.bit_rate = AAC_BITRATE
        encoder.time_base = Fraction(1, rate)
        encoder.open()
        self._encoder = encoder
        self._resampler = AudioResampler("fltp", layout, rate, AAC_SAMPLES)
        self._setup = Setup("aac", bytes(encoder.extradata or b""), rate, 1 if layout == "mono" else 2)

    def _follow(self, frame: Any) -> None:
        """Keep to the samples' own count, unless the packets' times say that some are missing."""
        at = time_of(frame)
        frame.pts = None
        if at is None:
            at = self._begin if self._begin is not None else Fraction(0)
        if self._begin is None:
            self._begin = at
        elif abs(off := at - self._begin - Fraction(self._in, self._rate)) > MAX_DRIFT_S:
            self._begin += off

    def _encode_one(self, frame: Any) -> list[Any]:
        assert self._encoder is not None
        frame.pts = None
        return list(self._encoder.encode(frame))

    def _samples(self, packets: Iterable[Any]) -> Iterator[Sample]:
        for packet in packets:
            assert self._begin is not None
            assert self._setup is not None
            # The encoder's first packet holds nothing but what it needs ahead of the first sample.
            at = self._begin + Fraction(self._out - AAC_SAMPLES, self._rate)
            self._out += AAC_SAMPLES
            yield Sample(False, self._setup, at, at, Fraction(AAC_SAMPLES, self._rate), True, bytes(packet))
