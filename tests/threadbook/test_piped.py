from __future__ import annotations

import asyncio
import os

import pytest

from threadbook.completeness import is_whole
from threadbook.piped import LineReader, next_cell

SCRIPT = """\

x = 5
for i in range(2):
    print(i)

def f():
    a = 1

    return a
f()
if x:
    print("yes")
else:
    print("no")
x + 1
:help
y = [1,
     2]
z"""


async def is_complete(text: str) -> str:
    return "complete" if is_whole(text) else "incomplete"


async def cells_of(text: str) -> list[str]:
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    lines = LineReader(reading)
    cells = []
    while (cell := await next_cell(lines, is_complete)) is not None:
        cells.append(cell)
    os.close(reading)
    return cells


async def test_a_script_comes_apart_into_its_statements() -> None:
    cells = await cells_of(SCRIPT)
    assert "\n".join(cells) == SCRIPT.strip()
    assert [cell.split("\n")[0] for cell in cells] == [
        "x = 5",
        "for i in range(2):",
        "def f():",
        "f()",
        "if x:",
        "x + 1",
        ":help",
        "y = [1,",
        "z",
    ]


@pytest.mark.parametrize("text", ["", "\n\n  \n"])
async def test_nothing_has_no_cells(text: str) -> None:
    assert await cells_of(text) == []


async def test_lines_may_end_as_on_windows_and_need_not_be_utf8() -> None:
    assert await cells_of("a\r\nb") == ["a", "b"]
    reading, writing = os.pipe()
    os.write(writing, b"\xff\n")
    os.close(writing)
    assert await LineReader(reading).next() == "\ufffd"
    os.close(reading)


async def test_what_is_not_finished_at_the_end_is_a_cell() -> None:
    assert await cells_of("x\nf(1,") == ["x", "f(1,"]


async def test_a_program_that_waits_for_an_answer_gets_its_cell_at_once() -> None:
    reading, writing = os.pipe()
    lines = LineReader(reading)
    os.write(writing, b"1 + 1\n")
    assert await next_cell(lines, is_complete) == "1 + 1"
    os.write(writing, b"if x:\n    y\n\n")
    assert await next_cell(lines, is_complete) == "if x:\n    y\n"
    os.close(writing)
    assert await next_cell(lines, is_complete) is None
    assert await next_cell(lines, is_complete) is None
    os.close(reading)


async def test_a_closed_loop_ends_the_reading() -> None:
    reading, writing = os.pipe()

    def read_and_leave() -> None:
        async def leave() -> None:
            LineReader(reading)

        asyncio.run(leave())

    await asyncio.to_thread(read_and_leave)
    os.write(writing, b"too late\n")
    os.close(writing)
