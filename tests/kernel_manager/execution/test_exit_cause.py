from __future__ import annotations

import signal
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel_manager.execution.exit_cause import ExitEvidence, KilledByUs, explain_exit

MB = 1024**2


def died(
    exit_code: int | None = None,
    number: int | None = None,
    killed_by_us: KilledByUs | None = None,
    *,
    oom_kills: int = 0,
    limit: int | None = None,
    peak: int | None = None,
    last_stderr: str = "",
) -> str:
    return explain_exit(ExitEvidence(exit_code, number, killed_by_us, oom_kills, limit, peak, last_stderr))


def test_an_exit_by_the_code_names_its_exit_code() -> None:
    assert died(3) == "the code ended the kernel's process (exit code 3)"
    assert died(0) == "the code ended the kernel's process (exit code 0)"


def test_an_exit_with_an_error_quotes_the_last_line_of_stderr() -> None:
    assert died(1, last_stderr="Traceback…\nImportError: no zmq\n\n").endswith("; the last it wrote was: ImportError: no zmq")


def test_a_segmentation_fault_is_named() -> None:
    assert died(number=signal.SIGSEGV) == "the kernel crashed: segmentation fault in native code"


def test_a_negative_exit_code_is_a_signal() -> None:
    assert died(-signal.SIGSEGV) == died(number=signal.SIGSEGV)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGABRT, "native code gave up"),
        (signal.SIGBUS, "bus error"),
        (signal.SIGILL, "illegal instruction"),
        (signal.SIGFPE, "arithmetic error"),
        (signal.SIGTERM, "asked to end by the system or another process"),
        (signal.SIGSYS, "system call that is not allowed"),
        (signal.SIGXFSZ, "over the size limit"),
        (signal.SIGUSR1, "SIGUSR1"),
        (250, "signal 250"),
    ],
)
def test_each_signal_has_its_words(number: int, words: str) -> None:
    assert words in died(number=number)


def test_an_abort_quotes_what_native_code_wrote() -> None:
    said = died(number=signal.SIGABRT, last_stderr="terminate called\n  what():  std::bad_alloc\n")
    assert said.endswith("what():  std::bad_alloc")
    assert "out of memory" not in said


DUMP = """Fatal Python error: {}

Current thread 0x00007f (most recent call first):
  File "cell.py", line 1 in <module>

Extension modules: numpy._core (total: 1)
"""


def test_a_crash_dump_is_no_reason_but_what_was_written_before_it_is() -> None:
    said = died(number=signal.SIGABRT, last_stderr="engine.c:12: Assertion `fuel > 0' failed.\n" + DUMP.format("Aborted"))
    assert said.endswith("; the last it wrote was: engine.c:12: Assertion `fuel > 0' failed.")
    assert died(number=signal.SIGABRT, last_stderr=DUMP.format("Aborted")).endswith("gave up (SIGABRT)")


def test_a_crash_dump_with_a_reason_is_quoted_by_it() -> None:
    said = died(
        number=signal.SIGABRT, last_stderr="noise\n" + DUMP.format("_Py_CheckRecursiveCall: Cannot recover from stack overflow.")
    )
    assert said.endswith("; the last it wrote was: _Py_CheckRecursiveCall: Cannot recover from stack overflow.")


def test_out_of_memory_is_said_with_proof_and_with_the_limit() -> None:
    said = died(number=signal.SIGKILL, oom_kills=1, limit=512 * MB, peak=512 * MB)
    assert said == "out of memory: the code used more than the limit of 512 MB, and the system ended the kernel"
    assert died(number=signal.SIGKILL, oom_kills=1).startswith("out of memory: ")


def test_a_kill_without_proof_is_not_called_out_of_memory() -> None:
    said = died(number=signal.SIGKILL)
    assert said == "killed by the system or another process (SIGKILL); out of memory is possible but not proven"


def test_a_peak_at_the_limit_is_told_but_is_no_proof() -> None:
    said = died(number=signal.SIGKILL, limit=512 * MB, peak=511 * MB)
    assert "not proven" in said
    assert said.endswith("(it used 511 MB of 512 MB allowed at most)")


def test_words_about_memory_on_stderr_are_no_proof() -> None:
    assert not died(number=signal.SIGKILL, last_stderr="Out of memory: Killed process 1").startswith("out of memory")


def test_a_child_that_ran_out_of_memory_is_not_the_kernel() -> None:
    said = died(1, oom_kills=2)
    assert said.startswith("the code ended the kernel's process (exit code 1)")
    assert "2 of its processes for lack of memory" in said


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("deadline", "time limit"),
        ("stop", "stopped"),
        ("idle", "too long"),
        ("restart", "restarted"),
        ("limit", "limit of live kernels"),
    ],
)
def test_a_kill_of_our_own_says_why(reason: KilledByUs, words: str) -> None:
    said = died(number=signal.SIGKILL, killed_by_us=reason, oom_kills=1)
    assert words in said
    assert "out of memory" not in said
    assert died(exit_code=0, killed_by_us=reason) == died(killed_by_us=reason) == died(137, killed_by_us=reason) == said


def test_a_crash_while_being_ended_is_told_with_the_reason() -> None:
    said = died(number=signal.SIGSEGV, killed_by_us="deadline")
    assert said.startswith("the kernel crashed: segmentation fault in native code while it was being ended")
    assert "time limit" in said


def test_without_evidence_nothing_is_claimed() -> None:
    assert died() == "the kernel's process is gone and nothing tells why"


@given(
    st.none() | st.integers(),
    st.none() | st.integers(),
    st.none() | st.sampled_from(get_args(KilledByUs)),
    st.integers(),
    st.none() | st.integers(),
    st.none() | st.integers(),
    st.text(st.characters(), max_size=3_000),
)
def test_any_evidence_gives_one_printable_bounded_sentence(
    exit_code: int | None,
    number: int | None,
    killed_by_us: KilledByUs | None,
    oom_kills: int,
    limit: int | None,
    peak: int | None,
    last_stderr: str,
) -> None:
    said = explain_exit(ExitEvidence(exit_code, number, killed_by_us, oom_kills, limit, peak, last_stderr))
    assert said.isprintable()
    assert len(said) < 2_000
    assert not said.endswith(".") or last_stderr
    if said.startswith("out of memory"):
        # the system's counter, or our own supervisor's
        assert (oom_kills > 0 and killed_by_us is None) or killed_by_us == "memory"
