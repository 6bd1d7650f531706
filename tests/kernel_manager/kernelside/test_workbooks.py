"""Workbooks as people make them, by ``load_file``."""

from __future__ import annotations

import pytest

from tests.kernel_manager.kernelside.loading import FRAME, Answer, Kernel


def opened(kernel: Kernel, rows: str, more: str = "", arguments: str = "") -> Answer:
    """What opens of a workbook whose first sheet has ``rows``."""
    setup = f"""
import datetime as dt, openpyxl
book = openpyxl.Workbook()
sheet = book.active
for row in {rows}:
    sheet.append(row)
{more}
book.save("a.xlsx")
"""
    answer = kernel.run(f"{FRAME}(load_file('a.xlsx'{arguments}))", setup)
    assert answer.error is None, answer.message
    return answer


def test_what_is_plain_comes_as_pandas_has_it(kernel: Kernel) -> None:
    setup = """
import datetime as dt, openpyxl, pandas as pd
sheet = (book := openpyxl.Workbook()).active
sheet.append(["i", "f", "mix", "day", "when", "time", "long", "b", "maybe", "digits", "na", "gap", "big", "both", 2020])
for n in range(6):
    day = dt.datetime(2024, 1, n + 1, n)
    mixed = ["x" if n % 2 else n, day.date(), day, day.time(), dt.timedelta(hours=30 + n), n > 2, n == 1 or None]
    gaps = ["NA" if n else "y", n if n != 1 else None, 2**40 + n, day if n % 2 else day.date()]
    sheet.append([n, n + .5, *mixed, str(n), *gaps, n])
book.save("a.xlsx")
ours, plain = load_file("a.xlsx"), pd.read_excel("a.xlsx", engine="calamine")
pd.testing.assert_frame_equal(ours, plain)
"""
    assert kernel.value("len(ours)", setup) == 6


def test_a_title_and_what_is_empty_around_the_table_are_left_out(kernel: Kernel) -> None:
    answer = opened(kernel, "[['Report 2024'], [], [None, 'region', 'n', 'x'], [None, 'north', 1, 2.5], [None, 'south', 2, 3]]")
    shifted = opened(kernel, "[[], [], [None, None, 'a', 'b'], [None, None, 1, 'x']]")

    columns = answer.value[0]
    assert (columns["region"], columns["n"], columns["x"]) == (["north", "south"], [1, 2], [2.5, 3.0])
    assert "the 2 line(s) above the table were left out ('Report 2024'…)" in answer.notes
    assert shifted.value[0] == {"a": [1], "b": ["x"]}


def test_numbers_above_numbers_are_no_header(kernel: Kernel) -> None:
    answer = opened(kernel, "[[1, 2.5], [3, 4.5]]")

    assert answer.value[0] == {"0": [1, 3], "1": [2.5, 4.5]}
    assert "it has no header line" in answer.notes


def test_digits_that_are_text_keep_their_zeros_and_their_last_digits(kernel: Kernel) -> None:
    answer = opened(kernel, "[['zip', 'user', 'n'], ['02139', '123456789012345678', '7'], [10001, None, '8']]")

    columns, types = answer.value
    assert columns["zip"] == ["02139", "10001"]
    assert columns["user"][0] == 123456789012345678
    assert (types["user"], types["n"]) == ("Int64", "int64")
    assert "leading zeros are kept as text in zip" in answer.notes


def test_the_first_sheet_that_holds_something_opens(kernel: Kernel) -> None:
    answer = opened(kernel, "[]", "book.create_sheet('Data').append(['a']); book['Data'].append([1])")

    assert answer.value[0] == {"a": [1]}
    assert "this is sheet 'Data'; others: 'Sheet'" in answer.notes


def test_a_workbook_of_empty_sheets_is_empty_and_says_so(kernel: Kernel) -> None:
    answer = opened(kernel, "[]")

    assert answer.value[0] == {}
    assert "its sheets are empty" in answer.notes


def test_options_of_pandas_read_the_sheet_as_it_is(kernel: Kernel) -> None:
    answer = opened(kernel, "[['Report'], ['a', 'b', 'c'], [1, 2, 3]]", arguments=", header=None, nrows=2")

    assert answer.value[0]["0"] == ["Report", "a"]


def test_a_cell_far_from_the_others_ends_in_an_error_and_not_in_the_kernels_death(kernel: Kernel) -> None:
    opened(kernel, "[['a'], [1]]", "sheet['XFD1048576'] = 1; book.save('far.xlsx'); del sheet['XFD1048576']")

    answer = kernel.run("load_file('far.xlsx')")

    assert answer.error is not None
    assert answer.error[0] == "UnreadableFileError"
    assert "its cells reach over 1,048,576 rows and 16,384 columns" in answer.message


@pytest.mark.parametrize(
    ("sheet", "modest"),
    [
        ('<row r="1"><c r="A1"/></row><row r="2000000"><c r="B2000000"/></row>', False),
        ('<row r="1"><c r="A1"/></row><row r="70000"><c r="Z70000"/></row>', True),
        ('<row r="1"><c r="A1"/><c r="XFD1"/></row><row r="200"/>', False),
        ('<row r="1"><c r="A1"/><c r="A900000"/></row>', False),
        ("<row r='1'><c r='A1'/></row>", None),
    ],
)
def test_how_far_cells_reach_is_told_without_reading_them(kernel: Kernel, sheet: str, modest: bool | None) -> None:
    setup = f"""
import pathlib, zipfile
from kernelside.loaders.sheet_extent import largest_extent
from kernelside.loaders.source import Source
with zipfile.ZipFile("a.xlsx", "w") as archive:
    archive.writestr("xl/workbook.xml", "<workbook/>")
    archive.writestr("xl/worksheets/sheet1.xml", {sheet!r} )
extent = largest_extent(Source(pathlib.Path("a.xlsx"), "a.xlsx"))
"""
    assert kernel.value("extent and extent.is_modest", setup) is modest


def test_a_sheet_longer_than_one_block_is_looked_at_to_its_end(kernel: Kernel) -> None:
    setup = """
import pathlib, zipfile
from kernelside.loaders.sheet_extent import largest_extent
from kernelside.loaders.source import Source
filler = '<row r="1"><c r="A1"/>' + ' ' * (4 << 20)
with zipfile.ZipFile("a.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("xl/workbook.xml", "<workbook/>")
    archive.writestr("xl/worksheets/sheet1.xml", filler[:(4 << 20) - 5] + '<c r="XFD1048576"/></row>')
extent = largest_extent(Source(pathlib.Path("a.xlsx"), "a.xlsx"))
"""
    assert kernel.value("[extent.rows, extent.columns]", setup) == [1048576, 16384]
