"""The local certificate authority, and the certificate that TLS listeners show when none is configured.

Files in `data_dir/tls`: `ca.pem` (to be trusted by clients), `ca.key`, `server.pem`,
`server.key`; the keys are readable by their owner alone. A pair is written key first, each file
whole or not at all, so a crash in between leaves a certificate that does not fit its key: it is
seen at the next start, and the pair made again.

Loads the cryptography library, so only server code imports this module, and only when it needs it.
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
import secrets
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

from penstock.errors import ConfigError

CA_LIFETIME = timedelta(days=3650)
# The longest that browsers take from any authority is 398 days (CA/Browser Forum, SC31).
SERVER_LIFETIME = timedelta(days=397)
RENEW_BEFORE_EXPIRY = timedelta(days=30)
# A client's clock may be behind ours.
CLOCK_SKEW = timedelta(days=1)
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


class _Pair(Struct, frozen=True):
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def ensure_certificate(data_dir: Path, names: Iterable[str], *, now: datetime | None = None) -> tuple[Path, Path]:
    """Return the paths of a certificate (PEM) and its key that are good for `names` and this machine.

    Made at the first call; made again, by the same authority, when it ends within 30 days or
    lacks one of `names` (host names and addresses). `now` is aware, and real time by default.

    Raises:
        ConfigError: the files cannot be read or written.
    """
    folder = data_dir / "tls"
    wanted = _subjects(names)
    at = now or datetime.now(UTC)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            _renew(folder, wanted, at)
    except OSError as error:
        raise ConfigError(f"{error.filename or folder}: {error.strerror}; certificates are kept there") from None
    return folder / "server.pem", folder / "server.key"


def server_context(cert: Path, key: Path) -> ssl.SSLContext:
    """Return what a TLS listener needs to show the certificate at `cert` (PEM); TLS 1.2 and later.

    Raises:
        ConfigError: a file is missing or no PEM, the key is encrypted, or the two do not fit.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        # An empty password makes an encrypted key an error; without it OpenSSL would ask the terminal.
        context.load_cert_chain(cert, key, password="")
    except OSError as error:  # ssl.SSLError is one, too
        raise ConfigError(f"TLS certificate {cert} with key {key}: {error.strerror or error}") from None
    return context


# --- Deciding ---------------------------------------------------------------------------------


def _renew(folder: Path, wanted: list[x509.GeneralName], now: datetime) -> None:
    # Its key is not needed for this: an operator may keep that elsewhere until the next renewal.
    if _is_good(_load(folder, "server"), _load_certificate(folder, "ca"), wanted, now):
        return
    authority = _load(folder, "ca")
    if authority is None or _ends_soon(authority.certificate, now):
        authority = _make_authority(now)
        _save(folder, "ca", authority)
    _save(folder, "server", _make_server(authority, wanted, now))


def _is_good(
    server: _Pair | None, authority: x509.Certificate | None, wanted: list[x509.GeneralName], now: datetime
) -> bool:
    if server is None or authority is None:
        return False
    if _ends_soon(server.certificate, now) or _ends_soon(authority, now):
        return False
    try:
        server.certificate.verify_directly_issued_by(authority)
        names = server.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return set(wanted) <= set(names)


def _ends_soon(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_after_utc - now <= RENEW_BEFORE_EXPIRY


def _subjects(names: Iterable[str]) -> list[x509.GeneralName]:
    """Return the names as a certificate writes them, each once, this machine's own first."""
    subjects = (_subject(name) for name in (*LOCAL_NAMES, *names))
    return list(dict.fromkeys(subject for subject in subjects if subject is not None))


def _subject(name: str) -> x509.GeneralName | None:
    try:
        # An address's zone ("fe80::1%eth0") is this machine's own business and not in a certificate.
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return x509.DNSName(name.lower()) if name else None
    # 0.0.0.0 and :: are where one listens, never where one connects to.
    return None if address.is_unspecified else x509.IPAddress(address)


# --- Making -----------------------------------------------------------------------------------


def _make_authority(now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    # The number tells authorities of several servers apart in one trust store.
    name = _common_name(f"Penstock local authority {secrets.token_hex(4)}")
    builder = (
        _builder(name, name, key, now, now + CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
    )
    return _Pair(builder.sign(key, hashes.SHA256()), key)


def _make_server(authority: _Pair, wanted: list[x509.GeneralName], now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate
    ends = min(now + SERVER_LIFETIME, issuer.not_valid_after_utc)
    issuer_key = x509.SubjectKeyIdentifier.from_public_key(authority.key.public_key())
    builder = (
        _builder(_common_name("Penstock server"), issuer.subject, key, now, ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key), critical=False)
        .add_extension(x509.SubjectAlternativeName(wanted), critical=False)
    )
    return _Pair(builder.sign(authority.key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


# --- Files ------------------------------------------------------------------------------------


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold other processes off `folder`; the lock goes with this process."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _load_certificate(folder: Path, name: str) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _load(folder: Path, name: str) -> _Pair | None:
    """Return the pair kept as `name`; None when it is missing, damaged or does not fit."""
    certificate = _load_certificate(folder, name)
    try:
        key = serialization.load_pem_private_key((folder / f"{name}.key").read_bytes(), password=None)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    if certificate is None or not isinstance(key, ec.EllipticCurvePrivateKey):
        return None
    if certificate.public_key() != key.public_key():
        return None
    return _Pair(certificate, key)


def _save(folder: Path, name: str, pair: _Pair) -> None:
    key = pair.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(folder / f"{name}.key", key, mode=0o600)
    _write(folder / f"{name}.pem", pair.certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)


def _write(path: Path, data: bytes, *, mode: int) -> None:
    """Put `data` at `path`, whole or not at all, whatever happens to the machine meanwhile."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)  # left by a crash; we hold the lock
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
