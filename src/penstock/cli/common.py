"""What the commands share: the options that all of them have, and which server is meant."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Group, Parameter

from penstock.admin.contract import Result
from penstock.cli.admin import Server

OPTIONS: Final = Group("Which server, and how to print", sort_key=99)


@dataclass(frozen=True)
class Choices:
    """The options that every command has which asks a server."""

    data_dir: Annotated[
        Path | None,
        Parameter(help="The server's data folder. Default: PENSTOCK_DATA_DIR, else as its settings say, else ./data."),
    ] = None
    config: Annotated[
        Path | None,
        Parameter(help="The server's settings file. Default: the file PENSTOCK_CONFIG names, else ./penstock.toml."),
    ] = None
    json: Annotated[bool, Parameter(help="Print JSON, for programs.", negative=(), show_default=False)] = False

    def server(self) -> Server:
        """The server that is meant.

        Raises:
            ConfigError: the settings file cannot be read.
        """
        return Server(find_data_dir(self.data_dir, self.config, os.environ))


# A parameter of every such command: `common: Common = NO_CHOICES`.
Common = Annotated[Choices, Parameter(name="*", group=OPTIONS)]
NO_CHOICES: Final = Choices()


def find_data_dir(data_dir: Path | None, config: Path | None, environ: Mapping[str, str]) -> Path:
    """Return the data folder that `serve` would use, were it started here and now; or the one that is given.

    Raises:
        ConfigError: the settings file cannot be read, or what it says of data_dir.
    """
    if data_dir is not None:
        return data_dir.absolute()
    from penstock.config import Config, find_file  # noqa: PLC0415  not needed with --data-dir
    from penstock.settings import read, read_toml  # noqa: PLC0415

    file = find_file(config, environ)
    raw = read_toml(file) if file else {}
    # A mistake elsewhere in the file does not hide the server that still runs by its older text.
    settings = read(Config, {key: raw[key] for key in raw if key == "data_dir"}, str(file or "settings"), environ)
    return (file.parent if file else Path()).absolute() / settings.data_dir


def print_json(result: Result) -> None:
    """Print a result as the contract has it, indented."""
    import msgspec  # noqa: PLC0415  for programs alone

    sys.stdout.write(msgspec.json.format(msgspec.json.encode(result), indent=2).decode() + "\n")
