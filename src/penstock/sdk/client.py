"""`Client` and `AsyncClient`: what every cloud's client is, whichever operations it has.

Both are the same few lines around `Attempts` and `transport`; a cloud adds its methods. Nothing is
shared between two clients: each has its keys, its endpoint, its connections.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Generic, Self, TypeVar, Unpack

from penstock.clouds.contract import Operation, Result, Wire
from penstock.clouds.http import Endpoint
from penstock.errors import ConfigError
from penstock.model import Clock, SystemClock
from penstock.sdk import credentials
from penstock.sdk.attempts import FAILURES, Attempts
from penstock.sdk.options import Options, Patience

if TYPE_CHECKING:
    import ssl

    import httpx2  # noqa: F401 - named in text below

    from penstock.sdk.transport import Door

R = TypeVar("R", bound=Result)
T = TypeVar("T")


class _Base(Generic[T]):
    """What a client knows; `T` is the kind of its transport."""

    _wire: ClassVar[Wire]
    _vendor: ClassVar[credentials.Vendor]

    def __init__(
        self,
        *,
        access_key: str | None = None,
        secret_key: str | None = None,
        token: str | None = None,
        profile: str | None = None,
        aws_profile: str | None = None,
        endpoint: str | None = None,
        verify: bool | str | Path | ssl.SSLContext | None = None,
        proxy: str | None = None,
        timeout_s: float = 60.0,
        connect_timeout_s: float = 5.0,
        read_timeout_s: float = 30.0,
        retries: int = 3,
        max_connections: int = 10,
        max_response_bytes: int = 64 * 1024 * 1024,
        transport: T | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Make a client; nothing is sent, and no connection opened, before the first call.

        `access_key` and `secret_key` (and `token`, of temporary keys) come before `profile`, a profile
        of ~/.penstock/config.toml, before the environment, the default profile, and the vendor's own
        files. `aws_profile` reads ~/.aws/credentials, which is never read otherwise.

        `endpoint` is a URL; by default the cloud's own. `verify` is a file of CA certificates, an SSL
        context, or False for none of it. `proxy` is a URL; by default HTTPS_PROXY's; "" is none.

        `timeout_s` is for a whole call with its `retries` and pauses, `connect_timeout_s` for one
        connection, `read_timeout_s` for one silence. At most `max_connections` are open at once; a
        call that finds them all busy waits. `transport` (of httpx2) and `clock` are for tests.

        Raises:
            ConfigError: there are no keys, or one of these cannot be used.
        """
        access = credentials.find(
            self._vendor,
            os.environ,
            Path.home(),
            access_key=access_key,
            secret_key=secret_key,
            token=token,
            profile=profile,
            aws_profile=aws_profile,
        )
        self._credentials = access.credentials
        self._endpoint = _endpoint(endpoint or access.endpoint) or self._wire.ENDPOINT
        self._verify = verify if verify is not None else access.ca or True
        self._proxy = proxy
        self._patience = Patience(
            timeout_s=timeout_s, connect_timeout_s=connect_timeout_s, read_timeout_s=read_timeout_s, retries=retries
        )
        self._max_connections = _positive("max_connections", max_connections)
        self._max_response_bytes = _positive("max_response_bytes", max_response_bytes)
        self._clock = clock or SystemClock()
        self._transport = transport
        self._door: Door | None = None
        self._opening = threading.Lock()
        self._is_closed = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}(access_key={self._credentials.access_key!r}, endpoint='{self._endpoint}')"

    @property
    def endpoint(self) -> str:
        """The URL that calls go to."""
        return str(self._endpoint)

    def _attempts(self, operation: Operation[R], options: Options) -> Attempts[R]:
        if self._is_closed:
            raise RuntimeError(f"this {type(self).__name__} is closed")
        return Attempts(
            self._wire,
            operation,
            credentials=self._credentials,
            endpoint=self._endpoint,
            patience=self._patience.but(options),
            clock=self._clock,
        )

    def _opened(self, open_: Callable[[Door], T]) -> tuple[T, Door]:
        """Return the transport, made at the first call: httpx2 is loaded, and certificates are read, here."""
        if self._transport is None or self._door is None:
            with self._opening:
                if self._door is None:
                    from penstock.sdk.transport import Door  # noqa: PLC0415  see above

                    door = Door(
                        endpoint=self._endpoint,
                        verify=self._verify,
                        proxy=self._proxy,
                        max_connections=self._max_connections,
                        max_response_bytes=self._max_response_bytes,
                    )
                    if self._transport is None:
                        self._transport = open_(door)
                    self._door = door
        assert self._transport is not None
        return self._transport, self._door


class Client(_Base["httpx2.BaseTransport"]):
    """A client that blocks; threads may share one."""

    _sleep: Callable[[float], None] = staticmethod(time.sleep)

    def call(self, operation: Operation[R], **options: Unpack[Options]) -> R:
        """Send an operation, again where that helps and does no harm, and return its result.

        Raises:
            ApiError: the cloud refused; its class is also one of `penstock.errors` by kind.
            TransportError: no answer came.
        """
        attempts = self._attempts(operation, options)
        transport, door = self._opened(lambda door: door.open())
        from penstock.sdk.transport import send  # noqa: PLC0415  loaded by now

        while True:
            try:
                return attempts.read(send(transport, door, attempts.request()))
            except FAILURES as failure:
                pause_s = attempts.pause_after(failure)
            self._sleep(pause_s)

    def close(self) -> None:
        """Close the connections; further calls are refused."""
        self._is_closed = True
        if self._transport is not None:
            self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()


class AsyncClient(_Base["httpx2.AsyncBaseTransport"]):
    """A client for one asyncio loop; tasks may share one."""

    async def _sleep(self, seconds: float) -> None:
        import asyncio  # noqa: PLC0415  a blocking client has no use for it

        await asyncio.sleep(seconds)

    async def call(self, operation: Operation[R], **options: Unpack[Options]) -> R:
        """Send an operation, again where that helps and does no harm, and return its result.

        Raises:
            ApiError: the cloud refused; its class is also one of `penstock.errors` by kind.
            TransportError: no answer came.
        """
        attempts = self._attempts(operation, options)
        transport, door = self._opened(lambda door: door.open_async())
        from penstock.sdk.transport import send_async  # noqa: PLC0415  loaded by now

        while True:
            try:
                return attempts.read(await send_async(transport, door, attempts.request()))
            except FAILURES as failure:
                pause_s = attempts.pause_after(failure)
            await self._sleep(pause_s)

    async def aclose(self) -> None:
        """Close the connections; further calls are refused."""
        self._is_closed = True
        if self._transport is not None:
            await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        await self.aclose()


def _endpoint(url: str | None) -> Endpoint | None:
    try:
        return Endpoint.parse(url) if url else None
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _positive(name: str, value: int) -> int:
    if value < 1:
        raise ConfigError(f"{name} is {value!r}; it must be at least 1")
    return value
