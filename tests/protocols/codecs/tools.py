"""What the codec tests share: a bit writer, and the captured configuration records."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

CAPTURES = Path(__file__).parents[2] / "captures" / "setups.json"
CHROMA_OF = {"yuv420p": "4:2:0", "yuv422p": "4:2:2", "yuv444p": "4:4:4", "gbrp": "4:4:4", "gray": "4:0:0"}


class Bits:
    """Writes the fields that `BitReader` reads."""

    def __init__(self) -> None:
        self._text: list[str] = []

    def u(self, count: int, value: int) -> Self:
        if count:
            self._text.append(f"{value:0{count}b}")
        return self

    def flags(self, *values: int) -> Self:
        self._text.extend(str(value) for value in values)
        return self

    def ue(self, *values: int) -> Self:
        for value in values:
            code = f"{value + 1:b}"
            self._text.append("0" * (len(code) - 1) + code)
        return self

    def se(self, *values: int) -> Self:
        return self.ue(*(2 * value - 1 if value > 0 else -2 * value for value in values))

    def add(self, other: Bits) -> Self:
        self._text.extend(other._text)
        return self

    def align(self) -> Self:
        return self.u(-len("".join(self._text)) % 8, 0)

    def to_bytes(self) -> bytes:
        """The bits, filled up with zeros."""
        text = "".join(self._text)
        text += "0" * (-len(text) % 8)
        return int("1" + text, 2).to_bytes(len(text) // 8 + 1, "big")[1:]


def escape(payload: bytes) -> bytes:
    """Put emulation prevention bytes in, one byte after another as an encoder does."""
    out, zeros = bytearray(), 0
    for byte in payload:
        if zeros == 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


def captures(codec: str) -> dict[str, dict[str, Any]]:
    """The captured records of one codec, by case."""
    cases = json.loads(CAPTURES.read_text())
    return {name: case for name, case in cases.items() if name != "_about" and case["codec"] == codec}


def rate_of(probe: dict[str, Any]) -> float:
    """The frame rate that ffprobe gave, as a number."""
    return float(Fraction(probe["r_frame_rate"]))


def pixels_of(probe: dict[str, Any]) -> tuple[int, str]:
    """Bit depth and chroma format of ffprobe's pixel format."""
    name = probe["pix_fmt"].removesuffix("le")
    for depth in (10, 12):
        if name.endswith(f"p{depth}"):
            return depth, CHROMA_OF[name.removesuffix(str(depth))]
    return 8, CHROMA_OF[name]
