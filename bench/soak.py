"""Does it stay as it is? Streams of ever new names, players that come and go, and what the processes hold meanwhile.

    python -m bench.soak                               # 30 minutes, 100,000 names
    python -m bench.soak --minutes 5 --names 16667     # the same pace, for a sixth of the time

A server runs as for everybody. At a steady pace streams begin, each of a name that never was; they last for a moment
or some seconds, with players or without, and end by FIN, by RST, by a kick or by falling silent. Others are refused,
and players ask for what is not there. Three streams with players of their own go on all the while. Memory and
descriptors of each process are read from /proc; the verdict compares the middle fifth of the time with the last one.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import random
import re
import socket
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Awaitable, Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from penstock.admin.streams import KickStream
from penstock.errors import PenstockError
from penstock.model import Kind
from penstock.protocols import amf0
from penstock.protocols.rtmp import messages
from penstock.protocols.rtmp.chunk import encode_message
from penstock.testing import Server

SEED: Final = 4
SAMPLES: Final = 120  # over the whole time
ROWS: Final = 12  # of them in the table
AT_ONCE: Final = 400  # connections of ours
FRAME_S: Final = 0.2
IDLE_S: Final = 2.0
DEADLINE_S: Final = 30.0
PLAYED_BYTES: Final = 6000
SUFFIXES: Final = (".flv", ".flv", ".flv", ".m3u8")
CHUNK_SIZE: Final = 128  # as nobody says another one
# What may come on top and is no leak: what a moment happens to hold, and next to nothing for each name that came.
MORE_MIB: Final = 1.0
MORE_BYTES_A_NAME: Final = 100
MORE_DESCRIPTORS: Final = 40

# A picture's setup, a key frame and another picture; the server reads no more of them than their first bytes.
SETUP: Final = bytes.fromhex("17000000000142c00dffe1000a6742c00d95a0a0c3d08001000468ce3c80")
KEY: Final = bytes.fromhex("1701000000") + bytes(4000)
INTER: Final = bytes.fromhex("2701000000") + bytes(800)


class Sample(Struct, frozen=True):
    """What the processes held at a moment."""

    at_s: float
    names: int  # begun until then
    rss_mib: dict[str, float]
    descriptors: dict[str, int]
    connections: int  # of ours, at that moment


class Counts(Struct):
    """What was done."""

    begun: int = 0
    refused: int = 0
    played_bytes: int = 0
    not_there: int = 0
    kicked: int = 0
    silent: int = 0
    failed: int = 0
    connections: int = 0


# Peers


class Encoder:
    """Publishes one stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def begin(cls, port: int, app: str, name: str) -> Encoder | None:
        """Say all that an encoder says; None means that the server refused."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        encoder = cls(reader, writer)
        writer.write(b"\x03" + bytes(1536))
        answer = await reader.readexactly(1 + 2 * 1536)
        writer.write(
            answer[1:1537]
            + _command("connect", 1.0, {"app": app, "tcUrl": f"rtmp://127.0.0.1/{app}"})
            + _command("createStream", 2.0, None)
            + _command("publish", 3.0, None, name, "live", stream_id=1)
        )
        said = b""
        while b"NetStream.Publish." not in said or said.endswith(b"NetStream.Publish."):
            more = await reader.read(4096)
            if not more:
                break
            said += more
        if b"NetStream.Publish.Start" in said:
            return encoder
        writer.close()
        return None

    async def send(self, at_ms: int, *bodies: bytes) -> None:
        for body in bodies:
            self._writer.write(encode_message(6, Kind.VIDEO, at_ms, body, stream_id=1, chunk_size=CHUNK_SIZE))
        await self._writer.drain()

    async def send_for(self, seconds: float) -> None:
        await self.send(0, SETUP, KEY)
        for number in range(1, max(2, int(seconds / FRAME_S))):
            await asyncio.sleep(FRAME_S)
            await self.send(int(number * FRAME_S * 1000), KEY if number % 10 == 0 else INTER)

    async def ended(self) -> None:
        """Wait until the server closes."""
        with contextlib.suppress(ConnectionError):
            while await self._reader.read(65536):
                pass

    def close(self, *, by_reset: bool = False) -> None:
        if by_reset:
            connection = self._writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.close()


def _command(name: str, number: float, *arguments: amf0.Value, stream_id: int = 0) -> bytes:
    return encode_message(3, messages.COMMAND, 0, amf0.encode(name, number, *arguments), stream_id=stream_id)


async def play(port: int, name: str, counts: Counts) -> None:
    """Watch some of a stream, and leave; `name` has the suffix of a format."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET /live/{name} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        first = await reader.readline()
        if b" 404 " in first:
            counts.not_there += 1
            return
        taken = 0
        while taken < PLAYED_BYTES and (data := await reader.read(65536)):
            taken += len(data)
            counts.played_bytes += len(data)
    finally:
        writer.close()


# The load


class Load:
    """All peers, and what they did."""

    def __init__(self, server: Server) -> None:
        self.counts = Counts()
        self._server = server
        self._rtmp = int(server.base("rtmp").rpartition(":")[2])
        self._http = int(server.base("http").rpartition(":")[2])
        self._dice = random.Random(SEED)
        self._room = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, names: int, seconds: float) -> None:
        """Begin so many streams, evenly over the time."""
        steady = [asyncio.create_task(self._steady(f"steady{number}", seconds)) for number in range(3)]
        began = time.monotonic()
        for number in range(names):
            await asyncio.sleep(began + seconds * number / names - time.monotonic())
            await self._room.acquire()
            task = asyncio.create_task(self._guarded(self._one(number)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        await asyncio.sleep(began + seconds - time.monotonic())
        await asyncio.gather(*steady, *self._tasks)

    async def _guarded(self, work: Awaitable[None]) -> None:
        self.counts.connections += 1
        try:
            async with asyncio.timeout(DEADLINE_S):
                await work
        except (OSError, EOFError, TimeoutError, PenstockError):
            self.counts.failed += 1
        finally:
            self.counts.connections -= 1
            self._room.release()

    async def _one(self, number: int) -> None:
        """A stream from its begin to its end, whichever that is; and one in ten is none."""
        dice = self._dice.random()
        if dice < 0.1:
            refused = await Encoder.begin(self._rtmp, "nosuchapp", f"refused{number}")
            self.counts.refused += refused is None
            await play(self._http, f"nosuch{number}.flv", self.counts)
            return
        name = f"s{number}"
        encoder = await Encoder.begin(self._rtmp, "live", name)
        assert encoder is not None
        self.counts.begun += 1
        players = [
            play(self._http, name + self._dice.choice(SUFFIXES), self.counts)
            for _ in range(self._dice.choice((0, 0, 1, 2)))
        ]
        sending = encoder.send_for(self._dice.uniform(0.2, 2.0))
        await asyncio.gather(sending, *([self._once_there(players)] if players else []))
        await self._end(encoder, name, dice)

    async def _once_there(self, players: Sequence[Awaitable[None]]) -> None:
        await asyncio.sleep(FRAME_S / 2)
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(FRAME_S * 4):
                await asyncio.gather(*players)

    async def _end(self, encoder: Encoder, name: str, dice: float) -> None:
        if dice < 0.12:
            await encoder.ended()  # by its silence
            self.counts.silent += 1
        elif dice < 0.16:
            await asyncio.to_thread(self._server.ask, KickStream(stream=f"demo/live/{name}"))
            await encoder.ended()
            self.counts.kicked += 1
        encoder.close(by_reset=dice > 0.6)

    async def _steady(self, name: str, seconds: float) -> None:
        encoder = await Encoder.begin(self._rtmp, "live", name)
        assert encoder is not None
        watching = asyncio.create_task(self._watch_again_and_again(name))
        await encoder.send_for(seconds)
        watching.cancel()
        encoder.close()

    async def _watch_again_and_again(self, name: str) -> None:
        while True:
            await asyncio.sleep(FRAME_S)
            await play(self._http, f"{name}.flv", self.counts)


# What is held


def processes(server_pid: int) -> dict[str, int]:
    """The server's processes by what they are."""
    found = {"supervisor": server_pid}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == server_pid:
                words = (path.parent / "cmdline").read_text().split("\0")
                found[words[words.index("penstock.processes") + 1]] = int(path.parent.name)
    return found


def rss_mib(pid: int) -> float:
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def sample(pids: dict[str, int], at_s: float, counts: Counts) -> Sample:
    return Sample(
        at_s=at_s,
        names=counts.begun + counts.refused,
        rss_mib={name: rss_mib(pid) for name, pid in pids.items()},
        descriptors={name: len(list(Path(f"/proc/{pid}/fd").iterdir())) for name, pid in pids.items()},
        connections=counts.connections,
    )


class Verdict(Struct, frozen=True):
    """One process: what it held in the middle and at the end (medians of a fifth of the time each)."""

    process: str
    names: int  # that came between the two
    rss_before: float
    rss_after: float
    descriptors_before: int
    descriptors_after: int

    @property
    def is_flat(self) -> bool:
        more_mib = MORE_MIB + MORE_BYTES_A_NAME * self.names / 2**20
        return (
            self.rss_after <= self.rss_before + more_mib
            and self.descriptors_after <= self.descriptors_before + MORE_DESCRIPTORS
        )


def judge(samples: Sequence[Sample]) -> list[Verdict]:
    fifth = max(1, len(samples) // 5)
    before, after = samples[2 * fifth : 3 * fifth], samples[-fifth:]
    names = after[0].names - before[0].names
    return [
        Verdict(
            name,
            names,
            statistics.median(each.rss_mib[name] for each in before),
            statistics.median(each.rss_mib[name] for each in after),
            int(statistics.median(each.descriptors[name] for each in before)),
            int(statistics.median(each.descriptors[name] for each in after)),
        )
        for name in samples[0].rss_mib
    ]


def table(samples: Sequence[Sample]) -> Iterator[str]:
    names = list(samples[0].rss_mib)
    cells = [f"{name} {what}" for name in names for what in ("MiB", "fds")]
    yield f"| minute | names | connections | {' | '.join(cells)} |"
    yield f"| ---: | ---: | ---: |{' ---: |' * len(cells)}"
    step = max(1, len(samples) // ROWS)
    for each in [*samples[:-1:step], samples[-1]]:
        held = [text for name in names for text in (f"{each.rss_mib[name]:.1f}", f"{each.descriptors[name]}")]
        yield f"| {each.at_s / 60:.1f} | {each.names:,} | {each.connections} | {' | '.join(held)} |"


def report(samples: Sequence[Sample], counts: Counts) -> Iterator[str]:
    yield from table(samples)
    yield ""
    yield "; ".join(
        (
            f"{counts.begun:,} streams ({counts.kicked:,} kicked, {counts.silent:,} fell silent)",
            f"{counts.refused:,} refused",
            f"{counts.played_bytes / 1e6:,.0f} MB played",
            f"{counts.not_there:,} asked for in vain",
            f"{counts.failed:,} failed",
        )
    )
    for verdict in judge(samples):
        yield (
            f"{verdict.process}: {verdict.rss_before:.1f} → {verdict.rss_after:.1f} MiB, "
            f"{verdict.descriptors_before} → {verdict.descriptors_after} descriptors: "
            f"{'flat' if verdict.is_flat else 'IT GROWS'}"
        )


async def soak(server: Server, names: int, seconds: float) -> tuple[list[Sample], Counts]:
    load, samples = Load(server), list[Sample]()
    pids = processes(server.pid)
    assert pids.keys() == {"supervisor", "engine", "control"}
    began = time.monotonic()
    running = asyncio.create_task(load.run(names, seconds))
    for number in itertools.count():
        samples.append(sample(pids, time.monotonic() - began, load.counts))
        await asyncio.wait({running}, timeout=max(0.0, began + (number + 1) * seconds / SAMPLES - time.monotonic()))
        if running.done():
            break
    running.result()
    assert processes(server.pid) == pids, "a process died on the way"
    return samples, load.counts


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--names", type=int, default=100_000, help="streams to begin, over the whole time")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = {"media": {"idle_timeout_s": IDLE_S, "keep_players_s": 1}}
        with Server(Path(folder), settings) as server:
            samples, counts = asyncio.run(soak(server, args.names, args.minutes * 60))
            faults = [line for line in server.log.splitlines() if re.search(r"Traceback|a fault of our own", line)]
    print("\n".join((*report(samples, counts), *faults[:10])))
    return 1 if faults or not all(verdict.is_flat for verdict in judge(samples)) else 0


if __name__ == "__main__":
    sys.exit(main())
