"""A notebook as a Python script in the percent format, which editors know and jupytext defines. Outputs are not in it."""

from __future__ import annotations

import nbformat
from nbformat import NotebookNode

#: What a script tells of a notebook and of a cell; times and the like would be noise in it.
_KEPT = ("kernelspec", "language_info")
_KEPT_OF_CELL = ("tags",)


def to_percent(nb: NotebookNode) -> str:
    """The script; magics are comments in it, so that it is Python."""
    import jupytext  # what no other form needs, and every start would pay for

    script: str = jupytext.writes(_bare(nb), "py:percent")
    return script


def _bare(nb: NotebookNode) -> NotebookNode:
    """The notebook without outputs and without most of what its metadata say."""
    bare: NotebookNode = nbformat.from_dict(  # type: ignore[no-untyped-call]
        {
            "nbformat": nb.nbformat,
            "nbformat_minor": nb.nbformat_minor,
            "metadata": _only(nb.metadata, _KEPT),
            "cells": [_bare_cell(cell) for cell in nb.cells],
        }
    )
    return bare


def _bare_cell(cell: NotebookNode) -> dict[str, object]:
    outputs: dict[str, object] = {"outputs": [], "execution_count": None} if cell.cell_type == "code" else {}
    return {
        "id": cell.id,
        "cell_type": cell.cell_type,
        "source": cell.source,
        "metadata": _only(cell.metadata, _KEPT_OF_CELL),
        **outputs,
    }


def _only(metadata: NotebookNode, names: tuple[str, ...]) -> dict[str, object]:
    return {name: metadata[name] for name in names if name in metadata}
