from __future__ import annotations

import pytest

from threadbook.completeness import continues_block, is_block, is_whole, next_indent


@pytest.mark.parametrize(
    "text",
    [
        "x = 1",
        "x = 1\ny = 2",
        "for i in x:\n    print(i)\n",
        "for i in x:\n    print(i)\n    ",
        "1 +",  # an error: it runs, and Python says so
        "x = )",
        "%timeit x",
        "!ls",
        "%%bash\nls\n",
        "'\x00'",
    ],
)
def test_can_run(text: str) -> None:
    assert is_whole(text)


@pytest.mark.parametrize("text", ["for i in x:", "for i in x:\n    print(i)", "f(", "'''a\n", "x = [1,\n     2,", "%%bash", "@d"])
def test_goes_on(text: str) -> None:
    assert not is_whole(text)


def test_says_nothing_about_what_it_compiles(recwarn: pytest.WarningsRecorder) -> None:
    assert is_whole("x is 1\n'\\d'")
    assert not list(recwarn)


@pytest.mark.parametrize(
    ("text", "indent"),
    [("x = 1", 0), ("if x:", 4), ("if x:\n    y", 4), ("if x:\n    if y:  ", 8), ("def f():\n    return 1", 0), ("pass", 0)],
)
def test_indents_the_next_line(text: str, indent: int) -> None:
    assert next_indent(text) == " " * indent


@pytest.mark.parametrize(
    ("text", "block"), [("x", False), ("if x:", True), ("if x:\n  y\n", True), ("if x:\n  y\nz", False), ("", False)]
)
def test_knows_a_block(text: str, block: bool) -> None:
    assert is_block(text) is block


@pytest.mark.parametrize(
    ("line", "belongs"), [("  y", True), ("else:", True), ("", True), ("elsewhere = 1", False), ("x", False)]
)
def test_knows_what_can_belong_to_a_block(line: str, belongs: bool) -> None:
    assert continues_block(line) is belongs
