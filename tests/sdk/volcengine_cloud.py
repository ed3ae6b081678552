"""A tiny Volcengine Live in memory: the server half of the wire behind a transport, and the clients that call it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import httpx2
from msgspec import structs

from penstock.clouds.contract import Credentials, Operation, Result
from penstock.clouds.volcengine import relays, streams, wire
from penstock.errors import NotBanned, NotOnAir, PenstockError, UnknownKey
from penstock.sdk.volcengine import AsyncVolcengine, Volcengine
from tests.clock import ManualClock
from tests.clouds.volcengine.recorded import EXCHANGES
from tests.sdk.cloud import as_httpx, as_ours, as_response

KEYS: Final = Credentials("AKtest", "the-secret-of-AKtest")
CLIENTS: Final = (Volcengine, AsyncVolcengine)
RECORDED: Final = {exchange.action: exchange for exchange in EXCHANGES}


class Cloud:
    """Verifies, decodes and answers as it was recorded; has some streams on air, and tasks."""

    def __init__(self, keys: Credentials = KEYS, clock: ManualClock | None = None) -> None:
        self.keys = keys
        self.clock = clock or ManualClock()
        self.on_air: set[str] = set()
        self.tasks: dict[str, relays.TaskStatus] = {}
        self.bans: set[str] = set()
        self.rows = 0  # of the list of ended streams
        self.asked: list[Operation[Result]] = []
        self.answered: list[Result] = []
        self.requests: list[httpx2.Request] = []
        self.refusals: list[PenstockError | httpx2.Response] = []  # of the first calls

    @property
    def transport(self) -> httpx2.MockTransport:
        return httpx2.MockTransport(self.handle)

    def handle(self, sent: httpx2.Request) -> httpx2.Response:
        self.requests.append(sent)
        request, request_id = as_ours(sent), f"id-{len(self.requests)}"
        try:
            claim = wire.read_claim(request, self.clock.now())
            if claim.access_key != self.keys.access_key:
                raise UnknownKey(f"there is no {claim.access_key}")
            wire.verify(request, claim, self.keys)
            operation = wire.decode_request(request).operation
            if self.refusals:
                refusal = self.refusals.pop(0)
                if isinstance(refusal, httpx2.Response):
                    return refusal
                raise refusal
            self.asked.append(operation)
            self.answered.append(self._result(operation))
            return as_httpx(wire.encode_result(operation, self.answered[-1], request_id))
        except PenstockError as error:
            return as_httpx(wire.encode_error(error, request, request_id))

    def _result(self, operation: Operation[Any]) -> Result:
        result: Any = wire.decode_response(operation, as_response(RECORDED[operation.about.action].answer))
        match operation:
            case streams.DescribeLiveStreamInfoByPage():
                (row,) = result.stream_info_list
                names = [name for name in sorted(self.on_air) if operation.stream in ("", name)]
                result.stream_info_list = [structs.replace(row, stream=name) for name in names]
            case streams.DescribeClosedStreamInfoByPage():
                (row,) = result.stream_info_list
                first = (operation.page_num - 1) * operation.page_size
                there = range(first, min(first + operation.page_size, self.rows))
                result.stream_info_list = [structs.replace(row, stream=f"s{index}") for index in there]
            case relays.ListPullToPushTask() if self.tasks:
                row = result.list[0]
                result.list = [
                    structs.replace(row, task_id=task_id, status=status) for task_id, status in self.tasks.items()
                ]
            case streams.ForbidStream():
                self.bans.add(operation.stream)
            case streams.ResumeStream() if operation.stream == "free":
                raise NotBanned("there is no ban")
            case streams.ResumeStream():
                self.bans.discard(operation.stream)
            case streams.DescribeLiveStreamState() if operation.stream not in self.bans:
                result.stream_state = "offline"
            case streams.DescribeForbiddenStreamInfoByPage():
                (row,) = result.stream_info_list
                result.stream_info_list = [structs.replace(row, stream=name) for name in sorted(self.bans)]
            case streams.KillStream() if operation.stream == "gone":
                raise NotOnAir("nobody publishes it")
        return result  # type: ignore[no-any-return]


def client(
    kind: Callable[..., Any], cloud: Cloud, keys: Credentials = KEYS, pauses: list[float] | None = None, **given: Any
) -> Any:
    """A client of that kind which talks to `cloud`, and whose sleep turns its clock."""
    access = {"access_key": keys.access_key, "secret_key": keys.secret_key, "token": keys.token}
    made = kind(**access, transport=cloud.transport, clock=cloud.clock, **given)
    passed = pauses if pauses is not None else []

    def sleep(seconds: float) -> None:
        passed.append(seconds)
        cloud.clock.advance(seconds)

    async def sleep_async(seconds: float) -> None:
        sleep(seconds)

    made._sleep = sleep if kind is Volcengine else sleep_async
    return made
