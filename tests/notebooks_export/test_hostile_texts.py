"""Texts that are made to take long: what takes the square of their length would run into the time limit of tests."""

from __future__ import annotations

import pytest

from notebooks_export import to_notebook
from notebooks_export.cleaning import superseded
from notebooks_export.code import imported_names, loads
from notebooks_export.comparison import normal
from notebooks_export.formats.html import to_html
from notebooks_export.formats.sanitising import MAX_NESTING, TOO_MUCH, harmless, harmless_if_active, is_plain_svg
from tests.notebooks_export.making import cell, printed, session, shown

LONG = 400_000

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize(
    "text",
    [
        "1" * LONG,
        "1.," * LONG,
        " " * LONG + "x",
        "[00:00<0, " + "1" * LONG,
        "0x" + "f" * LONG,
        "1 s ± " * LONG,
        "\x1b[" + "0;" * LONG,
    ],
    ids=lambda text: text[:8],
)
def test_outputs_are_compared(text: str) -> None:
    assert normal(text)
    to_html(to_notebook(session(cell(1, "x", printed(text)))), "T")


@pytest.mark.parametrize("text", ["<" + " " * LONG, "<" + "/ " * LONG, "'on" * LONG, "href " * LONG], ids=lambda text: text[:8])
def test_active_parts_are_looked_for(text: str) -> None:
    harmless_if_active(text)
    is_plain_svg(text)


@pytest.mark.parametrize("text", ["<div>" * LONG, "<x>" * LONG + "</y>" * LONG, "<span><ul>" * LONG], ids=lambda text: text[:8])
def test_html_with_elements_in_elements_without_end_is_left_out(text: str) -> None:
    assert harmless(text) == TOO_MUCH
    assert TOO_MUCH in to_html(to_notebook(session(cell(1, "x", shown("x", text_html=text)))), "T")


def test_a_large_table_is_not_left_out() -> None:
    row = "<tr><th>1</th><td>2<br></td></tr>"
    assert harmless(f"<table><tbody>{row * MAX_NESTING}</tbody></table>").count("<td>") == MAX_NESTING


@pytest.mark.parametrize(
    "code", [" " * LONG + "x(", "\n" * LONG + "x(", "a, " * LONG + "(", "import " * LONG + "("], ids=lambda code: repr(code[:8])
)
def test_code_is_looked_at(code: str) -> None:
    assert imported_names(code) <= {"import"}
    assert loads(code) == ([], False)


def test_attempts_are_compared_with_many_later_ones() -> None:
    cells = [cell(number, "a b " * 5_000 + str(number), status="error" if number % 2 else "ok") for number in range(200)]
    assert len(superseded(cells)) == 99
