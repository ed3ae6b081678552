"""`penstock env`: exports that a shell takes, and a CA bundle that other https goes on working with."""

from __future__ import annotations

import json
import ssl
import subprocess
from pathlib import Path

import msgspec
import pytest

from penstock.admin.server import Environment, GetEnvironment
from penstock.cli import env
from penstock.errors import ConfigError, NotFound
from tests.admin.kit import ANSWERS
from tests.cli.kit import Commands, FakeServer

OWN = "-----BEGIN CERTIFICATE-----\nours\n-----END CERTIFICATE-----\n"
PUBLIC = "-----BEGIN CERTIFICATE-----\npublic\n-----END CERTIFICATE-----\n"
KEYS = (
    *("PENSTOCK_KINGSOFT_ACCESS_KEY", "PENSTOCK_KINGSOFT_SECRET_KEY", "KS_ACCESS_KEY_ID", "KS_SECRET_ACCESS_KEY"),
    *("PENSTOCK_VOLCENGINE_ACCESS_KEY", "PENSTOCK_VOLCENGINE_SECRET_KEY", "VOLC_ACCESSKEY", "VOLC_SECRETKEY"),
)
ENV = ANSWERS["env"]
assert isinstance(ENV, Environment)


@pytest.fixture
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The public roots of this machine."""
    path = tmp_path / "roots.pem"
    path.write_text(PUBLIC)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return path


@pytest.fixture
def ca(server: FakeServer) -> Path:
    """Our own authority's certificate, which the server tells of."""
    path = server.data_dir / "tls" / "ca.pem"
    path.parent.mkdir()
    path.write_text(OWN)
    server.answers["env"] = msgspec.structs.replace(ENV, ca=str(path))
    return path


@pytest.mark.usefixtures("roots", "ca")
def test_shell_takes_the_exports(penstock: Commands, server: FakeServer) -> None:
    ran = penstock("env")
    assert (ran.code, ran.err) == (0, "")
    shell = subprocess.run(
        [
            "sh",
            "-c",
            f'{ran.out}\nprintf \'%s\\n\' "$KS_SECRET_ACCESS_KEY" "$PENSTOCK_KINGSOFT_ENDPOINT" "$SSL_CERT_FILE"',
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    bundle = server.data_dir / "tls" / "bundle.pem"
    assert shell.stdout.splitlines() == ["it's$ecret", "http://127.0.0.1:8080", str(bundle)]
    assert server.asked == [GetEnvironment()]


@pytest.mark.usefixtures("roots", "ca")
def test_json_has_the_same_variables(penstock: Commands, server: FakeServer) -> None:
    bundle = str(server.data_dir / "tls" / "bundle.pem")
    assert json.loads(penstock("env", "--json").out) == {
        **dict(zip(KEYS, ("AKtest", "it's$ecret") * 4, strict=True)),
        **dict.fromkeys(("PENSTOCK_KINGSOFT_ENDPOINT", "PENSTOCK_VOLCENGINE_ENDPOINT"), "http://127.0.0.1:8080"),
        **dict.fromkeys(("PENSTOCK_KINGSOFT_CA", "PENSTOCK_VOLCENGINE_CA"), bundle),
        "PENSTOCK_ENDPOINT": "http://127.0.0.1:8080",
        "PENSTOCK_TLS_ENDPOINT": "https://127.0.0.1:8443",
        **dict.fromkeys(("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"), bundle),
    }


@pytest.mark.usefixtures("roots")
def test_bundle_is_the_public_roots_and_ours(penstock: Commands, ca: Path) -> None:
    penstock("env")
    bundle = ca.with_name("bundle.pem")
    assert bundle.read_text() == PUBLIC + OWN
    assert [path.name for path in ca.parent.iterdir() if path.name.startswith("bundle")] == ["bundle.pem"]


def test_bundle_in_the_environment_is_not_put_into_itself(
    penstock: Commands, ca: Path, monkeypatch: pytest.MonkeyPatch, roots: Path
) -> None:
    penstock("env")
    bundle = ca.with_name("bundle.pem")
    for name in env.BUNDLE_VARIABLES:
        monkeypatch.setenv(name, str(bundle))
    monkeypatch.setattr(env, "KNOWN_ROOTS", (str(roots),))
    penstock("env")
    assert bundle.read_text().count(OWN) == 1
    assert "public" in bundle.read_text() or bundle.read_text().count("BEGIN CERTIFICATE") > 2


def test_roots_are_found_without_a_word_from_the_user(tmp_path: Path) -> None:
    (path, *more) = env.public_roots({}, tmp_path / "bundle.pem")
    assert path.read_text(encoding="utf-8").count("BEGIN CERTIFICATE") >= 1
    assert len(more) != 1


def test_folder_of_hashed_roots_counts_each_certificate_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "certs"
    folder.mkdir()
    (folder / "Some_CA.pem").write_text(PUBLIC)
    for name in ("0a1b2c3d.0", "deadbeef.0"):
        (folder / name).symlink_to("Some_CA.pem")
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    monkeypatch.setattr(env, "KNOWN_ROOTS", ())
    usual = ssl.get_default_verify_paths()._replace(openssl_cafile=str(tmp_path / "none"), openssl_capath=str(folder))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: usual)
    assert list(env.public_roots({}, tmp_path / "bundle.pem")) == [folder / "Some_CA.pem"]


def test_certificate_of_somebody_else_needs_no_bundle(penstock: Commands, server: FakeServer) -> None:
    out = penstock("env").out
    assert "CA" not in out.replace("KINGSOFT_", "").replace("ACCESS", "")
    assert not (server.data_dir / "tls").exists()


def test_server_with_tls_alone_is_called_by_it(penstock: Commands, server: FakeServer) -> None:
    server.answers["env"] = msgspec.structs.replace(ENV, endpoint="")
    out = penstock("env").out
    assert "export PENSTOCK_KINGSOFT_ENDPOINT=https://127.0.0.1:8443\n" in out
    assert "PENSTOCK_ENDPOINT=" not in out


def test_missing_authority_is_told(penstock: Commands, server: FakeServer, tmp_path: Path) -> None:
    server.answers["env"] = msgspec.structs.replace(ENV, ca=str(tmp_path / "gone.pem"))
    ran = penstock("env")
    assert (ran.code, ran.out) == (2, "")
    assert "gone.pem: No such file" in ran.err


def test_bundle_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text(OWN)
    with pytest.raises(ConfigError, match="cannot be made"):
        env.write_bundle(ca, tmp_path / "none" / "bundle.pem")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca.pem", "home"]


def test_account_without_a_key_is_a_refusal(penstock: Commands, server: FakeServer) -> None:
    server.answers["env"] = NotFound("account 2 has no key")
    ran = penstock("env", "--account", "2")
    assert (ran.code, ran.out, ran.err) == (1, "", "penstock: account 2 has no key\n")
    assert server.asked == [GetEnvironment(account="2")]
