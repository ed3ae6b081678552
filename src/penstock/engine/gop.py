"""The packets since the last key frame: where a player that joins now can start from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from penstock.model import MediaPacket

Headers = tuple[MediaPacket, ...]

# Bytes that a packet takes up besides its tag: a stream of the smallest ones must not cost ten times the limit.
PACKET_COST: Final = 160


class GopCache:
    """Holds one GOP, with the setup that was in force at its start.

    A GOP over `limit_bytes` is let go, and players wait for the next one: a publisher that
    sends no second key frame must not fill the memory.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.headers: Headers = ()
        self.packets: list[MediaPacket] = []
        self._limit_bytes = limit_bytes
        self._bytes = 0

    def clear(self) -> None:
        self.headers, self.packets, self._bytes = (), [], 0

    def start(self, packets: list[MediaPacket], headers: Headers) -> None:
        """Begin anew with `packets`, of which the first is a key frame."""
        self.headers, self.packets, self._bytes = headers, [], 0
        self._extend(packets)

    def extend(self, packets: Sequence[MediaPacket]) -> None:
        """Go on, if there is a GOP to go on with."""
        if self.packets:
            self._extend(packets)

    def _extend(self, packets: Sequence[MediaPacket]) -> None:
        self.packets += packets
        for packet in packets:
            self._bytes += len(packet.tag) + PACKET_COST
        if self._bytes > self._limit_bytes:
            self.clear()
