"""Connecting to a peer that a user named: to addresses that the guard checked, in TLS to the name that was meant."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from typing import Final

from penstock.errors import PeerError
from penstock.net.guard import Address, Guard
from penstock.net.urls import Url
from penstock.servers.wire import PlainWire, TlsWire, Wire

# An address that does not answer leaves the others at least so long.
LEAST_S: Final = 2.0

_TCP_NOTSENT_LOWAT: Final = getattr(socket, "TCP_NOTSENT_LOWAT", 25)


async def dial(
    guard: Guard,
    url: Url,
    tls: Callable[[], ssl.SSLContext],
    within_s: float,
    lowat_bytes: int,
    own_door: Address | None = None,
) -> Wire:
    """Return a connected wire to the host of `url`; its addresses are tried in their order.

    With `own_door` it is this server itself that is meant: nobody is asked for its name, and no TLS is needed.

    Raises:
        NetworkRefused: the guard lets nobody get there.
        PeerError: nobody is there, in time or at all, or its certificate does not hold.
    """
    try:
        async with asyncio.timeout(within_s):
            addresses = [own_door] if own_door is not None else await guard.resolve_async(url.host, url.port)
            connection = await _connect_to_one(addresses, max(LEAST_S, within_s / len(addresses)))
            try:
                _tune(connection, lowat_bytes)
                if own_door is not None or not url.is_tls:
                    return PlainWire(connection)
                return TlsWire(await _shake_hands(connection, tls(), url.host))
            except BaseException:
                connection.close()
                raise
    except TimeoutError:
        raise PeerError(f"{url.place} does not answer within {within_s:g} s") from None
    except ssl.SSLCertVerificationError as error:
        raise PeerError(f"the certificate of {url.place} does not hold: {error.verify_message}") from error
    except OSError as error:  # an ssl.SSLError is one, too
        raise PeerError(f"{url.place} is not to be reached: {_why(error)}") from error


def _why(error: OSError) -> str:
    # asyncio puts the address into its own words for what the system says.
    is_systems = error.errno is not None and not isinstance(error, ssl.SSLError)
    return os.strerror(error.errno or 0) if is_systems else str(error.strerror or error)


async def _connect_to_one(addresses: list[Address], each_s: float) -> socket.socket:
    failed: OSError = TimeoutError()
    for address in addresses:
        connection = socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            async with asyncio.timeout(each_s):
                await asyncio.get_running_loop().sock_connect(connection, (address.host, address.port))
        except OSError as error:  # a TimeoutError is one, too
            connection.close()
            failed = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise failed


def _tune(connection: socket.socket, lowat_bytes: int) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, lowat_bytes)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


async def _shake_hands(connection: socket.socket, context: ssl.SSLContext, name: str) -> ssl.SSLSocket:
    wrapped = context.wrap_socket(connection, server_hostname=name, do_handshake_on_connect=False)
    loop = asyncio.get_running_loop()
    try:
        while True:
            try:
                wrapped.do_handshake()
            except ssl.SSLWantReadError:
                await _ready(wrapped, loop.add_reader, loop.remove_reader)
            except ssl.SSLWantWriteError:
                await _ready(wrapped, loop.add_writer, loop.remove_writer)
            else:
                return wrapped
    except BaseException:
        wrapped.close()
        raise


async def _ready(connection: ssl.SSLSocket, add: Callable[..., None], remove: Callable[[int], bool]) -> None:
    ready = asyncio.get_running_loop().create_future()

    def settle() -> None:
        if not ready.done():
            ready.set_result(None)

    add(connection.fileno(), settle)
    try:
        await ready
    finally:
        remove(connection.fileno())
