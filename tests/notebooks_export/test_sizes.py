from __future__ import annotations

import base64
import io
import random

import nbformat
import pytest
from PIL import Image

from kernel_manager import UsageError
from notebooks_export import to_notebook
from notebooks_export.notebook import notebook_bytes
from notebooks_export.shrinking import smaller
from notebooks_export.sizes import fit, without_figures, without_outputs
from tests.notebooks_export.making import FIGURE, PNG, cell, code_cells, printed, session


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
    assert "1 output shortened" in told[0]


def drawn(form: str = "PNG", side: int = 900, number: int = 0) -> dict[str, object]:
    """A figure of lines and noise, as large as its kind allows."""
    noise = Image.frombytes("RGB", (side, side // 10), random.Random(number).randbytes(side * (side // 10) * 3))
    image = Image.new("RGB", (side, side), "white")
    image.paste(noise, (0, side // 2))
    stream = io.BytesIO()
    image.save(stream, form)
    data = {f"image/{form.lower()}": base64.b64encode(stream.getvalue()).decode(), "text/plain": "<Figure>"}
    return {"output_type": "display_data", "data": data, "metadata": {}}


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_figures_are_made_smaller_before_any_goes_and_are_shown_as_large_as_before(form: str) -> None:
    nb = to_notebook(session(cell(1, "x", drawn(form)), cell(2, "y", FIGURE)))
    limit = len(notebook_bytes(nb)) * 6 // 10
    told = fit(nb, limit)
    assert len(notebook_bytes(nb)) <= limit
    nbformat.validate(nb)
    assert told[0].endswith(": 1 figure made smaller.")
    (output,) = code_cells(nb)[0].outputs
    mime = f"image/{form.lower()}"
    assert output.metadata[mime] == {"width": 900, "height": 900}
    with Image.open(io.BytesIO(base64.b64decode(output.data[mime]))) as image:
        assert image.format == form
        assert 560 <= image.width <= 900
        pixel = image.convert("RGBA").getpixel((5, 5))
        assert isinstance(pixel, tuple)
        assert min(pixel) >= 250
    assert code_cells(nb)[1].outputs[0].data == FIGURE["data"]


def test_figures_that_are_not_small_enough_even_then_go() -> None:
    nb = to_notebook(session(*(cell(number, "x", drawn(number=number)) for number in range(1, 4))))
    (told,) = fit(nb, 70_000)
    assert len(notebook_bytes(nb)) <= 70_000
    assert "figures made smaller, " in told or "figure made smaller, " in told
    assert "left out" in told


@pytest.mark.parametrize("content", [b"", b"no picture", base64.b64decode(PNG)[:40], b"\x89PNG\r\n\x1a\n" + bytes(9_000)])
def test_what_is_no_picture_is_not_made_smaller(content: bytes) -> None:
    assert smaller("image/png", base64.b64encode(content).decode(), 500) is None
    assert smaller("image/png", "é", 500) is None
    assert smaller("image/svg+xml", "<svg/>", 500) is None


def test_a_small_file_that_is_a_huge_picture_is_not_opened() -> None:
    stream = io.BytesIO()
    Image.new("1", (4_000, 4_000)).save(stream, "PNG")
    assert smaller("image/png", base64.b64encode(stream.getvalue()).decode(), 500) is None


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
