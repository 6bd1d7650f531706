from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadbook.control_sequences import ControlFilter, plain

HARMFUL = [
    "\x1b]52;c;ZXZpbA==\x07",  # clipboard
    "\x1b]0;title\x1b\\",
    "\x1b[2J",
    "\x1b[10;10H",
    "\x1b[?1049h",
    "\x1b[6n",  # a query whose answer is typed for the person
    "\x1bP$q\x1b\\",
    "\x1b_payload\x1b\\",
    "\x1bc",
    "\x1b(0",
    "\x9b2J",
    "\x9d0;title\x9c",
    "\x07\x00\x0e\x7f\x0b\x0c",
    "\x1b[31;1 q",
]
ANY_TEXT = st.text(st.sampled_from("ab1;m[]\\?PX^_\x1b\x07\x9b\x9c\x9d\x90\r\n\b"), max_size=40)


@pytest.mark.parametrize("sequence", HARMFUL)
@pytest.mark.parametrize("colours", [False, True])
def test_nothing_that_commands_the_terminal_passes(sequence: str, colours: bool) -> None:
    shown = plain(f"a{sequence}b", colours=colours)
    assert shown[0] == "a"
    assert shown[-1] == "b"
    assert not set(shown) & set("\x1b\x07\x00\x0e\x7f\x0b\x0c\x9b\x9c\x9d")


def test_complete_sequences_leave_no_trace() -> None:
    assert plain("a\x1b]52;c;ZXZpbA==\x07b\x1b[2Jc\x9d0;title\x9cd") == "abcd"


def test_text_line_ends_tabs_returns_and_backspaces_pass() -> None:
    text = "naïve 中\t10%\r20%\b\b\n"
    assert plain(text) == text


def test_colours_pass_only_where_they_are_wanted() -> None:
    text = "\x1b[1;38;5;12mred\x1b[0m \x1b[4:3mcurly\x1b[m"
    assert plain(text, colours=True) == text
    assert plain(text) == "red curly"


def test_private_sequences_that_end_like_colours_do_not_pass() -> None:
    assert plain("\x1b[>4;2mx\x1b[?4my", colours=True) == "xy"


@given(ANY_TEXT, st.booleans())
def test_whatever_comes_only_colours_have_an_escape(text: str, colours: bool) -> None:
    shown = plain(text, colours=colours)
    without_colours = plain(shown)
    assert "\x1b" not in without_colours
    assert plain(shown, colours=colours) == shown


@given(st.lists(ANY_TEXT, max_size=6), st.booleans())
def test_pieces_are_shown_as_the_whole(pieces: list[str], colours: bool) -> None:
    stream = ControlFilter(colours=colours)
    shown = "".join([*(stream.feed(piece) for piece in pieces), stream.end()])
    assert shown == plain("".join(pieces), colours=colours)


def test_a_sequence_may_come_in_pieces() -> None:
    stream = ControlFilter(colours=True)
    assert [stream.feed(piece) for piece in ("a\x1b", "[3", "1mb", "\x1b]0;t", "itle\x1b", "\\c")] == [
        "a",
        "",
        "\x1b[31mb",
        "",
        "",
        "c",
    ]


def test_a_sequence_that_never_ends_does_not_hold_the_text_back() -> None:
    stream = ControlFilter(colours=False)
    assert stream.feed("\x1b]0;" + "x" * 20_000).endswith("x" * 20_000)
    assert stream.feed("after\n") == "after\n"


@pytest.mark.parametrize("piece", ["\x9d", "\x1b]", "\x1b[0", "\x1bP\x1b", "\x9b", "\x1b"])
def test_takes_no_longer_for_hostile_text(piece: str) -> None:
    started = time.process_time()
    plain(piece * (500_000 // len(piece)) + "\x07")
    assert time.process_time() - started < 5
