"""A list of system calls, written down before a fork and made after it.

A forked process shares its memory with its parent until it writes to a page, and running Python writes everywhere: every
object that is looked at has a count to be changed. So all that can be thought of beforehand is, and what is left for the
child is a loop over integers.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from . import libc, syscalls
from .errors import JailError

AT_FDCWD: Final = -100
_REGISTERS: Final = 6
_NOWHERE: Final = -1


class Slot(IntEnum):
    """A descriptor that a step opens, for steps after it."""

    WRITTEN = 0
    CONTROL = 1
    TREE = 2
    QUOTAS = 3
    LOCKS = 4


@dataclass(frozen=True, slots=True)
class Step:
    """One system call. ``what`` names it in an error; ``into`` keeps its result, a descriptor, for later steps."""

    what: str
    call: str
    arguments: tuple[libc.Argument | Slot, ...]
    into: Slot | None = None


def step(what: str, call: str, *arguments: libc.Argument | Slot, into: Slot | None = None) -> Step:
    """Write one call down."""
    return Step(what, call, arguments, into)


def tagged(protection: str, steps: Iterable[Step]) -> list[Step]:
    """The steps, so that an error tells which protection is missing: ``"mount namespace: restrict /usr/lib"``."""
    return [replace(item, what=f"{protection}: {item.what}") for item in steps]


def write_file(what: str, path: str, text: str, mode: int | None = None, folder: Slot | int = AT_FDCWD) -> list[Step]:
    """Write *text* to the file at *path*, which is there already or, with *mode*, is made."""
    flags = os.O_WRONLY | os.O_CLOEXEC | (0 if mode is None else os.O_CREAT | os.O_EXCL)
    content = text.encode()
    return [
        step(what, "openat", folder, os.fsencode(path), flags, mode or 0, into=Slot.WRITTEN),
        step(what, "write", Slot.WRITTEN, content, len(content)),
        step(what, "close", Slot.WRITTEN),
    ]


# The words of a call, the slot that is its first argument, the slot for its result, and what it is.
_Line = tuple[tuple[int, ...], int, int, str]


class Part:
    """Steps as integers. Holds the memory that they point to, and can be used in any number of scripts."""

    def __init__(self, steps: Sequence[Step]) -> None:
        numbers = syscalls.numbers(syscalls.machine())
        self._arguments = [item.arguments for item in steps]
        self.lines: tuple[_Line, ...] = tuple(_line(numbers[item.call], item) for item in steps)


def _line(number: int, item: Step) -> _Line:
    words = [0 if isinstance(argument, Slot) else libc.word(argument) for argument in item.arguments]
    words += [0] * (_REGISTERS - len(words))
    first = item.arguments[0] if item.arguments else None
    uses = int(first) if isinstance(first, Slot) else _NOWHERE
    keeps = _NOWHERE if item.into is None else int(item.into)
    return (number, *words), uses, keeps, item.what


class Script:
    """Parts, one after the other."""

    def __init__(self, *parts: Part) -> None:
        self._parts = parts
        self._descriptors = [_NOWHERE] * len(Slot)

    def run(self) -> None:
        """Make the calls. Raises :class:`JailError` at the first that fails."""
        make, descriptors = libc.raw(), self._descriptors
        for part in self._parts:
            for words, uses, keeps, what in part.lines:
                if uses != _NOWHERE:
                    words = (words[0], descriptors[uses], *words[2:])
                result = make(*words)
                if result == -1:
                    raise JailError(what, os.strerror(ctypes.get_errno()))
                if keeps != _NOWHERE:
                    descriptors[keeps] = result

    def descriptor(self, slot: Slot) -> int:
        """What the step with ``into=slot`` opened."""
        return self._descriptors[slot]

    def opened(self, slot: Slot) -> list[int]:
        """The same as a list, which is empty if no step was there to open it."""
        return [number for number in (self._descriptors[slot],) if number != _NOWHERE]

    def take(self, slot: Slot, other: Script) -> None:
        """Go on with what *other* opened."""
        self._descriptors[slot] = other.descriptor(slot)
