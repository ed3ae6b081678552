"""Bodies of FLV's audio and video tags, made from frames: the way back of `flvbody`.

H.264, AAC and MP3 have the forms that Adobe gave them; HEVC and AV1 those of Enhanced RTMP.

Source: Adobe Flash Video File Format Specification 10.1, annex E.4.2 and E.4.3; Veovera Enhanced RTMP v2,
"Enhanced Video".
"""

from __future__ import annotations

from typing import Final

from penstock.protocols import amf0

VIDEO_CODECS: Final = frozenset(("avc", "hevc", "av1"))
AUDIO_CODECS: Final = frozenset(("aac", "mp3"))

_KEY, _INTER = 1, 2
_AVC = 7
_FOURCCS: Final = {"hevc": b"hvc1", "av1": b"av01"}
_SEQUENCE_START, _CODED_FRAMES, _CODED_FRAMES_X = 0, 1, 3
_MP3_RATES: Final = {5512: 0, 11025: 1, 22050: 2}

# What onMetaData calls the codecs: Adobe's numbers, and FourCCs where there are none.
_METADATA_IDS: Final = {"avc": 7, "hevc": 0x68766331, "av1": 0x61763031, "aac": 10, "mp3": 2}


def video_header(codec: str, record: bytes) -> bytes:
    """Return the body of a sequence header that holds the codec's configuration record."""
    if codec == "avc":
        return bytes((_KEY << 4 | _AVC, 0, 0, 0, 0)) + record
    return bytes((0x80 | _KEY << 4 | _SEQUENCE_START,)) + _FOURCCS[codec] + record


def video_frame(codec: str, data: bytes, *, is_key: bool, composition_ms: int) -> bytes:
    """Return a coded picture's body. `composition_ms` is pts less dts."""
    frame = _KEY if is_key else _INTER
    if codec == "avc":
        return bytes((frame << 4 | _AVC, 1)) + composition_ms.to_bytes(3, "big", signed=True) + data
    if codec == "hevc" and composition_ms:
        kind = bytes((0x80 | frame << 4 | _CODED_FRAMES,)) + _FOURCCS[codec]
        return kind + composition_ms.to_bytes(3, "big", signed=True) + data
    # AV1 has no composition time; HEVC's may be left out where it is nothing.
    packet_type = _CODED_FRAMES if codec == "av1" else _CODED_FRAMES_X
    return bytes((0x80 | frame << 4 | packet_type,)) + _FOURCCS[codec] + data


def audio_header(record: bytes) -> bytes:
    """Return the body of AAC's sequence header."""
    return b"\xaf\x00" + record


def audio_frame(codec: str, data: bytes, *, sample_rate: int = 44100, channels: int = 2) -> bytes:
    """Return a frame's body. The rate and channels matter for MP3 alone, whose tag tells them coarsely."""
    if codec == "aac":
        return b"\xaf\x01" + data
    return bytes((2 << 4 | _MP3_RATES.get(sample_rate, 3) << 2 | 2 | (channels > 1),)) + data


def metadata(*, width: int = 0, height: int = 0, frame_rate: float = 0.0, video: str = "", audio: str = "") -> bytes:
    """Return an onMetaData body of what is known; nothing is told of the rest."""
    values: dict[str, amf0.Value] = {}
    if video:
        values |= {"videocodecid": float(_METADATA_IDS[video])}
    if width and height:
        values |= {"width": float(width), "height": float(height)}
    if frame_rate:
        values |= {"framerate": frame_rate}
    if audio:
        values |= {"audiocodecid": float(_METADATA_IDS[audio])}
    return amf0.encode("onMetaData", amf0.EcmaArray(values))
