"""RTMPS and HTTPS, to clients that believe the server's own certificate authority and nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.tls import ensure_certificate
from tests.e2e.media import is_run_of, rising, same_spacing
from tests.e2e.peers import Curl, Ffmpeg, PeerFailed, PublishRefused
from tests.e2e.server import Server


def believing(ca_file: Path) -> tuple[str, ...]:
    return "-tls_verify", "1", "-ca_file", str(ca_file)


async def test_a_stream_goes_in_by_rtmps_and_out_by_rtmps_and_https_unchanged(
    server: Server, ffmpeg: Ffmpeg, curl: Curl, sample: Path, stream: str, tmp_path: Path
) -> None:
    trust = believing(server.ca_file)
    await ffmpeg.publish(sample, server.rtmps_url(stream), extra=trust)
    by_ffprobe = [await ffmpeg.play(url, *trust) for url in (server.rtmps_url(stream), server.https_flv_url(stream))]
    played = [await player.until_got(seconds=1.5) for player in by_ffprobe]
    options = ("--cacert", str(server.ca_file))
    path = await curl.play_to_file(server.https_flv_url(stream), tmp_path / "curl.flv", *options, seconds=1.5)

    source = await ffmpeg.packets(sample)
    for got in [*played, await ffmpeg.packets(path)]:
        assert is_run_of(source, got, looped=False)
        assert rising(got)
        assert same_spacing(source, got)


async def test_clients_that_believe_another_authority_refuse(
    server: Server, ffmpeg: Ffmpeg, curl: Curl, sample: Path, stream: str, tmp_path: Path
) -> None:
    ensure_certificate(tmp_path, [])
    other = tmp_path / "tls" / "ca.pem"
    with pytest.raises(PublishRefused, match="certificate failed verification"):
        await ffmpeg.publish(sample, server.rtmps_url(stream), extra=believing(other))
    with pytest.raises(PeerFailed, match="SSL certificate problem"):
        await curl.play_to_file(server.https_flv_url(stream), tmp_path / "none.flv", "--cacert", str(other), seconds=1)
