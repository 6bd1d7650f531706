from __future__ import annotations

import asyncio
import os
import pty
import sys
import termios
from collections.abc import Iterator

import pytest

from tests.threadbook.fakes import FakeStream
from threadbook.questions import ask_nobody, asker, hidden, read_line
from threadbook.terminal import Terminal


@pytest.fixture
def keyboard() -> Iterator[tuple[int, int]]:
    """Where a person types, and where the program reads."""
    typing, reading = pty.openpty()
    yield typing, reading
    os.close(typing)
    os.close(reading)


def echoes(descriptor: int) -> bool:
    return bool(termios.tcgetattr(descriptor)[3] & termios.ECHO)


async def test_reads_a_line(keyboard: tuple[int, int]) -> None:
    typing, reading = keyboard
    os.write(typing, "Zoë\n".encode())
    assert await read_line(reading) == "Zoë"


async def test_the_end_of_input_is_no_answer(keyboard: tuple[int, int]) -> None:
    typing, reading = keyboard
    os.write(typing, b"\x04")
    assert await read_line(reading) is None


async def test_an_empty_line_is_an_answer(keyboard: tuple[int, int]) -> None:
    typing, reading = keyboard
    os.write(typing, b"\n")
    assert await read_line(reading) == ""


async def test_who_stops_to_read_leaves_the_terminal_to_others(keyboard: tuple[int, int]) -> None:
    typing, reading = keyboard
    task = asyncio.create_task(read_line(reading))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert not asyncio.get_running_loop().remove_reader(reading)
    os.write(typing, b"next\n")
    assert await read_line(reading) == "next"


def test_a_password_does_not_show_while_it_is_typed(keyboard: tuple[int, int]) -> None:
    _, reading = keyboard
    with hidden(reading):
        assert not echoes(reading)
    assert echoes(reading)


async def test_asks_the_person_at_the_terminal(keyboard: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    typing, reading = keyboard
    screen = FakeStream(terminal=True)
    with open(reading, closefd=False) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        ask = asker(Terminal(screen, screen))
        os.write(typing, b"Ada\nsecret\nsecret\n\n")
        assert await ask("name? \x1b]0;t\x07", password=False) == "Ada"
        assert await ask("word? ", password=True) == "secret"
        assert await ask("", password=True) == "secret"
        assert await ask("", password=False) == ""
    assert screen.getvalue() == "name? word? \nPassword: \n"


def test_nobody_is_asked_if_stdin_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", FakeStream())
    assert asker(Terminal(FakeStream(), FakeStream())) is ask_nobody


async def test_nobody_answers_nothing() -> None:
    assert await ask_nobody("name? ", password=False) is None
