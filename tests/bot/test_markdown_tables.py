from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.agent.events import TextEnded
from bot.markdown_tables import MarkdownTable, split_tables
from tests.bot.looks import ended, files, looks, rendered

TABLE = "| cut | **median** |\n|:---|---:|\n| Ideal | 1,810 |\n| a\\|b | `2` |"


def test_a_table_is_taken_out_of_the_text_around_it() -> None:
    before, table, after = split_tables(f"Here:\n{TABLE}\n\nThat is *all*.")
    assert before == "Here:"
    assert table == MarkdownTable((("cut", "median"), ("Ideal", "1,810"), ("a|b", "2")))
    assert after == "\nThat is *all*."


@pytest.mark.parametrize(
    "text",
    [
        f"```\n{TABLE}\n```",
        "a | b\nc | d",
        "a | b\n--- | --- | ---",
        "| one |\n|---|\n| 1 |",
        "use `a | b`\n\n---",
        "",
        "|" * 5_000 + "\n" + "-|" * 5_000,
    ],
)
def test_what_is_no_table_stays(text: str) -> None:
    assert "".join(str(piece) for piece in split_tables(text)) == text


def test_rows_of_any_length_fit_the_head() -> None:
    (table,) = split_tables("a|b\n-|-\n1|\n1|2|3")
    assert table == MarkdownTable((("a", "b"), ("1", ""), ("1", "2")))


@settings(max_examples=60)
@given(st.text(alphabet="|-: a`\n\\", max_size=80))
def test_nothing_is_lost_but_the_lines_of_tables(text: str) -> None:
    pieces = list(split_tables(text))
    if not any(isinstance(piece, MarkdownTable) for piece in pieces):
        assert "\n".join(map(str, pieces)) == text


def test_an_answer_shows_small_tables_as_text_and_wide_ones_as_pictures() -> None:
    assert (
        looks(TextEnded(f"Here:\n{TABLE}\n\nThat is *all*."), ended())
        == """\
· Here:
· ```
  cut median
Ideal  1,810
  a|b      2
```
· That is *all*.
· -# done · no code
[notebook] [reset]"""
    )
    wide = "|".join(f"column {n}" for n in range(9)) + "\n" + "|".join(["---"] * 9) + "\n" + "|".join("123456789")
    assert [upload.filename for upload in files(rendered(TextEnded(wide), ended()))] == [
        "answer-table-1.png",
        "answer-table-1.csv",
    ]
