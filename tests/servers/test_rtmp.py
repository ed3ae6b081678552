from __future__ import annotations

import asyncio
import time

import pytest

from penstock.link.messages import Began, Dropped, Ended, EndReason, PublishAsked, TurnedAway
from penstock.model import Kind
from penstock.protocols import amf0, flv
from penstock.protocols.rtmp import messages
from penstock.protocols.rtmp.chunk import Message
from tests.clock import ManualClock
from tests.engine.kit import (
    AAC_HEADER,
    AVC_HEADER,
    audio_body,
    inter_body,
    key_body,
    metadata_body,
)
from tests.servers.client import DEADLINE_S, Refused, Status
from tests.servers.house import DEMO, House, OpenHouse, begin, until

START = [(Kind.VIDEO, AVC_HEADER), (Kind.AUDIO, AAC_HEADER), (Kind.VIDEO, key_body())]


def bodies(media: list[Message]) -> list[tuple[int, bytes]]:
    return [(message.type_id, bytes(message.payload)) for message in media]


# Publishing and playing


async def test_a_player_gets_the_publishers_payloads_and_nothing_else(house: House) -> None:
    publisher = await house.on_air()
    player = await house.rtmp_player()
    sent = [
        (Kind.AUDIO, 21, audio_body(b"a1")),
        (Kind.VIDEO, 40, inter_body(b"p1")),
        (Kind.AUDIO, 43, audio_body(b"a2")),
        (Kind.VIDEO, 80, key_body(b"k2" * 50_000)),
        (Kind.VIDEO, 120, inter_body(b"p2")),
    ]
    for kind, timestamp, payload in sent:
        await publisher.send_media(kind, timestamp, payload)
    got = await player.media(len(START) + len(sent))
    assert bodies(got) == START + [(kind, payload) for kind, _, payload in sent]
    assert [message.timestamp for message in got] == [0, 0, 0, 21, 40, 43, 80, 120]


async def test_metadata_goes_first_and_without_the_servers_part(house: House) -> None:
    publisher = await house.publisher()
    await publisher.send_media(Kind.DATA, 0, metadata_body(title="hello"))
    await begin(publisher)
    await house.arrived(len(key_body()) + len(AVC_HEADER) + len(AAC_HEADER))
    first, *_ = await (await house.rtmp_player()).media(1)
    assert amf0.decode(first.payload) == ["onMetaData", {"title": "hello"}]


async def test_metadata_in_the_wrapper_of_amf3_is_read(house: House) -> None:
    publisher = await house.publisher()
    await publisher.send(messages.DATA_AMF3, b"\x00" + metadata_body(title="hello"), stream_id=1)
    await begin(publisher)
    await house.arrived(len(key_body()) + len(AVC_HEADER) + len(AAC_HEADER))
    first, *_ = await (await house.rtmp_player()).media(1)
    assert amf0.decode(first.payload) == ["onMetaData", {"title": "hello"}]


async def test_an_empty_message_of_any_kind_is_left_out(house: House) -> None:
    publisher = await house.on_air()
    player = await house.rtmp_player()
    for kind in (messages.AUDIO, messages.VIDEO, messages.DATA, messages.DATA_AMF3, messages.AGGREGATE):
        await publisher.send(kind, b"", stream_id=1)
    await publisher.send_media(Kind.VIDEO, 40, inter_body())
    assert bodies(await player.media(4))[3:] == [(Kind.VIDEO, inter_body())]


async def test_messages_in_an_aggregate_are_taken_apart(house: House) -> None:
    publisher = await house.on_air()
    player = await house.rtmp_player()
    parts = flv.tag(Kind.AUDIO, 21, audio_body()) + flv.tag(Kind.VIDEO, 40, inter_body())
    await publisher.send(messages.AGGREGATE, parts, timestamp=21, stream_id=1)
    got = await player.media(5)
    assert bodies(got)[3:] == [(Kind.AUDIO, audio_body()), (Kind.VIDEO, inter_body())]
    assert [message.timestamp for message in got[3:]] == [21, 40]


async def test_control_hears_of_the_begin_with_who_and_where(house: House) -> None:
    await house.publisher()
    asked = await house.heard(PublishAsked)
    assert (asked.stream, asked.domain, asked.client.address) == (DEMO, "push.demo.test", "127.0.0.1")
    assert asked.client.agent == "test client"
    assert (await house.heard(Began)).lease.stream == DEMO
    (session,) = house.control.live.sessions.on_air()
    assert session.lease.stream == DEMO


async def test_a_query_behind_the_name_is_no_part_of_the_name(house: House) -> None:
    await house.publisher("cam?key=secret&vhost=shop")
    asked = await house.heard(PublishAsked)
    assert (asked.stream, asked.query) == (DEMO, "key=secret&vhost=shop")


async def test_what_an_encoder_sends_without_waiting_for_its_answer_is_not_lost(house: House) -> None:
    publisher = await house.rtmp_client()
    await publisher.connect()
    await publisher.create_stream()
    publish = amf0.encode("publish", 5.0, None, "cam", "live")
    await publisher.pipe.write(
        publisher.encode(messages.COMMAND, publish, stream_id=1, csid=3)
        + b"".join(publisher.encode(kind, payload, stream_id=1) for kind, payload in START)
    )
    await publisher.expect("NetStream.Publish.Start")
    await publisher.send_media(Kind.VIDEO, 40, inter_body())
    player = await house.rtmp_player()
    assert bodies(await player.media(4)) == [*START, (Kind.VIDEO, inter_body())]


async def test_many_players_of_both_kinds_get_the_same(house: House) -> None:
    publisher = await house.on_air()
    players = [await house.rtmp_player() for _ in range(5)]
    viewers = [await house.flv_player() for _ in range(5)]
    await publisher.send_media(Kind.VIDEO, 40, inter_body())
    expected = [*START, (Kind.VIDEO, inter_body())]
    for player in players:
        assert bodies(await player.media(4)) == expected
    for viewer in viewers:
        assert [(tag.kind, tag.payload) for tag in await viewer.tags(4)] == expected


# One publisher a name


async def test_a_second_publisher_is_refused_while_the_first_one_sends(house: House) -> None:
    first = await house.on_air()
    with pytest.raises(Refused) as refusal:
        await house.publisher()
    assert refusal.value.status.code == "NetStream.Publish.BadName"
    assert refusal.value.status.level == "error"
    await first.send_media(Kind.VIDEO, 40, inter_body())
    player = await house.rtmp_player()
    assert bodies(await player.media(4))[-1] == (Kind.VIDEO, inter_body())


async def test_the_one_refused_is_told_why_and_then_closed(house: House) -> None:
    await house.on_air()
    second = await house.rtmp_client()
    with pytest.raises(Refused, match="demo/live/cam has a publisher that sends"):
        await second.publish()
    assert await second.ended() == []


async def test_a_publisher_silent_for_two_seconds_is_replaced(open_house: OpenHouse) -> None:
    clock = ManualClock()
    house = await open_house(clock=clock)
    first = await house.on_air()
    player = await house.rtmp_player()
    clock.advance(1.9)
    with pytest.raises(Refused):
        await house.publisher()
    clock.advance(0.1)
    second = await house.publisher()
    ended = await house.heard(Ended)
    assert ended.reason is EndReason.REPLACED
    assert [status.code for status in await first.ended()] == ["NetStream.Publish.Denied"]
    await begin(second)
    got = await player.media(6)
    assert bodies(got) == START * 2
    assert got[-1].timestamp > got[2].timestamp


async def test_with_replacement_on_the_newest_publisher_wins(open_house: OpenHouse) -> None:
    house = await open_house(on_conflict="replace")
    first = await house.on_air()
    await house.on_air()
    assert [status.code for status in await first.ended()] == ["NetStream.Publish.Denied"]


async def test_two_that_race_for_a_name_are_one_publisher(house: House) -> None:
    clients = [await house.rtmp_client() for _ in range(8)]
    outcomes = await asyncio.gather(*(client.publish() for client in clients), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    assert len(refused) == 7
    assert {refusal.status.code for refusal in refused} == {"NetStream.Publish.BadName"}
    assert len(house.engine.hub.publications()) == 1
    assert len(house.control.live.sessions.on_air()) == 1


# Refused before anything exists


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ({"name": "../cam"}, "is not a name"),
        ({"name": ""}, "is not a name"),
        ({"name": "a/b"}, "is not a name"),
        ({"name": "c\u0430m"}, "is not a name"),
        ({"app": "nosuch"}, "vhost demo has no app nosuch"),
        ({"app": "live/.."}, "is not a name"),
        ({"tc_url": "rtmp://127.0.0.1/live"}, "add ?vhost=NAME to the URL"),
        ({"tc_url": "rtmp://push.nosuch.test/live"}, "is no configured domain"),
        ({"name": "cam?vhost=nosuch", "tc_url": "rtmp://127.0.0.1/live"}, "neither a vhost nor a domain"),
    ],
)
async def test_a_publish_that_names_no_stream_is_refused_and_leaves_nothing(
    house: House, where: dict[str, str], why: str
) -> None:
    with pytest.raises(Refused) as refusal:
        await house.publisher(**where)
    assert refusal.value.status.code == "NetStream.Publish.Denied"
    assert why in refusal.value.status.description
    assert (await house.heard(TurnedAway)).code == 428
    assert len(house.control.live.sessions) == 0
    assert house.engine.hub.on_air() == ()
    assert not any(isinstance(message, PublishAsked | Began) for message in house.told)


@pytest.mark.parametrize(
    ("name", "code"),
    [("nosuch", "NetStream.Play.StreamNotFound"), ("../cam", "NetStream.Play.Failed"), ("", "NetStream.Play.Failed")],
)
async def test_a_play_of_what_is_not_there_is_refused_and_closed(house: House, name: str, code: str) -> None:
    await house.on_air()
    player = await house.rtmp_client()
    with pytest.raises(Refused) as refusal:
        await player.play(name)
    assert refusal.value.status.code == code
    await player.ended()
    assert house.players() == 0


async def test_a_stream_of_another_vhost_is_not_there(house: House) -> None:
    await house.on_air()
    with pytest.raises(Refused, match="shop/live/cam is not on air"):
        await house.rtmp_player(tc_url="rtmp://pull.shop.test/live")


# Ends


async def test_a_fin_ends_the_session_at_once(house: House) -> None:
    publisher = await house.on_air()
    await publisher.leave()
    began = time.monotonic()
    ended = await house.heard(Ended)
    assert time.monotonic() - began < 2
    assert ended.reason is EndReason.LOST
    assert house.control.live.sessions.on_air() == []


async def test_a_reset_ends_the_session_at_once(house: House) -> None:
    publisher = await house.on_air()
    publisher.reset()
    began = time.monotonic()
    ended = await house.heard(Ended)
    assert time.monotonic() - began < 2
    assert ended.reason is EndReason.LOST


@pytest.mark.parametrize("command", ["FCUnpublish", "deleteStream", "closeStream"])
async def test_a_publisher_that_says_goodbye_has_left_and_may_begin_again(house: House, command: str) -> None:
    publisher = await house.on_air()
    await publisher.call(command, None, "cam", stream_id=1)
    assert (await house.heard(Ended)).reason is EndReason.LEFT
    await publisher.expect("NetStream.Unpublish.Success")
    await publisher.call("publish", None, "cam", "live", stream_id=1)
    await publisher.expect("NetStream.Publish.Start")
    await begin(publisher)
    assert bodies(await (await house.rtmp_player()).media(3)) == START


async def test_a_publisher_that_breaks_the_protocol_is_closed_and_its_session_says_so(house: House) -> None:
    publisher = await house.on_air()
    await publisher.pipe.write(b"\xff" * 50)
    assert (await house.heard(Ended)).reason is EndReason.BROKE_PROTOCOL
    await publisher.ended()


async def test_a_silent_publisher_is_closed_and_its_stream_is_off_air(open_house: OpenHouse) -> None:
    clock = ManualClock()
    house = await open_house(clock=clock)
    publisher = await house.on_air()
    clock.advance(10)
    house.engine.hub.tick()
    ended = await house.heard(Ended)
    assert (ended.reason, ended.detail) == (EndReason.SILENT, "no media for 10.0 s")
    assert [status.code for status in await publisher.ended()] == ["NetStream.Publish.Denied"]


async def test_a_kick_closes_the_socket_before_it_is_answered(house: House) -> None:
    publisher = await house.on_air()
    player, viewer = await house.rtmp_player(), await house.flv_player()
    connections = list(house.rtmp._connections) + list(house.http._connections)
    open_when_answered: list[bool] = []
    send = house.engine.control._send

    def watched(message: object) -> None:
        if isinstance(message, Dropped):
            open_when_answered.extend(not connection.closed for connection in connections)
        send(message)  # type: ignore[arg-type]

    house.engine.control._send = watched  # type: ignore[method-assign]
    epoch = await house.drop()
    assert epoch is not None
    assert open_when_answered == [False] * 3
    statuses = await publisher.ended()
    assert statuses == [Status("NetStream.Publish.Denied", "error", "kicked: by hand")]
    assert await player.ended() != []
    assert len(await viewer.rest()) == 3
    assert (await house.heard(Ended)).reason is EndReason.KICKED


async def test_a_kick_of_a_stream_with_hundreds_of_players_is_done_in_a_moment(house: House) -> None:
    await house.on_air()
    for _ in range(100):
        await house.flv_player()
    began = time.monotonic()
    assert await house.drop() is not None
    assert time.monotonic() - began < 0.5
    assert len(house.http) == 0


async def test_a_publisher_that_was_kicked_may_come_back(house: House) -> None:
    await house.on_air()
    await house.drop()
    await house.on_air()


# Players over a blink


async def test_a_player_kept_over_a_blink_gets_the_new_sessions_frames_at_rising_times(house: House) -> None:
    first = await house.on_air()
    player, viewer = await house.rtmp_player(), await house.flv_player()
    await first.send_media(Kind.VIDEO, 4000, inter_body(b"last"))
    first.reset()
    await house.heard(Ended)
    second = await house.publisher()
    await begin(second, timestamp=900_000)
    await second.send_media(Kind.VIDEO, 900_040, inter_body(b"next"))
    expected = [*START, (Kind.VIDEO, inter_body(b"last")), *START, (Kind.VIDEO, inter_body(b"next"))]
    got = await player.media(8)
    assert bodies(got) == expected
    tags = await viewer.tags(8)
    assert [(tag.kind, tag.payload) for tag in tags] == expected
    times = [message.timestamp for message in got]
    assert times == [tag.dts_ms for tag in tags]
    assert times == sorted(times)
    assert times[4] >= times[3] + 40
    assert times[7] == times[6] + 40


async def test_players_are_told_of_the_end_when_the_publisher_stays_away(open_house: OpenHouse) -> None:
    clock = ManualClock()
    house = await open_house(clock=clock)
    publisher = await house.on_air()
    player, viewer = await house.rtmp_player(), await house.flv_player()
    await publisher.leave()
    await house.heard(Ended)
    clock.advance(10)
    house.engine.hub.tick()
    assert [status.code for status in await player.ended()] == [
        "NetStream.Play.UnpublishNotify",
        "NetStream.Play.Stop",
    ]
    assert len(await viewer.rest()) == 3
    assert not house.engine.hub.is_playable(DEMO)


async def test_a_reset_that_comes_together_with_the_last_frame_ends_the_session_too(house: House) -> None:
    """On uvloop, that is one event and the last one: the reset must be looked for."""
    publisher = await house.on_air()
    await publisher.send_media(Kind.VIDEO, 40, inter_body())
    publisher.reset()
    began = time.monotonic()
    assert (await house.heard(Ended)).reason is EndReason.LOST
    assert time.monotonic() - began < 2


# Pause


async def test_a_paused_player_gets_nothing_until_it_goes_on_with_the_latest_key_frame(house: House) -> None:
    publisher = await house.on_air()
    player = await house.rtmp_player()
    await player.media(3)
    await player.call("pause", None, True, 0.0, stream_id=1)
    await player.expect("NetStream.Pause.Notify")
    await publisher.send_media(Kind.VIDEO, 40, inter_body(b"missed"))
    await publisher.send_media(Kind.VIDEO, 80, key_body(b"second"))
    await publisher.send_media(Kind.VIDEO, 120, inter_body(b"after"))
    await house.arrived(len(AVC_HEADER) + len(AAC_HEADER) + 3 * 5 + len(b"keymissedsecondafter"))
    assert house.players() == 1
    await player.call("pause", None, False, 0.0, stream_id=1)
    await player.expect("NetStream.Unpause.Notify")
    got = await player.media(4)
    assert bodies(got) == [*START[:2], (Kind.VIDEO, key_body(b"second")), (Kind.VIDEO, inter_body(b"after"))]
    assert [message.timestamp for message in got] == [80, 80, 80, 120]


async def test_a_player_may_leave_and_play_something_else_on_the_same_connection(house: House) -> None:
    await house.on_air()
    await house.on_air("other")
    player = await house.rtmp_player()
    await player.call("deleteStream", None, 1.0)
    await player.expect("NetStream.Play.Stop")
    assert house.players() == 0
    await player.play_again("other")
    assert bodies(await player.media(3)) == START


async def test_one_that_pauses_and_resumes_without_reading_is_closed_at_its_limit(house: House) -> None:
    publisher = await house.on_air()
    await publisher.send_media(Kind.VIDEO, 40, inter_body(bytes(4_000_000)))
    await house.arrived(4_000_000)
    player = await house.rtmp_client(receive_buffer=8192)
    await player.play()
    pauses = (amf0.encode("pause", 9.0, None, paused, 0.0) for paused in (True, False) * 50)
    await player.pipe.write(b"".join(player.encode(messages.COMMAND, body, stream_id=1, csid=3) for body in pauses))
    await until(lambda: house.players() == 0)


# The link


async def test_a_publish_waits_for_control_and_is_refused_when_none_comes(open_house: OpenHouse) -> None:
    house = await open_house(admission_timeout_s=0.05)
    house.engine.control.close()
    await until(lambda: not house.control.engine.connected.is_set())
    with pytest.raises(Refused, match=r"no control process answered within 0\.05 s"):
        await house.publisher()


async def test_streams_go_on_while_control_is_away_and_it_learns_of_them_after(house: House) -> None:
    publisher = await house.on_air()
    player = await house.rtmp_player()
    lease = (await house.heard(Began)).lease
    house.engine.control.close()
    await until(lambda: not house.control.engine.connected.is_set())
    assert house.control.live.sessions.on_air() == []
    await publisher.send_media(Kind.VIDEO, 40, inter_body())
    assert len(await player.media(4)) == 4
    house._link()
    async with asyncio.timeout(DEADLINE_S):
        await house.control.engine.connected.wait()
    assert [session.lease for session in house.control.live.sessions.on_air()] == [lease]


async def test_an_encoder_that_leaves_while_it_waits_takes_its_question_back(house: House) -> None:
    house.engine.control.close()
    await until(lambda: not house.control.engine.connected.is_set())
    publisher = await house.rtmp_client()
    await publisher.connect()
    await publisher.create_stream()
    await publisher.call("publish", None, "cam", "live", stream_id=1)
    await until(lambda: bool(house.engine.control._questions))
    (connection,) = house.rtmp._connections
    connection.close("the test")
    assert not house.engine.control._questions
