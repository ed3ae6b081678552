"""AAC: the AudioSpecificConfig.

The plan: read the fixed start (object type, rate, channels), the general audio part only as far
as the channel count or the extension behind it needs, then look for the SBR and PS signals in
both places where encoders put them: ahead of the real object type (hierarchical), or at the end
behind a sync word (backward compatible), where old decoders do not see them.

Source: ISO/IEC 14496-3:2019, sections 1.6.2.1, 1.6.3, 1.6.5, 4.4.1 and 4.5.1.
"""

from __future__ import annotations

from typing import Final

from penstock.errors import CodecError
from penstock.protocols.codecs.bits import BitReader
from penstock.protocols.codecs.setup import AudioSetup

_SAMPLE_RATES: Final = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_EXPLICIT_RATE = 15
_CHANNELS: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 8, 11: 7, 12: 8, 13: 24, 14: 8}

_SBR, _PS, _ER_BSAC, _ESCAPE = 5, 29, 22, 31
_GENERAL_AUDIO: Final = frozenset((1, 2, 3, 4, 6, 7, 17, 19, 20, 21, 22, 23))
_SCALABLE: Final = frozenset((6, 20))
_RESILIENT: Final = frozenset((17, 19, 20, 23))
_WITH_EP_CONFIG: Final = frozenset((17, 19, 20, 21, 22, 23))
# By object type: samples of a frame, and with frameLengthFlag; all others are like LC (4.5.1.1, 4.6.20.2).
_FRAME_SAMPLES: Final = {2: (1024, 960), 23: (512, 480), 39: (512, 480)}
_SBR_SYNC, _PS_SYNC = 0x2B7, 0x548

_PROFILES: Final = {1: "Main", 2: "LC", 3: "SSR", 4: "LTP", 23: "LD", 39: "ELD", 42: "xHE-AAC"}


class _Config:
    """What has been read so far."""

    def __init__(self, reader: BitReader) -> None:
        self.reader = reader
        self.object_type = _read_object_type(reader)
        self.sample_rate = self.coded_rate = _read_sample_rate(reader)
        self.channel_config = reader.read_bits(4)
        self.frame_samples = _FRAME_SAMPLES.get(self.object_type, _FRAME_SAMPLES[2])[0]
        self.has_sbr = self.has_ps = False


def parse_config(data: bytes) -> AudioSetup:
    """Return what an AudioSpecificConfig says.

    Raises:
        CodecError: it does not parse, or does not say the number of channels.
    """
    config = _Config(BitReader(data))
    if config.object_type in (_SBR, _PS):
        _read_hierarchical_extension(config)
    channels = _read_general_audio(config)
    if not config.has_sbr:
        _read_backward_compatible_extension(config)
    # Parametric stereo makes two channels of the one that is coded.
    channels = 2 if config.has_ps and channels == 1 else channels
    # SBR doubles the rate, if the extension says no other.
    frame_samples = max(1, config.frame_samples * config.sample_rate // config.coded_rate)
    return AudioSetup("aac", config.sample_rate, channels, _profile_name(config), frame_samples)


def object_type(data: bytes) -> int:
    """Return the object type that an AudioSpecificConfig opens with.

    Raises:
        CodecError: it is cut short in there.
    """
    return _read_object_type(BitReader(data))


def _read_object_type(reader: BitReader) -> int:
    object_type = reader.read_bits(5)
    return 32 + reader.read_bits(6) if object_type == _ESCAPE else object_type


def _read_sample_rate(reader: BitReader) -> int:
    index = reader.read_bits(4)
    if index == _EXPLICIT_RATE:
        rate = reader.read_bits(24)
        if not rate:
            raise CodecError("samplingFrequency is 0; wanted a rate")
        return rate
    if index >= len(_SAMPLE_RATES):
        raise CodecError(f"samplingFrequencyIndex is {index}; wanted 0 to 12, or 15")
    return _SAMPLE_RATES[index]


def _read_hierarchical_extension(config: _Config) -> None:
    config.has_sbr = True
    config.has_ps = config.object_type == _PS
    config.sample_rate = _read_sample_rate(config.reader)
    config.object_type = _read_object_type(config.reader)
    config.frame_samples = _FRAME_SAMPLES.get(config.object_type, _FRAME_SAMPLES[2])[0]
    if config.object_type == _ER_BSAC:
        config.reader.skip(4)  # extensionChannelConfiguration


def _read_general_audio(config: _Config) -> int:
    """Return the number of channels, having passed over GASpecificConfig if there is one."""
    reader = config.reader
    if config.object_type not in _GENERAL_AUDIO:
        return _channels_of(config.channel_config)
    has_extension = _read_first_flags(config)
    channels = _channels_of(config.channel_config) if config.channel_config else _read_program_config(reader)
    _skip_extension_flags(config, has_extension)
    return channels


def _channels_of(channel_config: int) -> int:
    if channel_config not in _CHANNELS:
        raise CodecError(f"channelConfiguration is {channel_config}; wanted 1 to 7, or 11 to 14")
    return _CHANNELS[channel_config]


def _read_first_flags(config: _Config) -> bool:
    """Return extensionFlag, having read or passed over what stands before it."""
    reader = config.reader
    if reader.read_flag():  # frameLengthFlag
        config.frame_samples = _FRAME_SAMPLES.get(config.object_type, _FRAME_SAMPLES[2])[1]
    if reader.read_flag():  # dependsOnCoreCoder
        reader.skip(14)
    return reader.read_flag()


def _skip_extension_flags(config: _Config, has_extension: bool) -> None:
    reader, object_type = config.reader, config.object_type
    if object_type in _SCALABLE:
        reader.skip(3)  # layerNr
    if has_extension:
        if object_type == _ER_BSAC:
            reader.skip(5 + 11)
        if object_type in _RESILIENT:
            reader.skip(3)
        reader.skip(1)  # extensionFlag3
    if object_type in _WITH_EP_CONFIG:
        reader.skip(2)  # epConfig


def _read_program_config(reader: BitReader) -> int:
    """Return the number of channels that a program_config_element counts (4.5.1.2)."""
    reader.skip(4 + 2 + 4)  # element_instance_tag, object_type, sampling_frequency_index
    sides = reader.read_bits(4) + reader.read_bits(4) + reader.read_bits(4)  # front, side, back
    lfe, data, coupling = reader.read_bits(2), reader.read_bits(3), reader.read_bits(4)
    for size in (4, 4, 3):  # mono, stereo and matrix mixdown
        if reader.read_flag():
            reader.skip(size)
    channels = lfe
    for _ in range(sides):
        channels += 2 if reader.read_flag() else 1  # a pair, or a single channel
        reader.skip(4)
    reader.skip(4 * lfe + 4 * data + 5 * coupling)
    reader.align()
    reader.skip(8 * reader.read_bits(8))  # comment
    if not channels:
        raise CodecError("a program_config_element counts no channels; wanted one at least")
    return channels


def _read_backward_compatible_extension(config: _Config) -> None:
    reader = config.reader
    # The specification's own condition: shorter rests are padding.
    if reader.bits_left < 16 or reader.read_bits(11) != _SBR_SYNC:
        return
    if _read_object_type(reader) != _SBR or not reader.read_flag():
        return
    config.sample_rate = _read_sample_rate(reader)
    config.has_sbr = True
    if reader.bits_left >= 12 and reader.read_bits(11) == _PS_SYNC:
        config.has_ps = reader.read_flag()


def _profile_name(config: _Config) -> str:
    if config.has_ps:
        return "HE-AACv2"
    if config.has_sbr and config.object_type == 2:
        return "HE-AAC"
    return _PROFILES.get(config.object_type, f"object type {config.object_type}")
