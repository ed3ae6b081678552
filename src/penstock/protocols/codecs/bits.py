"""Reading single bits: what every codec's headers are written in.

The plan: one reader over immutable bytes that keeps a bit position and slices out just the
bytes a field lies in, so that a read costs its own length and not the buffer's.

Source: ITU-T H.264 (08/2021), sections 7.3.1 (emulation prevention), 9.1 and 9.1.1 (ue, se).
"""

from __future__ import annotations

from penstock.errors import CodecError

# The longest code of the standards, 2**32 - 2, has 31 leading zeros; AV1's uvlc stops at 32.
MAX_LEADING_ZEROS = 32


class BitReader:
    """Reads big-endian bit fields off `data`, front to back.

    Every method raises CodecError instead of passing the end.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._end = len(data) * 8

    @property
    def bits_left(self) -> int:
        """How many bits have not been read."""
        return self._end - self._at

    def read_bits(self, count: int) -> int:
        """Return the next `count` bits as an unsigned number; no bits are 0."""
        start = self._at
        self.skip(count)
        first, last = start >> 3, (self._at + 7) >> 3
        bits = int.from_bytes(self._data[first:last], "big") >> (-self._at & 7)
        return bits & ((1 << count) - 1)

    def read_flag(self) -> bool:
        """Return the next bit."""
        start = self._at
        self.skip(1)
        return bool(self._data[start >> 3] >> (7 - (start & 7)) & 1)

    def skip(self, count: int) -> None:
        """Pass over `count` bits."""
        if count > self._end - self._at:
            raise CodecError(f"a field of {count} bits at bit {self._at}; wanted it within {self._end} bits")
        self._at += count

    def align(self) -> None:
        """Pass over the rest of a byte that has been begun."""
        self._at = (self._at + 7) & ~7

    def ue(self) -> int:
        """Return an unsigned Exp-Golomb number."""
        start, zeros = self._at, 0
        while not self.read_flag():
            zeros += 1
            if zeros > MAX_LEADING_ZEROS:
                raise CodecError(f"over {MAX_LEADING_ZEROS} zeros open the number at bit {start}; wanted fewer")
        return (1 << zeros) - 1 + self.read_bits(zeros)

    def ue_up_to(self, limit: int, what: str) -> int:
        """Return an unsigned Exp-Golomb number that the specification bounds by `limit`."""
        value = self.ue()
        if value > limit:
            raise CodecError(f"{what} is {value}; wanted {limit} at most")
        return value

    def se(self) -> int:
        """Return a signed Exp-Golomb number."""
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def unescape(nal: bytes) -> bytes:
    """Return a NAL unit's payload without its emulation prevention bytes."""
    return nal.replace(b"\x00\x00\x03", b"\x00\x00")
