"""The filter says what the policy says, for every call of both architectures: its program is run here, by a small machine."""

from __future__ import annotations

import errno
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_manager.kernelside.jail import bpf, seccomp, syscall_policy, syscalls
from kernel_manager.kernelside.jail.errors import JailError
from kernel_manager.kernelside.jail.syscall_policy import ArgumentTest, Condition

ALLOW = 0x7FFF0000
DENY = 0x00050000 | errno.EPERM
ABSENT = 0x00050000 | errno.ENOSYS
WORD = st.one_of(
    st.integers(0, 2**64 - 1),
    st.sampled_from([0, 1, 2, 3, 7, 8, 10, 16, 17, 0x21, 0x23, 0o4755, 0o100, 0o20000000, 1024, 0x5412, 0x10000000]),
    st.sampled_from([2**32, 2**32 + 1, 2**64 - 1]),
)
ARGUMENTS = st.lists(WORD, min_size=6, max_size=6)
MACHINES = pytest.mark.parametrize("machine", syscalls.MACHINES)


def run(program: list[bpf.Instruction], number: int, architecture: int, arguments: list[int]) -> int:
    """Execute classic BPF on ``struct seccomp_data``."""
    data = struct.pack("<IIQ6Q", number, architecture, 0, *arguments)
    accumulator = position = 0
    while True:
        step = program[position]
        position += 1
        if step.code == bpf.RETURN:
            return step.value
        if step.code == bpf.LOAD:
            (accumulator,) = struct.unpack_from("<I", data, step.value)
        elif step.code == bpf.AND:
            accumulator &= step.value
        elif step.code == bpf.JUMP:
            position += step.value
        elif step.code == bpf.JUMP_IF_EQUAL:
            position += step.if_true if accumulator == step.value else step.if_false
        elif step.code == bpf.JUMP_IF_AT_LEAST:
            position += step.if_true if accumulator >= step.value else step.if_false
        else:
            raise AssertionError(f"unknown instruction {step}")


def holds(test: ArgumentTest, arguments: list[int]) -> bool:
    half = arguments[test.argument] >> 32 if test.high else arguments[test.argument] & 0xFFFFFFFF
    return ((half & test.mask) in test.values) == test.inside


def expected(name: str, arguments: list[int], counted: bool) -> int:
    conditions: dict[str, Condition] = syscall_policy.CONDITIONAL | ({} if counted else syscall_policy.UNCOUNTED)
    if name in conditions:
        condition = conditions[name]
        match = any(all(holds(test, arguments) for test in case) for case in condition.cases)
        return ALLOW if match == condition.allowed else DENY
    if name in syscall_policy.ABSENT.split():
        return ABSENT
    return ALLOW if any(name in group.split() for group in syscall_policy.ALLOWED.values()) else DENY


@MACHINES
def test_every_call_stands_in_exactly_one_place_of_the_policy(machine: str) -> None:
    places = [
        name for table in (syscall_policy.ALLOWED, syscall_policy.DENIED) for group in table.values() for name in group.split()
    ]
    places += [*syscall_policy.CONDITIONAL, *syscall_policy.ABSENT.split()]
    assert len(places) == len(set(places))
    assert set(syscalls.numbers(machine)) <= set(places)
    assert set(places) <= {name for known in syscalls.MACHINES for name in syscalls.numbers(known)}


@MACHINES
@pytest.mark.parametrize("counted", [True, False])
@settings(deadline=None)
@given(arguments=ARGUMENTS)
def test_the_filter_decides_as_the_policy_does(machine: str, counted: bool, arguments: list[int]) -> None:
    program, architecture = seccomp.assemble(machine, counted), syscalls.AUDIT_ARCHITECTURES[machine]
    for name, number in syscalls.numbers(machine).items():
        assert run(program, number, architecture, arguments) == expected(name, arguments, counted), name


@MACHINES
@settings(deadline=None)
@given(number=st.integers(0, 2**32 - 1), architecture=st.integers(0, 2**32 - 1))
def test_other_architectures_are_denied_whatever_they_call(machine: str, number: int, architecture: int) -> None:
    if architecture != syscalls.AUDIT_ARCHITECTURES[machine]:
        assert run(seccomp.assemble(machine), number, architecture, [0] * 6) == DENY


@MACHINES
@settings(deadline=None)
@given(number=st.integers(0, 2**32 - 1))
def test_numbers_that_nobody_knows_are_absent_or_denied(machine: str, number: int) -> None:
    known = syscalls.numbers(machine).values()
    if number in known:
        return
    answer = run(seccomp.assemble(machine), number, syscalls.AUDIT_ARCHITECTURES[machine], [0] * 6)
    assert answer == (ABSENT if max(known) < number < syscalls.X32_BIT else DENY)


@MACHINES
def test_what_is_denied_where_nobody_counts_is_a_stricter_rule(machine: str) -> None:
    """A call that the policy denies anyway must not come back with it."""
    places = {*syscall_policy.CONDITIONAL, *" ".join(syscall_policy.ALLOWED.values()).split()}
    assert set(syscall_policy.UNCOUNTED) <= places & set(syscalls.numbers(machine))
    number, architecture = syscalls.numbers(machine)["mmap"], syscalls.AUDIT_ARCHITECTURES[machine]
    for flags, counted, uncounted in ((0x22, ALLOW, ALLOW), (0x21, ALLOW, DENY), (0x1, ALLOW, ALLOW), (0x40022, DENY, DENY)):
        arguments = [0, 4096, 3, flags, 2**64 - 1, 0]
        assert run(seccomp.assemble(machine, True), number, architecture, arguments) == counted
        assert run(seccomp.assemble(machine, False), number, architecture, arguments) == uncounted


@MACHINES
def test_the_program_fits_and_each_instruction_has_the_kernels_layout(machine: str) -> None:
    program = seccomp.assemble(machine)
    packed = seccomp.compiled(machine)
    assert len(packed) == 8 * len(program)
    assert len(program) <= bpf.MAX_INSTRUCTIONS
    assert struct.unpack_from("=HBBI", packed) == (bpf.LOAD, 0, 0, bpf.ARCHITECTURE)


def test_far_branches_jump() -> None:
    below = [bpf.Instruction(bpf.AND, 0)] * 300 + bpf.finish(1)
    program = [bpf.Instruction(bpf.LOAD, bpf.NUMBER), *bpf.branch(5, below, bpf.finish(2))]
    assert [run(program, number, 0, [0] * 6) for number in (0, 4, 5, 6)] == [1, 1, 2, 2]


def test_an_unknown_machine_is_refused_by_name() -> None:
    with pytest.raises(JailError, match="no table for riscv64"):
        seccomp.compiled("riscv64")
