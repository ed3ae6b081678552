"""Places in a list of files: where a task goes on after it was interrupted."""

from __future__ import annotations

from datetime import datetime

from penstock.domain.relays.wishes import UNTIL_END
from penstock.link.relaying import Clip, Position
from penstock.storage.relay_rows import RelayProgress, RelayTask


def loops_of(task: RelayTask) -> int | None:
    """How often all files are played; None is for ever."""
    if task.cycle_mode == UNTIL_END:
        return None
    # Nothing says what 0 times would be for: whoever makes a task wants it played.
    return task.cycle_mode or max(1, task.play_times or 0)


def clips_of(task: RelayTask) -> tuple[Clip, ...]:
    return tuple(Clip(source.url, source.start_s or 0.0, source.end_s) for source in task.sources)


def place_of(progress: RelayProgress) -> Position:
    return Position(progress.loop, progress.clip, progress.offset_s)


def resumed(task: RelayTask, progress: RelayProgress, now: datetime) -> Position:
    """Where `task` goes on: where it was, or where it would be by now had it not been interrupted.

    An offset may be beyond a file's end where nobody told how long the file is; who plays it goes on in
    the next one with what is left.
    """
    place = place_of(progress)
    if progress.noted_at is None:
        return place
    passed_s = (now - progress.noted_at).total_seconds()
    return later(task, place, passed_s) if task.resumes_late and passed_s > 0 else place


def later(task: RelayTask, place: Position, seconds: float) -> Position:
    """The place so many seconds of playing further on, as far as the files' lengths are known."""
    clips = clips_of(task)
    place = Position(place.loop, place.clip, max(place.offset_s, clips[place.clip].start_s) + seconds)
    lengths = [clip.end_s - clip.start_s for clip in clips if clip.end_s is not None]
    if len(lengths) == len(clips) and (whole_s := sum(lengths)) > 0:
        # All are known: whole rounds first, as there may be millions of them.
        rounds = int(max(0.0, seconds - whole_s) / whole_s)
        place = Position(place.loop + rounds, place.clip, place.offset_s - rounds * whole_s)
    return _carried(clips, place)


def _carried(clips: tuple[Clip, ...], place: Position) -> Position:
    """The same place with its offset inside of its file."""
    while (end_s := clips[place.clip].end_s) is not None and place.offset_s >= end_s:
        following = (place.clip + 1) % len(clips)
        over_s = place.offset_s - end_s
        place = Position(place.loop + (following == 0), following, clips[following].start_s + over_s)
    return place
