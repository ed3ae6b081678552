"""Servers on loopback that answer as they were told, and names that lead to them."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from penstock.net.guard import Guard

Answer = Callable[[socket.socket, bytes], None]


class Peer:
    """One HTTP server; `heads` are the requests that came, `connections` how many peers connected."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None, address: str = "127.0.0.1") -> None:
        self.heads: list[str] = []
        self.connections = 0
        self._answer, self._tls = answer, tls
        self._listener = socket.create_server((address, 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()

    def _run(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        accepted.settimeout(10)
        try:
            if self._tls is not None:
                accepted = self._tls.wrap_socket(accepted, server_side=True)
            with accepted:
                while head := _head(accepted):
                    self.heads.append(head.decode("latin-1"))
                    self._answer(accepted, head)
        except OSError:
            accepted.close()


def _head(accepted: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        part = accepted.recv(65536)
        if not part:
            return b""
        head += part
    return head


def says(body: bytes, *lines: str, status: str = "200 OK") -> Answer:
    """The same whole answer each time."""
    head = "\r\n".join((f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines, "", ""))
    return lambda accepted, _: accepted.sendall(head.encode() + body)


def redirects(to: str) -> Answer:
    return says(b"", f"Location: {to}", status="302 Found")


@contextmanager
def serving(answer: Answer, tls: ssl.SSLContext | None = None, address: str = "127.0.0.1") -> Iterator[Peer]:
    peer = Peer(answer, tls, address)
    try:
        yield peer
    finally:
        peer.close()


def guard(*names: str, opened: tuple[str, ...] = ("127.0.0.1",)) -> Guard:
    """A guard that reaches 127.0.0.1 alone of this machine, and to which each name is that address."""
    table = {name: ["127.0.0.1"] for name in names}

    def resolve(host: str, port: int) -> list[str]:
        if host not in table:
            raise OSError(-2, "Name or service not known")
        return table[host]

    return Guard(opened, resolve)
