"""Requests out and answers in, by httpx2: the only file that knows it, loaded at the first call.

httpx2's transports are used without its clients: no redirects, no cookies, no decompression, nothing
that a call leaves behind for the next one but its connection. Bodies are read up to a limit.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from urllib.request import getproxies, proxy_bypass

import httpcore2
import httpx2
from msgspec import Struct

from penstock.clouds.http import Endpoint, Headers, HttpResponse
from penstock.errors import ConfigError
from penstock.sdk.attempts import Ask, BadAnswer, NoAnswer

Verify = bool | str | Path | ssl.SSLContext

KEEPALIVE_S: Final = 15.0  # an idle connection older than this is not used again
_LOOPBACK: Final = ("127.", "localhost", "[::1]")
# Whoever meets one of these has not been heard.
_UNHEARD: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
_OURS: Final = (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError)


class Door(Struct, frozen=True, kw_only=True):
    """Where a client sends to, and within which limits."""

    endpoint: Endpoint
    verify: Verify = True
    proxy: str | None = None
    max_connections: int = 10
    max_response_bytes: int = 64 * 1024 * 1024

    def open(self) -> httpx2.BaseTransport:
        return _Transport(self)

    def open_async(self) -> httpx2.AsyncBaseTransport:
        tls, limits, proxy = _tls(self), _limits(self), _proxy(self)
        return httpx2.AsyncHTTPTransport(verify=tls, limits=limits, proxy=proxy, trust_env=False)


def _limits(door: Door) -> httpx2.Limits:
    most = door.max_connections
    return httpx2.Limits(max_connections=most, max_keepalive_connections=most, keepalive_expiry=KEEPALIVE_S)


def _tls(door: Door) -> ssl.SSLContext:
    if isinstance(door.verify, ssl.SSLContext):
        return door.verify
    if door.endpoint.scheme == "http" and not _proxy(door):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # never used; reading all roots takes 30 ms
    if isinstance(door.verify, bool):
        return httpx2.create_ssl_context(verify=door.verify)
    try:
        return ssl.create_default_context(cafile=str(door.verify))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"verify is {str(door.verify)!r}; it must be a file of CA certificates: {error}") from error


def _proxy(door: Door) -> str | None:
    """The proxy given, else the environment's (HTTPS_PROXY, NO_PROXY), which never is for this machine."""
    host = door.endpoint.host
    if door.proxy is not None:
        return door.proxy or None
    if host.startswith(_LOOPBACK):
        return None
    found = getproxies()
    return None if proxy_bypass(host) else found.get(door.endpoint.scheme, found.get("all"))


def send(transport: httpx2.BaseTransport, door: Door, ask: Ask) -> HttpResponse:
    """Send one attempt and return its answer.

    Raises:
        NoAnswer, BadAnswer: none came, or one that is too large.
    """
    _deadline.at_s = time.monotonic() + ask.left_s
    try:
        response = transport.handle_request(_request(door, ask))
        try:
            assert isinstance(response.stream, Iterable)
            body = bytearray()
            _check_announced(response, door)
            for part in response.stream:
                _add(body, part, response, door)
                # A transport of the caller's own may know nothing of our deadline.
                if time.monotonic() > _deadline.at_s:
                    raise NoAnswer("the time is over")
        finally:
            response.close()
    except httpx2.TransportError as error:
        raise _no_answer(error) from error
    finally:
        _deadline.at_s = None
    return _answer(response, body)


async def send_async(transport: httpx2.AsyncBaseTransport, door: Door, ask: Ask) -> HttpResponse:
    """Send one attempt and return its answer; as `send`."""
    try:
        async with asyncio.timeout(ask.left_s):
            response = await transport.handle_async_request(_request(door, ask))
            try:
                body = bytearray()
                _check_announced(response, door)
                async for part in response.stream:  # type: ignore[union-attr]
                    _add(body, part, response, door)
            finally:
                await response.aclose()
    except httpx2.TransportError as error:
        raise _no_answer(error) from error
    except TimeoutError as error:
        raise NoAnswer("the time is over") from error
    return _answer(response, body)


def _request(door: Door, ask: Ask) -> httpx2.Request:
    times = {
        "connect": ask.connect_timeout_s,
        "read": ask.read_timeout_s,
        "write": ask.read_timeout_s,
        "pool": ask.left_s,
    }
    request = ask.request
    return httpx2.Request(
        request.method,
        f"{door.endpoint.scheme}://{door.endpoint.host}{request.target}",
        headers=list(request.headers),
        content=request.body or None,
        extensions={"timeout": times},
    )


def _check_announced(response: httpx2.Response, door: Door) -> None:
    announced = response.headers.get("Content-Length", "")
    if announced.isdigit() and (len(announced) > 15 or int(announced) > door.max_response_bytes):
        raise _too_large(response, door)


def _add(body: bytearray, part: bytes, response: httpx2.Response, door: Door) -> None:
    body += part
    if len(body) > door.max_response_bytes:
        raise _too_large(response, door)


def _too_large(response: httpx2.Response, door: Door) -> BadAnswer:
    return BadAnswer(f"the answer has more than {door.max_response_bytes} bytes", response.status_code)


def _answer(response: httpx2.Response, body: bytearray) -> HttpResponse:
    lines = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers.raw]
    return HttpResponse(status=response.status_code, headers=Headers(lines), body=bytes(body))


def _no_answer(error: httpx2.TransportError) -> NoAnswer:
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    # A certificate that does not fit will not fit in a moment either.
    may_pass = not isinstance(error, _OURS) and not _is_about_a_certificate(error)
    return NoAnswer(text, was_sent=not isinstance(error, (*_UNHEARD, *_OURS)), may_pass=may_pass)


def _is_about_a_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


# The deadline of a blocking call. Time-outs of sockets count from each read on, so that a peer that
# sends a byte now and then would hold a caller for ever.


class _Deadline(threading.local):
    at_s: float | None = None

    def within(self, timeout_s: float | None, late: type[Exception]) -> float | None:
        if self.at_s is None:
            return timeout_s
        left_s = self.at_s - time.monotonic()
        if left_s <= 0:
            raise late("the time is over")
        return left_s if timeout_s is None else min(timeout_s, left_s)


_deadline = _Deadline()


class _Transport(httpx2.HTTPTransport):
    """httpx2's own, with connections that keep to the deadline of the call that uses them."""

    def __init__(self, door: Door) -> None:
        super().__init__(verify=_tls(door), limits=_limits(door), proxy=_proxy(door), trust_env=False)
        # Not an argument of httpx2's; a test with a peer that trickles tells if this is ever lost.
        self._pool._network_backend = _Backend(self._pool._network_backend)


class _Backend(httpcore2.NetworkBackend):
    def __init__(self, inner: httpcore2.NetworkBackend) -> None:
        self._inner = inner

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        left_s = _deadline.within(timeout, httpcore2.ConnectTimeout)
        return _Stream(self._inner.connect_tcp(host, port, left_s, local_address, socket_options))


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
