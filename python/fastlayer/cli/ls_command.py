"""``fastlayer ls``."""

from __future__ import annotations

import stat
import time

import click

from fastlayer.cli.go_flags import GoCommand
from fastlayer.cli.location import open_store
from fastlayer.cli.tree_path import split_tree_path
from fastlayer.errors import PathNotFoundError
from fastlayer.image import ImageCatalog
from fastlayer.store import Entry

_TYPES = {
    "file": stat.S_IFREG,
    "directory": stat.S_IFDIR,
    "symlink": stat.S_IFLNK,
    "char": stat.S_IFCHR,
    "block": stat.S_IFBLK,
    "fifo": stat.S_IFIFO,
}


@click.command("ls", cls=GoCommand)
@click.option("-l", "long", is_flag=True, help="Mode, owner, size, time and link target too.")
@click.argument("place", metavar="IMAGE[:/PATH]")
@click.pass_context
def command(ctx: click.Context, place: str, *, long: bool) -> None:
    """List a directory of an image, or show a file; nothing is mounted."""
    store = open_store(ctx)
    name, path = split_tree_path(place)
    chain = ImageCatalog(store).resolve(name).chain
    entry = store.stat(chain, path or b"", follow=True)
    if entry is None:
        raise PathNotFoundError(f"no such path: {place}", hint=f"fastlayer ls {name}")
    entries = store.list(chain, entry.path) if entry.kind == "directory" else [entry]
    if not long:
        click.echo(b"".join(_name(item) + b"\n" for item in entries), nl=False)
        return
    columns = [_columns(item) for item in entries]
    widths = [max(map(len, column)) for column in zip(*columns, strict=True)] if columns else []
    for item, texts in zip(entries, columns, strict=True):
        cells = [text.rjust(width) for text, width in zip(texts, widths, strict=True)]
        click.echo(" ".join(cells).encode() + b" " + _name(item) + _target(item))


def _name(entry: Entry) -> bytes:
    return entry.path.rpartition(b"/")[2] or b"/"


def _target(entry: Entry) -> bytes:
    return b" -> " + entry.link if entry.kind == "symlink" else b""


def _columns(entry: Entry) -> tuple[str, ...]:
    device = entry.kind in {"char", "block"}
    return (
        stat.filemode(_TYPES[entry.kind] | entry.mode),
        str(entry.uid),
        str(entry.gid),
        f"{entry.device[0]},{entry.device[1]}" if device else str(entry.size),
        time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.mtime[0])),
    )
