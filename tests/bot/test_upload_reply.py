"""The reply to files without words, and what is looked up for it: pure, and with what a hostile kernel may say."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bot.cell_text import cell_text
from bot.markdown import fenced, size
from bot.opened_notebook import choices, notebook_panels
from bot.posts import COMPONENT_LIMIT, PANEL_LIMIT
from bot.preview import preview_of, read_answer
from bot.upload_reply import MAX_FILES, replies
from bot.views.file_buttons import layout_of, notebook_layout
from kernel_manager import UserFile
from notebooks_export import read_notebook

EXPIRES = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FILE = UserFile("f1", "1", "diamonds.csv", "diamonds.csv", "text/csv", Path("/x"), 2_200_000, EXPIRES, EXPIRES)


def test_a_file_is_shown_with_what_can_be_known_of_it() -> None:
    ((received,),) = replies([FILE], {"f1": "preview"})
    assert (
        received.text
        == """\
📎 **diamonds.csv** · a delimited table · 2.1 MB · expires <t:1767323045:R>
-# `f1` · `load_file('f1')`
preview"""
    )


def test_a_file_may_never_expire_and_be_a_notebook() -> None:
    ((received,),) = replies([replace(FILE, filename="a.ipynb", size=5, expires_at=None)], {})
    assert received.notebook
    assert "5 bytes · never expires" in received.text


@pytest.mark.parametrize("count", [0, 1, MAX_FILES, MAX_FILES + 1, 10])
def test_messages_about_files_keep_to_the_limits(count: int) -> None:
    files = [replace(FILE, file_id=f"f{n}", filename="*" * 200 + ".ipynb") for n in range(count)]
    messages = replies(files, {file.file_id: fenced("x" * 3_000) for file in files})
    assert [received.file_id for message in messages for received in message] == [file.file_id for file in files]
    for message in messages:
        view = layout_of(message)
        assert view.total_children_count <= COMPONENT_LIMIT
        assert sum(size(received.text) for received in message) <= PANEL_LIMIT
        assert all(received.text.count("```") % 2 == 0 for received in message)


class TestAPreview:
    def test_of_a_table_has_the_columns_that_fit(self) -> None:
        cells = [[f"column {n}" for n in range(9)], *[["1"] * 9] * 5]
        text = preview_of({"kind": "table", "rows": 53_940, "columns": 9, "cells": cells})
        assert text.startswith("-# 53,940 rows × 9 columns\n```\ncolumn 0 column 1 column 2 column 3\n")
        assert "… 5 more columns" in text

    def test_of_a_sheet_names_it(self) -> None:
        about = {"kind": "table", "rows": 1, "columns": 2, "cells": [["a", "b"], ["1", "2"]], "part": "Sheet*1", "parts": 3}
        assert preview_of(about).splitlines()[0] == "-# 1 rows × 2 columns in Sheet\\*1, one of 3"

    def test_of_a_picture_is_its_size(self) -> None:
        assert preview_of({"kind": "picture", "width": 1_024, "height": 768}) == "-# a picture of 1,024 × 768 pixels"

    def test_of_a_text_is_its_beginning(self) -> None:
        assert preview_of({"kind": "text", "text": "a\nb", "length": 3}) == "-# 3 characters\n```\na\nb\n```"
        long = preview_of({"kind": "text", "text": "x" * 2_000, "length": 9_000})
        assert size(long) < 500
        assert "x…" in long

    @pytest.mark.parametrize(
        ("about", "text"),
        [
            ({"kind": "sound", "seconds": 61.25, "rate": 44_100}, "-# 61.2 s of sound, 44,100 samples a second"),
            ({"kind": "notebook", "cells": 12}, "-# a notebook of 12 cells"),
            ({"kind": "bytes", "text": "00 01", "length": 2}, "-# 2 bytes of no known kind\n```\n00 01\n```"),
            ({"kind": "object", "text": "<Archive>"}, "```\n<Archive>\n```"),
        ],
    )
    def test_of_anything_else_says_what_it_is(self, about: dict[str, Any], text: str) -> None:
        assert preview_of(about) == text

    @pytest.mark.parametrize(
        "printed",
        [
            "",
            "{",
            "[]",
            "3",
            '{"f": 3}',
            '{"f": {}}',
            '{"f": {"kind": "table"}}',
            '{"f": {"kind": "table", "rows": "many", "columns": 1, "cells": [["a"]]}}',
            '{"f": {"kind": "table", "rows": 1, "columns": 1, "cells": []}}',
            '{"f": {"kind": "picture", "width": 1e999, "height": 1}}',
            "[" * 100_000,
            '{"f": "' + "x" * 300_000 + '"}',
        ],
    )
    def test_is_nothing_if_the_kernel_says_something_strange(self, printed: str) -> None:
        assert read_answer(printed) == {}

    def test_stays_in_its_block_whatever_the_file_holds(self) -> None:
        hostile = "``` @everyone \u202e\x1b[31m"
        cells = [[hostile, hostile]] * 3
        for about in (
            {"kind": "table", "rows": 1, "columns": 2, "cells": cells, "part": hostile, "parts": 2},
            {"kind": "text", "text": hostile, "length": 3},
            {"kind": "object", "text": hostile},
            {"kind": "problem", "text": hostile},
        ):
            text = read_answer(json.dumps({"f": about}))["f"]
            assert text.count("```") in (0, 2)
            assert "\x1b" not in text
            assert "\u202e" not in text


def notebook(*cells: dict[str, Any]) -> bytes:
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells)}).encode()


def code(source: str, *outputs: dict[str, Any], count: int | None = None) -> dict[str, Any]:
    return {"cell_type": "code", "source": source, "outputs": list(outputs), "execution_count": count, "metadata": {}}


class TestAnOpenedNotebook:
    def test_shows_its_cells_and_what_they_showed(self) -> None:
        printed = {"output_type": "stream", "name": "stdout", "text": "2\n"}
        words = {"cell_type": "markdown", "source": "# Title @everyone", "metadata": {}}
        (panel,) = notebook_panels(read_notebook(notebook(words, code("print(2)", printed, count=1))), "a*.ipynb")
        assert (
            panel.text
            == """\
📓 **a\\*.ipynb** · 1 code cell · nothing has run yet
# Title @\u200beveryone
**[1]**
```py
print(2)
```
```
2
```"""
        )

    def test_of_thousands_of_cells_is_not_looked_through(self, monkeypatch: pytest.MonkeyPatch) -> None:
        looked: list[int] = []

        def counted(outputs: Any, number: int, **more: Any) -> Any:
            looked.append(number)
            return cell_text(outputs, number, **more)

        monkeypatch.setattr("bot.opened_notebook.cell_text", counted)
        notebook_panels(read_notebook(notebook(*(code("x = 1\n" * 50) for _ in range(3_000)))), "long.ipynb")
        assert len(looked) < 100

    def test_that_is_long_is_cut_and_keeps_to_the_limits(self) -> None:
        panels = notebook_panels(read_notebook(notebook(*(code("x = 1\n" * 200) for _ in range(500)))), "long.ipynb")
        assert len(panels) == 4
        for panel in panels:
            assert notebook_layout(panel.texts, "s" * 60, choices(range(1, 501))).total_children_count <= COMPONENT_LIMIT
            assert sum(map(size, panel.texts)) <= PANEL_LIMIT

    def test_offers_at_most_25_cells_to_run_up_to(self) -> None:
        assert choices([1, 2, 3]) == [1, 2, 3]
        offered = choices(range(1, 501))
        assert (len(offered), offered[0], offered[-1]) == (25, 1, 500)
