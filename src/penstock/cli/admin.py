"""Asks a running server over its admin socket.

HTTP by hand, over a bare socket: `http.client` would load the e-mail parser and TLS, which takes longer
than the call itself.
"""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Final, TypeVar

from penstock.admin import contract
from penstock.admin.contract import Ask, Result
from penstock.errors import ConfigError, TransportError

R = TypeVar("R", bound=Result)

# A verb does what its answer says: a ban waits for a socket to close, a reload for a whole file.
TIMEOUT_S: Final = 30.0
_READ_SIZE: Final = 256 * 1024


class Server:
    """A server on this machine, by its data folder."""

    def __init__(self, data_dir: Path, *, timeout_s: float = TIMEOUT_S) -> None:
        self.data_dir = data_dir
        self._timeout_s = timeout_s

    @property
    def path(self) -> Path:
        """Where its admin socket is."""
        return self.data_dir / contract.SOCKET_NAME

    def ask(self, ask: Ask[R]) -> R:
        """Return what the server answers.

        Raises:
            AdminError: it refused.
            TransportError: no server answers there, or not in time.
            ConfigError: the server is somebody else's; or the ask has bytes in it that are no text.
        """
        try:
            request = contract.encode_ask(ask)
        except UnicodeEncodeError as error:
            raise ConfigError(f"an argument is not UTF-8: {error.object!r}") from None
        return contract.decode_answer(ask, *self._exchange(request))

    def _exchange(self, request: bytes) -> tuple[int, bytes]:
        deadline_s = time.monotonic() + self._timeout_s
        with self._connected() as connection:
            try:
                connection.sendall(request)
                answer = bytearray()
                while data := connection.recv(_READ_SIZE):
                    answer += data
                    if len(answer) > contract.MAX_ANSWER_BYTES:
                        raise TransportError(
                            f"{self.path}: the answer is longer than {contract.MAX_ANSWER_BYTES} bytes"
                        )
                    # Each silence is bounded by the socket, all of them together by this.
                    connection.settimeout(max(0.001, deadline_s - time.monotonic()))
            except TimeoutError:
                raise TransportError(
                    f"the server at {self.path} did not answer within {self._timeout_s:g} s; what it was asked may "
                    "still be done"
                ) from None
            except OSError as error:
                raise TransportError(f"the server at {self.path} broke off: {error.strerror}") from None
        return self._split(bytes(answer))

    def _connected(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(self._timeout_s)
        try:
            folder = os.open(self.data_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                # By the folder's descriptor, as a whole path may be longer than a socket's address.
                connection.connect(f"/proc/self/fd/{folder}/{contract.SOCKET_NAME}")
            finally:
                os.close(folder)
        except PermissionError:
            connection.close()
            raise ConfigError(f"{self.path} belongs to another user; ask as the user that runs the server") from None
        except OSError as error:
            connection.close()
            raise TransportError(_nobody_there(self.path, error)) from None
        return connection

    def _split(self, answer: bytes) -> tuple[int, bytes]:
        """The status and the body of an answer that is all there."""
        head, _, body = answer.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        words = first.split(maxsplit=2)
        try:
            if not words[0].startswith(b"HTTP/1."):
                raise ValueError(words[0])
            status, length = int(words[1]), int(fields[b"content-length"])
        except (IndexError, KeyError, ValueError):
            raise TransportError(f"what answers at {self.path} does not speak HTTP as a Penstock server does") from None
        if len(body) != length:
            raise TransportError(f"the server at {self.path} broke off in the middle of its answer")
        return status, body


def _nobody_there(path: Path, error: OSError) -> str:
    why = "there is no such socket" if isinstance(error, FileNotFoundError) else error.strerror
    if isinstance(error, ConnectionRefusedError):
        why = "its server has ended"
    return (
        f"no server answers at {path}: {why}. Start one with `penstock serve`, or name its data folder by "
        "--data-dir, PENSTOCK_DATA_DIR, or the settings file that it was started with (--config, PENSTOCK_CONFIG)"
    )
