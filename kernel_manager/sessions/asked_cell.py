"""A cell from when it is asked for until its result is known: waiting, then sent, then begun, then over."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

from kernel_manager.execution.events import Event
from kernel_manager.execution.result import ExecutionResult
from kernel_manager.execution.runner import CellRun
from kernel_manager.provisioning.live_kernel import LiveKernel
from kernel_manager.sessions.history import Source

Emit = Callable[[Event], None]


class AskedCell:
    """See the module. ``timeout`` is in seconds, None for the setting's; events go to ``emit``. New cells have no ``cell_id``."""

    def __init__(
        self,
        code: str,
        timeout: float | None,
        files: Sequence[Path],
        emit: Emit,
        cell_id: str | None = None,
        source: Source = "run",
    ) -> None:
        self.code = code
        self.cell_id = cell_id
        self.source = source
        self.timeout = timeout
        self.files = files
        self.emit = emit
        #: The result of a cell that was withdrawn before it was sent.
        self.withdrawn: ExecutionResult | None = None
        self._task: asyncio.Task[ExecutionResult] | None = None
        self._sent = False
        self._begun = False
        self._run: CellRun | None = None
        self._interrupt_on_begin: Callable[[], None] | None = None
        self._stop_waiting: Callable[[], object] | None = None

    @property
    def task(self) -> asyncio.Task[ExecutionResult]:
        """What runs the cell, after :meth:`start`."""
        assert self._task is not None
        return self._task

    def start(self, driving: Coroutine[Any, Any, ExecutionResult], name: str) -> None:
        """Drive the cell in a task of its own, so that its end is recorded whoever still waits for it."""
        self._task = asyncio.create_task(driving, name=name)
        # who gives a cell up does not look at what became of it
        self._task.add_done_callback(lambda task: task.cancelled() or task.exception())

    # --- on the way -----------------------------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """Pass an event of the kernel on; the first one says that the cell has begun."""
        self.emit(event)
        self._begun = True
        if self._interrupt_on_begin is not None:
            interrupt, self._interrupt_on_begin = self._interrupt_on_begin, None
            interrupt()

    def sent(self, run: CellRun) -> None:
        """The kernel gets it: from now on it can be interrupted, but not be taken back."""
        self._sent, self._run = True, run

    def over(self) -> None:
        """The kernel is done with it."""
        self._run = None

    @contextlib.contextmanager
    def waiting(self, stop: Callable[[], object]) -> Iterator[None]:
        """Wait for something else than the kernel meanwhile; ``stop`` is called when that should not go on."""
        self._stop_waiting = stop
        try:
            yield
        finally:
            self._stop_waiting = None

    # --- from outside ---------------------------------------------------------------------------------------------

    def withdraw(self, cause: str) -> None:
        """Have it not run, if it was not sent yet."""
        if not self._sent:
            self.withdrawn = ExecutionResult("interrupted", cause=cause)
        self._stop()

    def interrupt(self) -> None:
        """Interrupt it if it was sent, or what it waits for."""
        if self._run is not None:
            self._once_begun(self._run.interrupt)
        self._stop()

    async def give_up(self, kernel: LiveKernel | None, grace: float) -> None:
        """End it, since nobody waits for it any more, and wait for that; what came of it still goes to the history.

        ``kernel`` is where it runs; who ignores the interrupt is ended ``grace`` seconds later.
        """
        if not self._sent:
            self.task.cancel()
        elif (run := self._run) is not None:
            if not self._begun and kernel is not None:
                kernel.arm(grace, grace)  # in case that it never begins
            self._once_begun(lambda: run.interrupt(insist=True))
        self._stop()
        await asyncio.wait({self.task})

    def _stop(self) -> None:
        if self._stop_waiting is not None:
            self._stop_waiting()

    def _once_begun(self, interrupt: Callable[[], None]) -> None:
        """Interrupt now, or when the cell begins: a kernel ignores what comes before."""
        if self._begun:
            interrupt()
        else:
            self._interrupt_on_begin = interrupt
