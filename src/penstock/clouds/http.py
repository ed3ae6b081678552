"""HTTP messages as data, and where they go: what a cloud's wire makes, and what it reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

DEFAULT_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}


class Headers:
    """Header lines in their order; names are found whatever their case, and may repeat."""

    __slots__ = ("_lines", "_values")

    def __init__(self, lines: Iterable[tuple[str, str]] = ()) -> None:
        self._lines = tuple(lines)
        self._values: dict[str, list[str]] = {}
        for name, value in self._lines:
            self._values.setdefault(name.lower(), []).append(value)

    def get(self, name: str, default: str = "") -> str:
        """Return the first value under `name`."""
        values = self._values.get(name.lower())
        return values[0] if values else default

    def get_all(self, name: str) -> list[str]:
        """Return every value under `name`, in the order they came."""
        return list(self._values.get(name.lower(), ()))

    def names(self) -> list[str]:
        """Return the names, in lower case, each once, in the order they first came."""
        return list(self._values)

    def and_also(self, lines: Iterable[tuple[str, str]]) -> Headers:
        """Return these lines with more behind them."""
        return Headers((*self._lines, *lines))

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._values

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._lines)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._lines == other._lines

    def __hash__(self) -> int:
        return hash(self._lines)

    def __repr__(self) -> str:
        # The names alone: Authorization and session tokens stay out of logs.
        return f"Headers({', '.join(name for name, _ in self._lines)})"


class HttpRequest(Struct, frozen=True, kw_only=True):
    """A request; `target` is what stands on the request line, nothing decoded."""

    method: str
    target: str
    headers: Headers
    body: bytes = b""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """What stands behind the first question mark, as it came."""
        return self.target.partition("?")[2]


class HttpResponse(Struct, frozen=True, kw_only=True):
    """An answer."""

    status: int
    headers: Headers
    body: bytes = b""


class Endpoint(Struct, frozen=True):
    """Where a cloud, or a server of ours, listens."""

    scheme: str
    host: str  # as the Host header says it: with the port unless it is the scheme's own
    path: str = ""  # what stands before the operation's own path; never ends in a slash

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """Read `http://127.0.0.1:8080/kls`.

        Raises:
            ValueError: no http or https URL, or more than scheme, host, port and path.
        """
        parts = urlsplit(url)
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
            raise ValueError(f"endpoint is {url!r}; it must be an http or https URL with a host")
        if parts.query or parts.fragment or parts.username is not None:
            raise ValueError("an endpoint is scheme, host, port and path, nothing else")
        name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        port = parts.port
        host = name if port is None or port == DEFAULT_PORTS[parts.scheme] else f"{name}:{port}"
        return cls(parts.scheme, host, parts.path.rstrip("/"))

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}{self.path}"
