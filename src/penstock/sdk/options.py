"""What a user may choose: for a client as a whole, and for one call."""

from __future__ import annotations

from typing import Final, TypedDict, cast

from msgspec import Struct

from penstock.errors import ConfigError

MAX_RETRIES: Final = 20


class Options(TypedDict, total=False):
    """What one call may be given beside its parameters; what is left out is as the client has it."""

    timeout_s: float  # for the whole call: every attempt and the pauses between them
    connect_timeout_s: float  # for one connection, TLS included
    read_timeout_s: float  # for one silence of the peer
    retries: int  # attempts after the first one


NAMES: Final = frozenset(Options.__annotations__)


class Patience(Struct, frozen=True, kw_only=True):
    """How long to wait, and how often to try."""

    timeout_s: float = 60.0
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 30.0
    retries: int = 3

    def __post_init__(self) -> None:
        for name in ("timeout_s", "connect_timeout_s", "read_timeout_s"):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and 0 < value < float("inf")):
                raise ConfigError(f"{name} is {value!r}; it must be a number of seconds above 0")
        if not (isinstance(self.retries, int) and 0 <= self.retries <= MAX_RETRIES):
            raise ConfigError(f"retries is {self.retries!r}; it must be an integer from 0 to {MAX_RETRIES}")

    def but(self, options: Options) -> Patience:
        """Return this with what one call says otherwise."""
        if not options:
            return self
        said = cast("dict[str, float]", options)
        for name in said.keys() - NAMES:
            raise TypeError(f"{name!r} is no option of a call; it must be one of {', '.join(sorted(NAMES))}")
        return Patience(**{name: said.get(name, getattr(self, name)) for name in Patience.__struct_fields__})
