"""The syntax tree: one node for each instruction, its words not yet given a meaning.

This is the level of BuildKit's parser: an unknown keyword is a node like any other, and an
instruction with too few words is no error yet.
"""

from __future__ import annotations

from fastlayer.dockerfile.dockerfile import ParseWarning
from fastlayer.dockerfile.heredocs import Heredoc
from fastlayer.dockerfile.quoting import quote, quote_all
from fastlayer.value import Value


class Node(Value):
    """One instruction.

    ``words`` are the words behind the flags (of ENV and LABEL triples: name, value, ``=`` or
    nothing); ``json`` says that they came from a JSON array; ``child`` is what ONBUILD holds.
    ``first`` and ``last`` are the lines, 1-based, heredoc bodies included.
    """

    keyword: str
    words: tuple[str, ...]
    json: bool
    flags: tuple[str, ...]
    original: str
    first: int
    last: int
    child: Node | None = None
    heredocs: tuple[Heredoc, ...] = ()
    comments: tuple[str, ...] = ()

    @property
    def takes_heredocs(self) -> bool:
        """Whether ``<<`` on its line can open a here-document."""
        inner = self.child if self.keyword.lower() == "onbuild" and self.child else self
        return inner.keyword.lower() in ("add", "copy", "run") and not inner.json

    def dump(self) -> str:
        """The node as an S-expression without its outer parentheses."""
        parts = [self.keyword.lower()]
        if self.flags:
            parts.append(quote_all(self.flags))
        if self.child is not None:
            parts.append(f"({self.child.dump()})")
        parts += (quote(word) for word in self.words)
        return " ".join(parts).strip()


class Syntax(Value):
    """A file read down to its nodes.

    ``lines`` are for messages: without their ends, and with U+FFFD for what is not UTF-8.
    """

    file: str
    text: str
    escape: str
    nodes: tuple[Node, ...]
    warnings: tuple[ParseWarning, ...]
    lines: tuple[str, ...]

    def dump(self) -> str:
        """All nodes as S-expressions, one a line, in the form of BuildKit's test files."""
        return "".join(f"({node.dump()})\n" for node in self.nodes)
