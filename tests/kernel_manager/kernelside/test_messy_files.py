"""Files that are not what their name says, or not quite what their type asks for, by ``load_file``."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import lzma
import zipfile

import pytest

from tests.kernel_manager.kernelside.loading import Kernel

TABLE = "<table><tr><th>a<th>b</tr><tr><td>1<td>2,5</tr><tr><td>03<td>4</tr></table>"
PAGE = f"<html><body>{TABLE}<table><tr><td>x</table></body></html>"
WORKBOOK = """<?xml version="1.0"?>
<?mso-application progid="Excel.Sheet"?>
<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet" xmlns:ss="urn:schemas-microsoft-com:office:spreadsheet">
<Worksheet ss:Name="Empty"><Table/></Worksheet>
<Worksheet ss:Name="Data"><Table>
<Row ss:Index="3"><Cell><Data ss:Type="String">n</Data></Cell><Cell><Data ss:Type="String">day</Data></Cell>
<Cell ss:Index="4"><Data ss:Type="String">ok</Data></Cell></Row>
<Row><Cell><Data ss:Type="Number">1.5</Data></Cell><Cell><Data ss:Type="DateTime">2024-01-31T00:00:00.000</Data></Cell>
<Cell ss:Index="4"><Data ss:Type="Boolean">1</Data></Cell></Row>
</Table></Worksheet></Workbook>"""


@pytest.mark.parametrize("name", ["a.xls", "a.xlsx", "a.csv"])
def test_a_web_page_called_a_table_opens_as_its_largest_table(kernel: Kernel, name: str) -> None:
    columns, _, notes = kernel.table(name, PAGE)

    assert columns == {"a": ["1", "03"], "b": [2.5, 4.0]}
    assert "but it holds a web page with tables" in notes
    assert "this is table 1 of 2; table=… opens another" in notes


def test_a_web_page_without_a_table_is_text(kernel: Kernel) -> None:
    kernel.put("a.csv", "<!DOCTYPE html><html><body>404 Not Found</body></html>")

    answer = kernel.run("load_file('a.csv')")

    assert answer.value.endswith("404 Not Found</body></html>")
    assert "its name ends in .csv, but it holds a web page" in answer.notes


def test_a_web_page_called_one_is_its_text(kernel: Kernel) -> None:
    kernel.put("a.html", PAGE)

    assert kernel.value("load_file('a.html')") == PAGE
    assert kernel.value("load_file('a.html', as_='table').to_dict('list')") == {"a": ["1", "03"], "b": [2.5, 4.0]}


def test_the_xml_of_excel_2003_is_a_workbook(kernel: Kernel) -> None:
    columns, types, notes = kernel.table("a.xls", WORKBOOK)

    assert (columns["n"], columns["ok"]) == ([1.5], [True])
    assert types["day"].startswith("datetime64")
    assert "this is sheet 'Data'; others: 'Empty'" in notes
    assert "it has no sheet 'x'" in kernel.run("load_file('a.xls', sheet_name='x')").message
    assert kernel.value("list(load_file('a.xls', sheet_name=None))") == ["Empty", "Data"]


def test_a_far_cell_in_the_xml_of_excel_2003_is_refused(kernel: Kernel) -> None:
    assert "more than 5,000,000 cells" in kernel.failure("a.xls", WORKBOOK.replace('ss:Index="3"', 'ss:Index="999999999"'))


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv.gz.bz2", "a.csv.xz.gz", "a.csv"])
def test_what_is_packed_twice_is_unpacked_twice(kernel: Kernel, name: str) -> None:
    table = b"a,b\n1,2\n"
    for data in (gzip.compress(gzip.compress(table)), bz2.compress(gzip.compress(table)), gzip.compress(lzma.compress(table))):
        assert kernel.table(name, data)[0] == {"a": [1], "b": [2]}


def test_what_is_packed_over_and_over_is_not_unpacked_for_ever(kernel: Kernel) -> None:
    data = b"x"
    for _ in range(40):
        data = gzip.compress(data)
    kernel.put("a.gz", data)

    assert kernel.value("type(load_file('a.gz')).__name__") == "bytes"


def test_damage_in_the_inner_layer_is_damage(kernel: Kernel) -> None:
    assert "its gzip data is damaged" in kernel.failure("a.csv.gz", gzip.compress(gzip.compress(b"a,b\n1,2\n" * 99)[:-20]))


def test_an_archive_in_an_archive_opens_and_leaves_nothing_behind(kernel: Kernel) -> None:
    inner, outer = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a.csv", "a,b\n1,2\n")
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("inner.zip", inner.getvalue())
    kernel.put("outer.zip", outer.getvalue())
    setup = """
import gc
inner = load_file("outer.zip").load("inner.zip")
table, path = inner.load("a.csv"), inner.path
del inner
gc.collect()
"""
    assert kernel.value("[table.to_dict('list'), path.exists()]", setup) == [{"a": [1], "b": [2]}, False]


def test_several_json_documents_are_a_list(kernel: Kernel) -> None:
    kernel.put("a.json", '{\n "a": 1\n}\n{\n "a": 2\n}\n')

    answer = kernel.run("load_file('a.json')")

    assert answer.value == [{"a": 1}, {"a": 2}]
    assert "it holds 2 JSON documents one after the other" in answer.notes


@pytest.mark.parametrize("text", ['// hi\n{"a": [1, 2]}', '{"a": [1, 2,],}', "{'a': [1, 2]}"])
def test_json_as_people_write_it_opens_and_says_so(kernel: Kernel, text: str) -> None:
    kernel.put("a.json", text)

    answer = kernel.run("load_file('a.json')")

    assert answer.value == {"a": [1, 2]}
    assert "it is no strict JSON" in answer.notes


@pytest.mark.parametrize("text", ['{"a": [1, 2', '{"a": 1} x', "{'a': [1, 2"])
def test_json_that_is_cut_off_is_damaged(kernel: Kernel, text: str) -> None:
    assert "it is not JSON from line 1" in kernel.failure("a.json", text)


def test_settings_above_the_first_section_are_kept_apart(kernel: Kernel) -> None:
    kernel.put("a.ini", "; mine\nx=1\n[s]\ny=2\n")

    assert kernel.value("load_file('a.ini')") == {"": {"x": "1"}, "s": {"y": "2"}}
    assert "it is not INI" in kernel.failure("b.ini", "Dear all,\n[s]\ny=2\n")


def test_comments_behind_variables_are_left_out(kernel: Kernel) -> None:
    kernel.put("a.env", "A='b # c'\nexport B=1 # two\n")

    assert kernel.value("load_file('a.env')") == {"A": "b # c", "B": "1"}


def test_a_photograph_comes_upright_and_says_so(kernel: Kernel) -> None:
    setup = """
from PIL import Image
exif = Image.Exif()
exif[0x0112] = 6
Image.new("RGB", (30, 20)).save("a.jpg", exif=exif)
Image.new("RGB", (30, 20)).save("b.jpg")
"""
    answer = kernel.run("[load_file('a.jpg').size, load_file('a.jpg').format, load_file('b.jpg').size]", setup)

    assert answer.value == [[20, 30], "JPEG", [30, 20]]
    assert "a.jpg: it was turned as its EXIF data says" in answer.notes
    assert "b.jpg" not in answer.notes


def test_colours_of_16_bits_that_become_8_are_said(kernel: Kernel) -> None:
    setup = """
import numpy as np, tifffile, struct, zlib
tifffile.imwrite("a.tif", np.zeros((4, 4, 3), "uint16"), photometric="rgb")
tifffile.imwrite("b.tif", np.zeros((4, 4), "uint16"))
chunk = lambda name, data: struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
with open("a.png", "wb") as file:
    file.write(b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)))
    file.write(chunk(b"IDAT", zlib.compress(bytes(26))) + chunk(b"IEND", b""))
"""
    answer = kernel.run("[load_file(name).mode for name in ('a.tif', 'b.tif', 'a.png')]", setup)

    assert answer.value == ["RGB", "I;16", "RGB"]
    assert answer.notes.count("its 16 bits for each colour were reduced to 8") == 2
    assert "b.tif" not in answer.notes


def test_text_that_cannot_be_read_as_its_type_is_offered_as_text(kernel: Kernel) -> None:
    assert kernel.failure("a.json", "{").endswith("load_file('a.json', as_='text') gives its text")
    assert kernel.failure("a.xlsx", b"PK\x03\x04" + bytes(99)).endswith("load_file('a.xlsx', as_='bytes') gives its bytes")


def test_a_packed_dbase_table_opens(kernel: Kernel) -> None:
    setup = """
import gzip, pathlib, struct
field = b"n".ljust(11, b"\\0") + b"N" + bytes(4) + bytes([3, 0]) + bytes(14)
header = struct.pack("<B3BIHH20x", 3, 126, 1, 31, 1, 65, 4) + field + b"\\r"
pathlib.Path("a.bin").write_bytes(header + b" 007\\x1a")
pathlib.Path("a.dbf.gz").write_bytes(gzip.compress(header + b" 007\\x1a"))
"""
    assert kernel.value("[load_file(name).to_dict('list') for name in ('a.bin', 'a.dbf.gz')]", setup) == [{"n": [7]}] * 2


def test_xml_nested_without_end_is_refused(kernel: Kernel) -> None:
    assert "it is nested too deeply" in kernel.failure("a.xml", "<?xml version='1.0'?>" + "<a>" * 20_000 + "</a>" * 20_000)
    kernel.put("b.xml", "<?xml version='1.0'?>" + "<a>" * 200 + "x" + "</a>" * 200)
    assert kernel.value("str(load_file('b.xml')).count('a')") == 200


def test_the_one_file_of_an_archive_is_named(kernel: Kernel) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("data/", "data/a.csv", "__MACOSX/data/._a.csv", "data/.DS_Store"):
            archive.writestr(name, "a,b\n1,2\n" if name.endswith("a.csv") else "")
    kernel.put("a.zip", packed.getvalue())

    answer = kernel.run("load_file('a.zip').load('data/a.csv').to_dict('list')")

    assert answer.value == {"a": [1], "b": [2]}
    assert "it is an archive of one file; .load('data/a.csv') opens that" in answer.notes


#: Written by ``zip -P secret``: a.csv, with one row.
LOCKED = base64.b64decode(
    "UEsDBAoACQAAANG4fV17B5cKFAAAAAgAAAAFAAAAYS5jc3Y/FOCMDvP2TjU7q67MxVWoC/6OZ1BLBwh7B5cKFAAAAAgAAABQSwECHgMKAAkAAA"
    "DRuH1deweXChQAAAAIAAAABQAAAAAAAAABAAAApIEAAAAAYS5jc3ZQSwUGAAAAAAEAAQAzAAAARwAAAAAA"
)


def test_archives_with_a_password_ask_for_it(kernel: Kernel) -> None:
    kernel.put("a.zip", LOCKED)
    setup = """
import py7zr
with py7zr.SevenZipFile("a.7z", "w", password="secret") as archive:
    archive.writestr("a,b\\n1,2\\n", "a.csv")
"""
    for name in ("a.zip", "a.7z"):
        needed, wrong = (kernel.run(f"load_file({name!r}{more}).load('a.csv')", setup) for more in ("", ", password='x'"))
        assert f"a.csv is protected, and the password is needed: load_file({name!r}, password='…')" in needed.message
        assert wrong.error is not None
        assert kernel.value(f"load_file({name!r}, password='secret').load('a.csv').to_dict('list')") == {"a": [1], "b": [2]}
