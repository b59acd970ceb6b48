"""The work that tests cut short: one operation of each kind on one store, to be done over and over.

A :class:`Workload` prepares the inputs of an operation anew for each turn, so that each time there
is something to write, and says what the store must show once the operation was reported done.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.base import EPOCH
from tests.support.command import Command

if TYPE_CHECKING:
    from fastlayer.store import Store

OPERATIONS = ("import", "build", "commit", "save", "load", "prune")


@dataclass(frozen=True, slots=True)
class Turn:
    """One operation, ready to be run.

    ``argv`` are the words behind ``fastlayer``. ``name`` is the image it makes, empty for none.
    ``output`` is the file it writes, ``None`` for none.
    """

    operation: str
    argv: tuple[str, ...]
    name: str = ""
    output: Path | None = None


class Workload:
    """Operations on the store of ``command``, which has the image ``base``.

    Parameters
    ----------
    command:
        The store.
    folder:
        Where inputs and outputs lie; not on the store's file system.
    seed:
        Of all that is random.
    prefix:
        What the names of its images begin with.
    """

    def __init__(self, command: Command, folder: Path, seed: int, prefix: str = "") -> None:
        self._command = command
        self._folder = folder
        self._random = random.Random(seed)
        self._prefix = prefix
        self._number = 0
        folder.mkdir(exist_ok=True)

    def turn(self, operation: str) -> Turn:
        """Prepare an operation: its inputs are new, but half of the files known already."""
        self._number += 1
        prepare: dict[str, Callable[[str], Turn]] = {
            "import": self._import,
            "build": self._build,
            "commit": self._commit,
            "save": self._save,
            "load": self._load,
            "prune": lambda _name: Turn("prune", ("builder", "prune", "-f")),
        }
        return prepare[operation](f"{self._prefix}{operation}{self._number}")

    def tar(self, files: int = 160) -> bytes:
        """A tar of small and larger files, a few MB; a part of them is the same each time."""
        known, fresh = random.Random(0), self._random
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for number in range(files):
                source = known if number % 2 else fresh
                size = source.choice((100, 3000, 20_000, 150_000))
                entry = tarfile.TarInfo(f"data/{number % 7}/file{number}")
                entry.size, entry.mtime = size, EPOCH
                archive.addfile(entry, io.BytesIO(source.randbytes(size)))
        return buffer.getvalue()

    def _import(self, name: str) -> Turn:
        path = self._folder / "import.tar"
        path.write_bytes(self.tar())
        return Turn("import", ("import", str(path), name), name)

    def _build(self, name: str) -> Turn:
        context = self._folder / "context"
        context.mkdir(exist_ok=True)
        (context / "data.tar").write_bytes(self.tar())
        (context / "Dockerfile").write_text(
            f"FROM base\nCOPY data.tar /copied\nADD data.tar /unpacked/\n"
            f"RUN cp -r /unpacked/data /again && echo {name} > /name && rm -rf /again/3\n"
            f"RUN echo more >> /unpacked/data/0/file0\n"
        )
        return Turn("build", ("build", "-q", "-t", name, str(context)), name)

    def _commit(self, name: str) -> Turn:
        text = self._random.randbytes(8).hex()
        script = (
            f"mkdir -p /made; for i in 1 2 3 4 5 6 7 8 9; do cp /bin/busybox /made/$i; "
            f"echo {text}$i >> /made/$i; done; echo {text} > /text; rm -f /etc/group"
        )
        self._command.run("run", "--name", name, "base", "sh", "-c", script)
        return Turn("commit", ("commit", name, name), name)

    def _save(self, name: str) -> Turn:
        output = self._folder / f"{name}.tar"
        return Turn("save", ("save", "-o", str(output), "kept"), output=output)

    def _load(self, name: str) -> Turn:
        path = self._folder / "load.tar"
        path.write_bytes(archive_of(name, self.tar(), self.tar(40)))
        return Turn("load", ("load", "-q", "-i", str(path)), name)


def archive_of(name: str, *layers: bytes) -> bytes:
    """A docker archive with an image of these layers."""
    from tests.support.archives import config_of, old_docker_archive, tar_of

    return tar_of(old_docker_archive(config_of(*layers), *layers, tags=[f"{name}:latest"]))


def contents(root: Path) -> dict[str, str]:
    """The store's image names, and the hash of what each image is: its config and its tars."""
    from fastlayer.image.catalog import ImageCatalog
    from fastlayer.store import Store

    store = Store(root, create=False)
    layers: dict[str, str] = {}
    found = {}
    for image in ImageCatalog(store).list():
        whole = hashlib.sha256(store.get_document(image.id))
        for diff_id in image.config.diff_ids:
            if diff_id not in layers:
                layers[diff_id] = _hash_of_tar(store, diff_id)
            whole.update(layers[diff_id].encode())
        for tag in image.tags:
            found[tag.removesuffix(":latest")] = whole.hexdigest()
    return found


def _hash_of_tar(store: Store, diff_id: str) -> str:
    with os.fdopen(os.memfd_create("layer"), "w+b") as file:
        store.write_tar(diff_id, file.fileno())
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


def names(command: Command) -> set[str]:
    """The store's image names, without ``:latest``."""
    text = command.text("images", "--format", "{{.Repository}}")
    return set(text.splitlines()) - {"<none>"}
