"""The clock of one cell: counts the time in which its code runs."""

from __future__ import annotations

import asyncio

from kernel_manager.provisioning.live_kernel import LiveKernel


class CellClock:
    """Runs from :meth:`start` to :meth:`stop`, except between :meth:`pause` and :meth:`resume`, in whatever order these come.

    While it runs, the kernel's supervisor holds what is left of ``timeout`` (seconds): it interrupts the cell then, and
    ends the kernel ``grace`` seconds later, even if this process is gone.
    """

    def __init__(self, kernel: LiveKernel, timeout: float, grace: float) -> None:
        self._kernel = kernel
        self._timeout = timeout
        self._grace = grace
        self._loop = asyncio.get_running_loop()
        self._busy = False
        self._paused = False
        self._insisted = False
        self._running_since: float | None = None
        self._before = 0.0
        self.was_started = False

    @property
    def spent(self) -> float:
        """Seconds that the code ran so far."""
        running = 0.0 if self._running_since is None else self._loop.time() - self._running_since
        return self._before + running

    @property
    def is_up(self) -> bool:
        """Whether the whole time is used up."""
        return self.spent >= self._timeout

    def start(self, head_start: float = 0.0) -> None:
        """The code runs, and has for ``head_start`` seconds."""
        if not self.was_started:
            self._before = head_start
        self._busy = self.was_started = True
        self._update()

    def stop(self) -> None:
        """The cell is over."""
        self._busy = False
        self._update()
        if self._insisted:
            self._kernel.disarm()

    def pause(self) -> None:
        """The code waits for a person."""
        self._paused = True
        self._update()

    def resume(self) -> None:
        """The code goes on."""
        self._paused = False
        self._update()

    def insist(self) -> None:
        """Have the cell interrupted now, and its kernel ended after the grace time, whatever the cell waits for."""
        self._insisted = True
        self._kernel.arm(0, self._grace)

    def _update(self) -> None:
        runs = self._busy and not self._paused
        if runs and self._running_since is None:
            self._running_since = self._loop.time()
            if not self._insisted:
                self._kernel.arm(max(self._timeout - self._before, 0.001), self._grace)
        elif not runs and self._running_since is not None:
            self._before, self._running_since = self.spent, None
            if not self._insisted:
                self._kernel.disarm()
