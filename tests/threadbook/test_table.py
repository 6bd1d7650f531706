from __future__ import annotations

import pytest

from threadbook.table import aligned, width


@pytest.mark.parametrize(("text", "columns"), [("", 0), ("abc", 3), ("日本", 4), ("e\u0301", 1)])
def test_measures_what_the_terminal_shows(text: str, columns: int) -> None:
    assert width(text) == columns


def test_columns_begin_below_each_other() -> None:
    assert aligned([("a", "b", "c"), ("日本", "x", "")]) == ["a     b  c", "日本  x"]


def test_no_rows_are_no_lines() -> None:
    assert aligned([]) == []
