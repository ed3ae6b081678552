"""Debian's Chromium without a window, driven over its debugging pipe: a page in it plays, the server's or one of ours.

The pipe is two descriptors with JSON between zero bytes (Chrome DevTools Protocol), so that no port is
opened and no further package is needed.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import fcntl
import itertools
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Final, Self

from tests.e2e.peers import ROOT, PeerFailed

HLS_JS: Final = ROOT / ".peers" / "node_modules" / "hls.js" / "dist" / "hls.min.js"
ANSWER_S: Final = 15.0
# The largest answer of the browser's that is read; pages answer with a few numbers.
LIMIT: Final = 16 * 1024 * 1024

PAGE: Final = """<!doctype html><meta charset="utf-8"><title>player</title>
<video id="video" muted playsinline></video>
<script src="{script}"></script>
<script>
const video = document.getElementById("video");
const state = {{fatal: [], errors: [], levels: [], lastTime: 0, moved: 0}};
const hls = new Hls({options});
hls.on(Hls.Events.ERROR, (_, data) => {{
  (data.fatal ? state.fatal : state.errors).push(`${{data.type}} ${{data.details}} ${{data.reason || ""}}`);
}});
hls.on(Hls.Events.MANIFEST_PARSED, (_, data) => {{
  state.levels = data.levels.map(level => [level.videoCodec, level.audioCodec, level.width, level.height]);
  video.play();
}});
// How far the picture moved in all: seeks over gaps are none of it.
video.addEventListener("timeupdate", () => {{
  const step = video.currentTime - state.lastTime;
  if (step > 0 && step < 1) state.moved += step;
  state.lastTime = video.currentTime;
}});
const seen = () => ({{
  ...state, time: video.currentTime, width: video.videoWidth, height: video.videoHeight,
  latency: hls.latency, frames: video.getVideoPlaybackQuality().totalVideoFrames,
  behind: hls.playingDate ? (Date.now() - hls.playingDate) / 1000 : null,
}});
const moves = (seconds, withinSeconds) => new Promise(resolve => {{
  const start = state.moved, deadline = Date.now() + 1000 * withinSeconds;
  const timer = setInterval(() => {{
    if (state.moved - start < seconds && !state.fatal.length && Date.now() < deadline) return;
    clearInterval(timer);
    resolve({{...seen(), moved: state.moved - start}});
  }}, 50);
}});
hls.loadSource({url});
hls.attachMedia(video);
</script>
"""


class Browser:
    """One Chromium; `play` opens a page in it."""

    def __init__(self, folder: Path, process: asyncio.subprocess.Process, into: int, out: int) -> None:
        self._folder = folder
        self._process = process
        self._into = into
        self._out = out
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._events: dict[tuple[str, str], asyncio.Event] = {}  # by session and method
        self._told: dict[str, list[dict[str, Any]]] = {}  # all that each page's session said
        self._reader = asyncio.StreamReader(limit=LIMIT)
        self._reading: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls) -> Self:
        command = shutil.which("chromium")
        if command is None or not HLS_JS.exists():
            raise PeerFailed("chromium or hls.js is not here; tools/peers.sh installs both")
        folder = Path(tempfile.mkdtemp(prefix="penstock-browser-"))
        ends = [end for pair in (os.pipe(), os.pipe()) for end in _above(pair)]
        its_in, into, out, its_out = ends
        flags = (
            *("--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio", "--no-first-run"),
            *("--remote-debugging-pipe", f"--user-data-dir={folder}", "--autoplay-policy=no-user-gesture-required"),
            # A page that nobody sees would be slowed down.
            *("--disable-background-timer-throttling", "--disable-renderer-backgrounding"),
        )
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", f'exec "$@" 3<&{its_in} 4>&{its_out}', "bash", command, *flags, "about:blank"),
            pass_fds=(its_in, its_out),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=(folder / "stderr").open("wb"),
        )
        os.close(its_in)
        os.close(its_out)
        browser = cls(folder, process, into, out)
        loop = asyncio.get_running_loop()
        protocol = asyncio.StreamReaderProtocol(browser._reader)
        await loop.connect_read_pipe(lambda: protocol, os.fdopen(out, "rb", buffering=0))
        browser._reading = asyncio.create_task(browser._read())
        return browser

    async def _read(self) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                message = json.loads((await self._reader.readuntil(b"\0"))[:-1])
                event = self._events.get((message.get("sessionId", ""), message.get("method", "")))
                if event is not None:
                    event.set()
                if "method" in message and message.get("sessionId") in self._told:
                    self._told[message["sessionId"]].append(message)
                waiting = self._answers.pop(message.get("id", 0), None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)

    async def call(self, method: str, *, session: str = "", within_s: float = ANSWER_S, **params: Any) -> Any:
        """One command of the DevTools Protocol, and its result.

        Raises:
            PeerFailed: it was refused, or not answered in time.
        """
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self._into, json.dumps(message).encode() + b"\0")
        try:
            async with asyncio.timeout(within_s):
                found = await answer
        except TimeoutError:
            raise PeerFailed(f"chromium did not answer {method} within {within_s:g} s: {self._said()}") from None
        if "error" in found:
            raise PeerFailed(f"chromium refused {method}: {found['error']}")
        return found["result"]

    async def play(self, url: str, **options: Any) -> Page:
        """Open a page that plays `url` by hls.js, which is given `options`."""
        path = self._folder / f"page-{next(self._numbers)}.html"
        path.write_text(PAGE.format(script=HLS_JS.as_uri(), url=json.dumps(url), options=json.dumps(options)))
        return await self.open(path.as_uri())

    async def open(
        self,
        url: str,
        *,
        language: str = "en-GB",
        dark: bool = False,
        width: int = 1280,
        height: int = 900,
        trusting: bool = False,
    ) -> Page:
        """Open a page in a window of that size; `trusting` takes any certificate."""
        # In a window of its own: browsers do not play in a tab that another one hides.
        target = (await self.call("Target.createTarget", url="about:blank", newWindow=True))["targetId"]
        session = (await self.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        told = self._told[session] = []
        await self.call("Security.setIgnoreCertificateErrors", session=session, ignore=trusting)
        for domain in ("Page", "Runtime", "Network", "Log", "Audits"):
            await self.call(f"{domain}.enable", session=session)
        agent = (await self.call("Browser.getVersion"))["userAgent"]
        await self.call("Emulation.setUserAgentOverride", session=session, userAgent=agent, acceptLanguage=language)
        theme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.call("Emulation.setEmulatedMedia", session=session, features=theme)
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self.call("Emulation.setDeviceMetricsOverride", session=session, **size)
        loaded = self._events[session, "Page.loadEventFired"] = asyncio.Event()
        await self.call("Page.navigate", session=session, url=url)
        async with asyncio.timeout(ANSWER_S):
            await loaded.wait()
        return Page(self, session, told)

    async def frame(self, url: str) -> Page:
        """The frame of another page that shows `url`."""
        async with asyncio.timeout(ANSWER_S):
            while True:
                targets = (await self.call("Target.getTargets"))["targetInfos"]
                found = [target["targetId"] for target in targets if target["url"] == url]
                if found:
                    break
                await asyncio.sleep(0.05)  # the browser tells of frames nowhere but there
        session = (await self.call("Target.attachToTarget", targetId=found[0], flatten=True))["sessionId"]
        return Page(self, session, [])

    def _said(self) -> str:
        return (self._folder / "stderr").read_text(errors="replace")[-4000:]

    async def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        if self._reading is not None:
            self._reading.cancel()
        os.close(self._into)
        print(f"--- chromium (pid {self._process.pid})\n{self._said()}", file=sys.stderr)
        shutil.rmtree(self._folder, ignore_errors=True)


def _above(pair: tuple[int, int]) -> list[int]:
    """The ends of a pipe above the descriptors that the browser wants for its own; the others are closed."""
    found = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in pair]
    for end in pair:
        os.close(end)
    return found


class Page:
    """A page that plays."""

    def __init__(self, browser: Browser, session: str, told: list[dict[str, Any]]) -> None:
        self._browser = browser
        self._session = session
        self._told = told

    async def evaluate(self, expression: str, within_s: float = ANSWER_S) -> Any:
        found = await self._browser.call(
            "Runtime.evaluate",
            session=self._session,
            within_s=within_s,
            expression=expression,
            awaitPromise=True,
            returnByValue=True,
        )
        if "exceptionDetails" in found:
            raise PeerFailed(f"{expression}: {found['exceptionDetails']}")
        return found["result"].get("value")

    async def seen(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.evaluate("seen()")
        return found

    async def moves(self, seconds: float, *, within_s: float) -> dict[str, Any]:
        """Wait until the picture moved on by `seconds` since now; what there is to see then.

        Raises:
            PeerFailed: it did not in time, or the player gave up.
        """
        found: dict[str, Any] = await self.evaluate(f"moves({seconds}, {within_s})", within_s=within_s + ANSWER_S)
        if found["fatal"] or found["moved"] < seconds:
            raise PeerFailed(f"the picture moved {found['moved']:.1f} of {seconds:g} s within {within_s:g} s: {found}")
        return found

    def requests(self) -> list[str]:
        """Every URL that it asked for, blobs of its own aside."""
        sent = [said["params"] for said in self._told if said["method"] == "Network.requestWillBeSent"]
        return [asked["request"]["url"] for asked in sent if not asked["request"]["url"].startswith(("blob:", "data:"))]

    def complaints(self) -> list[str]:
        """What is wrong with it: errors and warnings of its console, exceptions, what its policy forbade."""
        found = []
        for said in self._told:
            match said:
                case {"method": "Runtime.exceptionThrown", "params": about}:
                    found.append(str(about))
                case {"method": "Runtime.consoleAPICalled", "params": {"type": "error" | "warning"} as about}:
                    found.append(str(about["args"]))
                case {"method": "Log.entryAdded", "params": {"entry": {"level": "error" | "warning"} as about}}:
                    found.append(str(about))
                case {"method": "Audits.issueAdded", "params": {"issue": {"code": str() as code} as about}}:
                    if "ContentSecurityPolicy" in code or "MixedContent" in code:
                        found.append(str(about))
        return found

    async def until(self, expression: str, *, within_s: float) -> Any:
        """Wait until the expression is true in the page, and return its value.

        Raises:
            PeerFailed: it was not in time.
        """
        wait = f"""new Promise(resolve => {{
          const deadline = Date.now() + {1000 * within_s};
          const look = () => {{
            const found = {expression};
            if (found || Date.now() > deadline) resolve(found);
            else setTimeout(look, 50);
          }};
          look();
        }})"""
        found = await self.evaluate(wait, within_s=within_s + ANSWER_S)
        if not found:
            text = await self.evaluate("document.body.className + ': ' + document.body.innerText")
            raise PeerFailed(f"{expression} was not so within {within_s:g} s; the page says {text!r}")
        return found

    async def picture(self) -> bytes:
        """What there is to see, as PNG."""
        shot = await self._browser.call("Page.captureScreenshot", session=self._session, format="png")
        return base64.b64decode(shot["data"])
