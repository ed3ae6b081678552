"""What the play page is made of: our own files, and two players of others, kept here as their authors built them.

Each file has its hash in its URL, so a browser may keep it for ever. They are read and packed once, when
the doors open. The page itself is the same for every stream: its script reads the address it came by, so
no name of a stream is ever written into HTML.
"""

from __future__ import annotations

import gzip
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final

from msgspec import Struct

# No name of an app has a tilde, so nothing below is a stream's.
PREFIX: Final = "~penstock"
HASH_LENGTH: Final = 12

_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}


class Vendored(Struct, frozen=True):
    """A script of others."""

    package: str  # its name on npm
    version: str
    licence: str  # as SPDX has it
    built: str  # the file in that package
    file: str  # here, in `vendor/`
    sha256: str
    licence_file: str  # with the licences of what is built into it


VENDORED: Final = (
    Vendored(
        "mpegts.js",
        "1.8.2",
        "Apache-2.0",
        "dist/mpegts.js",
        "mpegts.js",
        "bda31748736a69cb610c2edf4623e633f1f4f47b5bda83668c8d287e51b0c3a8",
        "mpegts.js.LICENSE.txt",
    ),
    Vendored(
        "hls.js",
        "1.7.4",
        "Apache-2.0",
        "dist/hls.light.min.js",
        "hls.light.min.js",
        "482cccb3a224554f64d8c2cf0d335dba4a3819bdb726afbfddfe15de4c277d82",
        "hls.js.LICENSE.txt",
    ),
)
# Licences come first, as nothing names them by their hash: they keep the names that the scripts know them by.
_LICENCES: Final = tuple(vendored.licence_file for vendored in VENDORED)
_OWN: Final = ("icon.svg", "play.css", "words.js", "play.js")


class Asset(Struct, frozen=True, eq=False):
    """One file, as it is and packed."""

    content_type: str
    body: bytes
    packed: bytes  # by gzip

    @classmethod
    def of(cls, name: str, body: bytes) -> Asset:
        # Without a time inside, so that the same file is the same bytes after a restart.
        return cls(_TYPES[name.rpartition(".")[2]], body, gzip.compress(body, mtime=0))


class Assets(Struct, frozen=True, eq=False):
    """The page, and by their names in URLs the files that it asks for."""

    page: Asset
    files: dict[str, Asset]


@cache
def load_assets() -> Assets:
    """Read and pack all of it; a tenth of a second, the first time."""
    bodies = {name: read(name) for name in _OWN}
    bodies |= {vendored.file: read(f"vendor/{vendored.file}") for vendored in VENDORED}
    names = {name: _hashed(name, body) for name, body in bodies.items()}
    page = read("play.html").decode()
    for name, hashed in names.items():
        page = page.replace(f'"/{PREFIX}/{name}"', f'"/{PREFIX}/{hashed}"')
    found = {names[name]: Asset.of(name, body) for name, body in bodies.items()}
    found |= {name: Asset.of(name, read(f"vendor/{name}")) for name in _LICENCES}
    return Assets(Asset.of("play.html", page.encode()), found)


def read(name: str) -> bytes:
    """A file of this folder."""
    return files(__package__).joinpath(name).read_bytes()


def _hashed(name: str, body: bytes) -> str:
    stem, _, kind = name.rpartition(".")
    return f"{stem}.{sha256(body).hexdigest()[:HASH_LENGTH]}.{kind}"
