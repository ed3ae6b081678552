from __future__ import annotations

import pytest

from penstock.engine.formats import FLV
from penstock.engine.publication import Publication
from penstock.engine.stream import Stream
from penstock.model import Kind
from penstock.protocols import amf0
from penstock.protocols.flv import Tag
from tests.clock import START, ManualClock
from tests.engine.kit import (
    AAC_HEADER,
    AVC_HEADER,
    CLIENT,
    FakeOwner,
    FakePublisher,
    audio_body,
    inter_body,
    key_body,
    make_lease,
    make_stream,
    message_buffer,
    metadata_body,
    send,
)

NOW_S = 1000.0


class Session:
    """A publication, with a player that gets all that it sends from the first key frame on."""

    def __init__(self, start_ms: int = 0) -> None:
        self.clock = ManualClock()
        self.stream: Stream = make_stream(self.clock)
        self.publication = Publication(
            make_lease(1),
            self.stream,
            FakePublisher(),
            CLIENT,
            "push.demo.test",
            began_at=START,
            now_s=NOW_S,
            start_ms=start_ms,
        )
        self.player = FakeOwner()
        self.stream.attach(self.player.outlet, FLV)

    def send(self, kind: Kind, timestamp: int, payload: bytes, now_s: float = NOW_S) -> None:
        send(self.publication, kind, timestamp, payload, now_s)

    def begin(self) -> None:
        self.send(Kind.VIDEO, 0, AVC_HEADER)
        self.send(Kind.AUDIO, 0, AAC_HEADER)
        self.send(Kind.VIDEO, 0, key_body())

    def got(self) -> list[Tag]:
        self.stream.flush()
        return self.player.tags()


@pytest.fixture
def session() -> Session:
    return Session()


def payloads(session: Session, kind: Kind) -> list[bytes]:
    return [tag.payload for tag in session.got() if tag.kind == kind]


# Frames


def test_frames_pass_as_they_came_with_the_streams_own_times() -> None:
    session = Session(start_ms=5000)
    session.send(Kind.VIDEO, 90_000, AVC_HEADER)
    session.send(Kind.VIDEO, 90_000, key_body(b"k"))
    session.send(Kind.AUDIO, 90_021, audio_body(b"a"))
    session.send(Kind.VIDEO, 90_040, inter_body(b"i"))
    assert [(tag.kind, tag.dts_ms, tag.payload) for tag in session.got()] == [
        (Kind.VIDEO, 5000, AVC_HEADER),
        (Kind.VIDEO, 5000, key_body(b"k")),
        (Kind.AUDIO, 5021, audio_body(b"a")),
        (Kind.VIDEO, 5040, inter_body(b"i")),
    ]


def test_the_buffer_that_came_is_the_tag_that_leaves(session: Session) -> None:
    buffer = message_buffer(key_body())
    session.publication.receive(Kind.VIDEO, 0, buffer, NOW_S)
    (packet,) = session.stream._batch.packets
    assert packet.tag is buffer


def test_setup_takes_the_latest_frames_time_and_moves_no_clock(session: Session) -> None:
    session.begin()
    session.send(Kind.VIDEO, 40, inter_body())
    session.send(Kind.VIDEO, 0, AVC_HEADER)  # an encoder stamps it as it likes
    session.send(Kind.VIDEO, 80, inter_body())
    assert [tag.dts_ms for tag in session.got() if tag.kind == Kind.VIDEO][-3:] == [40, 40, 80]


@pytest.mark.parametrize("kind", [Kind.AUDIO, Kind.VIDEO, Kind.DATA])
def test_bodies_of_no_length_are_left_out(session: Session, kind: Kind) -> None:
    session.begin()
    before = len(session.got())
    session.send(kind, 40, b"")
    assert len(session.got()) == before
    assert session.publication.facts.bytes_in == len(AVC_HEADER) + len(AAC_HEADER) + len(key_body())


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        pytest.param(Kind.VIDEO, b"\x17", id="video of one byte"),
        pytest.param(Kind.VIDEO, b"\x17\x01\x00", id="avc cut off in its header"),
        pytest.param(Kind.VIDEO, b"\x90hv", id="fourcc cut off"),
        pytest.param(Kind.AUDIO, b"\xaf", id="aac of one byte"),
        pytest.param(Kind.AUDIO, b"\x90Op", id="audio fourcc cut off"),
    ],
)
def test_bodies_cut_short_are_left_out(session: Session, kind: Kind, body: bytes) -> None:
    session.begin()
    before = len(session.got())
    session.send(kind, 40, body)
    assert len(session.got()) == before


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (Kind.VIDEO, b"\x96\x00avc1" + b"\x00" + bytes(20)),
        (Kind.AUDIO, b"\x95\x00mp4a" + b"\x00" + bytes(20)),
    ],
)
def test_further_tracks_are_left_out(session: Session, kind: Kind, body: bytes) -> None:
    session.begin()
    before = len(session.got())
    session.send(kind, 40, body)
    assert len(session.got()) == before


def test_what_was_received_is_counted_by_kind_whatever_becomes_of_it(session: Session) -> None:
    session.begin()
    session.send(Kind.AUDIO, 10, audio_body(bytes(100)))
    session.send(Kind.DATA, 0, b"broken")
    facts = session.publication.facts
    assert facts.video_bytes == len(AVC_HEADER) + len(key_body())
    assert facts.audio_bytes == len(AAC_HEADER) + len(audio_body(bytes(100)))
    assert facts.bytes_in == facts.video_bytes + facts.audio_bytes + len(b"broken")
    assert facts.video_frames == 1


def test_the_session_tells_what_it_is_made_of(session: Session) -> None:
    session.begin()
    session.send(Kind.VIDEO, 2000, key_body())
    session.publication.facts.sample(NOW_S + 1)
    video, audio = session.publication.facts.video(), session.publication.facts.audio()
    assert video is not None
    assert audio is not None
    assert (video.codec, video.width, video.key_interval_ms) == ("avc", 640, 2000)
    assert (audio.codec, audio.sample_rate) == ("aac", 48000)


# Metadata


def test_set_data_frame_is_for_the_server_and_players_get_what_it_sets(session: Session) -> None:
    session.send(Kind.DATA, 700, metadata_body(title="hello", framerate=25.0))
    session.begin()
    (told,) = [tag for tag in session.got() if tag.kind == Kind.DATA]
    assert amf0.decode(told.payload) == ["onMetaData", {"title": "hello", "framerate": 25.0}]
    assert told.dts_ms == 0
    assert session.publication.facts.video().declared_fps == 25.0  # type: ignore[union-attr]


def test_metadata_that_was_not_wrapped_passes_as_it_is(session: Session) -> None:
    body = metadata_body(wrapped=False, title="hello")
    session.send(Kind.DATA, 0, body)
    session.begin()
    assert payloads(session, Kind.DATA) == [body]


def test_metadata_in_mid_stream_passes_at_zero(session: Session) -> None:
    session.begin()
    session.send(Kind.DATA, 5000, metadata_body(title="new"))
    (told,) = [tag for tag in session.got() if tag.kind == Kind.DATA]
    assert told.dts_ms == 0


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\x02\x00\x0aonMetaData\x08\xff", id="cut off"),
        pytest.param(b"\xff" * 40, id="no amf"),
        pytest.param(amf0.encode("@setDataFrame"), id="wrapper with nothing in it"),
        pytest.param(amf0.encode("@setDataFrame", "onMetaData") + b"\x03\x00\x01a\x11", id="amf3 inside"),
        pytest.param(amf0.encode("onMetaData") + (b"\x03\x00\x01a" * 40) + b"\x05", id="nested too deep"),
        pytest.param(amf0.encode("onMetaData") + b"\x0a\xff\xff\xff\xff", id="an array of four thousand million"),
    ],
)
def test_broken_metadata_is_dropped_and_the_stream_goes_on(session: Session, body: bytes) -> None:
    session.send(Kind.DATA, 0, body)
    session.begin()
    assert payloads(session, Kind.DATA) == []
    assert payloads(session, Kind.VIDEO) == [AVC_HEADER, key_body()]


@pytest.mark.parametrize("value", [None, 5.0, "text", [1.0], True])
def test_metadata_that_is_no_object_passes_and_tells_nothing(session: Session, value: amf0.Value) -> None:
    session.send(Kind.DATA, 0, amf0.encode("onMetaData", value))
    session.begin()
    assert len(payloads(session, Kind.DATA)) == 1


def test_other_data_passes_at_its_place_in_the_stream(session: Session) -> None:
    session.begin()
    session.send(Kind.VIDEO, 40, inter_body())
    session.send(Kind.DATA, 41, amf0.encode("onTextData", {"text": "hi"}))
    (cue,) = [tag for tag in session.got() if tag.kind == Kind.DATA]
    assert cue.dts_ms == 40


# Silence


def test_audio_and_video_break_the_silence_and_data_does_not(session: Session) -> None:
    session.send(Kind.DATA, 0, metadata_body(title="x"), NOW_S + 3)
    session.send(Kind.DATA, 0, amf0.encode("onTextData"), NOW_S + 4)
    assert session.publication.media_at_s == NOW_S
    session.send(Kind.VIDEO, 0, AVC_HEADER, NOW_S + 5)
    assert session.publication.media_at_s == NOW_S + 5
    session.send(Kind.AUDIO, 0, audio_body(), NOW_S + 6)
    assert session.publication.media_at_s == NOW_S + 6


def test_empty_bodies_do_not_break_the_silence(session: Session) -> None:
    session.send(Kind.VIDEO, 0, b"", NOW_S + 3)
    session.send(Kind.AUDIO, 0, b"\xaf", NOW_S + 3)
    assert session.publication.media_at_s == NOW_S
