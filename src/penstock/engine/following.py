"""Who follows a stream whether or not it is on air: recordings, from session to session."""

from __future__ import annotations

from typing import Protocol

from penstock.engine.stream import Reader, Stream
from penstock.link.messages import Lease
from penstock.model import StreamId


class Follower(Reader, Protocol):
    """Reads the packets of each session of a stream, from the cached GOP on if it came in the middle of one."""

    def session_began(self, lease: Lease) -> None: ...

    def session_ended(self, why: str) -> None:
        """All that was sent was handed over before."""


class Followers:
    """The followers of all streams. What fails at following is taken off, and no stream suffers (`Stream.spare`)."""

    def __init__(self) -> None:
        self._of: dict[StreamId, tuple[Follower, ...]] = {}

    def add(self, stream_id: StreamId, follower: Follower) -> None:
        self._of[stream_id] = (*self._of.get(stream_id, ()), follower)

    def remove(self, stream_id: StreamId, follower: Follower) -> None:
        left = tuple(other for other in self._of.get(stream_id, ()) if other is not follower)
        if left:
            self._of[stream_id] = left
        else:
            self._of.pop(stream_id, None)

    def begin(self, stream: Stream, lease: Lease) -> None:
        for follower in self._of.get(stream.id, ()):
            start(follower, stream, lease)

    def end(self, stream: Stream, why: str) -> None:
        for follower in self._of.get(stream.id, ()):
            stream.unfollow(follower)
            stream.spare(follower, follower.session_ended, why)


def start(follower: Follower, stream: Stream, lease: Lease) -> None:
    """A session of the stream goes on, and somebody follows it from now on."""
    stream.spare(follower, follower.session_began, lease)
    stream.follow(follower)
