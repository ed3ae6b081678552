"""The local authority: clients that trust it get through, it renews in time, and a crash leaves no trap."""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from penstock.errors import ConfigError
from penstock.tls import RENEW_BEFORE_EXPIRY, SERVER_LIFETIME, ensure_certificate, server_context

NOW = datetime(2031, 5, 1, tzinfo=UTC)


def contents(data_dir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((data_dir / "tls").iterdir())}


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> str | None:
    """Return the TLS version that both sides agree on, in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=name)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (near, far):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return near.version()


def trusting(data_dir: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=data_dir / "tls" / "ca.pem")
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "push.demo.test", "192.168.7.7"])
def test_a_client_that_trusts_the_authority_gets_through(tmp_path: Path, name: str) -> None:
    pair = ensure_certificate(tmp_path, ["Push.Demo.Test", "192.168.7.7", "push.demo.test", "", "0.0.0.0", "::"])
    assert shake_hands(server_context(*pair), trusting(tmp_path), name) == "TLSv1.3"


def test_a_client_that_asks_for_another_name_does_not(tmp_path: Path) -> None:
    pair = ensure_certificate(tmp_path, [])
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake_hands(server_context(*pair), trusting(tmp_path), "other.test")


def test_a_client_that_does_not_trust_the_authority_does_not(tmp_path: Path) -> None:
    pair = ensure_certificate(tmp_path, [])
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server_context(*pair), ssl.create_default_context(), "localhost")


@pytest.mark.parametrize(("version", "spoken"), [(ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True)])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_nothing_older_than_tls_1_2_is_spoken(tmp_path: Path, version: ssl.TLSVersion, spoken: bool) -> None:
    pair = ensure_certificate(tmp_path, [])
    client = trusting(tmp_path)
    client.set_ciphers("ALL:@SECLEVEL=0")
    client.minimum_version = client.maximum_version = version
    if spoken:
        assert shake_hands(server_context(*pair), client, "localhost") == "TLSv1.2"
    else:
        with pytest.raises(ssl.SSLError, match=r"PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL"):
            shake_hands(server_context(*pair), client, "localhost")


def test_keys_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        ensure_certificate(tmp_path, [])
    finally:
        os.umask(mask)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "tls").iterdir()}
    assert modes == {"ca.pem": 0o644, "ca.key": 0o600, "server.pem": 0o644, "server.key": 0o600}


def test_the_certificate_is_made_once(tmp_path: Path) -> None:
    ensure_certificate(tmp_path, ["a.test", "fe80::1%eth0", "b.test"], now=NOW)
    first = contents(tmp_path)
    ensure_certificate(tmp_path, ["b.test", "fe80::1%eth0"], now=NOW + timedelta(days=300))
    assert contents(tmp_path) == first


def test_a_missing_name_renews_the_certificate_and_keeps_the_authority(tmp_path: Path) -> None:
    ensure_certificate(tmp_path, ["a.test"])
    first = contents(tmp_path)
    pair = ensure_certificate(tmp_path, ["a.test", "b.test"])
    second = contents(tmp_path)
    assert (second["ca.pem"], second["ca.key"]) == (first["ca.pem"], first["ca.key"])
    assert second["server.key"] != first["server.key"]
    assert shake_hands(server_context(*pair), trusting(tmp_path), "b.test")


@pytest.mark.parametrize(("early_s", "renewed"), [(-1, False), (0, True), (1, True)])
def test_it_is_renewed_within_thirty_days_of_its_end(tmp_path: Path, early_s: int, renewed: bool) -> None:
    cert, _ = ensure_certificate(tmp_path, [], now=NOW)
    first = certificate(cert)
    assert first.not_valid_after_utc == NOW + SERVER_LIFETIME
    due = first.not_valid_after_utc - RENEW_BEFORE_EXPIRY + timedelta(seconds=early_s)
    ensure_certificate(tmp_path, [], now=due)
    assert (certificate(cert) != first) is renewed


def test_no_certificate_outlives_its_authority_and_an_ending_authority_is_replaced(tmp_path: Path) -> None:
    ensure_certificate(tmp_path, [], now=NOW)
    authority = certificate(tmp_path / "tls/ca.pem")
    late = authority.not_valid_after_utc - timedelta(days=31)
    cert, _ = ensure_certificate(tmp_path, [], now=late)
    assert certificate(cert).not_valid_after_utc == authority.not_valid_after_utc
    ensure_certificate(tmp_path, [], now=late + timedelta(days=1))
    replaced = certificate(tmp_path / "tls/ca.pem")
    assert replaced != authority
    certificate(cert).verify_directly_issued_by(replaced)


def corrupt(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(b"-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n")


def remove(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def foreign(name: str) -> Callable[[Path], object]:
    """A crash between the two files of a pair: one is new, one is old."""

    def act(folder: Path) -> None:
        ensure_certificate(folder / "other", [])
        (folder / "other/tls" / name).replace(folder / name)

    return act


@pytest.mark.parametrize("name", ["ca.pem", "ca.key", "server.pem", "server.key"])
@pytest.mark.parametrize("damage", [corrupt, remove, foreign])
def test_whatever_happened_to_a_file_the_next_start_works(
    tmp_path: Path, name: str, damage: Callable[[str], Callable[[Path], object]]
) -> None:
    ensure_certificate(tmp_path, [])
    damage(name)(tmp_path / "tls")
    pair = ensure_certificate(tmp_path, [])
    assert shake_hands(server_context(*pair), trusting(tmp_path), "localhost")


def test_the_authoritys_key_may_be_kept_elsewhere_until_a_renewal(tmp_path: Path) -> None:
    ensure_certificate(tmp_path, [])
    (tmp_path / "tls/ca.key").unlink()
    first = contents(tmp_path)
    ensure_certificate(tmp_path, [])
    assert contents(tmp_path) == first


def test_a_part_left_by_a_crash_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls/.ca.key.part").symlink_to(tmp_path / "elsewhere")
    ensure_certificate(tmp_path, [])
    assert not (tmp_path / "elsewhere").exists()
    assert sorted(contents(tmp_path)) == ["ca.key", "ca.pem", "server.key", "server.pem"]


def test_many_starts_at_once_agree_on_one_pair(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        pairs = list(pool.map(lambda _: ensure_certificate(tmp_path, ["a.test"]), range(16)))
    assert len(set(pairs)) == 1
    assert shake_hands(server_context(*pairs[0]), trusting(tmp_path), "a.test")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "tls").write_text("a file")
    with pytest.raises(ConfigError, match=r"/tls: .*certificates are kept there"):
        ensure_certificate(tmp_path, [])


def test_files_that_do_not_make_a_pair_are_named(tmp_path: Path) -> None:
    cert, key = ensure_certificate(tmp_path / "a", [])
    _, other_key = ensure_certificate(tmp_path / "b", [])
    for wrong in ((cert, other_key), (cert, tmp_path / "none.key"), (key, key), (tmp_path, key)):
        with pytest.raises(ConfigError, match=f"TLS certificate {wrong[0]} with key {wrong[1]}: "):
            server_context(*wrong)


def test_an_encrypted_key_is_refused_without_asking_the_terminal(tmp_path: Path) -> None:
    cert, key = ensure_certificate(tmp_path, [])
    plain = serialization.load_pem_private_key(key.read_bytes(), password=None)
    key.write_bytes(
        plain.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(ConfigError, match=r"server\.key"):
        server_context(cert, key)
