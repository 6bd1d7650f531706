"""What ``input()`` and ``getpass()`` ask, asked on the terminal."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from threadbook.terminal import Terminal

_CHUNK = 65_536
# Python's own; Jupyter's kernels leave it to whoever asks.
_PASSWORD = "Password: "  # noqa: S105 - what is asked, not an answer


class Ask(Protocol):
    """Whoever can answer what code asks."""

    async def __call__(self, prompt: str, *, password: bool) -> str | None:
        """Return the answer, or None for the end of input."""


async def ask_nobody(prompt: str, *, password: bool) -> str | None:
    """Answer as a closed stdin does."""
    return None


def asker(terminal: Terminal) -> Ask:
    """Return who answers: the person at the terminal, or nobody if stdin is none."""
    if sys.stdin is None or not sys.stdin.isatty():
        return ask_nobody
    descriptor = sys.stdin.fileno()

    async def ask_person(prompt: str, *, password: bool) -> str | None:
        terminal.ask(prompt or (_PASSWORD if password else ""))
        with hidden(descriptor) if password else shown():
            answer = await read_line(descriptor)
        terminal.answered(visibly=not password)
        return answer

    return ask_person


async def read_line(descriptor: int) -> str | None:
    """Read a line without its end, or None at the end of input. Cancelling it leaves the terminal free."""
    loop = asyncio.get_running_loop()
    collected = bytearray()
    while not collected.endswith(b"\n"):
        ready = asyncio.Event()
        loop.add_reader(descriptor, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(descriptor)
        chunk = os.read(descriptor, _CHUNK)
        if not chunk:
            return collected.decode("utf-8", "replace") if collected else None
        collected += chunk
    return collected.decode("utf-8", "replace").rstrip("\r\n")


@contextmanager
def shown() -> Iterator[None]:
    """Leave the terminal as it is."""
    yield


@contextmanager
def hidden(descriptor: int) -> Iterator[None]:
    """Do not show what is typed."""
    import termios

    before = termios.tcgetattr(descriptor)
    silent = termios.tcgetattr(descriptor)
    silent[3] &= ~termios.ECHO
    termios.tcsetattr(descriptor, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
