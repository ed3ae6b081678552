"""`penstock call`: one operation of a cloud's API, by its name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from cyclopts import App, Parameter

from penstock.cli import tables
from penstock.cli.common import NO_CHOICES, Choices, Common
from penstock.clouds.contract import Operation, Result, Wire
from penstock.clouds.members import Names, check_names, convert, members_of
from penstock.errors import AdminError, ConfigError, NoKeys, TransportError

if TYPE_CHECKING:
    from penstock.sdk.client import Client

# Smaller numbers are words of an operation's own: an order, -1 for "as long as possible".
FIRST_TIME: Final = 1_000_000_000
LAST_TIME: Final = 9_999_999_999
LONGEST: Final = 255  # characters of a cell: any name, and no picture

app = App(name="call", help="Call one operation of a cloud's API, there or here.")


Profile = Annotated[str | None, Parameter(help="Profile of ~/.penstock/config.toml with keys and endpoint.")]
AwsProfile = Annotated[str | None, Parameter(help="Profile of ~/.aws/credentials with keys.")]
At = Annotated[str | None, Parameter(help="URL to call. Default: as the keys say, else the cloud's.")]
Authority = Annotated[Path | None, Parameter(help="File with the CA certificates to trust.")]
Timeout = Annotated[float, Parameter(help="Seconds for the whole call.")]


@app.command
def kingsoft(
    action: str,
    /,
    *parameters: str,
    profile: Profile = None,
    aws_profile: AwsProfile = None,
    endpoint: At = None,
    ca: Authority = None,
    timeout: Timeout = 60.0,
    common: Common = NO_CHOICES,
) -> None:
    """Call an operation of KLS, of Kingsoft Cloud itself or of a Penstock server.

    Keys and endpoint come from the options, else the environment (`penstock env`), else the profile files. With none of
    them, and a server running here, it is that server's.

    ```
    penstock call kingsoft ListRealtimeStreamsInfo UniqueName=demo App=live
    penstock call kingsoft ForbidStream unique_name=demo app=live pubdomain=push.demo.test stream=cam --json
    ```

    Parameters
    ----------
    action
        The operation, such as ListRealtimeStreamsInfo.
    parameters
        KEY=VALUE, by the cloud's name (UniqueName=demo) or the SDK's (unique_name=demo).
    """
    from penstock.clouds.kingsoft import wire  # noqa: PLC0415  each cloud when it is meant

    operation = read_operation(wire, action, parameters)
    from penstock.sdk.kingsoft import Kingsoft  # noqa: PLC0415  not before the parameters are right

    options = {"profile": profile, "aws_profile": aws_profile, "endpoint": endpoint, "verify": ca, "timeout_s": timeout}
    _call(Kingsoft, operation, options, common)


@app.command
def volcengine(
    action: str,
    /,
    *parameters: str,
    profile: Profile = None,
    aws_profile: AwsProfile = None,
    endpoint: At = None,
    ca: Authority = None,
    timeout: Timeout = 60.0,
    common: Common = NO_CHOICES,
) -> None:
    """Call an operation of Volcengine Live, of the cloud itself or of a Penstock server.

    Keys and endpoint come from the options, else the environment (`penstock env`), else the profile files. With none of
    them, and a server running here, it is that server's.

    ```
    penstock call volcengine DescribeLiveStreamInfoByPage PageNum=1 PageSize=100
    penstock call volcengine ForbidStream vhost=demo app=live stream=cam end_time=2027-01-01T00:00:00Z --json
    penstock call volcengine UpdatePullToPushGroup Name=news 'Tags=[{"Key": "team", "Value": "a"}]'
    ```

    Parameters
    ----------
    action
        The operation, such as DescribeLiveStreamInfoByPage.
    parameters
        KEY=VALUE, by the cloud's name (PageNum=1) or the SDK's (page_num=1); a list or an object is JSON.
    """
    from penstock.clouds.volcengine import wire  # noqa: PLC0415  each cloud when it is meant

    operation = read_operation(wire, action, parameters)
    from penstock.sdk.volcengine import Volcengine  # noqa: PLC0415  not before the parameters are right

    options = {"profile": profile, "aws_profile": aws_profile, "endpoint": endpoint, "verify": ca, "timeout_s": timeout}
    _call(Volcengine, operation, options, common)


def _call(make: Callable[..., Client], operation: Operation[Any], options: dict[str, Any], common: Choices) -> None:
    with _client(make, options, common) as client:
        result: Result = client.call(operation)
    if common.json:
        answer = {"request_id": result.request_id, "answer": result.raw}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode() + "\n")
    else:
        print(rendered(result))


def _client(make: Callable[..., Client], options: dict[str, Any], common: Choices) -> Client:
    """Return a client with the keys that there are, or with those of the server here.

    Raises:
        ConfigError: there are none, and no server that could give some.
    """
    try:
        return make(**options)
    except NoKeys as error:
        if options["endpoint"]:
            raise
        here = _server_here(common, error)
    return make(**{**options, **here})


def _server_here(common: Choices, nothing_found: NoKeys) -> dict[str, Any]:
    """Keys, endpoint and CA of the server whose data folder is at hand."""
    from penstock.admin.server import GetEnvironment  # noqa: PLC0415

    server = common.server()
    try:
        found = server.ask(GetEnvironment())
    except (TransportError, AdminError) as error:
        raise NoKeys(f"{nothing_found}\nand no server here gives some: {error}") from None
    endpoint = found.endpoint or found.tls_endpoint
    if not endpoint:
        raise NoKeys(f"{nothing_found}\nand the server of {server.data_dir} has its APIs turned off") from None
    print(f"penstock: no keys found, so this goes to the server here, {endpoint}", file=sys.stderr)
    keys = {"access_key": found.access_key, "secret_key": found.secret_key, "profile": None, "aws_profile": None}
    return {**keys, "endpoint": endpoint, **({"verify": found.ca} if found.ca else {})}


def read_operation(wire: Wire, action: str, parameters: Sequence[str]) -> Operation[Any]:
    """Return the operation that an action's name and `key=value` words mean.

    Raises:
        ConfigError: there is no such action, or a word is no `key=value`.
        InvalidField: a parameter is unknown, missing, or over its limits.
    """
    kind = wire.OPERATIONS.get(action)
    if kind is None:
        by_lower = {name.lower(): name for name in wire.OPERATIONS}
        near = get_close_matches(action.lower().replace("_", ""), by_lower, 1, cutoff=0.5)
        wanted = by_lower[near[0]] if near else f"one of {', '.join(wire.OPERATIONS)}"
        raise ConfigError(f"{wire.CLOUD} has no operation {action!r}; it must be {wanted}")
    values = _values(kind, parameters)
    check_names(kind, values, Names.WIRE)
    return convert(values, kind, names=Names.WIRE, is_text=True)


def _values(kind: type[Operation[Any]], parameters: Sequence[str]) -> dict[str, Any]:
    by_python_name = {member.name: member.wire_name for member in members_of(kind)}
    compound = {member.wire_name for member in members_of(kind) if member.wanted.startswith(("a list", "an object"))}
    values: dict[str, Any] = {}
    for parameter in parameters:
        name, is_pair, value = parameter.partition("=")
        if not is_pair:
            raise ConfigError(f"{parameter!r} is no parameter; it must be KEY=VALUE")
        if not _is_utf8(value):
            raise ConfigError(f"{name} is not UTF-8: {value!r}")
        wire_name = by_python_name.get(name, name)
        if wire_name in values:
            raise ConfigError(f"{name} is given twice")
        values[wire_name] = _json(name, value) if wire_name in compound else value
    return values


def _json(name: str, text: str) -> Any:
    try:
        return msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, RecursionError):
        raise ConfigError(f"{name} is {text[:80]!r}; it must be JSON, as it is a list or an object") from None


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def rendered(result: Result) -> str:
    """Return a result for people: its facts, then its lists as tables."""
    plain: Mapping[str, Any] = msgspec.to_builtins(result)
    lists = {name: rows for name, rows in plain.items() if isinstance(rows, list)}
    pairs = [("request", result.request_id)]
    pairs += [
        (inner, _cell(inner, each))
        for name, value in plain.items()
        if name not in lists
        for inner, each in _opened(name, value)
    ]
    return "\n\n".join([tables.facts(pairs), *(_listed(name, rows) for name, rows in lists.items())])


def _listed(name: str, rows: list[Any]) -> str:
    flat = [row for each in rows for row in _flattened(each)]
    headings = list(dict.fromkeys(key for row in flat for key in row))
    if not headings:
        return f"{name}: none"
    return tables.table(headings, [[_cell(key, row.get(key)) for key in headings] for row in flat])


def _flattened(row: Any) -> list[dict[str, Any]]:
    """Return a row once for each row of the list inside of it, as tables have no rows in rows."""
    if not isinstance(row, dict):
        return [{"value": row}]
    plain = {
        inner: each for key, value in row.items() if not isinstance(value, list) for inner, each in _opened(key, value)
    }
    inner = [
        {f"{name}.{key}": each for key, each in entry.items()} if isinstance(entry, dict) else {name: entry}
        for name, entries in row.items()
        if isinstance(entries, list)
        for entry in entries
    ]
    return [plain | entry for entry in inner] or [plain]


def _opened(name: str, value: Any) -> list[tuple[str, Any]]:
    """Return a value under its name, or those of an object under both names."""
    return [(f"{name}.{key}", each) for key, each in value.items()] if isinstance(value, dict) else [(name, value)]


def _cell(name: str, value: Any) -> str:
    """Return a value as text; behind a Unix time what it means."""
    text = "" if value is None else str(value)
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
    is_time = name.lower().endswith("time") and type(value) is int and FIRST_TIME <= value <= LAST_TIME
    return f"{text} ({tables.clock_text(datetime.fromtimestamp(value, UTC))})" if is_time else text
