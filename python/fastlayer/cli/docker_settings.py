"""What docker's own settings file says that counts here too: the proxies of builds.

The file is ``$DOCKER_CONFIG/config.json``, else ``~/.docker/config.json``; it need not exist.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from fastlayer.errors import UsageError

_ARGUMENTS = {
    "httpProxy": "HTTP_PROXY",
    "httpsProxy": "HTTPS_PROXY",
    "ftpProxy": "FTP_PROXY",
    "noProxy": "NO_PROXY",
    "allProxy": "ALL_PROXY",
}
"""The file's words, and the build arguments that they stand for, in small letters too."""


def proxy_arguments(environment: Mapping[str, str]) -> dict[str, str]:
    """The build arguments that the file's default proxies stand for.

    A home directory that may not be entered is another user's, as ``su`` and ``sudo`` leave it in
    ``$HOME``: what is there are not this user's settings.

    Raises
    ------
    UsageError
        The file cannot be read, or is no settings file.
    """
    folder = environment.get("DOCKER_CONFIG")
    path = Path(folder) if folder else Path(environment.get("HOME", "/")) / ".docker"
    path /= "config.json"
    hint = "mend it, or name another directory with $DOCKER_CONFIG"
    try:
        settings = json.loads(path.read_bytes())
        proxies = settings.get("proxies", {}).get("default", {})
        found = {name: proxies[word] for word, name in _ARGUMENTS.items() if proxies.get(word)}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        if not folder and isinstance(error, PermissionError):
            return {}
        raise UsageError(f"{path}: {error.strerror}", hint=hint) from error
    except (ValueError, AttributeError, TypeError) as error:
        raise UsageError(f"{path}: it is not docker's settings file: {error}", hint=hint) from error
    if not all(isinstance(value, str) for value in found.values()):
        raise UsageError(f"{path}: a proxy is not a text", hint=hint)
    return {**found, **{name.lower(): value for name, value in found.items()}}
