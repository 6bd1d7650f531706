"""Why a kernel's process ended, from evidence alone. Pure.

A cause is only named when something proves it. What the process itself wrote is quoted, not believed: the code
that ran in it can write anything.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Literal

KilledByUs = Literal["deadline", "stop", "idle", "restart", "limit", "memory", "tasks", "workspace", "sandbox"]

_OUR_REASONS: dict[KilledByUs, str] = {
    "deadline": "the code ran past its time limit and did not stop when interrupted, so its kernel was ended",
    "stop": "the session was stopped, which ended its kernel",
    "idle": "the kernel was ended because nothing had run in it for too long",
    "restart": "the kernel was ended because the session was restarted",
    "limit": "the kernel was ended to make room: the limit of live kernels was reached",
    "memory": "out of memory: the code and what it started used more than they may (KERNEL_MEMORY_MB)",
    "tasks": "the code started more processes and threads than it may (KERNEL_PROCESSES)",
    "workspace": "the working folder grew beyond its limit (WORKSPACE_MB, WORKSPACE_FILES), and the code did not stop",
    "sandbox": "the kernel was ended because SANDBOX or KERNEL_NETWORK allow less now than when it started",
}
#: How the processes that we end may end: by these signals, or with the exit codes that report them.
_OUR_SIGNALS = frozenset({"SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"})
_OUR_EXIT_CODES = frozenset({None, 0, 128 + 1, 128 + 2, 128 + 9, 128 + 15})
_SIGNALS = {
    "SIGSEGV": "the kernel crashed: segmentation fault in native code",
    "SIGBUS": "the kernel crashed: bus error (a bad memory access in native code, or a mapped file that shrank)",
    "SIGILL": "the kernel crashed: illegal instruction (native code built for another processor, or broken)",
    "SIGFPE": "the kernel crashed: arithmetic error in native code",
    "SIGABRT": "the kernel crashed: native code gave up (SIGABRT)",
    "SIGSYS": "the kernel was ended because the code made a system call that is not allowed (SIGSYS)",
    "SIGXCPU": "the kernel was ended because it used up its processor time (SIGXCPU)",
    "SIGXFSZ": "the kernel was ended because it wrote a file over the size limit (SIGXFSZ)",
    "SIGTERM": "the kernel was asked to end by the system or another process (SIGTERM)",
    "SIGINT": "the kernel was ended by an interrupt (SIGINT)",
}
_LAST_WORDS = 200
#: How the interpreter's own report of a crash begins, and reasons in it that say no more than the signal.
_DUMP = "Fatal Python error: "
_BARE_REASONS = frozenset({"Aborted", "Bus error", "Floating point exception", "Illegal instruction", "Segmentation fault"})


@dataclass(frozen=True, slots=True)
class ExitEvidence:
    """What is known about the end of a kernel's process.

    ``exit_code`` and ``signal`` are those of the kernel itself, None when unknown; a negative ``exit_code`` counts as a
    signal. ``killed_by_us`` says why the service ended it. ``oom_kills`` is how many processes the system ended for
    lack of memory in the kernel's own cgroup while it lived. ``last_stderr`` is the end of what the process wrote
    to its own stderr.
    """

    exit_code: int | None
    signal: int | None
    killed_by_us: KilledByUs | None
    oom_kills: int = 0
    memory_limit_bytes: int | None = None
    peak_memory_bytes: int | None = None
    last_stderr: str = ""


def explain_exit(evidence: ExitEvidence) -> str:
    """Return the cause as one sentence without a full stop; never raises."""
    if evidence.killed_by_us is None:
        return _own_end(evidence)
    reason = _OUR_REASONS[evidence.killed_by_us]
    if _fits_our_doing(evidence):
        return reason
    return f"{_own_end(evidence)} while it was being ended ({reason})"


def _fits_our_doing(evidence: ExitEvidence) -> bool:
    number = _signal_number(evidence)
    if number is not None:
        return _signal_name(number) in _OUR_SIGNALS
    return evidence.exit_code in _OUR_EXIT_CODES


def _own_end(evidence: ExitEvidence) -> str:
    number = _signal_number(evidence)
    if number is not None:
        return _signal_cause(_signal_name(number), evidence)
    if evidence.exit_code is not None:
        words = _last_words(evidence) if evidence.exit_code else ""
        return f"the code ended the kernel's process (exit code {evidence.exit_code}){_killed_children(evidence)}{words}"
    return f"the kernel's process is gone and nothing tells why{_killed_children(evidence)}{_last_words(evidence)}"


def _signal_cause(name: str, evidence: ExitEvidence) -> str:
    if name == "SIGKILL":
        return _out_of_memory(evidence) if evidence.oom_kills > 0 else _unproven_kill(evidence)
    cause = _SIGNALS.get(name, f"the kernel was ended by a signal ({name})")
    words = _last_words(evidence) if name == "SIGABRT" else ""
    return f"{cause}{_killed_children(evidence)}{words}"


def _out_of_memory(evidence: ExitEvidence) -> str:
    if evidence.memory_limit_bytes is None:
        return "out of memory: the system ended the kernel because it used more memory than there was"
    limit = _readable_size(evidence.memory_limit_bytes)
    return f"out of memory: the code used more than the limit of {limit}, and the system ended the kernel"


def _unproven_kill(evidence: ExitEvidence) -> str:
    cause = "killed by the system or another process (SIGKILL); out of memory is possible but not proven"
    peak, limit = evidence.peak_memory_bytes, evidence.memory_limit_bytes
    if peak is None:
        return cause
    of_limit = f" of {_readable_size(limit)} allowed" if limit is not None else ""
    return f"{cause} (it used {_readable_size(peak)}{of_limit} at most)"


def _killed_children(evidence: ExitEvidence) -> str:
    """Tell of processes that the code had started and that the system ended for lack of memory."""
    if evidence.oom_kills <= 0:
        return ""
    return f"; before that, the system had ended {evidence.oom_kills:,} of its processes for lack of memory"


def _last_words(evidence: ExitEvidence) -> str:
    text = evidence.last_stderr
    said, dump, rest = text.rpartition(_DUMP)
    if dump:
        # the stacks of a crash dump say where, its first line may say why
        reason = rest.partition("\n")[0].strip()
        text = said if reason in _BARE_REASONS else reason
    lines = [line for line in map(_printable, text[-10_000:].splitlines()) if line]
    return f"; the last it wrote was: {lines[-1][:_LAST_WORDS]}" if lines else ""


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text).strip()


def _signal_number(evidence: ExitEvidence) -> int | None:
    if evidence.signal is None and evidence.exit_code is not None and evidence.exit_code < 0:
        return -evidence.exit_code
    return evidence.signal


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _readable_size(size: int) -> str:
    for unit, factor in (("GB", 1024**3), ("MB", 1024**2), ("KB", 1024)):
        if abs(size) >= factor:
            return f"{size / factor:.1f} {unit}".replace(".0 ", " ")
    return f"{size} bytes"
