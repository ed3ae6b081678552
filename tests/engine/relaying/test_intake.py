"""Messages of a source as packets."""

from __future__ import annotations

import pytest

from penstock.engine.relaying.intake import Intake
from penstock.model import Kind, MediaPacket
from penstock.protocols.rtmp.chunk import Message
from tests.engine.kit import (
    AAC_HEADER,
    AVC_HEADER,
    audio_body,
    inter_body,
    key_body,
    message_buffer,
    metadata_body,
    packet,
)


def message(kind: int, timestamp: int, body: bytes) -> Message:
    return Message(kind, timestamp, 1, message_buffer(body))


def taken(intake: Intake, kind: int, timestamp: int, body: bytes) -> MediaPacket | None:
    return intake.packet(message(kind, timestamp, body))


def test_a_message_becomes_a_packet_in_its_own_buffer() -> None:
    intake = Intake(1000)
    one = message(Kind.VIDEO, 5000, key_body())
    made = intake.packet(one)
    assert made == packet(Kind.VIDEO, 1000, key_body(), is_key=True)
    assert made is not None
    assert made.tag is one.buffer
    assert taken(intake, Kind.AUDIO, 5021, audio_body()) == packet(Kind.AUDIO, 1021, audio_body())


def test_setup_stands_where_the_last_frame_stood() -> None:
    intake = Intake(1000)
    taken(intake, Kind.VIDEO, 0, key_body())
    taken(intake, Kind.VIDEO, 40, inter_body())
    assert taken(intake, Kind.AUDIO, 0, AAC_HEADER) == packet(Kind.AUDIO, 1040, AAC_HEADER, is_header=True)
    assert taken(intake, Kind.VIDEO, 0, AVC_HEADER) == packet(Kind.VIDEO, 1040, AVC_HEADER, is_header=True)


def test_nothing_is_shown_before_a_key_frame_but_sound_is_heard() -> None:
    intake = Intake(0)
    assert taken(intake, Kind.VIDEO, 0, inter_body()) is None
    assert taken(intake, Kind.AUDIO, 10, audio_body()) == packet(Kind.AUDIO, 0, audio_body())
    assert taken(intake, Kind.VIDEO, 50, key_body()) == packet(Kind.VIDEO, 40, key_body(), is_key=True)
    assert taken(intake, Kind.VIDEO, 90, inter_body()) == packet(Kind.VIDEO, 80, inter_body())


def test_metadata_loses_its_wrapping_and_has_no_time() -> None:
    intake = Intake(1000)
    taken(intake, Kind.VIDEO, 0, key_body())
    plain = metadata_body(wrapped=False, title="one")
    for body in (plain, metadata_body(title="one")):
        assert taken(intake, Kind.DATA, 7, body) == packet(Kind.DATA, 0, plain, is_header=True)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (Kind.VIDEO, b""),
        (Kind.VIDEO, b"\x17"),
        (Kind.AUDIO, b""),
        (Kind.DATA, b""),
        (Kind.DATA, b"\x02\xff\xff"),
        (Kind.VIDEO, bytes.fromhex("96 00 00 68766331")),  # many tracks
    ],
)
def test_what_means_nothing_is_left_out(kind: int, body: bytes) -> None:
    assert taken(Intake(0), kind, 0, body) is None
