"""libav's demuxers, in a cage: bytes come from an object of ours, and nothing else can be opened.

The plan: a container is opened by the one format that its bytes showed. Whatever a demuxer would open by itself
(a file's external tracks, a playlist's entries) meets a refusal, besides the options that forbid it. Of the
tracks the best picture and the best sound are read; the rest is thrown away inside libav.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final, NoReturn, Protocol, cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream

from penstock.errors import CodecError, MediaError, NetworkRefused, PeerError, PenstockError
from penstock.workers.media import Unit
from penstock.workers.steady import Steady

BUFFER: Final = 128 * 1024  # bytes of one read
MAX_TRACKS: Final = 64
# A picture's first time and the sound's may lie so far apart and still be one beginning.
ONE_BEGINNING_S: Final = Fraction(1, 4)

# Decoders that may look into the tracks: those of what a relay passes on or encodes anew.
DECODERS: Final = (
    *("h264", "hevc", "av1", "libdav1d", "libaom-av1", "vp8", "vp9", "libvpx", "libvpx-vp9", "mpeg4", "mpeg2video"),
    *("mpegvideo", "mpeg1video", "mjpeg", "png", "aac", "aac_latm", "mp3", "mp3float", "mp2", "mp2float", "ac3"),
    *("eac3", "opus", "libopus", "vorbis", "flac", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be"),
    *("pcm_f32le", "pcm_alaw", "pcm_mulaw", "pcm_u8", "speex", "libspeex", "flv", "h263"),
)
OPTIONS: Final = {
    "protocol_whitelist": "none",
    "codec_whitelist": ",".join(DECODERS),
    "enable_drefs": "0",
    "use_absolute_path": "0",
    "max_streams": str(MAX_TRACKS),
    "probesize": str(5 * 1024 * 1024),
    "analyzeduration": "10000000",
    "fflags": "+genpts",
}
# Options that only some formats know; another one would not open with them.
_ONLY_OF: Final = {"enable_drefs": "mov", "use_absolute_path": "mov"}


class Readable(Protocol):
    """What libav reads; `seekable` says whether it may seek."""

    def read(self, size: int, /) -> bytes: ...

    def seekable(self) -> bool: ...


class Source(Protocol):
    """What parts are cut out of."""

    video: Stream | None
    audio: Stream | None

    def units(self) -> Iterator[Unit]: ...

    def close(self) -> None: ...


def refuse(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    """What libav gets when it opens anything by itself."""
    raise MediaError("the file refers to another one, which is not followed")


class Input:
    """One opened container."""

    def __init__(self, file: Readable, form: str) -> None:
        """Opens it; that reads.

        Raises:
            MediaError: it cannot be played.
            PeerError, NetworkRefused: its bytes cannot be had.
        """
        options = {name: value for name, value in OPTIONS.items() if _ONLY_OF.get(name, form) == form}
        with translated():
            self.container: InputContainer = av.open(
                file, "r", format=form, options=options, buffer_size=BUFFER, io_open=refuse
            )
        self.form = form
        with translated():
            self.video = self._best("video")
            self.audio = self._best("audio")
        if self.video is None and self.audio is None:
            raise MediaError("the file has neither picture nor sound")
        for stream in self.container.streams:
            if stream not in (self.video, self.audio):
                stream.discard = av.stream.Discard.all
            elif stream.type in ("video", "audio"):
                # Threads would hold frames back, and take memory for each.
                cast(Any, stream).codec_context.thread_count = 1

    @property
    def length_s(self) -> float | None:
        """How long it says it is, its picture if it has one; None where it does not say."""
        video = self.video
        if video is not None and video.duration and video.time_base:
            return float(video.duration * video.time_base)
        duration = self.container.duration
        return duration / 1_000_000 if duration is not None and duration > 0 else None

    def close(self) -> None:
        with translated():
            self.container.close()

    def seek(self, at_s: Fraction) -> None:
        """Go to the last key frame at or before `at_s` of the file's own time."""
        stream = self.video or self.audio
        assert stream is not None
        assert stream.time_base is not None
        with translated():
            self.container.seek(int(at_s // stream.time_base), stream=stream, backward=True)

    def units(self) -> Iterator[Unit]:
        """Yield the packets of picture and sound as they lie in the file, to its end, on a line without leaps."""
        steady = Steady()
        for unit in self._units():
            if (at_its_place := steady.take(unit)) is not None:
                yield at_its_place

    def _units(self) -> Iterator[Unit]:
        wanted = [stream for stream in (self.video, self.audio) if stream is not None]
        lines = {stream.index: _Times(stream) for stream in wanted}
        packets = self.container.demux(*wanted)
        while True:
            with translated():
                packet = next(packets, None)
            if packet is None or packet.size == 0:
                # An empty one means the end of its track; all come at the end.
                if packet is None:
                    break
                continue
            if packet.is_corrupt or packet.is_discard:
                continue
            yield from lines[packet.stream_index].take(packet)
        for line in lines.values():
            yield from line.flush()

    def _best(self, kind: str) -> Stream | None:
        found = [stream for stream in self.container.streams if stream.type == kind and _is_played(stream)]
        best = self.container.streams.best(cast(Any, kind))
        if best is not None and best in found:
            return best
        return found[0] if found else None


def _is_played(stream: Stream) -> bool:
    # A cover is a track of one picture.
    is_cover = bool(stream.disposition & Disposition.attached_pic)
    return not is_cover and cast(Any, stream).codec_context is not None


class _Times:
    """One track's times: in seconds, and filled in where a container leaves them out."""

    def __init__(self, stream: Stream) -> None:
        assert stream.time_base is not None
        self._base = stream.time_base
        self._is_video = stream.type == "video"
        self._frame = _frame_of(stream)
        self._waiting: list[Packet[Any]] = []  # that came without a dts, ahead of the first that has one
        self._last_dts: Fraction | None = None
        self._last_duration = Fraction(0)

    def take(self, packet: Packet[Any]) -> Iterator[Unit]:
        if packet.dts is None and self._last_dts is None:
            self._waiting.append(packet)
            if len(self._waiting) > 64:
                raise MediaError("the file's packets have no times")
            return
        if packet.dts is not None:
            dts = packet.dts * self._base
        else:
            assert self._last_dts is not None
            dts = self._last_dts + (self._last_duration or self._frame)
        waiting, self._waiting = self._waiting, []
        step = self._frame or self._duration(packet)
        for n, early in enumerate(waiting):
            yield self._unit(early, dts - step * (len(waiting) - n))
        yield self._unit(packet, dts)

    def flush(self) -> Iterator[Unit]:
        for packet in self._waiting:
            if packet.pts is not None:
                yield self._unit(packet, packet.pts * self._base)

    def _duration(self, packet: Packet[Any]) -> Fraction:
        return packet.duration * self._base if packet.duration else self._frame

    def _unit(self, packet: Packet[Any], dts: Fraction) -> Unit:
        duration = self._duration(packet)
        if not duration and self._last_dts is not None:
            duration = max(Fraction(0), min(dts - self._last_dts, Fraction(1)))
        self._last_dts, self._last_duration = dts, duration
        pts = packet.pts * self._base if packet.pts is not None else dts
        return Unit(packet, self._is_video, dts, pts, duration, packet.is_keyframe)


def _frame_of(stream: Stream) -> Fraction:
    """Return how long a track's frames are by what its container or codec says, in seconds; 0 if neither does."""
    known = cast(Any, stream)
    if stream.type == "video":
        return 1 / Fraction(known.average_rate) if known.average_rate else Fraction(0)
    samples, rate = known.codec_context.frame_size, known.codec_context.sample_rate
    return Fraction(samples, rate) if samples and rate else Fraction(0)


class translated:  # noqa: N801  reads as a word of the statement
    """`with translated():` libav's errors become ours; ours that passed through libav stay themselves."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, MediaError | PeerError | NetworkRefused | GeneratorExit):
            return
        if isinstance(error, PenstockError | CodecError):
            raise MediaError(str(error)) from error
        if isinstance(error, av.FFmpegError | ValueError | OSError | IndexError):
            words = getattr(error, "strerror", None) or str(error)
            raise MediaError(f"the file cannot be read: {words}") from error
