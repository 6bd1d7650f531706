"""Runs one cell on a live kernel and collects what comes of it.

A cell is over when the shell reply and IOPub's ``idle`` are both there, in either order, or when the kernel has ended.
Whatever was lost on the way (a socket's queue was full, the kernel died, the service was away) is read from the
kernel's spool.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kernel_manager.execution.channels import Channels, Message
from kernel_manager.execution.events import CellStarted, Event, InputRequested
from kernel_manager.execution.exit_cause import ExitEvidence, explain_exit
from kernel_manager.execution.outputs import OutputCollector, OutputLimits
from kernel_manager.execution.result import ExecutionResult, Status
from kernel_manager.kernelside import spool
from kernel_manager.provisioning.live_kernel import ExitReport, LiveKernel

#: How long the second of (reply, idle) may keep us waiting after the first and the last output, in seconds.
SETTLE_S = 1.0
#: Message ids that are remembered to tell the spool's copies; the spool holds fewer.
REMEMBERED_IDS = 50_000

Emit = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class CellLimits:
    """The bounds of one cell; times in seconds."""

    timeout: float
    grace: float
    input_timeout: float
    outputs: OutputLimits


class CellRun:
    """One execution of one cell: :meth:`prepare` and :meth:`send`, or :meth:`resume`; then await :meth:`finished`."""

    def __init__(self, kernel: LiveKernel, channels: Channels, limits: CellLimits, emit: Emit) -> None:
        self._kernel = kernel
        self._channels = channels
        self._limits = limits
        self._emit = emit
        self._loop = asyncio.get_running_loop()
        self.collector = OutputCollector(limits.outputs)
        self.msg_id = ""
        self._execution_count: int | None = None
        self._reply: Message | None = None
        self._idle = False
        self._resumed = False
        self._deadline_hit = False
        self._interrupted = False
        self._seen: set[str] = set()
        self._clock = _Clock(kernel, limits)
        self._input: _Input | None = None
        self._settling: asyncio.TimerHandle | None = None
        self._done: asyncio.Future[None] = self._loop.create_future()

    def prepare(self, code: str) -> str:
        """Make the request for ``code`` and return its ``msg_id``, to be written down before :meth:`send`."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": True,
            "stop_on_error": False,
        }
        self._request = self._channels.prepare("execute_request", content)
        self.msg_id = str(self._request["header"]["msg_id"])
        return self.msg_id

    def send(self) -> None:
        """Send the prepared request to the kernel."""
        self._watch_kernel()
        self._channels.post("shell", self._request, self._on_message)

    def resume(self, msg_id: str, *, deadline_hit: bool) -> None:
        """Follow a cell that an earlier process sent. Its reply will not come to us, so the spool and ``idle`` decide."""
        self.msg_id, self._resumed, self._deadline_hit = msg_id, True, deadline_hit
        self._watch_kernel()
        self._channels.listen(msg_id, self._on_message)
        self._read_spool()
        if not self._done.done() and self._kernel.alive:
            # the kernel answers this after the cell, or at once if the cell never reached it
            self._channels.send("shell", "kernel_info_request", {}, self._on_asked)

    async def finished(self) -> ExecutionResult:
        """Wait for the end and return the result; ``files`` is left to the caller."""
        try:
            await self._done
        finally:
            self._leave()
        if not self._kernel.alive:
            return self._death(self._kernel.exited.result())
        return self._result(self._status(), self._cause())

    def interrupt(self, *, insist: bool = False) -> None:
        """Interrupt the cell, as a person's Ctrl-C would; who insists has the kernel ended after the grace time."""
        self._interrupted = True
        if self._input is not None:
            self._input.cancel()
        if insist:
            self._kernel.arm(0, self._limits.grace)
        else:
            self._kernel.send_signal()

    # --- what comes in --------------------------------------------------------------------------------------------

    def _watch_kernel(self) -> None:
        self._kernel.on_deadline = self._on_deadline
        self._kernel.exited.add_done_callback(self._on_exit)

    def _on_deadline(self) -> None:
        self._deadline_hit = not self._interrupted

    def _on_exit(self, _: object) -> None:
        self._finish()

    def _on_message(self, channel: str, message: Message) -> None:
        msg_id = message["header"].get("msg_id", "")
        if channel == "iopub" and not self._is_new(msg_id):
            return
        if channel == "shell":
            self._reply = message["content"]
            self._settle()
        elif channel == "iopub":
            self._on_iopub(message)
        elif channel == "stdin" and message["msg_type"] == "input_request":
            self._on_input_request(message)

    def _on_iopub(self, message: Message) -> None:
        kind, content = message["msg_type"], message["content"]
        if kind == "status":
            self._on_status(content.get("execution_state"))
        elif kind == "execute_input":
            self._on_execute_input(content)
        else:
            for event in self.collector.handle(message):
                self._emit(event)
            if self._settling is not None:
                self._settle()

    def _on_status(self, state: object) -> None:
        if state == "busy":
            if not self._resumed:
                self._clock.start()
        elif state == "idle":
            self._clock.stop()
            self._idle = True
            self._settle()

    def _on_execute_input(self, content: Message) -> None:
        count = content.get("execution_count")
        self._execution_count = count if isinstance(count, int) else None
        self._emit(CellStarted(self._execution_count))

    def _on_input_request(self, message: Message) -> None:
        content = message["content"]
        self._clock.stop()
        self._input = _Input(self._loop, self._limits.input_timeout, lambda value: self._on_answer(message, value))
        self._emit(InputRequested(str(content.get("prompt", ""))[:10_000], content.get("password") is True, self._input.answer))

    def _on_answer(self, request: Message, value: str | None) -> None:
        self._input = None
        if self._done.done() or not self._kernel.alive:
            return
        self._clock.start()
        self._channels.answer_input(value, request)

    def _on_asked(self, channel: str, _message: Message) -> None:
        """The kernel is free: everything that the resumed cell will ever publish is in the spool."""
        if channel == "shell":
            self._read_spool()
            self._finish()

    def _is_new(self, msg_id: str) -> bool:
        if msg_id in self._seen:
            return False
        if len(self._seen) < REMEMBERED_IDS:
            self._seen.add(msg_id)
        return True

    # --- the end --------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Finish if both signs are there; else give the other one a moment, and then do without."""
        if self._settling is not None:
            self._settling.cancel()
        if self._idle and (self._reply is not None or self._resumed):
            self._finish()
        else:
            self._settling = self._loop.call_later(SETTLE_S, self._finish_without)

    def _finish_without(self) -> None:
        self._read_spool()
        self._finish()

    def _finish(self) -> None:
        if not self._done.done():
            self._done.set_result(None)

    def _leave(self) -> None:
        self._clock.stop()
        if self._settling is not None:
            self._settling.cancel()
        if self._input is not None:
            self._input.cancel()
        self._channels.forget(self.msg_id)
        self._kernel.on_deadline = None
        self._kernel.exited.remove_done_callback(self._on_exit)

    def _read_spool(self) -> None:
        for frames in spool.read_spool(self._kernel.folder.spool):
            message = self._channels.parse(frames)
            if message is not None and (message.get("parent_header") or {}).get("msg_id") == self.msg_id:
                self._on_message("iopub", message)

    def _read_last_words(self, report: ExitReport) -> None:
        """What the kernel had printed but not published, and what was left in its pipes."""
        for name, leftover in (("stdout", report.stdout), ("stderr", report.stderr)):
            text = spool.read_pending(self._kernel.folder.pending(name)) + leftover
            if text:
                message = {"header": {"msg_type": "stream"}, "msg_type": "stream", "content": {"name": name, "text": text}}
                for event in self.collector.handle(message):
                    self._emit(event)

    # --- the result -----------------------------------------------------------------------------------------------

    def _status(self) -> Status:
        reply = self._reply or {}
        failed = reply.get("status", "error" if self.collector.failed else "ok") != "ok"
        if self._deadline_hit:
            return "timeout"
        if self._interrupted or reply.get("ename") == "KeyboardInterrupt":
            return "interrupted" if failed else "ok"
        return "error" if failed else "ok"

    def _cause(self) -> str | None:
        status = self._status()
        if status == "timeout":
            return f"the cell ran longer than {self._limits.timeout:g} s and was interrupted; the session's variables are kept"
        if status == "interrupted":
            return "the cell was interrupted; the session's variables are kept"
        if status == "error":
            return self._error_line()
        return None

    def _error_line(self) -> str:
        reply = self._reply or {}
        if reply.get("status") == "aborted":
            return "the kernel did not run the cell because an earlier one had failed; run it again"
        if "ename" in reply:
            return f"{reply['ename']}: {reply.get('evalue', '')}".strip()[:2_000]
        for output in reversed(self.collector.outputs):
            if output["output_type"] == "error":
                return f"{output['ename']}: {output['evalue']}".strip()[:2_000]
        return "the cell failed"

    def _death(self, report: ExitReport) -> ExecutionResult:
        self._read_spool()
        self._read_last_words(report)
        if report.killed_by == "deadline" and self._interrupted:
            return self._result("interrupted", "the cell ignored the interrupt, so its kernel was ended", state_lost=True)
        if report.killed_by == "deadline" or (self._deadline_hit and report.signal is not None):
            return self._result("timeout", self._killed_cause(), state_lost=True)
        if report.killed_by in ("stop", "restart"):
            return self._result("interrupted", "the session was stopped while the cell ran", state_lost=True)
        return self._result("died", explain_exit(evidence_of(report)), state_lost=True)

    def _killed_cause(self) -> str:
        return (
            f"the cell ran longer than {self._limits.timeout:g} s and ignored the interrupt, so its kernel was ended "
            f"{self._limits.grace:g} s later; the session's variables are lost"
        )

    def _result(self, status: Status, cause: str | None, *, state_lost: bool = False) -> ExecutionResult:
        return ExecutionResult(
            status=status,
            execution_count=self._execution_count,
            outputs=self.collector.outputs,
            duration_s=round(self._clock.elapsed, 6),
            cause=cause,
            state_lost=state_lost,
        )


class _Clock:
    """Counts the time in which the code runs, and has the kernel's supervisor hold what is left of it."""

    def __init__(self, kernel: LiveKernel, limits: CellLimits) -> None:
        self._kernel = kernel
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._started: float | None = None
        self.elapsed = 0.0

    def start(self) -> None:
        if self._started is None:
            self._started = self._loop.time()
            self._kernel.arm(max(self._limits.timeout - self.elapsed, 0.001), self._limits.grace)

    def stop(self) -> None:
        if self._started is not None:
            self.elapsed += self._loop.time() - self._started
            self._started = None
            self._kernel.disarm()


class _Input:
    """One question of the code; answered once, by whoever is first or by the time-out."""

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout: float, deliver: Callable[[str | None], None]) -> None:
        self._loop = loop
        self._deliver: Callable[[str | None], None] | None = deliver
        self._timer = loop.call_later(timeout, self.answer, None)

    def answer(self, value: str | None) -> None:
        """Pass the answer on. A second answer, or one that comes too late, does nothing."""
        deliver, self._deliver = self._deliver, None
        self._timer.cancel()
        if deliver is not None:
            deliver(value)

    def cancel(self) -> None:
        self._deliver = None
        self._timer.cancel()


def evidence_of(report: ExitReport) -> ExitEvidence:
    """What is known about a kernel's end, in the words of :mod:`exit_cause`."""
    return ExitEvidence(
        exit_code=report.exit_code,
        signal=report.signal,
        killed_by_us=_KILLERS.get(report.killed_by or ""),
        peak_memory_bytes=report.peak_memory_bytes,
        last_stderr=report.stderr[-2_000:],
    )


_KILLERS: dict[str, Any] = {name: name for name in ("deadline", "stop", "idle", "restart", "limit")}
