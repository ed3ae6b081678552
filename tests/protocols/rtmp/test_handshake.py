"""RTMP's handshake against a client written here from what is known of Adobe's: plain and digest."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import RtmpError
from penstock.protocols.rtmp.handshake import ClientHandshake, ServerHandshake
from tests.protocols.rtmp.tools import bytewise, pieces

BLOCK = 1536
DIGEST = 32
# Each layout by where its four bytes stand that tell the digest's place.
LAYOUTS = {"digest before key": 8, "digest after key": 772}
# "Genuine Adobe Flash Player 001" and "... Media Server 001"; a signature's key goes on with 32 further bytes.
PLAYER = b"Genuine Adobe Flash Player 001"
SERVER = b"Genuine Adobe Flash Media Server 001"
SHARED = bytes.fromhex("F0EEC24A8068BEE82E00D0D1029E7E576EEC5D2D29806FAB93B8E636CFEB31AE")


def sign(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()


def place(block: bytes, layout: int) -> int:
    """Where the digest stands in a block of this layout."""
    return layout + 4 + (block[layout] + block[layout + 1] + block[layout + 2] + block[layout + 3]) % 728


def without(block: bytes, at: int) -> bytes:
    return block[:at] + block[at + DIGEST :]


def plain_block(seed: int = 0) -> bytes:
    """A client's C1 that hides no digest: a time, four zero bytes, and noise."""
    return bytes(8) + random.Random(seed).randbytes(BLOCK - 8)


def digest_block(layout: int, seed: int = 0, key: bytes = PLAYER) -> bytes:
    """A client's C1 that hides one."""
    block = bytes(4) + bytes((10, 0, 32, 18)) + random.Random(seed).randbytes(BLOCK - 8)
    at = place(block, layout)
    return block[:at] + sign(key, without(block, at)) + block[at + DIGEST :]


def answer_to(c1: bytes) -> tuple[bytes, bytes]:
    """Both blocks that the server answers with."""
    handshake = ServerHandshake()
    assert handshake.receive(b"\x03" + c1) == b""
    sent = handshake.data_to_send()
    assert len(sent) == 1 + 2 * BLOCK
    assert sent[0] == 3
    assert handshake.data_to_send() == b""
    return sent[1 : 1 + BLOCK], sent[1 + BLOCK :]


def is_plain(s1: bytes, s2: bytes, c1: bytes) -> bool:
    return s1[4:8] == bytes(4) and s2 == c1


def test_plain_block_is_echoed() -> None:
    c1 = plain_block()
    s1, s2 = answer_to(c1)
    assert is_plain(s1, s2, c1)
    assert s1[8:] != answer_to(c1)[0][8:]  # its own bytes are new each time


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_digest_is_answered_in_its_own_layout(layout: int, seed: int) -> None:
    c1 = digest_block(layout, seed)
    s1, s2 = answer_to(c1)
    assert s1[4:8] != bytes(4)
    at = place(s1, layout)
    assert s1[at : at + DIGEST] == sign(SERVER, without(s1, at))
    at = place(c1, layout)
    key = sign(SERVER + SHARED, c1[at : at + DIGEST])
    assert s2[-DIGEST:] == sign(key, s2[:-DIGEST])


@pytest.mark.parametrize("total", [0, 727, 728, 1020])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_digest_is_found_wherever_it_may_stand(layout: int, total: int) -> None:
    block = bytearray(digest_block(layout))
    block[layout : layout + 4] = [total // 4 + (n < total % 4) for n in range(4)]
    at = place(bytes(block), layout)
    block[at : at + DIGEST] = sign(PLAYER, without(bytes(block), at))
    s1, s2 = answer_to(bytes(block))
    assert not is_plain(s1, s2, bytes(block))


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_bad_digest_gets_the_plain_form(layout: int) -> None:
    c1 = bytearray(digest_block(layout))
    c1[-1] ^= 1
    s1, s2 = answer_to(bytes(c1))
    assert is_plain(s1, s2, bytes(c1))


def test_digest_by_another_key_gets_the_plain_form() -> None:
    c1 = digest_block(8, key=SERVER)
    s1, s2 = answer_to(c1)
    assert is_plain(s1, s2, c1)


HELLO = b"\x03" + plain_block() + random.Random(7).randbytes(BLOCK)


def test_bytes_behind_the_handshake_come_out() -> None:
    handshake = ServerHandshake()
    assert handshake.receive(HELLO + b"connect") == b"connect"
    assert handshake.done


def test_handshake_is_done_with_the_echos_last_byte() -> None:
    handshake = ServerHandshake()
    assert handshake.receive(HELLO[:-1]) == b""
    assert not handshake.done
    assert handshake.receive(HELLO[-1:]) == b""
    assert handshake.done


def test_handshake_goes_byte_by_byte() -> None:
    handshake, answered_after = ServerHandshake(), list[int]()
    for at, byte in enumerate(bytewise(HELLO), start=1):
        assert handshake.receive(byte) == b""
        if handshake.data_to_send():
            answered_after.append(at)
        assert handshake.done == (at == len(HELLO))
    assert answered_after == [1 + BLOCK]


@pytest.mark.parametrize("seed", range(10))
def test_handshake_goes_in_random_splits(seed: int) -> None:
    handshake, rng = ServerHandshake(), random.Random(seed)
    cuts = [rng.randrange(len(HELLO) + 7) for _ in range(6)]
    rest = b"".join(handshake.receive(memoryview(piece)) for piece in pieces(HELLO + b"connect", cuts))
    assert (handshake.done, rest) == (True, b"connect")


def test_client_need_not_echo_what_it_was_sent() -> None:
    # To check it would gain nothing.
    handshake = ServerHandshake()
    handshake.receive(b"\x03" + plain_block() + bytes(BLOCK))
    assert handshake.done


@pytest.mark.parametrize("first", [b"\x06", b"\x00", b"GET / HTTP/1.1\r\n", b"\x16\x03\x01"])
def test_other_versions_are_refused_at_the_first_byte(first: bytes) -> None:
    # 6 is RTMPE; then somebody's web browser, and TLS at a plain port.
    handshake = ServerHandshake()
    with pytest.raises(RtmpError, match=f"opens with byte 0x{first[0]:02x}; RTMP opens with 0x03"):
        handshake.receive(first)
    assert handshake.data_to_send() == b""


@settings(max_examples=60)
@given(st.booleans(), st.lists(st.binary(max_size=2000), max_size=5))
def test_any_bytes_are_taken_or_raise_rtmp_error(has_version: bool, data: list[bytes]) -> None:
    handshake = ServerHandshake()
    with contextlib.suppress(RtmpError):
        for piece in [b"\x03"] * has_version + data:
            handshake.receive(piece)
            if handshake.done:
                break
    assert len(handshake.data_to_send()) in (0, 1 + 2 * BLOCK)


@settings(max_examples=40)
@given(st.sampled_from([8, 772]), st.integers(0, 2**32 - 1))
def test_every_digest_block_is_recognized(layout: int, seed: int) -> None:
    c1 = digest_block(layout, seed)
    assert not is_plain(*answer_to(c1), c1)


# The client's half


def test_both_halves_get_through_in_any_splits() -> None:
    for seed in range(20):
        rng = random.Random(seed)
        asks, answers = ClientHandshake(), ServerHandshake()
        for _ in range(3):
            for near, far in ((asks, answers), (answers, asks)):
                for piece in pieces(near.data_to_send(), [rng.randrange(3100) for _ in range(4)]):
                    assert far.receive(piece) == b""
        assert (asks.done, answers.done) == (True, True)
        assert (asks.data_to_send(), answers.data_to_send()) == (b"", b"")


def test_what_a_server_sends_behind_the_handshake_is_handed_on() -> None:
    asks = ClientHandshake()
    assert asks.receive(b"\x03" + plain_block() + bytes(BLOCK) + b"ack") == b"ack"


@pytest.mark.parametrize("first", [b"\x06", b"HTTP/1.1 400"])
def test_a_server_of_another_protocol_is_refused_at_the_first_byte(first: bytes) -> None:
    with pytest.raises(RtmpError, match=f"opens with byte 0x{first[0]:02x}"):
        ClientHandshake().receive(first)
