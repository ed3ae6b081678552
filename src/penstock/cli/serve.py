"""`penstock serve`: start the server and say where everything is."""

from __future__ import annotations

import asyncio
import logging
import os
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final, Literal

from cyclopts import Parameter

from penstock.errors import ConfigError

PATTERN_STREAM: Final = "test"
# It publishes anew after each fault, however long the server runs.
PATTERN_VALID: Final = timedelta(days=365)
# What the server stands on and the SDK alone does not bring.
SERVER_PACKAGES: Final = ("alembic", "av", "cryptography", "h11", "httptools", "sqlalchemy", "uvicorn")
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["human", "json"]

log = logging.getLogger("penstock.supervisor")


def serve(
    *,
    config: Annotated[
        Path | None, Parameter(help="Settings file. Default: the file PENSTOCK_CONFIG names, else ./penstock.toml.")
    ] = None,
    test_pattern: Annotated[
        bool, Parameter(help="Publish a moving test pattern with sound.", negative=(), show_default=False)
    ] = False,
    dev: Annotated[
        bool,
        Parameter(
            help="Let `penstock clock` turn the clock that bans and histories go by.", negative=(), show_default=False
        ),
    ] = False,
    log_level: Annotated[LogLevel, Parameter(help="The least grave lines to log.")] = "info",
    log_format: Annotated[
        LogFormat,
        Parameter(
            help="Lines for people, or JSON for programs. Default: what PENSTOCK_LOG_FORMAT says, else human.",
            env_var="PENSTOCK_LOG_FORMAT",
            show_env_var=False,
            show_default=False,
        ),
    ] = "human",
) -> None:
    """Run the server until Ctrl-C."""
    missing = next((name for name in SERVER_PACKAGES if find_spec(name) is None), None)
    if missing is not None:
        raise ConfigError(f"the server needs {missing}; install it with: pip install 'penstock[server]'")
    from penstock.cli.welcome import Places, welcome  # noqa: PLC0415
    from penstock.config import find_file, load  # noqa: PLC0415  the SDK's commands must not load the server
    from penstock.logs import set_up_logging  # noqa: PLC0415
    from penstock.supervisor import Supervisor  # noqa: PLC0415

    level = log_level.upper()
    set_up_logging(level, log_format)
    settings = load(config, os.environ)
    if not settings.vhosts:
        raise ConfigError("no account has a vhost, so nothing could be published; wanted an [[account.vhost]] table")
    file = find_file(config, os.environ)
    supervisor = Supervisor(settings, log_level=level, log_format=log_format, config_file=file, dev=dev)
    places = Places.of(supervisor.config, supervisor.ports())
    pattern = PATTERN_STREAM if test_pattern else ""
    if pattern and not places.publish:
        raise ConfigError('media.rtmp_listen is ""; the test pattern is published by RTMP and needs it')
    until = datetime.now(UTC) + PATTERN_VALID
    pattern_url = places.signed_publish_url(pattern, until) if pattern else ""

    def greet() -> None:
        if log_format == "json":
            log.info("the server is ready", extra={"doors": supervisor.ports()})
            return
        print(welcome(places, supervisor.config, supervisor.open_files, on_air=pattern), flush=True)

    asyncio.run(supervisor.run(greet, pattern_url=pattern_url))
    if log_format == "json":
        log.info("the server has stopped")
    else:
        print("Penstock has stopped.", flush=True)
