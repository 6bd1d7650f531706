from __future__ import annotations

from notebooks_export import to_notebook
from notebooks_export.cleaning import superseded, without_effect
from tests.notebooks_export.making import cell, printed, session, shown


def ids(*numbers: int) -> set[str]:
    return {f"{number:012x}" for number in numbers}


def test_a_failure_that_a_later_attempt_made_good_is_superseded() -> None:
    cells = [
        cell(1, "total = sum(values\nprint(total)", status="error"),
        cell(2, "total = sum(value)\nprint(total)", status="error"),
        cell(3, "total = sum(values)\nprint(total)"),
    ]
    assert superseded(cells) == ids(1, 2)


def test_what_was_no_python_had_no_effect() -> None:
    errors: list[dict[str, object]] = [
        {"output_type": "error", "ename": name, "evalue": "", "traceback": []} for name in ("SyntaxError", "NameError")
    ]
    assert without_effect(
        [cell(1, "f(", errors[0], status="error"), cell(2, "x", errors[1], status="error"), cell(3, "f()")]
    ) == ids(1)


def test_a_failure_without_a_later_attempt_stays() -> None:
    assert superseded([cell(1, "1 / 0", status="error"), cell(2, "import pandas as pd\ndf = pd.DataFrame()")]) == set()
    assert superseded([cell(1, "x = f(1)"), cell(2, "x = f(1)", status="error")]) == set()


def test_a_repetition_with_the_same_outputs_is_superseded_and_one_with_others_is_not() -> None:
    same = [cell(1, "df.head()", shown("a", text_html="<b>")), cell(2, "df.head() ", shown("a", text_html="<b>"))]
    assert superseded(same) == ids(1)
    assert superseded([cell(1, "x += 1\nx", shown("1")), cell(2, "x += 1\nx", shown("2"))]) == set()
    assert superseded([cell(1, "x += 1"), cell(2, "x += 1")]) == set()


def test_a_cell_that_was_not_run_is_neither() -> None:
    assert superseded([cell(1, "a", status=None, source="import"), cell(2, "a", printed("x"))]) == set()


def test_superseded_cells_are_folded_and_can_be_dropped() -> None:
    history = session(cell(1, "f(x", status="error"), cell(2, "f(x)"))
    folded = to_notebook(history).cells[1]
    assert folded.metadata.jupyter == {"source_hidden": True, "outputs_hidden": True}
    assert "superseded" in folded.metadata.tags
    assert [item.id for item in to_notebook(history, dropped=ids(1)).cells] == ["title", "000000000002"]
