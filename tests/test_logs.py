"""A line of the log stays one line, whatever was said from outside; in JSON it names what it is about."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.logs import HumanFormatter, JsonFormatter, one_line

FORGED = "cam\r\n12:00:00 I penstock.control: demo/live/evil on air\x1b[2J\u2028\u202e\x85"
ANY_TEXT = st.text(st.characters())


def record(text: str, *args: object, error: Exception | None = None, **about: Any) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error is not None else None
    made = logging.LogRecord("penstock.control", logging.WARNING, __file__, 1, text, args, info)
    made.__dict__.update(about)
    return made


def failed(text: str) -> Exception:
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


def test_a_line_for_people_has_time_level_logger_and_text() -> None:
    line = HumanFormatter().format(record("%s ended", "demo/live/cam"))
    assert line[8:] == " W penstock.control: demo/live/cam ended"
    datetime.strptime(line[:8], "%H:%M:%S")


def test_what_would_end_a_line_or_rewrite_it_is_shown_as_an_escape() -> None:
    assert one_line(FORGED) == (r"cam\r\n12:00:00 I penstock.control: demo/live/evil on air\x1b[2J\u2028\u202e\x85")
    assert HumanFormatter().format(record("%s", FORGED)).splitlines()[0].endswith(r"\x85")
    assert one_line("straße 北京 😀 a\\b") == "straße 北京 😀 a\\b"


def test_no_line_of_a_traceback_looks_like_a_line_of_the_log() -> None:
    text = HumanFormatter().format(record("a fault", error=failed("x\n12:00:00 I penstock.control: forged\r\x1b[2J")))
    first, *others = text.split("\n")
    assert first.endswith("a fault")
    assert len(others) > 3
    assert all(line.startswith("  | ") for line in others)
    assert "\x1b" not in text
    assert "\r" not in text


def test_a_line_in_json_names_what_it_is_about_in_fields_of_their_own() -> None:
    about: dict[str, Any] = {
        "request": "r-1",
        "session": "s-1",
        "stream": "demo/live/cam",
        "client": "192.0.2.7:5",
        "code": 423,
    }
    line = json.loads(JsonFormatter("control").format(record("%s refused", "x", **about)))
    at = datetime.fromisoformat(line.pop("time"))
    assert at.tzinfo is not None
    assert line == about | {
        "level": "warning",
        "process": "control",
        "logger": "penstock.control",
        "message": "x refused",
    }


def test_a_fault_in_json_is_one_line_with_its_traceback() -> None:
    text = JsonFormatter("engine").format(record("a fault", error=failed(FORGED)))
    assert len(text.splitlines()) == 1
    assert "Traceback" in json.loads(text)["fault"]


@given(ANY_TEXT)
def test_any_text_is_one_line_that_is_read_back(text: str) -> None:
    line = JsonFormatter("engine").format(record("%s", text, stream=text))
    assert len(line.splitlines()) == 1
    line.encode()
    read = json.loads(line)
    wanted = text.encode(errors="backslashreplace").decode()
    assert (read["message"], read["stream"]) == (wanted, wanted)


@given(ANY_TEXT)
def test_any_text_is_one_line_for_people(text: str) -> None:
    line = HumanFormatter().format(record("%s", text))
    assert len(line.splitlines()) == 1
    line.encode()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import warnings; warnings.warn('old\\nnews')", "old"),
        ("raise RuntimeError('the end\\nof it')", "ended by a fault of our own"),
        ("import asyncio; asyncio.new_event_loop().call_exception_handler({'message': 'lost'})", "lost"),
    ],
)
def test_nothing_of_a_process_is_anything_but_json(code: str, said: str) -> None:
    start = "from penstock.logs import set_up_logging; set_up_logging('INFO', 'json', 'engine'); "
    done = subprocess.run([sys.executable, "-c", start + code], check=False, capture_output=True, text=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert lines
    assert {line["process"] for line in lines} == {"engine"}
    assert any(said in line["message"] for line in lines)


def test_a_client_of_http_tells_no_url_at_any_level() -> None:
    """Each of its requests is a line at INFO with the whole URL, and its pool tells of header lines at DEBUG."""
    program = """
import httpx2
from penstock.logs import set_up_logging
set_up_logging("DEBUG")
transport = httpx2.MockTransport(lambda request: httpx2.Response(200))
httpx2.Client(transport=transport).get("http://peer.test/cam.flv?key=a-secret-of-somebody")
try:
    httpx2.Client(trust_env=False).get("http://127.0.0.1:1/cam.flv?key=a-secret-of-somebody")
except httpx2.ConnectError:
    pass
import logging
logging.getLogger("penstock").info("done")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert "done" in done.stderr
    assert "peer.test" not in done.stderr
    assert "a-secret-of-somebody" not in done.stderr
