"""Lists as docker prints them: aligned tables with a header, templates, or JSON a line.

::

    render(rows, headers={"ID": "IMAGE ID", …}, table="{{.ID}}\\t{{.Size}}", form=form)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from fastlayer.cli.go_value import Record, json_text, print_text
from fastlayer.cli.table import format_table

_FIELDS = re.compile(r"(?:\{\{\.\w+\}\}(?:\t|$))+")
_FIELD = re.compile(r"\.(\w+)")
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
    line_of = _fields_of(text) if _FIELDS.fullmatch(text) and text == table else _template_of(text)
    lines = [line_of(row) for row in rows]
    if not is_table:
        return "".join(line + "\n" for line in lines)
    cells = [line.split("\t") for whole in [line_of(headers), *lines] for line in whole.split("\n")]
    return format_table(cells)


def _template_of(text: str) -> Callable[[Mapping[str, object]], str]:
    # Templates are imported for those who write them: the default tables come without.
    from fastlayer.cli.template import Template

    template = Template(text)
    return lambda row: template.render(Record(row, strict=True))


def _fields_of(text: str) -> Callable[[Mapping[str, object]], str]:
    """The same for a template of fields and tabs alone."""
    names = _FIELD.findall(text)
    return lambda row: "\t".join(print_text(row[name]) for name in names)
