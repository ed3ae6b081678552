"""What the first bytes of an FLV or RTMP video or audio body say: codec, key frame, setup.

The plan: the answers that a healthy stream ever needs are all made once, at import, and looked
up by the body's first two bytes (AVC, AAC and their like) or first five (Enhanced RTMP, where a
FourCC follows). Only bodies that are short, empty, rare or strange come to the functions that
look closer. Nothing here raises: an unknown codec gets the name "unknown:…" and passes, and a
body too short to mean anything is None.

Source: Adobe Flash Video File Format Specification 10.1, annex E.4.2 and E.4.3; Veovera
Enhanced RTMP v2, "Enhanced Audio" and "Enhanced Video" (v2-2024-10-22-b1); codec id 12 for HEVC is
the convention of the Chinese CDNs (github.com/CDN-Union/H265).
"""

from __future__ import annotations

from typing import Final, TypeAlias

from msgspec import Struct

Buffer: TypeAlias = bytes | bytearray | memoryview


class VideoBody(Struct, frozen=True):
    """What a video body is."""

    codec: str
    is_key: bool  # a picture that decoding can start from
    is_header: bool  # a sequence header
    is_frame: bool  # holds a coded picture; false for setup, end marks, metadata and commands
    config_at: int = 0  # where the decoder's configuration record starts, in a header
    is_multitrack: bool = False  # several tracks in one body: to be passed on or left, not read


class AudioBody(Struct, frozen=True):
    """What an audio body is. Rate and channels are the tag's own word, None where it has none."""

    codec: str
    is_header: bool
    is_frame: bool
    config_at: int = 0
    sample_rate: int | None = None  # Hz
    channels: int | None = None
    is_multitrack: bool = False


def video_body(payload: Buffer) -> VideoBody | None:
    """Return what `payload` is, or None when it is too short to be anything."""
    if len(payload) > _AVC_DATA_AT:
        body = _AVC_BODIES.get(payload[0] << 8 | payload[1])
        if body is not None:
            return body
    return _other_video(payload)


def audio_body(payload: Buffer) -> AudioBody | None:
    """Return what `payload` is, or None when it is too short to be anything."""
    if len(payload) > _AAC_DATA_AT:
        body = _AAC_BODIES.get(payload[0] << 8 | payload[1])
        if body is not None:
            return body
    return _other_audio(payload)


def coded_picture(payload: Buffer, codec: str) -> tuple[int, int]:
    """Return where the data of a video frame starts, and its CompositionTime in ms (negative too).

    `payload` is a body that `video_body` called a frame of that codec.
    """
    first = payload[0]
    if not first & 0x80:
        return (_AVC_DATA_AT, _signed_24(payload, 2)) if first & 0x0F in _WITH_PACKET_TYPE else (1, 0)
    skipped = _skip_mod_ex(payload, first & 0x0F)
    assert skipped is not None
    packet_type, at = skipped
    at += 4  # the FourCC
    if packet_type == _CODED_FRAMES and codec in _WITH_COMPOSITION_TIME:
        return at + 3, _signed_24(payload, at)
    return at, 0


def coded_sound(payload: Buffer) -> int:
    """Return where the data of an audio frame starts, in a body that `audio_body` called one."""
    sound_format = payload[0] >> 4
    if sound_format != _EX_AUDIO:
        return _AAC_DATA_AT if sound_format == _AAC else 1
    skipped = _skip_mod_ex(payload, payload[0] & 0x0F)
    assert skipped is not None
    return skipped[1] + 4


def _signed_24(payload: Buffer, at: int) -> int:
    return int.from_bytes(payload[at : at + 3], "big", signed=True)


# ---- video, as Adobe left it ------------------------------------------------------------------

_KEY_FRAME = 1
_COMMAND_FRAME = 5
_AVC_DATA_AT = 5  # frame type and codec, AVCPacketType, CompositionTime (3 bytes)

_VIDEO_CODECS: Final = {
    1: "jpeg",
    2: "h263",  # Sorenson's
    3: "screen",
    4: "vp6",
    5: "vp6a",
    6: "screen2",
    7: "avc",
    8: "h263",
    9: "mpeg4",
    12: "hevc",
}
_WITH_PACKET_TYPE: Final = (7, 12)


def _avc_body(codec: str, frame_type: int, packet_type: int) -> VideoBody:
    if frame_type == _COMMAND_FRAME:  # what follows is a command, not an AVCPacketType
        return VideoBody(codec, False, False, False)
    if packet_type == 0:
        return VideoBody(codec, False, True, False, config_at=_AVC_DATA_AT)
    is_frame = packet_type == 1
    return VideoBody(codec, is_frame and frame_type == _KEY_FRAME, False, is_frame)


_AVC_BODIES: Final = {
    (frame_type << 4 | codec_id) << 8 | packet_type: _avc_body(_VIDEO_CODECS[codec_id], frame_type, packet_type)
    for frame_type in range(8)
    for codec_id in _WITH_PACKET_TYPE
    for packet_type in range(256)
}


def _plain_video_body(first: int) -> VideoBody:
    codec_id, frame_type = first & 0x0F, first >> 4
    is_frame = frame_type != _COMMAND_FRAME
    codec = _VIDEO_CODECS.get(codec_id, f"unknown:{codec_id}")
    return VideoBody(codec, is_frame and frame_type == _KEY_FRAME, False, is_frame)


_PLAIN_VIDEO: Final = [_plain_video_body(first) for first in range(128)]
_NO_VIDEO: Final = {codec: VideoBody(codec, False, False, False) for codec in ("avc", "hevc")}


def _other_video(payload: Buffer) -> VideoBody | None:
    size = len(payload)
    if size < 2:
        return None
    first = payload[0]
    if first & 0x80:
        return _ex_video(payload)
    if first & 0x0F not in _WITH_PACKET_TYPE:
        return _PLAIN_VIDEO[first]
    # An AVC body with a whole header and nothing in it: no picture, and no setup to keep. End
    # of sequence looks like this too. With less than a header only a command makes sense.
    if size < _AVC_DATA_AT and first >> 4 != _COMMAND_FRAME:
        return None
    return _NO_VIDEO[_VIDEO_CODECS[first & 0x0F]]


# ---- what Enhanced RTMP's video and audio have in common ---------------------------------------

_SEQUENCE_START = 0
_CODED_FRAMES = 1
_CODED_FRAMES_X = 3
_METADATA = 4
_MPEG2TS_SEQUENCE_START = 5
_VIDEO_MULTITRACK = 6
_AUDIO_MULTITRACK = 5
_MOD_EX = 7

_MANY_TRACKS_MANY_CODECS = 2
_EX_DATA_AT = 5  # packet type, FourCC
# One kind of ModEx is defined, so eight in a row are nobody's: without a bound a body made of
# them alone would keep us for millions of steps.
_MAX_MOD_EX = 8


def _skip_mod_ex(payload: Buffer, packet_type: int) -> tuple[int, int] | None:
    """Return the packet type behind any ModEx and the offset after it, or None if cut off."""
    at = 1
    for _ in range(_MAX_MOD_EX):
        if packet_type != _MOD_EX:
            return packet_type, at
        size = int.from_bytes(payload[at : at + 1], "big") + 1
        at += 1
        if size == 256:  # 255 says that the size is in the next two bytes instead
            size = int.from_bytes(payload[at : at + 2], "big") + 1
            at += 2
        at += size  # TimestampOffsetNano, the only kind so far, says less than a millisecond
        if at >= len(payload):
            return None
        packet_type = payload[at] & 0x0F  # the high half is the ModEx's own type
        at += 1
    return None


def _codec_name(fourcc: bytes, known: dict[bytes, str]) -> str:
    """The codec's name, made only of letters and digits that are safe to print."""
    if fourcc in known:
        return known[fourcc]
    return f"unknown:{fourcc.decode('ascii') if fourcc.isalnum() else fourcc.hex()}"


def _track_codec(payload: Buffer, at: int, known: dict[bytes, str]) -> str | None:
    """The codec of a multitrack body whose multitrack type is at `at`; None if cut off."""
    if at >= len(payload):
        return None
    if payload[at] >> 4 == _MANY_TRACKS_MANY_CODECS:
        return "unknown:multitrack"
    fourcc = bytes(payload[at + 1 : at + 5])
    return _codec_name(fourcc, known) if len(fourcc) == 4 else None


# ---- Enhanced RTMP video -----------------------------------------------------------------------

_VIDEO_FOURCCS: Final = {
    b"avc1": "avc",
    b"hvc1": "hevc",
    b"vvc1": "vvc",
    b"av01": "av1",
    b"vp08": "vp8",
    b"vp09": "vp9",
}
# Codecs whose CodedFrames carry a CompositionTime (3 bytes) ahead of the data.
_WITH_COMPOSITION_TIME: Final = frozenset(("avc", "hevc", "vvc"))
# MPEG2TSSequenceStart carries AV1's transport stream descriptor: tag and length, then the same
# bytes that open an av1C record.
_TS_DESCRIPTOR_HEAD = 2


def _ex_data_at(codec: str, packet_type: int) -> int:
    """How far behind the packet type's byte the packet's own data starts."""
    if packet_type == _CODED_FRAMES and codec in _WITH_COMPOSITION_TIME:
        return _EX_DATA_AT + 3
    return _EX_DATA_AT + (_TS_DESCRIPTOR_HEAD if packet_type == _MPEG2TS_SEQUENCE_START else 0)


def _ex_video_body(codec: str, frame_type: int, packet_type: int, shift: int = 0) -> VideoBody:
    """The answer for a body with data in it; `shift` is the bytes of ModEx before the FourCC."""
    if packet_type in (_SEQUENCE_START, _MPEG2TS_SEQUENCE_START):
        return VideoBody(codec, False, True, False, config_at=shift + _ex_data_at(codec, packet_type))
    is_frame = packet_type in (_CODED_FRAMES, _CODED_FRAMES_X)
    return VideoBody(codec, is_frame and frame_type == _KEY_FRAME, False, is_frame)


_EX_VIDEO_BODIES: Final = {
    bytes([0x80 | frame_type << 4 | packet_type]) + fourcc: _ex_video_body(codec, frame_type, packet_type)
    for fourcc, codec in _VIDEO_FOURCCS.items()
    for frame_type in range(8)
    for packet_type in (_SEQUENCE_START, _CODED_FRAMES, _CODED_FRAMES_X)
    if frame_type != _COMMAND_FRAME
}
_EX_ALWAYS_DATA = _EX_DATA_AT + 3  # a longer body has data in it whatever its packet type


def _ex_video(payload: Buffer) -> VideoBody | None:
    if len(payload) > _EX_ALWAYS_DATA:
        body = _EX_VIDEO_BODIES.get(bytes(payload[:_EX_DATA_AT]))
        if body is not None:
            return body
    skipped = _skip_mod_ex(payload, payload[0] & 0x0F)
    return _rare_ex_video(payload, *skipped) if skipped else None


def _rare_ex_video(payload: Buffer, packet_type: int, at: int) -> VideoBody | None:
    """The answer for a body whose real packet type is known and goes on at `at`."""
    frame_type = payload[0] >> 4 & 0x07
    if frame_type == _COMMAND_FRAME and packet_type != _METADATA:  # one byte of command, no FourCC
        return VideoBody("unknown:command", False, False, False) if at < len(payload) else None
    if packet_type == _VIDEO_MULTITRACK:
        track_codec = _track_codec(payload, at, _VIDEO_FOURCCS)
        return VideoBody(track_codec, False, False, False, is_multitrack=True) if track_codec else None
    if len(payload) < at + 4:
        return None
    codec = _codec_name(bytes(payload[at : at + 4]), _VIDEO_FOURCCS)
    if len(payload) <= at - 1 + _ex_data_at(codec, packet_type):
        return VideoBody(codec, False, False, False)
    return _ex_video_body(codec, frame_type, packet_type, at - 1)


# ---- audio, as Adobe left it -------------------------------------------------------------------

_AAC = 10
_AAC_DATA_AT = 2  # format, AACPacketType
_EX_AUDIO = 9

_SOUND_FORMATS: Final = {
    0: "pcm",
    1: "adpcm",
    2: "mp3",
    3: "pcm",
    4: "nellymoser",
    5: "nellymoser",
    6: "nellymoser",
    7: "g711a",
    8: "g711u",
    10: "aac",
    11: "speex",
    14: "mp3",
}
_SOUND_RATES: Final = (5512, 11025, 22050, 44100)
# Formats whose name fixes what the rate bits cannot say.
_FIXED_RATES: Final = {4: 16000, 5: 8000, 7: 8000, 8: 8000, 11: 16000, 14: 8000}
_MONO: Final = frozenset((4, 5, 11))


def _aac_body(packet_type: int) -> AudioBody:
    # AAC's rate and channel bits are constants that mean nothing: its header has the truth.
    if packet_type == 0:
        return AudioBody("aac", True, False, config_at=_AAC_DATA_AT)
    return AudioBody("aac", False, packet_type == 1)


_AAC_BY_TYPE: Final = [_aac_body(packet_type) for packet_type in range(256)]
_AAC_BODIES: Final = {
    (_AAC << 4 | low) << 8 | packet_type: _AAC_BY_TYPE[packet_type] for low in range(16) for packet_type in range(256)
}


def _plain_audio_body(first: int) -> AudioBody:
    sound_format = first >> 4
    codec = _SOUND_FORMATS.get(sound_format, f"unknown:{sound_format}")
    rate = _FIXED_RATES.get(sound_format, _SOUND_RATES[first >> 2 & 0x03])
    channels = 1 if sound_format in _MONO else (first & 0x01) + 1
    return AudioBody(codec, False, True, sample_rate=rate, channels=channels)


_PLAIN_AUDIO: Final = [_plain_audio_body(first) for first in range(256)]
_NO_AAC: Final = AudioBody("aac", False, False)


def _other_audio(payload: Buffer) -> AudioBody | None:
    if len(payload) < 2:
        return None
    sound_format = payload[0] >> 4
    if sound_format == _EX_AUDIO:
        return _ex_audio(payload)
    # AAC comes here only when nothing follows its header: no sound, and no setup to keep.
    return _NO_AAC if sound_format == _AAC else _PLAIN_AUDIO[payload[0]]


# ---- Enhanced RTMP audio -----------------------------------------------------------------------

_AUDIO_FOURCCS: Final = {
    b"mp4a": "aac",
    b"Opus": "opus",
    b".mp3": "mp3",
    b"fLaC": "flac",
    b"ac-3": "ac3",
    b"ec-3": "eac3",
}


def _ex_audio_body(codec: str, packet_type: int, shift: int = 0) -> AudioBody:
    if packet_type == _SEQUENCE_START:
        return AudioBody(codec, True, False, config_at=shift + _EX_DATA_AT)
    return AudioBody(codec, False, packet_type == _CODED_FRAMES)


_EX_AUDIO_BODIES: Final = {
    bytes([_EX_AUDIO << 4 | packet_type]) + fourcc: _ex_audio_body(codec, packet_type)
    for fourcc, codec in _AUDIO_FOURCCS.items()
    for packet_type in (_SEQUENCE_START, _CODED_FRAMES)
}


def _ex_audio(payload: Buffer) -> AudioBody | None:
    if len(payload) > _EX_DATA_AT:
        body = _EX_AUDIO_BODIES.get(bytes(payload[:_EX_DATA_AT]))
        if body is not None:
            return body
    skipped = _skip_mod_ex(payload, payload[0] & 0x0F)
    return _rare_ex_audio(payload, *skipped) if skipped else None


def _rare_ex_audio(payload: Buffer, packet_type: int, at: int) -> AudioBody | None:
    """The answer for a body whose real packet type is known and goes on at `at`."""
    if packet_type == _AUDIO_MULTITRACK:
        track_codec = _track_codec(payload, at, _AUDIO_FOURCCS)
        return AudioBody(track_codec, False, False, is_multitrack=True) if track_codec else None
    if len(payload) < at + 4:
        return None
    codec = _codec_name(bytes(payload[at : at + 4]), _AUDIO_FOURCCS)
    if len(payload) == at + 4:
        return AudioBody(codec, False, False)
    return _ex_audio_body(codec, packet_type, at - 1)
