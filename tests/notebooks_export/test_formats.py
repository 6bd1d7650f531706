from __future__ import annotations

import ast
import asyncio
import re
import sys
import zipfile
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import jupytext
import pytest

from kernel_manager import ServiceError, Settings, UsageError
from kernel_manager.sessions.history import Said
from notebooks_export import Export, ExportOptions, export_history, to_notebook
from notebooks_export.cells import escaped
from notebooks_export.formats import pdf
from notebooks_export.formats.html import POLICY, to_html
from notebooks_export.formats.markdown import plain_text, to_markdown
from notebooks_export.formats.percent import to_percent
from notebooks_export.formats.sanitising import harmless
from notebooks_export.formats.words import INTERACTIVE
from notebooks_export.surroundings import Requirement, Surroundings
from tests.notebooks_export.making import FIGURE, cell, printed, session, shown

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '<img src="https://tracker.example/p.png">',
    '<a href="javascript:alert(1)">x</a>',
    '<iframe src="https://example.org"></iframe>',
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    '<style>@import "https://example.org/x.css"</style>',
    '<div style="background:url(https://example.org/x)">x</div>',
    '<form action="https://example.org"><input name=a><button>x</button></form>',
    '<math><mtext><table><mglyph><style><img src=x onerror="alert(1)">',
    '<a href="data:text/html,<script>alert(1)</script>">x</a>',
    '<meta http-equiv="refresh" content="0;url=https://example.org">',
    '<base href="https://example.org">',
    '<object data="x.swf"></object><embed src="x">',
    "</main></body><script>alert(1)</script>",
    '<img src="data:image/svg+xml;base64,PHN2Zz4=">',
    '<a href="java&#115;cript:alert(1)">x</a>',
    '<a href="javascript&colon;alert(1)">x</a>',
    "<style>b { background: u\\72l(https://example.org/x) }</style><b>x</b>",
]


class Page(HTMLParser):
    """What a browser would act on."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data

    def assert_harmless(self) -> None:
        assert not {"script", "iframe", "object", "embed", "form", "input", "base", "link", "svg", "math"} & set(self.tags)
        assert self.tags.count("meta") <= 3
        for name, value in self.attributes:
            assert not name.startswith("on")
            assert not (name in ("src", "href") and value.lower().startswith(("javascript", "vbscript", "data:text")))
            assert name != "src" or value.startswith("data:image/")


@pytest.mark.parametrize("html", HOSTILE)
def test_hostile_html_is_made_harmless_wherever_it_stands(html: str) -> None:
    Page(harmless(html)).assert_harmless()
    nb = to_notebook(
        session(
            Said("user", html, html),
            cell(1, html, printed(html), shown("x", text_html=html), shown("x", text_markdown=html)),
            cell(2, "x", {"output_type": "error", "ename": html, "evalue": html, "traceback": [html]}),
            cell(3, "x", shown(html), {"output_type": "display_data", "data": {html: html}, "metadata": {}}),
        ),
        title=html,
    )
    page = Page(to_html(nb, html))
    page.assert_harmless()
    assert page.tags.count("main") == 1


def test_a_page_loads_nothing_runs_nothing_and_is_made_for_phones() -> None:
    page = Page(to_html(to_notebook(session(cell(1, "x", FIGURE))), "T"))
    assert ("content", POLICY) in page.attributes
    assert POLICY.startswith("default-src 'none'")
    assert ("content", "width=device-width, initial-scale=1") in page.attributes
    assert [value[:22] for name, value in page.attributes if name == "src"] == ["data:image/png;base64,"]


def test_a_page_shows_conversation_code_tables_and_errors() -> None:
    table = shown("plain", text_html="<style scoped>x</style><table class='dataframe'><tr><td>42</td></tr></table>")
    error = {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["\x1b[31mTrace\x1b[0m <b>"]}
    nb = to_notebook(
        session(Said("user", "Ann", "| a |\n|---|\n| *b* |"), cell(1, "x < 1 # é", table), cell(2, "y", error, status="error"))
    )
    text = to_html(nb, "T")
    page = Page(text)
    assert page.tags.count("table") == 2
    assert "42" in page.text
    assert "Trace <b>" in page.text
    assert "x < 1 # é" in page.text
    assert "plain" not in page.text
    assert re.search(r"<strong>Ann</strong> \(user\):", text)


def test_setup_cells_and_earlier_attempts_are_folded_on_a_page() -> None:
    nb = to_notebook(session(cell(1, "load_file('x')"), cell(2, "f(x", status="error"), cell(3, "f(x)")))
    assert re.findall("<summary>(.*?)</summary>", to_html(nb, "T")) == ["load_file", "An earlier attempt"]


PLOT = {"title": "Sales <2026>", "axes": [{"title": "North", "x": {"label": "month"}, "y": {"label": "*EUR*"}}]}


@pytest.mark.parametrize(
    ("note", "told"),
    [
        (PLOT, "figure: Sales <2026>; North; x is month; y is *EUR*"),
        ({}, "figure"),
        (None, "figure"),
        ({"axes": [5, {"title": 3, "x": [], "y": {"label": None}}], "title": "x" * 10_000}, f"figure: {'x' * 80}"),
    ],
)
def test_a_figure_says_what_it_shows_to_those_who_cannot_see_it(note: object, told: str) -> None:
    nb = to_notebook(session(cell(1, "x", {**FIGURE, "metadata": {"threadbook": {"figure": note}}})))
    assert ("alt", told) in Page(to_html(nb, "T")).attributes
    assert to_markdown(nb, "f").text.endswith(f"\n\n![{escaped(told)}](f/figure-1.png)\n")


def test_what_cannot_be_shown_is_said_and_what_shows_nothing_is_left_out() -> None:
    chart = {"text/html": "<div><script>draw()</script></div>", "application/vnd.plotly.v1+json": {"data": []}}
    library = {"text/html": "<script>window.library = 1</script>"}
    outputs = [{"output_type": "display_data", "data": data, "metadata": {}} for data in (library, chart)]
    nb = to_notebook(session(cell(1, "chart()", *outputs)))
    assert to_html(nb, "T").count(INTERACTIVE) == 1
    assert to_markdown(nb, "f").text.count(INTERACTIVE) == 1


def test_what_has_only_html_or_latex_to_say_is_shown_by_that() -> None:
    table = shown("<IPython.core.display.HTML object>", text_html="<table><tr><td>42<script>x</script></td></tr></table>")
    latex = shown("<IPython.core.display.Latex object>", text_latex="$\\frac{1}{2}$")
    sympy = shown("Integral(x**2, x)", text_latex="$\\int x^{2}\\, dx$")
    nb = to_notebook(session(cell(1, "x", table, latex, sympy)))
    text = to_markdown(nb, "f").text
    assert "<td>42</td>" in text
    assert "\n\n$\\frac{1}{2}$\n\n```text\nIntegral(x**2, x)\n```\n" in text
    page = Page(to_html(nb, "T"))
    assert "42" in page.text
    assert "$\\frac{1}{2}$" in page.text
    assert "Integral(x**2, x)" in page.text
    assert "IPython" not in text + page.text


# Markdown.


def test_setup_cells_are_folded_in_markdown() -> None:
    text = to_markdown(to_notebook(session(cell(1, "load_file('x')"))), "f").text
    assert text.count("<details><summary>load_file</summary>\n\n```python\n") == 1
    assert text.index("</details>") < text.index("```python\nload_file('x')\n```")


def test_markdown_has_code_outputs_and_figures_as_files() -> None:
    nb = to_notebook(
        session(Said("note", "n", "## Heading"), cell(1, "print('```')", printed("```\n"), FIGURE), cell(2, "1", shown("1")))
    )
    document = to_markdown(nb, "s_files")
    assert "\n\n## Heading\n\n````python\nprint('```')\n````\n\n````text\n```\n````\n\n" in document.text
    assert "![figure](s_files/figure-1.png)" in document.text
    assert document.figures["s_files/figure-1.png"].startswith(b"\x89PNG")
    assert document.text.endswith("```text\n1\n```\n")


def test_text_is_shown_as_a_terminal_would_leave_it() -> None:
    assert plain_text("\x1b[31mred\x1b[0m\n10%\r20%\r\n\x07\x1b]0;title\x07x") == "red\n20%\nx"


# Scripts.


@pytest.mark.parametrize(
    "code",
    ["%pip install x\na = 1", "!ls\nfiles = !ls", "%%bash\nls &&\nfoo", "len?", "cat x", "a = 1", "%%time\nf()", ""],
)
def test_a_script_is_python_whatever_the_magics_and_comes_back_as_it_was(code: str) -> None:
    surroundings = Surroundings(requirements=(Requirement("plotly", "7.1.0"),))
    said = Said("user", "Ann", "line\n\nother")
    history = session(said, cell(1, code, printed("x"), status="error"), cell(2, "load_file('a')"))
    nb = to_notebook(history, surroundings=surroundings)
    script = to_percent(nb)
    ast.parse(script)
    back = jupytext.reads(script, "py:percent")
    assert [(item.cell_type, item.source) for item in back.cells] == [(item.cell_type, item.source) for item in nb.cells]
    assert [item.metadata.get("tags") for item in back.cells] == [item.metadata.get("tags") for item in nb.cells]
    assert back.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("code", ["# %% no cell\na = 1", "a = 1\u2028", "a = 1\x0cb = 2", "# ---\n# a: b\n# ---", "f(", "\r\n\r"])
def test_no_code_keeps_a_script_from_being_written(code: str) -> None:
    script = to_percent(to_notebook(session(Said("user", "Ann", code), cell(1, code))))
    assert script.count("# %%") >= 3
    assert jupytext.reads(script, "py:percent").cells[-1].cell_type == "code"


# Files.


async def export(tmp_path: Path, options: ExportOptions) -> Export:
    history = session(cell(1, "x", FIGURE), cell(2, "y", printed("text\n")))
    return await export_history(history, options, Settings(data_dir=tmp_path, environments_dir=tmp_path / "none"), name="s")


async def test_markdown_with_figures_is_one_zip_or_a_file_and_a_folder(tmp_path: Path) -> None:
    made = await export(tmp_path, ExportOptions(format="md"))
    name, content = made.as_one_file()
    assert name == "s.zip"
    assert zipfile.ZipFile(BytesIO(content)).namelist() == ["s.md", "s_files/figure-1.png"]
    made.write(tmp_path / "here.md")
    assert (tmp_path / "s_files" / "figure-1.png").is_file()
    assert "(s_files/figure-1.png)" in (tmp_path / "here.md").read_text()


@pytest.mark.parametrize("form", ["ipynb", "html", "py"])
async def test_other_forms_are_one_file(tmp_path: Path, form: str) -> None:
    made = await export(tmp_path, ExportOptions(format=form))  # type: ignore[arg-type]
    assert made.as_one_file() == (f"s.{form}", made.content)


async def test_what_was_left_out_is_told_in_the_title_and_to_the_caller(tmp_path: Path) -> None:
    made = await export(tmp_path, ExportOptions(figures=False))
    assert made.notes == ("Left out as asked: 1 figure.",)
    assert "Left out as asked: 1 figure." in made.content.decode()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"format": "docx"}, "no format 'docx'"),
        ({"format": "html", "bundle": True}, "a bundle holds a notebook"),
        ({"max_bytes": 10}, "too few"),
    ],
)
def test_options_that_cannot_be_are_refused(values: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        ExportOptions(**values)  # type: ignore[arg-type]


async def test_without_kernels_nothing_is_verified(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="need kernels"):
        await export(tmp_path, ExportOptions(verify=True))


# PDF.


def printer(tmp_path: Path, body: str) -> Path:
    path = tmp_path / "chromium"
    find = "target = [item for item in sys.argv if 'to-pdf' in item][0].partition('=')[2]"
    path.write_text(f"#!{sys.executable}\nimport sys, time, pathlib\n{find}\n{body}\n")
    path.chmod(0o755)
    return path


async def test_a_browser_prints_the_page(tmp_path: Path) -> None:
    body = (
        "page = pathlib.Path(sys.argv[-1].removeprefix('file://')).read_bytes()\npathlib.Path(target).write_bytes(b'%PDF' + page)"
    )
    assert await pdf.to_pdf("<p>é", printer(tmp_path, body)) == b"%PDF" + "<p>é".encode()


async def test_a_machine_without_means_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError, match="install Chromium, or export HTML"):
        await pdf.to_pdf("x")


async def test_a_printer_that_fails_or_hangs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServiceError, match=r"no PDF \(exit status 3\)"):
        await pdf.to_pdf("x", printer(tmp_path, "sys.exit(3)"))
    monkeypatch.setattr(pdf, "_TIMEOUT_S", 0.2)
    with pytest.raises(ServiceError, match=r"longer than 0\.2 s"):
        async with asyncio.timeout(20):
            await pdf.to_pdf("x", printer(tmp_path, "time.sleep(60)"))
