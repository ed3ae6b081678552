"""An encoder for a test: a moving picture with sound, published by a process of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from penstock.errors import PenstockError
from penstock.testing.child import Child

BEGIN_S: Final = 20.0  # on a busy machine: to load the encoder, connect, and be let in
_PREFIX: Final = "testpattern: "


class PublishRefused(PenstockError):
    """The server did not take the stream; the text has the server's own words."""


class Publisher:
    """One stream being published. Leaving its `with` block ends it, as an encoder ends that is told to stop."""

    def __init__(self, url: str, folder: Path, is_on_air: Callable[[], bool], *options: str) -> None:
        self.url = url
        self._is_on_air = is_on_air
        self._child = Child("penstock.workers.testpattern", url, "--with-parent", *options, cwd=folder)

    def begin(self) -> Self:
        """Wait until the stream is on air.

        Raises:
            PublishRefused: the server said no, or could not be reached.
            TimeoutError: neither came about.
        """
        deadline_s = time.monotonic() + BEGIN_S
        line: str | None = ""
        try:
            while line is not None and not line.startswith(f"{_PREFIX}publishing"):
                line = self._child.next_line(deadline_s)
        except TimeoutError:
            self.end()
            raise TimeoutError(f"{self.url} was not on air within {BEGIN_S:g} s") from None
        if line is None:
            self.end()
            raise PublishRefused(self._last_words())
        while not self._is_on_air() and time.monotonic() < deadline_s:
            time.sleep(0.02)  # its first packets are under way
        return self

    @property
    def is_on_air(self) -> bool:
        """Whether the server has the stream on air."""
        return self._is_on_air()

    def wait_end(self, within_s: float = 10.0) -> str:
        """Wait until the publish is ended by the server; return why, in the encoder's words.

        Raises:
            TimeoutError: it goes on.
        """
        deadline_s = time.monotonic() + within_s
        try:
            while self._child.next_line(deadline_s) is not None:
                pass
        except TimeoutError:
            raise TimeoutError(f"{self.url} was still being published after {within_s:g} s") from None
        return self._last_words()

    def end(self) -> None:
        """Stop publishing."""
        self._child.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.end()

    def _last_words(self) -> str:
        said = [line for line in self._child.lines if line.strip()]
        return said[-1].removeprefix(_PREFIX) if said else "the publisher ended without a word"
