"""Runs one cell on a live kernel and collects what comes of it.

A cell is over when the shell reply and IOPub's ``idle`` are both there, in either order, or when the kernel has ended.
Whatever was lost on the way (a socket's queue was full, the kernel died, the service was away) is read from the
kernel's spool.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeGuard, get_args

from kernel_manager.execution.channels import Channels, Message
from kernel_manager.execution.clock import CellClock
from kernel_manager.execution.events import CellStarted, Event, InputRequested
from kernel_manager.execution.exit_cause import ExitEvidence, KilledByUs, explain_exit
from kernel_manager.execution.outputs import OutputCollector, OutputLimits, clean_text, whole_number
from kernel_manager.execution.question import Question
from kernel_manager.execution.result import ExecutionResult, Status
from kernel_manager.kernelside import spool
from kernel_manager.provisioning.live_kernel import ExitReport, LiveKernel

#: How long the second of (reply, idle) may keep us waiting after the first and the last output, in seconds.
SETTLE_S = 1.0
#: How long outputs that keep coming may put that off, in seconds.
SETTLE_LIMIT_S = 30.0
#: How long messages of a kernel that is gone are waited for, and how often is looked, in seconds.
DRAIN_S = 1.0
DRAIN_STEP_S = 0.01
#: How long ``busy`` may take before it is looked for in the spool; then twice as long, and so on, in seconds.
LOOK_S = 0.25
#: How long a kernel that said it would leave may take to end, in seconds.
LEAVE_S = 2.0
#: How long ``input_request``, which has a socket of its own, may be ahead of ``execute_input``, in seconds.
OVERTAKE_S = 0.5
#: Message ids that are remembered to tell the spool's copies; the spool holds fewer.
REMEMBERED_IDS = 50_000
MAX_PROMPT = 10_000
MAX_CAUSE = 1_000
FULL_CAUSE = (
    "the working folder grew beyond its limit (WORKSPACE_MB, WORKSPACE_FILES), so the cell was interrupted; delete files before "
    "the next one, the session's variables are kept"
)
LEFT_CAUSE = "the cell called exit() or quit(), which ended its kernel; the session's variables are lost"

Emit = Callable[[Event], None]
#: Gets the prompt of an ``input()`` and the answer that the code is about to get; never those of ``getpass()``.
OnAnswer = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class CellLimits:
    """The bounds of one cell; times in seconds. ``wall`` counts from when it was sent, whatever it waits for."""

    timeout: float
    grace: float
    input_timeout: float
    outputs: OutputLimits
    wall: float = 3600.0


class CellRun:
    """One execution of one cell: :meth:`prepare` and :meth:`send`, or :meth:`resume`; then await :meth:`finished`."""

    def __init__(
        self,
        kernel: LiveKernel,
        channels: Channels,
        limits: CellLimits,
        emit: Emit,
        on_answer: OnAnswer = lambda _prompt, _answer: None,
    ) -> None:
        self._kernel = kernel
        self._channels = channels
        self._limits = limits
        self._emit = emit
        self._on_answer = on_answer
        self._loop = asyncio.get_running_loop()
        self.collector = OutputCollector(limits.outputs)
        self.msg_id = ""
        self._sent_at: float | None = None
        self._started = False
        self._execution_count: int | None = None
        self._reply: Message | None = None
        self._idle = False
        self._resumed = False
        self._replaying = False
        self._deadline_hit = False
        self._interrupted = False
        self._limit_hit = False
        self._capped = False
        self._seen: set[str] = set()
        self._clock = CellClock(kernel, limits.timeout, limits.grace)
        self._dates = _Dates()
        self._questions: set[Question] = set()
        self._held: list[Message] = []
        self._looking: asyncio.TimerHandle | None = None
        self._settling: asyncio.TimerHandle | None = None
        self._settle_until: float | None = None
        self._cap: asyncio.TimerHandle | None = None
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
        self._sent_at = self._loop.time()
        self._channels.post("shell", self._request, self._on_message)
        self._looking = self._loop.call_later(LOOK_S, self._look_for_start, LOOK_S)

    def resume(self, msg_id: str, *, deadline_hit: bool) -> None:
        """Follow a cell that an earlier process sent. Its reply will not come to us, so the spool and ``idle`` decide."""
        self.msg_id, self._resumed, self._deadline_hit = msg_id, True, deadline_hit
        self._watch_kernel()
        self._channels.listen(msg_id, self._on_message)
        self._read_spool()
        if self._done.done() or not self._kernel.alive:
            return
        if not self._kernel.was_running:
            self._take_over_clock()
        # the kernel answers this after the cell, or at once if the cell never reached it
        self._channels.send("shell", "kernel_info_request", {}, self._on_asked)

    async def finished(self) -> ExecutionResult:
        """Wait for the end and return the result; ``files`` is left to the caller."""
        try:
            await self._done
            if self._clock.is_up or self._was_interrupted:
                self._kernel.catch_up()
        finally:
            self._leave()
        if not self._kernel.alive:
            return self._death(self._kernel.exited.result())
        self._show_pages()
        return self._result(self._status(), self._cause())

    def interrupt(self, *, insist: bool = False) -> None:
        """Interrupt the cell, as a person's Ctrl-C would; who insists has the kernel ended after the grace time."""
        self._interrupted = True
        self._forget_questions()
        if insist:
            self._clock.insist()
        else:
            self._kernel.send_signal()

    @property
    def _wall(self) -> float:
        return max(self._limits.wall, self._limits.timeout + self._limits.grace)

    def _on_cap(self) -> None:
        """Code can stop its clock: it asks a question, or says that it does. Nothing stops this one."""
        self._capped = True
        self._forget_questions()
        self._clock.insist()

    # --- what comes in --------------------------------------------------------------------------------------------

    def _watch_kernel(self) -> None:
        self._cap = self._loop.call_later(self._wall, self._on_cap)
        self._kernel.on_deadline = self._on_deadline
        self._kernel.on_limit = self._on_limit
        self._kernel.exited.add_done_callback(self._on_exit)

    def _take_over_clock(self) -> None:
        """The dead driver had stopped the clock, or never started it: the code may wait for an answer that nobody can give."""
        self._clock.start()
        self._channels.answer_input(None)

    def _look_for_start(self, waited: float) -> None:
        """Code that never lets go of the interpreter keeps ``busy`` from being sent; in the spool it is all the same."""
        if not self._clock.was_started:
            self._read_spool()
            self._looking = self._loop.call_later(2 * waited, self._look_for_start, 2 * waited)

    def _on_deadline(self) -> None:
        # a cell before this one may have been at its end when its time was: what is said of it comes late
        self._deadline_hit = self._clock.is_up if self._clock.was_started else not self._interrupted

    def _on_limit(self, _limit: str) -> None:
        self._limit_hit = True

    def _on_exit(self, _: object) -> None:
        """The kernel is gone; what it had sent is still on its way."""
        self._settle_within(DRAIN_S)
        self._drain()

    def _on_message(self, channel: str, message: Message) -> None:
        if channel == "iopub" and not self._is_new(message["header"]["msg_id"]):
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
        self._dates.add(message["header"].get("date"))
        if kind == "status":
            self._on_status(content.get("execution_state"), message["header"].get("date"))
        elif kind == "iopub_welcome":
            # it may be one for somebody else; then nothing in the spool is new
            self._read_spool()
        elif kind == "execute_input":
            self._begin(whole_number(content.get("execution_count")))
        else:
            self._collect(message)
            if self._settling is not None:
                self._settle()

    def _on_status(self, state: object, date: object) -> None:
        if state == "busy":
            if not self._resumed:
                self._clock.start(self._head_start(date))
        elif state == "idle":
            self._clock.stop()
            self._idle = True
            self._settle()

    def _head_start(self, busy_since: object) -> float:
        """Seconds that the code has run when its ``busy`` is found in the spool; nobody may claim less than nothing."""
        if not self._replaying or not is_moment(busy_since) or self._sent_at is None:
            return 0.0
        age = (datetime.now(UTC) - busy_since).total_seconds()
        return min(max(age, 0.0), self._loop.time() - self._sent_at)

    def _begin(self, execution_count: int | None) -> None:
        """The kernel runs the cell; questions that overtook this message can be asked now."""
        if self._started:
            return
        self._started = True
        self._execution_count = execution_count
        self._emit(CellStarted(execution_count))
        held, self._held = self._held, []
        for request in held:
            self._ask(request)

    def _on_input_request(self, request: Message) -> None:
        self._clock.pause()
        if self._started:
            self._ask(request)
            return
        self._held.append(request)
        self._loop.call_later(OVERTAKE_S, self._begin, None)

    def _ask(self, request: Message) -> None:
        if self._done.done():
            return
        content = request["content"]
        prompt = str(content.get("prompt", ""))[:MAX_PROMPT]
        password = content.get("password") is not False

        def deliver(value: str | None) -> None:
            self._questions.discard(question)
            if self._done.done() or not self._kernel.alive:
                return
            if value is not None and not password:
                self._on_answer(prompt, value)
            self._deliver(request, value)

        question = Question(self._limits.input_timeout, deliver)
        self._questions.add(question)
        self._emit(InputRequested(clean_text(prompt), content.get("password") is True, question.answer))

    def _deliver(self, request: Message, value: str | None) -> None:
        if not self._questions:
            self._clock.resume()
        self._channels.answer_input(value, request)

    def _forget_questions(self) -> None:
        """Nobody waits for answers any more; what the code does instead takes its time."""
        for question in self._questions:
            question.cancel()
        self._questions.clear()
        self._held.clear()
        self._clock.resume()

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
        self._settle_within(SETTLE_LIMIT_S)
        if not self._idle or (self._reply is None and not self._resumed):
            self._settling = self._loop.call_later(SETTLE_S, self._finish_without)
        elif self._is_leaving:
            self._settling = self._loop.call_later(LEAVE_S, self._kernel.kill, "stop")
        else:
            self._finish()

    def _finish_without(self) -> None:
        if self._channels.has_waiting("iopub") and not self._settled:
            self._settling = self._loop.call_later(SETTLE_S, self._finish_without)
            return
        self._read_spool()
        self._finish()

    def _drain(self) -> None:
        if self._channels.has_waiting("iopub") and not self._settled:
            self._loop.call_later(DRAIN_STEP_S, self._drain)
        else:
            self._finish()

    def _settle_within(self, seconds: float) -> None:
        until = self._loop.time() + seconds
        self._settle_until = until if self._settle_until is None else min(until, self._settle_until)

    @property
    def _settled(self) -> bool:
        return self._settle_until is not None and self._loop.time() >= self._settle_until

    @property
    def _is_leaving(self) -> bool:
        """Whether the cell called ``exit()`` or ``quit()``: the kernel ends after its reply, a moment later."""
        return any(entry.get("keepkernel") is not True for entry in self._payload("ask_exit"))

    def _payload(self, source: str) -> list[Message]:
        payload = (self._reply or {}).get("payload")
        entries = payload if isinstance(payload, list) else []
        return [entry for entry in entries if isinstance(entry, dict) and entry.get("source") == source]

    def _finish(self) -> None:
        if not self._done.done():
            self._done.set_result(None)

    def _leave(self) -> None:
        self._clock.stop()
        for timer in (self._settling, self._looking, self._cap):
            if timer is not None:
                timer.cancel()
        self._forget_questions()
        self._channels.forget(self.msg_id)
        self._kernel.on_deadline = self._kernel.on_limit = None
        self._kernel.exited.remove_done_callback(self._on_exit)

    def _read_spool(self) -> None:
        self._replaying = True
        for frames in spool.read_spool(self._kernel.folder.spool):
            message = self._channels.parse(frames)
            if message is not None and message["parent_header"].get("msg_id") == self.msg_id:
                self._on_message("iopub", message)
        self._replaying = False

    def _show_pages(self) -> None:
        """What ``name?`` has to say comes with the reply; as in JupyterLab, it is an output like any other."""
        for page in self._payload("page"):
            content: Message = {"data": page.get("data"), "metadata": {}}
            self._collect({"header": {"msg_type": "display_data"}, "msg_type": "display_data", "content": content})

    def _collect(self, message: Message) -> None:
        for event in self.collector.handle(message):
            self._emit(event)

    def _read_last_words(self, report: ExitReport) -> None:
        """What the kernel had printed but not published, and what was left in its pipes."""
        for name, leftover in (("stdout", report.stdout), ("stderr", report.stderr)):
            text = spool.read_pending(self._kernel.folder.pending(name)) + leftover
            if text:
                content = {"name": name, "text": text}
                self._collect({"header": {"msg_type": "stream"}, "msg_type": "stream", "content": content})

    # --- the result -----------------------------------------------------------------------------------------------

    @property
    def _failed(self) -> bool:
        if self._reply is None and self._interrupted and not self._resumed:
            return True  # no reply came after the interrupt: nothing says that the cell came to its end
        reply = self._reply or {}
        return bool(reply.get("status", "error" if self.collector.failed else "ok") != "ok")

    @property
    def _was_stopped_by_limit(self) -> bool:
        return self._limit_hit and self._failed and not self._interrupted

    @property
    def _was_interrupted(self) -> bool:
        """Whether an interrupt ended the cell, whoever sent it."""
        return (self._reply or {}).get("ename") == "KeyboardInterrupt"

    def _status(self) -> Status:
        if self._capped or self._deadline_hit or (self._was_interrupted and not self._interrupted and self._clock.is_up):
            return "timeout"
        if self._was_stopped_by_limit:
            return "error"
        if self._interrupted or self._was_interrupted:
            return "interrupted" if self._failed else "ok"
        return "error" if self._failed else "ok"

    def _cause(self) -> str | None:
        status = self._status()
        if self._capped:
            return (
                f"the cell took {self._wall:g} s in all (CODE_WALL_TIMEOUT) and was interrupted; the session's variables are kept"
            )
        if status == "timeout":
            return f"the cell ran longer than {self._limits.timeout:g} s and was interrupted; the session's variables are kept"
        if status == "interrupted":
            return "the cell was interrupted; the session's variables are kept"
        if status == "error":
            return FULL_CAUSE if self._was_stopped_by_limit else self._error_line()
        return None

    def _error_line(self) -> str:
        reply = self._reply or {}
        if reply.get("status") == "aborted":
            return "the kernel did not run the cell because an earlier one had failed; run it again"
        errors = [output for output in self.collector.outputs if output["output_type"] == "error"]
        # an error while a result was shown is not in the reply: its name is "NoneType" there
        error = reply if reply.get("ename", "NoneType") != "NoneType" else errors[-1] if errors else None
        return "the cell failed" if error is None else error_line(error["ename"], error.get("evalue", ""))

    def _death(self, report: ExitReport) -> ExecutionResult:
        self._read_spool()
        self._read_last_words(report)
        if self._is_leaving:
            return self._result("died", LEFT_CAUSE, state_lost=True)
        if report.killed_by == "deadline" and self._capped:
            cause = (
                f"the cell took {self._wall:g} s in all (CODE_WALL_TIMEOUT) and ignored the interrupt, so its kernel was ended"
            )
            return self._result("timeout", cause, state_lost=True)
        if report.killed_by == "deadline" and self._interrupted and not self._deadline_hit:
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
            duration_s=round(self._duration(), 6),
            cause=cause,
            state_lost=state_lost,
        )

    def _duration(self) -> float:
        """Seconds on the clock; if it never ran because ``busy`` did not come in time, the best that is known instead."""
        if self._sent_at is None:
            return self._dates.span
        return self._clock.spent if self._clock.was_started else self._loop.time() - self._sent_at


class _Dates:
    """From when to when the kernel says that it sent messages."""

    def __init__(self) -> None:
        self._first: datetime | None = None
        self._last: datetime | None = None

    def add(self, date: object) -> None:
        if is_moment(date):
            self._first = self._first or date
            self._last = date

    @property
    def span(self) -> float:
        """Seconds."""
        if self._first is None or self._last is None:
            return 0.0
        return max(0.0, (self._last - self._first).total_seconds())


def is_moment(date: object) -> TypeGuard[datetime]:
    """Whether a date in a message's header is one that can be told from others."""
    return isinstance(date, datetime) and date.tzinfo is not None


def error_line(ename: object, evalue: object) -> str:
    """An exception in one line: its name and the first line of what it says."""
    lines = str(evalue).strip().splitlines()
    more = " …" if len(lines) > 1 else ""
    line = f"{ename}: {lines[0]}{more}" if lines else str(ename)
    return clean_text(line if len(line) <= MAX_CAUSE else f"{line[:MAX_CAUSE]}…")


def evidence_of(report: ExitReport) -> ExitEvidence:
    """What is known about a kernel's end, in the words of :mod:`exit_cause`."""
    return ExitEvidence(
        exit_code=report.exit_code,
        signal=report.signal,
        killed_by_us=_KILLERS.get(report.killed_by or ""),
        peak_memory_bytes=report.peak_memory_bytes,
        memory_limit_bytes=report.memory_limit_bytes,
        oom_kills=report.oom_kills,
        last_stderr=report.stderr,
    )


_KILLERS: dict[str, Any] = {name: name for name in get_args(KilledByUs)}
