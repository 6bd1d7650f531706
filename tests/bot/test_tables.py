from __future__ import annotations

import io

from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bot.table_picture import MAX_WIDTH, table_png
from bot.tables import WIDTH, columns_of, shown_table, table_of


def html(*rows: tuple[str, ...]) -> str:
    return "<table>" + "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows) + "</table>"


def size(png: bytes | None) -> tuple[int, int]:
    assert png is not None
    with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
        image.load()
        return image.size


def test_a_small_table_is_text() -> None:
    table = shown_table(html(("", "carat"), ("0", "0.23"), ("1", "0.21")))
    assert table is not None
    assert (table.text, table.csv, table.png) == ("  carat\n0  0.23\n1  0.21", None, None)


def test_a_wide_table_is_a_picture_and_a_csv() -> None:
    rows = [tuple(f"column {n}" for n in range(9)), tuple(str(n) for n in range(9))]
    table = shown_table(html(*rows) + "<p>1 rows × 9 columns</p>")
    assert table is not None
    assert table.text == "1 rows × 9 columns"
    assert table.csv is not None
    assert table.csv.decode().splitlines()[1] == "0,1,2,3,4,5,6,7,8"
    width, height = size(table.png)
    assert height < 150 < 800 < width <= MAX_WIDTH


def test_a_long_table_is_text_and_a_csv() -> None:
    table = table_of([("n", "x"), *((str(n), "1") for n in range(100))])
    assert table.text.splitlines()[-1] == "… 75 more rows"
    assert (table.csv or b"").count(b"\n") == 101
    assert table.png is None


def test_a_table_with_letters_that_no_font_has_is_cut_to_what_fits() -> None:
    table = table_of([tuple("\U0001f9ff列" * 4 for _ in range(9))])
    assert table.png is None
    assert table.csv is not None
    assert table.text.endswith("more columns")
    assert max(map(columns_of, table.text.splitlines())) <= WIDTH


def test_a_smiley_spoils_no_picture() -> None:
    assert table_png([["a long column name " * 2] * 3, ["many words and one \U0001f9ff"] * 3]) is not None


def test_a_picture_is_bounded_whatever_the_table() -> None:
    width, height = size(table_png([[("W" * 1_000) for _ in range(500)] for _ in range(500)]))
    assert width <= MAX_WIDTH
    assert height < 1_300


def test_rows_of_different_lengths_are_one_table() -> None:
    assert table_of([("a", "b"), ("1",)]).text == "a b\n1  "


CELLS = st.lists(st.lists(st.text(max_size=30), min_size=1, max_size=12), min_size=1, max_size=4)


@settings(max_examples=40, deadline=None)
@given(CELLS)
def test_whatever_stands_in_cells_keeps_to_the_width(rows: list[list[str]]) -> None:
    table = table_of([[" ".join(cell.split()) for cell in row] for row in rows])
    assert table.png is not None or all(columns_of(line) <= WIDTH for line in table.text.split("\n"))


def test_a_table_that_leaves_out_rows_or_columns_is_partial() -> None:
    assert shown_table(html(("", "a"), ("0", "1"), ("...", "..."), ("9", "2"))).partial  # type: ignore[union-attr]
    assert shown_table(html(("", "a", "...", "z"), ("0", "1", "...", "2"))).partial  # type: ignore[union-attr]
    assert not shown_table(html(("", "a"), ("0", "..."))).partial  # type: ignore[union-attr]
