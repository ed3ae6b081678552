"""How a server that we call is believed to be who it is."""

from __future__ import annotations

import ssl
from pathlib import Path

from penstock.errors import ConfigError


def client_context(ca_file: Path | str | None = None) -> ssl.SSLContext:
    """Return what checks a server's certificate and name: by the system's roots, and those in `ca_file` (PEM).

    Raises:
        ConfigError: the file cannot be read, or holds no certificate.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file:
        try:
            context.load_verify_locations(cafile=str(ca_file))
        except OSError as error:  # ssl.SSLError is one, too
            why = error.strerror or error
            raise ConfigError(f"network.ca_file is {str(ca_file)!r}: {why}; it must be certificates in PEM") from None
    return context
