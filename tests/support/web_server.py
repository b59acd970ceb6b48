"""A web server on this machine that stands for the network in builds: any path has a content made
of its name; names with 404 in them are missing.
"""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Iterator

LAST_MODIFIED = "Thu, 26 Jan 2017 16:59:13 GMT"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(send=True)

    def do_HEAD(self) -> None:
        self._answer(send=False)

    def _answer(self, *, send: bool) -> None:
        missing = "404" in self.path
        body = b"missing\n" if missing else f"the content of {self.path}\n".encode()
        self.send_response(404 if missing else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", LAST_MODIFIED)
        self.end_headers()
        if send:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: the output is a test's."""


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Say nothing: a client that asks for the beginning only hangs up."""


@contextlib.contextmanager
def web_server() -> Iterator[str]:
    """Serve while the context lasts; gives the address without a path."""
    server = _Server(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
