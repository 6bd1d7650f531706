"""A notebook as a Python script in the percent format, which editors and jupytext know. Outputs are not in it."""

from __future__ import annotations

import re

from nbformat import NotebookNode

from notebooks_export.cells import one_line

_HEAD = """\
# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---
"""
_MAGIC = re.compile(r"\s*(?:[%!]|\?|[\w.]+\?{1,2}\s*$|[\w., ]+=\s*[%!])")
_MARKER = re.compile(r"\s*#\s*%%")


def to_percent(nb: NotebookNode) -> str:
    """The script; magics are comments in it, so that it is Python."""
    return _HEAD + "".join(f"\n{_cell(cell)}\n" for cell in nb.cells)


def _cell(cell: NotebookNode) -> str:
    if cell.cell_type == "markdown":
        return "# %% [markdown]\n" + "\n".join(f"# {line}".rstrip() for line in _lines(cell.source))
    if cell.cell_type == "raw":
        return "# %% [raw]\n" + "\n".join(f"# {line}".rstrip() for line in _lines(cell.source))
    tags = ", ".join(f'"{one_line(tag)}"' for tag in cell.metadata.get("tags", ()))
    return f"# %%{f' tags=[{tags}]' if tags else ''}\n" + "\n".join(_code(_lines(cell.source)))


def _lines(source: str) -> list[str]:
    # what Python and editors take for the end of a line, others do not
    return re.split("\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]", source)


def _code(lines: list[str]) -> list[str]:
    if lines and lines[0].startswith("%%"):
        return [f"# {line}".rstrip() for line in lines]
    return [f"# {line}" if _MAGIC.match(line) or _MARKER.match(line) else line for line in lines]
