"""`penstock streams`: what is on air, and who may not be."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from penstock.admin import streams as verbs
from penstock.cli import tables, watching
from penstock.cli.bans import print_ban
from penstock.cli.common import NO_CHOICES, Common, print_json
from penstock.cli.values import AsWhen, Stream, When, at_or_s

app = App(name="streams", help="What is on air, and who may not be.")


@app.command
def ls(
    *,
    vhost: Annotated[str, Parameter(help="Only this vhost's.", show_default=False)] = "",
    account: Annotated[str, Parameter(help="Only this account's.", show_default=False)] = "",
    watch: Annotated[
        bool, Parameter(help="Print again every second, until Ctrl-C.", negative=(), show_default=False)
    ] = False,
    common: Common = NO_CHOICES,
) -> None:
    """List the streams on air.

    With `--watch` and `--json` each answer is printed as it comes, one after the other.

    ```
    penstock streams ls --watch
    penstock streams ls --json | jq -r '.streams[] | "\\(.app)/\\(.stream)"'
    ```
    """
    server = common.server()
    ask = verbs.ListStreams(vhost=vhost, account=account)

    def draw() -> None:
        _print_streams(server.ask(ask), as_json=common.json)

    if watch:
        watching.again_and_again(draw, in_place=not common.json)
    else:
        draw()


@app.command
def show(stream: Stream, /, *, common: Common = NO_CHOICES) -> None:
    """Show what is measured of a stream on air, and its ban if it has one.

    ```
    penstock streams show live/cam
    ```
    """
    answer = common.server().ask(verbs.ShowStream(stream=stream))
    if common.json:
        print_json(answer)
        return
    if answer.on_air is not None:
        _print_facts(answer.on_air)
    if answer.ban is not None:
        print_ban(answer.ban)


@app.command
def kick(
    stream: Stream,
    /,
    *,
    reason: Annotated[str, Parameter(help="Kept with the session.", show_default=False)] = "",
    common: Common = NO_CHOICES,
) -> None:
    """End a publish. The encoder may come back at once: see `ban`.

    ```
    penstock streams kick live/cam --reason "wrong camera"
    ```
    """
    answer = common.server().ask(verbs.KickStream(stream=stream, reason=reason))
    if common.json:
        print_json(answer)
    else:
        print(f"{answer.id} is off air.")


@app.command
def ban(
    stream: Stream,
    /,
    *,
    until: Annotated[
        When | None,
        AsWhen,
        Parameter(
            name=("--until", "--for"),
            help="When it ends: a time (2027-01-01T08:00Z), or a span from now on (30m, 2h, 7d). "
            "Default and most: 90 days.",
            show_default=False,
        ),
    ] = None,
    reason: Annotated[str, Parameter(help="Kept with the ban.", show_default=False)] = "",
    push_domain: Annotated[
        str, Parameter(help="Push domain that the clouds' lists show it under.", show_default=False)
    ] = "",
    common: Common = NO_CHOICES,
) -> None:
    """Refuse a stream's publishers, and end the publish that is on air. A second ban moves the first one's end.

    ```
    penstock streams ban live/cam --for 2h --reason "no licence"
    penstock streams ban shop/live/cam --until 2027-01-01T08:00+08:00
    ```
    """
    at, for_s = at_or_s(until)
    ask = verbs.BanStream(stream=stream, until=at, for_s=for_s, reason=reason, push_domain=push_domain)
    answer = common.server().ask(ask)
    if common.json:
        print_json(answer)
    else:
        print(f"{answer.ban.id} is banned until {tables.clock_text(answer.ban.until)} UTC.")


@app.command
def unban(stream: Stream, /, *, common: Common = NO_CHOICES) -> None:
    """Lift a stream's ban."""
    answer = common.server().ask(verbs.UnbanStream(stream=stream))
    if common.json:
        print_json(answer)
    else:
        print(f"{answer.ban.id} may be published again.")


def _print_streams(answer: verbs.Streams, *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    if not answer.streams:
        print("Nothing is on air.")
        return
    headings = ("STREAM", "SINCE (UTC)", "VIDEO", "AUDIO", "IN", "PLAYERS", "PUBLISHER")
    rows = (
        (
            str(each.id),
            each.began_at,
            _video(each.video),
            each.audio.codec if each.audio else None,
            tables.size(each.bitrate_kbps * 1000, "bit/s"),
            sum(each.players.values()),
            f"{each.address}:{each.port}",
        )
        for each in answer.streams
    )
    print(tables.table(headings, rows, right=("IN", "PLAYERS")))


def _video(video: verbs.VideoFacts | None) -> str | None:
    if video is None:
        return None
    dimensions = f" {video.width}x{video.height}" if video.width and video.height else ""
    return f"{video.codec or '?'}{dimensions} {video.fps:.0f} fps"


def _print_facts(stream: verbs.OnAir) -> None:
    pairs: list[tuple[str, tables.Cell]] = [
        ("stream", str(stream.id)),
        ("account", stream.account),
        ("state", "on air"),
        ("since", f"{tables.clock_text(stream.began_at)} UTC ({tables.duration(stream.on_air_s)})"),
        ("session", stream.session),
        ("publisher", f"{stream.address}:{stream.port}{' by TLS' if stream.tls else ''}"),
        ("encoder", stream.agent),
        ("domain", stream.domain),
        ("in", f"{tables.size(stream.bitrate_kbps * 1000, 'bit/s')}, {tables.size(stream.bytes_in)} in all"),
        *_video_facts(stream.video),
        *_audio_facts(stream.audio),
    ]
    for form in sorted(stream.players.keys() | stream.bytes_out.keys()):
        out = tables.size(stream.bytes_out.get(form, 0))
        pairs.append((f"players {form}", f"{stream.players.get(form, 0)}, {out} in all"))
    print(tables.facts(pairs))


def _video_facts(video: verbs.VideoFacts | None) -> list[tuple[str, tables.Cell]]:
    if video is None:
        return []
    kind = " ".join(word for word in (video.codec, video.profile, video.level and f"level {video.level}") if word)
    declared = f" of {video.declared_fps:g} declared" if video.declared_fps else ""
    loss = f", {video.frame_loss_percent:.1f} % lost" if video.frame_loss_percent is not None else ""
    keys = f"every {video.key_interval_ms / 1000:g} s" if video.key_interval_ms is not None else None
    return [
        ("video", kind),
        ("size", f"{video.width}x{video.height}" if video.width and video.height else None),
        ("frames", f"{video.fps:.1f}/s{declared}{loss}"),
        ("video rate", tables.size(video.bitrate_kbps * 1000, "bit/s")),
        ("key frames", keys),
    ]


def _audio_facts(audio: verbs.AudioFacts | None) -> list[tuple[str, tables.Cell]]:
    if audio is None:
        return []
    rate = f", {audio.sample_rate} Hz" if audio.sample_rate else ""
    channels = f", {audio.channels} channels" if audio.channels else ""
    return [
        ("audio", f"{audio.codec} {audio.profile}".strip() + rate + channels),
        ("audio rate", tables.size(audio.bitrate_kbps * 1000, "bit/s")),
    ]
