"""HLS: many players of one stream from segments in memory, and what cutting a stream into them costs.

nginx serves what its RTMP module cuts, out of a folder in memory, on the same core as the module: what a
stream of HLS costs there in all.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

from bench.measure import Setup, finished, ingest, load, publishing
from bench.processes import BenchError
from bench.results import Hls, Ingest
from bench.servers import APP, STREAM, NginxRtmp, Penstock, Ports, Server, running

SEGMENT_S = 2
PACKED = "-packed"  # behind a server's name: cuts HLS of every stream, though nobody plays it
_GRACE_S = 60.0


class PenstockHls(Penstock):
    def __init__(self) -> None:
        super().__init__("penstock", "low", media='hls_always = ["live"]')

    path = f"/{APP}/{STREAM}.m3u8"


class NginxHls(NginxRtmp):
    path = f"/hls/{STREAM}.m3u8"

    def __init__(self) -> None:
        super().__init__()
        self._memory = Path("/dev/shm")

    def configure(self, folder: Path, ports: Ports) -> list[str]:
        if not self._memory.is_dir():
            raise BenchError(f"{self._memory} is no folder; nginx's segments are to be in memory")
        root = Path(mkdtemp(prefix="penstock-bench-", dir=self._memory))
        # The worker may be another user.
        root.chmod(0o755)
        hls = root / "hls"
        hls.mkdir(mode=0o777)
        hls.chmod(0o777)
        (folder / "hls-root").symlink_to(root)
        command = super().configure(folder, ports)
        config = folder / "nginx.conf"
        text = config.read_text()
        text = text.replace(
            "live on; wait_key on;",
            f"live on; wait_key on; hls on; hls_path {hls}; hls_fragment {SEGMENT_S}s; hls_playlist_length 16s;",
        )
        text = text.replace("location /control", f"location /hls {{ root {root}; }}\n    location /control")
        text = text.replace("access_log off;\n  {temporary}", "access_log off; sendfile on;\n  {temporary}")
        # More requests on a connection than nginx's 1,000, and as long between two as ours.
        text = text.replace("http {\n", "http {\n  sendfile on; tcp_nopush on; keepalive_requests 1000000;\n")
        config.write_text(text)
        return command


WATCHED: dict[str, type[PenstockHls] | type[NginxHls]] = {"penstock": PenstockHls, "nginx-rtmp": NginxHls}


def watch(setup: Setup, name: str, players: int, repeat: int) -> Hls:
    """One publisher and `players` players of its segments.

    Raises:
        BenchError: the server did not start, or did not take the publisher.
    """
    server = WATCHED[name]()
    folder = setup.folder / f"hls-{name}-{players}-{repeat}"
    length_s = players / setup.ramp + setup.warm_s + 3 * SEGMENT_S + setup.seconds
    try:
        with (
            running(server, folder, setup.server_core) as at,
            publishing(setup, at, seconds=length_s + _GRACE_S) as publisher,
        ):
            time.sleep(5 * SEGMENT_S)  # a playlist worth playing
            at.child.must_run()
            words = ["--port", at.ports.http, "--path", server.path, "--count", players, "--ramp", setup.ramp]
            words += ["--poll", SEGMENT_S, "--warm", setup.warm_s, "--duration", setup.seconds]
            words += ["--pids", ",".join(map(str, at.child.pids()))]
            with load(setup, at, "hls", *words) as viewers:
                watched = viewers.event(length_s + _GRACE_S)
            summary = finished(publisher)
    finally:
        _clear(folder)
    return Hls.of(name, repeat, watched, summary, setup.server_core)


def packing(setup: Setup, name: str, publishers: int, repeat: int, *, is_packed: bool) -> Ingest:
    """`publishers` publishers that nobody plays, cut into segments or not; the difference is what cutting costs.

    Raises:
        BenchError: the server did not start, or did not take them all.
    """
    server: Server = WATCHED[name]() if is_packed else PLAIN[name]
    try:
        result = ingest(setup, server, publishers, repeat)
    finally:
        _clear(setup.folder / f"ingest-{server.name}-{publishers}-{repeat}")
    return replace(result, server=name + PACKED) if is_packed else result


PLAIN: dict[str, Server] = {"penstock": Penstock("penstock", "low"), "nginx-rtmp": NginxRtmp()}


def _clear(folder: Path) -> None:
    """Give back the memory that nginx's segments took."""
    link = folder / "hls-root"
    if link.is_symlink():
        shutil.rmtree(link.resolve(), ignore_errors=True)
        link.unlink()
