"""From the policy on system calls to the filter that the kernel runs before each of them."""

from __future__ import annotations

import ctypes
from functools import cache

from . import bpf, syscall_policy, syscalls
from .errors import JailError
from .script import Step, step
from .syscall_policy import ArgumentTest, Condition

_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_SET_MODE_FILTER = 1
_RETURN_ALLOW = 0x7FFF0000
_RETURN_ERRNO = 0x00050000


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def refuse_new_privileges() -> Step:
    """From here on no executed file gives more rights: setuid bits and file capabilities are dead."""
    return step("no new privileges", "prctl", _PR_SET_NO_NEW_PRIVS, 1)


def install(counted: bool = True) -> Step:
    """Put the filter on this process and all it will ever start; it cannot be taken off. Needs no_new_privs.

    With ``counted=False`` also memory is denied that only a memory cgroup can count.
    """
    program = compiled(syscalls.machine(), counted)
    return step("system call filter", "seccomp", _SECCOMP_SET_MODE_FILTER, 0, _Program(len(program) // 8, program))


@cache
def compiled(machine: str, counted: bool = True) -> bytes:
    """The filter for *machine*, as the kernel takes it. Raises :class:`JailError` for an unknown architecture."""
    if machine not in syscalls.MACHINES:
        raise JailError("system call filter", f"no table for {machine}; known are {', '.join(syscalls.MACHINES)}")
    return bpf.pack(assemble(machine, counted))


def assemble(machine: str, counted: bool = True) -> bpf.Block:
    """The filter as instructions: architecture first (numbers mean nothing without it), then a search by number."""
    return [
        bpf.Instruction(bpf.LOAD, bpf.ARCHITECTURE),
        *bpf.unless_equal([syscalls.AUDIT_ARCHITECTURES[machine]], _deny()),
        bpf.Instruction(bpf.LOAD, bpf.NUMBER),
        *bpf.search(_ranges(machine, counted)),
    ]


def _ranges(machine: str, counted: bool) -> list[tuple[int, bpf.Block]]:
    blocks = _blocks(machine, counted)
    last = max(blocks)
    ranges: list[tuple[int, bpf.Block]] = []
    for number in range(last + 1):
        block = blocks.get(number, _deny())
        if not ranges or ranges[-1][1] != block:
            ranges.append((number, block))
    # Calls of the future are absent, so that programs take their older way; the x32 ones lie far above and are denied.
    return [*ranges, (last + 1, _absent()), (syscalls.X32_BIT, _deny())]


def _blocks(machine: str, counted: bool) -> dict[int, bpf.Block]:
    numbers = syscalls.numbers(machine)
    blocks = {numbers[name]: _allow() for group in syscall_policy.ALLOWED.values() for name in group.split() if name in numbers}
    blocks.update((numbers[name], _condition(rule)) for name, rule in syscall_policy.CONDITIONAL.items() if name in numbers)
    blocks.update(
        (numbers[name], _deny()) for group in syscall_policy.DENIED.values() for name in group.split() if name in numbers
    )
    blocks.update((numbers[name], _absent()) for name in syscall_policy.ABSENT.split())
    if not counted:
        blocks.update((numbers[name], _condition(rule)) for name, rule in syscall_policy.UNCOUNTED.items())
    return blocks


def _condition(condition: Condition) -> bpf.Block:
    match, other = (_allow(), _deny()) if condition.allowed else (_deny(), _allow())
    block = other
    for case in reversed(condition.cases):
        block = _case(case, match, block)
    return block


def _case(tests: tuple[ArgumentTest, ...], match: bpf.Block, other: bpf.Block) -> bpf.Block:
    """*match* if all tests hold, else *other*: built from the last test to the first, each skipping to *other*."""
    block = match
    for test in reversed(tests):
        block = _test(test, block, other)
    return block


def _test(test: ArgumentTest, held: bpf.Block, failed: bpf.Block) -> bpf.Block:
    load = [bpf.load_argument(test.argument, test.high)]
    if test.mask != 0xFFFFFFFF:
        load.append(bpf.Instruction(bpf.AND, test.mask))
    inside, outside = (held, failed) if test.inside else (failed, held)
    return [*load, *bpf.unless_equal(sorted(test.values), outside), *inside]


def _allow() -> bpf.Block:
    return bpf.finish(_RETURN_ALLOW)


def _deny() -> bpf.Block:
    return bpf.finish(_RETURN_ERRNO | syscall_policy.DENIED_ERRNO)


def _absent() -> bpf.Block:
    return bpf.finish(_RETURN_ERRNO | syscall_policy.ABSENT_ERRNO)
