"""Requests that wait for something that a stream has not yet: asked now and then, each with its deadline."""

from __future__ import annotations

import logging
from collections.abc import Callable

from msgspec import Struct

from penstock.engine.stream import Later
from penstock.model import Clock

log = logging.getLogger("penstock.engine")


class _Wait(Struct, eq=False):
    until_s: float
    poll: Callable[[], bool]
    give_up: Callable[[], None]
    about: object | None


class Waits:
    """All that wait. Who waits about something that tells its news is asked as soon as there are any."""

    def __init__(self, clock: Clock, later: Later) -> None:
        self._clock = clock
        self._later = later
        self._all: dict[object, _Wait] = {}
        self._about: dict[object, dict[object, None]] = {}  # by what they wait about; in the order of their coming

    def __len__(self) -> int:
        return len(self._all)

    def wait(
        self,
        who: object,
        poll: Callable[[], bool],
        give_up: Callable[[], None],
        *,
        within_s: float,
        about: object | None = None,
    ) -> None:
        """Ask `poll` now and then until it is true; after `within_s`, or when it raises, call `give_up` instead."""
        self.no_more(who)
        self._all[who] = _Wait(self._clock.monotonic() + within_s, poll, give_up, about)
        if about is not None:
            self._about.setdefault(about, {})[who] = None

    def no_more(self, who: object) -> None:
        wait = self._all.pop(who, None)
        if wait is None or wait.about is None:
            return
        others = self._about[wait.about]
        del others[who]
        if not others:
            del self._about[wait.about]

    def news(self, about: object) -> None:
        """Ask those who wait about that, soon: whoever tells has work of its own to end first."""
        if about in self._about:
            self._later(0.0, lambda: self._ask_about(about))

    def tick(self) -> None:
        """Ask everybody, and give up what is overdue; to be called several times a second."""
        now_s = self._clock.monotonic()
        for who, wait in list(self._all.items()):
            if self._all.get(who) is wait and not self._ask(who, wait) and now_s >= wait.until_s:
                self._end(who, wait)

    def _ask_about(self, about: object) -> None:
        for who in list(self._about.get(about, ())):
            wait = self._all.get(who)
            if wait is not None and wait.about is about:
                self._ask(who, wait)

    def _ask(self, who: object, wait: _Wait) -> bool:
        try:
            is_over = wait.poll()
        except Exception:
            log.exception("a fault of our own in an answer that was waited for")
            self._end(who, wait)
            return True
        # What was waited for may have been followed by another wait.
        if is_over and self._all.get(who) is wait:
            self.no_more(who)
        return is_over

    def _end(self, who: object, wait: _Wait) -> None:
        """It waits no more, whatever `give_up` comes to: nobody else is to wait for that."""
        if self._all.get(who) is wait:
            self.no_more(who)
        try:
            wait.give_up()
        except Exception:
            log.exception("a fault of our own in an answer that was given up")
