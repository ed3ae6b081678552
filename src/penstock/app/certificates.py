"""What TLS doors show: the certificate given in the settings, or one of our own authority."""

from __future__ import annotations

import ssl
from pathlib import Path

from penstock.config import Config
from penstock.errors import ConfigError
from penstock.tls import ensure_certificate, server_context


def tls_context(config: Config) -> ssl.SSLContext:
    """What every TLS door shows.

    Raises:
        ConfigError: the certificate that the settings name cannot be used.
    """
    try:
        return server_context(*certificate_of(config))
    except ConfigError as error:
        if config.api.tls_cert is None:
            raise
        wanted = "wanted a certificate chain and its own key, both PEM"
        raise ConfigError(f"api.tls_cert, api.tls_key: {error}; {wanted}") from error


def certificate_of(config: Config) -> tuple[Path, Path]:
    """The certificate given in the settings, or our own authority's."""
    if config.api.tls_cert is not None and config.api.tls_key is not None:
        return config.api.tls_cert, config.api.tls_key
    domains = [domain for vhost in config.vhosts for domain in (*vhost.push_domains, *vhost.pull_domains)]
    hosts = [config.media.public_host] if config.media.public_host else []
    return ensure_certificate(config.data_dir, [*domains, *hosts])
