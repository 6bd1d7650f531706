"""What a SIGINT does to a kernel, whenever it comes: it ends the cell that was accepted, and nothing else.

Left to Python, an interrupt raises wherever the main thread happens to be. Between a cell's acceptance and its first
statement, and between its last statement and its reply, that is in the kernel's own code, which loses the reply, or in a
callback, which swallows the exception while the cell goes on for ever. So here it raises only while code runs that a cell
may have brought along; what comes earlier is kept for the cell's first statement, and what comes later is dropped.
"""

from __future__ import annotations

import asyncio
import inspect
import signal
from types import CodeType, FrameType, TracebackType
from typing import Any


class Interrupts:
    """The handler of SIGINT. ``within`` is the code that an interrupt may leave by an exception, ``around`` what calls it.

    Whoever handles a cell calls :meth:`accept`, then :meth:`begin` right before each of its statements, then :meth:`over`,
    the last in the code ``around``.
    """

    def __init__(self, within: CodeType, around: CodeType) -> None:
        self._within, self._around = within, around
        self._accepted = False
        self._begun = False
        self._kept = False
        self._serving = False
        #: What runs an asynchronous cell, while it does.
        self.task: asyncio.Future[Any] | None = None
        #: Whether such a cell was cancelled for an interrupt.
        self.cancelled = False

    def install(self) -> Any:
        """Handle SIGINT from now on; return what did before."""
        return signal.signal(signal.SIGINT, self.handle)

    def serve(self, serving: bool) -> None:
        """Something is asked of the kernel, or no longer; unless it is a cell, an interrupt just ends it."""
        self._serving = serving and not self._accepted

    def accept(self) -> None:
        """A cell has come; interrupts are meant for it from now on."""
        self._kept = self._begun = self.cancelled = False
        self._accepted = True

    def begin(self) -> None:
        """Code of the cell is about to run; raises KeyboardInterrupt if one came before the first of it."""
        if self._kept and not self._begun:
            raise KeyboardInterrupt
        self._begun = True

    def over(self) -> None:
        """The cell is over; interrupts are for nobody."""
        self._accepted = False

    def handle(self, _number: int, frame: FrameType | None) -> None:
        """Interrupt the cell, if there is one."""
        if not self._accepted:
            if self._serving:
                raise KeyboardInterrupt
            return
        # kept even if it raises: a callback that runs before the first statement may swallow it
        self._kept = True
        if self._may_raise(frame):
            raise KeyboardInterrupt
        if self.task is not None:
            # at once: what is scheduled before a callback may be code that never lets the loop come to it
            self.cancelled = self.task.cancel() or self.cancelled
            self.task.get_loop().call_soon_threadsafe(lambda: None)  # the loop may be asleep

    def _may_raise(self, frame: FrameType | None) -> bool:
        while frame is not None:
            if frame.f_code is self._within:
                return True
            if frame.f_code is self._around:
                return False
            if self.task is not None and frame.f_code.co_flags & inspect.CO_COROUTINE:
                return True  # the cell's, or of a task that it made; the loop itself must not lose its thread
            frame = frame.f_back
        # once code has begun, it may have made itself another stack, such as a greenlet's
        return self._begun and self.task is None


def without_handler(trace: TracebackType | None) -> TracebackType | None:
    """The traceback of an interrupt as it is where nobody handles SIGINT: it ends where the code was interrupted."""
    last = trace
    while last is not None and last.tb_next is not None:
        if last.tb_next.tb_frame.f_code is Interrupts.handle.__code__:
            last.tb_next = None
        else:
            last = last.tb_next
    return trace
