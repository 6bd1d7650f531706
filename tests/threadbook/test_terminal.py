from __future__ import annotations

import pytest

from tests.threadbook.fakes import FakeStream
from threadbook.terminal import Terminal


@pytest.fixture(autouse=True)
def _colourful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def screen() -> tuple[FakeStream, FakeStream, Terminal]:
    out, err = FakeStream(terminal=True), FakeStream(terminal=True)
    return out, err, Terminal(out, err)


def files() -> tuple[FakeStream, FakeStream, Terminal]:
    out, err = FakeStream(), FakeStream()
    return out, err, Terminal(out, err)


def test_streams_go_where_the_code_sent_them() -> None:
    out, err, terminal = files()
    terminal.pass_on("stdout", "a")
    terminal.pass_on("stderr", "b")
    assert (out.getvalue(), err.getvalue()) == ("a", "b")


def test_an_own_line_begins_a_new_one_on_a_screen_that_both_streams_share() -> None:
    out, err, terminal = screen()
    terminal.pass_on("stdout", "50%")
    terminal.line("note")
    assert out.getvalue() + err.getvalue() == "50%\nnote\n"


def test_a_file_gets_the_output_of_the_code_and_nothing_else() -> None:
    out, err, terminal = files()
    terminal.pass_on("stdout", "50%")
    terminal.line("note")
    assert (out.getvalue(), err.getvalue()) == ("50%", "note\n")


def test_a_block_is_on_lines_of_its_own() -> None:
    out, _, terminal = files()
    terminal.pass_on("stdout", "no end")
    terminal.block("stdout", "value")
    terminal.block("stdout", "ends\n")
    assert out.getvalue() == "no end\nvalue\nends\n"


def test_colours_reach_a_terminal_and_end_before_an_own_line() -> None:
    out, err, terminal = screen()
    terminal.pass_on("stdout", "\x1b[31mred\n")
    terminal.line("note")
    assert out.getvalue() == "\x1b[31mred\n\x1b[0m"
    assert err.getvalue() == "note\n"


def test_a_line_that_ends_in_a_colour_has_ended() -> None:
    out, _, terminal = screen()
    terminal.pass_on("stdout", "\x1b[31mred\n\x1b[0m")
    terminal.line("note", "stdout")
    assert "\n\n" not in out.getvalue()


def test_colours_do_not_reach_a_file() -> None:
    out, _, terminal = files()
    terminal.pass_on("stdout", "\x1b[31mred\x1b[0m\n")
    assert out.getvalue() == "red\n"


@pytest.mark.parametrize(("name", "setting"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_can_be_switched_off(name: str, setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, setting)
    out, _, terminal = screen()
    terminal.pass_on("stdout", "\x1b[31mred\x1b[0m\n")
    assert out.getvalue() == "red\n"


def test_a_sequence_left_open_does_not_swallow_the_next_line() -> None:
    out, _, terminal = screen()
    terminal.pass_on("stdout", "text\x1b]0;")
    terminal.line("note", "stdout")
    assert out.getvalue().endswith("\nnote\n")


def test_a_line_can_be_overwritten_on_a_terminal_only() -> None:
    out, _, terminal = screen()
    terminal.pass_on("stdout", "10%")
    terminal.restart_line()
    terminal.pass_on("stdout", "20%")
    assert out.getvalue() == "10%\r\x1b[K20%"
    out, _, terminal = files()
    terminal.pass_on("stdout", "10%")
    terminal.restart_line()
    assert out.getvalue() == "10%"


def test_asks_where_the_person_is() -> None:
    out, err = FakeStream(), FakeStream(terminal=True)
    Terminal(out, err).ask("name? \x1b[2J")
    assert (out.getvalue(), err.getvalue()) == ("", "name? ")


def test_closed_streams_are_no_terminals() -> None:
    out = FakeStream(terminal=True)
    out.close()
    assert not Terminal(out, FakeStream()).is_terminal()
