"""`penstock relays`: what is pulled from elsewhere or played from files, and pushed on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from penstock.admin import relays as verbs
from penstock.admin.contract import Result
from penstock.cli import relay_groups, watching
from penstock.cli.common import NO_CHOICES, Common, print_json
from penstock.cli.relay_text import print_relay, print_relays, progress_line
from penstock.cli.relay_values import Place, SourceUrl, as_place, as_source
from penstock.cli.values import AsWhen, When, at_or_s
from penstock.errors import ConfigError

app = App(name="relays", help="What is pulled from elsewhere or played from files, and pushed on.")
app.command(relay_groups.app)

Task = Annotated[str, Parameter(help="A task's id, or a beginning of it that no other has.")]
Watch = Annotated[bool, Parameter(help="Print again every second, until Ctrl-C.", negative=(), show_default=False)]


@app.command
def ls(
    *,
    account: Annotated[str, Parameter(help="Only this account's.", show_default=False)] = "",
    group: Annotated[str, Parameter(help="Only this group's.", show_default=False)] = "",
    title: Annotated[str, Parameter(help="Only titles with this in them, in any case.", show_default=False)] = "",
    watch: Watch = False,
    common: Common = NO_CHOICES,
) -> None:
    """List relay tasks, the newest first: their state by the clock, and what really happens.

    ```
    penstock relays ls --watch
    penstock relays ls --json | jq -r '.relays[] | select(.truth.error != "") | .id'
    ```
    """
    server = common.server()
    ask = verbs.ListRelays(account=account, group=group, title=title)

    def draw() -> None:
        answer = server.ask(ask)
        if not _print(answer, as_json=common.json):
            print_relays(answer)

    if watch:
        watching.again_and_again(draw, in_place=not common.json)
    else:
        draw()


@app.command
def show(task: Task, /, *, watch: Watch = False, common: Common = NO_CHOICES) -> None:
    """Show one task: what is wanted, and how it stands.

    With `--watch` its progress: on a terminal in place, elsewhere a line each second.

    ```
    penstock relays show 3f2a --watch
    ```
    """
    server = common.server()
    ask = verbs.ShowRelay(id=task)

    def draw() -> None:
        answer = server.ask(ask)
        if _print(answer, as_json=common.json):
            return
        if watch and not sys.stdout.isatty():
            print(progress_line(answer.relay, answer.now))
        else:
            print_relay(answer.relay, answer.now)

    if watch:
        watching.again_and_again(draw, in_place=not common.json)
    else:
        draw()


@app.command
def create(
    source: Annotated[
        SourceUrl,
        Parameter(
            converter=as_source,
            accepts_keys=False,
            n_tokens=1,
            metavar="SRC",
            help="rtmp:// is a live source; http:// files, played in their order. `#t=10,60` behind a file's URL plays "
            "it from 10 s to 60 s.",
        ),
    ],
    /,
    *more: Annotated[
        SourceUrl, Parameter(converter=as_source, accepts_keys=False, n_tokens=1, metavar="SRC", help="More files.")
    ],
    to: Annotated[str, Parameter(help="Where it is pushed: rtmp://HOST/APP/STREAM, or rtmps://.")],
    live: Annotated[
        bool, Parameter(help="The source is live, though it comes by HTTP (FLV, HLS).", negative=(), show_default=False)
    ] = False,
    begin: Annotated[
        When | None,
        AsWhen,
        Parameter(
            name=("--from", "--in"),
            help="When it begins: a time, or a span from now. Default: now.",
            show_default=False,
        ),
    ] = None,
    end: Annotated[
        When | None,
        AsWhen,
        Parameter(
            name=("--until", "--for"),
            help="When it ends: a time, or a span from its beginning. Default and most: 7 days.",
            show_default=False,
        ),
    ] = None,
    loop: Annotated[
        bool, Parameter(help="Play the files again until the end.", negative=(), show_default=False)
    ] = False,
    times: Annotated[int, Parameter(help="Play the files so often.", show_default=False)] = 1,
    title: Annotated[str, Parameter(help="A name for people.", show_default=False)] = "",
    group: Annotated[str, Parameter(help="Group that it joins. Default: `default`.", show_default=False)] = "",
    account: Annotated[str, Parameter(help="Whose it is; needed where there are several.", show_default=False)] = "",
    callback: Annotated[str, Parameter(help="URL that is told what becomes of it.", show_default=False)] = "",
    watermark: Annotated[
        Path | None, Parameter(help="A PNG or JPEG to lay over the video.", show_default=False)
    ] = None,
    at: Annotated[
        Place | None,
        Parameter(
            converter=as_place,
            accepts_keys=False,
            n_tokens=1,
            metavar="X,Y",
            help="Where: shares of the frame. Default: 0.05,0.05.",
            show_default=False,
        ),
    ] = None,
    width: Annotated[float, Parameter(help="How wide: a share of the frame's width.")] = 0.1,
    catch_up: Annotated[
        bool,
        Parameter(
            help="After an interruption files go on where they would be by now, and not where they were.",
            negative=(),
            show_default=False,
        ),
    ] = False,
    stream_files: Annotated[
        bool, Parameter(help="Do not download files before they are played.", negative=(), show_default=False)
    ] = False,
    common: Common = NO_CHOICES,
) -> None:
    """Make a task: pull a live source, or play files, and push to an address.

    ```
    penstock relays create rtmp://source.example/live/cam --to rtmp://push.demo.test/live/copy --for 2h
    penstock relays create https://files.example/a.mp4 https://files.example/b.mp4#t=10,60 \\
        --to rtmp://push.demo.test/live/loop --loop --watermark logo.png --at 0.8,0.05 --width 0.1
    ```
    """
    starts_at, in_s = at_or_s(begin)
    ends_at, for_s = at_or_s(end)
    sources = [source, *more]
    kind: Literal["live", "files"] = "live" if live or source.is_rtmp else "files"
    ask = verbs.CreateRelay(
        kind=kind,
        sources=[verbs.Source(url=each.url, start_s=each.start_s, end_s=each.end_s) for each in sources],
        target=to,
        account=account,
        group=group,
        title=title,
        starts_at=starts_at,
        in_s=in_s,
        ends_at=ends_at,
        for_s=for_s,
        plays=None if loop else times,
        callback_url=callback,
        download_first=not stream_files,
        resumes_late=catch_up,
        overlay=_overlay(watermark, at or Place(0.05, 0.05), width),
    )
    answer = common.server().ask(ask)
    if not _print(answer, as_json=common.json):
        print(f"Task {answer.relay.id} is {answer.relay.state}.")


@app.command
def stop(task: Task, /, *, common: Common = NO_CHOICES) -> None:
    """Take a task out of service until `restart`; it keeps its place."""
    answer = common.server().ask(verbs.StopRelay(id=task))
    if not _print(answer, as_json=common.json):
        print(f"Task {answer.relay.id} is stopped.")


@app.command
def restart(
    task: Task,
    /,
    *,
    from_start: Annotated[
        bool, Parameter(help="Begin anew, also while it runs.", negative=(), show_default=False)
    ] = False,
    common: Common = NO_CHOICES,
) -> None:
    """Put a stopped task into service again, where it was."""
    answer = common.server().ask(verbs.RestartRelay(id=task, from_start=from_start))
    if not _print(answer, as_json=common.json):
        print(f"Task {answer.relay.id} is {answer.relay.state}.")


@app.command
def rm(task: Task, /, *, common: Common = NO_CHOICES) -> None:
    """End a task, if it runs, and take it away."""
    answer = common.server().ask(verbs.RemoveRelay(id=task))
    if not _print(answer, as_json=common.json):
        print("The task is gone.")


def _print(answer: Result, *, as_json: bool) -> bool:
    """Print JSON where that is wanted; True if so."""
    if as_json:
        print_json(answer)
    return as_json


def _overlay(picture: Path | None, at: Place, width: float) -> verbs.Overlay | None:
    if picture is None:
        return None
    try:
        data = picture.read_bytes()
    except OSError as error:
        raise ConfigError(f"{picture} cannot be read: {error.strerror}") from None
    return verbs.Overlay(picture=data, x=at.x, y=at.y, width=width)
