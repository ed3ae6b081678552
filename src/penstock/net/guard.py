"""The guard: which URLs and addresses this server connects to when a user's words ask for it.

A name is resolved once. Each of its answers is checked, and one that is refused refuses them all; whoever
connects gets the addresses that were checked, and never the name. So a name that resolves to something
else a moment later leads nowhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from msgspec import Struct

from penstock.errors import NetworkRefused, PeerError
from penstock.net.addresses import Network, not_public, parse_networks, plain
from penstock.net.urls import Url, parse_url

HTTP: Final = ("http", "https")
RTMP: Final = ("rtmp", "rtmps")

# Answers of one name that are looked at; more are no sign of a peer that means well.
MAX_ANSWERS: Final = 64
# Names that are resolved at once by one process; a dead name server holds each for up to half a minute.
MAX_RESOLVING: Final = 64

# (host, port) to addresses; raises OSError.
Resolver = Callable[[str, int], Sequence[str]]


class Address(Struct, frozen=True):
    """An address that was checked, as it goes into a socket's `connect`."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def system_resolver(host: str, port: int) -> list[str]:
    """Ask the system; it may take as long as its settings say."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    # An address of IPv6 may come with a zone, which the guard refuses as it refuses link-local ones.
    return list(dict.fromkeys(str(answer[4][0]) for answer in found))


class Guard:
    """What may be reached: the public internet, and the private networks that the operator opened."""

    def __init__(self, allow_private: Iterable[str] = (), resolver: Resolver = system_resolver) -> None:
        self._allowed: tuple[Network, ...] = parse_networks(tuple(allow_private))
        self._resolver = resolver
        self._resolving = asyncio.Semaphore(MAX_RESOLVING)

    def check_url(self, text: str, schemes: Collection[str]) -> Url:
        """Read a URL and check as much of it as there is to check without asking for its name.

        Raises:
            NetworkRefused: it is no URL of these schemes, or its host an address that may not be reached.
        """
        url = parse_url(text, schemes)
        if _is_address(url.host):
            self.check_address(url.host)
        return url

    def check_address(self, text: str) -> str:
        """Return an address as it may be connected to.

        Raises:
            NetworkRefused: it may not be reached, or is no address.
        """
        try:
            address = plain(ipaddress.ip_address(text))
        except ValueError:
            raise NetworkRefused(f"{text[:64]!r} is no address") from None
        if getattr(address, "scope_id", None):
            raise NetworkRefused(f"{text[:64]} names an interface of this machine; an address must name none")
        if any(address in network for network in self._allowed):
            return str(address)
        if found := not_public(address):
            raise NetworkRefused(
                f"{text} is in {found}; only public addresses are reached, and those in network.allow_private"
            )
        return str(address)

    def resolve(self, host: str, port: int) -> list[Address]:
        """Return the addresses of a host, all of them checked, in the order to try them; blocks.

        Raises:
            NetworkRefused: one of them may not be reached.
            PeerError: there is no such host.
        """
        if _is_address(host):
            return [Address(self.check_address(host), port)]
        try:
            answers = self._resolver(host, port)
        except (OSError, UnicodeError) as error:
            raise PeerError(f"{host} does not resolve: {_why(error)}") from error
        return self._checked(host, port, answers)

    async def resolve_async(self, host: str, port: int) -> list[Address]:
        """As `resolve`, without holding up the loop. What is given up ends in the background."""
        if _is_address(host):
            return [Address(self.check_address(host), port)]
        await self._resolving.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[Address]] = loop.create_future()

        def settle(found: list[Address] | Exception) -> None:
            self._resolving.release()
            if answer.done():
                return
            if isinstance(found, Exception):
                answer.set_exception(found)
            else:
                answer.set_result(found)

        def work() -> None:
            found: list[Address] | Exception
            try:
                found = self.resolve(host, port)
            except Exception as error:
                found = error
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(settle, found)

        # No pool: its threads are waited for when the process ends, and these may hang.
        try:
            threading.Thread(target=work, name="resolve", daemon=True).start()
        except RuntimeError as error:
            self._resolving.release()
            raise PeerError(f"{host} does not resolve: {error}") from error
        return await answer

    def _checked(self, host: str, port: int, answers: Sequence[str]) -> list[Address]:
        if not answers or len(answers) > MAX_ANSWERS:
            raise PeerError(f"{host} resolves to {len(answers)} addresses; it must be 1 to {MAX_ANSWERS}")
        try:
            return [Address(self.check_address(answer), port) for answer in answers]
        except NetworkRefused as error:
            raise NetworkRefused(f"{host} resolves to {error}") from None


def _is_address(host: str) -> bool:
    # A name has no colon, and its last label is no number: see `host_of`.
    return ":" in host or host.rpartition(".")[2].isdigit()


def _why(error: OSError | UnicodeError) -> str:
    return (error.strerror if isinstance(error, OSError) else "") or str(error)
