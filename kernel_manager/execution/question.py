"""One question of the code: ``input()`` or ``getpass()`` waits for a person."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Question:
    """Answered once, by whoever is first or by the time-out (in seconds), which stands for end of file."""

    def __init__(self, timeout: float, deliver: Callable[[str | None], None]) -> None:
        self._deliver: Callable[[str | None], None] | None = deliver
        self._timer = asyncio.get_running_loop().call_later(timeout, self.answer, None)

    def answer(self, value: str | None) -> None:
        """Pass the answer on. A second answer, or one that comes too late, does nothing."""
        deliver, self._deliver = self._deliver, None
        self._timer.cancel()
        if deliver is not None:
            deliver(value)

    def cancel(self) -> None:
        """No answer is wanted any more."""
        self._deliver = None
        self._timer.cancel()
