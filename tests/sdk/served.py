"""The tiny cloud of `cloud.py` behind a real port, for clients that want one."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from penstock.clouds.http import Headers, HttpRequest, HttpResponse


@contextlib.contextmanager
def served(answer: Callable[[HttpRequest], HttpResponse]) -> Iterator[str]:
    """Answer HTTP by `answer`, in threads; yield the URL. It may serve as a proxy too."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            lines = Headers(self.headers.items())
            request = HttpRequest(method=self.command, target=in_origin_form(self.path), headers=lines, body=body)
            response = answer(request)
            self.send_response(response.status)
            for name, value in response.headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(response.body)

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join(5)


def in_origin_form(target: str) -> str:
    """Return what stands behind the host of a target that was sent to a proxy."""
    if target.startswith("/"):
        return target
    parts = urlsplit(target)
    return f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
