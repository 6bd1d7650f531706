"""System calls by name, through the C library that Python itself uses."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from functools import cache

from . import syscalls

_REGISTERS = 6

# What a call takes: an integer, bytes or a structure by address, or a null pointer.
Argument = int | bytes | ctypes.Structure | None


@cache
def raw() -> Callable[..., int]:
    """``syscall(2)`` over seven plain integers; −1 is failure, with the reason in ``ctypes.get_errno()``.

    It keeps the interpreter's lock: a process must not lose it while it is being cloned.
    """
    function = ctypes.PyDLL(None, use_errno=True).syscall
    function.restype = ctypes.c_long
    function.argtypes = [ctypes.c_long] * (1 + _REGISTERS)
    return function


def call(name: str, *arguments: Argument) -> int:
    """Make the system call *name*. Raises :class:`OSError`."""
    return call_number(syscalls.numbers(syscalls.machine())[name], *arguments, name=name)


def call_number(number: int, *arguments: Argument, name: str = "system call") -> int:
    """Make the system call *number*."""
    result = raw()(number, *map(word, arguments), *(0,) * (_REGISTERS - len(arguments)))
    if result == -1:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")
    return result


def word(argument: Argument) -> int:
    """The integer that goes into the register. The caller keeps the argument alive while it is used."""
    if argument is None:
        return 0
    if isinstance(argument, int):
        return argument
    if isinstance(argument, bytes):
        return ctypes.cast(ctypes.c_char_p(argument), ctypes.c_void_p).value or 0
    return ctypes.addressof(argument)


def prctl(option: int, *arguments: int) -> int:
    """``prctl(2)``, whose unused arguments several options want to be zero."""
    return call("prctl", option, *arguments)
