"""Forces a history to disk shortly after it was written to: a kill loses nothing anyway, a power cut little."""

from __future__ import annotations

import asyncio

from kernel_manager.sessions.history import History

#: How long a finished cell may lie in the system's cache, in seconds.
_DELAY_S = 1.0


class SyncSoon:
    """Gathers requests, so that many small cells cost one write."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def ask(self) -> None:
        """Have the history forced to disk soon."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_DELAY_S, self._start)

    async def flush(self) -> None:
        """Do now what was asked for, and wait for what is being done."""
        if self._timer is not None:
            self._timer.cancel()
            self._start()
        if self._task is not None:
            await asyncio.wait({self._task})

    def _start(self) -> None:
        self._timer = None
        self._task = asyncio.create_task(asyncio.to_thread(self._history.sync))
