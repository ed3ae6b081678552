"""A reader of MP4 boxes that knows nothing of the writer: every box by its own layout, every byte accounted for."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from msgspec import Struct

CONTAINERS = frozenset(("moov", "trak", "mdia", "minf", "dinf", "stbl", "mvex", "moof", "traf"))
# Bytes of a box's own fields ahead of the boxes in it.
ENTRY_FIELDS = {"dref": 8, "stsd": 8, "avc1": 78, "hvc1": 78, "av01": 78, "mp4a": 28}


class Box(Struct):
    kind: str
    start: int  # in the file
    fields: bytes  # what is in it ahead of other boxes
    boxes: list[Box]

    def all(self, path: str) -> list[Box]:
        """The boxes at a path such as "trak/mdia/mdhd"."""
        head, _, rest = path.partition("/")
        found = [box for box in self.boxes if box.kind == head]
        return [inner for box in found for inner in box.all(rest)] if rest else found

    def one(self, path: str) -> Box:
        (found,) = self.all(path)
        return found

    @property
    def version(self) -> int:
        return self.fields[0]

    @property
    def flags(self) -> int:
        return int.from_bytes(self.fields[1:4], "big")

    def numbers(self, form: str, at: int = 0) -> tuple[int, ...]:
        return struct.unpack_from(f">{form}", self.fields, at)


def read(data: bytes) -> Box:
    """The whole of `data` as one box without a name; anything left over is an error."""
    return Box("", 0, b"", list(_boxes(data, 0, len(data))))


def _boxes(data: bytes, at: int, end: int) -> Iterator[Box]:
    while at < end:
        assert end - at >= 8, f"{end - at} bytes left over at {at}"
        size, kind = struct.unpack_from(">I4s", data, at)
        assert 8 <= size <= end - at, f"{kind!r} at {at} has a size of {size}"
        name = kind.decode("ascii")
        inner = at + 8 + (0 if name in CONTAINERS else ENTRY_FIELDS.get(name, size - 8))
        yield Box(name, at, data[at + 8 : inner], list(_boxes(data, inner, at + size)))
        at += size


class ReadSample(Struct):
    data: bytes
    duration: int
    flags: int
    composition: int


class ReadRun(Struct):
    track_id: int
    decode_time: int
    samples: list[ReadSample]


def read_segment(data: bytes) -> list[ReadRun]:
    """The runs of a media segment with their samples' own bytes, by the offsets that it tells."""
    segment = read(data)
    assert [box.kind for box in segment.boxes] == ["moof", "mdat"]
    moof, mdat = segment.boxes
    runs, at = [], mdat.start + 8
    for traf in moof.all("traf"):
        run, at = _read_run(data, traf, at)
        runs.append(run)
    assert at == len(data), "bytes in mdat that belong to no sample"
    return runs


def read_fragments(data: bytes) -> list[list[ReadRun]]:
    """The runs of each fragment of a segment that holds several, one behind the other."""
    starts = [box.start for box in read(data).boxes if box.kind == "moof"]
    assert starts[0] == 0
    return [read_segment(data[start:end]) for start, end in zip(starts, [*starts[1:], len(data)], strict=True)]


def _read_run(data: bytes, traf: Box, expected_at: int) -> tuple[ReadRun, int]:
    assert [box.kind for box in traf.boxes] == ["tfhd", "tfdt", "trun"]
    tfhd, tfdt, trun = traf.boxes
    assert tfhd.flags & 0x020000, "offsets count from the moof"
    (track_id,) = tfhd.numbers("I", 4)
    default_flags = tfhd.numbers("I", 8)[0] if tfhd.flags & 0x20 else 0
    assert tfdt.version == 1
    (decode_time,) = tfdt.numbers("Q", 4)
    count, at = trun.numbers("Ii", 4)
    assert trun.version == 1
    assert at == expected_at, "runs lie one behind the other"
    row = 4 * sum(bool(trun.flags & flag) for flag in (0x100, 0x200, 0x400, 0x800))
    assert len(trun.fields) == 12 + count * row
    samples, field = [], 12
    for _ in range(count):
        duration, size = trun.numbers("2I", field)
        flags, composition = trun.numbers("Ii", field + 8) if trun.flags & 0xC00 else (default_flags, 0)
        samples.append(ReadSample(data[at : at + size], duration, flags, composition))
        at, field = at + size, field + row
    return ReadRun(track_id, decode_time, samples), at
