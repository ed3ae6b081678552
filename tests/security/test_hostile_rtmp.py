"""Bytes as weapons at RTMP's door: chunks, commands and media that no encoder would send."""

from __future__ import annotations

import random
import struct

import pytest

from penstock.model import Kind, StreamId
from penstock.protocols import amf0
from penstock.protocols.flv import Tag
from penstock.protocols.rtmp import messages
from penstock.protocols.rtmp.chunk import encode_message
from tests.engine.kit import AAC_HEADER, AVC_HEADER, audio_body, inter_body, key_body, metadata_body
from tests.security.conftest import Bystander
from tests.servers.client import HttpClient, RtmpClient
from tests.servers.house import House, begin, until

EVIL = StreamId("demo", "live", "evil")


def header(csid: int, length: int, type_id: int, *, timestamp: int = 0, form: int = 0) -> bytes:
    """A chunk's header alone, of type 0 or 1."""
    stream_id = struct.pack("<I", 1) if form == 0 else b""
    return (
        bytes((form << 6 | csid,))
        + timestamp.to_bytes(3, "big")
        + length.to_bytes(3, "big")
        + bytes((type_id,))
        + stream_id
    )


# Chunks


STRANGE_CHUNKS = {
    "chunk size of nothing": encode_message(2, messages.SET_CHUNK_SIZE, 0, bytes(4)),
    "chunk size with its highest bit": encode_message(2, messages.SET_CHUNK_SIZE, 0, b"\x80\x00\x00\x00"),
    "chunk size cut short": encode_message(2, messages.SET_CHUNK_SIZE, 0, b"\x00\x01"),
    "abort cut short": encode_message(2, messages.ABORT, 0, b"\x00"),
    "window size cut short": encode_message(2, messages.WINDOW_SIZE, 0, b"\x00"),
    "a message of 16 MB": header(6, 0xFFFFFF, Kind.VIDEO),
    "a header that leaves out what was never said": bytes((0xC0 | 9,)),
    "a chunk stream for every number": b"".join(
        header(0, 1, 8, form=1)[:1] + bytes((n,)) + header(0, 1, 8, form=1)[1:] + b"x" for n in range(200)
    ),
}


@pytest.mark.parametrize("sent", STRANGE_CHUNKS.values(), ids=STRANGE_CHUNKS)
@pytest.mark.parametrize("far", ["connected", "publishing"])
async def test_chunks_that_break_a_bound_close_their_connection(
    house: House, bystander: Bystander, sent: bytes, far: str
) -> None:
    """Chunk size 0 and 2**31, messages of 16 MB, hundreds of chunk streams, headers cut short."""
    client = await (house.rtmp_client() if far == "connected" else house.publisher("evil"))
    if far == "connected":
        await client.connect()
    await client.pipe.write(sent)
    await client.ended()
    await until(lambda: len(house.rtmp) == 1)


async def test_messages_begun_and_never_finished_cost_a_bounded_room(house: House, bystander: Bystander) -> None:
    """Interleaved partial messages: one is begun on each of many chunk streams, each as long as it may be."""
    for client, size in ((await house.rtmp_client(), 60_000), (await house.publisher("evil"), 8_000_000)):
        await client.set_chunk_size(128)
        await client.pipe.write(b"".join(header(csid, size, Kind.VIDEO) + bytes(128) for csid in range(3, 60)))
        await client.ended()


async def test_a_message_given_up_and_begun_again_without_end_costs_one(house: House, bystander: Bystander) -> None:
    """Abort, or a new header in the middle of a message, makes room again."""
    publisher = await house.publisher("evil")
    await publisher.set_chunk_size(128)
    for number in range(100):
        await publisher.pipe.write(header(6, 8_000_000, Kind.VIDEO) + bytes(128))
        if number % 2:
            await publisher.send(messages.ABORT, (6).to_bytes(4, "big"), csid=2)
    await begin(publisher)
    await house.arrived(len(AVC_HEADER), "evil")


async def test_the_largest_chunk_size_means_no_more_room(house: House, bystander: Bystander) -> None:
    """Chunk size 2**31 - 1, and then one chunk that is announced as long as it may be."""
    publisher = await house.publisher("evil")
    await publisher.send(messages.SET_CHUNK_SIZE, b"\x7f\xff\xff\xff", csid=2)
    await publisher.pipe.write(header(6, 8 * 1024 * 1024, Kind.VIDEO) + bytes(1000))
    await bystander.plays_on()
    await publisher.pipe.write(bytes(8 * 1024 * 1024 - 1000))
    await house.arrived(8 * 1024 * 1024, "evil")


async def test_before_admission_a_message_may_be_as_long_as_a_command_and_no_longer(
    house: House, bystander: Bystander
) -> None:
    """Who was not let in yet is given little room."""
    client = await house.rtmp_client()
    await client.pipe.write(header(6, 64 * 1024 + 1, Kind.VIDEO))
    await client.ended()


async def test_noise_is_closed(house: House, bystander: Bystander) -> None:
    """Random bytes, before and after the handshake and in the middle of a publish."""
    noise = random.Random(7)
    for _ in range(30):
        client = await house.rtmp_client()
        await client.pipe.write(noise.randbytes(3000) + bytes(70_000))
        client.close()
        publisher = await house.publisher("evil")
        await publisher.pipe.write(noise.randbytes(3000))
        publisher.close()
        await until(lambda: len(house.rtmp) <= 3 and len(house.engine.hub.publications()) == 1)
    await until(lambda: len(house.rtmp) == 1)


# Commands


def command(name: amf0.Value, *rest: bytes) -> bytes:
    return amf0.encode(name, 1.0) + b"".join(rest)


NULL = b"\x05"
STRANGE_COMMANDS = {
    "nothing": b"",
    "no name": amf0.encode(1.0, 1.0),
    "no number": amf0.encode("connect", "one"),
    "nested deep": command("connect", b"\x03\x00\x01a" * 200),
    "an array of 4 thousand million": command("connect", b"\x0a\xff\xff\xff\xff"),
    "an array of arrays of arrays": command("connect", b"\x0a\x00\x00\x00\x02" * 30),
    "thousands of values": command("connect", NULL * 5000),
    "an object that holds itself": command("connect", b"\x03\x00\x04self\x07\x00\x00\x00\x00\x09"),
    "a reference to nothing": command("connect", b"\x07\xff\xff"),
    "references that unfold": command(
        "connect", b"\x0a\x00\x00\x00\x02" + b"\x0a\x00\x00\x00\x01\x05" + b"\x07\x00\x01" * 20_000
    ),
    "an unknown marker": command("connect", b"\x42"),
    "AMF3": command("connect", b"\x11\x0a\x0b\x01"),
    "a movie clip": command("connect", b"\x04"),
    "a string longer than its message": command("connect", b"\x02\xff\xffab"),
    "a long string longer than anything": command("connect", b"\x0c\xff\xff\xff\xffab"),
    "an end of no object": command("connect", b"\x00\x00\x09"),
}


@pytest.mark.parametrize("payload", STRANGE_COMMANDS.values(), ids=STRANGE_COMMANDS)
@pytest.mark.parametrize("type_id", [messages.COMMAND, messages.COMMAND_AMF3])
async def test_a_command_that_is_no_amf_closes_its_connection(
    house: House, bystander: Bystander, payload: bytes, type_id: int
) -> None:
    """Deep nesting, huge arrays, self reference, unknown markers, references that unfold."""
    client = await house.rtmp_client()
    wrapper = b"\x00" if type_id == messages.COMMAND_AMF3 else b""
    await client.send(type_id, wrapper + payload, csid=3)
    await client.ended()
    await until(lambda: len(house.rtmp) == 1)


ODD_VALUES: list[amf0.Value] = [
    None,
    amf0.UNDEFINED,
    True,
    7.0,
    float("nan"),
    [],
    {},
    amf0.EcmaArray(),
    ["live"],
    {"live": "live"},
    amf0.Date(0.0),
    "\ufffd",
]


@pytest.mark.parametrize("value", ODD_VALUES, ids=repr)
async def test_values_of_other_types_than_expected_are_no_names(
    house: House, bystander: Bystander, value: amf0.Value
) -> None:
    """Type confusion in connect, publish, play and pause."""
    client = await house.rtmp_client()
    await client.call("connect", {"app": value, "tcUrl": value, "flashVer": value, "fourCcList": value})
    await client.result()
    await client.call("publish", None, value, value, stream_id=1)
    assert [status.level for status in await client.ended()] == ["error"]
    client.close()

    client = await house.rtmp_client()
    await client.connect()
    await client.call("publish", value, value, value, stream_id=1)
    assert [status.level for status in await client.ended()] == ["error"]
    client.close()

    client = await house.rtmp_client()
    await client.play()
    await client.call("pause", value, value, value, stream_id=1)
    await client.status()
    client.close()
    await until(lambda: len(house.rtmp) == 1)


@pytest.mark.parametrize("first", ["connect", "publish", "play"])
async def test_a_call_without_its_arguments_is_a_call_without_names(
    house: House, bystander: Bystander, first: str
) -> None:
    """Commands cut short of their command object."""
    client = await house.rtmp_client()
    if first != "connect":
        await client.connect()
    await client.call(first)
    if first == "connect":
        await client.result()
        await client.call("publish", None, "cam", stream_id=1)
    assert [status.level for status in await client.ended()] == ["error"]


async def test_invalid_utf8_in_a_name_is_no_name(house: House, bystander: Bystander) -> None:
    """Bytes that are no UTF-8 become a sign that no name may have."""
    client = await house.rtmp_client()
    await client.connect()
    await client.send(messages.COMMAND, command("publish", NULL, b"\x02\x00\x04cam\xff"), stream_id=1, csid=3)
    assert [status.level for status in await client.ended()] == ["error"]


async def test_commands_out_of_order_are_ignored(house: House, bystander: Bystander) -> None:
    """Publish before connect, a second connect, leaving what was never begun, commands that nobody knows."""
    client = await house.rtmp_client()
    for name in ("publish", "deleteStream", "FCUnpublish", "pause", "play", "createStream", "onStatus", "_result"):
        await client.call(name, None, "evil", "live", stream_id=1)
    await client.connect()
    for name in ("connect", "deleteStream", "pause", "\x00", "__proto__", "x" * 60_000):
        await client.call(name, {"app": "other"}, "evil")
    await client.call("publish", None, "evil", "live", stream_id=1)
    await client.expect("NetStream.Publish.Start")
    assert len(house.engine.hub.publications()) == 2
    client.close()
    await until(lambda: len(house.engine.hub.publications()) == 1)


@pytest.mark.parametrize(
    "body",
    [payload.removeprefix(amf0.encode("connect", 1.0)) for payload in STRANGE_COMMANDS.values()],
    ids=STRANGE_COMMANDS,
)
async def test_metadata_that_is_no_amf_is_left_out_and_the_publish_goes_on(
    house: House, bystander: Bystander, body: bytes
) -> None:
    """The same values in metadata are a courtesy gone wrong, and no reason to end a stream."""
    publisher = await house.publisher("evil")
    await publisher.send(messages.DATA, amf0.encode("@setDataFrame", "onMetaData") + body, stream_id=1)
    await begin(publisher)
    viewer = await house.flv_player("evil")
    await until(
        lambda: house.players(type(house.engine.hub.publications()[0].lease.stream)("demo", "live", "evil")) == 1
    )
    publisher.close()
    await until(lambda: len(house.engine.hub.publications()) == 1)
    viewer.close()


# Media


async def watch(house: House, publisher: RtmpClient, sent: list[tuple[Kind, int, bytes]]) -> list[Tag]:
    """What a player gets of all that is sent after a proper start, up to a last key frame."""
    await begin(publisher)
    viewer: HttpClient = await house.flv_player("evil")
    for kind, timestamp, payload in sent:
        await publisher.send_media(kind, timestamp, payload)
    last = key_body(b"the last one")
    await publisher.send_media(Kind.VIDEO, sent[-1][1], last)
    tags = await viewer.tags(1)
    while tags[-1].payload != last:
        tags += await viewer.tags(1)
    return tags


TIMES = {
    "backwards": [100_000, 80_000, 60_000, 40_000, 0],
    "over the end of 32 bits": [2**32 - 40, 0, 40],
    "to and fro over it": [2**32 - 10, 10, 2**32 - 10, 10],
    "all the same": [5, 5, 5, 5],
    "from end to end": [0, 2**31, 0, 2**31 - 1, 2**32 - 1, 1],
    "extended ones": [0xFFFFFE, 0xFFFFFF, 0x1000000, 0xFFFFFF],
    "at random": [random.Random(3).randrange(2**32) for _ in range(50)],
}


@pytest.mark.parametrize("times", TIMES.values(), ids=TIMES)
async def test_wild_clocks_reach_no_player(house: House, bystander: Bystander, times: list[int]) -> None:
    """Timestamps backwards, over 32 bits and at random: players see a line that does not jump back far."""
    tags = await watch(
        house, await house.publisher("evil"), [(Kind.VIDEO, time, inter_body(b"%d" % time)) for time in times]
    )
    video = [tag.dts_ms for tag in tags if tag.kind == Kind.VIDEO]
    assert len(video) == len(times) + 3
    highest = 0
    for dts_ms in video:
        assert highest - 3000 <= dts_ms <= highest + 60_000
        highest = max(highest, dts_ms)


STRANGE_BODIES = {
    "empty": b"",
    "one byte": b"\x17",
    "avc cut off": b"\x17\x01\x00\x00",
    "avc without a picture": b"\x17\x01\x00\x00\x00",
    "avc setup without a record": b"\x17\x00\x00\x00\x00",
    "avc setup of noise": b"\x17\x00\x00\x00\x00" + bytes(range(256)),
    "avc setup that says 65535 parameter sets": b"\x17\x00\x00\x00\x00\x01\x64\x00\x28\xff\xff\xff\xff",
    "another setup": b"\x17\x00\x00\x00\x00" + AVC_HEADER[5:],
    "end of sequence": b"\x17\x02\x00\x00\x00",
    "a command frame": b"\x57\x00",
    "a codec that nobody knows": b"\x1f" + bytes(20),
    "a fourcc that nobody knows": b"\x91\xff\xff\xff\xff" + bytes(20),
    "a fourcc of markup": b"\x90<b>\x00" + bytes(20),
    "a fourcc cut off": b"\x90hv",
    "hevc setup of noise": b"\x90hvc1" + bytes(range(256)),
    "av1 setup cut off": b"\x90av01\x81",
    "one track of many": b"\x96\x00avc1\x00" + key_body(),
    "many tracks": b"\x96\x11avc1\x00\x00\x00\x05" + bytes(5) + b"\x01\xff\xff\xff",
    "many tracks of many codecs": b"\x96\x21" + b"avc1\x00\xff\xff\xff" * 20,
    "modifiers without end": b"\x97" + b"\x00\x00\x07" * 3000,
    "a modifier longer than its body": b"\x97\xff\xff\xff",
    "metadata of enhanced rtmp": b"\x94avc1" + amf0.encode("colorInfo", {"a": 1.0}),
    "a transport stream's setup": b"\x95av01" + bytes(3),
    "a packet type that nobody knows": b"\x9fhvc1" + bytes(20),
}
STRANGE_SOUNDS = {
    "one byte": b"\xaf",
    "aac setup of nothing": b"\xaf\x00",
    "aac setup of noise": b"\xaf\x00" + b"\xff" * 50,
    "an aac packet type that nobody knows": b"\xaf\x77abc",
    "a fourcc that nobody knows": b"\x91zzzz" + bytes(9),
    "a fourcc cut off": b"\x90Op",
    "many tracks": b"\x95\x10mp4a\x00\xff\xff\xff",
    "modifiers without end": b"\x97" + b"\x00\x00\x07" * 3000,
}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        *(pytest.param(Kind.VIDEO, body, id=f"video: {name}") for name, body in STRANGE_BODIES.items()),
        *(pytest.param(Kind.AUDIO, body, id=f"audio: {name}") for name, body in STRANGE_SOUNDS.items()),
    ],
)
async def test_a_strange_body_ends_no_stream_and_breaks_no_players_file(
    house: House, bystander: Bystander, kind: Kind, body: bytes
) -> None:
    """Empty and cut-off frames, setups of noise or changed in mid-stream, Enhanced RTMP's rarities."""
    tags = await watch(
        house,
        await house.publisher("evil"),
        [(kind, 40, body), (Kind.AUDIO, 60, audio_body()), (kind, 80, body), (Kind.VIDEO, 120, inter_body())],
    )
    assert (Kind.VIDEO, inter_body()) in [(tag.kind, tag.payload) for tag in tags]
    # Who comes later gets a file too, from the last key frame on.
    late = await house.flv_player("evil")
    while (await late.tags(1))[0].payload != key_body(b"the last one"):
        pass
    for status in house.engine.hub.on_air():
        video, audio = status.stats.video, status.stats.audio
        assert video is None or video.codec.isprintable()
        assert audio is None or audio.codec.isprintable()


async def test_a_setup_in_every_frame_fills_no_memory(house: House, bystander: Bystander) -> None:
    """Sequence headers and metadata that change without end: one of each kind is kept."""
    publisher = await house.publisher("evil")
    await begin(publisher)
    for number in range(300):
        await publisher.send_media(Kind.VIDEO, number, AVC_HEADER + b"%d" % number)
        await publisher.send_media(Kind.AUDIO, number, AAC_HEADER + b"%d" % number)
        await publisher.send_media(Kind.DATA, number, metadata_body(title=f"number {number}"))
    await publisher.send_media(Kind.VIDEO, 300, key_body(b"last"))
    await house.arrived(300 * (len(AVC_HEADER) + len(AAC_HEADER)) + len(key_body(b"last")), "evil")
    viewer = await house.flv_player("evil")
    tags = await viewer.tags(4)
    assert [tag.kind for tag in tags] == [Kind.DATA, Kind.VIDEO, Kind.AUDIO, Kind.VIDEO]
    assert amf0.decode(tags[0].payload)[1] == {"title": "number 299"}


async def test_a_stream_without_a_second_key_frame_fills_no_memory(house: House) -> None:
    """One endless GOP: it is let go at its limit, and who comes later waits."""
    stream_bytes = 33 * 1024 * 1024
    publisher = await house.on_air("evil")
    body = inter_body(bytes(1_000_000))
    for number in range(1, stream_bytes // len(body) + 1):
        await publisher.send_media(Kind.VIDEO, number * 40, body)
    await house.arrived(stream_bytes // len(body) * len(body), "evil")
    stream = house.engine.hub.publications()[0].stream
    assert stream._gop.packets == []
    viewer = await house.flv_player("evil")
    await publisher.send_media(Kind.VIDEO, 10_000, key_body(b"at last"))
    assert (await viewer.tags(3))[-1].payload == key_body(b"at last")


async def test_aggregates_that_lie_about_their_parts_close_their_connection(house: House, bystander: Bystander) -> None:
    """FLV tags inside an aggregate message whose sizes lead beyond it."""
    publisher = await house.publisher("evil")
    await publisher.send(messages.AGGREGATE, b"\x09\xff\xff\xff" + bytes(20), stream_id=1)
    await publisher.ended()
