from __future__ import annotations

import base64
import random

import nbformat
import pytest

from kernel_manager import UsageError
from notebooks_export import to_notebook
from notebooks_export.notebook import notebook_bytes
from notebooks_export.sizes import fit, without_figures, without_outputs
from tests.notebooks_export.making import FIGURE, cell, code_cells, printed, session


def figure(size: int, number: int = 0) -> dict[str, object]:
    content = base64.b64encode(random.Random(number).randbytes(size)).decode()
    return {"output_type": "display_data", "data": {"image/png": content, "text/plain": "<Figure>"}, "metadata": {}}


def test_what_fits_stays_as_it_is() -> None:
    nb = to_notebook(session(cell(1, "x", figure(1000))))
    before = notebook_bytes(nb)
    assert fit(nb, len(before)) == []
    assert notebook_bytes(nb) == before


def test_the_largest_figures_go_first_and_their_places_say_so() -> None:
    nb = to_notebook(session(*(cell(number, "x", figure(number * 20_000, number)) for number in (1, 3, 2))))
    told = fit(nb, 60_000)
    assert len(notebook_bytes(nb)) <= 60_000
    nbformat.validate(nb)
    kept = ["data" in item.outputs[0] for item in code_cells(nb)]
    assert kept == [True, False, False]
    assert code_cells(nb)[1].outputs[0].text == "[a figure of 80.1 kB was left out to fit the size]\n"
    assert told[0].startswith("To fit 60.0 kB (of 0.2 MB): 2 figures left out")


def test_long_texts_are_cut_before_figures_go() -> None:
    nb = to_notebook(session(cell(1, "x", printed("line\n" * 20_000)), cell(2, "y", figure(20_000))))
    told = fit(nb, 60_000)
    text = code_cells(nb)[0].outputs[0].text
    assert text.startswith("line\nline\n")
    assert text.endswith("line\n")
    assert "92,000 characters left out" in text
    assert "data" in code_cells(nb)[1].outputs[0]
    assert "1 outputs shortened" in told[0]


def test_second_versions_of_figures_go_first() -> None:
    both = figure(5_000)
    both["data"] = {**both["data"], "image/svg+xml": "<svg>" + "x" * 50_000}  # type: ignore[dict-item]
    nb = to_notebook(session(cell(1, "x", both)))
    fit(nb, 30_000)
    assert set(code_cells(nb)[0].outputs[0].data) == {"image/png", "text/plain"}


def test_many_small_outputs_go_all_together() -> None:
    nb = to_notebook(session(cell(1, "x", *(printed("ab" * 100, name) for name in ("stdout", "stderr") * 200))))
    assert "other outputs left out" in fit(nb, 25_000)[0]
    assert code_cells(nb)[0].outputs == []


def test_code_that_is_too_long_is_refused_in_one_line() -> None:
    nb = to_notebook(session(cell(1, "x = 1\n" * 20_000)))
    with pytest.raises(UsageError, match=r"has 0\.3 MB without any output, more than the 30\.0 kB"):
        fit(nb, 30_000)


def test_outputs_or_figures_can_be_left_out_as_asked() -> None:
    history = session(cell(1, "x", printed("a"), FIGURE), cell(2, "y", FIGURE))
    nb = to_notebook(history)
    assert without_figures(nb) == ["Left out as asked: 2 figures."]
    assert [output.output_type for item in code_cells(nb) for output in item.outputs] == ["stream", "stream", "stream"]
    nbformat.validate(nb)
    nb = to_notebook(history)
    assert without_outputs(nb) == ["Left out as asked: 3 outputs."]
    assert [item.outputs for item in code_cells(nb)] == [[], []]
