"""What a relay plays: its clips, one after the other and again, or one live source, as FLV frames on one line."""

from __future__ import annotations

import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Final

from penstock.errors import MediaError, NetworkRefused, PeerError
from penstock.link.relaying import Position, RelayJob
from penstock.protocols import hlsread
from penstock.workers import hlssource, sniff
from penstock.workers.cache import Cache, TooLarge
from penstock.workers.clips import Stretch, exact, file_stretch
from penstock.workers.cutting import cut
from penstock.workers.demux import Input, Readable
from penstock.workers.frames import Frame, Writer
from penstock.workers.line import Line, Placed, in_order, timed
from penstock.workers.media import SAME_S, Sample
from penstock.workers.overlay import Painter
from penstock.workers.remote import Client, Meter, RemoteFile

log = logging.getLogger("penstock.relay")

MAX_CLIPS: Final = 30


class Program:
    """Plays one job. Reading from it fetches, demuxes and, where it must, encodes; it waits for no frame's time."""

    def __init__(
        self, job: RelayJob, client: Client, meter: Meter, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Looks at the job.

        Raises:
            MediaError: it is no job, or its watermark is none.
        """
        if not 0 < len(job.clips) <= (1 if job.live else MAX_CLIPS):
            raise MediaError(f"a relay of {len(job.clips)} clips; it must have 1 to {MAX_CLIPS}, and one if it is live")
        self._job = job
        self._client, self._meter, self._sleep = client, meter, sleep
        self._cache = Cache(job.cache, job.cache_bytes, client, meter, sleep)
        self._paint = Painter(job.overlay) if job.overlay is not None else None
        self._line = Line()
        self._writer = Writer()

    def frames(self) -> Iterator[Frame]:
        """Return the frames of all that is to be played.

        Raises:
            MediaError, PeerError, NetworkRefused: it cannot be read on; the message names the clip.
        """
        return self._writer.write(timed(in_order(self._placed())))

    def _placed(self) -> Iterator[Placed]:
        if self._job.live:
            yield from self._play(0, Position())
            return
        start = self._caught_up(self._job.start)
        for loop in itertools.count(start.loop):
            if self._job.loops is not None and loop >= self._job.loops:
                return
            is_silent = True
            for number, clip in enumerate(self._job.clips):
                if loop == start.loop and number < start.clip:
                    continue
                is_first = loop == start.loop and number == start.clip
                at_s = max(clip.start_s, start.offset_s) if is_first else clip.start_s
                for each in self._play(number, Position(loop, number, at_s)):
                    is_silent = False
                    yield each
            # A start behind the end of its list may give nothing once; a whole list without a frame never will.
            if is_silent and loop > start.loop:
                raise MediaError("there is nothing to play between the clips' starts and ends")

    def _caught_up(self, place: Position) -> Position:
        """The same place with its offset inside of its file, as far as files say how long they are.

        Who goes on where it would be by now counts on without knowing that.
        """
        clips, lengths = self._job.clips, dict[int, float]()
        while place.offset_s > clips[place.clip].start_s:
            clip = clips[place.clip]
            end_s = clip.end_s if clip.end_s is not None else self._length(clip.url)
            if end_s is None or place.offset_s < end_s or end_s <= clip.start_s:
                break
            lengths[place.clip] = end_s - clip.start_s
            over_s, loop = place.offset_s - end_s, place.loop
            if len(lengths) == len(clips):
                rounds, over_s = divmod(over_s, sum(lengths.values()))
                loop += int(rounds)
            following = (place.clip + 1) % len(clips)
            place = Position(loop + (following == 0), following, clips[following].start_s + over_s)
        return place

    def _length(self, url: str) -> float | None:
        """How long a file says it is; None where it does not, or cannot be asked: playing it tells why."""
        try:
            with contextlib.closing(RemoteFile(self._client, url, self._meter, self._sleep)) as file:
                form = sniff.sniff(file.peek(sniff.PEEK))
                if form == sniff.HLS or not file.seekable():
                    return None
                with contextlib.closing(Input(file, form)) as source:
                    return source.length_s
        except (MediaError, PeerError, NetworkRefused):
            return None

    def _play(self, number: int, at: Position) -> Iterator[Placed]:
        clip = self._job.clips[number]
        start, end = exact(at.offset_s), exact(clip.end_s) if clip.end_s is not None else None
        if end is not None and start >= end - SAME_S:
            return
        try:
            with contextlib.ExitStack() as held:
                for stretch in self._opened(clip.url, start, end, held):
                    self._fetch_next(at)
                    yield from self._lay(stretch, at)
                    stretch.source.close()
        except (MediaError, PeerError, NetworkRefused) as error:
            raise type(error)(f"clip {number + 1}: {error}") from error

    def _fetch_next(self, at: Position) -> None:
        """Have the next clip's file downloaded while this one is played."""
        if not self._job.download_first or self._job.live:
            return
        is_last = at.clip + 1 == len(self._job.clips)
        if is_last and self._job.loops is not None and at.loop + 1 >= self._job.loops:
            return
        self._cache.fetch_ahead(self._job.clips[0 if is_last else at.clip + 1].url)

    def _lay(self, stretch: Stretch, at: Position) -> Iterator[Placed]:
        zero, source = stretch.zero, stretch.source

        def position(sample: Sample) -> Position:
            # By the time of decoding, in whose order frames leave: rather one twice than one left out.
            behind = sample.dts + (sample.duration if sample.is_video else 0)
            return Position(at.loop, at.clip, max(0.0, round(float(behind - zero), 3)))

        samples = cut(source, stretch.units, stretch.part, self._paint)
        yield from self._line.lay(samples, position, is_alone=source.video is None or source.audio is None)

    def _opened(self, url: str, start: Fraction, end: Fraction | None, held: contextlib.ExitStack) -> Iterator[Stretch]:
        file = held.enter_context(contextlib.closing(RemoteFile(self._client, url, self._meter, self._sleep)))
        form = sniff.sniff(file.peek(sniff.PEEK))
        if form == sniff.HLS:
            text, final = _all_of(file), file.final_url
            file.close()
            fetcher = hlssource.Fetcher(self._client, self._meter, self._sleep)
            yield from hlssource.stretches(fetcher, text, final, start=start, end=end, is_live=self._job.live)
            return
        local: Readable = file
        can_seek = file.seekable()
        if not self._job.live and (whole := self._whole(file, form)) is not None:
            file.close()
            local, can_seek = held.enter_context(whole), True
        yield file_stretch(Input(local, form), start, end, can_seek=can_seek)

    def _whole(self, file: RemoteFile, form: str) -> contextlib.AbstractContextManager[Readable] | None:
        """Return a file fetched whole, if it is to be and can be; None to read it as it comes.

        Raises:
            MediaError, PeerError, NetworkRefused: it can be read in no way.
        """
        # Without ranges an index at the end of a file cannot be reached.
        needs_it = form == sniff.MOV and not file.seekable()
        if not needs_it and not self._job.download_first:
            return None
        why = self._cache.why_not(file.facts)
        if not why:
            try:
                return self._cache.fetch(file.url)
            except (TooLarge, OSError) as error:
                why = str(error)
        if needs_it and not sniff.has_index_first(file.peek(sniff.PEEK)):
            raise MediaError(
                f"an MP4 with its index behind its media, on a server without ranges, must be fetched whole; {why}"
            )
        # No place for it is no reason not to play it.
        log.warning("a file is not downloaded first, but played as it comes: %s", why)
        return None


def _all_of(file: RemoteFile) -> bytes:
    data = bytearray()
    while len(data) <= hlsread.MAX_PLAYLIST and (part := file.read(65536)):
        data += part
    return bytes(data)
