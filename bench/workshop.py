"""What a run needs made first, each once, under bench/.work: the load generator, the stream, node's package."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.processes import BenchError

HERE = Path(__file__).resolve().parent
WORK = HERE / ".work"
NODE_MEDIA_SERVER = "node-media-server@4.4.3"

_SOURCES = ("load.c", "load_flv.c", "load_rtmp.c", "load_publish.c", "load_play.c", "load_call.c", "load_hls.c")

# 1280x720, 30 pictures a second, about 2 Mbit/s with the audio.  No B-frames, so that a picture's place in the file
# is its place on the screen; a key frame every 2 s; a constant rate, so that a window's length does not matter.
# The noise keeps the encoder at its rate: the test picture alone would compress to less.
_ENCODE = """
-f lavfi -i testsrc2=size=1280x720:rate=30,noise=alls=16:allf=t -f lavfi -i sine=frequency=440:sample_rate=44100 -t 60
-c:v libx264 -preset superfast -profile:v main -pix_fmt yuv420p -bf 0 -g 60 -keyint_min 60 -sc_threshold 0
-b:v 1860k -minrate 1860k -maxrate 1860k -bufsize 1860k -x264-params nal-hrd=cbr -c:a aac -b:a 128k -ac 2 -f flv
"""


def need(program: str, why: str) -> str:
    """The path of a program on this machine.

    Raises:
        BenchError: it is not installed.
    """
    # Debian keeps servers out of a user's path.
    path = shutil.which(program) or shutil.which(program, path="/usr/local/sbin:/usr/sbin:/sbin")
    if path is None:
        raise BenchError(f"{program} is not installed; {why}")
    return path


def _make(what: str, command: Sequence[str], timeout_s: float) -> None:
    print(f"making {what} ...", flush=True)
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    if done.returncode != 0:
        raise BenchError(f"{what} could not be made: {done.stderr.strip()[-600:]}")


def load_generator() -> Path:
    """The compiled load generator, remade when a source is newer."""
    WORK.mkdir(exist_ok=True)
    program = WORK / "load"
    sources = [HERE / name for name in _SOURCES]
    newest = max(path.stat().st_mtime for path in [*sources, HERE / "load.h"])
    if not program.exists() or program.stat().st_mtime < newest:
        compiler = need("gcc", "it compiles the load generator")
        flags = ["-O2", "-Wall", "-Wextra"]
        # Renamed when whole: a test may run it, or make it, at the same time.
        half = WORK / f"load.{os.getpid()}"
        _make("the load generator", [compiler, *flags, "-o", str(half), *map(str, sources)], 120)
        half.rename(program)
    return program


def sample() -> Path:
    """The stream that is published: 60 s of FLV."""
    WORK.mkdir(exist_ok=True)
    path = WORK / "sample.flv"
    if not path.exists():
        ffmpeg = need("ffmpeg", "it makes the sample stream")
        half = path.with_suffix(".part")
        _make("the sample stream", [ffmpeg, "-v", "error", "-y", *_ENCODE.split(), str(half)], 600)
        half.rename(path)
    return path


def node_package() -> Path:
    """The folder of node-media-server, fetched by npm."""
    folder = WORK / "node"
    package = folder / "node_modules" / "node-media-server"
    if not package.exists():
        folder.mkdir(parents=True, exist_ok=True)
        npm = need("npm", "it fetches node-media-server")
        options = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        _make(NODE_MEDIA_SERVER, [npm, "install", "--prefix", str(folder), *options, NODE_MEDIA_SERVER], 600)
    return package
