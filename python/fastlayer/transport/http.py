"""Files from the web: one GET of a URL, redirects followed, to a file.

A request may say what is known of the file already, and a server that knows these words then sends
nothing. Nothing but http and https is spoken, and nothing is kept here.
"""

from __future__ import annotations

import email.utils
import hashlib
import http.client
import posixpath
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

from fastlayer.errors import DownloadError, StoreIOError, UsageError
from fastlayer.value import Value

TIMEOUT = 60.0
"""Seconds without a byte after which a server counts as gone."""

UNNAMED = "__unnamed__"
"""The name of a file whose URL has none, as BuildKit calls it."""

_CHUNK = 1 << 20
_UNCHANGED = 304

Progress = Callable[[int, int], None]
"""Told the bytes that came so far, and how many there will be (0: not known)."""


class WebFile(Value):
    """What is known of a file of the web."""

    digest: str
    """``sha256:…`` of its content."""
    entity: str = ""
    """The server's ``ETag``."""
    modified: str = ""
    """Its ``Last-Modified``."""

    @property
    def mtime(self) -> int:
        """``Last-Modified`` in seconds since 1970; 0 where the server did not say."""
        try:
            return int(email.utils.parsedate_to_datetime(self.modified).timestamp())
        except (ValueError, TypeError, OverflowError):
            return 0


def file_name(url: str) -> str:
    """The name that a URL gives a file: the last part of its path."""
    path = urllib.parse.unquote(urllib.parse.urlsplit(url).path)
    return posixpath.basename(path.rstrip("/")) or UNNAMED


def parse_checksum(text: str) -> str:
    """Check a digest that a file shall have.

    Raises
    ------
    UsageError
        It is not ``sha256:`` and 64 hexadecimal digits.
    """
    algorithm, _, value = text.partition(":")
    if algorithm != "sha256" or len(value) != 64 or set(value) - set("0123456789abcdef"):
        raise UsageError(
            f"checksum {text} is not supported", hint="write sha256: and 64 hexadecimal digits"
        )
    return text


def download(
    url: str, target: Path, *, known: WebFile | None = None, progress: Progress | None = None
) -> WebFile | None:
    """Fetch a file.

    Parameters
    ----------
    url:
        Of http or https.
    target:
        The file to write; one that exists is replaced.
    known:
        What was said of the file the last time.
    progress:
        Told how far it is.

    Returns
    -------
    What is known of it now; ``None`` where it is still what was ``known``, and nothing was written.

    Raises
    ------
    DownloadError
        The server cannot be reached, refuses, or ends too early.
    StoreIOError
        The file cannot be written.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "fastlayer"})
    if known is not None and known.entity:
        request.add_header("If-None-Match", known.entity)
    if known is not None and known.modified:
        request.add_header("If-Modified-Since", known.modified)
    try:
        with _opener().open(request, timeout=TIMEOUT) as response:
            digest = _receive(response, target, progress)
            headers = response.headers
            return WebFile(
                digest=digest,
                entity=headers.get("ETag", ""),
                modified=headers.get("Last-Modified", ""),
            )
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == _UNCHANGED and known is not None:
            return None
        raise DownloadError(f"{url}: the server answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DownloadError(
            f"{url}: {_reason(error)}", hint="check the address, and the proxy settings"
        ) from error


def _opener() -> urllib.request.OpenerDirector:
    """Opens http and https, by the proxies of the environment; no files, no ftp."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _receive(response: http.client.HTTPResponse, target: Path, progress: Progress | None) -> str:
    """Write the body to the file; gives its digest."""
    length = int(response.headers.get("Content-Length") or 0)
    state, count = hashlib.sha256(), 0
    try:
        stream = target.open("wb")
    except OSError as error:
        raise StoreIOError(f"{target}: {error.strerror}", errno=error.errno) from error
    with stream:
        while chunk := response.read(_CHUNK):
            state.update(chunk)
            count += len(chunk)
            try:
                stream.write(chunk)
            except OSError as error:
                raise StoreIOError(f"{target}: {error.strerror}", errno=error.errno) from error
            if progress is not None:
                progress(count, length)
    if count < length:
        raise http.client.IncompleteRead(b"", length - count)
    return f"sha256:{state.hexdigest()}"


def _reason(error: Exception) -> str:
    """What went wrong, on one line."""
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(inner, http.client.IncompleteRead):
        return "the connection ended in the middle of the file"
    if isinstance(inner, TimeoutError):
        return f"the server was silent for {TIMEOUT:.0f} seconds"
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    return str(inner).replace("\n", " ") or type(inner).__name__
