"""The environment and the command line that a process shows."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from typing import Final

# Fields of /proc/self/stat, counted from the one behind the command's name, which may hold spaces and parentheses.
_ARGUMENTS_START, _ARGUMENTS_END, _ENVIRONMENT_START, _ENVIRONMENT_END = 45, 46, 47, 48
_PR_SET_NAME: Final = 15


def replace(variables: Iterable[tuple[str, str]]) -> None:
    """Make *variables* the whole environment of this process and of those it starts."""
    os.environ.clear()
    os.environ.update(variables)


def scrub(title: str) -> None:
    """Overwrite the memory in which this process was handed its command line and environment.

    ``/proc/PID/cmdline`` and ``/proc/PID/environ`` read it, and every fork has it. Afterwards the first shows *title*, the
    second nothing. Call it once, early in the process that is to be forked, while no other thread runs.
    """
    variables = dict(os.environ)
    os.environ.clear()
    with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
        fields = [int(field) for field in file.read().rpartition(")")[2].split()[1:]]
    start, end = fields[_ARGUMENTS_START - 1], fields[_ARGUMENTS_END - 1]
    ctypes.memset(fields[_ENVIRONMENT_START - 1], 0, fields[_ENVIRONMENT_END - 1] - fields[_ENVIRONMENT_START - 1])
    shown = title.encode()[: end - start - 1]
    ctypes.memmove(start, shown.ljust(end - start, b"\0"), end - start)
    os.environ.update(variables)
