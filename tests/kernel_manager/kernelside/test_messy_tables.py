"""Delimited text as it is found in the wild, by ``load_file``: what is right, and what is at least said."""

from __future__ import annotations

import pytest

from kernel_manager.kernelside.loaders.text_columns import date_form
from tests.kernel_manager.kernelside.loading import Kernel


def test_comments_above_a_table_are_left_out_however_many_commas_they_have(kernel: Kernel) -> None:
    columns, _, notes = kernel.table("a.csv", "# exported by tool\n# date: 2024-01-01, user: me\n#\nid,temp\n1,20.5\n2,21\n")

    assert columns == {"id": [1, 2], "temp": [20.5, 21.0]}
    assert "the 3 line(s) above the table were left out" in notes


def test_the_last_of_several_comments_may_be_the_header(kernel: Kernel) -> None:
    assert kernel.table("a.tsv", "## made by me\n#chrom\tname\nchr1\tx\nchr2\ty\n")[0] == {
        "#chrom": ["chr1", "chr2"],
        "name": ["x", "y"],
    }


@pytest.mark.parametrize("first", ["1,Ann,3.5", "7,Ann,2024-01-01", "3,Ann,2"])
def test_a_first_line_with_numbers_where_the_others_have_them_is_data(kernel: Kernel, first: str) -> None:
    columns, _, notes = kernel.table("a.csv", f"{first}\n{first}\n{first}\n")

    assert columns["1"] == ["Ann"] * 3
    assert "it has no header line" in notes


@pytest.mark.parametrize("header", ["region,2020,2021", "dose,0.1,0.5", "name,1,2", "id,x,5", ",1,7"])
def test_a_first_line_that_may_be_names_is_the_header(kernel: Kernel, header: str) -> None:
    assert len(kernel.table("a.csv", f"{header}\na,7,8\nb,7,9\n")[0][header.split(",")[2]]) == 2


@pytest.mark.parametrize("second", ["s,degC,hPa", ",degC,hPa", "region,q1,q2"])
def test_units_and_second_headers_are_said(kernel: Kernel, second: str) -> None:
    notes = kernel.table("a.csv", f"a,b,c\n{second}\n0,20.1,1013\n1,20.2,1012\n")[2]

    assert "the line below its names is text above numbers" in notes


@pytest.mark.parametrize("second", ["n/a,-,?", "NA,,1"])
def test_missing_values_below_the_names_are_no_second_header(kernel: Kernel, second: str) -> None:
    assert "the line below its names" not in kernel.table("a.csv", f"a,b,c\n{second}\n0,20.1,1013\n1,20.2,1012\n")[2]


def test_a_table_is_not_taken_for_one_column_because_of_one_bad_row(kernel: Kernel) -> None:
    assert "a quoted field that begins in row 1 never ends" in kernel.failure("a.csv", 'id,size,x\n1,"5 inch,3\n2,7 inch,4\n')
    assert "line 3 has 4 fields where 3 were expected" in kernel.failure(
        "b.csv", "id;text;n\n2;a, b, c;3\n1;hello, world; this;2\n"
    )


def test_fields_beyond_the_names_are_said_though_only_one_row_has_them(kernel: Kernel) -> None:
    assert "the first became the index" in kernel.table("a.csv", "id;text;n\n1;hello, world; this;2\n")[2]


def test_rows_with_too_few_fields_are_counted(kernel: Kernel) -> None:
    notes = kernel.table("a.csv", "name,amount\nA,10\nB,20\nTotal,30\n\nSource: accounting\n")[2]

    assert "1 of its rows have fewer fields than there are names" in notes


@pytest.mark.parametrize("mark", ["\u00a0", "\u202f", "'", "’", " ", "."])
def test_thousands_are_read_whatever_groups_them(kernel: Kernel, mark: str) -> None:
    columns, _, notes = kernel.table("a.csv", f"city;people\nParis;2{mark}161{mark}000\nLyon;513{mark}275\n")

    assert columns["people"] == [2161000, 513275]
    assert "thousands separators were taken out of people" in notes


def test_thousands_between_gaps_have_decimal_commas(kernel: Kernel) -> None:
    assert kernel.table("a.csv", "a;b\n1\u202f234,50;x\n12,00;y\n")[0]["a"] == [1234.5, 12.0]


@pytest.mark.parametrize("cells", [["555 123 456", "555 123 457"], ["0151 234", "030 123"], ["10.20.30.40", "192.168.100.200"]])
def test_digits_that_are_no_amounts_stay_text(kernel: Kernel, cells: list[str]) -> None:
    assert kernel.table("a.csv", f"a;b\n{cells[0]};x\n{cells[1]};y\n")[0]["a"] == cells


def test_a_point_that_may_be_thousands_is_said(kernel: Kernel) -> None:
    columns, _, notes = kernel.table("a.csv", "a;b\n3.645;x\n709;y\n")

    assert columns["a"] == [3.645, 709.0]
    assert "the point in '3.645' is taken for a decimal sign; decimal=',', thousands='.' take it for thousands" in notes
    assert kernel.table("b.csv", "a;b\n3.645;x\n709;y\n", ", decimal=',', thousands='.'")[0]["a"] == [3645, 709]


@pytest.mark.parametrize(
    "cells", [["$1.50", "$3.25"], ["1,50 €", "1.200,00 €"], ["10%", "5.5%"], ["(100.50)", "200"], ["12,5-", "7,0"]]
)
def test_amounts_that_stay_text_are_said(kernel: Kernel, cells: list[str]) -> None:
    columns, _, notes = kernel.table("a.csv", f"a;b\n{cells[0]};x\n{cells[1]};y\n")

    assert columns["a"] == cells
    assert f"a: amounts like {cells[0]!r} stay text" in notes


def test_dates_that_stay_text_are_said_with_their_format(kernel: Kernel) -> None:
    notes = kernel.table("a.csv", "when;v\n01.02.2024;1\n12.03.2024;2\n")[2]

    assert "when: dates as text; pd.to_datetime(df[…], format='%d.%m.%Y') makes dates of them" in notes


@pytest.mark.parametrize(
    ("cells", "form"),
    [
        (["31.01.2024", "01.02.2024"], "format='%d.%m.%Y'"),
        (["01/31/2024", "02/01/2024"], "format='%m/%d/%Y'"),
        (["31/01/2024", "02/01/2024"], "format='%d/%m/%Y'"),
        (["1/2/24"], "format='%m/%d/%y', or the day first: the values fit both"),
        (["01.02.2024 12:30"], "format='%d.%m.%Y %H:%M'"),
        (["1-2-2024 12:30:05"], "format='%d-%m-%Y %H:%M:%S', or the day first: the values fit both"),
        (["31.12.2024", "12.31.2024"], ""),
        (["31.01.2024", "x"], ""),
        (["31.01.2024", "31/01/2024"], ""),
        (["2024-01-31"], ""),
        ([], ""),
    ],
)
def test_the_form_of_dates_is_told_from_all_of_them(cells: list[str], form: str) -> None:
    assert date_form(cells) == form


@pytest.mark.parametrize(("fields", "reason"), [("a," * 6_000, "5,999 of them alike"), ("x1," * 300_000, "too many for a table")])
def test_a_first_line_without_end_is_refused_at_once(kernel: Kernel, fields: str, reason: str) -> None:
    assert reason in kernel.failure("a.csv", fields)


def test_thousands_of_columns_open(kernel: Kernel) -> None:
    kernel.put("a.csv", ",".join(f"x{n}" for n in range(3000)) + "\n" + ",".join(["1"] * 3000) + "\n")

    assert kernel.value("load_file('a.csv').shape") == [1, 3000]
