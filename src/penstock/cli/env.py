"""`penstock env`: everything that points a client at this server, as shell exports."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from shlex import quote
from typing import Annotated, Final

from cyclopts import Parameter

from penstock.admin.server import Environment, GetEnvironment
from penstock.cli.common import NO_CHOICES, Common
from penstock.errors import ConfigError

BUNDLE: Final = Path("tls", "bundle.pem")
# Where distributions keep the public roots in one file, for an OpenSSL that was built to look elsewhere.
KNOWN_ROOTS: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # macOS, BSD
)
# Read by requests and botocore's kin; by OpenSSL, httpx and Go; by curl.
BUNDLE_VARIABLES: Final = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")


def env(
    *,
    account: Annotated[str, Parameter(help="Whose key. Default: the first account's.", show_default=False)] = "",
    common: Common = NO_CHOICES,
) -> None:
    """Print shell exports that point the clouds' SDKs, curl, and `penstock call` at the server.

    Use it as `eval "$(penstock env)"`. The CA bundle that it names holds the public roots beside the server's own
    authority, so other https of that shell goes on working.
    """
    server = common.server()
    found = server.ask(GetEnvironment(account=account))
    bundle = write_bundle(Path(found.ca), server.data_dir / BUNDLE) if found.ca else None
    exports = exports_of(found, bundle)
    if common.json:
        import json  # noqa: PLC0415  for programs alone

        print(json.dumps(exports, indent=2))
    else:
        print("\n".join(f"export {name}={quote(value)}" for name, value in exports.items()))


def exports_of(found: Environment, bundle: Path | None) -> dict[str, str]:
    """Return the variables, those that are unknown here left out."""
    exports = {
        **_ours("KINGSOFT", found, bundle),
        "KS_ACCESS_KEY_ID": found.access_key,
        "KS_SECRET_ACCESS_KEY": found.secret_key,
        **_ours("VOLCENGINE", found, bundle),
        "VOLC_ACCESSKEY": found.access_key,
        "VOLC_SECRETKEY": found.secret_key,
        "PENSTOCK_ENDPOINT": found.endpoint,
        "PENSTOCK_TLS_ENDPOINT": found.tls_endpoint,
        **dict.fromkeys(BUNDLE_VARIABLES, str(bundle or "")),
    }
    return {name: value for name, value in exports.items() if value}


def _ours(cloud: str, found: Environment, bundle: Path | None) -> dict[str, str]:
    return {
        f"PENSTOCK_{cloud}_ACCESS_KEY": found.access_key,
        f"PENSTOCK_{cloud}_SECRET_KEY": found.secret_key,
        f"PENSTOCK_{cloud}_ENDPOINT": found.endpoint or found.tls_endpoint,
        f"PENSTOCK_{cloud}_CA": str(bundle or ""),
    }


def write_bundle(ca: Path, bundle: Path) -> Path:
    """Write the public roots and the certificates of `ca` into one file; return where it is.

    Raises:
        ConfigError: `ca` cannot be read, or the file not written.
    """
    try:
        own = ca.read_bytes()
        roots = b"".join(path.read_bytes().rstrip() + b"\n" for path in public_roots(os.environ, bundle))
        _replace(bundle, roots + own)
    except OSError as error:
        raise ConfigError(f"{error.filename or bundle}: {error.strerror}; a CA bundle cannot be made of it") from None
    return bundle


def _replace(path: Path, data: bytes) -> None:
    """Write a file so that whoever reads it at this moment gets the old one or the new one, whole."""
    new = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        new.write_bytes(data)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def public_roots(environ: Mapping[str, str], bundle: Path) -> Iterator[Path]:
    """Yield the files that hold the CAs which this machine trusts; none if there are none.

    A bundle that the user set counts as that, but one of our own, from an earlier `env`, does not.
    """
    usual = ssl.get_default_verify_paths()
    named = [environ[name] for name in BUNDLE_VARIABLES if environ.get(name)]
    for file in (*named, usual.openssl_cafile, *KNOWN_ROOTS):
        path = Path(file)
        if path.is_file() and path.resolve() != bundle.resolve():
            yield path
            return
    folder = Path(usual.openssl_capath)
    # By their hashes, as OpenSSL would: each certificate once.
    yield from sorted({path.resolve() for path in folder.glob("[0-9a-f]*.[0-9]") if path.is_file()})
