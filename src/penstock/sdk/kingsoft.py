"""`Kingsoft` and `AsyncKingsoft`: KLS, or a Penstock server.

The operations are generated (`kingsoft_operations`); here is what no contract says: whose keys, and the
waiters. These ask for a stream's momentary facts, which KLS allows 50 times a minute and account: at the
default pace one wait takes 30 of them.
"""

from __future__ import annotations

from typing import ClassVar, Final

from penstock.clouds.contract import Wire
from penstock.clouds.kingsoft import wire
from penstock.clouds.kingsoft.streams import ListRealtimeStreamsInfo, ListRealtimeStreamsInfoResult, RealtimeStream
from penstock.errors import LimitExceeded, NotOnAir, TransportError
from penstock.sdk.credentials import KINGSOFT, Vendor
from penstock.sdk.kingsoft_operations import AsyncKingsoftOperations, KingsoftOperations
from penstock.sdk.waiting import Wait

POLL_S: Final = 2.0


class Kingsoft(KingsoftOperations):
    """Kingsoft Cloud KLS, or a Penstock server that speaks it."""

    _wire: ClassVar[Wire] = wire
    _vendor: ClassVar[Vendor] = KINGSOFT

    def wait_live(
        self, *, unique_name: str, app: str, stream: str, timeout_s: float = 60.0, poll_s: float = POLL_S
    ) -> RealtimeStream:
        """Return the facts of a stream as soon as it is on air.

        Raises:
            WaitTimeout: it was not within `timeout_s`.
        """
        wait = Wait(self._clock, f"{app}/{stream} was not live", timeout_s, poll_s)
        look = ListRealtimeStreamsInfo.make(unique_name=unique_name, app=app, stream=stream)
        while (found := self._look(look, wait)[1]) is None:
            self._sleep(wait.pause())
        return found

    def wait_silent(
        self, *, unique_name: str, app: str, stream: str, timeout_s: float = 60.0, poll_s: float = POLL_S
    ) -> None:
        """Return as soon as nobody publishes a stream.

        Raises:
            WaitTimeout: somebody still did after `timeout_s`.
        """
        wait = Wait(self._clock, f"{app}/{stream} was not silent", timeout_s, poll_s)
        look = ListRealtimeStreamsInfo.make(unique_name=unique_name, app=app, stream=stream)
        while self._look(look, wait) != (True, None):
            self._sleep(wait.pause())

    def _look(self, look: ListRealtimeStreamsInfo, wait: Wait) -> Seen:
        try:
            return _seen(self.call(look, **wait.options(self._patience.timeout_s)), look.stream)
        except NotOnAir:
            return True, None
        except LimitExceeded:
            return False, None
        except TransportError as error:
            wait.unanswered(error)
            raise


class AsyncKingsoft(AsyncKingsoftOperations):
    """Kingsoft Cloud KLS, or a Penstock server that speaks it; for asyncio."""

    _wire: ClassVar[Wire] = wire
    _vendor: ClassVar[Vendor] = KINGSOFT

    async def wait_live(
        self, *, unique_name: str, app: str, stream: str, timeout_s: float = 60.0, poll_s: float = POLL_S
    ) -> RealtimeStream:
        """Return the facts of a stream as soon as it is on air.

        Raises:
            WaitTimeout: it was not within `timeout_s`.
        """
        wait = Wait(self._clock, f"{app}/{stream} was not live", timeout_s, poll_s)
        look = ListRealtimeStreamsInfo.make(unique_name=unique_name, app=app, stream=stream)
        while (found := (await self._look(look, wait))[1]) is None:
            await self._sleep(wait.pause())
        return found

    async def wait_silent(
        self, *, unique_name: str, app: str, stream: str, timeout_s: float = 60.0, poll_s: float = POLL_S
    ) -> None:
        """Return as soon as nobody publishes a stream.

        Raises:
            WaitTimeout: somebody still did after `timeout_s`.
        """
        wait = Wait(self._clock, f"{app}/{stream} was not silent", timeout_s, poll_s)
        look = ListRealtimeStreamsInfo.make(unique_name=unique_name, app=app, stream=stream)
        while await self._look(look, wait) != (True, None):
            await self._sleep(wait.pause())

    async def _look(self, look: ListRealtimeStreamsInfo, wait: Wait) -> Seen:
        try:
            return _seen(await self.call(look, **wait.options(self._patience.timeout_s)), look.stream)
        except NotOnAir:
            return True, None
        except LimitExceeded:
            return False, None
        except TransportError as error:
            wait.unanswered(error)
            raise


# Whether the cloud said anything at all, and the stream if it is on air.
Seen = tuple[bool, RealtimeStream | None]


def _seen(result: ListRealtimeStreamsInfoResult, stream: str) -> Seen:
    return True, next((each for each in result.streams if each.stream == stream), None)
