"""Notebooks of ours in the hands of the tools that people open them with."""

from __future__ import annotations

import nbformat
import pytest
from nbconvert import HTMLExporter, MarkdownExporter, PythonExporter, SlidesExporter
from nbconvert.exporters import TemplateExporter

from kernel_manager.sessions.history import Answer, KernelEnded, Said
from notebooks_export import to_notebook
from notebooks_export.notebook import notebook_bytes
from notebooks_export.surroundings import Requirement, Surroundings
from tests.notebooks_export.making import FIGURE, NOON, cell, printed, session, shown

HISTORY = session(
    Said("user", "Ann", "What is in `sales.csv`?", at=NOON),
    cell(1, "name = input('?')\ndf = load_file('sales.csv')\ndf", shown("a", text_html="<table><tr><td>42</td></tr></table>")),
    cell(2, "df.plot()", FIGURE, answers=[Answer("?", "x")]),
    cell(3, "f(", {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["\x1b[31mTrace\x1b[0m"]}, status="error"),
    cell(4, "while True: pass", status="died", state_lost=True),
    KernelEnded("k", "it was idle", state_lost=True),
    cell(5, "f()", printed("text\n"), printed("warning\n", "stderr"), shown("$x$", text_latex="$x$")),
    Said("assistant", "Threadbook", "| a |\n|---|\n| **South** |"),
)


@pytest.mark.parametrize("exporter", [HTMLExporter, MarkdownExporter, PythonExporter, SlidesExporter])
def test_nbconvert_opens_a_notebook_of_everything(exporter: type[TemplateExporter]) -> None:
    surroundings = Surroundings("3.12.4", (Requirement("pandas", "3.1.1"),))
    content = notebook_bytes(to_notebook(HISTORY, surroundings=surroundings))
    nb = nbformat.reads(content.decode(), as_version=4)  # type: ignore[no-untyped-call]
    text, _ = exporter().from_notebook_node(nb)
    assert "sales.csv" in text
    assert "South" in text
    assert ("42" in text) == (exporter is not PythonExporter)
