"""``load_file`` as a kernel has it: its package runs in the kernel environment's Python, its files come from a shelf."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import math
import os
import random
import re
import struct
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.kernel_manager.kernelside.loading import Kernel

# which file


def test_importing_needs_the_standard_library_only(kernel: Kernel) -> None:
    assert [name for name in kernel.value("imported") if not name.startswith(("_virtualenv", "sitecustomize"))] == []


def test_a_file_opens_by_its_name_and_by_its_id(kernel: Kernel) -> None:
    file_id = kernel.put("a.txt", "hello")

    assert kernel.value("load_file('a.txt')") == "hello"
    assert kernel.value(f"load_file({file_id!r})") == "hello"


def test_a_file_that_arrives_while_the_kernel_lives_is_found(kernel: Kernel) -> None:
    assert kernel.run("load_file('late.txt')").error is not None
    kernel.put("late.txt", "here")
    assert kernel.value("load_file('late.txt')") == "here"


def test_of_several_files_with_one_name_the_newest_opens(kernel: Kernel) -> None:
    old = kernel.put("a.txt", "old")
    kernel.put("a.txt", "new")

    assert kernel.value("load_file('a.txt')") == "new"
    assert kernel.value(f"load_file({old!r})") == "old"


def test_the_name_that_a_file_had_before_it_was_made_safe_opens_it(kernel: Kernel) -> None:
    kernel.put("what: now?.txt", "x")

    assert kernel.value("load_file('what: now?.txt')") == "x"
    assert kernel.value("load_file('what_ now_.txt')") == "x"


def test_a_name_longer_than_a_path_can_be_opens_the_file(kernel: Kernel) -> None:
    kernel.put("x" * 600 + ".txt", "long")

    assert kernel.value("load_file('x' * 600 + '.txt')") == "long"


def test_a_decomposed_name_opens_the_file(kernel: Kernel) -> None:
    kernel.put("été.txt", "x")

    assert kernel.value("load_file('e\\u0301te\\u0301.txt')") == "x"


def test_what_code_wrote_in_the_working_folder_opens(kernel: Kernel) -> None:
    (kernel.work / "out").mkdir()
    (kernel.work / "out" / "b.txt").write_text("written")

    assert kernel.value("load_file('out/b.txt')") == "written"
    assert kernel.value("load_file(pathlib.Path('out') / 'b.txt')", "import pathlib") == "written"


def test_a_handed_in_file_wins_over_a_written_one_and_says_so(kernel: Kernel) -> None:
    kernel.put("a.txt", "handed in")
    (kernel.work / "a.txt").write_text("written")

    answer = kernel.run("load_file('a.txt')")

    assert answer.value == "handed in"
    assert "load_file('./a.txt') opens that one" in answer.notes
    assert kernel.value("load_file('./a.txt')") == "written"


def test_an_unknown_name_lists_what_is_there_the_nearest_first(kernel: Kernel) -> None:
    for name in ("zebra.csv", "sales_2024.csv", "notes.md"):
        kernel.put(name, "x")
    (kernel.work / "figure.png").touch()

    answer = kernel.run("load_file('Sales-2024.csv')")

    assert answer.error is not None
    assert answer.error[:2] == ["UnknownFileError", "FileNotFoundError"]
    assert answer.message == "there is no file 'Sales-2024.csv'; there are: sales_2024.csv, notes.md, zebra.csv, figure.png"


def test_the_list_of_what_is_there_is_bounded(kernel: Kernel) -> None:
    for number in range(30):
        (kernel.work / f"{number:02}.txt").touch()

    assert kernel.run("load_file('x')").message.endswith("19.txt and 10 more")


def test_an_unknown_name_among_no_files_says_so(kernel: Kernel) -> None:
    assert "there is no file 'x.csv', nor any other yet" in kernel.run("load_file('x.csv')").message


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 5000])
def test_a_name_that_cannot_be_one_is_unknown(kernel: Kernel, name: str) -> None:
    error = kernel.run(f"load_file({name!r})").error

    assert error is not None
    assert error[0] == "UnknownFileError"


def test_a_listed_file_that_is_gone_is_unknown(kernel: Kernel) -> None:
    kernel.put("a.txt", "x")
    kernel.shelf.path_of(kernel.shelf.entries()[0]).unlink()

    answer = kernel.run("load_file('a.txt')")

    assert answer.error is not None
    assert answer.error[0] == "UnknownFileError"
    assert "hand it in again" in answer.message


def test_folders_and_pipes_are_refused_at_once(kernel: Kernel) -> None:
    (kernel.work / "folder").mkdir()
    os.mkfifo(kernel.work / "pipe")

    assert kernel.run("load_file('folder')").message == "folder is a folder; name a file in it"
    assert kernel.run("load_file('pipe')").message == "pipe is not a regular file"


@pytest.mark.parametrize("index", ["", "[1", '{"files": 3}', '{"files": [{"file_id": "x"}]}'])
def test_a_damaged_index_is_said(kernel: Kernel, index: str) -> None:
    kernel.files.mkdir()
    (kernel.files / "index.json").write_text(index)

    answer = kernel.run("load_file('a.txt')")

    assert answer.error is not None
    assert answer.error[0] == "UnreadableFileError"
    assert "index.json" in answer.message


# the form


def test_plain_forms_are_given_on_request(kernel: Kernel) -> None:
    file_id = kernel.put("a.csv", "a,b\r\n1,2\r\n")

    assert kernel.value("load_file('a.csv', as_='bytes').decode()") == "a,b\r\n1,2\r\n"
    assert kernel.value("load_file('a.csv', as_='text')") == "a,b\n1,2\n"
    assert kernel.value("load_file('a.csv', as_='path')") == str(kernel.files / f"{file_id}-a.csv")
    assert kernel.value("load_file('a.csv', as_='path').read_text()") == "a,b\n1,2\n"


def test_text_of_a_packed_file_is_unpacked_and_its_bytes_are_not(kernel: Kernel) -> None:
    packed = gzip.compress(b"hello")
    kernel.put("a.txt.gz", packed)

    assert kernel.value("load_file('a.txt.gz', as_='text')") == "hello"
    assert kernel.value("load_file('a.txt.gz', as_='bytes').hex()") == packed.hex()


def test_a_form_that_a_file_does_not_have_is_an_error(kernel: Kernel) -> None:
    message = kernel.failure("a.bin", bytes(100), ", as_='text'")

    assert message == "a.bin: it holds binary data, not text; load_file('a.bin', as_='bytes') gives its bytes"


def test_an_unknown_form_is_refused(kernel: Kernel) -> None:
    kernel.put("a.csv", "a\n1\n")

    answer = kernel.run("load_file('a.csv', as_='frame')")

    assert answer.message == "as_='frame': use one of 'bytes', 'text', 'path', 'table'"


def test_options_go_to_what_opens_the_file(kernel: Kernel) -> None:
    columns, _, _ = kernel.table("a.csv", "a,b,c\n1,2,3\n4,5,6\n7,8,9\n", ", usecols=['a', 'c'], nrows=2")

    assert columns == {"a": [1, 4], "c": [3, 6]}


@pytest.mark.parametrize("name", ["a.csv", "a.xlsx", "a.json", "a.txt"])
def test_an_option_that_does_not_exist_is_the_callers_error(kernel: Kernel, name: str) -> None:
    setup = "import pandas as pd; pd.DataFrame({'a': [1]}).to_excel('a.xlsx')"
    (kernel.work / "a.csv").write_text("a,b\n1,2\n")
    (kernel.work / "a.json").write_text("{}")
    (kernel.work / "a.txt").write_text("prose")

    answer = kernel.run(f"load_file({name!r}, sepp=';')", setup)

    assert answer.error is not None
    assert answer.error[0] == "TypeError"
    assert "sepp" in answer.message


def test_a_note_is_said_once(kernel: Kernel) -> None:
    kernel.put("a.csv", "a;b\n1,5;2\n")

    assert kernel.run("load_file('a.csv')").notes.startswith("load_file: a.csv: the comma is taken for the decimal sign")
    assert kernel.run("load_file('a.csv')").notes == ""


# delimited tables


@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a.dat", "a", "a.xyz"])
@pytest.mark.parametrize("sep", [",", ";", "\t", "|"])
def test_the_separator_is_told_from_the_content(kernel: Kernel, name: str, sep: str) -> None:
    columns, types, notes = kernel.table(name, f"id{sep}name\n1{sep}x y\n2{sep}z\n")

    assert columns == {"id": [1, 2], "name": ["x y", "z"]}
    assert types == {"id": "int64", "name": "str"}
    assert notes == ""


def test_a_given_separator_wins(kernel: Kernel) -> None:
    columns, _, _ = kernel.table("a.csv", "a,b;c\nx,y;3\n", ", sep=';'")

    assert columns == {"a,b": ["x,y"], "c": [3]}


def test_text_that_is_asked_for_with_a_separator_is_a_table(kernel: Kernel) -> None:
    columns, _, _ = kernel.table("a.txt", "word/meaning\none/two\n", ", sep='/'")

    assert columns == {"word": ["one"], "meaning": ["two"]}


def test_numbers_in_columns_of_blanks_are_a_table(kernel: Kernel) -> None:
    columns, _, notes = kernel.table("a.dat", " 1.0   2.5\n-3.0  4.5\n")

    assert columns == {"0": [1.0, -3.0], "1": [2.5, 4.5]}
    assert "no header line" in notes


@pytest.mark.parametrize(
    "text",
    [
        "Hello, world\nthis is, a text\nand, more\n",
        "chapter 1\nchapter 2\nchapter 3\n",
        "int a;\nint b;\nint c;\n",
        "one\ntwo\nthree\n",
        "[1] a footnote\n[2] another\n",
        "",
    ],
)
def test_prose_and_code_are_no_table(kernel: Kernel, text: str) -> None:
    kernel.put("a.txt", text)

    assert kernel.value("load_file('a.txt')") == text


def test_the_separator_that_excel_writes_down_is_used(kernel: Kernel) -> None:
    columns, _, notes = kernel.table("a.csv", "sep=;\r\na,b;c\r\n1,5;2\r\n")

    assert columns == {"a,b": [1.5], "c": [2]}
    assert "left out" not in notes


def test_a_separator_within_fields_is_not_taken_for_one_between_them(kernel: Kernel) -> None:
    columns, _, _ = kernel.table("a.csv", "id,tags,n\n" + "".join(f"{n},x;y,2\n" for n in range(60)))

    assert list(columns) == ["id", "tags", "n"]


def test_one_column_of_names_with_commas_stays_one(kernel: Kernel) -> None:
    assert kernel.table("a.csv", "name\nDoe,John\nRoe,Jane\n")[0] == {"name": ["Doe,John", "Roe,Jane"]}


def test_one_column_of_sentences_stays_one(kernel: Kernel) -> None:
    columns, _, _ = kernel.table("a.csv", "text\nHello, you\nfine\nYes, fine\n")

    assert columns == {"text": ["Hello, you", "fine", "Yes, fine"]}


def test_blanks_behind_separators_belong_to_no_field(kernel: Kernel) -> None:
    columns, _, _ = kernel.table("a.csv", 'a, b, c\n1, "x, y", 3\n')

    assert columns == {"a": [1], "b": ["x, y"], "c": [3]}


def test_quoted_line_ends_stay_in_their_field(kernel: Kernel) -> None:
    columns, _, _ = kernel.table("a.csv", 'a,b\n1,"x\ny"\n2,"say ""hi"""\n')

    assert columns == {"a": [1, 2], "b": ["x\ny", 'say "hi"']}


# numbers


def test_a_decimal_comma_is_read_and_said(kernel: Kernel) -> None:
    columns, types, notes = kernel.table("a.csv", "name;price\nx;1,50\ny;22\n")

    assert columns["price"] == [1.5, 22.0]
    assert types["price"] == "float64"
    assert "the comma is taken for the decimal sign ('1,50')" in notes


def test_decimal_commas_without_a_header_do_not_separate(kernel: Kernel) -> None:
    columns, _, _ = kernel.table("a.csv", "1,5;2,5\n3,5;4,5\n")

    assert columns == {"0": [1.5, 3.5], "1": [2.5, 4.5]}


def test_thousands_of_a_bank_statement_are_read_and_its_dates_left_alone(kernel: Kernel) -> None:
    columns, _, notes = kernel.table("a.csv", "Tag;Betrag;IP\n01.02.2024;1.234,56;10.20.30.40\n03.02.2024;-12,50;1.2.3.4\n")

    assert columns["Betrag"] == [1234.56, -12.5]
    assert columns["Tag"] == ["01.02.2024", "03.02.2024"]
    assert columns["IP"] == ["10.20.30.40", "1.2.3.4"]
    assert "thousands separators were taken out of Betrag" in notes


def test_quoted_thousands_are_read(kernel: Kernel) -> None:
    columns, _, _ = kernel.table("a.csv", 'a,b\n1,"1,234.50"\n2,"2,500"\n')

    assert columns["b"] == [1234.5, 2500.0]


@pytest.mark.parametrize("sep", [",", ";"])
@pytest.mark.parametrize(("first", "second"), [("1,234", "2,345"), ("1,2,3", "4,567")])
def test_a_comma_that_may_mean_anything_stays_text_and_is_said(kernel: Kernel, sep: str, first: str, second: str) -> None:
    columns, _, notes = kernel.table("a.csv", f'a{sep}b\n1{sep}"{first}"\n2{sep}"{second}"\n')

    assert columns["b"] == [first, second]
    assert "stay text; decimal=',' or thousands=',' says what their comma means" in notes


def test_a_quoted_comma_between_commas_stays_text_and_is_said(kernel: Kernel) -> None:
    columns, _, notes = kernel.table("a.csv", 'a,b\n1,"1,5"\n2,"2,5"\n')

    assert columns["b"] == ["1,5", "2,5"]
    assert "fields like '1,5' stay text; decimal=',' makes numbers of them" in notes


def test_points_and_commas_in_one_file_are_said(kernel: Kernel) -> None:
    columns, _, notes = kernel.table("a.csv", "a;b\n1,5;2.5\n3,5;2.7\n")

    assert columns == {"a": ["1,5", "3,5"], "b": [2.5, 2.7]}
    assert "decimal=',' reads those" in notes


def test_a_given_decimal_sign_wins(kernel: Kernel) -> None:
    columns, _, notes = kernel.table("a.csv", "a;b\n1,5;x\n", ", decimal='.'")

    assert columns["a"] == ["1,5"]
    assert notes == ""


def test_given_thousands_win(kernel: Kernel) -> None:
    columns, _, notes = kernel.table("a.csv", "a;b\n1,5;1,234\n", ", thousands=','")

    assert columns == {"a": [15], "b": [1234]}
    assert notes == ""


def test_leading_zeros_are_kept_and_said(kernel: Kernel) -> None:
    columns, _, notes = kernel.table("a.csv", "zip,n\n01234,1\n99999,2\n")

    assert columns == {"zip": ["01234", "99999"], "n": [1, 2]}
    assert "leading zeros are kept as text in zip" in notes


def test_a_given_type_wins_over_leading_zeros(kernel: Kernel) -> None:
    columns, _, _ = kernel.table("a.csv", "zip,n\n01234,1\n", ", dtype={'zip': 'int64'}")

    assert columns["zip"] == [1234]


def test_large_integers_and_iso_dates_are_not_changed(kernel: Kernel) -> None:
    columns, _, _ = kernel.table("a.csv", "id,day,hex\n12345678901234567890,2024-01-31,0x1F\n1,2024-02-01,0x20\n")

    assert columns == {"id": [12345678901234567890, 1], "day": ["2024-01-31", "2024-02-01"], "hex": ["0x1F", "0x20"]}


# lines


def test_lines_above_the_table_are_left_out_and_said(kernel: Kernel) -> None:
    columns, _, notes = kernel.table("a.csv", "Report 2024\n\na,b,c\n1,2,3\n4,5,6\n")

    assert columns == {"a": [1, 4], "b": [2, 5], "c": [3, 6]}
    assert "the 2 line(s) above the table were left out ('Report 2024'…); skiprows=0 keeps them" in notes


def test_a_title_that_excel_padded_is_left_out(kernel: Kernel) -> None:
    columns, _, _ = kernel.table("a.csv", "Report,,\n,,\na,b,c\n1,2,3\n4,5,6\n")

    assert columns == {"a": [1, 4], "b": [2, 5], "c": [3, 6]}


def test_comments_above_numbers_are_left_out(kernel: Kernel) -> None:
    columns, _, _ = kernel.table("a.dat", "# x y z\n1 2 3\n4 5 6\n")

    assert columns == {"0": [1, 4], "1": [2, 5], "2": [3, 6]}


def test_a_header_that_begins_like_a_comment_is_one(kernel: Kernel) -> None:
    columns, _, _ = kernel.table("a.tsv", "#chrom\tstart\nchr1\t5\nchr2\t6\n")

    assert columns == {"#chrom": ["chr1", "chr2"], "start": [5, 6]}


def test_given_rows_to_skip_win(kernel: Kernel) -> None:
    columns, _, _ = kernel.table("a.csv", "Report\nx,y,z\na,b,c\n1,2,3\n", ", skiprows=2")

    assert columns == {"a": [1], "b": [2], "c": [3]}


def test_separators_at_line_ends_do_not_shift_the_columns(kernel: Kernel) -> None:
    columns, _, _ = kernel.table("a.csv", "a,b\n1,2,\n3,4,\n")

    assert columns == {"a": [1, 3], "b": [2, 4]}


def test_an_unnamed_first_column_becomes_the_index_and_is_said(kernel: Kernel) -> None:
    kernel.put("a.csv", "a,b\nx,1,2\ny,3,4\n")

    answer = kernel.run("load_file('a.csv').to_dict()")

    assert answer.value == {"a": {"x": 1, "y": 3}, "b": {"x": 2, "y": 4}}
    assert "the first became the index" in answer.notes


def test_a_table_without_a_header_is_told_and_said(kernel: Kernel) -> None:
    columns, _, notes = kernel.table("a.csv", "1,2.5,2024-01-01\n4,5.5,2024-01-02\n")

    assert columns == {"0": [1, 4], "1": [2.5, 5.5], "2": ["2024-01-01", "2024-01-02"]}
    assert "no header line" in notes


@pytest.mark.parametrize("header", ["0,1,2", "2019,2020,2021", ",x,y", "1,x,y"])
def test_a_header_of_numbers_is_a_header(kernel: Kernel, header: str) -> None:
    columns, _, notes = kernel.table("a.csv", f"{header}\n7,8,9\n7,8,9\n")

    assert len(columns[header.split(",")[1]]) == 2
    assert notes == ""


def test_a_table_of_a_header_only_is_empty(kernel: Kernel) -> None:
    assert kernel.table("a.csv", "a,b\n")[0] == {"a": [], "b": []}


def test_a_last_line_that_breaks_off_is_said(kernel: Kernel) -> None:
    columns, _, notes = kernel.table("a.csv", "a,b,c\n1,2,3\n4,5")

    assert columns["a"] == [1, 4]
    assert math.isnan(columns["c"][1])
    assert "its last line has fewer than 3 fields: the file may be cut off" in notes


def test_a_line_with_too_many_fields_is_an_error_that_names_it(kernel: Kernel) -> None:
    message = kernel.failure("a.csv", "a,b\n1,2\n3,4\n5,6,7\n")

    assert "line 4 has 3 fields where 2 were expected; on_bad_lines='skip' leaves such lines out" in message


def test_a_quote_that_never_ends_is_an_error(kernel: Kernel) -> None:
    assert "a quoted field that begins in row 1 never ends" in kernel.failure("a.csv", 'a,b\n1,"x\n2,3\n')


def test_a_column_that_changes_its_type_far_down_has_one_type(kernel: Kernel) -> None:
    content = "a,b\n" + "".join(f"{n},{'x' * 40}\n" for n in range(20_000)) + "end,x\n"
    kernel.put("a.csv", content)

    assert kernel.value("{type(value).__name__ for value in load_file('a.csv')['a']} == {'str'}") is True


def test_a_header_of_more_than_a_sample_is_one(kernel: Kernel) -> None:
    header = ";".join(str(10_000 + number) for number in range(30_000))
    kernel.put("a.csv", f"{header}\n{';'.join('1' * 30_000)}\n")

    assert kernel.value("(lambda df: [df.shape, df.columns[-1]])(load_file('a.csv'))") == [[1, 30_000], "39999"]


def test_a_large_table_is_what_pandas_makes_of_it(kernel: Kernel) -> None:
    setup = """
import numpy as np, pandas as pd
rng = np.random.default_rng(7)
n = 150_000
frame = pd.DataFrame({"i": rng.integers(0, 10**9, n), "f": rng.random(n), "s": rng.choice(["ä", "b,c", 'd"e'], n)})
frame.to_csv("big.csv", index=False)
"""
    assert kernel.value("load_file('big.csv').equals(frame)", setup) is True


# encodings and compressions


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
@pytest.mark.parametrize("name", ["a.csv", "a.txt"])
def test_the_encoding_is_told_from_the_content(kernel: Kernel, name: str, encoding: str) -> None:
    columns, _, notes = kernel.table(name, "name;größe\nMüller €;2\nWeiß;3\n".encode(encoding))

    assert columns == {"name": ["Müller €", "Weiß"], "größe": [2, 3]}
    assert ("it is not UTF-8, so it was read as cp1252" in notes) is (encoding == "cp1252")


def test_bytes_that_cp1252_does_not_have_are_read_as_latin_1(kernel: Kernel) -> None:
    columns, _, notes = kernel.table("a.csv", b"a,b\n\xe9\x81,1\n")

    assert columns["a"] == ["é\x81"]
    assert "latin-1" in notes


def test_a_table_that_leaves_utf8_far_down_is_read_whole(kernel: Kernel) -> None:
    columns, _, notes = kernel.table("a.csv", b"a,b\n" + b"x,1\n" * 50_000 + b"M\xfcller,2\n")

    assert (columns["a"][-1], len(columns["a"])) == ("Müller", 50_001)
    assert "cp1252" in notes


def test_a_given_encoding_wins(kernel: Kernel) -> None:
    columns, _, notes = kernel.table("a.csv", "имя,n\nЮля,1\n".encode("cp1251"), ", encoding='cp1251'")

    assert columns == {"имя": ["Юля"], "n": [1]}
    assert notes == ""


def test_a_given_encoding_that_does_not_fit_is_an_error(kernel: Kernel) -> None:
    assert "'ascii' codec can't decode" in kernel.failure("a.csv", "a,b\né,1\n", ", encoding='ascii'")


def test_text_reads_like_text_everywhere(kernel: Kernel) -> None:
    kernel.put("a.md", b"\xef\xbb\xbf# Titel\r\n\r\nM\xc3\xbcll\r")

    assert kernel.value("load_file('a.md')") == "# Titel\n\nMüll\n"


def test_a_log_with_stray_zero_bytes_far_down_is_text(kernel: Kernel) -> None:
    text = "line\n" * 50_000 + "\0\0end"
    kernel.put("a.log", text)

    assert kernel.value("load_file('a.log')") == text


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.dat"])
@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_packed_tables_are_unpacked_whatever_they_are_called(kernel: Kernel, name: str, pack: Any) -> None:
    assert kernel.table(name, pack(b"a;b\n1;2\n3;4\n"))[0] == {"a": [1, 3], "b": [2, 4]}


@pytest.mark.parametrize("name", ["a.csv.zst", "a.csv"])
def test_zstandard_is_unpacked(kernel: Kernel, name: str) -> None:
    setup = f"""
import pathlib, pyarrow
pathlib.Path({name!r}).write_bytes(pyarrow.compress(b"a;b\\n1;2\\n3;4\\n", "zstd", asbytes=True))
"""
    assert kernel.value(f"load_file({name!r}).to_dict('list')", setup) == {"a": [1, 3], "b": [2, 4]}


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_packed_file_that_is_cut_off_is_an_error(kernel: Kernel, pack: Any) -> None:
    packed = pack(random.Random(0).randbytes(5000))

    assert "data is damaged" in kernel.failure("a.csv.gz", packed[: len(packed) // 2])


def test_a_bomb_is_refused_before_it_fills_the_memory(kernel: Kernel) -> None:
    kernel.put("a.txt.gz", gzip.compress(bytes(b"a\n" * (1 << 20))))

    answer = kernel.run("load_file('a.txt.gz')", "from kernelside.loaders import source; source.MAX_UNPACKED = 1 << 20")
    kernel.run("0", "from kernelside.loaders import source; source.MAX_UNPACKED = 512 << 20")

    assert "it unpacks to more than" in answer.message


# JSON


def test_json_is_python_objects(kernel: Kernel) -> None:
    kernel.put("a.json", '[{"a": "007", "b": {"c": [1, null]}}]')

    assert kernel.value("load_file('a.json')") == [{"a": "007", "b": {"c": [1, None]}}]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_json_in_any_unicode_encoding_opens(kernel: Kernel, encoding: str) -> None:
    kernel.put("a.json", '{"ä": "€"}'.encode(encoding))

    assert kernel.value("load_file('a.json')") == {"ä": "€"}


def test_options_of_json_pass_on(kernel: Kernel) -> None:
    kernel.put("a.json", '{"a": 1.5}')

    assert kernel.value("load_file('a.json', parse_float=str)") == {"a": "1.5"}


@pytest.mark.parametrize(
    ("content", "table"),
    [
        ('[{"a": 1, "b": {"c": 2}}, {"a": 3, "b": {"c": 4}}]', {"a": [1, 3], "b.c": [2, 4]}),
        ('{"a": [1, 2], "b": ["x", "y"]}', {"a": [1, 2], "b": ["x", "y"]}),
        ('{"a": 1, "b": "x"}', {"a": [1], "b": ["x"]}),
        ("[[1, 2], [3, 4]]", {"0": [1, 3], "1": [2, 4]}),
        ('{"a": 1}\n{"a": 2}\n', {"a": [1, 2]}),
    ],
)
def test_json_becomes_a_table_on_request(kernel: Kernel, content: str, table: dict[str, list[Any]]) -> None:
    assert kernel.table("a.json", content, ", as_='table'")[0] == table


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.json", "a.txt", "a.csv"])
def test_json_lines_are_a_table_with_their_values_as_they_are(kernel: Kernel, name: str) -> None:
    content = '{"id": "007", "date": "2024-01-01"}\n\n{"id": "1\u2028", "date": "x", "n": 123456789012345678901234}\n'
    columns, _, _ = kernel.table(name, content)

    assert columns["id"] == ["007", "1\u2028"]
    assert columns["date"] == ["2024-01-01", "x"]
    assert columns["n"][1] in (123456789012345678901234, 1.2345678901234568e23)


def test_options_of_json_lines_pass_on(kernel: Kernel) -> None:
    columns, _, _ = kernel.table("a.jsonl", '{"id": "007", "x": 0.1234567890123456}\n{"id": "8", "x": 1}\n', ", nrows=1")

    assert columns == {"id": ["007"], "x": [0.1234567890123456]}


def test_json_that_is_called_csv_opens_as_what_it_is_and_says_so(kernel: Kernel) -> None:
    kernel.put("a.csv", '{"a": [1, 2]}')

    answer = kernel.run("load_file('a.csv')")

    assert answer.value == {"a": [1, 2]}
    assert "its name ends in .csv, but it holds JSON" in answer.notes


def test_a_table_that_is_called_json_opens_as_what_it_is(kernel: Kernel) -> None:
    assert kernel.table("a.json", "a,b\n1,2\n3,4\n")[0] == {"a": [1, 3], "b": [2, 4]}


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.json", '{"a": [1,', "it is not JSON from line 1, column 10 on"),
        ("a.json", "nonsense", "it is not JSON from line 1, column 1 on"),
        ("a.json", "", "it is empty"),
        ("a.json", "[" * 100_000, "it is nested too deeply"),
        ("a.jsonl", '{"a": 1}\n{"a":\n', "line 2 is not JSON"),
        ("a.jsonl", "\n", "it is empty"),
    ],
)
def test_damaged_json_is_an_error_that_says_where(kernel: Kernel, name: str, content: str, reason: str) -> None:
    assert reason in kernel.failure(name, content)


# spreadsheets

BOOK = """
import pandas as pd
with pd.ExcelWriter("book.xlsx", engine="openpyxl") as writer:
    pd.DataFrame({"secret": [0]}).to_excel(writer, sheet_name="Hidden", index=False)
    pd.DataFrame({"a": [1, 2], "t": ["x", None]}).to_excel(writer, sheet_name="May", index=False)
    pd.DataFrame({"b": [3]}).to_excel(writer, sheet_name="June", index=False)
    writer.sheets["Hidden"].sheet_state = "hidden"
"""

# Written by Excel's own old format: columns a and t, two rows.
OLD_BOOK = zlib.decompress(
    base64.b64decode(
        "eNrtWD1MVEEQ/va9O+5HON7hYQQTciEBEWmIjQ08NVEqEW00xkQPucJADnOhEAtB8UoTEyuNDQmNDWrjf6GdhQlGCxMTkzstqUw0oYB7zszbJwdScIlc"
        "0Oz3MrPzZmZ353Zn993u+4VkcfZxawnr0A8bZS+GugqdIooFLw7I7nksBmWUyDP4pxCL0kTWhfGy4V2E55DnuwQLj0JviANfic7hMgbHc9l0DXFEYsgo"
        "jqGPuMJ90iTQIlE1Cb8ofKfwh+L5Svgh0dwS3ke+RXUWC+5g90GdxWesdrElwO0+lTqfRdOLZrzlLJ66rXzfMA7nL2XGtqehLVSPOdC8DWRz2XxmrIgU"
        "TeAcfnpp4EewUl+njb62egXSL63VRzbQ37FCwDS8C5LgBezAC5stNk7kssvYDTIL0bRniCaIrhBNxnknlpXrrFm5DZLR9cRH0ChyUvLaob15+cH3D8eH"
        "h9zzopmW3drf0zs4DHi4zjWocgJ+EAz27Ra+X/gNaXWPyK3CU5SNVHYONWvh2Iz43BRrJ/VzQPDR3Vshd5FcWDz5rK3wzd1H8vxA6Wpq/pM7i3b6xoxQ"
        "fX5m0KN61L27jOduUCq9/r8Ib/ljL4hajo7d0x+uRqwgLmJSuP/Go6O0v1rnf82Kiy4p48r+6vdosr+1gb8l/ou27++PPo9iv9WEJ2yknWkVcRgYGBgY"
        "GBgYGBjUGkr/x7f1SSOsTxIRfa+zQlQ21yT/LU5hnJ4JOpgeRY7KPCaryp9dCKugLbXJOsF9IeM09Z7HKIYljtGq85dOgqry92y6ovP3llC1/ZeriXOL"
        "+/8FidnAFQ=="
    )
)


@pytest.fixture
def book(kernel: Kernel) -> Path:
    kernel.value("None", BOOK)
    return kernel.work / "book.xlsx"


@pytest.mark.parametrize("name", ["a.xlsx", "a.xlsm", "a.csv", "a"])
def test_the_first_visible_sheet_of_a_workbook_opens_and_the_others_are_named(kernel: Kernel, book: Path, name: str) -> None:
    columns, _, notes = kernel.table(name, book.read_bytes())

    assert columns["a"] == [1, 2]
    assert columns["t"][0] == "x"
    assert "this is sheet 'May'; others: 'Hidden', 'June' (sheet_name=… opens one, sheet_name=None all)" in notes


def test_a_sheet_is_chosen_by_name_or_all_at_once(kernel: Kernel, book: Path) -> None:
    assert kernel.value("load_file('book.xlsx', sheet_name='June').to_dict('list')") == {"b": [3]}
    assert kernel.value("list(load_file('book.xlsx', sheet_name=None))") == ["Hidden", "May", "June"]


def test_a_sheet_that_is_not_there_is_an_error_that_lists_those_that_are(kernel: Kernel, book: Path) -> None:
    message = kernel.run("load_file('book.xlsx', sheet_name='July')").message

    assert "it has no sheet 'July'; its sheets: 'Hidden', 'May', 'June'" in message


def test_workbooks_are_read_by_the_fast_engine(kernel: Kernel, book: Path) -> None:
    setup = """
import pandas as pd
used = []
class Spy(pd.ExcelFile):
    def __init__(self, *args, **kwargs):
        used.append(kwargs["engine"])
        super().__init__(*args, **kwargs)
original, pd.ExcelFile = pd.ExcelFile, Spy
try:
    load_file("book.xlsx")
finally:
    pd.ExcelFile = original
"""
    assert kernel.value("used", setup) == ["calamine"]


def test_openpyxl_reads_what_calamine_cannot(kernel: Kernel, book: Path) -> None:
    setup = """
import python_calamine as c
import pandas.io.excel._calamine as reader
original = reader.CalamineReader.get_sheet_by_name
def fail(*args):
    raise c.CalamineError("no")
reader.CalamineReader.get_sheet_by_name = fail
try:
    columns = load_file("book.xlsx").to_dict("list")
finally:
    reader.CalamineReader.get_sheet_by_name = original
"""
    assert kernel.value("columns['a']", setup) == [1, 2]


def test_an_old_workbook_opens(kernel: Kernel) -> None:
    assert kernel.table("a.xls", OLD_BOOK)[0] == {"a": [1.0, 2.5], "t": ["x", "y"]}
    assert kernel.table("b.csv", OLD_BOOK)[0] == {"a": [1.0, 2.5], "t": ["x", "y"]}


def test_a_table_that_is_called_a_workbook_opens_as_what_it_is(kernel: Kernel) -> None:
    columns, _, notes = kernel.table("a.xlsx", "a;b\n1;2\n3;4\n")

    assert columns == {"a": [1, 3], "b": [2, 4]}
    assert "its name ends in .xlsx, but it holds a delimited table" in notes


def test_a_workbook_with_a_password_is_an_error_that_says_so(kernel: Kernel) -> None:
    protected = OLD_BOOK[:8] + bytes(2000) + "EncryptedPackage".encode("utf-16-le") + bytes(3000)

    assert "it is protected with a password" in kernel.failure("a.xlsx", protected)


def test_a_workbook_that_unpacks_to_gigabytes_is_refused(kernel: Kernel, book: Path) -> None:
    bomb = io.BytesIO(book.read_bytes())
    with zipfile.ZipFile(bomb, "a") as archive:
        archive.writestr("xl/worksheets/sheet9.xml", b"")
        archive.infolist()[-1].file_size = 2 << 30

    assert "it unpacks to more than 512 MB" in kernel.failure("a.xlsx", bomb.getvalue())


# columnar files


@pytest.mark.parametrize("kind", ["parquet", "feather"])
@pytest.mark.parametrize("name", ["a.{}", "a.csv", "a.{}.gz", "a"])
def test_columnar_files_open_whatever_they_are_called(kernel: Kernel, kind: str, name: str) -> None:
    setup = f"""
import gzip, pathlib, pandas as pd
pd.DataFrame({{"a": [1, 2], "t": ["x", "y"]}}).to_{kind}("plain")
data = pathlib.Path("plain").read_bytes()
pathlib.Path({name.format(kind)!r}).write_bytes(gzip.compress(data) if {name.endswith(".gz")} else data)
"""
    assert kernel.value(f"load_file({name.format(kind)!r}).to_dict('list')", setup) == {"a": [1, 2], "t": ["x", "y"]}


def test_options_of_columnar_files_pass_on(kernel: Kernel) -> None:
    setup = "import pandas as pd; pd.DataFrame({'a': [1], 'b': [2]}).to_parquet('a.parquet')"

    assert kernel.value("load_file('a.parquet', columns=['b']).to_dict('list')", setup) == {"b": [2]}


def test_an_arrow_stream_opens(kernel: Kernel) -> None:
    setup = """
import pyarrow as pa
table = pa.table({"a": [1, 2]})
with pa.OSFile("a.arrow", "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
    writer.write_table(table)
"""
    assert kernel.value("load_file('a.arrow').to_dict('list')", setup) == {"a": [1, 2]}


# images


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "bmp", "tiff", "webp", "ico", "ppm", "tga", "jp2", "avif"])
def test_images_open_decoded(kernel: Kernel, kind: str) -> None:
    setup = f"from PIL import Image; Image.new('RGB', (32, 32), (200, 30, 30)).save('a.{kind}')"

    size, red = kernel.value(f"(lambda i: [i.size, i.convert('RGB').getpixel((3, 3))[0]])(load_file('a.{kind}'))", setup)

    assert size == [32, 32]
    assert abs(red - 200) < 12


def test_an_image_opens_whatever_it_is_called(kernel: Kernel) -> None:
    setup = "from PIL import Image; Image.new('L', (3, 2)).save('a.txt', 'PNG')"

    answer = kernel.run("load_file('a.txt').size", setup)

    assert answer.value == [3, 2]


def test_the_frames_of_an_image_are_said(kernel: Kernel) -> None:
    setup = """
from PIL import Image
pages = [Image.new("L", (4, 4), shade) for shade in (0, 100, 200)]
pages[0].save("a.tiff", save_all=True, append_images=pages[1:])
"""
    answer = kernel.run("(image := load_file('a.tiff')).seek(2) or image.getpixel((0, 0))", setup)

    assert answer.value == 200
    assert "it has 3 frames" in answer.notes


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * min((width * 3 + 1) * height, 1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [12_000, 100_000])
def test_an_image_of_absurd_size_is_refused(kernel: Kernel, side: int) -> None:
    assert "it has more than 89,478,485 pixels" in kernel.failure("a.png", png(side, side))


# text and the rest


@pytest.mark.parametrize("name", ["a.py", "a.md", "a.html", "a.yaml", "a.R", "a.log", "a.SQL"])
def test_source_code_and_markup_is_text_even_if_it_looks_like_a_table(kernel: Kernel, name: str) -> None:
    kernel.put(name, "a,b\n1,2\n3,4\n")

    assert kernel.value(f"load_file({name!r})") == "a,b\n1,2\n3,4\n"


@pytest.mark.parametrize(
    ("name", "content", "label"),
    [
        ("a.dat", b"\0\1\2\3", "a file of unknown type"),
        ("a.exe", b"\x7fELF\2\1\1" + bytes(100), "a file of unknown type"),
        ("a.doc", OLD_BOOK[:8] + bytes(500), "an old Office document"),
        ("a.doc", OLD_BOOK[:8] + bytes(500) + "WordDocument".encode("utf-16-le"), "an old Word document"),
    ],
)
def test_anything_else_is_bytes_with_a_note_that_says_what(kernel: Kernel, name: str, content: bytes, label: str) -> None:
    kernel.put(name, content)

    answer = kernel.run(f"load_file({name!r}).hex()")

    assert answer.value == content.hex()
    assert re.search(
        rf"no loader for {label if name != 'a.exe' else '.+'}: these are its {len(content)} bytes; as_='path'", answer.notes
    )


@pytest.mark.parametrize(("member", "label"), [("a.txt", "a ZIP archive"), ("word/document.xml", "a Word document")])
def test_archives_are_told_apart(kernel: Kernel, member: str, label: str) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(member, "x")
    kernel.put("a.csv", packed.getvalue())

    answer = kernel.run("load_file('a.csv') and None")

    assert f"it holds {label}" in answer.notes or f"was taken for {label} by its content" in answer.message


# what there is


def test_the_table_of_files_lists_what_was_handed_in_the_newest_first(kernel: Kernel) -> None:
    first, second = kernel.put("a.csv", "a\n1\n"), kernel.put("b.pdf", "%PDF")
    setup = f"from kernelside.file_index import FilesTable; FILES = FilesTable({str(kernel.files)!r}); frame = FILES.list_files()"

    columns = kernel.value("[frame[name].tolist() for name in ('filename', 'type', 'size', 'file_id')]", setup)

    assert columns == [["b.pdf", "a.csv"], ["a PDF document", "a delimited table"], [4, 4], [second, first]]
    assert kernel.value("[list(FILES), len(FILES), 'a.csv' in FILES, str(frame['created_at'].dtype)[:10]]", setup) == [
        *(["b.pdf", "a.csv"], 2, True, "datetime64"),
    ]
    assert kernel.value("'b.pdf' in repr(FILES) and 'b.pdf' in FILES._repr_html_()", setup) is True


def test_the_list_of_files_shows_their_type_size_and_id_on_one_line_however_long_a_name_is(kernel: Kernel) -> None:
    file_id = kernel.put("é" * 200 + ".csv", "a,b\n")
    setup = f"from kernelside.file_index import FilesTable; FILES = FilesTable({str(kernel.files)!r})"

    shown = kernel.value("repr(FILES)", setup).splitlines()

    assert shown[0].split() == ["filename", "type", "size", "file_id"]
    assert shown[1].startswith("é" * 36 + "…")
    assert shown[1].endswith(f"é.csv  a delimited table     4  {file_id}")


def test_further_fields_of_the_index_are_shown_and_missing_ones_are_not_missed(kernel: Kernel) -> None:
    kernel.files.mkdir()
    (kernel.files / "x").write_text("a")
    files = [
        {"file_id": "1", "filename": "a.txt", "path": "x"},
        {
            "file_id": "2",
            "filename": "b.txt",
            "path": "x",
            "expires_at": "2026-11-22T10:00:00+00:00",
            "kind": "written",
            "more": 1,
        },
    ]
    (kernel.files / "index.json").write_text(json.dumps({"files": files}))
    setup = f"from kernelside.file_index import FilesTable; frame = FilesTable({str(kernel.files)!r}).list_files()"

    assert kernel.value("list(frame.columns)", setup)[-3:] == ["expires_at", "kind", "file_id"]
    assert kernel.value("[str(frame['expires_at'][0]), frame['kind'].tolist()]", setup) == [
        "2026-11-22 10:00:00+00:00",
        ["written", ""],
    ]
    assert kernel.value("load_file('a.txt')") == "a"


def test_an_empty_table_of_files_says_so(kernel: Kernel) -> None:
    setup = f"from kernelside.file_index import FilesTable; FILES = FilesTable({str(kernel.files)!r})"

    assert kernel.value("[repr(FILES), len(FILES), len(FILES.list_files())]", setup) == [
        *("no files yet; those that are handed in appear here", 0, 0),
    ]


# damage

SAMPLES = """
import pathlib, pandas as pd
from PIL import Image
frame = pd.DataFrame({"a": range(300), "t": [f"text {n}" for n in range(300)]})
frame.to_excel("s.xlsx", index=False)
frame.to_parquet("s.parquet")
frame.to_feather("s.feather")
Image.effect_noise((60, 60), 50).save("s.png")
Image.effect_noise((60, 60), 50).save("s.jpg")
"""


@pytest.mark.parametrize("name", ["s.xlsx", "s.parquet", "s.feather", "s.png", "s.jpg"])
def test_a_file_cut_in_half_is_one_error(kernel: Kernel, name: str) -> None:
    kernel.value("None", SAMPLES)
    whole = (kernel.work / name).read_bytes()

    assert "was taken for" in kernel.failure(name, whole[: len(whole) // 2])
    assert "it is empty" in kernel.failure(name, b"")


@pytest.mark.parametrize("name", ["s.xlsx", "s.parquet", "s.feather", "s.png", "s.jpg"])
def test_flipped_bytes_never_raise_anything_else(kernel: Kernel, name: str) -> None:
    kernel.value("None", SAMPLES)
    whole = (kernel.work / name).read_bytes()
    for seed in range(25):
        chance, damaged = random.Random(seed), bytearray(whole)
        for _ in range(chance.choice((1, 8, 64))):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        (kernel.work / name).write_bytes(damaged)

        answer = kernel.run(f"load_file({name!r}) is None")

        assert answer.error is None or answer.error[0] == "UnreadableFileError", answer.message


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
YAML_LAUGHS = "l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 10)
)


def npy(shape: str) -> bytes:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()


def zeros_in_zip(name: str) -> bytes:
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(name, "w", force_zip64=True) as member,
    ):
        for _ in range(600):
            member.write(bytes(1 << 20))
    return packed.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.xml", f'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY l0 "lol">{LAUGHS}]><l>&l9;</l>'),
        ("a.svg", f'<!DOCTYPE svg [<!ENTITY l0 "lol">{LAUGHS}]><svg xmlns="http://www.w3.org/2000/svg">&l9;</svg>'),
        ("a.graphml", f'<!DOCTYPE graphml [<!ENTITY l0 "lol">{LAUGHS}]><graphml><graph id="&l9;"/></graphml>'),
        ("a.kml", f'<?xml version="1.0"?><!DOCTYPE kml [<!ENTITY l0 "lol">{LAUGHS}]><kml><name>&l9;</name></kml>'),
        ("a.xml", '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY f SYSTEM "file:///etc/hostname">]><l>&f;</l>'),
        ("a.yaml", YAML_LAUGHS),
        ("a.yaml", "a: &a [*a]\n"),
        ("a.npy", npy("(1000000, 1000000)")),
        ("a.npy", npy("(-5,)")),
        ("a.mtx", "%%MatrixMarket matrix array real general\n1000000 1000000\n1.0\n"),
        ("a.asc", "ncols 1000000\nnrows 1000000\nxllcorner 0\nyllcorner 0\ncellsize 1\n1 2 3\n"),
        ("a.msgpack", b"\xdd\xff\xff\xff\xff"),
        ("a.cbor", b"\x9b\x00\xff\xff\xff\xff\xff\xff\xff"),
        ("a.safetensors", struct.pack("<Q", 90) + b'{"a":{"dtype":"F32","shape":[99999,99999],"data_offsets":[0,4]}}'.ljust(94)),
        ("a.nii", struct.pack("<i", 348) + bytes(36) + struct.pack("<8h", 3, 30000, 30000, 30000, 1, 1, 1, 1) + bytes(14)
         + struct.pack("<hh", 16, 32) + bytes(264) + b"n+1\0" + bytes(8)),
        ("a.json", "[" * 200_000),
        ("a.toml", "a = " + "[" * 20_000),
        ("a.textproto", "a {" * 5000),
    ],
)  # fmt: skip
def test_bombs_and_absurd_dimensions_are_refused_quickly(kernel: Kernel, name: str, content: bytes | str) -> None:
    began = time.monotonic()

    assert len(kernel.failure(name, content)) < 1000
    assert time.monotonic() - began < 10


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "member"), [("a.docx", "word/document.xml"), ("a.npz", "a.npy"), ("a.xlsx", "xl/workbook.xml"), ("a.kmz", "doc.kml")]
)
def test_archives_that_unpack_to_gigabytes_are_refused(kernel: Kernel, name: str, member: str) -> None:
    assert kernel.failure(name, zeros_in_zip(member))


@pytest.mark.slow
def test_a_bomb_in_an_archive_is_listed_and_not_unpacked(kernel: Kernel) -> None:
    kernel.put("a.zip", zeros_in_zip("zeros.bin"))

    assert kernel.value("load_file('a.zip').members['size'].tolist()") == [600 << 20]
    assert "unpacks to more than 512 MB" in kernel.run("load_file('a.zip').read('zeros.bin')").message


@pytest.mark.slow
def test_a_compressed_bomb_is_refused_within_the_time(kernel: Kernel) -> None:
    began = time.monotonic()

    assert "it unpacks to more than 512 MB" in kernel.failure("a.txt.gz", gzip.compress(bytes(b"a\n" * (1 << 19))) * 620)
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_whatever_packs_a_bomb_it_is_refused(kernel: Kernel, pack: Any) -> None:
    kernel.put("a.txt.gz", pack(bytes(b"a\n" * (1 << 19))) * 12)
    setup = """
from kernelside.loaders import source
limit, source.MAX_UNPACKED = source.MAX_UNPACKED, 8 << 20
try:
    load_file("a.txt.gz")
except ValueError as exc:
    message = str(exc)
finally:
    source.MAX_UNPACKED = limit
"""
    assert "it unpacks to more than 8 MB" in kernel.value("message", setup)


def test_members_that_lead_outside_are_not_extracted(kernel: Kernel) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../outside.txt", "x")
    kernel.put("a.zip", packed.getvalue())

    assert "leads outside" in kernel.run("load_file('a.zip').extract('here')").message
    assert not (kernel.work / "outside.txt").exists()


def test_yaml_that_would_make_objects_is_refused(kernel: Kernel) -> None:
    assert "could not determine a constructor" in kernel.failure("a.yaml", "!!python/object/apply:os.system ['true']")


def test_binary_data_that_is_called_a_table_is_an_error(kernel: Kernel) -> None:
    assert "it holds binary data, not text" in kernel.failure("a.csv", bytes(range(256)) * 4)


def test_too_little_memory_is_said(kernel: Kernel) -> None:
    setup = """
import pandas as pd
def read_csv(*args, **kwargs):
    raise MemoryError
original, pd.read_csv = pd.read_csv, read_csv
try:
    message = ""
    load_file("a.csv")
except ValueError as exc:
    message = str(exc)
finally:
    pd.read_csv = original
"""
    kernel.put("a.csv", "a,b\n1,2\n")

    assert "the kernel has too little memory for it" in kernel.value("message", setup)


@pytest.mark.parametrize(
    ("name", "content", "package"),
    [
        ("a.duckdb", bytes(8) + b"DUCK" + bytes(100), "duckdb"),
        ("a.jxl", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(100), "imagecodecs"),
        ("a.jxr", b"II\xbc\x01" + bytes(100), "imagecodecs"),
        ("a.zarr", None, "zarr"),
    ],
)
def test_a_type_on_demand_names_its_package(kernel: Kernel, name: str, content: bytes | None, package: str) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(".zgroup", "{}")
    kernel.put(name, packed.getvalue() if content is None else content)

    answer = kernel.run(f"load_file({name!r})")

    assert answer.error is not None
    assert answer.error[:2] == ["MissingPackageError", "ModuleNotFoundError"]
    assert f"the package {package}, which opens it, is not installed; `%pip install {package}`" in answer.message
    assert "\n" not in answer.message


def test_a_video_that_has_the_extension_of_source_code_is_a_video(kernel: Kernel) -> None:
    setup = """
import av, numpy as np
with av.open("a.ts", "w", format="mpegts") as container:
    stream = container.add_stream("mpeg2video", rate=25)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    for number in range(20):
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), number * 12, "uint8"), format="rgb24")))
    container.mux(stream.encode(None))
video = load_file("a.ts")
"""
    assert kernel.value("[video.width, video.frame(0.5).size, len(video.frames(3))]", setup) == [64, [64, 48], 3]


@pytest.mark.parametrize(
    ("name", "write", "shape"),
    [
        ("a.yaml", "open('a.yaml', 'w').write('- {a: 1, b: 2}\\n- {a: 3, b: 4}\\n')", [2, 2]),
        ("a.npy", "import numpy; numpy.save('a.npy', numpy.zeros((3, 2)))", [3, 2]),
        ("a.zip", "import zipfile; z = zipfile.ZipFile('a.zip', 'w'); z.writestr('x', 'y'); z.close()", [1, 4]),
    ],
)
def test_other_types_become_tables_on_request(kernel: Kernel, name: str, write: str, shape: list[int]) -> None:
    assert kernel.value(f"load_file({name!r}, as_='table').shape", write) == shape


def test_a_missing_package_is_named(kernel: Kernel) -> None:
    setup = """
import sys
sys.modules["pandas"], original = None, sys.modules.get("pandas")
try:
    error = ""
    load_file("a.csv")
except ImportError as exc:
    error = exc.name
finally:
    sys.modules.pop("pandas")
    sys.modules.update({"pandas": original} if original else {})
"""
    kernel.put("a.csv", "a,b\n1,2\n")

    assert kernel.value("error", setup) == "pandas"
