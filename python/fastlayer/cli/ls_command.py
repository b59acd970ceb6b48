"""``fastlayer ls``."""

from __future__ import annotations

import stat
import time

import click

from fastlayer.cli.go_flags import GoCommand
from fastlayer.cli.location import open_store
from fastlayer.cli.place import find, split_kind, split_place, tree_of
from fastlayer.container.tree import Node

_TYPES = {
    "file": stat.S_IFREG,
    "directory": stat.S_IFDIR,
    "symlink": stat.S_IFLNK,
    "char": stat.S_IFCHR,
    "block": stat.S_IFBLK,
    "fifo": stat.S_IFIFO,
    "socket": stat.S_IFSOCK,
}


@click.command("ls", cls=GoCommand)
@click.option("-l", "long", is_flag=True, help="Mode, owner, size, time and link target too.")
@click.argument("text", metavar="NAME[:/PATH]")
@click.pass_context
def command(ctx: click.Context, text: str, *, long: bool) -> None:
    """List a directory of an image or container, or show a file; nothing is mounted."""
    store = open_store(ctx)
    place = split_place(text)
    kind, name = (place.kind, place.name) if place else split_kind(text)
    tree = tree_of(store, find(store, kind, name))
    node = tree.resolve(place.path if place else "/")
    nodes = tree.list(node) if node.kind == "directory" else [node]
    if not long:
        click.echo(b"".join(item.name + b"\n" for item in nodes), nl=False)
        return
    rows = [_columns(item) for item in nodes]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)] if rows else []
    for item, row in zip(nodes, rows, strict=True):
        cells = [text.rjust(width) for text, width in zip(row, widths, strict=True)]
        target = b" -> " + item.link if item.kind == "symlink" else b""
        click.echo(" ".join(cells).encode() + b" " + item.name + target)


def _columns(node: Node) -> tuple[str, ...]:
    device = node.kind in {"char", "block"}
    return (
        stat.filemode(_TYPES[node.kind] | node.mode),
        str(node.uid),
        str(node.gid),
        f"{node.device[0]},{node.device[1]}" if device else str(node.size),
        time.strftime("%Y-%m-%d %H:%M", time.localtime(node.mtime // 1_000_000_000)),
    )
