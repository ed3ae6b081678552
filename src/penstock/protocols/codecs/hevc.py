"""H.265: the configuration record (hvcC) and the sequence parameter set in it.

The plan: walk the record's arrays to the first SPS, and read it in the order of its syntax
table. Everything up to the bit depth must parse. The frame rate lies far behind, in the VUI,
past scaling lists and reference picture sets that must all be understood to be passed; if
anything there is broken, the size still stands and the frame rate is unknown.

Source: ITU-T H.265 (08/2021), sections 7.3.2.2, 7.3.3, 7.3.4, 7.3.7, 7.4.8, E.2.1 and annex A;
ISO/IEC 14496-15:2019, section 8.3.3.1.
"""

from __future__ import annotations

from typing import Final

from penstock.errors import CodecError
from penstock.protocols.codecs.avc import CHROMA, CHROMA_STEP, crop, skip_vui_display
from penstock.protocols.codecs.bits import BitReader, unescape
from penstock.protocols.codecs.setup import VideoSetup, rate_of

NAL_SPS = 33
_RECORD_HEAD = 22  # bytes of an hvcC ahead of its count of arrays
_MAX_NALS = 256  # an empty one takes two bytes, so a long record could hold millions
_MAX_PICS = 16  # MaxDpbSize: no set can name more pictures on either side

_PROFILES: Final = {
    1: "Main",
    2: "Main 10",
    3: "Main Still Picture",
    4: "Range Extensions",
    5: "High Throughput",
    6: "Multiview Main",
    7: "Scalable Main",
    8: "3D Main",
    9: "Screen Content Coding",
    10: "Scalable Range Extensions",
    11: "High Throughput Screen Content Coding",
}


def parse_config(record: bytes) -> VideoSetup:
    """Return what an HEVCDecoderConfigurationRecord's first SPS says.

    Raises:
        CodecError: the record or its SPS does not parse, or it has none.
    """
    # Version 0 is from before 14496-15 had HEVC in print; ffmpeg takes it too.
    if len(record) <= _RECORD_HEAD or record[0] > 1:
        raise CodecError(f"an hvcC record of {len(record)} bytes opens {record[:1].hex()!r}; wanted version 1")
    return parse_sps(_find_sps(record))


def parse_sps(nal: bytes) -> VideoSetup:
    """Return what a sequence parameter set says; `nal` begins with its NAL unit header.

    Raises:
        CodecError: it is no SPS, or is broken ahead of its bit depth.
    """
    if len(nal) < 2 or nal[0] >> 1 & 0x3F != NAL_SPS:
        raise CodecError(f"a NAL unit opens {nal[:2].hex()!r}; wanted an SPS, type {NAL_SPS}")
    reader = BitReader(unescape(nal[2:]))
    reader.skip(4)  # sps_video_parameter_set_id
    sub_layers = reader.read_bits(3)  # less one
    reader.skip(1)  # sps_temporal_id_nesting_flag
    profile_idc, level_idc = _read_profile_tier_level(reader, sub_layers)
    reader.ue_up_to(15, "sps_seq_parameter_set_id")
    chroma_format = reader.ue_up_to(3, "chroma_format_idc")
    is_separate = chroma_format == 3 and reader.read_flag()
    # Separate planes crop by single samples, as 4:4:4 does anyway.
    width, height = crop(reader, reader.ue(), reader.ue(), *CHROMA_STEP[0 if is_separate else chroma_format])
    bit_depth = 8 + reader.ue_up_to(8, "bit_depth_luma_minus8")
    reader.ue_up_to(8, "bit_depth_chroma_minus8")
    return VideoSetup(
        codec="hevc",
        width=width,
        height=height,
        profile=_PROFILES.get(profile_idc, f"profile {profile_idc}"),
        level=f"{level_idc // 30}.{level_idc % 30 // 3}",
        frame_rate=_read_frame_rate(reader, sub_layers),
        bit_depth=bit_depth,
        chroma=CHROMA[chroma_format],
    )


def _find_sps(record: bytes) -> bytes:
    reader = BitReader(record)
    reader.skip(_RECORD_HEAD * 8)
    nals_left = _MAX_NALS
    for _ in range(reader.read_bits(8)):
        nal_type = reader.read_bits(8) & 0x3F
        for _ in range(reader.read_bits(16)):
            size = reader.read_bits(16)
            start = len(record) - reader.bits_left // 8
            reader.skip(size * 8)
            if nal_type == NAL_SPS:
                return record[start : start + size]
            nals_left -= 1
            if not nals_left:
                raise CodecError(f"{_MAX_NALS} NAL units in an hvcC record and no SPS; wanted one")
    raise CodecError("an hvcC record has no SPS; wanted one at least")


def _read_profile_tier_level(reader: BitReader, sub_layers: int) -> tuple[int, int]:
    """Return general_profile_idc and general_level_idc, and pass over the sub-layers' own."""
    reader.skip(3)  # general_profile_space, general_tier_flag
    profile_idc = reader.read_bits(5)
    reader.skip(32 + 48)  # compatibility and constraint flags
    level_idc = reader.read_bits(8)
    presence = [(reader.read_flag(), reader.read_flag()) for _ in range(sub_layers)]
    if sub_layers:
        reader.skip(2 * (8 - sub_layers))
    for has_profile, has_level in presence:
        reader.skip(88 * has_profile + 8 * has_level)
    return profile_idc, level_idc


def _read_frame_rate(reader: BitReader, sub_layers: int) -> float | None:
    try:
        _skip_to_vui(reader, sub_layers)
        if not reader.read_flag():  # vui_parameters_present_flag
            return None
        skip_vui_display(reader)
        reader.skip(3)  # neutral_chroma_indication_flag, field_seq_flag, frame_field_info_present_flag
        if reader.read_flag():  # default_display_window_flag
            _skip_ue(reader, 4)
        if not reader.read_flag():  # vui_timing_info_present_flag
            return None
        num_units_in_tick, time_scale = reader.read_bits(32), reader.read_bits(32)
    except CodecError:
        return None
    return rate_of(time_scale, num_units_in_tick)


def _skip_to_vui(reader: BitReader, sub_layers: int) -> None:
    """Pass from log2_max_pic_order_cnt_lsb_minus4 up to vui_parameters_present_flag."""
    order_bits = 4 + reader.ue_up_to(12, "log2_max_pic_order_cnt_lsb_minus4")
    has_ordering_for_each = reader.read_flag()
    _skip_ue(reader, 3 * (sub_layers + 1 if has_ordering_for_each else 1))
    _skip_ue(reader, 6)  # sizes and depths of coding and transform blocks
    if reader.read_flag() and reader.read_flag():  # scaling lists are on, and are in this SPS
        _skip_scaling_lists(reader)
    reader.skip(2)  # amp_enabled_flag, sample_adaptive_offset_enabled_flag
    if reader.read_flag():  # pcm_enabled_flag
        reader.skip(8)
        _skip_ue(reader, 2)
        reader.skip(1)
    _skip_short_term_sets(reader)
    if reader.read_flag():  # long_term_ref_pics_present_flag
        reader.skip(reader.ue_up_to(32, "num_long_term_ref_pics_sps") * (order_bits + 1))
    reader.skip(2)  # sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag


def _skip_ue(reader: BitReader, count: int) -> None:
    for _ in range(count):
        reader.ue()


def _skip_scaling_lists(reader: BitReader) -> None:
    for size_id in range(4):
        for _ in range(2 if size_id == 3 else 6):
            if not reader.read_flag():  # scaling_list_pred_mode_flag: copied from another
                reader.ue()
                continue
            # The two large sizes have a number of their own for the first coefficient.
            for _ in range((16, 64, 65, 65)[size_id]):
                reader.se()


def _skip_short_term_sets(reader: BitReader) -> None:
    """Pass over the st_ref_pic_sets; each one's length depends on what the one before it says."""
    deltas: list[int] = []
    for index in range(reader.ue_up_to(64, "num_short_term_ref_pic_sets")):
        is_predicted = index > 0 and reader.read_flag()  # inter_ref_pic_set_prediction_flag
        deltas = _read_predicted_set(reader, deltas) if is_predicted else _read_explicit_set(reader)


def _read_explicit_set(reader: BitReader) -> list[int]:
    """Return the set's picture order deltas: those before the picture, then those after it."""
    before = reader.ue_up_to(_MAX_PICS, "num_negative_pics")
    after = reader.ue_up_to(_MAX_PICS, "num_positive_pics")
    return _read_deltas(reader, before, -1) + _read_deltas(reader, after, 1)


def _read_deltas(reader: BitReader, count: int, sign: int) -> list[int]:
    deltas, delta = [], 0
    for _ in range(count):
        delta += sign * (reader.ue() + 1)
        reader.skip(1)  # used_by_curr_pic
        deltas.append(delta)
    return deltas


def _read_predicted_set(reader: BitReader, last: list[int]) -> list[int]:
    """Return the set that moves `last` along and leaves some out (7-61 and 7-62).

    The equations walk backwards and forwards through both sides to keep each sorted outwards
    from the picture; sorting says the same.
    """
    is_negative = reader.read_flag()  # delta_rps_sign
    shift = reader.ue() + 1
    shift = -shift if is_negative else shift
    kept = []
    for delta in [*last, 0]:  # the last one is the earlier picture itself
        is_used = reader.read_flag()
        if is_used or reader.read_flag():  # use_delta_flag
            kept.append(delta + shift)
    if len(kept) > 2 * _MAX_PICS:
        raise CodecError(f"a reference picture set names {len(kept)} pictures; wanted {2 * _MAX_PICS} at most")
    return sorted((d for d in kept if d < 0), reverse=True) + sorted(d for d in kept if d > 0)
