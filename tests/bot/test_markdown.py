from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.markdown import fenced, harmless, head, plain, size, split_markdown, verbatim


def test_an_astral_character_counts_twice() -> None:
    assert size("a😀") == 3
    assert head("😀😀", 3) == "😀"


@pytest.mark.parametrize("text", ["@everyone", "@here", "<@123>", "<@!123>", "<@&123>", "<#5>", "</run:1>"])
def test_nobody_is_mentioned(text: str) -> None:
    assert text not in harmless(f"hello {text}!")


def test_terminal_sequences_and_direction_marks_go() -> None:
    assert plain("\x1b[31mred\x1b[0m \u202etxt\x00\r\n10 %\r20 %\n") == "red txt\n20 %\n"


@given(st.text(alphabet="`a\n ", max_size=60))
def test_nothing_inside_ends_a_code_block(text: str) -> None:
    block = fenced(text, "py")
    assert block.startswith("```py\n")
    assert block.count("```") == 2
    assert block.endswith("\n```")


def test_a_name_shows_as_it_is() -> None:
    assert verbatim("**a**\n_b_ <@1>") == r"\*\*a\*\* \_b\_ \<\@1\>"


@given(st.text(alphabet="ab`😀\n ", max_size=900), st.integers(min_value=100, max_value=300))
def test_no_part_is_longer_than_the_limit_or_leaves_a_block_open(text: str, limit: int) -> None:
    for part in split_markdown(text, limit):
        assert size(part) <= limit
        assert part.count("```") % 2 == 0


def test_a_cut_code_block_goes_on_in_the_next_part() -> None:
    first, second = split_markdown(f"```py\n{'a' * 60}\n{'b' * 60}\n```", 100)
    assert first == f"```py\n{'a' * 60}\n```"
    assert second == f"```py\n{'b' * 60}\n```"


def test_text_of_exactly_the_limit_stays_whole() -> None:
    assert split_markdown("x" * 60 + "\n" + "y" * 39, 100) == ["x" * 60 + "\n" + "y" * 39]
    assert len(split_markdown("x" * 60 + "\n" + "y" * 40, 100)) == 2
