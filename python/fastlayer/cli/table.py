"""Tables as docker prints them: columns three blanks apart, none narrower than ten. Pure."""

from __future__ import annotations

from collections.abc import Sequence

_PADDING = 3
_MINIMUM = 10


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """The rows as lines, each ending in a newline; the first row is the header.

    The last column is not padded, so that a line has no blanks at its end but those of its text.
    """
    if not rows:
        return ""
    columns = max(len(row) for row in rows)
    widths = [
        max(_MINIMUM, _PADDING + max(len(row[column]) for row in rows if column < len(row)))
        for column in range(columns)
    ]
    lines = []
    for row in rows:
        cells = [cell.ljust(widths[column]) for column, cell in enumerate(row[:-1])]
        lines.append("".join([*cells, row[-1] if row else ""]) + "\n")
    return "".join(lines)
