"""A server with real processes, real sockets and a folder of its own, and what a test needs of it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypedDict, TypeVar

from penstock.admin.contract import Ask, Result
from penstock.admin.server import ClockShown, Environment, GetEnvironment, ResetClock, ShowClock, TurnClock
from penstock.admin.streams import KickStream, ListBans, ListStreams, UnbanStream
from penstock.cli.admin import Server as Admin
from penstock.errors import AdminError, ConfigError
from penstock.sdk.kingsoft import AsyncKingsoft, Kingsoft
from penstock.testing.child import Child
from penstock.testing.publisher import Publisher

R = TypeVar("R", bound=Result)

START_S: Final = 30.0
ACCOUNT: Final = "2000000001"
LOCALHOST: Final = "127.0.0.1:0"
# What a test wants otherwise than a user: any ports, and nobody told to slow down.
DEFAULTS: Final[Mapping[str, Any]] = {
    "data_dir": "data",
    "api": {"listen": LOCALHOST, "tls_listen": LOCALHOST, "rate_limits": False},
    "media": {
        "rtmp_listen": LOCALHOST,
        "rtmps_listen": LOCALHOST,
        "http_listen": LOCALHOST,
        "https_listen": LOCALHOST,
        "default_vhost": "demo",
    },
    "account": [
        {
            "id": ACCOUNT,
            "vhost": [
                {
                    "name": "demo",
                    "push_domains": ["push.demo.test"],
                    "pull_domains": ["pull.demo.test"],
                    "apps": ["live"],
                }
            ],
        }
    ],
}


class KingsoftPlace(TypedDict):
    """Where Kingsoft's operations look for streams; to be given as `**server.kingsoft_place`."""

    unique_name: str
    app: str
    pubdomain: str


class Clock:
    """The time that bans, histories and windows go by. Signatures and time-outs go by the machine's own."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    def now(self) -> datetime:
        """Return the server's time, in UTC."""
        return self._admin.ask(ShowClock()).now

    def turn(
        self,
        *,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        to: datetime | None = None,
    ) -> datetime:
        """Turn the clock ahead, by a span or to an aware time; return the time that it is now."""
        by_s = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        ask = TurnClock(to=to) if to is not None else TurnClock(by_s=by_s)
        return self._admin.ask(ask).now

    def reset(self) -> ClockShown:
        """Let the clock go by the machine's again."""
        return self._admin.ask(ResetClock())


class Server:
    """One server, with the account `2000000001`, its vhost `demo` and the app `live` unless settings say otherwise.

    It runs within a `with` block, and ends with the process that started it, however that ends.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any] | None = None) -> None:
        """`folder` is to be empty; `settings` are those of a settings file, on top of `DEFAULTS`."""
        self.folder = folder
        self._file = folder / "penstock.toml"
        whole = merged(DEFAULTS, settings or {})
        self._file.write_text(as_toml(whole), encoding="utf-8")
        self._first_account: str = whole["account"][0]["id"]
        self._log = folder / "server.log"
        self._child: Child | None = None
        self._ports: dict[str, int] = {}
        self._clients: list[Kingsoft] = []
        self._publishers: list[Publisher] = []
        self._admin = Admin(folder / "data")
        self.clock = Clock(self._admin)

    def start(self) -> Self:
        """Start it; it takes connections when this returns.

        Raises:
            ConfigError: it cannot be started with these settings; the text says why.
        """
        with self._log.open("ab") as log:
            self._child = Child("penstock.testing.host", str(self._file), cwd=self.folder, log=log)
        try:
            line = self._child.next_line(time.monotonic() + START_S)
        except TimeoutError:
            self.close()
            raise ConfigError(f"the server did not start within {START_S:g} s; it said:\n{self.log()}") from None
        if line is None:
            self.close()
            raise ConfigError(f"the server did not start; it said:\n{self.log()}")
        self._ports = json.loads(line)
        return self

    @property
    def pid(self) -> int:
        """Of the process that looks after the others."""
        if self._child is None:
            raise ConfigError("the server is not running")
        return self._child.pid

    def close(self) -> None:
        """End it, and the clients and publishers that it gave."""
        self._let_go()
        if self._child is not None:
            self._child.close()
            self._child = None
            self._ports = {}

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    # Its API

    @property
    def endpoint(self) -> str:
        """Where the clouds' APIs answer, without TLS."""
        return f"http://{self._address('api')}"

    @property
    def tls_endpoint(self) -> str:
        """The same in TLS; `ca` is whom to trust."""
        return f"https://{self._address('api_tls')}"

    @property
    def ca(self) -> Path:
        """The certificate of the server's own authority."""
        return self.folder / "data" / "tls" / "ca.pem"

    def keys(self, account: str = "") -> Environment:
        """Return `access_key` and `secret_key` of an account; without a name, of the settings' first one."""
        return self.ask(GetEnvironment(account=account or self._first_account))

    @property
    def access_key(self) -> str:
        """Of the settings' first account."""
        return self.keys().access_key

    @property
    def secret_key(self) -> str:
        """Of the settings' first account."""
        return self.keys().secret_key

    @property
    def kingsoft_place(self) -> KingsoftPlace:
        return {"unique_name": "demo", "app": "live", "pubdomain": "push.demo.test"}

    def kingsoft(self, *, account: str = "", tls: bool = False, **options: Any) -> Kingsoft:
        """Return a client of this server, signed in as `account`; `options` are those of `Kingsoft`."""
        client = Kingsoft(**self._access(account, tls), **options)
        self._clients.append(client)
        return client

    def async_kingsoft(self, *, account: str = "", tls: bool = False, **options: Any) -> AsyncKingsoft:
        """The same for asyncio; closing it (`async with`) is its user's."""
        return AsyncKingsoft(**self._access(account, tls), **options)

    def _access(self, account: str, tls: bool) -> dict[str, Any]:
        keys = self.keys(account)
        where: dict[str, Any] = {"endpoint": self.endpoint}
        if tls:
            where = {"endpoint": self.tls_endpoint, "verify": self.ca}
        return {"access_key": keys.access_key, "secret_key": keys.secret_key, **where}

    def ask(self, ask: Ask[R]) -> R:
        """Ask over the admin socket, as the command line does; the verbs are in `penstock.admin`."""
        return self._admin.ask(ask)

    # Its streams. A query behind the name goes along: "s1?vhost=demo".

    def rtmp_url(self, stream: str, app: str = "live") -> str:
        """Where a stream is published, and played by RTMP."""
        return f"rtmp://{self._address('rtmp')}/{app}/{stream}"

    def rtmps_url(self, stream: str, app: str = "live") -> str:
        return f"rtmps://{self._address('rtmps')}/{app}/{stream}"

    def flv_url(self, stream: str, app: str = "live") -> str:
        """Where a stream is played by HTTP-FLV."""
        return f"http://{self._address('http')}/{app}/{_flv(stream)}"

    def https_flv_url(self, stream: str, app: str = "live") -> str:
        return f"https://{self._address('https')}/{app}/{_flv(stream)}"

    def publish(
        self,
        stream: str,
        *,
        app: str = "live",
        size: tuple[int, int] = (320, 180),
        fps: int = 15,
        bitrate_kbps: int = 200,
        seconds: float | None = None,
        comes_back: bool = False,
    ) -> Publisher:
        """Publish a moving picture with sound, from the moment that this returns to the end of its `with` block.

        It ends after `seconds`, if any, and when the server cuts it; unless it `comes_back`, as encoders do
        that lost their connection.

        Raises:
            PublishRefused: the server said no.
        """
        options = ["--size", f"{size[0]}x{size[1]}", "--fps", str(fps), "--bitrate-kbps", str(bitrate_kbps)]
        options += ["--gop-s", "1"] + ([] if comes_back else ["--once"])
        options += ["--seconds", str(seconds)] if seconds is not None else []
        name = stream.partition("?")[0]
        publisher = Publisher(self.rtmp_url(stream, app), self.folder, lambda: self.is_on_air(name, app), *options)
        self._publishers.append(publisher)
        return publisher.begin()

    def is_on_air(self, stream: str, app: str = "live", vhost: str = "") -> bool:
        """Whether somebody publishes a stream now; without `vhost`, on any."""
        found = self.ask(ListStreams(vhost=vhost)).streams
        return any((each.app, each.stream) == (app, stream) for each in found)

    # Around it

    def _address(self, door: str) -> str:
        if door not in self._ports:
            raise ConfigError(f"the server has no {door} door; it is not running, or its settings leave that one out")
        return f"127.0.0.1:{self._ports[door]}"

    def log_size(self) -> int:
        """Return how long the log is now, as `since` for a later look."""
        return self._log.stat().st_size

    def log(self, since: int = 0) -> str:
        """Return what the server's processes have logged since then."""
        with self._log.open("rb") as log:
            log.seek(since)
            return log.read().decode(errors="replace")

    def tidy(self) -> None:
        """End every publish, lift every ban, and let the clock go by the machine's again."""
        self._let_go()
        if self.ask(ShowClock()).ahead_s > 1:
            self.clock.reset()
        for each in self.ask(ListStreams()).streams:
            self._if_still_there(KickStream(stream=str(each.id)))
        while bans := self.ask(ListBans()).bans:
            for ban in bans:
                self._if_still_there(UnbanStream(stream=str(ban.id)))

    def _let_go(self) -> None:
        while self._clients:
            self._clients.pop().close()
        while self._publishers:
            self._publishers.pop().end()

    def _if_still_there(self, ask: Ask[Any]) -> None:
        try:
            self.ask(ask)
        except AdminError as error:
            if error.kind not in ("NotOnAir", "NotBanned"):
                raise


def merged(defaults: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings on top of defaults: a section member by member, lists as a whole."""
    found = dict(defaults)
    for name, value in settings.items():
        there = found.get(name)
        both = isinstance(there, Mapping) and isinstance(value, Mapping)
        found[name] = merged(there, value) if both else value  # type: ignore[arg-type]
    return found


def as_toml(settings: Mapping[str, Any]) -> str:
    """Write settings as TOML; sections and tables of accounts stand in one line each."""
    return "".join(f"{_plain(name)} = {_value(value)}\n" for name, value in settings.items())


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_plain(name)} = {_value(each)}' for name, each in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[ {', '.join(map(_value, value))} ]"
    return _plain(str(value) if isinstance(value, Path) else value)


def _plain(value: object) -> str:
    # Text, numbers and truth look alike in JSON, but for two: a letter in two halves, and DEL as it is.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _flv(stream: str) -> str:
    name, mark, query = stream.partition("?")
    return f"{name}.flv{mark}{query}"
