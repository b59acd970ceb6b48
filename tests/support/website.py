"""A web server on this machine with the pages that a test puts there."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

MODIFIED = "Fri, 14 Jul 2017 02:40:00 GMT"


@dataclass
class Website:
    """Pages by path (with the slash); what was asked for, and what was sent."""

    pages: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    """Paths whose answer ends too early."""
    undated: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    address: str = ""


class _Pages(http.server.BaseHTTPRequestHandler):
    def __init__(self, site: Website, *arguments: object) -> None:
        self.site = site
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        site, path = self.site, self.path
        site.asked.append(path)
        if path in site.redirects:
            self.send_response(HTTPStatus.FOUND)
            self.send_header("Location", site.redirects[path])
            self.end_headers()
            return
        body = site.pages.get(path)
        if body is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        entity = f'"{hashlib.sha256(body).hexdigest()}"'
        if self.headers.get("If-None-Match") == entity:
            self.send_response(HTTPStatus.NOT_MODIFIED)
            self.end_headers()
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", entity)
        if path not in site.undated:
            self.send_header("Last-Modified", MODIFIED)
        self.end_headers()
        site.sent.append(path)
        self.wfile.write(body[: len(body) // 2] if path in site.cut else body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing: the output is a test's."""


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Say nothing: the output is a test's."""


@contextlib.contextmanager
def website() -> Iterator[Website]:
    """Serve pages while the context lasts."""
    site = Website()
    with _serving(functools.partial(_Pages, site)) as address:
        site.address = address
        yield site


@contextlib.contextmanager
def served_directory(directory: Path) -> Iterator[str]:
    """Serve the files of a directory; gives the address."""
    with _serving(functools.partial(_Files, directory=str(directory))) as address:
        yield address


@contextlib.contextmanager
def _serving(handler: object) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)  # type: ignore[arg-type]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
