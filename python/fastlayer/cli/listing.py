"""Lists as docker prints them: aligned tables with a header, templates, or JSON a line.

::

    render(rows, headers={"ID": "IMAGE ID", …}, table="{{.ID}}\\t{{.Size}}", form=form)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fastlayer.cli.go_value import Record, json_text
from fastlayer.cli.table import format_table
from fastlayer.cli.template import Template

_ESCAPES = (("\\t", "\t"), ("\\n", "\n"))


def render(
    rows: Iterable[Mapping[str, object]],
    *,
    headers: Mapping[str, str],
    table: str,
    form: str | None = None,
) -> str:
    """The text of a list, each line ended.

    Parameters
    ----------
    rows:
        What is listed: for each its fields.
    headers:
        The header of every field.
    table:
        The template of the default table, columns separated by tabs.
    form:
        What ``--format`` says: a template, ``table``, ``table TEMPLATE``, ``json``, or None.

    Raises
    ------
    UsageError
        A template that is none, or names no field.
    """
    form = "table" if form is None else form.strip()
    if form == "json":
        return "".join(json_text(dict(sorted(row.items()))) + "\n" for row in rows)
    text, is_table = form, False
    if form == "table" or form.startswith(("table ", "table\t", "table\\t", "table{")):
        is_table = True
        text = form.removeprefix("table").strip() or table
    for escape, character in _ESCAPES:
        text = text.replace(escape, character)
    template = Template(text)
    lines = [template.render(Record(row, strict=True)) for row in rows]
    if not is_table:
        return "".join(line + "\n" for line in lines)
    header = template.render(Record(headers, strict=True))
    cells = [line.split("\t") for whole in [header, *lines] for line in whole.split("\n")]
    return format_table(cells)
