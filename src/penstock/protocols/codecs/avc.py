"""H.264: the configuration record (avcC) and the sequence parameter set in it.

The plan: walk the record to its first SPS, take the emulation prevention out, and read the SPS
in the order of its syntax table. Everything up to the cropping must parse; the VUI after it
only adds the frame rate, so a broken one costs only that.

Source: ITU-T H.264 (08/2021), sections 7.3.2.1.1, 7.4.2.1.1, E.1.1 and annex A;
ISO/IEC 14496-15:2019, section 5.3.3.1.
"""

from __future__ import annotations

from typing import Final

from penstock.errors import CodecError
from penstock.protocols.codecs.bits import BitReader, unescape
from penstock.protocols.codecs.setup import VideoSetup, rate_of

NAL_SPS = 7
EXTENDED_SAR = 255
MAX_SIDE = 65535  # pixels: past level 6.2 by far, and still a size that nothing trips over

CHROMA: Final = ("4:0:0", "4:2:0", "4:2:2", "4:4:4")
# Luma samples for each chroma sample, across and down; 4:0:0 crops by single samples.
CHROMA_STEP: Final = ((1, 1), (2, 2), (2, 1), (1, 1))

_BASELINE, _MAIN, _EXTENDED = 66, 77, 88
_PROFILES: Final = {
    _BASELINE: "Baseline",
    _MAIN: "Main",
    _EXTENDED: "Extended",
    44: "CAVLC 4:4:4 Intra",
    83: "Scalable Baseline",
    86: "Scalable High",
    100: "High",
    110: "High 10",
    118: "Multiview High",
    122: "High 4:2:2",
    128: "Stereo High",
    244: "High 4:4:4 Predictive",
}
# The profiles whose constraint_set3_flag says that every picture is intra.
_INTRA: Final = {110: "High 10 Intra", 122: "High 4:2:2 Intra", 244: "High 4:4:4 Intra"}
# The profiles whose SPS goes on with the chroma format (7.3.2.1.1).
_WITH_CHROMA_FORMAT: Final = frozenset((44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244))

_SET1, _SET3 = 0x40, 0x10  # constraint_set1_flag and constraint_set3_flag in their byte


def parse_config(record: bytes) -> VideoSetup:
    """Return what an AVCDecoderConfigurationRecord's first SPS says.

    Raises:
        CodecError: the record or its SPS does not parse.
    """
    if len(record) < 6 or record[0] != 1:
        raise CodecError(f"an avcC record of {len(record)} bytes opens {record[:1].hex()!r}; wanted version 1")
    sets, at = _parameter_sets(record, 6, record[5] & 0x1F)
    if not sets:
        raise CodecError("an avcC record has no SPS; wanted one at least")
    if at >= len(record):
        raise CodecError(f"an avcC record ends at byte {at}; wanted its count of PPS")
    _parameter_sets(record, at + 1, record[at])  # a record cut off in there is useless to a decoder
    return parse_sps(sets[0])


def parse_sps(nal: bytes) -> VideoSetup:
    """Return what a sequence parameter set says; `nal` begins with its NAL unit header.

    Raises:
        CodecError: it is no SPS, or is broken ahead of its VUI.
    """
    if not nal or nal[0] & 0x1F != NAL_SPS:
        raise CodecError(f"a NAL unit opens {nal[:1].hex()!r}; wanted an SPS, type {NAL_SPS}")
    reader = BitReader(unescape(nal[1:]))
    profile_idc, constraints, level_idc = reader.read_bits(8), reader.read_bits(8), reader.read_bits(8)
    reader.ue_up_to(31, "seq_parameter_set_id")
    chroma_format, is_separate, bit_depth = _read_chroma_format(reader, profile_idc)
    _skip_picture_order(reader)
    width, height = _read_size(reader, 0 if is_separate else chroma_format)
    return VideoSetup(
        codec="avc",
        width=width,
        height=height,
        profile=_profile_name(profile_idc, constraints),
        level=_level_name(profile_idc, constraints, level_idc),
        frame_rate=_read_frame_rate(reader),
        bit_depth=bit_depth,
        chroma=CHROMA[chroma_format],
    )


def _parameter_sets(record: bytes, at: int, count: int) -> tuple[list[bytes], int]:
    """Return `count` parameter sets that start at `at`, and the offset after them."""
    sets = []
    for _ in range(count):
        start = at + 2
        at = start + int.from_bytes(record[at:start], "big")
        if start > len(record) or at > len(record):
            raise CodecError(f"an avcC record has {len(record)} bytes; wanted {max(start, at)} for its parameter sets")
        sets.append(record[start:at])
    return sets, at


def _read_chroma_format(reader: BitReader, profile_idc: int) -> tuple[int, bool, int]:
    """Return chroma_format_idc, separate_colour_plane_flag and the bit depth of luma."""
    if profile_idc not in _WITH_CHROMA_FORMAT:
        return 1, False, 8
    chroma_format = reader.ue_up_to(3, "chroma_format_idc")
    is_separate = chroma_format == 3 and reader.read_flag()
    bit_depth = 8 + reader.ue_up_to(6, "bit_depth_luma_minus8")
    reader.ue_up_to(6, "bit_depth_chroma_minus8")
    reader.skip(1)  # qpprime_y_zero_transform_bypass_flag
    if reader.read_flag():  # seq_scaling_matrix_present_flag
        for index in range(12 if chroma_format == 3 else 8):
            if reader.read_flag():
                _skip_scaling_list(reader, 16 if index < 6 else 64)
    return chroma_format, is_separate, bit_depth


def _skip_scaling_list(reader: BitReader, size: int) -> None:
    scale = 8
    for _ in range(size):
        scale = (scale + reader.se()) % 256
        if scale == 0:  # the rest repeats the last value, without a bit of its own
            return


def _skip_picture_order(reader: BitReader) -> None:
    """Pass from log2_max_frame_num_minus4 up to the picture's size."""
    reader.ue_up_to(12, "log2_max_frame_num_minus4")
    order_type = reader.ue_up_to(2, "pic_order_cnt_type")
    if order_type == 0:
        reader.ue_up_to(12, "log2_max_pic_order_cnt_lsb_minus4")
    elif order_type == 1:
        reader.skip(1)  # delta_pic_order_always_zero_flag
        reader.se()
        reader.se()
        for _ in range(reader.ue_up_to(255, "num_ref_frames_in_pic_order_cnt_cycle")):
            reader.se()
    reader.ue()  # max_num_ref_frames
    reader.skip(1)  # gaps_in_frame_num_value_allowed_flag


def _read_size(reader: BitReader, chroma_array_type: int) -> tuple[int, int]:
    """Return width and height, cropped (7-19 to 7-22)."""
    width_mbs, height_units = reader.ue() + 1, reader.ue() + 1
    is_frames_only = reader.read_flag()
    if not is_frames_only:
        reader.skip(1)  # mb_adaptive_frame_field_flag
    reader.skip(1)  # direct_8x8_inference_flag
    # Where pictures may be fields, both the height's unit and the cropping's are doubled.
    fields = 1 if is_frames_only else 2
    across, down = CHROMA_STEP[chroma_array_type]
    return crop(reader, width_mbs * 16, height_units * 16 * fields, across, down * fields)


def crop(reader: BitReader, width: int, height: int, across: int, down: int) -> tuple[int, int]:
    """Read a cropping flag and its four offsets, in steps of `across` and `down`; return the visible size."""
    left, right, top, bottom = (reader.ue() for _ in range(4)) if reader.read_flag() else (0, 0, 0, 0)
    visible = width - across * (left + right), height - down * (top + bottom)
    if not (0 < visible[0] <= width <= MAX_SIDE and 0 < visible[1] <= height <= MAX_SIDE):
        raise CodecError(f"a picture of {width}x{height} is cropped to {visible[0]}x{visible[1]}; wanted a visible one")
    return visible


def _read_frame_rate(reader: BitReader) -> float | None:
    try:
        if not reader.read_flag():  # vui_parameters_present_flag
            return None
        skip_vui_display(reader)
        if not reader.read_flag():  # timing_info_present_flag
            return None
        num_units_in_tick, time_scale = reader.read_bits(32), reader.read_bits(32)
    except CodecError:
        return None
    return rate_of(time_scale, 2 * num_units_in_tick)  # a tick is a field's time


def skip_vui_display(reader: BitReader) -> None:
    """Pass over the start of a VUI, which H.264 and H.265 share: up to the chroma location."""
    if reader.read_flag() and reader.read_bits(8) == EXTENDED_SAR:  # aspect_ratio_info_present_flag
        reader.skip(32)
    if reader.read_flag():  # overscan_info_present_flag
        reader.skip(1)
    if reader.read_flag():  # video_signal_type_present_flag
        reader.skip(4)
        if reader.read_flag():  # colour_description_present_flag
            reader.skip(24)
    if reader.read_flag():  # chroma_loc_info_present_flag
        reader.ue()
        reader.ue()


def _profile_name(profile_idc: int, constraints: int) -> str:
    if profile_idc == _BASELINE and constraints & _SET1:
        return "Constrained Baseline"
    if profile_idc in _INTRA and constraints & _SET3:
        return _INTRA[profile_idc]
    return _PROFILES.get(profile_idc, f"profile {profile_idc}")


def _level_name(profile_idc: int, constraints: int, level_idc: int) -> str:
    # Level 1b is 9, but in the first three profiles it is 11 with constraint_set3_flag (A.3.1).
    is_first = profile_idc in (_BASELINE, _MAIN, _EXTENDED)
    if level_idc == 9 or (level_idc == 11 and is_first and constraints & _SET3):
        return "1b"
    return f"{level_idc // 10}.{level_idc % 10}"
