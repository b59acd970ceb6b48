"""History entries of an image config."""

from __future__ import annotations

from collections.abc import Mapping

from fastlayer.oci.document import Node
from fastlayer.value import Value

_KNOWN = frozenset({"created", "created_by", "author", "comment", "empty_layer"})


class HistoryEntry(Value):
    """How one layer, or one change of the config alone (``empty_layer``), came about.

    ``created`` is an RFC 3339 time, empty where it is not known.
    """

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False
    extra: Mapping[str, object] = {}

    def to_value(self) -> dict[str, object]:
        """The entry as a JSON object; what is not set is left out."""
        texts = {
            "created": self.created,
            "created_by": self.created_by,
            "author": self.author,
            "comment": self.comment,
        }
        value: dict[str, object] = {name: text for name, text in texts.items() if text}
        if self.empty_layer:
            value["empty_layer"] = True
        value.update(self.extra)
        return value


def read_history_entry(node: Node) -> HistoryEntry:
    """Check and read an entry.

    Raises
    ------
    DocumentError
        Where it breaks the schema.
    """
    node.members()
    return HistoryEntry(
        created=node.optional_time("created"),
        created_by=node.optional_text("created_by"),
        author=node.optional_text("author"),
        comment=node.optional_text("comment"),
        empty_layer=node.optional_flag("empty_layer"),
        extra=node.other_members(_KNOWN),
    )
