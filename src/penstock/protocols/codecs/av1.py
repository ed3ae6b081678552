"""AV1: the configuration record (av1C) and the sequence header OBU in it.

The plan: the record's four bytes are only checked for what they are; the sequence header behind
them says the same and the size too, so that alone is read, in the order of its syntax table.

Source: AV1 Bitstream & Decoding Process Specification 1.0.0 errata 1, sections 5.3, 5.5, A.2
and A.3; AV1 Codec ISO Media File Format Binding 1.2.0, section 2.3.
"""

from __future__ import annotations

from typing import Final

from penstock.errors import CodecError
from penstock.protocols.codecs.bits import BitReader
from penstock.protocols.codecs.setup import VideoSetup, rate_of

OBU_SEQUENCE_HEADER = 1
_MARKER_AND_VERSION = 0x81
_RECORD_HEAD = 4
_MAX_OBUS = 64  # an empty one takes two bytes, so a long record could hold millions

_PROFILES: Final = ("Main", "High", "Professional")
_CP_BT_709, _TC_SRGB, _MC_IDENTITY = 1, 13, 0
_SELECT_SCREEN_CONTENT_TOOLS = 2


def parse_config(record: bytes) -> VideoSetup:
    """Return what the sequence header in an AV1CodecConfigurationRecord says.

    Raises:
        CodecError: the record does not parse, or has no sequence header (which it may leave
            out, but then it does not say the size).
    """
    if len(record) < _RECORD_HEAD or record[0] != _MARKER_AND_VERSION:
        raise CodecError(f"an av1C record of {len(record)} bytes opens {record[:1].hex()!r}; wanted '81'")
    return parse_sequence_header(_find_sequence_header(record[_RECORD_HEAD:]))


def parse_sequence_header(payload: bytes) -> VideoSetup:
    """Return what a sequence header OBU says; `payload` begins after the OBU's header and size.

    Raises:
        CodecError: it does not parse.
    """
    reader = BitReader(payload)
    profile = reader.read_bits(3)
    if profile >= len(_PROFILES):
        raise CodecError(f"seq_profile is {profile}; wanted 2 at most")
    reader.skip(1)  # still_picture
    is_reduced = reader.read_flag()
    frame_rate, level = (None, reader.read_bits(5)) if is_reduced else _read_rate_and_level(reader)
    width_bits, height_bits = reader.read_bits(4) + 1, reader.read_bits(4) + 1
    width, height = reader.read_bits(width_bits) + 1, reader.read_bits(height_bits) + 1
    _skip_tools(reader, is_reduced)
    bit_depth, chroma = _read_color_config(reader, profile)
    return VideoSetup(
        codec="av1",
        width=width,
        height=height,
        profile=_PROFILES[profile],
        level=f"{2 + (level >> 2)}.{level & 3}" if level < 31 else "unbounded",
        frame_rate=frame_rate,
        bit_depth=bit_depth,
        chroma=chroma,
    )


def _find_sequence_header(obus: bytes) -> bytes:
    at = 0
    for _ in range(_MAX_OBUS):
        if at >= len(obus):
            break
        header = obus[at]
        at += 2 if header & 0x04 else 1  # obu_extension_flag
        size, at = _read_leb128(obus, at) if header & 0x02 else (len(obus) - at, at)
        if header >> 3 & 0x0F == OBU_SEQUENCE_HEADER:
            if size > len(obus) - at:
                raise CodecError(f"a sequence header has {max(len(obus) - at, 0)} bytes; wanted {size}")
            return obus[at : at + size]
        at += size
    raise CodecError("an av1C record has no sequence header; wanted one")


def _read_leb128(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at `at`, low seven bits first, and the offset after it."""
    value = 0
    for index, byte in enumerate(data[at : at + 8]):
        value |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            return value, at + index + 1
    raise CodecError(f"an OBU's size at byte {at} does not end; wanted 8 bytes at most")


def _read_rate_and_level(reader: BitReader) -> tuple[float | None, int]:
    """Return the frame rate and the first operating point's level."""
    frame_rate = None
    delay_bits = 0  # no decoder model
    if reader.read_flag():  # timing_info_present_flag
        frame_rate = _read_timing_info(reader)
        if reader.read_flag():  # decoder_model_info_present_flag
            delay_bits = reader.read_bits(5) + 1
            reader.skip(32 + 5 + 5)
    has_display_delay = reader.read_flag()
    count = reader.read_bits(5) + 1
    levels = [_read_operating_point(reader, delay_bits, has_display_delay) for _ in range(count)]
    return frame_rate, levels[0]


def _read_timing_info(reader: BitReader) -> float | None:
    num_units_in_display_tick, time_scale = reader.read_bits(32), reader.read_bits(32)
    if not reader.read_flag():  # equal_picture_interval: without it a tick says nothing of pictures
        return None
    ticks_per_picture = reader.ue() + 1
    return rate_of(time_scale, num_units_in_display_tick * ticks_per_picture)


def _read_operating_point(reader: BitReader, delay_bits: int, has_display_delay: bool) -> int:
    """Return the operating point's seq_level_idx."""
    reader.skip(12)  # operating_point_idc
    level = reader.read_bits(5)
    if level > 7:
        reader.skip(1)  # seq_tier
    if delay_bits and reader.read_flag():  # decoder_model_present_for_this_op
        reader.skip(2 * delay_bits + 1)
    if has_display_delay and reader.read_flag():
        reader.skip(4)
    return level


def _skip_tools(reader: BitReader, is_reduced: bool) -> None:
    """Pass from frame_id_numbers_present_flag up to the color config."""
    if not is_reduced and reader.read_flag():  # frame_id_numbers_present_flag
        reader.skip(4 + 3)
    reader.skip(3)  # use_128x128_superblock, enable_filter_intra, enable_intra_edge_filter
    if not is_reduced:
        _skip_inter_tools(reader)
    reader.skip(3)  # enable_superres, enable_cdef, enable_restoration


def _skip_inter_tools(reader: BitReader) -> None:
    reader.skip(4)  # interintra, masked compound, warped motion, dual filter
    has_order_hint = reader.read_flag()
    if has_order_hint:
        reader.skip(2)  # enable_jnt_comp, enable_ref_frame_mvs
    is_chosen_by_frame = reader.read_flag()  # seq_choose_screen_content_tools
    tools = _SELECT_SCREEN_CONTENT_TOOLS if is_chosen_by_frame else reader.read_bits(1)
    if tools and not reader.read_flag():  # seq_choose_integer_mv
        reader.skip(1)  # seq_force_integer_mv
    if has_order_hint:
        reader.skip(3)


def _read_color_config(reader: BitReader, profile: int) -> tuple[int, str]:
    """Return bit depth and chroma format, as they stand in the spec's color_config (5.5.2)."""
    bit_depth = 10 if reader.read_flag() else 8
    if profile == 2 and bit_depth == 10 and reader.read_flag():
        bit_depth = 12
    is_mono = profile != 1 and reader.read_flag()
    color = (2, 2, 2)  # unspecified
    if reader.read_flag():  # color_description_present_flag
        color = (reader.read_bits(8), reader.read_bits(8), reader.read_bits(8))
    if is_mono:
        return bit_depth, "4:0:0"
    if color == (_CP_BT_709, _TC_SRGB, _MC_IDENTITY):  # RGB
        return bit_depth, "4:4:4"
    reader.skip(1)  # color_range
    return bit_depth, _read_subsampling(reader, profile, bit_depth)


def _read_subsampling(reader: BitReader, profile: int, bit_depth: int) -> str:
    if profile < 2:
        return ("4:2:0", "4:4:4")[profile]
    if bit_depth < 12:
        return "4:2:2"
    if not reader.read_flag():  # subsampling_x
        return "4:4:4"
    return "4:2:0" if reader.read_flag() else "4:2:2"  # subsampling_y
