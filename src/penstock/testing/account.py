"""What one test has of the server: an account with a key and a vhost, which no other test touches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, Self, TypedDict

from penstock.admin.owners import AddAccount, AddKey, AddVhost
from penstock.admin.streams import ShowStream
from penstock.cli.env import BUNDLE, exports_of, write_bundle
from penstock.clouds.kingsoft.streams import RealtimeStream
from penstock.sdk.kingsoft import AsyncKingsoft, Kingsoft
from penstock.sdk.volcengine import AsyncVolcengine, Volcengine
from penstock.testing.clock import Clock
from penstock.testing.publisher import Publisher
from penstock.testing.server import Server

APP: Final = "live"


class Where(TypedDict):
    """The three members by which KLS knows an application."""

    unique_name: str
    app: str
    pubdomain: str


class InVhost(TypedDict):
    """The two members by which Volcengine knows an application."""

    vhost: str
    app: str


class Penstock:
    """An account of a test's own on a running server.

    Streams live in vhosts and calls are counted by account, so that tests do not see each other. What they
    share is the server's clock.
    """

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.account = name
        self.vhost = name  # KLS's UniqueName
        self.app = APP
        self.push_domain = f"push.{name}.test"
        self.pull_domain = f"pull.{name}.test"
        self.clock = Clock(server)
        self._found = server.environment(name)
        self._clients = ExitStack()

    @classmethod
    @contextmanager
    def made(cls, server: Server) -> Iterator[Self]:
        """Make the account; what it lent out is closed at the end, and the clock set right."""
        name = server.new_name()
        server.ask(AddAccount(id=name))
        server.ask(AddKey(account=name))
        account = cls(server, name)
        push, pull = (account.push_domain,), (account.pull_domain,)
        server.ask(AddVhost(name=name, account=name, push_domains=push, pull_domains=pull, apps=(account.app,)))
        try:
            yield account
        finally:
            account._clients.close()
            account.clock.reset()

    def __repr__(self) -> str:
        return f"Penstock(account={self.account!r}, endpoint={self.endpoint!r})"

    # Calls

    @property
    def access_key(self) -> str:
        return self._found.access_key

    @property
    def secret_key(self) -> str:
        return self._found.secret_key

    @property
    def endpoint(self) -> str:
        """The URL of the clouds' APIs, by HTTP."""
        return self._found.endpoint

    @property
    def tls_endpoint(self) -> str:
        """The same by HTTPS; clients have to trust `ca`."""
        return self._found.tls_endpoint

    @property
    def ca(self) -> Path:
        """The file with the certificate of the server's own authority."""
        return Path(self._found.ca)

    @property
    def where(self) -> Where:
        """The application, for calls of `Kingsoft`: `kls.get_blacklist(**penstock.where)`."""
        return {"unique_name": self.vhost, "app": self.app, "pubdomain": self.push_domain}

    @property
    def in_vhost(self) -> InVhost:
        """The application, for calls of `Volcengine`: `volc.kill_stream(**penstock.in_vhost, stream="cam")`."""
        return {"vhost": self.vhost, "app": self.app}

    @property
    def environ(self) -> dict[str, str]:
        """Variables that point other programs at this account, as `penstock env` prints them."""
        return exports_of(self._found, write_bundle(self.ca, self.server.data_dir / BUNDLE))

    def kingsoft(self, **given: Any) -> Kingsoft:
        """Return a client with this account's keys; `given` is what else `Kingsoft` takes."""
        return self._clients.enter_context(Kingsoft(**self._access(given)))

    def async_kingsoft(self, **given: Any) -> AsyncKingsoft:
        """Return a client for asyncio; close it in the loop that used it (`async with`)."""
        return AsyncKingsoft(**self._access(given))

    def volcengine(self, **given: Any) -> Volcengine:
        """Return a client with this account's keys; `given` is what else `Volcengine` takes."""
        return self._clients.enter_context(Volcengine(**self._access(given)))

    def async_volcengine(self, **given: Any) -> AsyncVolcengine:
        """Return a client for asyncio; close it in the loop that used it (`async with`)."""
        return AsyncVolcengine(**self._access(given))

    def _access(self, given: dict[str, Any]) -> dict[str, Any]:
        keys = {"access_key": self.access_key, "secret_key": self.secret_key}
        endpoint = given.get("endpoint", self.endpoint)
        return {**keys, "endpoint": endpoint, "verify": str(self.ca), **given}

    # Media

    def publish(self, stream: str, *, size: str = "320x180", fps: int = 25, bitrate_kbps: int = 400) -> Publisher:
        """Return a publisher of the test pattern, which is on air inside of its `with`.

        Raises (at the `with`):
            PublishRefused: the server did not let it in.
        """
        return Publisher(self.publish_url(stream), size=size, fps=fps, bitrate_kbps=bitrate_kbps)

    def measured(self, stream: str, *, within_s: float = 20.0) -> RealtimeStream:
        """Return the facts of a stream on air as soon as its picture and its sound were measured.

        Raises:
            AdminError: nobody publishes it.
            TimeoutError: they were not within `within_s`; a stream without picture or sound never is.
        """
        deadline_s = time.monotonic() + within_s
        while not self._is_measured(stream):
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"{self.app}/{stream} was not measured within {within_s:g} s")
            time.sleep(0.1)  # a server tells nobody that it knows more
        with Kingsoft(**self._access({})) as kls:
            return kls.wait_live(unique_name=self.vhost, app=self.app, stream=stream)

    def _is_measured(self, stream: str) -> bool:
        found = self.server.ask(ShowStream(stream=f"{self.vhost}/{self.app}/{stream}")).on_air
        if found is None or found.video is None or found.audio is None:
            return False
        return found.video.fps > 0 and found.audio.bitrate_kbps > 0

    def publish_url(self, stream: str, scheme: str = "rtmp") -> str:
        """Where an encoder publishes to, by `rtmp` or `rtmps`."""
        return f"{self.server.base(scheme)}/{self.app}/{stream}?vhost={self.push_domain}"

    def play_url(self, stream: str, scheme: str = "http") -> str:
        """Where a player plays from: HTTP-FLV by `http` or `https`, or RTMP by `rtmp` or `rtmps`."""
        suffix = ".flv" if scheme.startswith("http") else ""
        return f"{self.server.base(scheme)}/{self.app}/{stream}{suffix}?vhost={self.pull_domain}"
