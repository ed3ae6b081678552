"""Draws `docs/images/serve.svg`, the README's picture, from a real run: `python tools/picture.py`.

Starts the server with its test pattern, on the default ports and in a folder of its own, looks at the
stream with ffprobe, ends the server, and draws what both printed, unchanged, as a terminal window. The
colours are the picture's own. rich, which draws it, comes with cyclopts; ffprobe must be installed.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from threading import Timer
from typing import Final

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

PICTURE: Final = Path(__file__).resolve().parent.parent / "docs" / "images" / "serve.svg"
# Shown in the picture, as the server prints where its data is.
FOLDER: Final = Path(tempfile.gettempdir()) / "penstock"
SERVE: Final = "penstock serve --test-pattern --log-level warning"
PROBE: Final = "ffprobe -hide_banner"
ON_AIR: Final = "testpattern: publishing"
DEADLINE_S: Final = 30.0
COLUMNS: Final = 100  # at least; a longer line widens the window, as a wrapped one would be hard to read

THEME: Final = TerminalTheme(
    background=(17, 24, 32),
    foreground=(214, 221, 228),
    normal=[
        (17, 24, 32),
        (236, 106, 94),
        (126, 211, 138),
        (229, 192, 123),
        (110, 176, 255),
        (198, 146, 233),
        (94, 206, 214),
        (214, 221, 228),
    ],
)


class PictureError(Exception):
    """The run did not come about; the text says why."""


def serve_and_probe(folder: Path) -> tuple[str, str, str]:
    """Return what the server printed until its pattern was on air, the URL that was probed, and ffprobe's words."""
    command = [str(Path(sys.executable).parent / "penstock"), *shlex.split(SERVE)[1:]]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    with subprocess.Popen(
        command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        deadline = Timer(DEADLINE_S, server.kill)
        deadline.start()
        try:
            served = _read_until_on_air(server)
            url = _first_url(served)
            return served, url, _probe(url)
        finally:
            deadline.cancel()
            server.send_signal(signal.SIGINT)


def _read_until_on_air(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    lines = []
    for line in server.stdout:
        lines.append(line)
        if line.startswith(ON_AIR):
            return "".join(lines)
    raise PictureError("the server ended before its pattern was on air:\n" + "".join(lines))


def _first_url(printed: str) -> str:
    match = re.search(r"http://\S+\.flv", printed)
    if match is None:
        raise PictureError(f"the server printed no HTTP-FLV URL:\n{printed}")
    return match[0]


def _probe(url: str) -> str:
    done = subprocess.run([*shlex.split(PROBE), url], capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    if done.returncode:
        raise PictureError(f"{PROBE} {url} failed:\n{done.stderr}")
    return done.stderr


def draw(served: str, url: str, probed: str) -> str:
    """Return the terminal window (SVG) with both commands and what they printed."""
    screen = Text("\n").join(
        [
            _command(SERVE),
            _output(served),
            Text("\n# in another terminal", style="dim"),
            _command(f"{PROBE} {url}"),
            _output(probed),
        ]
    )
    width = max(COLUMNS, *(line.cell_len for line in screen.split()))
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(screen, highlight=False)
    # A fixed id, so that a new picture differs only where the run did.
    picture = console.export_svg(title="Penstock", theme=THEME, unique_id="penstock")
    return _with_own_fonts(picture)


def _command(line: str) -> Text:
    return Text.assemble(("$ ", "bold color(2)"), (line, "bold"))


def _output(text: str) -> Text:
    output = Text(text.rstrip("\n"))
    output.highlight_regex(r"\w+://[^\s',]+", "color(4)")
    return output


def _with_own_fonts(picture: str) -> str:
    """Return the picture without fonts from elsewhere: a page that shows it fetches nothing."""
    picture = re.sub(r"\s*@font-face \{.*?\}", "", picture, flags=re.DOTALL)
    return re.sub(
        r"font-family: Fira Code, monospace", "font-family: ui-monospace, Menlo, Consolas, monospace", picture
    )


def main() -> None:
    """Write the picture."""
    try:
        FOLDER.mkdir()
    except OSError as error:
        sys.exit(f"{FOLDER}: {error.strerror}; wanted a folder to make, shown in the picture, and to remove again")
    with tempfile.TemporaryDirectory(prefix="penstock-picture-") as away:
        try:
            picture = draw(*serve_and_probe(FOLDER))
        except (PictureError, OSError, subprocess.TimeoutExpired) as error:
            sys.exit(str(error))
        finally:
            # What the run left behind goes with the other folder.
            FOLDER.rename(Path(away) / FOLDER.name)
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(picture, encoding="utf-8")
    print(f"{PICTURE.name}: {len(picture) // 1024} KiB")


if __name__ == "__main__":
    main()
