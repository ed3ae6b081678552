"""Answers of peers that mean no good, over real sockets: each call ends, in time, with the right error."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from penstock.errors import ApiError, ConfigError, NotOnAir, TransportError, Unavailable
from penstock.sdk.kingsoft import Kingsoft
from tests.sdk.cloud import CLIENTS, KEYS, STREAM, Cloud, client, done

Talk = Callable[[socket.socket], None]
GOOD = b'{"Data": {"RetCode": 0, "RetMsg": "success", "CheckResult": 1}, "RequestId": "r"}'


@contextmanager
def peer(talk: Talk) -> Iterator[str]:
    """Listen; each connection is read up to the end of a request's head and then talked to."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(10)
            talk(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threads.append(threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True))
                threads[-1].start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join(5)


def heard(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data and (got := connection.recv(65536)):
        data += got
    return data


def says(head: str, body: bytes = b"") -> Talk:
    def talk(connection: socket.socket) -> None:
        while heard(connection):
            connection.sendall(f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    return talk


def trickle(prefix: bytes, drop: bytes) -> Talk:
    def talk(connection: socket.socket) -> None:
        heard(connection)
        connection.sendall(prefix)
        while True:
            connection.sendall(drop)
            time.sleep(0.05)

    return talk


def flood(head: bytes, chunk: bytes) -> Talk:
    def talk(connection: socket.socket) -> None:
        heard(connection)
        connection.sendall(head)
        for _ in range(10 * 1024**3 // len(chunk)):
            connection.sendall(chunk)

    return talk


def real(kind: Any, url: str, **given: Any) -> Any:
    keys = {"access_key": KEYS.access_key, "secret_key": KEYS.secret_key}
    return kind(**keys, endpoint=url, retries=given.pop("retries", 0), **given)


async def called(kind: Any, url: str, **given: Any) -> Any:
    """Make one call; the loop is left free for the sync client too."""
    made = real(kind, url, **given)
    try:
        if kind is Kingsoft:
            return await asyncio.to_thread(made.check_blacklist, **STREAM)
        return await made.check_blacklist(**STREAM)
    finally:
        await done(made.close() if kind is Kingsoft else made.aclose())


@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_good_answer_comes_through(kind: Any) -> None:
    with peer(says("200 OK", GOOD)) as url:
        assert (await called(kind, url)).check_result == 1


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
MEBIBYTE = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
XML = b"<ErrorResponse><RequestId>x-1</RequestId><Error><Type>Sender</Type><Code>StreamNotExist</Code>"


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize(
    ("talk", "error", "text"),
    [
        (says("200 OK", b"<html>hello</html>"), ApiError, "kingsoft answers 200: no answer of KLS: '<html>hello"),
        (says("200 OK"), ApiError, "no answer of KLS: ''"),
        (says("200 OK", b'{"Data": {"RetCode": 0}, '), ApiError, "no answer of KLS"),
        (says("200 OK", b"[" * 100_000), ApiError, "no answer of KLS"),
        (says("200 OK", b'{"Data": {"CheckResult": {"a": 1}}}'), ApiError, "does not fit CheckBlacklist"),
        (says("200 OK", b'{"Data": {"CheckResult": "many"}}'), ApiError, "does not fit CheckBlacklist"),
        (says("200 OK", b'{"Data": 5}'), ApiError, "the answer has no Data"),
        (says("404 Not Found", XML + b"<Message>a &lt; b</Message></Error></ErrorResponse>"), NotOnAir, "a < b .*x-1"),
        (says("502 Bad Gateway", b"<html>"), Unavailable, "answers 502"),
        (says("302 Found\r\nLocation: http://evil.test/"), ApiError, "a redirect to 'http://evil.test/'; a signed"),
        (says("200 OK\r\nContent-Encoding: gzip", GOOD[:30]), ApiError, "no answer of KLS"),
        (flood(b"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n", b" "), ApiError, "more than 1000000 bytes"),
        (flood(CHUNKED, MEBIBYTE), ApiError, "more than 1000000 bytes"),
        (flood(b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"y" * 65536 + b"\r\n"), TransportError, "RemoteProtocolError"),
        (lambda _: None, TransportError, "no answer from http://127.0.0.1:"),
        (says("20 OK"), TransportError, "no answer"),
        (lambda connection: connection.sendall(b"SSH-2.0-x\r\n" * 9), TransportError, "no answer"),
    ],
)
async def test_a_hostile_answer_is_one_error(kind: Any, talk: Talk, error: type[Exception], text: str) -> None:
    with peer(talk) as url, pytest.raises(error, match=text):
        await called(kind, url, max_response_bytes=1_000_000, timeout_s=5)


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize(
    "talk",
    [
        trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" "),
        trickle(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        trickle(b"", b""),
    ],
    ids=["body", "head", "nothing"],
)
async def test_a_peer_that_trickles_does_not_outlast_the_deadline(kind: Any, talk: Talk) -> None:
    with peer(talk) as url:
        start_s = time.monotonic()
        with pytest.raises(TransportError):
            await called(kind, url, timeout_s=0.4, retries=3)
        assert time.monotonic() - start_s < 1.5


@pytest.mark.parametrize("kind", CLIENTS)
async def test_nobody_there_is_told_as_nothing_sent(kind: Any) -> None:
    with peer(says("200 OK")) as url:
        pass
    with pytest.raises(TransportError, match=r"ConnectError.*; nothing was sent") as caught:
        await called(kind, url)
    assert isinstance(caught.value.__cause__, httpx2.ConnectError)


@pytest.mark.parametrize("kind", CLIENTS)
async def test_the_connection_is_kept_and_closed(kind: Any) -> None:
    connections = []

    def talk(connection: socket.socket) -> None:
        connections.append(connection)
        says("200 OK", GOOD)(connection)

    with peer(talk) as url:
        kls = real(kind, url)
        for _ in range(3):
            await done(kls.check_blacklist(**STREAM))
        assert len(connections) == 1
        await done(kls.close() if kind is Kingsoft else kls.aclose())
        with pytest.raises(RuntimeError, match=f"this {kind.__name__} is closed"):
            await done(kls.check_blacklist(**STREAM))


def test_threads_share_a_client() -> None:
    with peer(says("200 OK", GOOD)) as url, real(Kingsoft, url, max_connections=4) as kls:
        results: list[int] = []

        def work() -> None:
            results.extend(kls.check_blacklist(**STREAM).check_result for _ in range(20))

        threads = [threading.Thread(target=work) for _ in range(16)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(20)
        assert results == [1] * 320


@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_certificate_is_checked_and_a_bad_one_not_tried_again(kind: Any, tmp_path: Path) -> None:
    def talk(connection: socket.socket) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        with context.wrap_socket(connection, server_side=True) as secure:
            says("200 OK", GOOD)(secure)

    certificate = self_signed(tmp_path)
    with peer(talk) as plain:
        url = plain.replace("http:", "https:")
        with pytest.raises(TransportError, match=r"(?i)certificate.*; nothing was sent") as caught:
            await called(kind, url, retries=3)
        assert "attempts" not in str(caught.value)
        assert (await called(kind, url, verify=certificate)).check_result == 1
        assert (await called(kind, url, verify=str(certificate))).check_result == 1
        assert (await called(kind, url, verify=ssl.create_default_context(cafile=certificate))).check_result == 1
        assert (await called(kind, url, verify=False)).check_result == 1
        with pytest.raises(ConfigError, match="it must be a file of CA certificates"):
            await called(kind, url, verify="no-such-file.pem")


def self_signed(folder: Path) -> Path:
    from datetime import UTC, datetime, timedelta
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_proxy_of_the_environment_is_not_for_this_machine(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with peer(says("200 OK", GOOD)) as url:
        assert (await called(kind, url)).check_result == 1
        with pytest.raises(TransportError):
            await called(kind, "http://kls.test")
        assert (await called(kind, "http://kls.test", proxy=url)).check_result == 1


@pytest.mark.parametrize("kind", CLIENTS)
async def test_what_is_signed_is_what_is_sent(kind: Any, cloud: Cloud) -> None:
    cloud.vhost = name = "a b+c/d%e?&=#\u00e9\u4e2d"
    await done(client(kind, cloud).check_blacklist(**{**STREAM, "unique_name": name}))
    (asked,) = cloud.asked
    assert asked.unique_name == name  # type: ignore[attr-defined]
    assert cloud.requests[0].headers["User-Agent"].startswith("Penstock/")
