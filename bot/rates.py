"""How often something may be asked for: so many times within any minute. Pure; the clock is handed in."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Sequence

from kernel_manager.errors import LimitError

WINDOW_S = 60.0
#: Askers that are remembered; beyond that, those who have been quiet are let go.
_MAX_REMEMBERED = 10_000


class Rates:
    """Counts what was asked for by whom. ``clock`` gives seconds that only grow."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._asked: dict[Hashable, deque[float]] = defaultdict(deque)

    def take(self, limits: Sequence[tuple[Hashable, int]]) -> None:
        """Count a request for everybody named, unless one of them has reached their limit a minute (0: there is none).

        Raises LimitError, which says in how many seconds it may be tried again; then it counts for nobody.
        """
        now = self._clock()
        waits = [self._wait(asker, limit, now) for asker, limit in limits if limit > 0]
        if (wait := max(waits, default=0.0)) > 0:
            raise LimitError(f"sorry, that is too much at once; try again in {int(wait) + 1} s")
        self._tidy(now)
        for asker, limit in limits:
            if limit > 0:
                self._asked[asker].append(now)

    def _wait(self, asker: Hashable, limit: int, now: float) -> float:
        """Seconds until the asker may ask again."""
        asked = self._asked[asker]
        while asked and asked[0] <= now - WINDOW_S:
            asked.popleft()
        return 0.0 if len(asked) < limit else asked[-limit] + WINDOW_S - now

    def _tidy(self, now: float) -> None:
        if len(self._asked) > _MAX_REMEMBERED:
            for asker in [asker for asker, asked in self._asked.items() if not asked or asked[-1] <= now - WINDOW_S]:
                del self._asked[asker]
