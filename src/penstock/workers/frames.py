"""Samples as FLV: tags, and a sequence header wherever the setup changes."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from penstock.errors import CodecError
from penstock.link.relaying import Position
from penstock.model import Kind
from penstock.protocols import flv, flvwrite
from penstock.protocols.codecs.parse import parse_video_config
from penstock.workers.line import Timed
from penstock.workers.media import Sample, Setup


class Frame(Struct, frozen=True, gc=False):
    """One FLV tag on its way to the engine."""

    kind: Kind
    dts_ms: int
    is_key: bool  # a picture that decoding can start from; with sound alone, any frame
    is_header: bool
    tag: bytes
    position: Position  # where the list goes on behind it


class Writer:
    """Makes the frames of one relay."""

    def __init__(self) -> None:
        self._setups: dict[bool, Setup] = {}
        self._has_metadata = False

    def write(self, samples: Iterator[Timed]) -> Iterator[Frame]:
        for each in samples:
            sample, at = each.sample, each.position
            if self._setups.get(sample.is_video) != sample.setup:
                self._setups[sample.is_video] = sample.setup
                yield from self._headers(sample, each.dts_ms, at)
            yield self._frame(each, at)

    def _headers(self, sample: Sample, dts_ms: int, at: Position) -> Iterator[Frame]:
        setup = sample.setup
        # At the beginning, and with each new picture: sound's own header says all of it.
        if sample.is_video or not self._has_metadata:
            self._has_metadata = True
            yield Frame(Kind.DATA, dts_ms, False, True, flv.tag(flv.SCRIPT, dts_ms, self._metadata()), at)
        if sample.is_video:
            body = flvwrite.video_header(setup.codec, setup.record)
            yield Frame(Kind.VIDEO, dts_ms, False, True, flv.tag(flv.VIDEO, dts_ms, body), at)
        elif setup.codec == "aac":
            body = flvwrite.audio_header(setup.record)
            yield Frame(Kind.AUDIO, dts_ms, False, True, flv.tag(flv.AUDIO, dts_ms, body), at)

    def _frame(self, each: Timed, at: Position) -> Frame:
        sample, setup = each.sample, each.sample.setup
        if sample.is_video:
            ahead_ms = min(each.pts_ms - each.dts_ms, 0x7FFFFF)
            body = flvwrite.video_frame(setup.codec, sample.data, is_key=sample.is_key, composition_ms=ahead_ms)
            return Frame(Kind.VIDEO, each.dts_ms, sample.is_key, False, flv.tag(flv.VIDEO, each.dts_ms, body), at)
        body = flvwrite.audio_frame(setup.codec, sample.data, sample_rate=setup.sample_rate, channels=setup.channels)
        is_key = True not in self._setups
        return Frame(Kind.AUDIO, each.dts_ms, is_key, False, flv.tag(flv.AUDIO, each.dts_ms, body), at)

    def _metadata(self) -> bytes:
        video, audio = self._setups.get(True), self._setups.get(False)
        size = (0, 0, 0.0)
        if video is not None:
            try:
                known = parse_video_config(video.codec, video.record)
            except CodecError:
                pass  # players read the record by themselves
            else:
                size = (known.width, known.height, known.frame_rate or 0.0)
        return flvwrite.metadata(
            width=size[0],
            height=size[1],
            frame_rate=size[2],
            video=video.codec if video else "",
            audio=audio.codec if audio else "",
        )
