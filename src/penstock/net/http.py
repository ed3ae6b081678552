"""HTTP clients for URLs that users give: httpx2's own, whose every connection goes through the guard.

::

    with open_client(guard, policy) as client, client.stream("GET", url) as answer:
        answer.raise_for_status()
        for part in answer.iter_bytes(): ...

Whatever such a client is asked for, it connects to checked addresses alone: the guard sits below its
redirects and its pool, where sockets are made. It knows no proxies, keeps no cookies, and takes no compressed
bodies, whose size would be known too late. Errors of the way are `PeerError`, refusals `NetworkRefused`.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final

import httpcore2
import httpx2
from msgspec import Struct

from penstock.errors import NetworkRefused, PeerError
from penstock.net.guard import HTTP, Guard
from penstock.net.tls import client_context

# A redirect's body is read and thrown away by httpx2, before the next request.
MAX_REDIRECT_BODY: Final = 64 * 1024
_UNTIL: Final = "penstock.until_s"


class HttpPolicy(Struct, frozen=True, kw_only=True):
    """Bounds of one client. Seconds; None: as long, or as much, as it takes."""

    connect_timeout_s: float = 10.0
    head_timeout_s: float = 30.0  # from a request to the end of its answer's head
    read_timeout_s: float = 15.0  # between two parts of a body
    total_timeout_s: float | None = None  # with all redirects and the whole body
    max_redirects: int = 5
    max_body_bytes: int | None = None
    max_connections: int = 10
    agent: str = "penstock"


def open_client(guard: Guard, policy: HttpPolicy, tls: ssl.SSLContext | None = None) -> GuardedClient:
    """A blocking client; for one thread at a time or many."""
    return GuardedClient(guard, policy, tls or client_context())


def open_async_client(guard: Guard, policy: HttpPolicy, tls: ssl.SSLContext | None = None) -> AsyncGuardedClient:
    return AsyncGuardedClient(guard, policy, tls or client_context())


class GuardedClient(httpx2.Client):
    """See `open_client`."""

    def __init__(self, guard: Guard, policy: HttpPolicy, tls: ssl.SSLContext) -> None:
        self._guard, self._policy = guard, policy
        super().__init__(transport=_Transport(guard, policy, tls), **_options(policy))

    def build_request(self, method: str, url: httpx2.URL | str, **options: Any) -> httpx2.Request:
        return super().build_request(method, str(self._guard.check_url(str(url), HTTP)), **options)

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        _begin(request, self._policy)
        with _translated():
            return super().send(request, **options)


class AsyncGuardedClient(httpx2.AsyncClient):
    """See `open_async_client`."""

    def __init__(self, guard: Guard, policy: HttpPolicy, tls: ssl.SSLContext) -> None:
        self._guard, self._policy = guard, policy
        super().__init__(transport=_AsyncTransport(guard, policy, tls), **_options(policy))

    def build_request(self, method: str, url: httpx2.URL | str, **options: Any) -> httpx2.Request:
        return super().build_request(method, str(self._guard.check_url(str(url), HTTP)), **options)

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        _begin(request, self._policy)
        with _translated():
            return await super().send(request, **options)


def _options(policy: HttpPolicy) -> dict[str, Any]:
    timeout = httpx2.Timeout(policy.read_timeout_s, connect=policy.connect_timeout_s, pool=policy.head_timeout_s)
    return {
        "headers": {"User-Agent": policy.agent, "Accept": "*/*", "Accept-Encoding": "identity"},
        "cookies": CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        "timeout": timeout,
        "follow_redirects": policy.max_redirects > 0,
        "max_redirects": policy.max_redirects,
        "trust_env": False,
    }


def _begin(request: httpx2.Request, policy: HttpPolicy) -> None:
    # httpx2 hands it on to the requests that redirects lead to.
    if policy.total_timeout_s is not None:
        request.extensions = {**request.extensions, _UNTIL: time.monotonic() + policy.total_timeout_s}


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (httpx2.TransportError, httpx2.TooManyRedirects, httpx2.DecodingError) as error:
        raise PeerError(_why(error)) from error
    except TimeoutError as error:
        raise PeerError("the time for the answer is over") from error
    except (httpx2.InvalidURL, UnicodeError) as error:
        raise NetworkRefused(f"the URL is none that can be asked for: {error}") from error


def _why(error: Exception) -> str:
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, ssl.SSLCertVerificationError):
            return f"the certificate does not hold: {found.verify_message}"
        found = found.__cause__ or found.__context__
    return str(error) or type(error).__name__


# --- Transports: what all requests pass, redirected ones too ---------------------------------


class _Transport(httpx2.HTTPTransport):
    def __init__(self, guard: Guard, policy: HttpPolicy, tls: ssl.SSLContext) -> None:
        super().__init__(verify=tls, limits=_limits(policy), trust_env=False)
        self._guard, self._policy = guard, policy
        # Not an argument of httpx2's; a test with names that lead inside tells if this is ever lost.
        self._pool._network_backend = _Backend(guard)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self._guard.check_url(str(request.url), HTTP)
        until_s = request.extensions.get(_UNTIL)
        with _deadline.until(_earlier(time.monotonic() + self._policy.head_timeout_s, until_s)):
            response = super().handle_request(request)
        try:
            limit = _check_head(response, self._policy)
        except BaseException:
            response.close()
            raise
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _Body(response.stream, limit, until_s)
        return response


class _AsyncTransport(httpx2.AsyncHTTPTransport):
    def __init__(self, guard: Guard, policy: HttpPolicy, tls: ssl.SSLContext) -> None:
        super().__init__(verify=tls, limits=_limits(policy), trust_env=False)
        self._guard, self._policy = guard, policy
        self._pool._network_backend = _AsyncBackend(guard, self._pool._network_backend)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self._guard.check_url(str(request.url), HTTP)
        until_s = request.extensions.get(_UNTIL)
        async with asyncio.timeout(_left(_earlier(time.monotonic() + self._policy.head_timeout_s, until_s))):
            response = await super().handle_async_request(request)
        try:
            limit = _check_head(response, self._policy)
        except BaseException:
            await response.aclose()
            raise
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _AsyncBody(response.stream, limit, until_s)
        return response


def _limits(policy: HttpPolicy) -> httpx2.Limits:
    most = policy.max_connections
    return httpx2.Limits(max_connections=most, max_keepalive_connections=most, keepalive_expiry=15.0)


def _earlier(one_s: float, other_s: float | None) -> float:
    return one_s if other_s is None else min(one_s, other_s)


def _left(until_s: float | None) -> float | None:
    return None if until_s is None else max(0.0, until_s - time.monotonic())


def _check_head(response: httpx2.Response, policy: HttpPolicy) -> int | None:
    """Return the bound of the body behind this head, in bytes."""
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if coding != "identity":
        raise PeerError(f"the answer is compressed ({coding[:20]!r}), which it was not asked to be")
    limit = policy.max_body_bytes
    if response.has_redirect_location:
        limit = MAX_REDIRECT_BODY if limit is None else min(limit, MAX_REDIRECT_BODY)
    announced = response.headers.get("Content-Length", "")
    if limit is not None and announced.isdigit() and (len(announced) > 15 or int(announced) > limit):
        raise _too_large(limit)
    return limit


def _too_large(limit: int) -> PeerError:
    return PeerError(f"the answer has more than {limit} bytes")


class _Body(httpx2.SyncByteStream):
    """A body up to its bound and its deadline."""

    def __init__(self, inner: httpx2.SyncByteStream, limit: int | None, until_s: float | None) -> None:
        self._inner, self._limit, self._until_s = inner, limit, until_s

    def __iter__(self) -> Iterator[bytes]:
        taken = 0
        parts = iter(self._inner)
        while True:
            with _translated(), _deadline.until(self._until_s):
                part = next(parts, None)
            if part is None:
                return
            taken += len(part)
            if self._limit is not None and taken > self._limit:
                raise _too_large(self._limit)
            yield part

    def close(self) -> None:
        self._inner.close()


class _AsyncBody(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, limit: int | None, until_s: float | None) -> None:
        self._inner, self._limit, self._until_s = inner, limit, until_s

    async def __aiter__(self) -> AsyncIterator[bytes]:
        taken = 0
        parts = aiter(self._inner)
        while True:
            with _translated():
                async with asyncio.timeout(_left(self._until_s)):
                    part = await anext(parts, None)
            if part is None:
                return
            taken += len(part)
            if self._limit is not None and taken > self._limit:
                raise _too_large(self._limit)
            yield part

    async def aclose(self) -> None:
        await self._inner.aclose()


# --- Sockets ----------------------------------------------------------------------------------


class _Deadline(threading.local):
    """The deadline of the blocking call under way: a socket's time-out counts anew with each byte."""

    at_s: float | None = None

    @contextmanager
    def until(self, at_s: float | None) -> Iterator[None]:
        self.at_s = at_s
        try:
            yield
        finally:
            self.at_s = None

    def within(self, timeout_s: float | None, late: type[Exception]) -> float | None:
        left_s = _left(self.at_s)
        if left_s is None:
            return timeout_s
        if not left_s:
            raise late("the time for the answer is over")
        return left_s if timeout_s is None else min(timeout_s, left_s)


_deadline = _Deadline()


class _Backend(httpcore2.NetworkBackend):
    """Connects to what the guard lets through; the name goes into the certificate's check alone."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._inner = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        failed: Exception = httpcore2.ConnectError(f"{host} has no address")
        for address in self._guard.resolve(host, port):
            left_s = _deadline.within(timeout, httpcore2.ConnectTimeout)
            try:
                stream = self._inner.connect_tcp(address.host, port, left_s, local_address, socket_options or ())
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failed = error
            else:
                return _Stream(stream)
        raise failed

    def connect_unix_socket(self, *_args: Any, **_options: Any) -> httpcore2.NetworkStream:
        raise NetworkRefused("a socket of this machine is nowhere that a URL leads to")


class _Stream(httpcore2.NetworkStream):
    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _deadline.within(timeout, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _deadline.within(timeout, httpcore2.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        left_s = _deadline.within(timeout, httpcore2.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left_s))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _AsyncBackend(httpcore2.AsyncNetworkBackend):
    def __init__(self, guard: Guard, inner: httpcore2.AsyncNetworkBackend) -> None:
        self._guard = guard
        self._inner = inner

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's own signature)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        failed: Exception = httpcore2.ConnectError(f"{host} has no address")
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._guard.resolve_async(host, port)
        except TimeoutError:
            raise httpcore2.ConnectTimeout(f"{host} does not resolve in time") from None
        for address in addresses:
            try:
                return await self._inner.connect_tcp(address.host, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failed = error
        raise failed

    async def connect_unix_socket(self, *_args: Any, **_options: Any) -> httpcore2.AsyncNetworkStream:
        raise NetworkRefused("a socket of this machine is nowhere that a URL leads to")

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)
