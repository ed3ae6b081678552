"""Packets as they are, in the form that FLV carries: lengths instead of start codes, setup apart from frames."""

from __future__ import annotations

from typing import Any, Final, cast

from av.stream import Stream

from penstock.errors import CodecError
from penstock.protocols.codecs import adts, annexb
from penstock.protocols.codecs.mp3 import parse_frame
from penstock.protocols.codecs.parse import parse_audio_config, parse_video_config
from penstock.workers.media import Sample, Setup, Unit

# libav's names of what FLV and Enhanced RTMP carry as it is.
PICTURES: Final = {"h264": "avc", "hevc": "hevc", "av1": "av1"}
SOUNDS: Final = {"aac": "aac", "mp3": "mp3"}


def codec_of(stream: Stream) -> str:
    """Return libav's name of a track's codec, whichever decoder of it there is."""
    return str(cast(Any, stream).codec_context.codec.canonical_name)


def copier(stream: Stream) -> Copier | None:
    """Return what takes this track's packets as they are, or None if they must be encoded anew."""
    name = codec_of(stream)
    extradata = bytes(cast(Any, stream).codec_context.extradata or b"")
    if stream.type == "audio":
        return _sound_copier(name, extradata)
    codec = PICTURES.get(name)
    if codec is None or (codec == "av1" and not _parses(codec, extradata)):
        return None
    return PictureCopier(codec, extradata)


def _sound_copier(name: str, extradata: bytes) -> Copier | None:
    if name == "mp3":
        return Mp3Copier()
    if name != "aac":
        return None
    return AacCopier(extradata)


def _parses(codec: str, record: bytes) -> bool:
    try:
        parse_video_config(codec, record)
    except CodecError:
        return False
    return True


class Copier:
    """Makes samples of one track's units. `setup` is what is in force, once it is known."""

    setup: Setup | None = None

    def take(self, unit: Unit) -> Sample | None:
        """Return the unit as a sample; None for one that holds no frame, or none that can be carried."""
        if unit.packet.has_sidedata("new_extradata"):
            self.renew(bytes(unit.packet.get_sidedata("new_extradata")))
        data = self.frame(unit, bytes(unit.packet))
        if self.setup is None or not data:
            return None
        return Sample(unit.is_video, self.setup, unit.dts, unit.pts, unit.duration, unit.is_key, data)

    def renew(self, extradata: bytes) -> None:
        """Take another setup than before."""

    def frame(self, unit: Unit, data: bytes) -> bytes:
        """Return the frame alone, having noted a setup that came with it."""
        raise NotImplementedError


class PictureCopier(Copier):
    def __init__(self, codec: str, extradata: bytes) -> None:
        self._codec = codec
        self.renew(extradata)

    def renew(self, extradata: bytes) -> None:
        # Whether frames have start codes too is told by this alone: a length of 256 looks like one.
        self._has_lengths = extradata[:1] not in (b"", b"\0")
        if not self._has_lengths:
            self._note(annexb.sort_out(self._codec, extradata)[0])
        elif _parses(self._codec, extradata):
            self.setup = Setup(self._codec, extradata)

    def frame(self, unit: Unit, data: bytes) -> bytes:
        if self._codec == "av1" or self._has_lengths:
            return data
        sets, rest = annexb.sort_out(self._codec, data)
        if sets and unit.is_key:
            self._note(sets)
        return annexb.with_lengths(rest)

    def _note(self, sets: list[bytes]) -> None:
        try:
            self.setup = Setup(self._codec, annexb.record(self._codec, sets))
        except CodecError:
            # A set may come without the others; those before stay in force.
            return


class AacCopier(Copier):
    def __init__(self, extradata: bytes) -> None:
        self._channels = 0
        self.renew(extradata)

    def renew(self, extradata: bytes) -> None:
        try:
            known = parse_audio_config("aac", extradata)
        except CodecError:
            return
        self.setup = Setup("aac", extradata, known.sample_rate, known.channels)

    def frame(self, unit: Unit, data: bytes) -> bytes:
        if not adts.is_adts(data):
            return data
        try:
            config, frame = adts.parse_frame(data)
        except CodecError:
            return b""
        if self.setup is None or self.setup.record != config:
            self.renew(config)
        return frame


class Mp3Copier(Copier):
    def frame(self, unit: Unit, data: bytes) -> bytes:
        try:
            known = parse_frame(data)
        except CodecError:
            return b""
        if self.setup is None or (self.setup.sample_rate, self.setup.channels) != (known.sample_rate, known.channels):
            self.setup = Setup("mp3", b"", known.sample_rate, known.channels)
        return data
