"""How much of the service's time the messages of one kernel may take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Seconds at once: a table of some megabytes takes a part of one to read.
BURST_S = 1.5
#: The part of all time that comes back.
SHARE = 0.2


class Allowance:
    """Time that is spent and comes back: :data:`BURST_S` at most, :data:`SHARE` of each second that passes.

    Code owns its kernel's key, so it can send well-formed messages for ever. What they cost is what others wait for: who
    has spent it all has to be heard less.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left = BURST_S
        self._counted_at = clock()

    @property
    def is_spent(self) -> bool:
        """Whether there is none left now."""
        self._come_back()
        return self._left <= 0

    @property
    def back_in(self) -> float:
        """Seconds until there is some again."""
        self._come_back()
        return max(0.0, -self._left) / SHARE

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Count what is done meanwhile."""
        began = self._clock()
        try:
            yield
        finally:
            self._come_back()
            self._left -= self._clock() - began

    def _come_back(self) -> None:
        now = self._clock()
        self._left = min(BURST_S, self._left + (now - self._counted_at) * SHARE)
        self._counted_at = now
