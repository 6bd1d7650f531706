"""A cell on its way through the kernel: once, or a second time when nothing of the first time had taken effect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from kernel_manager.execution.channels import Channels
from kernel_manager.execution.events import DisplayUpdated, Event, InputRequested, OutputAdded
from kernel_manager.execution.result import ExecutionResult
from kernel_manager.execution.runner import CellLimits, CellRun
from kernel_manager.packages.import_errors import read_lack
from kernel_manager.provisioning.live_kernel import LiveKernel
from kernel_manager.sessions.asked_cell import AskedCell


class SentCell:
    """See the module. ``updates`` are displays of earlier cells that it changed, by ``display_id``.

    An error about a missing package is held back, as the cell may run again and then well. ``note_answer`` gets the cell's id,
    and the prompt and the answer of each ``input()``.
    """

    def __init__(self, cell_id: str, cell: AskedCell, limits: CellLimits, note_answer: Callable[[str, str, str], None]) -> None:
        self.cell_id = cell_id
        self._note_answer = note_answer
        self.cell = cell
        self.limits = limits
        self.updates: dict[str, DisplayUpdated] = {}
        self._spent = 0.0
        self._holds = True
        self._held: list[Event] = []
        self._run: CellRun | None = None

    @property
    def display_ids(self) -> dict[str, list[int]]:
        """Which outputs of the last run (by index) show a display."""
        return self._run.collector.display_ids if self._run is not None else {}

    def new_run(self, kernel: LiveKernel, channels: Channels) -> CellRun:
        """Make the request, to be written down before :meth:`send`."""
        self._run = CellRun(kernel, channels, self.limits, self._take, partial(self._note_answer, self.cell_id))
        self._run.prepare(self.cell.code)
        return self._run

    async def send(self) -> ExecutionResult:
        """Send it and wait for its end; the time of an earlier run counts too."""
        assert self._run is not None
        try:
            self._run.send()
            self.cell.sent(self._run)
            result = await self._run.finished()
        finally:
            self.cell.over()
        self._spent += result.duration_s
        return replace(result, duration_s=round(self._spent, 6))

    def again(self) -> SentCell:
        """Forget what came of the first run; the next one holds nothing back."""
        self._held.clear()
        self.updates.clear()
        self._holds = False
        return self

    def show_held(self) -> None:
        """Tell what was held back: it stays as it is."""
        held, self._held = self._held, []
        for event in held:
            self.cell.take(event)

    def _take(self, event: Event) -> None:
        if isinstance(event, DisplayUpdated):
            if event.display_id in self.updates or len(self.updates) < self.limits.outputs.max_outputs:
                self.updates[event.display_id] = event
        elif self._holds and not isinstance(event, InputRequested) and (self._held or _says_what_is_missing(event)):
            self._held.append(event)
        else:
            self.cell.take(event)


def _says_what_is_missing(event: Event) -> bool:
    if not isinstance(event, OutputAdded) or event.output["output_type"] != "error":
        return False
    return read_lack(str(event.output["ename"]), str(event.output["evalue"])) is not None
