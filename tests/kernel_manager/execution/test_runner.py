"""One cell, with a kernel and a clock that do what the test says."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kernel_manager.execution.channels import Message
from kernel_manager.execution.events import CellStarted, Event, InputRequested, OutputAdded
from kernel_manager.execution.outputs import OutputLimits
from kernel_manager.execution.result import ExecutionResult
from kernel_manager.execution.runner import (
    FULL_CAUSE,
    LEAVE_S,
    LEFT_CAUSE,
    LOOK_S,
    OVERTAKE_S,
    SETTLE_LIMIT_S,
    SETTLE_S,
    CellLimits,
    CellRun,
    error_line,
)
from kernel_manager.kernelside import spool
from tests.kernel_manager.execution.scripted import ScriptedChannels, ScriptedKernel, Time, settle, write_spool

LIMITS = CellLimits(
    timeout=10, grace=2, input_timeout=30, outputs=OutputLimits(max_text=1_000, max_outputs=10, max_total=100_000)
)
OK = {"status": "ok", "execution_count": 1, "payload": [], "user_expressions": {}}
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Stage:
    """A cell that was sent to a scripted kernel."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time = Time(monkeypatch)
        self.kernel = ScriptedKernel(folder)
        self.channels = ScriptedChannels()
        self.events: list[Event] = []
        self.run = CellRun(self.kernel, self.channels, LIMITS, self.events.append)
        self._end: asyncio.Task[ExecutionResult] | None = None

    def send(self) -> None:
        """Send the cell."""
        self.run.prepare("code")
        self.run.send()

    def message(self, msg_type: str, date: datetime | None = None, **content: Any) -> Message:
        """A message about the cell."""
        return self.channels.message(msg_type, content, self.run.msg_id, date)

    def iopub(self, msg_type: str, **content: Any) -> None:
        """Let a message come on IOPub."""
        self.channels.deliver("iopub", self.message(msg_type, **content))

    def busy(self) -> None:
        """The kernel begins."""
        self.iopub("status", execution_state="busy")
        self.iopub("execute_input", code="code", execution_count=1)

    def idle(self) -> None:
        """The kernel is done, says IOPub."""
        self.iopub("status", execution_state="idle")

    def prints(self, text: str) -> None:
        """The code prints."""
        self.iopub("stream", name="stdout", text=text)

    def reply(self, **changes: Any) -> None:
        """The kernel is done, says shell."""
        self.channels.deliver("shell", self.message("execute_reply", **{**OK, **changes}))

    def fails(self, ename: str = "ValueError", evalue: str = "no") -> None:
        """The code fails."""
        self.iopub("error", ename=ename, evalue=evalue, traceback=[])
        self.reply(status="error", ename=ename, evalue=evalue, traceback=[])

    def asks(self, prompt: str = "?") -> None:
        """The code asks."""
        self.channels.deliver("stdin", self.message("input_request", prompt=prompt, password=False))

    def question(self) -> InputRequested:
        """The last question that was passed on."""
        return [event for event in self.events if isinstance(event, InputRequested)][-1]

    def answers(self) -> list[str]:
        """What was answered."""
        return [message["content"]["value"] for channel, message in self.channels.sent if channel == "stdin"]

    @property
    def over(self) -> bool:
        """Whether the cell is over."""
        self._end = self._end or asyncio.ensure_future(self.run.finished())
        return self._end.done()

    async def result(self) -> ExecutionResult:
        """The result, which must be there without any more time passing."""
        self._end = self._end or asyncio.ensure_future(self.run.finished())
        await settle()
        assert self._end.done()
        return self._end.result()


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A cell that was not yet sent."""
    return Stage(tmp_path, monkeypatch)


@pytest.fixture
async def sent(stage: Stage) -> Stage:
    """A cell that was sent."""
    stage.send()
    return stage


# The end.


@pytest.mark.parametrize("order", ["reply first", "idle first"])
async def test_is_over_when_reply_and_idle_are_both_there(sent: Stage, order: str) -> None:
    sent.busy()
    first, second = (sent.reply, sent.idle) if order == "reply first" else (sent.idle, sent.reply)
    first()
    await settle()
    assert not sent.over
    second()
    result = await sent.result()
    assert (result.status, result.execution_count, result.cause) == ("ok", 1, None)


@pytest.mark.parametrize("sign", ["reply", "idle"])
async def test_does_without_the_second_sign_after_a_while(sent: Stage, sign: str) -> None:
    sent.busy()
    sent.prints("text")
    getattr(sent, sign)()
    await sent.time.pass_by(SETTLE_S * 0.9)
    assert not sent.over
    await sent.time.pass_by(SETTLE_S * 0.2)
    result = await sent.result()
    assert (result.status, len(result.outputs)) == ("ok", 1)


async def test_outputs_that_still_come_put_that_off(sent: Stage) -> None:
    sent.busy()
    sent.reply()
    for _ in range(5):
        await sent.time.pass_by(SETTLE_S * 0.9)
        sent.prints("x")
    assert not sent.over
    await sent.time.pass_by(SETTLE_S * 1.1)
    assert (await sent.result()).outputs[0]["text"] == "xxxxx"


async def test_outputs_that_wait_in_the_socket_put_that_off_too_but_not_for_ever(sent: Stage) -> None:
    sent.busy()
    sent.reply()
    sent.channels.waiting = 3
    for _ in range(4):
        assert not sent.over
        await sent.time.pass_by(SETTLE_S * 1.1)
    assert (await sent.result()).status == "ok"


async def test_the_wait_for_a_sign_is_bounded_whatever_still_comes(sent: Stage) -> None:
    sent.busy()
    sent.reply()
    sent.channels.waiting = 10**9
    await sent.time.pass_by(SETTLE_LIMIT_S)
    assert (await sent.result()).status == "ok"


async def test_what_the_socket_lost_is_read_from_the_spool_once(sent: Stage) -> None:
    first, lost = sent.message("stream", name="stdout", text="first\n"), sent.message("stream", name="stdout", text="lost\n")
    busy, idle = (sent.message("status", execution_state=state) for state in ("busy", "idle"))
    for message in (busy, first):
        sent.channels.deliver("iopub", message)
    sent.channels.write_spool(sent.kernel.folder, [busy, first, lost, idle])
    sent.reply()
    await sent.time.pass_by(SETTLE_S * 1.1)
    assert (await sent.result()).outputs[0]["text"] == "first\nlost\n"


async def test_what_was_missed_between_two_connections_comes_in_its_order(sent: Stage) -> None:
    first, missed, last = (sent.message("stream", name="stdout", text=text) for text in ("first\n", "missed\n", "last\n"))
    sent.busy()
    sent.channels.deliver("iopub", first)
    sent.channels.write_spool(sent.kernel.folder, [first, missed])
    sent.channels.deliver("iopub", sent.channels.message("iopub_welcome", {"subscription": ""}, ""))
    sent.channels.deliver("iopub", last)
    sent.reply()
    sent.idle()
    assert (await sent.result()).outputs[0]["text"] == "first\nmissed\nlast\n"


async def test_messages_of_other_requests_in_the_spool_are_left_alone(sent: Stage) -> None:
    sent.busy()
    other = sent.channels.message("stream", {"name": "stdout", "text": "other"}, "other")
    sent.channels.write_spool(sent.kernel.folder, [other])
    sent.reply()
    await sent.time.pass_by(SETTLE_S * 1.1)
    assert (await sent.result()).outputs == []


async def test_nothing_is_heard_after_the_end(sent: Stage) -> None:
    sent.busy()
    sent.reply()
    sent.idle()
    result = await sent.result()
    sent.prints("late")
    assert result.outputs == sent.run.collector.outputs == []


# Status and cause.


async def test_an_error_is_one_line(sent: Stage) -> None:
    sent.busy()
    sent.fails("ValueError", "first\nsecond")
    sent.idle()
    result = await sent.result()
    assert (result.status, result.cause) == ("error", "ValueError: first …")


async def test_an_error_that_the_reply_does_not_name_is_the_one_that_was_shown(sent: Stage) -> None:
    sent.busy()
    sent.iopub("error", ename="TypeError", evalue="no repr", traceback=[])
    sent.reply(status="error", ename="NoneType", evalue="None")
    sent.idle()
    assert (await sent.result()).cause == "TypeError: no repr"


@pytest.mark.parametrize(
    ("ename", "evalue", "line"),
    [
        ("KeyError", "'a'", "KeyError: 'a'"),
        ("AssertionError", "", "AssertionError"),
        ("E", "\n\n", "E"),
        ("E", "a\n", "E: a"),
        ("E", "\ud800", "E: \ufffd"),
        (None, {}, "None: {}"),
        ("E", "x" * 5_000, "E: " + "x" * 997 + "…"),
    ],
)
def test_error_lines(ename: object, evalue: object, line: str) -> None:
    assert error_line(ename, evalue) == line


async def test_an_aborted_cell_says_to_run_it_again(sent: Stage) -> None:
    sent.busy()
    sent.reply(status="aborted")
    sent.idle()
    result = await sent.result()
    assert (result.status, result.cause) == (
        "error",
        "the kernel did not run the cell because an earlier one had failed; run it again",
    )


async def test_without_a_reply_the_outputs_tell_whether_it_failed(sent: Stage) -> None:
    sent.busy()
    sent.iopub("error", ename="ValueError", evalue="no", traceback=[])
    sent.idle()
    await sent.time.pass_by(SETTLE_S * 1.1)
    result = await sent.result()
    assert (result.status, result.cause) == ("error", "ValueError: no")


async def test_help_that_comes_with_the_reply_is_an_output(sent: Stage) -> None:
    sent.busy()
    sent.idle()
    page = {"source": "page", "data": {"text/plain": "help"}, "start": 0}
    sent.reply(payload=[page, {"source": "set_next_input", "text": "x"}, "odd"])
    result = await sent.result()
    assert result.outputs == [{"output_type": "display_data", "data": {"text/plain": "help"}, "metadata": {}}]
    assert isinstance(sent.events[-1], OutputAdded)


@pytest.mark.parametrize("reply", [{"payload": 5}, {"payload": None}, {"status": ["odd"]}, {"payload": [{"source": "page"}]}])
async def test_odd_replies_are_survived(sent: Stage, reply: Message) -> None:
    sent.busy()
    sent.reply(**reply)
    sent.idle()
    assert (await sent.result()).status in ("ok", "error")


async def test_an_odd_execution_count_is_none(sent: Stage) -> None:
    sent.iopub("execute_input", execution_count={"x": 1})
    sent.reply()
    sent.idle()
    assert (await sent.result()).execution_count is None
    assert sent.events == [CellStarted(None)]


# The clock.


async def test_the_clock_starts_when_the_kernel_is_busy_and_stops_when_it_is_idle(sent: Stage) -> None:
    await sent.time.pass_by(0.1)
    assert sent.kernel.asked == []
    sent.busy()
    assert sent.kernel.asked == [("arm", 10, 2)]
    await sent.time.pass_by(3)
    sent.idle()
    assert sent.kernel.asked == [("arm", 10, 2), ("disarm",)]
    await sent.time.pass_by(0.5)
    sent.reply()
    assert (await sent.result()).duration_s == 3


async def test_the_clock_pauses_while_the_code_asks(sent: Stage) -> None:
    sent.busy()
    await sent.time.pass_by(4)
    sent.asks()
    await sent.time.pass_by(20)
    sent.question().answer("x")
    await sent.time.pass_by(1)
    sent.idle()
    sent.reply()
    assert (await sent.result()).duration_s == 5
    assert sent.kernel.asked == [("arm", 10, 2), ("disarm",), ("arm", 6, 2), ("disarm",)]


async def test_the_clock_starts_from_the_spool_if_busy_does_not_come(sent: Stage) -> None:
    busy = sent.message("status", execution_state="busy")
    sent.channels.write_spool(sent.kernel.folder, [busy])
    await sent.time.pass_by(LOOK_S * 1.01)
    ((what, seconds, grace),) = sent.kernel.asked
    assert (what, grace) == ("arm", 2)
    assert 9 < seconds <= 10
    sent.channels.deliver("iopub", busy)
    assert len(sent.kernel.asked) == 1


async def test_the_clock_waits_as_long_as_the_kernel_did_not_begin(sent: Stage) -> None:
    for _ in range(5):
        await sent.time.pass_by(LOOK_S * 10)
    assert sent.kernel.asked == []


async def test_a_cell_that_was_interrupted_for_its_time_timed_out(sent: Stage) -> None:
    sent.busy()
    await sent.time.pass_by(10)
    sent.kernel.hit_deadline()
    sent.fails("KeyboardInterrupt", "")
    sent.idle()
    result = await sent.result()
    assert (result.status, result.state_lost) == ("timeout", False)
    assert result.cause == "the cell ran longer than 10 s and was interrupted; the session's variables are kept"


async def test_so_did_one_whose_interrupt_was_quicker_than_the_word_of_it(sent: Stage) -> None:
    sent.busy()
    await sent.time.pass_by(10)
    sent.fails("KeyboardInterrupt", "")
    sent.idle()
    assert (await sent.result()).status == "timeout"


async def test_so_did_one_that_handled_the_interrupt_before_anybody_heard_of_it(sent: Stage) -> None:
    sent.busy()
    await sent.time.pass_by(10)
    sent.kernel.unheard.append(sent.kernel.hit_deadline)
    sent.reply()
    sent.idle()
    assert (await sent.result()).status == "timeout"


async def test_one_that_was_interrupted_for_a_limit_failed_for_it_though_nobody_had_heard_of_it(sent: Stage) -> None:
    sent.busy()
    sent.kernel.unheard.append(sent.kernel.hit_limit)
    sent.fails("KeyboardInterrupt", "")
    sent.idle()
    assert (await sent.result()).cause == FULL_CAUSE


async def test_the_deadline_of_an_earlier_cell_is_not_this_ones(sent: Stage) -> None:
    sent.busy()
    sent.kernel.hit_deadline()
    sent.reply()
    sent.idle()
    assert (await sent.result()).status == "ok"


async def test_an_interrupted_cell_was_interrupted(sent: Stage) -> None:
    sent.busy()
    sent.run.interrupt()
    assert ("signal", 2) in sent.kernel.asked
    sent.fails("KeyboardInterrupt", "")
    sent.idle()
    assert (await sent.result()).status == "interrupted"


async def test_an_interrupt_that_takes_the_reply_along_was_one_all_the_same(sent: Stage) -> None:
    sent.busy()
    sent.run.interrupt()
    sent.idle()
    await sent.time.pass_by(SETTLE_S)
    assert (await sent.result()).status == "interrupted"


async def test_a_cell_that_goes_on_after_an_interrupt_can_still_time_out(sent: Stage) -> None:
    sent.busy()
    sent.run.interrupt()
    await sent.time.pass_by(10)
    sent.kernel.hit_deadline()
    sent.fails("KeyboardInterrupt", "")
    sent.idle()
    assert (await sent.result()).status == "timeout"


async def test_insisting_arms_the_end_whatever_the_code_asks_meanwhile(sent: Stage) -> None:
    sent.busy()
    sent.run.interrupt(insist=True)
    sent.asks()
    assert sent.kernel.asked[1:] == [("arm", 0, 2)]
    sent.idle()
    sent.reply()
    await sent.result()
    assert sent.kernel.asked[-1] == ("disarm",)


# Questions.


async def test_a_question_that_overtakes_the_start_waits_for_it(sent: Stage) -> None:
    sent.asks("name")
    assert sent.events == []
    sent.busy()
    assert [type(event) for event in sent.events] == [CellStarted, InputRequested]
    assert sent.kernel.asked == []
    sent.question().answer("x")
    assert sent.kernel.asked == [("arm", 10, 2)]


async def test_a_question_does_not_wait_for_a_start_that_never_comes(sent: Stage) -> None:
    sent.asks("name")
    await sent.time.pass_by(OVERTAKE_S * 1.1)
    assert [type(event) for event in sent.events] == [CellStarted, InputRequested]
    sent.busy()
    assert len(sent.events) == 2


async def test_only_the_first_answer_is_sent(sent: Stage) -> None:
    sent.busy()
    sent.asks()
    sent.question().answer("one")
    sent.question().answer("two")
    assert sent.answers() == ["one"]


async def test_no_answer_in_time_is_the_end_of_input(sent: Stage) -> None:
    sent.busy()
    sent.asks()
    await sent.time.pass_by(31)
    assert sent.answers() == ["\x04"]
    sent.question().answer("late")
    assert sent.answers() == ["\x04"]


async def test_an_answer_after_an_interrupt_or_the_end_is_not_sent(sent: Stage) -> None:
    sent.busy()
    sent.asks()
    sent.run.interrupt()
    sent.question().answer("late")
    sent.fails("KeyboardInterrupt", "")
    sent.idle()
    await sent.result()
    sent.question().answer("later")
    assert sent.answers() == []


async def test_the_clock_runs_again_only_when_every_question_is_answered(sent: Stage) -> None:
    sent.busy()
    sent.asks("first")
    first = sent.question()
    sent.asks("second")
    first.answer("1")
    assert sent.kernel.asked == [("arm", 10, 2), ("disarm",)]
    sent.question().answer("2")
    assert sent.kernel.asked[-1] == ("arm", 10, 2)


@pytest.mark.parametrize(("prompt", "shown"), [("\ud800", "\ufffd"), (5, "5"), ("x" * 20_000, "x" * 10_000)])
async def test_prompts_are_made_sound(sent: Stage, prompt: Any, shown: str) -> None:
    sent.busy()
    sent.asks(prompt)
    assert sent.question().prompt == shown


# Death.


async def test_a_death_keeps_what_came_and_names_its_cause(sent: Stage) -> None:
    sent.busy()
    sent.prints("before\n")
    (sent.kernel.folder.path / "stdout.pending").write_bytes(len(b"pending\n").to_bytes(4, "little") + b"pending\n")
    await sent.time.pass_by(2)
    sent.kernel.end(exit_code=3, stdout="leftover\n")
    result = await sent.result()
    assert (result.status, result.cause, result.state_lost) == ("died", "the code ended the kernel's process (exit code 3)", True)
    assert result.outputs[0]["text"] == "before\npending\nleftover\n"
    assert result.duration_s == 2


async def test_a_quick_death_whose_messages_did_not_arrive_has_its_duration_and_count(sent: Stage) -> None:
    messages = [
        sent.message("status", execution_state="busy", date=datetime.now(UTC) - timedelta(seconds=60)),
        sent.message("execute_input", execution_count=7),
        sent.message("stream", name="stdout", text="last words"),
    ]
    sent.channels.write_spool(sent.kernel.folder, messages)
    await sent.time.pass_by(0.05)
    sent.kernel.end(exit_code=3)
    result = await sent.result()
    assert (result.execution_count, result.outputs[0]["text"]) == (7, "last words")
    assert result.duration_s == pytest.approx(0.05)


async def test_a_death_before_anything_was_said_has_a_duration(sent: Stage) -> None:
    await sent.time.pass_by(0.25)
    sent.kernel.end(signal=11)
    result = await sent.result()
    assert (result.status, result.duration_s, result.execution_count) == ("died", 0.25, None)


async def test_what_is_still_in_the_socket_is_waited_for_after_a_death(sent: Stage) -> None:
    sent.busy()
    sent.channels.waiting = 2
    sent.kernel.end(exit_code=1)
    await settle()
    assert not sent.over
    sent.prints("in flight")
    await sent.time.pass_by(0.011)
    await sent.time.pass_by(0.011)
    assert (await sent.result()).outputs[0]["text"] == "in flight"


async def test_a_socket_that_never_runs_dry_does_not_hold_up_the_end(sent: Stage) -> None:
    sent.busy()
    sent.channels.waiting = 10**9
    sent.kernel.end(exit_code=1)
    await settle()
    await sent.time.pass_by(1.1)
    assert (await sent.result()).status == "died"


@pytest.mark.parametrize(
    ("interrupted", "hit", "report", "status", "part"),
    [
        (
            False,
            True,
            {"killed_by": "deadline", "signal": 9},
            "timeout",
            "ignored the interrupt, so its kernel was ended 2 s later",
        ),
        (True, False, {"killed_by": "deadline", "signal": 9}, "interrupted", "ignored the interrupt, so its kernel was ended"),
        (True, True, {"killed_by": "deadline", "signal": 9}, "timeout", "ran longer than 10 s"),
        (False, False, {"killed_by": "stop", "signal": 9}, "interrupted", "the session was stopped"),
        (False, False, {"killed_by": "restart", "signal": 9}, "interrupted", "the session was stopped"),
        (False, False, {"signal": 11}, "died", "segmentation fault"),
        (False, True, {"signal": 9}, "timeout", "ran longer than 10 s"),
        (False, True, {"exit_code": 1}, "died", "exit code 1"),
    ],
)
async def test_deaths_have_the_status_of_their_reason(
    sent: Stage, interrupted: bool, hit: bool, report: dict[str, Any], status: str, part: str
) -> None:
    sent.busy()
    if interrupted:
        sent.run.interrupt(insist=True)
    if hit:
        await sent.time.pass_by(10)
        sent.kernel.hit_deadline()
    sent.kernel.end(**report)
    result = await sent.result()
    assert (result.status, result.state_lost) == (status, True)
    assert part in (result.cause or "")


async def test_a_kernel_that_was_asked_to_leave_is_waited_for(sent: Stage) -> None:
    sent.busy()
    sent.idle()
    sent.reply(payload=[{"source": "ask_exit", "keepkernel": False}])
    await sent.time.pass_by(0.1)
    assert not sent.over
    sent.kernel.end(exit_code=0)
    result = await sent.result()
    assert (result.status, result.cause, result.state_lost) == ("died", LEFT_CAUSE, True)


async def test_a_kernel_that_does_not_leave_is_ended(sent: Stage) -> None:
    sent.busy()
    sent.idle()
    sent.reply(payload=[{"source": "ask_exit", "keepkernel": False}])
    await sent.time.pass_by(LEAVE_S * 1.1)
    assert sent.kernel.asked[-1] == ("kill", "stop")
    sent.kernel.end(signal=9, killed_by="stop")
    assert (await sent.result()).cause == LEFT_CAUSE


async def test_a_kernel_that_is_to_be_kept_is_not_waited_for(sent: Stage) -> None:
    sent.busy()
    sent.idle()
    sent.reply(payload=[{"source": "ask_exit", "keepkernel": True}])
    assert (await sent.result()).status == "ok"


# Taking over a cell of a process that is gone.


@pytest.fixture
def resumed(stage: Stage) -> Stage:
    """A cell that somebody else sent, and that printed something before they were gone."""
    stage.run.msg_id = "theirs"
    messages = [
        stage.message("status", execution_state="busy", date=NOON),
        stage.message("execute_input", execution_count=3, date=NOON),
        stage.message("stream", name="stdout", text="early\n", date=NOON + timedelta(seconds=2)),
    ]
    stage.channels.write_spool(stage.kernel.folder, messages)
    stage.kernel.was_running = True
    return stage


async def test_a_resumed_cell_goes_on_to_its_end(resumed: Stage) -> None:
    resumed.run.resume("theirs", deadline_hit=False)
    await settle()
    assert not resumed.over
    resumed.prints("late\n")
    end = resumed.message("status", execution_state="idle", date=NOON + timedelta(seconds=5))
    resumed.channels.deliver("iopub", end)
    result = await resumed.result()
    assert (result.status, result.execution_count, result.outputs[0]["text"]) == ("ok", 3, "early\nlate\n")


async def test_the_duration_of_a_resumed_cell_is_the_kernels_own(resumed: Stage) -> None:
    resumed.run.resume("theirs", deadline_hit=False)
    end = resumed.message("status", execution_state="idle", date=NOON + timedelta(seconds=5))
    resumed.channels.deliver("iopub", end)
    assert (await resumed.result()).duration_s == 5


async def test_a_resumed_cell_whose_clock_runs_is_left_alone(resumed: Stage) -> None:
    resumed.run.resume("theirs", deadline_hit=False)
    assert resumed.kernel.asked == []
    assert resumed.answers() == []


async def test_a_resumed_cell_whose_clock_stands_gets_one_and_the_end_of_input(resumed: Stage) -> None:
    resumed.kernel.was_running = False
    resumed.run.resume("theirs", deadline_hit=False)
    assert resumed.kernel.asked == [("arm", 10, 2)]
    assert resumed.answers() == ["\x04"]


async def test_a_resumed_cell_that_is_over_gets_neither(resumed: Stage) -> None:
    resumed.kernel.was_running = False
    path = resumed.kernel.folder.spool
    idle = resumed.message("status", execution_state="idle", date=NOON + timedelta(seconds=4))
    write_spool(path, [*spool.read_spool(path), resumed.channels.frames(idle)])
    resumed.run.resume("theirs", deadline_hit=False)
    result = await resumed.result()
    assert (result.status, result.duration_s) == ("ok", 4)
    assert (resumed.kernel.asked, resumed.channels.sent) == ([], [])


async def test_a_resumed_cell_that_never_reached_the_kernel_ends_when_that_answers(resumed: Stage) -> None:
    resumed.kernel.folder.spool.unlink()
    resumed.run.resume("theirs", deadline_hit=False)
    await settle()
    assert not resumed.over
    ((_, question),) = [sent for sent in resumed.channels.sent if sent[0] == "shell"]
    answer = resumed.channels.message("kernel_info_reply", {}, question["header"]["msg_id"])
    resumed.channels.deliver("shell", answer)
    result = await resumed.result()
    assert (result.outputs, result.execution_count) == ([], None)


@pytest.mark.parametrize(("deadline_hit", "status"), [(True, "timeout"), (False, "ok")])
async def test_a_resumed_cell_may_have_had_its_time(resumed: Stage, deadline_hit: bool, status: str) -> None:
    resumed.run.resume("theirs", deadline_hit=deadline_hit)
    resumed.idle()
    assert (await resumed.result()).status == status


async def test_a_resumed_cell_can_still_have_its_time(resumed: Stage) -> None:
    resumed.run.resume("theirs", deadline_hit=False)
    resumed.kernel.hit_deadline()
    resumed.idle()
    assert (await resumed.result()).status == "timeout"


async def test_a_cell_whose_kernel_is_gone_as_well_ends_at_once(resumed: Stage) -> None:
    resumed.kernel.end(signal=11)
    resumed.run.resume("theirs", deadline_hit=False)
    result = await resumed.result()
    assert (result.status, result.outputs[0]["text"], result.duration_s) == ("died", "early\n", 2)


# What nothing stops.


async def test_no_question_stops_the_wall_clock(sent: Stage) -> None:
    sent.busy()
    sent.asks()
    await sent.time.pass_by(3600)
    assert sent.kernel.asked[-1][:2] == ("arm", 0)
    sent.fails("KeyboardInterrupt", "")
    sent.idle()
    result = await sent.result()
    assert result.status == "timeout"
    assert "CODE_WALL_TIMEOUT" in (result.cause or "")


async def test_a_cell_that_never_begins_is_bounded_by_the_wall_clock(sent: Stage) -> None:
    await sent.time.pass_by(3599)
    assert ("arm", 0, sent.run._limits.grace) not in sent.kernel.asked
    await sent.time.pass_by(1)
    assert ("arm", 0, sent.run._limits.grace) in sent.kernel.asked


async def test_a_cell_that_filled_the_working_folder_is_told_so(sent: Stage) -> None:
    sent.busy()
    assert sent.kernel.on_limit is not None
    sent.kernel.on_limit("workspace")
    sent.fails("KeyboardInterrupt", "")
    sent.idle()
    result = await sent.result()
    assert (result.status, result.state_lost) == ("error", False)
    assert "WORKSPACE_MB" in (result.cause or "")
