"""`penstock records`: what is written to disk, and what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from cyclopts import App, Parameter

from penstock.admin import records as verbs
from penstock.cli import tables, watching
from penstock.cli.common import NO_CHOICES, Common, print_json
from penstock.cli.values import AsWhen, Stream, When, at_or_s
from penstock.errors import InvalidField

# A file whose disk was behind all the time has a thousand.
SHOWN_GAPS: Final = 10

app = App(name="records", help="Recordings: list, start, stop, look at, and their files.")

Id = Annotated[int, Parameter(help="The recording's number, as `ls` shows it.")]
FileId = Annotated[
    int | None, Parameter(name="--file", help="Only this file, by its number in `show`.", show_default=False)
]


@app.command
def ls(
    *,
    vhost: Annotated[str, Parameter(help="Only this vhost's.", show_default=False)] = "",
    account: Annotated[str, Parameter(help="Only this account's.", show_default=False)] = "",
    stream: Annotated[str, Parameter(help="Only of streams of this name.", show_default=False)] = "",
    all: Annotated[bool, Parameter(help="Those that are over, too.", negative=(), show_default=False)] = False,
    watch: Annotated[
        bool, Parameter(help="Print again every second, until Ctrl-C.", negative=(), show_default=False)
    ] = False,
    offset: Annotated[int, Parameter(help="Leave out so many.")] = 0,
    limit: Annotated[int, Parameter(help="Print at most so many.")] = 1000,
    common: Common = NO_CHOICES,
) -> None:
    """List the recordings that are planned or under way, the latest start first.

    ```
    penstock records ls --watch
    penstock records ls --all --stream cam
    penstock records ls --json | jq '.recordings[] | select(.state == "failed") | .error'
    ```
    """
    server = common.server()
    ask = verbs.ListRecords(vhost=vhost, account=account, stream=stream, over=all, offset=offset, limit=limit)

    def draw() -> None:
        _print_records(server.ask(ask), offset, as_json=common.json)

    if watch:
        watching.again_and_again(draw, in_place=not common.json)
    else:
        draw()


@app.command
def start(
    stream: Stream,
    /,
    *,
    container: Annotated[
        verbs.Container, Parameter(name="--as", help="Fragmented MP4, FLV, or a folder of HLS.")
    ] = "mp4",
    one_file: Annotated[
        bool,
        Parameter(help="A publisher that comes back goes on in the same file.", negative=(), show_default=False),
    ] = False,
    begin: Annotated[
        When | None,
        AsWhen,
        Parameter(
            name=("--from", "--in"),
            help="When it begins: a time (2027-01-01T08:00Z), or a span from now on (30m). Default: now.",
            show_default=False,
        ),
    ] = None,
    end: Annotated[
        When | None,
        AsWhen,
        Parameter(
            name=("--until", "--for"),
            help="When it ends: a time, or a span from its start on (2h). Default: until it is stopped.",
            show_default=False,
        ),
    ] = None,
    push_domain: Annotated[
        str, Parameter(help="Push domain that the clouds' lists show it under.", show_default=False)
    ] = "",
    common: Common = NO_CHOICES,
) -> None:
    """Record a stream; one that is not on air is waited for. Prints the recording's number.

    ```
    penstock records start live/cam
    penstock records start live/cam --as hls --from 2027-01-01T08:00Z --for 2h
    id=$(penstock records start live/cam --json | jq .recording.id)
    ```
    """
    from_at, from_s = at_or_s(begin)
    until, for_s = at_or_s(end)
    answer = common.server().ask(
        verbs.StartRecord(
            stream=stream,
            container=container,
            one_file=one_file,
            from_at=from_at,
            from_s=from_s,
            until=until,
            for_s=for_s,
            push_domain=push_domain,
        )
    )
    if common.json:
        print_json(answer)
        return
    made = answer.recording
    when = f"from {tables.clock_text(made.from_at)} UTC on" if made.state == "planned" else "from now on"
    print(f"Recording {made.number}: {made.id} as {made.container}, {when}{_ending(made)}.")


def _ending(made: verbs.Recording) -> str:
    if made.until is None:
        return f", until `penstock records stop {made.number}`"
    return f", until {tables.clock_text(made.until)} UTC"


@app.command
def stop(recording: Id, /, *, common: Common = NO_CHOICES) -> None:
    """End a recording, and finish its file; one whose time has not come is cancelled.

    ```
    penstock records stop 12
    ```
    """
    answer = common.server().ask(verbs.StopRecord(id=recording))
    if common.json:
        print_json(answer)
        return
    row = answer.recording
    made = f"{_files(row.files)}, {tables.size(row.size_bytes)}, {tables.duration(row.duration_s)}"
    print(f"Recording {row.number} of {row.id} is {row.state}: {made if row.files else 'nothing came of it'}.")


@app.command
def show(recording: Id, /, *, common: Common = NO_CHOICES) -> None:
    """Show a recording and its files: length, size, gaps, and a URL for each that is good for a day.

    ```
    penstock records show 12
    ```
    """
    answer = common.server().ask(verbs.ShowRecord(id=recording))
    if common.json:
        print_json(answer)
        return
    print(tables.facts(_facts(answer.recording)))
    for file in answer.files:
        print(f"\n{tables.facts(_file_facts(file))}")


@app.command
def rm(recording: Id, /, *, file: FileId = None, common: Common = NO_CHOICES) -> None:
    """Delete the files of a recording that is over. That it was there stays known.

    ```
    penstock records rm 12
    penstock records rm 12 --file 31
    ```
    """
    answer = common.server().ask(verbs.RemoveRecord(id=recording, file=file))
    if common.json:
        print_json(answer)
    else:
        print(f"{_files(answer.files)} removed, {tables.size(answer.size_bytes)}.")


@app.command
def url(
    recording: Id,
    /,
    *,
    file: FileId = None,
    valid: Annotated[
        When | None,
        AsWhen,
        Parameter(name="--for", help="How long it is good: a span (2h), 7d at most. Default: 1d.", show_default=False),
    ] = None,
    common: Common = NO_CHOICES,
) -> None:
    """Print a signed URL for each file of a recording: whoever has it may read that file, and nothing else.

    ```
    curl -OJ "$(penstock records url 12 --for 1h)"
    ```
    """
    at, for_s = at_or_s(valid)
    if at is not None:
        raise InvalidField("--for", tables.clock_text(at), "a span of time such as 30m, 2h or 7d")
    answer = common.server().ask(verbs.MakeUrls(id=recording, file=file, for_s=for_s))
    if common.json:
        print_json(answer)
    else:
        print("\n".join(answer.urls))


def _print_records(answer: verbs.Recordings, offset: int, *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    if not answer.recordings:
        print(f"There are {answer.total} recordings, all before that." if answer.total else "Nothing is recorded.")
        return
    headings = ("ID", "STREAM", "AS", "STATE", "FROM (UTC)", "UNTIL (UTC)", "LENGTH", "SIZE", "GAPS", "WHY")
    rows = (
        (
            each.number,
            str(each.id),
            each.container,
            each.state,
            each.from_at,
            each.ended_at or each.until,
            tables.duration(each.duration_s) if each.files else None,
            tables.size(each.size_bytes) if each.files else None,
            each.gaps,
            each.error or each.why or None,
        )
        for each in answer.recordings
    )
    print(tables.table(headings, rows, right=("ID", "LENGTH", "SIZE", "GAPS")))
    if len(answer.recordings) < answer.total:
        print(f"{len(answer.recordings)} of {answer.total}; --offset {offset + len(answer.recordings)} goes on.")


def _facts(row: verbs.Recording) -> list[tuple[str, tables.Cell]]:
    def at(moment: object) -> str | None:
        return f"{tables.clock_text(moment)} UTC" if isinstance(moment, datetime) else None

    asked_by = f"{row.cloud} {row.access_key}" if row.cloud else "the settings" if row.always else "operator"
    return [
        ("recording", row.number),
        ("stream", str(row.id)),
        ("account", row.account),
        ("state", row.state),
        ("error", row.error),
        ("next try", at(row.next_try)),
        ("as", f"{row.container}{', one file' if row.one_file else ''}"),
        ("from", at(row.from_at)),
        ("until", at(row.until) or ("it is stopped" if row.ended_at is None else None)),
        ("first bytes", at(row.began_at)),
        ("ended", at(row.ended_at)),
        ("why", row.why),
        ("asked by", asked_by),
        ("files", f"{row.files}, {tables.size(row.size_bytes)}, {tables.duration(row.duration_s)}"),
    ]


def _file_facts(file: verbs.File) -> list[tuple[str, tables.Cell]]:
    pairs: list[tuple[str, tables.Cell]] = [
        ("file", file.id),
        ("path", file.path),
        ("state", _state(file)),
        ("from", f"{tables.clock_text(file.began_at)} UTC"),
        ("to", f"{tables.clock_text(file.ended_at)} UTC" if file.ended_at is not None else None),
        ("length", f"{tables.duration(file.duration_s)}, {tables.size(file.size_bytes)}"),
        ("codecs", ", ".join(codec for codec in (file.video, file.audio) if codec)),
        ("why it ended", file.why),
    ]
    for gap in file.gaps[:SHOWN_GAPS]:
        pairs.append(("gap", f"{tables.duration(gap.length_s)} at {tables.duration(gap.at_s)}: {gap.why}"))
    if len(file.gaps) > SHOWN_GAPS:
        pairs.append(("gaps", f"{len(file.gaps)} in all; --json has them"))
    return [*pairs, ("url", file.url)]


def _state(file: verbs.File) -> str:
    if file.removed_at is not None:
        return f"removed {tables.clock_text(file.removed_at)} UTC"
    if file.is_lost:
        return "lost: it cannot be read"
    if file.ended_at is None:
        return "being written"
    return "whole" if file.is_whole else "its writer died: the last moment may be missing"


def _files(number: int) -> str:
    return f"{number} file{'' if number == 1 else 's'}"
