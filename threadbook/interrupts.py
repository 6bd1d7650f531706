"""Ctrl-C while something runs."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def on_interrupt(react: Callable[[], None]) -> Iterator[None]:
    """Call ``react`` in the running loop for each interrupt, instead of what usually happens."""
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGINT)
    try:
        loop.add_signal_handler(signal.SIGINT, react)
    except (NotImplementedError, RuntimeError):  # not on this platform, not in this thread
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, before)


def end_as_interrupted() -> None:
    """End this process at once, as an interrupt that nobody handles would."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.raise_signal(signal.SIGINT)
