"""`penstock call`: one operation of a cloud's API, by its name."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
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
    from penstock.sdk.kingsoft import Kingsoft

# Smaller numbers are words of an operation's own: an order, -1 for "as long as possible".
FIRST_TIME: Final = 1_000_000_000
LAST_TIME: Final = 9_999_999_999

app = App(name="call", help="Call one operation of a cloud's API, there or here.")


@app.command
def kingsoft(
    action: str,
    /,
    *parameters: str,
    profile: Annotated[str | None, Parameter(help="Profile of ~/.penstock/config.toml with keys and endpoint.")] = None,
    aws_profile: Annotated[str | None, Parameter(help="Profile of ~/.aws/credentials with keys.")] = None,
    endpoint: Annotated[str | None, Parameter(help="URL to call. Default: as the keys say, else the cloud's.")] = None,
    ca: Annotated[Path | None, Parameter(help="File with the CA certificates to trust.")] = None,
    timeout: Annotated[float, Parameter(help="Seconds for the whole call.")] = 60.0,
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
    options = {"profile": profile, "aws_profile": aws_profile, "endpoint": endpoint, "verify": ca, "timeout_s": timeout}
    with _client(options, common) as client:
        result = client.call(operation)
    if common.json:
        answer = {"request_id": result.request_id, "answer": result.raw}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode() + "\n")
    else:
        print(rendered(result))


def _client(options: dict[str, Any], common: Choices) -> Kingsoft:
    """Return a client with the keys that there are, or with those of the server here.

    Raises:
        ConfigError: there are none, and no server that could give some.
    """
    from penstock.sdk.kingsoft import Kingsoft  # noqa: PLC0415  not before the parameters are right

    try:
        return Kingsoft(**options)
    except NoKeys as error:
        if options["endpoint"]:
            raise
        here = _server_here(common, error)
    return Kingsoft(**{**options, **here})


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


def _values(kind: type[Operation[Any]], parameters: Sequence[str]) -> dict[str, str]:
    by_python_name = {member.name: member.wire_name for member in members_of(kind)}
    values: dict[str, str] = {}
    for parameter in parameters:
        name, is_pair, value = parameter.partition("=")
        if not is_pair:
            raise ConfigError(f"{parameter!r} is no parameter; it must be KEY=VALUE")
        if not _is_utf8(value):
            raise ConfigError(f"{name} is not UTF-8: {value!r}")
        wire_name = by_python_name.get(name, name)
        if wire_name in values:
            raise ConfigError(f"{name} is given twice")
        values[wire_name] = value
    return values


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
    pairs += [(name, _cell(name, value)) for name, value in plain.items() if name not in lists]
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
    plain = {key: value for key, value in row.items() if not isinstance(value, list)}
    inner = [
        {f"{name}.{key}": each for key, each in entry.items()}
        for name, entries in row.items()
        if isinstance(entries, list)
        for entry in entries
    ]
    return [plain | entry for entry in inner] or [plain]


def _cell(name: str, value: Any) -> str:
    """Return a value as text; behind a Unix time what it means."""
    text = "" if value is None else str(value)
    is_time = name.lower().endswith("time") and type(value) is int and FIRST_TIME <= value <= LAST_TIME
    return f"{text} ({tables.clock_text(datetime.fromtimestamp(value, UTC))})" if is_time else text
