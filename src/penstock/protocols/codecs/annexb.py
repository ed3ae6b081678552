"""Annex B: NAL units between start codes, as MPEG-TS and encoders have them, and the records that FLV wants.

The plan: cut a picture at its start codes once, keep what belongs into the record (parameter sets) apart, and
write the rest with lengths. A record is built from the parameter sets alone.

Source: ITU-T H.264 and H.265 (08/2021), annex B; ISO/IEC 14496-15:2019, sections 5.3.3.1 and 8.3.3.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from penstock.errors import CodecError
from penstock.protocols.codecs import avc, hevc
from penstock.protocols.codecs.bits import unescape

_START: Final = b"\x00\x00\x01"
_AVC_SPS, _AVC_PPS, _AVC_DELIMITER = 7, 8, 9
_HEVC_VPS, _HEVC_SPS, _HEVC_PPS, _HEVC_DELIMITER = 32, 33, 34, 35
_AVC_WITH_CHROMA: Final = frozenset((100, 110, 122, 144))  # profiles whose record goes on with the chroma format
_CHROMA_IDC: Final = {"4:0:0": 0, "4:2:0": 1, "4:2:2": 2, "4:4:4": 3}
_MAX_SETS: Final = 16  # of a kind, in a record that we build


def split(data: bytes) -> list[bytes]:
    """Return the NAL units of a picture, without start codes and the zeros around them."""
    return [nal for part in data.split(_START)[1:] if (nal := part.rstrip(b"\x00"))]


def with_lengths(nals: Sequence[bytes]) -> bytes:
    """Return NAL units as FLV and MP4 have them, each behind its length in four bytes."""
    return b"".join(len(nal).to_bytes(4, "big") + nal for nal in nals)


def sort_out(codec: str, data: bytes) -> tuple[list[bytes], list[bytes]]:
    """Return (parameter sets, all that is left but delimiters) of a picture in Annex B; `codec` is avc or hevc."""
    sets: list[bytes] = []
    rest: list[bytes] = []
    kinds, delimiter = _KINDS[codec]
    for nal in split(data):
        kind = nal_type(codec, nal)
        if kind in kinds:
            sets.append(nal)
        elif kind != delimiter:
            rest.append(nal)
    return sets, rest


def nal_type(codec: str, nal: bytes) -> int:
    return nal[0] & 0x1F if codec == "avc" else nal[0] >> 1 & 0x3F


def record(codec: str, sets: Sequence[bytes]) -> bytes:
    """Return the configuration record that a picture's parameter sets make.

    Raises:
        CodecError: a set is missing or does not parse.
    """
    return _avc_record(sets) if codec == "avc" else _hevc_record(sets)


_KINDS: Final = {
    "avc": ((_AVC_SPS, _AVC_PPS), _AVC_DELIMITER),
    "hevc": ((_HEVC_VPS, _HEVC_SPS, _HEVC_PPS), _HEVC_DELIMITER),
}


def _of(codec: str, sets: Sequence[bytes], kind: int, name: str) -> list[bytes]:
    found = list(dict.fromkeys(each for each in sets if nal_type(codec, each) == kind))
    if not 0 < len(found) <= _MAX_SETS or max(map(len, found)) > 0xFFFF:
        raise CodecError(f"a picture brings {len(found)} {name}; wanted 1 to {_MAX_SETS}")
    return found


def _counted(sets: Sequence[bytes]) -> bytes:
    return b"".join(len(each).to_bytes(2, "big") + each for each in sets)


def _avc_record(sets: Sequence[bytes]) -> bytes:
    all_sps, all_pps = _of("avc", sets, _AVC_SPS, "SPS"), _of("avc", sets, _AVC_PPS, "PPS")
    sps = all_sps[0]
    setup = avc.parse_sps(sps)
    head = bytes((1, *sps[1:4], 0xFF, 0xE0 | len(all_sps)))
    tail = b""
    if sps[1] in _AVC_WITH_CHROMA:
        tail = bytes((0xFC | _CHROMA_IDC[setup.chroma], 0xF8 | setup.bit_depth - 8, 0xF8 | setup.bit_depth - 8, 0))
    return head + _counted(all_sps) + bytes((len(all_pps),)) + _counted(all_pps) + tail


def _hevc_record(sets: Sequence[bytes]) -> bytes:
    kinds = ((_HEVC_VPS, "VPS"), (_HEVC_SPS, "SPS"), (_HEVC_PPS, "PPS"))
    arrays = [(kind, _of("hevc", sets, kind, name)) for kind, name in kinds]
    sps = arrays[1][1][0]
    setup = hevc.parse_sps(sps)
    plain = unescape(sps[2:])
    sub_layers, is_nested = (plain[0] >> 1 & 7) + 1, plain[0] & 1
    depth = 0xF8 | setup.bit_depth - 8
    head = bytes((1, *plain[1:13], 0xF0, 0x00, 0xFC, 0xFC | _CHROMA_IDC[setup.chroma], depth, depth, 0, 0))
    head += bytes((sub_layers << 3 | is_nested << 2 | 3, len(arrays)))
    # The highest bit says that all sets of the kind are in here.
    return head + b"".join(
        bytes((0x80 | kind,)) + len(found).to_bytes(2, "big") + _counted(found) for kind, found in arrays
    )
