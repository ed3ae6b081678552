"""One relay: its line of time, its two sides that come and go, and what it tells."""

from __future__ import annotations

from datetime import timedelta

from penstock.engine.relaying.relay import Relay, RelayPolicy
from penstock.engine.stream import FlushPolicy
from penstock.link.relaying import RelayState
from penstock.model import Kind
from penstock.protocols.rtmp.chunk import Message
from tests.clock import START
from tests.engine.kit import AAC_HEADER, AVC_HEADER, audio_body, inter_body, key_body, message_buffer, metadata_body
from tests.engine.relaying.kit import (
    BROUGHT,
    FLUSH,
    SOURCE,
    TARGET,
    FakeCall,
    Pulled,
    Pushed,
    Stage,
    audio,
    inter,
    key,
    opening,
    video,
)


def running(stage: Stage) -> tuple[Relay, Pulled, Pushed]:
    """A relay that has sent its first key frame."""
    relay = stage.relay()
    source = stage.pulls[0]
    source.owner.opened()
    source.sends(*opening())
    target = stage.pushes[0]
    target.opens()
    relay.tick()
    assert stage.state is RelayState.RUNNING
    return relay, source, target


# Going well


def test_a_target_is_called_when_there_is_media_for_it_and_gets_headers_and_a_key_frame_first() -> None:
    stage = Stage()
    stage.relay()
    assert (stage.state, stage.pulls[0].url, stage.pushes) == (RelayState.CONNECTING, SOURCE, [])
    stage.pulls[0].owner.opened()
    assert stage.pushes == []
    stage.pulls[0].sends(*opening(5000), inter(5040))
    assert stage.pushes[0].url == TARGET
    stage.pulls[0].sends(inter(5080))
    stage.pushes[0].opens(7)
    got = stage.pushes[0].got()
    assert [bytes(message.payload) for message in got] == [
        AVC_HEADER,
        AAC_HEADER,
        key_body(),
        inter_body(),
        inter_body(),
    ]
    assert [message.timestamp for message in got] == [0, 0, 0, 40, 80]
    assert {message.stream_id for message in got} == {7}


def test_it_runs_while_media_leaves_and_tells_its_numbers() -> None:
    stage = Stage()
    relay, source, target = running(stage)
    source.sends(inter(40), audio(41))
    relay.tell_numbers()
    assert (stage.state, stage.last.position_ms) == (RelayState.RUNNING, 41)
    assert (stage.last.bytes_in, stage.last.bytes_out) == (source.bytes_in, len(target.far.socket.taken))
    count = len(stage.told)
    relay.tell_numbers()
    relay.tick()
    assert len(stage.told) == count  # nothing changed


def test_bytes_go_through_as_they_came_and_metadata_as_a_publisher_says_it() -> None:
    stage = Stage()
    _, source, target = running(stage)
    target.got()
    source.sends(Message(Kind.DATA, 0, 1, message_buffer(metadata_body(wrapped=False, title="one"))))
    source.sends(inter(40, b"\x00" * 100_000))
    assert target.bodies() == [(0, metadata_body(title="one")), (40, inter_body(b"\x00" * 100_000))]


def test_sound_alone_needs_no_key_frame() -> None:
    stage = Stage()
    stage.relay()
    stage.pulls[0].owner.opened()
    stage.pulls[0].sends(audio(0, AAC_HEADER), audio(0))
    stage.pushes[0].opens()
    stage.pulls[0].sends(audio(21))
    assert [body for _, body in stage.pushes[0].bodies()] == [AAC_HEADER, audio_body()]


def test_frames_before_the_first_key_frame_are_left_out() -> None:
    stage = Stage()
    stage.relay()
    stage.pulls[0].owner.opened()
    stage.pulls[0].sends(video(0, AVC_HEADER), inter(0), inter(40), key(80), inter(120))
    stage.pushes[0].opens()
    assert [body for _, body in stage.pushes[0].bodies()] == [AVC_HEADER, key_body(), inter_body()]


# The source is away


def test_a_refused_source_is_called_again_after_the_back_off() -> None:
    stage = Stage(randoms=[0.5, 1.0, 0.0])
    relay = stage.relay()
    stage.pulls[0].loses("it refuses: no such stream")
    told = stage.last
    assert (told.state, told.failures, told.error_side) == (RelayState.WAITING, 1, "source")
    assert told.error == "it refuses: no such stream"
    assert told.next_try_at == START + timedelta(seconds=0.6)  # half of what may be
    stage.clock.advance(0.6)
    assert (len(stage.pulls), stage.state, stage.last.next_try_at) == (2, RelayState.CONNECTING, None)
    assert stage.last.error == "it refuses: no such stream"  # still the latest
    stage.pulls[1].loses("gone")
    stage.pass_time(relay, 2)
    assert len(stage.pulls) == 3
    stage.pulls[2].loses("gone")
    stage.pass_time(relay, 0.25)
    assert (len(stage.pulls), stage.last.failures) == (4, 3)


def test_the_wait_grows_to_a_minute_and_is_forgotten_once_it_went_well() -> None:
    stage = Stage()
    relay = stage.relay()
    waits = []
    for _ in range(9):
        stage.pulls[-1].loses("gone")
        waits.append(stage.clock.waiting()[0])
        stage.clock.advance(waits[-1])
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    source = stage.pulls[-1]
    source.owner.opened()
    source.sends(*opening())
    for second in range(1, 11):
        stage.pass_time(relay, 1)
        source.sends(key(second * 1000))
    relay.tick()
    source.loses("gone")
    assert stage.clock.waiting()[0] == 1


def test_a_source_that_falls_silent_is_called_again() -> None:
    stage = Stage()
    relay, source, _ = running(stage)
    stage.pass_time(relay, 9.75)
    assert (source.is_on, stage.state) == (True, RelayState.WAITING)
    stage.pass_time(relay, 0.25)
    assert not source.is_on
    assert (stage.last.error_side, stage.last.error) == ("source", "it sent no media for 10 s")
    stage.clock.advance(1)
    assert len(stage.pulls) == 2


def test_metadata_alone_keeps_no_source() -> None:
    stage = Stage()
    relay, source, _ = running(stage)
    for _ in range(11):
        if source.is_on:
            source.sends(Message(Kind.DATA, 0, 1, message_buffer(metadata_body(title="still here"))))
        stage.pass_time(relay, 1)
    assert not source.is_on


def test_the_line_of_time_goes_on_over_a_source_that_comes_back() -> None:
    stage = Stage()
    _, source, target = running(stage)
    source.sends(inter(40), audio(60))
    target.got()
    source.loses("it closed the connection")
    stage.clock.advance(2)
    again = stage.pulls[1]
    again.owner.opened()
    # Another clock, in mid-GOP: it goes on with the next key frame, and the time it was away has passed.
    again.sends(inter(700_000))
    again.sends(video(700_040, AVC_HEADER), key(700_040), inter(700_080))
    assert target.bodies() == [(2060, AVC_HEADER), (2060, key_body()), (2100, inter_body())]
    assert target.is_on
    assert stage.last.failures == 1


def test_sessions_that_follow_at_once_are_a_frame_apart() -> None:
    stage = Stage()
    relay = stage.relay(BROUGHT)
    for _ in range(3):
        owner = relay.bring(FakeCall())
        assert owner is not None
        owner.media([key(7), inter(47)])
    stage.pushes[0].opens()
    stage.pushes[0].got()
    owner = relay.bring(FakeCall())
    assert owner is not None
    owner.media([key(7)])
    assert stage.pushes[0].bodies() == [(240, key_body())]


def test_a_target_outlives_its_source_for_ten_seconds_and_is_called_anew_then() -> None:
    stage = Stage()
    relay, source, target = running(stage)
    source.loses("gone")
    stage.pass_time(relay, 9.75)
    assert target.is_on
    stage.pass_time(relay, 0.25)
    assert target.is_finished
    again = stage.pulls[-1]
    again.owner.opened()
    again.sends(*opening())
    assert len(stage.pushes) == 2
    stage.pushes[1].opens()
    # Its own line would begin at 0; but those who watch through the target were here all along.
    assert stage.pushes[1].got()[0].timestamp > 9000


# The target is away


def test_a_refused_target_is_called_again_while_the_source_goes_on() -> None:
    stage = Stage()
    relay = stage.relay()
    source = stage.pulls[0]
    source.owner.opened()
    source.sends(*opening())
    stage.pushes[0].loses("it refuses: NetStream.Publish.BadName: taken")
    told = stage.last
    assert (told.state, told.error_side, told.failures) == (RelayState.WAITING, "target", 1)
    assert told.error == "it refuses: NetStream.Publish.BadName: taken"
    source.sends(inter(40), key(80), inter(120))
    assert len(stage.pushes) == 1
    stage.clock.advance(1)
    relay.tick()
    stage.pushes[1].opens()
    # The latest key frame is where it begins.
    assert stage.pushes[1].bodies() == [(80, AVC_HEADER), (80, AAC_HEADER), (80, key_body()), (120, inter_body())]
    relay.tick()
    assert (source.is_on, stage.state) == (True, RelayState.RUNNING)


def test_a_target_that_breaks_off_is_called_again() -> None:
    stage = Stage()
    _, source, target = running(stage)
    target.loses("connection lost: reset")
    source.sends(inter(40))
    stage.clock.advance(1)
    stage.pushes[1].opens()
    assert [at for at, _ in stage.pushes[1].bodies()] == [0, 0, 0, 40]
    assert (stage.last.failures, stage.last.error_side) == (1, "target")


def test_what_an_earlier_target_took_stays_counted() -> None:
    stage = Stage()
    relay, source, target = running(stage)
    first = len(target.far.socket.taken)
    target.loses("gone")
    stage.clock.advance(1)
    source.sends(inter(40))
    stage.pushes[1].opens()
    relay.tell_numbers()
    assert stage.last.bytes_out == first + len(stage.pushes[1].far.socket.taken) > first


def test_a_target_that_is_gone_while_it_is_written_to_is_called_again() -> None:
    stage = Stage()
    _, source, target = running(stage)
    target.far.socket.error = ConnectionResetError(104, "reset")
    source.sends(inter(40))
    assert target.far.losses == ["connection lost"]
    target.loses("connection lost")  # as the connection does that is told so
    source.sends(inter(80))
    stage.clock.advance(1)
    assert len(stage.pushes) == 2


def test_nobody_calls_a_target_for_a_source_that_is_gone() -> None:
    stage = Stage(randoms=[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    relay, source, target = running(stage)
    source.loses("gone")
    target.loses("gone too")
    stage.pass_time(relay, 60)
    assert len(stage.pushes) <= 5  # while its last frames were new
    count = len(stage.pushes)
    stage.pass_time(relay, 60)
    assert len(stage.pushes) == count


# A slow target


def test_a_slow_target_skips_to_a_key_frame_and_is_never_owed_more_than_its_bound() -> None:
    stage = Stage(RelayPolicy(FLUSH, buffer_bytes=10_000))
    relay, source, target = running(stage)
    target.got()
    target.far.socket.room = 0
    for number in range(1, 100):
        source.sends((key if number % 10 == 0 else inter)(number * 40, bytes((number,)) * 1000))
        assert target.far.outlet.queued_bytes <= 10_000 + 1100
    relay.tell_numbers()
    position = stage.last.position_ms
    assert position == 0  # nothing more was taken
    target.far.make_room(None)
    source.sends(key(4000), inter(4040))
    target.far.make_room(None)
    relay.tell_numbers()
    assert stage.last.position_ms == 4040
    times = [message.timestamp for message in target.got()]
    assert times == sorted(times)
    assert times[0] == 40
    assert times[-2:] == [4000, 4040]
    assert len(times) < 40


def test_a_target_that_takes_nothing_is_called_again() -> None:
    stage = Stage()
    relay, source, target = running(stage)
    target.far.socket.room = 0
    for second in range(1, 12):
        if target.is_on:
            source.sends(key(second * 1000))
            stage.pass_time(relay, 1)
    assert not target.is_on
    assert (stage.last.error_side, stage.last.error) == ("target", "it took too little for 10 s")
    assert source.is_on


# A worker's relay


def test_without_a_source_a_worker_is_waited_for() -> None:
    stage = Stage()
    relay = stage.relay(BROUGHT)
    assert (stage.state, stage.pulls, stage.pushes) == (RelayState.WAITING, [], [])
    worker = FakeCall()
    owner = relay.bring(worker)
    assert owner is not None
    owner.media(opening())
    stage.pushes[0].opens()
    relay.tick()
    assert stage.state is RelayState.RUNNING


def test_a_worker_that_leaves_is_no_failure_and_its_target_waits_ten_seconds() -> None:
    stage = Stage()
    relay = stage.relay(BROUGHT)
    owner = relay.bring(FakeCall())
    assert owner is not None
    owner.media(opening())
    target = stage.pushes[0]
    target.opens()
    target.got()
    owner.lost("the worker closed its connection")
    stage.pass_time(relay, 5)
    assert (stage.state, stage.last.failures, stage.last.error) == (RelayState.WAITING, 0, "")
    again = relay.bring(FakeCall())
    assert again is not None
    again.media(opening(90_000))
    assert [at for at, _ in target.bodies()] == [5000, 5000, 5000]
    again.lost("the worker closed its connection")
    stage.pass_time(relay, 10)
    assert target.is_finished


def test_a_second_worker_replaces_the_first() -> None:
    stage = Stage()
    relay = stage.relay(BROUGHT)
    first, second = FakeCall(), FakeCall()
    owner = relay.bring(first)
    assert owner is not None
    assert relay.bring(second) is not None
    assert (first.is_closed, second.is_closed) == (True, False)
    owner.lost("late word")
    relay.stop()
    assert second.is_closed


def test_a_worker_that_pauses_is_kept() -> None:
    stage = Stage()
    relay = stage.relay(BROUGHT)
    worker = FakeCall()
    owner = relay.bring(worker)
    assert owner is not None
    owner.media(opening())
    stage.pushes[0].opens()
    stage.pass_time(relay, 30)
    assert worker.is_on
    assert (stage.state, stage.last.failures) == (RelayState.WAITING, 0)


def test_a_relay_with_a_source_of_its_own_takes_no_worker() -> None:
    stage = Stage()
    assert stage.relay().bring(FakeCall()) is None


# The end


def test_a_stop_tells_the_target_and_control_and_leaves_nothing() -> None:
    stage = Stage()
    relay, source, target = running(stage)
    source.sends(inter(40))
    relay.stop()
    assert (source.is_closed, target.is_finished) == (True, True)
    assert (stage.state, stage.last.position_ms) == (RelayState.STOPPED, 40)
    stage.pass_time(relay, 1)
    assert (len(stage.pulls), len(stage.pushes), stage.clock.waiting()) == (1, 1, [])


def test_a_stop_while_both_sides_wait_takes_their_next_tries_back() -> None:
    stage = Stage()
    relay, source, target = running(stage)
    target.loses("gone")
    source.loses("gone")
    relay.stop()
    stage.clock.advance(120)
    assert (len(stage.pulls), len(stage.pushes)) == (1, 1)
    assert relay.bring(FakeCall()) is None


def test_a_target_that_is_lost_with_the_last_batch_is_not_called_again() -> None:
    stage = Stage(RelayPolicy(FlushPolicy(every_s=60.0, audio_s=60.0, gop_cache_bytes=1_000_000)))
    relay, source, target = running(stage)
    target.far.socket.error = ConnectionResetError(104, "reset")
    target.far.lost = target.loses  # type: ignore[method-assign]  # as a connection does
    source.sends(inter(40))
    relay.stop()
    assert not target.is_on
    stage.clock.advance(120)
    assert (len(stage.pulls), len(stage.pushes), stage.clock.waiting()) == (1, 1, [])
