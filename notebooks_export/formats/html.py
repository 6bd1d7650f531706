"""A notebook as one HTML page that loads nothing and runs nothing, made for phones as well."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from html import escape
from importlib import resources
from typing import Any

from markdown_it import MarkdownIt
from nbformat import NotebookNode
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from notebooks_export.cells import joined
from notebooks_export.formats.markdown import folded_label, picture_of, plain_text
from notebooks_export.formats.sanitising import harmless
from notebooks_export.formats.words import alternative, formula, visible_html

#: Nothing runs, nothing is loaded, even if something got through.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_MAX_HIGHLIGHTED = 200_000


def to_html(nb: NotebookNode, title: str) -> str:
    """The page."""
    render = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    body = "\n".join(part for cell in nb.cells for part in _cell(cell, render))
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>\n{_style()}</style>",
            "</head>",
            "<body>",
            "<main>",
            body,
            "</main>",
            "</body>",
            "</html>\n",
        ]
    )


def _style() -> str:
    own = resources.files("notebooks_export").joinpath("templates", "page.css").read_text(encoding="utf-8")
    light = _formatter("default").get_style_defs(".code")  # type: ignore[no-untyped-call]
    dark = _formatter("github-dark").get_style_defs(".code")  # type: ignore[no-untyped-call]
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n{own}"


def _formatter(style: str) -> HtmlFormatter[str]:
    return HtmlFormatter(nowrap=True, style=style)


def _cell(cell: NotebookNode, render: MarkdownIt) -> Iterator[str]:
    if cell.cell_type == "markdown":
        yield f'<section class="text">{harmless(render.render(cell.source))}</section>'
    elif cell.cell_type == "code":
        content = "\n".join(_code_cell(cell, render))
        label = folded_label(cell)
        yield f"<details><summary>{label}</summary>\n{content}\n</details>" if label else content


def _code_cell(cell: NotebookNode, render: MarkdownIt) -> Iterator[str]:
    count = "" if cell.execution_count is None else f'<span class="count">{cell.execution_count}</span>'
    yield f'<section class="cell">{count}<pre class="code">{_highlighted(cell.source)}</pre>'
    for output in cell.outputs:
        yield _output(output, render)
    yield "</section>"


def _highlighted(code: str) -> str:
    if len(code) > _MAX_HIGHLIGHTED:
        return escape(code)
    return highlight(code, PythonLexer(stripnl=False), _formatter("default"))


def _output(output: Mapping[str, Any], render: MarkdownIt) -> str:
    match output["output_type"]:
        case "stream":
            return _pre(joined(output["text"]), str(output["name"]))
        case "error":
            return _pre("\n".join(output["traceback"]) or f"{output['ename']}: {output['evalue']}", "error")
        case _:
            return _display(output.get("data", {}), output.get("metadata", {}), render)


def _display(data: Mapping[str, Any], metadata: Mapping[str, Any], render: MarkdownIt) -> str:
    if (picture := picture_of(data)) is not None:
        mime, content = picture
        shown = f"data:{mime};base64,{base64.b64encode(content).decode()}"
        return f'<figure><img alt="{escape(alternative(metadata))}" src="{shown}"></figure>'
    if "text/html" in data:
        html = visible_html(data)
        return "" if html is None else f'<div class="output html">{html}</div>'
    if "text/markdown" in data:
        return f'<div class="output html">{harmless(render.render(joined(data["text/markdown"])))}</div>'
    text = formula(data) or data.get("text/plain", data.get("text/latex"))
    return _pre(joined(text) if text is not None else f"[{', '.join(data) or 'nothing'} cannot be shown here]", "result")


def _pre(text: str, kind: str) -> str:
    return f'<pre class="output {kind}">{escape(plain_text(text))}</pre>'
